//! The mixture over samples of a block of rows: its cdf, and what is found by it.

use super::{Predictor, question::Question, rows::RowBlock};
use crate::{Error, Float};
use bayeslift_ir::{DType, Tensor};

/// The laws of all samples of a block of rows, by the network's outputs for them.
pub struct Mixture<'a, T> {
    predictor: &'a Predictor,
    pub block: &'a RowBlock,
    outputs: &'a [T],
}

/// The ends of an interval of each target.
type Intervals<T> = (Vec<T>, Vec<T>);

impl<'a, T: Float> Mixture<'a, T> {
    /// Of the outputs of all samples, `[samples, rows of the block, ..]`.
    pub fn new(predictor: &'a Predictor, block: &'a RowBlock, outputs: &'a [T]) -> Self {
        Mixture { predictor, block, outputs }
    }

    /// The number of targets.
    fn targets(&self) -> usize {
        self.block.size * self.predictor.model.target.shape.elements()
    }

    /// The cdf at numbers, one for each target.
    pub fn cdf(&self, at: &[T]) -> Result<Vec<f64>, Error> {
        let predictor = self.predictor;
        let pool = predictor.blocks(Question::Cdf).pool(&predictor.model, &predictor.options, self.block.size)?;
        let mut memory = pool.take(&pool.plain)?;
        memory.clear(pool);
        let sample = self.outputs.len() / if pool.draws { predictor.options.samples } else { 1 };
        let added = predictor.turns(pool).try_for_each(|turn| {
            let outputs = &self.outputs[turn.first * sample..][..turn.at_once * sample];
            let given = predictor.given(self.block, outputs, at);
            predictor.add(pool, &pool.plain, &mut memory, &given, turn.first, &[[turn.done as u32]]).map(drop)
        });
        let made = added.and_then(|()| predictor.finish(pool, &mut memory));
        let found = memory.results().first().and_then(Tensor::as_f64).unwrap_or_default().to_vec();
        pool.plain.put_back(memory);
        made.map(|()| found)
    }

    /// For each target, of which `p` tells a probability by its number, the first float at which the cdf reaches it;
    /// not a number where the cdf is none.
    pub fn quantile(&self, p: &dyn Fn(usize) -> f64) -> Result<Vec<T>, Error> {
        let (lower, upper) = self.predictor.model.target.support.bounds();
        let (least, largest) =
            if T::DTYPE == DType::F64 { (f64::MIN, f64::MAX) } else { (f32::MIN.into(), f32::MAX.into()) };
        let ends = [lower.max(least), upper.min(largest)].map(|end| T::nearest(end).order());
        let mut ends = vec![Some((ends[0], ends[1])); self.targets()];
        let middle = |&(low, high): &(u64, u64)| low + (high - low) / 2;
        // as many halvings as a float has bits leave one
        for _ in 0..8 * size_of::<T>() {
            let at = ends.iter().map(|ends| ends.as_ref().map_or(T::default(), |ends| T::of_order(middle(ends))));
            let at: Vec<T> = at.collect();
            for (i, (target, cdf)) in ends.iter_mut().zip(self.cdf(&at)?).enumerate() {
                let Some(ends) = target else { continue };
                let at = middle(ends);
                if cdf.is_nan() {
                    *target = None;
                } else if cdf >= p(i) {
                    ends.1 = at;
                } else {
                    ends.0 = ends.1.min(at + 1);
                }
            }
        }
        Ok(ends.into_iter().map(|ends| ends.map_or(T::NAN, |(_, high)| T::of_order(high))).collect())
    }

    /// The shortest interval of each target that has this probability, as far as grids of points tell.
    pub fn shortest(&self, probability: f64) -> Result<Intervals<T>, Error> {
        /// The points of the first and of the second grid, and the part of what is outside that is beyond its ends.
        const POINTS: usize = 256;
        const FINE: usize = 64;
        const BEYOND: f64 = 1.0 / 64.0;
        let beyond = (1.0 - probability) * BEYOND;
        let (first, last) = (self.quantile(&|_| beyond)?, self.quantile(&|_| 1.0 - beyond)?);
        let is_discrete = self.predictor.model.target.support.is_discrete();
        let grids: Vec<Grid<T>> =
            first.iter().zip(&last).map(|(&a, &b)| Grid::new(a, b, POINTS, is_discrete)).collect();
        let low = self.best(&grids, &grids, POINTS, probability)?;
        let low = if is_discrete {
            low.into_iter().map(|(low, _)| low).collect()
        } else {
            // around both ends of the best one
            let around = |which: fn(&(T, T)) -> T| {
                let grid = |(ends, grid): (&(T, T), &Grid<T>)| grid.around(which(ends), FINE);
                low.iter().zip(&grids).map(grid).collect::<Vec<Grid<T>>>()
            };
            let found = self.best(&around(|ends| ends.0), &around(|ends| ends.1), FINE, probability)?;
            found.into_iter().map(|(low, _)| low).collect::<Vec<T>>()
        };
        // what is below the interval is known now, and so its upper end
        let below = self.below(&low, is_discrete)?;
        let high = self.quantile(&|i| (below[i] + probability).min(1.0 - f64::EPSILON))?;
        Ok((low, high))
    }

    /// For each target the shortest interval that has this probability, from a point of one grid to about one of
    /// another.
    fn best(&self, lows: &[Grid<T>], highs: &[Grid<T>], points: usize, probability: f64) -> Result<Vec<(T, T)>, Error> {
        let of = |grids: &[Grid<T>], k: usize| grids.iter().map(|grid| grid.point(k)).collect::<Vec<T>>();
        let is_discrete = lows.first().is_some_and(|grid| grid.is_discrete);
        let below = (0..points).map(|k| self.below(&of(lows, k), is_discrete)).collect::<Result<Vec<_>, _>>()?;
        let up_to = (0..points).map(|k| self.cdf(&of(highs, k))).collect::<Result<Vec<_>, _>>()?;
        let of_target = |i: usize| {
            let (mut best, mut high) = ((lows[i].point(0), highs[i].point(points - 1)), 0);
            for (k, below) in below.iter().enumerate() {
                let want = below[i] + probability;
                while high < points && up_to[high][i] < want {
                    high += 1;
                }
                if high == points {
                    break;
                }
                let (low, mut end) = (lows[i].point(k), highs[i].point(high));
                if high > 0 && !is_discrete {
                    // between two points the cdf is about straight
                    let [before, after] = [high - 1, high].map(|j| up_to[j][i]);
                    end = highs[i].back(end, (after - want) / (after - before));
                }
                if less(end, low) < less(best.1, best.0) {
                    best = (low, end);
                }
            }
            best
        };
        Ok((0..self.targets()).map(of_target).collect())
    }

    /// The probability below numbers, which themselves count for counts only.
    fn below(&self, at: &[T], is_discrete: bool) -> Result<Vec<f64>, Error> {
        if !is_discrete {
            return self.cdf(at);
        }
        let before: Vec<T> = at.iter().map(|&x| T::nearest(x.into() - 1.0)).collect();
        let cdf = self.cdf(&before)?;
        Ok(before.iter().zip(cdf).map(|(&before, cdf)| if before.into() < 0.0 { 0.0 } else { cdf }).collect())
    }

    /// Puts what each target of the block has where the call has its row.
    pub fn scatter<U: Copy>(&self, of_block: &[U], all: &mut [U]) {
        self.block.scatter(of_block, all, self.predictor.model.target.shape.elements());
    }
}

/// Points at one distance; of counts, whole numbers. What is between roundings is exact in `f64`, or of `f64`.
struct Grid<T> {
    first: T,
    step: T,
    is_discrete: bool,
}

impl<T: Float> Grid<T> {
    fn new(first: T, last: T, points: usize, is_discrete: bool) -> Grid<T> {
        let step = T::nearest(less(last, first).into() / (points - 1) as f64);
        Grid { first, step: if is_discrete { T::nearest(step.into().ceil().max(1.0)) } else { step }, is_discrete }
    }

    fn around(&self, middle: T, points: usize) -> Grid<T> {
        let last = T::nearest(middle.into() + self.step.into());
        Grid::new(less(middle, self.step), last, points, false)
    }

    fn point(&self, number: usize) -> T {
        let distance = T::nearest(self.step.into() * number as f64);
        T::nearest(self.first.into() + distance.into())
    }

    /// A part of a step before a number.
    fn back(&self, from: T, part: f64) -> T {
        let distance = T::nearest(self.step.into() * T::nearest(part).into());
        less(from, distance)
    }
}

fn less<T: Float>(a: T, b: T) -> T {
    T::nearest(a.into() - b.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_in_order() {
        let floats = [f32::MIN, -1.0, -f32::MIN_POSITIVE, -0.0, 0.0, 1e-45, 1.0, 1.5, f32::MAX];
        assert!(floats.windows(2).all(|pair| pair[0].order() < pair[1].order()));
        assert!(floats.iter().all(|&x| f32::of_order(x.order()).to_bits() == x.to_bits()));
        let doubles = floats.map(f64::from);
        assert!(doubles.windows(2).all(|pair| pair[0].order() < pair[1].order()));
        assert!(doubles.iter().all(|&x| f64::of_order(x.order()).to_bits() == x.to_bits()));
    }
}
