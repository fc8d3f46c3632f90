//! Operands of matrix products: read in place, or packed into panels in the order in which register tiles read them.

use super::code::Code;
use super::context::Context;
use super::leaf::Leaf;
use super::shape::{NOISE_BLOCK, compete};
use crate::Target;
use crate::tile::{Address, Base, Class, Reg};
use bayeslift_ir::{DOT_CHUNK, DType, DoubleLanes, Elementwise, Kind, Lanes};
use bayeslift_passes::{Axis, DotOperand, Place, View};

/// Products with fewer rows than this read the right operand too seldom to pack it without need.
const PACK_ROWS: usize = 24;
/// Products with fewer columns than this read the left operand too seldom to pack it without need.
const PACK_COLUMNS: usize = 24;
/// Where register tiles are large, and read an element of it half as often, a right operand whose chunk takes no more
/// than this part of the second-level cache is read in place where the product has at most `IN_PLACE_ROWS` rows, and
/// one that takes no more than that part whatever its rows; a transposed left operand of at most such a part.
const IN_PLACE_PART: usize = 2;
const IN_PLACE_ROWS: usize = 319;
const IN_PLACE_PART_OF_ANY_ROWS: usize = 4;
const IN_PLACE_PART_OF_LEFT: usize = 16;
/// Rows that are packed at once.
pub(super) const FOUR: usize = 4;
/// The distance of packed rows: room for a chunk, and an odd number of cache lines.
pub(super) const ROW_PITCH: usize = DOT_CHUNK + 16;

/// A matrix operand: how its rows and columns lie in memory from the first element of product `batch` on.
#[derive(Clone)]
pub(super) struct Matrix {
    pub rows: Axis,
    pub cols: Axis,
    batch: View,
}

impl Matrix {
    /// How far apart neighbours in a column are, and in a row: the nearest ones where distances differ.
    pub fn steps(&self) -> (i64, i64) {
        let step = |axis: &Axis| axis.nested().last().map_or(0, |&(_, stride)| stride);
        (step(&self.rows), step(&self.cols))
    }

    fn is_strided(&self) -> bool {
        self.rows.stride().is_some() && self.cols.stride().is_some()
    }
}

/// Where the elements of an operand come from.
pub(super) enum OperandSource {
    Memory {
        place: Place,
        matrix: Matrix,
    },
    /// Computed from leaves of the same shape.
    Computed {
        function: Elementwise,
        operands: Vec<(Leaf, Matrix)>,
    },
}

/// A panel of an operand. For the right one, element `(k, j)` of the register tile that begins at column `col` lies at
/// `base[origin + offset + col * tiles + j * free + k * depth]`; for the left one, rows stand for columns.
#[derive(Clone, Copy)]
pub(super) struct Panel {
    pub base: Base,
    pub origin: Reg,
    pub offset: usize,
    pub tiles: i64,
    pub free: i64,
    pub depth: i64,
    /// Whether there is memory for whole register tiles.
    pub is_padded: bool,
}

/// A matrix product: its extents, and the target that it is computed on.
#[derive(Clone, Copy)]
pub(super) struct Product {
    pub rows: usize,
    pub cols: usize,
    pub depth: usize,
    pub target: Target,
}

/// A range of an operand's rows or columns.
#[derive(Clone, Copy)]
pub(super) struct Span {
    pub first: Reg,
    pub last: Reg,
    /// How many there are in all.
    pub extent: usize,
}

impl Context<'_> {
    /// Where the elements of an operand come from.
    pub fn source(&self, operand: &DotOperand) -> OperandSource {
        match operand {
            DotOperand::Memory(view) => {
                let place = self.plan.places[view.source.index()].expect("operands lie in memory");
                OperandSource::Memory { place, matrix: matrix(view) }
            }
            DotOperand::Computed { value, views } => {
                let operands = views.iter().map(|view| (self.leaf(view.clone()), matrix(view))).collect();
                let Kind::Elementwise(function) = self.plan.graph.node(*value).op.kind() else {
                    unreachable!("{value} is computed by the element while it is packed")
                };
                OperandSource::Computed { function, operands }
            }
        }
    }
}

impl Code<'_> {
    /// For each of an operand's matrices the index of the first element of its product.
    pub fn origins(&mut self, source: &OperandSource, batch: Reg) -> Vec<Reg> {
        source.matrices().map(|matrix| self.row_offset(&matrix.batch, batch)).collect()
    }

    /// `N` elements along a column from `(row, col)` on, each with its neighbours along the row.
    fn elements<const N: usize>(&mut self, source: &OperandSource, batch: Reg, row: Reg, col: Reg) -> [Reg; N] {
        let indices = self.indices(source, batch, row, col);
        self.elements_at(source, &indices)
    }

    /// The index of element `(row, col)` of a product in each of an operand's matrices.
    pub fn indices(&mut self, source: &OperandSource, batch: Reg, row: Reg, col: Reg) -> Vec<Reg> {
        let origins = self.origins(source, batch);
        let indices = source.matrices().zip(origins).map(|(matrix, origin)| {
            let (i, j) = (self.nested_offset(matrix.rows.nested(), row), self.nested_offset(matrix.cols.nested(), col));
            let index = self.b.index_add(origin, i);
            self.b.index_add(index, j)
        });
        indices.collect()
    }

    /// As [`Code::elements`], given the index of the first one in each matrix.
    pub fn elements_at<const N: usize>(&mut self, source: &OperandSource, indices: &[Reg]) -> [Reg; N] {
        let load = |s: &mut Self, place: Place, class: Class, matrix: &Matrix, index: Reg| -> [Reg; N] {
            let base = s.memory(place);
            let (row, col) = matrix.steps();
            let addresses: [Address; N] = std::array::from_fn(|i| s.element(class, base, index, i as i64 * row));
            if N == FOUR && row == 1 && col > 1 && s.b.mode().is_vector() && class != Class::Double {
                let four = s.b.load_transposed(class, addresses[0], col);
                return std::array::from_fn(|i| four[i]);
            }
            addresses.map(|address| s.b.load_strided(class, address, col))
        };
        let float = self.context.float();
        match source {
            OperandSource::Memory { place, matrix } => load(self, *place, float, matrix, indices[0]),
            OperandSource::Computed { function, operands } => {
                let operands = operands.iter().zip(indices).map(|((leaf, matrix), &index)| match leaf {
                    Leaf::Float(bits) => [self.b.constant(f32::from_bits(*bits)); N],
                    Leaf::Double(bits) => [self.b.dconstant(f64::from_bits(*bits)); N],
                    Leaf::Memory { place, class, .. } => load(self, *place, *class, matrix, index),
                    leaf => unreachable!("{leaf:?} is no operand of a prologue"),
                });
                let operands: Vec<[Reg; N]> = operands.collect();
                // those that are computed while they are packed have operands of their own type
                let dtype = if float == Class::Double { DType::F64 } else { DType::F32 };
                self.apply(*function, dtype, &operands)
            }
        }
    }

    /// The right operand's rows `chunk` and columns `cols`, in strips of `strip` columns if it is packed.
    pub fn prepare_right(
        &mut self,
        source: &OperandSource,
        (batch, product): (Reg, Product),
        chunk: Span,
        cols: Span,
        (scratch, strip): (usize, usize),
    ) -> Panel {
        match source {
            OperandSource::Memory { place, matrix } if !source.is_packed_right(product) => {
                let (depth, free) = matrix.steps();
                self.in_place((*place, matrix), batch, (free, depth))
            }
            _ => {
                let panel = self.packed(
                    chunk,
                    cols,
                    (strip_pitch(strip, self.context.target) as i64, 1, strip as i64),
                    scratch,
                );
                self.pack_strips(source, batch, chunk, cols, strip, panel);
                panel
            }
        }
    }

    /// The left operand's rows `rows` and columns `chunk`, in strips of `strip` rows if it is transposed and packed.
    pub fn prepare_left(
        &mut self,
        source: &OperandSource,
        (batch, product): (Reg, Product),
        rows: Span,
        chunk: Span,
        (scratch, strip): (usize, usize),
    ) -> Panel {
        match source {
            OperandSource::Memory { place, matrix } if !source.is_packed_left(product) => {
                self.in_place((*place, matrix), batch, matrix.steps())
            }
            _ if source.has_windows() => {
                let rows = self.pack_windows(source, batch, rows, chunk, scratch);
                self.packed(chunk, rows, (ROW_PITCH as i64, ROW_PITCH as i64, 1), scratch)
            }
            _ if source.is_in_strips(product) => {
                let panel = self.packed(
                    chunk,
                    rows,
                    (strip_pitch(strip, self.context.target) as i64, 1, strip as i64),
                    scratch,
                );
                self.pack_strips(&source.transposed(), batch, chunk, rows, strip, panel);
                panel
            }
            _ => {
                let panel = self.packed(chunk, rows, (ROW_PITCH as i64, ROW_PITCH as i64, 1), scratch);
                self.pack_rows(source, batch, rows, chunk, panel);
                panel
            }
        }
    }

    fn in_place(&mut self, (place, matrix): (Place, &Matrix), batch: Reg, (free, depth): (i64, i64)) -> Panel {
        let base = self.memory(place);
        let origin = self.row_offset(&matrix.batch, batch);
        Panel { base, origin, offset: 0, tiles: free, free, depth, is_padded: false }
    }

    fn packed(&mut self, chunk: Span, free_axis: Span, (tiles, free, depth): (i64, i64, i64), offset: usize) -> Panel {
        let (before, above) =
            (self.b.index_scale_signed(free_axis.first, tiles), self.b.index_scale_signed(chunk.first, depth));
        let before = self.b.index_add(before, above);
        let origin = self.b.index(0);
        let origin = self.b.index_sub(origin, before);
        Panel { base: Base::Scratch, origin, offset, tiles, free, depth, is_padded: true }
    }

    /// Writes rows and columns of an operand to a panel of strips of `strip` columns, padded with zeros.
    pub fn pack_strips(
        &mut self,
        source: &OperandSource,
        batch: Reg,
        rows: Span,
        cols: Span,
        strip: usize,
        panel: Panel,
    ) {
        let pack = |s: &mut Self, (row, is_four): (Reg, bool), (col, filled): (Reg, usize)| {
            let to_row = s.b.index_scale_signed(row, panel.depth);
            let to_col = s.b.index_scale_signed(col, panel.tiles);
            let index = s.b.index_add(panel.origin, to_row);
            let index = s.b.index_add(index, to_col);
            let pieces = (0..strip).step_by(s.context.width()).map(|j| {
                let col = s.b.index_offset(col, j as i64);
                let lanes = filled.saturating_sub(j).min(s.context.width());
                s.lanes(lanes, |s| match (lanes, is_four) {
                    (0, _) => vec![s.float_constant(0.0); if is_four { FOUR } else { 1 }],
                    (_, true) => s.elements::<FOUR>(source, batch, row, col).to_vec(),
                    (_, false) => s.elements::<1>(source, batch, row, col).to_vec(),
                })
            });
            let pieces: Vec<Vec<Reg>> = pieces.collect();
            // a piece may reach into the next row, which is written later, or beyond the strip
            for i in 0..pieces[0].len() {
                for (j, piece) in pieces.iter().enumerate() {
                    let offset = (panel.offset + i * strip + j * s.context.width()) as i64;
                    let address = s.float_at(panel.base, index, offset);
                    s.b.store_whole(address, piece[i]);
                }
            }
        };
        // in the order of the operand's memory
        if source.is_transposed() {
            self.each_strip(cols, strip, |s, strip| s.each_four(rows, |s, four| pack(s, four, strip)));
        } else {
            self.each_four(rows, |s, four| s.each_strip(cols, strip, |s, strip| pack(s, four, strip)));
        }
    }

    /// `body` for the first of each `strip` columns and how many of them there are.
    fn each_strip(&mut self, cols: Span, strip: usize, body: impl Fn(&mut Self, (Reg, usize))) {
        let mut whole = cols.first;
        if cols.extent >= strip {
            whole = self.repeat_whole(cols.first, cols.last, strip, |s, col| body(s, (col, strip)));
        }
        if !cols.extent.is_multiple_of(strip) {
            // ranges of columns begin at multiples of the strip
            self.repeat(whole, cols.last, strip as i64, |s, col| body(s, (col, cols.extent % strip)));
        }
    }

    /// Writes rows and columns of an operand to a panel of rows.
    pub fn pack_rows(&mut self, source: &OperandSource, batch: Reg, rows: Span, cols: Span, panel: Panel) {
        self.repeat(rows.first, rows.last, 1, |s, row| {
            let to_row = s.b.index_scale_signed(row, panel.tiles);
            let to_row = s.b.index_add(panel.origin, to_row);
            s.each_column([cols.first, cols.last], NOISE_BLOCK, cols.extent, FOUR, |s, columns| {
                for &col in columns {
                    let [x] = s.elements(source, batch, row, col);
                    let index = s.b.index_add(to_row, col);
                    let address = s.float_at(panel.base, index, panel.offset as i64);
                    s.b.store_whole(address, x);
                }
            });
        });
    }

    /// `body` for the first of each four of `rows`, and for each of the rest, with whether it is of four.
    fn each_four(&mut self, rows: Span, body: impl Fn(&mut Self, (Reg, bool))) {
        let mut whole = rows.first;
        if rows.extent >= FOUR {
            whole = self.repeat_whole(rows.first, rows.last, FOUR, |s, row| body(s, (row, true)));
        }
        if !rows.extent.is_multiple_of(FOUR) {
            // ranges of rows begin at multiples of four
            self.repeat(whole, rows.last, 1, |s, row| body(s, (row, false)));
        }
    }
}

impl OperandSource {
    /// The matrices that elements are made of, with their memory if they are no constants.
    pub fn places(&self) -> impl Iterator<Item = (Option<Place>, &Matrix)> {
        let (memory, computed) = match self {
            OperandSource::Memory { place, matrix } => (Some((Some(*place), matrix)), &[][..]),
            OperandSource::Computed { operands, .. } => (None, &operands[..]),
        };
        let place = |leaf: &Leaf| match leaf {
            Leaf::Memory { place, .. } => Some(*place),
            _ => None,
        };
        memory.into_iter().chain(computed.iter().map(move |(leaf, matrix)| (place(leaf), matrix)))
    }

    /// The matrices that elements are made of.
    pub fn matrices(&self) -> impl Iterator<Item = &Matrix> {
        self.places().map(|(_, matrix)| matrix)
    }

    /// Whether all products of a batch have the same operand.
    pub fn is_same_for_all_products(&self) -> bool {
        let is_same = |axis: &Axis| axis.nested().iter().all(|&(_, stride)| stride == 0);
        self.matrices().all(|matrix| matrix.batch.axes.iter().all(is_same))
    }

    /// Whether rows or columns lie in memory in a way that no one stride describes.
    pub fn has_windows(&self) -> bool {
        !self.matrices().all(Matrix::is_strided)
    }

    /// Whether a product packs this right operand.
    pub fn is_packed_right(&self, Product { rows, cols, depth, target }: Product) -> bool {
        let (chunk, cache) = (depth.min(DOT_CHUNK) * cols * 4, target.machine().second_level);
        let is_near =
            chunk <= cache / IN_PLACE_PART_OF_ANY_ROWS || rows <= IN_PLACE_ROWS && chunk <= cache / IN_PLACE_PART;
        match self {
            OperandSource::Memory { matrix, .. } if matrix.steps().1 == 1 => {
                let reads_in_place = target.has_large_tiles() && is_near && !self.lines_compete();
                rows >= PACK_ROWS && !reads_in_place
            }
            OperandSource::Memory { .. } => !self.is_transposed_right(rows),
            OperandSource::Computed { .. } => true,
        }
    }

    /// Whether a product of `rows` rows reads this right operand in place, four neighbours of each column at a time:
    /// one row reads it once.
    pub fn is_transposed_right(&self, rows: usize) -> bool {
        rows == 1 && matches!(self, OperandSource::Memory { matrix, .. } if matches!(matrix.steps(), (1, 2..)))
    }

    /// Whether this left operand is read in place, and its rows compete for a few sets of a cache.
    pub fn rows_compete(&self, product: Product) -> bool {
        let far = |matrix: &Matrix| compete(matrix.steps().0.unsigned_abs() as usize);
        matches!(self, OperandSource::Memory { matrix, .. } if !self.is_packed_left(product) && far(matrix))
    }

    /// Whether neighbouring rows or columns lie so that they compete for a few sets of a cache.
    pub fn lines_compete(&self) -> bool {
        self.matrices().any(|matrix| {
            let (row, col) = matrix.steps();
            compete(row.unsigned_abs().max(col.unsigned_abs()) as usize)
        })
    }

    /// Whether this right operand lies in rows, and is too large for the second-level cache.
    pub fn has_far_rows(&self, Product { cols, depth, target, .. }: Product) -> bool {
        depth * cols * 4 > target.machine().second_level && self.matrices().all(|matrix| matrix.steps().1 == 1)
    }

    /// Whether a product packs this left operand.
    pub fn is_packed_left(&self, Product { rows, cols, depth, target }: Product) -> bool {
        let cache = target.machine().second_level;
        let is_near = depth.min(DOT_CHUNK) * rows * 4 <= cache / IN_PLACE_PART_OF_LEFT;
        match self {
            _ if self.has_windows() => true,
            OperandSource::Memory { matrix, .. } => {
                let reads_in_place =
                    target.has_large_tiles() && is_near && matrix.steps().0 == 1 && !self.lines_compete();
                cols >= PACK_COLUMNS && matrix.steps().1 != 1 && !reads_in_place
            }
            OperandSource::Computed { .. } => true,
        }
    }

    /// Whether a product packs this left operand in strips of rows.
    pub fn is_in_strips(&self, product: Product) -> bool {
        self.is_packed_left(product) && !self.has_windows() && self.is_transposed()
    }

    /// Whether neighbours in a column are closer than neighbours in a row.
    fn is_transposed(&self) -> bool {
        self.matrices().any(|matrix| matches!(matrix.steps(), (1, 2..)))
    }

    /// The operand with rows and columns exchanged.
    pub fn transposed(&self) -> OperandSource {
        let swap = |matrix: &Matrix| Matrix {
            rows: matrix.cols.clone(),
            cols: matrix.rows.clone(),
            batch: matrix.batch.clone(),
        };
        match self {
            OperandSource::Memory { place, matrix } => OperandSource::Memory { place: *place, matrix: swap(matrix) },
            OperandSource::Computed { function, operands } => {
                let operands = operands.iter().map(|(leaf, matrix)| (leaf.clone(), swap(matrix))).collect();
                OperandSource::Computed { function: *function, operands }
            }
        }
    }
}

/// The distance of strips for each of their columns: room for a chunk's rows and for the last piece to reach beyond
/// them, which also keeps strips from competing for the same lines of a cache.
pub fn strip_pitch(strip: usize, target: Target) -> usize {
    DOT_CHUNK + target.lanes().div_ceil(strip)
}

fn matrix(view: &View) -> Matrix {
    let rank = view.shape.len();
    let mut batch = view.clone();
    // the batch axes, with a last axis of one element, so that the batch number is a row
    batch.shape = view.shape[..rank - 2].iter().copied().chain([1]).collect();
    batch.axes = view.axes[..rank - 2].iter().cloned().chain([Axis::default()]).collect();
    Matrix { rows: view.axes[rank - 2].clone(), cols: view.axes[rank - 1].clone(), batch }
}
