//! Rows of columns in the order in which noise comes.

use super::code::Code;
use super::noise::{RowKeys, Site};
use super::pointwise::{Points, Pointwise, Row};
use super::shape::NOISE_BLOCK;
use super::sums::Sums;
use crate::tile::{Address, Base, Class, Reg};
use bayeslift_ir::{Lanes, Value, noise};

/// How many vectors are drawn at once: more would not fit into registers.
const MOST_INTERLEAVED: usize = 4;

impl Pointwise<'_> {
    /// Computes the keys of all rows `first..last`, at most `most`, into scratch memory: several at a time.
    pub fn prepare_rows(&self, code: &mut Code<'_>, first: Reg, last: Reg, most: usize) -> RowKeys {
        let mut keys = RowKeys::none();
        let width = self.context.width();
        for site in self.sites.iter().filter(|site| site.varies()) {
            let words = [(); 2].map(|()| code.take_scratch(most));
            code.repeat(first, last, 1, |code, row| {
                let (sample, number) = site.row_number(code, row);
                let index = code.b.index_sub(row, first);
                for (offset, word) in words.into_iter().zip([sample, code.b.index_high(number)]) {
                    code.b.store(Address { base: Base::Scratch, index, offset: offset as i64 }, word);
                }
            });
            let (begin, end) = (code.b.index(0), code.b.index_sub(last, first));
            code.repeat(begin, end, width as i64, |code, index| {
                code.lanes(width, |code| {
                    let addresses = words.map(|word| Address { base: Base::Scratch, index, offset: word as i64 });
                    let [sample, high] = addresses.map(|address| code.b.load(Class::Int, address));
                    let site_key = site.key.map(|word| code.b.splat(word));
                    let key = noise::row_key(&mut code.b, site_key, sample, high);
                    addresses.into_iter().zip(key).for_each(|(address, word)| code.b.store(address, word));
                });
            });
            keys.0.insert(site.value, (first, words));
        }
        keys
    }

    /// Whether two rows share their draws: where a row is half of what a vector of slots makes. Vectors beside doubles
    /// are shorter.
    pub fn draws_by_twos(&self) -> bool {
        self.context.width() == 2 * noise::half(self.context.kernel.cols) && !self.sites.is_empty()
    }

    /// Draws for two rows at once, where they share their draws: the first row's slots are in the lower lanes, the
    /// second's in the upper ones.
    pub fn draw_by_twos(&self, code: &mut Code<'_>, rows: &mut [Row]) {
        if !self.draws_by_twos() {
            return;
        }
        for pair in rows.chunks_exact_mut(2) {
            for site in &self.sites {
                let drawn = code.lanes(self.context.width(), |code| {
                    let (lane, half) = (code.b.lane_numbers(), code.b.integer(code.half() as u32));
                    let (upper, zero) = (code.b.and(lane, half), code.b.integer(0));
                    let is_first = code.b.iequal(upper, zero);
                    let words = [0, 1].map(|row: usize| {
                        let ([a, b], low) = pair[row].keys[&site.value];
                        [a, b, low].map(|word| code.b.splat(word))
                    });
                    let mut choose = |i: usize| code.b.iselect(is_first, words[0][i], words[1][i]);
                    let (key, row_low) = ([choose(0), choose(1)], choose(2));
                    let begin = code.b.index(0);
                    let slot = code.slot(begin);
                    let [first, second] = noise::pair(&mut code.b, site.noise.distribution, key, row_low, slot);
                    code.b.halves(first, second)
                });
                for (row, drawn) in pair.iter_mut().zip(drawn) {
                    row.drawn.insert(site.value, drawn);
                }
            }
        }
    }

    /// The columns `start..end` of a row, as [`Pointwise::columns`] has them, where the kernel draws noise.
    pub fn noisy_columns(
        &self,
        code: &mut Code<'_>,
        row: &Row,
        [start, end]: [Reg; 2],
        cols: usize,
        sums: &mut Sums<'_>,
    ) {
        let mut done = start;
        // two blocks at once where one has few vectors and elements take little besides their noise
        let draws = NOISE_BLOCK / 2 / self.context.width();
        if cols >= 2 * NOISE_BLOCK && (draws == 1 || draws == 2 && self.is_short()) {
            done = self.noise_blocks(code, row, [done, end], 2, sums);
        }
        if cols >= NOISE_BLOCK {
            done = self.noise_blocks(code, row, [done, end], 1, sums);
        }
        let rest = cols % NOISE_BLOCK;
        if rest > 0 {
            code.repeat(done, end, NOISE_BLOCK as i64, |code, block| self.noise_vectors(code, row, block, rest, sums));
        }
    }

    /// Whether an element takes less than its noise.
    fn is_short(&self) -> bool {
        const SHORT: usize = 12;
        self.context.kernel.body.len() <= SHORT
    }

    /// All whole groups of `blocks` blocks; returns where the rest begins.
    fn noise_blocks(
        &self,
        code: &mut Code<'_>,
        row: &Row,
        [start, end]: [Reg; 2],
        blocks: usize,
        sums: &mut Sums<'_>,
    ) -> Reg {
        let units = blocks * NOISE_BLOCK;
        code.repeat_whole(start, end, units, |code, first| self.noise_vectors(code, row, first, units, sums))
    }

    /// The vectors of `units` units from the beginning of a block on, several at a time.
    fn noise_vectors(&self, code: &mut Code<'_>, row: &Row, first: Reg, units: usize, sums: &mut Sums<'_>) {
        let (width, half) = (self.context.width(), code.half());
        if width > half {
            // both halves are in one vector
            let mut points = Points::new([first]);
            row.drawn.iter().for_each(|(&site, &drawn)| points.know(site, [drawn]));
            return code.lanes(units, |code| self.points(code, row, &mut points, sums));
        }
        // where vectors in first halves begin
        let begin = |unit: &usize| *unit % (2 * half) < half;
        let starts: Vec<usize> = (0..units).step_by(width).filter(begin).collect();
        for starts in starts.chunks(MOST_INTERLEAVED) {
            let place = (first, units);
            match *starts {
                [a, b, c, d] => self.noise_points(code, row, place, [a, b, c, d], sums),
                [a, b, c] => self.noise_points(code, row, place, [a, b, c], sums),
                [a, b] => self.noise_points(code, row, place, [a, b], sums),
                _ => starts.iter().for_each(|&a| self.noise_points(code, row, place, [a], sums)),
            }
        }
    }

    /// Vectors at these of the units from `first` on, and half a noise block on, with which they share their random
    /// words.
    fn noise_points<const N: usize>(
        &self,
        code: &mut Code<'_>,
        row: &Row,
        (first, units): (Reg, usize),
        starts: [usize; N],
        sums: &mut Sums<'_>,
    ) {
        let (width, half) = (self.context.width(), code.half());
        let pairs = starts.map(|start| [start, start + half]);
        let cols = pairs.map(|pair| pair.map(|unit| code.b.index_offset(first, unit as i64)));
        let draw = |site: &Site| {
            let cols = cols.map(|[col, _]| col);
            (site.value, code.lanes(width, |code| site.pairs(code, row.keys[&site.value], cols)))
        };
        let drawn: Vec<(Value, [[Reg; 2]; N])> = self.sites.iter().map(draw).collect();
        for (i, pair) in cols.into_iter().enumerate() {
            let lanes = pairs[i].map(|unit| units.saturating_sub(unit).min(width));
            if lanes == [width; 2] {
                let mut points = Points::new(pair);
                drawn.iter().for_each(|(site, drawn)| points.know(*site, drawn[i]));
                code.lanes(width, |code| self.points(code, row, &mut points, sums));
                continue;
            }
            for (j, lanes) in lanes.into_iter().enumerate().filter(|&(_, lanes)| lanes > 0) {
                let mut points = Points::new([pair[j]]);
                drawn.iter().for_each(|(site, drawn)| points.know(*site, [drawn[i][j]]));
                code.lanes(lanes, |code| self.points(code, row, &mut points, sums));
            }
        }
    }
}
