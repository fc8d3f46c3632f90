//! How a kernel's matrix products are computed: the shapes of register tiles and cache tiles, and where operands come
//! from.

use super::context::Context;
use super::panel::{OperandSource, Panel, Product, Span};
use super::shape::{
    BAND, BANDED, COMPETING_COLUMNS, Cut, FAR_COLUMNS, Packed, RegisterTile, cache_tile, column_block, spread,
};
use crate::target::Target;
use crate::tile::Reg;
use bayeslift_ir::{DOT_CHUNK, Value};
use bayeslift_passes::Place;

/// The part of the second-level cache beyond which a matrix does not stay near.
const NEAR: usize = 4;

/// How many strips of register tiles a matrix may have that is read by these all the same.
const STRIPS: usize = 2;

/// A product's left and right operands.
pub(super) type Operands = [OperandSource; 2];

/// The static sizes of a kernel's products.
#[derive(Clone, Copy)]
pub(super) struct Sizes {
    pub register: RegisterTile,
    /// Rows and columns of the largest cache tile.
    pub tile_rows: usize,
    pub tile_cols: usize,
    /// Columns of a register tile.
    pub strip: usize,
    /// Columns of the right operand that are packed at once: a strip, which stays near while all rows pass over it,
    /// unless the operand's lines compete or its rows are far.
    pub block: usize,
    /// The distance of rows of a cache tile.
    pub pitch: usize,
}

/// A kernel's products. Those of one column are computed as those of one row, with their operands exchanged and
/// transposed: rows lie side by side in vectors then.
pub(super) struct Products {
    /// How many products each contraction stands for, then the rows and columns of each.
    pub space: (usize, usize, usize),
    /// Whether rows are the kernel's columns, of which it has one.
    pub is_transposed: bool,
    pub dots: Vec<Value>,
    pub each: Vec<Product>,
    pub operands: Vec<Operands>,
    /// The memory that operands lie in.
    pub places: Vec<Place>,
    pub sizes: Sizes,
    /// Whether the rows of right operands are read whole: see `runs`.
    pub in_runs: bool,
    pub row_cut: Cut,
    pub col_cut: Cut,
}

impl Products {
    pub fn new(context: Context<'_>) -> Products {
        let Context { plan, kernel, target, .. } = context;
        let dots = kernel.products().to_vec();
        let shape = &plan.graph.ty(dots[0]).shape;
        let (mut rows, mut cols) = (shape[shape.len() - 2], kernel.cols);
        let batches = kernel.rows / rows;
        let operand = |&dot: &Value| [0, 1].map(|number| context.source(kernel.operand(dot, number)));
        let mut operands: Vec<Operands> = dots.iter().map(operand).collect();
        let places = operands.iter().flatten().flat_map(OperandSource::places).filter_map(|(place, _)| place).collect();
        let has_windows = operands.iter().any(|[left, _]| left.has_windows());
        let is_transposed = cols == 1 && rows > 1 && target.lanes() > 1 && !has_windows;
        if is_transposed {
            (rows, cols) = (cols, rows);
            operands.iter_mut().for_each(|[left, right]| (*left, *right) = (right.transposed(), left.transposed()));
        }
        let space = (batches, rows, cols);
        let product = |&dot: &Value| {
            let depth = plan.graph.ty(context.operand(dot)).shape.last_extent();
            Product { rows, cols, depth, target }
        };
        let each: Vec<Product> = dots.iter().map(product).collect();
        let depth = each.iter().map(|product| product.depth).max().unwrap_or(0);
        let count = |holds: &dyn Fn(&Operands, Product) -> bool| {
            operands.iter().zip(&each).filter(|(operands, product)| holds(operands, **product)).count()
        };
        let rows_compete = count(&|[left, _], product| left.rows_compete(product)) > 0;
        let in_strips = count(&|[left, _], product| left.is_in_strips(product)) > 0;
        let steps: usize = each.iter().map(|product| product.depth).sum();
        let threads = context.useful_threads();
        // Register tiles of bands overlap, which only sums of one chunk allow, and begin where strips do not.
        let in_bands = rows >= 2 * BAND && depth <= DOT_CHUNK && !in_strips;
        let in_bands = in_bands && steps * cols <= BANDED && threads > 1;
        let register = match operands.iter().any(|[_, right]| right.is_transposed_right(rows)) {
            true => RegisterTile::transposing(cols, target),
            false => RegisterTile::new((rows, cols, depth), rows_compete, in_strips, in_bands, target),
        };
        let packed = Packed {
            products: dots.len(),
            lefts: count(&|[left, _], product| left.is_packed_left(product)),
            rights: count(&|[_, right], product| right.is_packed_right(product)),
            streams: context.large_values(),
        };
        let in_runs = threads == 1 && suits_runs(&operands, &each, register, target);
        let (row_cut, col_cut) = match in_runs {
            true => (Cut::whole(rows), Cut::whole(cols)),
            false => cache_tile(space, steps, register, target, packed, threads),
        };
        let (tile_rows, tile_cols) = (row_cut.largest(), col_cut.largest());
        let strip = register.vectors * target.lanes();
        let pitch = spread(tile_cols.next_multiple_of(strip));
        let competes = operands.iter().any(|[_, right]| right.lines_compete());
        let in_long_runs = operands.iter().zip(&each).all(|([_, right], &product)| right.has_far_rows(product));
        let block = match (competes, in_long_runs) {
            (true, _) => column_block(COMPETING_COLUMNS, register, target),
            (_, true) => column_block(FAR_COLUMNS, register, target),
            _ => strip,
        };
        let sizes = Sizes { register, tile_rows, tile_cols, strip, block, pitch };
        Products { space, is_transposed, dots, each, operands, places, sizes, in_runs, row_cut, col_cut }
    }
}

/// Whether products of one row are computed so: where right operands are large, of more than a few strips, and read in
/// place.
fn suits_runs(operands: &[Operands], products: &[Product], register: RegisterTile, target: Target) -> bool {
    operands.iter().zip(products).all(|([_, right], &product)| {
        let Product { rows, cols, depth, .. } = product;
        let is_wide = cols > STRIPS * register.vectors * target.lanes();
        let is_in_place = !right.is_packed_right(product) && right.matrices().all(|matrix| matrix.steps().1 == 1);
        let is_far = depth * cols * 4 > target.machine().second_level / NEAR;
        rows == 1 && is_in_place && is_far && is_wide && target.lanes() > 1
    })
}

/// A cache tile of the result in the index space of one product.
#[derive(Clone, Copy)]
pub(super) struct Tile {
    pub batch: Reg,
    pub rows: Span,
    pub cols: Span,
}

/// A rank-k update of some columns of a cache tile: a chunk of the product is added to them.
#[derive(Clone, Copy)]
pub(super) struct RankUpdate {
    pub tile: Tile,
    pub cols: Span,
    pub chunk: Span,
    pub left: Panel,
    pub right: Panel,
}
