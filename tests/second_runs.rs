//! What a network remembers of the steps that were made on it.

#[allow(dead_code)] // Each test uses a part of it.
mod facade;

use bayeslift::prelude::*;
use facade::{bits, small_data, small_layers};

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
    assert_eq!((file.version, file.steps, file.epochs), (4, 6, 2));
    // A file that says it is older has no numbers of steps.
    let text = again.to_bytes().unwrap();
    let at = text.windows(14).position(|found| found == br#"\"version\":4,"#).unwrap();
    let mut older = text.clone();
    older[at + 12] = b'3';
    let error = ModelFile::from_bytes(&older).unwrap_err().to_string();
    assert!(error.contains("has a field `steps`, which version 3 does not allow"), "{error}");
}
