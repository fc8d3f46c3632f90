//! Damage: no model file that was changed in any place loads as if it were whole, and none ends the program.
//!
//! `BAYESLIFT_CASES=25000 BAYESLIFT_SEED=7 cargo test --test damaged_files` tries that many.

#[allow(dead_code)] // Each test uses a part of it.
mod facade;
#[allow(dead_code)]
mod files;

use bayeslift::{
    ir::arbitrary::{cases, seed},
    prelude::*,
};
use facade::bits;
use files::{Random, damaged, with_header};
use sha2::{Digest, Sha256};

fn tiny(seed: u64) -> Network {
    let layers = Sequential::new().layer(AffineVariationalReparameterizationLocal::new(2, 2)).layer(Affine::new(2, 2));
    Network::new(layers, [2], likelihood::Categorical, seed).unwrap()
}

/// The header of a file, and what is after it.
fn parts(bytes: &[u8]) -> (&str, &[u8]) {
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    (std::str::from_utf8(&bytes[8..8 + length]).unwrap(), &bytes[8 + length..])
}

/// A file with another header.
fn with_text(bytes: &[u8], change: impl Fn(&str) -> String) -> Vec<u8> {
    let (text, data) = parts(bytes);
    [&with_header(&change(text), 0), data].concat()
}

/// What a file must not do: load, or give what it did not hold.
fn check(bytes: &[u8], whole: &ModelFile, network: &mut Network, about: &str) {
    let before = bits(network);
    match (ModelFile::from_bytes(bytes), network.load_bytes(bytes)) {
        // The same in other words, such as another escape of the same character: all that is read is equal.
        (Ok(file), Ok(())) => assert_eq!(&file, whole, "{about}"),
        (Err(Error::Format { .. }), Err(Error::Format { message, .. })) => {
            assert!(!message.is_empty() && message.len() < 5000, "{about}");
            assert_eq!(bits(network), before, "{about}");
        }
        (read, loaded) => panic!("{about}: {read:?}, {loaded:?}"),
    }
}

#[test]
fn every_flipped_bit_is_an_error() {
    let bytes = tiny(5).to_bytes().unwrap();
    let (whole, mut network) = (ModelFile::from_bytes(&bytes).unwrap(), tiny(6));
    // All of a small file; a part of the bits by the number of cases.
    let step = if cases(0) >= 10_000 { 1 } else { 7 };
    for bit in (0..bytes.len() * 8).step_by(step) {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let about = format!("bit {} of byte {} of {}", bit % 8, bit / 8, bytes.len());
        check(&flipped, &whole, &mut network, &about);
        // In this file there are not even two ways to write anything.
        assert!(ModelFile::from_bytes(&flipped).is_err(), "{about}");
    }
}

#[test]
fn every_truncation_is_an_error() {
    let bytes = tiny(5).to_bytes().unwrap();
    let (whole, mut network) = (ModelFile::from_bytes(&bytes).unwrap(), tiny(6));
    for length in 0..bytes.len() {
        check(&bytes[..length], &whole, &mut network, &format!("{length} of {} bytes", bytes.len()));
        assert!(ModelFile::from_bytes(&bytes[..length]).is_err(), "{length} bytes");
    }
    for more in [1, 2, 8] {
        let longer = [&bytes[..], &vec![0; more]].concat();
        check(&longer, &whole, &mut network, &format!("{more} bytes more"));
    }
}

#[test]
fn random_damage_is_an_error() {
    let bytes = tiny(5).to_bytes().unwrap();
    let (whole, mut network) = (ModelFile::from_bytes(&bytes).unwrap(), tiny(6));
    let seed = seed();
    for case in 0..cases(500) {
        let bytes = damaged(&bytes, &mut Random::of_case(seed, case));
        check(&bytes, &whole, &mut network, &format!("case {case} of BAYESLIFT_SEED={seed}"));
    }
}

/// Files of version 1 have no digest: damage to weights cannot be seen, but nothing panics.
#[test]
fn damage_of_a_file_without_digest_is_survived() {
    let bytes = include_bytes!("model_files/version_1.safetensors");
    let mut network = Network::new(facade::small_layers(), [3], likelihood::Normal::learned(0.3), 0).unwrap();
    let seed = seed();
    for case in 0..cases(500) {
        let about = format!("case {case} of BAYESLIFT_SEED={seed}");
        let bytes = damaged(bytes, &mut Random::of_case(seed, case));
        let message = match network.load_bytes(&bytes) {
            Ok(()) => continue,
            Err(Error::Format { message, .. } | Error::OtherNetwork { message, .. }) => message,
            Err(error) => panic!("{about}: {error:?}"),
        };
        assert!(!message.is_empty(), "{about}");
    }
}

/// Computed here from its description in `ModelFile::digest`, and of a file whose tensors lie in another order.
#[test]
fn the_digest_is_that_of_the_contents() {
    let network = tiny(5);
    let bytes = network.to_bytes().unwrap();
    let file = ModelFile::from_bytes(&bytes).unwrap();
    let (text, data) = parts(&bytes);
    let header: serde_json::Value = serde_json::from_str(text).unwrap();
    let description = header["__metadata__"]["bayeslift"].as_str().unwrap();
    let (signed, rest) = description.split_once(",\"digest\":\"").unwrap();
    let digest = rest.strip_suffix("\"}").unwrap();
    assert_eq!(file.digest.as_deref(), Some(digest));

    let mut hash = Sha256::new();
    let number = |hash: &mut Sha256, n: u64| hash.update(n.to_le_bytes());
    let piece = |hash: &mut Sha256, piece: &[u8]| {
        number(hash, piece.len() as u64);
        hash.update(piece);
    };
    piece(&mut hash, signed.as_bytes());
    for (name, _) in network.parameters().iter() {
        let tensor = &header[name];
        let extents: Vec<u64> = tensor["shape"].as_array().unwrap().iter().map(|n| n.as_u64().unwrap()).collect();
        piece(&mut hash, name.as_bytes());
        piece(&mut hash, tensor["dtype"].as_str().unwrap().as_bytes());
        number(&mut hash, extents.len() as u64);
        extents.iter().for_each(|extent| number(&mut hash, *extent));
        let offset = |i: usize| tensor["data_offsets"][i].as_u64().unwrap() as usize;
        hash.update(&data[offset(0)..offset(1)]);
    }
    let own: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(own, digest);

    // Another program may write the same contents in another order.
    let mut other = serde_json::json!({ "__metadata__": header["__metadata__"] });
    let mut moved = Vec::new();
    let names: Vec<&str> = network.parameters().paths().collect();
    for name in names.iter().rev() {
        let tensor = &header[*name];
        let offset = |i: usize| tensor["data_offsets"][i].as_u64().unwrap() as usize;
        let start = moved.len();
        moved.extend(&data[offset(0)..offset(1)]);
        other[*name] = serde_json::json!({
            "dtype": tensor["dtype"], "shape": tensor["shape"], "data_offsets": [start, moved.len()]
        });
    }
    assert_eq!(ModelFile::from_bytes(&[with_header(&other.to_string(), 0), moved].concat()).unwrap(), file);
}

/// Each part of the contents is told apart from its neighbours, and none is left out.
#[test]
fn contents_that_lie_are_refused() {
    let bytes = tiny(5).to_bytes().unwrap();
    let refused = |bytes: &[u8], expected: &str| {
        let error = ModelFile::from_bytes(bytes).unwrap_err();
        assert!(matches!(error, Error::Format { .. }), "{error}");
        assert!(error.to_string().contains(expected), "{error} instead of {expected}");
    };
    // Names and shapes exchanged, of the same number of bytes.
    refused(&with_text(&bytes, |text| text.replace("[2,2]", "[4,1]")), "it is damaged");
    let exchanged = |text: &str| {
        let text = text.replace("\"affine/kernel/loc\":{", "\"\":{");
        let text = text.replace("\"affine/kernel/raw_scale\":{", "\"affine/kernel/loc\":{");
        text.replace("\"\":{", "\"affine/kernel/raw_scale\":{")
    };
    refused(&with_text(&bytes, exchanged), "it is damaged");
    for (from, to) in [
        ("\\\"seed\\\":5", "\\\"seed\\\":4"),
        ("Categorical", "Categoricol"),
        ("\\\"trainable\\\":true", "\\\"trainable\\\":false"),
        ("\\\"Local\\\"", "\\\"Flipout\\\""),
        ("graph {", "graph  {"),
    ] {
        assert!(parts(&bytes).0.contains(from), "{from}");
        refused(&with_text(&bytes, |text| text.replacen(from, to, 1)), "it is damaged");
    }
    // A file that only says that it is from before there were digests.
    refused(
        &with_text(&bytes, |text| text.replacen("\\\"version\\\":5", "\\\"version\\\":1", 1)),
        "which version 1 does not allow",
    );
    let without = |text: &str| {
        let (before, rest) = text.split_once(",\\\"digest\\\":").unwrap();
        let (_, after) = rest.split_once("\\\"}").unwrap();
        format!("{before}}}{after}")
    };
    refused(&with_text(&bytes, without), "no field `digest`, which version 5 does not allow");
    // Keys that are there twice, of which a reader might take either.
    let (text, _) = parts(&bytes);
    let tensor = format!("\"affine/bias/loc\":{}", "{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},");
    refused(
        &with_text(&bytes, |text| text.replacen("\"affine/bias/loc\":", &format!("{tensor}\"affine/bias/loc\":"), 1)),
        "the key `affine/bias/loc` is there twice",
    );
    let second = format!("{{\"__metadata__\":{{\"bayeslift\":\"{{}}\"}},{}", &text[1..]);
    refused(&with_text(&bytes, |_| second.clone()), "duplicate field `__metadata__`");
    let second = text.replacen("{\"__metadata__\":{", "{\"__metadata__\":{\"bayeslift\":\"{}\",", 1);
    refused(&with_text(&bytes, |_| second.clone()), "the key `bayeslift` is there twice");
    for key in ["seed", "kind", "path", "use_bias"] {
        let (from, to) = (format!("\\\"{key}\\\":"), format!("\\\"{key}\\\":\\\"\\\",\\\"{key}\\\":"));
        refused(&with_text(&bytes, |text| text.replacen(&from, &to, 1)), &format!("the key `{key}` is there twice"));
    }
}

#[test]
fn what_is_not_finite_is_refused() {
    let bytes = include_bytes!("model_files/version_1.safetensors");
    let header: serde_json::Value = serde_json::from_str(parts(bytes).0).unwrap();
    let start = bytes.len() - parts(bytes).1.len();
    let at = start + header["affine_1/bias/loc"]["data_offsets"][0].as_u64().unwrap() as usize + 4 * 3;
    for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let mut broken = bytes.to_vec();
        broken[at..at + 4].copy_from_slice(&value.to_le_bytes());
        let path = files::folder("damaged_files-finite").join("model");
        std::fs::write(&path, &broken).unwrap();
        let mut network = Network::new(facade::small_layers(), [3], likelihood::Normal::learned(0.3), 0).unwrap();
        let before = bits(&network);
        let errors = [
            ModelFile::read(&path).unwrap_err(),
            ModelFile::from_bytes(&broken).unwrap_err(),
            network.load(&path).unwrap_err(),
            network.load_weights(&path).unwrap_err(),
            network.load_bytes(&broken).unwrap_err(),
        ];
        for error in errors {
            assert!(matches!(error, Error::Format { .. }), "{error}");
            let expected = format!("parameter `affine_1/bias/loc` is {value} at element 3");
            assert!(error.to_string().contains(&expected), "{error}");
        }
        assert_eq!(bits(&network), before);
        // What could not be loaded is not saved either, and no file that is there is lost for it.
        network.parameters_mut().get_mut("affine_1/bias/loc").unwrap().tensor.as_f32_mut().unwrap()[3] = value;
        let errors = [
            network.save(&path).unwrap_err(),
            network.to_bytes().unwrap_err(),
            #[cfg(feature = "npz")]
            network.save_tfp(&path).unwrap_err(),
        ];
        for error in errors {
            assert!(error.to_string().contains("parameter `affine_1/bias/loc`"), "{error}");
        }
        assert_eq!(std::fs::read(&path).unwrap(), broken);
    }
}

/// A message about a hostile file moves no cursor, and fits on a screen.
#[test]
fn messages_show_no_hostile_text() {
    let hostile = "\\u001b]0;owned\\u0007\\u202e";
    let harmless = |error: &Error| {
        let text = error.to_string();
        assert!(!text.chars().any(|c| c.is_control() || c == '\u{202e}'), "{text:?}");
        assert!(text.len() < 2500, "{} bytes: {text}", text.len());
        text
    };
    let bytes = include_bytes!("model_files/version_1.safetensors");
    let mut network = Network::new(facade::small_layers(), [3], likelihood::Normal::learned(0.3), 0).unwrap();
    let twice = hostile.replace('\\', "\\\\");
    let changes: [(&str, String); 8] = [
        ("\"affine/bias/loc\":{", format!("\"{hostile}\":{{")),
        ("\\\"path\\\":\\\"affine/bias/loc\\\"", format!("\\\"path\\\":\\\"{twice}\\\"")),
        ("\\\"group\\\":\\\"loc\\\"", format!("\\\"group\\\":\\\"{twice}\\\"")),
        ("\\\"seed\\\"", format!("\\\"{twice}\\\"")),
        ("\\\"likelihood\\\":\\\"", format!("\\\"likelihood\\\":\\\"{twice}")),
        ("\\\"text\\\":\\\"Normal", format!("\\\"text\\\":\\\"{twice}Normal")),
        ("\"dtype\":\"F32\"", format!("\"dtype\":\"{hostile}\"")),
        ("\"__metadata__\":{", format!("\"__metadata__\":{{\"{hostile}\":\"\",\"{hostile}\":\"\",")),
    ];
    for (from, to) in &changes {
        assert!(parts(bytes).0.contains(from), "{from}");
        let changed = with_text(bytes, |text| text.replacen(from, to, 1));
        match network.load_bytes(&changed) {
            Err(error) => drop(harmless(&error)),
            Ok(()) => assert!(from.contains("text"), "{from}"),
        }
    }
    // Both places of a name, so that the file is sound and of another network.
    let renamed = |text: &str| {
        text.replace("\"affine/bias/loc\":{", &format!("\"{hostile}\":{{"))
            .replace("\\\"path\\\":\\\"affine/bias/loc\\\"", &format!("\\\"path\\\":\\\"{twice}\\\""))
    };
    let error = network.load_bytes(&with_text(bytes, renamed)).unwrap_err();
    assert!(matches!(error, Error::OtherNetwork { .. }), "{error}");
    assert!(harmless(&error).contains("it has no parameter `affine/bias/loc`; it has: "));
    // Path and graph of the file.
    let missing = network.load("no\u{1b}]0;such").unwrap_err();
    assert!(harmless(&missing).contains("no\\u{1b}]0;such"));
    let file = ModelFile::from_bytes(&with_text(bytes, |text| text.replacen("graph {", &format!("{twice} {{"), 1)));
    harmless(&file.unwrap().graph().unwrap_err());

    // Very many parameters.
    let count = 40_000;
    let mut header: serde_json::Value = serde_json::from_str(parts(bytes).0).unwrap();
    let text = header["__metadata__"]["bayeslift"].as_str().unwrap();
    let mut description: serde_json::Value = serde_json::from_str(text).unwrap();
    let names: Vec<String> = (0..count).map(|i| format!("p{i}")).collect();
    description["parameters"] = names
        .iter()
        .map(|name| serde_json::json!({ "path": name, "group": "loc", "trainable": true }))
        .collect::<Vec<_>>()
        .into();
    header = serde_json::json!({ "__metadata__": { "bayeslift": description.to_string() } });
    for (i, name) in names.iter().enumerate() {
        header[name] = serde_json::json!({ "dtype": "F32", "shape": [1], "data_offsets": [4 * i, 4 * i + 4] });
    }
    let many = with_header(&header.to_string(), 4 * count);
    let error = network.load_bytes(&many).unwrap_err();
    assert!(harmless(&error).ends_with("it has: p0, p1, p2, p3, p4, p5, p6, p7 and 39992 more"), "{error}");
    let file = ModelFile::from_bytes(&many).unwrap();
    let error = file.parameters.get("kernel").unwrap_err().to_string();
    assert!(error.ends_with("p7 and 39992 more"), "{error}");
}
