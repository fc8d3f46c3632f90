//! Reading IDX files in the example of MNIST: what is read, and what is wrong with files that are not right.

#[path = "../examples/mnist_bnn/idx.rs"]
mod idx;

use flate2::{Compression, write::GzEncoder};
use std::{fs, io::Write, path::PathBuf};

fn file(name: &str, bytes: &[u8]) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let path = folder.join(name);
    fs::write(&path, bytes).unwrap();
    path
}

const TWO_BY_THREE: [u8; 18] = [0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 3, 1, 2, 3, 4, 5, 6];

#[test]
fn packed_or_not() {
    let mut packed = GzEncoder::new(Vec::new(), Compression::default());
    packed.write_all(&TWO_BY_THREE).unwrap();
    for (name, bytes) in [("plain-idx", TWO_BY_THREE.to_vec()), ("packed-idx.gz", packed.finish().unwrap())] {
        let read = idx::read(&file(name, &bytes), 2).unwrap();
        assert_eq!((read.extents, read.bytes), (vec![2, 3], vec![1, 2, 3, 4, 5, 6]));
    }
    let sample = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("data/fashion-mnist-sample");
    assert_eq!(idx::read(&sample.join("t10k-images-idx3-ubyte.gz"), 3).unwrap().extents, [50, 28, 28]);
}

#[test]
fn files_that_are_not_right() {
    let read =
        |name: &str, bytes: &[u8], axes| idx::read(&file(name, bytes), axes).map(|_| ()).unwrap_err().to_string();
    let truncated = |n: usize| read(&format!("truncated-{n}"), &TWO_BY_THREE[..n], 2);
    for n in 0..12 {
        assert!(truncated(n).contains("could not read"), "{}", truncated(n));
    }
    assert!(truncated(17).contains("expected 6 bytes after the header, found 5"), "{}", truncated(17));
    let longer = [&TWO_BY_THREE[..], &[7]].concat();
    assert!(read("longer", &longer, 2).contains("found more"));
    assert!(read("other-axes", &TWO_BY_THREE, 3).contains("expected an IDX file of bytes with 3 axes"));
    assert!(read("not-gzip.gz", &TWO_BY_THREE, 2).contains("could not read"));
    for extents in [[255; 8], [0, 0, 0, 0, 0, 0, 0, 5], [127, 255, 255, 255, 0, 0, 0, 1]] {
        let huge = [&TWO_BY_THREE[..4], &extents, &[1]].concat();
        assert!(read("huge", &huge, 2).contains("the extents"), "{extents:?}");
    }
    let missing = idx::read(&PathBuf::from("no/such/file"), 1).map(|_| ()).unwrap_err().to_string();
    assert!(missing.contains("no/such/file"), "{missing}");
}
