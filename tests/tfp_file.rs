//! Weight files of `tfp.experimental.nn`: read and written in its order.
#![cfg(feature = "npz")]

#[allow(dead_code)] // Each test uses a part of it.
mod facade;
#[allow(dead_code)]
mod files;
#[path = "tfp_file/misfits.rs"]
mod misfits;
mod npz;

use bayeslift::prelude::*;
use facade::{bits, small_layers};
use files::folder;
use std::{
    fs,
    io::{Cursor, Write},
    path::Path,
};
use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

fn small(seed: u64) -> Network {
    Network::new(small_layers(), [3], likelihood::Normal::learned(0.3), seed).unwrap()
}

/// A NumPy array with this header and these elements.
fn array(header: &str, elements: &[f32]) -> Vec<u8> {
    let mut bytes = [b"\x93NUMPY\x01\x00", &(header.len() as u16).to_le_bytes()[..], header.as_bytes()].concat();
    bytes.extend(elements.iter().flat_map(|x| x.to_le_bytes()));
    bytes
}

fn header(shape: &str) -> String {
    format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}\n")
}

fn archive<'a>(files: impl IntoIterator<Item = (&'a str, Vec<u8>)>) -> Vec<u8> {
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::DEFAULT.compression_method(CompressionMethod::Deflated);
    for (name, bytes) in files {
        archive.start_file(name, options).unwrap();
        archive.write_all(&bytes).unwrap();
    }
    archive.finish().unwrap().into_inner()
}

#[test]
fn a_network_comes_back() {
    let path = folder("tfp_file-whole").join("model.npz");
    let network = small(5);
    network.save_tfp(&path).unwrap();
    let mut loaded = small(6);
    let scale = loaded.parameters().get("likelihood/raw_scale").unwrap().clone();
    loaded.parameters_mut().get_mut("affine/bias/loc").unwrap().trainable = false;
    loaded.load_tfp(&path).unwrap();
    assert_eq!(bits(&loaded), bits(&network));
    // What is not in the file stays.
    assert_eq!(loaded.parameters().get("likelihood/raw_scale").unwrap(), &scale);
    assert!(!loaded.parameters().get("affine/bias/loc").unwrap().trainable);
    assert_eq!(loaded.seed(), 6);
    // The same network gives the same bytes; nothing is left beside the file.
    let bytes = fs::read(&path).unwrap();
    loaded.save_tfp(&path).unwrap();
    assert_eq!(fs::read(&path).unwrap(), bytes);
    assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
}

/// Weights that are not random variables may come first.
#[test]
fn a_network_that_begins_with_weights_comes_back() {
    let path = folder("tfp_file-weights").join("model.npz");
    let network = |seed| {
        let layers = Sequential::new().layer(Affine::new(3, 4)).layer(Affine::new(4, 2).use_bias(false));
        Network::new(layers, [3], likelihood::Categorical, seed).unwrap()
    };
    network(5).save_tfp(&path).unwrap();
    let mut loaded = network(6);
    loaded.load_tfp(&path).unwrap();
    assert_eq!(bits(&loaded), bits(&network(5)));
}

/// Read by a reader of its own: arrays by number, in the order of the variables of TFP's modules.
#[test]
fn the_order_is_that_of_a_tensorflow_module() {
    let path = folder("tfp_file-order").join("model.npz");
    let network = small(5);
    network.save_tfp(&path).unwrap();
    let arrays = npz::read(&path).unwrap();
    let order = [
        "affine/kernel/loc",
        "affine/kernel/raw_scale",
        "affine/bias/loc",
        "affine/bias/raw_scale",
        "affine_1/kernel/loc",
        "affine_1/kernel/raw_scale",
        "affine_1/bias/loc",
        "affine_1/bias/raw_scale",
        "affine_2/bias",
        "affine_2/kernel",
    ];
    assert_eq!(arrays.len(), order.len());
    for (i, parameter) in order.into_iter().enumerate() {
        let (found, own) = (&arrays[&format!("arr_{i}")], &network.parameters().get(parameter).unwrap().tensor);
        assert_eq!(found.shape, own.shape()[..], "{parameter}");
        assert!(found.values.iter().zip(own.as_f32().unwrap()).all(|(a, b)| *a == f64::from(*b)), "{parameter}");
    }
}

/// A file that TFP itself wrote, of a network of a convolution and an affine layer.
#[test]
fn a_file_that_tfp_wrote() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/tfp_saved_model.npz");
    let layers = Sequential::new()
        .layer(
            ConvolutionVariationalReparameterization::new(1, 4, [3, 3])
                .strides(2)
                .padding(Padding::Same)
                .activation(Activation::LeakyRelu),
        )
        .layer(Flatten)
        .layer(AffineVariationalReparameterizationLocal::new(16, 3));
    let mut network = Network::new(layers, [4, 4, 1], likelihood::Normal::fixed(1.0), 0).unwrap();
    network.load_tfp(&path).unwrap();
    let arrays = npz::read(&path).unwrap();
    for (i, (parameter, found)) in network.parameters().iter().enumerate() {
        let want = &arrays[&format!("arr_{i}")];
        let found = found.tensor.as_f32().unwrap();
        assert!(want.values.iter().zip(found).all(|(a, b)| *a == f64::from(*b)), "{parameter}");
        assert_eq!(want.values.len(), found.len());
    }
    // What TFP computes of the posterior's mean.
    let golden = npz::read(&path.with_file_name("tfp_saved_model_mean_prediction.npz")).unwrap();
    let inputs: Vec<f32> = golden["x"].values.iter().map(|&x| x as f32).collect();
    let options = PredictorOptions::default().posterior_value(PosteriorValue::Mean).samples(1);
    let prediction = Predictor::with_options(&network, &options).unwrap().regress(&inputs).unwrap();
    for (found, want) in prediction.mean().iter().zip(&golden["y"].values) {
        assert!((f64::from(*found) - want).abs() < 2e-5 * want.abs().max(0.1), "{found}, expected {want}");
    }
    // The same numbers in the same order make the same arrays again.
    let copy = folder("tfp_file-tfp").join("copy.npz");
    network.save_tfp(&copy).unwrap();
    let copied = npz::read(&copy).unwrap();
    assert!(
        arrays.iter().all(|(name, array)| { copied[name].shape == array.shape && copied[name].values == array.values })
    );
}

/// TFP holds kernels of `ConvolutionV2` and of transposed convolutions as matrices, and biases of the former with axes
/// of positions.
#[test]
fn kernels_that_are_matrices_are_read() {
    let path = folder("tfp_file-matrices").join("model.npz");
    let layers = || {
        Sequential::new()
            .layer(ConvolutionVariationalReparameterizationLocal::new(1, 2, [2, 2]))
            .layer(ConvolutionTransposeVariationalFlipout::new(2, 1, [3, 2]).use_bias(false))
            .layer(Flatten)
    };
    let mut network = Network::new(layers(), [3, 3, 1], likelihood::Normal::fixed(1.0), 0).unwrap();
    let numbers = |n: usize, from: f32| (0..n).map(|i| from + i as f32).collect::<Vec<f32>>();
    let files = archive([
        ("arr_0.npy", array(&header("(4, 2)"), &numbers(8, 0.0))),
        ("arr_1.npy", array(&header("(4, 2)"), &numbers(8, 10.0))),
        ("arr_2.npy", array(&header("(1, 1, 2)"), &numbers(2, 20.0))),
        ("arr_3.npy", array(&header("(1, 1, 2)"), &numbers(2, 30.0))),
        ("arr_4.npy", array(&header("(12, 1)"), &numbers(12, 40.0))),
        ("arr_5.npy", array(&header("(12, 1)"), &numbers(12, 60.0))),
    ]);
    fs::write(&path, files).unwrap();
    network.load_tfp(&path).unwrap();
    for ((_, parameter), from) in network.parameters().iter().zip([0.0, 10.0, 20.0, 30.0, 40.0, 60.0]) {
        let found = parameter.tensor.as_f32().unwrap();
        assert_eq!(found, numbers(found.len(), from));
    }
    // A matrix the other way around is none of it.
    let names = ["arr_0.npy", "arr_1.npy", "arr_2.npy", "arr_3.npy", "arr_4.npy", "arr_5.npy"];
    let wrong = archive(names.map(|name| (name, array(&header("(2, 4)"), &numbers(8, 0.0)))));
    fs::write(&path, wrong).unwrap();
    let error = network.load_tfp(&path).unwrap_err().to_string();
    assert!(error.contains("type f32[2,4], expected f32[2,2,1,2]"), "{error}");
}

/// And they are written so: those of transposed convolutions always, those of `ConvolutionV2` where that is asked for.
#[test]
fn kernels_are_written_in_the_shapes_of_tfps_layers() {
    let folder = folder("tfp_file-shapes");
    let layers = || {
        Sequential::new()
            .layer(ConvolutionVariationalReparameterizationLocal::new(1, 2, [2, 2]))
            .layer(ConvolutionTransposeVariationalFlipout::new(2, 1, [3, 2]).name("kernel"))
            .layer(Flatten)
            .layer(Affine::new(12, 3))
    };
    let network = |seed| Network::new(layers(), [3, 3, 1], likelihood::Categorical, seed).unwrap();
    let shapes = |path: &Path| -> Vec<Vec<usize>> {
        let arrays = npz::read(path).unwrap();
        (0..arrays.len()).map(|i| arrays[&format!("arr_{i}")].shape.clone()).collect()
    };
    let first = folder.join("v1.npz");
    network(1).save_tfp(&first).unwrap();
    let rest: [&[usize]; 6] = [&[12, 1], &[12, 1], &[1], &[1], &[3], &[12, 3]];
    let begin: [&[usize]; 4] = [&[2, 2, 1, 2], &[2, 2, 1, 2], &[2], &[2]];
    assert_eq!(shapes(&first), [&begin[..], &rest].concat());
    let second = folder.join("v2.npz");
    network(1).save_tfp_v2(&second).unwrap();
    let begin: [&[usize]; 4] = [&[4, 2], &[4, 2], &[1, 1, 2], &[1, 1, 2]];
    assert_eq!(shapes(&second), [&begin[..], &rest].concat());
    for path in [first, second] {
        let mut loaded = network(2);
        loaded.load_tfp(&path).unwrap();
        assert_eq!(bits(&loaded), bits(&network(1)));
    }
}

/// One layer without bias: two arrays of six elements.
fn tiny() -> Network {
    let layer = AffineVariationalReparameterizationLocal::new(3, 2).use_bias(false);
    Network::new(layer, [3], likelihood::Categorical, 0).unwrap()
}

/// Any order of bytes and of axes holds the same numbers.
#[test]
fn other_orders_are_read_exactly() {
    let path = folder("tfp_file-orders").join("model.npz");
    let want = [0.5_f32, -1e-40, 3.0, f32::MAX, -0.0, 1.0 / 3.0];
    let columns = [0, 2, 4, 1, 3, 5].map(|i| want[i]);
    let bytes = |header: &str, words: Vec<u8>| [array(header, &[]), words].concat();
    let little = |x: [f32; 6]| x.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>();
    let big = |x: [f32; 6]| x.iter().flat_map(|x| x.to_be_bytes()).collect::<Vec<u8>>();
    let rows = header("(3, 2)");
    for (header, words) in [
        (rows.clone(), little(want)),
        (rows.replace("False", "True"), little(columns)),
        (rows.replace('<', ">"), big(want)),
        (rows.replace('<', ">").replace("False", "True"), big(columns)),
    ] {
        let array = || bytes(&header, words.clone());
        fs::write(&path, archive([("arr_0.npy", array()), ("arr_1.npy", array())])).unwrap();
        let mut network = tiny();
        network.load_tfp(&path).unwrap();
        let found = network.parameters().get("kernel/loc").unwrap().tensor.words();
        assert_eq!(found, want.map(f32::to_bits), "{header}");
    }
}

#[test]
fn doubles_are_rounded_where_that_is_asked_for() {
    let path = folder("tfp_file-doubles").join("model.npz");
    let save = |order: char, is_column_major: bool, x: [f64; 6]| {
        let header = header("(3, 2)").replace("<f4", &format!("{order}f8"));
        let header = if is_column_major { header.replace("False", "True") } else { header };
        let words = x.iter().flat_map(|x| if order == '<' { x.to_le_bytes() } else { x.to_be_bytes() });
        let array = [array(&header, &[]), words.collect()].concat();
        fs::write(&path, archive([("arr_0.npy", array.clone()), ("arr_1.npy", array)])).unwrap();
    };
    let exact = [1.0 / 3.0, -2.5, 1e-60, f64::from(f32::MAX), 1.0 + 1e-9, 16_777_217.0];
    let rounded = [0.333_333_34_f32, -2.5, 0.0, f32::MAX, 1.0, 16_777_216.0];
    for order in ['<', '>'] {
        save(order, false, exact);
        let mut network = tiny();
        let before = bits(&network);
        let error = network.load_tfp(&path).unwrap_err().to_string();
        assert!(error.ends_with("f64; Network::load_tfp_rounded rounds such to f32"), "{error}");
        assert_eq!(bits(&network), before);
        network.load_tfp_rounded(&path).unwrap();
        assert_eq!(network.parameters().get("kernel/raw_scale").unwrap().tensor.as_f32().unwrap(), rounded);
        save(order, true, [0, 2, 4, 1, 3, 5].map(|i| exact[i]));
        network.load_tfp_rounded(&path).unwrap();
        assert_eq!(network.parameters().get("kernel/loc").unwrap().tensor.as_f32().unwrap(), rounded);
        for (value, expected) in [
            (1e300, "its element 4 is 1e300, which no f32 is near; the largest is 3.4028235e38"),
            (-f64::MAX, "its element 4 is -1.7976931348623157e308, which no f32 is near"),
            (f64::NAN, "its element 4 is NaN, expected a finite number"),
            (f64::INFINITY, "its element 4 is inf, expected a finite number"),
        ] {
            let mut network = tiny();
            let before = bits(&network);
            save(order, false, [0.0, 1.0, 2.0, 3.0, value, 5.0]);
            let error = network.load_tfp_rounded(&path).unwrap_err().to_string();
            assert!(error.contains(expected), "{error} instead of {expected}");
            assert_eq!(bits(&network), before);
        }
    }
    // Files of f32 load as they do.
    tiny().save_tfp(&path).unwrap();
    tiny().load_tfp_rounded(&path).unwrap();
}
