//! Programs in C around objects.

use bayeslift::{
    Classification, EnsembleClassification, EnsemblePredictor, EnsembleRegression, Error, Float, Regression,
    deploy::Package, prelude::*,
};
use std::{
    fmt::Write as _,
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

/// What a program asks of an object.
#[derive(Clone, Debug)]
pub struct Call {
    pub rows: usize,
    pub samples: usize,
    pub seed: u64,
    pub first_row: u64,
    /// The sizes of pieces that samples are added in; all at once if there are none.
    pub pieces: Vec<usize>,
}

impl Default for Call {
    fn default() -> Call {
        Call { rows: 1, samples: 64, seed: 5, first_row: 0, pieces: Vec::new() }
    }
}

/// Numbers between -2 and 2, the same each time.
pub fn inputs(count: usize) -> Vec<f32> {
    let scattered = (0..count as u32).map(|i| i.wrapping_mul(0x9e37_79b1) ^ 0x5bd1_e995);
    scattered.map(|word| (word >> 8) as f32 / (1 << 22) as f32 - 2.0).collect()
}

/// As [`inputs`], of which none is a number of `f32`.
pub fn inputs_f64(count: usize) -> Vec<f64> {
    inputs(count).into_iter().zip(1..).map(|(x, i)| f64::from(x) + 1e-9 * f64::from(i)).collect()
}

/// What networks take and tell: `f32` or `f64`.
pub trait Number: Float {
    fn bytes(self) -> Vec<u8>;
    fn of_bytes(bytes: &[u8]) -> Self;
    fn classify(of: &Predictor, first_row: u64, inputs: &[Self]) -> Result<Classification<Self>, Error>;
    fn regress(of: &Predictor, first_row: u64, inputs: &[Self]) -> Result<Regression<Self>, Error>;
    fn classify_all(of: &EnsemblePredictor, first: u64, inputs: &[Self])
    -> Result<EnsembleClassification<Self>, Error>;
    fn regress_all(of: &EnsemblePredictor, first: u64, inputs: &[Self]) -> Result<EnsembleRegression<Self>, Error>;
}

macro_rules! number {
    ($float:ident, $($double:tt)*) => {
        impl Number for $float {
            fn bytes(self) -> Vec<u8> {
                self.to_le_bytes().to_vec()
            }

            fn of_bytes(bytes: &[u8]) -> $float {
                $float::from_le_bytes(bytes.try_into().unwrap())
            }

            fn classify(of: &Predictor, first: u64, inputs: &[$float]) -> Result<Classification<$float>, Error> {
                of$($double)*.classify_from(first, inputs)
            }

            fn regress(of: &Predictor, first: u64, inputs: &[$float]) -> Result<Regression<$float>, Error> {
                of$($double)*.regress_from(first, inputs)
            }

            fn classify_all(
                of: &EnsemblePredictor,
                first: u64,
                inputs: &[$float],
            ) -> Result<EnsembleClassification<$float>, Error> {
                of$($double)*.classify_from(first, inputs)
            }

            fn regress_all(
                of: &EnsemblePredictor,
                first: u64,
                inputs: &[$float],
            ) -> Result<EnsembleRegression<$float>, Error> {
                of$($double)*.regress_from(first, inputs)
            }
        }
    };
}

number!(f32,);
number!(f64, .double()?);

/// A package, unless it was to be of a closure that tells no moments, which is refused for that.
pub fn with_moments<E: std::fmt::Display>(name: &str, package: Result<Package, E>) -> Option<Package> {
    let refused = |error: E| {
        let message = error.to_string();
        assert!(name == "custom" && message.contains("neither probabilities nor a mean"), "{name}: {message}");
    };
    package.map_err(refused).ok()
}

/// A compiled program.
#[derive(Debug)]
pub struct Program {
    path: PathBuf,
    /// What runs it.
    runner: Vec<String>,
}

/// A folder for a test's files.
pub fn folder(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("deploy").join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// The command that runs a program: the program itself, or an emulator that is given it.
pub fn run_by(runner: &[String], program: &Path) -> Command {
    let Some((first, others)) = runner.split_first() else { return Command::new(program) };
    let mut command = Command::new(first);
    command.args(others).arg(program);
    command
}

/// The output of a command that has to succeed.
pub fn run(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(
        output.status.success(),
        "{command:?}: {}\n{}{}",
        output.status,
        text(&output.stdout),
        text(&output.stderr)
    );
    output
}

/// The names of results, with the numbers that each has a row.
pub fn results(package: &Package) -> Vec<(String, usize)> {
    let results = package.manifest["results"].as_array().unwrap();
    let result = |result: &serde_json::Value| {
        (result["name"].as_str().unwrap().to_owned(), result["width"].as_u64().unwrap() as usize)
    };
    results.iter().map(result).collect()
}

/// A program that reads a call and its inputs, and writes the status and results as bytes.
fn source(package: &Package) -> String {
    let name = &package.name;
    let upper = name.to_ascii_uppercase();
    let (float, bytes) = if package.manifest["dtype"] == "f64" { ("double", 8) } else { ("float", 4) };
    let mut text = format!(
        "#include \"{name}.h\"\n#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n\
         static void *aligned(size_t bytes) {{ void *p = malloc(bytes + 64); return (char *)p + (64 - (size_t)p % 64); }}\n\
         int main(void) {{\n  {name}_request request;\n  uint64_t call[5];\n  int status;\n"
    );
    let t = &mut text;
    writeln!(t, "  if (fread(call, 8, 5, stdin) != 5) return 100;").unwrap();
    writeln!(t, "  request.seed = call[0]; request.first_row = call[1]; request.first_sample = 0;").unwrap();
    writeln!(
        t,
        "  request.samples = (uint32_t)call[2];\n  {{ size_t rows = (size_t)call[3], pieces = (size_t)call[4];"
    )
    .unwrap();
    writeln!(t, "  uint32_t *piece = (uint32_t *)malloc(4 * pieces + 4);").unwrap();
    let room = format!("{float} *x = ({float} *)malloc({bytes} * (rows * {upper}_INPUTS + 1))");
    writeln!(t, "  {room};\n  {name}_result result;").unwrap();
    writeln!(t, "  void *workspace = aligned({upper}_WORKSPACE_BYTES);").unwrap();
    writeln!(t, "  memset(workspace, 0xa5, {upper}_WORKSPACE_BYTES);").unwrap();
    writeln!(t, "  if (fread(piece, 4, pieces, stdin) != pieces) return 101;").unwrap();
    writeln!(t, "  if (fread(x, {bytes}, rows * {upper}_INPUTS, stdin) != rows * {upper}_INPUTS) return 102;").unwrap();
    for (result, width) in results(package) {
        writeln!(t, "  result.{result} = ({float} *)malloc({bytes} * (rows * {width} + 1));").unwrap();
    }
    let levels = package.manifest["levels"].as_array().unwrap();
    if package.manifest["weights"] == "file" || levels.len() > 1 {
        let weights = if package.manifest["weights"] == "file" {
            writeln!(
                t,
                "  void *weights = aligned({upper}_WEIGHTS_BYTES); FILE *f = fopen(\"{name}.weights\", \"rb\");"
            )
            .unwrap();
            writeln!(
                t,
                "  if (!f || fread(weights, 1, {upper}_WEIGHTS_BYTES, f) != {upper}_WEIGHTS_BYTES) return 103;"
            )
            .unwrap();
            format!(", weights, {upper}_WEIGHTS_BYTES")
        } else {
            String::new()
        };
        writeln!(
            t,
            "  if ({name}_predict(NULL, x, rows, &result, workspace) != {upper}_ERROR_UNINITIALISED) return 104;"
        )
        .unwrap();
        if !weights.is_empty() {
            let init = format!("{name}_init(workspace{weights})");
            writeln!(t, "  ((char *)weights)[5] ^= 1; if ({init} != {upper}_ERROR_WEIGHTS) return 107;").unwrap();
            writeln!(t, "  ((char *)weights)[5] ^= 1;").unwrap();
        }
        if levels.len() > 1 {
            // the oldest level there is, as a caller who knows says it, and one that there is not
            let number = |level: &serde_json::Value| level.as_str().unwrap()[1..].parse().unwrap();
            let oldest = levels.iter().map(number).min().unwrap();
            let init = |level: u64| format!("{name}_init_isa(workspace, {level}{weights})");
            writeln!(t, "  if ({} != {upper}_ERROR_INSTRUCTIONS) return 108;", init(9)).unwrap();
            writeln!(t, "  if ({} || {name}_self_test(workspace)) return 109;", init(oldest)).unwrap();
        }
        writeln!(t, "  if ({name}_init(workspace{weights}) != 0) return 105;").unwrap();
    }
    writeln!(t, "  status = {name}_self_test(workspace);\n  if (status) return 110 + status;").unwrap();
    writeln!(t, "  if ({name}_info()->inputs != {upper}_INPUTS) return 106;").unwrap();
    writeln!(t, "  if (pieces == 0) status = {name}_predict(&request, x, rows, &result, workspace);").unwrap();
    if package.header.contains("STATE_BYTES") {
        writeln!(t, "  else {{\n    void *state = aligned({upper}_STATE_BYTES(rows));").unwrap();
        writeln!(t, "    status = {name}_begin(&request, rows, state);").unwrap();
        writeln!(
            t,
            "    for (size_t i = 0; i < pieces && !status; i++) status = {name}_add(piece[i], x, rows, state, workspace);"
        )
        .unwrap();
        writeln!(t, "    if (!status) status = {name}_finish(&result, state, workspace);\n  }}").unwrap();
    }
    writeln!(t, "  call[0] = (uint64_t)status; fwrite(call, 8, 1, stdout);").unwrap();
    for (result, width) in results(package) {
        writeln!(t, "  fwrite(result.{result}, {bytes}, rows * {width}, stdout);").unwrap();
    }
    writeln!(t, "  }}\n  return 0;\n}}").unwrap();
    text
}

impl Program {
    /// A program around the first of these packages, for this machine.
    pub fn build(name: &str, packages: &[&Package]) -> Program {
        Program::build_with(name, packages, &["cc"], &[])
    }

    /// As [`Program::build`], by this compiler and run by this command.
    pub fn build_with(name: &str, packages: &[&Package], compiler: &[&str], runner: &[&str]) -> Program {
        let folder = folder(name);
        packages.iter().for_each(|package| package.write(&folder).unwrap());
        let first = packages[0];
        fs::write(folder.join("main.c"), source(first)).unwrap();
        let objects = packages.iter().map(|package| format!("{}.{}", package.name, package.extension));
        let mut command = Command::new(compiler[0]);
        command.current_dir(&folder).args(&compiler[1..]).arg("main.c").args(objects);
        command.args(["-o", "program", "-Wall", "-Wextra", "-Wpedantic", "-Werror"]);
        run(&mut command);
        Program { path: folder.join("program"), runner: runner.iter().map(|word| (*word).to_owned()).collect() }
    }

    /// The status and the results of a call, one after the other.
    pub fn call<T: Number>(&self, call: &Call, inputs: &[T]) -> (u64, Vec<T>) {
        let mut command = run_by(&self.runner, &self.path);
        command.current_dir(self.path.parent().unwrap()).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let numbers = [call.seed, call.first_row, call.samples as u64, call.rows as u64, call.pieces.len() as u64];
        let mut given: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
        given.extend(call.pieces.iter().flat_map(|&piece| (piece as u32).to_le_bytes()));
        given.extend(inputs.iter().flat_map(|x| x.bytes()));
        child.stdin.take().unwrap().write_all(&given).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{command:?}: {}", output.status);
        let (status, results) = output.stdout.split_at(8);
        let results = results.chunks_exact(size_of::<T>()).map(T::of_bytes);
        (u64::from_le_bytes(status.try_into().unwrap()), results.collect())
    }

    /// Compares each result with the predictor's.
    pub fn compare<T: Number>(&self, package: &Package, network: &Network, call: &Call, inputs: &[T]) {
        let options = PredictorOptions::default().samples(call.samples).seed(call.seed);
        let predictor = Predictor::with_options(network, &options).unwrap();
        self.expect(call, inputs, moments(&predictor, call.first_row, inputs, package));
    }

    /// Compares all results with these.
    pub fn expect<T: Number>(&self, call: &Call, inputs: &[T], want: Vec<Vec<T>>) {
        let (status, got) = self.call(call, inputs);
        assert_eq!(status, 0, "{call:?}, {self:?}");
        let want: Vec<T> = want.into_iter().flatten().collect();
        assert_eq!(got.len(), want.len(), "{call:?}");
        let is_nan = |x: T| x.into().is_nan();
        let is_same = |(a, b): (&T, &T)| a.order() == b.order() || is_nan(*a) && is_nan(*b);
        let different = got.iter().zip(&want).filter(|pair| !is_same(*pair)).count();
        let shown = |all: &[T]| all.iter().take(40).map(|x| format!("{x:e}")).collect::<Vec<_>>().join(" ");
        let (got, all) = (shown(&got), shown(&want));
        assert_eq!(different, 0, "of {} numbers, {call:?}, {self:?}:\n{got}\n{all}", want.len());
    }
}

/// The predictor's results, in the package's order.
pub fn moments<T: Number>(predictor: &Predictor, first_row: u64, inputs: &[T], package: &Package) -> Vec<Vec<T>> {
    let classes = || T::classify(predictor, first_row, inputs).unwrap();
    let numbers = || T::regress(predictor, first_row, inputs).unwrap();
    results(package).iter().map(|(name, _)| moment(name, classes, numbers)).collect()
}

/// As [`moments`], of an ensemble.
pub fn moments_of_all<T: Number>(
    predictor: &EnsemblePredictor,
    first_row: u64,
    inputs: &[T],
    package: &Package,
) -> Vec<Vec<T>> {
    let classes = || T::classify_all(predictor, first_row, inputs).unwrap();
    let numbers = || T::regress_all(predictor, first_row, inputs).unwrap();
    let of = |(name, _): &(String, usize)| match name.as_str() {
        "information_within" => classes().within,
        "information_between" => classes().between,
        "epistemic_within" => numbers().within,
        "epistemic_between" => numbers().between,
        name => moment(name, || classes().all, || numbers().all),
    };
    results(package).iter().map(of).collect()
}

fn moment<T: Number>(
    name: &str,
    classes: impl Fn() -> Classification<T>,
    numbers: impl Fn() -> Regression<T>,
) -> Vec<T> {
    match name {
        "probabilities" => classes().probabilities().to_vec(),
        "predictive_entropy" => classes().predictive_entropy().to_vec(),
        "expected_entropy" => classes().expected_entropy().to_vec(),
        "mutual_information" => classes().mutual_information().to_vec(),
        "mean" => numbers().mean().to_vec(),
        "epistemic" => numbers().epistemic().to_vec(),
        "aleatoric" => numbers().aleatoric().to_vec(),
        "total" => numbers().total().to_vec(),
        other => panic!("`{other}` is no result"),
    }
}
