//! Random tile code by the interpreter, by what emitters make of it, and by the model of a machine.

use crate::{
    arbitrary::{Doubles, ELEMENTS, Step, TILES, kernel, memory, steps},
    simulate::{Machine, bytes_of, words_of},
    stages::POISON,
};
use bayeslift_codegen::{
    InstructionSet, Target,
    emit::{MachineCode, Placement, emitters, x86},
    link::jit::Code,
    tile::{Class, TileKernel, interpret, verify_for},
};
use bayeslift_ir::arbitrary::config;
use proptest::{prelude::*, test_runner::TestRunner};
use std::cell::Cell;

const LIMIT: u64 = 1 << 24;

/// What the code leaves in memory, by the interpreter.
fn interpreted(kernel: &TileKernel, lanes: usize, seed: u32) -> Result<Vec<Vec<u32>>, String> {
    let mut memory = memory(seed);
    interpret(kernel, lanes, &mut memory, 0..TILES, LIMIT).map_err(|error| error.to_string())?;
    Ok(memory)
}

fn simulated(code: &[u8], seed: u32) -> Result<Vec<Vec<u32>>, String> {
    let mut machine = Machine::new(code);
    let mut map = |name: &str, words: &[u32]| machine.memory.map(name, bytes_of(words), true, 4);
    let pointers: Vec<u64> = memory(seed).iter().map(|words| map("an argument", words)).collect();
    let scratch = map("scratch memory", &[POISON; 2 * ELEMENTS]);
    let table = pointers.iter().flat_map(|pointer| pointer.to_le_bytes()).collect();
    let table = machine.memory.map("the arguments", table, false, 8);
    machine.call(table, scratch, 0, TILES as u64)?;
    Ok(pointers.into_iter().map(|pointer| words_of(machine.memory.region(pointer))).collect())
}

fn on_this_machine(code: MachineCode, seed: u32) -> Vec<Vec<u32>> {
    let mut memory = memory(seed);
    let mut scratch = vec![POISON; 2 * ELEMENTS];
    let pointers: Vec<*mut u8> = memory.iter_mut().map(|words| words.as_mut_ptr().cast()).collect();
    let code = Code::link(&[code]).expect("it runs here");
    // SAFETY: the interpreter has run this code, and checked that it touches nothing but this memory.
    unsafe { code.functions()[0](pointers.as_ptr(), scratch.as_mut_ptr().cast(), 0, TILES) };
    memory
}

/// Any two floats that are no numbers are the same.
fn compare(got: &[Vec<u32>], want: &[Vec<u32>], who: &str) -> Result<(), String> {
    for (argument, (class, (got, want))) in crate::arbitrary::ARGUMENTS.iter().zip(got.iter().zip(want)).enumerate() {
        let is_nan = |word: u32| *class == Class::Float && f32::from_bits(word).is_nan();
        let differs = |i: &usize| got[*i] != want[*i] && !(is_nan(got[*i]) && is_nan(want[*i]));
        if let Some(i) = (0..ELEMENTS).find(differs) {
            return Err(format!("{who}: argument {argument} has {:#x} at {i}, not {:#x}", got[i], want[i]));
        }
    }
    Ok(())
}

/// How many lanes the emitter of a target gives to code with doubles, or without any.
fn lanes(target: Target, has_doubles: bool) -> usize {
    if has_doubles && !target.is_portable() { target.of_doubles().lanes() } else { target.lanes() }
}

/// Runs the code in all ways. Whether the first emitter of the target took it.
fn check(kernel: &TileKernel, seed: u32, target: Target) -> Result<bool, String> {
    let lanes = lanes(target, kernel.has_doubles());
    let context = |message: String| format!("{target}: {message}\n{kernel}");
    verify_for(kernel, lanes).map_err(|error| context(error.to_string()))?;
    let want = interpreted(kernel, lanes, seed).map_err(context)?;
    let again: TileKernel = kernel.to_string().parse().map_err(|error| context(format!("{error}")))?;
    if again != kernel.renumbered() {
        return Err(context(format!("printed and read, it is\n{again}")));
    }
    let emitter = &mut emitters(target, Placement::Memory).map_err(|error| context(error.to_string()))?[0];
    let Ok(code) = emitter.emit(kernel) else { return Ok(false) };
    if x86::Isa::of(target.instruction_set()).is_some() {
        compare(&simulated(code.bytes(), seed).map_err(context)?, &want, "the model").map_err(context)?;
    }
    if target.runs_here() {
        compare(&on_this_machine(code, seed), &want, "this machine").map_err(context)?;
    }
    Ok(true)
}

/// This machine with vectors of all lengths, and those whose machine code the model runs.
fn targets() -> Vec<Target> {
    let here = InstructionSet::ALL.into_iter().map(|set| Target::host().with_lanes(set.lanes()));
    Target::all().filter(|target| target.lanes() > 4).chain(here).collect()
}

/// What lowering does not make: active lanes that are all, and values that a loop carries, does not read and replaces
/// by one.
#[test]
fn unusual_code() {
    let text = "tiles r0..r1, 4 arguments, 4096 scratch bytes
  r2 = 0
  r3* = load float argument0[r2] first 8
  r4* = load float argument0[r2 + 16]
  for r5 in r2..r2 step 1, r6 = r3 then r8, r7 = r4 then r8
    r8* = load float argument0[r2 + 32]
  argument2[r2] first 8 = r6
  argument2[r2 + 16] = r7
";
    let kernel: TileKernel = text.parse().unwrap();
    for target in targets().into_iter().filter(|target| target.lanes() >= 8) {
        assert_eq!(check(&kernel, 1, target), Ok(true));
    }
}

/// Values that a loop exchanges, which the emitter of wide vectors leaves to the next one, and what is neither less nor
/// greater.
#[test]
fn values_that_change_places_are_compared_with_themselves() {
    let text = "tiles r0..r1, 4 arguments, 4096 scratch bytes
  r2 = 0
  r3 = 3
  r4* = load float argument0[r2]
  r5* = load float argument0[r2 + 16]
  for r6 in r2..r3 step 1, r7 = r4 then r8, r8 = r5 then r7
    r9* = less_equal r7 r7
    r10* = select r9 r7 r8
    argument2[r2 + 32] = r10
  argument2[r2] = r7
  argument2[r2 + 16] = r8
";
    for target in targets() {
        let text = if target.lanes() == 1 { text.replace('*', "") } else { text.to_owned() };
        let kernel: TileKernel = text.parse().unwrap();
        (0..20).for_each(|seed| assert_eq!(check(&kernel, seed, target), Ok(target.is_portable()), "{target}"));
    }
}

/// Of two zeros the second, as of floats; and what is no number goes either way.
#[test]
fn ties_of_doubles() {
    let text = "tiles r0..r1, 4 arguments, 4096 scratch bytes
  r2 = 0
  r3 = double 0.0
  r4 = double -0.0
  r5 = double 0x7ff8000000000000
  r6 = max r3 r4
  r7 = min r4 r3
  r8 = max r5 r3
  r9 = min r5 r4
  argument3[r2] = r6
  argument3[r2 + 2] = r7
  argument3[r2 + 4] = r8
  argument3[r2 + 6] = r9
";
    let kernel: TileKernel = text.parse().unwrap();
    for target in targets() {
        assert_eq!(check(&kernel, 1, target), Ok(true));
    }
    let high_words = [1, 3, 5, 7].map(|word| interpreted(&kernel, 1, 1).unwrap()[3][word]);
    assert_eq!(high_words, [1 << 31, 0, 0, 1 << 31]);
}

/// Cranelift has no vectors of doubles, and a kernel that it gets has none.
#[test]
fn vectors_of_doubles_are_for_wide_emitters() {
    let text = "tiles r0..r1, 4 arguments, 4096 scratch bytes
  r2 = 0
  r3* = load float argument0[r2]
  r4* = widen r3
  r5* = mul r4 r4
  r6* = less r4 r5
  r7* = select r6 r4 r5
  argument3[r2] first 3 = r7
";
    let kernel: TileKernel = text.parse().unwrap();
    for target in targets().into_iter().filter(|target| target.lanes() >= 4) {
        assert_eq!(check(&kernel, 1, target), Ok(!target.is_portable()), "{target}");
    }
}

#[test]
fn random_code() {
    let targets = prop::sample::select(targets());
    let config = config(if cfg!(debug_assertions) { 200 } else { 2000 });
    let (cases, emitted) = (config.cases, Cell::new(0));
    let run = |(steps, seed, target, has_doubles): (Vec<Step>, u32, Target, bool)| {
        let doubles = match has_doubles {
            true if target.of_doubles().lanes() > 1 => Doubles::Vectors,
            true => Doubles::Scalars,
            false => Doubles::None,
        };
        let kernel = kernel(&steps, lanes(target, has_doubles), doubles);
        let is_emitted = check(&kernel, seed, target).map_err(TestCaseError::fail)?;
        emitted.set(emitted.get() + u32::from(is_emitted));
        Ok(())
    };
    TestRunner::new(config)
        .run(&(steps(), any::<u32>(), targets, any::<bool>()), run)
        .unwrap_or_else(|error| panic!("{error}"));
    assert!(emitted.get() > cases / 2, "{} of {cases} were emitted", emitted.get());
}
