//! Reading tables of numbers. Errors name the line.

use flate2::read::MultiGzDecoder;
use std::{fs::File, io, path::Path};

/// What can be wrong with a table.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// The file could not be opened or unpacked.
    #[error("could not read `{path}`: {source}")]
    Read { path: String, source: io::Error },
    /// A line does not hold what it should.
    #[error("line {line} of `{path}`: {message}")]
    Line { path: String, line: u64, message: String },
    /// There is nothing in it.
    #[error("`{path}` has no rows")]
    Empty { path: String },
}

/// A table of finite numbers, row after row.
#[derive(Debug, PartialEq)]
pub struct Table {
    pub path: String,
    pub columns: usize,
    pub values: Vec<f32>,
    /// The line of each row, counted from 1.
    pub lines: Vec<u64>,
}

impl Table {
    /// Reads a comma-separated file, gzipped if its name ends in `.gz`, with one finite number in each of `columns`
    /// fields a line; the first line is skipped if it is a header.
    pub fn read(path: &Path, columns: usize, header: bool) -> Result<Table, TableError> {
        let name = path.display().to_string();
        let file = File::open(path).map_err(|source| TableError::Read { path: name.clone(), source })?;
        if path.extension().is_some_and(|extension| extension == "gz") {
            Table::parse(name, MultiGzDecoder::new(file), columns, header)
        } else {
            Table::parse(name, file, columns, header)
        }
    }

    /// As [`Table::read`], from what was read; errors call it `path`.
    pub fn parse(path: String, from: impl io::Read, columns: usize, header: bool) -> Result<Table, TableError> {
        let mut reader = csv::ReaderBuilder::new().has_headers(header).flexible(true).from_reader(from);
        let (mut values, mut lines) = (Vec::new(), Vec::new());
        let mut record = csv::StringRecord::new();
        while reader.read_record(&mut record).map_err(|error| csv_error(&path, error))? {
            let line = record.position().map_or(0, csv::Position::line);
            let wrong = |message: String| TableError::Line { path: path.clone(), line, message };
            if record.len() != columns {
                return Err(wrong(format!("{} fields, expected {columns}", record.len())));
            }
            for (column, field) in record.iter().enumerate() {
                let number = field.trim().parse::<f32>().ok().filter(|x| x.is_finite());
                let message = || format!("field {} is {field:?}, expected a finite number", column + 1);
                values.push(number.ok_or_else(|| wrong(message()))?);
            }
            lines.push(line);
        }
        if lines.is_empty() { Err(TableError::Empty { path }) } else { Ok(Table { path, columns, values, lines }) }
    }

    /// The rows without their last field, and the last fields.
    pub fn split_last(&self) -> (Vec<f32>, Vec<f32>) {
        let rows = self.values.chunks_exact(self.columns).filter_map(<[f32]>::split_last);
        let (mut inputs, mut last) = (Vec::new(), Vec::new());
        for (target, input) in rows {
            inputs.extend_from_slice(input);
            last.push(*target);
        }
        (inputs, last)
    }

    /// Last fields as labels below `classes`.
    pub fn labels(&self, last: &[f32], classes: u32) -> Result<Vec<u32>, TableError> {
        let label = |(&x, &line): (&f32, &u64)| {
            let label = x as u32;
            if label < classes && label as f32 == x {
                return Ok(label);
            }
            let message = format!("the label is {x}, expected a whole number from 0 to {}", classes - 1);
            Err(TableError::Line { path: self.path.clone(), line, message })
        };
        last.iter().zip(&self.lines).map(label).collect()
    }
}

fn csv_error(path: &str, error: csv::Error) -> TableError {
    let (path, line) = (path.to_owned(), error.position().map_or(0, csv::Position::line));
    match error.into_kind() {
        csv::ErrorKind::Io(source) => TableError::Read { path, source },
        csv::ErrorKind::Utf8 { err, .. } => TableError::Line { path, line, message: err.to_string() },
        other => TableError::Line { path, line, message: format!("{other:?}") },
    }
}
