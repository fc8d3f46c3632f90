//! Convolutions against their definition, in f64, and against the adjoint that a scalar product defines.

use bayeslift_ir::{
    Builder, Convolution, Elements, Expr, Shape, Sliding, Tensor, Type, Window,
    arbitrary::{cases, seed},
    evaluate, evaluate_f64, spread, windows_as_rows,
};

/// A small generator of choices.
struct Choices(u64);

impl Choices {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) as usize % n
    }
    fn floats(&mut self, n: usize) -> Vec<f32> {
        (0..n).map(|_| self.below(2001) as f32 / 1000.0 - 1.0).collect()
    }
}

struct Case {
    convolution: Convolution,
    examples: usize,
    extents: Vec<usize>,
    inputs: usize,
    outputs: usize,
}

fn case(choices: &mut Choices) -> Case {
    let rank = 1 + choices.below(3);
    let groups = [1, 1, 2, 3][choices.below(4)];
    let axis = |choices: &mut Choices| Sliding {
        size: 1 + choices.below(4),
        step: [1, 2, 3, 1, 2, 3, 7, 18][choices.below(8)],
        dilation: [1, 2, 1, 2, 3, 0][choices.below(6)],
        before: [0, 1, 2, 0, 1, 2, 6][choices.below(7)],
        after: [0, 1, 2, 0, 1, 2, 6][choices.below(7)],
    };
    let axes: Vec<Sliding> = (0..rank).map(|_| axis(choices)).collect();
    let extent = |axis: &Sliding| {
        let reach = (axis.size - 1) * axis.dilation + 1;
        reach.saturating_sub(axis.before + axis.after).max(1) + choices.below(5)
    };
    let extents = axes.iter().map(extent).collect();
    Case {
        convolution: Convolution { axes: axes.into_iter().collect(), groups },
        examples: 1 + choices.below(3),
        extents,
        inputs: groups * (1 + choices.below(2)),
        outputs: groups * (1 + choices.below(2)),
    }
}

/// All index vectors below these extents.
fn indices(extents: &[usize]) -> Vec<Vec<usize>> {
    extents.iter().fold(vec![vec![]], |all, &extent| {
        all.iter().flat_map(|index| (0..extent).map(move |i| [&index[..], &[i]].concat())).collect()
    })
}

fn at(shape: &[usize], index: &[usize]) -> usize {
    shape.iter().zip(index).fold(0, |sum, (extent, i)| sum * extent + i)
}

impl Case {
    fn shape_of(&self, extents: &[usize], channels: usize) -> Vec<usize> {
        [&[self.examples], extents, &[channels]].concat()
    }
    fn kernel_shape(&self) -> Vec<usize> {
        let sizes: Vec<usize> = self.convolution.axes.iter().map(|axis| axis.size).collect();
        [&sizes[..], &[self.inputs / self.convolution.groups, self.outputs]].concat()
    }
    fn positions(&self) -> Vec<usize> {
        self.convolution.axes.iter().zip(&self.extents).map(|(axis, &extent)| axis.windows(extent).unwrap()).collect()
    }

    /// `add(x, kernel, y)` for the indices of every product that the definition adds up.
    fn products(&self, mut add: impl FnMut(usize, usize, usize)) {
        let (x_shape, y_shape) =
            (self.shape_of(&self.extents, self.inputs), self.shape_of(&self.positions(), self.outputs));
        let kernel_shape = self.kernel_shape();
        let groups = self.convolution.groups;
        let rank = self.extents.len();
        for y in indices(&y_shape) {
            let output = y[rank + 1];
            let group = output / (self.outputs / groups);
            for k in indices(&kernel_shape[..rank + 1]) {
                let place = |i: usize| {
                    let axis = self.convolution.axes[i];
                    let padded = y[1 + i] * axis.step + k[i] * axis.dilation;
                    padded.checked_sub(axis.before).filter(|&at| at < self.extents[i])
                };
                let Some(places) = (0..rank).map(place).collect::<Option<Vec<_>>>() else { continue };
                let channel = group * (self.inputs / groups) + k[rank];
                let x = [&[y[0]], &places[..], &[channel]].concat();
                let k = [&k[..], &[output]].concat();
                add(at(&x_shape, &x), at(&kernel_shape, &k), at(&y_shape, &y));
            }
        }
    }
}

fn close(got: &[f64], want: &[f64], what: &str) {
    assert_eq!(got.len(), want.len(), "{what}");
    for (i, (got, want)) in got.iter().zip(want).enumerate() {
        assert!((got - want).abs() < 1e-9, "{what}, element {i}: {got}, expected {want}");
    }
}

#[test]
fn convolutions_are_what_the_definition_says() {
    let mut choices = Choices(seed());
    for number in 0..cases(400) {
        let case = case(&mut choices);
        let b = Builder::new();
        let shape = |shape: Vec<usize>| Type::f32(shape.as_slice());
        let x_shape = case.shape_of(&case.extents, case.inputs);
        let y_shape = case.shape_of(&case.positions(), case.outputs);
        let (x, kernel) = (b.input("x", shape(x_shape.clone())), b.input("kernel", shape(case.kernel_shape())));
        let g = b.input("g", shape(y_shape.clone()));
        let y = case.convolution.apply(x, kernel);
        b.output("y", y);
        // its adjoint has a kernel of exchanged channels
        let (rank, groups) = (case.extents.len(), case.convolution.groups);
        let (inputs, outputs) = (case.inputs / groups, case.outputs / groups);
        let sizes: Vec<usize> = case.kernel_shape()[..rank].to_vec();
        let grouped = kernel.reshape([&sizes[..], &[inputs, groups, outputs]].concat().as_slice());
        let order: Vec<usize> = (0..rank).chain([rank + 2, rank + 1, rank]).collect();
        let turned = grouped.transpose(&order).reshape([&sizes[..], &[outputs, case.inputs]].concat().as_slice());
        b.output("dx", case.convolution.apply_transpose(g, turned, &case.extents));
        let graph = b.finish().unwrap_or_else(|error| panic!("case {number}, {:?}: {error}", case.convolution));

        let elements = |shape: &[usize]| shape.iter().product();
        let [x, kernel, g] = [&x_shape, &case.kernel_shape(), &y_shape].map(|s| choices.floats(elements(s)));
        let (mut y, mut dx) = (vec![0.0; g.len()], vec![0.0; x.len()]);
        case.products(|i, k, j| {
            y[j] += f64::from(x[i]) * f64::from(kernel[k]);
            dx[i] += f64::from(g[j]) * f64::from(kernel[k]);
        });
        let widen = |x: &[f32]| Elements::Floats(x.iter().map(|&x| f64::from(x)).collect());
        let got = evaluate_f64(&graph, &[widen(&x), widen(&kernel), widen(&g)]).unwrap();
        let what = format!("case {number}, {:?} of {x_shape:?}", case.convolution);
        close(got[0].floats().unwrap(), &y, &what);
        close(got[1].floats().unwrap(), &dx, &format!("adjoint of {what}"));
    }
}

#[test]
fn kernels_in_batches_meet_images_in_batches() {
    let b = Builder::new();
    let (x, kernel) = (b.input("x", Type::f32([2, 5, 3])), b.input("kernel", Type::f32([4, 3, 3, 2])));
    let axis = Sliding { size: 3, step: 2, dilation: 1, before: 1, after: 1 };
    let convolution = Convolution { axes: [axis].into_iter().collect(), groups: 1 };
    let many = convolution.apply(x.broadcast(&[4, 2, 5, 3].into()), kernel);
    let one = convolution.apply(x, kernel.slice(0, 3..4).reshape([3, 3, 2]));
    assert_eq!(*many.shape(), [4, 2, 3, 2]);
    b.output("difference", many.slice(0, 3..4).reshape([2, 3, 2]) - one);
    let mut choices = Choices(2);
    let inputs = [Tensor::f32([2, 5, 3], choices.floats(30)), Tensor::f32([4, 3, 3, 2], choices.floats(72))];
    let y = evaluate(&b.finish().unwrap(), &inputs.map(Result::unwrap)).unwrap();
    assert_eq!(y[0].as_f32().unwrap(), [0.0; 12]);
}

#[test]
fn axes_are_cut_turned_and_padded() {
    let b = Builder::new();
    let x = b.input("x", Type::f32([2, 3]));
    b.output("cut", x.slice(1, 1..3));
    b.output("turned", x.reverse(1));
    b.output("padded", x.pad(1, 1, 2, 0));
    b.output("spread", x.pad(0, 0, 1, 1));
    let window = Window { axis: 1, start: 0, size: 2, dilation: 1, count: 2, step: 1 };
    b.output("windows", x.window(window));
    b.output("fold", x.window(window).fold(window, 3));
    let y = evaluate(&b.finish().unwrap(), &[Tensor::f32([2, 3], [1., 2., 3., 4., 5., 6.]).unwrap()]).unwrap();
    let expected: [(&[usize], &[f32]); 6] = [
        (&[2, 2], &[2., 3., 5., 6.]),
        (&[2, 3], &[3., 2., 1., 6., 5., 4.]),
        (&[2, 6], &[0., 1., 2., 3., 0., 0., 0., 4., 5., 6., 0., 0.]),
        (&[4, 3], &[1., 2., 3., 0., 0., 0., 4., 5., 6., 0., 0., 0.]),
        (&[2, 2, 2], &[1., 2., 2., 3., 4., 5., 5., 6.]),
        (&[2, 3], &[1., 4., 3., 4., 10., 6.]),
    ];
    for (y, (shape, elements)) in y.iter().zip(expected) {
        assert_eq!((y.shape(), y.as_f32().unwrap()), (&Shape::new(shape), elements));
    }
}

#[test]
fn what_does_not_fit_is_an_error() {
    let axis = Sliding { size: 3, step: 1, dilation: 1, before: 0, after: 0 };
    let error = |groups: usize, axis: Sliding, x: &[usize], kernel: &[usize]| {
        let b = Builder::new();
        let (x, kernel) = (b.input("x", Type::f32(x)), b.input("kernel", Type::f32(kernel)));
        let y = Convolution { axes: [axis].into_iter().collect(), groups }.apply(x, kernel);
        b.output("y", y);
        b.finish().unwrap_err().to_string()
    };
    let fits: (&[usize], &[usize]) = (&[2, 5, 4], &[3, 4, 6]);
    for (message, (x, kernel)) in [
        (error(1, axis, &[2, 2, 4], fits.1), (fits.0, fits.1)),
        (error(1, axis, &[5], fits.1), fits),
        (error(1, axis, fits.0, &[3, 6]), fits),
        (error(1, axis, fits.0, &[3, 3, 6]), fits),
        (error(1, axis, fits.0, &[2, 4, 6]), fits),
        (error(3, axis, fits.0, fits.1), fits),
        (error(0, axis, fits.0, fits.1), fits),
        (error(1, Sliding { step: 0, ..axis }, fits.0, fits.1), fits),
        (error(1, Sliding { size: 0, ..axis }, fits.0, fits.1), fits),
        (error(1, Sliding { dilation: usize::MAX, ..axis }, fits.0, fits.1), fits),
        (error(1, Sliding { before: usize::MAX, ..axis }, fits.0, fits.1), fits),
    ] {
        assert!(message.contains("convolution"), "{message} for {x:?}, {kernel:?}");
    }
    let b = Builder::new();
    let x = b.input("x", Type::f32([4]));
    let window = Window { axis: 0, start: 0, size: 2, dilation: 1, count: 3, step: 1 };
    for wrong in [
        Window { count: 4, ..window },
        Window { axis: 1, ..window },
        Window { step: 0, ..window },
        Window { size: 0, ..window },
        Window { step: -1, ..window },
        Window { start: usize::MAX, ..window },
        Window { count: 1, step: i64::MAX, ..window },
    ] {
        assert!(b.graph().clone().push(bayeslift_ir::Op::Window(wrong), &[x.value()]).is_err(), "{wrong:?}");
    }
}

/// Absurd sizes are errors, not overflows.
#[test]
fn absurd_sizes_are_errors() {
    const MOST: usize = usize::MAX;
    let convolution = |axis: Sliding| Convolution { axes: [axis, axis].into_iter().collect(), groups: 1 };
    let axis = Sliding { size: 1, step: 1, dilation: 1, before: 0, after: 0 };
    let on = |make: &dyn for<'b> Fn(Expr<'b>) -> Expr<'b>, shape: &[usize]| {
        let b = Builder::new();
        make(b.input("x", Type::f32(shape)));
        assert!(b.check().is_err());
    };
    for (axis, before, after, between) in [
        (0, MOST, 1, 0),
        (0, MOST / 2, 0, 0),
        (0, 0, 0, MOST),
        (1, 0, 0, MOST / 2),
        (1, 0, MOST, 0),
        (1, 0, MOST, MOST),
    ] {
        on(&|x| x.pad(axis, before, after, between), &[4, 3]);
    }
    let window = Window { axis: MOST, start: 0, size: 1, dilation: 1, count: 1, step: 1 };
    on(&|x| x.fold(window, 1), &[4, 3]);
    on(&|x| x.window(window), &[4, 3]);
    on(&|x| x.window(Window { axis: 0, size: MOST, dilation: 0, ..window }), &[4, 3]);
    on(&|x| x.slice(0, 1..MOST), &[4, 3]);
    let apply = |axis: Sliding, image: &[usize], kernel: [usize; 4]| {
        on(&|x| convolution(axis).apply(x, x.builder().input("kernel", Type::f32(kernel))), image);
    };
    apply(Sliding { before: 1 << 60, ..axis }, &[2, 5, 5, 16], [1, 1, 16, 2]);
    apply(Sliding { size: 1 << 60, before: 1 << 60, ..axis }, &[2, 5, 5, 16], [1, 1, 16, 2]);
    apply(Sliding { size: 1 << 40, dilation: 0, ..axis }, &[2, 5, 5, 16], [1, 1, 16, 2]);
    let spread_to = |axis: Sliding, extent: usize, size: usize| {
        let kernel = Type::f32([size, size, 16, 2]);
        let transposed = |x: Expr<'_>, extents: &[usize]| {
            convolution(axis).apply_transpose(x, x.builder().input("kernel", kernel.clone()), extents);
        };
        let b = Builder::new();
        transposed(b.input("x", Type::f32([2, 1, 1, 16])), &[extent; 2]);
        assert!(b.check().is_err(), "{axis:?} on {extent}");
    };
    spread_to(Sliding { step: 1 << 40, ..axis }, MOST, 1);
    spread_to(Sliding { step: MOST, ..axis }, 1 << 31, 1);
    spread_to(Sliding { size: 2, step: MOST, dilation: 2, before: MOST / 2, ..axis }, MOST / 2, 2);
    spread_to(Sliding { size: 2, dilation: 1 << 31, before: 1 << 31, ..axis }, 1 << 31, 2);
    on(&|x| convolution(axis).patches(x, &Shape::new(&[0])).rows, &[2, 4, 4, 16]);
    on(&|x| spread(x, x, &[axis], &[4]), &[2, 4, 16]);
    on(&|x| spread(x, x, &[Sliding { step: 0, ..axis }], &[4]), &[1, 2, 4, 1, 16]);
    on(&|x| windows_as_rows(x, &[axis]), &[2, 4, 16]);
}

/// A step that no window takes may be as long as any.
#[test]
fn one_window_has_no_step() {
    for step in [5, 1 << 40, usize::MAX] {
        let axis = Sliding { size: 3, step, dilation: 1, before: 1, after: 1 };
        let convolution = Convolution { axes: [axis].into_iter().collect(), groups: 1 };
        let b = Builder::new();
        let (x, kernel) = (b.input("x", Type::f32([1, 3, 1])), b.input("kernel", Type::f32([3, 1, 1])));
        let y = convolution.apply(x, kernel);
        b.output("y", y);
        b.output("dx", convolution.apply_transpose(y, kernel, &[3]));
        let inputs = [[1, 3, 1], [3, 1, 1]].map(|shape| Tensor::f32(shape, [1.0, 2.0, 3.0]).unwrap());
        let y = evaluate(&b.finish().unwrap(), &inputs).unwrap();
        assert_eq!((y[0].as_f32().unwrap(), y[1].as_f32().unwrap()), (&[8.0][..], &[16.0, 24.0, 0.0][..]));
    }
}
