//! `examples/no_std`, as cargo builds it - by its build script, and then the compiler - but without compiling the
//! library another time: it prints the predictor's bits for all test images, here and on a Cortex-M4.

#[allow(clippy::duplicate_mod)]
#[path = "../../../examples/no_std/build.rs"]
mod script;

use bayeslift::{
    Ensemble, EnsemblePredictor,
    deploy::{self, DeployOptions, Level, System, Weights},
    ir::DType,
    prelude::*,
};
use flate2::read::GzDecoder;
use std::{
    env,
    fmt::Display,
    fs::{self, File},
    io::{self, Read, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

const MICROCONTROLLER: &str = "thumbv7em-none-eabihf";
const SAMPLES: usize = 8;

fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/no_std").join(name)
}

/// An empty folder.
fn folder(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("no_std").join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// What a command writes, which has to succeed.
fn said(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let (out, error) = (text(output.stdout), text(output.stderr));
    assert!(output.status.success(), "{command:?}: {out}{error}");
    out
}

/// The build script itself, which others run as cargo does.
#[test]
#[ignore = "others run it, as cargo runs a build script"]
fn as_cargo_runs_it() {
    script::main().unwrap();
}

/// What a build script told, and where it wrote.
struct Built {
    target: String,
    folder: PathBuf,
    libraries: Vec<String>,
    link_arguments: Vec<String>,
}

impl Built {
    fn new(target: &str) -> Built {
        let folder = folder(target);
        let mut command = Command::new(env::current_exe().unwrap());
        command.args(["as_cargo_runs_it", "--exact", "--ignored", "--nocapture"]).current_dir(example(""));
        command.env("TARGET", target).env("OUT_DIR", &folder).env("CARGO_MANIFEST_DIR", example(""));
        let is_bare = target == MICROCONTROLLER;
        command.env("CARGO_CFG_TARGET_OS", if is_bare { "none" } else { env::consts::OS });
        let said = said(&mut command);
        let told = |what: &str| -> Vec<String> {
            let told = said.lines().filter_map(|line| line.split_once("cargo:")?.1.strip_prefix(what));
            told.map(str::to_owned).collect()
        };
        let again = told("rerun-if-changed=");
        assert!(again.iter().any(|path| path == "digits.safetensors"), "{said}");
        assert!(told("rustc-link-search=").contains(&format!("native={}", folder.display())), "{said}");
        let (libraries, link_arguments) = (told("rustc-link-lib="), told("rustc-link-arg-bins="));
        assert!(libraries.contains(&"static=bayeslift_digits".to_owned()), "{said}");
        Built { target: target.to_owned(), folder, libraries, link_arguments }
    }

    fn compiler(&self, compiler: &Path, source: &Path) -> Command {
        let mut command = Command::new(compiler);
        command.env("OUT_DIR", &self.folder).args(["--edition", "2024", "-O", "-D", "warnings"]).arg(source);
        command.args(["--target", &self.target, "-L"]).arg(&self.folder).arg("--out-dir").arg(&self.folder);
        command
    }

    /// The library of the example, by this compiler.
    fn library(&self, compiler: &Path) {
        let mut command = self.compiler(compiler, &example("src/lib.rs"));
        command.args(["--crate-name", "no_std_example", "--crate-type", "rlib"]);
        said(command.args(self.libraries.iter().flat_map(|library| ["-l", library])));
    }

    /// A program with that library.
    fn program(&self, source: &Path) -> PathBuf {
        let mut command = self.compiler(Path::new("rustc"), source);
        command.args(["--crate-name", "program"]);
        if self.folder.join("libno_std_example.rlib").exists() {
            command.args(["--extern", "no_std_example"]);
        } else {
            command.args(self.libraries.iter().flat_map(|library| ["-l", library]));
        }
        said(
            command.args(self.link_arguments.iter().flat_map(|argument| ["-C".into(), format!("link-arg={argument}")])),
        );
        self.folder.join("program").with_extension(env::consts::EXE_EXTENSION)
    }
}

/// The pixels of the test part: every fifth image.
fn pixels() -> Vec<u8> {
    let mut text = String::new();
    let file = File::open(example("../../data/digits.csv.gz")).unwrap();
    GzDecoder::new(file).read_to_string(&mut text).unwrap();
    let pixels = |line: &str| line.split(',').take(64).map(|pixel| pixel.parse().unwrap()).collect::<Vec<u8>>();
    text.lines().skip(4).step_by(5).flat_map(pixels).collect()
}

/// What the program is to print, by the predictor: floats as Rust prints them read back to the same bits.
fn expected() -> String {
    let options = PredictorOptions::default().samples(SAMPLES);
    let predictor = Predictor::open_with_options(example("digits.safetensors"), &options).unwrap();
    let images: Vec<f32> = pixels().into_iter().map(|pixel| f32::from(pixel) / 16.0).collect();
    let answer = predictor.classify(&images).unwrap();
    let mut text = String::new();
    for (row, probabilities) in answer.probabilities().chunks(10).enumerate() {
        let probabilities: Vec<String> = probabilities.iter().map(f32::to_string).collect();
        let (data, weights) = (answer.expected_entropy()[row], answer.mutual_information()[row]);
        text += &format!("{row}: {}, {data} in the image, {weights} in the weights\n", probabilities.join(" "));
    }
    assert_eq!(answer.probabilities().len(), 359 * 10);
    text
}

/// The file of a tool of the compiler's own installation.
fn of_toolchain(tool: &str) -> PathBuf {
    let root = said(Command::new("rustc").args(["--print", "sysroot"]));
    Path::new(root.trim()).join("bin").join(tool).with_extension(env::consts::EXE_EXTENSION)
}

fn skip(what: &str) {
    let _ = writeln!(io::stderr(), "NOT TESTED: {what} is missing; .ci/run installs it");
}

/// The generated module with all lints too, as errors; and what it refuses.
#[test]
fn this_machine() {
    assert_eq!(fs::read(example("images")).unwrap(), pixels(), "the images of the example");
    let built = Built::new(&System::host().unwrap().to_string());
    built.library(&of_toolchain("clippy-driver"));
    built.library(Path::new("rustc"));
    assert_eq!(said(&mut Command::new(built.program(&example("src/main.rs")))), expected());
    let refused = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/no_std/refused.rs");
    said(&mut Command::new(built.program(&refused)));
}

#[test]
fn a_microcontroller() {
    let library = said(Command::new("rustc").args(["--print", "target-libdir", "--target", MICROCONTROLLER]));
    if !Path::new(library.trim()).exists() {
        return skip(&format!("Rust's target {MICROCONTROLLER}"));
    }
    for tool in ["arm-none-eabi-gcc", "qemu-system-arm"] {
        if Command::new(tool).arg("--version").stdout(Stdio::null()).status().is_err() {
            assert!(env::var_os("CI").is_none(), "`{tool}` is missing; .ci/run installs it");
            return skip(tool);
        }
    }
    let built = Built::new(MICROCONTROLLER);
    built.library(Path::new("rustc"));
    let program = built.program(&example("src/main.rs"));
    let mut command = Command::new("qemu-system-arm");
    command.args(["-M", "mps2-an386", "-display", "none", "-monitor", "none", "-serial", "none"]);
    command.args(["-semihosting-config", "enable=on,target=native", "-kernel"]);
    let output = command.arg(program).output().unwrap();
    // semihosting prints as it can: QEMU to standard error
    let printed = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat();
    assert!(output.status.success() && printed == expected(), "other bits than here: {printed}");
}

/// Modules of other kinds, compiled with all lints as errors; what they answer has the bits of predictors.
#[test]
fn other_kinds_of_modules() {
    let target = System::host().unwrap().to_string();
    let folder = folder("kinds");
    let rows: Vec<f32> = (0..14).map(|i| (i as f32 * 0.7).sin()).collect();
    fs::write(folder.join("inputs"), rows.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>()).unwrap();
    let layer = || AffineVariationalReparameterization::new(2, 3);
    let classes = Network::new(layer(), [2], likelihood::Categorical, 5).unwrap();
    let layer = || AffineVariationalReparameterizationLocal::new(2, 1);
    let normal = || likelihood::Normal::learned(1.0);
    let members = Ensemble::new(3, |member| Network::new(layer(), [2], normal(), member)).unwrap();
    let mut libraries = Vec::new();
    let mut write = |package: deploy::Package| {
        libraries.push(format!("static={}", package.name));
        let archive = package.archive(&format!("lib{}.a", package.name)).unwrap();
        deploy::write(&folder, &[package.files(), vec![archive]].concat()).unwrap();
    };
    let mut blocks = DeployOptions::new("blocks").row_block(4);
    if env::consts::ARCH == "x86_64" {
        blocks = blocks.levels([Level::V1, Level::V3]);
    }
    write(deploy::network(&classes, &blocks).unwrap());
    write(deploy::ensemble(&members, &DeployOptions::new("members")).unwrap());
    let layers = Sequential::new().layer(layer()).dtype(DType::F64);
    let doubles = Network::new(layers, [2], normal(), 3).unwrap();
    write(deploy::network(&doubles, &DeployOptions::new("doubles")).unwrap());
    let apart = DeployOptions::new("apart").weights(Weights::File).output_names(["\"1\"", "\\", "@NAME@"]);
    write(deploy::network(&classes, &apart).unwrap());
    let built = Built { target, folder, libraries, link_arguments: Vec::new() };
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/no_std/kinds.rs");
    let mut lints = built.compiler(&of_toolchain("clippy-driver"), &source);
    said(lints.args(["--crate-type", "bin", "--emit", "metadata"]));
    let got = said(&mut Command::new(built.program(&source)));

    let of_classes = Predictor::new(&classes).unwrap().classify(&rows).unwrap();
    let of_members = EnsemblePredictor::new(&members).unwrap().regress(&rows).unwrap();
    let rows: Vec<f64> = rows.iter().map(|&x| f64::from(x) + 1e-9).collect();
    let of_doubles = Predictor::new(&doubles).unwrap().double().unwrap().regress(&rows).unwrap();
    fn lines<T: Display>(values: &[&[T]]) -> String {
        values.iter().copied().flatten().map(|value| format!("{value}\n")).collect()
    }
    let mut want = lines(&[of_classes.probabilities(), of_classes.mutual_information()]);
    want += &lines(&[of_members.all.mean(), &of_members.between]);
    want += &lines(&[of_doubles.mean(), of_doubles.total()]);
    want += &lines(&[of_classes.probabilities()]);
    // the memory that C counts
    let counts = "#include \"blocks.h\"\n#include <stdio.h>\nint main(void) { for (size_t rows = 0; rows < 40; rows++) \
                  printf(\"%zu\\n\", BLOCKS_STATE_BYTES(rows)); return 0; }";
    fs::write(built.folder.join("counts.c"), counts).unwrap();
    said(Command::new("cc").current_dir(&built.folder).args(["counts.c", "-o", "counts"]));
    want += &said(&mut Command::new(built.folder.join("counts")));
    assert_eq!(got, want);
}
