//! Laws of targets, given what a network outputs for them. A likelihood says what it reads from the output, what its
//! targets look like, and which [`Law`] they follow; losses, predictions and files come from that.

mod bernoulli;
mod beta;
mod categorical;
mod custom;
mod elementary;
mod gamma;
mod invert;
mod law;
mod location_scale;
mod log_normal;
mod negative_binomial;
mod normal;
mod normal_mixture;
mod ordered_logit;
mod poisson;
mod scale;
mod softmax_centered;
mod target;
mod zero_inflated;

pub use bernoulli::Bernoulli;
pub use beta::Beta;
pub use categorical::Categorical;
pub use custom::Custom;
pub use gamma::Gamma;
pub use law::{Law, TargetNoise};
pub use location_scale::{Laplace, StudentT};
pub use log_normal::LogNormal;
pub use negative_binomial::NegativeBinomial;
pub use normal::Normal;
pub use normal_mixture::NormalMixture;
pub use ordered_logit::OrderedLogit;
pub use poisson::Poisson;
pub use scale::Scale;
pub use softmax_centered::SoftmaxCenteredNormal;
pub use target::{SIMPLEX_ROUNDING, Support, Target};
pub use zero_inflated::ZeroInflated;

use crate::{Error, Scope};
use bayeslift_ir::{DType, Expr, Shape, Type};
use std::{fmt, sync::Arc};

/// The law of an example's target given a network's output for it; its negative logarithm is the loss.
///
/// A likelihood of one's own has the three methods that are required, and a [`Law`]:
///
/// ```
/// use bayeslift_ir::{Expr, Shape};
/// use bayeslift_layers::{Error, Scope, likelihood::{Law, Likelihood, Support, Target}};
///
/// /// The exponential law with rate e^output.
/// #[derive(Debug)]
/// struct Exponential;
///
/// struct Rate<'b>(Expr<'b>);
///
/// impl Likelihood for Exponential {
///     fn describe(&self) -> String {
///         "Exponential(log rate = output)".into()
///     }
///     fn target(&self, output: &Shape) -> Result<Target, Error> {
///         Target::of_parts(output, 1, Support::NonNegative)
///     }
///     fn law<'b>(&self, _: &Scope<'b>, output: Expr<'b>) -> Result<Box<dyn Law<'b> + 'b>, Error> {
///         Ok(Box::new(Rate(output.exp())))
///     }
/// }
///
/// impl<'b> Law<'b> for Rate<'b> {
///     fn log_prob(&self, target: Expr<'b>) -> Expr<'b> {
///         self.0.log() - self.0 * target
///     }
///     fn mean(&self) -> Option<Expr<'b>> {
///         Some(1.0 / self.0)
///     }
/// }
/// ```
pub trait Likelihood: fmt::Debug + Send + Sync {
    /// The law in words, without numbers that are learned: what model files say of it, and compare.
    fn describe(&self) -> String;

    /// What the target of an example looks like, if the network's output for it has the shape `[positions.., outputs]`.
    ///
    /// # Errors
    /// An output that has no such law, such as a number of outputs that is no multiple of the law's parameters.
    fn target(&self, output: &Shape) -> Result<Target, Error>;

    /// Declares parameters of its own, for targets of this kind, in the root scope of the network. Default: none.
    ///
    /// # Errors
    /// Numbers that are out of range.
    fn declare(&self, scope: &Scope<'_>, target: &Target) -> Result<(), Error> {
        let _ = (scope, target);
        Ok(())
    }

    /// The law of the targets of an output `[.., positions.., outputs]`, whose leading axes count rows, and samples
    /// before.
    ///
    /// # Errors
    /// As for [`Likelihood::declare`]; a parameter that does not fit.
    fn law<'b>(&self, scope: &Scope<'b>, output: Expr<'b>) -> Result<Box<dyn Law<'b> + 'b>, Error>;

    /// log p(target | output) of each example: `[rows]`, or `[samples, rows]` if the output has samples. Follows from
    /// the law.
    ///
    /// # Errors
    /// Targets that do not fit the output; those of [`Likelihood::law`].
    fn log_prob<'b>(&self, scope: &Scope<'b>, output: Expr<'b>, observed: &Observed<'b>) -> Result<Expr<'b>, Error> {
        let (leading, target) = observed.check(self, output)?;
        Ok(observed.of_examples(self.law(scope, output)?.log_prob(observed.targets), &leading, &target))
    }

    /// The mean over all examples (and samples) of weight * -log p(target | output), a scalar, in nats; or, if the law
    /// has another [gain](Law::gain), of -gain. Follows from the law.
    ///
    /// # Errors
    /// As for [`Likelihood::log_prob`].
    fn loss<'b>(&self, scope: &Scope<'b>, output: Expr<'b>, observed: &Observed<'b>) -> Result<Expr<'b>, Error> {
        let (leading, target) = observed.check(self, output)?;
        let (law, targets) = (self.law(scope, output)?, observed.counted(&target));
        let gain = law.gain(targets).unwrap_or_else(|| law.log_prob(targets));
        Ok(observed.loss(observed.of_examples(gain, &leading, &target)))
    }

    /// As [`Likelihood::loss`] of an output with samples, by the bound [`Bound::ImportanceWeighted`]. Follows from the
    /// law.
    ///
    /// # Errors
    /// As for [`Likelihood::log_prob`]; a law with a [gain](Law::gain) of its own, which is the logarithm of no
    /// density.
    fn importance_weighted_loss<'b>(
        &self,
        scope: &Scope<'b>,
        output: Expr<'b>,
        observed: &Observed<'b>,
    ) -> Result<Expr<'b>, Error> {
        let (leading, target) = observed.check(self, output)?;
        let (law, targets) = (self.law(scope, output)?, observed.counted(&target));
        if law.gain(targets).is_some() {
            let problem =
                format!("training with {self:?} maximizes no log density, as the importance-weighted bound needs");
            return Err(Error::misuse(problem, "use `Bound::Evidence`, or a law without a gain of its own"));
        }
        let log_prob = observed.of_examples(law.log_prob(targets), &leading, &target);
        // a density may be 0 in all samples
        let largest = log_prob.reduce_max(0).max(f32::MIN).stop_gradient();
        Ok(observed.loss(largest + (log_prob - largest).exp().mean(0).log()))
    }
}

/// What training maximizes, beside the divergence, of several posterior samples of an example.
///
/// ```
/// use bayeslift_layers::likelihood::Bound;
/// assert_eq!(Bound::default(), Bound::Evidence);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Bound {
    /// The mean of log p(target | output): with the divergence, the evidence lower bound.
    #[default]
    Evidence,
    /// The logarithm of the mean of p(target | output), by the bound of importance weighted autoencoders (Burda, Grosse
    /// and Salakhutdinov 2016, equation 8) for each example on its own, of samples of the posterior. It grows with the
    /// number of samples from the evidence lower bound's towards the log density that predictions are scored by
    /// (Morningstar, Alemi and Dillon 2022, the PAC^m objective). Of one sample it is the evidence lower bound.
    /// Likelihoods that train on something else than a density, as [`Normal::beta_nll`] does, are refused.
    ImportanceWeighted,
}

impl<L: Likelihood + ?Sized> Likelihood for Arc<L> {
    fn describe(&self) -> String {
        (**self).describe()
    }

    fn target(&self, output: &Shape) -> Result<Target, Error> {
        (**self).target(output)
    }

    fn declare(&self, scope: &Scope<'_>, target: &Target) -> Result<(), Error> {
        (**self).declare(scope, target)
    }

    fn law<'b>(&self, scope: &Scope<'b>, output: Expr<'b>) -> Result<Box<dyn Law<'b> + 'b>, Error> {
        (**self).law(scope, output)
    }

    fn log_prob<'b>(&self, scope: &Scope<'b>, output: Expr<'b>, observed: &Observed<'b>) -> Result<Expr<'b>, Error> {
        (**self).log_prob(scope, output, observed)
    }

    fn loss<'b>(&self, scope: &Scope<'b>, output: Expr<'b>, observed: &Observed<'b>) -> Result<Expr<'b>, Error> {
        (**self).loss(scope, output, observed)
    }

    fn importance_weighted_loss<'b>(
        &self,
        scope: &Scope<'b>,
        output: Expr<'b>,
        observed: &Observed<'b>,
    ) -> Result<Expr<'b>, Error> {
        (**self).importance_weighted_loss(scope, output, observed)
    }
}

/// The targets of some examples, with what is known about them.
///
/// ```
/// use bayeslift_ir::{Builder, Tensor, Type, evaluate};
/// use bayeslift_layers::{Scope, likelihood::{Likelihood, Normal, Observed}};
///
/// let b = Builder::new();
/// let [output, targets] = ["output", "targets"].map(|name| b.input(name, Type::f32([2, 1])));
/// let weights = b.input("weights", Type::f32([2]));
/// let observed = Observed { weights: Some(weights), ..targets.into() };
/// let scope = Scope::initialize(&b, 0);
/// b.output("log_prob", Normal::fixed(1.0).log_prob(&scope, output, &observed)?); // of each example
/// b.output("loss", Normal::fixed(1.0).loss(&scope, output, &observed)?); // of all
/// let numbers = |of: [f32; 2]| Tensor::f32([2, 1], of);
/// let found = evaluate(&b.finish()?, &[numbers([0.0, 0.0])?, numbers([0.0, 9.0])?, Tensor::f32([2], [2.0, 0.0])?])?;
/// assert_eq!(found[0].shape(), &[2].into());
/// // the second example does not count: (2 * log sqrt(2 pi) + 0) / 2
/// assert!((found[1].as_f32().expect("floats")[0] - 0.918939).abs() < 1e-5);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Observed<'b> {
    /// The targets, of the type [`Target::ty`] for the graph's floats.
    pub targets: Expr<'b>,
    /// Which of them are there, a mask in the shape of the law's [events](Target::events); default: all. Others add
    /// nothing.
    pub present: Option<Expr<'b>>,
    /// A weight for each example, `[rows]`: how many times it counts; default: 1. One of weight 0 adds nothing,
    /// whatever its density.
    pub weights: Option<Expr<'b>>,
}

impl<'b> From<Expr<'b>> for Observed<'b> {
    /// Targets that are all there and count once.
    fn from(targets: Expr<'b>) -> Self {
        Observed { targets, present: None, weights: None }
    }
}

impl<'b> Observed<'b> {
    /// The axes of an output that count samples and rows, and what the target of an example is, if these are targets of
    /// the output.
    fn check(&self, likelihood: &(impl Likelihood + ?Sized), output: Expr<'b>) -> Result<(Shape, Target), Error> {
        let (shape, found) = (output.shape(), self.targets.ty());
        let mut expected = None;
        // The targets have no sample axis.
        for axes in (0..2).take_while(|axes| axes + 1 < shape.len()) {
            let target = likelihood.target(&shape[axes + 1..].into())?;
            let ty = target.ty(shape[axes], output.builder().float());
            if ty == found {
                return Ok((shape[..axes + 1].into(), target));
            }
            expected = Some(ty);
        }
        let Some(expected) = expected else {
            return Err(Error::shape("the network's output", "[.., rows, outputs]", &shape));
        };
        let argument = format!("the type of the targets for an output of shape {shape}");
        Err(Error::argument(&argument, expected.to_string(), found))
    }

    /// The targets, with others for examples of weight 0: what does not count has no derivatives that overflow.
    fn counted(&self, target: &Target) -> Expr<'b> {
        let Some(weights) = self.weights else { return self.targets };
        let shape: Shape = weights.shape().iter().copied().chain(target.shape.iter().map(|_| 1)).collect();
        let is_out = weights.reshape(shape).equal(0.0);
        match target.support {
            Support::Classes(_) => is_out.select(0_u32, self.targets),
            support => is_out.select(support.stand_in(), self.targets),
        }
    }

    /// What each example has of something that each event has: the sum over those that are present.
    fn of_examples(&self, of_events: Expr<'b>, leading: &Shape, target: &Target) -> Expr<'b> {
        // a law may be the same for all samples
        let shape = leading.iter().chain(target.events.iter()).copied().collect();
        let of_events = of_events.to_float().broadcast(&shape);
        let present = self.present.map_or(of_events, |present| present.select(of_events, 0.0));
        (leading.len()..shape.len()).rev().fold(present, Expr::sum)
    }

    /// The mean over examples of weight * -gain.
    fn loss(&self, gain: Expr<'b>) -> Expr<'b> {
        // what does not count may be infinite
        let weighted = self.weights.map_or(gain, |weights| weights.equal(0.0).select(0.0, gain * weights));
        // not -0 of a mean that is 0
        0.0 - weighted.mean_all()
    }
}

/// What an output `[.., outputs]` has of each of `N` parameters, `[.., outputs / N]`: the first parameter of all units,
/// then the second, and so on.
///
/// ```
/// use bayeslift_ir::{Builder, Type};
/// use bayeslift_layers::likelihood::parts;
///
/// let b = Builder::new();
/// let [loc, raw_scale] = parts(b.input("output", Type::f32([8, 6])));
/// assert_eq!((loc.ty(), raw_scale.ty()), (Type::f32([8, 3]), Type::f32([8, 3])));
/// ```
pub fn parts<const N: usize>(output: Expr<'_>) -> [Expr<'_>; N] {
    std::array::from_fn(|index| part(output, index, N))
}

/// Number `index` of `count` [`parts`].
fn part(output: Expr<'_>, index: usize, count: usize) -> Expr<'_> {
    if count == 1 {
        return output;
    }
    let shape = output.shape();
    let (axis, units) = (shape.len().saturating_sub(1), shape.last_extent() / count.max(1));
    output.slice(axis, index * units..(index + 1) * units)
}

/// The type of targets of this element type, for `rows` rows.
fn batch(dtype: DType, rows: usize, shape: &Shape) -> Type {
    Type::new(dtype, [rows].iter().chain(shape.iter()).copied().collect::<Shape>())
}
