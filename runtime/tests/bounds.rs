//! Compiled code touches nothing beyond its tensors: every tensor, arena, shared and scratch memory lies between pages
//! that trap, at one end or the other, and is never used again once it is freed. A stray access ends this process.
//!
//! `BAYESLIFT_CASES=100000 BAYESLIFT_TRACE=case.txt cargo test --release -p bayeslift-runtime --test bounds` runs that
//! many graphs, and leaves the one that ended it in `case.txt`; `BAYESLIFT_SEED` says which.

#![cfg(all(unix, target_pointer_width = "64"))]

mod common;

use bayeslift_ir::{
    Builder, Shape, Tensor, Type,
    arbitrary::{cases, config, graph_and_inputs, seed},
    evaluate, same_bits,
};
use bayeslift_passes::Rewriting;
use bayeslift_runtime::{Executable, Options};
use common::windows::{Choices, contraction_of_windows};
use proptest::test_runner::{TestCaseError, TestRunner};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::{
    Once,
    atomic::{AtomicUsize, Ordering},
};

/// Which end of guarded memory touches a page that traps.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Touching {
    Neither,
    Start,
    End,
}

thread_local! {
    static TOUCHING: Cell<Touching> = const { Cell::new(Touching::Neither) };
}

/// Runs `body` with every allocation of this thread guarded.
fn guarded<T>(touching: Touching, body: impl FnOnce() -> T) -> T {
    TOUCHING.set(touching);
    let result = body();
    TOUCHING.set(Touching::Neither);
    result
}

/// Address space for guarded memory; 0 until it is reserved.
static SPACE: AtomicUsize = AtomicUsize::new(0);
static USED: AtomicUsize = AtomicUsize::new(0);
const SPACE_BYTES: usize = 1 << 40;

struct Guarding;

#[global_allocator]
static ALLOCATOR: Guarding = Guarding;

fn reserve() {
    static ONCE: Once = Once::new();
    ONCE.call_once(reserve_once);
}

fn reserve_once() {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    // SAFETY: asks for new memory.
    let start = unsafe { libc::mmap(std::ptr::null_mut(), SPACE_BYTES, libc::PROT_NONE, flags, -1, 0) };
    assert_ne!(start, libc::MAP_FAILED, "no address space");
    SPACE.store(start as usize, Ordering::Relaxed);
}

fn page() -> usize {
    // SAFETY: asks a question.
    unsafe { libc::sysconf(libc::_SC_PAGESIZE) as usize }
}

fn is_guarded(pointer: *mut u8) -> bool {
    let space = SPACE.load(Ordering::Relaxed);
    space != 0 && (space..space + SPACE_BYTES).contains(&(pointer as usize))
}

// SAFETY: guarded memory is fresh, readable and writable, and large enough; all other comes from the system.
unsafe impl GlobalAlloc for Guarding {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let touching = TOUCHING.get();
        let space = SPACE.load(Ordering::Relaxed);
        if touching == Touching::Neither || space == 0 {
            // SAFETY: as the caller says.
            return unsafe { System.alloc(layout) };
        }
        let bytes = layout.size().next_multiple_of(page());
        let start = space + page() + USED.fetch_add(bytes + page(), Ordering::Relaxed);
        // SAFETY: these pages are nobody else's.
        unsafe { libc::mprotect(start as *mut _, bytes, libc::PROT_READ | libc::PROT_WRITE) };
        let slack = if touching == Touching::End { bytes - layout.size() } else { 0 };
        (start + slack / layout.align() * layout.align()) as *mut u8
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        if !is_guarded(pointer) {
            // SAFETY: as the caller says.
            return unsafe { System.dealloc(pointer, layout) };
        }
        let (page, flags) = (page(), libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE | libc::MAP_FIXED);
        let start = pointer as usize / page * page;
        let bytes = layout.size().next_multiple_of(page);
        // SAFETY: the pages that `alloc` gave; nobody gets them again.
        unsafe { libc::mmap(start as *mut _, bytes, libc::PROT_NONE, flags, -1, 0) };
    }
}

#[test]
fn random_graphs_stay_within_their_memory() {
    reserve();
    let mut runner = TestRunner::new(config(200));
    let case = std::cell::Cell::new(0_usize);
    runner
        .run(&graph_and_inputs(), |(graph, inputs)| {
            let number = case.replace(case.get() + 1);
            let options =
                Options::default().threads(1 + number / 8 % 2).finest(true).simplify((number / 4).is_multiple_of(2));
            let options = options.lanes([16, 8, 4, 1][number / 2 % 4]);
            let options = options.rewriting(Rewriting::Exact);
            let touching = if number.is_multiple_of(2) { Touching::End } else { Touching::Start };
            if let Ok(path) = std::env::var("BAYESLIFT_TRACE") {
                std::fs::write(path, format!("{options:?} {touching:?}\n{graph}")).unwrap();
            }
            let want = evaluate(&graph, &inputs).unwrap();
            let executable = Executable::compile(graph.clone(), &options).unwrap();
            let got = guarded(touching, || common::call(&executable, &graph, &inputs));
            for (got, want) in got.unwrap().iter().zip(&want) {
                same_bits(got, want).map_err(TestCaseError::fail)?;
            }
            Ok(())
        })
        .unwrap();
}

/// As above, of contractions that gather windows while they pack them.
#[test]
fn contractions_of_windows_stay_within_their_memory() {
    reserve();
    let mut choices = Choices(seed());
    let (cases, mut checked) = (cases(100), 0);
    for number in 0..cases {
        let Some(graph) = contraction_of_windows(&mut choices) else { continue };
        checked += 1;
        let width = choices.of(&[16, 8, 4, 1]);
        let options = Options::default().lanes(width).threads(1 + choices.below(2)).finest(true);
        let (executable, inputs) = (Executable::compile(graph.clone(), &options).unwrap(), common::some_inputs(&graph));
        let touching = if number.is_multiple_of(2) { Touching::End } else { Touching::Start };
        let got = guarded(touching, || common::call(&executable, &graph, &inputs)).unwrap();
        for (got, want) in got.iter().zip(&evaluate(&graph, &inputs).unwrap()) {
            same_bits(got, want).unwrap();
        }
    }
    assert!(checked >= cases / 4, "{checked} of {cases} choices are a graph");
}

/// The guard pages work: an element too far ends the process.
#[test]
fn a_stray_access_is_noticed() {
    reserve();
    for (touching, offset) in [(Touching::End, 4_isize), (Touching::Start, -1)] {
        let tensor = guarded(touching, || Tensor::f32([4], vec![1.0; 4]).unwrap());
        let elements = tensor.as_f32().unwrap().as_ptr();
        assert!(is_guarded(elements.cast_mut().cast()));
        // SAFETY: the child reads what must not be read, and ends.
        let status = unsafe {
            let child = libc::fork();
            if child == 0 {
                libc::signal(libc::SIGSEGV, libc::SIG_DFL);
                libc::signal(libc::SIGBUS, libc::SIG_DFL);
                let x = elements.offset(offset).read_volatile();
                libc::_exit(if x == 0.0 { 0 } else { 1 });
            }
            let mut status = 0;
            libc::waitpid(child, &mut status, 0);
            status
        };
        assert!(libc::WIFSIGNALED(status), "{touching:?}");
    }
}

/// Matrix products around the extents of vectors, register tiles, cache tiles and chunks, in every layout, plain and
/// with operands that are computed while they are packed.
#[test]
fn products_stay_within_their_memory() {
    reserve();
    const ROWS: [usize; 9] = [1, 2, 5, 6, 7, 96, 97, 103, 199];
    const DEPTHS: [usize; 9] = [1, 3, 4, 5, 255, 256, 257, 260, 513];
    const COLUMNS: [usize; 14] = [1, 2, 3, 4, 5, 7, 8, 9, 12, 95, 97, 100, 129, 193];
    const LANES: [usize; 4] = [16, 8, 4, 1];
    // each triple once, in an order that a part of them is representative of, with operands, vectors and ends that go
    // with none of its extents
    let mut choices = Choices(11);
    let triples = (0..ROWS.len() * DEPTHS.len() * COLUMNS.len()).map(|number| {
        let number = number * 397 % (ROWS.len() * DEPTHS.len() * COLUMNS.len());
        let (m, k) = (ROWS[number % ROWS.len()], DEPTHS[number / ROWS.len() % DEPTHS.len()]);
        let triple = [m, k, COLUMNS[number / (ROWS.len() * DEPTHS.len())]];
        (triple, [choices.below(6), choices.below(6)], choices.below(4), choices.below(2) == 0)
    });
    let triples = triples.filter(|([m, k, n], ..)| m * k * n <= 2_000_000);
    // large enough for tiles to share operands, in each layout of both
    let shared = (0..72).map(|i| ([1013, 70, 89], [i % 6, i / 6 % 3], i / 18, i % 2 == 0));
    // and where tiles that share the left one begin between two register tiles
    let extents = [[300, 12, 1792], [300, 8, 2048]];
    let shared_in_bands = (0..16).map(|i| (extents[usize::from(i % 8 / 2 > 1)], [1, 1], i % 8 / 2, i / 8 == 0));
    for (number, ([m, k, n], layouts, width, ends)) in triples.chain(shared).chain(shared_in_bands).enumerate() {
        let b = Builder::new();
        let operand = |name: &str, rows: usize, cols: usize, layout: usize| {
            let x = match layout % 3 {
                0 => b.input(name, Type::f32([cols, rows])).transpose(&[1, 0]),
                1 => b.input(name, Type::f32([rows, cols])),
                _ => b.input(name, Type::f32([rows, 1])).broadcast(&Shape::new(&[rows, cols])),
            };
            if layout.is_multiple_of(2) { x } else { x * x }
        };
        let product = operand("left", m, k, layouts[0]).dot(operand("right", k, n, layouts[1]));
        let bias = b.input("bias", Type::f32([m, n]));
        b.output_updating("product", (product + bias).max(0.0), bias);
        let graph = b.finish().unwrap();
        let inputs = common::some_inputs(&graph);
        let options =
            Options::default().lanes(LANES[width]).threads(1 + number % 2).finest(true).rewriting(Rewriting::Exact);
        let executable = Executable::compile(graph.clone(), &options).unwrap();
        let touching = if ends { Touching::End } else { Touching::Start };
        let got = guarded(touching, || common::call(&executable, &graph, &inputs)).unwrap();
        let want = evaluate(&graph, &inputs).unwrap();
        assert_eq!(same_bits(&got[0], &want[0]), Ok(()), "{m} x {k} x {n}\n{graph}");
    }
}
