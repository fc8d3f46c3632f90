//! The networks that are compared, and how each is trained.

use super::{
    HIDDEN, Result, SAMPLES,
    common::recipe::with_settings,
    set::{Parts, Set},
};
use bayeslift::{prelude::*, runtime::Options};
use std::{str::FromStr, time::Instant};

/// What is random in a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// The weights of both layers.
    Local,
    /// Those of the last layer.
    LastLayer,
    /// Which hidden units there are.
    Dropout,
    Nothing,
}

const KINDS: [(&str, Kind); 4] = [
    ("local", Kind::Local),
    ("last-layer", Kind::LastLayer),
    ("dropout", Kind::Dropout),
    ("deterministic", Kind::Nothing),
];

/// A kind of network with settings, as it is written: `local:weight=0.5`.
#[derive(Clone, Debug)]
pub struct Method {
    pub name: String,
    kind: Kind,
    recipe: Recipe,
    /// The part of hidden units that is left out.
    dropout: f32,
}

impl FromStr for Method {
    type Err = String;

    fn from_str(name: &str) -> std::result::Result<Method, String> {
        let (kind, settings) = name.split_once(':').unwrap_or((name, ""));
        let names = || KINDS.map(|(name, _)| name).join(", ");
        let known = KINDS.into_iter().find(|(known, _)| *known == kind);
        let (_, kind) = known.ok_or_else(|| format!("`{kind}` is none of {}", names()))?;
        // the one setting that no recipe has
        let (of_dropout, of_recipe): (Vec<&str>, Vec<&str>) =
            settings.split(':').partition(|s| s.starts_with("dropout="));
        let dropout = of_dropout.first().map_or(Ok(0.1), |s| s["dropout=".len()..].parse());
        let dropout = dropout.map_err(|e| format!("`{}`: {e}", of_dropout.join(":")))?;
        let recipe = with_settings(Recipe::tables(), &of_recipe.join(":"))?;
        Ok(Method { name: name.to_owned(), kind, recipe, dropout })
    }
}

/// What a split gave.
#[derive(Clone, Copy, Default)]
pub struct Score {
    pub rmse: f64,
    pub log_likelihood: f64,
    pub coverage: f64,
    pub seconds: f64,
}

impl Method {
    fn network(&self, features: usize, seed: u64) -> Result<Network> {
        let local = |i, o| AffineVariationalReparameterizationLocal::new(i, o).recipe(&self.recipe);
        let hidden = Affine::new(features, HIDDEN).activation(Activation::Relu);
        let layers = Sequential::new();
        let layers = match self.kind {
            Kind::Local => layers.layer(local(features, HIDDEN).activation(Activation::Relu)).layer(local(HIDDEN, 1)),
            Kind::LastLayer => layers.layer(hidden).layer(local(HIDDEN, 1)),
            Kind::Dropout => {
                layers.layer(hidden).layer(Dropout::monte_carlo(self.dropout)).layer(Affine::new(HIDDEN, 1))
            }
            Kind::Nothing => layers.layer(hidden).layer(Affine::new(HIDDEN, 1)),
        };
        Ok(Network::new(layers, [features], likelihood::Normal::learned(1.0), seed)?)
    }

    /// How it is trained on so many rows: what no prior holds back is kept where its own validation is best.
    fn fit(&self, rows: usize) -> Fit<'_> {
        let fit = Fit::by(&self.recipe, rows);
        match self.kind {
            Kind::Local => fit,
            Kind::LastLayer | Kind::Dropout | Kind::Nothing => fit.warm_up(WarmUp::None).validation_split(0.2),
        }
    }

    /// Trains on one part of a split and scores the other.
    pub fn score(&self, set: &Set, split: usize, parts: Parts) -> Result<Score> {
        let start = Instant::now();
        let [train, test] = set.parts(split, parts)?;
        let standardizer = Standardizer::of(&train);
        let (train, standard_test) = (standardizer.apply(&train)?, standardizer.apply(&test)?);
        let mut network = self.network(set.features, split as u64)?;
        // splits are computed beside each other
        let backend = Options::default().threads(1);
        self.fit(train.rows()).backend(backend.clone()).run(&mut network, &train)?;
        let options = PredictorOptions::default().samples(SAMPLES).backend(backend);
        let predictor = Predictor::with_options(&network, &options)?;
        let prediction = standardizer.restore(&predictor.regress(standard_test.inputs())?)?;
        let rmse = metrics::root_mean_square_error(prediction.mean(), test.values())?;
        let log_likelihood = -predictor.negative_log_likelihood(&standard_test)? - standardizer.log_scale();
        let (low, high) = predictor.predict(standard_test.inputs())?.interval(0.9)?;
        let coverage = metrics::coverage(&low, &high, standard_test.values())?;
        Ok(Score { rmse, log_likelihood, coverage, seconds: start.elapsed().as_secs_f64() })
    }
}
