//! Normal vectors with covariances: a triangular scale, or one of low rank.

use super::{
    Distribution, Known, Normal,
    normal::LOG_SQRT_TWO_PI,
    rounded,
    triangular::{cholesky, log_determinant, solve},
};
use crate::{Draw, Error, Site};
use bayeslift_ir::{Expr, NoiseDistribution, Shape};

/// A normal distribution of a whole tensor, whose elements depend on each other: an event is all of the location's
/// axes, read as one vector of n elements.
///
/// Its covariance is L L' for a lower-triangular scale L, or D^2 + F F' for a diagonal D and a factor F of few columns,
/// for posteriors of more elements n than n^2 numbers are wanted for.
///
/// log p(x) = -|L^-1 (x - loc)|^2 / 2 - log det L - n log sqrt(2 pi). A triangular scale is inverted by n steps of
/// substitution where a value is not its own draw, and for divergences from another such law: for up to some hundreds
/// of elements. With a factor of r columns it is r steps (Woodbury).
///
/// ```
/// use bayeslift_ir::{Builder, evaluate};
/// use bayeslift_layers::{Distribution, distribution::{MultivariateNormal, lower_triangular}};
///
/// let b = Builder::new();
/// let full = |x: f64, shape: &[usize]| b.constant(x).broadcast(&shape.into());
/// let loc = full(0.0, &[2]);
/// // softplus(0.541310) + 1e-5 = 1 on the diagonal
/// let scale = lower_triangular(full(0.541310, &[2, 2]));
/// let law = MultivariateNormal::new(loc, scale)?;
/// assert_eq!(law.event_ndims(), 1);
/// b.output("log_prob", law.log_prob(loc));
/// // covariance 1 + 1 of each element with itself, and 1 with the other
/// let law = MultivariateNormal::low_rank(loc, full(1.0, &[2]), full(1.0, &[2, 1]))?;
/// b.output("low_rank", law.log_prob(loc));
/// b.output("stddev", law.stddev().expect("it has one"));
/// let found = evaluate(&b.finish()?, &[])?;
/// let near = |output: usize, x: f32| (found[output].as_f32().expect("floats")[0] - x).abs() < 1e-5;
/// assert!(near(0, -1.837877)); // -log(2 pi)
/// assert!(near(1, -2.387183)); // -log(2 pi) - log(3) / 2
/// assert!(near(2, 1.414214)); // sqrt 2
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct MultivariateNormal<'b> {
    /// The mean, of any shape.
    pub loc: Expr<'b>,
    scale: Scale<'b>,
}

/// A square root of the covariance.
#[derive(Clone, Copy, Debug)]
enum Scale<'b> {
    /// L, `[n, n]`.
    Triangular(Expr<'b>),
    /// D, of the location's shape, and F, `[n, r]`.
    LowRank { diagonal: Expr<'b>, factor: Expr<'b> },
}

impl<'b> MultivariateNormal<'b> {
    /// With covariance L L' for a lower-triangular L with a positive diagonal, `[n, n]`; see
    /// [`lower_triangular`](super::lower_triangular).
    ///
    /// # Errors
    /// A scale of another shape.
    pub fn new(loc: Expr<'b>, scale: Expr<'b>) -> Result<Self, Error> {
        let n = loc.shape().elements();
        check("the scale of a multivariate normal distribution", scale, &[n, n])?;
        Ok(MultivariateNormal { loc, scale: Scale::Triangular(scale) })
    }

    /// With covariance D^2 + F F' for positive D, of the location's shape, and F: `[n, r]`.
    ///
    /// # Errors
    /// A diagonal or a factor of another shape.
    pub fn low_rank(loc: Expr<'b>, diagonal: Expr<'b>, factor: Expr<'b>) -> Result<Self, Error> {
        let (shape, rank) = (loc.shape(), factor.shape().last_extent());
        check("the diagonal of a multivariate normal distribution", diagonal, &shape)?;
        check("the factor of a multivariate normal distribution", factor, &[shape.elements(), rank])?;
        Ok(MultivariateNormal { loc, scale: Scale::LowRank { diagonal, factor } })
    }

    /// The number of elements.
    fn elements(&self) -> usize {
        self.loc.shape().elements()
    }

    /// A value `[.., event]` as vectors `[.., n]`.
    fn vectors(&self, value: Expr<'b>) -> Expr<'b> {
        let shape = value.shape();
        let leading = &shape[..shape.len().saturating_sub(self.loc.shape().len())];
        value.reshape(leading.iter().copied().chain([self.elements()]).collect::<Shape>())
    }

    /// The variance of each element, of the location's shape.
    fn variance(&self) -> Expr<'b> {
        let of_rows = |x: Expr<'b>| x.square().sum(1).reshape(self.loc.shape());
        match self.scale {
            Scale::Triangular(scale) => of_rows(scale),
            Scale::LowRank { diagonal, factor } => diagonal.square() + of_rows(factor),
        }
    }

    /// F' D^-2 and the Cholesky factor of 1 + F' D^-2 F, for a covariance of low rank.
    fn capacitance(&self, diagonal: Expr<'b>, factor: Expr<'b>) -> [Expr<'b>; 2] {
        let weighted = (factor / diagonal.square().reshape([self.elements(), 1])).matrix_transpose();
        let rank = factor.shape().last_extent();
        let b = factor.builder();
        let identity = b.iota(rank).expand(1).equal(b.iota(rank).expand(0)).select(1.0, 0.0);
        [weighted, cholesky(identity + weighted.dot(factor))]
    }

    /// log det L.
    fn log_determinant(&self) -> Expr<'b> {
        match self.scale {
            Scale::Triangular(scale) => log_determinant(scale),
            Scale::LowRank { diagonal, factor } => {
                log_determinant(self.capacitance(diagonal, factor)[1]) + diagonal.log().sum_all()
            }
        }
    }

    /// |L^-1 (x - loc)|^2 of each event.
    fn squared_distance(&self, value: Expr<'b>) -> Expr<'b> {
        let distance = self.vectors(value - self.loc);
        let axis = distance.shape().len() - 1;
        // a column each
        let (columns, rows) = (distance.expand(axis + 1), axis);
        match self.scale {
            Scale::Triangular(scale) => solve(scale, columns).square().sum(rows).reshape(&distance.shape()[..axis]),
            Scale::LowRank { diagonal, factor } => {
                let [weighted, root] = self.capacitance(diagonal, factor);
                let whole = (distance / diagonal.reshape([self.elements()])).square().sum(axis);
                let batch: Shape = distance.shape()[..axis].iter().copied().collect();
                let of_factor = distance.reshape([batch.elements(), self.elements()]).dot(weighted.matrix_transpose());
                let along = solve(root, of_factor.expand(2)).square().sum(1).reshape(batch);
                whole - along
            }
        }
    }

    fn at(&self, squared: Expr<'b>) -> Expr<'b> {
        squared * -0.5 - (self.log_determinant() + rounded(self.loc, LOG_SQRT_TWO_PI) * self.elements() as f64)
    }
}

fn check(what: &str, x: Expr<'_>, expected: &[usize]) -> Result<(), Error> {
    x.builder().check()?;
    let (found, expected) = (x.shape(), Shape::new(expected));
    if found == expected { Ok(()) } else { Err(Error::shape(what, expected.to_string(), &found)) }
}

/// KL of a normal distribution with these means and variances of elements and this log det L from independent normal
/// priors.
pub(super) fn from_independent<'b>([mean, variance, log_determinant]: [Expr<'b>; 3], prior: &Normal<'b>) -> Expr<'b> {
    let square = 1.0 / prior.scale.square();
    let element = (variance + (mean - prior.loc).square()) * square * 0.5 - 0.5 + prior.scale.log();
    element.broadcast(&mean.shape()).sum_all() - log_determinant
}

impl<'b> Distribution<'b> for MultivariateNormal<'b> {
    fn family(&self) -> &'static str {
        "MultivariateNormal"
    }

    fn parameters(&self) -> Vec<(&'static str, Expr<'b>)> {
        match self.scale {
            Scale::Triangular(scale) => vec![("loc", self.loc), ("scale", scale)],
            Scale::LowRank { diagonal, factor } => {
                vec![("loc", self.loc), ("diagonal", diagonal), ("factor", factor)]
            }
        }
    }

    fn log_prob(&self, value: Expr<'b>) -> Expr<'b> {
        self.at(self.squared_distance(value))
    }

    fn log_prob_of_draw(&self, draw: &Draw<'b>) -> Expr<'b> {
        let (Some(noise), Scale::Triangular(_)) = (draw.noise, self.scale) else { return self.log_prob(draw.value) };
        let noise = self.vectors(noise);
        self.at(noise.square().sum(noise.shape().len() - 1))
    }

    fn sample(&self, site: &Site<'b>, shape: &Shape) -> Result<Draw<'b>, Error> {
        let noise = site.weight_noise(NoiseDistribution::Normal, shape)?;
        let vectors = self.vectors(noise);
        let rows = |x: Expr<'b>| {
            let shape = x.shape();
            x.reshape([shape.elements() / shape.last_extent().max(1), shape.last_extent()])
        };
        match self.scale {
            Scale::Triangular(scale) => {
                let spread = rows(vectors).dot(scale.matrix_transpose()).reshape(noise.shape());
                Ok(Draw { value: self.loc + spread, noise: Some(noise) })
            }
            Scale::LowRank { diagonal, factor } => {
                let rank: Shape = [factor.shape().last_extent()].into_iter().collect();
                let along = site.child("factor").weight_noise(NoiseDistribution::Normal, &rank)?;
                let spread = rows(along).dot(factor.matrix_transpose()).reshape(noise.shape());
                Ok(site.value(self.loc + diagonal * noise + spread))
            }
        }
    }

    fn mean(&self) -> Option<Expr<'b>> {
        Some(self.loc)
    }

    fn mode(&self) -> Option<Expr<'b>> {
        Some(self.loc)
    }

    fn stddev(&self) -> Option<Expr<'b>> {
        Some(self.variance().sqrt())
    }

    fn event_ndims(&self) -> usize {
        self.loc.shape().len()
    }

    fn known(&self) -> Known<'b> {
        Known::MultivariateNormal(*self)
    }

    /// From independent normal priors, and from another such law where both scales are triangular: (|M^-1 L|^2 + |M^-1
    /// (loc - prior loc)|^2 - n) / 2 + log det M - log det L for the prior's scale M.
    fn divergence_from(&self, prior: &dyn Distribution<'b>) -> Option<Expr<'b>> {
        match prior.known() {
            Known::Normal(prior) => Some(from_independent([self.loc, self.variance(), self.log_determinant()], &prior)),
            Known::MultivariateNormal(prior) => {
                let (Scale::Triangular(scale), Scale::Triangular(other)) = (self.scale, prior.scale) else {
                    return None;
                };
                if prior.elements() != self.elements() {
                    return None;
                }
                let ratio = solve(other, scale).square().sum_all();
                let distance = prior.squared_distance(self.loc.reshape(prior.loc.shape()));
                let trace = ratio + distance - self.elements() as f64;
                Some(trace * 0.5 + prior.log_determinant() - self.log_determinant())
            }
            _ => None,
        }
    }
}
