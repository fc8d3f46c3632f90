//! NumPy's `.npz` files: zip archives of `.npy` arrays, stored or deflated.

use flate2::read::DeflateDecoder;
use std::{collections::BTreeMap, error::Error, io::Read, path::Path};

/// An array of numbers.
pub struct Array {
    /// The extents.
    pub shape: Vec<usize>,
    /// The elements, row-major.
    pub values: Vec<f64>,
}

type Fallible<T> = Result<T, Box<dyn Error>>;

/// All arrays of a file by name.
pub fn read(path: &Path) -> Fallible<BTreeMap<String, Array>> {
    let bytes = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    entries(&bytes).map_err(|error| format!("{}: {error}", path.display()).into())
}

fn entries(file: &[u8]) -> Fallible<BTreeMap<String, Array>> {
    let end = (0..file.len().saturating_sub(21)).rev().find(|&i| file[i..].starts_with(b"PK\x05\x06"));
    let end = end.ok_or("not a zip archive, or cut off")?;
    let (count, mut at) = (integer(file, end + 10, 2)?, integer(file, end + 16, 4)?);
    let mut arrays = BTreeMap::new();
    for _ in 0..count {
        if slice(file, at, 4)? != b"PK\x01\x02" {
            return Err("a broken zip directory".into());
        }
        let (method, size) = (integer(file, at + 10, 2)?, integer(file, at + 20, 4)?);
        let [name, extra, comment] = [28, 30, 32].map(|offset| integer(file, at + offset, 2));
        let name_length = name?;
        let name = std::str::from_utf8(slice(file, at + 46, name_length)?)?;
        let local = integer(file, at + 42, 4)?;
        let start = local + 30 + integer(file, local + 26, 2)? + integer(file, local + 28, 2)?;
        let packed = slice(file, start, size)?;
        let mut unpacked = Vec::new();
        match method {
            0 => unpacked.extend_from_slice(packed),
            8 => drop(DeflateDecoder::new(packed).read_to_end(&mut unpacked)?),
            _ => return Err(format!("{name}: the unknown compression method {method}").into()),
        }
        let array = array(&unpacked).map_err(|error| format!("{name}: {error}"))?;
        arrays.insert(name.trim_end_matches(".npy").to_owned(), array);
        at += 46 + name_length + extra? + comment?;
    }
    Ok(arrays)
}

/// An array in the `.npy` format: a magic number, a Python dictionary, the elements.
fn array(file: &[u8]) -> Fallible<Array> {
    if !file.starts_with(b"\x93NUMPY") {
        return Err("not a NumPy array".into());
    }
    let width = if integer(file, 6, 1)? == 1 { 2 } else { 4 };
    let length = integer(file, 8, width)?;
    let header = std::str::from_utf8(slice(file, 8 + width, length)?)?;
    let field = |name: &str| {
        let (_, rest) = header.split_once(&format!("'{name}':"))?;
        Some(rest.trim_start())
    };
    let between = |text: &'_ str, open, close| Some(text.strip_prefix(open)?.split(close).next()?.to_owned());
    let kind = field("descr").and_then(|text| between(text, '\'', '\'')).ok_or("no element type")?;
    let extents = field("shape").and_then(|text| between(text, '(', ')')).ok_or("no shape")?;
    if field("fortran_order").is_none_or(|text| !text.starts_with("False")) {
        return Err("a column-major array".into());
    }
    let extents = extents.split(',').map(str::trim).filter(|extent| !extent.is_empty());
    let shape = extents.map(str::parse).collect::<Result<Vec<usize>, _>>()?;
    let data = &file[8 + width + length..];
    let values: Vec<f64> = match kind.as_str() {
        "<f4" => words(data, |word| f32::from_le_bytes(word).into()),
        "<f8" => words(data, f64::from_le_bytes),
        "<i4" => words(data, |word| i32::from_le_bytes(word).into()),
        "<i8" => words(data, |word| i64::from_le_bytes(word) as f64),
        other => return Err(format!("the unknown element type {other}").into()),
    };
    if values.len() != shape.iter().product::<usize>() {
        return Err(format!("{} elements of an array of shape {shape:?}", values.len()).into());
    }
    Ok(Array { shape, values })
}

fn words<const N: usize>(data: &[u8], number: impl Fn([u8; N]) -> f64) -> Vec<f64> {
    data.chunks_exact(N).map(|word| number(word.try_into().expect("chunks have N bytes"))).collect()
}

fn slice(file: &[u8], at: usize, length: usize) -> Fallible<&[u8]> {
    file.get(at..).and_then(|rest| rest.get(..length)).ok_or_else(|| "cut off".into())
}

/// A little-endian integer.
fn integer(file: &[u8], at: usize, bytes: usize) -> Fallible<usize> {
    Ok(slice(file, at, bytes)?.iter().rev().fold(0, |sum, &byte| sum << 8 | usize::from(byte)))
}
