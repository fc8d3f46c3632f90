//! Loops, and how many lanes what is in them has.

use super::code::Code;
use super::shape::{INTERLEAVED, NOISE_BLOCK};
use crate::tile::{Base, LaneMode, Reg};

impl Code<'_> {
    /// Loops over the tiles that the caller asks for, each `unit` of `extent`, in ranges of up to `step`. Returns how
    /// many there are. Who calls a kernel of one tile asks for that, so nothing depends on the range then.
    pub fn tiles(&mut self, extent: usize, unit: usize, step: usize, body: impl FnOnce(&mut Self, Reg, Reg)) -> usize {
        let limit = self.b.index(extent);
        let [begin, end] = if extent <= unit {
            [self.b.index(0), limit]
        } else {
            let (begin, end) = self.b.tile_range();
            let [begin, end] = [begin, end].map(|tile| self.b.index_scale(tile, unit));
            [begin, self.b.index_min(end, limit)]
        };
        self.repeat(begin, end, step as i64, |s, first| {
            let last = s.b.index_offset(first, step as i64);
            let last = s.b.index_min(last, end);
            body(s, first, last);
        });
        extent.div_ceil(unit)
    }

    /// A loop whose body lowers more of the kernel.
    pub fn repeat(&mut self, start: Reg, end: Reg, step: i64, body: impl FnOnce(&mut Self, Reg)) {
        self.repeat_carrying(start, end, step, &[], |s, counter, _| {
            body(s, counter);
            Vec::new()
        });
    }

    /// `body` for each whole step from `start` to `end`; returns where the rest begins.
    pub fn repeat_whole(&mut self, start: Reg, end: Reg, step: usize, body: impl FnOnce(&mut Self, Reg)) -> Reg {
        let count = self.b.index_sub(end, start);
        let whole = self.b.index_round_down(count, step);
        let last = self.b.index_add(start, whole);
        self.repeat(start, last, step as i64, body);
        last
    }

    /// As [`Code::repeat`], carrying values.
    pub fn repeat_carrying(
        &mut self,
        start: Reg,
        end: Reg,
        step: i64,
        initial: &[Reg],
        body: impl FnOnce(&mut Self, Reg, &[Reg]) -> Vec<Reg>,
    ) -> Vec<Reg> {
        if let Some((start_at, end_at)) = self.b.constant_index(start).zip(self.b.constant_index(end)) {
            match end_at - start_at {
                ..=0 => return initial.to_vec(),
                count if count <= step => return body(self, start, initial),
                _ => {}
            }
        }
        let (counter, carried) = self.b.open_loop(initial);
        let next = body(self, counter, &carried);
        self.b.close_loop(counter, start, end, step, initial, &carried, &next);
        carried
    }

    /// Runs `body` with scalars.
    pub fn scalars<T>(&mut self, body: impl FnOnce(&mut Self) -> T) -> T {
        self.within(LaneMode::Scalar, body)
    }

    /// Runs `body` with vectors of which it reads and writes the first `lanes` lanes.
    pub fn lanes<T>(&mut self, lanes: usize, body: impl FnOnce(&mut Self) -> T) -> T {
        let active = (lanes < self.context.width()).then_some(lanes as u32);
        let mode = if self.context.width() > 1 { LaneMode::Vector(active) } else { LaneMode::Scalar };
        self.within(mode, body)
    }

    /// Runs `body` in this mode.
    fn within<T>(&mut self, mode: LaneMode, body: impl FnOnce(&mut Self) -> T) -> T {
        let before = self.b.enter(mode);
        let result = body(self);
        self.b.enter(before);
        result
    }

    /// `body` for the vectors of the columns `start..end`, `interleaved` at a time, then one at a time, then the last,
    /// which may be a part of a vector. `start` is a multiple of `unit`, and so is `end`, unless it is `cols`.
    pub fn each_column(
        &mut self,
        [start, end]: [Reg; 2],
        unit: usize,
        cols: usize,
        interleaved: usize,
        mut body: impl FnMut(&mut Self, &[Reg]),
    ) {
        let (width, part) = (self.context.width(), cols % self.context.width());
        if let (Some(mut col), Some(end)) = (self.b.constant_index(start), self.b.constant_index(end))
            && end - col <= NOISE_BLOCK as i64
        {
            for step in [interleaved * width, width, part] {
                while step > 0 && col + step as i64 <= end {
                    let cols = (0..step).step_by(width).map(|i| self.b.index((col as usize) + i));
                    let cols: Vec<Reg> = cols.collect();
                    self.lanes(step.min(width), |s| body(s, &cols));
                    col += step as i64;
                }
            }
            return;
        }
        let (mut done, mut left) = (start, cols);
        for step in [interleaved * width, width] {
            if left < step {
                continue;
            }
            done = self.repeat_whole(done, end, step, |s, first| {
                let cols: Vec<Reg> = (0..step).step_by(width).map(|col| s.b.index_offset(first, col as i64)).collect();
                s.lanes(width, |s| body(s, &cols));
            });
            // known where every range of columns has the same rest
            left = if unit.is_multiple_of(step) { cols % step } else { left };
        }
        if part > 0 {
            self.repeat(done, end, width as i64, |s, col| s.lanes(part, |s| body(s, &[col])));
        }
    }

    /// Writes zeros over `elements` elements.
    pub fn clear_elements(&mut self, base: Base, start: Reg, elements: usize) {
        let [none, end] = [0, elements].map(|index| self.b.index(index));
        self.each_column([none, end], NOISE_BLOCK, elements, INTERLEAVED, |code, columns| {
            for &col in columns {
                let (zero, index) = (code.float_constant(0.0), code.b.index_add(start, col));
                let address = code.float_at(base, index, 0);
                code.b.store(address, zero);
            }
        });
    }
}
