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

const KINDS: [(&str, Kind); 5] = [
    ("local", Kind::Local),
    ("few", Kind::Local),
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
    dropout: f64,
    /// The part of the training rows by which the best epoch is chosen; 0 for the last epoch.
    validation: f64,
}

impl FromStr for Method {
    type Err = String;

    fn from_str(name: &str) -> std::result::Result<Method, String> {
        let (kind_name, settings) = name.split_once(':').unwrap_or((name, ""));
        let names = || KINDS.map(|(name, _)| name).join(", ");
        let known = KINDS.into_iter().find(|(known, _)| *known == kind_name);
        let (_, kind) = known.ok_or_else(|| format!("`{kind_name}` is none of {}", names()))?;
        let mut method = Method {
            name: name.to_owned(),
            kind,
            recipe: if kind_name == "few" { Recipe::few() } else { Recipe::tables() },
            dropout: 0.1,
            // what no prior holds back is kept where its validation is best
            validation: if kind == Kind::Local { 0.0 } else { 0.2 },
        };
        for setting in settings.split(':') {
            let number = |text: &str| text.parse::<f64>().map_err(|e| format!("`{setting}`: {e}"));
            match setting.split_once('=') {
                Some(("dropout", value)) => method.dropout = number(value)?,
                Some(("validation", value)) => method.validation = number(value)?,
                _ => method.recipe = with_settings(method.recipe, setting)?,
            }
        }
        Ok(method)
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

    /// How it is trained on `rows` rows. A validation part chooses among all epochs, so there is no warm-up then.
    fn fit(&self, rows: usize) -> Fit<'_> {
        let fit = Fit::by(&self.recipe, rows);
        if self.validation > 0.0 { fit.warm_up(WarmUp::None).validation_split(self.validation) } else { fit }
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
