//! Arrays in NumPy's `.npy` format: a magic number, a version, a Python dictionary, the elements.

mod dictionary;

use dictionary::Literal;
use std::io::{self, ErrorKind, Read};

/// What an array file begins with.
pub const MAGIC: &[u8; 6] = b"\x93NUMPY";

/// What the header of an array says: `f32` or `f64`, in any order of bytes and axes.
///
/// ```
/// use bayeslift::npy::Header;
///
/// // numpy.save("x.npy", numpy.array([[1, 2, 3], [4, 5, 6]], dtype=">f4", order="F"))
/// let text = "{'descr': '>f4', 'fortran_order': True, 'shape': (2, 3), }\n";
/// let mut file = [b"\x93NUMPY\x01\x00", &(text.len() as u16).to_le_bytes()[..], text.as_bytes()].concat();
/// file.extend([1.0_f32, 4.0, 2.0, 5.0, 3.0, 6.0].iter().flat_map(|x| x.to_be_bytes()));
///
/// let mut rest = file.as_slice();
/// let header = Header::read(&mut rest)?;
/// assert_eq!((header.shape.as_slice(), header.is_column_major), (&[2, 3][..], true));
/// assert_eq!((header.element_type(), header.element_bytes), ("'>f4'", 4));
/// let columns: Vec<f64> = header.numbers(rest).collect();
/// assert_eq!(header.row_major(&columns), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Header {
    /// The extents of the axes.
    pub shape: Vec<usize>,
    /// Whether the first index runs fastest, as in Fortran.
    pub is_column_major: bool,
    /// The size of an element: 4 of `f32`, 8 of `f64`.
    pub element_bytes: usize,
    /// Whether the highest byte of an element comes first.
    pub is_big_endian: bool,
}

impl Header {
    /// Reads a header of format version 1, 2 or 3. Elements begin where it ends.
    ///
    /// # Errors
    /// Of the kind [`ErrorKind::InvalidData`] what is no array, cut off, or of other elements; what reading gives.
    pub fn read(reader: &mut impl Read) -> io::Result<Header> {
        let invalid = |message: &str| io::Error::new(ErrorKind::InvalidData, message);
        let mut magic = Vec::new();
        reader.take(MAGIC.len() as u64).read_to_end(&mut magic)?;
        if magic != MAGIC {
            return Err(invalid("it is no NumPy array"));
        }
        let length = match bytes(reader)? {
            [1, 0] => u32::from(u16::from_le_bytes(bytes(reader)?)),
            [2 | 3, 0] => u32::from_le_bytes(bytes(reader)?),
            [major, minor] => {
                let message = format!("it has format version {major}.{minor}, expected 1.0, 2.0 or 3.0");
                return Err(invalid(&message));
            }
        };
        // not made as long as it says before it is there
        let mut header = Vec::new();
        if reader.take(u64::from(length)).read_to_end(&mut header)? < length as usize {
            return Err(cut_off());
        }
        let header = std::str::from_utf8(&header).map_err(|_| invalid("its header is no text"))?;
        Header::parse(header).map_err(|message| invalid(&message))
    }

    fn parse(header: &str) -> Result<Header, String> {
        let [element_type, order, shape] = dictionary::fields(header, ["descr", "fortran_order", "shape"])?;
        let (element_bytes, is_big_endian) = match element_type.literal {
            Literal::Text("<f4") => (4, false),
            Literal::Text(">f4") => (4, true),
            Literal::Text("<f8") => (8, false),
            Literal::Text(">f8") => (8, true),
            _ => {
                let expected = "expected '<f4' or '>f4', f32, or '<f8' or '>f8', f64";
                return Err(format!("it has element type {element_type}, {expected}"));
            }
        };
        let Literal::Boolean(is_column_major) = order.literal else {
            return Err(format!("it has fortran_order {order}, expected True or False"));
        };
        let Literal::Numbers(extents) = &shape.literal else {
            return Err(format!("it has shape {shape}, expected a tuple of extents"));
        };
        Ok(Header { shape: extents.clone(), is_column_major, element_bytes, is_big_endian })
    }

    /// How NumPy writes the type of its elements, with quotes: `'<f4'`, `'>f4'`, `'<f8'` or `'>f8'`, where `<` says
    /// that the lowest byte comes first, and the digit how many bytes there are.
    pub fn element_type(&self) -> &'static str {
        match (self.is_big_endian, self.element_bytes) {
            (false, 4) => "'<f4'",
            (true, 4) => "'>f4'",
            (false, _) => "'<f8'",
            (true, _) => "'>f8'",
        }
    }

    /// The numbers that these bytes hold, in the order of the bytes, as `f64`, which has every `f32`. The bytes are
    /// those after the header, or any part of them that begins with an element; an incomplete element at the end is
    /// left out.
    pub fn numbers<'a>(&self, bytes: &'a [u8]) -> impl Iterator<Item = f64> + use<'a> {
        let is_big_endian = self.is_big_endian;
        bytes.chunks_exact(self.element_bytes).map(move |element| match *element {
            [a, b, c, d] if is_big_endian => f32::from_be_bytes([a, b, c, d]).into(),
            [a, b, c, d] => f32::from_le_bytes([a, b, c, d]).into(),
            [a, b, c, d, e, f, g, h] if is_big_endian => f64::from_be_bytes([a, b, c, d, e, f, g, h]),
            [a, b, c, d, e, f, g, h] => f64::from_le_bytes([a, b, c, d, e, f, g, h]),
            _ => f64::NAN,
        })
    }

    /// All elements of an array of which the first index runs fastest, in an order in which the last one does.
    ///
    /// # Panics
    /// Fewer elements than the shape has.
    pub fn row_major<T: Copy>(&self, values: &[T]) -> Vec<T> {
        let strides: Vec<usize> = self
            .shape
            .iter()
            .scan(1_usize, |stride, extent| {
                let own = *stride;
                *stride = stride.saturating_mul(*extent);
                Some(own)
            })
            .collect();
        let mut index = vec![0; self.shape.len()];
        let mut at = 0;
        let mut ordered = Vec::with_capacity(values.len());
        for _ in values {
            ordered.push(values[at]);
            for axis in (0..self.shape.len()).rev() {
                index[axis] += 1;
                at += strides[axis];
                if index[axis] < self.shape[axis] {
                    break;
                }
                at -= strides[axis] * self.shape[axis];
                index[axis] = 0;
            }
        }
        ordered
    }
}

/// The next bytes.
fn bytes<const N: usize>(reader: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    reader.read_exact(&mut bytes).map_err(|error| match error.kind() {
        ErrorKind::UnexpectedEof => cut_off(),
        _ => error,
    })?;
    Ok(bytes)
}

fn cut_off() -> io::Error {
    io::Error::new(ErrorKind::InvalidData, "it is cut off")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The elements of `numpy.asfortranarray(numpy.arange(24).reshape(2, 3, 4))` as they lie in memory.
    #[test]
    fn columns_become_rows() {
        let header = |shape: &str| Header::parse(&format!("{{'descr':'<f4','fortran_order':True,'shape':{shape}}}"));
        let columns: Vec<f32> = (0..24).map(|i| (i % 2 * 12 + i / 2 % 3 * 4 + i / 6) as f32).collect();
        let rows = header("(2, 3, 4)").unwrap().row_major(&columns);
        assert_eq!(rows, (0..24).map(|i| i as f32).collect::<Vec<f32>>());
        assert_eq!(header("()").unwrap().row_major(&[7.0]), [7.0]);
    }
}
