//! Matrix products: a register tile in the middle, panels packed where an operand is not contiguous or is computed,
//! and whatever reads the product done on the tile while it is in cache.

use super::{Argument, Lowering};
use crate::tile::{Address, Base, Class, Reg};
use bayeslift_ir::{DOT_CHUNK, Lanes, Op, Value};
use bayeslift_passes::{Operand, View};

/// Rows and vectors of the register tile: of sixteen vector registers twelve hold sums, two a piece of the right
/// operand's row, one an element of the left. Measured best of seven shapes; see docs/performance.md.
pub(super) const TILE_ROWS: usize = 6;
pub(super) const TILE_VECTORS: usize = 2;
/// About how many rows and columns a cache tile has.
const CACHE_ROWS: usize = 96;
const CACHE_COLUMNS: usize = 96;

/// A matrix operand: element `(i, j)` of product `batch` lies at `batch_offset + i * row + j * col`.
struct Matrix {
    row: usize,
    col: usize,
    batch: View,
}

/// Where the elements of an operand come from.
enum Source {
    Memory {
        base: Base,
        matrix: Matrix,
    },
    /// Computed from leaves of the same shape.
    Computed {
        value: Value,
        operands: Vec<(super::element::Leaf, Matrix)>,
    },
}

/// A tile of the result in the index space of one product.
#[derive(Clone, Copy)]
struct Tile {
    batch: Reg,
    first_row: Reg,
    last_row: Reg,
    first_col: Reg,
    last_col: Reg,
}

/// The static sizes of a kernel's products.
#[derive(Clone, Copy)]
struct Sizes {
    rows: usize,
    cols: usize,
    tile_rows: usize,
    tile_cols: usize,
    /// The distance of rows of a result tile and of a packed right panel.
    pitch: usize,
}

impl Lowering<'_> {
    /// A kernel with contractions. Returns the number of tiles.
    pub(super) fn dots(&mut self) -> usize {
        let shape = &self.plan.graph.ty(self.kernel.dots[0]).shape;
        let rows = shape[shape.len() - 2];
        let cols = self.kernel.cols;
        let batches = self.kernel.rows / rows;
        let vectors = (cols / self.width).clamp(1, TILE_VECTORS);
        let (tile_rows, tile_cols) = (TILE_ROWS.min(rows), vectors * self.width);
        let cache_rows = cache_extent(rows, tile_rows, tile_rows, CACHE_ROWS);
        let cache_cols = cache_extent(cols, tile_cols, super::element::NOISE_BLOCK, CACHE_COLUMNS);
        let pitch = cache_cols.max(tile_cols).next_multiple_of(16);
        let sizes = Sizes { rows, cols, tile_rows, tile_cols, pitch };

        for &dot in &self.kernel.dots.clone() {
            let tile = self.take_scratch(cache_rows * pitch);
            self.dot_tiles.insert(dot, tile);
        }
        let sum = self.take_scratch(cache_rows * pitch);
        let left = self.take_scratch(cache_rows * DOT_CHUNK);
        let right = self.take_scratch(DOT_CHUNK * pitch);

        let (row_tiles, col_tiles) = (rows.div_ceil(cache_rows), cols.div_ceil(cache_cols));
        self.tiles(batches * row_tiles * col_tiles, 1, |s, number, _| {
            let b = &mut s.b;
            let (rows_left, col_tile) = (b.index_div(number, col_tiles), b.index_rem(number, col_tiles));
            let (batch, row_tile) = (b.index_div(rows_left, row_tiles), b.index_rem(rows_left, row_tiles));
            let mut range = |tile: Reg, step: usize, extent: usize| {
                let first = b.index_scale(tile, step);
                let last = b.index_offset(first, step as i64);
                let limit = b.index(extent);
                (first, b.index_min(last, limit))
            };
            let (first_row, last_row) = range(row_tile, cache_rows, rows);
            let (first_col, last_col) = range(col_tile, cache_cols, cols);
            let tile = Tile { batch, first_row, last_row, first_col, last_col };
            for &dot in &s.kernel.dots.clone() {
                s.product(dot, sizes, tile, sum, left, right);
            }
            s.epilogue(sizes, tile);
        })
    }

    /// Everything that reads the products, on one tile.
    fn epilogue(&mut self, sizes: Sizes, tile: Tile) {
        self.repeat(tile.first_row, tile.last_row, 1, |s, row| {
            let in_tile = s.b.index_sub(row, tile.first_row);
            let in_tile = s.b.index_scale(in_tile, sizes.pitch);
            let in_tile = s.b.index_sub(in_tile, tile.first_col);
            let space_row = s.b.index_scale(tile.batch, sizes.rows);
            let space_row = s.b.index_add(space_row, row);
            let row = s.enter_row(space_row, Some(in_tile));
            s.columns(&row, tile.first_col, tile.last_col, sizes.cols, &[]);
        });
    }

    /// One product's tile, into its scratch memory, chunk by chunk along the contracted axis.
    fn product(&mut self, dot: Value, sizes: Sizes, tile: Tile, sum: usize, left: usize, right: usize) {
        let args = self.plan.graph.node(dot).args.clone();
        let depth = self.plan.graph.ty(args[0]).shape.last_extent();
        let (a, b) = (self.source(args[0]), self.source(args[1]));
        let total = self.dot_tiles[&dot];
        let single = depth <= DOT_CHUNK;
        let (start, end) = (self.b.index(0), self.b.index(depth));
        self.repeat(start, end, DOT_CHUNK as i64, |s, chunk| {
            let chunk_end = s.b.index_offset(chunk, DOT_CHUNK as i64);
            let chunk_end = s.b.index_min(chunk_end, end);
            let right_matrix = s.prepare_right(&b, sizes, tile, chunk, chunk_end, right);
            let left_matrix = s.prepare_left(&a, tile, chunk, chunk_end, left);
            let target = if single { total } else { sum };
            s.register_tiles(sizes, tile, depth, (chunk, chunk_end), left_matrix, right_matrix, target);
            if !single {
                s.add_chunk(sizes, tile, chunk, sum, total);
            }
        });
    }

    fn source(&mut self, operand: Value) -> Source {
        match self.plan.operand(operand) {
            Operand::Memory(view) => {
                let place = self.plan.places[view.source.index()].expect("operands lie in memory");
                Source::Memory { base: Base::Argument(self.argument(Argument::Place(place))), matrix: matrix(&view) }
            }
            Operand::Computed { value, views } => {
                let operands = views.into_iter().map(|view| (self.leaf(view.clone()), matrix(&view))).collect();
                Source::Computed { value, operands }
            }
        }
    }

    /// The index of element (0, 0) of the tile's product.
    fn origin(&mut self, matrix: &Matrix, batch: Reg) -> Reg {
        self.row_offset(&matrix.batch, batch)
    }

    /// Element `(row, col)`, or neighbours along `col`, of an operand.
    fn element(&mut self, source: &Source, batch: Reg, row: Reg, col: Reg) -> Reg {
        let at = |s: &mut Self, matrix: &Matrix| {
            let origin = s.origin(matrix, batch);
            let (i, j) = (s.b.index_scale(row, matrix.row), s.b.index_scale(col, matrix.col));
            let index = s.b.index_add(origin, i);
            s.b.index_add(index, j)
        };
        match source {
            Source::Memory { base, matrix } => {
                let index = at(self, matrix);
                self.b.load_strided(Class::Float, Address { base: *base, index, offset: 0 }, matrix.col as i64)
            }
            Source::Computed { value, operands } => {
                let mut args = Vec::new();
                for (leaf, matrix) in operands {
                    args.push(match leaf {
                        super::element::Leaf::Float(bits) => self.b.constant(f32::from_bits(*bits)),
                        super::element::Leaf::Memory { argument, class, .. } => {
                            let index = at(self, matrix);
                            let address = Address { base: Base::Argument(*argument), index, offset: 0 };
                            self.b.load_strided(*class, address, matrix.col as i64)
                        }
                        leaf => unreachable!("{leaf:?} is no operand of a prologue"),
                    });
                }
                let op: Op = self.plan.graph.node(*value).op.clone();
                self.apply(&op, bayeslift_ir::DType::F32, &args)
            }
        }
    }

    /// The right operand's panel as (base, index of its row 0 and column 0, distance of rows): in place, or packed.
    fn prepare_right(
        &mut self,
        source: &Source,
        sizes: Sizes,
        tile: Tile,
        chunk: Reg,
        chunk_end: Reg,
        scratch: usize,
    ) -> Panel {
        if let Source::Memory { base, matrix: matrix @ Matrix { col: 1, .. } } = source
            && sizes.cols >= sizes.tile_cols
        {
            let origin = self.origin(matrix, tile.batch);
            return Panel { base: *base, origin, row: matrix.row, col: 1, offset: 0 };
        }
        self.repeat(chunk, chunk_end, 1, |s, k| {
            let row = s.b.index_sub(k, chunk);
            let row = s.b.index_scale(row, sizes.pitch);
            let pack = |s: &mut Self, col: Reg| {
                let x = s.element(source, tile.batch, k, col);
                let index = s.b.index_sub(col, tile.first_col);
                let index = s.b.index_add(row, index);
                s.b.store(Address { base: Base::Scratch, index, offset: scratch as i64 }, x);
            };
            s.each_column(tile.first_col, tile.last_col, sizes.cols, pack);
            // columns that fill the register tile up
            for col in sizes.cols..sizes.tile_cols {
                let zero = s.b.constant(0.0);
                s.b.store(Address { base: Base::Scratch, index: row, offset: (scratch + col) as i64 }, zero);
            }
        });
        // the panel's row 0 is row `chunk` of the operand, its column 0 the tile's first
        let skipped = self.b.index_scale(chunk, sizes.pitch);
        let origin = self.b.index(0);
        let origin = self.b.index_sub(origin, skipped);
        let origin = self.b.index_sub(origin, tile.first_col);
        Panel { base: Base::Scratch, origin, row: sizes.pitch, col: 1, offset: scratch }
    }

    /// The left operand's panel: in place, or packed where it is computed.
    fn prepare_left(&mut self, source: &Source, tile: Tile, chunk: Reg, chunk_end: Reg, scratch: usize) -> Panel {
        if let Source::Memory { base, matrix } = source {
            let origin = self.origin(matrix, tile.batch);
            return Panel { base: *base, origin, row: matrix.row, col: matrix.col, offset: 0 };
        }
        self.repeat(tile.first_row, tile.last_row, 1, |s, row| {
            let packed_row = s.b.index_sub(row, tile.first_row);
            let packed_row = s.b.index_scale(packed_row, DOT_CHUNK);
            let pack = |s: &mut Self, k: Reg| {
                let x = s.element(source, tile.batch, row, k);
                let index = s.b.index_sub(k, chunk);
                let index = s.b.index_add(packed_row, index);
                s.b.store(Address { base: Base::Scratch, index, offset: scratch as i64 }, x);
            };
            s.each_column(chunk, chunk_end, usize::MAX, pack);
        });
        let skipped = self.b.index_scale(tile.first_row, DOT_CHUNK);
        let origin = self.b.index(0);
        let origin = self.b.index_sub(origin, skipped);
        let origin = self.b.index_sub(origin, chunk);
        Panel { base: Base::Scratch, origin, row: DOT_CHUNK, col: 1, offset: scratch }
    }

    /// All register tiles of a cache tile for one chunk. The last row and column of tiles end where the cache tile ends
    /// and may compute again what their neighbours have: the same bits.
    #[allow(clippy::too_many_arguments, reason = "one call, named at the call site")]
    fn register_tiles(
        &mut self,
        sizes: Sizes,
        tile: Tile,
        depth: usize,
        (chunk, chunk_end): (Reg, Reg),
        left: Panel,
        right: Panel,
        target: usize,
    ) {
        let Sizes { tile_rows, tile_cols, pitch, .. } = sizes;
        let last_start = |s: &mut Self, last: Reg, size: usize, extent: usize| {
            // a product smaller than the register tile begins at 0 and computes columns that nobody reads
            if extent < size { s.b.index(0) } else { s.b.index_offset(last, -(size as i64)) }
        };
        let last_col = last_start(self, tile.last_col, tile_cols, sizes.cols);
        let last_row = last_start(self, tile.last_row, tile_rows, sizes.rows);
        self.repeat(tile.first_col, tile.last_col, tile_cols as i64, |s, col| {
            let col = s.b.index_min(col, last_col);
            s.repeat(tile.first_row, tile.last_row, tile_rows as i64, |s, row| {
                let row = s.b.index_min(row, last_row);
                let sums = s.register_tile(sizes, depth, (chunk, chunk_end), row, col, left, right);
                let at_row = s.b.index_sub(row, tile.first_row);
                let at_row = s.b.index_scale(at_row, pitch);
                let at_col = s.b.index_sub(col, tile.first_col);
                let index = s.b.index_add(at_row, at_col);
                s.vectors_if_wide(|s| {
                    for (n, &sum) in sums.iter().enumerate() {
                        let (i, v) = (n / (tile_cols / s.width), n % (tile_cols / s.width));
                        let offset = (target + i * pitch + v * s.width) as i64;
                        s.b.store(Address { base: Base::Scratch, index, offset }, sum);
                    }
                });
            });
        });
    }

    fn vectors_if_wide<T>(&mut self, body: impl FnOnce(&mut Self) -> T) -> T {
        self.b.vector = self.width > 1;
        let result = body(self);
        self.b.vector = false;
        result
    }

    /// The sums of one register tile over one chunk, row by row.
    #[allow(clippy::too_many_arguments, reason = "one call, named at the call site")]
    fn register_tile(
        &mut self,
        sizes: Sizes,
        depth: usize,
        (chunk, chunk_end): (Reg, Reg),
        row: Reg,
        col: Reg,
        left: Panel,
        right: Panel,
    ) -> Vec<Reg> {
        let Sizes { tile_rows, tile_cols, .. } = sizes;
        let vectors = tile_cols / self.width;
        let zero = self.vectors_if_wide(|s| s.b.constant(0.0));
        let left_start = {
            let at = self.b.index_scale(row, left.row);
            let at = self.b.index_add(left.origin, at);
            let k = self.b.index_scale(chunk, left.col);
            self.b.index_add(at, k)
        };
        let right_start = {
            let at = self.b.index_scale(chunk, right.row);
            let at = self.b.index_add(right.origin, at);
            self.b.index_add(at, col)
        };
        let mut carried = vec![left_start, right_start];
        carried.resize(2 + tile_rows * vectors, zero);
        let steps = |s: &mut Self, state: &[Reg], unroll: usize| -> Vec<Reg> {
            let mut sums = state[2..].to_vec();
            for u in 0..unroll {
                s.vectors_if_wide(|s| {
                    let loaded: Vec<Reg> = (0..vectors)
                        .map(|v| {
                            let offset = (right.offset + u * right.row + v * s.width) as i64;
                            s.b.load(Class::Float, Address { base: right.base, index: state[1], offset })
                        })
                        .collect();
                    for i in 0..tile_rows {
                        let offset = (left.offset + i * left.row + u * left.col) as i64;
                        let x = s.b.load_strided(Class::Float, Address { base: left.base, index: state[0], offset }, 0);
                        for (v, &y) in loaded.iter().enumerate() {
                            let sum = &mut sums[i * vectors + v];
                            *sum = s.b.fma(x, y, *sum);
                        }
                    }
                });
            }
            let left_next = s.b.index_offset(state[0], (unroll * left.col) as i64);
            let right_next = s.b.index_offset(state[1], (unroll * right.row) as i64);
            [vec![left_next, right_next], sums].concat()
        };
        const UNROLL: usize = 4;
        let mut done = chunk;
        if depth >= UNROLL {
            // chunks begin at multiples of the unrolling
            let unrolled_end = self.b.index_round_down(chunk_end, UNROLL);
            carried = self
                .repeat_carrying(chunk, unrolled_end, UNROLL as i64, &carried, |s, _, state| steps(s, state, UNROLL));
            done = unrolled_end;
        }
        if !depth.is_multiple_of(UNROLL) {
            carried = self.repeat_carrying(done, chunk_end, 1, &carried, |s, _, state| steps(s, state, 1));
        }
        carried.split_off(2)
    }

    /// Adds a chunk's sums to the totals; the first chunk's are the totals.
    fn add_chunk(&mut self, sizes: Sizes, tile: Tile, chunk: Reg, sum: usize, total: usize) {
        let (zero, rows, cols) = (
            self.b.index(0),
            self.b.index_sub(tile.last_row, tile.first_row),
            self.b.index_sub(tile.last_col, tile.first_col),
        );
        let width = self.width;
        self.repeat(zero, rows, 1, |s, row| {
            let row = s.b.index_scale(row, sizes.pitch);
            let add = |s: &mut Self, col: Reg| {
                let index = s.b.index_add(row, col);
                let [x, before] = [sum, total]
                    .map(|tile| s.b.load(Class::Float, Address { base: Base::Scratch, index, offset: tile as i64 }));
                let added = s.b.add(before, x);
                let chunk = s.b.index_low(chunk);
                let chunk = s.b.splat(chunk);
                let none = s.b.integer(0);
                let first = s.b.iequal(chunk, none);
                let result = s.b.select(first, x, added);
                s.b.store(Address { base: Base::Scratch, index, offset: total as i64 }, result);
            };
            // tiles are padded to whole vectors
            let padded = s.b.index_offset(cols, width as i64 - 1);
            let padded = s.b.index_round_down(padded, width);
            s.repeat(zero, padded, width as i64, |s, col| s.vectors_if_wide(|s| add(s, col)));
        });
    }
}

/// A panel of an operand: element `(i, j)` lies at `base[origin + offset + i * row + j * col]`.
#[derive(Clone, Copy)]
struct Panel {
    base: Base,
    origin: Reg,
    row: usize,
    col: usize,
    offset: usize,
}

fn matrix(view: &View) -> Matrix {
    let rank = view.shape.len();
    let mut batch = view.clone();
    // the batch axes, with a last axis of one element, so that the batch number is a row
    batch.shape = view.shape[..rank - 2].iter().copied().chain([1]).collect();
    batch.strides = view.strides[..rank - 2].iter().copied().chain([0]).collect();
    Matrix { row: view.strides[rank - 2], col: view.strides[rank - 1], batch }
}

/// The extent of cache tiles near `preferred`: a multiple of `step`, such that the last tile is not
/// smaller than `least`, unless all of `extent` is.
fn cache_extent(extent: usize, least: usize, step: usize, preferred: usize) -> usize {
    if extent <= preferred {
        return extent;
    }
    let fits = |size: &usize| extent.is_multiple_of(*size) || extent % size >= least;
    let base = preferred / step;
    let near = (0..).flat_map(|d| [base.saturating_sub(d), base + d]).filter(|&n| n > 0).map(|n| n * step);
    near.take_while(|&size| size < 2 * extent).find(fits).unwrap_or(extent)
}
