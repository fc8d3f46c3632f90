//! The adjoint of windows, after a product: again products with windows.

use super::{Sliding, fail, windows_as_rows};
use crate::{Expr, MAX_ELEMENTS, Shape};
use smallvec::SmallVec;
use std::ops::Range;

/// More phases than this are computed by one product, with zeros in the kernel.
const MOST_PHASES: usize = 16;

/// What is known of one axis. Results whose positions are equal modulo the step are of one phase: they see every
/// `step`th element of the kernel.
struct Axis {
    step: usize,
    /// The most elements of the kernel that a phase sees.
    size: usize,
    dilation: usize,
    /// Runs of phases that see equally many elements, and how many.
    runs: SmallVec<[(Range<usize>, usize); 2]>,
    /// How many results there are of each phase, and what is cut off before the first.
    count: usize,
    cut: usize,
}

/// The adjoint of windows, after a product: `[batches, examples, positions.., groups, channels]` and a kernel
/// `[batches, groups, window.., channels, outputs]` give `[batches, examples, extents.., groups, outputs]`, where
/// position `p` reaches `p * step + j * dilation - before` with element `j` of the window.
///
/// Results of different phases that see equally many elements of the kernel are computed side by side, as columns of
/// one product (sub-pixel convolution; Shi et al. 2016).
///
/// What does not fit is an error that the builder keeps.
///
/// ```
/// use bayeslift_ir::{Builder, Sliding, Tensor, Type, evaluate, spread};
/// let b = Builder::new();
/// let image = b.input("image", Type::f32([1, 1, 2, 1, 1]));
/// let kernel = b.input("kernel", Type::f32([1, 1, 3, 1, 1]));
/// let axis = Sliding { size: 3, step: 2, dilation: 1, before: 0, after: 0 };
/// b.output("y", spread(image, kernel, &[axis], &[5]));
/// let inputs = [Tensor::f32([1, 1, 2, 1, 1], [1.0, 10.0])?, Tensor::f32([1, 1, 3, 1, 1], [1.0, 2.0, 3.0])?];
/// let y = evaluate(&b.finish()?, &inputs)?;
/// assert_eq!(y, [Tensor::f32([1, 1, 5, 1, 1], [1.0, 2.0, 3.0 + 10.0, 20.0, 30.0])?]);
/// # Ok::<(), bayeslift_ir::Error>(())
/// ```
pub fn spread<'b>(mut image: Expr<'b>, mut kernel: Expr<'b>, axes: &[Sliding], extents: &[usize]) -> Expr<'b> {
    let shape = image.shape();
    let window = kernel.shape();
    let fits = [shape.len(), window.len()] == [axes.len() + 4; 2]
        && axes.iter().map(|axis| &axis.size).eq(&window[2..2 + axes.len()])
        && extents.len() == axes.len()
        && extents.iter().all(|&extent| extent <= MAX_ELEMENTS);
    // a single position takes no step
    let step = |axis: &Sliding, positions: usize| if positions == 1 { axis.step.min(1) } else { axis.step };
    let taken = |(axis, &positions): (&Sliding, &usize)| Sliding { step: step(axis, positions), ..*axis };
    let axes: SmallVec<[Sliding; 3]> = axes.iter().zip(shape.iter().skip(2)).map(taken).collect();
    let possible = |axis: &Sliding| {
        let sizes = [axis.size, axis.step, axis.dilation, axis.before];
        axis.size > 0 && axis.step > 0 && sizes.iter().all(|&size| size <= MAX_ELEMENTS)
    };
    if !fits || !axes.iter().all(possible) {
        return fail(image, "the image", format!("positions that fit {axes:?} on {extents:?}"), &shape);
    }
    let steps = axes.iter().filter(|axis| axis.dilation == 1).map(|axis| axis.step);
    let phases = steps.fold(1, usize::saturating_mul);
    let mut known = Vec::new();
    for (i, (axis, &extent)) in axes.iter().zip(extents).enumerate() {
        let Some(&positions) = image.shape().get(2 + i) else { return image };
        // a step and a dilation at once: zeros between positions, and a step of 1
        let (step, between) = if axis.dilation == 1 { (axis.step, 0) } else { (1, axis.step - 1) };
        let positions = (positions - 1) * (between + 1) + 1;
        let (size, rest) = (axis.size.div_ceil(step), axis.size % step);
        // whole steps that have the extent after the padding before it
        let (first, last) = (axis.before / step, (axis.before + extent).div_ceil(step));
        let (before, after) = ((size - 1) * axis.dilation, last.saturating_sub(positions));
        image = image.pad(2 + i, before.saturating_sub(first), after, between);
        let begin = first.saturating_sub(before);
        let end = image.shape().get(2 + i).copied().unwrap_or(0).saturating_sub(positions.saturating_sub(last));
        image = image.slice(2 + i, begin..end);
        kernel = kernel.pad(2 + i, 0, size * step - axis.size, 0);
        let runs = match rest {
            1.. if phases <= MOST_PHASES => [(0..rest, size), (rest..step, size - 1)].into_iter().collect(),
            _ => [(0..step, size)].into_iter().collect(),
        };
        let (count, cut) = (last - first, axis.before - first * step);
        known.push(Axis { step, size, dilation: axis.dilation, runs, count, cut });
    }
    let Some(parts) = Parts::new(image, kernel, &known) else { return image };
    let (mut y, rank) = (parts.assemble(&mut Vec::new()), axes.len());
    if image.builder().check().is_err() {
        return image;
    }
    // [batches, examples, (count, step).., groups, outputs]
    let shape = y.shape();
    let whole = known.iter().map(|axis| axis.count * axis.step);
    let whole = shape[..2].iter().copied().chain(whole).chain(shape[2 + 2 * rank..].iter().copied());
    y = y.reshape(whole.collect::<Shape>());
    for (i, (axis, &extent)) in known.iter().zip(extents).enumerate() {
        y = y.slice(2 + i, axis.cut..axis.cut + extent);
    }
    y
}

/// Products of each combination of runs, one run an axis.
struct Parts<'a, 'b> {
    axes: &'a [Axis],
    image: Expr<'b>,
    /// `[batches, groups, (window, step).., channels, outputs]`.
    kernel: Expr<'b>,
    /// For each combination, the last axis first, `[batches, examples, count.., phase.., groups, outputs]`; `None` for
    /// phases that see nothing.
    products: Vec<Option<Expr<'b>>>,
}

impl<'a, 'b> Parts<'a, 'b> {
    /// `None` after an error, when shapes are not what they should be.
    fn new(image: Expr<'b>, kernel: Expr<'b>, axes: &'a [Axis]) -> Option<Self> {
        image.builder().check().ok()?;
        let shape = kernel.shape();
        let split = axes.iter().flat_map(|axis| [axis.size, axis.step]);
        let split = shape[..2].iter().copied().chain(split).chain(shape[2 + axes.len()..].iter().copied());
        let kernel = kernel.reshape(split.collect::<Shape>());
        let mut parts = Parts { axes, image, kernel, products: Vec::new() };
        for combination in 0..axes.iter().map(|axis| axis.runs.len()).product() {
            let mut rest = combination;
            let runs = axes.iter().map(|axis| {
                let run = &axis.runs[rest % axis.runs.len()];
                rest /= axis.runs.len();
                run.clone()
            });
            let product = parts.product(&runs.collect::<Vec<_>>());
            parts.products.push(product);
        }
        image.builder().check().is_ok().then_some(parts)
    }

    /// The product of one combination; `None` if its phases see nothing, and after an error.
    fn product(&self, runs: &[(Range<usize>, usize)]) -> Option<Expr<'b>> {
        let rank = self.axes.len();
        let (mut image, mut kernel) = (self.image, self.kernel);
        let mut windows: SmallVec<[Sliding; 3]> = SmallVec::new();
        for (i, (axis, (phases, size))) in self.axes.iter().zip(runs).enumerate() {
            if *size == 0 {
                return None;
            }
            let extent = image.shape().get(2 + i).copied().unwrap_or(0);
            image = image.slice(2 + i, (axis.size - size) * axis.dilation..extent);
            // the kernel backwards
            kernel = kernel.slice(2 + 2 * i, 0..*size).slice(3 + 2 * i, phases.clone()).reverse(2 + 2 * i);
            windows.push(Sliding { size: *size, step: 1, dilation: axis.dilation, before: 0, after: 0 });
        }
        image.builder().check().ok()?;
        let (shape, kernel_shape) = (image.shape(), kernel.shape());
        let [batches, groups] = [kernel_shape[0], kernel_shape[1]];
        let [channels, outputs] = [kernel_shape[2 + 2 * rank], kernel_shape[3 + 2 * rank]];
        let (window_axes, phase_axes) = ((0..rank).map(|i| 2 + 2 * i), (0..rank).map(|i| 3 + 2 * i));
        let order = [0, 1].into_iter().chain(window_axes).chain([2 + 2 * rank]).chain(phase_axes).chain([3 + 2 * rank]);
        let kernel = kernel.transpose(&order.collect::<Vec<_>>());
        let depth = windows.iter().map(|window| window.size).product::<usize>() * channels;
        let columns = runs.iter().map(|(phases, _)| phases.len()).product::<usize>() * outputs;
        let rows = windows_as_rows(image, &windows);
        let product = match (batches, groups) {
            (1, 1) => rows.dot(kernel.reshape([depth, columns])),
            _ => rows.dot(kernel.reshape([batches, groups, depth, columns])),
        };
        // [batches, groups, examples, count.., phase.., outputs] with groups moved behind
        let counts = self.axes.iter().map(|axis| axis.count);
        let phases = runs.iter().map(|(phases, _)| phases.len());
        let split = [batches, groups, shape[1]].into_iter().chain(counts).chain(phases).chain([outputs]);
        let order = [0, 2].into_iter().chain(3..3 + 2 * rank).chain([1, 3 + 2 * rank]);
        Some(product.reshape(split.collect::<Shape>()).transpose(&order.collect::<Vec<_>>()))
    }

    /// `[batches, examples, (count, step).., groups, outputs]`, of which the first axes have one phase each, those
    /// given.
    fn assemble(&self, phases: &mut Vec<usize>) -> Expr<'b> {
        let rank = self.axes.len();
        if let [Some(product)] = self.products[..] {
            let interleaved = (0..rank).flat_map(|i| [2 + i, 2 + rank + i]);
            let order = [0, 1].into_iter().chain(interleaved).chain([2 + 2 * rank, 3 + 2 * rank]);
            return product.transpose(&order.collect::<Vec<_>>());
        }
        let Some(axis) = self.axes.get(phases.len()) else { return self.phase(phases) };
        let number = phases.len();
        let mut parts = (0..axis.step).map(|phase| {
            phases.push(phase);
            let part = self.assemble(phases);
            phases.pop();
            part
        });
        let first = parts.next().expect("a step is not 0");
        let behind = vec![1; 2 * (rank - number - 1) + 2];
        let phase_of = self.image.builder().iota(axis.step).reshape([&[axis.step], &behind[..]].concat().as_slice());
        parts.zip(1..).fold(first, |y, (part, phase)| phase_of.equal(phase).select(part, y))
    }

    /// The results of one phase on each axis, as `[batches, examples, (count, 1).., groups, outputs]`.
    fn phase(&self, phases: &[usize]) -> Expr<'b> {
        let rank = self.axes.len();
        let (mut combination, mut place) = (0, 1);
        let mut within: SmallVec<[usize; 3]> = SmallVec::new();
        for (axis, &phase) in self.axes.iter().zip(phases) {
            let run = axis.runs.iter().position(|(run, _)| run.contains(&phase)).unwrap_or(0);
            within.push(phase - axis.runs[run].0.start);
            combination += run * place;
            place *= axis.runs.len();
        }
        let shape = self.image.shape();
        let counts = self.axes.iter().flat_map(|axis| [axis.count, 1]);
        let ends = [shape[2 + rank], self.kernel.shape()[3 + 2 * rank]];
        let to: Shape = shape[..2].iter().copied().chain(counts).chain(ends).collect();
        match self.products[combination] {
            Some(product) => {
                let of_phase = (0..rank).fold(product, |x, i| x.slice(2 + rank + i, within[i]..within[i] + 1));
                of_phase.reshape(to)
            }
            None => self.image.builder().constant(0.0).broadcast(&to),
        }
    }
}
