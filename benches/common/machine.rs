//! What the machine can do at best: multiply-adds and copied bytes a second.

use std::{hint::black_box, sync::Barrier, thread, time::Instant};

/// Sums in flight: more than the latency of a multiply-add times how many start in a cycle, no more than registers
/// hold.
const CHAINS: usize = if cfg!(target_arch = "x86_64") { 12 } else { 24 };
/// How many bytes are copied: more than caches hold.
pub const COPIED: usize = 64 << 20;

/// Does a number of rounds, of one multiply-add in each lane of each chain.
type Loop = unsafe fn(usize);

/// The lanes of the widest vectors.
pub fn widest() -> usize {
    loops().last().map_or(1, |&(lanes, _)| lanes)
}

/// Billions of floating-point operations a second: independent fused multiply-adds, two operations each, of the widest
/// vectors of up to `lanes` lanes, on `threads` threads at once.
pub fn peak_gflops(threads: usize, lanes: usize) -> f64 {
    const RUN: f64 = 2e-3; // long beside waking a thread, short beside a time slice
    let loops = loops();
    let &(lanes, rounds_of) = loops.iter().rfind(|(width, _)| *width <= lanes).unwrap_or(&loops[0]);
    // SAFETY: `loops` lists what the processor can run.
    let run = |rounds: usize| unsafe { rounds_of(rounds) };
    let mut rounds = 1 << 10;
    let mut taken = 0.0;
    while taken < RUN {
        rounds *= 2;
        let start = Instant::now();
        run(rounds);
        taken = start.elapsed().as_secs_f64();
    }
    let seconds = together(vec![|| run(rounds); threads]);
    (2 * CHAINS * lanes * rounds * threads) as f64 / seconds / 1e9
}

/// Billions of bytes a second of copying [`COPIED`] bytes on `threads` threads at once. A byte counts twice: it is
/// read, and it is written.
pub fn copy_gbps(threads: usize) -> f64 {
    let lines = COPIED / size_of::<Line>();
    let (from, mut to) = (vec![Line([1; 64]); lines], vec![Line([0; 64]); lines]);
    let share = lines.div_ceil(threads);
    let copies = from.chunks(share).zip(to.chunks_mut(share));
    let copies = copies.map(|(from, to)| move || copy(black_box(from), black_box(&mut *to)));
    (2 * COPIED) as f64 / together(copies.collect()) / 1e9
}

/// A line of the caches.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct Line([u8; 64]);

/// By stores around the caches, which need not first read what they overwrite: faster than `memcpy`.
#[cfg(target_arch = "x86_64")]
fn copy(from: &[Line], to: &mut [Line]) {
    use std::arch::x86_64::{__m128i, _mm_load_si128, _mm_sfence, _mm_stream_si128};
    for (from, to) in from.iter().zip(to) {
        let (from, to) = (from.0.as_ptr().cast::<__m128i>(), to.0.as_mut_ptr().cast::<__m128i>());
        for i in 0..size_of::<Line>() / size_of::<__m128i>() {
            // SAFETY: both point to a whole line, aligned as one.
            unsafe { _mm_stream_si128(to.add(i), _mm_load_si128(from.add(i))) };
        }
    }
    // SAFETY: all processors of this architecture have it.
    unsafe { _mm_sfence() };
}

#[cfg(not(target_arch = "x86_64"))]
fn copy(from: &[Line], to: &mut [Line]) {
    to.copy_from_slice(from);
}

/// Seconds of the fastest of twenty runs of all tasks at once, each on a thread of its own: from the first one's start
/// to the last one's end.
fn together(tasks: Vec<impl FnMut() + Send>) -> f64 {
    const RUNS: usize = 20;
    let barrier = Barrier::new(tasks.len());
    let spans = |mut task: Box<dyn FnMut() + Send + '_>| -> Vec<(Instant, Instant)> {
        let run = |_| {
            barrier.wait();
            let start = Instant::now();
            task();
            (start, Instant::now())
        };
        (0..RUNS).map(run).collect()
    };
    let threads: Vec<_> = thread::scope(|scope| {
        let spans = &spans;
        let start = |task| scope.spawn(move || spans(Box::new(task)));
        let handles: Vec<_> = tasks.into_iter().map(start).collect();
        handles.into_iter().map(|handle| handle.join().expect("a task that does not panic")).collect()
    });
    let seconds = |run: usize| {
        let (starts, ends) = (threads.iter().map(|spans| spans[run].0), threads.iter().map(|spans| spans[run].1));
        starts.min().zip(ends.max()).map_or(f64::MAX, |(start, end)| (end - start).as_secs_f64())
    };
    (0..RUNS).map(seconds).fold(f64::MAX, f64::min)
}

/// The loops that the processor can run, with their lanes, from narrow to wide.
#[cfg(target_arch = "x86_64")]
fn loops() -> Vec<(usize, Loop)> {
    let mut loops: Vec<(usize, Loop)> = Vec::new();
    if is_x86_feature_detected!("fma") {
        loops.push((4, x86::four));
        if is_x86_feature_detected!("avx2") {
            loops.push((8, x86::eight));
        }
        if is_x86_feature_detected!("avx512f") {
            loops.push((16, x86::sixteen));
        }
    }
    if loops.is_empty() { vec![(4, portable)] } else { loops }
}

#[cfg(not(target_arch = "x86_64"))]
fn loops() -> Vec<(usize, Loop)> {
    vec![(4, portable)]
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::{CHAINS, black_box};
    use std::arch::x86_64::*;

    macro_rules! multiply_adds {
        ($name:ident, $features:literal, $splat:ident, $multiply_add:ident) => {
            #[target_feature(enable = $features)]
            pub fn $name(rounds: usize) {
                // Opaque, or the compiler would find that all chains are the same, and that 1 / 2 + 1 / 2 is 1.
                let (factor, term) = ($splat(black_box(0.5)), $splat(black_box(0.5)));
                let mut sums = black_box([$splat(1.0); CHAINS]);
                for _ in 0..rounds {
                    for sum in &mut sums {
                        *sum = $multiply_add(*sum, factor, term);
                    }
                }
                black_box(sums);
            }
        };
    }

    multiply_adds!(four, "fma", _mm_set1_ps, _mm_fmadd_ps);
    multiply_adds!(eight, "avx2,fma", _mm256_set1_ps, _mm256_fmadd_ps);
    multiply_adds!(sixteen, "avx512f", _mm512_set1_ps, _mm512_fmadd_ps);
}

/// Vectors as the compiler makes them.
fn portable(rounds: usize) {
    let (factor, term) = black_box((0.5_f32, 0.5));
    let mut sums = black_box([[1.0_f32; 4]; CHAINS]);
    for _ in 0..rounds {
        for sum in sums.as_flattened_mut() {
            *sum = sum.mul_add(factor, term);
        }
    }
    black_box(sums);
}
