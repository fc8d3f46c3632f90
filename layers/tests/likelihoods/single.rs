//! What only one likelihood has.

use crate::{close, distributions::kolmogorov_smirnov, numbers};
use bayeslift_ir::{Builder, Expr, Shape, Tensor, Type, evaluate};
use bayeslift_layers::{
    Context, Error, Likelihood, Scope,
    likelihood::{
        Categorical, Custom, Gamma, Law, Normal, NormalMixture, Observed, OrderedLogit, Poisson, Scale,
        SoftmaxCenteredNormal, StudentT, Support, Target, TargetNoise, ZeroInflated,
    },
    noise_inputs,
};
use bayeslift_passes::gradients;
use std::{
    f64::consts::{PI, SQRT_2},
    sync::Arc,
};

#[test]
fn the_weight_of_a_target_is_a_power_of_its_variance() {
    let (loc, raw, y) = ([0.5_f32, -1.0], [-0.25_f32, 1.5], [1.5_f32, 2.0]);
    let betas = [0.0, 0.5, 1.0];
    let builder = Builder::new();
    let scope = Scope::describe(&builder);
    let output = builder.input("output", Type::f32([1, 4]));
    let targets = Observed::from(builder.input("targets", Type::f32([1, 2])));
    for beta in betas {
        let likelihood = Normal::heteroscedastic().beta_nll(beta);
        let loss = likelihood.loss(&scope, output, &targets).unwrap();
        builder.output(&format!("loss {beta}"), loss);
        builder.output(&format!("gradient {beta}"), gradients(loss, &[output])[0]);
        builder.output(&format!("log_prob {beta}"), likelihood.log_prob(&scope, output, &targets).unwrap());
    }
    let inputs = [Tensor::f32([1, 4], [loc, raw].concat()).unwrap(), Tensor::f32([1, 2], y).unwrap()];
    let found = evaluate(&builder.finish().unwrap(), &inputs).unwrap();
    let found: Vec<_> = found.iter().map(numbers).collect();
    for (i, beta) in betas.into_iter().enumerate() {
        let [loss, gradient, log_prob] = [0, 1, 2].map(|j| &found[3 * i + j]);
        let mut expected = 0.0;
        for unit in 0..2 {
            let [loc, raw, y] = [loc, raw, y].map(|x| f64::from(x[unit]));
            let scale = libm::log1p(libm::exp(raw)) + 1e-5;
            let (z, weight) = ((y - loc) / scale, libm::pow(scale, 2.0 * beta));
            expected += weight * (z * z / 2.0 + libm::log(scale) + libm::log(2.0 * PI) / 2.0);
            // equations 6 and 7 of the paper, the second one for the raw scale
            close("d loss / d loc", gradient[unit], -weight * z / scale, 2e-6);
            let slope = 1.0 / (1.0 + libm::exp(-raw));
            close("d loss / d raw scale", gradient[2 + unit], weight * (1.0 - z * z) / scale * slope, 2e-6);
        }
        close("loss", loss[0], expected, 2e-6);
        assert_eq!(log_prob, &found[2], "the likelihood is not weighted");
    }
}

/// Either comparison would fail with probability 1e-6 for a right law, if the seed were another.
#[test]
fn draws_on_the_simplex_follow_the_law() {
    let likelihood = SoftmaxCenteredNormal { scale: Scale::Fixed(0.5) };
    let (rows, loc) = (2000, [0.5_f32, -1.0]);
    let builder = Builder::new();
    let scope = Scope::describe(&builder);
    let law = likelihood.law(&scope, builder.input("output", Type::f32([1, 2]))).unwrap();
    let site = Context::new(scope).noise(noise_inputs(&builder)).site("likelihood");
    let draws = law.draw(&TargetNoise::new(site, Shape::from([rows, 3])).unwrap()).unwrap();
    builder.output("draws", draws);
    drop(law);
    let noise = [Tensor::u32([4], [11, 0, 0, 0]), Tensor::u32([], [0]), Tensor::u32([2], [0, 0])].map(Result::unwrap);
    let inputs: Vec<_> = std::iter::once(Tensor::f32([1, 2], loc).unwrap()).chain(noise).collect();
    let draws = numbers(&evaluate(&builder.finish().unwrap(), &inputs).unwrap()[0]);
    for (class, loc) in loc.into_iter().enumerate() {
        let ratio = |row: &[f64]| (libm::log(row[class] / row[2]) - f64::from(loc)) / 0.5;
        let mut cdf: Vec<f64> = draws.chunks(3).map(|row| libm::erfc(-ratio(row) / SQRT_2) / 2.0).collect();
        cdf.sort_by(f64::total_cmp);
        kolmogorov_smirnov(&cdf);
    }
}

/// Counts are looked for near a guess only, so it must be near for every rate and probability.
#[test]
fn quantiles_of_counts_are_the_least() {
    let log_rates: Vec<f32> = (-14..=52).map(|i| i as f32 * 0.25).collect();
    let mut p: Vec<f64> = (1..=14).map(|digits| libm::exp10(-f64::from(digits))).collect();
    p.extend(p.clone().iter().map(|p| 1.0 - p));
    p.extend([0.25, 0.5, 0.75]);
    let builder = Builder::new();
    let scope = Scope::describe(&builder);
    let output = builder.input("output", Type::f32([log_rates.len(), 1]));
    let law = Poisson.law(&scope, output).unwrap();
    let probabilities = builder.input("p", Type::f64([1, p.len()]));
    let quantile = law.quantile(probabilities).unwrap();
    builder.output("quantile", quantile);
    builder.output("cdf before", law.cdf(quantile - 1.0).unwrap());
    builder.output("cdf", law.cdf(quantile).unwrap());
    drop(law);
    let (rows, columns) = (log_rates.len(), p.len());
    let inputs = [Tensor::f32([rows, 1], &*log_rates).unwrap(), Tensor::f64([1, columns], &*p).unwrap()];
    let found = evaluate(&builder.finish().unwrap(), &inputs).unwrap();
    let [quantile, before, cdf] = [0, 1, 2].map(|i| numbers(&found[i]));
    for i in 0..rows * columns {
        let (log_rate, p) = (log_rates[i / columns], p[i % columns]);
        let slack = 1e-9 * p.min(1.0 - p);
        let [before, cdf] = [before[i], cdf[i]];
        assert!(before < p + slack && cdf >= p - slack, "{p} of e^{log_rate}: {}, {before}, {cdf}", quantile[i]);
    }
}

#[test]
fn laws_that_cannot_be_are_errors() {
    let error = |likelihood: &dyn Likelihood, outputs: usize| {
        let builder = Builder::new();
        let declared = likelihood
            .target(&[outputs].into())
            .and_then(|target| likelihood.declare(&Scope::initialize(&builder, 0), &target));
        declared.unwrap_err().to_string()
    };
    let cases: &[(&dyn Likelihood, usize, &str)] = &[
        (
            &Normal::heteroscedastic(),
            3,
            "the number of outputs is 3, expected a multiple of 2, the number of the law's parameters for each target",
        ),
        (
            &Normal::heteroscedastic().beta_nll(1.5),
            2,
            "beta of a normal likelihood is 1.5, expected a number from 0 to 1",
        ),
        (&Gamma::new(Scale::Fixed(0.0)), 1, "the scale of a likelihood is 0, expected a positive, finite number"),
        (
            &StudentT::new(0.0, Scale::Output),
            2,
            "the degrees of freedom of Student's t is 0, expected a number from 0.5 to 1e6",
        ),
        (&OrderedLogit::new(1), 1, "the number of grades of an ordered logit is 1, expected 2 or more"),
        (&OrderedLogit::new(3), 2, "the number of outputs of an ordered logit is 2, expected 1"),
        (&NormalMixture::new(0), 3, "the number of components of a mixture is 0, expected 1 or more"),
        (
            &NormalMixture::new(2),
            9,
            "the number of outputs is 9, expected a multiple of 6, the number of the law's parameters for each target",
        ),
        (
            &ZeroInflated::new(Poisson),
            3,
            "the number of outputs is 3, expected those of the law, and a gate for each of its units",
        ),
        (
            &ZeroInflated::new(Normal::fixed(1.0)),
            2,
            "the law that is zero-inflated is one of a finite number, expected a law of counts",
        ),
        (
            &Custom::new("labels", 1, Support::Classes(3), |parts, _| parts[0]),
            1,
            "the support of a custom likelihood is a label below 3, expected one of numbers: implement `Likelihood` for labels and for points",
        ),
    ];
    for (likelihood, outputs, expected) in cases {
        assert_eq!(error(*likelihood, *outputs), *expected);
    }
}

/// A likelihood whose loss and log probability are its own.
#[derive(Debug)]
struct Own;

impl Likelihood for Own {
    fn describe(&self) -> String {
        "Own".to_owned()
    }
    fn target(&self, output: &Shape) -> Result<Target, Error> {
        Normal::fixed(1.0).target(output)
    }
    fn declare(&self, scope: &Scope<'_>, target: &Target) -> Result<(), Error> {
        Normal::learned(1.0).declare(scope, target)
    }
    fn law<'b>(&self, scope: &Scope<'b>, output: Expr<'b>) -> Result<Box<dyn Law<'b> + 'b>, Error> {
        Normal::fixed(1.0).law(scope, output)
    }
    fn log_prob<'b>(&self, _: &Scope<'b>, output: Expr<'b>, _: &Observed<'b>) -> Result<Expr<'b>, Error> {
        Ok(output * 3.0)
    }
    fn loss<'b>(&self, _: &Scope<'b>, output: Expr<'b>, _: &Observed<'b>) -> Result<Expr<'b>, Error> {
        Ok(output * 5.0)
    }
    fn importance_weighted_loss<'b>(
        &self,
        _: &Scope<'b>,
        output: Expr<'b>,
        _: &Observed<'b>,
    ) -> Result<Expr<'b>, Error> {
        Ok(output * 7.0)
    }
}

#[test]
fn a_shared_likelihood_is_the_same() {
    let shared: Arc<dyn Likelihood> = Arc::new(Own);
    let builder = Builder::new();
    let scope = Scope::initialize(&builder, 0);
    let output = builder.input("output", Type::f32([1, 1]));
    let observed = Observed::from(output);
    assert_eq!(
        (shared.describe(), shared.target(&[1].into()).unwrap()),
        (Own.describe(), Own.target(&[1].into()).unwrap())
    );
    shared.declare(&scope, &Own.target(&[1].into()).unwrap()).unwrap();
    assert_eq!(scope.parameters().len(), 1);
    assert_eq!(shared.log_prob(&scope, output, &observed).unwrap().value(), (output * 3.0).value());
    assert_eq!(shared.loss(&scope, output, &observed).unwrap().value(), (output * 5.0).value());
    let loss = shared.importance_weighted_loss(&scope, output, &observed).unwrap();
    assert_eq!(loss.value(), (output * 7.0).value());
}

/// Each row has noise of its own, whatever rows it is drawn with.
#[test]
fn draws_of_a_row_are_its_own() {
    let laws: [(&dyn Likelihood, &[usize]); 3] = [(&Categorical, &[]), (&OrderedLogit::new(3), &[]), (&Poisson, &[2])];
    for (likelihood, units) in laws {
        let draw = |first: u32, rows: usize, samples: Option<usize>| {
            let builder = Builder::new();
            let scope = Scope::initialize(&builder, 0);
            let outputs = if likelihood.describe().starts_with("Ordered") { 1 } else { 2 };
            let target = likelihood.target(&[outputs].into()).unwrap();
            likelihood.declare(&scope, &target).unwrap();
            let parameters = scope.parameters();
            let builder = Builder::new();
            let scope = Scope::bind(&builder, &parameters).unwrap();
            let law = likelihood.law(&scope, builder.input("output", Type::f32([1, outputs]))).unwrap();
            let context = Context::new(scope).noise(noise_inputs(&builder));
            let context = if let Some(samples) = samples { context.samples(samples) } else { context };
            let shape: Shape = samples.into_iter().chain([rows]).chain(units.iter().copied()).collect();
            let draws = law.draw(&TargetNoise::new(context.site("likelihood"), shape.clone()).unwrap()).unwrap();
            assert_eq!(draws.shape(), shape);
            builder.output("draws", draws);
            drop(law);
            let mut inputs: Vec<_> = parameters.iter().map(|(_, parameter)| parameter.tensor.clone()).collect();
            inputs.push(Tensor::f32([1, outputs], vec![0.5; outputs]).unwrap());
            inputs.extend(
                [Tensor::u32([4], [11, 0, 0, 0]), Tensor::u32([], [0]), Tensor::u32([2], [first, 0])]
                    .map(Result::unwrap),
            );
            numbers(&evaluate(&builder.finish().unwrap(), &inputs).unwrap()[0])
        };
        let elements = units.iter().product::<usize>();
        let all = draw(0, 40, None);
        assert_eq!(all[30 * elements..], draw(30, 10, None), "{likelihood:?}");
        assert_ne!(all[..10 * elements], draw(30, 10, None), "{likelihood:?}");
        let samples = draw(0, 40, Some(2));
        assert_eq!(samples[70 * elements..], draw(30, 10, Some(2))[10 * elements..], "{likelihood:?}");
        assert_ne!(samples[..40 * elements], samples[40 * elements..], "{likelihood:?}");
    }
}
