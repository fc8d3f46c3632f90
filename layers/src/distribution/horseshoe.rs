//! The horseshoe: a normal whose scale is half-Cauchy.

use super::{Distribution, HalfCauchy, Known, around};
use crate::{Draw, Error, Site, host};
use bayeslift_ir::{Expr, NoiseDistribution, Shape};
use std::f64::consts::{LN_2, PI};

/// The law of scale c z for standard normal z and c of the half-Cauchy law (Carvalho, Polson and Scott 2010): a prior
/// whose density is infinite at 0, and whose tails are those of Cauchy's law. So it draws most weights to 0 and leaves
/// large ones alone.
///
/// log p(x) = log(e^y E1(y)) - log scale - log(2 pi^3) / 2, with y = (x / scale)^2 / 2 and the exponential integral E1
/// by Abramowitz and Stegun (5.1.53 and 5.1.56), within 2e-7.
///
/// ```
/// use bayeslift_ir::{Builder, evaluate};
/// use bayeslift_layers::{Distribution, distribution::Horseshoe};
///
/// let b = Builder::new();
/// let number = |x: f64| b.constant(x);
/// let law = Horseshoe::new(number(1.0));
/// b.output("log_prob", law.log_prob(number(1.0)));
/// let graph = b.finish()?;
/// let found = evaluate(&graph, &[])?;
/// let near = |output: usize, x: f32| (found[output].as_f32().expect("floats")[0] - x).abs() < 1e-5;
/// assert!(near(0, -2.143889)); // y = 1 / 2: log(e^y E1(y)) - log(2 pi^3) / 2
/// # Ok::<(), bayeslift_ir::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Horseshoe<'b> {
    /// The scale, positive.
    pub scale: Expr<'b>,
}

impl<'b> Horseshoe<'b> {
    /// With this scale.
    pub fn new(scale: Expr<'b>) -> Self {
        Horseshoe { scale }
    }
}

impl<'b> Distribution<'b> for Horseshoe<'b> {
    fn family(&self) -> &'static str {
        "Horseshoe"
    }

    fn parameters(&self) -> Vec<(&'static str, Expr<'b>)> {
        vec![("scale", self.scale)]
    }

    /// That of a size of 1e-15 scales for smaller values.
    fn log_prob(&self, value: Expr<'b>) -> Expr<'b> {
        let z = (value / self.scale).abs().max(1e-15);
        let y = z.square() * 0.5;
        let (near, far) = (y.min(1.0), y.max(1.0));
        let series = [-0.577_215_66, 0.999_991_93, -0.249_910_55, 0.055_199_68, -0.009_760_04, 0.001_078_57];
        // log y is that of z, which does not underflow
        let log_y = z.log() * 2.0 - LN_2;
        let of_near = (horner(near, &series) - log_y.min(0.0)).log() + near;
        let inverse = 1.0 / far;
        let over = horner(inverse, &[1.0, 8.573_328_740_1, 18.059_016_973_0, 8.634_760_892_5, 0.267_773_734_3]);
        let under = horner(inverse, &[1.0, 9.573_322_345_4, 25.632_956_148_6, 21.099_653_082_7, 3.958_496_922_8]);
        let of_far = (over / under).log() - log_y;
        let constant = 0.5 * host::natural_log(2.0 * PI * PI * PI);
        y.less(1.0).select(of_near, of_far) - (self.scale.log() + constant)
    }

    fn sample(&self, site: &Site<'b>, shape: &Shape) -> Result<Draw<'b>, Error> {
        let noise = site.weight_noise(NoiseDistribution::Normal, shape)?;
        let local = HalfCauchy::new(self.scale).sample(&site.child("local"), shape)?;
        Ok(site.value(local.value * noise))
    }

    fn known(&self) -> Known<'b> {
        Known::Horseshoe(*self)
    }

    fn pieces(&self) -> Vec<Expr<'b>> {
        let zero = self.scale.builder().constant(0.0);
        around(zero, self.scale, &[1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0])
    }
}

/// coefficients[0] + coefficients[1] x + ..
fn horner<'b>(x: Expr<'b>, coefficients: &[f64]) -> Expr<'b> {
    let (last, rest) = coefficients.split_last().expect("a polynomial has a coefficient");
    rest.iter().rev().fold(x.builder().constant(*last), |sum, &coefficient| sum * x + coefficient)
}
