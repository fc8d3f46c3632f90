//! Rows of a table that a step did not read stay as they are.

use super::{Optimizer, Step, Update};
use crate::{Error, Variable};
use bayeslift_ir::{Expr, Tensor};

/// An optimizer that leaves rows of tables alone which a step did not read: neither do they move, nor does their state
/// decay.
///
/// For `Lazy(Adam)` that is the law of TensorFlow's `LazyAdam` and of PyTorch's `SparseAdam`. In step t, for each row r
/// that an example read, with g the sum of its gradients:
///
/// m_r = b1 m_r + (1 - b1) g, v_r = b2 v_r + (1 - b2) g^2, p_r = p_r - rate_t m_r / (sqrt v_r + epsilon)
///
/// with rate_t = rate sqrt(1 - b2^t) / (1 - b1^t) of the step's number t, whenever the row was read last; of other rows
/// p, m and v stay. [`Adam`](crate::Adam) itself moves each row in each step, as its moments decay: the values differ,
/// so this is a choice. A step costs nothing for rows that were not read.
///
/// A parameter on which the loss depends otherwise than by one reading of rows - a kernel of an affine layer, a table
/// whose divergence is computed of all rows, a table that two calls read - moves as it does without.
///
/// ```
/// use bayeslift_ir::Type;
/// use bayeslift_layers::{Adam, Group, Lazy, Optimizer, Variable};
/// let optimizer = Lazy(Adam::new(1e-3));
/// let table = Variable::new("table", Type::f32([1000, 8]), Group::Weight);
/// assert!(optimizer.moves_read_rows(&table));
/// assert_eq!(optimizer.state(&table), ["m", "v"]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Lazy<O>(pub O);

impl<O: Optimizer> Optimizer for Lazy<O> {
    fn name(&self) -> &'static str {
        self.0.name()
    }
    fn state(&self, variable: &Variable) -> &'static [&'static str] {
        self.0.state(variable)
    }
    fn scalars(&self) -> Vec<String> {
        self.0.scalars()
    }
    fn scalar_values(&self, step: u64, rate: f64) -> Vec<f64> {
        self.0.scalar_values(step, rate)
    }
    fn scalar_exprs<'b>(&self, step: Expr<'b>, rate: Expr<'b>) -> Option<Vec<Expr<'b>>> {
        self.0.scalar_exprs(step, rate)
    }
    fn scalars_at<'b>(&self, scalars: &[Expr<'b>], factor: f64) -> Vec<Expr<'b>> {
        self.0.scalars_at(scalars, factor)
    }
    fn scale<'b>(&self, step: &Step<'_, 'b>) -> Option<Expr<'b>> {
        self.0.scale(step)
    }
    fn value<'b>(&self, step: &Step<'_, 'b>) -> Expr<'b> {
        self.0.value(step)
    }
    fn update<'b>(&self, step: &Step<'_, 'b>, gradient: Expr<'b>) -> Update<'b> {
        self.0.update(step, gradient)
    }
    fn moves_read_rows(&self, _: &Variable) -> bool {
        true
    }
    fn check(&self) -> Result<(), Error> {
        self.0.check()
    }
    fn initial_state(&self, variable: &Variable) -> Result<Vec<(String, Tensor)>, Error> {
        self.0.initial_state(variable)
    }
}
