//! Packed operands that all tiles of a kernel share: packed once, before the kernel itself, where each tile would pack
//! the same again.

use super::code::Code;
use super::context::Context;
use super::panel::{FOUR, OperandSource, Panel, Product, Span};
use super::products::Products;
use super::shape::{LINE, spread};
use super::{KernelArgument, Lowered};
use crate::tile::Reg;

/// An operand is shared where each thread would pack it at least `LEAST_TIMES` times, and it has at least
/// `LEAST_SHARED` elements, if not more than `MOST_SHARED` in all are shared: 256 MB.
const LEAST_TIMES: usize = 3;
const LEAST_SHARED: usize = 1 << 12;
const MOST_SHARED: usize = 1 << 26;
/// About how many elements are packed in a tile, and how many strips, or times four rows, are packed together.
const TILE_ELEMENTS: usize = 1 << 13;
const TOGETHER: usize = 4;

/// What a kernel's tiles share of its operands.
pub(super) struct SharedOperands {
    /// Of each product, left and right.
    pub of: Vec<[Option<Shared>; 2]>,
    /// How many floats that is.
    pub elements: usize,
}

/// Where an operand lies in shared memory, in elements.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shared {
    offset: usize,
    /// The distance of the operands of one product and the next; 0 where all have the same.
    batch: usize,
    layout: Layout,
}

#[derive(Clone, Copy, Debug)]
enum Layout {
    /// Rows, this far apart.
    Rows(usize),
    /// Strips: how many rows or columns each has, and how much room each of those has.
    Strips(usize, usize),
}

/// A side of a product: its rows, or its columns.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Left,
    Right,
}

impl SharedOperands {
    /// Whether and where each operand is shared, left and right, product by product.
    pub fn new(context: Context<'_>, products: &Products) -> SharedOperands {
        let mut taken = 0;
        let width = context.width();
        let mut share = |source: &OperandSource, side: Side, product: Product| {
            let Product { rows, cols, depth, .. } = product;
            let batches = products.space.0;
            let (is_packed, extent, strip, copies) = match side {
                Side::Left => {
                    let is_packed = source.is_packed_left(product) && !source.has_windows();
                    (is_packed, rows, products.sizes.register.rows, products.col_cut.tiles)
                }
                Side::Right => (source.is_packed_right(product), cols, products.sizes.strip, products.row_cut.tiles),
            };
            let layout = match side {
                Side::Left if !source.is_in_strips(product) => Layout::Rows(spread(depth + width)),
                _ => Layout::Strips(strip, depth + width.div_ceil(strip)),
            };
            let (Layout::Rows(each) | Layout::Strips(_, each)) = layout;
            // a register tile may begin at any row, and reach beyond the last
            let most = match layout {
                Layout::Rows(_) => extent + strip - 1,
                Layout::Strips(..) => extent.next_multiple_of(strip),
            };
            let elements = (most * each).next_multiple_of(LINE);
            let different = if source.is_same_for_all_products() { 1 } else { batches };
            let times = batches * copies / different / context.useful_threads();
            let all = elements.saturating_mul(different);
            if !is_packed || times < LEAST_TIMES || !(LEAST_SHARED..=MOST_SHARED - taken).contains(&all) {
                return None;
            }
            let batch = if different > 1 { elements } else { 0 };
            let shared = Shared { offset: taken, batch, layout };
            taken += all;
            Some(shared)
        };
        let of =
            products.each.iter().zip(&products.operands).map(|(&product, [left, right])| {
                [share(left, Side::Left, product), share(right, Side::Right, product)]
            });
        let of = of.collect();
        SharedOperands { of, elements: taken }
    }

    /// The stage that packs them; none if there are none.
    pub fn pack(&self, context: Context<'_>, products: &Products) -> Option<Lowered> {
        let (batches, rows, cols) = products.space;
        let mut jobs = Vec::new();
        for ((product, sources), shared) in products.each.iter().zip(&products.operands).zip(&self.of) {
            let sides = [(Side::Left, rows), (Side::Right, cols)];
            for (((side, extent), source), shared) in sides.into_iter().zip(sources).zip(shared) {
                jobs.extend(shared.map(|shared| (side, extent, source, shared, product.depth)));
            }
        }
        if jobs.is_empty() {
            return None;
        }
        let units = |&(_, extent, _, shared, _): &(Side, usize, &OperandSource, Shared, usize)| {
            let together = TOGETHER
                * match shared.layout {
                    Layout::Rows(_) => FOUR,
                    Layout::Strips(strip, _) => strip,
                };
            let different = if shared.batch > 0 { batches } else { 1 };
            (together, extent.div_ceil(together), different * extent.div_ceil(together))
        };
        let most = jobs.iter().map(|job| units(job).2).max().unwrap_or(1);
        let tiles = self.elements.div_ceil(TILE_ELEMENTS).min(most);
        let mut code = Code::new(context);
        code.take_pointers(products.places.iter().copied());
        // each tile packs its part of each operand
        let tiles = code.tiles(tiles, 1, 1, |s, tile, _| {
            for job in jobs {
                let ((side, extent, source, shared, depth), (together, of_a_product, units)) = (job, units(&job));
                let next = s.b.index_offset(tile, 1);
                let [first, last] = [tile, next].map(|tile| {
                    let before = s.b.index_scale(tile, units);
                    s.b.index_div(before, tiles)
                });
                s.repeat(first, last, 1, |s, unit| {
                    let (batch, number) = (s.b.index_div(unit, of_a_product), s.b.index_rem(unit, of_a_product));
                    let (first, end) = (s.b.index_scale(number, together), s.b.index(extent));
                    let last = s.b.index_offset(first, together as i64);
                    let part = Span { first, last: s.b.index_min(last, end), extent };
                    let chunk = Span { first: s.b.index(0), last: s.b.index(depth), extent: depth };
                    let panel = shared.panel(s, batch);
                    match (side, shared.layout) {
                        (_, Layout::Rows(_)) => s.pack_rows(source, batch, part, chunk, panel),
                        (Side::Right, Layout::Strips(strip, _)) => {
                            s.pack_strips(source, batch, chunk, part, strip, panel);
                        }
                        (Side::Left, Layout::Strips(strip, _)) => {
                            s.pack_strips(&source.transposed(), batch, chunk, part, strip, panel);
                        }
                    }
                });
            }
        });
        let cost = context.target.scaled(self.elements as u64 * context.target.machine().costs.access);
        Some(code.finish((tiles, None), cost, self.elements))
    }
}

impl Shared {
    /// The panel of the operand of one product.
    pub fn panel(self, code: &mut Code<'_>, batch: Reg) -> Panel {
        let base = code.argument(KernelArgument::Shared);
        let origin = code.b.index_scale(batch, self.batch);
        let (tiles, free, depth) = match self.layout {
            Layout::Rows(pitch) => (pitch, pitch, 1),
            Layout::Strips(strip, pitch) => (pitch, 1, strip),
        };
        let [tiles, free, depth] = [tiles, free, depth].map(|step| step as i64);
        Panel { base, origin, offset: self.offset, tiles, free, depth, is_padded: true }
    }
}
