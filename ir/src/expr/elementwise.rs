//! Functions of each element, comparisons, choices and conversions.

use crate::{Binary, Compare, DType, Expr, Op, Operand, Unary};

/// Functions of each element. Operands are `f32` or `f64`, both of one type; shapes are broadcast. How accurate each
/// is, and what it gives at special values, is in the table of [`elementary`](crate::elementary).
///
/// ```
/// # use bayeslift_ir::{Builder, Error, Expr, Tensor, Type, evaluate};
/// fn at(x: f32, function: impl for<'b> Fn(Expr<'b>) -> Expr<'b>) -> Result<f32, Error> {
///     let b = Builder::new();
///     b.output("y", function(b.input("x", Type::f32([]))));
///     Ok(evaluate(&b.finish()?, &[Tensor::scalar(x)])?[0].as_f32().unwrap()[0])
/// }
/// assert_eq!([at(0.0, |x| x.exp())?, at(0.0, |x| x.log())?, at(9.0, |x| x.sqrt())?], [1.0, f32::NEG_INFINITY, 3.0]);
/// assert_eq!([at(0.0, |x| x.sin())?, at(0.0, |x| x.cos())?], [0.0, 1.0]);
/// assert_eq!([at(20.0, |x| x.tanh())?, at(-20.0, |x| x.erf())?], [1.0, -1.0]);
/// assert_eq!([at(0.0, |x| x.softplus())?, at(0.0, |x| x.sigmoid())?], [std::f32::consts::LN_2, 0.5]);
/// assert_eq!([at(-1.5, |x| x.floor())?, at(-1.5, |x| x.abs())?, at(-1.5, |x| x.square())?], [-2.0, 1.5, 2.25]);
/// assert_eq!([at(-1.5, |x| x.relu())?, at(-1.5, |x| x.max(-1.0))?], [0.0, -1.0]);
/// # Ok::<(), bayeslift_ir::Error>(())
/// ```
///
/// Comparisons give masks, with which elements are selected and counted:
///
/// ```
/// use bayeslift_ir::{Builder, DType, Tensor, Type, evaluate};
/// let b = Builder::new();
/// let (label, guess) = (b.input("label", Type::u32([4])), b.input("guess", Type::u32([4])));
/// assert_eq!(label.equal(guess).dtype(), DType::Mask);
/// b.output("accuracy", label.equal(guess).select(1.0, 0.0).mean(0));
/// b.output("lower", guess.less(label).select(label.to_f32() - guess.to_f32(), 0.0));
/// b.output("as small", guess.less_equal(1_u32).select(guess, 1_u32));
/// let y = evaluate(&b.finish()?, &[Tensor::u32([4], [0, 1, 2, 3])?, Tensor::u32([4], [0, 1, 1, 9])?])?;
/// assert_eq!(y[0], Tensor::scalar(0.5));
/// assert_eq!(y[1..], [Tensor::f32([4], [0.0, 0.0, 1.0, 0.0])?, Tensor::u32([4], [0, 1, 1, 1])?]);
/// # Ok::<(), bayeslift_ir::Error>(())
/// ```
///
/// Conversions:
///
/// ```
/// use bayeslift_ir::{Builder, DType, Tensor, Type, evaluate};
/// let b = Builder::of(DType::F64);
/// let x = b.input("x", Type::f32([4]));
/// assert_eq!((x.to_float().dtype(), x.to_f64().to_f32().dtype()), (DType::F64, DType::F32));
/// b.output("row", x.to_u32());
/// let row = evaluate(&b.finish()?, &[Tensor::f32([4], [3.0, 2.5, -1.0, f32::NAN])?])?;
/// assert_eq!(row, [Tensor::u32([4], [3, u32::MAX, u32::MAX, u32::MAX])?]);
/// # Ok::<(), bayeslift_ir::Error>(())
/// ```
impl<'b> Expr<'b> {
    /// e^x: 0 from about -104 down and infinite from about 89 up in `f32`, from about -746 and 710 in `f64`.
    pub fn exp(self) -> Expr<'b> {
        self.unary(Unary::Exp)
    }
    /// Natural logarithm: -infinity at 0, not a number below.
    pub fn log(self) -> Expr<'b> {
        self.unary(Unary::Log)
    }
    /// Square root; its gradient at 0 is 0. Not a number below 0.
    pub fn sqrt(self) -> Expr<'b> {
        self.unary(Unary::Sqrt)
    }
    /// Sine of x in radians. Not a number where |x| exceeds 2^20.
    pub fn sin(self) -> Expr<'b> {
        self.unary(Unary::Sin)
    }
    /// Cosine of x in radians. Not a number where |x| exceeds 2^20.
    pub fn cos(self) -> Expr<'b> {
        self.unary(Unary::Cos)
    }
    /// Hyperbolic tangent: (e^x - e^-x) / (e^x + e^-x), between -1 and 1.
    pub fn tanh(self) -> Expr<'b> {
        self.unary(Unary::Tanh)
    }
    /// Error function: 2 / sqrt(pi) times the integral of e^(-t^2) over t from 0 to x.
    pub fn erf(self) -> Expr<'b> {
        self.unary(Unary::Erf)
    }
    /// log(1 + e^x), a positive number for any x; close to x where x is large.
    pub fn softplus(self) -> Expr<'b> {
        self.unary(Unary::Softplus)
    }
    /// The logistic function 1 / (1 + e^-x), between 0 and 1; small results keep their relative accuracy.
    pub fn sigmoid(self) -> Expr<'b> {
        self.unary(Unary::Sigmoid)
    }
    /// Largest integer not above x, as a float. No gradient flows through it.
    pub fn floor(self) -> Expr<'b> {
        self.unary(Unary::Floor)
    }
    /// The absolute value |x|; its gradient at 0 is 0.
    pub fn abs(self) -> Expr<'b> {
        self.unary(Unary::Abs)
    }
    /// x * x, rounded once.
    pub fn square(self) -> Expr<'b> {
        self * self
    }
    /// The larger of two elements, broadcast to a common shape: `other > self ? other : self`. So not-a-number stays in
    /// `self`, and is ignored in `other`. The gradient goes to the larger, and at a tie to `other`.
    pub fn max(self, other: impl Operand<'b>) -> Expr<'b> {
        let other = other.into_expr(self);
        self.binary(Binary::Max, other)
    }
    /// The smaller of two elements, broadcast to a common shape: `-max(-self, -other)`. Ties and not-a-number are as
    /// for [`Expr::max`].
    ///
    /// ```
    /// use bayeslift_ir::{Builder, Tensor, Type, evaluate};
    /// let b = Builder::new();
    /// b.output("y", b.input("x", Type::f32([3])).min(1.0));
    /// let y = evaluate(&b.finish()?, &[Tensor::f32([3], [-2.0, 1.0, 5.0])?])?;
    /// assert_eq!(y, [Tensor::f32([3], [-2.0, 1.0, 1.0])?]);
    /// # Ok::<(), bayeslift_ir::Error>(())
    /// ```
    pub fn min(self, other: impl Operand<'b>) -> Expr<'b> {
        let other = other.into_expr(self);
        -(-self).max(-other)
    }
    /// The rectifier max(x, 0); its gradient at 0 is 0. Not-a-number stays.
    pub fn relu(self) -> Expr<'b> {
        self.max(0.0)
    }
    /// The mask `self < other`, broadcast to a common shape: false where one is not a number. Operands are of one type,
    /// `f32`, `f64` or `u32`.
    pub fn less(self, other: impl Operand<'b>) -> Expr<'b> {
        let other = other.into_expr(self);
        self.compare(Compare::Less, other)
    }
    /// The mask `self <= other`, broadcast to a common shape: false where one is not a number. Operands are as for
    /// [`Expr::less`].
    pub fn less_equal(self, other: impl Operand<'b>) -> Expr<'b> {
        let other = other.into_expr(self);
        self.compare(Compare::LessEqual, other)
    }
    /// The mask `self == other`, broadcast to a common shape: false where one is not a number, true of -0 and +0.
    /// Operands are as for [`Expr::less`].
    pub fn equal(self, other: impl Operand<'b>) -> Expr<'b> {
        let other = other.into_expr(self);
        self.compare(Compare::Equal, other)
    }
    /// `self ? a : b` for a mask, broadcast to a common shape. `a` and `b` are of one type; two numbers are of the
    /// builder's type of floats. The gradient goes to whichever was selected.
    pub fn select(self, a: impl Operand<'b>, b: impl Operand<'b>) -> Expr<'b> {
        let b = b.into_expr(a.into_expr(self));
        let (a, b) = a.into_expr(b).aligned("select", b);
        let (mask, a) = self.aligned("select", a);
        let b = b.broadcast(&a.shape());
        self.builder.push(Op::Select, &[mask, a, b])
    }
    /// As `f32`: of `u32` and `f64` the nearest, ties to even. A mask is refused.
    pub fn to_f32(self) -> Expr<'b> {
        self.convert(DType::F32)
    }
    /// As `f64`, which has every number of `f32` and `u32`. A mask is refused.
    pub fn to_f64(self) -> Expr<'b> {
        self.convert(DType::F64)
    }
    /// As `u32`: of a float a whole number from 0 to 2^24 as it is, and everything else as `u32::MAX`, which is no
    /// row's number. A mask is refused.
    pub fn to_u32(self) -> Expr<'b> {
        if self.dtype() == DType::F64 {
            let nearest = self.to_f32();
            return nearest.to_f64().equal(self).select(nearest.to_u32(), u32::MAX);
        }
        self.convert(DType::U32)
    }
    /// As the builder's [type of floats](crate::Builder::float): [`Expr::to_f32`] or [`Expr::to_f64`].
    pub fn to_float(self) -> Expr<'b> {
        self.convert(self.builder.float())
    }
    fn convert(self, to: DType) -> Expr<'b> {
        if self.dtype() == to { self } else { self.builder.push(Op::Convert(to), &[self]) }
    }
}
