//! `bayeslift predict`: the answers of a model to the rows of a file.

use crate::{
    abstain::Abstain,
    answer::{self, Answer},
    error::Error,
    input::{Header, Rows},
    progress::Progress,
    sink::Sink,
};
use bayeslift::{
    EnsemblePredictor, Error as LibraryError, Float, Predictor, PredictorOptions,
    ir::{DType, Shape},
    runtime::Options,
};
use std::path::{Path, PathBuf};

/// Predicts the rows of a file, with their uncertainty
///
/// FILE is CSV or an array that `numpy.save` wrote; `-` is standard input.
///
/// CSV has one input a line, as numbers separated by commas. A first line of which no field is a number and none is
/// empty is a header and is skipped, unless `--header` says otherwise. An array has one input a row, of `f32` or `f64`
/// in any order of bytes and axes. All numbers must be finite and prepared as those that the model was trained on: if
/// these were standardized, so must they be.
///
/// The answer is CSV with a header and a line for each row. Of classes: the most probable one, the probability of each,
/// and, in nats, the entropy of the prediction, the mean entropy of the samples (what lies in the data) and their
/// difference, the mutual information (what the network does not know). Of numbers: the mean, and the standard
/// deviations of the noise in the data (aleatoric), of the mean over the posterior (epistemic), and of both (total);
/// one of each for each unit. Every number reads back to the bits that the library gives, of `f64` if the model is of
/// it: then all digits of inputs are read too.
///
/// With `--abstain-above` there is a column more that says where to abstain, as 1 or 0: after the class, or before the
/// mean.
///
/// Of an ensemble the members answer together, and what is not known is split: the mutual information, or the epistemic
/// deviation, within members and that between them, by which they contradict each other.
///
/// The answer to a row depends on the model, the row, its number, the seed and the number of samples, and on nothing
/// else: a file may be split, if each part is told by `--first-row` where it begins.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// The model: what `Network::save` wrote, or the folder that `Ensemble::save` did
    model: PathBuf,
    /// Inputs: CSV, or a NumPy array; `-` for standard input
    file: PathBuf,
    /// Write the answer here instead of to standard output; the file is there as a whole or not at all
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// How many samples of the posterior a prediction is the mean of
    #[arg(long, value_name = "S", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..))]
    samples: u32,
    /// What random numbers are drawn by; default: the seed of the model
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    seed: Option<u64>,
    /// The number of the first row, where the file is a part of a larger one
    #[arg(long, value_name = "N", default_value_t = 0, allow_negative_numbers = true)]
    first_row: u64,
    /// Whether the first line of CSV is a header
    #[arg(long, value_name = "WHEN", value_enum, default_value_t = Header::Auto)]
    header: Header,
    /// Answer a row whose prediction is not finite by `NaN` and no label instead of an error
    #[arg(long)]
    allow_non_finite: bool,
    #[command(flatten)]
    abstain: Abstain,
    /// Threads to compute on; default: as many as there are cores. No bit depends on it
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    threads: Option<u16>,
}

const EXAMPLES: &str = "\
Examples:
  bayeslift predict wine.safetensors wines.csv | head
  bayeslift predict digits.safetensors images.npy --output answers.csv --samples 256
  cut -d, -f1-11 wines.csv | bayeslift predict wine.safetensors -";

/// How many rows are read before they are predicted. No bit depends on it.
const BLOCK: usize = 256;

pub fn run(arguments: &Arguments) -> Result<(), Error> {
    let machine = Options::default();
    let machine = arguments.threads.map_or(machine.clone(), |threads| machine.threads(threads.into()));
    let mut options = PredictorOptions::default()
        .samples(arguments.samples as usize)
        .allow_non_finite(arguments.allow_non_finite)
        .backend(machine);
    options.seed = arguments.seed;
    let predictor = Opened::new(&arguments.model, &options)?;
    match predictor.dtype() {
        DType::F64 => answer_all::<f64>(&predictor, arguments),
        _ => answer_all::<f32>(&predictor, arguments),
    }
}

/// The answers to all rows, in the model's own type.
fn answer_all<T: Told>(predictor: &Opened, arguments: &Arguments) -> Result<(), Error> {
    let mut rows = Rows::open(&arguments.file, predictor.input(), arguments.header)?;

    let output = arguments.output.as_deref().filter(|path| *path != Path::new("-"));
    let mut progress = Progress::new(output.is_none());
    let mut inputs: Vec<T> = Vec::new();
    rows.read(BLOCK, &mut inputs)?;
    // not before it is clear that there is something to write
    let mut output = Sink::create(output)?;
    let mut is_first = true;
    while !inputs.is_empty() {
        let mut answer = predict(predictor, arguments.first_row, &rows, &inputs)?;
        arguments.abstain.abstention()?.iter().try_for_each(|abstention| answer.abstain(abstention))?;
        if is_first {
            output.write(&answer::header(&answer))?;
            is_first = false;
        }
        output.write(&answer::lines(&answer))?;
        progress.update(rows.done(), rows.position(), rows.bytes());
        rows.read(BLOCK, &mut inputs)?;
    }
    output.finish()
}

/// A model, ready to answer.
enum Opened {
    Network(Box<Predictor>),
    Ensemble(EnsemblePredictor),
}

impl Opened {
    fn new(path: &Path, options: &PredictorOptions) -> Result<Opened, LibraryError> {
        match path.is_dir() {
            true => EnsemblePredictor::open(path, options).map(Opened::Ensemble),
            false => Predictor::open_with_options(path, options).map(Box::new).map(Opened::Network),
        }
    }

    fn input(&self) -> &Shape {
        match self {
            Opened::Network(predictor) => predictor.input(),
            Opened::Ensemble(predictor) => predictor.input(),
        }
    }

    fn dtype(&self) -> DType {
        match self {
            Opened::Network(predictor) => predictor.dtype(),
            Opened::Ensemble(predictor) => predictor.dtype(),
        }
    }
}

/// The types that models are of.
trait Told: Float {
    fn answer(predictor: &Opened, first: u64, inputs: &[Self]) -> Result<Answer<Self>, LibraryError>;
}

impl Told for f32 {
    fn answer(predictor: &Opened, first: u64, inputs: &[f32]) -> Result<Answer<f32>, LibraryError> {
        match predictor {
            Opened::Network(predictor) => predictor.answer_from(first, inputs).map(Answer::from),
            Opened::Ensemble(predictor) => predictor.answer_from(first, inputs).map(Answer::from),
        }
    }
}

impl Told for f64 {
    fn answer(predictor: &Opened, first: u64, inputs: &[f64]) -> Result<Answer<f64>, LibraryError> {
        match predictor {
            Opened::Network(predictor) => predictor.double()?.answer_from(first, inputs).map(Answer::from),
            Opened::Ensemble(predictor) => predictor.double()?.answer_from(first, inputs).map(Answer::from),
        }
    }
}

/// The answers to the rows that were read last.
fn predict<T: Told>(predictor: &Opened, first_row: u64, rows: &Rows, inputs: &[T]) -> Result<Answer<T>, Error> {
    let first = first_row.wrapping_add(rows.first());
    T::answer(predictor, first, inputs).map_err(|error| match error {
        LibraryError::NonFinitePrediction { row, largest } => {
            // with the digits of its type
            let nearest = largest as f32;
            let largest = if f64::from(nearest) == largest { nearest.to_string() } else { format!("{largest:?}") };
            Error::NonFinitePrediction { place: rows.place(row), largest }
        }
        error => error.into(),
    })
}
