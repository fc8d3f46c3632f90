//! What is wrong is said in one sentence, with its place and what to do, and nothing half done stays.

mod common;

use common::*;
use std::{
    fs,
    path::{Path, PathBuf},
};

/// A folder with a model of two inputs, and a place for what is predicted.
struct Place {
    folder: PathBuf,
    model: PathBuf,
    file: PathBuf,
}

impl Place {
    fn new(name: &str) -> Place {
        let folder = folder(name);
        let (model, file) = (saved(&folder, &numbers(2)), folder.join("rows.csv"));
        Place { folder, model, file }
    }

    /// Predicting these bytes fails with such a message, after the name of the file.
    fn refuses(&self, bytes: &[u8], says: &str) {
        let message = self.message(bytes, &[]);
        let expected = format!("bayeslift: `{}`{says}", self.file.display());
        assert!(message.starts_with(&expected), "{message:?} is not {expected:?}");
    }

    /// What is said of these bytes. There is no answer then.
    fn message(&self, bytes: &[u8], arguments: &[&str]) -> String {
        fs::write(&self.file, bytes).unwrap();
        let output = self.folder.join("answers.csv");
        let mut command = bayeslift([Path::new("predict"), &self.model, &self.file]);
        let result = command.arg("--output").arg(&output).args(arguments).output().unwrap();
        let message = String::from_utf8(result.stderr).unwrap();
        assert_eq!((result.status.code(), result.stdout.len()), (Some(1), 0), "{message}");
        assert_eq!(message.lines().count(), 1, "{message}");
        let names = fs::read_dir(&self.folder).unwrap().map(|entry| entry.unwrap().file_name());
        let others: Vec<_> = names.filter(|name| name != "model.safetensors" && name != "rows.csv").collect();
        assert!(others.is_empty(), "{others:?} stayed after {message}");
        message
    }
}

#[test]
fn csv_that_is_not_of_such_inputs() {
    let place = Place::new("errors-csv");
    place.refuses(b"", " is empty; give it a line of 2 numbers for each input");
    place.refuses(b"\n\r\n \n", " is empty");
    place.refuses(b"a,b\n", " has a header and no rows; give it a line of 2 numbers");
    let inputs = "but the model takes 2, inputs of shape [2]; ";
    place.refuses(b"1,2\n1\n", &format!(", line 2 has 1 column, {inputs}`bayeslift inspect MODEL` says"));
    place.refuses(b"a,b,c\n1,2,3\n", &format!(", line 1 has 3 columns, {inputs}leave out what is no input"));
    place.refuses(b"1,2,\n", &format!(", line 1 has 3 columns, {inputs}leave out"));
    place.refuses(b"1;2\n", &format!(", line 1 has 1 column, {inputs}separate columns by commas: `tr ';' ','"));
    place.refuses(b"1\t2\n", &format!(", line 1 has 1 column, {inputs}separate columns by commas: `tr '\\t' ','"));
    place.refuses(b"1,2\n\n3,x\n", ", line 3, column 2: `x` is no number; numbers are written as 12, -0.5 or 2e-3");
    place.refuses(b"a,b\r\n1,2\r\n3,0x10\r\n", ", line 3, column 2 (`b`): `0x10` is no number");
    place.refuses(b"1,2\n3,", ", line 2, column 2 is empty; give it a number");
    place.refuses(b"1,b\n", ", line 1, column 2: `b` is no number; if the line is a header, say so by `--header yes`");
    place.refuses(b"a,b\na,b\n", ", line 2, column 1 (`a`): `a` is no number; numbers are written");
    place.refuses(b"1,NaN\n", ", line 1, column 2: `NaN` is not a number; inputs are finite numbers");
    place.refuses(b"1,2\n-inf,2\n", ", line 2, column 1: `-inf` is not finite in f32");
    place.refuses(b"1,2\n1,1e39\n", ", line 2, column 2: `1e39` is not finite in f32; inputs are finite numbers up to");
    // what a terminal would obey is not shown, nor all that is long
    place.refuses(b"1,2\n1,\x1b]0;x\x07\n", ", line 2, column 2: `\\u{1b}]0;x\\u{7}` is no number");
    place.refuses(b"1,2\n\xff\xfe,2\n", ", line 2, column 1: `");
    let long = [b"1,2\n1,", &[b'x'; 100_000][..]].concat();
    assert!(place.message(&long, &[]).len() < 500);
    // the line of a later block
    let many = "1,2\n".repeat(1000) + "1,2,3\n";
    place.refuses(many.as_bytes(), ", line 1001 has 3 columns");
    assert!(place.message(b"a,b\n1,2\n", &["--header", "no"]).contains(", line 1, column 1: `a` is no number"));
}

#[test]
fn arrays_that_are_not_of_such_inputs() {
    let place = Place::new("errors-npy");
    let bytes = |x: &[f32]| x.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>();
    let four = bytes(&[1.0, 2.0, 3.0, 4.0]);
    let array = |element_type: &str, shape: &str, bytes: &[u8]| npy(element_type, false, shape, bytes);
    let expected = " expected (rows, 2); bring it to that shape by `numpy.reshape`";
    place.refuses(&array("<f4", "(4,)", &four), &format!(" has shape (4), {expected}").replace(",  ", ", "));
    place.refuses(&array("<f4", "(1, 4)", &four), " has shape (1, 4), expected (rows, 2)");
    place.refuses(&array("<f4", "(2, 2, 1, 2)", &four), " has shape (2, 2, 1, 2), expected");
    place.refuses(&array("<f4", "()", &four), " has shape (), expected");
    place.refuses(&array("<f4", "(0, 2)", &[]), " has no rows; save an array with a row for each input");
    place.refuses(&array("<f4", "(3, 2)", &four), " is cut off: it has less than the 3 rows that its header promises");
    place.refuses(&array("<f4", "(1000000000000000000, 2)", &four), " is cut off");
    place.refuses(&npy("<f4", true, "(1000000000000000000, 2)", &four), " is cut off");
    place.refuses(&array("<i8", "(2, 2)", &[0; 32]), ": it has element type '<i8', expected '<f4'");
    assert!(
        place.message(&array("|u1", "(2, 2)", &[0; 4]), &[]).contains("`numpy.save(FILE, array.astype('float32'))`")
    );
    place.refuses(&array("<f4", "(2, two)", &four), ": its header has `two)");
    place.refuses(b"\x93NUMPY\x01", ": it is cut off");
    let inf = bytes(&[1.0, 2.0, 3.0, f32::INFINITY]);
    place.refuses(&array("<f4", "(2, 2)", &inf), ", row 1 counted from 0, element 1 is inf; inputs are finite numbers");
    let large: Vec<u8> = [1.0, -1e39].iter().flat_map(|x: &f64| x.to_le_bytes()).collect();
    let says = ", row 0 counted from 0, element 1 is -1e39, which no f32 is near";
    place.refuses(&array("<f8", "(1, 2)", &large), says);
}

#[test]
fn files_of_other_kinds() {
    let mut place = Place::new("errors-kinds");
    place.refuses(b"\x1f\x8b\x08\0\0\0\0\0", " is compressed by gzip; unpack it on the way: `gunzip -c FILE |");
    place.refuses(b"PK\x03\x04....", " is a zip archive, as .npz and .xlsx files are; save one array by `numpy.save`");
    place.refuses(b"\xff\xfe1\0,\x002\0\n\0", " is text in UTF-16; save it as UTF-8");
    let named = place.folder.join("rows.csv");
    place.file = place.folder.join("rows.npy");
    fs::write(&place.file, "1,2\n").unwrap();
    let result = bayeslift([Path::new("predict"), &place.model, &place.file]).output().unwrap();
    let message = String::from_utf8(result.stderr).unwrap();
    assert!(message.contains("rows.npy` has the name of a NumPy array and is none; write it by"), "{message}");
    assert!(named.exists());
}

#[test]
fn rows_without_a_finite_prediction() {
    let place = Place::new("errors-non-finite");
    saved(&place.folder, &large());
    let rows = "a,b\n".to_owned() + &"1,2\n".repeat(600) + "3e38,3e38\n";
    let message = place.message(rows.as_bytes(), &[]);
    assert!(message.contains("rows.csv`, line 602 is not finite: its largest input is"), "{message}");
    assert!(message.contains("`--allow-non-finite`"), "{message}");
}

#[test]
fn what_cannot_be_read_or_written() {
    let place = Place::new("errors-files");
    let fails = |arguments: &[&Path], says: &str| {
        let result = bayeslift(arguments).output().unwrap();
        let message = String::from_utf8(result.stderr).unwrap();
        assert_eq!((result.status.code(), result.stdout.len()), (Some(1), 0), "{message}");
        assert!(message.starts_with("bayeslift: ") && message.contains(says), "{message:?} is not {says:?}");
        assert_eq!(message.lines().count(), 1, "{message}");
    };
    fs::write(&place.file, "1,2\n").unwrap();
    let [predict, inspect, explain, output, svg] =
        ["predict", "inspect", "explain", "--output", "--svg"].map(Path::new);
    let missing = place.folder.join("missing");
    for arguments in [&[inspect, &missing][..], &[explain, &missing], &[predict, &missing, &place.file]] {
        fails(arguments, "could not read `");
    }
    fails(&[predict, &place.model, &missing], "missing`: No such file");
    fails(&[predict, &place.model, &place.folder], "could not read `");

    let whole = fs::read(&place.model).unwrap();
    for (bytes, says) in [
        (&whole[..whole.len() / 2], "is no model file that can be read: it is no whole safetensors file"),
        (b"1,2\n", "is no model file that can be read"),
        (b"", "is no model file that can be read"),
    ] {
        let damaged = place.folder.join("damaged");
        fs::write(&damaged, bytes).unwrap();
        for arguments in [&[inspect, &damaged][..], &[explain, &damaged], &[predict, &damaged, &place.file]] {
            fails(arguments, says);
        }
    }
    let mut flipped = whole.clone();
    *flipped.last_mut().unwrap() ^= 1;
    let damaged = place.folder.join("damaged");
    fs::write(&damaged, flipped).unwrap();
    fails(&[inspect, &damaged], "it is damaged: its contents have the digest");

    let nowhere = missing.join("answers.csv");
    fails(&[predict, &place.model, &place.file, output, &nowhere], "could not write `");
    fails(&[predict, &place.model, &place.file, output, &place.folder], "it is a folder, not a regular file");
    fails(&[explain, &place.model, svg, &nowhere], "could not write `");
    // an answer that is there stays as it is
    let answers = place.folder.join("answers.csv");
    fs::write(&answers, "before").unwrap();
    fs::write(&place.file, "1,2\n".repeat(600) + "x,2\n").unwrap();
    fails(&[predict, &place.model, &place.file, output, &answers], "line 601, column 1");
    assert_eq!(fs::read_to_string(&answers).unwrap(), "before");
}

#[test]
fn arguments_that_cannot_be() {
    let place = Place::new("errors-arguments");
    let model = place.model.to_str().unwrap();
    let cases: &[(&[&str], &str)] = &[
        (&[], "Usage: bayeslift"),
        (&["train"], "unrecognized subcommand 'train'"),
        (&["predict", model], "FILE"),
        (&["predict", model, "-", "--samples", "0"], "0 is not in 1.."),
        (&["predict", model, "-", "--threads", "0"], "0 is not in 1.."),
        (&["predict", model, "-", "--first-row", "-1"], "--first-row"),
        (&["explain", model, "--target", "abacus"], "zen3/simd128"),
        (&["explain", model, "--target", "neon", "--profile"], "cannot be used with"),
        (&["inspect", model, "--svg", "x"], "unexpected argument '--svg'"),
    ];
    for (arguments, says) in cases {
        let result = bayeslift(*arguments).output().unwrap();
        let message = String::from_utf8(result.stderr).unwrap();
        assert_eq!(result.status.code(), Some(2), "{arguments:?}: {message}");
        assert!(message.contains(says), "{arguments:?}: {message}");
    }
    for arguments in [&["--help"][..], &["--version"], &["predict", "--help"], &["explain", "-h"], &["help", "inspect"]]
    {
        assert!(answer(&mut bayeslift(arguments)).contains("bayeslift"), "{arguments:?}");
    }
}
