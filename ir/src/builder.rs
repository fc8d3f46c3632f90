//! Building graphs with ordinary operators: broadcasting is implicit, the first error is kept.

use crate::{DType, Error, Expr, Graph, Noise, Op, Origin, Type, Value};
use smallvec::SmallVec;
use std::cell::{Ref, RefCell};

/// Builds a [`Graph`].
///
/// Operations on its [`Expr`]s never fail at the spot: the first error is kept, later operations do nothing,
/// and [`Builder::finish`] or [`Builder::check`] report it together with the scope it arose in.
///
/// ```
/// use bayeslift_ir::{Builder, Type};
/// let b = Builder::new();
/// let x = b.input("x", Type::f32([32, 64]));
/// let w = b.input("w", Type::f32([64, 10]));
/// let bias = b.input("bias", Type::f32([10]));
/// b.output("y", (x.dot(w) + bias).relu());
/// let graph = b.finish()?;
/// assert_eq!(graph.ty(graph.outputs()[0].value), &Type::f32([32, 10]));
/// # Ok::<(), bayeslift_ir::Error>(())
/// ```
///
/// After an error:
///
/// ```
/// use bayeslift_ir::{Builder, Type};
/// let b = Builder::new();
/// let (x, w) = (b.input("x", Type::f32([32, 64])), b.input("w", Type::f32([10, 64])));
/// let y = x.dot(w).relu();
/// assert!(b.check().is_err());
/// b.output("y", y);
/// let message = "dot: operand 1 has shape [10,64], which does not fit [64,n] for a left operand of shape [32,64]";
/// assert_eq!(b.finish().unwrap_err().to_string(), message);
/// ```
///
/// A builder has a type of floats (default: `f32`): that of constants, and of numbers where no float stands beside
/// them. So code that builds a network builds it in either type; see [`Builder::of`].
#[derive(Debug)]
pub struct Builder {
    float: DType,
    state: RefCell<State>,
}

impl Default for Builder {
    fn default() -> Self {
        Builder::of(DType::F32)
    }
}

#[derive(Debug, Default)]
struct State {
    graph: Graph,
    error: Option<Error>,
}

/// The operands that noise is addressed by, shared by all noise sites of a graph. They are values, so one compiled
/// graph draws for every seed, step, sample and example.
///
/// ```
/// use bayeslift_ir::{Builder, DType, Noise, NoiseAddress, NoiseDistribution, Tensor, Type, evaluate, noise};
/// let b = Builder::new();
/// let address = NoiseAddress {
///     key: b.input("key", Type::u32([4])),
///     first_sample: b.input("first_sample", Type::u32([])),
///     first_row: b.input("first_row", Type::u32([2])),
/// };
/// let (distribution, stream) = (NoiseDistribution::Normal, noise::stream("affine", "kernel"));
/// let (dtype, shape) = (DType::F32, [2, 4, 8].into());
/// let site = Noise { distribution, dtype, stream, sample_axis: Some(0), example_axis: None, shape };
/// b.output("noise", b.noise(site, address));
/// // seed 7, step 100, samples from 5 on; the site has no axis of examples, so the first row is nothing to it
/// let inputs = [Tensor::u32([4], [7, 0, 100, 0])?, Tensor::u32([], [5])?, Tensor::u32([2], [0, 0])?];
/// let drawn = evaluate(&b.finish()?, &inputs)?;
///
/// let at = noise::Address { seed: 7, step: 100, sample: 5 + 1, row: 3, unit: 2, units: 8 };
/// assert_eq!(drawn[0].as_f32().unwrap()[(4 + 3) * 8 + 2], noise::element(distribution, stream, at));
/// # Ok::<(), bayeslift_ir::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct NoiseAddress<'b> {
    /// `u32[4]`: seed low, seed high, step low, step high.
    pub key: Expr<'b>,
    /// `u32[]`: the number of the first sample.
    pub first_sample: Expr<'b>,
    /// `u32[2]`: the number of the first example, low and high.
    pub first_row: Expr<'b>,
}

impl From<Graph> for Builder {
    /// Continues a graph.
    fn from(graph: Graph) -> Self {
        Builder { float: DType::F32, state: RefCell::new(State { graph, ..State::default() }) }
    }
}

impl Builder {
    /// A builder of an empty graph whose floats are `f32`.
    pub fn new() -> Self {
        Builder::default()
    }

    /// A builder of an empty graph whose floats are of this type, `f32` or `f64`. Of any other the first error is
    /// [`Error::Attribute`].
    ///
    /// ```
    /// use bayeslift_ir::{Builder, DType};
    /// let b = Builder::of(DType::F64);
    /// assert_eq!((b.float(), b.constant(0.1).dtype()), (DType::F64, DType::F64));
    /// assert_eq!(Builder::new().float(), DType::F32);
    /// ```
    pub fn of(float: DType) -> Self {
        let builder = Builder { float, state: RefCell::default() };
        if !float.is_float() {
            let message = format!("floats of type {float}, which is none of f32 and f64");
            builder.fail(Error::Attribute { op: "builder".into(), message });
        }
        builder
    }

    /// The type of constants, and of numbers where no float stands beside them.
    pub fn float(&self) -> DType {
        self.float
    }

    /// The graph so far, or the first error. It is a copy, so that whatever has expressions of the builder may outlive
    /// it.
    ///
    /// # Errors
    /// The first that any operation, input or output gave, in its scope.
    pub fn finish(&self) -> Result<Graph, Error> {
        self.check()?;
        Ok(self.graph().clone())
    }

    /// The first error so far, if any: what [`Builder::finish`] would report. For code that is about to do what makes
    /// no sense after one.
    pub fn check(&self) -> Result<(), Error> {
        self.state.borrow().error.clone().map_or(Ok(()), Err)
    }

    /// The graph so far, to look at: also after an error, then without what came later.
    ///
    /// # Panics
    /// Operations panic as long as what this gives is held.
    ///
    /// ```
    /// use bayeslift_ir::{Builder, Type};
    /// let b = Builder::new();
    /// let x = b.input("x", Type::f32([2]));
    /// let (once, again) = ((x + 1.0).exp(), (x + 1.0).exp());
    /// assert_eq!((once.value(), b.graph().nodes().len()), (again.value(), 5));
    /// ```
    pub fn graph(&self) -> Ref<'_, Graph> {
        Ref::map(self.state.borrow(), |state| &state.graph)
    }

    /// Runs `build` in a scope of this name inside of the current one: what it adds [comes from](Graph::origin) there,
    /// and errors say so.
    ///
    /// ```
    /// use bayeslift_ir::{Builder, Type};
    /// let b = Builder::new();
    /// let x = b.input("x", Type::f32([2]));
    /// let y = b.scoped("network", || b.scoped("relu", || x.relu()));
    /// assert_eq!(b.graph().origin(y.value()).to_string(), "network/relu");
    /// ```
    pub fn scoped<T>(&self, name: &str, build: impl FnOnce() -> T) -> T {
        let scope = self.graph().current_origin().child(name);
        self.from_origin(scope, build)
    }

    /// Runs `build`, of which all that it adds [comes from](Graph::origin) there: for passes, whose results come from
    /// where that is from which they replace. [`Builder::scoped`] is for scopes inside of each other.
    ///
    /// ```
    /// use bayeslift_ir::{Builder, Origin, Type};
    /// let b = Builder::new();
    /// let y = b.scoped("affine", || b.input("x", Type::f32([2])).exp());
    /// let gradient = b.graph().origin(y.value()).gradient();
    /// let g = b.from_origin(gradient, || y * 2.0);
    /// assert_eq!(b.graph().origin(g.value()).to_string(), "gradient of affine");
    /// ```
    pub fn from_origin<T>(&self, origin: Origin, build: impl FnOnce() -> T) -> T {
        let outer = self.state.borrow_mut().graph.set_origin(origin);
        let result = build();
        self.state.borrow_mut().graph.set_origin(outer);
        result
    }

    /// Keeps `error` if it is the first, in the current scope: how layers refuse what they cannot do.
    ///
    /// ```
    /// use bayeslift_ir::{Builder, Error};
    /// let b = Builder::new();
    /// b.scoped("pool", || b.fail(Error::Attribute { op: "pool".into(), message: "a window of 0 elements".into() }));
    /// b.fail(Error::Malformed("a consequence".into()));
    /// assert_eq!(b.check().unwrap_err().to_string(), "in `pool`: pool: a window of 0 elements");
    /// ```
    pub fn fail(&self, error: Error) {
        let mut state = self.state.borrow_mut();
        let error = error.within(&state.graph.current_origin().to_string());
        state.error.get_or_insert(error);
    }

    fn record(&self, add: impl FnOnce(&mut Graph) -> Result<Value, Error>) -> Expr<'_> {
        let added = {
            let mut state = self.state.borrow_mut();
            if state.error.is_some() { Ok(None) } else { add(&mut state.graph).map(Some) }
        };
        let value = match added {
            Ok(Some(value)) => value,
            Ok(None) => self.inert(),
            Err(error) => {
                self.fail(error);
                self.inert()
            }
        };
        Expr { builder: self, value }
    }

    /// What operations give after an error: some value of the graph, never used.
    fn inert(&self) -> Value {
        let zero = self.state.borrow_mut().graph.push(Op::Constant(0), &[]);
        zero.unwrap_or_else(|_| self.graph().values().next().expect("a full graph has nodes"))
    }

    /// Adds any operation; operands must have exactly the types it needs, which [`result_type`](crate::result_type)
    /// tells. Nothing is broadcast.
    ///
    /// ```
    /// use bayeslift_ir::{Builder, Op, Type};
    /// let b = Builder::new();
    /// let x = b.input("x", Type::f32([32, 10]));
    /// assert_eq!(b.push(Op::Max(1), &[x]).ty(), Type::f32([32]));
    /// b.push(Op::Max(2), &[x]);
    /// assert_eq!(b.check().unwrap_err().to_string(), "reduce_max: axis 2 of an operand of shape [32,10]");
    /// ```
    pub fn push<'b>(&'b self, op: Op, args: &[Expr<'b>]) -> Expr<'b> {
        self.own(args);
        let args: SmallVec<[Value; 3]> = args.iter().map(|arg| arg.value).collect();
        self.record(|graph| graph.push(op, &args))
    }

    /// Keeps an error unless these expressions are of this builder: values are numbers, which another graph has too.
    fn own(&self, expressions: &[Expr<'_>]) {
        if expressions.iter().any(|expression| !std::ptr::eq(expression.builder, self)) {
            self.fail(Error::Malformed("an expression of another builder is an operand or output".into()));
        }
    }

    /// An expression for a value of this graph: to go on with a graph that was built before.
    ///
    /// ```
    /// use bayeslift_ir::{Builder, Type};
    /// let b = Builder::new();
    /// b.output("y", b.input("x", Type::f32([2])).exp());
    /// let graph = b.finish()?;
    /// let y = graph.outputs()[0].value;
    /// let b = Builder::from(graph);
    /// b.output("sum of y", b.expr(y).sum_all());
    /// assert_eq!(b.finish()?.outputs().len(), 2);
    /// # Ok::<(), bayeslift_ir::Error>(())
    /// ```
    ///
    /// # Panics
    /// A value that the graph does not have.
    pub fn expr(&self, value: Value) -> Expr<'_> {
        assert!(value.index() < self.graph().nodes().len(), "{value} is not a value of this graph");
        Expr { builder: self, value }
    }

    /// A named input, the next one that callers pass. A name that an input has, and a type that
    /// [`Type::check`] refuses, are errors.
    pub fn input(&self, name: &str, ty: Type) -> Expr<'_> {
        self.record(|graph| graph.input(name, ty))
    }

    /// A scalar constant of the builder's [type of floats](Builder::float): of `f32` the nearest. Beside an expression
    /// a number may stand without this; see [`Operand`](crate::Operand).
    ///
    /// ```
    /// use bayeslift_ir::{Builder, Type};
    /// let b = Builder::new();
    /// assert_eq!(b.constant(0.1).ty(), Type::f32([]));
    /// assert_eq!((b.constant_f64(0.1).ty(), b.constant_u32(3).ty()), (Type::f64([]), Type::u32([])));
    /// let tenth = b.constant(0.1).value();
    /// assert_eq!(b.graph().number(tenth), Some(f64::from(0.1_f32)));
    /// ```
    pub fn constant(&self, x: impl Into<f64>) -> Expr<'_> {
        match self.float {
            DType::F64 => self.constant_f64(x.into()),
            _ => self.constant_f32(x.into() as f32),
        }
    }

    /// A scalar `f32` constant.
    pub(crate) fn constant_f32(&self, x: f32) -> Expr<'_> {
        let x = if x.is_nan() { f32::NAN } else { x };
        self.push(Op::Constant(x.to_bits()), &[])
    }

    /// A scalar `f64` constant, whatever the builder's type of floats is. All NaNs are one.
    pub fn constant_f64(&self, x: f64) -> Expr<'_> {
        let x = if x.is_nan() { f64::NAN } else { x };
        self.push(Op::ConstantF64(x.to_bits()), &[])
    }

    /// A scalar `u32` constant, whose type is `u32[]`.
    pub fn constant_u32(&self, x: u32) -> Expr<'_> {
        self.push(Op::ConstantU32(x), &[])
    }

    /// The `u32` indices 0 to `extent - 1`, of shape `[extent]`. An extent of 0 is refused.
    ///
    /// ```
    /// use bayeslift_ir::{Builder, Tensor, evaluate};
    /// let b = Builder::new();
    /// b.output("i", b.iota(4));
    /// assert_eq!(evaluate(&b.finish()?, &[])?, [Tensor::u32([4], [0, 1, 2, 3])?]);
    /// # Ok::<(), bayeslift_ir::Error>(())
    /// ```
    pub fn iota(&self, extent: usize) -> Expr<'_> {
        self.push(Op::Iota(extent), &[])
    }

    /// Addressed noise: random numbers, each a function of where it is. [`Noise`] tells the axes, [`NoiseAddress`] has
    /// an example that draws, and [`noise`](crate::noise) defines the bits. Each site of a graph needs a stream of its
    /// own: [`verify`](crate::verify) refuses two that share one.
    ///
    /// ```
    /// use bayeslift_ir::{Builder, DType, Noise, NoiseAddress, NoiseDistribution, Type, noise};
    /// let b = Builder::new();
    /// let [key, first_row] = [("key", 4), ("first_row", 2)].map(|(name, extent)| b.input(name, Type::u32([extent])));
    /// let address = NoiseAddress { key, first_sample: b.input("first_sample", Type::u32([])), first_row };
    /// let (stream, distribution) = (noise::stream("dropout", "keep"), NoiseDistribution::Uniform);
    /// let (dtype, shape) = (DType::F32, [32, 64].into());
    /// let site = Noise { distribution, dtype, stream, sample_axis: None, example_axis: Some(0), shape };
    /// let u = b.noise(site, address);
    /// b.output("kept", u.less(0.9).select(1.0 / 0.9, 0.0));
    /// assert_eq!((u.ty(), b.check()), (Type::f32([32, 64]), Ok(())));
    /// ```
    pub fn noise<'b>(&'b self, noise: Noise, address: NoiseAddress<'b>) -> Expr<'b> {
        self.push(Op::Noise(noise), &[address.key, address.first_sample, address.first_row])
    }

    /// Names a result, the next one that callers receive. A name that an output has is an error.
    pub fn output(&self, name: &str, expr: Expr<'_>) {
        self.own(&[expr]);
        self.record(|graph| graph.output(name, expr.value).map(|()| expr.value));
    }

    /// Names a result that overwrites the donated input `input`, which must have its type: how an optimizer's step
    /// updates parameters. `input` is an input that no other output updates.
    ///
    /// ```
    /// use bayeslift_ir::{Builder, Tensor, Type, evaluate};
    /// let b = Builder::new();
    /// let (w, gradient) = (b.input("w", Type::f32([2])), b.input("gradient", Type::f32([2])));
    /// b.output_updating("w", w - gradient * 0.5, w);
    /// let graph = b.finish()?;
    /// assert!(graph.is_donated(0) && !graph.is_donated(1));
    /// let w = evaluate(&graph, &[Tensor::f32([2], [1.0, 2.0])?, Tensor::f32([2], [2.0, -2.0])?])?;
    /// assert_eq!(w, [Tensor::f32([2], [0.0, 3.0])?]);
    /// # Ok::<(), bayeslift_ir::Error>(())
    /// ```
    pub fn output_updating(&self, name: &str, expr: Expr<'_>, input: Expr<'_>) {
        self.own(&[expr, input]);
        self.record(|graph| graph.output_updating(name, expr.value, input.value).map(|()| expr.value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_error_is_kept_with_its_scope() {
        let b = Builder::new();
        let x = b.input("x", Type::f32([32, 64]));
        let w = b.input("w", Type::f32([63, 10]));
        let y = b.scoped("network", || b.scoped("dense", || x.dot(w)));
        let _ = y + b.input("z", Type::f32([7]));
        let message = b.finish().unwrap_err().to_string();
        assert_eq!(
            message,
            "in `network/dense`: dot: operand 1 has shape [63,10], which does not fit [64,n] for a left operand of shape [32,64]"
        );
    }

    #[test]
    fn expressions_of_another_builder_are_refused() {
        let (a, b) = (Builder::new(), Builder::new());
        let [x, y] = [&a, &b].map(|builder| builder.input("x", Type::f32([2])));
        a.output("z", x + y);
        assert!(a.check().unwrap_err().to_string().contains("another builder"));
        b.output("z", x);
        assert!(b.check().unwrap_err().to_string().contains("another builder"));
    }

    #[test]
    fn equal_nodes_are_one() {
        let b = Builder::new();
        let x = b.input("x", Type::f32([4]));
        assert_eq!((x + 1.0).exp().value(), (x + 1.0).exp().value());
    }
}
