//! A predictor's model, of a model file: it needs no layers to predict.

use super::{PredictorOptions, model::Model, template::Template};
use crate::{Error, ModelFile, model_file::target};
use bayeslift_ir::Foreign;
use std::path::Path;

/// What a predictor predicts with, of a file.
pub fn model(file: ModelFile, path: &Path, options: &PredictorOptions) -> Result<Model, Error> {
    let format = |message: String| Error::Format { path: path.to_owned(), message };
    let Some(stored) = file.prediction else {
        let why = if file.version < 3 {
            "it is of a version without graphs of predictions"
        } else {
            "its graphs could not be written for any number of rows: they are too large, or other ones for other numbers"
        };
        return Err(format(format!("{why}: load it into a network of its layers by `Network::load`")));
    };
    if options.posterior_value.is_some() {
        let problem = "another value of the posteriors was asked for, but a file has the graphs of the layers' own";
        return Err(Error::misuse(problem, "load it into a network of its layers by `Network::load`"));
    }
    let target = target(&stored)
        .ok_or_else(|| format(format!("its targets are of the unknown kind `{}`", Foreign::new(&stored.support))))?;
    [&target.shape, &target.events]
        .into_iter()
        .filter(|shape| !shape.is_empty())
        .try_for_each(|shape| shape.check())?;
    let template = |what: &str, text: &str| {
        Template::parse(text).map_err(|error| format(format!("its graph of the {what}: {error}")))
    };
    let graphs = [template("network", &stored.network)?, template("law", &stored.law)?];
    Model::stored(file.parameters, graphs, (file.input, file.seed), (target, file.likelihood))
        .map_err(|error| format(format!("its graphs: {error}")))
}
