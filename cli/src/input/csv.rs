//! Rows of comma-separated numbers, with or without a header.

use super::{ByteStream, Header};
use crate::error::Error;
use bayeslift::{
    Float,
    ir::{Foreign, Shape},
};
use csv::{ByteRecord, Reader, ReaderBuilder, Terminator};
use std::io::Read;

/// The rows of a CSV file.
pub struct CsvRows {
    name: String,
    reader: Reader<ByteStream>,
    shape: Shape,
    /// Whether the next line may be a header.
    header: Header,
    /// The names of the columns, if there is a header that has one for each.
    names: Vec<String>,
    has_header: bool,
    /// The lines of the rows of the last block.
    lines: Vec<u64>,
    record: ByteRecord,
}

impl CsvRows {
    pub fn new(name: String, source: ByteStream, shape: &Shape, header: Header) -> CsvRows {
        let mut reader = ReaderBuilder::new();
        // numbers of columns are compared here, with better messages; a carriage return is space around a number
        reader.has_headers(false).flexible(true).terminator(Terminator::Any(b'\n')).buffer_capacity(1 << 16);
        // a last line is as complete as others then, which is what lines are counted by; an empty one is skipped
        let reader = reader.from_reader(Box::new(source.chain(&b"\n"[..])) as ByteStream);
        let (shape, lines, record) = (shape.clone(), Vec::new(), ByteRecord::new());
        CsvRows { name, reader, shape, header, names: Vec::new(), has_header: false, lines, record }
    }

    /// Reads at most `most` rows. Returns how many there were.
    pub fn read<T: Float>(&mut self, most: usize, inputs: &mut Vec<T>) -> Result<usize, Error> {
        self.lines.clear();
        while self.lines.len() < most && self.next()? {
            if self.is_header() {
                self.check_width(self.header == Header::Yes)?;
                (self.header, self.has_header) = (Header::No, true);
                let names = self.record.iter().map(|name| String::from_utf8_lossy(name.trim_ascii()).into_owned());
                self.names = names.collect();
                continue;
            }
            self.header = Header::No;
            self.row(inputs)?;
            self.lines.push(self.line());
        }
        Ok(self.lines.len())
    }

    /// Reads a line that is not blank.
    fn next(&mut self) -> Result<bool, Error> {
        loop {
            let read = self.reader.read_byte_record(&mut self.record);
            let read = read.map_err(|error| Error::Read { name: self.name.clone(), source: error.into() })?;
            let is_blank = self.record.len() == 1 && self.record.iter().all(|field| field.trim_ascii().is_empty());
            if !read || !is_blank {
                return Ok(read);
            }
        }
    }

    /// Whether the line, the first, is one of names.
    fn is_header(&self) -> bool {
        let mut fields = self.record.iter();
        match self.header {
            Header::Auto => !fields.any(|field| number::<f64>(field).is_some() || field.trim_ascii().is_empty()),
            Header::Yes => true,
            Header::No => false,
        }
    }

    fn check_width(&self, may_differ: bool) -> Result<(), Error> {
        let expected = self.shape.elements();
        if may_differ || self.record.len() == expected { Ok(()) } else { Err(self.other_width(expected)) }
    }

    /// The numbers of the line.
    fn row<T: Float>(&self, inputs: &mut Vec<T>) -> Result<(), Error> {
        self.check_width(false)?;
        for (column, field) in self.record.iter().enumerate() {
            match number::<T>(field) {
                Some(x) if x.into().is_finite() => inputs.push(x),
                found => return Err(self.no_number(column, field, found)),
            }
        }
        Ok(())
    }

    #[cold]
    fn other_width(&self, expected: usize) -> Error {
        let found = self.record.len();
        let columns = if found == 1 { "1 column" } else { &format!("{found} columns") };
        let only = self.record.get(0).filter(|_| found == 1).unwrap_or_default();
        let separator = [b';', b'\t'].into_iter().find(|separator| only.contains(separator));
        let remedy = match separator {
            Some(separator) => {
                let separator = char::from(separator).escape_default();
                format!("separate columns by commas: `tr '{separator}' ',' < FILE | bayeslift predict MODEL -`")
            }
            None if found > expected => format!(
                "leave out what is no input, such as the target: `cut -d, -f1-{expected} FILE | bayeslift predict MODEL -` takes the first"
            ),
            None => "`bayeslift inspect MODEL` says what it was made for".to_owned(),
        };
        let inputs = format!("the model takes {expected}, inputs of shape {}", self.shape);
        Error::input(self.place_of(self.line()), format!(" has {columns}, but {inputs}"), remedy)
    }

    #[cold]
    fn no_number<T: Float>(&self, column: usize, field: &[u8], found: Option<T>) -> Error {
        let name = self.names.get(column).filter(|_| self.names.len() == self.record.len());
        let name = name.map_or_else(String::new, |name| format!(" (`{}`)", Foreign::cut(name, 40)));
        let place = format!("{}, column {}{name}", self.place_of(self.line()), column + 1);
        let text = String::from_utf8_lossy(field.trim_ascii());
        let text = Foreign::cut(&text, 40);
        let is_first = self.line() == 1 && !self.has_header;
        match found {
            None if field.trim_ascii().is_empty() => {
                Error::input(place, " is empty", "give it a number as the model was trained with, or leave the row out")
            }
            None if is_first => {
                let remedy = "if the line is a header, say so by `--header yes`";
                Error::input(place, format!(": `{text}` is no number"), remedy)
            }
            None => Error::input(place, format!(": `{text}` is no number"), "numbers are written as 12, -0.5 or 2e-3"),
            Some(_) => {
                let remedy = format!("inputs are finite numbers up to {:e}", T::MAX);
                let problem = match text.to_string().parse::<f64>() {
                    Ok(exact) if exact.is_nan() => format!(": `{text}` is not a number"),
                    _ => format!(": `{text}` is not finite in {}", T::DTYPE),
                };
                Error::input(place, problem, remedy)
            }
        }
    }

    /// Says that there are no rows.
    pub fn empty(&self) -> Error {
        let problem = if self.has_header { " has a header and no rows" } else { " is empty" };
        let width = self.shape.elements();
        Error::input(self.name.clone(), problem, format!("give it a line of {width} numbers for each input"))
    }

    pub fn position(&self) -> u64 {
        self.reader.position().byte()
    }

    pub fn place(&self, row: usize) -> String {
        self.place_of(self.lines.get(row).copied().unwrap_or_default())
    }

    fn place_of(&self, line: u64) -> String {
        format!("{}, line {line}", self.name)
    }

    /// The line that was read, the last one of several in quotes: whose end is where the next begins.
    fn line(&self) -> u64 {
        self.reader.position().line().saturating_sub(1)
    }
}

/// A field as a number, which need not be finite.
fn number<T: Float>(field: &[u8]) -> Option<T> {
    std::str::from_utf8(field.trim_ascii()).ok()?.parse().ok()
}
