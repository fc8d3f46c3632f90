//! What a network remembers of the steps that were made on it, what stops a run, and what is logged of it.

#[allow(dead_code)] // Each test uses a part of it.
mod facade;
#[allow(dead_code)]
mod files;

use bayeslift::{FitNote, Position, Source, SourceError, prelude::*};
use facade::{bits, small_data, small_layers};
use files::folder;
use std::{fs, ops::ControlFlow};

fn small(seed: u64) -> Network {
    Network::new(small_layers(), [3], likelihood::Categorical, seed).unwrap()
}

/// Plain gradient descent remembers nothing: two runs of three epochs are one of six, noise and orders too.
#[test]
fn a_second_run_goes_on_with_noise_and_orders() {
    let data = small_data(50);
    let fit = |epochs| Fit::new().epochs(epochs).batch_size(16).optimizer(Sgd::new(0.02)).backend(Backend::Reference);
    let mut once = small(3);
    let whole = fit(6).run(&mut once, &data).unwrap();
    assert_eq!((once.steps(), once.epochs()), (24, 6));
    let mut twice = small(3);
    let first = fit(3).run(&mut twice, &data).unwrap();
    assert_eq!((twice.steps(), twice.epochs()), (12, 3));
    // its file remembers, too
    let mut loaded = small(9);
    loaded.load_bytes(&twice.to_bytes().unwrap()).unwrap();
    for mut network in [twice, loaded] {
        let second = fit(3).run(&mut network, &data).unwrap();
        assert_eq!(bits(&network), bits(&once));
        let losses = |report: &FitReport| report.epochs.iter().map(|epoch| epoch.loss).collect::<Vec<_>>();
        assert_eq!([losses(&first), losses(&second)].concat(), losses(&whole));
        // a report counts its own
        assert_eq!((second.steps, second.epochs[0].epoch), (12, 1));
    }
}

/// Each on the same parameters: what differs is the noise, and for the second fit also the order.
#[test]
fn no_step_has_the_noise_of_another() {
    let data = small_data(20);
    let options = || TrainerOptions::default().backend(Backend::Reference);
    let mut network = small(3);
    let start = network.parameters().clone();
    let mut losses = Vec::new();
    for _ in 0..2 {
        let mut trainer = Trainer::new(&network, 20, options()).unwrap();
        for _ in 0..2 {
            network.parameters_mut().clone_from(&start);
            losses.push(trainer.step(&mut network, StepInput::new(data.inputs(), data.targets())).unwrap());
        }
    }
    assert_eq!(losses.iter().map(|loss| loss.step).collect::<Vec<_>>(), [1, 2, 1, 2]);
    for (i, one) in losses.iter().enumerate() {
        assert!(losses[..i].iter().all(|other| other.divergence != one.divergence), "{losses:?}");
    }
    assert_eq!((network.steps(), network.epochs()), (4, 0));
    // A step that fails is none.
    let nan = vec![f32::NAN; 60];
    let mut trainer = Trainer::new(&network, 20, options()).unwrap();
    trainer.step(&mut network, StepInput::new(&nan, data.targets())).unwrap_err();
    assert_eq!(network.steps(), 4);
    // So is one of a profile.
    let mut trainer = Trainer::new(&network, 20, TrainerOptions::default()).unwrap();
    trainer.profile(&network, StepInput::new(data.inputs(), data.targets()), 3).unwrap();
    assert_eq!(network.steps(), 4);
}

#[test]
fn files_of_version_3_load() {
    let bytes: &[u8] = include_bytes!("model_files/version_3.safetensors");
    let file = ModelFile::from_bytes(bytes).unwrap();
    assert_eq!((file.version, file.steps, file.epochs, file.training_examples), (3, 0, 0, Some(40)));
    let network = Network::from_bytes(small_layers(), likelihood::Categorical, bytes).unwrap();
    assert_eq!((network.steps(), network.epochs()), (0, 0));
    let x = [0.1, -0.2, 0.3];
    for predictor in [Predictor::from_bytes(bytes).unwrap(), Predictor::new(&network).unwrap()] {
        let bits: Vec<u32> = predictor.classify(&x).unwrap().probabilities().iter().map(|p| p.to_bits()).collect();
        assert_eq!(bits, [1057433288, 1056027248]);
    }
    let mut again = network.clone();
    Fit::new().epochs(2).batch_size(16).run(&mut again, &small_data(40)).unwrap();
    let file = ModelFile::from_bytes(&again.to_bytes().unwrap()).unwrap();
    assert_eq!((file.version, file.steps, file.epochs), (5, 6, 2));
    // A file that says it is older has no numbers of steps.
    let text = again.to_bytes().unwrap();
    let at = text.windows(14).position(|found| found == br#"\"version\":5,"#).unwrap();
    let mut older = text.clone();
    older[at + 12] = b'3';
    let error = ModelFile::from_bytes(&older).unwrap_err().to_string();
    assert!(error.contains("has a field `steps`, which version 3 does not allow"), "{error}");
}

#[test]
fn files_of_version_4_load() {
    let bytes: &[u8] = include_bytes!("model_files/version_4.safetensors");
    let file = ModelFile::from_bytes(bytes).unwrap();
    assert_eq!((file.version, file.steps, file.epochs, file.training_examples), (4, 6, 2, Some(40)));
    let network = Network::from_bytes(small_layers(), likelihood::Categorical, bytes).unwrap();
    for predictor in [Predictor::from_bytes(bytes).unwrap(), Predictor::new(&network).unwrap()] {
        let probabilities = predictor.classify(&[0.1, -0.2, 0.3]).unwrap();
        let bits: Vec<u32> = probabilities.probabilities().iter().map(|p| p.to_bits()).collect();
        assert_eq!(bits, [1058985688, 1052922448]);
    }
}

#[test]
fn a_closure_stops_a_run() {
    let data = small_data(50);
    let fit = || Fit::new().epochs(6).batch_size(16).learning_rate(0.05).backend(Backend::Reference);
    let stop_at = |at: u64| {
        move |progress: &Progress| match progress.step == at {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    };
    // In the midst of an epoch: the parameters of the step, and what there is of a report.
    let mut seen = Vec::new();
    let mut network = small(1);
    let report = fit()
        .progress(|progress| {
            seen = bits(progress.network);
            stop_at(6)(progress)
        })
        .run(&mut network, &data)
        .unwrap();
    assert!(report.stopped && !report.stopped_early && report.notes.is_empty(), "{report:?}");
    assert_eq!((report.steps, report.epochs.len(), network.steps(), network.epochs()), (6, 1, 6, 2));
    assert_eq!(bits(&network), seen);
    assert!(report.to_string().contains(", stopped by the program; "), "{report}");
    // With validation: after the last step of an epoch it is made, and the best is kept.
    let validated = || fit().validation_split(0.25).learning_rate(0.5);
    let mut whole = small(1);
    let expected = validated().run(&mut whole, &data).unwrap();
    for (at, epochs) in [(2, 0), (3, 1), (8, 2), (9, 3)] {
        let mut network = small(1);
        let report = validated().progress(stop_at(at)).run(&mut network, &data).unwrap();
        assert_eq!((report.stopped, report.steps, report.epochs.len()), (true, at, epochs));
        assert_eq!(report.epochs, expected.epochs[..epochs]);
        let best = |report: &FitReport| {
            let value = |number: &usize| report.epochs[number - 1].validation.unwrap();
            (1..=report.epochs.len()).min_by(|a, b| value(a).total_cmp(&value(b)))
        };
        assert_eq!(report.best_epoch, best(&report), "{report}");
    }
    // What ends anyway was not stopped.
    let report = fit().progress(stop_at(24)).run(&mut small(1), &data).unwrap();
    assert_eq!((report.stopped, report.steps, report.epochs.len()), (false, 24, 6));
    // Nothing compares yet: no error, since nobody asked for more.
    let layer = AffineVariationalReparameterizationLocal::new;
    let layers = Sequential::new().apply(|x| x.square() / (x.square() + 1.0)).layer(layer(3, 2));
    let mut network = Network::new(layers, [3], likelihood::Categorical, 1).unwrap();
    let bad = Dataset::classification([3], vec![1e20, -1e20, 1e20], vec![0]).unwrap();
    let report = fit().validation(bad).progress(stop_at(8)).run(&mut network, &data).unwrap();
    assert!(report.stopped && report.best_epoch.is_none(), "{report}");
    assert!(
        matches!(&report.notes[..], [bayeslift::FitNote::NotCompared { epochs, .. }] if epochs[..] == [1, 2]),
        "{report}"
    );
}

#[test]
fn every_step_is_logged() {
    let folder = folder("second_runs-log");
    let data = small_data(50);
    let fit = || Fit::new().epochs(3).batch_size(16).validation_split(0.2).warm_up(WarmUp::Steps(4));
    let fit = || fit().schedule(Schedule::Linear { to: 0.5 }).backend(Backend::Reference);
    let (csv, jsonl) = (folder.join("log.csv"), folder.join("log.jsonl"));
    let mut losses = Vec::new();
    // a file that is there is replaced
    fs::write(&csv, "what was there before, and is longer than nothing").unwrap();
    let watched = |progress: &Progress| {
        losses.push(progress.loss);
        // lines are there when their epoch is over
        let lines = fs::read_to_string(&csv).unwrap().lines().count();
        assert!(progress.step != 4 || lines == 1 + 3, "{lines} lines");
    };
    let report = fit().log(&csv).progress(watched).run(&mut small(2), &data).unwrap();
    fit().log(&jsonl).run(&mut small(2), &data).unwrap();
    let (csv, jsonl) = (fs::read_to_string(&csv).unwrap(), fs::read_to_string(&jsonl).unwrap());
    let mut lines = csv.lines();
    let names: Vec<&str> = lines.next().unwrap().split(',').collect();
    let lines: Vec<Vec<&str>> = lines.map(|line| line.split(',').collect()).collect();
    let objects: Vec<serde_json::Value> = jsonl.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((lines.len(), objects.len(), report.steps), (9, 9, 9));
    for (i, (line, object)) in lines.iter().zip(&objects).enumerate() {
        let value = |name: &str| line[names.iter().position(|found| *found == name).unwrap()];
        for name in &names {
            let expected = object.get(*name).map_or(String::new(), |number| number.to_string());
            assert_eq!(value(name), expected, "{name} of line {i}");
        }
        assert_eq!((value("step"), value("epoch")), (&*(i + 1).to_string(), &*(i / 3 + 1).to_string()));
        assert_eq!(f64::from(value("loss").parse::<f32>().unwrap()), losses[i].loss);
        assert_eq!(f64::from(value("divergence").parse::<f32>().unwrap()), losses[i].divergence);
        assert_eq!(value("rate").parse::<f64>().unwrap(), 1.0 - 0.5 * (i as f64 / 9.0));
        assert_eq!(value("divergence_weight").parse::<f64>().unwrap(), (i as f64 / 4.0).min(1.0));
        let validation = value("validation").parse::<f64>().ok();
        assert_eq!(validation, report.epochs[i / 3].validation.filter(|_| i % 3 == 2));
    }
    // What was logged before an error is there.
    let path = folder.join("failed.csv");
    let fails = fit().schedule(Schedule::custom(|done| if done < 0.5 { 1.0 } else { f64::NAN })).log(&path);
    fails.run(&mut small(2), &data).unwrap_err();
    assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 1 + 5);
}

/// A log that lost lines which the checkpoint knows of is not gone on with.
#[test]
fn a_log_that_was_cut_is_refused() {
    let folder = folder("second_runs-cut");
    let (log, checkpoint) = (folder.join("log.csv"), folder.join("checkpoint"));
    let run = || {
        let fit = Fit::new().epochs(2).backend(Backend::Reference).log(&log).checkpoint(&checkpoint, 1);
        fit.run(&mut small(2), &small_data(40))
    };
    run().unwrap();
    let whole = fs::read(&log).unwrap();
    fs::write(&log, &whole[..whole.len() - 1]).unwrap();
    let error = run().unwrap_err();
    let expected = format!("its log had {} bytes, and `{}` has {}", whole.len(), log.display(), whole.len() - 1);
    assert!(matches!(&error, Error::OtherTraining { message, .. } if *message == expected), "{error}");
    assert_eq!(fs::read(&log).unwrap().len(), whole.len() - 1);
    fs::remove_file(&log).unwrap();
    assert!(matches!(run().unwrap_err(), Error::File { action: "write", .. }));
    assert!(!log.exists());
    // more than it knows of are of steps that were not kept
    fs::write(&log, [&whole[..], b"5,3,0.1"].concat()).unwrap();
    run().unwrap();
    assert_eq!(fs::read(&log).unwrap(), whole);
}

/// The weight of the divergence follows its schedule, by epoch and by step, and validation chooses where it is what it
/// ends with.
#[test]
fn weights_of_the_divergence_follow_a_schedule() {
    let data = small_data(48);
    let folder = folder("divergence_schedule");
    let path = folder.join("log.csv");
    let run = |schedule: Schedule, validation: bool| {
        let fit = Fit::new().epochs(6).batch_size(16).divergence_weight(0.5).divergence_schedule(schedule).log(&path);
        let fit = if validation { fit.validation(small_data(20)) } else { fit };
        let report = fit.backend(Backend::Reference).run(&mut small(3), &data).unwrap();
        let log = fs::read_to_string(&path).unwrap();
        let weights = log.lines().skip(1).map(|line| line.split(',').nth(5).unwrap().parse::<f64>().unwrap());
        (report, weights.collect::<Vec<_>>())
    };
    let by_epoch = |at: &Position| f64::from(u8::from(at.epoch % 3 != 1));
    let (report, weights) = run(Schedule::by_position(by_epoch), true);
    assert_eq!(weights, [[0.0; 3], [0.5; 3], [0.5; 3]].concat().repeat(2));
    assert!(!matches!(report.best_epoch, Some(1 | 4) | None), "{:?}", report.best_epoch);
    let (report, weights) = run(Schedule::Epochs { every: 2, factor: 0.25 }, true);
    assert_eq!(weights, [[0.5; 6], [0.125; 6], [0.03125; 6]].concat());
    assert!(matches!(report.best_epoch, Some(5 | 6)), "{:?}", report.best_epoch);
    assert_eq!(report.notes, []);
    let (report, weights) = run(Schedule::HalfLife { half_life: 6.0, to: 0.0 }, true);
    // the curve is computed in `f32`
    let expected = |step: i32| 0.5 * 0.5_f64.powf(f64::from(step) / 6.0);
    assert!(weights.iter().zip(0..).all(|(w, step)| (w - expected(step)).abs() < 1e-7), "{weights:?}");
    assert_eq!(weights.len(), 18);
    assert_eq!((report.best_epoch, report.notes), (None, vec![FitNote::NoEpochToChoose]));
    let (report, weights) = run(Schedule::custom(|done| 1.0 - done), false);
    assert_eq!((weights[9], report.divergence_weight), (0.25, 0.5 * (1.0 - 17.0 / 18.0)));
    assert_eq!(report.notes, []);
}

/// A data set behind a lock that counts what is read of it, and fails where it is told to.
struct Counting {
    data: Dataset,
    read: std::sync::atomic::AtomicUsize,
    fails_after: usize,
}

impl Source for Counting {
    fn rows(&self) -> usize {
        self.data.rows()
    }

    fn read(&self, rows: &[usize]) -> Result<Dataset, SourceError> {
        let before = self.read.fetch_add(rows.len(), std::sync::atomic::Ordering::SeqCst);
        if before >= self.fails_after {
            return Err("the disk is on fire".into());
        }
        Ok(self.data.select(rows)?)
    }
}

/// Examples that are read have the bits of those in memory; what cannot be read ends the fit with the steps that were
/// made, and no more is read than a few batches ahead.
#[test]
fn a_source_gives_the_bits_of_its_data() {
    let data = small_data(50);
    let source = |fails_after| Counting { data: small_data(50), read: 0.into(), fails_after };
    let fit = || Fit::new().epochs(3).batch_size(16).optimizer(Sgd::new(0.02)).backend(Backend::Reference);
    let (mut one, mut other) = (small(3), small(3));
    let whole = fit().run(&mut one, &data).unwrap();
    let counting = source(usize::MAX);
    let read = fit().run_source(&mut other, &counting).unwrap();
    assert_eq!((bits(&one), whole.epochs), (bits(&other), read.epochs));
    assert_eq!(counting.read.into_inner(), 150);
    let mut third = small(3);
    fit().validation(small_data(20)).run_source(&mut third, &data).unwrap();

    let error = fit().run_source(&mut small(3), &source(32)).unwrap_err();
    let message = error.to_string();
    assert!(
        message.starts_with("fitting ended in epoch 1 of 3, after 2 steps: could not read 16 examples from number"),
        "{message}"
    );
    assert!(message.contains("the disk is on fire"), "{message}");
    // a fit that stops leaves the rest unread, but for what was read ahead
    let counting = source(usize::MAX);
    let stops =
        |progress: &Progress<'_>| if progress.step == 1 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
    let fit = Fit::new().epochs(100).batch_size(1).backend(Backend::Reference);
    fit.progress(stops).run_source(&mut small(3), &counting).unwrap();
    assert!(counting.read.into_inner() <= 7);

    let refused = |fit: Fit<'_>, source: &dyn Source| fit.run_source(&mut small(3), source).unwrap_err().to_string();
    assert_eq!(
        refused(Fit::new().validation_split(0.5), &data),
        "a source is read as it is needed, so no part of it can be split off; give data to validate on by `Fit::validation`"
    );
    struct Wrong;
    impl Source for Wrong {
        fn rows(&self) -> usize {
            40
        }
        fn read(&self, _: &[usize]) -> Result<Dataset, SourceError> {
            Ok(small_data(3))
        }
    }
    assert!(
        refused(Fit::new(), &Wrong)
            .contains("what the source read is 3 rows, expected 32 rows, those that were asked for")
    );
}
