//! Files that do not fit, are damaged or are none: an error says where, and nothing changes.

use super::{archive, array, bits, folder, header, tiny};
use crate::files::{Random, damaged};
use bayeslift::{
    ir::arbitrary::{cases, seed},
    layers::distribution::Normal,
    prelude::*,
};
use std::{
    fs,
    io::{Cursor, Write},
};
use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

#[test]
fn what_does_not_fit_is_an_error_that_says_where() {
    let path = folder("tfp_file-fit").join("model.npz");
    let mut network = tiny();
    let before = bits(&network);
    let good = || array(&header("(3, 2)"), &[0.5; 6]);
    let mut check = |bytes: &[u8], other: bool, expected: &str| {
        fs::write(&path, bytes).unwrap();
        let error = network.load_tfp(&path).unwrap_err();
        assert!(
            if other { matches!(error, Error::OtherNetwork { .. }) } else { matches!(error, Error::Format { .. }) },
            "{error}"
        );
        assert!(error.to_string().contains(expected), "{error} instead of {expected}");
        assert!(error.to_string().contains("model.npz"), "{error}");
        assert_eq!(bits(&network), before);
    };
    check(&archive([("arr_0.npy", good())]), true, "it has 1 arrays, expected 2: kernel/loc, kernel/raw_scale");
    check(
        &archive([("arr_0.npy", good()), ("arr_1.npy", good()), ("arr_2.npy", good())]),
        true,
        "it has 3 arrays, expected 2",
    );
    check(
        &archive([("arr_0.npy", good()), ("raw_scale.npy", good())]),
        false,
        "its array 1, for the parameter `kernel/raw_scale`",
    );
    let second = |array: Vec<u8>| archive([("arr_0.npy", good()), ("arr_1.npy", array)]);
    let at = "its array 1, for the parameter `kernel/raw_scale`: ";
    let says = |message: &str| format!("{at}{message}");
    let own = || header("(3, 2)");
    let other = |from: &str, to: &str| own().replace(from, to);
    // the header, how many elements follow, whether the array would fit another network, and what is said
    for (header, count, fits_another, message) in [
        (header("(2, 3)"), 6, true, "it has type f32[2,3], expected f32[3,2]"),
        (header("(6,)"), 6, true, "it has type f32[6], expected f32[3,2]"),
        (header("()"), 1, true, "it has type f32[], expected f32[3,2]"),
        (
            other("<f4", "<f8"),
            12,
            false,
            "it has element type '<f8', f64; Network::load_tfp_rounded rounds such to f32",
        ),
        (other("'<f4'", "[('a', '<f4')]"), 6, false, "it has element type [('a', '<f4')], expected"),
        (other("False", "None"), 6, false, "it has fortran_order None, expected True or False"),
        (other("}", "'shape': (2, 3)}"), 6, false, "its header has the field `shape` twice"),
        (
            other("}", "'\u{1b}]0;owned': 1}"),
            6,
            false,
            "its header has the field `\\u{1b}]0;owned`, which no array has",
        ),
        (own() + "x", 6, false, "its header has `x`, expected nothing"),
        (own(), 5, false, "it has 20 bytes of elements, expected 24"),
        (own(), 7, false, "it has 28 bytes of elements, expected 24"),
    ] {
        check(&second(array(&header, &vec![0.5; count])), fits_another, &says(message));
    }
    let inf = [0.5, 0.5, 0.5, f32::NEG_INFINITY, f32::NAN, 0.5];
    check(&second(array(&own(), &inf)), true, &says("its element 3 is -inf, expected a finite number"));
    for element_type in ["<f2", "<i4", "|b1", "=f4", "f4", "<c8"] {
        check(&second(array(&other("<f4", element_type), &[0.5; 6])), false, "expected '<f4' or '>f4', f32");
    }
    let unreadable = [
        "3, 2",
        "(3, 2",
        "(3, -2)",
        "(3, 2.0)",
        "(three, two)",
        "(99999999999999999999, 2)",
        "((3, 2),)",
        "(3 2)",
        "(+3, 2)",
        "(03, 2)",
        "(3, 2, +)",
    ];
    let absurd = ["(0, 2)", "(9223372036854775808, 2, 4)", "(4294967296, 4294967296)", "(1,1,1,1,1,1,1,1,1,1,1,3,2)"];
    for shape in unreadable.into_iter().chain(absurd) {
        check(&second(array(&header(shape), &[0.5; 6])), false, at);
    }
    for broken in ["{}", "{'descr': '<f4', 'fortran_order': False}", "{'shape': (3, 2), 'descr': '<f4'}"] {
        check(&second(array(broken, &[0.5; 6])), false, &says("its header has no field"));
    }
    for broken in ["", "{'descr': ", "{'descr': '<f4'"] {
        check(&second(array(broken, &[0.5; 6])), false, &says("its header ends, expected"));
    }
    for (bytes, message) in [
        (&b"\x93NUMPY\x01\x00\xff\xff{}"[..], "it is cut off"),
        (b"\x93NUMPY\x02\x00\xff\xff\xff\xff{}", "it is cut off"),
        (b"\x93NUMPY\x01", "it is cut off"),
        (b"\x93NUMPY\x09\x00\x00\x00", "it has format version 9.0"),
        (b"some text", "it is no NumPy array"),
        (b"", "it is no NumPy array"),
    ] {
        check(&second(bytes.to_vec()), false, &says(message));
    }
    // A small file that unpacks to a hundred megabytes is not unpacked.
    check(&second(vec![0; 100_000_000]), false, "at most");
    check(&second(vec![0; 1_000_000]), true, &says("it has more than the 4144 bytes that f32[3,2] needs"));
    check(b"this is a text", false, "no whole NumPy archive");
    check(b"", false, "no whole NumPy archive");

    // Versions 2 and 3 have a longer length.
    for version in [2, 3] {
        let text = header("(3, 2)");
        let mut long = [b"\x93NUMPY", &[version, 0][..], &(text.len() as u32).to_le_bytes(), text.as_bytes()].concat();
        long.extend([0.25_f32; 6].iter().flat_map(|x| x.to_le_bytes()));
        fs::write(&path, second(long)).unwrap();
        let mut network = tiny();
        network.load_tfp(&path).unwrap();
        assert_eq!(network.parameters().get("kernel/raw_scale").unwrap().tensor.as_f32().unwrap(), [0.25; 6]);
    }
}

/// `BAYESLIFT_CASES=25000 BAYESLIFT_SEED=7 cargo test --test tfp_file random` tries that many.
#[test]
fn random_damage_is_an_error_or_changes_nothing() {
    let path = folder("tfp_file-random").join("model.npz");
    let (own, mut network) = (tiny(), tiny());
    own.save_tfp(&path).unwrap();
    let whole = fs::read(&path).unwrap();
    let stored = {
        let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
        for name in ["arr_0.npy", "arr_1.npy"] {
            archive.start_file(name, SimpleFileOptions::DEFAULT.compression_method(CompressionMethod::Stored)).unwrap();
            archive.write_all(&array(&header("(3, 2)"), &[0.5; 6])).unwrap();
        }
        archive.finish().unwrap().into_inner()
    };
    let seed = seed();
    for case in 0..cases(500) {
        let mut random = Random::of_case(seed, case);
        let is_stored = random.below(2) == 0;
        let bytes = damaged(if is_stored { &stored } else { &whole }, &mut random);
        fs::write(&path, bytes).unwrap();
        let about = format!("case {case} of BAYESLIFT_SEED={seed}");
        let before = bits(&network);
        match [network.load_tfp_rounded(&path), network.load_tfp(&path)] {
            [.., Ok(())] if is_stored => {
                assert!(network.parameters().iter().all(|(_, p)| p.tensor.as_f32().unwrap() == [0.5; 6]), "{about}");
            }
            [.., Ok(())] => assert_eq!(bits(&network), bits(&own), "{about}"),
            [_, Err(Error::Format { .. } | Error::OtherNetwork { .. })] => {
                assert_eq!(bits(&network), before, "{about}")
            }
            [_, Err(error)] => panic!("{about}: {error}"),
        }
    }
}

#[test]
fn damaged_files_change_nothing() {
    let path = folder("tfp_file-damaged").join("model.npz");
    let mut network = tiny();
    network.save_tfp(&path).unwrap();
    let whole = fs::read(&path).unwrap();
    let before = bits(&network);
    for length in 0..whole.len() {
        fs::write(&path, &whole[..length]).unwrap();
        let error = network.load_tfp(&path).unwrap_err();
        assert!(matches!(error, Error::Format { .. }), "{length} bytes: {error}");
        assert_eq!(bits(&network), before);
    }
    // Each byte changed: an error, or - in a time stamp, a flag - harmless. Elements have a checksum.
    let mut harmless = 0;
    for at in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << (at % 8);
        fs::write(&path, &bytes).unwrap();
        harmless += usize::from(network.load_tfp(&path).is_ok());
        assert_eq!(bits(&network), before, "byte {at}");
    }
    assert!(harmless < whole.len() / 2, "{harmless} of {}", whole.len());
}

#[test]
fn what_is_no_file_is_an_error() {
    let folder = folder("tfp_file-none");
    let mut network = tiny();
    assert!(matches!(network.load_tfp(folder.join("missing")), Err(Error::File { action: "read", .. })));
    assert!(network.load_tfp(&folder).unwrap_err().to_string().contains("not a regular file"));
    assert!(matches!(network.save_tfp(folder.join("no/such/folder")), Err(Error::File { action: "write", .. })));
    let huge = folder.join("huge");
    // Sparse: it takes no room.
    fs::File::create(&huge).unwrap().set_len(1 << 40).unwrap();
    assert!(network.load_tfp(&huge).unwrap_err().to_string().contains("1099511627776 bytes or more"));
}

/// A file says nothing of how scales are made of its numbers, so a network that makes them otherwise neither reads nor
/// writes one.
#[test]
fn other_scales_are_refused() {
    let path = folder("tfp_file-scales").join("model.npz");
    let layer = AffineVariationalReparameterizationLocal::new(3, 2).use_bias(false);
    let exponential = Posterior::new(|scope, shape| {
        shape.each(scope, |scope, shape, initializer| {
            let loc = scope.parameter("loc", shape, initializer)?;
            let raw_scale = scope.parameter("raw_scale", shape, &Initializer::Constant(-5.0))?;
            Ok(Normal::new(loc, raw_scale.exp()).into())
        })
    });
    let mut other = Network::new(layer.posterior_maker(exponential), [3], likelihood::Categorical, 0).unwrap();
    let want = "the posterior of `kernel` is Normal(loc = kernel/loc, scale = exp(kernel/raw_scale)), expected \
                Normal(loc = kernel/loc, scale = softplus(kernel/raw_scale) + 0.00001), the only one that files of TFP hold";
    assert_eq!(other.save_tfp(&path).unwrap_err().to_string(), want);
    tiny().save_tfp(&path).unwrap();
    assert_eq!(other.load_tfp(&path).unwrap_err().to_string(), want);
}
