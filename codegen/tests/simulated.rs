//! The machine code for wide vectors, run by a model of the machine: needs none that can run it. Where this one can, it
//! is compared with what the machine does.
//!
//! `BAYESLIFT_CASES=1000 cargo test --release -p bayeslift-codegen --test simulated` runs that many graphs, and
//! `BAYESLIFT_SEED` says which.

mod simulate;
mod stages;

use bayeslift_codegen::{
    KernelArgument, Target,
    emit::x86::{self, Isa},
    lower,
    tile::{Address, Base, Class, LaneMode, TileBuilder, TileKernel},
};
use bayeslift_ir::{
    Builder, Graph, Lanes, Tensor, Type,
    arbitrary::{config, graph_and_inputs},
    evaluate, fma, same_bits,
};
use bayeslift_passes::{Kernel, Place, Plan, simplify};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use simulate::{Machine, bytes_of, native::Native, words_of};
use stages::{POISON, Stage};

/// Runs a stage on the model: the words behind each argument afterwards.
fn simulate(code: &[u8], stage: &Stage<'_>, arguments: &[Vec<u32>]) -> Result<Vec<Vec<u32>>, String> {
    let lowered = stage.lowered;
    let mut machine = Machine::new(code);
    let mut pointers = Vec::new();
    for (argument, words) in lowered.arguments.iter().zip(arguments) {
        // a caller's tensors are aligned to elements only
        let skew =
            if matches!(argument, KernelArgument::Place(Place::Arena(_)) | KernelArgument::Shared) { 0 } else { 4 };
        pointers.push(machine.memory.map(format!("{argument:?}"), bytes_of(words), stage.writes(argument), skew));
    }
    let table = pointers.iter().flat_map(|pointer| pointer.to_le_bytes()).collect();
    let table = machine.memory.map("the arguments", table, false, 8);
    // tiles run in any order
    let half = lowered.tiles as u64 / 2;
    // a kernel of one tile does not look at the range
    let calls = [("later", half, lowered.tiles as u64), ("earlier", 0, half)];
    for (name, begin, end) in calls.into_iter().filter(|(_, begin, end)| begin < end) {
        let scratch = bytes_of(&vec![POISON; lowered.code.scratch_bytes / 4]);
        let scratch = machine.memory.map(format!("the {name} tiles' scratch memory"), scratch, true, 0);
        machine.call(table, scratch, begin, end)?;
    }
    Ok(pointers.into_iter().map(|pointer| words_of(machine.memory.region(pointer))).collect())
}

const ISAS: [Isa; 2] = [Isa::Avx2, Isa::Avx512];

/// A machine with these instructions.
fn target(isa: Isa) -> Target {
    Target::named(if isa == Isa::Avx2 { "zen3" } else { "zen4" }).expect("a row of the table")
}

/// Runs a plan on the model, and each kernel on this machine as well if it can.
fn run(plan: &Plan, inputs: &[Tensor], isa: Isa) -> Result<Vec<Tensor>, String> {
    let lower = |kernel: &Kernel| lower(plan, kernel, target(isa), 2);
    stages::run(plan, inputs, lower, |stage, arguments| {
        let lowered = stage.lowered;
        let code = x86::emit(&lowered.code, target(isa)).map_err(|_| "it is left to the portable emitter")?;
        let after = simulate(&code, stage, arguments)?;
        if target(isa).runs_here() {
            Native::new(&[code]).call(0, arguments, lowered.code.scratch_bytes, 0, lowered.tiles as i64);
            // not-a-numbers have no particular bits
            let is_nan = |x: &u32| f32::from_bits(*x).is_nan();
            let is_double_nan =
                |x: &[u32]| x.len() == 2 && f64::from_bits(u64::from(x[1]) << 32 | u64::from(x[0])).is_nan();
            let same = |(a, b): (&[u32], &[u32])| {
                a.iter().zip(b).all(|(a, b)| a == b || is_nan(a) && is_nan(b)) || is_double_nan(a) && is_double_nan(b)
            };
            let mut arguments = arguments.iter().zip(&after);
            if !arguments.all(|(got, want)| got.chunks(2).zip(want.chunks(2)).all(same)) {
                return Err("the model and the machine differ".into());
            }
        }
        arguments.clone_from_slice(&after);
        Ok(())
    })
}

/// Compares what the model makes of a graph, as it is and simplified, with the evaluator.
fn check(graph: &Graph, inputs: &[Tensor]) -> Result<(), String> {
    let want = evaluate(graph, inputs).map_err(|e| e.to_string())?;
    let simplified = simplify(graph).map_err(|e| e.to_string())?;
    for graph in [graph, &simplified] {
        let plan = Plan::new(graph.clone()).map_err(|e| e.to_string())?;
        for isa in ISAS {
            let context = |message| format!("{isa:?}: {message}\n{plan}\n{graph}");
            for (i, (got, want)) in run(&plan, inputs, isa).map_err(context)?.iter().zip(&want).enumerate() {
                same_bits(got, want).map_err(|message| context(format!("output {i}: {message}")))?;
            }
        }
    }
    Ok(())
}

#[test]
fn random_graphs() {
    let default = if cfg!(debug_assertions) { 60 } else { 600 };
    let mut runner = TestRunner::new(config(default));
    let run = |(graph, inputs): (Graph, Vec<Tensor>)| check(&graph, &inputs).map_err(TestCaseError::fail);
    runner.run(&graph_and_inputs(), run).unwrap();
}

/// Vectors and truth values that are all alive at once, and more than registers: on a frame of more than a page.
#[test]
fn more_values_than_registers() {
    let b = Builder::new();
    let x = b.input("x", Type::f32([3, 37]));
    let values: Vec<_> = (1..120).map(|i| (x * (i as f32 / 64.0)).sin()).collect();
    let sum = values.iter().fold(b.constant(0.0), |sum, &value| sum + value);
    let masks: Vec<_> = values.iter().map(|&value| value.less(sum * 0.01)).collect();
    let chosen = values.iter().zip(&masks).rev().fold(sum, |chosen, (&value, mask)| mask.select(chosen * value, value));
    b.output("chosen", chosen);
    check(&b.finish().unwrap(), &[matrix(3, 37)]).unwrap();
}

/// What a kernel makes of numbers: the words that it writes to its second argument in `tiles` tiles.
fn written(kernel: &TileKernel, isa: Isa, numbers: &[f32], words: usize, tiles: u64) -> Vec<u32> {
    let code = x86::emit(kernel, target(isa)).expect("it is emitted");
    let arguments = [numbers.iter().map(|x| x.to_bits()).collect(), vec![POISON; words]];
    let mut machine = Machine::new(&code);
    let pointers = arguments.map(|words: Vec<u32>| machine.memory.map("tensor", bytes_of(&words), true, 0));
    let table = pointers.iter().flat_map(|pointer| pointer.to_le_bytes()).collect();
    let table = machine.memory.map("the arguments", table, false, 8);
    let scratch = machine.memory.map("scratch memory", Vec::new(), true, 0);
    machine.call(table, scratch, 0, tiles).unwrap();
    words_of(machine.memory.region(pointers[1]))
}

#[test]
fn halves_of_vectors() {
    let numbers: Vec<f32> = (0..32).map(|i| i as f32).collect();
    for isa in ISAS {
        let mut b = TileBuilder::new();
        let zero = b.index(0);
        let at = |base, i: i64| Address { base: Base::Argument(base), index: zero, offset: i * 16 };
        b.enter(LaneMode::Vector(None));
        let [x, y] = [0, 1].map(|i| b.load(Class::Float, at(0, i)));
        let halves = b.halves(x, y);
        (0..).zip(halves).for_each(|(i, half)| b.store(at(1, i), half));
        let got = written(&b.finish(2, 0), isa, &numbers, 32, 1);
        let half = isa.lanes() / 2;
        for (i, first) in [(0, 0), (1, half)] {
            let want = [&numbers[first..first + half], &numbers[16 + first..16 + first + half]].concat();
            let got = got[16 * i..][..2 * half].iter().map(|&word| f32::from_bits(word)).collect::<Vec<_>>();
            assert_eq!(got, want, "{isa:?}");
        }
    }
}

/// Values that a loop hands on in ways that no lowering asks for yet: each must find its register as it was left.
#[test]
fn carried_values_keep_apart() {
    let numbers: Vec<f32> = (0..64).map(|i| 0.75 + i as f32 / 64.0).collect();
    for isa in ISAS {
        let mut b = TileBuilder::new();
        let (begin, end) = b.tile_range();
        let zero = b.index(0);
        let at = |base, index, offset: usize| Address { base, index, offset: (offset * 16) as i64 };
        b.enter(LaneMode::Vector(None));
        let [x, y, initial] = [0, 1, 2].map(|i| b.load(Class::Float, at(Base::Argument(0), zero, i)));
        // the first moves up by one product a turn, the second is the first of the turn before; the third needs its
        // old value after the addend of its new one is known, the fourth takes what was made of that old value
        let initials = [initial; 4];
        let (counter, carried) = b.open_loop(&initials);
        let next = b.fma(x, y, carried[0]);
        let addend = b.mul(x, y);
        let sum = b.add(carried[2], x);
        let third = b.fma(y, y, addend);
        b.close_loop(counter, begin, end, 1, &initials, &carried, &[next, carried[0], third, sum]);
        carried.iter().enumerate().for_each(|(i, &last)| b.store(at(Base::Argument(1), zero, i), last));
        let kernel = b.finish(2, 0);
        let got = written(&kernel, isa, &numbers, 64, 3);
        for lane in 0..isa.lanes() {
            let [x, y, initial] = [0, 1, 2].map(|i| numbers[i * 16 + lane]);
            let mut want = [initial; 4];
            for _ in 0..3 {
                want = [fma(x, y, want[0]), want[0], fma(y, y, x * y), want[2] + x];
            }
            for (i, want) in want.into_iter().enumerate() {
                assert_eq!(f32::from_bits(got[i * 16 + lane]), want, "{isa:?}: value {i}, lane {lane}\n{kernel}");
            }
        }
    }
}

/// A matrix whose elements are all different and round differently.
fn matrix(rows: usize, columns: usize) -> Tensor {
    let element = |i: usize| (i * 7919 % 1009) as f32 / 97.0 - 5.0;
    Tensor::f32([rows, columns], (0..rows * columns).map(element).collect::<Vec<_>>()).unwrap()
}

/// Checks products of `m` x `k` and `k` x `n`, and of their squares, of operands as they are, or stored transposed.
/// Returns how many kernels of the plan share operands.
fn check_product(m: usize, k: usize, n: usize, transposed: [bool; 2]) -> Result<usize, String> {
    let b = Builder::new();
    let operand = |name: &str, rows, columns, transposed: bool| {
        let stored = if transposed { [columns, rows] } else { [rows, columns] };
        let input = b.input(name, Type::f32(stored));
        let operand = if transposed { input.matrix_transpose() } else { input };
        (operand, matrix(stored[0], stored[1]))
    };
    let (x, x_elements) = operand("x", m, k, transposed[0]);
    let (y, y_elements) = operand("y", k, n, transposed[1]);
    b.output("product", x.dot(y));
    b.output("product of squares", (x * x).dot(y * y));
    let graph = b.finish().map_err(|e| e.to_string())?;
    check(&graph, &[x_elements, y_elements])?;
    let plan = Plan::new(graph).map_err(|e| e.to_string())?;
    Ok(plan.kernels.iter().filter(|kernel| lower(&plan, kernel, target(Isa::Avx2), 2).len() > 1).count())
}

/// What is packed for all tiles, with rows, columns and depths that are no multiples of anything, is written within its
/// own part, and read after it was written.
#[test]
fn products_that_share_operands() {
    for (m, k, n, transposed) in [
        (1013, 70, 89, [false, false]),
        (1013, 70, 89, [false, true]),
        (1013, 70, 89, [true, false]),
        (46, 91, 2410, [true, false]),
    ] {
        let failed = |message| format!("{m} x {k} x {n}, transposed {transposed:?}: {message}");
        let shared = check_product(m, k, n, transposed).map_err(failed).unwrap();
        assert!(shared > 0, "{m} x {k} x {n}, transposed {transposed:?} shares nothing");
    }
}

#[test]
fn products_around_the_extents_of_vectors_and_tiles() {
    for m in [1, 2, 5, 7, 17, 26] {
        for k in [1, 3, 4, 9, 257] {
            for n in [1, 3, 10, 16, 17, 33, 50] {
                for transposed in [[false, false], [false, true], [true, false]] {
                    let failed = |message| format!("{m} x {k} x {n}, transposed {transposed:?}: {message}");
                    check_product(m, k, n, transposed).map_err(failed).unwrap();
                }
            }
        }
    }
}
