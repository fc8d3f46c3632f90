//! Embeddings: rows are looked up, their gradients added up in order, and steps move the rows that were read.

#[allow(dead_code)] // Each test uses a part of it.
mod facade;

use bayeslift::{Error, layers::Lazy, prelude::*};
use bayeslift_ir::Tensor;
use facade::bits;
use std::sync::Arc;

/// The same optimizer, which moves all rows.
#[derive(Debug)]
struct All<O>(O);

/// The same optimizer, about which nothing can be proved, so that each step is checked before it is applied.
#[derive(Debug)]
struct Unproved<O>(O);

macro_rules! wrapped {
    ($wrapper:ident, $by_rows:expr, |$self:ident, $step:ident, $gradient:ident| $followed:expr) => {
        impl<O: Optimizer> Optimizer for $wrapper<O> {
            fn name(&self) -> &'static str {
                self.0.name()
            }
            fn state(&self, variable: &Variable) -> &'static [&'static str] {
                self.0.state(variable)
            }
            fn scalar_values(&self, step: u64, rate: f64) -> Vec<f64> {
                self.0.scalar_values(step, rate)
            }
            fn moves_read_rows(&self, variable: &Variable) -> bool {
                let by_rows: fn(&O, &Variable) -> bool = $by_rows;
                by_rows(&self.0, variable)
            }
            fn update<'b>(&$self, $step: &Step<'_, 'b>, $gradient: Expr<'b>) -> Update<'b> {
                $self.0.update($step, $followed)
            }
            fn check(&self) -> Result<(), LayerError> {
                self.0.check()
            }
        }
    };
}
wrapped!(All, |_, _| false, |self, step, gradient| gradient);
// a quotient by what may be 0, as far as anybody knows, and is 1
wrapped!(Unproved, |optimizer, variable| optimizer.moves_read_rows(variable), |self, step, gradient| gradient
    / (step.scalars[0] * 0.0 + 1.0));

const CATEGORIES: usize = 50;

/// `positions` categories an example.
fn network(positions: usize, embedding: impl Layer + 'static) -> Network {
    let layers = Sequential::new()
        .layer(embedding)
        .layer(Flatten)
        .layer(Affine::new(3 * positions, 2).activation(Activation::Tanh));
    Network::new(layers.layer(Affine::new(2, 2)), [positions], likelihood::Categorical, 5).unwrap()
}

/// Categories of a batch; with a few that are none's.
fn words(step: usize, count: usize, categories: usize) -> Vec<f32> {
    let word = |i: usize| (i * i + 3 * i * step + step) % 97 % (categories + 2);
    (0..count).map(|i| if i % 11 == 10 { 0.5 } else { word(i) as f32 }).collect()
}

fn backends() -> Vec<Backend> {
    let compiled = |lanes, threads| Backend::from(Options::default().lanes(lanes).threads(threads));
    vec![compiled(16, 3), compiled(8, 1), compiled(4, 2), compiled(1, 1), Backend::Reference]
}

/// The bits of parameters and state after some steps.
fn trained(network: &Network, options: TrainerOptions, (rows, categories): (usize, usize)) -> Vec<(String, Vec<u32>)> {
    let (mut network, positions) = (network.clone(), network.input().elements());
    let mut trainer = Trainer::new(&network, 1000, options).unwrap();
    for step in 0..4 {
        let targets = Targets::Labels((0..rows).map(|i| (i * 7 % 3 % 2) as u32).collect());
        let x = words(step, rows * positions, categories);
        trainer.step(&mut network, StepInput::new(&x, &targets)).unwrap();
    }
    let state = trainer.state().map(|(path, tensor)| (path.to_owned(), tensor.words()));
    bits(&network).into_iter().chain(state).collect()
}

/// Plain gradient descent leaves rows whose gradient is zero where they are, so moving those that were read is the
/// same, to the bit: for few positions, and for more than are added up in one chunk.
#[test]
fn descent_by_rows_has_the_bits_of_descent() {
    let divergence = Divergence::Exact;
    let local = || {
        let layer =
            EmbeddingVariationalReparameterizationLocal::new(CATEGORIES, 3).prior_maker(Prior::normal(0.0, 1.0));
        layer.read_counts(vec![3; CATEGORIES])
    };
    for (rows, positions) in [(1, 1), (16, 2), (150, 4)] {
        for network in [network(positions, Embedding::new(CATEGORIES, 3)), network(positions, local())] {
            let options =
                |backend: &Backend| TrainerOptions::default().divergence(divergence.clone()).backend(backend.clone());
            let data = (rows, CATEGORIES);
            let want = trained(&network, options(&Backend::Reference).optimizer(All(Sgd::new(0.5))), data);
            for backend in backends() {
                assert_eq!(
                    trained(&network, options(&backend).optimizer(Sgd::new(0.5)), data),
                    want,
                    "{rows} {backend:?}"
                );
            }
        }
    }
}

/// Steps that are checked before they are applied, and steps in parts, have the same bits; so has each backend.
#[test]
fn lazy_steps_have_the_same_bits_however_they_are_made() {
    let reparameterized = EmbeddingVariationalReparameterization::new(CATEGORIES, 3).read_counts(vec![1; CATEGORIES]);
    for (network, divergence) in [
        (network(2, Embedding::new(CATEGORIES, 3)), Divergence::default()),
        (network(2, reparameterized), Divergence::MonteCarlo { draws: 2 }),
    ] {
        let options = || TrainerOptions::default().divergence(divergence.clone()).samples(2);
        let data = (300, CATEGORIES);
        for clip in [None, Some(1e-3)] {
            let clipped = |mut options: TrainerOptions| {
                options.clip_norm = clip;
                options
            };
            let lazy = || clipped(options().optimizer(Lazy(Adam::new(0.01))));
            let want = trained(&network, lazy().backend(Backend::Reference), data);
            for backend in backends() {
                assert_eq!(trained(&network, lazy().backend(backend.clone()), data), want, "{backend:?}");
            }
            let unproved = || clipped(options().optimizer(Lazy(Unproved(Adam::new(0.01)))));
            assert_eq!(trained(&network, unproved(), data), want);
            let in_parts =
                |optimizer: TrainerOptions| trained(&network, optimizer.samples(1).micro_batch_size(256), data);
            assert_eq!(in_parts(lazy()), trained(&network, lazy().samples(1), data));
        }
    }
}

/// The law of lazy Adam: rows that are not read stay, with their state, and the step's number corrects those that are.
#[test]
fn lazy_adam_moves_the_rows_that_were_read() {
    let mut network = network(1, Embedding::new(CATEGORIES, 3));
    let path = "embedding/kernel";
    let table = |network: &Network| network.parameters().get(path).unwrap().tensor.as_f32().unwrap().to_vec();
    let mut trainer = Trainer::new(&network, 10, TrainerOptions::default().optimizer(Lazy(Adam::new(0.1)))).unwrap();
    let state = |trainer: &Trainer, name: &str| {
        let path = format!("adam/{path}/{name}");
        let (_, tensor) = trainer.state().find(|(found, _)| *found == path).unwrap();
        tensor.as_f32().unwrap().to_vec()
    };
    let row = |elements: &[f32], row: usize| elements[3 * row..3 * row + 3].to_vec();
    let labels = Targets::Labels(vec![0, 1, 0]);
    let start = table(&network);
    trainer.step(&mut network, StepInput::new(&[7.0, 9.0, 7.0], &labels)).unwrap();
    let first = (table(&network), state(&trainer, "m"), state(&trainer, "v"));
    trainer.step(&mut network, StepInput::new(&[9.0, 11.0, 50.0], &labels)).unwrap();
    let second = (table(&network), state(&trainer, "m"), state(&trainer, "v"));
    for i in 0..CATEGORIES {
        let [is_first, is_second] = [[7, 9], [9, 11]].map(|read| read.contains(&i));
        assert_eq!(row(&first.0, i) != row(&start, i), is_first, "{i}");
        assert_eq!(row(&second.0, i) != row(&first.0, i), is_second, "{i}");
        for (before, after) in [(&first.1, &second.1), (&first.2, &second.2)] {
            assert_eq!(row(after, i) != row(before, i), is_second, "{i}");
            assert_eq!(row(after, i) != [0.0; 3], is_first || is_second, "{i}");
        }
        let rate = Adam::new(0.1).scalar_values(2, 1.0)[0] as f32;
        for ((new, old), (m, v)) in row(&second.0, i)
            .into_iter()
            .zip(row(&first.0, i))
            .zip(row(&second.1, i).into_iter().zip(row(&second.2, i)))
            .filter(|_| is_second)
        {
            assert_eq!(new.to_bits(), (old - m * rate / (v.sqrt() + 1e-7)).to_bits());
            // of a row's first reading, moments are of one gradient
            let g = m / 0.1;
            assert!(i == 9 || (v / (0.001 * g * g) - 1.0).abs() < 1e-4, "{m} {v}");
        }
    }
    // where all rows are read in each step it is Adam
    let network = self::network(2, Embedding::new(5, 3));
    let with =
        |optimizer: Arc<dyn Optimizer>| trained(&network, TrainerOptions::default().optimizer(optimizer), (64, 5));
    assert_eq!(with(Arc::new(Lazy(Adam::new(0.1)))), with(Arc::new(Adam::new(0.1))));
}

/// What a step of a table reads and writes does not depend on how many rows it has.
#[test]
fn a_step_costs_the_rows_that_are_read() {
    let moved = |categories: usize, optimizer: Arc<dyn Optimizer>| {
        let layer = EmbeddingVariationalReparameterization::new(categories, 16).read_counts(vec![1; categories]);
        let layers = Sequential::new().layer(layer).layer(Flatten).layer(Affine::new(16, 2));
        let network = Network::new(layers, [1], likelihood::Categorical, 0).unwrap();
        let mut trainer = Trainer::new(&network, 1000, TrainerOptions::default().optimizer(optimizer)).unwrap();
        let explanation = trainer.explain(&network, 32).unwrap();
        (explanation.total(), explanation.arena_bytes)
    };
    for optimizer in [Arc::new(Lazy(Adam::default())) as Arc<dyn Optimizer>, Arc::new(Sgd::default())] {
        assert_eq!(moved(1 << 12, optimizer.clone()), moved(1 << 16, optimizer));
    }
    let adam: Arc<dyn Optimizer> = Arc::new(Adam::default());
    assert!(moved(1 << 16, adam.clone()).0.bytes() > 10 * moved(1 << 12, adam).0.bytes());
}

/// A category that the layer has not seen is zeros, or an error that changes nothing.
#[test]
fn unseen_categories_are_zeros_or_errors() {
    let labels = Targets::Labels(vec![0, 1]);
    for unknown in [50.0, 0.5, -1.0, 16_777_216.0, 1e30] {
        let x = [3.0, unknown];
        let mut zeros = network(1, Embedding::new(CATEGORIES, 3));
        let mut trainer = Trainer::new(&zeros, 10, TrainerOptions::default()).unwrap();
        trainer.step(&mut zeros, StepInput::new(&x, &labels)).unwrap();
        Predictor::new(&zeros).unwrap().classify(&x).unwrap();

        for layer in [Embedding::new(CATEGORIES, 3).unseen(Unseen::Error)] {
            let mut strict = network(1, layer);
            let before = strict.clone();
            for optimizer in [Arc::new(Adam::default()) as Arc<dyn Optimizer>, Arc::new(Lazy(Adam::default()))] {
                let mut trainer = Trainer::new(&strict, 10, TrainerOptions::default().optimizer(optimizer)).unwrap();
                let error = trainer.step(&mut strict, StepInput::new(&x, &labels)).unwrap_err();
                let Error::NonFiniteLoss { step: 1, ref cause, .. } = error else { panic!("{error}") };
                assert_eq!(cause, "row 1 has a category that is unseen in layer `embedding`");
                assert_eq!(strict.parameters(), before.parameters());
            }
            let predictor = Predictor::new(&strict).unwrap();
            predictor.classify(&[3.0, 4.0]).unwrap();
            predictor.classify(&x).unwrap_err();
            let alone = Predictor::from_bytes(&strict.to_bytes().unwrap()).unwrap();
            alone.classify(&[3.0, 4.0]).unwrap();
            alone.classify(&x).unwrap_err();
        }
    }
}

/// Numbers beyond 2^24, which no `f32` counts one by one, are `u32` in a graph.
#[test]
fn tables_may_have_more_rows_than_floats_count() {
    use bayeslift_ir::{Builder, Type, evaluate};
    let rows = (1 << 24) + 3;
    let b = Builder::new();
    let (table, numbers) = (b.input("table", Type::f32([rows, 1])), b.input("numbers", Type::u32([4])));
    let read = table.gather(numbers);
    b.output("read", read);
    b.output_updating("table", table.scatter_rows(numbers, read + 1.0), table);
    let graph = b.finish().unwrap();
    let mut elements = vec![0.0_f32; rows];
    elements[rows - 1] = 3.0;
    elements[rows - 2] = 2.0;
    let numbers = Tensor::u32([4], [rows as u32 - 1, rows as u32 - 2, rows as u32, u32::MAX]).unwrap();
    let table = Tensor::f32([rows, 1], elements).unwrap();
    let found = evaluate(&graph, &[table.clone(), numbers.clone()]).unwrap();
    assert_eq!(found[0].as_f32().unwrap(), [3.0, 2.0, 0.0, 0.0]);
    assert_eq!(found[1].as_f32().unwrap()[rows - 3..], [0.0, 3.0, 4.0]);
    let executable = bayeslift::runtime::Executable::compile(graph, &Options::default()).unwrap();
    let mut compiled = [table, numbers];
    let mut outputs = executable.new_outputs().unwrap();
    let mut workspace = executable.workspace().unwrap();
    let mut arguments: Vec<_> = compiled.iter_mut().map(bayeslift::runtime::Argument::from).collect();
    executable.call_into(&mut workspace, &mut arguments, &mut outputs).unwrap();
    assert_eq!(outputs[0], found[0]);
    assert!(compiled[0] == found[1]);
}

/// The estimate by rows that were read is right on average: over all reads, each as often as its row occurs, it is the
/// sum over rows.
#[test]
fn divergences_of_reads_are_right_on_average() {
    let counts = [1_u32, 4, 0, 3, 8];
    let layer = |by_reads: bool| {
        let layer = EmbeddingVariationalReparameterizationLocal::new(5, 3)
            .posterior_maker(Posterior::mean_field_with_scale(0.3))
            .prior_maker(Prior::normal(0.1, 0.7));
        let layer = if by_reads { layer.read_counts(counts) } else { layer };
        Network::new(Sequential::new().layer(layer).layer(Flatten), [1], likelihood::Normal::fixed(1.0), 3).unwrap()
    };
    let divergence = |network: &Network, x: &[f32]| {
        let options = TrainerOptions::default().divergence(Divergence::Exact);
        let mut trainer = Trainer::new(network, 16, options).unwrap();
        let targets = Targets::Values { units: 3, values: vec![0.0; 3 * x.len()] };
        let loss = trainer.step(&mut network.clone(), StepInput::new(x, &targets)).unwrap();
        loss.divergence
    };
    let by_reads = layer(true);
    let one = |r: usize| divergence(&by_reads, &[r as f32]);
    let expectation: f64 = (0..5).map(|r| f64::from(counts[r]) / 16.0 * one(r)).sum();
    // row 2 never occurs: what it adds to the sum over all rows is what a table of it alone has
    let all = divergence(&layer(false), &[0.0]);
    let of_others: f64 = (0..5).filter(|&r| r != 2).map(|r| f64::from(counts[r]) / 16.0 * one(r)).sum();
    assert_eq!(one(2), 0.0);
    let missing = all - expectation;
    assert!(missing > 0.0 && (expectation - of_others).abs() < 1e-9, "{all} {expectation}");
    // the same by hand, of the parameters
    let tensor = |path: &str| by_reads.parameters().get(path).unwrap().tensor.as_f32().unwrap().to_vec();
    let (loc, raw) = (tensor("embedding/kernel/loc"), tensor("embedding/kernel/raw_scale"));
    let of_row = |r: usize| -> f64 {
        let element = |i: usize| {
            let (loc, scale) = (f64::from(loc[i]), f64::from(raw[i]).exp().ln_1p() + 1e-5);
            let (ratio, distance) = (scale / 0.7, (loc - 0.1) / 0.7);
            (distance * distance + ratio * ratio - 1.0) / 2.0 - ratio.ln()
        };
        (3 * r..3 * r + 3).map(element).sum()
    };
    let rows: Vec<f64> = (0..5).map(of_row).collect();
    assert!((all - rows.iter().sum::<f64>()).abs() < 1e-5 * all);
    assert!((missing - rows[2]).abs() < 1e-5 * all, "{missing} {rows:?}");
    for batch in [vec![0.0, 1.0, 1.0, 4.0], vec![3.0; 300]] {
        let weight = |r: usize| if counts[r] == 0 { 0.0 } else { 16.0 / f64::from(counts[r]) };
        let want: f64 = batch.iter().map(|&r| weight(r as usize) * rows[r as usize]).sum::<f64>() / batch.len() as f64;
        let found = divergence(&by_reads, &batch);
        assert!((found - want).abs() < 1e-5 * want, "{found} {want}");
    }
}

/// A trainer that is saved and loaded goes on as if it had never stopped.
#[test]
fn lazy_training_goes_on_from_a_file() {
    let path = std::env::temp_dir().join(format!("bayeslift-embeddings-{}.safetensors", std::process::id()));
    let layer = || EmbeddingVariationalReparameterizationLocal::new(CATEGORIES, 3).read_counts(vec![2; CATEGORIES]);
    let options = || TrainerOptions::default().optimizer(Lazy(Adam::new(0.1)));
    let targets = Targets::Labels((0..20).map(|i| i % 2).collect());
    let step = |trainer: &mut Trainer, network: &mut Network, number: usize| {
        let x = words(number, 40, CATEGORIES);
        trainer.step(network, StepInput::new(&x, &targets)).unwrap()
    };
    let mut network = self::network(2, layer());
    let mut trainer = Trainer::new(&network, 100, options()).unwrap();
    for number in 0..2 {
        step(&mut trainer, &mut network, number);
    }
    trainer.save(&network, &path).unwrap();
    let mut again = self::network(2, layer());
    let mut trainer_again = Trainer::load(&mut again, &path, options()).unwrap();
    let adam = TrainerOptions::default().optimizer(Adam::new(0.1));
    let refused = Trainer::load(&mut self::network(2, layer()), &path, adam).unwrap_err();
    assert!(matches!(refused, Error::OtherTraining { .. }), "{refused}");
    std::fs::remove_file(&path).unwrap();
    assert_eq!(bits(&again), bits(&network));
    for number in 2..4 {
        assert_eq!(step(&mut trainer, &mut network, number), step(&mut trainer_again, &mut again, number));
    }
    assert_eq!(bits(&again), bits(&network));
    assert!(trainer.state().eq(trainer_again.state()));
}
