//! Noise: the keys of sites and rows, draws, and rows of columns in the order in which noise comes.

use super::element::{Point, Row};
use super::{Argument, Leaf, Lowering};
use crate::tile::{Address, Base, Class, Reg, Twice};
use bayeslift_ir::{Lanes, Noise, Value, noise};

/// Noise units come in blocks of this many; a word pair serves a unit and the one half a block on.
pub(super) const NOISE_BLOCK: usize = 32;
/// The distance of units that share their random words.
const HALF: usize = NOISE_BLOCK / 2;

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
            let key = self.plan.graph.node(site).args[0];
            let seed = [0, 1].map(|i| self.word(key, i));
            let step = [2, 3].map(|i| self.word(key, i));
            let index = self.b.index(0);
            let stream = [0, 1].map(|offset| self.b.load(Class::Int, Address { base, index, offset }));
            let site_key = noise::site_key(&mut self.b, seed, step, stream);
            self.site_keys.insert(site, site_key);
        }
    }

    pub(super) fn row_key(&mut self, site: Value, noise: &Noise, row: Reg) -> ([Reg; 2], Reg) {
        let args = self.plan.graph.node(site).args.clone();
        let rows = noise.shape.rows();
        let samples = noise.sample_axis.map_or(1, |axis| noise.shape[usize::from(axis)]);
        let rows_of_a_sample = rows / samples;
        let mut sample = self.b.integer(0);
        let mut number = row;
        if noise.sample_axis.is_some() {
            let first = self.word(args[1], 0);
            let index = self.b.index_div(row, rows_of_a_sample);
            let low = self.b.index_low(index);
            sample = self.b.iadd(first, low);
            number = self.b.index_rem(row, rows_of_a_sample);
        }
        if let Some(axis) = noise.example_axis {
            let rows_of_an_example = rows_of_a_sample / noise.shape[usize::from(axis)];
            let (low, high) = (self.word(args[2], 0), self.word(args[2], 1));
            let first = self.b.index_from(low, high);
            let first = self.b.index_scale(first, rows_of_an_example);
            number = self.b.index_add(first, number);
        }
        let (low, high) = (self.b.index_low(number), self.b.index_high(number));
        let key = noise::row_key(&mut self.b, self.site_keys[&site], sample, high);
        (key, low)
    }

    /// The noise of the units at `col` and half a block on, where `col` lies in the first half of its block; where it
    /// lies in the second half, the noise half a block before and at `col`.
    pub(super) fn noise_pair(&mut self, site: Value, noise: &Noise, row: &Row, col: Reg) -> [Reg; 2] {
        let ([key, row_low], slot) = (self.row_address(site, row), self.slot(col));
        noise::pair(&mut self.b, noise.distribution, key, row_low[0], slot)
    }

    /// As [`Lowering::noise_pair`], for two columns.
    pub(super) fn noise_pairs(&mut self, site: Value, noise: &Noise, row: &Row, cols: [Reg; 2]) -> [[Reg; 2]; 2] {
        let ([key, row_low], slots) = (self.row_address(site, row), cols.map(|col| self.slot(col)));
        let key = key.map(|word| [word; 2]);
        let [first, second] = noise::pair(&mut Twice(&mut self.b), noise.distribution, key, row_low, slots);
        [0, 1].map(|i| [first[i], second[i]])
    }

    /// The row's key and, twice, the low word of its number, in all lanes.
    fn row_address(&mut self, site: Value, row: &Row) -> [[Reg; 2]; 2] {
        let (key, row_low) = row.keys[&site];
        [key, [row_low; 2]].map(|words| words.map(|word| self.b.splat(word)))
    }

    /// (unit / 32) * 16 + unit % 16
    fn slot(&mut self, col: Reg) -> Reg {
        let block = self.b.index_div(col, NOISE_BLOCK);
        let block = self.b.index_scale(block, NOISE_BLOCK / 2);
        let within = self.b.index_rem(col, NOISE_BLOCK / 2);
        let slot = self.b.index_add(block, within);
        let slot = self.b.index_low(slot);
        let slot = self.b.splat(slot);
        let lane = self.b.lane_numbers();
        self.b.iadd(slot, lane)
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
    pub(super) fn noisy_columns(
        &mut self,
        row: &Row,
        start: Reg,
        end: Reg,
        cols: usize,
        accumulators: &[(Value, usize)],
    ) {
        let (width, mut done) = (self.width, start);
        if width == HALF && cols >= 2 * NOISE_BLOCK {
            done = self.repeat_whole(done, end, 2 * NOISE_BLOCK, |s, block| {
                let next = s.b.index_offset(block, NOISE_BLOCK as i64);
                s.two_noise_points(row, [block, next], [[width; 2]; 2], accumulators);
            });
        }
        if cols >= NOISE_BLOCK {
            done = self.repeat_whole(done, end, NOISE_BLOCK, |s, block| {
                if width == HALF {
                    return s.noise_points(row, block, [width; 2], accumulators);
                }
                let half = s.b.index_offset(block, HALF as i64);
                s.repeat(block, half, 2 * width as i64, |s, col| {
                    let next = s.b.index_offset(col, width as i64);
                    s.two_noise_points(row, [col, next], [[width; 2]; 2], accumulators);
                });
            });
        }
        let rest = cols % NOISE_BLOCK;
        if rest > 0 {
            self.repeat(done, end, NOISE_BLOCK as i64, |s, block| {
                let lanes = |unit: usize| [unit, unit + HALF].map(|unit| rest.saturating_sub(unit).min(width));
                let units: Vec<usize> = (0..rest.min(HALF)).step_by(width).collect();
                for units in units.chunks(2) {
                    let col = |s: &mut Self, unit: usize| s.b.index_offset(block, unit as i64);
                    if let &[unit, next] = units {
                        let cols = [col(s, unit), col(s, next)];
                        s.two_noise_points(row, cols, [lanes(unit), lanes(next)], accumulators);
                    } else {
                        let col = col(s, units[0]);
                        s.noise_points(row, col, lanes(units[0]), accumulators);
                    }
                }
            });
        }
    }

    /// Two vectors half a noise block apart, which share their random words; so many lanes of each.
    fn noise_points(&mut self, row: &Row, col: Reg, lanes: [usize; 2], accumulators: &[(Value, usize)]) {
        let mut points = self.half_a_block_apart(col);
        for (site, noise) in self.noise_sites() {
            let pair = self.lanes(self.width, |s| s.noise_pair(site, &noise, row, col));
            points.iter_mut().zip(pair).for_each(|(point, value)| point.know(site, value));
        }
        self.all_points(row, points.into_iter().zip(lanes), accumulators);
    }

    /// As [`Lowering::noise_points`], at two columns.
    fn two_noise_points(&mut self, row: &Row, cols: [Reg; 2], lanes: [[usize; 2]; 2], accumulators: &[(Value, usize)]) {
        let mut points = cols.map(|col| self.half_a_block_apart(col));
        for (site, noise) in self.noise_sites() {
            let pairs = self.lanes(self.width, |s| s.noise_pairs(site, &noise, row, cols));
            let points = points.iter_mut().flatten();
            points.zip(pairs.into_iter().flatten()).for_each(|(point, value)| point.know(site, value));
        }
        self.all_points(row, points.into_iter().flatten().zip(lanes.into_iter().flatten()), accumulators);
    }

    fn half_a_block_apart(&mut self, col: Reg) -> [Point; 2] {
        [Point::new(col), Point::new(self.b.index_offset(col, HALF as i64))]
    }

    fn all_points(&mut self, row: &Row, points: impl Iterator<Item = (Point, usize)>, accumulators: &[(Value, usize)]) {
        for (mut point, lanes) in points.filter(|&(_, lanes)| lanes > 0) {
            self.lanes(lanes, |s| s.point(row, &mut point, accumulators));
        }
    }
}
