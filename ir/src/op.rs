//! The primitive operations: names, arity, payload. Sorts of them are in `kind`, types in `infer`, values in
//! `evaluate`.

use crate::{DType, Shape};
use smallvec::SmallVec;

/// A primitive operation with its attributes. Operands are in [`Node::args`](crate::Node).
///
/// Attributes that are floats are held as bits, so that equality and hashing are exact.
///
/// [`Op::kind`] sorts them, for code that need not know each; [`result_type`](crate::result_type) tells what operands
/// each takes, and [`evaluate`](crate::evaluate) what it computes.
///
/// ```
/// use bayeslift_ir::{Binary, Kind, Op, Reduction};
/// let ops = [Op::Binary(Binary::Add), Op::Dot, Op::Sum(1), Op::Reshape([6].into()), Op::Iota(3)];
/// assert_eq!(ops.each_ref().map(Op::name), ["add", "dot", "sum", "reshape", "iota"]);
/// assert_eq!(ops.each_ref().map(Op::arity), [2, 2, 1, 1, 0]);
/// assert_eq!(ops.each_ref().map(Op::is_elementwise), [true, false, false, false, false]);
/// assert_eq!(ops.each_ref().map(Op::is_movement), [false, false, false, true, false]);
/// assert_eq!(ops.each_ref().map(Op::is_literal), [false, false, false, false, true]);
/// assert!(!ops.iter().any(Op::is_noise));
/// assert_eq!(ops[2].kind(), Kind::Reduction { function: Reduction::Sum, axis: 1 });
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Op {
    /// The graph input with this index.
    Input(u32),
    /// A scalar `f32` constant, by its bits. Not-a-number is canonical.
    Constant(u32),
    /// A scalar `f64` constant, by its bits. Not-a-number is canonical.
    ConstantF64(u64),
    /// A scalar `u32` constant.
    ConstantU32(u32),
    /// `u32` indices 0, 1, ... of the only axis, of this extent.
    Iota(usize),
    /// Addressed random numbers; operands are `key: u32[4]` (seed low, high, step low, high),
    /// `first_sample: u32[]` and `first_row: u32[2]` (low, high). See [`noise`](crate::noise).
    Noise(Noise),
    /// An elementwise function of one operand of floats.
    Unary(Unary),
    /// An elementwise function of two operands of floats, of equal type.
    Binary(Binary),
    /// An elementwise comparison of two operands of equal type; gives a mask.
    Compare(Compare),
    /// `mask ? a : b`, elementwise.
    Select,
    /// The operand's elements as this type: `u32` or `f64` to `f32`, rounded to nearest even; `u32` or `f32` to `f64`,
    /// exact; `f32` to `u32`, a whole number from 0 to 2^24 as it is, and everything else as `u32::MAX`.
    Convert(DType),
    /// The operand; the gradient through it is zero.
    StopGradient,
    /// Matrix product over equal leading axes: `[b.., m, k]` and `[b.., k, n]` give `[b.., m, n]`. Of `f32` with fused
    /// multiply-adds, of `f64` with multiplications and additions; see [`DOT_CHUNK`](crate::DOT_CHUNK).
    Dot,
    /// Sum over this axis, which disappears. Of `f64` in increasing order from +0; for `f32` see
    /// [`SUM_LANES`](crate::SUM_LANES) and [`SUM_CHUNK`](crate::SUM_CHUNK).
    Sum(usize),
    /// Maximum over this axis, which disappears. Not-a-number elements are ignored. Of `f64` in increasing order.
    Max(usize),
    /// The operand repeated to this shape; axes are aligned at the last and equal or 1.
    Broadcast(Shape),
    /// The same elements in row-major order under another shape.
    Reshape(Shape),
    /// Axis `i` of the result is axis `permutation[i]` of the operand.
    Transpose(SmallVec<[u8; 4]>),
    /// Windows on one axis, which becomes two: `[.., n, ..]` gives `[.., size, count, ..]`.
    Window(Window),
    /// The adjoint of [`Op::Window`]: `[.., size, count, ..]` gives `[.., extent, ..]`, of which each element is the
    /// sum of those that a window takes from there, and 0 if there is none. From +0, in increasing order of the place
    /// in the window, then of the window.
    Fold(Window, usize),
    /// Rows of a table by their numbers: `[b.., rows, width]` and `u32[b.., n]` give `[b.., n, width]`. A number that
    /// is no row's gives zeros.
    Gather,
    /// The adjoint of [`Op::Gather`]: `[b.., n, width]` and `u32[b.., n]` give `[b.., rows, width]`, for this number of
    /// rows, each the sum of those whose number it has, and zeros if there are none. What has another number is left
    /// out.
    ///
    /// The order of the sum is that of a product with one-hot columns: in chunks of [`DOT_CHUNK`](crate::DOT_CHUNK)
    /// positions, within a chunk in increasing order from +0, then the chunks' sums in increasing order.
    ScatterAdd(usize),
    /// A table with some rows replaced: `[rows, width]`, `u32[n]` and `[n, width]` give `[rows, width]`. Of several
    /// that have one number the first counts; what has no row's number is left out.
    ScatterRows,
    /// For each of `u32[n]` the position of the first that equals it, among those below this bound; one that is not
    /// below equals itself alone.
    FirstEqual(usize),
}

/// Windows on an axis: element `j` of window `p` is element `start + p * step + j * dilation` of the axis.
///
/// One element a window makes a slice, with a step of -1 an axis reversed; the adjoints of these pad an axis with
/// zeros. Windows may overlap, and skip elements; all of them lie on the axis, or the operation is refused.
///
/// ```
/// use bayeslift_ir::{Builder, Type, Window};
/// let windows = Window { axis: 1, start: 0, size: 3, dilation: 2, count: 4, step: 1 };
/// assert_eq!([0, 1, 2].map(|j| windows.element(j, 3)), [3, 5, 7]);
/// let backwards = Window { axis: 1, start: 7, size: 1, dilation: 1, count: 8, step: -1 };
/// assert_eq!((backwards.element(0, 0), backwards.element(0, 7)), (7, 0));
///
/// let b = Builder::new();
/// assert_eq!(b.input("x", Type::f32([2, 8])).window(windows).ty(), Type::f32([2, 3, 4]));
/// b.input("short", Type::f32([2, 7])).window(windows);
/// assert_eq!(b.check().unwrap_err().to_string(), "window: elements 0 to 7 of an axis of 7");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Window {
    /// The axis; in the result, the axis that counts the elements of a window, before the one that counts windows.
    pub axis: usize,
    /// The first element of the first window.
    pub start: usize,
    /// The number of elements of a window.
    pub size: usize,
    /// How far apart neighbours in a window are.
    pub dilation: i64,
    /// The number of windows.
    pub count: usize,
    /// How far apart neighbouring windows are; not 0 if there is more than one.
    pub step: i64,
}

impl Window {
    /// The position on the axis of element `j` of window `p`: `start + p * step + j * dilation`.
    pub fn element(&self, j: usize, p: usize) -> i64 {
        self.start as i64 + p as i64 * self.step + j as i64 * self.dilation
    }
}

/// Attributes of a noise operation. The last axis counts units; `sample_axis`, if present, is axis 0;
/// `example_axis`, if present, is the first axis that is not the sample axis, and not the last.
///
/// Element `[s, e, .., u]` has the [address](crate::noise::Address) of sample `first_sample + s`, of unit `u`, and of
/// the row that counts all axes between those from `first_row` examples on. Without a sample axis the sample is 0,
/// without an axis of examples the first row is. So an example has the same noise in whatever batch it comes.
///
/// [`NoiseAddress`](crate::NoiseAddress) has an example that draws. What does not fit is refused:
///
/// ```
/// use bayeslift_ir::{DType, Noise, NoiseDistribution, Op, Type, noise, result_type};
/// let (distribution, stream) = (NoiseDistribution::Rademacher, noise::stream("mlp/flipout", "signs"));
/// let at = |sample_axis, example_axis| Noise {
///     distribution, dtype: DType::F32, stream, sample_axis, example_axis, shape: [10, 32, 64].into()
/// };
/// let operands = [&Type::u32([4]), &Type::u32([]), &Type::u32([2])];
/// assert_eq!(result_type(&Op::Noise(at(Some(0), Some(1))), &operands)?, Type::f32([10, 32, 64]));
/// let error = result_type(&Op::Noise(at(Some(0), Some(2))), &operands).unwrap_err();
/// assert_eq!(error.to_string(), "noise: example_axis must be 1, and not the last axis");
/// # Ok::<(), bayeslift_ir::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Noise {
    /// The law of each element.
    pub distribution: NoiseDistribution,
    /// `f32` or `f64`: how many digits of each element there are. The first ones are the same.
    pub dtype: DType,
    /// Identifies the noise site: a hash of the layer's path and the site's name.
    pub stream: u64,
    /// The axis that counts posterior samples, offset by `first_sample`.
    pub sample_axis: Option<u8>,
    /// The axis that counts examples, offset by `first_row`.
    pub example_axis: Option<u8>,
    /// The shape of the result.
    pub shape: Shape,
}

named! {
    /// The law of a noise element. All have mean 0 or, if uniform, 1/2; variance 1 or, if uniform, 1/12.
    ///
    /// ```
    /// use bayeslift_ir::{NoiseDistribution, noise};
    /// assert_eq!(NoiseDistribution::ALL[2].name(), "rademacher");
    /// let mut row = [0.0; 1000];
    /// let mut draw = |law| { noise::fill_row(law, 1, 2, 3, 4, 5, &mut row); row };
    /// assert!(draw(NoiseDistribution::Normal).iter().all(|z| z.abs() <= 6.6604));
    /// assert!(draw(NoiseDistribution::Uniform).iter().all(|&u| 0.0 < u && u < 1.0));
    /// assert!(draw(NoiseDistribution::Rademacher).iter().all(|sign| sign.abs() == 1.0));
    /// ```
    NoiseDistribution {
        /// Standard normal, by Box-Muller.
        Normal = "normal",
        /// Uniform on the open interval (0, 1).
        Uniform = "uniform",
        /// -1 or 1 with equal probability.
        Rademacher = "rademacher",
    }
}

named! {
    /// Elementwise functions of one operand. Accuracy is stated in [`elementary`](crate::elementary).
    ///
    /// ```
    /// use bayeslift_ir::{Scalar, Unary, elementary};
    /// let named = |name: &str| Unary::ALL.iter().copied().find(|function| function.name() == name);
    /// assert_eq!((named("softplus"), named("gelu")), (Some(Unary::Softplus), None));
    /// assert_eq!(elementary::unary(&mut Scalar, Unary::Softplus, 0.0), std::f32::consts::LN_2);
    /// ```
    Unary {
        /// -x: flips the sign bit.
        Neg = "neg",
        /// |x|: clears the sign bit.
        Abs = "abs",
        /// e^x.
        Exp = "exp",
        /// Natural logarithm.
        Log = "log",
        /// Square root, correctly rounded. Its gradient at 0 is defined as 0.
        Sqrt = "sqrt",
        /// Sine of x in radians.
        Sin = "sin",
        /// Cosine of x in radians.
        Cos = "cos",
        /// Hyperbolic tangent.
        Tanh = "tanh",
        /// Error function.
        Erf = "erf",
        /// log(1 + e^x).
        Softplus = "softplus",
        /// 1 / (1 + e^-x).
        Sigmoid = "sigmoid",
        /// Largest integer not above x.
        Floor = "floor",
    }
}

named! {
    /// Elementwise functions of two operands, each correctly rounded. `a - b` is `a + (-b)`, which has the same bits.
    ///
    /// ```
    /// use bayeslift_ir::{Binary, Builder, Op, Tensor, Type, evaluate};
    /// let b = Builder::new();
    /// let x = b.input("x", Type::f32([]));
    /// for (function, name) in Binary::ALL.iter().map(|function| (*function, function.name())) {
    ///     b.output(name, b.push(Op::Binary(function), &[x, b.constant(f32::NAN)]));
    /// }
    /// let y = evaluate(&b.finish()?, &[Tensor::scalar(4.0)])?;
    /// // a maximum ignores what is not a number in b
    /// assert_eq!((Binary::ALL[3], &y[3]), (Binary::Max, &Tensor::scalar(4.0)));
    /// assert!(y[..3].iter().all(|y| y.as_f32().unwrap()[0].is_nan()));
    /// # Ok::<(), bayeslift_ir::Error>(())
    /// ```
    Binary {
        /// a + b.
        Add = "add",
        /// a * b.
        Mul = "mul",
        /// a / b, correctly rounded.
        Div = "div",
        /// `b > a ? b : a`; at a tie the gradient goes to b.
        Max = "max",
    }
}

named! {
    /// Elementwise comparisons; false where an operand is not a number. Of `u32` without a sign.
    ///
    /// ```
    /// use bayeslift_ir::{Builder, Compare, Op, Tensor, Type, evaluate};
    /// let b = Builder::new();
    /// let x = b.input("x", Type::f32([3]));
    /// for compare in Compare::ALL {
    ///     b.output(compare.name(), b.push(Op::Compare(*compare), &[x, b.constant(0.0).broadcast(&[3].into())]));
    /// }
    /// let y = evaluate(&b.finish()?, &[Tensor::f32([3], [-1.0, -0.0, f32::NAN])?])?;
    /// let is_true = |y: &Tensor| y.as_u32().unwrap().iter().map(|&mask| mask != 0).collect::<Vec<_>>();
    /// assert_eq!(is_true(&y[0]), [true, false, false], "less");
    /// assert_eq!(is_true(&y[1]), [true, true, false], "less_equal");
    /// assert_eq!(is_true(&y[2]), [false, true, false], "equal");
    /// # Ok::<(), bayeslift_ir::Error>(())
    /// ```
    Compare {
        /// a < b.
        Less = "less",
        /// a <= b.
        LessEqual = "less_equal",
        /// a == b.
        Equal = "equal",
    }
}

impl Op {
    /// The operation's name in the [text form](crate::text) and in messages: `add`, `reduce_max`; `constant` of all
    /// three types.
    pub fn name(&self) -> &'static str {
        match self {
            Op::Input(_) => "input",
            Op::Constant(_) | Op::ConstantF64(_) | Op::ConstantU32(_) => "constant",
            Op::Iota(_) => "iota",
            Op::Noise(_) => "noise",
            Op::Unary(op) => op.name(),
            Op::Binary(op) => op.name(),
            Op::Compare(op) => op.name(),
            Op::Select => "select",
            Op::Convert(_) => "convert",
            Op::StopGradient => "stop_gradient",
            Op::Dot => "dot",
            Op::Sum(_) => "sum",
            Op::Max(_) => "reduce_max",
            Op::Broadcast(_) => "broadcast",
            Op::Reshape(_) => "reshape",
            Op::Transpose(_) => "transpose",
            Op::Window(_) => "window",
            Op::Fold(..) => "fold",
            Op::Gather => "gather",
            Op::ScatterAdd(_) => "scatter_add",
            Op::ScatterRows => "scatter_rows",
            Op::FirstEqual(_) => "first_equal",
        }
    }

    /// The number of operands, from 0 to 3.
    pub fn arity(&self) -> usize {
        match self {
            Op::Input(_) | Op::Constant(_) | Op::ConstantF64(_) | Op::ConstantU32(_) | Op::Iota(_) => 0,
            Op::Unary(_) | Op::Convert(_) | Op::StopGradient => 1,
            Op::Sum(_) | Op::Max(_) | Op::Broadcast(_) | Op::Reshape(_) | Op::Transpose(_) => 1,
            Op::Window(_) | Op::Fold(..) | Op::FirstEqual(_) => 1,
            Op::Binary(_) | Op::Compare(_) | Op::Dot | Op::Gather | Op::ScatterAdd(_) => 2,
            Op::Select | Op::Noise(_) | Op::ScatterRows => 3,
        }
    }
}
