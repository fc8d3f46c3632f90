//! Noise: the keys of sites and rows, and draws.

use super::KernelArgument;
use super::code::Code;
use super::leaf::Leaf;
use crate::tile::{Address, Base, Class, Interleaved, Reg};
use bayeslift_ir::{DType, Lanes, Noise, Value, noise};
use bayeslift_passes::Read;
use std::collections::HashMap;

/// A value that draws noise.
pub(super) struct Site {
    pub value: Value,
    pub noise: Noise,
    /// The key, the same for the whole call.
    pub key: [Reg; 2],
}

/// The key of a row and the low word of its number.
pub(super) type RowKey = ([Reg; 2], Reg);

/// Keys of rows that were computed before: for each site the first row, and where in scratch memory the two words of
/// keys lie.
pub(super) struct RowKeys(pub HashMap<Value, (Reg, [usize; 2])>);

impl RowKeys {
    /// Where each row's is computed when it is needed.
    pub fn none() -> RowKeys {
        RowKeys(HashMap::new())
    }
}

impl Site {
    /// Loads what noise is addressed by, once a call.
    pub fn new(code: &mut Code<'_>, value: Value, noise: Noise) -> Site {
        let words = vec![noise.stream as u32, (noise.stream >> 32) as u32];
        let base = code.argument(KernelArgument::Words(words));
        let seed = [0, 1].map(|i| code.address_word(value, 0, i));
        let step = [2, 3].map(|i| code.address_word(value, 0, i));
        let index = code.b.index(0);
        let stream = [0, 1].map(|offset| code.b.load(Class::Int, Address { base, index, offset }));
        let key = noise::site_key(&mut code.b, seed, step, stream);
        Site { value, noise, key }
    }

    /// The sample and the number of a row.
    pub fn row_number(&self, code: &mut Code<'_>, row: Reg) -> (Reg, Reg) {
        let noise = &self.noise;
        let rows = noise.shape.rows();
        let samples = noise.sample_axis.map_or(1, |axis| noise.shape[usize::from(axis)]);
        let rows_of_a_sample = rows / samples;
        let mut sample = code.b.integer(0);
        let mut number = row;
        if noise.sample_axis.is_some() {
            let first = code.address_word(self.value, 1, 0);
            let index = code.b.index_div(row, rows_of_a_sample);
            let low = code.b.index_low(index);
            sample = code.b.iadd(first, low);
            number = code.b.index_rem(row, rows_of_a_sample);
        }
        if let Some(axis) = noise.example_axis {
            let rows_of_an_example = rows_of_a_sample / noise.shape[usize::from(axis)];
            let (low, high) = (code.address_word(self.value, 2, 0), code.address_word(self.value, 2, 1));
            let first = code.b.index_from(low, high);
            let first = code.b.index_scale(first, rows_of_an_example);
            number = code.b.index_add(first, number);
        }
        (sample, number)
    }

    /// The key of a row and the low word of its number.
    pub fn row_key(&self, code: &mut Code<'_>, row: Reg, keys: &RowKeys) -> RowKey {
        let (sample, number) = self.row_number(code, row);
        let low = code.b.index_low(number);
        let Some(&(first, words)) = keys.0.get(&self.value) else {
            let high = if self.varies() { code.b.index_high(number) } else { code.b.integer(0) };
            return (noise::row_key(&mut code.b, self.key, sample, high), low);
        };
        let index = code.b.index_sub(row, first);
        let word = |offset| Address { base: Base::Scratch, index, offset: offset as i64 };
        (words.map(|offset| code.b.load(Class::Int, word(offset))), low)
    }

    /// Whether rows may have different keys: without samples and examples there are fewer rows than a word counts.
    pub fn varies(&self) -> bool {
        self.noise.sample_axis.is_some() || self.noise.example_axis.is_some()
    }

    /// For each column the noise of the units at the column and half a block on, where it lies in the first half of its
    /// block; where it lies in the second half, the noise half a block before and at the column.
    pub fn pairs<const N: usize>(&self, code: &mut Code<'_>, (key, row_low): RowKey, cols: [Reg; N]) -> [[Reg; 2]; N] {
        let key = key.map(|word| [code.b.splat(word); N]);
        let (row_low, slots) = ([code.b.splat(row_low); N], cols.map(|col| code.slot(col)));
        let lanes = &mut Interleaved(&mut code.b);
        let [first, second] = match self.noise.dtype {
            DType::F64 => noise::pair_f64(lanes, self.noise.distribution, key, row_low, slots),
            _ => noise::pair(lanes, self.noise.distribution, key, row_low, slots),
        };
        std::array::from_fn(|i| [first[i], second[i]])
    }
}

impl Code<'_> {
    /// Element `i` of an operand of noise that the kernel draws: a `u32` value of rank 0 or 1.
    fn address_word(&mut self, noise: Value, operand: usize, i: usize) -> Reg {
        let view = self.context.kernel.reads.iter().find_map(|read| match read {
            Read::Made { value, address } if *value == noise => Some(address[operand].clone()),
            Read::Made { .. } | Read::Element { .. } | Read::Operand { .. } => None,
            Read::Numbers { .. } | Read::Table { .. } => None,
        });
        let view = view.expect("noise that is drawn is addressed");
        let at = view.start + view.last_stride().expect("of rank 0 or 1, and strided") * i as i64;
        match self.context.leaf(view) {
            Leaf::Word(word) => self.b.integer(word),
            Leaf::Position(_) => self.b.integer(at as u32),
            Leaf::Memory { place, .. } => {
                let (base, index) = (self.memory(place), self.b.index(0));
                self.b.load(Class::Int, Address { base, index, offset: at })
            }
            leaf => unreachable!("{leaf:?} is no u32"),
        }
    }

    /// How far units are apart that share their words.
    pub fn half(&self) -> usize {
        noise::half(self.context.kernel.cols)
    }

    /// The slots of the units at a column and, in a vector, beside it.
    pub fn slot(&mut self, col: Reg) -> Reg {
        let half = self.half();
        let lane = self.b.lane_numbers();
        if self.b.mode().is_vector() && self.context.width() > half {
            // the vector has both halves of the only block
            let (unit, within) = (self.unit(col), self.b.integer(half as u32 - 1));
            return self.b.and(unit, within);
        }
        let block = self.b.index_div(col, 2 * half);
        let block = self.b.index_scale(block, half);
        let within = self.b.index_rem(col, half);
        let slot = self.b.index_add(block, within);
        let slot = self.b.index_low(slot);
        let slot = self.b.splat(slot);
        self.b.iadd(slot, lane)
    }

    /// The units at a column and, in a vector, beside it.
    fn unit(&mut self, col: Reg) -> Reg {
        let first = self.b.index_low(col);
        let (first, lane) = (self.b.splat(first), self.b.lane_numbers());
        self.b.iadd(first, lane)
    }

    /// The one of a noise pair that belongs to each of the units at a column.
    pub fn noise_at(&mut self, col: Reg, pair: [Reg; 2]) -> Reg {
        let (unit, half) = (self.unit(col), self.b.integer(self.half() as u32));
        let (half, zero) = (self.b.and(unit, half), self.b.integer(0));
        let is_first = self.b.iequal(half, zero);
        self.choose(is_first, pair[0], pair[1])
    }
}
