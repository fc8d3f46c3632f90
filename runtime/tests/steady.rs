//! Calls with a workspace that has been used take no memory, on no thread. The only test of its process, since it
//! counts for all threads.

use bayeslift_ir::{Builder, Tensor, Type};
use bayeslift_runtime::{Argument, Executable, Options};
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: all memory comes from the system.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: as the caller says.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as the caller says.
        unsafe { System.dealloc(pointer, layout) };
    }
}

#[test]
fn calls_after_the_first_allocate_nothing() {
    let b = Builder::new();
    let (x, w) = (b.input("x", Type::f32([512, 64])), b.input("w", Type::f32([64, 64])));
    let hidden = x.dot(w).tanh();
    b.output("loss", hidden.square().sum_all());
    b.output("hidden", hidden.reshape([2, 1, 256, 64]));
    b.output_updating("w", w - hidden.sum(0) * 0.01, w);
    let graph = b.finish().unwrap();
    for (threads, finest) in [(1, false), (2, false), (2, true)] {
        let options = Options::default().threads(threads).finest(finest);
        let executable = Executable::compile(graph.clone(), &options).unwrap();
        let mut workspace = executable.workspace().unwrap();
        let mut outputs = executable.new_outputs().unwrap();
        let mut inputs: Vec<Tensor> =
            graph.inputs().iter().map(|i| Tensor::zeros(graph.ty(i.value)).unwrap()).collect();
        let mut arguments: Vec<Argument> = inputs.iter_mut().map(Argument::from).collect();
        let mut call = || executable.call_into(&mut workspace, &mut arguments, &mut outputs).unwrap();
        call();
        // a thread that starts takes memory
        thread::sleep(Duration::from_millis(200));
        let before = ALLOCATIONS.load(Ordering::Relaxed);
        (0..100).for_each(|_| call());
        assert_eq!(ALLOCATIONS.load(Ordering::Relaxed) - before, 0, "on {threads} threads");
    }
}
