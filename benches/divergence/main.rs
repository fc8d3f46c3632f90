//! What ways to compute a divergence cost in a training step of 784-400-400-10, and what draws add to the noise of its
//! gradient.
//!
//!     cargo bench -q --bench divergence [-- batch=128 rounds=40 threads=N]
//!
//! Steps of all ways are timed in turn, in one run. Prints a line for each: the median of its steps, and its ratio to
//! that of one draw. Then, for one draw and a posterior scale of 0.05, the variance of the divergence's gradient over
//! the number of training examples, summed over all parameters of a kind, beside that of the mean negative log
//! likelihood.

use bayeslift::{
    gradients,
    ir::{Builder, Tensor, Type},
    layers::{Bijector, Layer, noise_inputs},
    prelude::*,
    runtime::{Argument, Executable},
};
use std::{error::Error, thread::available_parallelism, time::Instant};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const TRAINING_EXAMPLES: usize = 60_000;
const DRAWS: u32 = 48;

fn layers(prior: &Prior) -> Sequential {
    let layer = |inputs, outputs| {
        AffineVariationalReparameterizationLocal::new(inputs, outputs)
            .prior_maker(prior.clone())
            .posterior_maker(Posterior::mean_field_with_scale(0.05))
    };
    Sequential::new()
        .layer(layer(784, 400).activation(Activation::Relu))
        .layer(layer(400, 400).activation(Activation::Relu))
        .layer(layer(400, 10))
}

/// Numbers between 0 and 1 that look random.
fn pixels(count: usize) -> Vec<f32> {
    (0..count as u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 8) as f32 / (1 << 24) as f32).collect()
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let number = |key: &str, default: usize| -> Result<usize> {
        let given = arguments.iter().find_map(|argument| argument.strip_prefix(key)?.strip_prefix('='));
        Ok(given.map_or(Ok(default), str::parse)?)
    };
    let (batch, rounds, threads) = (
        number("batch", 128)?,
        number("rounds", 40)?,
        number("threads", available_parallelism().map_or(1, usize::from))?,
    );
    let options = Options::default().threads(threads);
    times(batch, rounds, &options)?;
    variances(batch, &options)
}

fn times(batch: usize, rounds: usize, options: &Options) -> Result<()> {
    let (wide, normal) = (Prior::spike_and_slab(), Prior::normal(0.0, 1.0));
    let quadrature = |nodes| Divergence::Quadrature { nodes };
    let ways = [
        ("one draw, the default prior", &wide, Divergence::default()),
        ("one draw, a normal prior", &normal, Divergence::default()),
        ("exact, a normal prior", &normal, Divergence::Exact),
        ("exact approximation, the log-uniform prior", &Prior::log_uniform(), Divergence::Exact),
        ("3 nodes, the default prior", &wide, quadrature(3)),
        ("5 nodes, the default prior", &wide, quadrature(5)),
        ("8 nodes, the default prior", &wide, quadrature(8)),
        ("12 nodes, the default prior", &wide, quadrature(12)),
        ("16 nodes, the default prior", &wide, quadrature(16)),
        ("24 nodes, the default prior", &wide, quadrature(24)),
        ("32 nodes, the default prior", &wide, quadrature(32)),
    ];
    let mut trained = Vec::new();
    for (name, prior, divergence) in ways {
        let network = Network::new(layers(prior), [784], likelihood::Categorical, 0)?;
        let trainer = TrainerOptions::default().divergence(divergence).backend(options.clone());
        let mut trainer = Trainer::new(&network, TRAINING_EXAMPLES, trainer)?;
        trainer.prepare(&network, batch)?;
        trained.push((name, network, trainer, Vec::new()));
    }
    let (inputs, targets) = (pixels(batch * 784), Targets::Labels((0..batch as u32).map(|i| i * 7 % 10).collect()));
    for round in 0..rounds + 2 {
        for (_, network, trainer, times) in &mut trained {
            let start = Instant::now();
            trainer.step(network, StepInput::new(&inputs, &targets))?;
            // the first steps find memory and the number of threads
            if round >= 2 {
                times.push(start.elapsed().as_secs_f64() * 1e3);
            }
        }
    }
    let mut base = None;
    for (name, _, trainer, mut times) in trained {
        times.sort_by(f64::total_cmp);
        let median = times[times.len() / 2];
        let ratio = median / *base.get_or_insert(median);
        let compiled = trainer.compile_time().as_secs_f64() * 1e3;
        println!("{name:44} {median:8.3} ms  {ratio:5.2} times one draw  (compiled in {compiled:.0} ms)");
    }
    Ok(())
}

fn variances(batch: usize, options: &Options) -> Result<()> {
    let layers = layers(&Prior::spike_and_slab());
    let mut parameters = layers.initialize(0)?;
    let paths: Vec<String> = parameters.paths().map(str::to_owned).collect();
    for path in paths.iter().filter(|path| path.ends_with("raw_scale")) {
        let shape = parameters.get(path)?.tensor.shape().clone();
        let scale = Tensor::f32(shape.clone(), vec![0.05; shape.elements()])?;
        parameters.assign_through(path, &Bijector::scale(), &scale)?;
    }
    for (what, is_divergence) in [("one draw's divergence", true), ("the mean negative log likelihood", false)] {
        let b = Builder::new();
        let scope = bayeslift::layers::Scope::bind(&b, &parameters)?;
        let context = Context::new(scope.clone()).noise(noise_inputs(&b));
        let (x, labels) = (b.input("x", Type::f32([batch, 784])), b.input("labels", Type::u32([batch])));
        let call = layers.call(&context, x)?;
        let loss = match is_divergence {
            true => call.divergence(&Divergence::default())? * (1.0 / TRAINING_EXAMPLES as f32),
            false => likelihood::Categorical.loss(&scope, call.output, &labels.into())?,
        };
        let at: Vec<Expr<'_>> = paths.iter().filter_map(|path| scope.expr(path)).collect();
        for (path, gradient) in paths.iter().zip(gradients(loss, &at)) {
            b.output(&format!("gradient of {path}"), gradient);
        }
        let executable = Executable::compile(b.finish()?, options)?;
        let (mut workspace, mut outputs) = (executable.workspace()?, executable.new_outputs()?);
        let mut sums: Vec<Vec<[f64; 2]>> = outputs.iter().map(|x| vec![[0.0; 2]; x.shape().elements()]).collect();
        for draw in 0..DRAWS {
            let tensor = |(name, ty): (&str, &Type)| -> Result<Tensor> {
                Ok(match name {
                    "x" => Tensor::f32([batch, 784], pixels(batch * 784))?,
                    "labels" => Tensor::u32([batch], (0..batch as u32).map(|i| i * 7 % 10).collect::<Vec<_>>())?,
                    "noise/key" => Tensor::u32([4], [7, 0, draw, 0])?,
                    path if path.starts_with("noise/") => Tensor::zeros(ty)?,
                    path => parameters.get(path)?.tensor.clone(),
                })
            };
            let mut tensors = executable.inputs().map(tensor).collect::<Result<Vec<_>>>()?;
            let mut arguments: Vec<Argument> = tensors.iter_mut().map(Argument::from).collect();
            executable.call_into(&mut workspace, &mut arguments, &mut outputs)?;
            for (sums, gradient) in sums.iter_mut().zip(&outputs) {
                for ([sum, squares], &g) in sums.iter_mut().zip(gradient.as_f32().unwrap_or_default()) {
                    *sum += f64::from(g);
                    *squares += f64::from(g).powi(2);
                }
            }
        }
        let n = f64::from(DRAWS);
        let of = |kind: &str| -> f64 {
            let chosen = paths.iter().zip(&sums).filter(|(path, _)| path.ends_with(kind)).flat_map(|(_, sums)| sums);
            chosen.map(|[sum, squares]| (squares - sum * sum / n) / (n - 1.0)).sum()
        };
        println!(
            "variance of the gradient of {what}: locations {:.3e}, raw scales {:.3e}",
            of("/loc"),
            of("/raw_scale")
        );
    }
    Ok(())
}
