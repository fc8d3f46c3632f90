//! Training files: those of trainers go on, and what is damaged, forged or of another course is refused.

#[allow(dead_code)] // Each test uses a part of it.
mod facade;
#[allow(dead_code)]
mod files;
#[allow(dead_code)]
#[path = "facade/runs.rs"]
mod runs;

use bayeslift::{
    ir::arbitrary::{cases, seed},
    prelude::*,
};
use facade::bits;
use files::{Random, damaged, folder, with_header};
use runs::{checkpoint, data, fit, network};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::{fs, path::Path};

/// The parts of a file: its header, the description in it without the digest, and what follows.
fn parts(bytes: &[u8]) -> (Value, Value, &[u8]) {
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let header: Value = serde_json::from_slice(&bytes[8..8 + length]).unwrap();
    let mut description: Value =
        serde_json::from_str(header["__metadata__"]["bayeslift_training"].as_str().unwrap()).unwrap();
    description.as_object_mut().unwrap().remove("digest");
    (header, description, &bytes[8 + length..])
}

/// A file with another description, and another of its tensors, by one who can compute digests.
fn forged(bytes: &[u8], change: impl Fn(&mut Value), tensor: impl Fn(&str, &mut [u8])) -> Vec<u8> {
    let (mut header, mut description, data) = parts(bytes);
    let mut data = data.to_vec();
    change(&mut description);
    let signed = description.to_string().strip_suffix('}').unwrap().to_owned();
    let mut hash = Sha256::new();
    let number = |hash: &mut Sha256, number: u64| hash.update(number.to_le_bytes());
    let piece = |hash: &mut Sha256, bytes: &[u8]| {
        number(hash, bytes.len() as u64);
        hash.update(bytes);
    };
    piece(&mut hash, signed.as_bytes());
    let mut names: Vec<String> = header.as_object().unwrap().keys().cloned().collect();
    names.retain(|name| name != "__metadata__");
    names.sort();
    for name in names {
        let entry = &header[&name];
        piece(&mut hash, name.as_bytes());
        piece(&mut hash, entry["dtype"].as_str().unwrap().as_bytes());
        let shape = entry["shape"].as_array().unwrap();
        number(&mut hash, shape.len() as u64);
        shape.iter().for_each(|extent| number(&mut hash, extent.as_u64().unwrap()));
        let offset = |i: usize| entry["data_offsets"][i].as_u64().unwrap() as usize;
        let data = &mut data[offset(0)..offset(1)];
        tensor(&name, data);
        hash.update(data);
    }
    let digest: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    header["__metadata__"]["bayeslift_training"] = format!("{signed},\"digest\":\"{digest}\"}}").into();
    [&with_header(&header.to_string(), 0), &data[..]].concat()
}

/// Runs with such a file, which must not be read. The network and the file stay what they are.
fn refused(path: &Path, bytes: &[u8], about: &str) -> String {
    fs::write(path, bytes).unwrap();
    let mut network = network(0);
    let before = network.to_bytes().unwrap();
    let error = match fit(0).checkpoint(path, 1).run(&mut network, &data(0)) {
        Ok(_) => panic!("{about}: it was read"),
        Err(error) => error,
    };
    assert!(matches!(error, Error::TrainingFormat { .. } | Error::OtherTraining { .. }), "{about}: {error}");
    assert_eq!((fs::read(path).unwrap(), network.to_bytes().unwrap()), (bytes.to_vec(), before), "{about}");
    let error = error.to_string();
    assert!(error.len() < 3000 && !error.contains('\u{1b}'), "{about}: {error}");
    error
}

#[test]
fn damaged_files_are_refused() {
    let path = checkpoint(&folder("training_files-damaged"));
    let whole = fs::read(&path).unwrap();
    for length in (0..whole.len()).step_by(197).chain([whole.len() - 1]) {
        refused(&path, &whole[..length], &format!("{length} of {} bytes", whole.len()));
    }
    refused(&path, &[&whole[..], &[0; 4]].concat(), "longer");
    for bit in (0..whole.len() * 8).step_by(1999) {
        let mut flipped = whole.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        refused(&path, &flipped, &format!("bit {bit}"));
    }
    let seed = seed();
    for case in 0..cases(100) {
        let bytes = damaged(&whole, &mut Random::of_case(seed, case));
        if bytes != whole {
            refused(&path, &bytes, &format!("case {case} of BAYESLIFT_SEED={seed}"));
        }
    }
    let foreign = refused(&path, &network(0).to_bytes().unwrap(), "a model file");
    assert!(foreign.contains("its metadata has no key `bayeslift_training`"), "{foreign}");
    let file = fs::File::create(&path).unwrap();
    // sparse: it takes no room
    file.set_len(1 << 40).unwrap();
    let error = fit(0).checkpoint(&path, 1).run(&mut network(0), &data(0)).unwrap_err().to_string();
    assert!(error.contains("1099511627776 bytes or more"), "{error}");
}

#[test]
fn forged_files_are_refused() {
    let path = checkpoint(&folder("training_files-forged"));
    let whole = fs::read(&path).unwrap();
    // the way to forge is right
    fs::write(&path, forged(&whole, |_| {}, |_, _| {})).unwrap();
    fit(0).checkpoint(&path, 1000).run(&mut network(0), &data(0)).unwrap();
    let set = |pointer: &str, value: Value| {
        let bytes = forged(
            &whole,
            |description| match description.pointer_mut(pointer) {
                Some(place) => *place = value.clone(),
                None => panic!("{pointer} is not there"),
            },
            |_, _| {},
        );
        refused(&path, &bytes, &format!("{pointer} = {value}"))
    };
    let huge = u64::MAX;
    for (pointer, value, expected) in [
        ("/version", json!(2), "it has version 2, expected 1"),
        ("/steps", json!(22), "which disagree"),
        ("/steps", json!(huge), "too many steps"),
        ("/training_examples", json!(0), "no training examples"),
        ("/course/position", json!(huge), "which disagree"),
        ("/course/position", json!(4), "which disagree"),
        ("/course/epochs", json!([]), "which disagree"),
        ("/course/epochs/0/epoch", json!(2), "not numbered"),
        ("/course/choices", json!(huge), "not numbered"),
        ("/course/validation", json!(null), "what it tells of validation"),
        ("/course/validation/kept/0", json!(0), "what it tells of validation"),
        ("/course/validation/kept/0", json!(7), "what it tells of validation"),
        ("/course/validation/kept", json!(null), "it has the tensor `best/affine/bias/loc`, which nothing needs"),
        ("/course/validation/failed", json!([huge]), "what it tells of validation"),
        ("/course/log", json!(huge), "what it tells of validation or log"),
        ("/course", json!(null), "it is that of a `Trainer`"),
        ("/course/sums", json!("\u{1b}"), "does not parse"),
        ("/conditions", json!([]), "it tells 0 conditions"),
        ("/conditions/0", json!(["\u{1b}", "1"]), "it tells its \\u{1b}"),
    ] {
        let error = set(pointer, value.clone());
        assert!(error.contains(expected), "{pointer} = {value}: {error} instead of {expected}");
    }
    for (name, expected) in [
        ("state/adam/affine/kernel/loc/v", "has the element NaN, which is not finite"),
        ("best/affine_1/kernel/loc", "has the element NaN, which is not finite"),
        ("network", "its network: "),
    ] {
        let change = |found: &str, data: &mut [u8]| {
            if found == name {
                data[..4].copy_from_slice(&f32::NAN.to_le_bytes());
            }
        };
        let error = refused(&path, &forged(&whole, |_| {}, change), name);
        assert!(error.contains(expected), "{name}: {error}");
    }
    // A state that no step leaves - a mean of squares below 0 -, and numbers as large as there are: steps are errors,
    // or finite.
    for value in [-1.0_f32, f32::MAX, f32::MIN] {
        let change = |found: &str, data: &mut [u8]| {
            if found.starts_with("state/") {
                data.chunks_mut(4).for_each(|word| word.copy_from_slice(&value.to_le_bytes()));
            }
        };
        fs::write(&path, forged(&whole, |_| {}, change)).unwrap();
        let mut network = network(0);
        let _ = fit(0).checkpoint(&path, 1000).run(&mut network, &data(0));
        network.parameters().check_finite().unwrap();
    }
}

/// A step with a batch of a few rows.
fn step(trainer: &mut Trainer, network: &mut Network, number: usize) -> bayeslift::StepLoss {
    let rows: Vec<usize> = (0..6).map(|i| (number * 5 + i) % 50).collect();
    let batch = data(0).select(&rows).unwrap();
    trainer.step(network, StepInput::new(batch.inputs(), batch.targets()).divergence_weight(0.5)).unwrap()
}

#[test]
fn a_trainer_goes_on() {
    let path = folder("training_files-trainer").join("trainer");
    let optimizers: [fn(TrainerOptions) -> TrainerOptions; 3] = [
        |options| options.optimizer(Adam::new(0.05)),
        |options| options.optimizer(RmsProp::new(0.05)).seed(9).samples(2),
        |options| options.optimizer(Sgd::new(0.1)).divergence(Divergence::MonteCarlo { draws: 2 }),
    ];
    for with in optimizers {
        let options = || with(TrainerOptions::default().backend(Backend::Reference));
        let mut network = network(0);
        let mut trainer = Trainer::new(&network, 50, options()).unwrap();
        let losses: Vec<_> = (0..12)
            .map(|number| {
                let mut later = self::network(1);
                trainer.save(&network, &path).unwrap();
                let mut resumed = Trainer::load(&mut later, &path, options()).unwrap();
                assert_eq!(
                    (bits(&later), later.steps(), resumed.steps()),
                    (bits(&network), number as u64, number as u64)
                );
                let loss = step(&mut trainer, &mut network, number);
                assert_eq!(step(&mut resumed, &mut later, number), loss);
                assert_eq!(bits(&later), bits(&network));
                let state = |trainer: &Trainer| -> Vec<_> {
                    trainer.state().map(|(path, tensor)| (path.to_owned(), tensor.words())).collect()
                };
                assert_eq!(state(&resumed), state(&trainer));
                loss
            })
            .collect();
        assert_eq!(losses[11].step, 12);
    }
}

#[test]
fn what_is_of_another_trainer_is_refused() {
    let folder = folder("training_files-trainer-other");
    let path = folder.join("trainer");
    let options = || TrainerOptions::default().backend(Backend::Reference);
    let mut own = network(0);
    let mut trainer = Trainer::new(&own, 50, options()).unwrap();
    step(&mut trainer, &mut own, 0);
    trainer.save(&own, &path).unwrap();
    let whole = fs::read(&path).unwrap();
    let refused = |network: &mut Network, options: TrainerOptions, expected: &str| {
        let before = network.to_bytes().unwrap();
        let error = Trainer::load(network, &path, options).unwrap_err();
        assert!(matches!(error, Error::OtherTraining { .. } | Error::TrainingFormat { .. }), "{error}");
        assert!(error.to_string().contains(expected), "{error} instead of {expected}");
        assert_eq!(network.to_bytes().unwrap(), before);
    };
    for (options, expected) in [
        (options().optimizer(Adam::new(0.1)), "its optimizer is Adam { learning_rate: 0.001, "),
        (options().optimizer(Sgd::new(0.1)), "its optimizer is Adam {"),
        (options().seed(1), "its seed is 4, expected 1"),
        (options().samples(2), "its number of samples is 1, expected 2"),
        (options().bound(likelihood::Bound::ImportanceWeighted), "its bound is Evidence"),
    ] {
        refused(&mut network(0), options, expected);
    }
    refused(&mut network(2), options(), "its network is another: it has the layer `affine` where the network has");
    // the same words, another function
    let layers = |sign: f32| {
        let activation = Activation::custom(move |x| x * sign);
        Sequential::new().layer(Affine::new(3, 2).activation(activation))
    };
    let custom = |sign: f32| Network::new(layers(sign), [3], likelihood::Categorical, 4).unwrap();
    let trainer = Trainer::new(&custom(1.5), 50, options()).unwrap();
    trainer.save(&custom(1.5), &path).unwrap();
    refused(&mut custom(2.5), options(), "its network is another: its layers are told in the same words, but");
    // Damage.
    for length in [0, 8, 100, whole.len() / 2, whole.len() - 1] {
        fs::write(&path, &whole[..length]).unwrap();
        refused(&mut network(0), options(), "is no training file that can be read: it is no whole safetensors file");
    }
    let mut flipped = whole.clone();
    *flipped.last_mut().unwrap() ^= 1;
    fs::write(&path, &flipped).unwrap();
    refused(&mut network(0), options(), "it is damaged: its contents have the digest");
    fs::write(&path, forged(&whole, |description| description["course"] = json!([]), |_, _| {})).unwrap();
    refused(&mut network(0), options(), "does not parse");
    fs::copy(checkpoint(&folder), &path).unwrap();
    refused(&mut network(0), options(), "it is that of a `Fit`, which goes on by `Fit::checkpoint`");
    let missing = Trainer::load(&mut network(0), folder.join("missing"), options()).unwrap_err();
    assert!(matches!(missing, Error::File { action: "read", .. }), "{missing}");
    let error = trainer.save(&network(0), &path).unwrap_err().to_string();
    assert!(error.starts_with("the trainer is not of this network"), "{error}");
}

/// An optimizer of one's own that has no words.
struct Silent(f64);

impl std::fmt::Debug for Silent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Silent")
    }
}

impl Optimizer for Silent {
    fn name(&self) -> &'static str {
        "silent"
    }
    fn state(&self, _: &Variable) -> &'static [&'static str] {
        &[]
    }
    fn scalar_values(&self, _step: u64, rate: f64) -> Vec<f64> {
        vec![rate]
    }
    fn update<'b>(&self, step: &bayeslift::layers::Step<'_, 'b>, gradient: Expr<'b>) -> Update<'b> {
        Update { parameter: step.parameter - gradient * step.scalars[0] * self.0 as f32, state: vec![] }
    }
    fn check(&self) -> Result<(), LayerError> {
        Ok(())
    }
}

#[test]
fn an_optimizer_without_words_is_told_by_its_graph() {
    let path = folder("training_files-silent").join("trainer");
    let options = |rate| TrainerOptions::default().backend(Backend::Reference).optimizer(Silent(rate));
    let trainer = Trainer::new(&network(0), 50, options(0.1)).unwrap();
    trainer.save(&network(0), &path).unwrap();
    Trainer::load(&mut network(0), &path, options(0.1)).unwrap();
    let error = Trainer::load(&mut network(0), &path, options(0.2)).unwrap_err().to_string();
    assert!(error.contains("its digest of the graph of a step is"), "{error}");
}
