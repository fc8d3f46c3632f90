//! A process that is forked while other threads predict and compile: it predicts the same, or says that it cannot, and
//! never waits for threads that it does not have.
//!
//! `BAYESLIFT_CASES=20000 cargo test --release --test fork` forks that often.
#![cfg(unix)]

use bayeslift::{prelude::*, runtime};
use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

fn network() -> Network {
    let layer = AffineVariationalReparameterizationLocal::new(2, 2);
    Network::new(layer, [2], likelihood::Categorical, 5).unwrap()
}

fn cases() -> usize {
    bayeslift_ir::arbitrary::cases(400) as usize
}

/// Forks while threads do `busy`. The child does `child`, and ends with what that says; if it hangs, the alarm ends it.
fn fork_while(busy: impl Fn() + Sync, child: impl Fn() -> bool, cases: usize) {
    let over = AtomicBool::new(false);
    let failures = thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    busy();
                }
            });
        }
        let fork = |case: usize| {
            // SAFETY: the child computes and ends, without what a test process does at its end.
            let status = unsafe {
                let process = libc::fork();
                assert_ne!(process, -1, "the system has no process");
                if process == 0 {
                    libc::alarm(30);
                    libc::_exit(if child() { 0 } else { 1 });
                }
                let mut status = 0;
                libc::waitpid(process, &mut status, 0);
                status
            };
            let is_well = libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0;
            (!is_well).then(|| format!("fork {case} of {cases}: status {status}"))
        };
        let failures: Vec<String> = (0..cases).filter_map(fork).take(3).collect();
        over.store(true, Ordering::Relaxed);
        failures
    });
    assert!(failures.is_empty(), "{failures:?}; 14 is the alarm of a child that hangs");
}

#[test]
fn a_child_predicts_while_its_parent_did() {
    let predictor = Predictor::with_options(&network(), &PredictorOptions::default().samples(1)).unwrap();
    let inputs = [0.3, -0.7];
    let want = predictor.classify(&inputs).unwrap();
    let is_same = || predictor.classify(&inputs).is_ok_and(|got| got == want);
    fork_while(|| assert!(is_same()), || is_same() && is_same(), cases());
}

/// A child whose parent was compiling on another thread gets an error where it would have to compile itself.
#[test]
fn a_child_does_not_wait_for_what_was_being_compiled() {
    let network = network();
    let compile = || Predictor::with_options(&network, &PredictorOptions::default().samples(1));
    let child = || match compile() {
        Ok(predictor) => predictor.classify(&[0.3, -0.7]).is_ok(),
        Err(error) => matches!(error, Error::Runtime(runtime::Error::ForkedWhileCompiling)),
    };
    fork_while(|| drop(compile().unwrap()), child, cases() / 8);
}
