//! Batch normalization in fits and files: what a last batch of one row gets, what a file without its weight means.

#[allow(dead_code)] // Each test uses a part of it.
mod facade;

use bayeslift::{FitNote, ir::Tensor, layers::Error as LayerError, prelude::*};
use facade::bits;
use std::{fs, path::Path};

/// Around 50, with variance 4 over all rows of an even number.
fn data(rows: usize) -> Dataset {
    let x: Vec<f32> = (0..rows).map(|i| if i % 2 == 0 { 48.0 } else { 52.0 }).collect();
    let y = x.iter().map(|x| x / 50.0).collect();
    Dataset::regression([1], x, 1, y).unwrap()
}

fn network(seed: u64) -> Network {
    let layers = Sequential::new().layer(BatchNormalization::new(1).name("normal")).layer(Affine::new(1, 1));
    Network::new(layers, [1], likelihood::Normal::fixed(1.0), seed).unwrap()
}

fn statistic(network: &Network, name: &str) -> f32 {
    network.parameters().get(&format!("normal/{name}")).unwrap().tensor.as_f32().unwrap()[0]
}

#[test]
fn a_rest_of_one_row_is_joined_to_the_batch_before_it() {
    let mut sizes = Vec::new();
    let fit = |rows, batch| Fit::new().epochs(40).batch_size(batch).seed(rows as u64);
    for (rows, batch, steps, joined) in
        [(65, 64, 1, true), (9, 4, 2, true), (33, 8, 4, true), (10, 4, 3, false), (8, 4, 2, false), (3, 2, 1, true)]
    {
        let mut network = network(0);
        sizes.clear();
        let fit = fit(rows, batch).progress(|progress| sizes.push((progress.epoch, progress.step, progress.steps)));
        let report = fit.run(&mut network, &data(rows)).unwrap();
        assert_eq!((report.steps, report.training_examples), (steps * 40, rows));
        let expected = (1..=steps * 40).map(|step| ((step - 1) as usize / steps as usize + 1, step, steps * 40));
        assert_eq!(sizes, expected.collect::<Vec<_>>());
        let note = FitNote::JoinedRest { rows: batch + 1, layer: "normal".to_owned() };
        assert_eq!(report.notes, if joined { vec![note] } else { vec![] }, "{rows} {batch}");
        // 80 steps or so at data around 50: the averages are the data's, not on their way there.
        assert!((statistic(&network, "moving_mean") - 50.0).abs() < 0.7, "{rows} {batch}: {network:?}");
        assert!(statistic(&network, "moving_variance") <= 4.0);
    }
    // All rows at once: the statistics are exactly theirs.
    let mut network = network(0);
    fit(65, 64).run(&mut network, &data(65)).unwrap();
    let variance = statistic(&network, "moving_variance");
    assert!((variance - 4.0).abs() < 2e-3, "{variance}");
    // Not joined: a row with several values of each unit, and where no layer minds.
    let layers = Sequential::new().apply(|x| x.reshape([x.shape()[0], 2, 1])).layer(BatchNormalization::new(1));
    let layers = layers.layer(Flatten).layer(Affine::new(2, 1));
    let pairs = Dataset::regression([2], data(10).inputs().to_vec(), 1, vec![1.0; 5]).unwrap();
    let mut positions = Network::new(layers, [2], likelihood::Normal::fixed(1.0), 0).unwrap();
    let report = Fit::new().epochs(1).batch_size(4).run(&mut positions, &pairs).unwrap();
    assert_eq!((report.steps, report.notes), (2, vec![]));
    let mut plain = Network::new(Affine::new(1, 1), [1], likelihood::Normal::fixed(1.0), 0).unwrap();
    let report = Fit::new().epochs(1).batch_size(64).run(&mut plain, &data(65)).unwrap();
    assert_eq!((report.steps, report.notes), (2, vec![]));
}

#[test]
fn batches_of_one_row_are_refused() {
    for (batch, rows) in [(1, 5), (8, 1), (1, 1)] {
        let mut network = network(0);
        let before = bits(&network);
        let error = Fit::new().batch_size(batch).run(&mut network, &data(rows)).unwrap_err();
        let Error::Layer(LayerError::In { path, error }) = error else { panic!("{error}") };
        assert_eq!((path.as_str(), *error), ("normal", LayerError::SingleValue));
        assert_eq!((bits(&network), network.training_examples()), (before, None));
    }
    let mut network = network(0);
    let mut trainer = Trainer::new(&network, 5, TrainerOptions::default()).unwrap();
    let one = data(1);
    let error = trainer.step(&mut network, StepInput::new(one.inputs(), one.targets())).unwrap_err();
    let expected = "in layer `normal`: the batch has a single value of each unit, expected at least 2 in training";
    assert!(error.to_string().starts_with(expected), "{error}");
    // Elsewhere than in training one row is as good as many.
    assert_eq!(Predictor::new(&network).unwrap().regress(&[50.0]).unwrap().rows(), 1);
}

/// The bytes of a model file of version 1 without one parameter, as before there was one.
fn without(bytes: &[u8], path: &str) -> Vec<u8> {
    let (length, rest) = bytes.split_at(8);
    let length = u64::from_le_bytes(length.try_into().unwrap()) as usize;
    let (header, data) = rest.split_at(length);
    let mut header: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(header).unwrap();
    let metadata = header.remove("__metadata__").unwrap();
    let mut description: serde_json::Value = serde_json::from_str(metadata["bayeslift"].as_str().unwrap()).unwrap();
    description["version"] = 1.into();
    for newer in ["emitter", "layers", "digest", "prediction", "steps", "epochs"] {
        description.as_object_mut().unwrap().remove(newer).unwrap();
    }
    description["parameters"].as_array_mut().unwrap().retain(|parameter| parameter["path"] != path);
    header.remove(path).unwrap();
    let tensors = header.iter().map(|(name, tensor)| {
        let [start, end] = [0, 1].map(|i| tensor["data_offsets"][i].as_u64().unwrap() as usize);
        let shape = tensor["shape"].as_array().unwrap().iter().map(|n| n.as_u64().unwrap() as usize).collect();
        (name, safetensors::tensor::TensorView::new(safetensors::Dtype::F32, shape, &data[start..end]).unwrap())
    });
    let metadata = [("bayeslift".to_owned(), description.to_string())].into_iter().collect();
    safetensors::serialize(tensors.collect::<Vec<_>>(), Some(metadata)).unwrap()
}

#[test]
fn averages_without_a_weight_are_warm() {
    let mut trained = network(1);
    Fit::new().epochs(2).batch_size(16).run(&mut trained, &data(64)).unwrap();
    assert!(statistic(&trained, "moving_weight") > 0.0);
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("batch_normalization.safetensors");
    trained.save(&path).unwrap();
    let old = without(&fs::read(&path).unwrap(), "normal/moving_weight");
    let mut whole = network(2);
    whole.load(&path).unwrap();
    assert_eq!(bits(&whole), bits(&trained));

    fs::write(&path, &old).unwrap();
    let mut loaded = network(3);
    loaded.load(&path).unwrap();
    assert_eq!(statistic(&loaded, "moving_weight"), -1.0);
    for name in ["moving_mean", "moving_variance"] {
        assert_eq!(statistic(&loaded, name), statistic(&trained, name));
    }
    assert!(loaded.validate().is_ok() && loaded.parameters().check_finite().is_ok());
    // A step moves them by a hundredth, whatever the size of its batch.
    let far = Dataset::regression([1], vec![-50.0; 8], 1, vec![0.0; 8]).unwrap();
    let mut trainer = Trainer::new(&loaded, 8, TrainerOptions::default()).unwrap();
    let mean = statistic(&loaded, "moving_mean");
    trainer.step(&mut loaded, StepInput::new(far.inputs(), far.targets())).unwrap();
    let want = 0.99 * mean - 0.5;
    assert!((statistic(&loaded, "moving_mean") - want).abs() < 1e-3, "{mean} {loaded:?}");
    assert!((statistic(&loaded, "moving_weight") - 800.0).abs() < 0.1);
    // Only the weight may be missing.
    trained.save(&path).unwrap();
    fs::write(&path, without(&fs::read(&path).unwrap(), "normal/moving_mean")).unwrap();
    let error = network(4).load(&path).unwrap_err().to_string();
    assert!(error.contains("it has no parameter `normal/moving_mean`"), "{error}");
    fs::remove_file(&path).unwrap();
}

/// The weight is no variable of Keras: such a file has four arrays.
#[cfg(feature = "npz")]
#[test]
fn files_of_other_programs_have_no_weight() {
    let mut saved = network(1);
    saved.parameters_mut().assign("normal/moving_mean", Tensor::f32([1], [3.0]).unwrap()).unwrap();
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("batch_normalization.npz");
    saved.save_tfp(&path).unwrap();
    let mut loaded = network(2);
    loaded.load_tfp(&path).unwrap();
    fs::remove_file(&path).unwrap();
    assert_eq!((statistic(&loaded, "moving_mean"), statistic(&loaded, "moving_weight")), (3.0, -1.0));
}
