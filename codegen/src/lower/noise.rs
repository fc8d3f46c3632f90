//! Noise: the keys of sites and rows, draws, and rows of columns in the order in which noise comes.

use super::element::{Points, Row};
use super::sums::Accumulator;
use super::{Argument, Leaf, Lowering};
use crate::tile::{Abreast, Address, Base, Class, Reg};
use bayeslift_ir::{DType, Lanes, Noise, Value, noise};

/// Noise units come in blocks of this many, or of half as many where that is a row; a word pair serves a unit and the one half a
/// block on.
pub(super) const NOISE_BLOCK: usize = 32;
/// How many vectors are drawn at once: more would not fit into registers.
const MOST_ABREAST: usize = 4;

impl Lowering<'_> {
    /// Loads what noise is addressed by, once a call.
    pub(super) fn load_site_keys(&mut self) {
        let mut sites: Vec<Value> =
            self.leaves.iter().filter(|(_, l)| matches!(l, Leaf::Noise(_))).map(|(&v, _)| v).collect();
        sites.sort_unstable();
        for site in sites {
            let Leaf::Noise(noise) = &self.leaves[&site] else { unreachable!("filtered") };
            let words = vec![noise.stream as u32, (noise.stream >> 32) as u32];
            let base = Base::Argument(self.argument(Argument::Words(words)));
            let seed = [0, 1].map(|i| self.word(site, 0, i));
            let step = [2, 3].map(|i| self.word(site, 0, i));
            let index = self.b.index(0);
            let stream = [0, 1].map(|offset| self.b.load(Class::Int, Address { base, index, offset }));
            let site_key = noise::site_key(&mut self.b, seed, step, stream);
            self.site_keys.insert(site, site_key);
        }
    }

    /// Computes the keys of all rows `first..last`, at most so many, into scratch memory: several at a time.
    pub(super) fn prepare_rows(&mut self, first: Reg, last: Reg, most: usize) {
        for (site, noise) in self.noise_sites().into_iter().filter(|(_, noise)| varies(noise)) {
            let words = [(); 2].map(|()| self.take_scratch(most));
            self.repeat(first, last, 1, |s, row| {
                let (sample, number) = s.row_number(site, &noise, row);
                let index = s.b.index_sub(row, first);
                for (offset, word) in words.into_iter().zip([sample, s.b.index_high(number)]) {
                    s.b.store(Address { base: Base::Scratch, index, offset: offset as i64 }, word);
                }
            });
            let (begin, end) = (self.b.index(0), self.b.index_sub(last, first));
            self.repeat(begin, end, self.target.lanes() as i64, |s, index| {
                s.lanes(s.target.lanes(), |s| {
                    let addresses = words.map(|word| Address { base: Base::Scratch, index, offset: word as i64 });
                    let [sample, high] = addresses.map(|address| s.b.load(Class::Int, address));
                    let site_key = s.site_keys[&site].map(|word| s.b.splat(word));
                    let key = noise::row_key(&mut s.b, site_key, sample, high);
                    addresses.into_iter().zip(key).for_each(|(address, word)| s.b.store(address, word));
                });
            });
            self.row_keys.insert(site, (first, words));
        }
    }

    /// The key of a row and the low word of its number.
    pub(super) fn row_key(&mut self, site: Value, noise: &Noise, row: Reg) -> ([Reg; 2], Reg) {
        let (sample, number) = self.row_number(site, noise, row);
        let low = self.b.index_low(number);
        let Some(&(first, words)) = self.row_keys.get(&site) else {
            let high = if varies(noise) { self.b.index_high(number) } else { self.b.integer(0) };
            return (noise::row_key(&mut self.b, self.site_keys[&site], sample, high), low);
        };
        let index = self.b.index_sub(row, first);
        let word = |offset| Address { base: Base::Scratch, index, offset: offset as i64 };
        (words.map(|offset| self.b.load(Class::Int, word(offset))), low)
    }

    /// The sample and the number of a row.
    fn row_number(&mut self, site: Value, noise: &Noise, row: Reg) -> (Reg, Reg) {
        let rows = noise.shape.rows();
        let samples = noise.sample_axis.map_or(1, |axis| noise.shape[usize::from(axis)]);
        let rows_of_a_sample = rows / samples;
        let mut sample = self.b.integer(0);
        let mut number = row;
        if noise.sample_axis.is_some() {
            let first = self.word(site, 1, 0);
            let index = self.b.index_div(row, rows_of_a_sample);
            let low = self.b.index_low(index);
            sample = self.b.iadd(first, low);
            number = self.b.index_rem(row, rows_of_a_sample);
        }
        if let Some(axis) = noise.example_axis {
            let rows_of_an_example = rows_of_a_sample / noise.shape[usize::from(axis)];
            let (low, high) = (self.word(site, 2, 0), self.word(site, 2, 1));
            let first = self.b.index_from(low, high);
            let first = self.b.index_scale(first, rows_of_an_example);
            number = self.b.index_add(first, number);
        }
        (sample, number)
    }

    /// For each column the noise of the units at the column and half a block on, where it lies in the first half of its
    /// block; where it lies in the second half, the noise half a block before and at the column.
    pub(super) fn noise_pairs<const N: usize>(
        &mut self,
        site: Value,
        noise: &Noise,
        row: &Row,
        cols: [Reg; N],
    ) -> [[Reg; 2]; N] {
        let (key, row_low) = row.keys[&site];
        let key = key.map(|word| [self.b.splat(word); N]);
        let (row_low, slots) = ([self.b.splat(row_low); N], cols.map(|col| self.slot(col)));
        let lanes = &mut Abreast(&mut self.b);
        let [first, second] = match noise.dtype {
            DType::F64 => noise::pair_f64(lanes, noise.distribution, key, row_low, slots),
            _ => noise::pair(lanes, noise.distribution, key, row_low, slots),
        };
        std::array::from_fn(|i| [first[i], second[i]])
    }

    /// Whether two rows share their draws: where a row is half of what a vector of slots makes. Vectors beside doubles are shorter.
    pub(super) fn draws_by_twos(&self) -> bool {
        self.target.lanes() == 2 * self.half() && !self.noise_sites().is_empty()
    }

    /// Draws for two rows at once, where they share their draws: the first row's slots are in the lower lanes, the
    /// second's in the upper ones.
    pub(super) fn draw_by_twos(&mut self, rows: &mut [Row]) {
        if !self.draws_by_twos() {
            return;
        }
        for pair in rows.chunks_exact_mut(2) {
            for (site, noise) in self.noise_sites() {
                let drawn = self.lanes(self.target.lanes(), |s| {
                    let (lane, half) = (s.b.lane_numbers(), s.b.integer(s.half() as u32));
                    let (upper, zero) = (s.b.and(lane, half), s.b.integer(0));
                    let is_first = s.b.iequal(upper, zero);
                    let words = [0, 1].map(|row: usize| {
                        let ([a, b], low) = pair[row].keys[&site];
                        [a, b, low].map(|word| s.b.splat(word))
                    });
                    let mut choose = |i: usize| s.b.iselect(is_first, words[0][i], words[1][i]);
                    let (key, row_low) = ([choose(0), choose(1)], choose(2));
                    let begin = s.b.index(0);
                    let slot = s.slot(begin);
                    let [first, second] = noise::pair(&mut s.b, noise.distribution, key, row_low, slot);
                    s.b.halves(first, second)
                });
                for (row, drawn) in pair.iter_mut().zip(drawn) {
                    row.drawn.insert(site, drawn);
                }
            }
        }
    }

    /// How far units are apart that share their words.
    fn half(&self) -> usize {
        noise::half(self.kernel.cols)
    }

    /// The slots of the units at a column and, in a vector, beside it.
    fn slot(&mut self, col: Reg) -> Reg {
        let half = self.half();
        let lane = self.b.lane_numbers();
        if self.b.vector && self.target.lanes() > half {
            // the vector has both halves of the only block
            let (unit, within) = (self.unit(col), self.b.integer(half as u32 - 1));
            return self.b.and(unit, within);
        }
        let block = self.b.index_div(col, 2 * half);
        let block = self.b.index_scale(block, half);
        let within = self.b.index_rem(col, half);
        let slot = self.b.index_add(block, within);
        let slot = self.b.index_low(slot);
        let slot = self.b.splat(slot);
        self.b.iadd(slot, lane)
    }

    /// The units at a column and, in a vector, beside it.
    fn unit(&mut self, col: Reg) -> Reg {
        let first = self.b.index_low(col);
        let (first, lane) = (self.b.splat(first), self.b.lane_numbers());
        self.b.iadd(first, lane)
    }

    /// The one of a noise pair that belongs to each of the units at a column.
    pub(super) fn noise_at(&mut self, col: Reg, pair: [Reg; 2]) -> Reg {
        let (unit, half) = (self.unit(col), self.b.integer(self.half() as u32));
        let (half, zero) = (self.b.and(unit, half), self.b.integer(0));
        let is_first = self.b.iequal(half, zero);
        self.choose(is_first, pair[0], pair[1])
    }

    /// The noise sites the kernel draws from, in order.
    pub(super) fn noise_sites(&self) -> Vec<(Value, Noise)> {
        let mut sites: Vec<(Value, Noise)> = self
            .leaves
            .iter()
            .filter_map(|(&v, leaf)| if let Leaf::Noise(noise) = leaf { Some((v, noise.clone())) } else { None })
            .collect();
        sites.sort_by_key(|&(v, _)| v);
        sites
    }

    /// The columns `start..end` of a row, as [`Lowering::columns`] has them, where the kernel draws noise.
    pub(super) fn noisy_columns(&mut self, row: &Row, start: Reg, end: Reg, cols: usize, accumulators: &[Accumulator]) {
        let mut done = start;
        // two blocks at once where one has few vectors and elements take little besides their noise
        let draws = NOISE_BLOCK / 2 / self.target.lanes();
        if cols >= 2 * NOISE_BLOCK && (draws == 1 || draws == 2 && self.is_short()) {
            done = self.noise_blocks(row, [done, end], 2, accumulators);
        }
        if cols >= NOISE_BLOCK {
            done = self.noise_blocks(row, [done, end], 1, accumulators);
        }
        let rest = cols % NOISE_BLOCK;
        if rest > 0 {
            self.repeat(done, end, NOISE_BLOCK as i64, |s, block| s.noise_vectors(row, block, rest, accumulators));
        }
    }

    /// Whether an element takes less than its noise.
    fn is_short(&self) -> bool {
        const SHORT: usize = 12;
        self.kernel.members.len() <= SHORT
    }

    /// All whole groups of so many blocks; returns where the rest begins.
    fn noise_blocks(&mut self, row: &Row, [start, end]: [Reg; 2], blocks: usize, accumulators: &[Accumulator]) -> Reg {
        let units = blocks * NOISE_BLOCK;
        self.repeat_whole(start, end, units, |s, first| s.noise_vectors(row, first, units, accumulators))
    }

    /// The vectors of `units` units from the beginning of a block on, several at a time.
    fn noise_vectors(&mut self, row: &Row, first: Reg, units: usize, accumulators: &[Accumulator]) {
        let (width, half) = (self.target.lanes(), self.half());
        if width > half {
            // both halves are in one vector
            let mut points = Points::new([first]);
            row.drawn.iter().for_each(|(&site, &drawn)| points.know(site, [drawn]));
            return self.lanes(units, |s| s.points(row, &mut points, accumulators));
        }
        // where vectors in first halves begin
        let begin = |unit: &usize| *unit % (2 * half) < half;
        let starts: Vec<usize> = (0..units).step_by(width).filter(begin).collect();
        for starts in starts.chunks(MOST_ABREAST) {
            match *starts {
                [a, b, c, d] => self.noise_points(row, first, units, [a, b, c, d], accumulators),
                [a, b, c] => self.noise_points(row, first, units, [a, b, c], accumulators),
                [a, b] => self.noise_points(row, first, units, [a, b], accumulators),
                _ => starts.iter().for_each(|&a| self.noise_points(row, first, units, [a], accumulators)),
            }
        }
    }

    /// Vectors at these units, and half a noise block on, with which they share their random words.
    fn noise_points<const N: usize>(
        &mut self,
        row: &Row,
        first: Reg,
        units: usize,
        starts: [usize; N],
        accumulators: &[Accumulator],
    ) {
        let half = self.half();
        let pairs = starts.map(|start| [start, start + half]);
        let cols = pairs.map(|pair| pair.map(|unit| self.b.index_offset(first, unit as i64)));
        let sites: Vec<(Value, [[Reg; 2]; N])> = self
            .noise_sites()
            .into_iter()
            .map(|(site, noise)| {
                let cols = cols.map(|[col, _]| col);
                (site, self.lanes(self.target.lanes(), |s| s.noise_pairs(site, &noise, row, cols)))
            })
            .collect();
        for (i, pair) in cols.into_iter().enumerate() {
            let lanes = pairs[i].map(|unit| units.saturating_sub(unit).min(self.target.lanes()));
            if lanes == [self.target.lanes(); 2] {
                let mut points = Points::new(pair);
                sites.iter().for_each(|(site, drawn)| points.know(*site, drawn[i]));
                self.lanes(self.target.lanes(), |s| s.points(row, &mut points, accumulators));
                continue;
            }
            for (j, lanes) in lanes.into_iter().enumerate().filter(|&(_, lanes)| lanes > 0) {
                let mut points = Points::new([pair[j]]);
                sites.iter().for_each(|(site, drawn)| points.know(*site, [drawn[i][j]]));
                self.lanes(lanes, |s| s.points(row, &mut points, accumulators));
            }
        }
    }
}

/// Whether rows may have different keys: without samples and examples there are fewer rows than a word counts.
fn varies(noise: &Noise) -> bool {
    noise.sample_axis.is_some() || noise.example_axis.is_some()
}
