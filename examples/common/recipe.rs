//! Recipes with other settings, as they are written on a command line: `weight=0.5:warm-up=0.2`.

use bayeslift::prelude::*;

/// A recipe with these settings instead of its own, of which there may be none.
pub fn with_settings(mut recipe: Recipe, settings: &str) -> Result<Recipe, String> {
    for setting in settings.split(':').filter(|setting| !setting.is_empty()) {
        let (name, value) = setting.split_once('=').ok_or(format!("`{setting}` is not SETTING=NUMBER"))?;
        let number: f64 = value.parse().map_err(|e| format!("`{setting}`: {e}"))?;
        match name {
            "scale" => recipe.posterior = Posterior::mean_field_with_scale(number),
            "prior" => recipe.prior = Prior::normal(0.0, number),
            "weight" => recipe.divergence_weight = number,
            "warm-up" => recipe.warm_up = number,
            "rate" => recipe.learning_rate = number,
            "batch" => recipe.batch_size = number as usize,
            "epochs" => recipe.epochs = number as usize..=number as usize,
            _ => return Err(format!("`{name}` is none of scale, prior, weight, warm-up, rate, batch, epochs")),
        }
    }
    Ok(recipe)
}
