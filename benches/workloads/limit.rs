//! What a workload cannot do without, and how long that takes this machine at best.
//!
//! `limit_ms` = `matmul_flops` / `peak_gflops` + `moved_bytes` / `copy_gbps` + `normals` / `normals_per_us`, one after
//! the other. `times_limit` is the median over it.
//!
//! - `matmul_flops`: two for each multiply-add of the matrix products; a local reparameterization layer has one product
//!   of locations and one of variances. A training step does both forward, both towards the weights, and, but for the
//!   first layer, both towards the inputs. A prediction does those of the first layer once for all samples.
//! - `moved_bytes`: each byte that is read and each that is written. A training step reads and writes each parameter
//!   (the location and the scale of each weight) and both of Adam's moments. A prediction reads each parameter. Noise
//!   is written. Batches, activations and gradients need not leave the caches.
//! - `normals`: one for each output of each layer, row and sample; in a training step with a Monte Carlo divergence
//!   also one for each weight and bias. Drawing again in the backward pass is not counted.
//! - `peak_gflops`, `copy_gbps`, `normals_per_us`: the best of 20 runs each on as many threads as the workload may use,
//!   with the widest vectors whatever `isa` is: fused multiply-adds, a copy of 64 MB (read and written, so 128 MB), a
//!   million normals by Bayeslift's own kernel.
//!
//! Where layers are small, elementary functions take longer than all of that. `functions_ms` is how long those take at
//! best that no way around is known for, as `normals` do: `softplus`, `log`, `exp` and `sqrt` of a quarter of a million
//! elements, by Bayeslift's kernels, a division like a square root. `times_limit_with_functions` is the median over
//! both.
//!
//! - A training step: for each weight and bias a softplus for its scale and a logarithm for its density; with a Monte
//!   Carlo divergence from a mixture of two normals another softplus; for the derivative of each softplus a division.
//!   For each parameter Adam's root and division. For each output of a layer and row a root and a division; for each
//!   class and row an exponential, for each row a logarithm.
//! - A prediction: a root for each output and row of the first layer and for each of the others and sample; for each
//!   class, row and sample an exponential, for each row and sample a logarithm.

use crate::common::{NoiseKernel, Result, best_seconds, function_seconds, machine};
use bayeslift::ir::{NoiseDistribution, Unary};
use bayeslift::runtime::Options;

/// What a call must do.
pub struct Work {
    pub matmul_flops: usize,
    pub moved_bytes: usize,
    pub normals: usize,
    pub functions: Functions,
}

/// How many elementary functions.
#[derive(Clone, Copy, Default)]
pub struct Functions {
    pub softplus: usize,
    pub log: usize,
    pub exp: usize,
    /// And divisions.
    pub sqrt: usize,
}

impl Functions {
    /// Each with how often it is needed.
    fn each(self) -> [(Unary, usize); 4] {
        let Functions { softplus, log, exp, sqrt } = self;
        [(Unary::Softplus, softplus), (Unary::Log, log), (Unary::Exp, exp), (Unary::Sqrt, sqrt)]
    }

    /// Those of a training step with `parameters` parameters, half of which are scales, and layers with `outputs`
    /// outputs in all.
    fn of_training_step(rows: usize, outputs: usize, classes: usize, parameters: usize, draws: usize) -> Functions {
        let scales = parameters / 2;
        Functions {
            softplus: scales + draws,
            log: scales + rows,
            exp: rows * classes,
            sqrt: scales + draws + 2 * parameters + 2 * rows * outputs,
        }
    }
}

impl Work {
    /// A training step of a network with layers between these numbers of units, that draws its weights `draws` times.
    pub fn training_step(batch: usize, units: &[usize], parameters: usize, draws: usize) -> Work {
        let (first, all) = weights(units);
        let matmul_flops = 2 * 2 * batch * (all + all + (all - first));
        // a parameter and its two moments, read and written
        let moved_bytes = 3 * 2 * parameters * size_of::<f32>();
        let (all_outputs, classes) = (outputs(units), *units.last().unwrap_or(&0));
        let functions = Functions::of_training_step(batch, all_outputs, classes, parameters, draws);
        Work { matmul_flops, moved_bytes, normals: batch * all_outputs + draws, functions }
    }

    /// A training step of a 7x7 convolution with step 2 on 28x28 images, and a local reparameterization layer.
    pub fn convolution_step(batch: usize, filters: usize, out: usize, parameters: usize, draws: usize) -> Work {
        let positions = batch * 14 * 14;
        // forward and towards the kernel; forward, towards the weights and towards the image, of means and variances
        let matmul_flops = 2 * 2 * positions * 49 * filters + 3 * 2 * 2 * positions * filters * out;
        let moved_bytes = 3 * 2 * parameters * size_of::<f32>();
        let functions = Functions::of_training_step(batch, out, out, parameters, draws);
        Work { matmul_flops, moved_bytes, normals: batch * out + draws, functions }
    }

    pub fn prediction(batch: usize, samples: usize, units: &[usize], parameters: usize) -> Work {
        let (first, all) = weights(units);
        let matmul_flops = 2 * 2 * batch * (first + samples * (all - first));
        let moved_bytes = parameters * size_of::<f32>();
        let (rows, all_outputs, classes) = (samples * batch, outputs(units), *units.last().unwrap_or(&0));
        let functions = Functions {
            log: rows,
            exp: rows * classes,
            sqrt: batch * units[1] + rows * (all_outputs - units[1]),
            ..Functions::default()
        };
        Work { matmul_flops, moved_bytes, normals: rows * all_outputs, functions }
    }

    pub fn noise(n: usize) -> Work {
        Work { matmul_flops: 0, moved_bytes: n * size_of::<f32>(), normals: n, functions: Functions::default() }
    }
}

/// The numbers of weights of the first kernel and of all.
fn weights(units: &[usize]) -> (usize, usize) {
    (units[0] * units[1], units.windows(2).map(|layer| layer[0] * layer[1]).sum())
}

/// The number of outputs of all layers.
fn outputs(units: &[usize]) -> usize {
    units[1..].iter().sum()
}

/// What the machine does at best.
pub struct Machine {
    pub peak_gflops: f64,
    pub copy_gbps: f64,
    pub normals_per_us: f64,
    /// Of each of [`Functions::each`].
    functions_per_us: [f64; 4],
}

impl Machine {
    pub fn measure(threads: usize) -> Result<Machine> {
        const NORMALS: usize = 1 << 20;
        const ARGUMENTS: usize = 1 << 18;
        let options = Options::default().threads(threads);
        let mut noise = NoiseKernel::compile(NoiseDistribution::Normal, NORMALS, &options)?;
        let [seconds] = best_seconds(20, [&mut || noise.draw().map(drop)])?;
        let mut functions_per_us = [0.0; 4];
        for (rate, (function, _)) in functions_per_us.iter_mut().zip(Functions::default().each()) {
            *rate = ARGUMENTS as f64 / function_seconds(function, ARGUMENTS, 20, &options)? / 1e6;
        }
        Ok(Machine {
            functions_per_us,
            peak_gflops: machine::peak_gflops(threads, machine::widest()),
            copy_gbps: machine::copy_gbps(threads),
            normals_per_us: NORMALS as f64 / seconds / 1e6,
        })
    }

    /// The seconds that the work takes at best.
    pub fn seconds(&self, work: &Work) -> f64 {
        let products = work.matmul_flops as f64 / (self.peak_gflops * 1e9);
        let memory = work.moved_bytes as f64 / (self.copy_gbps * 1e9);
        products + memory + work.normals as f64 / (self.normals_per_us * 1e6)
    }

    /// The seconds that its elementary functions take at best.
    pub fn function_seconds(&self, functions: Functions) -> f64 {
        let each = functions.each().into_iter().zip(self.functions_per_us);
        each.map(|((_, count), rate)| count as f64 / (rate * 1e6)).sum()
    }
}
