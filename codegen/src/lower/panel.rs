//! Operands of matrix products: read in place, or packed into panels where they are computed, where their neighbours
//! lie apart, or where their rows compete for the same lines of a cache.

use super::element::Leaf;
use super::shape::compete;
use super::{Argument, Lowering};
use crate::tile::{Address, Base, Class, Reg};
use bayeslift_ir::{DOT_CHUNK, DType, Lanes, Value};
use bayeslift_passes::{Operand, View};

/// Products with fewer rows than this read the right operand too seldom to pack it without need.
const PACK_ROWS: usize = 24;
/// Products with fewer columns than this read a transposed left operand too seldom to pack it.
const PACK_COLUMNS: usize = 24;
/// Rows that are packed at once.
const FOUR: usize = 4;

/// A matrix operand: element `(i, j)` of product `batch` lies at `batch_offset + i * row + j * col`.
#[derive(Clone)]
pub(super) struct Matrix {
    row: usize,
    col: usize,
    batch: View,
}

/// Where the elements of an operand come from.
pub(super) enum Source {
    Memory {
        base: Base,
        matrix: Matrix,
    },
    /// Computed from leaves of the same shape.
    Computed {
        value: Value,
        operands: Vec<(Leaf, Matrix)>,
    },
}

impl Source {
    /// Whether neighbours in a column are closer than neighbours in a row.
    fn is_transposed(&self) -> bool {
        let transposed = |matrix: &Matrix| matrix.row == 1 && matrix.col > 1;
        match self {
            Source::Memory { matrix, .. } => transposed(matrix),
            Source::Computed { operands, .. } => operands.iter().any(|(_, matrix)| transposed(matrix)),
        }
    }
}

/// A panel of an operand: element `(i, j)` lies at `base[origin + offset + i * row + j * col]`.
#[derive(Clone, Copy)]
pub(super) struct Panel {
    pub base: Base,
    pub origin: Reg,
    pub row: usize,
    pub col: usize,
    pub offset: usize,
    /// Whether rows are padded to whole register tiles.
    pub is_padded: bool,
}

/// A range of an operand's rows or columns.
#[derive(Clone, Copy)]
pub(super) struct Span {
    pub first: Reg,
    pub last: Reg,
    /// How many there are in all.
    pub extent: usize,
}

impl Lowering<'_> {
    pub(super) fn source(&mut self, operand: Value) -> Source {
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

    /// The index of element `(row, col)` of the tile's product.
    fn element_index(&mut self, matrix: &Matrix, batch: Reg, row: Reg, col: Reg) -> Reg {
        let origin = self.row_offset(&matrix.batch, batch);
        let (i, j) = (self.b.index_scale(row, matrix.row), self.b.index_scale(col, matrix.col));
        let index = self.b.index_add(origin, i);
        self.b.index_add(index, j)
    }

    /// `N` elements along a column from `(row, col)` on, each with its neighbours along the row.
    fn elements<const N: usize>(&mut self, source: &Source, batch: Reg, row: Reg, col: Reg) -> [Reg; N] {
        let load = |s: &mut Self, base: Base, class: Class, matrix: &Matrix| -> [Reg; N] {
            let index = s.element_index(matrix, batch, row, col);
            let address = |i: usize| Address { base, index, offset: (i * matrix.row) as i64 };
            if N == FOUR && matrix.row == 1 && matrix.col > 1 && s.b.vector {
                let four = s.b.load_transposed(class, address(0), matrix.col as i64);
                return std::array::from_fn(|i| four[i]);
            }
            std::array::from_fn(|i| s.b.load_strided(class, address(i), matrix.col as i64))
        };
        match source {
            Source::Memory { base, matrix } => load(self, *base, Class::Float, matrix),
            Source::Computed { value, operands } => {
                let operands = operands.iter().map(|(leaf, matrix)| match leaf {
                    Leaf::Float(bits) => [self.b.constant(f32::from_bits(*bits)); N],
                    Leaf::Memory { argument, class, .. } => load(self, Base::Argument(*argument), *class, matrix),
                    leaf => unreachable!("{leaf:?} is no operand of a prologue"),
                });
                let operands: Vec<[Reg; N]> = operands.collect();
                let op = self.plan.graph.node(*value).op.clone();
                std::array::from_fn(|i| {
                    let args: Vec<Reg> = operands.iter().map(|operand| operand[i]).collect();
                    self.apply(&op, DType::F32, &args)
                })
            }
        }
    }

    /// The right operand's rows `chunk` and columns `cols`, as the register tiles of a product of `rows` rows read them.
    pub(super) fn prepare_right(
        &mut self,
        source: &Source,
        (batch, rows): (Reg, usize),
        chunk: Span,
        cols: Span,
        (scratch, pitch): (usize, usize),
    ) -> Panel {
        if let Source::Memory { base, matrix: matrix @ Matrix { col: 1, .. } } = source
            && (rows < env("BL_PR", PACK_ROWS) || (env("BL_IP",1)==1 && !compete(matrix.row)))
        {
            let origin = self.row_offset(&matrix.batch, batch);
            return Panel { base: *base, origin, row: matrix.row, col: 1, offset: 0, is_padded: false };
        }
        self.pack(source, batch, chunk, cols, (scratch, pitch));
        self.packed(chunk, cols, pitch, scratch)
    }

    /// The left operand's rows `rows` and columns `chunk`, as the register tiles of a product of `cols` columns read them.
    pub(super) fn prepare_left(
        &mut self,
        source: &Source,
        batch: Reg,
        rows: Span,
        chunk: Span,
        cols: usize,
        scratch: usize,
    ) -> Panel {
        match source {
            Source::Memory { base, matrix } if matrix.col == 1 || cols < env("BL_PC", PACK_COLUMNS) => {
                let origin = self.row_offset(&matrix.batch, batch);
                Panel { base: *base, origin, row: matrix.row, col: matrix.col, offset: 0, is_padded: false }
            }
            _ => {
                self.pack(source, batch, rows, chunk, (scratch, DOT_CHUNK));
                self.packed(rows, chunk, DOT_CHUNK, scratch)
            }
        }
    }

    /// A packed panel, addressed by the rows and columns of its operand.
    fn packed(&mut self, rows: Span, cols: Span, pitch: usize, scratch: usize) -> Panel {
        let above = self.b.index_scale(rows.first, pitch);
        let before = self.b.index_add(above, cols.first);
        let origin = self.b.index(0);
        let origin = self.b.index_sub(origin, before);
        Panel { base: Base::Scratch, origin, row: pitch, col: 1, offset: scratch, is_padded: true }
    }

    /// Writes rows and columns of an operand to scratch memory, rows `pitch` apart and padded to whole vectors.
    fn pack(&mut self, source: &Source, batch: Reg, rows: Span, cols: Span, (scratch, pitch): (usize, usize)) {
        let store = |s: &mut Self, row: Reg, col: Reg, i: usize, x: Reg| {
            let row = s.b.index_sub(row, rows.first);
            let row = s.b.index_scale(row, pitch);
            let col = s.b.index_sub(col, cols.first);
            let index = s.b.index_add(row, col);
            s.b.store_whole(Address { base: Base::Scratch, index, offset: (scratch + i * pitch) as i64 }, x);
        };
        let block = |s: &mut Self, row: Reg, col: Reg, is_four: bool| {
            if is_four {
                let four: [Reg; FOUR] = s.elements(source, batch, row, col);
                four.into_iter().enumerate().for_each(|(i, x)| store(s, row, col, i, x));
            } else {
                let [x] = s.elements(source, batch, row, col);
                store(s, row, col, 0, x);
            }
        };
        // in the order of its memory
        if source.is_transposed() {
            self.each_column(cols.first, cols.last, cols.extent, |s, col| {
                s.each_four(rows, |s, row, is_four| block(s, row, col, is_four));
            });
        } else {
            self.each_four(rows, |s, row, is_four| {
                s.each_column(cols.first, cols.last, cols.extent, |s, col| block(s, row, col, is_four));
            });
        }
    }

    /// `body` for each four of `rows`, and for each of the rest.
    fn each_four(&mut self, rows: Span, body: impl Fn(&mut Self, Reg, bool)) {
        let count = self.b.index_sub(rows.last, rows.first);
        let whole = self.b.index_round_down(count, FOUR);
        let whole = self.b.index_add(rows.first, whole);
        if rows.extent >= FOUR {
            self.repeat(rows.first, whole, FOUR as i64, |s, row| body(s, row, true));
        }
        self.repeat(whole, rows.last, 1, |s, row| body(s, row, false));
    }
}

fn matrix(view: &View) -> Matrix {
    let rank = view.shape.len();
    let mut batch = view.clone();
    // the batch axes, with a last axis of one element, so that the batch number is a row
    batch.shape = view.shape[..rank - 2].iter().copied().chain([1]).collect();
    batch.strides = view.strides[..rank - 2].iter().copied().chain([0]).collect();
    Matrix { row: view.strides[rank - 2], col: view.strides[rank - 1], batch }
}

pub(super) fn env(name: &str, default: usize) -> usize { std::env::var(name).ok().and_then(|x| x.parse().ok()).unwrap_or(default) }
