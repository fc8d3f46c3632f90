//! Convolutions with two axes: forward, and the gradients of kernel and image.
//!
//! Operations are those of the definition, twice examples x positions x window x channels x outputs for each of the
//! three, also where the gradient of an image takes more, for steps that its windows are no multiples of.

use crate::{
    Settings, Table,
    common::{Result, best_seconds, machine},
    products::values,
    rounded,
};
use bayeslift::ir::{Builder, Convolution, Graph, Shape, Sliding, Type};
use bayeslift::runtime::{Argument, Executable};
use serde_json::json;

/// Examples, height and width, channels, outputs, height and width of the window, step; padded to keep `extent / step`.
struct Size {
    examples: usize,
    extent: usize,
    channels: usize,
    outputs: usize,
    window: usize,
    step: usize,
}

#[rustfmt::skip]
const SIZES: &[Size] = &[
    Size { examples: 32, extent: 28, channels:   1, outputs:  32, window: 7, step: 2 },
    Size { examples: 32, extent: 28, channels:  32, outputs:  32, window: 3, step: 1 },
    Size { examples: 32, extent: 28, channels:  32, outputs:  64, window: 3, step: 2 },
    Size { examples: 32, extent: 14, channels:  64, outputs:  64, window: 3, step: 1 },
    Size { examples: 32, extent:  7, channels: 128, outputs: 128, window: 3, step: 1 },
    Size { examples:  8, extent: 32, channels:  48, outputs:  96, window: 5, step: 1 },
    Size { examples:  1, extent: 56, channels:  64, outputs:  64, window: 3, step: 1 },
    Size { examples: 32, extent: 14, channels: 256, outputs:  64, window: 1, step: 1 },
];

#[derive(Clone, Copy)]
enum Family {
    Forward,
    KernelGradient,
    ImageGradient,
}

pub fn convolutions(settings: &Settings, table: &mut Table) -> Result<()> {
    let peak = machine::peak_gflops(settings.threads, machine::widest());
    for size in if settings.quick { &SIZES[..2] } else { SIZES } {
        for (name, family) in
            [("forward", Family::Forward), ("d kernel", Family::KernelGradient), ("d image", Family::ImageGradient)]
        {
            let gflops = size.gflops(settings, family)?;
            let Size { examples, extent, channels, outputs, window, step } = size;
            table.row(&[
                ("shape", json!(format!("{examples}x{extent}x{extent}x{channels}"))),
                ("kernel", json!(format!("{window}x{window}x{outputs}/{step}"))),
                ("family", json!(name)),
                ("gflops", rounded(gflops)),
                ("peak_percent", rounded(100.0 * gflops / peak)),
            ]);
        }
    }
    Ok(())
}

impl Size {
    fn gflops(&self, settings: &Settings, family: Family) -> Result<f64> {
        let graph = self.graph(family)?;
        let tensors: Vec<Vec<f32>> =
            graph.inputs().iter().map(|input| values(graph.ty(input.value).shape.elements())).collect();
        let executable = Executable::compile(graph, &settings.options)?;
        let (mut workspace, mut y) = (executable.workspace()?, executable.new_outputs()?);
        let mut inputs: Vec<Argument<'_>> = tensors.iter().map(|tensor| tensor.as_slice().into()).collect();
        let mut run = || Ok(executable.call_into(&mut workspace, &mut inputs, &mut y)?);
        let [seconds] = best_seconds(settings.runs(), [&mut run])?;
        let positions = self.examples * (self.extent / self.step).pow(2);
        Ok((2 * positions * self.window.pow(2) * self.channels * self.outputs) as f64 / seconds / 1e9)
    }

    fn graph(&self, family: Family) -> Result<Graph> {
        let &Size { examples, extent, channels, outputs, window, step } = self;
        let (b, small) = (Builder::new(), extent / step);
        let padding = (small - 1) * step + window - extent;
        let (before, after) = (padding / 2, padding.div_ceil(2));
        let axis = Sliding { size: window, step, dilation: 1, before, after };
        let convolution = Convolution { axes: [axis; 2].into_iter().collect(), groups: 1 };
        let image = || b.input("image", Type::f32([examples, extent, extent, channels]));
        let kernel = || b.input("kernel", Type::f32([window, window, channels, outputs]));
        let adjoint = || b.input("adjoint", Type::f32([examples, small, small, outputs]));
        let y = match family {
            Family::Forward => convolution.apply(image(), kernel()),
            Family::KernelGradient => {
                let rows = convolution.patches(image(), &Shape::default()).rows;
                rows.matrix_transpose().dot(adjoint().reshape([examples * small * small, outputs]))
            }
            Family::ImageGradient => {
                convolution.apply_transpose(adjoint(), kernel().matrix_transpose(), &[extent, extent])
            }
        };
        b.output("y", y);
        Ok(b.finish()?)
    }
}
