//! Compilers, what they are told, and the machines that they compile for.

use crate::{
    all, c, classes, digits,
    harness::{self, Call, Program, inputs},
    images, is_here, options, wines,
};
use bayeslift::deploy::Package;
use std::{fs, process::Command};

/// What makes programs of C, and runs them.
pub struct Compiler {
    pub command: &'static [&'static str],
    pub runner: &'static [&'static str],
}

pub const HERE: [Compiler; 2] =
    [Compiler { command: &["gcc"], runner: &[] }, Compiler { command: &["clang"], runner: &[] }];

/// Compilers for other machines: of 64 bits, of 32 with multiply-adds and without.
pub const ELSEWHERE: [Compiler; 6] = [
    Compiler { command: &["aarch64-linux-gnu-gcc", "-static"], runner: &["qemu-aarch64"] },
    Compiler { command: &["riscv64-linux-gnu-gcc", "-static"], runner: &["qemu-riscv64"] },
    Compiler { command: &["arm-linux-gnueabihf-gcc", "-static"], runner: &["qemu-arm"] },
    Compiler { command: &["arm-linux-gnueabihf-gcc", "-static", "-mfpu=neon-vfpv4"], runner: &["qemu-arm"] },
    Compiler {
        command: &["clang", "--target=aarch64-linux-gnu", "-static", "-Wno-unused-command-line-argument"],
        runner: &["qemu-aarch64"],
    },
    Compiler {
        command: &["clang", "--target=arm-linux-gnueabihf", "-static", "-mfpu=neon-vfpv4"],
        runner: &["qemu-arm"],
    },
];

const LEVELS: [&str; 3] = ["-O0", "-O2", "-O3"];
/// What a user may say besides: nothing of it changes a bit.
const BESIDES: [&[&str]; 8] = [
    &[],
    &["-std=c11"],
    &["-std=c99", "-Wconversion", "-Wno-sign-conversion", "-Wshadow"],
    &["-march=native"],
    &["-march=native", "-ffp-contract=fast"],
    &["-march=native", "-ffp-contract=fast", "-std=c11"],
    &["-march=native", "-ffp-contract=fast", "-flto"],
    &["-fno-strict-aliasing", "-funroll-loops"],
];

impl Compiler {
    pub fn is_here(&self) -> bool {
        [self.command.first(), self.runner.first()].into_iter().flatten().all(|tool| is_here(tool))
    }

    pub fn program(&self, name: &str, package: &Package, besides: &[&str]) -> Program {
        let command = [self.command, besides].concat();
        let name = format!("c/{name}/{}", command.join("_").replace(['/', '='], "-"));
        Program::build_with(&name, &[package], &command, self.runner)
    }
}

/// The combinations of levels and options that are tested: all of them, or each level and each option with some other.
fn combinations() -> Vec<Vec<&'static str>> {
    let mut combinations = Vec::new();
    for (i, level) in LEVELS.into_iter().enumerate() {
        for (j, besides) in BESIDES.into_iter().enumerate() {
            if all() || (i + j) % LEVELS.len() == 0 {
                combinations.push([&[level], besides].concat());
            }
        }
    }
    combinations
}

#[test]
fn whatever_a_compiler_is_told() {
    let network = classes();
    let package = c(&network, &options("classes").samples(7).row_block(8));
    for compiler in HERE.iter().filter(|compiler| compiler.is_here()) {
        for besides in combinations() {
            // linking is its linker's, which clang has only for itself
            if compiler.command == ["clang"] && besides.contains(&"-flto") {
                continue;
            }
            let program = compiler.program("classes", &package, &besides);
            for (rows, samples) in [(1, 7), (1, 1), (13, 40)] {
                let call = Call { rows, samples, first_row: (1 << 32) + 5, ..Call::default() };
                program.compare(&package, &network, &call, &inputs(rows * 7));
            }
        }
    }
}

/// What could change bits unseen is refused.
#[test]
fn fast_mathematics_are_refused() {
    let package = c(&classes(), &options("classes").samples(7));
    let folder = harness::folder("c/fast");
    package.write(&folder).unwrap();
    for compiler in HERE.iter().filter(|compiler| compiler.is_here()) {
        for option in ["-ffast-math", "-Ofast", "-ffinite-math-only"] {
            let mut command = Command::new(compiler.command[0]);
            let output = command.current_dir(&folder).args(["-c", "classes.c", option]).output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(!output.status.success() && said.contains("defined to the bit"), "{option}: {said}");
        }
    }
}

/// Nothing outside is called, and nothing can be written: what a linker would have to find is what compilers bring.
#[test]
fn nothing_is_called_and_nothing_written() {
    let package = c(&classes(), &options("classes").samples(7));
    let folder = harness::folder("c/symbols");
    package.write(&folder).unwrap();
    for compiler in HERE.iter().filter(|compiler| compiler.is_here()) {
        for besides in combinations().into_iter().filter(|besides| !besides.contains(&"-flto")) {
            let mut command = Command::new(compiler.command[0]);
            harness::run(command.current_dir(&folder).args(&besides).args(["-c", "classes.c", "-o", "classes.o"]));
            let bytes = fs::read(folder.join("classes.o")).unwrap();
            use object::{Object as _, ObjectSection as _, ObjectSymbol as _, SectionKind};
            let file = object::File::parse(&*bytes).unwrap();
            let outside = file.symbols().filter(|symbol| symbol.is_undefined()).map(|symbol| symbol.name().unwrap());
            // tables of addresses are the linker's own
            let outside: Vec<&str> = outside.filter(|name| !["", "_GLOBAL_OFFSET_TABLE_"].contains(name)).collect();
            assert!(outside.is_empty(), "{besides:?}: {outside:?}");
            let is_written = |kind| matches!(kind, SectionKind::Data | SectionKind::UninitializedData);
            assert!(file.sections().all(|section| !is_written(section.kind()) || section.size() == 0), "{besides:?}");
        }
    }
}

#[test]
fn other_machines_give_the_same_bits() {
    let (network, images) = (classes(), images());
    let package = c(&network, &options("classes").samples(7).row_block(8));
    let of_images = c(&images, &options("images").samples(3).row_block(2));
    for compiler in ELSEWHERE.iter().filter(|compiler| compiler.is_here()) {
        for level in if all() { &LEVELS[..] } else { &["-O2"] } {
            let program = compiler.program("elsewhere", &package, &[level]);
            for (rows, samples) in [(1, 7), (1, 1), (13, 40)] {
                let call = Call { rows, samples, first_row: (1 << 33) + 5, ..Call::default() };
                program.compare(&package, &network, &call, &inputs(rows * 7));
            }
            let call = Call { rows: 3, samples: 3, ..Call::default() };
            compiler.program("images", &of_images, &[level]).compare(&of_images, &images, &call, &inputs(3 * 196));
        }
    }
}

/// Whole test sets, by the first compiler for this machine and for those of 32 bits.
#[test]
fn whole_test_sets() {
    let compilers = [&HERE[0], &HERE[1], &ELSEWHERE[3]];
    for (name, (network, test), samples) in [("digits", digits(), 16), ("wines", wines(), 64)] {
        let package = c(&network, &options(name).samples(samples));
        for compiler in compilers.into_iter().filter(|compiler| compiler.is_here()) {
            let call = Call { rows: test.rows(), samples, ..Call::default() };
            compiler.program(name, &package, &["-O2"]).compare(&package, &network, &call, test.inputs());
        }
    }
}
