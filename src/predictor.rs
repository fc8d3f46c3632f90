//! Predicting with posterior samples.

mod answers;
pub(crate) mod block;
pub(crate) mod certainty;
pub(crate) mod decide;
mod double;
mod explain;
pub(crate) mod law;
mod mixture;
pub(crate) mod model;
pub(crate) mod moment;
mod options;
mod predictive;
pub(crate) mod question;
mod rows;
mod run;
mod score;
pub(crate) mod stored;
mod stream;
pub(crate) mod template;

pub use decide::{DecisionOptions, Decisions};
pub use double::Double;
pub use options::PredictorOptions;
pub use predictive::Predictive;

use crate::{
    Answer, Classification, Dataset, Error, Float, FloatCow, ModelFile, Network, Regression,
    dataset::{self, check_finite},
    model_file,
};
pub(crate) use answers::Answers;
use bayeslift_ir::{DType, Environment, Shape};
use block::Blocks;
use model::Model;
use question::Question;
use rows::Numbers;
use run::{Besides, Rows};
use std::path::Path;
/// The step that predictions draw their noise at: no training step reaches it.
pub(crate) const PREDICTION_STEP: u64 = u64::MAX;

/// A network compiled for prediction, with the parameters it had: means over posterior samples, with their uncertainty.
///
/// Many threads may predict at once. Compiled is one block of samples and rows, and when it is first needed a block of
/// a single row; so neither the number of samples nor the number of rows compiles anything again, and memory does not
/// grow with the number of samples. What depends on parameters alone, such as variances, is computed once, when a
/// predictor gets its parameters. Each row's prediction is a pure function of parameters, seed, input and the row's
/// number: rows may be split over calls and machines. [`Predictor::classify`] and [`Predictor::regress`] count rows
/// from 0; [`Predictor::classify_rows`] and [`Predictor::regress_rows`] are told their numbers, for a service that
/// batches requests.
///
/// # Numbers that are too large
/// Inputs are finite, but what is computed of them need not be. Where that may be, by the parameters and the size of a
/// row's inputs, a row is computed with more care: so that standard deviations of a layer's output do not overflow
/// before it does, and so that no activation hides what was not finite. A row that has no finite prediction is
/// [`Error::NonFinitePrediction`] or, with [`PredictorOptions::allow_non_finite`], `NaN` throughout. Bits do not depend
/// on such care, nor on what a row is computed with.
///
/// ```
/// use bayeslift::prelude::*;
///
/// let layer = AffineVariationalReparameterizationLocal::new(2, 3);
/// let network = Network::new(layer, [2], likelihood::Categorical, 0)?;
/// let predictor = Predictor::new(&network)?;
/// let prediction = predictor.classify(&[0.1, 0.2, -1.0, 0.0])?;
/// assert_eq!(prediction.rows(), 2);
/// assert!(prediction.predictive_entropy()[0] <= 3_f32.ln());
/// # Ok::<(), bayeslift::Error>(())
/// ```
///
/// From a file, and rows of a larger batch one by one, with the same bits:
///
/// ```
/// use bayeslift::prelude::*;
///
/// let layer = AffineVariationalReparameterizationLocal::new(2, 1);
/// let mut network = Network::new(layer, [2], likelihood::Normal::fixed(0.5), 0)?;
/// # let path = std::env::temp_dir().join(format!("bayeslift-predictor-{}.safetensors", std::process::id()));
/// network.save(&path)?;
/// let mut predictor = Predictor::open(&path)?;
/// assert_eq!((predictor.input(), predictor.samples()), (&[2].into(), 64));
///
/// let batch = [0.1, 0.2, -1.0, 0.0, 3.0, 3.0];
/// let whole = predictor.regress(&batch)?;
/// assert_eq!(predictor.regress_from(2, &batch[4..])?.mean(), &whole.mean()[2..]);
/// assert_eq!(predictor.regress_rows(&[2, 0], &[3.0, 3.0, 0.1, 0.2])?.mean(), [whole.mean()[2], whole.mean()[0]]);
///
/// let options = PredictorOptions::default().samples(10);
/// assert_eq!(Predictor::open_with_options(&path, &options)?.samples(), 10);
/// assert_eq!(Predictor::from_bytes_with_options(&network.to_bytes()?, &options)?.samples(), 10);
/// network.parameters_mut().assign("bias/loc", bayeslift::ir::Tensor::f32([1], [9.0]).unwrap())?;
/// predictor.set_parameters(&network)?; // compiles nothing
/// assert!(predictor.regress(&batch)?.mean()[0] > whole.mean()[0] + 8.0);
/// # std::fs::remove_file(path).unwrap();
/// # Ok::<(), bayeslift::Error>(())
/// ```
#[derive(Debug)]
pub struct Predictor {
    model: Model,
    options: PredictorOptions,
    /// What is compiled from the beginning: moments, or, of a law that tells none, outputs.
    first: Question,
    /// For each question its blocks, in the order of [`Question::ALL`].
    blocks: [Blocks; Question::ALL.len()],
}

impl Predictor {
    /// A predictor with the default options: 64 samples.
    ///
    /// # Errors
    /// A machine that refuses executable memory.
    pub fn new(network: &Network) -> Result<Predictor, Error> {
        Predictor::with_options(network, &PredictorOptions::default())
    }

    /// A predictor with these options.
    ///
    /// # Errors
    /// Options out of range; layers that refuse the posterior value; a machine that refuses executable memory.
    pub fn with_options(network: &Network, options: &PredictorOptions) -> Result<Predictor, Error> {
        let _environment = Environment::enter();
        network.validate()?;
        Predictor::of_model(Model::of_network(network, options), options)
    }

    /// A predictor of what [`Network::save`] wrote, without the layers' code: the graphs are part of the file. With the
    /// default options.
    ///
    /// # Errors
    /// [`Error::File`]; [`Error::Format`] for a file that is damaged, or from before graphs of predictions were part of
    /// it, or of a network whose graph depends on the number of rows by more than its size; a machine that refuses
    /// executable memory.
    pub fn open(path: impl AsRef<Path>) -> Result<Predictor, Error> {
        Predictor::open_with_options(path, &PredictorOptions::default())
    }

    /// As [`Predictor::open`], with these options.
    ///
    /// # Errors
    /// As for [`Predictor::open`]; options out of range; another value of the posteriors than the layers' own.
    pub fn open_with_options(path: impl AsRef<Path>, options: &PredictorOptions) -> Result<Predictor, Error> {
        let _environment = Environment::enter();
        let path = path.as_ref();
        Predictor::of_model(stored::model(ModelFile::read(path)?, path, options)?, options)
    }

    /// As [`Predictor::open`], of the bytes that [`Network::to_bytes`] gave or a file has, such as one that is part of
    /// the program.
    ///
    /// ```
    /// use bayeslift::prelude::*;
    ///
    /// let layer = AffineVariationalReparameterizationLocal::new(2, 3).activation(Activation::custom(|x| x + 1.0));
    /// let network = Network::new(layer, [2], likelihood::Categorical, 0)?;
    /// let bytes = network.to_bytes()?;
    ///
    /// let predictor = Predictor::from_bytes(&bytes)?;
    /// let prediction = predictor.classify(&[0.1, 0.2])?;
    /// assert_eq!(prediction, Predictor::new(&network)?.classify(&[0.1, 0.2])?);
    /// # Ok::<(), bayeslift::Error>(())
    /// ```
    ///
    /// # Errors
    /// As for [`Predictor::open`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Predictor, Error> {
        Predictor::from_bytes_with_options(bytes, &PredictorOptions::default())
    }

    /// As [`Predictor::from_bytes`], with these options.
    ///
    /// # Errors
    /// As for [`Predictor::open_with_options`].
    pub fn from_bytes_with_options(bytes: &[u8], options: &PredictorOptions) -> Result<Predictor, Error> {
        let _environment = Environment::enter();
        let path = Path::new(model_file::BYTES);
        Predictor::of_model(stored::model(ModelFile::from_bytes(bytes)?, path, options)?, options)
    }

    /// Moments by their names, as words.
    #[cfg(feature = "deploy")]
    pub(crate) fn moments(&self, inputs: &FloatCow<'_>, names: &[&str]) -> Result<Vec<Vec<u32>>, Error> {
        let mut answers = self.moments_from(0, inputs)?;
        Ok(names.iter().map(|name| answers.take_floats(name).map(|x| x.words()).unwrap_or_default()).collect())
    }

    /// The moments of rows, by their names.
    pub(crate) fn moments_from(&self, first_row: u64, inputs: &FloatCow<'_>) -> Result<Answers, Error> {
        self.answer(Question::Moments, &self.rows_of(Numbers::From(first_row), inputs)?)
    }

    /// The moments that it tells, with how many numbers each has for a row.
    pub(crate) fn told(&self) -> Result<Vec<(&'static str, usize)>, Error> {
        if self.first != Question::Moments {
            return Ok(Vec::new());
        }
        let pool = self.blocks(self.first).any(&self.model, &self.options, self.options.row_block)?;
        Ok(pool.results().map(|(name, ty)| (name, ty.shape.elements() / ty.shape[0])).collect())
    }

    pub(crate) fn tells_no_classes(&self) -> Error {
        let problem = format!("the network predicts numbers, not classes: its likelihood is {}", self.model.likelihood);
        Error::misuse(problem, "use `regress`")
    }

    pub(crate) fn tells_no_numbers(&self) -> Error {
        let problem = format!("the network predicts classes, not numbers: its likelihood is {}", self.model.likelihood);
        Error::misuse(problem, "use `classify`")
    }

    pub(crate) fn of_model(model: Model, options: &PredictorOptions) -> Result<Predictor, Error> {
        let mut options = options.clone();
        let counts = [
            ("number of samples", options.samples),
            ("block of samples", options.sample_block),
            ("block of rows", options.row_block),
        ];
        if let Some((argument, count)) = counts.iter().find(|(_, count)| *count == 0) {
            return Err(Error::argument(format!("the {argument}"), "at least 1", count));
        }
        if u32::try_from(options.samples).is_err() {
            return Err(Error::argument("the number of samples", "a number below 2^32", options.samples));
        }
        options.sample_block = options.sample_block.min(options.samples);
        let first = if Question::has_moments(&model)? { Question::Moments } else { Question::Output };
        let predictor = Predictor { model, options, first, blocks: Question::ALL.map(Blocks::new) };
        predictor.blocks(first).pool(&predictor.model, &predictor.options, predictor.options.row_block)?;
        Ok(predictor)
    }

    fn blocks(&self, question: Question) -> &Blocks {
        &self.blocks[question as usize]
    }

    /// The number of posterior samples.
    pub fn samples(&self) -> usize {
        self.options.samples
    }

    /// The shape of one input.
    pub fn input(&self) -> &Shape {
        &self.model.input
    }

    /// The type of the network's floats: of one of `f64`, [`Predictor::double`] has all digits.
    pub fn dtype(&self) -> DType {
        self.model.dtype
    }

    /// Takes over the parameters of a network of the same layers, without compiling.
    ///
    /// # Errors
    /// Other parameters than the predictor was compiled for; it is unchanged then.
    pub fn set_parameters(&mut self, network: &Network) -> Result<(), Error> {
        let _environment = Environment::enter();
        self.model.set_parameters(network)?;
        self.blocks.iter_mut().try_for_each(|blocks| blocks.set_parameters(&self.model))
    }

    /// Predicts classes for any number of rows of inputs, `[rows, input..]`: probabilities and their uncertainty, as
    /// [`Classification`] defines them. With a likelihood on the simplex a sample's probabilities are those of its
    /// centre.
    ///
    /// # Errors
    /// A network that predicts numbers; inputs that are no whole rows or not finite; a prediction that is not finite.
    pub fn classify(&self, inputs: &[f32]) -> Result<Classification, Error> {
        self.classify_from(0, inputs)
    }

    /// As [`Predictor::classify`], for the rows from number `first_row` on of a larger batch: with the same bits as in
    /// that batch.
    ///
    /// # Errors
    /// As for [`Predictor::classify`]; rows are counted from the first of the call.
    pub fn classify_from(&self, first_row: u64, inputs: &[f32]) -> Result<Classification, Error> {
        self.classify_numbered(Numbers::From(first_row), inputs)
    }

    /// As [`Predictor::classify`], for rows of these numbers, in any order: each with the bits that
    /// [`Predictor::classify_from`] gives it alone. Rows may share a number, and then they share their noise.
    ///
    /// A service that collects requests gives each request a number, and its answer does not depend on the requests
    /// that it is computed with. Rows whose numbers are close are computed together. Rows of scattered numbers are
    /// computed one by one: 32 of them take 1.1 to 1.6 times as long, for networks of 11 to 784 inputs and 8 to 64
    /// samples, so number requests as they come.
    ///
    /// ```
    /// # use bayeslift::prelude::*;
    /// # let layer = AffineVariationalReparameterizationLocal::new(2, 3);
    /// # let network = Network::new(layer, [2], likelihood::Categorical, 0)?;
    /// let predictor = Predictor::new(&network)?;
    /// let (first, second) = ([0.1, 0.2], [-1.0, 0.5]);
    /// let together = predictor.classify_rows(&[71, 70], &[second, first].concat())?;
    /// assert_eq!(together.row(0), predictor.classify_rows(&[71], &second)?.row(0));
    /// assert_eq!(together.row(1), predictor.classify_from(70, &first)?.row(0));
    /// # Ok::<(), bayeslift::Error>(())
    /// ```
    ///
    /// # Errors
    /// As for [`Predictor::classify`]; not one number for each row.
    pub fn classify_rows(&self, numbers: &[u64], inputs: &[f32]) -> Result<Classification, Error> {
        self.classify_numbered(Numbers::Each(numbers), inputs)
    }

    fn classify_numbered<T: Float>(&self, numbers: Numbers<'_>, inputs: &[T]) -> Result<Classification<T>, Error> {
        let _environment = Environment::enter();
        let mut answers = self.answer(Question::Moments, &self.rows(numbers, inputs)?)?;
        Classification::of(&mut answers).ok_or_else(|| self.tells_no_classes())
    }

    /// Predicts numbers for any number of rows of inputs, `[rows, input..]`: means and standard deviations in the unit
    /// of the targets, as [`Regression`] defines them, with an example.
    ///
    /// # Errors
    /// A network that predicts classes; inputs that are no whole rows or not finite; a prediction that is not
    /// finite.
    pub fn regress(&self, inputs: &[f32]) -> Result<Regression, Error> {
        self.regress_from(0, inputs)
    }

    /// As [`Predictor::regress`], for the rows from number `first_row` on of a larger batch: with the same bits as in
    /// that batch.
    ///
    /// # Errors
    /// As for [`Predictor::regress`]; rows are counted from the first of the call.
    pub fn regress_from(&self, first_row: u64, inputs: &[f32]) -> Result<Regression, Error> {
        self.regress_numbered(Numbers::From(first_row), inputs)
    }

    /// As [`Predictor::regress`], for rows of these numbers, in any order: see [`Predictor::classify_rows`].
    ///
    /// # Errors
    /// As for [`Predictor::regress`]; not one number for each row.
    pub fn regress_rows(&self, numbers: &[u64], inputs: &[f32]) -> Result<Regression, Error> {
        self.regress_numbered(Numbers::Each(numbers), inputs)
    }

    fn regress_numbered<T: Float>(&self, numbers: Numbers<'_>, inputs: &[T]) -> Result<Regression<T>, Error> {
        let _environment = Environment::enter();
        let mut answers = self.answer(Question::Moments, &self.rows(numbers, inputs)?)?;
        Regression::of(&mut answers).ok_or_else(|| self.tells_no_numbers())
    }

    /// As [`Predictor::classify`], of the inputs of a data set of either type.
    pub(crate) fn classify_data(&self, data: &Dataset) -> Result<Classification, Error> {
        let inputs = data.floats();
        let mut answers = self.answer(Question::Moments, &self.rows_of(Numbers::From(0), &inputs)?)?;
        Classification::of(&mut answers).ok_or_else(|| self.tells_no_classes())
    }

    /// As [`Predictor::regress`], of the inputs of a data set of either type.
    pub(crate) fn regress_data(&self, data: &Dataset) -> Result<Regression<f64>, Error> {
        let inputs = data.floats();
        let mut answers = self.answer(Question::Moments, &self.rows_of(Numbers::From(0), &inputs)?)?;
        Regression::of(&mut answers).ok_or_else(|| self.tells_no_numbers())
    }

    /// Predicts classes or numbers, whichever the network does, as [`Predictor::classify_from`] or
    /// [`Predictor::regress_from`]: for programs that are given any model.
    ///
    /// ```
    /// # use bayeslift::prelude::*;
    /// # use bayeslift::Answer;
    /// # let layer = AffineVariationalReparameterizationLocal::new(2, 3);
    /// # let network = Network::new(layer, [2], likelihood::Categorical, 0)?;
    /// match Predictor::new(&network)?.answer_from(0, &[0.1, 0.2])? {
    ///     Answer::Classes(answer) => println!("{:?} of {} classes", answer.labels(), answer.classes()),
    ///     Answer::Numbers(answer) => println!("{:?} ± {:?}", answer.mean(), answer.total()),
    /// }
    /// # Ok::<(), bayeslift::Error>(())
    /// ```
    ///
    /// # Errors
    /// Inputs that are no whole rows or not finite; a prediction that is not finite, whose row is counted from the
    /// first of the call; a likelihood that tells neither probabilities nor a mean.
    pub fn answer_from(&self, first_row: u64, inputs: &[f32]) -> Result<Answer, Error> {
        self.answer_of(first_row, inputs)
    }

    fn answer_of<T: Float>(&self, first_row: u64, inputs: &[T]) -> Result<Answer<T>, Error> {
        let _environment = Environment::enter();
        let mut answers = self.moments_from(first_row, &T::floats(inputs))?;
        let answer = Classification::of(&mut answers).map(Answer::Classes);
        answer.or_else(|| Regression::of(&mut answers).map(Answer::Numbers)).ok_or_else(|| {
            Error::misuse("the likelihood's law tells neither probabilities nor a mean", "use `predict`")
        })
    }

    /// The rows of a call, after the checks of inputs and numbers.
    fn rows<'a, T: Float>(&self, numbers: Numbers<'a>, inputs: &'a [T]) -> Result<Rows<'a>, Error> {
        let inputs = T::floats(inputs);
        self.checked_rows(numbers, inputs.of_network("inputs", self.model.dtype)?)
    }

    fn rows_of<'a>(&self, numbers: Numbers<'a>, inputs: &'a FloatCow<'_>) -> Result<Rows<'a>, Error> {
        self.checked_rows(numbers, inputs.borrowed().of_network("inputs", self.model.dtype)?)
    }

    fn checked_rows<'a>(&self, numbers: Numbers<'a>, inputs: FloatCow<'a>) -> Result<Rows<'a>, Error> {
        let rows = dataset::rows(&self.model.input, inputs.len())?;
        if let Numbers::Each(numbers) = numbers
            && numbers.len() != rows
        {
            return Err(Error::argument(
                "the number of row numbers",
                format!("{rows}, one for each row"),
                numbers.len(),
            ));
        }
        let sizes = dataset::sizes(inputs.len() / rows, &inputs);
        if self.options.check_inputs && sizes.iter().any(|size| !size.is_finite()) {
            check_finite("inputs", inputs.len() / rows, &inputs)?;
        }
        Ok(Rows { numbers, inputs, besides: Besides::Nothing, sizes })
    }
}

#[cfg(test)]
mod tests;
