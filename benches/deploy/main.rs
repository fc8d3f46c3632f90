//! Objects and C beside the predictor of this process, and beside plain loops in C.
//!
//! ```text
//! cargo bench -q --features deploy --bench deploy [-- rounds=11 level=v3]
//! ```
//!
//! For networks of 64-50-50-10 and 784-400-400-10, deterministic and with 32 samples: the time of one row and of 32 by
//! the object, as a multiple of what the predictor takes on one thread and, of one row, of what loops take that
//! somebody would write by hand (`plain.c`, by `cc -O3 -march=native`); what the file in C takes as a multiple of the
//! object (by `cc -O2 -march=native`); the size of code and weights; and how long a static program in C takes to its
//! first answer beside one that does nothing. Figures are medians over rounds in which all take turns. Object and
//! predictor have the same instruction set: that of a level of x86-64 (default: v3). Needs a C compiler.

use bayeslift::{
    deploy::{self, DeployOptions, Level, Package, System},
    prelude::*,
    runtime::{Options, Target},
};
use std::{
    error::Error,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const SAMPLES: usize = 32;

fn main() -> Result<()> {
    let given = |name: &str| std::env::args().find_map(|argument| argument.strip_prefix(name).map(str::to_owned));
    // `cargo bench` alone runs every bench
    let rounds: usize = given("rounds=").map_or(Ok(11), |rounds| rounds.parse())?;
    let level = match given("level=").as_deref() {
        None | Some("v3") => Level::V3,
        Some("v4") => Level::V4,
        Some(other) => return Err(format!("level={other}: v3 or v4").into()),
    };
    println!(
        "network            samples rows    object predictor  plain C  object/predictor  C/object  object/plain  code KB  first answer"
    );
    for (inputs, hidden) in [(64, 50), (784, 400)] {
        for samples in [0, SAMPLES] {
            Case { inputs, hidden, samples, level }.run(rounds)?;
        }
    }
    Ok(())
}

struct Case {
    inputs: usize,
    hidden: usize,
    /// 0 of a network that draws nothing.
    samples: usize,
    level: Level,
}

impl Case {
    fn network(&self) -> Result<Network> {
        let Case { inputs, hidden, .. } = *self;
        let layers = if self.samples == 0 {
            Sequential::new()
                .layer(Affine::new(inputs, hidden).activation(Activation::Relu))
                .layer(Affine::new(hidden, hidden).activation(Activation::Relu))
                .layer(Affine::new(hidden, 10))
        } else {
            Sequential::new()
                .layer(AffineVariationalReparameterizationLocal::new(inputs, hidden).activation(Activation::Relu))
                .layer(AffineVariationalReparameterizationLocal::new(hidden, hidden).activation(Activation::Relu))
                .layer(AffineVariationalReparameterizationLocal::new(hidden, 10))
        };
        Ok(Network::new(layers, [inputs], likelihood::Categorical, 0)?)
    }

    fn run(&self, rounds: usize) -> Result<()> {
        let network = self.network()?;
        let samples = self.samples.max(1);
        let package = deploy::network(&network, &DeployOptions::new("net").samples(samples).levels([self.level]))?;
        let options = DeployOptions::new("source").samples(samples).for_system(System::c(None)?);
        let source = deploy::network(&network, &options)?;
        let folder =
            PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("deploy-{}-{}", self.inputs, self.samples));
        self.build(&folder, [&package, &source])?;
        // lanes of AVX2 and of AVX-512
        let target = Target::host().with_lanes(if self.level == Level::V3 { 8 } else { 16 });
        let backend = Options::default().threads(1).target(target);
        let options = PredictorOptions::default().samples(samples).backend(backend);
        let predictor = Predictor::with_options(&network, &options)?;
        for rows in [1, 32] {
            let x: Vec<f32> = (0..rows * self.inputs).map(|i| (i * 2_654_435_761 % 1000) as f32 / 1000.0).collect();
            let mut call = || predictor.classify(&x).map(drop);
            call()?;
            let calls = (400_000 / (rows * self.inputs * samples * self.hidden / 50)).clamp(20, 10_000);
            let mut times = Vec::new();
            for _ in 0..rounds {
                let [object, plain, source] = timed(&folder, rows, calls)?;
                times.push([object, best(calls, &mut call)?, plain, source]);
            }
            let median = |of: &dyn Fn(&[f64; 4]) -> f64| median(times.iter().map(of).collect());
            let [object, own, plain] = [0, 1, 2].map(|i| median(&|t: &[f64; 4]| t[i] / 1000.0));
            let [to_own, to_plain, of_source] = [(0, 1), (0, 2), (3, 0)].map(|(a, b)| median(&|t| t[a] / t[b]));
            let mut line = format!("{:>3}-{hidden}-{hidden}-10", self.inputs, hidden = self.hidden);
            write!(line, " {:>10} {rows:>4} {object:>8.2}us {own:>8.2}us", self.samples)?;
            if rows == 1 {
                let code = package.manifest["bytes"]["code"].as_f64().unwrap_or_default() / 1024.0;
                let [first, empty] = starts(&folder)?;
                write!(line, " {plain:>8.2} {to_own:>12.3} {of_source:>12.2} {to_plain:>13.3} {code:>10.0}")?;
                write!(line, " {first:.2} ms, an empty program {empty:.2}")?;
            } else {
                write!(line, " {:>8} {to_own:>12.3} {of_source:>12.2}", "")?;
            }
            println!("{line}");
        }
        Ok(())
    }

    /// The programs.
    fn build(&self, folder: &Path, packages: [&Package; 2]) -> Result<()> {
        let _ = fs::remove_dir_all(folder);
        packages.into_iter().try_for_each(|package| package.write(folder))?;
        let sources = [
            ("plain.c", include_str!("plain.c")),
            ("time.c", include_str!("time.c")),
            ("first.c", include_str!("first.c")),
        ];
        for (name, text) in sources {
            fs::write(folder.join(name), text)?;
        }
        fs::write(folder.join("empty.c"), "int main(void) { return 0; }\n")?;
        self.weights(folder)?;
        let sizes = [
            format!("-DINPUTS={}", self.inputs),
            format!("-DHIDDEN={}", self.hidden),
            "-DOUTPUTS=10".into(),
            format!("-DSAMPLES={}", self.samples),
        ];
        let mut plain = vec!["-O3", "-march=native", "-std=c11"];
        plain.extend(sizes.iter().map(String::as_str));
        cc(folder, &["-O2", "-march=native", "-c", "source.c"])?;
        cc(
            folder,
            &[&plain[..], &["time.c", "plain.c", "weights.s", "net.o", "source.o", "-lm", "-o", "time"]].concat(),
        )?;
        cc(folder, &["-static", "-O2", "-std=c11", "first.c", "net.o", "-o", "first"])?;
        cc(folder, &["-static", "-O2", "empty.c", "-o", "empty"])
    }

    /// Weights of plain loops: any will do.
    fn weights(&self, folder: &Path) -> Result<()> {
        let (mut header, mut text, mut bytes) = (String::new(), String::from(".section .rodata\n"), Vec::new());
        let layers = [(self.inputs, self.hidden), (self.hidden, self.hidden), (self.hidden, 10)];
        for (i, (inputs, outputs)) in (1..).zip(layers) {
            for (name, rows) in [("mean", inputs), ("variance", inputs), ("bias", 1)] {
                let shape = if name == "bias" { format!("[{outputs}]") } else { format!("[{inputs}][{outputs}]") };
                writeln!(header, "extern const float {name}_{i}{shape};")?;
                let (at, count) = (bytes.len(), rows * outputs);
                writeln!(
                    text,
                    ".balign 64\n.globl {name}_{i}\n{name}_{i}: .incbin \"weights.bin\", {at}, {}",
                    count * 4
                )?;
                let value = |k: usize| (k as u32).wrapping_mul(0x9e37_79b1) as f32 / 4.3e9 * 0.1;
                bytes.extend((0..count).flat_map(|k| value(k).to_le_bytes()));
            }
        }
        text.push_str(".section .note.GNU-stack,\"\",@progbits\n");
        fs::write(folder.join("weights.h"), header)?;
        fs::write(folder.join("weights.s"), text)?;
        Ok(fs::write(folder.join("weights.bin"), bytes)?)
    }
}

fn cc(folder: &Path, arguments: &[&str]) -> Result<()> {
    let status = Command::new("cc").current_dir(folder).args(arguments).status()?;
    if status.success() { Ok(()) } else { Err(format!("cc {}: {status}", arguments.join(" ")).into()) }
}

/// How many times a call is measured. The best counts: others are those of whatever else the machine does.
const TIMES: usize = 5;

/// The nanoseconds of a call of the object, of plain loops, and of the file in C.
fn timed(folder: &Path, rows: usize, calls: usize) -> Result<[f64; 3]> {
    let arguments = [rows, calls, TIMES].map(|number| number.to_string());
    let output = Command::new(folder.join("time")).args(arguments).output()?;
    let text = String::from_utf8(output.stdout)?;
    let mut numbers = text.split_whitespace().map(str::parse::<f64>);
    let mut next = || numbers.next().ok_or("the program in C printed too little");
    Ok([next()??, next()??, next()??])
}

/// The nanoseconds of a call.
fn best(calls: usize, call: &mut impl FnMut() -> std::result::Result<(), bayeslift::Error>) -> Result<f64> {
    let mut best = f64::MAX;
    for _ in 0..TIMES {
        let start = Instant::now();
        for _ in 0..calls {
            call()?;
        }
        best = best.min(start.elapsed().as_secs_f64() * 1e9 / calls as f64);
    }
    Ok(best)
}

/// The milliseconds from the start to the end of a program that answers once, and of one that does nothing.
fn starts(folder: &Path) -> Result<[f64; 2]> {
    const STARTS: usize = 101;
    let mut times = [Vec::new(), Vec::new()];
    for _ in 0..STARTS {
        for (name, times) in ["first", "empty"].into_iter().zip(&mut times) {
            let start = Instant::now();
            let status = Command::new(folder.join(name)).status()?;
            times.push(start.elapsed().as_secs_f64() * 1e3);
            if !status.success() {
                return Err(format!("{name}: {status}").into());
            }
        }
    }
    Ok(times.map(median))
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
