//! Reductions of rows of doubles: one chain each, in increasing order. Several chains go side by side, since the operations of one wait
//! for each other: where there are vectors of doubles, each lane has the chain of a row.

use super::element::{Points, Row};
use super::{Lowering, Tiling};
use crate::tile::{Address, Base, Class, Reg};
use bayeslift_ir::{DoubleLanes, Kind, Reduction, Value};

/// How many rows are reduced side by side where there are no vectors.
const ROWS_ABREAST: usize = 4;
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

impl Lowering<'_> {
    /// Whether the kernel reduces rows of doubles.
    pub(super) fn reduces_in_order(&self) -> bool {
        !self.kernel.row_reductions().is_empty() && self.kernel.is_of_doubles(&self.plan.graph)
    }

    /// A kernel that reduces rows of doubles, and computes about so many in one go. Returns the number of tiles.
    pub(super) fn rows_in_order(&mut self, rows: usize, cols: usize, at_once: usize) -> usize {
        // draws come for two vectors at a time, in an order of their own
        let lanes = if self.noise_sites().is_empty() { self.target.lanes() } else { 1 };
        let abreast = if lanes > 1 { lanes } else { ROWS_ABREAST };
        let at_once = at_once.next_multiple_of(abreast);
        let reductions = self.kernel.row_reductions().to_vec();
        let chain = |reduction: Value| {
            let place = if lanes > 1 { self.take_scratch(2 * lanes * BLOCK) } else { 0 };
            Chain { reduction, function: self.reduction(reduction), place }
        };
        let chains: Vec<Chain> = reductions.into_iter().map(chain).collect();
        // a tile of whole vectors of rows
        self.tiling = Some(Tiling::of_one_block(rows * cols, lanes * cols));
        self.tiles(rows, lanes, at_once, |s, first, last| {
            s.prepare_rows(first, last, at_once.min(rows));
            let some_rows = |s: &mut Self, row: Reg, count: usize| match lanes {
                1 => s.reduce_rows(row, count, cols, &chains),
                _ => s.reduce_rows_in_lanes(row, count, cols, &chains),
            };
            let mut rest = first;
            if rows >= abreast {
                rest = s.repeat_whole(first, last, abreast, |s, row| some_rows(s, row, abreast));
            }
            // single rows may be left in any range of them
            let left = if lanes > 1 { rows % lanes } else { 1 };
            if left > 0 {
                s.repeat(rest, last, left as i64, |s, row| some_rows(s, row, left));
            }
        })
    }

    /// Computes and stores so many rows, from `first` on, and what they are reduced to: all in turns, by the element.
    fn reduce_rows(&mut self, first: Reg, count: usize, cols: usize, chains: &[Chain]) {
        let rows: Vec<Reg> = (0..count).map(|i| self.b.index_offset(first, i as i64)).collect();
        let rows: Vec<Row> = rows.into_iter().map(|row| self.enter_row(row, None)).collect();
        let none = self.identities(chains).repeat(count);
        let (start, end) = (self.b.index(0), self.b.index(cols));
        let results = self.repeat_carrying(start, end, 1, &none, |s, col, so_far| {
            let mut next = Vec::with_capacity(so_far.len());
            for (row, so_far) in rows.iter().zip(so_far.chunks(chains.len())) {
                let mut points = Points::new([col]);
                for (chain, &so_far) in chains.iter().zip(so_far) {
                    let [x] = s.eval(s.plan.graph.node(chain.reduction).args[0], row, &mut points);
                    next.push(step(chain.function, &mut s.b, so_far, x));
                }
                s.store(row, &mut points);
            }
            next
        });
        for (row, results) in rows.iter().zip(results.chunks(chains.len())) {
            self.store_chains(row.row, results, chains);
        }
    }

    /// As [`Lowering::reduce_rows`], for at most as many rows as a vector has lanes: vectors of neighbours in a row are computed and kept in
    /// scratch memory, and from there lanes take a column of all rows.
    fn reduce_rows_in_lanes(&mut self, first: Reg, count: usize, cols: usize, chains: &[Chain]) {
        let none = self.in_lanes(count, |s| s.identities(chains));
        let (start, end) = (self.b.index(0), self.b.index(cols));
        let results = self.repeat_carrying(start, end, BLOCK as i64, &none, |s, block, so_far| {
            let block_end = s.b.index_offset(block, BLOCK as i64);
            let block_end = s.b.index_min(block_end, end);
            let (zero, rows) = (s.b.index(0), s.b.index(count));
            s.repeat(zero, rows, 1, |s, number| {
                let row = s.b.index_add(first, number);
                let row = s.enter_row(row, None);
                let abreast = s.abreast_of_row();
                s.each_column([block, block_end], BLOCK, cols, abreast, |s, cols| match *cols {
                    [a, b, c, d] => s.keep_elements(&row, [number, block], [a, b, c, d], chains),
                    [a, b] => s.keep_elements(&row, [number, block], [a, b], chains),
                    _ => cols.iter().for_each(|&col| s.keep_elements(&row, [number, block], [col], chains)),
                });
            });
            s.in_lanes(count, |s| s.follow([block, block_end], so_far, chains))
        });
        self.in_lanes(count, |s| s.store_chains(first, &results, chains));
    }

    /// Runs `body` with a lane for each of so many rows; of a single one, with scalars.
    fn in_lanes<T>(&mut self, rows: usize, body: impl FnOnce(&mut Self) -> T) -> T {
        if rows > 1 { self.lanes(rows, body) } else { body(self) }
    }

    /// Computes what is reduced at some columns, of the row of this number, and stores what the kernel stores there.
    fn keep_elements<const N: usize>(
        &mut self,
        row: &Row,
        [number, block]: [Reg; 2],
        cols: [Reg; N],
        chains: &[Chain],
    ) {
        let mut points = Points::new(cols);
        for chain in chains {
            let operand = self.plan.graph.node(chain.reduction).args[0];
            for (col, x) in cols.into_iter().zip(self.eval(operand, row, &mut points)) {
                let (from_row, from_block) = (self.b.index_scale(number, BLOCK), self.b.index_sub(col, block));
                let element = self.b.index_add(from_row, from_block);
                let address = self.kept(chain, element);
                self.b.store(address, x);
            }
        }
        self.store(row, &mut points);
    }

    fn kept(&mut self, chain: &Chain, element: Reg) -> Address {
        let address = self.element(Base::Scratch, Class::Double, element);
        Address { offset: chain.place as i64, ..address }
    }

    /// Takes the columns of a block, one after the other.
    fn follow(&mut self, [block, end]: [Reg; 2], so_far: &[Reg], chains: &[Chain]) -> Vec<Reg> {
        let column = |s: &mut Self, col: Reg, so_far: &[Reg]| {
            let from_block = s.b.index_sub(col, block);
            let mut next = |(chain, &so_far): (&Chain, &Reg)| {
                let address = s.kept(chain, from_block);
                let x = s.b.load_strided(Class::Double, address, BLOCK as i64);
                step(chain.function, &mut s.b, so_far, x)
            };
            chains.iter().zip(so_far).map(&mut next).collect::<Vec<Reg>>()
        };
        match (self.b.constant_index(block), self.b.constant_index(end)) {
            (Some(block), Some(end)) if end - block <= SHORT => (block..end).fold(so_far.to_vec(), |so_far, col| {
                let col = self.b.index(col as usize);
                column(self, col, &so_far)
            }),
            _ => self.repeat_carrying(block, end, 1, so_far, column),
        }
    }

    fn identities(&mut self, chains: &[Chain]) -> Vec<Reg> {
        chains.iter().map(|chain| self.b.dconstant(identity(chain.function))).collect()
    }

    fn store_chains(&mut self, row: Reg, results: &[Reg], chains: &[Chain]) {
        for (chain, &result) in chains.iter().zip(results) {
            let base = self.written(chain.reduction);
            let address = self.element(base, self.b.ty(result).class, row);
            self.b.store(address, result);
        }
    }

    /// What a reduction does.
    pub(super) fn reduction(&self, value: Value) -> Reduction {
        match self.plan.graph.node(value).op.kind() {
            Kind::Reduction { function, .. } => function,
            _ => unreachable!("{value} is no reduction"),
        }
    }
}

/// What a reduction of doubles begins with.
pub(super) fn identity(function: Reduction) -> f64 {
    super::sums::identity(function).into()
}

/// What a reduction of doubles makes of what it has and another element.
pub(super) fn step<L: DoubleLanes>(function: Reduction, lanes: &mut L, so_far: L::D, x: L::D) -> L::D {
    match function {
        Reduction::Sum => lanes.dadd(so_far, x),
        Reduction::Max => lanes.dmax(so_far, x),
    }
}
