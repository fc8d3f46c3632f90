//! Predicting with all members of an ensemble.

use super::{
    Ensemble,
    combine::{self, READ, Told},
};
use crate::{
    Backend, Classification, Dataset, Error, Float, FloatCow, Predictor, PredictorOptions, Regression, engine::Engine,
    predictor::Answers,
};
use bayeslift_ir::{DType, Environment, Scalar, Shape, elementary};
use bayeslift_layers::natural_log;
use bayeslift_runtime::Argument;
use std::path::Path;

/// How many rows are made one answer at once. No result depends on it.
const ROWS: usize = 64;

/// Predicts with all members of an ensemble, as one mixture of equal parts. Each member draws as many posterior samples
/// as [`PredictorOptions`] say, with noise of its own seed, or all with the seed of the options. Inputs are row-major,
/// as for a [`Predictor`]; [`Ensemble::fit`] has an example of members that were trained.
///
/// ```
/// use bayeslift::{Ensemble, EnsemblePredictor, prelude::*};
///
/// let ensemble = Ensemble::new(3, |member| {
///     let layer = AffineVariationalReparameterizationLocal::new(2, 4);
///     Network::new(layer, [2], likelihood::Categorical, member)
/// })?;
/// let predictor = EnsemblePredictor::with_options(&ensemble, &PredictorOptions::default().samples(50))?;
/// assert_eq!((predictor.members().len(), predictor.input()), (3, &[2].into()));
///
/// let batch = [0.1, 0.2, 3.0, -3.0, 5.0, 5.0];
/// let whole = predictor.classify(&batch)?;
/// let second = predictor.classify_from(1, &batch[2..4])?; // the row with number 1 alone: the same bits
/// assert_eq!(second.all.row(0), whole.all.row(1));
/// let [within, between] = [whole.within[1], whole.between[1]]; // nats
/// assert!((within + between - whole.all.mutual_information()[1]).abs() < 1e-5);
/// # Ok::<(), bayeslift::Error>(())
/// ```
#[derive(Debug)]
pub struct EnsemblePredictor {
    members: Vec<Predictor>,
    /// What every member tells.
    told: Vec<Told<'static>>,
    /// Makes one answer of what members tell of some rows: see [`combine::graph`]. There is none if they tell no
    /// moments.
    combine: Option<Engine>,
}

/// What an ensemble predicts of rows, of whichever kind its targets are: see [`EnsemblePredictor::answer_from`].
///
/// ```
/// use bayeslift::{Ensemble, EnsembleAnswer, EnsemblePredictor, EnsembleRegression, prelude::*};
///
/// let ensemble = Ensemble::new(3, |member| {
///     let layer = AffineVariationalReparameterizationLocal::new(2, 1);
///     Network::new(layer, [2], likelihood::Normal::fixed(0.1), member)
/// })?;
/// let predictor = EnsemblePredictor::new(&ensemble)?;
/// let answer = predictor.answer_from(0, &[0.1, 0.2])?;
/// let EnsembleAnswer::Numbers(numbers) = answer else { panic!("targets are numbers") };
/// let EnsembleRegression { all, within, between, .. } = numbers;
/// let epistemic = (within[0].powi(2) + between[0].powi(2)).sqrt();
/// assert!((epistemic - all.epistemic()[0]).abs() < 1e-5 * epistemic);
/// # Ok::<(), bayeslift::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub enum EnsembleAnswer<T = f32> {
    /// Classes with their probabilities.
    Classes(EnsembleClassification<T>),
    /// Numbers with their standard deviations.
    Numbers(EnsembleRegression<T>),
}

/// Classes as an ensemble predicts them, as `f32` or `f64`.
///
/// With H the entropy and p_m the probabilities of member m, the mean over its posterior samples: the mutual
/// information of all is H(mean of the p_m) - E, with E the mean over members of their expected entropy. The part
/// within members is the mean of the H(p_m) - E, the part between them H(mean of the p_m) - mean of the H(p_m) (Depeweg
/// and others 2018, for two levels).
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct EnsembleClassification<T = f32> {
    /// The prediction of all members as one: the mean of their probabilities, and its uncertainty.
    pub all: Classification<T>,
    /// For each row, or label of a row, `[rows, labels]`, the mean over members of their mutual information, in nats:
    /// what a member does not know.
    pub within: Vec<T>,
    /// The rest of the mutual information, in nats, `[rows, labels]`: how far members contradict each other.
    pub between: Vec<T>,
}

/// Numbers as an ensemble predicts them, as `f32` or `f64`: `[rows, units]`, row after row, in the unit of the targets.
///
/// The epistemic variance of all is `within`^2 + `between`^2, by the law of total variance.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct EnsembleRegression<T = f32> {
    /// The prediction of all members as one, a mixture of equal parts.
    pub all: Regression<T>,
    /// For each number of each row, the square root of the mean over members of their epistemic variance: what a member
    /// does not know.
    pub within: Vec<T>,
    /// For each number of each row, the standard deviation over members of their means: how far they contradict each
    /// other.
    pub between: Vec<T>,
}

impl EnsemblePredictor {
    /// Compiles the predictors of all members, with [`PredictorOptions::default`].
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
        let dtype = members[0].dtype();
        if let Some(number) = members.iter().position(|member| member.dtype() != dtype) {
            let argument = format!("the type of member {number}");
            return Err(Error::argument(argument, format!("{dtype}, as of the first"), members[number].dtype()));
        }
        let graph = combine::graph(dtype, &told, members.len(), ROWS)?;
        let combine = if graph.outputs().is_empty() { None } else { Some(Engine::new(graph, backend)?) };
        Ok(EnsemblePredictor { members, told, combine })
    }

    /// The members' own predictors, in the order of the members' numbers.
    pub fn members(&self) -> &[Predictor] {
        &self.members
    }

    /// The shape of one input.
    pub fn input(&self) -> &Shape {
        self.members[0].input()
    }

    /// The type of members' floats: of `f64`, [`EnsemblePredictor::double`] has all digits.
    pub fn dtype(&self) -> DType {
        self.members[0].dtype()
    }

    /// Predicts classes for any number of rows of inputs, `[rows, input..]`: the mean of the members' probabilities,
    /// its entropy, and how much of what is not known lies within members and between them; see
    /// [`EnsembleClassification`].
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
        self.classify_of(first_row, inputs)
    }

    pub(crate) fn classify_of<T: Float>(
        &self,
        first_row: u64,
        inputs: &[T],
    ) -> Result<EnsembleClassification<T>, Error> {
        let mut together = self.together(first_row, &T::floats(inputs))?;
        together.classes().ok_or_else(|| self.members[0].tells_no_classes())
    }

    /// Predicts numbers for any number of rows of inputs, `[rows, input..]`, in the unit of the targets: mean and
    /// standard deviations of the mixture of all members, and how far they differ; see [`EnsembleRegression`].
    ///
    /// ```
    /// use bayeslift::{Ensemble, EnsemblePredictor, prelude::*};
    ///
    /// let ensemble = Ensemble::new(3, |member| {
    ///     let layer = AffineVariationalReparameterizationLocal::new(2, 1);
    ///     Network::new(layer, [2], likelihood::Normal::fixed(0.1), member)
    /// })?;
    /// let answer = EnsemblePredictor::new(&ensemble)?.regress(&[0.1, 0.2, 3.0, -3.0])?;
    /// assert_eq!(answer.all.rows(), 2);
    /// assert!(answer.between.iter().all(|&between| between > 0.0)); // members that no data made agree
    /// # Ok::<(), bayeslift::Error>(())
    /// ```
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
        self.regress_of(first_row, inputs)
    }

    pub(crate) fn regress_of<T: Float>(&self, first_row: u64, inputs: &[T]) -> Result<EnsembleRegression<T>, Error> {
        let mut together = self.together(first_row, &T::floats(inputs))?;
        together.numbers().ok_or_else(|| self.members[0].tells_no_numbers())
    }

    /// Predicts classes or numbers, whichever the members do: see [`Predictor::answer_from`].
    ///
    /// # Errors
    /// As there.
    pub fn answer_from(&self, first_row: u64, inputs: &[f32]) -> Result<EnsembleAnswer, Error> {
        self.answer_of(first_row, inputs)
    }

    pub(crate) fn answer_of<T: Float>(&self, first_row: u64, inputs: &[T]) -> Result<EnsembleAnswer<T>, Error> {
        let mut together = self.together(first_row, &T::floats(inputs))?;
        let answer = together.classes().map(EnsembleAnswer::Classes);
        answer
            .or_else(|| together.numbers().map(EnsembleAnswer::Numbers))
            .ok_or_else(|| self.members[0].tells_no_numbers())
    }

    /// log p(targets | input) of each row in nats, `[rows]`, under the mixture of the members' predictive
    /// distributions: the logarithm of the mean over members of e^(log likelihood of the member).
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
    pub(crate) fn moments(&self, inputs: &FloatCow<'_>, names: &[&str]) -> Result<Vec<Vec<u32>>, Error> {
        let mut together = self.together(0, inputs)?;
        Ok(names.iter().map(|name| together.take_floats(name).map(|x| x.words()).unwrap_or_default()).collect())
    }

    /// What all members tell of rows, made one.
    fn together(&self, first_row: u64, inputs: &FloatCow<'_>) -> Result<Together, Error> {
        let _environment = Environment::enter();
        let each = self.members.iter().map(|member| member.moments_from(first_row, inputs));
        let each = each.collect::<Result<Vec<_>, _>>()?;
        match self.dtype() {
            DType::F64 => self.combined::<f64>(each),
            _ => self.combined::<f32>(each),
        }
    }

    /// As [`EnsemblePredictor::together`], of what each member told.
    fn combined<T: Float>(&self, mut each: Vec<Answers>) -> Result<Together, Error> {
        let width = |name: &str| self.told.iter().find(|(known, _)| *known == name).map(|(_, width)| *width);
        let read = READ.iter().filter_map(|name| Some((*name, width(name)?)));
        // of each input of the graph its width, and what each member tells
        let read: Vec<(usize, Vec<Vec<T>>)> = read
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
        let mut results: Vec<(String, usize, Vec<T>)> = outputs.collect();
        let mut session = combine.session()?;
        let mut given: Vec<Vec<T>> =
            read.iter().map(|(width, members)| vec![T::default(); members.len() * ROWS * width]).collect();
        for first in (0..rows).step_by(ROWS) {
            let count = ROWS.min(rows - first);
            for (given, (width, members)) in given.iter_mut().zip(&read) {
                for (given, told) in given.chunks_mut(ROWS * width).zip(members) {
                    given[..count * width].copy_from_slice(&told[first * width..][..count * width]);
                }
            }
            let given: Vec<FloatCow<'_>> = given.iter().map(|given| T::floats(given)).collect();
            let mut arguments: Vec<Argument<'_>> = given.iter().map(FloatCow::argument).collect();
            combine.call(&mut session, &mut arguments)?;
            for ((_, width, values), made) in results.iter_mut().zip(&session.outputs) {
                values.extend(T::of_tensor(Some(made)).iter().take(count * *width));
            }
        }
        let results = results.into_iter().map(|(name, width, values)| (name, width, T::owned(values)));
        Ok(Together { results: results.collect() })
    }
}

/// What all members say together: names of results, how many numbers each has for a row, and these.
struct Together {
    results: Vec<(String, usize, FloatCow<'static>)>,
}

impl Together {
    fn width(&self, name: &str) -> usize {
        self.results.iter().find(|(known, ..)| known == name).map_or(0, |(_, width, _)| *width)
    }

    fn take_floats(&mut self, name: &str) -> Option<FloatCow<'static>> {
        let found = self.results.iter().position(|(known, ..)| known == name)?;
        Some(self.results.swap_remove(found).2)
    }

    fn take<T: Float>(&mut self, name: &str) -> Option<Vec<T>> {
        self.take_floats(name).map(|values| values.nearest())
    }

    fn classes<T: Float>(&mut self) -> Option<EnsembleClassification<T>> {
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

    fn numbers<T: Float>(&mut self) -> Option<EnsembleRegression<T>> {
        let units = self.width("mean");
        let mean: Vec<T> = self.take("mean")?;
        // what members do not tell is no number
        let mut of = |name| self.take(name).unwrap_or_else(|| vec![T::NAN; mean.len()]);
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
