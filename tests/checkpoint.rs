//! Runs that survive: whatever ends a program, the run that it made goes on to the bits of one that nothing has
//! interrupted.
//!
//! `BAYESLIFT_CASES=5000 BAYESLIFT_SEED=7 cargo test --test checkpoint` kills that many programs.

#[allow(dead_code)] // Each test uses a part of it.
mod facade;
#[allow(dead_code)]
mod files;
#[allow(dead_code)]
#[path = "facade/runs.rs"]
mod runs;

use bayeslift::{
    NewFile,
    ir::arbitrary::{cases, seed},
    prelude::*,
};
use facade::small_data;
use files::{Random, folder};
use runs::{KINDS, checkpoint, data, fit, network};
use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    time::Duration,
};

/// All that a run gives, but for times.
#[derive(Debug, PartialEq)]
struct Outcome {
    network: Vec<u8>,
    report: String,
    log: String,
}

fn outcome(network: &Network, mut report: FitReport, log: &Path) -> Outcome {
    (report.compile_time, report.train_time) = (Duration::ZERO, Duration::ZERO);
    let log = fs::read_to_string(log).unwrap();
    Outcome { network: network.to_bytes().unwrap(), report: format!("{report:?}"), log }
}

fn log_name(kind: usize) -> &'static str {
    ["log.csv", "log.jsonl"][kind % 2]
}

/// A run that nothing interrupts, compiled.
fn undisturbed(kind: usize, folder: &Path) -> (Outcome, u64) {
    let (mut network, log) = (network(kind), folder.join(log_name(kind)));
    let report = fit(kind).backend(Backend::default()).log(&log).run(&mut network, &data(kind)).unwrap();
    let steps = report.steps;
    (outcome(&network, report, &log), steps)
}

#[test]
fn a_run_goes_on_from_any_step() {
    for kind in 0..KINDS {
        let folder = folder(&format!("checkpoint-any-{kind}"));
        let (expected, steps) = undisturbed(kind, &folder);
        let (checkpoint, log) = (folder.join("checkpoint"), folder.join(log_name(kind)));
        // What a program that is killed in the closure leaves: the file after the step before, and a log that may have
        // more.
        let copy = |step: u64| {
            fs::create_dir_all(folder.join(step.to_string())).unwrap();
            for path in [&checkpoint, &log] {
                fs::copy(path, folder.join(step.to_string()).join(path.file_name().unwrap())).unwrap();
            }
        };
        let watched = |progress: &Progress| {
            if progress.step > 1 {
                copy(progress.step - 1)
            }
        };
        let mut first = network(kind);
        let report = fit(kind).log(&log).checkpoint(&checkpoint, 1).progress(watched).run(&mut first, &data(kind));
        assert_eq!(outcome(&first, report.unwrap(), &log), expected, "kind {kind}");
        copy(steps);
        assert!(steps >= 12, "the test is void: kind {kind} makes {steps} steps");
        for step in 1..=steps {
            let folder = folder.join(step.to_string());
            let (checkpoint, log) = (folder.join("checkpoint"), folder.join(log_name(kind)));
            let (mut network, mut made) = (network(kind), 0);
            let fit = fit(kind).log(&log).checkpoint(&checkpoint, 4).progress(|_| made += 1);
            let report = fit.run(&mut network, &data(kind)).unwrap();
            assert_eq!(outcome(&network, report, &log), expected, "kind {kind} from step {step}");
            assert_eq!(made, steps - step, "kind {kind} from step {step}");
        }
    }
}

/// The kinds are what their names promise.
#[test]
fn the_runs_have_all_that_can_be_interrupted() {
    let folder = folder("checkpoint-kinds");
    let report = |kind: usize| {
        let mut network = network(kind);
        let report = fit(kind).run(&mut network, &data(kind)).unwrap();
        (report, network)
    };
    let (early, _) = report(0);
    assert!(early.stopped_early && early.epochs.len() > 3 && early.best_epoch.is_some(), "{early}");
    assert!(early.epochs[0].divergence_weight < 1.0);
    let (joined, _) = report(2);
    assert!(matches!(joined.notes[..], [bayeslift::FitNote::JoinedRest { rows: 10, .. }]), "{joined}");
    assert!(report(4).0.epochs.iter().all(|epoch| epoch.validation.is_some()));
    assert_eq!(undisturbed(1, &folder).1, 30);
}

/// Where the child program of these tests runs; nothing where the tests themselves run.
const FOLDER: &str = "BAYESLIFT_TEST_FOLDER";
/// Which run it makes.
const KIND: &str = "BAYESLIFT_TEST_KIND";

/// A child's part: a run, which goes on from what the last child left. It writes a byte for each step.
#[test]
fn run_until_killed() {
    let Some(folder) = std::env::var_os(FOLDER).map(PathBuf::from) else { return };
    let kind: usize = std::env::var(KIND).unwrap().parse().unwrap();
    let (mut network, log) = (network(kind), folder.join(log_name(kind)));
    let fit = fit(kind).log(&log).checkpoint(folder.join("checkpoint"), 3);
    let report = fit.progress(|_| std::io::stderr().write_all(b".").unwrap()).run(&mut network, &data(kind)).unwrap();
    let Outcome { network, report, .. } = outcome(&network, report, &log);
    for (name, bytes) in [("network", network), ("report", report.into_bytes())] {
        let mut file = NewFile::create(folder.join(name)).unwrap();
        file.write_all(&bytes).unwrap();
        file.finish().unwrap();
    }
}

#[cfg(unix)]
#[test]
fn a_killed_run_ends_as_if_it_had_not_been() {
    use std::{
        io::Read,
        os::unix::process::ExitStatusExt,
        process::{Command, Stdio},
    };
    let (seed, wanted) = (seed(), cases(300));
    // How many were killed, and how many of these before their first step.
    let chain = |thread: u32| {
        let (mut kills, mut early) = (0, 0);
        for number in 0.. {
            if kills >= wanted / 2 && number as usize >= KINDS {
                break;
            }
            let kind = (number + thread) as usize % KINDS;
            let about = || format!("run {number} of thread {thread}, kind {kind}, of BAYESLIFT_SEED={seed}");
            let mut random = Random::of_case(seed, 2 * number + thread);
            let place = folder(&format!("checkpoint-killed-{thread}"));
            let (expected, _) = undisturbed(kind, &folder(&format!("checkpoint-undisturbed-{thread}")));
            let mut lives = 0;
            while !place.join("report").exists() {
                let mut program = Command::new(std::env::current_exe().unwrap());
                program.args(["--exact", "run_until_killed", "--nocapture", "--test-threads", "1"]);
                program.env(FOLDER, &place).env(KIND, kind.to_string());
                let mut child = program.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
                let mut stderr = child.stderr.take().unwrap();
                // A number of steps, and then some microseconds; or at any time from its start.
                let (steps, wait) = match random.below(5) {
                    0 => (0, random.below(40_000)),
                    _ => (1 + random.below(9), random.below(4_000)),
                };
                let (mut said, mut byte) = (Vec::new(), [0]);
                while said.len() < steps && stderr.read(&mut byte).unwrap() == 1 {
                    said.push(byte[0]);
                }
                std::thread::sleep(Duration::from_micros(wait as u64));
                child.kill().unwrap();
                let status = child.wait().unwrap();
                stderr.read_to_end(&mut said).unwrap();
                let has_failed = said.iter().any(|byte| *byte != b'.');
                assert!(!has_failed, "{}: {}", about(), String::from_utf8_lossy(&said));
                lives += 1;
                assert!(lives < 1000, "{} comes to no end", about());
                if status.signal() == Some(9) {
                    kills += 1;
                    early += u32::from(steps == 0);
                } else {
                    assert!(status.success(), "{}: {status}", about());
                }
                // The file is not there, or whole.
                let checkpoint = place.join("checkpoint");
                if checkpoint.exists() {
                    let error = Trainer::load(&mut network(kind), &checkpoint, TrainerOptions::default()).unwrap_err();
                    assert!(error.to_string().contains("it is that of a `Fit`"), "{}: {error}", about());
                }
            }
            let read = |name: &str| fs::read(place.join(name)).unwrap();
            let text = |name: &str| String::from_utf8(read(name)).unwrap();
            let found = Outcome { network: read("network"), report: text("report"), log: text(log_name(kind)) };
            assert_eq!(found, expected, "{}", about());
        }
        (kills, early)
    };
    let counts = std::thread::scope(|scope| {
        let threads = [0, 1].map(|thread| scope.spawn(move || chain(thread)));
        threads.map(|thread| thread.join().unwrap())
    });
    let [kills, early] = [counts[0].0 + counts[1].0, counts[0].1 + counts[1].1];
    eprintln!("{kills} programs were killed, {early} of them at any time from their start");
    assert!(kills >= wanted);
}

#[test]
fn what_belongs_to_another_run_is_refused() {
    let folder = folder("checkpoint-other");
    let path = checkpoint(&folder);
    let before = fs::read(&path).unwrap();
    let check = |fit: Fit<'_>, network: &mut Network, data: &Dataset, expected: &str| {
        let own = network.to_bytes().unwrap();
        let error = fit.checkpoint(&path, 1).run(network, data).unwrap_err();
        assert!(matches!(error, Error::OtherTraining { .. }), "{error}");
        assert!(error.to_string().contains(expected), "{error} instead of {expected}");
        assert_eq!((network.to_bytes().unwrap(), fs::read(&path).unwrap()), (own, before.clone()));
    };
    for (fit, expected) in [
        (fit(0).epochs(41), "is of another course: its number of epochs is 40, expected 41"),
        (fit(0).batch_size(10), "its batch size is 9, expected 10"),
        (fit(0).schedule(Schedule::Linear { to: 0.5 }), "its schedule is Constant, expected Linear(0.5)"),
        (fit(0).divergence_weight(0.1), "its weight of the divergence is 1.0, expected 0.1"),
        (fit(0).warm_up(WarmUp::Steps(13)), "its warm-up is Steps(12), expected Steps(13)"),
        (fit(0).shuffle(false), "its shuffling is true, expected false"),
        (fit(0).validation(small_data(4)), "its validation part is a part of 0.3, expected data of its own"),
        (fit(0).validation_split(0.25), "its validation part is a part of 0.3, expected a part of 0.25"),
        (fit(0).validation_samples(4), "its number of validation samples is 3, expected 4"),
        (fit(0).early_stopping(3), "its patience of early stopping is Some(2), expected Some(3)"),
        (fit(0).log(folder.join("new.csv")), "its log is not there, expected there"),
        (fit(0).learning_rate(0.06), "its optimizer is Adam { learning_rate: 0.05, "),
        (fit(0).optimizer(Sgd::new(0.05)), "its optimizer is Adam {"),
        (fit(0).samples(2), "its number of samples is 1, expected 2"),
        (fit(0).divergence(Divergence::MonteCarlo { draws: 2 }), "its divergence is MonteCarlo { draws: 1 }, expected"),
        (fit(0).backend(Options::default().rewriting(bayeslift::runtime::Rewriting::Exact)), "rounds differently"),
    ] {
        check(fit, &mut network(0), &data(0), expected);
    }
    // another seed has another split
    check(fit(0).seed(5), &mut network(0), &data(0), "its digest of the data is");
    check(fit(0), &mut network(0), &small_data(51), "its digest of the data is");
    let mut other = network(0);
    other.parameters_mut().set_trainable(false, |path, _| path == "affine/bias/loc");
    check(fit(0), &mut other, &data(0), "its list of frozen parameters is [], expected [\"affine/bias/loc\"]");
    let mut other = network(0);
    other.parameters_mut().get_mut("affine/bias/loc").unwrap().tensor.as_f32_mut().unwrap()[0] = 0.5;
    check(fit(0), &mut other, &data(0), "its digest of the parameters at the beginning is");
    let mut other = network(0);
    Fit::new().epochs(1).run(&mut other, &data(0)).unwrap();
    check(fit(0), &mut other, &data(0), "steps that were made on the network before is 0, expected 2");
    let other = |layers: Sequential| Network::new(layers, [3], likelihood::Categorical, 4).unwrap();
    let local = AffineVariationalReparameterizationLocal::new;
    let layers = Sequential::new().layer(local(3, 3)).layer(local(3, 2));
    check(fit(0), &mut other(layers), &data(0), "its network is another: layer `affine`: its activation is tanh");
    let layers = Sequential::new().layer(local(3, 4).activation(Activation::Tanh)).layer(local(4, 2));
    check(fit(0), &mut other(layers), &data(0), "its network is another: ");
    // what is free
    let mut free = network(0);
    let fit = fit(0).backend(Options::default().threads(1)).checkpoint(&path, 7);
    assert!(fit.run(&mut free, &data(0)).unwrap().stopped_early);
}

/// A schedule of one's own has no words, but values.
#[test]
fn another_closure_is_refused() {
    let path = folder("checkpoint-closure").join("checkpoint");
    let run = |end: f64| {
        let fit = fit(3).schedule(Schedule::custom(move |done| 1.0 - end * done));
        fit.checkpoint(&path, 10).run(&mut network(3), &data(3))
    };
    run(0.5).unwrap();
    let error = run(0.6).unwrap_err().to_string();
    assert!(error.contains("its digest of the factors of the schedule is"), "{error}");
}

#[test]
fn bad_options_are_errors() {
    let run = |fit: Fit<'_>| fit.run(&mut network(1), &data(1)).unwrap_err().to_string();
    let folder = folder("checkpoint-options");
    let path = folder.join("a.csv");
    assert_eq!(
        run(fit(1).checkpoint(&path, 0)),
        "the number of steps from one checkpoint to the next is 0, expected at least 1"
    );
    assert!(run(fit(1).checkpoint(&path, 1).log(&path)).starts_with("checkpoint and log have one name, `"));
    assert_eq!(
        run(fit(1).log("log.txt")),
        "the name of the log is log.txt, expected one that ends with `.csv` or `.jsonl`"
    );
    // before any step
    let missing = folder.join("no/such/folder/checkpoint");
    assert!(run(fit(1).checkpoint(&missing, 1000)).starts_with("could not write `"));
    assert!(run(fit(1).log(folder.join("no/such.csv"))).starts_with("could not write `"));
    assert!(run(fit(1).checkpoint(&folder, 1)).contains("it is not a regular file"));
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
}
