//! A kernel of noise alone.

use super::Result;
use bayeslift::ir::{Builder, DType, Noise, NoiseDistribution, Tensor, noise};
use bayeslift::layers::noise_inputs;
use bayeslift::runtime::{Executable, Options, Workspace};

/// Fills a buffer with noise, in rows of 1024 where that divides it.
pub struct NoiseKernel {
    executable: Executable,
    workspace: Workspace,
    outputs: Vec<Tensor>,
    step: u32,
}

impl NoiseKernel {
    pub fn compile(distribution: NoiseDistribution, n: usize, options: &Options) -> Result<NoiseKernel> {
        const UNITS: usize = 1024;
        let shape = if n.is_multiple_of(UNITS) { [n / UNITS, UNITS] } else { [1, n] };
        let stream = noise::stream("bench", "noise");
        let b = Builder::new();
        let noise = Noise {
            distribution,
            dtype: DType::F32,
            stream,
            sample_axis: None,
            example_axis: None,
            shape: shape.into(),
        };
        b.output("noise", b.noise(noise, noise_inputs(&b)));
        let executable = Executable::compile(b.finish()?, options)?;
        let (workspace, outputs) = (executable.workspace()?, executable.new_outputs()?);
        Ok(NoiseKernel { executable, workspace, outputs, step: 0 })
    }

    /// Draws new numbers.
    pub fn draw(&mut self) -> Result<&[f32]> {
        self.step += 1;
        let (key, sample, row) = ([0, 0, self.step, 0], [0], [0, 0]);
        let mut inputs = [key.as_slice().into(), sample.as_slice().into(), row.as_slice().into()];
        self.executable.call_into(&mut self.workspace, &mut inputs, &mut self.outputs)?;
        Ok(self.outputs[0].as_f32().expect("noise is f32"))
    }
}
