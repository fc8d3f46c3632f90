//! What a workload cannot do without, and how long that takes this machine at best.
//!
//! `limit_ms` = `matmul_flops` / `peak_gflops` + `moved_bytes` / `copy_gbps` + `normals` / `normals_per_us`, one after the
//! other. `times_limit` is the median over it.
//!
//! - `matmul_flops`: two for each multiply-add of the matrix products; a local reparameterization layer has one product
//!   of locations and one of variances. A training step does both forward, both towards the weights, and, but for the first
//!   layer, both towards the inputs. A prediction does those of the first layer once for all samples.
//! - `moved_bytes`: each byte that is read and each that is written. A training step reads and writes each parameter
//!   (the location and the scale of each weight) and both of Adam's moments. A prediction reads each parameter. Noise is
//!   written. Batches, activations and gradients need not leave the caches.
//! - `normals`: one for each output of each layer, row and sample; in a training step with a Monte Carlo divergence also one
//!   for each weight and bias. Drawing again in the backward pass is not counted.
//! - `peak_gflops`, `copy_gbps`, `normals_per_us`: the best of 20 runs each on as many threads as the workload may use, with
//!   the widest vectors whatever `isa` is: fused multiply-adds, a copy of 64 MB (read and written, so 128 MB), a million
//!   normals by Bayeslift's own kernel.

use crate::common::{NoiseKernel, Result, best_seconds, machine};
use bayeslift::{ir::Distribution, runtime::Options};

/// What a call must do.
pub struct Work {
    pub matmul_flops: usize,
    pub moved_bytes: usize,
    pub normals: usize,
}

impl Work {
    /// A training step of a network with layers between these numbers of units, that draws its weights `draws` times.
    pub fn training_step(batch: usize, units: &[usize], parameters: usize, draws: usize) -> Work {
        let (first, all) = weights(units);
        let matmul_flops = 2 * 2 * batch * (all + all + (all - first));
        // a parameter and its two moments, read and written
        let moved_bytes = 3 * 2 * parameters * size_of::<f32>();
        Work { matmul_flops, moved_bytes, normals: batch * outputs(units) + draws }
    }

    /// A training step of a 7x7 convolution with step 2 on 28x28 images, and a local reparameterization layer.
    pub fn convolution_step(batch: usize, filters: usize, out: usize, parameters: usize, draws: usize) -> Work {
        let positions = batch * 14 * 14;
        // forward and towards the kernel; forward, towards the weights and towards the image, of means and variances
        let matmul_flops = 2 * 2 * positions * 49 * filters + 3 * 2 * 2 * positions * filters * out;
        let moved_bytes = 3 * 2 * parameters * size_of::<f32>();
        Work { matmul_flops, moved_bytes, normals: batch * out + draws }
    }

    pub fn prediction(batch: usize, samples: usize, units: &[usize], parameters: usize) -> Work {
        let (first, all) = weights(units);
        let matmul_flops = 2 * 2 * batch * (first + samples * (all - first));
        let moved_bytes = parameters * size_of::<f32>();
        Work { matmul_flops, moved_bytes, normals: samples * batch * outputs(units) }
    }

    pub fn noise(n: usize) -> Work {
        Work { matmul_flops: 0, moved_bytes: n * size_of::<f32>(), normals: n }
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
}

impl Machine {
    pub fn measure(threads: usize) -> Result<Machine> {
        const NORMALS: usize = 1 << 20;
        let mut noise = NoiseKernel::compile(Distribution::Normal, NORMALS, &Options::default().threads(threads))?;
        let [seconds] = best_seconds(20, [&mut || noise.draw().map(drop)])?;
        Ok(Machine {
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
}
