//! Predicting with all members of an ensemble.

use super::{
    Ensemble,
    combine::{self, READ, Told},
};
use crate::{Backend, Classification, Dataset, Error, Predictor, PredictorOptions, Regression, engine::Engine};
use bayeslift_ir::{Environment, Scalar, Shape, elementary};
use bayeslift_layers::natural_log;
use bayeslift_runtime::Argument;
use std::path::Path;

/// How many rows are made one answer at once. No result depends on it.
const ROWS: usize = 64;

/// Predicts with all members of an ensemble. Each takes as many posterior samples as the options say, by noise of its
/// own seed, or all by that of the options.
#[derive(Debug)]
pub struct EnsemblePredictor {
    members: Vec<Predictor>,
    /// What every member tells.
    told: Vec<Told<'static>>,
    /// Makes one answer of what members tell of some rows: see [`combine::graph`]. There is none if they tell no
    /// moments.
    combine: Option<Engine>,
}

/// What an ensemble predicts of rows: see [`EnsemblePredictor::answer_from`].
#[derive(Clone, Debug, PartialEq)]
pub enum EnsembleAnswer {
    /// Classes with their probabilities.
    Classes(EnsembleClassification),
    /// Numbers with their standard deviations.
    Numbers(EnsembleRegression),
}

/// Classes as an ensemble predicts them.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct EnsembleClassification {
    /// The prediction of all members as one: the mean of their probabilities, and its uncertainty.
    pub all: Classification,
    /// For each row, or label of a row, the mean over members of their mutual information: what a member does not know.
    pub within: Vec<f32>,
    /// The rest of the mutual information: how far members contradict each other.
    pub between: Vec<f32>,
}

/// Numbers as an ensemble predicts them.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct EnsembleRegression {
    /// The prediction of all members as one, a mixture of equal parts.
    pub all: Regression,
    /// The root of the mean over members of their epistemic variance: what a member does not know.
    pub within: Vec<f32>,
    /// The standard deviation over members of their means: how far they contradict each other.
    pub between: Vec<f32>,
}

impl EnsemblePredictor {
    /// With [`PredictorOptions::default`].
    ///
    /// # Errors
    /// As for [`Predictor::new`].
    pub fn new(ensemble: &Ensemble) -> Result<EnsemblePredictor, Error> {
        EnsemblePredictor::with_options(ensemble, &PredictorOptions::default())
    }

    /// With these options. Code is compiled once for all members.
    ///
    /// # Errors
    /// As for [`Predictor::with_options`].
    pub fn with_options(ensemble: &Ensemble, options: &PredictorOptions) -> Result<EnsemblePredictor, Error> {
        let options = shared(options);
        let members = ensemble.members.iter().map(|member| Predictor::with_options(member, &options));
        EnsemblePredictor::of(members.collect::<Result<_, _>>()?, &options.backend)
    }

    /// Of what [`Ensemble::save`] wrote.
    ///
    /// # Errors
    /// A folder without `member-0.safetensors`, or without a member before the last; as for [`Predictor::open`].
    pub fn open(folder: impl AsRef<Path>, options: &PredictorOptions) -> Result<EnsemblePredictor, Error> {
        let options = shared(options);
        let files = Ensemble::files(folder);
        let members = files.iter().map(|path| Predictor::open_with_options(path, &options));
        EnsemblePredictor::of(members.collect::<Result<_, _>>()?, &options.backend)
    }

    /// Of the predictors of members, at least one.
    pub(crate) fn of(members: Vec<Predictor>, backend: &Backend) -> Result<EnsemblePredictor, Error> {
        let _environment = Environment::enter();
        let of_each = members.iter().map(Predictor::told).collect::<Result<Vec<_>, _>>()?;
        let (first, others) = of_each.split_first().expect("at least one member");
        for (number, other) in (1..).zip(others) {
            // what one does not tell all do not
            let differs = |(name, width): &&Told<'_>| other.iter().any(|(n, w)| n == name && w != width);
            if let Some((name, width)) = first.iter().find(differs) {
                let argument = format!("the number of {name} of a row of member {number}");
                return Err(Error::argument(argument, format!("{width}, as of the first"), "another"));
            }
        }
        let told: Vec<Told<'static>> =
            first.iter().filter(|told| others.iter().all(|other| other.contains(told))).copied().collect();
        let graph = combine::graph(&told, members.len(), ROWS)?;
        let combine = if graph.outputs().is_empty() { None } else { Some(Engine::new(graph, backend)?) };
        Ok(EnsemblePredictor { members, told, combine })
    }

    /// The members' own predictors.
    pub fn members(&self) -> &[Predictor] {
        &self.members
    }

    /// The shape of one input.
    pub fn input(&self) -> &Shape {
        self.members[0].input()
    }

    /// Predicts classes.
    ///
    /// # Errors
    /// As for [`Predictor::classify`].
    pub fn classify(&self, inputs: &[f32]) -> Result<EnsembleClassification, Error> {
        self.classify_from(0, inputs)
    }

    /// As [`EnsemblePredictor::classify`], for the rows from number `first_row` on of a larger batch: see
    /// [`Predictor::classify_from`].
    ///
    /// # Errors
    /// As for [`Predictor::classify`].
    pub fn classify_from(&self, first_row: u64, inputs: &[f32]) -> Result<EnsembleClassification, Error> {
        self.together(first_row, inputs)?.classes().ok_or_else(|| self.members[0].tells_no_classes())
    }

    /// Predicts numbers.
    ///
    /// # Errors
    /// As for [`Predictor::regress`].
    pub fn regress(&self, inputs: &[f32]) -> Result<EnsembleRegression, Error> {
        self.regress_from(0, inputs)
    }

    /// As [`EnsemblePredictor::regress`], for the rows from number `first_row` on of a larger batch: see
    /// [`Predictor::regress_from`].
    ///
    /// # Errors
    /// As for [`Predictor::regress`].
    pub fn regress_from(&self, first_row: u64, inputs: &[f32]) -> Result<EnsembleRegression, Error> {
        self.together(first_row, inputs)?.numbers().ok_or_else(|| self.members[0].tells_no_numbers())
    }

    /// Predicts classes or numbers, whichever the members do: see [`Predictor::answer_from`].
    ///
    /// # Errors
    /// As there.
    pub fn answer_from(&self, first_row: u64, inputs: &[f32]) -> Result<EnsembleAnswer, Error> {
        let mut together = self.together(first_row, inputs)?;
        let answer = together.classes().map(EnsembleAnswer::Classes);
        answer
            .or_else(|| together.numbers().map(EnsembleAnswer::Numbers))
            .ok_or_else(|| self.members[0].tells_no_numbers())
    }

    /// log p(targets | input) of each row under the mixture of the members' predictive distributions.
    ///
    /// # Errors
    /// As for [`Predictor::log_likelihood`].
    pub fn log_likelihood(&self, data: &Dataset) -> Result<Vec<f64>, Error> {
        let _environment = Environment::enter();
        let each = self.members.iter().map(|member| member.log_likelihood(data)).collect::<Result<Vec<_>, _>>()?;
        let of_row = |row: usize| {
            let largest = each.iter().map(|member| member[row]).fold(f64::NEG_INFINITY, f64::max);
            if !largest.is_finite() {
                return largest;
            }
            let exponential = |x: f64| elementary::double::exp(&mut Scalar, x);
            let sum: f64 = each.iter().map(|member| exponential(member[row] - largest)).sum();
            largest + natural_log(sum / each.len() as f64)
        };
        Ok((0..each[0].len()).map(of_row).collect())
    }

    /// Results by their names, as words.
    #[cfg(feature = "deploy")]
    pub(crate) fn moments(&self, inputs: &[f32], names: &[&str]) -> Result<Vec<Vec<u32>>, Error> {
        let mut together = self.together(0, inputs)?;
        let words = |values: Vec<f32>| values.into_iter().map(f32::to_bits).collect();
        Ok(names.iter().map(|name| together.take(name).map(words).unwrap_or_default()).collect())
    }

    /// What all members tell of rows, made one.
    fn together(&self, first_row: u64, inputs: &[f32]) -> Result<Together, Error> {
        let _environment = Environment::enter();
        let each = self.members.iter().map(|member| member.moments_from(first_row, inputs));
        let mut each = each.collect::<Result<Vec<_>, _>>()?;
        let width = |name: &str| self.told.iter().find(|(known, _)| *known == name).map(|(_, width)| *width);
        let read = READ.iter().filter_map(|name| Some((*name, width(name)?)));
        // of each input of the graph its width, and what each member tells
        let read: Vec<(usize, Vec<Vec<f32>>)> = read
            .map(|(name, width)| {
                (width, each.iter_mut().map(|answers| answers.take(name).unwrap_or_default()).collect())
            })
            .collect();
        let Some(combine) = &self.combine else { return Ok(Together { results: Vec::new() }) };
        let rows = read.first().map_or(0, |(width, members)| members[0].len() / width);
        let outputs = combine.graph().outputs().iter().map(|output| {
            let width = combine.graph().ty(output.value).shape.elements() / ROWS;
            (output.name.clone(), width, Vec::with_capacity(rows * width))
        });
        let mut results: Vec<(String, usize, Vec<f32>)> = outputs.collect();
        let mut session = combine.session()?;
        let mut given: Vec<Vec<f32>> =
            read.iter().map(|(width, members)| vec![0.0; members.len() * ROWS * width]).collect();
        for first in (0..rows).step_by(ROWS) {
            let count = ROWS.min(rows - first);
            for (given, (width, members)) in given.iter_mut().zip(&read) {
                for (given, told) in given.chunks_mut(ROWS * width).zip(members) {
                    given[..count * width].copy_from_slice(&told[first * width..][..count * width]);
                }
            }
            let mut arguments: Vec<Argument<'_>> = given.iter().map(|given| Argument::F32(given)).collect();
            combine.call(&mut session, &mut arguments)?;
            for ((_, width, values), made) in results.iter_mut().zip(&session.outputs) {
                values.extend(made.as_f32().unwrap_or_default().iter().take(count * *width));
            }
        }
        Ok(Together { results })
    }
}

/// What all members say together: names of results, how many numbers each has for a row, and these.
struct Together {
    results: Vec<(String, usize, Vec<f32>)>,
}

impl Together {
    fn width(&self, name: &str) -> usize {
        self.results.iter().find(|(known, ..)| known == name).map_or(0, |(_, width, _)| *width)
    }

    fn take(&mut self, name: &str) -> Option<Vec<f32>> {
        self.results.iter_mut().find(|(known, ..)| known == name).map(|(.., values)| std::mem::take(values))
    }

    fn classes(&mut self) -> Option<EnsembleClassification> {
        let labels = self.width("predictive_entropy");
        let classes = self.width("probabilities") / labels.max(1);
        let probabilities = self.take("probabilities")?;
        let mut of = |name| self.take(name).unwrap_or_default();
        let entropies = ["predictive_entropy", "expected_entropy", "mutual_information"].map(&mut of);
        let [within, between] = ["information_within", "information_between"].map(of);
        Some(EnsembleClassification {
            all: Classification::of_parts((classes, labels), probabilities, entropies),
            within,
            between,
        })
    }

    fn numbers(&mut self) -> Option<EnsembleRegression> {
        let units = self.width("mean");
        let mean = self.take("mean")?;
        // what members do not tell is no number
        let mut of = |name| self.take(name).unwrap_or_else(|| vec![f32::NAN; mean.len()]);
        let spreads = ["aleatoric", "epistemic", "total"].map(&mut of);
        let [within, between] = ["epistemic_within", "epistemic_between"].map(of);
        Some(EnsembleRegression { all: Regression::new(units, mean, spreads), within, between })
    }
}

/// Options by which members share their code.
fn shared(options: &PredictorOptions) -> PredictorOptions {
    let backend = match &options.backend {
        Backend::Compiled(compiled) => Backend::shared(compiled.clone()),
        backend => backend.clone(),
    };
    options.clone().backend(backend)
}
