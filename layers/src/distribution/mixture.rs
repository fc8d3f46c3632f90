//! Mixtures of normals, such as a spike and a slab.

use super::{
    Distribution, constant,
    normal::{LOG_SQRT_TWO_PI, Normal},
    rounded,
};
use crate::{Draw, Error, Site, host};
use bayeslift_ir::{Builder, Expr, NoiseDistribution, Shape};

/// A mixture of normal distributions: p(x) = sum_i probability_i N(x; loc_i, scale_i^2).
///
/// ```
/// use bayeslift_ir::{Builder, evaluate};
/// use bayeslift_layers::distribution::{Mixture, Normal};
///
/// let b = Builder::new();
/// let number = |x: f64| b.constant(x);
/// let normal = |loc, scale| Normal::scalar(&b, loc, scale);
/// let law = Mixture::new(vec![(0.25, normal(0.0, 1.0)), (0.75, normal(0.0, 2.0))]).expect("they sum to 1");
/// b.output("log_prob", law.log_prob(number(0.0)));
/// b.output("mean", law.mean());
/// b.output("variance", law.variance());
/// assert_eq!((law.components().len(), Mixture::spike_and_slab(&b).components()[1].0), (2, 0.5));
/// let graph = b.finish()?;
/// let found = evaluate(&graph, &[])?;
/// let near = |output: usize, x: f32| (found[output].as_f32().expect("floats")[0] - x).abs() < 1e-5;
/// assert!(near(0, -1.388942)); // log(0.25 + 0.75 / 2) - log sqrt(2 pi)
/// assert!(near(1, 0.0)); // of both
/// assert!(near(2, 3.25)); // 0.25 * 1 + 0.75 * 4
/// # Ok::<(), bayeslift_ir::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Mixture<'b> {
    components: Vec<(f64, Normal<'b>)>,
}

impl<'b> Mixture<'b> {
    /// A mixture of components with these probabilities.
    ///
    /// # Errors
    /// No component; a probability outside (0, 1]; probabilities that do not sum to 1 within 1e-5.
    pub fn new(components: Vec<(f64, Normal<'b>)>) -> Result<Self, Error> {
        let probabilities: Vec<f64> = components.iter().map(|(probability, _)| *probability).collect();
        let sum: f64 = probabilities.iter().sum();
        let valid = probabilities.iter().all(|&p| p > 0.0 && p <= 1.0) && (sum - 1.0).abs() <= 1e-5;
        if !valid {
            let (expected, found) = ("one or more positive numbers that sum to 1", format!("{probabilities:?}"));
            return Err(Error::argument("the list of probabilities of a mixture", expected, found));
        }
        Ok(Mixture { components })
    }

    /// TFP's default prior of a weight, 1/2 N(0, 1) + 1/2 N(0, 2000^2): a narrow spike for weights that data leaves
    /// alone, a wide slab for the others.
    pub fn spike_and_slab(builder: &'b Builder) -> Self {
        let component = |scale| (0.5, Normal::scalar(builder, 0.0, scale));
        Mixture { components: vec![component(1.0), component(2000.0)] }
    }

    /// Probabilities and components.
    pub fn components(&self) -> &[(f64, Normal<'b>)] {
        &self.components
    }

    /// The log density of each element: the log densities a, b, .. of the components, weighted, are added two by two as
    /// log(e^a + e^b) = b + softplus(a - b) for b >= a, which neither overflows nor loses a component far out in the
    /// tails.
    pub fn log_prob(&self, value: Expr<'b>) -> Expr<'b> {
        if let Some(widening) = self.widening() {
            return widening.log_prob(value);
        }
        let joint = |(probability, component): &(f64, Normal<'b>)| {
            component.log_prob(value) + host::natural_log(rounded(value, *probability))
        };
        let joints = self.components.iter().map(joint);
        let sum = joints.reduce(|a, b| {
            let swap = b.less(a);
            let (low, high) = (swap.select(b, a), swap.select(a, b));
            high + (low - high).softplus()
        });
        sum.expect("a mixture has a component")
    }

    /// The mixture as a [`Widening`], if it is one.
    fn widening(&self) -> Option<Widening<'b>> {
        let (_, first) = self.components.first()?;
        let centre = constant(first.loc)?;
        let component = |(probability, component): &(f64, Normal<'b>)| {
            let is_centred = constant(component.loc) == Some(centre);
            constant(component.scale).filter(|_| is_centred).map(|scale| (rounded(first.loc, *probability), scale))
        };
        let components: Vec<(f64, f64)> = self.components.iter().map(component).collect::<Option<_>>()?;
        components.is_sorted_by_key(|&(_, scale)| scale).then_some(Widening { centre: first.loc, components })
    }

    /// The points between which the log density of a sharp spike with a slab is smooth.
    ///
    /// Two components with scales s < t cross at the distance c from the centre, and the bend there has the width 1 /
    /// (c / s^2 - c / t^2), on which e falls off. A width above 0.1 is no bend.
    fn bends(&self) -> Option<Vec<Expr<'b>>> {
        let Widening { centre, components } = self.widening()?;
        let &[(p, s), (q, t)] = components.as_slice() else { return None };
        let (curvature, excess) = (1.0 / (s * s) - 1.0 / (t * t), host::natural_log(p / q * t / s));
        // the narrow one is below the wide one everywhere, or both are the same
        if !(excess > 0.0 && curvature > 0.0) {
            return None;
        }
        let crossing = (2.0 * excess / curvature).sqrt();
        let width = 1.0 / (crossing * curvature);
        let margin = 8.0 * width;
        let right = [(crossing - margin).max(0.0), crossing, crossing + margin];
        let left = right.iter().rev().map(|x| -x);
        let around = |x: f64| centre + x;
        (width < 0.1).then(|| left.chain(right.iter().copied()).map(around).collect())
    }

    /// sum_i probability_i loc_i.
    pub fn mean(&self) -> Expr<'b> {
        self.expectation(|component| component.loc)
    }

    /// sum_i probability_i (scale_i^2 + (loc_i - mean)^2).
    pub fn variance(&self) -> Expr<'b> {
        let mean = self.mean();
        self.expectation(|component| component.scale.square() + (component.loc - mean).square())
    }

    fn expectation(&self, of: impl Fn(&Normal<'b>) -> Expr<'b>) -> Expr<'b> {
        let terms = self.components.iter().map(|(probability, component)| of(component) * *probability);
        terms.reduce(|a, b| a + b).expect("a mixture has a component")
    }

    /// A draw of this shape at a noise site: a uniform number picks the component, a normal one is put on it. No
    /// gradient reaches the probabilities, which are fixed.
    ///
    /// # Errors
    /// A context without noise.
    pub fn sample(&self, site: &Site<'b>, shape: &Shape) -> Result<Draw<'b>, Error> {
        let noise = site.weight_noise(NoiseDistribution::Normal, shape)?;
        let uniform = site.child("component").weight_noise(NoiseDistribution::Uniform, shape)?;
        let (last, rest) = self.components.split_last().expect("a mixture has a component");
        let of = |x: f64| rounded(noise, x);
        let mut below = rest.iter().fold(0.0, |sum, &(probability, _)| of(sum + of(probability)));
        let mut value = last.1.transform(noise).value;
        for (probability, component) in rest.iter().rev() {
            value = uniform.less(below).select(component.transform(noise).value, value);
            below = of(below - of(*probability));
        }
        Ok(site.value(value))
    }
}

/// A mixture around one constant centre of components with constant scales, from narrow to wide, as a spike and a slab.
struct Widening<'b> {
    centre: Expr<'b>,
    /// Probabilities and scales.
    components: Vec<(f64, f64)>,
}

impl<'b> Widening<'b> {
    /// The log density of each element. All components are functions of one square, that of the distance from the
    /// centre in widest scales; and the wider of two is never far below the narrower: at most by the difference of
    /// their peaks.
    fn log_prob(&self, value: Expr<'b>) -> Expr<'b> {
        let widest = self.components.last().expect("a mixture has a component").1;
        let square = ((value - self.centre) * (1.0 / widest)).square();
        let joints = self.components.iter().map(|&(probability, scale)| {
            let peak = host::natural_log(probability) - host::natural_log(scale) - rounded(value, LOG_SQRT_TWO_PI);
            square * (-0.5 * (widest / scale) * (widest / scale)) + peak
        });
        joints.reduce(|a, b| b + (a - b).softplus()).expect("a mixture has a component")
    }
}

impl<'b> Distribution<'b> for Mixture<'b> {
    fn family(&self) -> &'static str {
        "Mixture"
    }

    fn parameters(&self) -> Vec<(&'static str, Expr<'b>)> {
        Vec::new()
    }

    fn log_prob(&self, value: Expr<'b>) -> Expr<'b> {
        self.log_prob(value)
    }

    fn sample(&self, site: &Site<'b>, shape: &Shape) -> Result<Draw<'b>, Error> {
        self.sample(site, shape)
    }

    fn mean(&self) -> Option<Expr<'b>> {
        Some(self.mean())
    }

    fn stddev(&self) -> Option<Expr<'b>> {
        Some(self.variance().sqrt())
    }

    fn pieces(&self) -> Vec<Expr<'b>> {
        self.bends().unwrap_or_default()
    }

    fn describe(&self, words: &dyn Fn(Expr<'b>) -> String) -> String {
        let component = |(probability, d): &(f64, Normal<'b>)| format!("{probability} {}", d.describe(words));
        self.components.iter().map(component).collect::<Vec<_>>().join(" + ")
    }
}
