//! What is made of the events of a law: weights, what is missing, laws that are the same for all samples.

use crate::numbers;
use bayeslift_ir::{Builder, Expr, Shape, Tensor, Type, evaluate};
use bayeslift_layers::{
    Context, Error, Likelihood, Scope,
    likelihood::{Law, Normal, Observed, Support, Target, TargetNoise},
    noise_inputs,
};

type Loss = for<'b> fn(&dyn Likelihood, &Scope<'b>, Expr<'b>, &Observed<'b>) -> Result<Expr<'b>, Error>;

const LOG_PROB: Loss = |likelihood, scope, output, observed| likelihood.log_prob(scope, output, observed);
const LOSS: Loss = |likelihood, scope, output, observed| likelihood.loss(scope, output, observed);
const IMPORTANCE: Loss =
    |likelihood, scope, output, observed| likelihood.importance_weighted_loss(scope, output, observed);

/// For an output of this shape whose elements are all 0, and targets with a unit, in rows with these weights.
fn of(loss: Loss, likelihood: &dyn Likelihood, output: &[usize], targets: &[f32], weights: Option<&[f32]>) -> Tensor {
    let builder = Builder::new();
    let scope = Scope::describe(&builder);
    let rows = targets.len();
    let observed = Observed {
        targets: builder.input("targets", Type::f32([rows, 1])),
        present: None,
        weights: weights.map(|_| builder.input("weights", Type::f32([rows]))),
    };
    let output = builder.constant(0.0).broadcast(&Shape::new(output));
    builder.output("loss", loss(likelihood, &scope, output, &observed).unwrap());
    let mut inputs = vec![Tensor::f32([rows, 1], targets).unwrap()];
    inputs.extend(weights.map(|weights| Tensor::f32([rows], weights).unwrap()));
    evaluate(&builder.finish().unwrap(), &inputs).unwrap().remove(0)
}

#[test]
fn a_row_of_weight_0_is_left_out() {
    let normal = Normal::fixed(1.0);
    // the square of the first one overflows
    let targets = [1e30, 0.5];
    for (loss, output) in [(LOSS, &[2, 1][..]), (LOSS, &[3, 2, 1]), (IMPORTANCE, &[3, 2, 1])] {
        let without = of(loss, &normal, output, &[0.0, 0.5], Some(&[0.0, 1.5]));
        assert!(numbers(&without)[0].is_finite());
        assert_eq!(of(loss, &normal, output, &targets, Some(&[0.0, 1.5])), without);
        assert_eq!(numbers(&of(loss, &normal, output, &targets, Some(&[1.0, 1.5])))[0], f64::INFINITY);
        let none = of(loss, &normal, output, &targets, Some(&[0.0, 0.0]));
        assert_eq!(none.as_f32().unwrap()[0].to_bits(), 0.0_f32.to_bits(), "not -0");
    }
}

/// A law that does not read the output: one for all rows and samples.
#[derive(Debug)]
struct Same {
    /// How many axes of extent 1 what it tells has.
    axes: usize,
}

struct SameLaw<'b>(Expr<'b>);

impl Likelihood for Same {
    fn describe(&self) -> String {
        "Same".to_owned()
    }
    fn target(&self, output: &Shape) -> Result<Target, Error> {
        Target::of_parts(output, 1, Support::Real)
    }
    fn law<'b>(&self, _: &Scope<'b>, output: Expr<'b>) -> Result<Box<dyn Law<'b> + 'b>, Error> {
        Ok(Box::new(SameLaw(output.builder().constant(-0.5).broadcast(&Shape::new(&[1; 3][..self.axes])))))
    }
}

impl<'b> Law<'b> for SameLaw<'b> {
    fn log_prob(&self, target: Expr<'b>) -> Expr<'b> {
        target.square() * self.0
    }
}

#[test]
fn a_law_may_be_the_same_for_all_samples() {
    let targets = [1.0, 2.0];
    for axes in 0..=3 {
        let likelihood = Same { axes };
        for weights in [None, Some(&[1.0, 1.0][..])] {
            assert_eq!(numbers(&of(LOSS, &likelihood, &[3, 2, 1], &targets, weights)), [1.25]);
            assert_eq!(numbers(&of(IMPORTANCE, &likelihood, &[3, 2, 1], &targets, weights)), [1.25], "{axes} axes");
        }
        let log_prob = of(LOG_PROB, &likelihood, &[3, 2, 1], &targets, None);
        assert_eq!(log_prob.shape()[..], [3, 2]);
        assert_eq!(numbers(&log_prob), [-0.5, -2.0, -0.5, -2.0, -0.5, -2.0]);
    }
}

#[test]
fn what_is_no_density_has_no_importance_weighted_bound() {
    let builder = Builder::new();
    let scope = Scope::describe(&builder);
    let output = builder.input("output", Type::f32([3, 2, 2]));
    let observed = Observed::from(builder.input("targets", Type::f32([2, 1])));
    let normal = Normal::heteroscedastic();
    assert!(normal.importance_weighted_loss(&scope, output, &observed).is_ok());
    let error = normal.beta_nll(0.5).importance_weighted_loss(&scope, output, &observed).unwrap_err();
    assert_eq!(
        error.to_string(),
        "training with Normal { scale: Output, beta: 0.5 } maximizes no log density, as the importance-weighted bound needs; use \
         `Bound::Evidence`, or a law without a gain of its own"
    );
}

/// Only what a law draws is in the graph.
#[test]
fn noise_is_made_when_it_is_drawn() {
    let builder = Builder::new();
    let context = Context::new(Scope::describe(&builder));
    let error = TargetNoise::new(context.site("target"), [2, 1].into()).unwrap_err();
    assert!(matches!(error, Error::NoNoise { site } if site == "target"));
    let site = context.noise(noise_inputs(&builder)).site("target");
    let count = builder.graph().nodes().len();
    let noise = TargetNoise::new(site, [2, 1].into()).unwrap();
    assert_eq!(builder.graph().nodes().len(), count);
    noise.normal("target");
    assert!(builder.graph().nodes().len() > count);
}
