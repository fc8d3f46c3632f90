//! Reductions of rows of doubles: one chain each, in increasing order. Several chains go side by side, since the
//! operations of one wait for each other: where there are vectors of doubles, each lane has the chain of a row.

use super::Tiling;
use super::code::{Code, Tiles};
use super::noise::RowKeys;
use super::pointwise::{Points, Pointwise, Row};
use crate::tile::{Address, Base, Class, Reg};
use bayeslift_ir::{DoubleLanes, Reduction, Value};

/// How many rows are reduced side by side where there are no vectors.
const INTERLEAVED_ROWS: usize = 4;
/// How many columns of each row are computed, as vectors, and kept in scratch memory before chains take them.
const BLOCK: usize = 64;
/// As many columns follow each other without a loop.
const SHORT: i64 = 16;

/// A reduction of the kernel, and where in scratch memory it finds elements.
struct Chain {
    reduction: Value,
    function: Reduction,
    place: usize,
}

/// Rows that are reduced beside each other.
struct Rows<'e> {
    pointwise: &'e Pointwise<'e>,
    keys: RowKeys,
    chains: &'e [Chain],
    cols: usize,
}

impl Pointwise<'_> {
    /// A kernel that reduces rows of doubles, and computes about `at_once` in one go.
    pub fn rows_in_order(&self, code: &mut Code<'_>, rows: usize, cols: usize, at_once: usize) -> Tiles {
        // draws come for two vectors at a time, in an order of their own
        let lanes = if self.sites.is_empty() { self.context.width() } else { 1 };
        let interleaved = if lanes > 1 { lanes } else { INTERLEAVED_ROWS };
        let at_once = at_once.next_multiple_of(interleaved);
        let chain = |&reduction: &Value| {
            let place = if lanes > 1 { code.take_scratch(2 * lanes * BLOCK) } else { 0 };
            Chain { reduction, function: self.context.reduction(reduction), place }
        };
        let chains: Vec<Chain> = self.context.kernel.row_reductions().iter().map(chain).collect();
        let tiles = code.tiles(rows, lanes, at_once, |code, first, last| {
            let keys = self.prepare_rows(code, first, last, at_once.min(rows));
            let those = Rows { pointwise: self, keys, chains: &chains, cols };
            let some_rows = |code: &mut Code<'_>, row: Reg, count: usize| match lanes {
                1 => those.reduce(code, row, count),
                _ => those.reduce_in_lanes(code, row, count),
            };
            let mut rest = first;
            if rows >= interleaved {
                rest = code.repeat_whole(first, last, interleaved, |code, row| some_rows(code, row, interleaved));
            }
            // single rows may be left in any range of them
            let left = if lanes > 1 { rows % lanes } else { 1 };
            if left > 0 {
                code.repeat(rest, last, left as i64, |code, row| some_rows(code, row, left));
            }
        });
        // a tile of whole vectors of rows
        (tiles, Some(Tiling::of_one_block(rows * cols, lanes * cols)))
    }
}

impl Rows<'_> {
    /// Computes and stores `count` rows, from `first` on, and what they are reduced to: all in turns, by the element.
    fn reduce(&self, code: &mut Code<'_>, first: Reg, count: usize) {
        let Rows { pointwise, chains, .. } = self;
        let rows: Vec<Reg> = (0..count).map(|i| code.b.index_offset(first, i as i64)).collect();
        let rows: Vec<Row> = rows.into_iter().map(|row| pointwise.enter_row(code, row, &self.keys)).collect();
        let none = self.identities(code).repeat(count);
        let (start, end) = (code.b.index(0), code.b.index(self.cols));
        let results = code.repeat_carrying(start, end, 1, &none, |code, col, so_far| {
            let mut next = Vec::with_capacity(so_far.len());
            for (row, so_far) in rows.iter().zip(so_far.chunks(chains.len())) {
                let mut points = Points::new([col]);
                for (chain, &so_far) in chains.iter().zip(so_far) {
                    let operand = code.context.operand(chain.reduction);
                    let [x] = pointwise.eval(code, operand, row, &mut points);
                    next.push(step(chain.function, &mut code.b, so_far, x));
                }
                pointwise.store(code, row, &mut points);
            }
            next
        });
        for (row, results) in rows.iter().zip(results.chunks(chains.len())) {
            self.store(code, row.row, results);
        }
    }

    /// As [`Rows::reduce`], for at most as many rows as a vector has lanes: vectors of neighbours in a row are computed
    /// and kept in scratch memory, and from there lanes take a column of all rows.
    fn reduce_in_lanes(&self, code: &mut Code<'_>, first: Reg, count: usize) {
        let Rows { pointwise, cols, .. } = self;
        let none = in_lanes(code, count, |code| self.identities(code));
        let (start, end) = (code.b.index(0), code.b.index(*cols));
        let results = code.repeat_carrying(start, end, BLOCK as i64, &none, |code, block, so_far| {
            let block_end = code.b.index_offset(block, BLOCK as i64);
            let block_end = code.b.index_min(block_end, end);
            let (zero, rows) = (code.b.index(0), code.b.index(count));
            code.repeat(zero, rows, 1, |code, number| {
                let row = code.b.index_add(first, number);
                let row = pointwise.enter_row(code, row, &self.keys);
                let interleaved = pointwise.interleaved_in_row();
                code.each_column([block, block_end], BLOCK, *cols, interleaved, |code, cols| match *cols {
                    [a, b, c, d] => self.keep_elements(code, &row, [number, block], [a, b, c, d]),
                    [a, b] => self.keep_elements(code, &row, [number, block], [a, b]),
                    _ => cols.iter().for_each(|&col| self.keep_elements(code, &row, [number, block], [col])),
                });
            });
            in_lanes(code, count, |code| self.follow(code, [block, block_end], so_far))
        });
        in_lanes(code, count, |code| self.store(code, first, &results));
    }

    /// Computes what is reduced at some columns, of the row of this number, and stores what the kernel stores there.
    fn keep_elements<const N: usize>(&self, code: &mut Code<'_>, row: &Row, [number, block]: [Reg; 2], cols: [Reg; N]) {
        let mut points = Points::new(cols);
        for chain in self.chains {
            let operand = code.context.operand(chain.reduction);
            for (col, x) in cols.into_iter().zip(self.pointwise.eval(code, operand, row, &mut points)) {
                let (from_row, from_block) = (code.b.index_scale(number, BLOCK), code.b.index_sub(col, block));
                let element = code.b.index_add(from_row, from_block);
                let address = chain.kept(code, element);
                code.b.store(address, x);
            }
        }
        self.pointwise.store(code, row, &mut points);
    }

    /// Takes the columns of a block, one after the other.
    fn follow(&self, code: &mut Code<'_>, [block, end]: [Reg; 2], so_far: &[Reg]) -> Vec<Reg> {
        let column = |code: &mut Code<'_>, col: Reg, so_far: &[Reg]| {
            let from_block = code.b.index_sub(col, block);
            let mut next = |(chain, &so_far): (&Chain, &Reg)| {
                let address = chain.kept(code, from_block);
                let x = code.b.load_strided(Class::Double, address, BLOCK as i64);
                step(chain.function, &mut code.b, so_far, x)
            };
            self.chains.iter().zip(so_far).map(&mut next).collect::<Vec<Reg>>()
        };
        match (code.b.constant_index(block), code.b.constant_index(end)) {
            (Some(block), Some(end)) if end - block <= SHORT => (block..end).fold(so_far.to_vec(), |so_far, col| {
                let col = code.b.index(col as usize);
                column(code, col, &so_far)
            }),
            _ => code.repeat_carrying(block, end, 1, so_far, column),
        }
    }

    fn identities(&self, code: &mut Code<'_>) -> Vec<Reg> {
        self.chains.iter().map(|chain| code.b.dconstant(identity(chain.function))).collect()
    }

    fn store(&self, code: &mut Code<'_>, row: Reg, results: &[Reg]) {
        for (chain, &result) in self.chains.iter().zip(results) {
            let base = code.written(chain.reduction);
            let address = code.element(code.b.ty(result).class, base, row, 0);
            code.b.store(address, result);
        }
    }
}

impl Chain {
    /// Where an element of this number is kept.
    fn kept(&self, code: &mut Code<'_>, element: Reg) -> Address {
        let address = code.element(Class::Double, Base::Scratch, element, 0);
        Address { offset: self.place as i64, ..address }
    }
}

/// Runs `body` with a lane for each of `rows` rows; of a single one, with scalars.
fn in_lanes<T>(code: &mut Code<'_>, rows: usize, body: impl FnOnce(&mut Code<'_>) -> T) -> T {
    if rows > 1 { code.lanes(rows, body) } else { body(code) }
}

/// What a reduction of doubles begins with.
pub fn identity(function: Reduction) -> f64 {
    super::sums::identity(function).into()
}

/// What a reduction of doubles makes of what it has and another element.
pub fn step<L: DoubleLanes>(function: Reduction, lanes: &mut L, so_far: L::D, x: L::D) -> L::D {
    match function {
        Reduction::Sum => lanes.dadd(so_far, x),
        Reduction::Max => lanes.dmax(so_far, x),
    }
}
