//! One row times a matrix that no near cache holds: a few of the matrix's rows at a time, each read whole, so that
//! memory is read in its order. Register tiles would go down strips of columns, and come to each page of memory once a
//! strip.

use super::code::Code;
use super::products::{RankUpdate, Sizes};
use crate::tile::{Address, Base, Reg};
use bayeslift_ir::DOT_CHUNK;

/// How many rows of the matrix are read side by side.
const RUN: usize = 8;
const _: () = assert!(DOT_CHUNK.is_multiple_of(RUN));
/// How many vectors of columns follow each other without a loop.
const INTERLEAVED: usize = 4;

impl Code<'_> {
    /// An update of one row and all columns. Its sums are at `sums`, those over chunks at `total`.
    pub fn runs(&mut self, sizes: Sizes, update: RankUpdate, [sums, total]: [usize; 2]) {
        let chunk = update.chunk;
        self.each_vector(update, |s, col| {
            let (zero, address) = (s.float_constant(0.0), s.sum(sums, col));
            s.b.store_whole(address, zero);
        });
        let rest = self.repeat_whole(chunk.first, chunk.last, RUN, |s, first| s.run(update, (first, RUN), sums));
        match chunk.extent % RUN {
            0 => {}
            // the last chunk alone has a rest
            left => self.repeat(rest, chunk.last, RUN as i64, |s, first| s.run(update, (first, left), sums)),
        }
        self.each_vector(update, |s, col| {
            let address = s.sum(sums, col);
            let of_chunk = s.b.load(s.context.float(), address);
            let (index, distance) = (s.b.index_offset(col, total as i64), s.b.index(0));
            s.add_chunk(sizes.pitch, chunk, [&[of_chunk][..]].into_iter(), index, distance);
        });
    }

    /// Adds `rows` rows of the matrix, from row `first` on, each times its element of the row.
    fn run(&mut self, update: RankUpdate, (first, rows): (Reg, usize), sums: usize) {
        let RankUpdate { left, right, .. } = update;
        let at = |s: &mut Self, origin: Reg, depth: i64| {
            let rows_before = s.b.index_scale_signed(first, depth);
            s.b.index_add(origin, rows_before)
        };
        let (left_index, right_index) = (at(self, left.origin, left.depth), at(self, right.origin, right.depth));
        let factors = self.lanes(self.context.width(), |s| {
            let mut factor = |row: usize| {
                let offset = left.offset as i64 + row as i64 * left.depth;
                let address = s.float_at(left.base, left_index, offset);
                s.b.load_strided(s.context.float(), address, 0)
            };
            (0..rows).map(&mut factor).collect::<Vec<Reg>>()
        });
        self.each_vector(update, |s, col| {
            let at_sum = s.sum(sums, col);
            let mut total = s.b.load(s.context.float(), at_sum);
            let index = s.b.index_add(right_index, col);
            for (row, &factor) in factors.iter().enumerate() {
                let offset = right.offset as i64 + row as i64 * right.depth;
                let address = s.float_at(right.base, index, offset);
                let element = s.b.load(s.context.float(), address);
                total = s.multiply_add(factor, element, total);
            }
            s.b.store_whole(at_sum, total);
        });
    }

    /// `body` for each vector of columns.
    fn each_vector(&mut self, update: RankUpdate, body: impl Fn(&mut Self, Reg)) {
        let cols = update.cols;
        self.each_column(
            [cols.first, cols.last],
            INTERLEAVED * self.context.width(),
            cols.extent,
            INTERLEAVED,
            |s, cols| {
                cols.iter().for_each(|&col| body(s, col));
            },
        );
    }

    /// Where the sum of a column is.
    fn sum(&mut self, sums: usize, col: Reg) -> Address {
        self.float_at(Base::Scratch, col, sums as i64)
    }
}
