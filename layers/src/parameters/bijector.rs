//! Maps from all real numbers to those that a parameter may be, and back.

use crate::host;
use bayeslift_ir::{Environment, Expr};
use std::fmt;

/// A smooth, increasing or decreasing map of numbers, one by one: how a parameter that may be any number becomes one
/// that may not, such as a scale. With its inverse the value itself can be [set](crate::Parameters::assign_through),
/// with the logarithm of its derivative densities follow it.
///
/// ```
/// use bayeslift_layers::Bijector;
/// // numbers between -2 and 2
/// let map = Bijector::Sigmoid.then(Bijector::Affine { scale: 4.0, shift: -2.0 });
/// assert_eq!(map.to_string(), "4 sigmoid(x) - 2");
/// assert_eq!(map.inverse_of(0.0), 0.0);
/// assert!(map.inverse_of(2.5).is_nan());
///
/// // as graph code, at x = 0
/// use bayeslift_ir::{Builder, evaluate};
/// let b = Builder::new();
/// let y = map.forward(b.constant(0.0));
/// b.output("forward", y); // 4 / 2 - 2
/// b.output("inverse", map.inverse(y));
/// b.output("log_det", map.log_det(b.constant(0.0))); // log(4 / 4)
/// for output in evaluate(&b.finish()?, &[])? {
///     assert!(output.as_f32().expect("floats")[0].abs() < 1e-6);
/// }
/// # Ok::<(), bayeslift_ir::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Bijector {
    /// log(1 + e^x): to positive numbers, and like x for large x.
    Softplus,
    /// e^x: to positive numbers.
    Exp,
    /// 1 / (1 + e^-x): to numbers between 0 and 1.
    Sigmoid,
    /// scale x + shift, for a scale that is not 0.
    Affine {
        /// The factor.
        scale: f64,
        /// What is added.
        shift: f64,
    },
    /// One after the other, the first first.
    Chain(Vec<Bijector>),
}

impl Bijector {
    /// softplus(x) + 1e-5: the map of posteriors' raw scales, as in TFP.
    pub fn scale() -> Self {
        Bijector::Softplus.then(Bijector::Affine { scale: 1.0, shift: 1e-5 })
    }

    /// This one, and the next of what it gives.
    pub fn then(self, next: Bijector) -> Self {
        let parts = |bijector| if let Bijector::Chain(parts) = bijector { parts } else { vec![bijector] };
        Bijector::Chain([parts(self), parts(next)].concat())
    }

    /// What it makes of x.
    pub fn forward<'b>(&self, x: Expr<'b>) -> Expr<'b> {
        match self {
            Bijector::Softplus => x.softplus(),
            Bijector::Exp => x.exp(),
            Bijector::Sigmoid => x.sigmoid(),
            &Bijector::Affine { scale, shift } => {
                let scaled = if scale == 1.0 { x } else { x * scale };
                if shift == 0.0 { scaled } else { scaled + shift }
            }
            Bijector::Chain(parts) => parts.iter().fold(x, |x, part| part.forward(x)),
        }
    }

    /// The x that it makes y of; not a number where there is none.
    pub fn inverse<'b>(&self, y: Expr<'b>) -> Expr<'b> {
        match self {
            // 1 - e^-y = 2 t / (1 + t) for t = tanh(y / 2), with its digits near 0
            Bijector::Softplus => {
                let t = (y * 0.5).tanh();
                y + (t * 2.0 / (t + 1.0)).log()
            }
            Bijector::Exp => y.log(),
            Bijector::Sigmoid => y.log() - (1.0 - y).log(),
            &Bijector::Affine { scale, shift } => (y - shift) * (1.0 / scale),
            Bijector::Chain(parts) => parts.iter().rev().fold(y, |y, part| part.inverse(y)),
        }
    }

    /// The logarithm of the size of its derivative at x: the log density of what it makes of x is that of x less this.
    pub fn log_det<'b>(&self, x: Expr<'b>) -> Expr<'b> {
        match self {
            Bijector::Softplus => -(-x).softplus(),
            Bijector::Exp => x,
            Bijector::Sigmoid => -((-x).softplus() + x.softplus()),
            Bijector::Affine { scale, .. } => {
                x.builder().constant(host::natural_log(scale.abs())).broadcast(&x.shape())
            }
            Bijector::Chain(parts) => {
                let (mut at, mut sum) = (x, None);
                for part in parts {
                    let log_det = part.log_det(at);
                    sum = Some(sum.map_or(log_det, |sum: Expr<'b>| sum + log_det));
                    at = part.forward(at);
                }
                sum.unwrap_or_else(|| x.builder().constant(0.0).broadcast(&x.shape()))
            }
        }
    }

    fn formula(&self, x: String) -> String {
        match self {
            Bijector::Softplus => format!("softplus({x})"),
            Bijector::Exp => format!("exp({x})"),
            Bijector::Sigmoid => format!("sigmoid({x})"),
            &Bijector::Affine { scale, shift } => {
                let product = match scale {
                    1.0 => x,
                    _ if x.contains(' ') => format!("{scale} ({x})"),
                    _ => format!("{scale} {x}"),
                };
                match shift {
                    0.0 => product,
                    shift if shift < 0.0 => format!("{product} - {}", -shift),
                    shift => format!("{product} + {shift}"),
                }
            }
            Bijector::Chain(parts) => parts.iter().fold(x, |x, part| part.formula(x)),
        }
    }

    /// As [`Bijector::inverse`], of a number; with the same bits on every machine.
    pub fn inverse_of(&self, y: f64) -> f64 {
        let log = |y: f64| if y > 0.0 { host::natural_log(y) } else { f64::NAN };
        Environment::within(|| match self {
            Bijector::Softplus => host::inverse_softplus(y),
            Bijector::Exp => log(y),
            Bijector::Sigmoid => log(y) - log(1.0 - y),
            Bijector::Affine { scale, shift } => (y - shift) / scale,
            Bijector::Chain(parts) => parts.iter().rev().fold(y, |y, part| part.inverse_of(y)),
        })
    }
}

/// As a formula in x.
impl fmt::Display for Bijector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.formula("x".to_owned()))
    }
}

/// The shortest decimal of a number is what a user means by it: 1e-3, not the nearest `f32`.
pub(crate) fn shortest(x: f32) -> f64 {
    x.to_string().parse().unwrap_or(f64::NAN)
}
