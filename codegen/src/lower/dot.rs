//! Matrix products: register tiles inside cache tiles, chunk by chunk along the contracted axis, and whatever reads the
//! product done on the tile while it is in cache.

use super::Tiling;
use super::code::{Code, Tiles};
use super::panel::{FOUR, Panel, Product, ROW_PITCH, Span, strip_pitch};
use super::pointwise::{Pointwise, Row};
use super::prefetch::{Ahead, Next};
use super::products::{Operands, Products, RankUpdate, Tile};
use super::shape::{Cut, RegisterTile};
use super::shared::SharedOperands;
use super::sums::Sums;
use crate::tile::{Address, Base, Class, Reg};
use bayeslift_ir::{DOT_CHUNK, Lanes};
use std::collections::BTreeSet;

/// Steps along the contracted axis that a loop's body takes.
const UNROLL: usize = 4;
/// The same where a step reads each column from a line of its own: a line's elements are read in one go, since lines
/// may be too many to stay near.
const TRANSPOSED_UNROLL: usize = 16;
/// An axis that needs no loop.
const SHORT: usize = 16;
/// Where this many register tiles read a strip of a shared panel, the next strip is brought near: fewer cannot, and
/// have cut a panel that stays near.
const MANY_TILES: usize = 6;

/// Scratch memory that a kernel's products use one after the other.
#[derive(Clone, Copy)]
struct Scratch {
    left: usize,
    right: usize,
    /// Where a tile's sums of all chunks before the current one are, for every other chunk; of products [in
    /// runs](Products::in_runs), those of the current one.
    before: usize,
}

/// A kernel's products while their code is written.
struct Dots<'a> {
    products: &'a Products,
    shared: &'a SharedOperands,
    scratch: Scratch,
    /// Where in scratch memory the current tile of each product lies.
    tiles: Vec<usize>,
    /// What the epilogue reads at the elements of a tile.
    streams: BTreeSet<Base>,
}

/// A kernel with contractions.
pub(super) fn dots(
    mut pointwise: Pointwise<'_>,
    code: &mut Code<'_>,
    products: &Products,
    shared: &SharedOperands,
) -> Tiles {
    code.take_pointers(products.places.iter().copied());
    let ((batches, rows, cols), sizes) = (products.space, products.sizes);
    let Products { dots, each, operands, row_cut, col_cut, .. } = products;
    let strip_rows = sizes.register.rows;
    // room for register tiles that reach beyond the cache tile
    let padded_rows = sizes.tile_rows.next_multiple_of(strip_rows);
    let tiles: Vec<usize> = dots.iter().map(|_| code.take_floats(padded_rows * sizes.pitch)).collect();
    pointwise.tiles = dots.iter().copied().zip(tiles.iter().copied()).collect();
    let is_deep = each.iter().any(|product| product.depth > DOT_CHUNK);
    let mut with_operands = operands.iter().zip(each);
    let overlap = with_operands.any(|(operands, product)| overlaps(operands, sizes.register, *product));
    // rows that are packed together may begin before the tile and end after it
    let spare_rows = if operands.iter().any(|[left, _]| left.has_windows()) { 2 * FOUR } else { 0 };
    let target = code.context.target;
    let left_elements = (padded_rows + spare_rows) * strip_pitch(strip_rows, target).max(ROW_PITCH);
    let right_cols = sizes.block.min(sizes.tile_cols.next_multiple_of(sizes.strip));
    let scratch = Scratch {
        before: match is_deep && overlap || products.in_runs {
            true => code.take_floats(padded_rows * sizes.pitch),
            false => 0,
        },
        left: code.take_floats(left_elements),
        right: code.take_floats(right_cols * strip_pitch(sizes.strip, target)),
    };
    let streams = pointwise.streams(code);
    let all = Dots { products, shared, scratch, tiles, streams };

    let count = code.tiles(batches * row_cut.tiles * col_cut.tiles, 1, 1, |code, number, _| {
        let b = &mut code.b;
        let (rows_left, col_tile) = (b.index_div(number, col_cut.tiles), b.index_rem(number, col_cut.tiles));
        let (batch, row_tile) = (b.index_div(rows_left, row_cut.tiles), b.index_rem(rows_left, row_cut.tiles));
        let mut span = |tile: Reg, cut: &Cut, extent: usize| {
            let first = b.index_scale(tile, cut.size);
            let last = b.index_offset(first, cut.size as i64);
            // the last tile ends where the axis does
            let next = b.index_offset(tile, 1);
            let is_last = b.index_div(next, cut.tiles);
            let more = b.index_scale_signed(is_last, cut.last as i64 - cut.size as i64);
            Span { first, last: b.index_add(last, more), extent }
        };
        let tile = Tile { batch, rows: span(row_tile, row_cut, rows), cols: span(col_tile, col_cut, cols) };
        for number in 0..dots.len() {
            all.product(code, number, tile);
        }
        match products.is_transposed {
            true => {
                let tile = Tile { rows: tile.cols, cols: tile.rows, ..tile };
                pointwise.epilogue(code, (sizes.tile_cols, 1), tile);
            }
            false => pointwise.epilogue(code, (sizes.tile_rows, sizes.pitch), tile),
        }
    });
    let in_rows = Tiling { block: rows * cols, spans: row_cut.tiles, step: row_cut.size * cols, beside: col_cut.tiles };
    (count, (!products.is_transposed).then_some(in_rows))
}

impl Pointwise<'_> {
    /// Everything that reads the products, on one tile of at most `most_rows` rows, `pitch` apart.
    fn epilogue(&self, code: &mut Code<'_>, (most_rows, pitch): (usize, usize), tile: Tile) {
        let first = code.b.index_scale(tile.batch, tile.rows.extent);
        let [begin, end] = [tile.rows.first, tile.rows.last].map(|row| code.b.index_add(first, row));
        let keys = self.prepare_rows(code, begin, end, most_rows);
        // a row of the tile, whose first row is `first` of the kernel's
        let enter = |code: &mut Code<'_>, row: Reg| {
            let in_tile = code.b.index_sub(row, tile.rows.first);
            let in_tile = code.b.index_scale(in_tile, pitch);
            let in_tile = code.b.index_sub(in_tile, tile.cols.first);
            let space_row = code.b.index_add(first, row);
            let mut row = self.enter_row(code, space_row, &keys);
            row.tile = Some(in_tile);
            row
        };
        let mut rest = tile.rows.first;
        let interleaved = self.context.has_short_rows() && !self.sites.is_empty();
        let counts = if interleaved { vec![self.interleaved_rows(), 1] } else { vec![1] };
        for count in counts {
            rest = code.repeat_whole(rest, tile.rows.last, count, |code, row| {
                let rows: Vec<Reg> = (0..count).map(|i| code.b.index_offset(row, i as i64)).collect();
                let mut rows: Vec<Row> = rows.into_iter().map(|row| enter(code, row)).collect();
                self.draw_by_twos(code, &mut rows);
                for row in &rows {
                    let columns = [tile.cols.first, tile.cols.last];
                    self.columns(code, row, columns, tile.cols.extent, &mut Sums::none());
                }
            });
        }
    }
}

impl Dots<'_> {
    /// One product's tile, into its scratch memory, chunk by chunk along the contracted axis.
    fn product(&self, code: &mut Code<'_>, number: usize, tile: Tile) {
        let Dots { products, scratch, .. } = self;
        let (operands, sizes) = (&products.operands[number], products.sizes);
        let ([a, b], product) = (operands, products.each[number]);
        let depth = product.depth;
        let [shared_left, shared_right] =
            self.shared.of[number].map(|shared| shared.map(|shared| shared.panel(code, tile.batch)));
        // Where register tiles overlap, chunks alternate between two places, so that each finds the sums of before; the
        // last one's is the product's.
        let total = self.tiles[number];
        let alternates = depth > DOT_CHUNK && overlaps(operands, sizes.register, product);
        let places = match depth.div_ceil(DOT_CHUNK) % 2 {
            _ if !alternates => [total, total],
            1 => [total, scratch.before],
            _ => [scratch.before, total],
        };
        // the epilogue comes after the last product
        let (is_last, nothing) = (number + 1 == products.dots.len(), BTreeSet::new());
        let (start, end) = (code.b.index(0), code.b.index(depth));
        code.repeat(start, end, DOT_CHUNK as i64, |code, first| {
            let last = code.b.index_offset(first, DOT_CHUNK as i64);
            let chunk = Span { first, last: code.b.index_min(last, end), extent: depth };
            let packed = (scratch.left, sizes.register.rows);
            let left =
                shared_left.unwrap_or_else(|| code.prepare_left(a, (tile.batch, product), tile.rows, chunk, packed));
            let packs = shared_right.is_none() && b.is_packed_right(product);
            if products.in_runs {
                let packed = (scratch.right, sizes.strip);
                let right = code.prepare_right(b, (tile.batch, product), chunk, tile.cols, packed);
                let update = RankUpdate { tile, cols: tile.cols, chunk, left, right };
                return code.runs(sizes, update, [scratch.before, total]);
            }
            let block = if packs { sizes.block } else { sizes.tile_cols };
            code.repeat(tile.cols.first, tile.cols.last, block as i64, |code, first| {
                let last = code.b.index_offset(first, block as i64);
                let cols = Span { first, last: code.b.index_min(last, tile.cols.last), extent: tile.cols.extent };
                let packed = (scratch.right, sizes.strip);
                let right =
                    shared_right.unwrap_or_else(|| code.prepare_right(b, (tile.batch, product), chunk, cols, packed));
                // what comes next of an operand that is read strip by strip
                let has_next = sizes.tile_cols > sizes.strip;
                let next = match shared_right {
                    Some(panel) if has_next && sizes.tile_rows >= MANY_TILES * sizes.register.rows => {
                        Some(Next::Packed(panel))
                    }
                    None if packs && has_next && sizes.block == sizes.strip => Some(Next::ToPack(b)),
                    _ => None,
                };
                let ahead = Ahead { right: next, epilogue: if is_last { &self.streams } else { &nothing } };
                self.register_tiles(code, RankUpdate { tile, cols, chunk, left, right }, ahead, places);
            });
        });
    }

    /// All register tiles of an update. The last rows are a rest of tiles with fewer rows, and the last columns of
    /// tiles with fewer vectors, if there are such. Else the last tile ends where its columns end and may compute again
    /// what its neighbour has, the same bits, where the operand is read in place; where it is packed, it reaches into
    /// the padding.
    fn register_tiles(&self, code: &mut Code<'_>, update: RankUpdate, ahead: Ahead<'_>, places: [usize; 2]) {
        let sizes = self.products.sizes;
        let (RankUpdate { tile, cols, chunk, left, right }, register, width) =
            (update, sizes.register, code.context.width());
        let last_start = |code: &mut Code<'_>, span: Span, size: usize| {
            // a product smaller than the register tile begins at 0 and computes columns that nobody reads
            if span.extent < size { code.b.index(0) } else { code.b.index_offset(span.last, -(size as i64)) }
        };
        // where the register tiles at the end of a whole axis begin
        let rest_first = |code: &mut Code<'_>, span: Span, of: usize| {
            let is_last = code.b.index_div(span.last, span.extent);
            let rest = code.b.index_scale_signed(is_last, -(of as i64));
            code.b.index_add(span.last, rest)
        };
        let rest_row = rest_first(code, tile.rows, register.rest.of);
        let narrow = register.narrow_columns(cols.extent, code.context.target);
        let narrow_col = rest_first(code, cols, narrow);
        // where this chunk's sums go, and how far from there those of the chunks before are
        let odd = code.b.index_div(chunk.first, DOT_CHUNK);
        let odd = code.b.index_rem(odd, 2);
        let (step, even) = (places[1] as i64 - places[0] as i64, code.b.index(places[0]));
        let distance = code.b.index_scale_signed(odd, step);
        let place = code.b.index_add(even, distance);
        let distance = code.b.index_scale_signed(distance, -2);
        let distance = code.b.index_offset(distance, step);
        let columns = |code: &mut Code<'_>, first: Reg, last: Reg, vectors: usize| {
            let last_col = last_start(code, Span { last, ..cols }, vectors * width);
            code.repeat(first, last, sizes.strip as i64, |code, col| {
                let col = if right.is_padded { col } else { code.b.index_min(col, last_col) };
                let tiles = |code: &mut Code<'_>, first: Reg, last: Reg, rows: usize| {
                    let last_row = last_start(code, Span { last, ..tile.rows }, rows);
                    code.repeat(first, last, rows as i64, |code, row| {
                        let reaches_beyond = left.is_padded && register.rest.tiles == 0;
                        let row = if reaches_beyond { row } else { code.b.index_min(row, last_row) };
                        code.prefetch(ahead, sizes, (tile, chunk), (row, rows), col);
                        let sums = code.register_tile(update, (row, rows), (col, vectors));
                        let at_row = code.b.index_sub(row, tile.rows.first);
                        let at_row = code.b.index_scale(at_row, sizes.pitch);
                        let at_col = code.b.index_sub(col, tile.cols.first);
                        let index = code.b.index_add(at_row, at_col);
                        let index = code.b.index_add(index, place);
                        code.lanes(width, |code| {
                            code.add_chunk(sizes.pitch, chunk, sums.chunks(vectors), index, distance)
                        });
                    });
                };
                tiles(code, tile.rows.first, rest_row, register.rows);
                if register.rest.tiles > 0 {
                    tiles(code, rest_row, tile.rows.last, register.rest.rows);
                }
            });
        };
        columns(code, cols.first, narrow_col, register.vectors);
        if narrow > 0 {
            columns(code, narrow_col, cols.last, register.last_vectors);
        }
    }
}

impl Code<'_> {
    /// Adds the rows of a register tile's sums over a chunk to those over the chunks before; the first chunk has none.
    pub fn add_chunk<'a>(
        &mut self,
        pitch: usize,
        chunk: Span,
        rows: impl Iterator<Item = &'a [Reg]>,
        index: Reg,
        distance: Reg,
    ) {
        let base = Base::Scratch;
        let before = self.b.index_add(index, distance);
        let number = self.b.index_low(chunk.first);
        let (number, none) = (self.b.splat(number), self.b.integer(0));
        let is_first = self.b.iequal(number, none);
        let sums = rows.enumerate().flat_map(|(i, sums)| sums.iter().enumerate().map(move |(v, &sum)| (i, v, sum)));
        for (i, v, sum) in sums {
            let offset = (i * pitch + v * self.context.width()) as i64;
            let total = if chunk.extent <= DOT_CHUNK {
                sum
            } else {
                let before = self.float_at(base, before, offset);
                let before = self.b.load(self.context.float(), before);
                let added = self.add_floats(before, sum);
                self.choose(is_first, sum, added)
            };
            let address = self.float_at(base, index, offset);
            self.b.store(address, total);
        }
    }

    /// The sums of the register tile at this row and column over an update's chunk, row by row.
    fn register_tile(
        &mut self,
        update: RankUpdate,
        (row, rows): (Reg, usize),
        (col, vectors): (Reg, usize),
    ) -> Vec<Reg> {
        let (RankUpdate { cols, chunk, left, right, .. }, width) = (update, self.context.width());
        let zero = self.lanes(width, |s| s.float_constant(0.0));
        let mut start = |panel: Panel, free: Reg| {
            let tile = self.b.index_scale_signed(free, panel.tiles);
            let k = self.b.index_scale_signed(chunk.first, panel.depth);
            let at = self.b.index_add(panel.origin, tile);
            self.b.index_add(at, k)
        };
        let mut carried = vec![start(left, row), start(right, col)];
        carried.resize(2 + rows * vectors, zero);
        let lanes = |v: usize| if right.is_padded { width } else { cols.extent.saturating_sub(v * width).min(width) };
        // of row `i`, `u` steps on
        let element = |s: &mut Self, index: Reg, i: usize, u: usize| {
            let offset = left.offset as i64 + i as i64 * left.free + u as i64 * left.depth;
            let address = s.float_at(left.base, index, offset);
            s.lanes(width, |s| s.b.load_strided(s.context.float(), address, 0))
        };
        let steps = |s: &mut Self, state: &[Reg], unroll: usize| -> Vec<Reg> {
            let mut sums = state[2..].to_vec();
            if right.free != 1 {
                for first in (0..unroll).step_by(FOUR) {
                    let steps = first..(first + FOUR).min(unroll);
                    let elements: Vec<Reg> = steps.map(|u| element(s, state[0], 0, u)).collect();
                    for (v, sum) in sums.iter_mut().enumerate() {
                        *sum = s.transposed_steps(right, state[1], (v, lanes(v)), (first, &elements), *sum);
                    }
                }
            } else {
                for u in 0..unroll {
                    let piece = |s: &mut Self, v: usize| {
                        let offset = (right.offset + v * width) as i64 + u as i64 * right.depth;
                        let address = s.float_at(right.base, state[1], offset);
                        s.lanes(lanes(v), |s| s.b.load(s.context.float(), address))
                    };
                    if rows == 1 {
                        // a piece that is read once is a factor in memory
                        let x = element(s, state[0], 0, u);
                        for (v, sum) in sums.iter_mut().enumerate() {
                            let y = piece(s, v);
                            *sum = s.lanes(width, |s| s.multiply_add(x, y, *sum));
                        }
                        continue;
                    }
                    let pieces: Vec<Reg> = (0..vectors).map(|v| piece(s, v)).collect();
                    for (i, sums) in sums.chunks_mut(vectors).enumerate() {
                        let x = element(s, state[0], i, u);
                        for (sum, &y) in sums.iter_mut().zip(&pieces) {
                            *sum = s.lanes(width, |s| s.multiply_add(x, y, *sum));
                        }
                    }
                }
            }
            let left_next = s.b.index_offset(state[0], unroll as i64 * left.depth);
            let right_next = s.b.index_offset(state[1], unroll as i64 * right.depth);
            [vec![left_next, right_next], sums].concat()
        };
        // a short axis in one go; else chunks begin at multiples of the unrolling, and the last one may have a rest
        let unroll = match right.free {
            _ if chunk.extent <= SHORT => chunk.extent,
            1 => UNROLL,
            _ => TRANSPOSED_UNROLL,
        };
        let whole = self.b.index_round_down(chunk.last, unroll);
        carried =
            self.repeat_carrying(chunk.first, whole, unroll as i64, &carried, |s, _, state| steps(s, state, unroll));
        let rest = chunk.extent % unroll;
        if rest > 0 {
            carried =
                self.repeat_carrying(whole, chunk.last, unroll as i64, &carried, |s, _, state| steps(s, state, rest));
        }
        carried.split_off(2)
    }

    /// Steps from `first` on, up to four, of one row and the columns of its vector `v`, which are read and transposed
    /// at once.
    fn transposed_steps(
        &mut self,
        right: Panel,
        index: Reg,
        (v, lanes): (usize, usize),
        (first, elements): (usize, &[Reg]),
        sum: Reg,
    ) -> Reg {
        let (width, class) = (self.context.width(), self.context.float());
        let offset = |u: usize| (v * width) as i64 * right.free + (first + u) as i64 * right.depth;
        let at = |u: usize| self.float_at(right.base, index, right.offset as i64 + offset(u));
        let addresses: Vec<Address> = (0..elements.len()).map(at).collect();
        let four = addresses.len() == FOUR && class == Class::Float;
        let pieces: Vec<Reg> = self.lanes(lanes, |s| match four && s.b.mode().is_vector() {
            true => s.b.load_transposed(class, addresses[0], right.free).to_vec(),
            false => addresses.iter().map(|&at| s.b.load_strided(class, at, right.free)).collect(),
        });
        let products = elements.iter().zip(pieces);
        products.fold(sum, |sum, (&element, piece)| self.lanes(width, |s| s.multiply_add(element, piece, sum)))
    }
}

/// Whether register tiles of a product overlap.
fn overlaps([left, right]: &Operands, register: RegisterTile, product: Product) -> bool {
    let rows_overlap = match register.rest.tiles {
        0 => !left.is_packed_left(product) && !product.rows.is_multiple_of(register.rows),
        _ => register.rest.overlaps(),
    };
    rows_overlap || !right.is_packed_right(product)
}
