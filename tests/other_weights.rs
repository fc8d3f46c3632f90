//! Weights from files of other systems: the bytes of an independent writer, and bytes made by hand.

use bayeslift::{WeightMap, prelude::*};
use safetensors::SafeTensors;
use std::{env, fs, path::PathBuf, process};

/// What `tests/other_weights/make.py` wrote with Python's safetensors.
const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/other_weights/convolution.safetensors");

fn network() -> Network {
    let layers = Sequential::new()
        .layer(Convolution::new(2, 3, [3, 2]).activation(Activation::Relu))
        .layer(Flatten)
        .layer(AffineVariationalReparameterizationLocal::new(27, 4).prior_maker(Prior::remembered(1.0)));
    Network::new(layers, [5, 4, 2], likelihood::Normal::fixed(1.0), 0).unwrap()
}

fn convolution() -> WeightMap {
    WeightMap::new()
        .permuted("convolution/kernel", "conv.weight", [2, 3, 1, 0])
        .tensor("convolution/bias", "conv.bias")
        .tensor("affine/bias", "fc.bias")
}

fn map() -> WeightMap {
    convolution().reshaped("affine/kernel", "fc.weight", [4, 3, 3, 3], [2, 3, 1, 0]).ignore_others()
}

fn values(network: &Network, path: &str) -> Vec<f32> {
    network.parameters().get(path).unwrap().tensor.as_f32().unwrap().to_vec()
}

/// The network answers as the other system's does: kernels of convolutions, images that were flattened channels first,
/// numbers of 16, 32 and 64 bits.
#[test]
fn a_network_answers_as_where_its_weights_are_from() {
    let mut network = network();
    let report = network.start_from_file(FILE, &map(), 0.1).unwrap();
    assert_eq!(report.kept, [] as [&str; 0]);
    assert_eq!(report.ignored, ["answers", "bn.num_batches_tracked", "x"]);
    let bytes = fs::read(FILE).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let floats = |name: &str| -> Vec<f32> {
        let words = file.tensor(name).unwrap().data().as_chunks().0;
        words.iter().map(|&word| f32::from_le_bytes(word)).collect()
    };
    let options = PredictorOptions::default().samples(1).posterior_value(PosteriorValue::Mean);
    let answers = Predictor::with_options(&network, &options).unwrap().regress(&floats("x")).unwrap();
    let want = floats("answers");
    assert_eq!(want.len(), 24);
    for (got, want) in answers.mean().iter().zip(&want) {
        assert!((got - want).abs() <= 2e-5 * want.abs().max(1.0), "{got} and {want}");
    }
    // the posterior is around them, and so is the prior
    assert_eq!(values(&network, "affine/prior/kernel/loc"), values(&network, "affine/kernel/loc"));
    let scale = f64::from(values(&network, "affine/kernel/raw_scale")[5]).exp().ln_1p() + 1e-5;
    let mean = f64::from(values(&network, "affine/kernel/loc")[5]).abs();
    assert!((scale / (0.1 * mean) - 1.0).abs() < 1e-4, "{scale} and {mean}");
}

/// A part of the weights leaves the others as they were, and tells them.
#[test]
fn what_is_left_alone_is_told() {
    let mut network = network();
    let before = values(&network, "affine/kernel/loc");
    let report = network.start_from_file(FILE, &convolution().ignore_others(), 0.1).unwrap();
    assert_eq!(report.kept, ["affine/kernel"]);
    assert_eq!(report.ignored, ["answers", "bn.num_batches_tracked", "fc.weight", "x"]);
    assert_eq!(values(&network, "affine/kernel/loc"), before);
}

/// Each error names what is at fault, and changes nothing.
#[test]
fn what_does_not_fit_is_named_and_changes_nothing() {
    let mut network = network();
    let before = network.parameters().clone();
    let kernel = |axes: &[usize]| map_of("convolution/kernel", "conv.weight", axes);
    fn map_of(path: &str, name: &str, axes: &[usize]) -> WeightMap {
        WeightMap::new().permuted(path, name, axes).ignore_others()
    }
    for (map, says) in [
        (
            convolution().tensor("affine/kernel", "head.weight").tensor("other", "neck.bias"),
            "it has no tensor head.weight, neck.bias; its tensors are answers, bn.num_batches_tracked, conv.bias, conv.weight,",
        ),
        (
            convolution(),
            "it has tensors that the map does not name: answers, bn.num_batches_tracked, fc.weight, x; name them",
        ),
        (convolution().ignore("x").ignore("answers").ignore("fc.weight"), "does not name: bn.num_batches_tracked;"),
        (
            map_of("affine/kernel", "fc.weight", &[0, 1]),
            "its tensor `fc.weight`, for the weight `affine/kernel`: it has shape [4, 27] with axes in the order [0, 1], expected [27, 4]",
        ),
        (
            WeightMap::new().tensor("affine/kernel", "fc.weight").ignore_others(),
            "it has shape [4, 27], expected [27, 4]",
        ),
        (kernel(&[2, 3, 1]), "it has shape [3, 2, 3, 2], whose axes cannot be put in the order [2, 3, 1]"),
        (kernel(&[2, 3, 1, 1]), "cannot be put in the order [2, 3, 1, 1]"),
        (kernel(&[2, 3, 1, 9]), "cannot be put in the order [2, 3, 1, 9]"),
        (kernel(&[0, 1, 2, 3]), "it has shape [3, 2, 3, 2] with axes in the order [0, 1, 2, 3], expected [3, 2, 2, 3]"),
        (
            WeightMap::new().reshaped("affine/kernel", "fc.weight", [4, 3, 3, 4], [2, 3, 1, 0]).ignore_others(),
            "it has shape [4, 27], which cannot be read as [4, 3, 3, 4]",
        ),
        (
            WeightMap::new().reshaped("affine/bias", "fc.weight", [4, 27], [1, 0]).ignore_others(),
            "it has shape [27, 4] with axes in the order [1, 0], expected [4]",
        ),
        (
            WeightMap::new().tensor("affine/bias", "bn.num_batches_tracked").ignore_others(),
            "it has element type I64, expected F32, F16, BF16 or F64",
        ),
        (convolution().tensor("affine/bias", "conv.bias").ignore_others(), "the weight `affine/bias` of a map is two"),
        (WeightMap::new().tensor("affine/weight", "fc.bias").ignore_others(), "affine/weight"),
    ] {
        let error = network.start_from_file(FILE, &map, 0.1).unwrap_err().to_string();
        assert!(error.contains(says), "{error}\nhas no {says}");
        assert_eq!(*network.parameters(), before);
    }
    assert!(network.start_from_file(FILE, &map(), f64::NAN).is_err());
    let error = network.start_from_file("nowhere.safetensors", &map(), 0.1).unwrap_err();
    assert!(matches!(error, Error::File { .. }), "{error}");
    assert_eq!(*network.parameters(), before);
}

/// A file of these tensors: name, element type, bytes, of one axis; by hand, as the format is described.
fn written(name: &str, tensors: &[(&str, &str, Vec<u8>, usize)]) -> PathBuf {
    let (mut header, mut data) = (Vec::new(), Vec::new());
    for (name, element_type, bytes, elements) in tensors {
        let (start, end) = (data.len(), data.len() + bytes.len());
        header.push(format!(
            r#""{name}":{{"dtype":"{element_type}","shape":[{elements}],"data_offsets":[{start},{end}]}}"#
        ));
        data.extend(bytes);
    }
    let header = format!("{{{}}}", header.join(","));
    let path = env::temp_dir().join(format!("bayeslift-other-weights-{}-{name}", process::id()));
    fs::write(&path, [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &data].concat()).unwrap();
    path
}

/// Bytes of each type that is read, and what they are in `f32`.
#[test]
fn numbers_of_other_types() {
    let network = || Network::new(Affine::new(1, 4), [1], likelihood::Normal::fixed(1.0), 0).unwrap();
    let start = |name: &str, element_type: &str, bytes: Vec<u8>, elements: usize| {
        let path = written(name, &[("b", element_type, bytes, elements)]);
        let mut network = network();
        let before = network.parameters().clone();
        let result = network.start_from_file(&path, &WeightMap::new().tensor("bias", "b"), 0.1);
        fs::remove_file(path).unwrap();
        assert!(result.is_ok() || *network.parameters() == before);
        result.map(|_| values(&network, "bias")).map_err(|error| error.to_string())
    };
    let half = |words: [u16; 4]| words.into_iter().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
    let double = |values: [f64; 4]| values.into_iter().flat_map(f64::to_le_bytes).collect::<Vec<u8>>();
    // 1, -2, the largest half, the smallest
    let found = start("half", "F16", half([0x3c00, 0xc000, 0x7bff, 0x0001]), 4);
    assert_eq!(found.unwrap(), [1.0, -2.0, 65504.0, 2.0_f32.powi(-24)]);
    let found = start("brain", "BF16", half([0x3f80, 0xc000, 0x4049, 0x0001]), 4);
    assert_eq!(found.unwrap(), [1.0, -2.0, 3.140625, f32::from_bits(0x10000)]);
    // a tie goes to the even neighbour, what is beyond it to the next
    let tie = 1.0 + f64::from(f32::EPSILON) / 2.0;
    let found = start("double", "F64", double([0.1, tie, tie + 1e-15, 1.0 + 1.5 * f64::from(f32::EPSILON)]), 4);
    assert_eq!(found.unwrap(), [0.1_f32, 1.0, 1.0 + f32::EPSILON, 1.0 + 2.0 * f32::EPSILON]);
    for (name, element_type, bytes, says) in [
        ("infinite-half", "F16", half([0, 0x7c00, 0, 0]), "its element 1 is inf"),
        ("nan", "BF16", half([0, 0, 0x7fc0, 0]), "its element 2 is NaN"),
        ("large", "F64", double([0.0, 0.0, 0.0, 1e39]), "its element 3 is inf in `f32`"),
        ("integers", "I32", vec![0; 16], "element type I32"),
        ("bytes", "F8_E4M3", vec![0; 4], "element type F8_E4M3"),
    ] {
        let error = start(name, element_type, bytes, 4).unwrap_err();
        assert!(error.contains("its tensor `b`, for the weight `bias`") && error.contains(says), "{error}");
    }
    // files that are damaged: cut off, and with one name twice
    for (name, element_type, bytes, elements) in [("short", "F16", vec![0; 6], 4), ("shape", "F32", vec![0; 12], 4)] {
        let error = start(name, element_type, bytes, elements).unwrap_err();
        assert!(error.contains("no whole safetensors file"), "{error}");
    }
    let path = written("twice", &[("b", "F32", vec![0; 16], 4), ("b", "F32", vec![1; 16], 4)]);
    let error = network().start_from_file(&path, &WeightMap::new().tensor("bias", "b"), 0.1).unwrap_err().to_string();
    fs::remove_file(path).unwrap();
    assert!(error.contains("no model file that can be read"), "{error}");
}
