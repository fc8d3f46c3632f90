//! Matrix products: register tiles inside cache tiles, chunk by chunk along the contracted axis, and whatever reads the
//! product done on the tile while it is in cache.

use super::element::Row;
use super::panel::{Extents, FOUR, Panel, ROW_PITCH, Source, Span, strip_pitch};
use super::runs;
use super::shape::{BAND, BANDED, Cut, Packed, RegisterTile, cache_tile, column_block, spread};
use super::shared::Shared;
use super::{Lowering, Tiling};
use crate::tile::{Address, Base, Class, Reg};
use bayeslift_ir::{DOT_CHUNK, Lanes, Value};

/// What a tile costs at least, in handovers to another thread, as a fraction: what makes one worth while.
const TILE: (u64, u64) = (10, 3);
/// Steps along the contracted axis that a loop's body takes, and an axis that needs no loop.
const UNROLL: usize = 4;
const SHORT: usize = 16;

/// A product's left and right operands.
pub(super) type Operands = [Source; 2];

/// A cache tile of the result in the index space of one product.
#[derive(Clone, Copy)]
pub(super) struct Tile {
    pub batch: Reg,
    pub rows: Span,
    pub cols: Span,
}

/// The static sizes of a kernel's products.
#[derive(Clone, Copy)]
pub(super) struct Sizes {
    pub register: RegisterTile,
    /// Rows and columns of the largest cache tile.
    pub tile_rows: usize,
    pub tile_cols: usize,
    /// Columns of a register tile.
    pub strip: usize,
    /// Columns of the right operand that are packed at once: a strip, which stays near while all rows pass over it, unless the
    /// operand's lines compete.
    pub block: usize,
    /// The distance of rows of a cache tile.
    pub pitch: usize,
}

/// A kernel's products. Those of one column are computed as those of one row, with their operands exchanged and transposed:
/// rows lie side by side in vectors then.
pub(super) struct Products {
    /// How many products, of so many rows and columns, each contraction stands for.
    pub space: (usize, usize, usize),
    /// Whether rows are the kernel's columns, of which it has one.
    pub is_transposed: bool,
    pub dots: Vec<Value>,
    pub extents: Vec<Extents>,
    pub operands: Vec<Operands>,
    pub sizes: Sizes,
    /// Whether the rows of right operands are read whole: see [`runs`].
    pub in_runs: bool,
    pub row_cut: Cut,
    pub col_cut: Cut,
    /// What tiles share of each contraction's operands.
    pub shared: Vec<[Option<Shared>; 2]>,
}

/// Scratch memory that a kernel's products use one after the other.
#[derive(Clone, Copy)]
struct Scratch {
    left: usize,
    right: usize,
    /// Where a tile's sums of all chunks before the current one are, for every other chunk; of products [in runs](Products::in_runs), those of
    /// the current one.
    before: usize,
}

/// A chunk of a product of one cache tile, for a block of its columns.
#[derive(Clone, Copy)]
pub(super) struct Block {
    tile: Tile,
    pub cols: Span,
    pub chunk: Span,
    pub left: Panel,
    pub right: Panel,
}

impl Lowering<'_> {
    /// How a kernel's products are computed.
    pub(super) fn products(&mut self) -> Products {
        let dots = self.kernel.products().to_vec();
        let shape = &self.plan.graph.ty(dots[0]).shape;
        let (mut rows, mut cols) = (shape[shape.len() - 2], self.kernel.cols);
        let batches = self.kernel.rows / rows;
        let mut operands: Vec<Operands> = dots.iter().map(|&dot| self.operands(dot)).collect();
        let has_windows = operands.iter().any(|[left, _]| left.has_windows());
        let is_transposed = cols == 1 && rows > 1 && self.target.lanes() > 1 && !has_windows;
        if is_transposed {
            (rows, cols) = (cols, rows);
            operands.iter_mut().for_each(|[left, right]| (*left, *right) = (right.transposed(), left.transposed()));
        }
        let space = (batches, rows, cols);
        let extents: Vec<Extents> =
            dots.iter().map(|&dot| Extents { rows, cols, depth: self.depth(dot), target: self.target }).collect();
        let depth = extents.iter().map(|product| product.depth).max().unwrap_or(0);
        let count = |holds: &dyn Fn(&Operands, Extents) -> bool| {
            operands.iter().zip(&extents).filter(|(operands, product)| holds(operands, **product)).count()
        };
        let rows_compete = count(&|[left, _], product| left.rows_compete(product)) > 0;
        let in_strips = count(&|[left, _], product| left.is_in_strips(product)) > 0;
        let steps: usize = extents.iter().map(|product| product.depth).sum();
        // Register tiles of bands overlap, which only sums of one chunk allow, and begin where strips do not.
        let in_bands = rows >= 2 * BAND && depth <= DOT_CHUNK && !in_strips;
        let in_bands = in_bands && steps * cols <= BANDED && self.useful_threads() > 1;
        let register = match operands.iter().any(|[_, right]| right.is_transposed_right(rows)) {
            true => RegisterTile::transposing(cols, self.target),
            false => RegisterTile::new((rows, cols, depth), rows_compete, in_strips, in_bands, self.target),
        };
        let packed = Packed {
            products: dots.len(),
            lefts: count(&|[left, _], product| left.is_packed_left(product)),
            rights: count(&|[_, right], product| right.is_packed_right(product)),
            streams: self.large_values(),
        };
        let in_runs = self.useful_threads() == 1 && runs::suits(&operands, &extents, register, self.target);
        let (row_cut, col_cut) = match in_runs {
            true => (Cut::whole(rows), Cut::whole(cols)),
            false => cache_tile(space, steps, register, self.target, packed, self.useful_threads()),
        };
        let (tile_rows, tile_cols) = (row_cut.largest(), col_cut.largest());
        let strip = register.vectors * self.target.lanes();
        let pitch = spread(tile_cols.next_multiple_of(strip));
        let competes = operands.iter().any(|[_, right]| right.lines_compete());
        let block = if competes { column_block(register, self.target) } else { strip };
        let sizes = Sizes { register, tile_rows, tile_cols, strip, block, pitch };
        let products = Products {
            space,
            is_transposed,
            dots,
            extents,
            operands,
            sizes,
            in_runs,
            row_cut,
            col_cut,
            shared: Vec::new(),
        };
        let shared = self.share(&products);
        Products { shared, ..products }
    }

    /// A kernel with contractions. Returns the number of tiles.
    pub(super) fn dots(&mut self) -> usize {
        let products = self.products();
        let ((batches, rows, cols), sizes) = (products.space, products.sizes);
        let Products { dots, extents, operands, row_cut, col_cut, .. } = &products;
        let strip_rows = sizes.register.rows;
        // room for register tiles that reach beyond the cache tile
        let padded_rows = sizes.tile_rows.next_multiple_of(strip_rows);
        for &dot in dots {
            let tile = self.take_floats(padded_rows * sizes.pitch);
            self.dot_tiles.insert(dot, tile);
        }
        let is_deep = extents.iter().any(|product| product.depth > DOT_CHUNK);
        let mut with_extents = operands.iter().zip(extents);
        let overlap = with_extents.any(|(operands, product)| overlaps(operands, sizes.register, *product));
        // rows that are packed together may begin before the tile and end after it
        let spare_rows = if operands.iter().any(|[left, _]| left.has_windows()) { 2 * FOUR } else { 0 };
        let left_elements = (padded_rows + spare_rows) * strip_pitch(strip_rows, self.target).max(ROW_PITCH);
        let right_cols = sizes.block.min(sizes.tile_cols.next_multiple_of(sizes.strip));
        let scratch = Scratch {
            before: match is_deep && overlap || products.in_runs {
                true => self.take_floats(padded_rows * sizes.pitch),
                false => 0,
            },
            left: self.take_floats(left_elements),
            right: self.take_floats(right_cols * strip_pitch(sizes.strip, self.target)),
        };

        if !products.is_transposed {
            let tiling =
                Tiling { block: rows * cols, spans: row_cut.tiles, step: row_cut.size * cols, beside: col_cut.tiles };
            self.tiling = Some(tiling);
        }
        self.tiles(batches * row_cut.tiles * col_cut.tiles, 1, 1, |s, number, _| {
            let b = &mut s.b;
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
                s.product(&products, number, tile, scratch);
            }
            match products.is_transposed {
                true => s.epilogue((sizes.tile_cols, 1), Tile { rows: tile.cols, cols: tile.rows, ..tile }),
                false => s.epilogue((sizes.tile_rows, sizes.pitch), tile),
            }
        })
    }

    /// How many threads the kernel is worth.
    pub(super) fn useful_threads(&self) -> usize {
        let tile = self.target.machine().handover * TILE.0 / TILE.1;
        ((self.cost / tile) as usize).clamp(1, self.threads.max(1))
    }

    fn operands(&mut self, dot: Value) -> Operands {
        [0, 1].map(|number| self.source(self.kernel.operand(dot, number)))
    }

    /// The extent of the contracted axis.
    fn depth(&self, dot: Value) -> usize {
        self.plan.graph.ty(self.plan.graph.node(dot).args[0]).shape.last_extent()
    }

    /// Everything that reads the products, on one tile of at most so many rows, this far apart.
    fn epilogue(&mut self, (most_rows, pitch): (usize, usize), tile: Tile) {
        let first = self.b.index_scale(tile.batch, tile.rows.extent);
        let [begin, end] = [tile.rows.first, tile.rows.last].map(|row| self.b.index_add(first, row));
        self.prepare_rows(begin, end, most_rows);
        let mut rest = tile.rows.first;
        let abreast = self.has_short_rows() && !self.noise_sites().is_empty();
        let counts = if abreast { vec![self.rows_abreast(), 1] } else { vec![1] };
        for count in counts {
            rest = self.repeat_whole(rest, tile.rows.last, count, |s, row| {
                let rows: Vec<Reg> = (0..count).map(|i| s.b.index_offset(row, i as i64)).collect();
                let mut rows: Vec<Row> =
                    rows.into_iter().map(|row| s.enter_tile_row(pitch, tile, first, row)).collect();
                s.draw_by_twos(&mut rows);
                rows.iter().for_each(|row| s.columns(row, tile.cols.first, tile.cols.last, tile.cols.extent, &[]));
            });
        }
    }

    /// A row of a tile of the products whose first row is `first` of the kernel's.
    fn enter_tile_row(&mut self, pitch: usize, tile: Tile, first: Reg, row: Reg) -> Row {
        let in_tile = self.b.index_sub(row, tile.rows.first);
        let in_tile = self.b.index_scale(in_tile, pitch);
        let in_tile = self.b.index_sub(in_tile, tile.cols.first);
        let space_row = self.b.index_add(first, row);
        self.enter_row(space_row, Some(in_tile))
    }

    /// One product's tile, into its scratch memory, chunk by chunk along the contracted axis.
    fn product(&mut self, products: &Products, number: usize, tile: Tile, scratch: Scratch) {
        let (dot, operands, sizes) = (products.dots[number], &products.operands[number], products.sizes);
        let ([a, b], extents) = (operands, products.extents[number]);
        let depth = extents.depth;
        let [shared_left, shared_right] =
            products.shared[number].map(|shared| shared.map(|shared| self.shared_panel(shared, tile.batch)));
        // Where register tiles overlap, chunks alternate between two places, so that each finds the sums of before; the last
        // one's is the product's.
        let total = self.dot_tiles[&dot];
        let alternates = depth > DOT_CHUNK && overlaps(operands, sizes.register, extents);
        let places = match depth.div_ceil(DOT_CHUNK) % 2 {
            _ if !alternates => [total, total],
            1 => [total, scratch.before],
            _ => [scratch.before, total],
        };
        let (start, end) = (self.b.index(0), self.b.index(depth));
        self.repeat(start, end, DOT_CHUNK as i64, |s, first| {
            let last = s.b.index_offset(first, DOT_CHUNK as i64);
            let chunk = Span { first, last: s.b.index_min(last, end), extent: depth };
            let packed = (scratch.left, sizes.register.rows);
            let left =
                shared_left.unwrap_or_else(|| s.prepare_left(a, (tile.batch, extents), tile.rows, chunk, packed));
            let packs = shared_right.is_none() && b.is_packed_right(extents);
            if products.in_runs {
                let right = s.prepare_right(b, (tile.batch, extents), chunk, tile.cols, (scratch.right, sizes.strip));
                let block = Block { tile, cols: tile.cols, chunk, left, right };
                return s.runs(sizes, block, [scratch.before, total]);
            }
            let block = if packs { sizes.block } else { sizes.tile_cols };
            s.repeat(tile.cols.first, tile.cols.last, block as i64, |s, first| {
                let last = s.b.index_offset(first, block as i64);
                let cols = Span { first, last: s.b.index_min(last, tile.cols.last), extent: tile.cols.extent };
                let packed = (scratch.right, sizes.strip);
                let right =
                    shared_right.unwrap_or_else(|| s.prepare_right(b, (tile.batch, extents), chunk, cols, packed));
                // what comes next of an operand that is packed strip by strip
                let next = (packs && sizes.block == sizes.strip && sizes.tile_cols > sizes.strip).then_some(b);
                s.register_tiles(sizes, Block { tile, cols, chunk, left, right }, next, places);
            });
        });
    }

    /// All register tiles of a block. The last rows are a rest of tiles with fewer rows, and the last columns of tiles with
    /// fewer vectors, if there are such. Else the last tile ends where the block ends and may compute again what its
    /// neighbour has, the same bits, where the operand is read in place; where it is packed, it reaches into the padding.
    fn register_tiles(&mut self, sizes: Sizes, block: Block, next: Option<&Source>, places: [usize; 2]) {
        let (Block { tile, cols, chunk, left, right }, register, width) = (block, sizes.register, self.target.lanes());
        let last_start = |s: &mut Self, span: Span, size: usize| {
            // a product smaller than the register tile begins at 0 and computes columns that nobody reads
            if span.extent < size { s.b.index(0) } else { s.b.index_offset(span.last, -(size as i64)) }
        };
        // where the register tiles at the end of a whole axis begin
        let rest_first = |s: &mut Self, span: Span, of: usize| {
            let is_last = s.b.index_div(span.last, span.extent);
            let rest = s.b.index_scale_signed(is_last, -(of as i64));
            s.b.index_add(span.last, rest)
        };
        let rest_row = rest_first(self, tile.rows, register.rest.of);
        let narrow = register.narrow_columns(cols.extent, self.target);
        let narrow_col = rest_first(self, cols, narrow);
        // where this chunk's sums go, and how far from there those of the chunks before are
        let odd = self.b.index_div(chunk.first, DOT_CHUNK);
        let odd = self.b.index_rem(odd, 2);
        let (step, even) = (places[1] as i64 - places[0] as i64, self.b.index(places[0]));
        let distance = self.b.index_scale_signed(odd, step);
        let place = self.b.index_add(even, distance);
        let distance = self.b.index_scale_signed(distance, -2);
        let distance = self.b.index_offset(distance, step);
        let columns = |s: &mut Self, first: Reg, last: Reg, vectors: usize| {
            let last_col = last_start(s, Span { last, ..cols }, vectors * width);
            s.repeat(first, last, sizes.strip as i64, |s, col| {
                let col = if right.is_padded { col } else { s.b.index_min(col, last_col) };
                let tiles = |s: &mut Self, first: Reg, last: Reg, rows: usize| {
                    let last_row = last_start(s, Span { last, ..tile.rows }, rows);
                    s.repeat(first, last, rows as i64, |s, row| {
                        let reaches_beyond = left.is_padded && register.rest.tiles == 0;
                        let row = if reaches_beyond { row } else { s.b.index_min(row, last_row) };
                        s.prefetch_epilogue(sizes, tile, (row, rows), col);
                        if let Some(next) = next {
                            s.prefetch_right(next, sizes, tile, chunk, (row, col));
                        }
                        let sums = s.register_tile(block, (row, rows), (col, vectors));
                        let at_row = s.b.index_sub(row, tile.rows.first);
                        let at_row = s.b.index_scale(at_row, sizes.pitch);
                        let at_col = s.b.index_sub(col, tile.cols.first);
                        let index = s.b.index_add(at_row, at_col);
                        let index = s.b.index_add(index, place);
                        s.lanes(width, |s| s.add_chunk(sizes.pitch, chunk, sums.chunks(vectors), index, distance));
                    });
                };
                tiles(s, tile.rows.first, rest_row, register.rows);
                if register.rest.tiles > 0 {
                    tiles(s, rest_row, tile.rows.last, register.rest.rows);
                }
            });
        };
        columns(self, cols.first, narrow_col, register.vectors);
        if narrow > 0 {
            columns(self, narrow_col, cols.last, register.last_vectors);
        }
    }

    /// Adds the rows of a register tile's sums over a chunk to those over the chunks before; the first chunk has none.
    pub(super) fn add_chunk<'a>(
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
            let offset = (i * pitch + v * self.target.lanes()) as i64;
            let total = if chunk.extent <= DOT_CHUNK {
                sum
            } else {
                let before = self.float_at(base, before, offset);
                let before = self.b.load(self.float(), before);
                let added = self.add_floats(before, sum);
                self.choose(is_first, sum, added)
            };
            let address = self.float_at(base, index, offset);
            self.b.store(address, total);
        }
    }

    /// The sums of the register tile at this row and column over a block's chunk, row by row.
    fn register_tile(&mut self, block: Block, (row, rows): (Reg, usize), (col, vectors): (Reg, usize)) -> Vec<Reg> {
        let (Block { cols, chunk, left, right, .. }, width) = (block, self.target.lanes());
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
            s.lanes(width, |s| s.b.load_strided(s.float(), address, 0))
        };
        let steps = |s: &mut Self, state: &[Reg], unroll: usize| -> Vec<Reg> {
            let mut sums = state[2..].to_vec();
            if right.free != 1 {
                let elements: Vec<Reg> = (0..unroll).map(|u| element(s, state[0], 0, u)).collect();
                for (v, sum) in sums.iter_mut().enumerate() {
                    *sum = s.transposed_steps(right, state[1], (v, lanes(v)), &elements, *sum);
                }
            } else {
                for u in 0..unroll {
                    let piece = |s: &mut Self, v: usize| {
                        let offset = (right.offset + v * width) as i64 + u as i64 * right.depth;
                        let address = s.float_at(right.base, state[1], offset);
                        s.lanes(lanes(v), |s| s.b.load(s.float(), address))
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
        let unroll = if chunk.extent <= SHORT { chunk.extent } else { UNROLL };
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

    /// Steps of one row and the columns of its vector `v`, of which four are read and transposed at once.
    fn transposed_steps(
        &mut self,
        right: Panel,
        index: Reg,
        (v, lanes): (usize, usize),
        elements: &[Reg],
        mut sum: Reg,
    ) -> Reg {
        for (n, elements) in elements.chunks(FOUR).enumerate() {
            let width = self.target.lanes();
            let offset = |u: usize| (v * width) as i64 * right.free + (n * FOUR + u) as i64 * right.depth;
            let at = |u: usize| self.float_at(right.base, index, right.offset as i64 + offset(u));
            let addresses: Vec<Address> = (0..elements.len()).map(at).collect();
            let class = self.float();
            let four = addresses.len() == FOUR && class == Class::Float;
            let pieces: Vec<Reg> = self.lanes(lanes, |s| match four && s.b.vector {
                true => s.b.load_transposed(class, addresses[0], right.free).to_vec(),
                false => addresses.iter().map(|&at| s.b.load_strided(class, at, right.free)).collect(),
            });
            for (&element, piece) in elements.iter().zip(pieces) {
                sum = self.lanes(self.target.lanes(), |s| s.multiply_add(element, piece, sum));
            }
        }
        sum
    }
}

/// Whether register tiles of a product overlap.
fn overlaps([left, right]: &Operands, register: RegisterTile, product: Extents) -> bool {
    let rows_overlap = match register.rest.tiles {
        0 => !left.is_packed_left(product) && !product.rows.is_multiple_of(register.rows),
        _ => register.rest.overlaps(),
    };
    rows_overlap || !right.is_packed_right(product)
}
