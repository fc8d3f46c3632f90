//! Arguments and inputs that nobody would choose: each is an error or a layer, none a panic. Nothing is computed, so
//! that sizes may be absurd.

use bayeslift_ir::Shape;
use bayeslift_layers::{
    Convolution, ConvolutionTranspose, Embedding, Flipout, GlobalPooling, KernelBiasLayer, Layer, Local, Padding,
    PerAxis, Pooling, Reparameterization, Variational,
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

/// Lists of so many axes, whatever the rank is said to be.
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
    let mut choices = Choices(7);
    let mut outcomes = [0, 0];
    for _ in 0..4000 {
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
    assert!(outcomes.iter().all(|&count| count > 10_000), "{outcomes:?}");
}
