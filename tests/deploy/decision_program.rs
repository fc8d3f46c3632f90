//! Programs in C that decide: what they give of rows, and what the predictor does.

use crate::harness::{folder, results, run, run_by};
use bayeslift::{Abstention, DecisionOptions, Decisions, Float, deploy::Package, prelude::*};
use std::{
    fmt::Write as _,
    fs,
    io::Write as _,
    path::PathBuf,
    process::{Command, Stdio},
};

/// A program that predicts and decides rows, and writes all that is given.
pub struct DecisionProgram {
    path: PathBuf,
    runner: Vec<String>,
}

/// What is asked of it.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    pub rows: usize,
    pub samples: usize,
    pub seed: u64,
    pub first_row: u64,
}

fn width(package: &Package, of: &[&str]) -> usize {
    of.iter().fold(&package.manifest, |value, name| &value[*name]).as_u64().unwrap_or(0) as usize
}

/// Whether programs look at a result: others they do not ask for.
fn is_of_classes(result: &str) -> bool {
    !["mean", "epistemic", "aleatoric", "total"].contains(&result)
}

/// The results of a call, and what is behind them: what lies beyond the last row stays as it was.
fn source(package: &Package) -> String {
    let (name, upper) = (&package.name, package.name.to_ascii_uppercase());
    let (flags, labels) = (width(package, &["abstention", "width"]), width(package, &["decisions", "labels"]));
    let number = package.manifest["dtype"].as_str().map_or("float", |_| "double");
    let mut text = format!(
        "#include \"{name}.h\"\n#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n\
         static void *take(size_t bytes) {{ char *p = malloc(bytes + 128); p += 64 - (size_t)p % 64; memset(p, 7, bytes + 8); return p; }}\n\
         static void put(const void *p, size_t bytes) {{ if (((const char *)p)[bytes] != 7) exit(99); fwrite(p, 1, bytes, stdout); }}\n\
         int main(void) {{\n  uint64_t call[4];\n  {name}_request request;\n  int status;\n"
    );
    let t = &mut text;
    writeln!(t, "  if (fread(call, 8, 4, stdin) != 4) return 100;").unwrap();
    writeln!(t, "  request.seed = call[0]; request.first_row = call[1]; request.first_sample = 0;").unwrap();
    writeln!(t, "  request.samples = (uint32_t)call[2];\n  size_t rows = (size_t)call[3];").unwrap();
    writeln!(t, "  {number} *x = take(sizeof({number}) * rows * {upper}_INPUTS);").unwrap();
    writeln!(t, "  if (fread(x, sizeof({number}), rows * {upper}_INPUTS, stdin) != rows * {upper}_INPUTS) return 101;")
        .unwrap();
    writeln!(t, "  void *workspace = take({upper}_WORKSPACE_BYTES);\n  {name}_result result;").unwrap();
    writeln!(t, "  if ((status = {name}_self_test(workspace))) return 110 + status;").unwrap();
    let fill = |t: &mut String| {
        for (result, width) in results(package) {
            if !is_of_classes(&result) {
                writeln!(t, "  result.{result} = NULL;").unwrap();
                continue;
            }
            writeln!(t, "  result.{result} = take(sizeof({number}) * rows * {width});").unwrap();
        }
        if flags > 0 {
            writeln!(t, "  result.abstain = take(rows * {flags});").unwrap();
        }
    };
    let put = |t: &mut String| {
        for (result, width) in results(package).into_iter().filter(|(result, _)| is_of_classes(result)) {
            writeln!(t, "  put(result.{result}, sizeof({number}) * rows * {width});").unwrap();
        }
        if flags > 0 {
            writeln!(t, "  put(result.abstain, rows * {flags});").unwrap();
        }
    };
    fill(t);
    writeln!(t, "  if ((status = {name}_predict(&request, x, rows, &result, workspace))) return 130 + status;")
        .unwrap();
    put(t);
    if labels > 0 {
        fill(t);
        writeln!(t, "  {name}_decision decision;\n  decision.label = take(4 * rows * {labels});").unwrap();
        writeln!(t, "  decision.samples = take(4 * rows);\n  decision.certain = take(rows * {labels});").unwrap();
        let call = format!("{name}_decide(&request, x, rows, &result, &decision, workspace)");
        writeln!(t, "  if ((status = {call})) return 150 + status;").unwrap();
        put(t);
        writeln!(t, "  put(decision.label, 4 * rows * {labels}); put(decision.samples, 4 * rows);").unwrap();
        writeln!(t, "  put(decision.certain, rows * {labels});").unwrap();
        // what is not asked for is not written
        writeln!(t, "  memset(&result, 0, sizeof result); memset(&decision, 0, sizeof decision);").unwrap();
        let without = call.replace("&decision", "NULL");
        writeln!(t, "  if ({call}) return 170;\n  if ({without} != {upper}_ERROR_NULL) return 171;").unwrap();
    }
    writeln!(t, "  return 0;\n}}").unwrap();
    text
}

impl DecisionProgram {
    /// Around a package, by this compiler and run by this command.
    pub fn build(name: &str, package: &Package, compiler: &[&str], runner: &[&str]) -> DecisionProgram {
        let folder = folder(name);
        package.write(&folder).unwrap();
        fs::write(folder.join("main.c"), source(package)).unwrap();
        let mut command = Command::new(compiler[0]);
        command.current_dir(&folder).args(&compiler[1..]).args(["main.c", "-o", "program"]);
        command.arg(format!("{}.{}", package.name, package.extension));
        run(command.args(["-Wall", "-Wextra", "-Wpedantic", "-Werror"]));
        let runner = runner.iter().map(|word| (*word).to_owned()).collect();
        DecisionProgram { path: folder.join("program"), runner }
    }

    /// What it writes.
    fn call(&self, asked: Asked, inputs: &[u8]) -> Vec<u8> {
        let mut command = run_by(&self.runner, &self.path);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut given: Vec<u8> = [asked.seed, asked.first_row, asked.samples as u64, asked.rows as u64]
            .iter()
            .flat_map(|number| number.to_le_bytes())
            .collect();
        given.extend(inputs);
        let mut stdin = child.stdin.take().unwrap();
        let writer = std::thread::spawn(move || drop(stdin.write_all(&given)));
        let output = child.wait_with_output().unwrap();
        writer.join().unwrap();
        assert!(output.status.success(), "{asked:?}: {}", output.status);
        output.stdout
    }

    /// Compares all bits with those of the predictor.
    pub fn compare(&self, package: &Package, network: &Network, asked: Asked, x: &[f32]) -> Decisions {
        let predictor = predictor(network, asked);
        let (decisions, decided) = decided(package, network, asked, x);
        let mut want: Vec<u8> = moments(package, &predictor.classify_from(asked.first_row, x).unwrap());
        want.extend(decided);
        let inputs: Vec<u8> = x.iter().flat_map(|x| x.to_le_bytes()).collect();
        let got = self.call(asked, &inputs);
        let differs = got.iter().zip(&want).position(|(got, want)| got != want);
        assert_eq!((differs, got.len()), (None, want.len()), "{asked:?}");
        decisions
    }

    /// As [`DecisionProgram::compare`], of a network of `f64`.
    pub fn compare_doubles(&self, package: &Package, network: &Network, asked: Asked, x: &[f64]) {
        let predictor = predictor(network, asked);
        let predictor = predictor.double().unwrap();
        let decisions = predictor.decide_from(asked.first_row, x, &decision_options(package, asked)).unwrap();
        let mut want = moments(package, &predictor.classify_from(asked.first_row, x).unwrap());
        want.extend(written(package, &decisions));
        let inputs: Vec<u8> = x.iter().flat_map(|x| x.to_le_bytes()).collect();
        assert!(self.call(asked, &inputs) == want, "{asked:?}");
    }

    /// Compares the results of a prediction, and where it abstains.
    pub fn compare_predictions(&self, asked: Asked, x: &[f32], want: Vec<u8>) {
        let inputs: Vec<u8> = x.iter().flat_map(|x| x.to_le_bytes()).collect();
        assert!(self.call(asked, &inputs) == want, "{asked:?}");
    }
}

fn predictor(network: &Network, asked: Asked) -> Predictor {
    let options = PredictorOptions::default().samples(asked.samples).seed(asked.seed);
    Predictor::with_options(network, &options).unwrap()
}

/// A number of an answer.
pub trait Number: Float {
    /// As a program writes it.
    fn bytes(self) -> Vec<u8>;
}

impl Number for f32 {
    fn bytes(self) -> Vec<u8> {
        self.to_le_bytes().into()
    }
}

impl Number for f64 {
    fn bytes(self) -> Vec<u8> {
        self.to_le_bytes().into()
    }
}

/// What a predictor decides, and as a program writes it: results, where one abstains, classes, samples, what is
/// certain.
pub fn decided(package: &Package, network: &Network, asked: Asked, x: &[f32]) -> (Decisions, Vec<u8>) {
    let decisions = predictor(network, asked).decide_from(asked.first_row, x, &decision_options(package, asked));
    let decisions = decisions.unwrap();
    let bytes = written(package, &decisions);
    (decisions, bytes)
}

fn decision_options(package: &Package, asked: Asked) -> DecisionOptions {
    let mut options = DecisionOptions::new(package.manifest["decisions"]["error"].as_f64().unwrap());
    options.most = asked.samples;
    options.abstention = abstention(package);
    options
}

fn written<T: Number>(package: &Package, decisions: &Decisions<T>) -> Vec<u8> {
    let mut bytes = moments(package, decisions.prediction());
    bytes.extend(decisions.labels().iter().flat_map(|label| label.unwrap().to_le_bytes()));
    bytes.extend(decisions.samples().iter().flat_map(|&samples| (samples as u32).to_le_bytes()));
    bytes.extend(decisions.certain().iter().map(|&is_certain| u8::from(is_certain)));
    bytes
}

/// The package's own.
pub fn abstention(package: &Package) -> Option<Abstention> {
    use bayeslift::Measure;
    let measures = [Measure::PredictiveEntropy, Measure::MutualInformation, Measure::Epistemic];
    let names = ["predictive_entropy", "mutual_information", "epistemic"];
    let told = package.manifest.get("abstention")?;
    let at = names.iter().position(|name| *name == told["measure"]).unwrap();
    Some(Abstention::new(measures[at], told["above"].as_f64().unwrap()).unwrap())
}

/// A prediction as a program writes it, and where one abstains by it.
pub fn moments<T: Number>(package: &Package, prediction: &Classification<T>) -> Vec<u8> {
    let floats = |values: &[T]| values.iter().flat_map(|x| x.bytes()).collect::<Vec<u8>>();
    let of = |(name, _): (String, usize)| match name.as_str() {
        "probabilities" => floats(prediction.probabilities()),
        "predictive_entropy" => floats(prediction.predictive_entropy()),
        "expected_entropy" => floats(prediction.expected_entropy()),
        "mutual_information" => floats(prediction.mutual_information()),
        other => panic!("`{other}` is no result of classes"),
    };
    let told = results(package).into_iter().filter(|(result, _)| is_of_classes(result));
    let mut bytes: Vec<u8> = told.flat_map(of).collect();
    if let Some(abstention) = abstention(package) {
        bytes.extend(prediction.abstains(&abstention).unwrap().iter().map(|&abstains| u8::from(abstains)));
    }
    bytes
}
