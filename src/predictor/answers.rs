//! The results of a call, row after row, whatever the question.

use super::{
    block::{Memory, Pool},
    rows::RowBlock,
};
use crate::{Float, FloatCow};
use bayeslift_ir::DType;
use std::mem;

/// The results for all rows.
#[derive(Debug)]
pub struct Answers {
    columns: Vec<Column>,
}

/// A result: `width` numbers for each row.
#[derive(Debug)]
struct Column {
    name: &'static str,
    width: usize,
    values: Values,
    /// Whether it need not be finite: a spread that one sample cannot tell.
    may_be_missing: bool,
    /// Whether it may be -infinity: the logarithm of a density that is 0.
    may_be_infinite: bool,
}

#[derive(Debug)]
enum Values {
    F32(Vec<f32>),
    F64(Vec<f64>),
}

impl Answers {
    pub fn new(pool: &Pool, samples: usize, rows: usize) -> Answers {
        let is_one = pool.draws && samples == 1;
        let columns = pool.results().map(|(name, ty)| {
            let width = ty.shape.elements() / ty.shape[0];
            let values = match ty.dtype {
                DType::F64 => Values::F64(vec![0.0; rows * width]),
                _ => Values::F32(vec![0.0; rows * width]),
            };
            let may_be_missing = is_one && matches!(name, "epistemic" | "total");
            Column { name, width, values, may_be_missing, may_be_infinite: name == "log_prob" }
        });
        Answers { columns: columns.collect() }
    }

    /// Takes a moment by its name, row after row, of `f32` the nearest; `None` if the law does not tell it.
    pub fn take<T: Float>(&mut self, name: &str) -> Option<Vec<T>> {
        self.take_floats(name).map(|values| values.nearest())
    }

    /// As [`Answers::take`], in the moment's own type.
    pub fn take_floats(&mut self, name: &str) -> Option<FloatCow<'static>> {
        let column = self.columns.iter_mut().find(|column| column.name == name)?;
        Some(match &mut column.values {
            Values::F32(values) => f32::owned(mem::take(values)),
            Values::F64(values) => f64::owned(mem::take(values)),
        })
    }

    /// Takes what there is one of for each row.
    pub fn take_f64(&mut self) -> Option<Vec<f64>> {
        self.columns.iter_mut().find_map(|column| match &mut column.values {
            Values::F64(values) => Some(mem::take(values)),
            Values::F32(_) => None,
        })
    }

    /// How many numbers a result has for each row.
    pub fn width(&self, name: &str) -> usize {
        self.columns.iter().find(|column| column.name == name).map_or(0, |column| column.width)
    }

    /// Takes the results of a block over.
    pub fn fill(&mut self, block: &RowBlock, memory: &Memory) {
        for (column, tensor) in self.columns.iter_mut().zip(memory.results()) {
            let width = column.width;
            match &mut column.values {
                Values::F32(values) => block.scatter(tensor.as_f32().unwrap_or_default(), values, width),
                Values::F64(values) => block.scatter(tensor.as_f64().unwrap_or_default(), values, width),
            }
        }
    }

    /// Whether all that is told of a row is finite.
    pub fn is_finite(&self, row: usize) -> bool {
        self.columns.iter().all(|column| {
            let range = row * column.width..(row + 1) * column.width;
            column.may_be_missing
                || match &column.values {
                    Values::F32(values) => values[range].iter().all(|x| x.is_finite()),
                    Values::F64(values) => {
                        let is_fine = |&x: &f64| x.is_finite() || column.may_be_infinite && x == f64::NEG_INFINITY;
                        values[range].iter().all(is_fine)
                    }
                }
        })
    }

    /// Makes all that is told of a row no numbers.
    pub fn give_up(&mut self, row: usize) {
        for column in &mut self.columns {
            let range = row * column.width..(row + 1) * column.width;
            match &mut column.values {
                Values::F32(values) => values[range].fill(f32::NAN),
                Values::F64(values) => values[range].fill(f64::NAN),
            }
        }
    }
}
