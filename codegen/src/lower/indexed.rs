//! Rows by their numbers: read, added up, replaced, and found equal.
//!
//! What has no row's number is left out by a loop that runs once or never. Numbers that are equal are found by a map
//! from numbers to positions that is never cleared (a sparse set; Briggs and Torczon 1993): what it has counts only if
//! it is a position that was noted, and has that number.

use super::code::Code;
use super::leaf::Leaf;
use super::noise::RowKeys;
use super::pointwise::{Points, Pointwise, Row};
use super::shape::{INTERLEAVED, NOISE_BLOCK};
use crate::tile::{Address, Base, Class, Reg};
use bayeslift_ir::{DOT_CHUNK, Indexed, Kind, Lanes, Value};
use bayeslift_passes::Read;

/// About how many elements are gathered in one tile.
const TILE: usize = 1024;

/// The numbers that an indexed kernel goes by, and what they are below if they are rows'.
#[derive(Clone, Copy)]
struct Numbers {
    base: Base,
    rows: usize,
}

/// A map from numbers to positions, in scratch memory.
#[derive(Clone, Copy)]
struct Map(usize);

impl Pointwise<'_> {
    /// A kernel of rows that have numbers. Returns the number of tiles.
    pub fn indexed(&self, code: &mut Code<'_>, value: Value) -> usize {
        let node = self.context.plan.graph.node(value);
        let Kind::Indexed(indexed) = node.op.kind() else { unreachable!("{value} is indexed") };
        let base = self.whole(code, |read| matches!(read, Read::Numbers { .. }));
        let shape = |i: usize| &self.context.plan.graph.ty(node.args[i]).shape;
        let (n, batch) = {
            let numbers = shape(indexed.numbers());
            (numbers.last_extent(), numbers.rows())
        };
        match indexed {
            Indexed::Gather => {
                let rows = shape(0)[shape(0).len() - 2];
                self.gather(code, value, Numbers { base, rows }, batch, n)
            }
            Indexed::ScatterAdd { rows } => self.scatter_add(code, value, Numbers { base, rows }, batch, n),
            Indexed::ScatterRows => self.scatter_rows(code, value, Numbers { base, rows: shape(0)[0] }, n),
            Indexed::FirstEqual { rows } => self.first_equal(code, value, Numbers { base, rows }, n),
        }
    }

    /// The memory that is read as a whole.
    fn whole(&self, code: &mut Code<'_>, is_it: impl Fn(&Read) -> bool) -> Base {
        let read = self.context.kernel.reads.iter().find(|read| is_it(read)).expect("the kernel reads it");
        let source = read.views()[0].source;
        let leaf = self.context.leaf(read.views()[0].clone());
        let Leaf::Memory { place, .. } = leaf else { unreachable!("{source} is in memory") };
        code.memory(place)
    }

    fn gather(&self, code: &mut Code<'_>, value: Value, numbers: Numbers, batch: usize, n: usize) -> usize {
        let operand = self.context.operand(value);
        let (cols, base) = (self.context.kernel.cols, code.written(value));
        let at_once = TILE.div_ceil(cols);
        code.tiles(batch * n, at_once, at_once, |code, first, last| {
            code.repeat(first, last, 1, |code, i| {
                let (word, number) = code.number(numbers, i);
                let end = code.b.index(numbers.rows - 1);
                let number = code.b.index_min(number, end);
                let table = code.b.index_div(i, n);
                let table = code.b.index_scale(table, numbers.rows);
                let row = code.b.index_add(table, number);
                let row = self.enter_row(code, row, &RowKeys::none());
                let at = code.b.index_scale(i, cols);
                self.row_of(code, operand, &row, |code, col, x| {
                    let word = code.b.splat(word);
                    let is_row = code.is_below(word, numbers.rows);
                    let zero = code.float_constant(0.0);
                    let x = code.choose(is_row, x, zero);
                    let index = code.b.index_add(at, col);
                    let address = code.float_at(base, index, 0);
                    code.b.store(address, x);
                });
            });
        })
    }

    fn scatter_add(&self, code: &mut Code<'_>, value: Value, numbers: Numbers, batch: usize, n: usize) -> usize {
        let operand = self.context.operand(value);
        let (cols, base) = (self.context.kernel.cols, code.written(value));
        let block = numbers.rows * cols;
        // sums of a chunk, and where numbers were seen first in it
        let chunked =
            (n > DOT_CHUNK).then(|| (code.take_floats(DOT_CHUNK * cols), Map(code.take_scratch(numbers.rows))));
        code.tiles(batch, 1, 1, |code, tile, _| {
            let start = code.b.index_scale(tile, block);
            code.clear_elements(base, start, block);
            let first = code.b.index_scale(tile, n);
            let [none, end] = [0, n].map(|index| code.b.index(index));
            let Some((sums, map)) = chunked else {
                code.repeat(none, end, 1, |code, i| {
                    let i = code.b.index_add(first, i);
                    code.if_row(numbers, i, |code, number| {
                        let at = code.b.index_scale(number, cols);
                        let at = code.b.index_add(start, at);
                        self.add_operand(code, operand, i, (base, at));
                    });
                });
                return;
            };
            code.repeat(none, end, DOT_CHUNK as i64, |code, chunk| {
                let last = code.b.index_offset(chunk, DOT_CHUNK as i64);
                let last = code.b.index_min(last, end);
                let chunk = [chunk, last].map(|position| code.b.index_add(first, position));
                self.add_equal(code, operand, numbers, chunk, (sums, map), (base, start));
            });
        })
    }

    /// Adds up the positions of a chunk by their numbers, and the sums to the rows from `start` on.
    fn add_equal(
        &self,
        code: &mut Code<'_>,
        operand: Value,
        numbers: Numbers,
        [first, last]: [Reg; 2],
        (sums, map): (usize, Map),
        (base, start): (Base, Reg),
    ) {
        let cols = self.context.kernel.cols;
        let sum = |code: &mut Code<'_>, position: Reg| {
            let slot = code.b.index_sub(position, first);
            let at = code.b.index_scale(slot, cols);
            code.b.index_offset(at, sums as i64)
        };
        code.repeat(first, last, 1, |code, i| {
            code.if_row(numbers, i, |code, number| {
                let own = sum(code, i);
                code.clear_elements(Base::Scratch, own, cols);
                let seen = code.first_position(map, numbers, [first, i], number);
                let at = sum(code, seen);
                self.add_operand(code, operand, i, (Base::Scratch, at));
            });
        });
        // those that are not the first of their like have zeros
        code.repeat(first, last, 1, |code, i| {
            code.if_row(numbers, i, |code, number| {
                let own = sum(code, i);
                let at = code.b.index_scale(number, cols);
                let at = code.b.index_add(start, at);
                let [none, end] = [0, cols].map(|index| code.b.index(index));
                code.each_column([none, end], NOISE_BLOCK, cols, 1, |code, columns| {
                    for &col in columns {
                        let from = code.b.index_add(own, col);
                        let from = code.float_at(Base::Scratch, from, 0);
                        let x = code.b.load(code.context.float(), from);
                        code.add_at((base, at), col, x);
                    }
                });
            });
        });
    }

    fn scatter_rows(&self, code: &mut Code<'_>, value: Value, numbers: Numbers, n: usize) -> usize {
        let operand = self.context.plan.graph.node(value).args[2];
        let (cols, base) = (self.context.kernel.cols, code.written(value));
        let table = self.whole(code, |read| matches!(read, Read::Table { .. }));
        // where the result takes the table's place, the other rows are there
        let is_in_place = table == base;
        code.tiles(1, 1, 1, |code, _, _| {
            if !is_in_place {
                let elements = numbers.rows * cols;
                let [none, end] = [0, elements].map(|index| code.b.index(index));
                code.each_column([none, end], NOISE_BLOCK, elements, INTERLEAVED, |code, columns| {
                    let load = |code: &mut Code<'_>, col: Reg| {
                        let from = code.float_at(table, col, 0);
                        code.b.load(code.context.float(), from)
                    };
                    let x: Vec<Reg> = columns.iter().map(|&col| load(code, col)).collect();
                    for (&col, x) in columns.iter().zip(x) {
                        let to = code.float_at(base, col, 0);
                        code.b.store(to, x);
                    }
                });
            }
            let [none, end] = [0, n].map(|index| code.b.index(index));
            // the first of several is written last
            code.repeat(none, end, 1, |code, i| {
                let back = code.b.index_scale_signed(i, -1);
                let i = code.b.index_offset(back, n as i64 - 1);
                code.if_row(numbers, i, |code, number| {
                    let at = code.b.index_scale(number, cols);
                    let row = self.enter_row(code, i, &RowKeys::none());
                    self.row_of(code, operand, &row, |code, col, x| {
                        let index = code.b.index_add(at, col);
                        let address = code.float_at(base, index, 0);
                        code.b.store(address, x);
                    });
                });
            });
        })
    }

    fn first_equal(&self, code: &mut Code<'_>, value: Value, numbers: Numbers, n: usize) -> usize {
        let (base, map) = (code.written(value), Map(code.take_scratch(numbers.rows)));
        code.tiles(1, 1, 1, |code, _, _| {
            let [none, end] = [0, n].map(|index| code.b.index(index));
            code.repeat(none, end, 1, |code, i| {
                let own = code.b.index_low(i);
                code.b.store(Address { base, index: i, offset: 0 }, own);
                code.if_row(numbers, i, |code, number| {
                    let first = code.first_position(map, numbers, [none, i], number);
                    let word = code.b.index_low(first);
                    code.b.store(Address { base, index: i, offset: 0 }, word);
                });
            });
        })
    }

    /// `body` for the elements of the operand in a row, some at a time.
    fn row_of(&self, code: &mut Code<'_>, operand: Value, row: &Row, body: impl Fn(&mut Code<'_>, Reg, Reg)) {
        let cols = self.context.kernel.cols;
        let [none, end] = [0, cols].map(|index| code.b.index(index));
        code.each_column([none, end], NOISE_BLOCK, cols, INTERLEAVED, |code, columns| match *columns {
            [a, b, c, d] => {
                let x = self.eval(code, operand, row, &mut Points::new([a, b, c, d]));
                [a, b, c, d].into_iter().zip(x).for_each(|(col, x)| body(code, col, x));
            }
            _ => columns.iter().for_each(|&col| {
                let [x] = self.eval(code, operand, row, &mut Points::new([col]));
                body(code, col, x);
            }),
        });
    }

    /// Adds the row of the operand at a position to the elements from `at` on.
    fn add_operand(&self, code: &mut Code<'_>, operand: Value, position: Reg, at: (Base, Reg)) {
        let row = self.enter_row(code, position, &RowKeys::none());
        self.row_of(code, operand, &row, |code, col, x| code.add_at(at, col, x));
    }
}

impl Code<'_> {
    /// The number at a position, as a word and as an index.
    fn number(&mut self, numbers: Numbers, position: Reg) -> (Reg, Reg) {
        let word = self.b.load(Class::Int, Address { base: numbers.base, index: position, offset: 0 });
        let high = self.b.integer(0);
        (word, self.b.index_from(word, high))
    }

    /// Runs `body` with the number at a position, if it is a row's.
    fn if_row(&mut self, numbers: Numbers, position: Reg, body: impl FnOnce(&mut Self, Reg)) {
        let (word, number) = self.number(numbers, position);
        let is_row = self.is_below(word, numbers.rows);
        let (yes, no) = (self.b.integer(1), self.b.integer(0));
        let times = self.b.iselect(is_row, yes, no);
        let (none, times) = (self.b.index(0), self.b.index_from(times, no));
        self.repeat(none, times, 1, |code, _| body(code, number));
    }

    /// Whether words are below a number.
    fn is_below(&mut self, word: Reg, number: usize) -> Reg {
        let number = self.b.integer(number as u32);
        self.is_less(word, number)
    }

    /// Whether a word is less than another, without signs.
    fn is_less(&mut self, a: Reg, b: Reg) -> Reg {
        // flipping the sign bit turns unsigned order into signed order
        let sign = self.b.integer(1 << 31);
        let (a, b) = (self.b.xor(a, sign), self.b.xor(b, sign));
        self.b.iless(a, b)
    }

    /// The first position from `first` to `own` that has the number that `own` has, which is a row's. Notes it.
    fn first_position(&mut self, map: Map, numbers: Numbers, [first, own]: [Reg; 2], number: Reg) -> Reg {
        let noted = Address { base: Base::Scratch, index: number, offset: map.0 as i64 };
        let word = self.b.load(Class::Int, noted);
        let high = self.b.integer(0);
        let known = self.b.index_from(word, high);
        // where nothing was noted there is any word: one that is a position before this one, and has the number, is
        // right anyway
        let (first_word, own_word) = (self.b.index_low(first), self.b.index_low(own));
        let (distance, most) = (self.b.isub(word, first_word), self.b.isub(own_word, first_word));
        let is_before = self.is_less(distance, most);
        let there = self.b.index_min(known, own);
        let (at_known, _) = self.number(numbers, there);
        let number_word = self.b.index_low(number);
        let is_equal = self.b.iequal(at_known, number_word);
        let if_before = self.b.iselect(is_equal, word, own_word);
        let position = self.b.iselect(is_before, if_before, own_word);
        self.b.store(noted, position);
        self.b.index_from(position, high)
    }

    fn add_at(&mut self, (base, at): (Base, Reg), col: Reg, x: Reg) {
        let index = self.b.index_add(at, col);
        let address = self.float_at(base, index, 0);
        let sum = self.b.load(self.context.float(), address);
        let sum = self.add_floats(sum, x);
        self.b.store(address, sum);
    }
}
