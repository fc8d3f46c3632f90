//! Rows of inputs, read block by block from CSV or from an array of NumPy.

mod csv;
mod npy;

use self::{csv::CsvRows, npy::NpyRows};
use crate::error::{Error, shown};
use bayeslift::{Float, ir::Shape, npy::MAGIC};
use std::{
    fs::File,
    io::{self, Cursor, Read},
    path::Path,
};

/// What bytes come from: a file, or standard input.
type ByteStream = Box<dyn Read>;

/// Whether the first line of CSV is a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Header {
    /// It is if none of its fields is a number
    Auto,
    /// It is
    Yes,
    /// It is not
    No,
}

/// The rows of a file, in order.
pub struct Rows {
    bytes: Option<u64>,
    /// The number of the first row of the last block, and of the one after it.
    block: [u64; 2],
    format: Format,
}

enum Format {
    Csv(CsvRows),
    Npy(NpyRows),
}

impl Rows {
    /// The rows of a file, or of standard input as `-`, each an input of this shape.
    pub fn open(path: &Path, shape: &Shape, header: Header) -> Result<Rows, Error> {
        if path == Path::new("-") {
            return Rows::new("standard input".to_owned(), Box::new(io::stdin()), shape, header);
        }
        let name = shown(path);
        let failed = |source: io::Error| Error::Read { name: name.clone(), source };
        let file = File::open(path).map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        let mut rows = Rows::new(name.clone(), Box::new(file), shape, header)?;
        rows.bytes = Some(metadata.len()).filter(|_| metadata.is_file());
        let is_named_npy = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("npy"));
        if is_named_npy && matches!(rows.format, Format::Csv(_)) {
            let remedy = "write it by `numpy.save`, or give CSV another name";
            return Err(Error::input(name, " has the name of a NumPy array and is none", remedy));
        }
        Ok(rows)
    }

    /// The rows that a source has, by what it begins with.
    fn new(name: String, mut source: ByteStream, shape: &Shape, header: Header) -> Result<Rows, Error> {
        let mut first = Vec::new();
        let read = source.by_ref().take(MAGIC.len() as u64).read_to_end(&mut first);
        read.map_err(|source| Error::Read { name: name.clone(), source })?;
        if let Some((_, what, remedy)) = FOREIGN.iter().find(|(magic, ..)| first.starts_with(magic)) {
            return Err(Error::input(name, *what, *remedy));
        }
        let is_npy = first.starts_with(MAGIC);
        let source: ByteStream = Box::new(Cursor::new(first).chain(source));
        let format = if is_npy {
            Format::Npy(NpyRows::new(name, source, shape)?)
        } else {
            Format::Csv(CsvRows::new(name, source, shape, header))
        };
        Ok(Rows { bytes: None, block: [0, 0], format })
    }

    /// Reads at most `most` rows in the place of those in `inputs`: none if there are no more. A file without any is an
    /// error.
    pub fn read<T: Float>(&mut self, most: usize, inputs: &mut Vec<T>) -> Result<(), Error> {
        inputs.clear();
        let rows = match &mut self.format {
            Format::Csv(csv) => csv.read(most, inputs)?,
            Format::Npy(npy) => npy.read(most, inputs)?,
        };
        if rows == 0 && self.block[1] == 0 {
            return Err(match &self.format {
                Format::Csv(csv) => csv.empty(),
                Format::Npy(npy) => npy.empty(),
            });
        }
        self.block = [self.block[1], self.block[1] + rows as u64];
        Ok(())
    }

    /// The number of the first row of the last block, counted from 0.
    pub fn first(&self) -> u64 {
        self.block[0]
    }

    /// How many rows were read.
    pub fn done(&self) -> u64 {
        self.block[1]
    }

    /// The size of the file, if it is one.
    pub fn bytes(&self) -> Option<u64> {
        self.bytes
    }

    /// How many bytes were read.
    pub fn position(&self) -> u64 {
        match &self.format {
            Format::Csv(csv) => csv.position(),
            Format::Npy(npy) => npy.position(),
        }
    }

    /// Where a row of the last block is, as messages say it.
    pub fn place(&self, row: usize) -> String {
        match &self.format {
            Format::Csv(csv) => csv.place(row),
            Format::Npy(npy) => npy.place(self.block[0] + row as u64),
        }
    }
}

/// What files begin with that hold numbers in ways that are not read, and what to do with them.
const FOREIGN: [(&[u8], &str, &str); 5] = [
    (b"\x1f\x8b", " is compressed by gzip", "unpack it on the way: `gunzip -c FILE | bayeslift predict MODEL -`"),
    (b"(\xb5/\xfd", " is compressed by zstd", "unpack it on the way: `zstd -dc FILE | bayeslift predict MODEL -`"),
    (
        b"PK\x03\x04",
        " is a zip archive, as .npz and .xlsx files are",
        "save one array by `numpy.save`, or a table as CSV",
    ),
    (b"PAR1", " is a Parquet file", "save it as CSV, or as an array by `numpy.save`"),
    (b"\xff\xfe", " is text in UTF-16", "save it as UTF-8"),
];

/// The nearest of a finite number, if there is one, or what is wrong with it.
fn nearest<T: Float>(exact: f64) -> Result<T, String> {
    let nearest = T::nearest(exact);
    match (exact.is_finite(), nearest.into().is_finite()) {
        (true, true) => Ok(nearest),
        (true, false) => Err(format!("{exact:e}, which no {} is near", T::DTYPE)),
        (false, _) => Err(exact.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whatever a file is, it has whole rows of finite numbers, or an error says in one line what is wrong.
    #[test]
    fn no_file_is_taken_for_what_it_is_not() {
        let array = |order: &str| {
            let header = format!("{{'descr': '<f4', 'fortran_order': {order}, 'shape': (3, 2), }}\n");
            [MAGIC, &[1, 0, header.len() as u8, 0][..], header.as_bytes(), &[0x3f; 24]].concat()
        };
        let (array, columns) = (array("False"), array("True"));
        let texts = [&b"a,b\r\n1,2.5\r\n\"3\",4e-3\r\n"[..], b"1,2\n3,4\n5,6", &array, &columns];
        let mut random = 1_u64;
        let mut next = |below: usize| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (random >> 33) as usize % below
        };
        let mut read = 0;
        for i in 0..20_000 {
            let mut bytes = texts[i % texts.len()].to_vec();
            for _ in 0..next(4) {
                let (at, other) = (next(bytes.len()), next(bytes.len()));
                match next(4) {
                    0 => bytes[at] = next(256) as u8,
                    1 => bytes[at] = bytes[other],
                    2 => bytes.truncate(at.max(1)),
                    _ => bytes.insert(at, bytes[other]),
                }
            }
            let header = [Header::Auto, Header::Yes, Header::No][next(3)];
            match all(bytes.clone(), header) {
                Ok(inputs) => {
                    read += 1;
                    assert!(!inputs.is_empty() && inputs.len().is_multiple_of(2), "{bytes:?}");
                    assert!(inputs.iter().all(|x| x.is_finite()), "{bytes:?}");
                }
                Err(error) => assert!(error.to_string().starts_with("rows"), "{error}"),
            }
        }
        assert!(read > 2000, "only {read} files were read");
    }

    fn all(bytes: Vec<u8>, header: Header) -> Result<Vec<f32>, Error> {
        let mut rows = Rows::new("rows".to_owned(), Box::new(Cursor::new(bytes)), &Shape::new(&[2]), header)?;
        let (mut all, mut block) = (Vec::new(), Vec::<f32>::new());
        loop {
            rows.read(2, &mut block)?;
            if block.is_empty() {
                return Ok(all);
            }
            all.extend_from_slice(&block);
        }
    }
}
