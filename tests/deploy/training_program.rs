//! A program in C around a network that goes on learning, and a trainer beside it.

use crate::harness::{folder, moments, results, run, run_by};
use bayeslift::{DeviceTraining, StepLoss, deploy::Package, layers::likelihood::Support, prelude::*};
use std::{
    fmt::Write as _,
    fs,
    path::PathBuf,
    process::{Command, Stdio},
};

/// A batch of a step.
#[derive(Clone, Debug)]
pub struct Batch {
    pub inputs: Vec<f32>,
    pub targets: Targets,
}

impl Batch {
    pub fn input(&self) -> StepInput<'_> {
        StepInput::new(&self.inputs, &self.targets)
    }

    pub fn bytes(&self) -> Vec<u8> {
        let targets: Vec<u32> = match &self.targets {
            Targets::Labels(labels) => labels.clone(),
            Targets::Values { values, .. } => values.iter().map(|x| x.to_bits()).collect(),
            other => panic!("{other:?}"),
        };
        let words = self.inputs.iter().map(|x| x.to_bits()).chain(targets);
        words.flat_map(u32::to_le_bytes).collect()
    }
}

/// `count` batches of inputs that are small whole numbers, so that they are categories too.
pub fn batches(network: &Network, rows: usize, count: usize) -> Vec<Batch> {
    let (units, target) = (network.input().elements(), network.target());
    let of_row = target.shape.elements();
    let mut next = 1_u32;
    let mut draw = || {
        next = next.wrapping_mul(0x9e37_79b1).wrapping_add(0x85eb_ca6b);
        next >> 16
    };
    let mut batch = || {
        let inputs = (0..rows * units).map(|_| (draw() % 5) as f32).collect();
        let mut numbers: Vec<u32> = (0..rows * of_row).map(|_| draw()).collect();
        let targets = match target.support {
            Support::Classes(classes) => {
                numbers.iter_mut().for_each(|number| *number %= classes as u32);
                Targets::Labels(numbers)
            }
            support => {
                let value = |number: &u32| match support {
                    Support::Binary => (number % 2) as f32,
                    Support::Count => (number % 6) as f32,
                    Support::Simplex(classes) => 1.0 / classes as f32,
                    Support::UnitInterval => (1 + number % 98) as f32 / 100.0,
                    _ => (1 + number % 40) as f32 / 10.0,
                };
                Targets::Values { units: of_row, values: numbers.iter().map(value).collect() }
            }
        };
        Batch { inputs, targets }
    };
    (0..count).map(|_| batch()).collect()
}

/// A compiled program.
#[derive(Debug)]
pub struct Learner {
    folder: PathBuf,
    runner: Vec<String>,
    package: Package,
}

/// What a program told.
#[derive(Debug)]
pub struct Told {
    /// The status of each step, and its losses.
    pub steps: Vec<(u32, [u32; 3])>,
    /// The status of the prediction, and its results.
    pub status: u32,
    pub results: Vec<u32>,
}

/// What a program calls the names of a package.
pub fn names(package: &Package) -> String {
    let (name, upper) = (&package.name, package.name.to_ascii_uppercase());
    let mut text = format!("#include \"{name}.h\"\n");
    for number in ["STATE_BYTES", "WORKSPACE_BYTES", "INPUTS", "TARGETS", "BATCH_ROWS"] {
        writeln!(text, "#define {number} {upper}_{number}").unwrap();
    }
    for error in ["STATE", "DAMAGED", "ROWS", "TARGET"] {
        writeln!(text, "#define NETWORK_ERROR_{error} {upper}_ERROR_{error}").unwrap();
    }
    for function in ["start", "step", "predict", "seal", "open", "steps"] {
        writeln!(text, "#define NETWORK_{function} {name}_{function}").unwrap();
    }
    for ty in ["loss", "result", "request"] {
        writeln!(text, "typedef {name}_{ty} NETWORK_{ty};").unwrap();
    }
    let target = if package.header.contains("const uint32_t *targets") { "uint32_t" } else { "float" };
    writeln!(text, "#define TARGET {target}").unwrap();
    let mut width = 0;
    text.push_str("#define place_results(result, memory, rows) do { ");
    for (column, numbers) in &results(package) {
        write!(text, "(result)->{column} = (memory) + {width} * (rows); ").unwrap();
        width += numbers;
    }
    writeln!(text, "}} while (0)\n#define RESULTS {width}").unwrap();
    text
}

impl Learner {
    /// A program by this compiler, run by this command.
    pub fn build(name: &str, package: &Package, compiler: &[&str], runner: &[&str]) -> Learner {
        let folder = folder(name);
        package.write(&folder).unwrap();
        fs::write(folder.join("network.h"), names(package)).unwrap();
        fs::write(folder.join("training.c"), include_str!("training.c")).unwrap();
        let made = format!("{}.{}", package.name, package.extension);
        let mut command = Command::new(compiler[0]);
        command.current_dir(&folder).args(&compiler[1..]).args(["-DNETWORK_H=\"network.h\"", "training.c", &made]);
        run(command.args(["-o", "program", "-Wall", "-Wextra", "-Wpedantic", "-Werror"]));
        let runner = runner.iter().map(|word| (*word).to_owned()).collect();
        Learner { folder, runner, package: package.clone() }
    }

    /// Goes on from a state's file, or begins; leaves one.
    pub fn run(&self, from: &str, batches: &[Batch], to: &str, predicted: &[f32], rows: usize) -> Told {
        let given: Vec<u8> = batches.iter().flat_map(Batch::bytes).collect();
        let predicted = predicted.iter().flat_map(|x| x.to_le_bytes());
        fs::write(self.folder.join("given"), given.into_iter().chain(predicted).collect::<Vec<u8>>()).unwrap();
        let program = self.folder.join("program");
        let mut command = run_by(&self.runner, &program);
        let stdin = Stdio::from(fs::File::open(self.folder.join("given")).unwrap());
        command.current_dir(&self.folder).args([from, &batches.len().to_string(), to, &rows.to_string()]);
        let output = run(command.stdin(stdin));
        let words = output.stdout.chunks_exact(4).map(|word| u32::from_le_bytes(word.try_into().unwrap()));
        Told::read(&words.collect::<Vec<u32>>(), batches.len())
    }

    /// The state that a file holds: the bits of each tensor, by path.
    pub fn state(&self, file: &str) -> Vec<(String, Vec<u32>)> {
        state_of(&self.package, &fs::read(self.folder.join(file)).unwrap())
    }

    /// Makes the same steps in memory and by the program, which ends after `cut` of them and begins again: compares
    /// losses, all tensors of the state, and predictions.
    pub fn compare(
        &self,
        trainer: &mut Trainer,
        network: &mut Network,
        training: &DeviceTraining,
        batches: &[Batch],
        cut: usize,
    ) {
        let units = network.input().elements();
        let asked: Vec<f32> = (0..7 * units).map(|i| (i * i % 5) as f32).collect();
        let (mut from, mut number) = ("-", 0);
        for (part, to) in [(&batches[..cut], "first.state"), (&batches[cut..], "second.state")] {
            let told = self.run(from, part, to, &asked, 7);
            for (batch, got) in part.iter().zip(&told.steps) {
                number += 1;
                let input = batch.input().rate(training.rate(number)).divergence_weight(training.divergence_weight);
                let loss = trainer.step(network, input).unwrap();
                assert_eq!(*got, (0, bits(&loss)), "step {number}, {:?}", self.folder);
            }
            expect_state(&self.state(to), trainer, network);
            let predictor =
                PredictorOptions::default().samples(self.package.manifest["samples"].as_u64().unwrap() as usize);
            let predictor = Predictor::with_options(network, &predictor).unwrap();
            let want = moments(&predictor, 0, &asked, &self.package);
            let want: Vec<u32> = want.into_iter().flatten().map(f32::to_bits).collect();
            assert_eq!((told.status, told.results), (0, want), "{:?}", self.folder);
            from = to;
        }
    }
}

impl Told {
    /// From what a program wrote of `steps` steps.
    pub fn read(words: &[u32], steps: usize) -> Told {
        let (of_steps, rest) = words.split_at(4 * steps);
        let step = |words: &[u32]| (words[0], [words[1], words[2], words[3]]);
        Told { steps: of_steps.chunks_exact(4).map(step).collect(), status: rest[0], results: rest[1..].to_vec() }
    }
}

/// The bits of what a step measured.
pub fn bits(loss: &StepLoss) -> [u32; 3] {
    [loss.loss, loss.negative_log_likelihood, loss.divergence].map(|loss| (loss as f32).to_bits())
}

/// The tensors of a state.
pub fn state_of(package: &Package, bytes: &[u8]) -> Vec<(String, Vec<u32>)> {
    let tensors = package.manifest["training"]["state"].as_array().unwrap().iter().map(|one| {
        let number = |name: &str| one[name].as_u64().unwrap() as usize;
        let words = bytes[number("at")..][..number("bytes")]
            .chunks_exact(4)
            .map(|word| u32::from_le_bytes(word.try_into().unwrap()));
        (one["path"].as_str().unwrap().to_owned(), words.collect())
    });
    tensors.collect()
}

/// Compares all parameters and the optimizer's state.
pub fn expect_state(got: &[(String, Vec<u32>)], trainer: &Trainer, network: &Network) {
    let parameters = network.parameters().iter().map(|(path, parameter)| (path, &parameter.tensor));
    let want: Vec<(String, Vec<u32>)> =
        parameters.chain(trainer.state()).map(|(path, tensor)| (path.to_owned(), tensor.words().to_vec())).collect();
    assert_eq!(got.len(), want.len());
    for (got, want) in got.iter().zip(want) {
        assert_eq!(*got, want);
    }
}
