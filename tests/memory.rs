//! Predicting takes no more memory for many samples than for few. The only test of its process, since it counts for all
//! threads.

use bayeslift::prelude::*;
use bayeslift::runtime::Options;
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

static LIVE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: all memory comes from the system.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let live = LIVE.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        PEAK.fetch_max(live, Ordering::Relaxed);
        // SAFETY: as the caller says.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as the caller says.
        unsafe { System.dealloc(pointer, layout) };
    }
}

/// The most bytes that a second prediction holds beyond those that were held before it.
fn peak_of_a_prediction(network: &Network, samples: usize) -> usize {
    let options = PredictorOptions::default().samples(samples).blocks(64, 2).backend(Options::default().threads(1));
    let predictor = Predictor::with_options(network, &options).unwrap();
    let inputs = [0.25; 2 * 8];
    predictor.classify(&inputs).unwrap();
    let before = LIVE.load(Ordering::Relaxed);
    PEAK.store(before, Ordering::Relaxed);
    let prediction = predictor.classify(&inputs).unwrap();
    let peak = PEAK.load(Ordering::Relaxed) - before;
    assert_eq!(prediction.rows(), 2);
    peak
}

#[test]
fn memory_does_not_grow_with_samples() {
    let layers = Sequential::new()
        .layer(AffineVariationalReparameterizationLocal::new(8, 16).activation(Activation::Relu))
        .layer(AffineVariationalReparameterizationLocal::new(16, 3));
    let network = Network::new(layers, [8], likelihood::Categorical, 0).unwrap();
    let few = peak_of_a_prediction(&network, 64);
    assert!(few > 0, "nothing was counted");
    assert_eq!(peak_of_a_prediction(&network, 65_536), few);
}
