//! The workloads that Bayeslift is compared on, with the mathematics, options and figures of their twins in JAX,
//! TensorFlow Probability and PyTorch.
//!
//! ```text
//! cargo bench -q --bench workloads -- WORKLOAD [key=value ...]
//!   train_mlp   batch=128 width=400 inp=784 out=10 steps=100 kl=mc|exact     one training step
//!   mc_predict  batch=32 samples=64 width=400 inp=784 out=10 steps=100       probabilities and uncertainty of a batch
//!   doc_bnn     batch=32 filters=32 steps=100                              one step of a convolution and a local layer
//!   embedding   rows=1000000 width=16 batch=256 steps=100 optimizer=lazy|sgd|adam kl=none|reads
//!                                                                        one step of a table of rows
//!   noise       n=4194304 steps=20                                           standard normals
//! all: threads=N isa=1|4|8|16 target=zen4|.. rewriting=off|exact|all
//! train_mlp, mc_predict: lanes=N   the limit counts whole vectors of N outputs of a layer, by default 1
//! train_mlp, doc_bnn: micro=N   computes N rows at once, by default all
//! all but noise: explain=text|dot|svg|json   what was fused into each kernel, and its time, instead of the figures
//! training:      explain=threads             what 1 to 64 threads would take by the model of costs, for `target`
//! ```
//!
//! Prints one JSON object. `first_call_s` begins before the graph is built and ends with the first result. The rest is
//! to judge the times by; `limit` defines it.

#[path = "../common/mod.rs"]
mod common;
mod limit;
mod numpy;

use bayeslift::Explanation;
use bayeslift::ir::{NoiseDistribution, Tensor};
use bayeslift::layers::Group;
use bayeslift::prelude::*;
use bayeslift::runtime::{Options, Rewriting, Target};
use common::{NoiseKernel, Result};
use limit::{Machine, Work};
use numpy::RandomState;
use serde_json::{Map, Value, json};
use std::time::{Duration, Instant};

/// What the divergence is divided by, in all systems.
const TRAINING_EXAMPLES: usize = 60_000;

fn main() -> Result<()> {
    // cargo passes `--bench` to every bench
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let run = match arguments.first().map(String::as_str) {
        Some("train_mlp") => train_mlp,
        Some("mc_predict") => mc_predict,
        Some("doc_bnn") => doc_bnn,
        Some("embedding") => embedding,
        Some("noise") => noise_buffer,
        Some(other) => {
            return Err(format!(
                "no workload `{other}`: there are train_mlp, mc_predict, doc_bnn, embedding and noise"
            )
            .into());
        }
        // `cargo bench` alone runs every bench; this one needs to be told what to run
        None => return Ok(()),
    };
    run(&Settings::parse(&arguments)?)
}

/// The workload and its `key=value` arguments.
struct Settings {
    workload: String,
    given: Vec<(String, String)>,
}

impl Settings {
    fn parse(arguments: &[String]) -> Result<Settings> {
        const KEYS: &[&str] = &[
            "batch",
            "width",
            "inp",
            "out",
            "filters",
            "samples",
            "steps",
            "rows",
            "optimizer",
            "n",
            "kl",
            "threads",
            "isa",
            "target",
            "rewriting",
            "lanes",
            "micro",
            "explain",
        ];
        let pair = |argument: &String| -> Result<(String, String)> {
            let (key, value) = argument.split_once('=').ok_or_else(|| format!("`{argument}` is no key=value"))?;
            if !KEYS.contains(&key) {
                return Err(format!("no option `{key}`: there are {}", KEYS.join(", ")).into());
            }
            Ok((key.to_owned(), value.to_owned()))
        };
        let given = arguments[1..].iter().map(pair).collect::<Result<_>>()?;
        Ok(Settings { workload: arguments[0].clone(), given })
    }

    fn text<'a>(&'a self, key: &str, default: &'a str) -> &'a str {
        self.given.iter().rev().find(|(k, _)| k == key).map_or(default, |(_, value)| value)
    }

    fn number(&self, key: &str, default: usize) -> Result<usize> {
        match self.text(key, "") {
            "" => Ok(default),
            text => text.parse().map_err(|_| format!("{key}={text} is no number").into()),
        }
    }

    fn threads(&self) -> Result<usize> {
        Ok(self.number("threads", common::cores())?.max(1))
    }

    /// The layers that the limit counts.
    fn counted(&self, units: [usize; 4]) -> Result<[usize; 4]> {
        let lanes = self.number("lanes", 1)?.max(1);
        let [inputs, outputs @ ..] = units;
        let [a, b, c] = outputs.map(|outputs| outputs.next_multiple_of(lanes));
        Ok([inputs, a, b, c])
    }

    fn isa(&self) -> &str {
        self.text("isa", "16")
    }

    fn options(&self) -> Result<Options> {
        let rewriting = match self.text("rewriting", "all") {
            "off" => Rewriting::Off,
            "exact" => Rewriting::Exact,
            "all" => Rewriting::All,
            other => return Err(format!("rewriting={other}: there are off, exact and all").into()),
        };
        let options = Options::default().target(common::target(self.text("target", "host"))?);
        Ok(options.lanes(common::lanes(self.isa())?).threads(self.threads()?).rewriting(rewriting))
    }

    /// Prints an explanation in the form that `explain=` says.
    fn explain(&self, explanation: &Explanation) -> Result<()> {
        match self.text("explain", "") {
            "text" => print!("{explanation}"),
            "dot" => print!("{}", explanation.to_dot()),
            "svg" => print!("{}", explanation.to_svg()),
            "json" => println!("{}", explanation.to_json()),
            other => return Err(format!("explain={other}: there are text, dot, svg and json").into()),
        }
        Ok(())
    }

    /// Whether to explain instead of timing.
    fn explains(&self) -> bool {
        self.given.iter().any(|(key, _)| key == "explain")
    }

    /// Prints the workload's options, timing and results, and what to judge them by.
    fn report(
        &self,
        options: &[(&str, usize)],
        mut timing: Timing,
        work: &Work,
        results: &[(&str, f64)],
    ) -> Result<()> {
        // before the machine is measured, which takes memory of its own
        let peak_rss_mb = peak_rss_mb();
        let machine = Machine::measure(self.threads()?)?;
        timing.steps.sort_by(f64::total_cmp);
        let at = |share: f64| timing.steps[((timing.steps.len() as f64 * share) as usize).min(timing.steps.len() - 1)];
        let (median, limit, functions) = (at(0.5), machine.seconds(work), machine.function_seconds(work.functions));
        let rounded = |x: f64, scale: f64| json!((x * scale).round() / scale);
        let milliseconds = |seconds: f64| rounded(seconds * 1e3, 1e4);

        let figures = [
            ("peer", json!(concat!("bayeslift ", env!("CARGO_PKG_VERSION")))),
            ("workload", json!(self.workload)),
            ("threads", json!(self.threads()?)),
            ("isa", json!(self.isa().parse::<usize>()?)),
            ("target", json!(self.options()?.target.to_string())),
            ("median_ms", milliseconds(median)),
            ("min_ms", milliseconds(at(0.0))),
            ("p95_ms", milliseconds(at(0.95))),
            ("first_call_s", rounded(timing.first, 1e4)),
            ("peak_rss_mb", peak_rss_mb),
            ("matmul_flops", json!(work.matmul_flops)),
            ("moved_bytes", json!(work.moved_bytes)),
            ("normals", json!(work.normals)),
            ("peak_gflops", rounded(machine.peak_gflops, 10.0)),
            ("copy_gbps", rounded(machine.copy_gbps, 10.0)),
            ("normals_per_us", rounded(machine.normals_per_us, 10.0)),
            ("limit_ms", milliseconds(limit)),
            ("times_limit", rounded(median / limit, 100.0)),
            ("functions_ms", milliseconds(functions)),
            ("times_limit_with_functions", rounded(median / (limit + functions), 100.0)),
        ];
        let options = options.iter().map(|&(key, value)| (key, json!(value)));
        let results = results.iter().map(|&(key, value)| (key, json!(value)));
        let line = figures.into_iter().chain(options).chain(results);
        let line: Map<String, Value> = line.map(|(key, value)| (key.to_owned(), value)).collect();
        println!("{}", Value::Object(line));
        Ok(())
    }
}

/// The largest resident memory of this process, in MB, where the system tells.
fn peak_rss_mb() -> Value {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.split_whitespace().next());
    peak.and_then(|kilobytes| kilobytes.parse::<u64>().ok()).map_or(Value::Null, |kilobytes| json!(kilobytes / 1024))
}

/// Seconds, from the start to the first result, and of each later call.
struct Timing {
    first: f64,
    steps: Vec<f64>,
}

/// Times the first call from `start`, then, after three more, each of `steps`.
fn timed(start: Instant, steps: usize, mut call: impl FnMut() -> Result<()>) -> Result<Timing> {
    call()?;
    let first = start.elapsed().as_secs_f64();
    for _ in 0..3 {
        call()?;
    }
    let timed = (0..steps.max(1)).map(|_| {
        let begin = Instant::now();
        call().map(|()| begin.elapsed().as_secs_f64())
    });
    Ok(Timing { first, steps: timed.collect::<Result<_>>()? })
}

fn network(inp: usize, width: usize, out: usize, prior: &Prior) -> Result<Network> {
    let layer = |inp, out| AffineVariationalReparameterizationLocal::new(inp, out).prior_maker(prior.clone());
    let layers = Sequential::new()
        .layer(layer(inp, width).activation(Activation::Relu))
        .layer(layer(width, width).activation(Activation::Relu))
        .layer(layer(width, out));
    Ok(Network::new(layers, [inp], likelihood::Categorical, 0)?)
}

/// How many numbers the parameters of these groups hold.
fn elements(network: &Network, chosen: impl Fn(Group) -> bool) -> usize {
    let chosen = network.parameters().iter().filter(|(_, parameter)| chosen(parameter.group));
    chosen.map(|(_, parameter)| parameter.tensor.shape().elements()).sum()
}

fn train_mlp(settings: &Settings) -> Result<()> {
    let (batch, width) = (settings.number("batch", 128)?, settings.number("width", 400)?);
    let (inp, out, steps) = (settings.number("inp", 784)?, settings.number("out", 10)?, settings.number("steps", 100)?);
    let (divergence, prior) = match settings.text("kl", "mc") {
        "mc" => (Divergence::MonteCarlo { draws: 1 }, Prior::spike_and_slab()),
        "exact" => (Divergence::Exact, Prior::normal(0.0, 1.0)),
        other => return Err(format!("kl={other}: there are mc and exact").into()),
    };
    let network = network(inp, width, out, &prior)?;
    let (parameters, weights) = (elements(&network, |_| true), elements(&network, |group| group == Group::Loc));
    let draws = if divergence == Divergence::Exact { 0 } else { weights };
    let work = Work::training_step(batch, &settings.counted([inp, width, width, out])?, parameters, draws);
    let mut random = RandomState::new(0);
    let x = random.rand(batch * inp);
    let targets = Targets::Labels(random.randint(out as u32, batch));
    let options = [("batch", batch), ("width", width), ("inp", inp), ("out", out), ("steps", steps)];
    training_step(settings, network, divergence, (&x, &targets), &options, &work)
}

/// What a call would take by the model of costs, on more and more threads.
fn print_estimates(
    mut explain: impl FnMut(Target, usize) -> std::result::Result<Explanation, Error>,
    settings: &Settings,
) -> Result<()> {
    let target = common::target(settings.text("target", "host"))?;
    let milliseconds = |time: Duration| time.as_secs_f64() * 1e3;
    println!("{:>7} {:>12} {:>7} {:>13} {:>5}", "threads", "estimate_ms", "speedup", "critical_ms", "used");
    for threads in (0..7).map(|power| 1 << power) {
        let explanation = explain(target, threads)?;
        let [alone, together, longest] = {
            let estimate = &explanation.estimate;
            [estimate.sequential, estimate.scheduled, estimate.critical_path].map(milliseconds)
        };
        let (speedup, used) = (alone / together, explanation.threads);
        println!("{threads:>7} {together:>12.3} {speedup:>7.2} {longest:>13.3} {used:>5}");
    }
    Ok(())
}

/// Times training steps, or explains one.
fn training_step(
    settings: &Settings,
    mut network: Network,
    divergence: Divergence,
    (x, targets): (&[f32], &Targets),
    options: &[(&str, usize)],
    work: &Work,
) -> Result<()> {
    let steps = settings.number("steps", 100)?;
    let trainer_options = TrainerOptions::default().divergence(divergence).backend(settings.options()?);
    let trainer_options = match settings.number("micro", 0)? {
        0 => trainer_options,
        rows => trainer_options.micro_batch_size(rows),
    };

    let start = Instant::now();
    let mut trainer = Trainer::new(&network, TRAINING_EXAMPLES, trainer_options)?;
    if settings.text("explain", "") == "threads" {
        let rows = x.len() / network.input().elements();
        return print_estimates(|target, threads| trainer.explain_for(&network, rows, target, threads), settings);
    }
    if settings.explains() {
        return settings.explain(&trainer.profile(&network, StepInput::new(x, targets), steps)?);
    }
    let mut loss = 0.0;
    let timing = timed(start, steps, || {
        loss = trainer.step(&mut network, StepInput::new(x, targets))?.loss;
        Ok(())
    })?;
    let memory = step_memory(&mut trainer, &network, x.len() / network.input().elements())?;
    let [parameters, optimizer, intermediate] = memory.map(|bytes| bytes as f64 / 1e6);
    let memory = [("parameters_mb", parameters), ("optimizer_mb", optimizer), ("intermediate_mb", intermediate)];
    settings.report(options, timing, work, &[&memory[..], &[("final_loss", loss)]].concat())
}

/// How many bytes a step keeps of parameters, of the optimizer's state, and of values that it computes on the way.
fn step_memory(trainer: &mut Trainer, network: &Network, rows: usize) -> Result<[usize; 3]> {
    let bytes = |tensor: &Tensor| tensor.shape().elements() * size_of::<f32>();
    let parameters = network.parameters().iter().map(|(_, parameter)| bytes(&parameter.tensor)).sum();
    let optimizer = trainer.state().map(|(_, tensor)| bytes(tensor)).sum();
    Ok([parameters, optimizer, trainer.explain(network, rows)?.arena_bytes])
}

/// The document's example: a convolution with sampled weights, then a local reparameterization layer.
fn doc_bnn(settings: &Settings) -> Result<()> {
    const CLASSES: usize = 10;
    let (batch, filters) = (settings.number("batch", 32)?, settings.number("filters", 32)?);
    let steps = settings.number("steps", 100)?;
    let convolution = ConvolutionVariationalReparameterization::new(1, filters, [7, 7])
        .strides(2)
        .padding(Padding::Same)
        .kernel_initializer(Initializer::HeUniform)
        .activation(Activation::LeakyRelu);
    let features = 14 * 14 * filters;
    let layers = Sequential::new()
        .layer(convolution)
        .layer(flatten_rightmost(3))
        .layer(AffineVariationalReparameterizationLocal::new(features, CLASSES));
    let network = Network::new(layers, [28, 28, 1], likelihood::Categorical, 0)?;
    let (parameters, weights) = (elements(&network, |_| true), elements(&network, |group| group == Group::Loc));
    let work = Work::convolution_step(batch, filters, CLASSES, parameters, weights);
    let mut random = RandomState::new(0);
    let x = random.rand(batch * 28 * 28);
    let targets = Targets::Labels(random.randint(CLASSES as u32, batch));
    let options = [("batch", batch), ("filters", filters), ("steps", steps)];
    training_step(settings, network, Divergence::MonteCarlo { draws: 1 }, (&x, &targets), &options, &work)
}

/// A table of which each example reads a row, and an affine layer on that. Batches differ, so that rows come from
/// memory.
fn embedding(settings: &Settings) -> Result<()> {
    const CLASSES: usize = 2;
    const BATCHES: usize = 64;
    let (rows, width) = (settings.number("rows", 1_000_000)?, settings.number("width", 16)?);
    let (batch, steps) = (settings.number("batch", 256)?, settings.number("steps", 100)?);
    let layers = match settings.text("kl", "none") {
        "none" => Sequential::new().layer(Embedding::new(rows, width)),
        "reads" => {
            let layer = EmbeddingVariationalReparameterizationLocal::new(rows, width);
            Sequential::new().layer(layer.read_counts(vec![1; rows]))
        }
        other => return Err(format!("kl={other}: there are none and reads").into()),
    };
    let layers = layers.layer(Flatten).layer(Affine::new(width, CLASSES));
    let mut network = Network::new(layers, [1], likelihood::Categorical, 0)?;
    let options = TrainerOptions::default().backend(settings.options()?);
    let options = match settings.text("optimizer", "lazy") {
        "lazy" => options.optimizer(Lazy(Adam::default())),
        "sgd" => options.optimizer(Sgd::default()),
        "adam" => options,
        other => return Err(format!("optimizer={other}: there are lazy, sgd and adam").into()),
    };
    let mut random = RandomState::new(0);
    let x: Vec<f32> = random.randint(rows as u32, batch * BATCHES).into_iter().map(|row| row as f32).collect();
    let targets = Targets::Labels(random.randint(CLASSES as u32, batch));
    // the rows that are read, of a parameter or two and their moments
    let read = batch * width * if settings.text("kl", "none") == "none" { 1 } else { 2 };
    let work = Work::training_step(batch, &[width, CLASSES], read + width * CLASSES, 0);

    let start = Instant::now();
    let mut trainer = Trainer::new(&network, TRAINING_EXAMPLES, options)?;
    if settings.explains() {
        return settings.explain(&trainer.profile(&network, StepInput::new(&x[..batch], &targets), steps)?);
    }
    let (mut loss, mut number) = (0.0, 0);
    let timing = timed(start, steps, || {
        let x = &x[number % BATCHES * batch..][..batch];
        number += 1;
        loss = trainer.step(&mut network, StepInput::new(x, &targets))?.loss;
        Ok(())
    })?;
    let options = [("rows", rows), ("width", width), ("batch", batch), ("steps", steps)];
    settings.report(&options, timing, &work, &[("final_loss", loss)])
}

fn mc_predict(settings: &Settings) -> Result<()> {
    let (batch, samples) = (settings.number("batch", 32)?, settings.number("samples", 64)?);
    let (width, inp) = (settings.number("width", 400)?, settings.number("inp", 784)?);
    let (out, steps) = (settings.number("out", 10)?, settings.number("steps", 100)?);
    let network = network(inp, width, out, &Prior::spike_and_slab())?;
    let x = RandomState::new(0).rand(batch * inp);
    let options =
        PredictorOptions::default().samples(samples).blocks(samples.min(64), batch).backend(settings.options()?);

    let start = Instant::now();
    let predictor = Predictor::with_options(&network, &options)?;
    if settings.explains() {
        return settings.explain(&predictor.profile(&x, steps)?);
    }
    let mut prediction = None;
    let timing = timed(start, steps, || {
        prediction = Some(predictor.classify(&x)?);
        Ok(())
    })?;
    let prediction = prediction.ok_or("no prediction")?;
    let mean = |x: &[f32]| x.iter().copied().map(f64::from).sum::<f64>() / x.len() as f64;
    let results = [
        ("mean_total_entropy", mean(prediction.predictive_entropy())),
        ("mean_epistemic", mean(prediction.mutual_information())),
    ];
    let options =
        [("batch", batch), ("samples", samples), ("width", width), ("inp", inp), ("out", out), ("steps", steps)];
    let units = settings.counted([inp, width, width, out])?;
    let work = Work::prediction(batch, samples, &units, elements(&network, |_| true));
    settings.report(&options, timing, &work, &results)
}

fn noise_buffer(settings: &Settings) -> Result<()> {
    let (n, steps) = (settings.number("n", 1 << 22)?, settings.number("steps", 20)?);
    let start = Instant::now();
    let mut kernel = NoiseKernel::compile(NoiseDistribution::Normal, n, &settings.options()?)?;
    let timing = timed(start, steps, || kernel.draw().map(drop))?;
    let drawn = kernel.draw()?;
    let mean = |f: fn(f64) -> f64| drawn.iter().map(|&x| f(f64::from(x))).sum::<f64>() / drawn.len() as f64;
    let results = [("mean", mean(|x| x)), ("mean_square", mean(|x| x * x))];
    settings.report(&[("n", n), ("steps", steps)], timing, &Work::noise(n), &results)
}
