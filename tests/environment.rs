//! Whatever a host's floating-point environment is, every result has the bits that it has in the default one, and the
//! host finds its environment as it left it.
#![cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]

use bayeslift::{
    Position,
    ir::{Graph, Op, Tensor, Type, Unary, evaluate},
    layers::{Optimizer, inverse_softplus, natural_log},
    prelude::*,
};

#[cfg(target_arch = "x86_64")]
mod register {
    pub const DEFAULT: u64 = 0x1f80;
    /// Round down, up, to zero, flush to zero, to zero with flushing.
    pub const SETTINGS: [u64; 5] = [0x3f80, 0x5f80, 0x7f80, 0x9fc0, 0xffc0];
    /// All but the flags of what has happened.
    pub const CONTROL: u64 = !0x3f;

    #[inline(never)]
    pub fn read() -> u64 {
        let mut setting = 0_u32;
        // SAFETY: stores the register to a local variable.
        unsafe { std::arch::asm!("stmxcsr [{}]", in(reg) &mut setting, options(nostack, preserves_flags)) };
        u64::from(setting)
    }

    #[inline(never)]
    pub fn write(setting: u64) {
        let setting = setting as u32;
        // SAFETY: the settings have no reserved bits set; what runs under them is what is tested.
        unsafe { std::arch::asm!("ldmxcsr [{}]", in(reg) &setting, options(nostack)) };
    }
}

#[cfg(target_arch = "aarch64")]
mod register {
    pub const DEFAULT: u64 = 0;
    /// Round up, down, to zero, flush to zero, to zero with flushing.
    pub const SETTINGS: [u64; 5] = [1 << 22, 2 << 22, 3 << 22, 1 << 24, 1 << 24 | 3 << 22];
    pub const CONTROL: u64 = !0;

    #[inline(never)]
    pub fn read() -> u64 {
        let setting: u64;
        // SAFETY: reads a register.
        unsafe { std::arch::asm!("mrs {}, fpcr", out(reg) setting, options(nostack, preserves_flags)) };
        setting
    }

    #[inline(never)]
    pub fn write(setting: u64) {
        // SAFETY: the settings are of rounding and flushing; what runs under them is what is tested.
        unsafe { std::arch::asm!("msr fpcr, {}", in(reg) setting, options(nostack)) };
    }
}

/// What is computed, and the bits of its result; the numbers that a computation begins with are made before.
type Result = (&'static str, Vec<u64>);
type Computation = (&'static str, Box<dyn Fn() -> Vec<u64>>);

fn bits(values: &[f32]) -> Vec<u64> {
    values.iter().map(|x| u64::from(x.to_bits())).collect()
}

fn bits64(values: impl IntoIterator<Item = f64>) -> Vec<u64> {
    values.into_iter().map(f64::to_bits).collect()
}

fn parameters(network: &Network) -> Vec<u64> {
    network.parameters().iter().flat_map(|(_, parameter)| bits(parameter.tensor.as_f32().unwrap())).collect()
}

fn layers() -> Sequential {
    Sequential::new()
        .layer(AffineVariationalReparameterizationLocal::new(3, 8).activation(Activation::Tanh))
        .layer(LayerNormalization::new(8))
        .layer(AffineVariationalReparameterization::new(8, 3))
}

/// Every unary operation on numbers of all sizes, subnormal ones too, with a product and sums.
fn graph() -> (Graph, Vec<Tensor>) {
    let values: Vec<f32> = (0..400_i32).map(|i| (i - 200) as f32 * 0.37 * 2_f32.powi(-(i % 7) * 20)).collect();
    let mut graph = Graph::new();
    let x = graph.input("x", Type::f32([20, 20])).unwrap();
    for (i, op) in Unary::ALL.iter().enumerate() {
        let value = graph.push(Op::Unary(*op), &[x]).unwrap();
        graph.output(&format!("{i}"), value).unwrap();
    }
    for (name, op) in [("sum", Op::Sum(0)), ("last", Op::Sum(1))] {
        let value = graph.push(op, &[x]).unwrap();
        graph.output(name, value).unwrap();
    }
    let dot = graph.push(Op::Dot, &[x, x]).unwrap();
    graph.output("dot", dot).unwrap();
    (graph, vec![Tensor::f32([20, 20], values).unwrap()])
}

fn computations() -> Vec<Computation> {
    let mut all: Vec<Computation> = Vec::new();
    let mut add = |name, of: Box<dyn Fn() -> Vec<u64>>| all.push((name, of));
    let initializers: [(&str, Initializer); 12] = [
        ("zeros", Initializer::Zeros),
        ("ones", Initializer::Ones),
        ("a constant", Initializer::Constant(0.1)),
        ("a uniform initializer", Initializer::Uniform { limit: 0.3 }),
        ("Glorot's uniform initializer", Initializer::GlorotUniform),
        ("He's uniform initializer", Initializer::HeUniform),
        ("Glorot's normal initializer", Initializer::GlorotNormal),
        ("He's normal initializer", Initializer::HeNormal),
        ("LeCun's normal initializer", Initializer::LecunNormal),
        ("a normal initializer", Initializer::Normal { stddev: 0.3 }),
        ("a truncated normal initializer", Initializer::TruncatedNormal { stddev: 0.3 }),
        ("an orthogonal initializer", Initializer::Orthogonal { gain: 0.7 }),
    ];
    for (name, initializer) in initializers {
        let of = move || {
            let shape = [7, 11].into();
            let drawn = initializer.initial(3, 5, &Type::f32([7, 11]), 0).unwrap();
            let scalars = [initializer.limit(&shape, 0), initializer.stddev_before_truncation(&shape, 0)];
            [bits(drawn.as_f32().unwrap()), bits64(scalars.into_iter().flatten())].concat()
        };
        add(name, Box::new(of));
    }
    let (evaluated, inputs) = graph();
    let values = move || -> Vec<u64> {
        let outputs = evaluate(&evaluated, &inputs).unwrap();
        outputs.iter().flat_map(|output| bits(output.as_f32().unwrap())).collect()
    };
    add("an evaluated graph", Box::new(values));
    let constants = |text: &str| -> Vec<u64> {
        let graph: Graph = text.parse().unwrap();
        let constant = |op: &Op| if let Op::Constant(bits) = op { Some(u64::from(*bits)) } else { None };
        graph.nodes().iter().filter_map(|node| constant(&node.op)).collect()
    };
    let mut decimals = Graph::new();
    for (i, x) in (1..60_i32).map(|i| 0.1 * 7_f32.powi(i % 20) * 10_f32.powi(-i / 2)).enumerate() {
        let value = decimals.push(Op::Constant(x.to_bits()), &[]).unwrap();
        decimals.output(&format!("{i}"), value).unwrap();
    }
    let text = decimals.to_string();
    add("a graph that is read", Box::new(move || constants(&text)));
    let wave = |i: usize| (i as f32 * 0.7).sin();
    let (inputs, labels): (Vec<f32>, Vec<u32>) = ((0..60).map(wave).collect(), (0..20).map(|i| i % 3).collect());
    let numbers: Vec<f32> = (0..40).map(|i| wave(i) * 13.7 + 100.0).collect();
    let classes = Dataset::classification([3], inputs.clone(), labels.clone()).unwrap();
    let regression = Dataset::regression([3], inputs.clone(), 2, numbers.clone()).unwrap();
    for (name, backend) in [
        ("fitting, predicting classes and likelihoods by the reference evaluator", Backend::Reference),
        ("fitting, predicting classes and likelihoods by compiled code", Backend::default()),
    ] {
        let data = classes.clone();
        let of = move || {
            let mut network = Network::new(layers(), [3], likelihood::Categorical, 9).unwrap();
            let fit = Fit::new().epochs(2).batch_size(8).schedule(Schedule::Cosine { to: 0.1 });
            let fit = fit.warm_up(WarmUp::Fraction(0.7)).validation_split(0.3).validation_samples(3);
            let report = fit.backend(backend.clone()).run(&mut network, &data).unwrap();
            let losses =
                report.epochs.iter().flat_map(|epoch| [epoch.loss, epoch.divergence, epoch.validation.unwrap()]);
            let options = PredictorOptions::default().samples(5).backend(backend.clone());
            let predictor = Predictor::with_options(&network, &options).unwrap();
            let prediction = predictor.classify(data.inputs()).unwrap();
            let mut all = [bits64(losses), parameters(&network)].concat();
            all.extend(bits(prediction.probabilities()));
            all.extend(bits(prediction.predictive_entropy()));
            all.extend(bits(prediction.mutual_information()));
            all.extend(bits64([predictor.negative_log_likelihood(&data).unwrap()]));
            all
        };
        add(name, Box::new(of));
    }
    let data = regression.clone();
    let steps = move || {
        let layer = AffineVariationalFlipout::new(3, 2);
        let mut network = Network::new(layer, [3], likelihood::Normal::learned(0.3), 1).unwrap();
        let optimizer = RmsProp::new(0.003).momentum(0.3).centered(true);
        let mut trainer = Trainer::new(&network, 17, TrainerOptions::default().optimizer(optimizer)).unwrap();
        let input = || StepInput::new(data.inputs(), data.targets()).divergence_weight(0.3).rate(0.7);
        let losses: Vec<f64> = (0..3).map(|_| trainer.step(&mut network, input()).unwrap().loss).collect();
        let predictor = Predictor::with_options(&network, &PredictorOptions::default().samples(7)).unwrap();
        let prediction = predictor.regress(data.inputs()).unwrap();
        let mut all =
            [bits64(losses), parameters(&network), bits(prediction.mean()), bits(prediction.epistemic())].concat();
        all.extend(bits(prediction.total()));
        all.extend(bits64([predictor.negative_log_likelihood(&data).unwrap()]));
        all
    };
    add("steps, predicted numbers and their spreads", Box::new(steps));
    let data = regression;
    let standardized = move || {
        let standardizer = Standardizer::of(&data);
        let standard = standardizer.apply(&data).unwrap();
        let mut all = [bits(standard.inputs()), bits(standard.values())].concat();
        all.extend(bits64([standardizer.log_scale()]));
        all
    };
    add("standard units", Box::new(standardized));
    let data = classes;
    add("smoothed labels", Box::new(move || bits(data.smoothed(3, 0.1).unwrap().values())));
    let done: Vec<f64> = (0..50).map(|i| f64::from(i) / 50.0).collect();
    add(
        "factors of schedules",
        Box::new(move || {
            let schedules = [
                Schedule::Linear { to: 0.1 },
                Schedule::Cosine { to: 0.1 },
                Schedule::HalfLife { half_life: 7.0, to: 0.1 },
                Schedule::Epochs { every: 2, factor: 0.7 },
            ];
            let positions = (1..=50).map(|step| Position::new(step, 50, 10));
            bits64(schedules.iter().flat_map(|schedule| positions.clone().map(|at| schedule.factor(&at))))
        }),
    );
    add(
        "factors of a warm-up",
        Box::new(|| bits64((1..60).flat_map(|i| [WarmUp::Steps(37), WarmUp::Fraction(0.3)].map(|w| w.factor(i, 100))))),
    );
    let scalars: [(&str, Box<dyn Optimizer>); 6] = [
        ("Adam's scalars", Box::new(Adam::new(0.01))),
        ("AdamW's scalars", Box::new(AdamW::new(0.01))),
        ("IVON's scalars", Box::new(Ivon::new(0.01).beta_2(0.99))),
        ("SGLD's scalars", Box::new(Sgld::new(0.01))),
        ("RMSprop's scalars", Box::new(RmsProp::new(0.01))),
        ("gradient descent's scalars", Box::new(Sgd::new(0.01))),
    ];
    for (name, optimizer) in scalars {
        add(name, Box::new(move || (1..300).flat_map(|step| bits64(optimizer.scalar_values(step, 0.37))).collect()));
    }
    add(
        "scalars of the host",
        Box::new(move || bits64(done[1..].iter().flat_map(|&x| [natural_log(x), inverse_softplus(x)]))),
    );
    let rows: Vec<[f32; 3]> = (0..20).map(|i| [wave(i).abs() * 0.3 + 0.1, 0.2, 0.0]).collect();
    let probabilities: Vec<f32> = rows.iter().flat_map(|[a, b, _]| [*a, *b, 1.0 - a - b]).collect();
    let measured = move || {
        let (p, l) = (&probabilities, &labels);
        let mut all = bits64([
            metrics::negative_log_likelihood(p, 3, l).unwrap(),
            metrics::brier_score(p, 3, l).unwrap(),
            metrics::accuracy(&p[..9], 3, &l[..3]).unwrap(),
            metrics::calibration(p, 3, l, 15).unwrap().expected_error,
            metrics::root_mean_square_error(&numbers, &numbers.iter().rev().copied().collect::<Vec<_>>()).unwrap(),
        ]);
        all.extend(bits64(metrics::predictive_entropy(p, 3).unwrap()));
        all.extend(bits64(metrics::mutual_information(p, 4, 3).unwrap()));
        all
    };
    add("metrics", Box::new(measured));
    all
}

#[test]
fn results_do_not_depend_on_the_hosts_environment() {
    let computations = computations();
    let want: Vec<Result> = computations.iter().map(|(name, compute)| (*name, compute())).collect();
    assert!(want.len() >= 20 && want.iter().all(|(_, bits)| !bits.is_empty()));
    let mut wrong = Vec::new();
    for setting in register::SETTINGS {
        for ((name, compute), (_, want)) in computations.iter().zip(&want) {
            register::write(setting);
            let got = compute();
            let after = register::read();
            register::write(register::DEFAULT);
            if got != *want {
                let differ = got.iter().zip(want).filter(|(a, b)| a != b).count();
                wrong.push(format!("{setting:#x}: {differ} of {} numbers of {name}", want.len()));
            }
            if after & register::CONTROL != setting & register::CONTROL {
                wrong.push(format!("{setting:#x}: {after:#x} after {name}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
