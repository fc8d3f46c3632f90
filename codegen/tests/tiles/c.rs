//! Random tile code as C: what a compiler makes of it leaves in memory what the interpreter does.

use crate::arbitrary::{ARGUMENTS, Doubles, ELEMENTS, TILES, kernel, memory, steps};
use bayeslift_codegen::{
    emit::c::{CKernel, Signature},
    link::c::{Data, Options, c},
    routine::{Assembly, Expr, RoutineBuilder, Statement, Width},
    tile::{Class, TileKernel, interpret},
};
use bayeslift_ir::arbitrary::config;
use proptest::{prelude::*, strategy::ValueTree, test_runner::TestRunner};
use std::{collections::HashMap, fmt::Write as _, fs, path::PathBuf, process::Command};

const LIMIT: u64 = 1 << 24;
/// What scratch memory holds before anything is written there.
const POISON: u32 = 0x7fa0_dead;

/// A file with a function for each kernel, which takes a list of addresses and that of scratch memory.
fn source(kernels: &[TileKernel]) -> String {
    let mut routines = Vec::new();
    let mut signatures = HashMap::new();
    for (i, kernel) in kernels.iter().enumerate() {
        let (mut b, [list, scratch]) = RoutineBuilder::new([Width::Long; 2]);
        let arguments = (0..kernel.arguments).map(|i| Expr::from(list).address(i)).collect();
        let tiles = TILES as usize;
        b.append(vec![Statement::Launch { kernel: i, arguments, scratch: scratch.into(), tiles }]);
        b.give(0);
        let name = format!("tiles_{i}");
        let parameters = vec![("void *".into(), "list".into()), ("void *".into(), "scratch".into())];
        signatures.insert(name.clone(), Signature { result: "int ".into(), parameters });
        routines.push(b.finish(Some(name), "", Width::Word));
    }
    let kernels = kernels.iter().map(|kernel| CKernel { kernel: kernel.clone(), about: String::new() }).collect();
    let assembly = Assembly { kernels, routines, data: Vec::new() };
    c(&assembly, &Options { prefix: "tiles", about: "Random code.", signatures, data: Data::Text }).unwrap()
}

/// A program that calls each function with the same memory anew, and writes what is there afterwards.
fn program(seeds: &[u32]) -> String {
    let mut text = format!(
        "#include \"tiles.h\"\n#include <stdio.h>\n#include <string.h>\nstatic uint32_t all[{0}][{ELEMENTS}], scratch[2 * {ELEMENTS}];\n\
         int main(void) {{\n  size_t i;\n  void *list[{0}];\n  for (i = 0; i < {0}; i++) list[i] = all[i];\n",
        ARGUMENTS.len()
    );
    for i in 0..seeds.len() {
        writeln!(
            text,
            "  if (fread(all, sizeof all, 1, stdin) != 1) return 1;\n  for (i = 0; i < 2 * {ELEMENTS}; i++) scratch[i] = {POISON:#x}u;\n  \
             tiles_{i}(list, scratch); fwrite(all, sizeof all, 1, stdout);"
        )
        .unwrap();
    }
    text.push_str("  return 0;\n}\n");
    text
}

#[test]
fn random_code() {
    let mut config = config(if cfg!(debug_assertions) { 60 } else { 600 });
    config.source_file = None;
    let cases = config.cases;
    let mut runner = TestRunner::new(config);
    let strategy = (steps(), any::<u32>(), any::<bool>());
    let mut cases: Vec<(TileKernel, u32)> = (0..cases)
        .map(|_| {
            let (steps, seed, has_doubles) = strategy.new_tree(&mut runner).unwrap().current();
            (kernel(&steps, 1, if has_doubles { Doubles::Scalars } else { Doubles::None }), seed)
        })
        .collect();
    // what text alone has
    let ties = "tiles r0..r1, 4 arguments, 4096 scratch bytes
  r2 = 0
  r3 = 3
  r4 = load float argument0[r2]
  r5 = load float argument0[r2 + 16]
  for r6 in r2..r3 step 1, r7 = r4 then r8, r8 = r5 then r7
    r9 = less_equal r7 r7
    r10 = select r9 r7 r8
    argument2[r2 + 32] = r10
  argument2[r2] = r7
  argument2[r2 + 16] = r8
";
    cases.push((ties.parse().unwrap(), 7));
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("tiles-c");
    fs::create_dir_all(&folder).unwrap();
    let (kernels, seeds): (Vec<TileKernel>, Vec<u32>) = cases.iter().cloned().unzip();
    let declarations: String =
        (0..kernels.len()).map(|i| format!("int tiles_{i}(void *list, void *scratch);\n")).collect();
    fs::write(folder.join("tiles.h"), format!("#include <stdint.h>\n{declarations}")).unwrap();
    fs::write(folder.join("tiles.c"), source(&kernels)).unwrap();
    fs::write(folder.join("main.c"), program(&seeds)).unwrap();
    let given: Vec<u8> = seeds.iter().flat_map(|&seed| memory(seed)).flatten().flat_map(u32::to_le_bytes).collect();
    fs::write(folder.join("memory"), given).unwrap();
    for options in [&["-O0"][..], &["-O2", "-Dtiles_SOFTWARE"], &["-O3", "-march=native"]] {
        let mut command = Command::new("cc");
        let made =
            command.current_dir(&folder).args(options).args(["tiles.c", "main.c", "-o", "main"]).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let stdin = fs::File::open(folder.join("memory")).unwrap();
        let output = Command::new(folder.join("main")).stdin(stdin).output().unwrap();
        assert!(output.status.success(), "{options:?}: {}", output.status);
        let words = output.stdout.chunks_exact(4).map(|word| u32::from_le_bytes(word.try_into().unwrap()));
        let words: Vec<u32> = words.collect();
        let each = ARGUMENTS.len() * ELEMENTS;
        assert_eq!(words.len(), cases.len() * each);
        for ((kernel, seed), got) in cases.iter().zip(words.chunks(each)) {
            let mut want = memory(*seed);
            interpret(kernel, 1, &mut want, 0..TILES, LIMIT).unwrap();
            for (argument, (class, (got, want))) in ARGUMENTS.iter().zip(got.chunks(ELEMENTS).zip(&want)).enumerate() {
                let is_nan = |word: u32| *class == Class::Float && f32::from_bits(word).is_nan();
                let differs = |i: &usize| got[*i] != want[*i] && !(is_nan(got[*i]) && is_nan(want[*i]));
                if let Some(i) = (0..ELEMENTS).find(differs) {
                    let (got, want) = (got[i], want[i]);
                    panic!("{options:?}: argument {argument} has {got:#x} at {i}, not {want:#x}\n{kernel}");
                }
            }
        }
    }
}
