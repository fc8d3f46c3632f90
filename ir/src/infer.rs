//! The type rule of every operation.

use crate::{DType, Error, Noise, Op, Shape, Type, Window};

/// The type of `op` applied to operands of these types: what [`Graph::push`](crate::Graph::push) gives the node, or why
/// it refuses.
///
/// # Errors
/// [`Error::Attribute`] for a wrong number of operands and attributes out of range; [`Error::DTypeMismatch`] and
/// [`Error::ShapeMismatch`] for operands that do not fit, which are counted from 0; for a result that is empty or
/// beyond the limits those of [`Type::check`].
///
/// ```
/// use bayeslift_ir::{Op, Type, result_type};
/// assert_eq!(result_type(&Op::Dot, &[&Type::f32([8, 32, 64]), &Type::f32([8, 64, 10])])?, Type::f32([8, 32, 10]));
/// assert_eq!(result_type(&Op::Gather, &[&Type::f64([50, 4]), &Type::u32([7])])?, Type::f64([7, 4]));
/// let error = result_type(&Op::Sum(0), &[&Type::u32([7])]).unwrap_err();
/// assert_eq!(error.to_string(), "sum: operand 0 has element type u32, expected f32");
/// # Ok::<(), bayeslift_ir::Error>(())
/// ```
pub fn result_type(op: &Op, args: &[&Type]) -> Result<Type, Error> {
    if args.len() != op.arity() {
        return Err(attribute(op, format!("{} operands, expected {}", args.len(), op.arity())));
    }
    let ty = match op {
        Op::Input(_) => return Err(attribute(op, "an input's type is given, not inferred".into())),
        Op::Constant(_) => Type::f32([]),
        Op::ConstantF64(_) => Type::f64([]),
        Op::ConstantU32(_) => Type::u32([]),
        Op::Iota(extent) => Type::u32([*extent]),
        Op::Noise(noise) => noise_type(op, noise, args)?,
        Op::Unary(_) => {
            float(op, args, 0)?;
            args[0].clone()
        }
        Op::Binary(_) => {
            float(op, args, 0)?;
            same_type(op, args, 0, 1)?;
            args[0].clone()
        }
        Op::Compare(_) => {
            if args[0].dtype == DType::Mask {
                return Err(mismatch(op, 0, DType::F32, DType::Mask));
            }
            same_type(op, args, 0, 1)?;
            Type::new(DType::Mask, args[0].shape.clone())
        }
        Op::Select => {
            dtype(op, args, 0, DType::Mask)?;
            same_type(op, args, 1, 2)?;
            same_shape(op, args, 1, 0)?;
            args[1].clone()
        }
        Op::Convert(to) => {
            match (args[0].dtype, to) {
                (DType::U32 | DType::F64, DType::F32) | (DType::U32 | DType::F32, DType::F64) => {}
                (DType::F32, DType::U32) => {}
                (DType::F32 | DType::F64 | DType::Mask, DType::F32 | DType::F64) => dtype(op, args, 0, DType::U32)?,
                (_, DType::U32) => dtype(op, args, 0, DType::F32)?,
                (_, DType::Mask) => return Err(attribute(op, format!("to f32, f64 or u32, not to {to}"))),
            }
            Type::new(*to, args[0].shape.clone())
        }
        Op::StopGradient => args[0].clone(),
        Op::Dot => dot_type(op, args)?,
        Op::Sum(axis) | Op::Max(axis) => {
            float(op, args, 0)?;
            if *axis >= args[0].shape.len() {
                return Err(attribute(op, format!("axis {axis} of an operand of shape {}", args[0].shape)));
            }
            Type::new(args[0].dtype, args[0].shape.without(*axis))
        }
        Op::Broadcast(shape) => {
            if args[0].shape.broadcast_with(shape).as_ref() != Some(shape) {
                return Err(shape_mismatch(op, 0, format!("a broadcast to {shape}"), &args[0].shape));
            }
            Type::new(args[0].dtype, shape.clone())
        }
        Op::Reshape(shape) => {
            shape.check()?;
            if args[0].shape.elements() != shape.elements() {
                return Err(shape_mismatch(op, 0, format!("a reshape to {shape}"), &args[0].shape));
            }
            Type::new(args[0].dtype, shape.clone())
        }
        Op::Transpose(permutation) => {
            let mut sorted = permutation.clone();
            sorted.sort_unstable();
            if !sorted.iter().map(|&axis| usize::from(axis)).eq(0..args[0].shape.len()) {
                return Err(attribute(op, format!("{permutation:?} does not permute the axes of {}", args[0].shape)));
            }
            let shape = permutation.iter().map(|&axis| args[0].shape[usize::from(axis)]).collect::<Shape>();
            Type::new(args[0].dtype, shape)
        }
        Op::Window(window) => {
            let shape = &args[0].shape;
            let Some(&extent) = shape.get(window.axis) else {
                return Err(attribute(op, format!("axis {} of an operand of shape {shape}", window.axis)));
            };
            check_window(op, window, extent)?;
            let (before, after) = (&shape[..window.axis], &shape[window.axis + 1..]);
            let shape = before.iter().chain([&window.size, &window.count]).chain(after).copied();
            Type::new(args[0].dtype, shape.collect::<Shape>())
        }
        Op::Fold(window, extent) => {
            float(op, args, 0)?;
            let (shape, axis) = (&args[0].shape, window.axis);
            if shape.get(axis..).and_then(|shape| shape.get(..2)) != Some(&[window.size, window.count]) {
                let expected = format!("extents of {} and {} from axis {axis} on", window.size, window.count);
                return Err(shape_mismatch(op, 0, expected, shape));
            }
            check_window(op, window, *extent)?;
            let (before, after) = (&shape[..axis], &shape[axis + 2..]);
            Type::new(args[0].dtype, before.iter().chain([extent]).chain(after).copied().collect::<Shape>())
        }
        Op::Gather => {
            let (batch, [_, width]) = matrix(op, args, 0)?;
            dtype(op, args, 1, DType::U32)?;
            let numbers = &args[1].shape;
            if numbers.len() != batch.len() + 1 || numbers[..batch.len()] != *batch {
                let expected = format!("[{}n] for a table of shape {}", listed(batch), args[0].shape);
                return Err(shape_mismatch(op, 1, expected, numbers));
            }
            Type::new(args[0].dtype, numbers.iter().copied().chain([width]).collect::<Shape>())
        }
        Op::ScatterAdd(rows) => {
            let (batch, [n, width]) = matrix(op, args, 0)?;
            numbers(op, args, batch, n)?;
            Type::new(args[0].dtype, batch.iter().copied().chain([*rows, width]).collect::<Shape>())
        }
        Op::ScatterRows => {
            let (batch, [_, width]) = matrix(op, args, 0)?;
            let (_, [n, _]) = matrix(op, args, 2)?;
            dtype(op, args, 2, args[0].dtype)?;
            if !batch.is_empty() {
                return Err(shape_mismatch(op, 0, "rank 2".into(), &args[0].shape));
            }
            if args[2].shape[..] != [n, width] {
                let expected = format!("[n,{width}] for a table of shape {}", args[0].shape);
                return Err(shape_mismatch(op, 2, expected, &args[2].shape));
            }
            numbers(op, args, batch, n)?;
            args[0].clone()
        }
        Op::FirstEqual(rows) => {
            dtype(op, args, 0, DType::U32)?;
            if args[0].shape.len() != 1 {
                return Err(shape_mismatch(op, 0, "rank 1".into(), &args[0].shape));
            }
            // a word for each is kept
            Type::u32([*rows]).check()?;
            args[0].clone()
        }
    };
    ty.check()?;
    Ok(ty)
}

/// The leading axes of an operand of floats, and the last two.
fn matrix<'t>(op: &Op, args: &[&'t Type], i: usize) -> Result<(&'t [usize], [usize; 2]), Error> {
    float(op, args, i)?;
    match &args[i].shape[..] {
        [batch @ .., rows, width] => Ok((batch, [*rows, *width])),
        _ => Err(shape_mismatch(op, i, "rank 2 or more".into(), &args[i].shape)),
    }
}

/// Checks that operand 1 has a number for each of `n` rows.
fn numbers(op: &Op, args: &[&Type], batch: &[usize], n: usize) -> Result<(), Error> {
    dtype(op, args, 1, DType::U32)?;
    if args[1].shape.iter().eq(batch.iter().chain([&n])) {
        return Ok(());
    }
    Err(shape_mismatch(op, 1, format!("[{}{n}], a number for each row", listed(batch)), &args[1].shape))
}

/// Extents, each with a comma behind it.
fn listed(extents: &[usize]) -> String {
    extents.iter().map(|extent| format!("{extent},")).collect()
}

fn dot_type(op: &Op, args: &[&Type]) -> Result<Type, Error> {
    float(op, args, 0)?;
    dtype(op, args, 1, args[0].dtype)?;
    let (a, b) = (&args[0].shape, &args[1].shape);
    let rank = a.len();
    if rank < 2 {
        return Err(shape_mismatch(op, 0, "rank 2 or more".into(), a));
    }
    if b.len() != rank || a[..rank - 2] != b[..rank - 2] || a[rank - 1] != b[rank - 2] {
        let mut expected: Vec<String> = a[..rank - 2].iter().map(usize::to_string).collect();
        expected.extend([a[rank - 1].to_string(), "n".into()]);
        return Err(shape_mismatch(op, 1, format!("[{}] for a left operand of shape {a}", expected.join(",")), b));
    }
    let mut shape: Vec<usize> = a[..rank - 1].to_vec();
    shape.push(b[rank - 1]);
    Ok(Type::new(args[0].dtype, shape.as_slice()))
}

/// Windows that are not empty, and lie on an axis of this extent.
fn check_window(op: &Op, window: &Window, extent: usize) -> Result<(), Error> {
    let Window { start, size, dilation, count, step, .. } = *window;
    if i32::try_from(step).is_err() || i32::try_from(dilation).is_err() {
        return Err(attribute(op, format!("windows {step} apart, elements {dilation} apart")));
    }
    if size == 0 || count == 0 || (step == 0 && count > 1) {
        return Err(attribute(op, format!("{count} windows of {size} elements, {step} apart")));
    }
    let reach = |steps: usize, by: i64| (steps as i128 - 1) * i128::from(by);
    let (along, within) = (reach(count, step), reach(size, dilation));
    let first = start as i128 + along.min(0) + within.min(0);
    let last = start as i128 + along.max(0) + within.max(0);
    if first < 0 || last >= extent as i128 {
        return Err(attribute(op, format!("elements {first} to {last} of an axis of {extent}")));
    }
    Ok(())
}

fn noise_type(op: &Op, noise: &Noise, args: &[&Type]) -> Result<Type, Error> {
    for (i, (name, want)) in [("key", Type::u32([4])), ("first_sample", Type::u32([])), ("first_row", Type::u32([2]))]
        .into_iter()
        .enumerate()
    {
        dtype(op, args, i, DType::U32)?;
        if *args[i] != want {
            return Err(Error::ShapeMismatch {
                op: op.name().into(),
                argument: name.into(),
                expected: want.to_string(),
                found: args[i].shape.clone(),
            });
        }
    }
    if !noise.dtype.is_float() {
        return Err(attribute(op, format!("of f32 or f64, not of {}", noise.dtype)));
    }
    let rank = noise.shape.len();
    if rank == 0 {
        return Err(attribute(op, "needs at least the axis that counts units".into()));
    }
    let first_free = u8::from(noise.sample_axis.is_some());
    if noise.sample_axis.is_some_and(|axis| axis != 0 || rank < 2) {
        return Err(attribute(op, "sample_axis must be 0, and not the last axis".into()));
    }
    if noise.example_axis.is_some_and(|axis| axis != first_free || usize::from(axis) + 1 >= rank) {
        return Err(attribute(op, format!("example_axis must be {first_free}, and not the last axis")));
    }
    Ok(Type::new(noise.dtype, noise.shape.clone()))
}

fn dtype(op: &Op, args: &[&Type], i: usize, expected: DType) -> Result<(), Error> {
    if args[i].dtype == expected { Ok(()) } else { Err(mismatch(op, i, expected, args[i].dtype)) }
}

/// An operand of `f32` or `f64`.
fn float(op: &Op, args: &[&Type], i: usize) -> Result<(), Error> {
    if args[i].dtype.is_float() { Ok(()) } else { Err(mismatch(op, i, DType::F32, args[i].dtype)) }
}

fn same_shape(op: &Op, args: &[&Type], i: usize, j: usize) -> Result<(), Error> {
    if args[i].shape == args[j].shape {
        return Ok(());
    }
    Err(shape_mismatch(op, j, format!("{}, the shape of operand {i}", args[i].shape), &args[j].shape))
}

fn same_type(op: &Op, args: &[&Type], i: usize, j: usize) -> Result<(), Error> {
    dtype(op, args, j, args[i].dtype)?;
    same_shape(op, args, i, j)
}

fn mismatch(op: &Op, i: usize, expected: DType, found: DType) -> Error {
    Error::DTypeMismatch { op: op.name().into(), argument: format!("operand {i}"), expected, found }
}

fn shape_mismatch(op: &Op, i: usize, expected: String, found: &Shape) -> Error {
    Error::ShapeMismatch { op: op.name().into(), argument: format!("operand {i}"), expected, found: found.clone() }
}

fn attribute(op: &Op, message: String) -> Error {
    Error::Attribute { op: op.name().into(), message }
}
