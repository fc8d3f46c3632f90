//! What is asked of each row, and the graphs that answer it: one that adds a block of samples to accumulators in `f64`,
//! and one that makes results of them.
//!
//! Samples are added one after the other, in their order, so that the split into blocks does not matter.

use super::{
    certainty::{self, LIMITS, LOOK},
    law::Quantity,
    model::{BlockBuilder, Model, Start},
};
use crate::Error;
use bayeslift_ir::{Builder, DType, Expr, Graph, Type};
use bayeslift_passes::INSIDE;

/// What is asked of each row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    /// Means over samples, and the parts of the uncertainty.
    Moments,
    /// The log density of the targets under the mixture over samples.
    LogProb,
    /// The network's output for each sample: what the law is made of.
    Output,
    /// A target for each sample.
    Draw,
    /// Of the network's output: the probability of numbers up to `at` under the mixture over samples.
    Cdf,
    /// Moments, of classes, and whether samples make it certain what to decide by them.
    Decision,
}

/// The graphs that answer a question for a block of samples and rows. Results are `[rows, ..]`: moments in the
/// network's floats, what is compared with more digits in `f64`.
#[derive(Debug)]
pub struct Graphs {
    /// Inputs: parameters, noise address, `x` (or `output`), what the question needs besides; then, if samples come in
    /// several blocks, [`DONE`], of open ones [`END`], and the accumulators, which it updates. If they come in one, it
    /// has the results itself; of what is not added up, samples. Of a network of `f64` it is [marked](INSIDE).
    pub update: Graph,
    /// Inputs: the accumulators, [`SAMPLES`], of a decision [`LOOK`] and [`LIMITS`]. Outputs: the results.
    pub finish: Option<Graph>,
    pub accumulators: Vec<Accumulator>,
}

/// The input that holds the number of samples which are added already: they may be part of a block again.
pub const DONE: &str = "samples/done";
/// The input that holds the number of samples before which those of a block have to be: others are not added.
pub const END: &str = "samples/end";
/// The input that holds the number of all samples.
pub const SAMPLES: &str = "samples/all";

/// How many samples are looked at first. Each look after that is at twice as many as the one before, and the last one
/// at the most.
pub const FIRST_LOOK: usize = 16;

/// What results are called.
pub const RESULTS: [&str; 11] = [
    "probabilities",
    "predictive_entropy",
    "expected_entropy",
    "mutual_information",
    "mean",
    "epistemic",
    "aleatoric",
    "total",
    "log_prob",
    "cdf",
    CERTAIN,
];

/// The result that is 1 for each label which is certain, else 0: see [`certainty::certain`].
pub const CERTAIN: &str = "certain";

/// The blocks that samples come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turns {
    /// All at once.
    One,
    /// Several, of which the last one may have samples again that were added already. Samples are numbered as their
    /// noise is.
    Overlapping,
    /// Several, whose samples are numbered from [`DONE`] on, whatever their noise; the last one may have samples beyond
    /// [`END`].
    Open,
}

/// Something that is added up.
#[derive(Clone, Debug)]
pub struct Accumulator {
    name: &'static str,
    pub ty: Type,
    /// The value of all elements before the first sample.
    pub initial: f64,
}

/// What the input is called that holds an accumulator: no parameter is.
fn input(name: &str) -> String {
    format!("accumulator/{name}")
}

impl Question {
    /// All of them, each at its own number.
    pub const ALL: [Question; 6] =
        [Question::Moments, Question::LogProb, Question::Output, Question::Draw, Question::Cdf, Question::Decision];

    /// Its graphs for blocks of `samples` samples; `draws` is whether they differ.
    ///
    /// # Errors
    /// A law that does not tell what is asked.
    pub fn graphs(
        self,
        model: &Model,
        (samples, turns): (usize, Turns),
        rows: usize,
        draws: bool,
    ) -> Result<Graphs, Error> {
        let b = &Builder::of(model.dtype);
        let block = self.block(model, b, [samples, rows])?;
        if model.dtype == DType::F64 && self != Question::Cdf {
            b.output(INSIDE, block.output());
        }
        let each = match self {
            Question::Output => Some(block.output()),
            Question::Draw => Some(self.needed(&block, Quantity::Draw)?),
            Question::Moments | Question::LogProb | Question::Cdf | Question::Decision => None,
        };
        if let Some(each) = each {
            b.output("each", each);
            let update = b.finish()?;
            return Ok(Graphs { update, finish: None, accumulators: Vec::new() });
        }
        if matches!(self, Question::Moments | Question::Decision) && !draws {
            b.scoped("statistics", || self.certain(&block))?;
            let update = b.finish()?;
            return Ok(Graphs { update, finish: None, accumulators: Vec::new() });
        }
        let mut sum = Sum::new(&block, turns);
        match self {
            Question::Moments | Question::Decision => {
                let [probabilities, mean] = self.moments(&block)?;
                if let (Some(probabilities), Some(entropy)) = (probabilities, block.quantity(Quantity::Entropy)?) {
                    sum.add("probabilities", probabilities);
                    sum.add("entropy", entropy);
                }
                if let Some(mean) = mean {
                    // Welford's recurrence
                    sum.fold([("mean", 0.0), ("squares", 0.0)], mean, |number, [mean, squares], x| {
                        let before = x - mean;
                        let mean = mean + before / number;
                        [mean, squares + before * (x - mean)]
                    });
                    if let Some(variance) = block.quantity(Quantity::Variance)? {
                        sum.fold([("variance", 0.0)], variance, |number, [mean], x| [mean + (x - mean) / number]);
                    }
                }
                if self == Question::Decision {
                    let probabilities = self.needed(&block, Quantity::Probabilities)?;
                    sum.fold([("probability_squares", 0.0)], probabilities, |_, [sum], x| [sum + x * x]);
                    let entropy = self.needed(&block, Quantity::Entropy)?;
                    sum.fold([("entropy_squares", 0.0)], entropy, |_, [sum], x| [sum + x * x]);
                }
            }
            Question::LogProb => sum.fold(
                [("max", f64::NEG_INFINITY), ("sum", 0.0)],
                self.needed(&block, Quantity::LogProb)?,
                // The sum is that of e^(x - max).
                |_, [max, sum], x| {
                    let is_larger = max.less(x);
                    let larger = sum * (max - x).exp() + 1.0;
                    let other = x.builder().constant_f64(f64::NEG_INFINITY).less(x).select(sum + (x - max).exp(), sum);
                    let sum = is_larger.select(larger, other);
                    [is_larger.select(x, max), x.equal(x).select(sum, f64::NAN)]
                },
            ),
            Question::Cdf => sum.add("cdf", self.needed(&block, Quantity::Cdf)?),
            Question::Output | Question::Draw => unreachable!("nothing is added up"),
        }
        let Sum { sums, accumulators, .. } = sum;
        let finish = if accumulators.is_empty() {
            b.scoped("statistics", || self.results(&sums, b.constant_f64(samples as f64)));
            None
        } else {
            let b = &Builder::of(model.dtype);
            let input = |sum: &Accumulator| (sum.name, b.input(&input(sum.name), sum.ty.clone()));
            let sums: Vec<_> = accumulators.iter().map(input).collect();
            b.scoped("statistics", || self.results(&sums, b.input(SAMPLES, Type::u32([])).to_f64()));
            Some(b.finish()?)
        };
        let update = b.finish()?;
        Ok(Graphs { update, finish, accumulators })
    }

    /// The moments of a network that does not draw: it has one law, so nothing is added up, and there is no doubt but
    /// that law's.
    fn certain<'b>(self, block: &BlockBuilder<'b>) -> Result<(), Error> {
        let b = block.b;
        let of_sample = |x: Expr<'b>| x.slice(0, 0..1).reshape(x.shape().without(0));
        let [probabilities, mean] = self.moments(block)?;
        if let (Some(probabilities), Some(entropy)) = (probabilities, block.quantity(Quantity::Entropy)?) {
            let entropy = not_negative(of_sample(entropy).to_float());
            b.output("probabilities", of_sample(probabilities).to_float());
            b.output("predictive_entropy", entropy);
            b.output("expected_entropy", entropy);
            b.output("mutual_information", entropy * 0.0);
            if self == Question::Decision {
                b.output(CERTAIN, entropy * 0.0 + 1.0);
            }
        }
        if let Some(mean) = mean.map(of_sample) {
            b.output("mean", mean.to_float());
            b.output("epistemic", (mean * 0.0).to_float().abs());
            if let Some(variance) = block.quantity(Quantity::Variance)? {
                let aleatoric = of_sample(variance).to_f64().sqrt().to_float().broadcast(&mean.shape());
                b.output("aleatoric", aleatoric);
                b.output("total", aleatoric);
            }
        }
        Ok(())
    }

    /// Makes results of sums over `count` samples.
    fn results<'b>(self, sums: &[(&str, Expr<'b>)], count: Expr<'b>) {
        let b = count.builder();
        let sum = |name: &str| sums.iter().find(|(n, _)| *n == name).map(|(_, x)| *x);
        match self {
            Question::Moments | Question::Decision => {
                if let (Some(probabilities), Some(entropy)) = (sum("probabilities"), sum("entropy")) {
                    let mean = probabilities / count;
                    // 0 log 0 is 0
                    let terms = -mean * mean.max(f64::MIN_POSITIVE).log();
                    let total = terms.sum(terms.shape().len() - 1);
                    let expected = entropy / count;
                    b.output("probabilities", mean.to_float());
                    b.output("predictive_entropy", not_negative(total).to_float());
                    b.output("expected_entropy", not_negative(expected).to_float());
                    b.output("mutual_information", not_negative(total - expected).to_float());
                }
                if let (Some(mean), Some(squares)) = (sum("mean"), sum("squares")) {
                    // without bias: of one sample it is no number
                    let epistemic = squares / (count - 1.0);
                    b.output("mean", mean.to_float());
                    b.output("epistemic", epistemic.sqrt().to_float());
                    if let Some(aleatoric) = sum("variance") {
                        let aleatoric = aleatoric.broadcast(&mean.shape());
                        b.output("aleatoric", aleatoric.sqrt().to_float());
                        b.output("total", (epistemic + aleatoric).sqrt().to_float());
                    }
                }
                let of = |names: [&str; 2]| Some([sum(names[0])?, sum(names[1])?]);
                let [probabilities, entropies] =
                    [["probabilities", "probability_squares"], ["entropy", "entropy_squares"]].map(of);
                if let (Some(probabilities), Some(entropies)) = (probabilities, entropies) {
                    let look = b.input(LOOK, Type::u32([])).to_f64();
                    let limits = b.input(LIMITS, Type::f64([certainty::COUNT]));
                    let certain = certainty::certain(probabilities, entropies, count, look, limits);
                    b.output(CERTAIN, certain.to_float());
                }
            }
            Question::LogProb => {
                if let (Some(max), Some(sum)) = (sum("max"), sum("sum")) {
                    let log = max + (sum / count).log();
                    b.output("log_prob", sum.equal(0.0).select(f64::NEG_INFINITY, log));
                }
            }
            Question::Cdf => sum("cdf").into_iter().for_each(|sum| b.output("cdf", sum / count)),
            Question::Output | Question::Draw => {}
        }
    }

    /// Whether the law tells what it takes to predict moments.
    ///
    /// # Errors
    /// Those of the layers and of the law.
    pub fn has_moments(model: &Model) -> Result<bool, Error> {
        let b = &Builder::of(model.dtype);
        let block = Question::Moments.block(model, b, [1, 1])?;
        let told = |quantity| Ok::<bool, Error>(block.quantity(quantity)?.is_some());
        Ok(told(Quantity::Probabilities)? || told(Quantity::Mean)?)
    }

    fn block<'b>(self, model: &'b Model, b: &'b Builder, sizes: [usize; 2]) -> Result<BlockBuilder<'b>, Error> {
        match self {
            Question::Moments | Question::Output | Question::Draw | Question::Decision => {
                model.block(b, Start::Inputs, &[], sizes)
            }
            Question::LogProb => model.block(b, Start::Inputs, &["targets", "present"], sizes),
            Question::Cdf => model.block(b, Start::Output, &["at"], sizes),
        }
    }

    /// Probabilities and mean, of which the law tells one at least.
    fn moments<'b>(self, block: &BlockBuilder<'b>) -> Result<[Option<Expr<'b>>; 2], Error> {
        let moments = [block.quantity(Quantity::Probabilities)?, block.quantity(Quantity::Mean)?];
        if moments.iter().all(Option::is_none) {
            return Err(Error::misuse("the likelihood's law tells neither probabilities nor a mean", IMPLEMENT));
        }
        Ok(moments)
    }

    /// A quantity without which there is no answer.
    fn needed<'b>(self, block: &BlockBuilder<'b>, quantity: Quantity) -> Result<Expr<'b>, Error> {
        let missing = || Error::misuse(format!("the likelihood's law tells no {}", quantity.name()), IMPLEMENT);
        block.quantity(quantity)?.ok_or_else(missing)
    }
}

/// What helps where a law does not tell what is asked.
const IMPLEMENT: &str = "implement it in the law";

/// Sums over samples, in their order.
struct Sum<'a, 'b> {
    block: &'a BlockBuilder<'b>,
    /// Where there are several blocks, this one.
    turn: Option<Turn<'b>>,
    sums: Vec<(&'static str, Expr<'b>)>,
    accumulators: Vec<Accumulator>,
}

/// One of several blocks: the number of its first sample, and that of the first one that is not added yet, or of the
/// first that is not to be.
#[derive(Clone, Copy)]
enum Turn<'b> {
    Overlapping { first: Expr<'b>, done: Expr<'b> },
    Open { first: Expr<'b>, end: Expr<'b> },
}

impl<'b> Turn<'b> {
    /// The number of a sample of the block, and whether to add it.
    fn sample(self, sample: usize) -> (Expr<'b>, Expr<'b>) {
        let (Turn::Overlapping { first, .. } | Turn::Open { first, .. }) = self;
        let number = first + sample as f64;
        let is_new = match self {
            Turn::Overlapping { done, .. } => done.less_equal(number),
            Turn::Open { end, .. } => number.less(end),
        };
        (number, is_new)
    }
}

impl<'a, 'b> Sum<'a, 'b> {
    fn new(block: &'a BlockBuilder<'b>, turns: Turns) -> Self {
        let number = |name| block.b.input(name, Type::u32([])).to_f64();
        let turn = match turns {
            Turns::One => None,
            Turns::Overlapping => Some(Turn::Overlapping { done: number(DONE), first: block.first_sample.to_f64() }),
            Turns::Open => Some(Turn::Open { first: number(DONE), end: number(END) }),
        };
        Sum { block, turn, sums: Vec::new(), accumulators: Vec::new() }
    }

    /// Adds up a quantity `[samples, rows, ..]`.
    fn add(&mut self, name: &'static str, quantity: Expr<'b>) {
        if self.turn.is_some() || quantity.shape()[0] < self.block.sizes[0] {
            self.fold([(name, 0.0)], quantity, |_, [sum], x| [sum + x]);
        } else {
            // the same order; of one sample, the sum that begins with 0
            let sum = self.block.b.scoped("samples", || {
                let (samples, of_rows) = (quantity.to_f64(), quantity.shape().without(0));
                if quantity.shape()[0] == 1 { samples.reshape(of_rows) + 0.0 } else { samples.sum(0) }
            });
            self.sums.push((name, sum));
        }
    }

    /// Goes through a quantity `[samples, rows, ..]`: `next` of the sample's number, counted from 1, of what there is,
    /// and of the sample's value.
    fn fold<const N: usize>(
        &mut self,
        named: [(&'static str, f64); N],
        quantity: Expr<'b>,
        next: impl Fn(Expr<'b>, [Expr<'b>; N], Expr<'b>) -> [Expr<'b>; N],
    ) {
        let b = self.block.b;
        let shape = quantity.shape();
        let extent = shape[0];
        let shape = shape.without(0);
        let ty = Type::f64(shape.clone());
        let before = named.map(|(name, initial)| match self.turn {
            Some(_) => b.input(&input(name), ty.clone()),
            None => b.constant_f64(initial).broadcast(&shape),
        });
        let step = |state: [Expr<'b>; N], sample: usize| {
            // what does not depend on samples has one
            let at = sample.min(extent - 1);
            let x = quantity.slice(0, at..at + 1).reshape(shape.clone()).to_f64();
            match self.turn {
                None => next(b.constant_f64((sample + 1) as f64), state, x),
                Some(turn) => {
                    let (number, is_new) = turn.sample(sample);
                    let after = next(number + 1.0, state, x);
                    std::array::from_fn(|i| is_new.select(after[i], state[i]))
                }
            }
        };
        let state = b.scoped("samples", || (0..self.block.sizes[0]).fold(before, step));
        for (((name, initial), old), new) in named.into_iter().zip(before).zip(state) {
            self.sums.push((name, new));
            if self.turn.is_some() {
                b.output_updating(name, new, old);
                self.accumulators.push(Accumulator { name, ty: ty.clone(), initial });
            }
        }
    }
}

/// What is not negative but for rounding, without the sign that 0 may have. What is not a number stays so: nobody is to
/// take it for certain.
fn not_negative(x: Expr<'_>) -> Expr<'_> {
    (x + x.abs()) * 0.5
}
