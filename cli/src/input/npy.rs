//! Rows of an array that NumPy saved.

use super::{ByteStream, nearest};
use crate::error::Error;
use bayeslift::{Float, ir::Shape, npy::Header};
use std::io::{self, Read};

/// The rows of an array: its first axis.
pub struct NpyRows {
    array: Array,
    /// How many rows were read.
    done: usize,
    order: Order,
}

struct Array {
    name: String,
    header: Header,
    /// How many rows there are, and how many elements each has.
    rows: usize,
    width: usize,
}

/// In which order elements lie.
enum Order {
    /// Rows lie one after the other.
    RowMajor(ByteStream),
    /// Each row is all over the file, so all of it was read, and put in order.
    ColumnMajor(Vec<f64>),
}

impl NpyRows {
    pub fn new(name: String, mut source: ByteStream, shape: &Shape) -> Result<NpyRows, Error> {
        let header = Header::read(&mut source).map_err(|error| unreadable(&name, error))?;
        let rows = rows(&header.shape, shape).ok_or_else(|| other_shape(&name, &header.shape, shape))?;
        let array = Array { name, header, rows, width: shape.elements() };
        let order = if array.header.is_column_major {
            let bytes = array.take(&mut source, array.rows)?;
            let columns: Vec<f64> = array.header.numbers(&bytes).collect();
            Order::ColumnMajor(array.header.row_major(&columns))
        } else {
            Order::RowMajor(source)
        };
        Ok(NpyRows { array, done: 0, order })
    }

    /// Reads at most `most` rows. Returns how many there were.
    pub fn read<T: Float>(&mut self, most: usize, inputs: &mut Vec<T>) -> Result<usize, Error> {
        let NpyRows { array, done, order } = self;
        let rows = most.min(array.rows - *done);
        match order {
            Order::ColumnMajor(all) => {
                let own = &all[*done * array.width..][..rows * array.width];
                array.append(*done, own.iter().copied(), inputs)?;
            }
            Order::RowMajor(source) => {
                let bytes = array.take(source, rows)?;
                array.append(*done, array.header.numbers(&bytes), inputs)?;
            }
        }
        *done += rows;
        Ok(rows)
    }

    /// Says that there are no rows.
    pub fn empty(&self) -> Error {
        Error::input(self.array.name.clone(), " has no rows", "save an array with a row for each input")
    }

    pub fn position(&self) -> u64 {
        (self.done * self.array.width * self.array.header.element_bytes) as u64
    }

    pub fn place(&self, row: u64) -> String {
        self.array.place(row)
    }
}

impl Array {
    /// The bytes of the next rows.
    fn take(&self, source: &mut ByteStream, rows: usize) -> Result<Vec<u8>, Error> {
        let count = (rows as u64).saturating_mul(self.width as u64).saturating_mul(self.header.element_bytes as u64);
        // not made as long as the header says before it is there
        let mut bytes = Vec::new();
        source.take(count).read_to_end(&mut bytes).map_err(|error| unreadable(&self.name, error))?;
        if bytes.len() as u64 != count {
            let problem = format!(" is cut off: it has less than the {} rows that its header promises", self.rows);
            return Err(Error::input(self.name.clone(), problem, "copy or save it again"));
        }
        Ok(bytes)
    }

    /// Appends the numbers of the rows from this one on.
    fn append<T: Float>(
        &self,
        first: usize,
        numbers: impl Iterator<Item = f64>,
        inputs: &mut Vec<T>,
    ) -> Result<(), Error> {
        for (at, exact) in numbers.enumerate() {
            inputs.push(nearest(exact).map_err(|what| {
                let row = (first + at / self.width) as u64;
                let place = format!("{}, element {}", self.place(row), at % self.width);
                let remedy = format!("inputs are finite numbers up to {:e}", T::MAX);
                Error::input(place, format!(" is {what}"), remedy)
            })?);
        }
        Ok(())
    }

    fn place(&self, row: u64) -> String {
        format!("{}, row {row} counted from 0", self.name)
    }
}

/// How many rows an array of this shape has, if they are inputs of that shape: as they are, or as one axis, with more
/// or fewer axes of one element.
fn rows(found: &[usize], input: &Shape) -> Option<usize> {
    let long = |extents: &[usize]| extents.iter().copied().filter(|&extent| extent != 1).collect::<Vec<usize>>();
    let (rows, own) = found.split_first()?;
    let own = long(own);
    (own == long(input) || own == long(&[input.elements()])).then_some(*rows)
}

#[cold]
fn other_shape(name: &str, found: &[usize], input: &Shape) -> Error {
    let tuple = |extents: &[usize]| extents.iter().map(usize::to_string).collect::<Vec<_>>().join(", ");
    let mut expected = vec![format!("(rows, {})", tuple(input)), format!("(rows, {})", input.elements())];
    expected.dedup();
    let problem = format!(" has shape ({}), expected {}", tuple(found), expected.join(" or "));
    Error::input(name, problem, "bring it to that shape by `numpy.reshape` and save it again")
}

fn unreadable(name: &str, error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::InvalidData => {
            let remedy = "save it by `numpy.save(FILE, array.astype('float32'))`";
            Error::input(format!("{name}: "), error.to_string(), remedy)
        }
        _ => Error::Read { name: name.to_owned(), source: error },
    }
}
