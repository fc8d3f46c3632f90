//! Several networks as one: deep ensembles (Lakshminarayanan, Pritzel and Blundell 2017), of Bayesian networks or of others.

use crate::{Backend, Classification, Dataset, Error, Network, Predictor, PredictorOptions, Regression};
use bayeslift_ir::{Environment, Scalar, elementary};
use bayeslift_layers::natural_log;
use std::{
    fs,
    path::{Path, PathBuf},
};

/// Networks that are alike but for their seeds, trained apart and asked together. Members that began elsewhere ended elsewhere: how far they differ where there
/// was no data tells more of what is not known than the posterior around any one of them.
#[derive(Clone, Debug)]
pub struct Ensemble {
    pub(crate) members: Vec<Network>,
}

impl Ensemble {
    /// So many members, at least 1, each made of its number, which is to be part of its seed.
    ///
    /// # Errors
    /// No members; those of `make`; members that are asked for other inputs or predict other targets than the first.
    pub fn new(members: usize, make: impl FnMut(u64) -> Result<Network, Error>) -> Result<Ensemble, Error> {
        Ensemble::of((0..members as u64).map(make).collect::<Result<_, _>>()?)
    }

    /// Of networks that are there.
    ///
    /// # Errors
    /// As for [`Ensemble::new`].
    pub fn of(members: Vec<Network>) -> Result<Ensemble, Error> {
        let first = members.first().ok_or_else(|| Error::argument("the number of members", "at least 1", 0))?;
        let kind = |network: &Network| format!("{} to {:?}", network.input(), network.target());
        for (number, member) in members.iter().enumerate() {
            if kind(member) != kind(first) {
                let argument = format!("inputs and targets of member {number}");
                return Err(Error::argument(argument, format!("those of the first, {}", kind(first)), kind(member)));
            }
        }
        Ok(Ensemble { members })
    }

    /// The members.
    pub fn members(&self) -> &[Network] {
        &self.members
    }

    /// The members, to change their parameters.
    pub fn members_mut(&mut self) -> &mut [Network] {
        &mut self.members
    }

    /// Saves each member as [`Network::save`] does, in a folder, which is made if there is none: `member-0.safetensors` and so on.
    ///
    /// # Errors
    /// As for [`Network::save`].
    pub fn save(&self, folder: impl AsRef<Path>) -> Result<(), Error> {
        let folder = folder.as_ref();
        let failed = |source| Error::File { path: folder.to_owned(), action: "make", source };
        fs::create_dir_all(folder).map_err(failed)?;
        self.members.iter().enumerate().try_for_each(|(number, member)| member.save(file(folder, number)))
    }
}

fn file(folder: &Path, number: usize) -> PathBuf {
    folder.join(format!("member-{number}.safetensors"))
}

/// Predicts with all members of an ensemble. Each takes as many posterior samples as the options say.
#[derive(Debug)]
pub struct EnsemblePredictor {
    members: Vec<Predictor>,
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
        Ok(EnsemblePredictor { members: members.collect::<Result<_, _>>()? })
    }

    /// Of what [`Ensemble::save`] wrote.
    ///
    /// # Errors
    /// A folder without `member-0.safetensors`; as for [`Predictor::open`].
    pub fn open(folder: impl AsRef<Path>, options: &PredictorOptions) -> Result<EnsemblePredictor, Error> {
        let (folder, options) = (folder.as_ref(), shared(options));
        let files = (0..).map(|number| file(folder, number)).take_while(|path| path.exists());
        let members: Vec<_> =
            files.map(|path| Predictor::open_with_options(path, &options)).collect::<Result<_, _>>()?;
        if members.is_empty() {
            // whose error says what is wrong
            Predictor::open_with_options(file(folder, 0), &options)?;
        }
        Ok(EnsemblePredictor { members })
    }

    /// The members' own predictors.
    pub fn members(&self) -> &[Predictor] {
        &self.members
    }

    /// Predicts classes.
    ///
    /// # Errors
    /// As for [`Predictor::classify`].
    pub fn classify(&self, inputs: &[f32]) -> Result<EnsembleClassification, Error> {
        let _environment = Environment::enter();
        let each = self.members.iter().map(|member| member.classify(inputs)).collect::<Result<Vec<_>, _>>()?;
        let mean = |of: fn(&Classification) -> &[f32]| mean(&each, of);
        let probabilities: Vec<f64> = mean(Classification::probabilities);
        let classes = each[0].classes();
        // 0 log 0 is 0
        let entropy = |row: &[f64]| row.iter().filter(|p| **p > 0.0).fold(0.0, |sum, &p| sum - p * natural_log(p));
        let is_none = |row: &[f64]| row.iter().any(|p| p.is_nan());
        let entropies = probabilities.chunks(classes.max(1));
        let entropies: Vec<f64> = entropies.map(|row| if is_none(row) { f64::NAN } else { entropy(row) }).collect();
        let [expected, of_members] = [Classification::expected_entropy, Classification::predictive_entropy].map(mean);
        let less = |from: &[f64], what: &[f64]| from.iter().zip(what).map(|(a, b)| not_negative(a - b)).collect();
        let information: Vec<f32> = less(&entropies, &expected);
        let all = Classification::of_parts(
            (classes, each[0].labels_of_a_row()),
            narrow(&probabilities),
            [narrow(&entropies), narrow(&expected), information],
        );
        Ok(EnsembleClassification { all, within: less(&of_members, &expected), between: less(&entropies, &of_members) })
    }

    /// Predicts numbers.
    ///
    /// # Errors
    /// As for [`Predictor::regress`].
    pub fn regress(&self, inputs: &[f32]) -> Result<EnsembleRegression, Error> {
        let _environment = Environment::enter();
        let each = self.members.iter().map(|member| member.regress(inputs)).collect::<Result<Vec<_>, _>>()?;
        let mean = |of: fn(&Regression) -> &[f32]| mean(&each, of);
        let means = mean(Regression::mean);
        let of =
            |i: usize, value: fn(&Regression) -> &[f32]| each.iter().map(move |member| f64::from(value(member)[i]));
        let count = each.len() as f64;
        let squares = |i: usize, value| of(i, value).map(|x| x * x).sum::<f64>() / count;
        let away = |i: usize| of(i, Regression::mean).map(|x| (x - means[i]) * (x - means[i])).sum::<f64>() / count;
        let rows = 0..means.len();
        let within: Vec<f64> = rows.clone().map(|i| squares(i, Regression::epistemic)).collect();
        let between: Vec<f64> = rows.clone().map(away).collect();
        let aleatoric: Vec<f64> = rows.map(|i| squares(i, Regression::aleatoric)).collect();
        let epistemic: Vec<f64> = within.iter().zip(&between).map(|(a, b)| a + b).collect();
        let total: Vec<f64> = aleatoric.iter().zip(&epistemic).map(|(a, b)| a + b).collect();
        let root = |variances: &[f64]| -> Vec<f32> { variances.iter().map(|x| x.sqrt() as f32).collect() };
        let spreads = [root(&aleatoric), root(&epistemic), root(&total)];
        let all = Regression::new(each[0].units(), narrow(&means), spreads);
        Ok(EnsembleRegression { all, within: root(&within), between: root(&between) })
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
}

/// Options by which members share their code.
fn shared(options: &PredictorOptions) -> PredictorOptions {
    let backend = match &options.backend {
        Backend::Compiled(compiled) => Backend::shared(compiled.clone()),
        backend => backend.clone(),
    };
    options.clone().backend(backend)
}

fn mean<T>(each: &[T], of: impl Fn(&T) -> &[f32]) -> Vec<f64> {
    let count = each.len() as f64;
    (0..of(&each[0]).len()).map(|i| each.iter().map(|member| f64::from(of(member)[i])).sum::<f64>() / count).collect()
}

fn narrow(values: &[f64]) -> Vec<f32> {
    values.iter().map(|&x| x as f32).collect()
}

/// What is not negative but for rounding; what is not a number stays so.
fn not_negative(x: f64) -> f32 {
    if x <= 0.0 { 0.0 } else { x as f32 }
}
