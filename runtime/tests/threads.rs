//! Calls on several threads: whoever helps, and whoever does not, the bits are the evaluator's.

mod common;

use bayeslift_codegen::{Target, lower};
use bayeslift_ir::{Builder, Graph, Tensor, Type, evaluate, same_bits};
use bayeslift_passes::{Plan, Rewriting, simplify};
use bayeslift_runtime::{Argument, Executable, Options};
use common::some_inputs;
use std::thread;

/// Kernels that depend on each other, each with its sum over the rows.
fn chain(rows: usize, cols: usize, kernels: usize) -> Graph {
    let b = Builder::new();
    let (mut x, w) = (b.input("x", Type::f32([rows, cols])), b.input("w", Type::f32([cols])));
    for i in 0..kernels {
        x = (x * w).tanh() + x.square() * 0.25 - (x - w).exp() * 0.125;
        let sum = x.sum(0);
        b.output(&format!("sum {i}"), sum);
        x = x - sum / rows as f32;
    }
    b.output("x", x);
    b.finish().unwrap()
}

/// The numbers of tiles of the kernels that are well worth two threads, if they have as many tiles.
fn tiles_of_large_kernels(graph: &Graph) -> Vec<usize> {
    let plan = Plan::new(simplify(graph).unwrap()).unwrap();
    let lowered = plan.kernels.iter().flat_map(|kernel| lower(&plan, kernel, Target::host().with_lanes(4), 2));
    lowered.filter(|kernel| kernel.cost >= 1 << 14).map(|kernel| kernel.tiles).collect()
}

/// A graph that is compiled, its inputs, and what it makes of them.
struct Case {
    executable: Executable,
    inputs: Vec<Tensor>,
    want: Vec<Tensor>,
}

impl Case {
    fn new(graph: &Graph, threads: usize) -> Case {
        let options = Options::default().threads(threads).rewriting(Rewriting::Exact).finest(true);
        let executable = Executable::compile(graph.clone(), &options).unwrap();
        let inputs = some_inputs(graph);
        let want = evaluate(graph, &inputs).unwrap();
        Case { executable, inputs, want }
    }

    /// Calls this often with one workspace.
    fn check(&self, calls: usize) {
        let mut workspace = self.executable.workspace().unwrap();
        let mut outputs = self.executable.new_outputs().unwrap();
        let mut arguments: Vec<Argument> = self.inputs.iter().map(Argument::from).collect();
        for _ in 0..calls {
            self.executable.call_into(&mut workspace, &mut arguments, &mut outputs).unwrap();
            outputs.iter().zip(&self.want).for_each(|(got, want)| assert_eq!(same_bits(got, want), Ok(())));
        }
    }
}

#[test]
fn every_number_of_tiles() {
    let mut tiles = Vec::new();
    for (rows, cols) in [(2, 512), (3, 512), (4, 64), (8, 64), (12, 64), (64, 64), (128, 64), (3000, 64)] {
        let graph = chain(rows, cols, 3);
        tiles.extend(tiles_of_large_kernels(&graph));
        for threads in [1, 2, 3, 8] {
            Case::new(&graph, threads).check(3);
        }
    }
    assert!([1, 2, 3].iter().all(|n| tiles.contains(n)) && tiles.iter().any(|&n| n > 40), "{tiles:?}");
}

#[test]
fn many_calls_in_a_row() {
    let graph = chain(256, 64, 4);
    for threads in [2, 3] {
        Case::new(&graph, threads).check(400);
    }
}

/// Between calls workers fall asleep, or are just about to.
#[test]
fn calls_with_pauses() {
    let case = Case::new(&chain(256, 64, 2), 2);
    for pause in (0..200).step_by(5) {
        case.check(1);
        thread::sleep(std::time::Duration::from_micros(pause));
    }
}

#[test]
fn callers_share_an_executable() {
    for threads in [1, 2, 3, 8] {
        let case = Case::new(&chain(256, 64, 3), threads);
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| case.check(25));
            }
        });
    }
}

/// Workspaces come and go while workers are with others.
#[test]
fn callers_of_many_executables() {
    let cases: Vec<Case> = (2..6).map(|threads| Case::new(&chain(64 * threads, 64, 2), threads)).collect();
    thread::scope(|scope| {
        for i in 0..8 {
            let cases = &cases;
            scope.spawn(move || (0..100).for_each(|j| cases[(i + j) % cases.len()].check(1)));
        }
    });
}

/// A forked process has none of the workers, and may be forked while they hold locks.
#[cfg(unix)]
#[test]
fn a_forked_process() {
    let case = Case::new(&chain(256, 64, 3), 2);
    let mut workspace = case.executable.workspace().unwrap();
    let mut outputs = case.executable.new_outputs().unwrap();
    let mut arguments: Vec<Argument> = case.inputs.iter().map(Argument::from).collect();
    let mut call = || {
        case.executable.call_into(&mut workspace, &mut arguments, &mut outputs).unwrap();
        outputs.iter().zip(&case.want).all(|(got, want)| same_bits(got, want).is_ok())
    };
    for _ in 0..10 {
        assert!(call());
        // SAFETY: the child calls, which takes no memory, and ends; if it hangs the alarm ends it.
        let status = unsafe {
            let child = libc::fork();
            assert_ne!(child, -1);
            if child == 0 {
                libc::alarm(60);
                libc::_exit(if call() && call() { 0 } else { 1 });
            }
            let mut status = 0;
            libc::waitpid(child, &mut status, 0);
            status
        };
        assert!(libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0, "status {status}");
    }
}
