//! Model files: what is saved is loaded, and what does not fit changes nothing.

#[allow(dead_code)] // Each test uses a part of it.
mod facade;
#[allow(dead_code)]
mod files;

use bayeslift::{
    ir::{Tensor, evaluate},
    layers::Group,
    prelude::*,
};
use facade::{bits, small_data, small_layers};
use files::{folder, with_header};
use std::fs;

fn small(seed: u64) -> Network {
    Network::new(small_layers(), [3], likelihood::Normal::learned(0.3), seed).unwrap()
}

#[test]
fn a_network_comes_back_whole() {
    let path = folder("model_file-whole").join("model.safetensors");
    let data = small_data(40);
    let values: Vec<f32> = data.labels().iter().flat_map(|&label| [label as f32, -0.5]).collect();
    let data = Dataset::regression([3], data.inputs().to_vec(), 2, values).unwrap();
    let mut network = small(5);
    network.parameters_mut().set_trainable(false, |_, group| group == Group::Weight);
    Fit::new().epochs(2).run(&mut network, &data).unwrap();
    network.save(&path).unwrap();

    let mut loaded = small(6);
    assert_ne!(bits(&loaded), bits(&network));
    loaded.load(&path).unwrap();
    assert_eq!(loaded.parameters(), network.parameters());
    assert_eq!((loaded.seed(), loaded.training_examples()), (5, Some(40)));
    let predict = |network: &Network| Predictor::new(network).unwrap().regress(data.inputs()).unwrap();
    assert_eq!(predict(&loaded), predict(&network));
    // The same network gives the same bytes, over a file that exists as well; nothing is left beside it.
    let bytes = fs::read(&path).unwrap();
    loaded.save(&path).unwrap();
    assert_eq!(fs::read(&path).unwrap(), bytes);
    assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
}

#[test]
fn the_file_says_what_it_holds() {
    let path = folder("model_file-says").join("model.safetensors");
    let network = small(5);
    network.save(&path).unwrap();
    let file = ModelFile::read(&path).unwrap();
    assert_eq!(&file.parameters, network.parameters());
    assert_eq!(file.likelihood, "Normal(loc = output, scale = softplus(likelihood/raw_scale) + 1e-5)");
    assert_eq!(file.target().as_ref(), Some(network.target()));
    assert_eq!((&file.input[..], file.training_examples, file.summary.as_str()), (&[3][..], None, &*network.summary()));
    let texts = |all: &[bayeslift::Described]| -> Vec<String> {
        all.iter().map(|one| format!("{}: {}", one.path, one.text)).collect()
    };
    assert_eq!(
        texts(&file.priors)[0],
        "affine/kernel: 0.5 Normal(loc = 0, scale = 1) + 0.5 Normal(loc = 0, scale = 2000)"
    );
    assert_eq!(
        texts(&file.posteriors)[3],
        "affine_1/bias: Normal(loc = affine_1/bias/loc, scale = softplus(affine_1/bias/raw_scale) + 0.00001)"
    );
    assert_eq!(texts(&file.parameterization)[4], "likelihood/raw_scale: scale = softplus(likelihood/raw_scale) + 1e-5");

    // The graph runs, with the parameters of the file as its first inputs.
    let graph = file.graph().unwrap();
    let mut inputs: Vec<Tensor> = file.parameters.iter().map(|(_, parameter)| parameter.tensor.clone()).collect();
    inputs.push(Tensor::u32([4], [5, 0, 0, 0]).unwrap());
    inputs.push(Tensor::u32([], [0]).unwrap());
    inputs.push(Tensor::u32([2], [0, 0]).unwrap());
    inputs.push(Tensor::f32([1, 3], [0.1, -0.2, 0.3]).unwrap());
    let outputs = evaluate(&graph, &inputs).unwrap();
    assert_eq!(outputs[0].shape()[..], [1, 2]);
    assert!(outputs[1].as_f32().unwrap()[0] > 0.0);
}

#[test]
fn damaged_and_foreign_files_are_refused() {
    let folder = folder("model_file-damaged");
    let path = folder.join("model.safetensors");
    let mut network = small(5);
    let before = bits(&network);
    network.save(&path).unwrap();
    let whole = fs::read(&path).unwrap();
    let mut check = |bytes: &[u8], expected: &str| {
        fs::write(&path, bytes).unwrap();
        for error in [network.load(&path).unwrap_err(), ModelFile::read(&path).unwrap_err()] {
            assert!(matches!(error, Error::Format { .. }), "{error}");
            assert!(error.to_string().contains(expected), "{error} instead of {expected}");
        }
        assert_eq!(bits(&network), before);
    };
    let header_end = 8 + u64::from_le_bytes(whole[..8].try_into().unwrap()) as usize;
    for length in [0, 1, 7, 8, 9, 100, header_end - 1, header_end, header_end + 1, whole.len() - 4, whole.len() - 1] {
        check(&whole[..length], "no whole safetensors file");
    }
    check(&[&whole[..], &[0; 4]].concat(), "no whole safetensors file");
    check(b"this is a text, and quite a long one too", "no whole safetensors file");
    check(&[0xff; 64], "no whole safetensors file");
    check(&with_header("{}", 0), "no key `bayeslift`");
    check(&with_header(r#"{"__metadata__":{"format":"pt"}}"#, 0), "no key `bayeslift`");
    check(&with_header(r#"{"__metadata__":{"bayeslift":"{"}}"#, 0), "does not parse");
    check(&with_header(r#"{"__metadata__":{"bayeslift":"{\"version\":6}"}}"#, 0), "it has version 6, expected 1 to 5");
    check(&with_header(r#"{"__metadata__":{"bayeslift":"{\"version\":0}"}}"#, 0), "it has version 0, expected 1 to 5");
    check(&with_header(r#"{"__metadata__":{"bayeslift":"{\"version\":2}"}}"#, 0), "missing field");
    check(&with_header(r#"{"__metadata__":{"bayeslift":"{\"version\":1}"}}"#, 0), "missing field");
    // Tensors that lie about their size or place.
    for (shape, offsets) in
        [("[4]", "[0,8]"), ("[18446744073709551615,2]", "[0,8]"), ("[2]", "[8,0]"), ("[2]", "[4,12]")]
    {
        let header = format!(r#"{{"a":{{"dtype":"F32","shape":{shape},"data_offsets":{offsets}}}}}"#);
        check(&with_header(&header, 8), "no whole safetensors file");
    }
    let deep = format!(r#"{{"__metadata__":{{"bayeslift":"{}"}}}}"#, "[".repeat(100_000));
    check(&with_header(&deep, 0), "does not parse");

    // A sound file whose metadata is not about its tensors.
    let text = String::from_utf8(whole[8..header_end].to_vec()).unwrap();
    let replace = |from: &str, to: &str| {
        assert!(text.contains(from) && from.len() == to.len());
        [&whole[..8], text.replacen(from, to, 1).as_bytes(), &whole[header_end..]].concat()
    };
    check(
        &replace(r#"path\":\"affine_2/bias"#, r#"path\":\"affine_2/bios"#),
        "no tensor for the parameter `affine_2/bios`",
    );
    check(&replace(r#"group\":\"loc"#, r#"group\":\"lok"#), "the unknown group `lok`");
    check(&replace(r#"input\":[3]"#, r#"input\":[0]"#), "extent 0");
    check(&replace(r#""dtype":"F32""#, r#""dtype":"I32""#), "has element type I32, expected F32");
    check(&replace(r#"path\":\"affine_2/bias"#, r#"path\":\"affine/bias/l"#), "no tensor for");
}

#[test]
fn what_is_no_file_is_an_error() {
    let folder = folder("model_file-none");
    let mut network = small(0);
    let missing = network.load(folder.join("missing")).unwrap_err();
    assert!(matches!(missing, Error::File { action: "read", .. }), "{missing}");
    assert!(network.load(&folder).unwrap_err().to_string().contains("not a regular file"));
    let nowhere = network.save(folder.join("no/such/folder/model")).unwrap_err();
    assert!(matches!(nowhere, Error::File { action: "write", .. }), "{nowhere}");
    assert!(matches!(network.save(folder.join("..")), Err(Error::File { .. })));
    // A name that is taken by a folder: the temporary file is removed.
    fs::create_dir(folder.join("taken")).unwrap();
    assert!(matches!(network.save(folder.join("taken")), Err(Error::File { .. })));
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
}

#[test]
fn a_file_larger_than_the_network_needs_is_not_read() {
    let path = folder("model_file-huge").join("model.safetensors");
    let file = fs::File::create(&path).unwrap();
    // Sparse: it takes no room.
    file.set_len(1 << 40).unwrap();
    for error in [small(0).load(&path).unwrap_err(), ModelFile::read(&path).unwrap_err()] {
        assert!(error.to_string().contains("1099511627776 bytes or more"), "{error}");
    }
}
