//! Rows by their numbers: read, added up, replaced, found equal.

use super::{EXTENTS, Step, noise, program::Program};
use crate::{DType, Op, Shape, Type, Value};

/// Rows by their numbers.
pub(super) fn indexed(program: &mut Program, step: &Step) -> Option<Value> {
    match step.operands[1] % 5 {
        0 | 1 => gather(program, step),
        2 => scatter_add(program, step),
        3 => scatter_rows(program, step),
        _ => first_equal(program, step),
    }
}

/// Rows of a table, or of noise, or of what is computed, by numbers of which some are no row's.
fn gather(program: &mut Program, step: &Step) -> Option<Value> {
    let table = match step.choices[0] % 4 {
        0 => noise(program, step),
        _ => None,
    };
    let is_table = |ty: &Type| ty.dtype.is_float() && ty.shape.len() >= 2;
    let table = match table.filter(|&table| is_table(program.graph.ty(table))) {
        Some(table) => table,
        None => match program.pick(step, 0, is_table) {
            Some(table) => table,
            None => program.input(Type::new(program.table_type(step), step.shape(2)), step.seed)?,
        },
    };
    let shape = program.shape(table);
    let numbers = numbers(program, step, &shape[..shape.len() - 2], None)?;
    program.push(Op::Gather, &[table, numbers])
}

/// A number for each of `n` rows, or for any number of them.
fn numbers(program: &mut Program, step: &Step, batch: &[usize], n: Option<usize>) -> Option<Value> {
    let fits = |ty: &Type| {
        let axes = batch.len();
        ty.dtype == DType::U32
            && ty.shape.len() == axes + 1
            && ty.shape[..axes] == *batch
            && n.is_none_or(|n| ty.shape[axes] == n)
    };
    match program.pick(step, 1, fits) {
        Some(numbers) if step.choices[1].is_multiple_of(2) => Some(numbers),
        _ => {
            let n = n.unwrap_or_else(|| step.choose(2, &EXTENTS));
            let shape: Shape = batch.iter().copied().chain([n]).collect();
            program.input(Type::u32(shape), step.seed)
        }
    }
}

fn scatter_add(program: &mut Program, step: &Step) -> Option<Value> {
    let x = program.float(step, 0)?;
    let shape = program.shape(x);
    let [batch @ .., n, _] = &shape[..] else { return None };
    let numbers = numbers(program, step, batch, Some(*n))?;
    program.push(Op::ScatterAdd(step.choose(3, &EXTENTS)), &[x, numbers])
}

/// Rows of a table that an output may update.
fn scatter_rows(program: &mut Program, step: &Step) -> Option<Value> {
    let table = match program.pick(step, 0, |ty| ty.dtype.is_float() && ty.shape.len() == 2) {
        Some(table) if !step.choices[0].is_multiple_of(3) => table,
        _ => program.input(Type::new(program.table_type(step), step.shape(2)), step.seed)?,
    };
    let (width, dtype) = (program.shape(table)[1], program.graph.ty(table).dtype);
    let x = match program.pick(step, 2, |ty| ty.dtype == dtype && ty.shape.len() == 2 && ty.shape[1] == width) {
        Some(x) => x,
        None => program.input(Type::new(dtype, [step.choose(4, &EXTENTS), width]), step.seed)?,
    };
    let n = program.shape(x)[0];
    let numbers = numbers(program, step, &[], Some(n))?;
    program.push(Op::ScatterRows, &[table, numbers, x])
}

fn first_equal(program: &mut Program, step: &Step) -> Option<Value> {
    let numbers = numbers(program, step, &[], None)?;
    program.push(Op::FirstEqual(step.choose(3, &EXTENTS)), &[numbers])
}
