//! Cortex-M4F and M7, bare, by an emulator: the bits of the predictor over whole test sets, in so much flash and
//! memory.

use crate::{
    c, classes, digits,
    harness::{self, inputs, moments, results, run},
    is_here, options, say, wines,
};
use bayeslift::{deploy::Package, prelude::*};
use std::{fmt::Write as _, fs, path::Path, process::Command};

/// A processor, the board of the emulator that has it, and how code is made for it.
pub struct Processor {
    pub name: &'static str,
    board: &'static str,
    options: &'static [&'static str],
}

pub const PROCESSORS: [Processor; 2] = [
    Processor {
        name: "Cortex-M4F",
        board: "mps2-an386",
        options: &["-mcpu=cortex-m4", "-mfpu=fpv4-sp-d16", "-mfloat-abi=hard"],
    },
    Processor {
        name: "Cortex-M7",
        board: "mps2-an500",
        options: &["-mcpu=cortex-m7", "-mfpu=fpv5-d16", "-mfloat-abi=hard"],
    },
];

pub const COMPILER: &str = "arm-none-eabi-gcc";
pub const EMULATOR: &str = "qemu-system-arm";
pub const KB: usize = 1024;

/// What a program takes, in bytes, and the instructions of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Taken {
    flash: u64,
    workspace: u64,
    stack: u64,
    instructions: u64,
}

/// The words that a program writes to the file `results`, on a processor that has so much flash and memory. The folder
/// has the package of this name, and what the program reads.
pub fn start(
    processor: &Processor,
    folder: &Path,
    program: &str,
    name: &str,
    level: &str,
    [flash, memory]: [usize; 2],
) -> Vec<u32> {
    fs::write(folder.join("main.c"), program).unwrap();
    fs::write(folder.join("cortex_m.h"), include_str!("cortex_m.h")).unwrap();
    let script = include_str!("cortex_m.ld").replace("FLASH_BYTES", &flash.to_string());
    fs::write(folder.join("cortex_m.ld"), script.replace("RAM_BYTES", &memory.to_string())).unwrap();
    let mut command = Command::new(COMPILER);
    command.current_dir(folder).args(processor.options).args(["-mthumb", level, "-DNETWORK_H=\"network.h\""]);
    command.args(["-Wall", "-Wextra", "-Werror", "-nostdlib", "-ffreestanding", "-T", "cortex_m.ld"]);
    // what compilers bring: arithmetic of doubles
    run(command.args(["main.c", &format!("{name}.c"), "-lgcc", "-o", "program"]));
    let mut command = Command::new(EMULATOR);
    command.current_dir(folder).args(["-M", processor.board, "-kernel", "program", "-display", "none"]);
    command.args(["-monitor", "none", "-serial", "none", "-icount", "shift=0"]);
    run(command.args(["-semihosting-config", "enable=on,target=native"]));
    let words = fs::read(folder.join("results")).unwrap();
    words.chunks_exact(4).map(|word| u32::from_le_bytes(word.try_into().unwrap())).collect()
}

/// Predicts rows one by one on a processor that has so much flash and memory, and compares all bits.
fn compare(
    processor: &Processor,
    (network, package): (&Network, &Package),
    x: &[f32],
    (samples, level): (usize, &str),
    [flash, memory]: [usize; 2],
) -> Taken {
    let name = &package.name;
    let upper = name.to_ascii_uppercase();
    let folder = harness::folder(&format!("c/cortex/{}/{name}{level}", processor.name));
    package.write(&folder).unwrap();
    let columns = results(package);
    let mut place = String::from("#define place_results(result, memory) do { ");
    let mut width = 0;
    for (column, numbers) in &columns {
        write!(place, "(result)->{column} = (memory) + {width}; ").unwrap();
        width += numbers;
    }
    let first_row = (1_u64 << 32) + 3;
    let header = format!(
        "#include \"{name}.h\"\n#define WORKSPACE_BYTES {upper}_WORKSPACE_BYTES\n#define INPUTS {upper}_INPUTS\n\
         #define RESULTS {width}\n#define SAMPLES {samples}\n#define SEED 5\n#define FIRST_ROW {first_row}ull\n\
         typedef {name}_request NETWORK_request;\ntypedef {name}_result NETWORK_result;\n\
         #define NETWORK_predict {name}_predict\n#define NETWORK_self_test {name}_self_test\n{place}}} while (0)\n"
    );
    fs::write(folder.join("network.h"), header).unwrap();
    fs::write(folder.join("inputs"), x.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>()).unwrap();
    let words = start(processor, &folder, include_str!("cortex_m.c"), name, level, [flash, memory]);
    let (got, [stack, instructions]) = words.split_at(words.len() - 2) else { unreachable!("two words") };
    let predictor = PredictorOptions::default().samples(samples).seed(5);
    let predictor = Predictor::with_options(network, &predictor).unwrap();
    let want = moments(&predictor, first_row, x, package);
    let rows = x.len() / network.input().elements();
    assert_eq!(got.len(), rows * width, "{}, {name}{level}", processor.name);
    let mut begin = 0;
    for ((column, numbers), want) in columns.iter().zip(want) {
        for row in 0..rows {
            let (got, want) = (&got[row * width + begin..][..*numbers], &want[row * numbers..][..*numbers]);
            let want: Vec<u32> = want.iter().map(|x| x.to_bits()).collect();
            assert_eq!(got, want, "{}, {name}{level}: {column} of row {row}", processor.name);
        }
        begin += numbers;
    }
    let workspace = package.manifest["bytes"]["workspace"].as_u64().unwrap();
    Taken { flash: flash_of(&folder), workspace, stack: (*stack).into(), instructions: (*instructions).into() }
}

/// The bytes of the network's functions and data.
pub fn flash_of(folder: &Path) -> u64 {
    use object::{Object as _, ObjectSection as _, SectionKind};
    let bytes = fs::read(folder.join("program")).unwrap();
    let file = object::File::parse(&*bytes).unwrap();
    let is_kept = |kind| matches!(kind, SectionKind::Text | SectionKind::ReadOnlyData | SectionKind::Data);
    file.sections().filter(|section| is_kept(section.kind())).map(|section| section.size()).sum()
}

#[test]
fn microcontrollers_give_the_same_bits() {
    if !is_here(COMPILER) || !is_here(EMULATOR) {
        return;
    }
    let line = |what: &str, taken: Taken| {
        let Taken { flash, workspace, stack, instructions } = taken;
        say(&format!(
            "{what:<40} {:>6.1} KB of flash {:>6.1} KB of workspace {stack:>5} B of stack {:>8.2} million instructions a row",
            flash as f64 / 1024.0,
            workspace as f64 / 1024.0,
            instructions as f64 / 1e6
        ));
    };
    for processor in &PROCESSORS {
        let rows = if processor.name == "Cortex-M4F" { usize::MAX } else { 20 };
        for (name, (network, test), samples) in [("digits", digits(), 8), ("wines", wines(), 16)] {
            let package = c(&network, &options(name).samples(samples).row_block(1));
            let units = network.input().elements();
            let x = &test.inputs()[..test.rows().min(rows) * units];
            for level in ["-O2", "-Os"] {
                let x = if level == "-O2" { x } else { &x[..5 * units] };
                let taken = compare(processor, (&network, &package), x, (samples, level), [256 * KB, 64 * KB]);
                line(&format!("{}, {name}, {samples} samples, {level}", processor.name), taken);
            }
        }
        let network = classes();
        let package = c(&network, &options("classes").samples(7).row_block(1));
        let taken = compare(processor, (&network, &package), &inputs(5 * 7), (7, "-O3"), [512 * KB, 64 * KB]);
        line(&format!("{}, classes, 7 samples, -O3", processor.name), taken);
    }
}
