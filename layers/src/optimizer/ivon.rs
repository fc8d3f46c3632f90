//! IVON: the improved variational online Newton method (Shen and others 2024).

use super::{
    Adam, Optimizer, Options, Step, Update, check_is_deterministic, names, power::power, prior_precision, zeros,
};
use crate::{Error, Group, Variable, host::integer_power};
use bayeslift_ir::{Environment, Expr, Tensor};

/// How many estimates the first value of the Hessian counts as.
const FIRST_COUNTS: f64 = 9.0;

/// The bounds of Hessian and prior together, and the least temperature that the Hessian is estimated at: with them
/// every step of moderate gradients is known to be finite.
const SMALLEST: f32 = 1.0 / (1_u64 << 30) as f32;
const LARGEST: f32 = (1_u64 << 60) as f32;
const COLDEST: f32 = 1.0 / (1_u64 << 40) as f32;

/// IVON, the improved variational online Newton method (Shen et al. 2024, "Variational Learning is Effective for Large
/// Deep Networks", algorithm 1): fits a normal posterior to each weight of a network of *deterministic* layers. A step
/// takes 1.3 times as long as Adam's (784-400-400-10, 128 rows).
///
/// The parameter is the posterior's mean m. Its scale follows from an estimate h of the diagonal of the Hessian of the
/// mean negative log likelihood. With N training examples, weight w of the divergence, temperature T = w / N, prior
/// precision s, standard normal noise e and d = T s, a step computes the network and its gradient g at a draw:
///
/// - theta = m + sqrt(T / (h + d)) e,
/// - gbar = b1 gbar + (1 - b1) g,
/// - hhat = g e sqrt((h + d) / T),
/// - h = b2 h + (1 - b2) hhat + (1 - b2)^2 (hhat - h)^2 / (2 (h + d)),
/// - m = m - rate (clip(gbar / (1 - b1^t) / (h + d)) + d m / (h + d)), with the new h, and clip to [-radius, radius].
///
/// # What is fixed here
/// - **The size of the data** is the trainer's: with N and w it is known, so no option repeats it. The paper's lambda
///   is 1 / T, its weight decay is d: the option here is the precision of the weights' prior, and means the same for
///   data of all sizes. The posterior's variance is 1 / (N h / w + s).
/// - **The start of the Hessian.** With a long memory h would stay near where it started for 1 / (1 - b2) steps. So the
///   first value counts as nine estimates, and 1 - b2 is at least 1 / (t + 9) in step t: h is the mean of all estimates
///   until that is as slow as b2.
/// - **Every step draws.** The gradient cannot be taken at the mean by mistake, and noise is addressed by the path of
///   each parameter, one draw a step: nothing is accumulated over draws.
/// - **Nothing leaves its bounds.** (hhat - h)(1 - b2) / (h + d) counts as between -1 and 1, so that h + d is at least
///   halved and at most 2.5 times as large after a step. Without a temperature, as in the first step of a warm-up,
///   nothing is drawn, and h stays.
/// - **Steps are bounded.** Where the first Hessian is far below the true one - that of a regression grows as the
///   precision of its noise -, gradients over h + d would throw the mean so far that no estimate recovers. Such a
///   quotient is about the way to the optimum, so it counts as no more than the size of weights, the radius. Where
///   training fails all the same, begin with a larger Hessian.
/// - **The rate is not multiplied by the first h + d**, which the paper leaves open; at a first Hessian of 1 it is
///   nearly the same. A smaller first Hessian makes larger steps.
///
/// What a likelihood learns is not drawn: [`Adam`] moves it, with the rate of [`Ivon::likelihood_rate`]. A layer with a
/// posterior of its own is refused.
///
/// # Predicting
/// The network that was trained has the means. Its posterior is `Trainer::posterior`, and after a fit
/// `FitReport::posterior`, which a network of variational layers takes.
///
/// ```
/// use bayeslift_ir::Type;
/// use bayeslift_layers::{Group, Ivon, Optimizer, Variable};
/// let optimizer = Ivon::new(0.1).prior_precision(25.0).first_hessian(0.1);
/// let weight = Variable::new("weight", Type::f32([2]), Group::Weight);
/// assert_eq!(optimizer.state(&weight), ["momentum", "hessian"]);
/// assert_eq!(optimizer.initial_state(&weight)?[1].1.as_f32().unwrap(), [0.1, 0.1]);
/// // a shorter memory, and longer steps at most; a slower likelihood
/// let optimizer = optimizer.beta_1(0.8).beta_2(0.999).clip_radius(3.0).likelihood_rate(1e-3);
/// optimizer.check()?;
/// assert!(optimizer.beta_2(1.0).check().unwrap_err().to_string().contains("beta_2 is 1"));
/// // a layer with a posterior of its own is refused
/// let loc = Variable::new("loc", Type::f32([2]), Group::Loc);
/// assert!(optimizer.initial_state(&loc).unwrap_err().to_string().contains("use deterministic layers"));
/// # Ok::<(), bayeslift_layers::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ivon {
    /// The learning rate; default: 0.1.
    pub learning_rate: f64,
    /// The reciprocal of the variance of the weights' prior; default: 1; 0 for none.
    pub prior_precision: f64,
    /// What h starts with; default: 1.
    pub first_hessian: f64,
    /// The decay of the mean of gradients, b1; default: 0.9.
    pub beta_1: f64,
    /// The decay of the mean of the Hessian's estimates, b2; default: 0.9999.
    pub beta_2: f64,
    /// What a gradient over h + d counts as at most, in magnitude: a step is at most the rate times that; default: 1.
    pub clip_radius: f64,
    /// Adam's learning rate for what a likelihood learns; default: 1e-2.
    pub likelihood_rate: f64,
}

impl Default for Ivon {
    fn default() -> Self {
        Ivon {
            learning_rate: 0.1,
            prior_precision: 1.0,
            first_hessian: 1.0,
            beta_1: 0.9,
            beta_2: 0.9999,
            clip_radius: 1.0,
            likelihood_rate: 1e-2,
        }
    }
}

impl Ivon {
    /// IVON with this learning rate and the defaults of its fields; positive.
    pub fn new(learning_rate: f64) -> Self {
        Ivon { learning_rate, ..Ivon::default() }
    }

    /// Sets s, the reciprocal of the variance of the weights' normal prior of mean 0: not negative; default: 1.
    pub fn prior_precision(mut self, prior_precision: f64) -> Self {
        self.prior_precision = prior_precision;
        self
    }

    /// Sets what h starts with, for every weight: positive; default: 1. Larger ones make smaller first steps.
    pub fn first_hessian(mut self, first_hessian: f64) -> Self {
        self.first_hessian = first_hessian;
        self
    }

    /// Sets b1, the decay of the mean of gradients: from 0 to below 1; default: 0.9.
    pub fn beta_1(mut self, beta_1: f64) -> Self {
        self.beta_1 = beta_1;
        self
    }

    /// Sets b2, the decay of the mean of the Hessian's estimates: from 0 to below 1; default: 0.9999.
    pub fn beta_2(mut self, beta_2: f64) -> Self {
        self.beta_2 = beta_2;
        self
    }

    /// Sets the radius, what a gradient over h + d counts as at most, in magnitude: positive; default: 1.
    pub fn clip_radius(mut self, clip_radius: f64) -> Self {
        self.clip_radius = clip_radius;
        self
    }

    /// Sets Adam's learning rate for what a likelihood learns, such as its scale: positive; default: 1e-2.
    pub fn likelihood_rate(mut self, likelihood_rate: f64) -> Self {
        self.likelihood_rate = likelihood_rate;
        self
    }

    fn adam(&self) -> Adam {
        Adam::new(self.likelihood_rate)
    }

    /// d, the part of the prior.
    fn prior<'b>(&self, step: &Step<'_, 'b>) -> Expr<'b> {
        prior_precision(step, self.prior_precision)
    }

    /// h + d before a step.
    fn precision<'b>(&self, step: &Step<'_, 'b>) -> Expr<'b> {
        (step.state[1] + self.prior(step)).max(SMALLEST).min(LARGEST)
    }
}

/// Whether a parameter is drawn.
fn is_drawn(variable: &Variable) -> bool {
    variable.group != Group::Likelihood
}

impl Optimizer for Ivon {
    fn name(&self) -> &'static str {
        "ivon"
    }

    fn state(&self, _: &Variable) -> &'static [&'static str] {
        &["momentum", "hessian"]
    }

    fn scalars(&self) -> Vec<String> {
        names(&["rate", "correction", "news", "likelihood_rate"])
    }

    fn scalar_values(&self, step: u64, rate: f64) -> Vec<f64> {
        Environment::within(|| {
            let correction = 1.0 / (1.0 - integer_power(self.beta_1, step.max(1)));
            let news = (1.0 - self.beta_2).max(1.0 / (step as f64 + FIRST_COUNTS));
            let likelihood_rate = self.adam().scalar_values(step, rate)[0];
            vec![self.learning_rate * rate, correction, news, likelihood_rate]
        })
    }

    fn scalar_exprs<'b>(&self, step: Expr<'b>, rate: Expr<'b>) -> Option<Vec<Expr<'b>>> {
        let one = step.builder().constant_f64(1.0);
        let correction = one / (1.0 - power(self.beta_1, step));
        let least = Environment::within(|| 1.0 - self.beta_2);
        let news = step.builder().constant_f64(least).max(one / (step + FIRST_COUNTS));
        let likelihood_rate = self.adam().scalar_exprs(step, rate)?;
        Some([vec![rate * self.learning_rate, correction, news], likelihood_rate].concat())
    }

    fn scale<'b>(&self, step: &Step<'_, 'b>) -> Option<Expr<'b>> {
        is_drawn(step.variable).then(|| step.temperature.sqrt() / self.precision(step).sqrt())
    }

    fn update<'b>(&self, step: &Step<'_, 'b>, gradient: Expr<'b>) -> Update<'b> {
        let &Step { parameter, state, scalars, temperature, .. } = step;
        if !is_drawn(step.variable) {
            return self.adam().update(&Step { scalars: &scalars[3..], ..*step }, gradient);
        }
        let (momentum, hessian, prior, before) = (state[0], state[1], self.prior(step), self.precision(step));
        let momentum = momentum * self.beta_1 + gradient * (1.0 - self.beta_1);
        // the estimate and what it is compared with, both divided by h + d
        let estimate = gradient * step.normal() / (before.sqrt() * temperature.max(COLDEST).sqrt());
        let news = temperature.less_equal(0.0).select(0.0, scalars[2]);
        let change = ((estimate - hessian / before) * news).max(-1.0).min(1.0);
        // 1 + x + x^2 / 2 as what is never below a half, however it is rounded
        let after = (before * ((change + 1.0).square() * 0.5 + 0.5)).max(SMALLEST).min(LARGEST);
        let rate = scalars[0].max(0.0);
        let pull = (rate * prior / after).max(0.0).min(1.0);
        let radius = self.clip_radius;
        let direction = (momentum * scalars[1] / after).max(-radius).min(radius);
        let parameter = parameter * (1.0 - pull) - direction * rate;
        Update { parameter, state: vec![momentum, after - prior] }
    }

    fn check(&self) -> Result<(), Error> {
        let options = Options("Ivon");
        options.positive("learning_rate", self.learning_rate)?;
        options.not_negative("prior_precision", self.prior_precision)?;
        options.positive("first_hessian", self.first_hessian)?;
        options.share("beta_1", self.beta_1)?;
        options.share("beta_2", self.beta_2)?;
        options.positive("clip_radius", self.clip_radius)?;
        options.positive("likelihood_rate", self.likelihood_rate)
    }

    fn initial_state(&self, variable: &Variable) -> Result<Vec<(String, Tensor)>, Error> {
        check_is_deterministic("Ivon", variable)?;
        let mut state = zeros(self, variable)?;
        if is_drawn(variable) {
            state[1].1 = Tensor::floats(&variable.ty, vec![self.first_hessian; variable.ty.shape.elements()])?;
        }
        Ok(state)
    }
}
