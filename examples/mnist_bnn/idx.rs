//! Reading IDX files, the format of MNIST and Fashion-MNIST: two zero bytes, the type of elements, the number of axes,
//! the extents as big-endian words, and the elements. Packed with gzip or not.

use flate2::read::MultiGzDecoder;
use std::{
    fs::File,
    io::{self, BufReader, Read},
    path::{Path, PathBuf},
};

/// What can be wrong with an IDX file.
#[derive(Debug, thiserror::Error)]
pub enum IdxError {
    #[error("could not read `{path}`: {source}")]
    Read { path: PathBuf, source: io::Error },
    #[error("`{path}`: expected {expected}, found {found}")]
    Content { path: PathBuf, expected: String, found: String },
}

/// Unsigned bytes with their extents.
pub struct Idx {
    pub extents: Vec<usize>,
    pub bytes: Vec<u8>,
}

/// The most elements that are read: more than any such file has, and less than any machine lacks.
const MAX_ELEMENTS: usize = 1 << 30;

/// Reads a file of unsigned bytes with this many axes.
pub fn read(path: &Path, axes: usize) -> Result<Idx, IdxError> {
    let failed = |source| IdxError::Read { path: path.to_owned(), source };
    let file = BufReader::new(File::open(path).map_err(failed)?);
    let mut reader: Box<dyn Read> = match path.extension() {
        Some(extension) if extension == "gz" => Box::new(BufReader::new(MultiGzDecoder::new(file))),
        _ => Box::new(file),
    };
    let wrong = |expected: String, found: String| IdxError::Content { path: path.to_owned(), expected, found };
    let mut magic = [0; 4];
    reader.read_exact(&mut magic).map_err(failed)?;
    let expected = [0, 0, 8, u8::try_from(axes).unwrap_or(u8::MAX)];
    if magic != expected {
        return Err(wrong(format!("an IDX file of bytes with {axes} axes, {expected:?}"), format!("{magic:?}")));
    }
    let mut extents = Vec::new();
    for _ in 0..axes {
        let mut word = [0; 4];
        reader.read_exact(&mut word).map_err(failed)?;
        extents.push(u32::from_be_bytes(word) as usize);
    }
    let elements = extents.iter().try_fold(1, |product: usize, &extent| product.checked_mul(extent));
    let Some(elements) = elements.filter(|elements| (1..=MAX_ELEMENTS).contains(elements)) else {
        return Err(wrong(format!("1 to {MAX_ELEMENTS} elements"), format!("the extents {extents:?}")));
    };
    // a header may promise what the file does not hold: memory is taken for what there is
    let mut bytes = Vec::new();
    reader.take(elements as u64 + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() != elements {
        let found = if bytes.len() > elements { "more".to_owned() } else { bytes.len().to_string() };
        return Err(wrong(format!("{elements} bytes after the header"), found));
    }
    Ok(Idx { extents, bytes })
}
