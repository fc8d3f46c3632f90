//! Settings of the recipe beside each other, on a part of the training images that nothing is trained on.

use super::{
    Arguments, CLASSES, Data, Kind, Result, Score,
    common::{bold, recipe::with_settings},
    median, predictions, score, trained,
};
use bayeslift::prelude::*;
use serde_json::json;

/// Trains one network a setting and seed, and tells its scores: medians over seeds, and how much higher its negative
/// log likelihood is than that of the first setting, as a mean over seeds and images with its standard error over
/// images.
pub fn compare(arguments: &Arguments, data: &Data) -> Result<()> {
    if !arguments.json {
        let scores = "accuracy     NLL   higher than the first's     ECE   AUROC unlike  permuted";
        println!("{}", bold(&format!("{:<32} {scores}", "settings")));
    }
    let mut first: Option<Vec<f64>> = None;
    for settings in &arguments.settings {
        let recipe = with_settings(Recipe::images(), settings)?;
        let (mut scores, mut losses): (Vec<Score>, _) = (Vec::new(), vec![0.0; data.labels.len()]);
        for seed in 0..arguments.seeds.max(1) {
            let ensemble = trained(Kind::Samples, &recipe, (seed, 1), &arguments.backend(), data)?;
            let found = predictions(Kind::Samples, &ensemble, arguments, data)?;
            for ((loss, row), &label) in losses.iter_mut().zip(found[0].probabilities.chunks(CLASSES)).zip(&data.labels)
            {
                *loss -= f64::from(row[label as usize]).ln() / arguments.seeds.max(1) as f64;
            }
            scores.push(score(&found, &data.labels)?);
        }
        let differences = losses.iter().zip(first.as_ref().unwrap_or(&losses)).map(|(loss, first)| loss - first);
        let (higher, error) = mean_and_error(&differences.collect::<Vec<_>>());
        first.get_or_insert(losses);
        let of = |value: fn(&Score) -> f64| median(scores.iter().map(value).collect());
        let [accuracy, nll, ece] = [of(|s| s.accuracy), of(|s| s.nll), of(|s| s.ece)];
        let [unlike, permuted] = [of(|s| s.tells[0]), of(|s| s.tells[1])];
        if arguments.json {
            let line = json!({
                "settings": settings, "seeds": scores.len(), "accuracy": accuracy, "nll": nll, "nll_higher": higher, "nll_higher_se": error,
                "ece": ece, "auroc_unlike": if unlike.is_nan() { None } else { Some(unlike) }, "auroc_permuted": permuted,
            });
            println!("{line}");
        } else {
            let name = if settings.is_empty() { "as it is" } else { settings };
            print!("{name:<32} {accuracy:>8.4} {nll:>7.4}       {higher:>+8.4} ± {error:<6.4} {ece:>7.4}");
            println!(" {unlike:>13.3} {permuted:>9.3}");
        }
    }
    Ok(())
}

fn mean_and_error(values: &[f64]) -> (f64, f64) {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let variance = values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (count - 1.0);
    (mean, (variance / count).sqrt())
}
