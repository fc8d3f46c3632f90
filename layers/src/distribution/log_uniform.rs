//! The improper log-uniform prior of variational dropout.

use super::{Distribution, Known, Normal, around, location_scale::log_of_one_plus, undefined};
use crate::{Draw, Error, Site};
use bayeslift_ir::{Builder, Expr, Shape};

/// The improper law with density 1 / |x|: every size of a weight is as probable as every other (Kingma, Salimans and
/// Welling 2015). As the prior of a normal posterior it is that of sparse variational dropout: weights that data do not
/// need lose their signal, scale^2 / mean^2 grows without bounds, and they can be cut.
///
/// It cannot be drawn from, and divergences from it have an arbitrary constant. That from it of a normal posterior
/// depends on a = scale^2 / mean^2 alone; the closed form is the approximation of Molchanov, Ashukha and Vetrov (2017,
/// equation 14),
///
/// KL = k1 (1 - sigmoid(k2 + k3 log a)) + log(1 + 1 / a) / 2, with k1 = 0.63576, k2 = 1.87320, k3 = 1.48695,
///
/// which is 0 for a = infinity; it is within 0.01 nats of the integral, less its limit.
///
/// ```
/// use bayeslift_ir::{Builder, evaluate};
/// use bayeslift_layers::{Distribution, distribution::LogUniform};
///
/// let b = Builder::new();
/// let number = |x: f64| b.constant(x);
/// let law = LogUniform::new(&b);
/// b.output("log_prob", law.log_prob(number(2.0)));
/// let graph = b.finish()?;
/// let found = evaluate(&graph, &[])?;
/// let near = |output: usize, x: f32| (found[output].as_f32().expect("floats")[0] - x).abs() < 1e-5;
/// assert!(near(0, -0.693147)); // -log 2
/// # Ok::<(), bayeslift_ir::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct LogUniform<'b>(Expr<'b>);

impl<'b> LogUniform<'b> {
    /// The law with density 1 / |x|.
    pub fn new(builder: &'b Builder) -> Self {
        LogUniform(builder.constant(0.0))
    }

    /// The divergence of a normal posterior from it, of each element, as approximated.
    pub(super) fn of(&self, posterior: &Normal<'b>) -> Expr<'b> {
        // of a mean of 0, whose ratio to the scale is none, everything is finite, and so are gradients
        let square = posterior.loc.square();
        let log_a = posterior.scale.log() * 2.0 - (square + 1e-30).log();
        let dropped = (-(log_a * 1.48695 + 1.87320)).sigmoid() * 0.63576;
        dropped + log_of_one_plus(square / posterior.scale.square()) * 0.5
    }
}

impl<'b> Distribution<'b> for LogUniform<'b> {
    fn family(&self) -> &'static str {
        "LogUniform"
    }

    fn parameters(&self) -> Vec<(&'static str, Expr<'b>)> {
        Vec::new()
    }

    /// -log |x|, and that of 1e-30 for smaller values.
    fn log_prob(&self, value: Expr<'b>) -> Expr<'b> {
        -value.abs().max(1e-30).log()
    }

    fn sample(&self, _: &Site<'b>, _: &Shape) -> Result<Draw<'b>, Error> {
        Err(undefined("LogUniform", "draws: its density has no finite integral"))
    }

    fn known(&self) -> Known<'b> {
        Known::LogUniform(*self)
    }

    /// The density is infinite at 0, and smooth on the scale of the distance from there.
    fn pieces(&self) -> Vec<Expr<'b>> {
        around(self.0, 1.0, &[1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0])
    }
}
