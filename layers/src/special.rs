//! Special functions that likelihoods need, as graph code in `f64`.
//!
//! They are built from additions, products, quotients, square roots, exponentials, logarithms and sums: nothing here is
//! an operation of its own. So every way to run a graph gives the same bits, and gradients are those of the graph, in
//! every argument. There is no loop that depends on a value and no table of cases; where there are two formulas, both
//! are computed and one is selected.
//!
//! Arguments are `f64`, `f32` or `u32`, taken to `f64` and broadcast against each other; results are `f64`.
//! Not-a-number gives not-a-number. Outside of its domain a function has no defined value, but distribution functions
//! are 0 and 1 beyond the ends of their support. Shapes that do not broadcast are an error of the builder, which
//! [`Builder::finish`](bayeslift_ir::Builder::finish) returns.
//!
//! ```
//! use bayeslift_ir::{Builder, Tensor, Type, evaluate};
//! use bayeslift_layers::special::{gamma_lower, gamma_quantile};
//! // there and back, for three concentrations at once
//! let b = Builder::new();
//! let concentrations = b.input("a", Type::f64([3]));
//! let median = gamma_quantile(concentrations, b.constant_f64(0.5));
//! b.output("p", gamma_lower(concentrations, median));
//! let p = evaluate(&b.finish()?, &[Tensor::f64([3], [0.5, 3.0, 1000.0])?])?;
//! assert!(p[0].as_f64().unwrap().iter().all(|p| (p - 0.5).abs() < 1e-12));
//!
//! let b = Builder::new();
//! b.output("p", gamma_lower(b.input("a", Type::f64([3])), b.input("x", Type::f64([2]))));
//! assert!(b.finish().is_err());
//! # Ok::<(), bayeslift_ir::Error>(())
//! ```
//!
//! Three ideas carry the module:
//!
//! - **Saddle points.** Densities of the gamma and beta families are written with the deviance `lambda - 1 - log
//!   lambda` and the error of Stirling's formula, after Loader (2000), *Fast and accurate computation of binomial
//!   probabilities*. Both are small where the density is not, and the deviance is flat at 1: rounding `lambda` moves it
//!   by no more than rounding the result does. So no digits cancel, and no log(1 + x) is needed.
//! - **Integrals over a new axis.** Incomplete functions are a density times an integral over the half line whose
//!   integrand falls from 1 on one known scale; one set of nodes of a double exponential rule is an axis of the graph,
//!   and a sum over it is the integral.
//! - **A fixed number of Halley steps.** Quantiles are roots of log P in the logarithm of the argument, where it is
//!   concave.
//!
//! The tables in `tests/special` have 18 digits of values and derivatives. Against them errors are below these bounds:
//! absolute ones of values below 1, relative ones of larger values (*mixed*); of the smaller of the two tails (*tail*);
//! or of the probability that a quantile is at, relative to the smaller of it and its complement (*of p*). Derivatives
//! of `log_beta` are differences of terms like 1 / a, so that for a below 1 the error is relative to that. The number
//! of nodes is for arguments that are not scalars: a third of them are constants and their broadcasts.
//!
//! | function                      | error                        | derivatives | where                                 | nodes    |
//! |-------------------------------|------------------------------|-------------|---------------------------------------|----------|
//! | `log_gamma`, `digamma`        | 5e-15 mixed                  | 5e-15 mixed | 1e-300 <= x <= 1e300                  | 72, 73   |
//! | `log_beta`                    | 1e-14 mixed                  | 5e-13 mixed | 1e-8 <= a, b <= 1e15                  | 128      |
//! | `log_gamma_ratio`             | 5e-15 mixed                  | 5e-13 mixed | 1e-2 <= x <= 1e15, d >= -0.99 x       | 109      |
//! | `normal_cdf`                  | 5e-16, 1e-13 of a lower tail | 1e-15       | z >= -38                              | 64       |
//! | `normal_log_cdf`              | 1e-13 relative               | 5e-15 mixed | -1e100 <= z <= 38                     | 76       |
//! | `normal_quantile`             | 2e-15 mixed                  | 1e-11 mixed | every p                               | 130      |
//! | `gamma_lower`, `gamma_upper`  | 5e-14, 5e-11 of a tail       | 1e-12 mixed | 1e-3 <= a <= 1e6, every x             | 167      |
//! | `beta_lower`, `beta_upper`    | 5e-14, 1e-12 of a tail       | 5e-11 mixed | 1e-2 <= a, b <= 1e5, every x          | 245      |
//! | `student_cdf`                 | 5e-15, 5e-13 of a tail       | 5e-13 mixed | 0.1 <= degrees <= 2e5, every t        | 245      |
//! | `gamma_quantile`              | 2e-12 of p                   | 5e-12       | as `gamma_lower`, 1e-8 <= p <= 1-1e-8 | 389      |
//! | `beta_quantile`               | 1e-12 of p                   | 2e-12       | as `beta_lower`, same p               | 744      |
//! | `student_quantile`            | 1e-12 of p                   | 2e-8        | as `student_cdf`, same p              | 747      |

mod beta;
mod gamma;
mod incomplete_gamma;
mod normal;
mod quadrature;

pub use beta::{beta_lower, beta_quantile, beta_upper, student_cdf, student_quantile};
pub use gamma::{digamma, log_beta, log_gamma, log_gamma_ratio};
pub use incomplete_gamma::{gamma_lower, gamma_quantile, gamma_upper};
pub use normal::{normal_cdf, normal_log_cdf, normal_quantile};

use bayeslift_ir::{Expr, Shape};

/// The arguments of a function, as `f64` of one rank. An axis that only one of them has is 1 in the others, not
/// repeated.
fn operands<'b, const N: usize>(arguments: [Expr<'b>; N]) -> [Expr<'b>; N] {
    let rank = arguments.iter().map(|argument| argument.shape().len()).max().unwrap_or(0);
    arguments.map(|argument| {
        let shape = argument.shape();
        let ones = std::iter::repeat_n(1, rank - shape.len());
        argument.to_f64().reshape(ones.chain(shape.iter().copied()).collect::<Shape>())
    })
}

/// `coefficients[0] + coefficients[1] x + ...` by Horner's rule.
fn polynomial<'b>(x: Expr<'b>, coefficients: &[f64]) -> Expr<'b> {
    let mut rest = coefficients.iter().rev();
    let last = x.builder().constant_f64(*rest.next().expect("a polynomial has a coefficient"));
    rest.fold(last, |sum, &coefficient| sum * x + coefficient)
}

/// lambda - 1 - log lambda, which is 0 with slope 0 at 1: half of a deviance of the gamma distribution.
fn deviance(ratio: Expr<'_>) -> Expr<'_> {
    ratio - 1.0 - ratio.log()
}

/// The probability of one side, where `tail` is that of the lower side or of the upper one.
fn one_side<'b>(is_lower: Expr<'b>, tail: Expr<'b>, upper: bool) -> Expr<'b> {
    let rest = 1.0 - tail;
    if upper { is_lower.select(rest, tail) } else { is_lower.select(tail, rest) }
}

/// What to add to an argument to make `difference` zero, by Halley's method, with the slope of the difference and the
/// relative change of that slope. The part that is not Newton's at most doubles the step.
fn halley_step<'b>(difference: Expr<'b>, slope: Expr<'b>, change: Expr<'b>) -> Expr<'b> {
    let newton = difference / slope;
    -newton / (1.0 - newton * change * 0.5).max(0.5)
}
