//! Steps that are made in parts have the bits of steps on one batch, or are refused.

#[allow(dead_code)] // Each test uses a part of it.
mod facade;
#[path = "facade/networks.rs"]
mod networks;

use bayeslift::{
    Error, StepLoss,
    ir::{Builder, DType, Tensor, Type, evaluate, same_bits},
    layers::*,
    prelude::*,
    runtime::Rewriting,
};
use bayeslift_passes::Accumulation;
use facade::bits;
use networks::{networks, networks_of};

const STEPS: usize = 2;

/// Numbers that look random, from 0 to 1.
fn numbers(count: usize) -> Vec<f32> {
    (0..count as u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 8) as f32 / (1 << 24) as f32).collect()
}

fn inputs(name: &str, network: &Network, rows: usize) -> Vec<f32> {
    let x = numbers(rows * network.input().elements());
    if name.starts_with("embedding") {
        x.iter().map(|x| (x * 5.0).floor()).collect()
    } else {
        x.iter().map(|x| 2.0 * x - 1.0).collect()
    }
}

/// Targets that a network may have.
fn targets(name: &str, network: &Network, rows: usize) -> Vec<Targets> {
    let count = |units: usize| numbers(rows * units).into_iter();
    let values = |units, values: Vec<f32>| Targets::Values { units, values };
    let mut all = vec![Targets::Labels((0..rows as u32).map(|i| i * 7 % 3 % 2).collect())];
    for units in 1..=3 {
        all.push(values(units, count(units).map(|x| 0.1 + 0.8 * x).collect()));
        all.push(values(units, count(units).map(|x| f32::from(x > 0.5)).collect()));
        let simplex = |x: f32| [0.2 + 0.1 * x, 0.5 - 0.2 * x, 0.3 + 0.1 * x];
        all.push(values(3, numbers(rows).into_iter().flat_map(simplex).collect()));
    }
    let mut trainer = Trainer::new(network, rows, TrainerOptions::default().backend(Backend::Reference)).unwrap();
    let fits = |targets: &Targets| {
        let x = inputs(name, network, 2);
        let one = match targets {
            Targets::Labels(labels) => Targets::Labels(labels[..2].to_vec()),
            Targets::Values { units, values } => {
                Targets::Values { units: *units, values: values[..2 * *units].to_vec() }
            }
            Targets::Doubles { .. } => return false,
        };
        trainer.step(&mut network.clone(), StepInput::new(&x, &one)).is_ok()
    };
    all.into_iter().filter(fits).collect()
}

fn train(network: &Network, options: TrainerOptions, input: StepInput<'_>) -> Result<(Network, Vec<StepLoss>), Error> {
    let mut network = network.clone();
    let mut trainer = Trainer::new(&network, 1000, options)?;
    let losses = (0..STEPS).map(|_| trainer.step(&mut network, input)).collect::<Result<_, _>>()?;
    Ok((network, losses))
}

/// Parameters after some steps, and what these measured, to the bit.
fn assert_same(name: &str, network: &Network, options: &TrainerOptions, size: usize, input: StepInput<'_>) {
    let (whole, losses) = train(network, options.clone(), input).unwrap();
    let (parts, found) =
        train(network, options.clone().micro_batch_size(size), input).unwrap_or_else(|error| panic!("{name}: {error}"));
    assert_eq!(bits(&parts), bits(&whole), "{name}: {options:?}, parts of {size}");
    let bits = |losses: &[StepLoss]| -> Vec<[u64; 3]> {
        losses.iter().map(|l| [l.loss, l.negative_log_likelihood, l.divergence].map(f64::to_bits)).collect()
    };
    assert_eq!(bits(&found), bits(&losses), "{name}");
    assert_ne!(facade::bits(&whole), facade::bits(network), "{name}: nothing was trained");
}

#[test]
fn networks_of_every_kind_have_the_bits_of_one_batch() {
    let mut refused = Vec::new();
    for (name, network) in networks().into_iter().chain(networks_of(DType::F64)) {
        if network.parameters().iter().next().is_none() {
            continue;
        }
        let rows = 530;
        let x = inputs(&name, &network, rows);
        let targets = targets(&name, &network, rows).into_iter().next().unwrap_or_else(|| panic!("{name}: no targets"));
        let input = StepInput::new(&x, &targets).divergence_weight(0.3);
        let options = TrainerOptions::default().optimizer(Adam::new(1e-2));
        match train(&network, options.clone().micro_batch_size(256), input) {
            Err(error) => refused.push(format!("{name}: {error}")),
            Ok(_) => assert_same(&name, &network, &options, 256, input),
        }
    }
    let expected = |dtype: DType| {
        format!(
            "normalization: micro batches do not have the bits of one batch here: a value reads, for each row, what depends on all \
             rows, in a `add` in layer `batch_normalization`, of type {dtype}[530,3]; train without `micro_batch_size`"
        )
    };
    assert_eq!(refused, [DType::F32, DType::F64].map(expected));
}

/// Sums of `f64` over rows, which have no chunks, are carried on too: nothing is kept of a row.
#[test]
fn sums_of_f64_keep_no_rows() {
    let b = Builder::of(DType::F64);
    let (x, w) = (b.input("x", Type::f64([600, 3])), b.input("w", Type::f64([3, 2])));
    let y = x.dot(w);
    b.output("kernel", x.transpose(&[1, 0]).dot(y));
    b.output("bias", y.sum(0));
    b.output("middle", y.reshape([1, 600, 2]).sum(1));
    let graph = b.finish().unwrap();
    let accumulation = Accumulation::new(&graph, 600, |input| input.name == "x").unwrap();
    assert_eq!((accumulation.stacks(600).count(), accumulation.multiple()), (0, 256));
    let elements: Vec<f64> =
        numbers(1800).into_iter().zip(1..).map(|(x, i)| f64::from(x - 0.5) / f64::from(i)).collect();
    let w = Tensor::f64([3, 2], [0.3, -0.2, 0.5, 0.9, -1.5, 0.1]).unwrap();
    let mut sums = accumulation.zeros().unwrap();
    for rows in [0..256, 256..512, 512..600] {
        let part = accumulation.part(rows.len(), rows.end == 600).unwrap();
        let x = Tensor::f64([rows.len(), 3], &elements[rows.start * 3..rows.end * 3]).unwrap();
        sums = evaluate(&part, &[&[x, w.clone()], &sums[..]].concat()).unwrap();
    }
    let x = Tensor::f64([600, 3], elements).unwrap();
    let found = evaluate(&accumulation.whole().unwrap(), &[&[x.clone(), w.clone()], &sums[..]].concat()).unwrap();
    for (found, expected) in found.iter().zip(evaluate(&graph, &[x, w]).unwrap()) {
        same_bits(found, &expected).unwrap();
    }
}

/// Sums of several chunks in a part, parts that divide the batch or not, all that a step may be told, optimizers that
/// draw.
#[test]
fn steps_of_every_kind_have_the_bits_of_one_batch() {
    let normal = || Prior::normal(0.0, 1.0);
    let layers = || {
        Sequential::new()
            .layer(
                AffineVariationalReparameterizationLocal::new(3, 7).prior_maker(normal()).activation(Activation::Relu),
            )
            .layer(Dropout::new(0.2))
            .layer(AffineVariationalFlipout::new(7, 2).prior_maker(normal()))
    };
    let network = Network::new(layers(), [3], likelihood::Normal::learned(0.5), 4).unwrap();
    let rows = 1100;
    let x = inputs("", &network, rows);
    let targets = Targets::Values { units: 2, values: numbers(2 * rows) };
    let present: Vec<bool> = numbers(2 * rows).iter().map(|x| *x > 0.3).collect();
    let weights: Vec<f32> = numbers(rows).iter().map(|x| (x * 4.0).floor()).collect();
    let options = || TrainerOptions::default().seed(9);
    let input = StepInput::new(&x, &targets);
    for size in [256, 512, 1024] {
        assert_same("sizes", &network, &options(), size, input);
        assert_same("exact", &network, &options().divergence(Divergence::Exact).clip_norm(0.1), size, input);
    }
    assert_same("present", &network, &options().optimizer(AdamW::new(0.01)), 256, input.present(Some(&present)));
    let both = input.present(Some(&present)).weights(Some(&weights)).rate(0.5);
    assert_same("weights", &network, &options().optimizer(Sgd::new(0.1)), 512, both);
    let compiled = |lanes, threads| Backend::from(Options::default().lanes(lanes).threads(threads));
    for backend in [Backend::Reference, compiled(16, 2), compiled(4, 1), compiled(1, 1)] {
        assert_same("backends", &network, &options().backend(backend), 256, input);
    }
    for level in [Rewriting::Off, Rewriting::Exact] {
        assert_same("rewriting", &network, &options().backend(Options::default().rewriting(level)), 256, input);
    }
    let deterministic =
        Sequential::new().layer(Affine::new(3, 7).activation(Activation::Tanh)).layer(Affine::new(7, 2));
    let network = Network::new(deterministic, [3], likelihood::Normal::fixed(0.5), 4).unwrap();
    assert_same("ivon", &network, &options().optimizer(Ivon::default()), 256, input);
    assert_same("sgld", &network, &options().optimizer(Sgld::default()), 256, input);
}

/// A row of an image adds to sums more than once, so that parts of fewer rows end with chunks.
#[test]
fn images_are_split_in_small_parts() {
    let layers = Sequential::new()
        .layer(
            ConvolutionVariationalReparameterizationLocal::new(1, 3, 3)
                .padding(Padding::Same)
                .activation(Activation::Relu),
        )
        .layer(Pooling::max(2))
        .layer(Flatten)
        .layer(Affine::new(16 * 3, 2));
    let network = Network::new(layers, [8, 8, 1], likelihood::Categorical, 1).unwrap();
    let x = inputs("", &network, 600);
    let targets = Targets::Labels((0..600).map(|i| i * 7 % 3 % 2).collect());
    let of = |rows: usize| Targets::Labels((0..rows as u32).map(|i| i * 7 % 3 % 2).collect());
    assert_same("images", &network, &TrainerOptions::default(), 256, StepInput::new(&x, &targets));
    // without the affine layer, whose products have a row once
    let layers = Sequential::new()
        .layer(
            ConvolutionVariationalReparameterizationLocal::new(1, 2, 3)
                .padding(Padding::Same)
                .activation(Activation::Relu),
        )
        .layer(GlobalPooling::average(2));
    let network = Network::new(layers, [8, 8, 1], likelihood::Categorical, 1).unwrap();
    let (x, targets) = (&x[..160 * 64], of(160));
    assert_same("pooled images", &network, &TrainerOptions::default(), 64, StepInput::new(x, &targets));
}

#[test]
fn what_cannot_be_split_is_refused() {
    let network = Network::new(facade::small_layers(), [3], likelihood::Categorical, 1).unwrap();
    let x = inputs("", &network, 300);
    let targets = Targets::Labels(vec![1; 300]);
    let error =
        |options: TrainerOptions| train(&network, options, StepInput::new(&x, &targets)).unwrap_err().to_string();
    assert_eq!(
        error(TrainerOptions::default().micro_batch_size(100)),
        "the micro batch size is 100, expected a multiple of 256, for sums in the order of one batch"
    );
    assert_eq!(
        error(TrainerOptions::default().micro_batch_size(0)),
        "the number of rows of a micro batch is 0, expected at least 1"
    );
    // of a product that adds sample after sample, a part of the rows is no part
    assert_eq!(
        error(TrainerOptions::default().micro_batch_size(256).samples(3)),
        "micro batches do not have the bits of one batch here: a value tears rows apart, in a `reshape` in layer `affine_2`, of \
         type f32[900,5]; train without `micro_batch_size`"
    );
    // a batch that fits is a step as always
    assert!(train(&network, TrainerOptions::default().micro_batch_size(300), StepInput::new(&x, &targets)).is_ok());
}

/// A step that is not finite changes nothing, and says why, as it does on one batch.
#[test]
fn steps_that_are_not_finite_change_nothing() {
    let network = Network::new(facade::small_layers(), [3], likelihood::Normal::fixed(0.1), 1).unwrap();
    let mut x = inputs("", &network, 300);
    x[700] = f32::MAX;
    let targets = Targets::Values { units: 2, values: numbers(600) };
    let step = |options: TrainerOptions| {
        let mut after = network.clone();
        let mut trainer = Trainer::new(&network, 300, options).unwrap();
        let error = trainer.step(&mut after, StepInput::new(&x, &targets)).unwrap_err().to_string();
        assert_eq!((bits(&after), trainer.steps()), (bits(&network), 0));
        // and the next one is made
        let fine = inputs("", &network, 300);
        assert_eq!(trainer.step(&mut after, StepInput::new(&fine, &targets)).unwrap().step, 1);
        error
    };
    let error = step(TrainerOptions::default());
    assert_eq!(step(TrainerOptions::default().micro_batch_size(256)), error);
    assert!(error.contains("step 1"), "{error}");
}

/// A fit, too, and a run with micro batches goes on from a checkpoint of one without.
#[test]
fn fits_have_the_bits_of_one_batch() {
    let data = facade::small_data(700);
    let fit = |size: Option<usize>| {
        let mut network = Network::new(facade::small_layers(), [3], likelihood::Categorical, 1).unwrap();
        let fit = Fit::new().epochs(2).batch_size(600).learning_rate(1e-2);
        let fit = size.into_iter().fold(fit, Fit::micro_batch_size);
        let report = fit.run(&mut network, &data).unwrap();
        (bits(&network), report.epochs)
    };
    assert_eq!(fit(Some(256)), fit(None));
}
