//! Arguments and inputs that nobody would choose: each is an error or a layer, none a panic. Nothing is computed, so
//! that sizes may be absurd.

use bayeslift_ir::{
    Builder, Shape, Type,
    arbitrary::{cases, seed},
};
use bayeslift_layers::{
    Context, Convolution, ConvolutionTranspose, Embedding, Flipout, GlobalPooling, KernelBiasLayer, Layer, Local,
    Padding, PerAxis, Pooling, Reparameterization, Scope, Variational, noise_inputs,
};

/// A small generator of choices.
struct Choices(u64);

impl Choices {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) as usize % n
    }

    /// Mostly what makes sense.
    fn size(&mut self) -> usize {
        const ABSURD: [usize; 9] =
            [0, 1 << 15, 1 << 20, (1 << 31) - 1, 1 << 31, 1 << 32, usize::MAX / 2, usize::MAX - 1, usize::MAX];
        match self.below(10) {
            0 => ABSURD[self.below(ABSURD.len())],
            _ => 1 + self.below(4),
        }
    }

    fn list(&mut self, len: usize) -> Vec<usize> {
        (0..len).map(|_| self.size()).collect()
    }

    fn per_axis(&mut self, rank: usize) -> PerAxis {
        match self.below(3) {
            0 => self.size().into(),
            1 => self.list(rank).into(),
            _ => 1.into(),
        }
    }

    fn padding(&mut self, rank: usize) -> Padding {
        match self.below(5) {
            0 | 1 => Padding::Valid,
            2 => Padding::Same,
            3 => Padding::Causal,
            _ => Padding::Explicit((0..rank).map(|_| (self.size(), self.size())).collect()),
        }
    }

    /// Mostly one to three.
    fn rank(&mut self) -> usize {
        match self.below(20) {
            0 => self.size(),
            _ => 1 + self.below(3),
        }
    }
}

/// How many axes are listed, whatever the rank is said to be: few.
fn listed(rank: usize) -> usize {
    rank.min(5)
}

/// A trace calls the layer; it draws and computes nothing.
fn trace(layer: &dyn Layer, input: &Shape, outcomes: &mut [usize; 2]) {
    match layer.trace(input.clone()) {
        Ok(_) => outcomes[0] += 1,
        Err(error) => {
            outcomes[1] += 1;
            assert!(!error.to_string().is_empty());
        }
    }
}

fn by_every_estimator<L: KernelBiasLayer>(layer: &L, input: &Shape, outcomes: &mut [usize; 2]) {
    trace(layer, input, outcomes);
    trace(&Variational::<L, Reparameterization>::of(layer.clone()), input, outcomes);
    trace(&Variational::<L, Local>::of(layer.clone()), input, outcomes);
    trace(&Variational::<L, Flipout>::of(layer.clone()), input, outcomes);
}

#[test]
fn nothing_panics() {
    let mut choices = Choices(seed());
    let cases = cases(4000) as usize;
    let mut outcomes = [0, 0];
    for _ in 0..cases {
        let rank = choices.rank();
        let (inputs, outputs) = (choices.size(), choices.size());
        let groups = if choices.below(4) == 0 { choices.size() } else { 1 };
        let positions = listed(rank) + usize::from(choices.below(30) == 0);
        let leading = 1 + usize::from(choices.below(5) == 0);
        let channels = if choices.below(20) == 0 { choices.size() } else { inputs };
        let extent = |choices: &mut Choices| if choices.below(20) == 0 { choices.size() } else { 1 + choices.below(9) };
        let mut input: Vec<usize> = (0..leading + positions).map(|_| extent(&mut choices)).collect();
        input.push(channels);
        let input = Shape::new(&input);
        let filter = choices.per_axis(listed(rank));
        let (strides, dilations) = (choices.per_axis(listed(rank)), choices.per_axis(listed(rank)));
        let padding = choices.padding(listed(rank));
        let mut convolution = Convolution::new(inputs, outputs, filter.clone())
            .rank(rank)
            .strides(strides.clone())
            .dilations(dilations.clone())
            .padding(padding.clone())
            .groups(groups);
        if choices.below(10) == 0 {
            convolution = convolution.batch_shape(choices.list(1).as_slice());
        }
        by_every_estimator(&convolution, &input, &mut outcomes);
        let mut transposed = ConvolutionTranspose::new(inputs, outputs, filter.clone())
            .rank(rank)
            .strides(strides.clone())
            .dilations(dilations)
            .padding(padding.clone())
            .groups(groups);
        if choices.below(3) == 0 {
            transposed = transposed.output_padding(choices.per_axis(listed(rank)));
        }
        by_every_estimator(&transposed, &input, &mut outcomes);
        for pooling in [Pooling::max(filter.clone()), Pooling::average(filter)] {
            let pooling = pooling.rank(rank).strides(strides.clone()).padding(padding.clone());
            trace(&pooling, &input, &mut outcomes);
        }
        trace(&GlobalPooling::average(rank), &input, &mut outcomes);
        by_every_estimator(&Embedding::new(inputs, outputs), &input, &mut outcomes);
    }
    // Both happen often, or the choices test nothing.
    assert!(outcomes.iter().all(|&count| count > cases * 5 / 2), "{outcomes:?}");
}

/// Graphs that are too large only inside of a layer's product, under samples, batches of kernels or on the way back: an
/// error.
#[test]
fn sizes_that_are_too_large_inside_are_errors() {
    let gradient = |layer: &dyn Layer, input: &[usize], samples: Option<usize>| {
        let b = Builder::new();
        let mut context = Context::new(Scope::describe(&b)).noise(noise_inputs(&b));
        if let Some(samples) = samples {
            context = context.samples(samples);
        }
        let x = context.input(b.input("x", Type::f32(input)));
        match layer.call(&context, x) {
            Ok(call) => {
                bayeslift_passes::gradients(call.output.sum_all(), &[x]);
                b.check().map_err(|error| error.to_string())
            }
            Err(error) => Err(error.to_string()),
        }
    };
    let too_large = |layer: &dyn Layer, input: &[usize], samples: Option<usize>| {
        let error = gradient(layer, input, samples).unwrap_err();
        assert!(error.contains("elements") || error.contains("axes"), "{error}");
    };
    let ensemble = Convolution::new(64, 8, [3, 3]).batch_shape([10]);
    too_large(&ensemble, &[128, 1, 56, 56, 64], None);
    let one_hots = Variational::<Embedding, Flipout>::of(Embedding::new(10_000, 16));
    too_large(&one_hots, &[512, 512], None);
    too_large(&one_hots, &[512, 512], Some(2));
    let outputs = Variational::<Convolution, Local>::of(Convolution::new(3, 64, [3, 3]).padding(Padding::Same));
    too_large(&outputs, &[160, 512, 512, 3], Some(2));
    let flipped = Variational::<Convolution, Flipout>::of(Convolution::new(3, 64, [3, 3]).padding(Padding::Same));
    too_large(&flipped, &[160, 512, 512, 3], Some(2));
    let transposed = ConvolutionTranspose::new(256, 128, [4, 4]).strides(2).padding(Padding::Same);
    let transposed = Variational::<ConvolutionTranspose, Reparameterization>::of(transposed);
    too_large(&transposed, &[32, 64, 64, 256], Some(32));

    // four axes of positions, whose adjoint has more axes than there may be
    let b = Builder::new();
    let (x, kernel) = (b.input("x", Type::f32([1, 3, 3, 3, 3, 1])), b.input("k", Type::f32([2, 2, 2, 2, 1, 1])));
    let axis = bayeslift_ir::Sliding { size: 2, step: 1, dilation: 1, before: 0, after: 0 };
    let convolution = bayeslift_ir::Convolution { axes: [axis; 4].into_iter().collect(), groups: 1 };
    let y = convolution.apply(x, kernel);
    b.check().unwrap();
    bayeslift_passes::gradients(y.sum_all(), &[x]);
    assert!(b.check().is_err());

    // windows on the adjoint would be too large, those on the image are not
    let wide = Convolution::new(64, 128, [3, 3]).padding(Padding::Same);
    gradient(&wide, &[256, 112, 112, 64], None).unwrap();
}

/// What a layer asks of its product is asked with arguments that were never checked.
#[test]
fn products_of_unchecked_layers_are_errors() {
    let b = Builder::new();
    let (context, x) = (Context::new(Scope::describe(&b)), b.input("x", Type::f32([1, 4, 4, 1])));
    let same = || Convolution::new(1, 1, [3, 3]).padding(Padding::Same);
    for layer in [same().strides(0), same().padding(Padding::Explicit(vec![])), same().rank(usize::MAX)] {
        assert!(layer.linear(&context, x).is_err());
    }
    let transposed = ConvolutionTranspose::new(1, 1, [3, 3]).padding(Padding::Same);
    for layer in [transposed.clone().strides(0), transposed.rank(usize::MAX)] {
        assert!(layer.linear(&context, x).is_err());
    }
}
