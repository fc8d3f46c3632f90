//! Trained networks in programs of Rust, also of microcontrollers: a build script compiles a model file, and the
//! program includes a module that predicts with its uncertainty. It needs no library, no allocator and no `std`, and
//! safe code calls it.
//!
//! `build.rs`, with this crate among the build dependencies:
//!
//! ```no_run
//! fn main() -> Result<(), bayeslift_build::Error> {
//!     bayeslift_build::compile("digits.safetensors")
//! }
//! ```
//!
//! `src/lib.rs`:
//!
//! ```ignore
//! #![no_std]
//!
//! /// Handwritten digits.
//! pub mod digits {
//!     include!(concat!(env!("OUT_DIR"), "/digits.rs"));
//! }
//!
//! /// How probable each digit is, and how far the network does not know.
//! pub fn read(image: [f32; 64]) -> Result<([f32; 10], f32), digits::Error> {
//!     let mut model = digits::Model::new();
//!     let answer = model.predict(&[image], &digits::Request::DEFAULT)?;
//!     Ok((answer.probabilities[0], answer.mutual_information[0]))
//! }
//! ```
//!
//! For x86-64, 64-bit ARM and RISC-V the functions are an object, which takes no compiler. For all other targets they
//! are C, which the `cc` crate compiles. Both have the bits of the library that trained the network. `cargo doc` of the
//! program tells what is in the module.

mod error;

pub use bayeslift::deploy::Level;
pub use error::Error;

use bayeslift::{
    Abstention,
    deploy::{self, DeployOptions, Package, System},
};
use std::{
    env, fs,
    path::{Path, PathBuf},
};

/// Compiles a model file, or the folder of an ensemble, for the target that the build script is for: as [`Model`] does
/// with nothing told.
///
/// # Errors
/// As for [`Model::compile`].
pub fn compile(path: impl Into<PathBuf>) -> Result<(), Error> {
    Model::new(path).compile()
}

/// What to compile, and how.
#[derive(Clone, Debug)]
pub struct Model {
    path: PathBuf,
    name: Option<String>,
    options: DeployOptions,
    is_c: bool,
    target: Option<String>,
    folder: Option<PathBuf>,
}

impl Model {
    /// What `Network::save` wrote, or the folder that `Ensemble::save` did. Paths begin at the package's folder.
    pub fn new(path: impl Into<PathBuf>) -> Model {
        let (path, options) = (path.into(), DeployOptions::new("model"));
        Model { path, name: None, options, is_c: false, target: None, folder: None }
    }

    /// Makes `NAME.rs`, with functions of this name; else that of the file. Two models of one program have two names.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// With this number of posterior samples where none is told; else 64.
    pub fn samples(mut self, samples: usize) -> Self {
        self.options = self.options.samples(samples);
        self
    }

    /// With at most `rows` rows at once. Memory grows with it, and results do not depend on it: 1 takes least.
    pub fn row_block(mut self, rows: usize) -> Self {
        self.options = self.options.row_block(rows);
        self
    }

    /// With this seed where none is told; else the network's.
    pub fn seed(mut self, seed: u64) -> Self {
        self.options = self.options.seed(seed);
        self
    }

    /// Abstaining so: answers have `abstain` too.
    pub fn abstention(mut self, abstention: Abstention) -> Self {
        self.options = self.options.abstention(abstention);
        self
    }

    /// Deciding with this error: the model has `decide` too, which draws as many samples as that takes.
    pub fn decide(mut self, error: f64) -> Self {
        self.options = self.options.decide(error);
        self
    }

    /// With these names of the numbers of a row: `INPUT_NAMES` of the module.
    pub fn input_names<T: Into<String>>(mut self, names: impl IntoIterator<Item = T>) -> Self {
        self.options = self.options.input_names(names);
        self
    }

    /// With these names of the classes, or of the numbers that are predicted: `OUTPUT_NAMES` of the module.
    pub fn output_names<T: Into<String>>(mut self, names: impl IntoIterator<Item = T>) -> Self {
        self.options = self.options.output_names(names);
        self
    }

    /// For these levels of x86-64. Of several the model chooses when it is first called; of a single one, whoever says
    /// so knows that processors have it. Default: what the program is compiled for, or v1 and v3.
    pub fn levels(mut self, levels: impl IntoIterator<Item = Level>) -> Self {
        self.options = self.options.levels(levels);
        self
    }

    /// As C also where there are objects for the target.
    pub fn c(mut self) -> Self {
        self.is_c = true;
        self
    }

    /// For this target, instead of the one that cargo tells.
    pub fn target(mut self, target: impl Into<String>) -> Self {
        self.target = Some(target.into());
        self
    }

    /// Into this folder, instead of the one that cargo tells.
    pub fn out_dir(mut self, folder: impl Into<PathBuf>) -> Self {
        self.folder = Some(folder.into());
        self
    }

    /// Writes `NAME.rs` and an archive of the functions into `OUT_DIR`, and tells cargo to link it and when to compile
    /// it again.
    ///
    /// # Errors
    /// Outside of a build script, if target and folder are not told; a model that is not there, or that there is no
    /// package of (see [`deploy::file`]); a target without objects for which no compiler of C is found.
    pub fn compile(&self) -> Result<(), Error> {
        let of_cargo = |name: &'static str| env::var(name).map_err(|_| Error::NoBuildScript { name });
        let target = self.target.clone().map_or_else(|| of_cargo("TARGET"), Ok)?;
        let folder = self.folder.clone().map_or_else(|| of_cargo("OUT_DIR").map(PathBuf::from), Ok)?;
        println!("cargo:rerun-if-changed={}", self.path.display());
        if !self.path.exists() {
            return Err(Error::Missing { path: self.path.clone(), folder: env::current_dir().unwrap_or_default() });
        }
        let (package, no_object) = self.package(&target)?;
        let library = format!("bayeslift_{}", package.name);
        let write = |name: &str, bytes: &[u8]| {
            let path = folder.join(name);
            fs::write(&path, bytes).map_err(|source| Error::File { path, source })
        };
        for file in package.files() {
            write(&file.name, &file.bytes)?;
        }
        if package.extension == "c" {
            compile_c(&package, &library, &target, &folder).map_err(|source| {
                let variable = format!("CC_{}", target.replace(['-', '.'], "_"));
                Error::Compiler { target, no_object, source, variable }
            })?;
        } else {
            let is_msvc = target.ends_with("-msvc");
            let name = if is_msvc { format!("{library}.lib") } else { format!("lib{library}.a") };
            write(&name, &package.archive(&name).map_err(|source| self.refused(source))?.bytes)?;
            println!("cargo:rustc-link-lib=static={library}");
            println!("cargo:rustc-link-search=native={}", folder.display());
        }
        Ok(())
    }

    /// The package for a target, and why it is C, if it is.
    fn package(&self, target: &str) -> Result<(Package, String), Error> {
        let (system, no_object) = match target.parse::<System>() {
            Ok(system) if !self.is_c => (system, String::new()),
            found => {
                let reason = found.err().map_or_else(|| "C was asked for".into(), |error| error.to_string());
                (System::c(Some(target)).map_err(|error| self.refused(error))?, reason)
            }
        };
        let mut options = self.options.clone().for_system(system);
        options.name = self.name.clone().unwrap_or_else(|| name_of(&self.path));
        if options.levels.is_empty() && no_object.is_empty() && target.starts_with("x86_64") {
            options.levels = levels(&env::var("CARGO_CFG_TARGET_FEATURE").unwrap_or_default());
        }
        let package = deploy::file(&self.path, &options).map_err(|source| self.refused(source))?;
        Ok((package, no_object))
    }

    fn refused(&self, source: impl std::error::Error + Send + Sync + 'static) -> Error {
        Error::Model { path: self.path.clone(), source: Box::new(source) }
    }
}

/// The name of a file, as an identifier.
fn name_of(path: &Path) -> String {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let name: String =
        stem.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' }).collect();
    if name.starts_with(|c: char| c.is_ascii_digit()) { format!("_{name}") } else { name }
}

/// The levels of x86-64 for a program that may use these instructions: one that they suffice for, or any processor's
/// and the usual one.
fn levels(features: &str) -> Vec<Level> {
    let has = |wanted: &[&str]| wanted.iter().all(|wanted| features.split(',').any(|feature| feature == *wanted));
    match () {
        () if has(&["avx512f", "avx512vl", "avx2", "fma"]) => vec![Level::V4],
        () if has(&["avx2", "fma"]) => vec![Level::V3],
        () => vec![Level::V1, Level::V3],
    }
}

/// Compiles C to an archive, and tells cargo.
fn compile_c(package: &Package, library: &str, target: &str, folder: &Path) -> Result<(), cc::Error> {
    let mut build = cc::Build::new();
    // what a network computes is the same at every level, and slow without any
    build.file(folder.join(format!("{}.c", package.name))).target(target).out_dir(folder).opt_level(2);
    if env::var_os("HOST").is_none() {
        build.host(&System::host().map_or_else(|_| target.to_owned(), |host| host.to_string()));
    }
    if ["-none", "wasm32-unknown-unknown"].iter().any(|bare| target.contains(bare)) {
        build.flag("-ffreestanding");
    }
    build.try_compile(library)
}
