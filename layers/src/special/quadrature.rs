//! Nodes and weights by which incomplete functions are integrated.

use bayeslift_ir::{Builder, Expr};

/// The number of nodes.
const NODES: usize = 56;
/// The distance of nodes in t, and the first one.
const STEP: f64 = 0.09;
const FIRST: f64 = -1.5;

/// Nodes s and weights of a rule for integrals over the half line, each of shape `[NODES]`.
///
/// It is the trapezoidal rule after the substitution s = exp(t - exp(-3 t) / 2), a double exponential formula (Takahasi
/// and Mori 1974): at the end 0 the nodes crowd double exponentially, at the other one the integrand itself vanishes.
/// It gives fourteen digits of the integral of an analytic function that falls from 1 to nothing on the scale of 1,
/// whether as e^-s, as e^(-s^2 / 2) or as exp(-e^s), and it need do nothing else.
pub(super) fn half_line(builder: &Builder) -> (Expr<'_>, Expr<'_>) {
    let t = builder.iota(NODES).to_f64() * STEP + FIRST;
    let inner = (t * -3.0).exp() * 0.5;
    let nodes = (t - inner).exp();
    (nodes, nodes * (inner * 3.0 + 1.0) * STEP)
}
