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
/// # Ok::<(), bayeslift_ir::Error>(())
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

/// The operands that noise is addressed by, shared by all noise sites of a graph.
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
    /// A builder of an empty graph.
    pub fn new() -> Self {
        Builder::default()
    }

    /// A builder of an empty graph whose floats are of this type, `f32` or `f64`.
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
    pub fn finish(&self) -> Result<Graph, Error> {
        self.check()?;
        Ok(self.graph().clone())
    }

    /// The first error so far, if any.
    pub fn check(&self) -> Result<(), Error> {
        self.state.borrow().error.clone().map_or(Ok(()), Err)
    }

    /// The graph so far.
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

    /// Runs `build`, of which all that it adds comes from there.
    pub fn from_origin<T>(&self, origin: Origin, build: impl FnOnce() -> T) -> T {
        let outer = self.state.borrow_mut().graph.set_origin(origin);
        let result = build();
        self.state.borrow_mut().graph.set_origin(outer);
        result
    }

    /// Keeps `error` if it is the first.
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

    /// Adds any operation; operands must have exactly the types it needs.
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

    /// An expression for a value of this graph.
    ///
    /// # Panics
    /// A value that the graph does not have.
    pub fn expr(&self, value: Value) -> Expr<'_> {
        assert!(value.index() < self.graph().nodes().len(), "{value} is not a value of this graph");
        Expr { builder: self, value }
    }

    /// A named input.
    pub fn input(&self, name: &str, ty: Type) -> Expr<'_> {
        self.record(|graph| graph.input(name, ty))
    }

    /// A scalar constant of the builder's [type of floats](Builder::float): of `f32` the nearest.
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

    /// A scalar `f64` constant.
    pub fn constant_f64(&self, x: f64) -> Expr<'_> {
        let x = if x.is_nan() { f64::NAN } else { x };
        self.push(Op::ConstantF64(x.to_bits()), &[])
    }

    /// A scalar `u32` constant.
    pub fn constant_u32(&self, x: u32) -> Expr<'_> {
        self.push(Op::ConstantU32(x), &[])
    }

    /// The `u32` indices 0 to `extent - 1`.
    pub fn iota(&self, extent: usize) -> Expr<'_> {
        self.push(Op::Iota(extent), &[])
    }

    /// Addressed noise; see [`Noise`] for the axes.
    pub fn noise<'b>(&'b self, noise: Noise, address: NoiseAddress<'b>) -> Expr<'b> {
        self.push(Op::Noise(noise), &[address.key, address.first_sample, address.first_row])
    }

    /// Names a result.
    pub fn output(&self, name: &str, expr: Expr<'_>) {
        self.own(&[expr]);
        self.record(|graph| graph.output(name, expr.value).map(|()| expr.value));
    }

    /// Names a result that overwrites the donated input `input`.
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
