//! What fits tell of their posteriors, and what samples are worth.

use bayeslift::{Comparison, Diagnosis, prelude::*};

/// 120 points of y = sin(3 x) with noise of 0.1.
fn wave() -> Dataset {
    let x: Vec<f32> = (0..120).map(|i| i as f32 / 60.0 - 1.0).collect();
    let y = x.iter().enumerate().map(|(i, x)| (3.0 * x).sin() + 0.1 * (i as f32 * 12.9898).sin()).collect();
    Dataset::regression([1], x, 1, y).unwrap()
}

fn network(recipe: Option<&Recipe>) -> Network {
    let layer = |inputs, outputs| {
        let layer = AffineVariationalReparameterizationLocal::new(inputs, outputs);
        recipe.map_or(layer.clone(), |recipe| layer.recipe(recipe))
    };
    let layers = Sequential::new().layer(layer(1, 20).activation(Activation::Relu)).layer(layer(20, 1));
    Network::new(layers, [1], likelihood::Normal::learned(1.0), 3).unwrap()
}

fn median(values: &[f32]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f32::total_cmp);
    values[values.len() / 2].into()
}

/// Short training with the layers' defaults leaves a point, which the report says; a recipe does not.
#[test]
fn a_posterior_that_has_not_moved_is_noted() {
    let data = wave();
    let mut point = network(None);
    let report = Fit::new().epochs(20).run(&mut point, &data).unwrap();
    let is_point = |diagnosis: &Diagnosis| matches!(diagnosis, Diagnosis::PosteriorAtItsStart { scale: [before, _] } if (before - 1e-3).abs() < 1e-6);
    let outweighs = |diagnosis: &Diagnosis| matches!(diagnosis, Diagnosis::DivergenceOutweighs { .. });
    assert!(report.diagnoses.iter().any(is_point) && report.diagnoses.iter().any(outweighs), "{report}");
    let text = report.to_string();
    for part in ["note: the posterior has hardly left its start (scales 1.0e-3", "start wider", "of an example"] {
        assert!(text.contains(part), "{text}");
    }

    let recipe = Recipe::tables();
    let mut wide = network(Some(&recipe));
    let report = Fit::by(&recipe, data.rows()).epochs(300).run(&mut wide, &data).unwrap();
    assert!(!report.diagnoses.iter().any(|diagnosis| is_point(diagnosis) || outweighs(diagnosis)), "{report}");
    assert!(report.diagnoses.is_empty(), "{report}");
}

/// Medians before and after are those of the posteriors themselves.
#[test]
fn posteriors_are_where_they_are_said_to_be() {
    let (data, recipe) = (wave(), Recipe::tables());
    let mut trained = network(Some(&recipe));
    let start = trained.parameters().clone();
    let report = Fit::by(&recipe, data.rows()).epochs(40).run(&mut trained, &data).unwrap();
    let paths: Vec<&str> = report.posteriors.iter().map(|posterior| posterior.path.as_str()).collect();
    assert_eq!(paths, ["affine/kernel", "affine/bias", "affine_1/kernel", "affine_1/bias"]);
    let layer = AffineVariationalReparameterizationLocal::new(1, 20).recipe(&recipe);
    let kernel = |parameters: &bayeslift::layers::Parameters| layer.kernel_posterior(&parameters.under("affine"));
    let of = |tensor: bayeslift::ir::Tensor| tensor.as_f32().unwrap().to_vec();
    let [before, after] = [&start, trained.parameters()].map(|parameters| {
        let posterior = kernel(parameters);
        (of(posterior.mean().unwrap()), of(posterior.stddev().unwrap()))
    });
    let found = &report.posteriors[0];
    assert_eq!(found.elements, 20);
    assert_eq!(found.scale, [median(&before.1), median(&after.1)]);
    assert!((found.scale[0] - 0.05).abs() < 1e-6 && found.scale[1] != found.scale[0], "{found}");
    let close = |got: f64, want: f64| assert!((got - want).abs() <= 1e-6 * want, "{got} and {want}");
    let ratio = |of: &[f32], by: &[f32]| median(&of.iter().zip(by).map(|(x, s)| x.abs() / s).collect::<Vec<_>>());
    close(found.signal_to_noise[0], ratio(&before.0, &before.1));
    close(found.signal_to_noise[1], ratio(&after.0, &after.1));
    let moved: Vec<f32> = after.0.iter().zip(&before.0).map(|(now, then)| now - then).collect();
    close(found.moved, ratio(&moved, &after.1));
    let of_example = report.divergence_of_example().unwrap();
    close(of_example, report.epochs[39].divergence / 120.0);
}

#[test]
fn an_early_end_is_noted() {
    let (data, recipe) = (wave(), Recipe::tables());
    let mut network = network(Some(&recipe));
    let fit = Fit::by(&recipe, data.rows()).epochs(5).warm_up(WarmUp::None).validation_split(0.2);
    let report = fit.run(&mut network, &data).unwrap();
    let falls = report
        .diagnoses
        .iter()
        .any(|diagnosis| matches!(diagnosis, Diagnosis::ValidationStillFalls { by } if *by > 0.0));
    assert_eq!(falls, report.best_epoch == Some(5), "{report}");
    assert!(falls, "{report}");
}

/// The gain is the difference of the likelihoods; of a posterior that is wide it is none of 0.
#[test]
fn samples_are_compared_with_their_mean() {
    let (data, recipe) = (wave(), Recipe::tables());
    let mut trained = network(Some(&recipe));
    Fit::by(&recipe, data.rows()).epochs(100).run(&mut trained, &data).unwrap();
    let options = PredictorOptions::default().samples(128);
    let comparison = Comparison::new(&trained, &data, &options).unwrap();
    let Comparison { samples, mean, gain, gain_standard_error, .. } = comparison;
    assert!((gain - (mean.negative_log_likelihood - samples.negative_log_likelihood)).abs() < 1e-12);
    assert!(gain != 0.0 && gain_standard_error > 0.0 && gain_standard_error.is_finite(), "{comparison}");
    assert_eq!(
        samples.negative_log_likelihood,
        Predictor::with_options(&trained, &options).unwrap().negative_log_likelihood(&data).unwrap()
    );
    assert!(samples.root_mean_square_error.is_some_and(|rmse| rmse > 0.0) && samples.accuracy.is_none());
    assert!(comparison.to_string().contains("samples gain"), "{comparison}");
}
