//! One array in NumPy's `.npy` format: a magic number, a version, a Python dictionary, the elements.

mod header;

use bayeslift_ir::{Shape, Tensor, Type};
use header::Literal;

const MAGIC: &[u8] = b"\x93NUMPY";

/// An array of `f32`, row-major, as NumPy writes it.
pub fn bytes(tensor: &Tensor) -> Vec<u8> {
    let extents: Vec<String> = tensor.shape().iter().map(|extent| format!("{extent},")).collect();
    // A tuple of one has a comma in the end, longer ones have not.
    let mut shape = extents.join(" ");
    if extents.len() > 1 {
        shape.pop();
    }
    let mut header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({shape}), }}");
    // Elements begin at a multiple of 64 bytes.
    let start = (MAGIC.len() + 4 + header.len() + 1).next_multiple_of(64);
    header.extend(std::iter::repeat_n(' ', start - MAGIC.len() - 4 - header.len() - 1));
    header.push('\n');
    let length = u16::try_from(header.len()).expect("a tensor has few axes");
    let mut bytes = [MAGIC, &[1, 0], &length.to_le_bytes(), header.as_bytes()].concat();
    bytes.extend(tensor.words().into_iter().flat_map(u32::to_le_bytes));
    bytes
}

/// The array in a file of format version 1, 2 or 3: of `f32` in any order of bytes and axes, or of `f64` where they may be
/// rounded.
pub fn parse(bytes: &[u8], may_round: bool) -> Result<Tensor, String> {
    let rest = bytes.strip_prefix(MAGIC).ok_or("it is no NumPy array")?;
    let cut_off = "it is cut off";
    let (version, rest) = rest.split_first_chunk::<2>().ok_or(cut_off)?;
    let (length, rest) = match version {
        [1, 0] => rest.split_first_chunk().map(|(length, rest)| (usize::from(u16::from_le_bytes(*length)), rest)),
        [2 | 3, 0] => rest.split_first_chunk().map(|(length, rest)| (u32::from_le_bytes(*length) as usize, rest)),
        [major, minor] => return Err(format!("it has format version {major}.{minor}, expected 1.0, 2.0 or 3.0")),
    }
    .ok_or(cut_off)?;
    let (header, elements) = rest.split_at_checked(length).ok_or(cut_off)?;
    let header = std::str::from_utf8(header).map_err(|_| "its header is no text")?;
    let [element_type, fortran_order, shape] = header::fields(header, ["descr", "fortran_order", "shape"])?;

    let size = match element_type.literal {
        Literal::Text("<f4" | ">f4") => 4,
        Literal::Text("<f8" | ">f8") if may_round => 8,
        Literal::Text("<f8" | ">f8") => {
            return Err(format!(
                "it has element type {element_type}, f64; Network::load_tfp_rounded rounds such to f32"
            ));
        }
        _ => return Err(format!("it has element type {element_type}, expected '<f4' or '>f4', f32")),
    };
    let is_big_endian = matches!(element_type.literal, Literal::Text(text) if text.starts_with('>'));
    let Literal::Boolean(is_column_major) = fortran_order.literal else {
        return Err(format!("it has fortran_order {fortran_order}, expected True or False"));
    };
    let Literal::Numbers(extents) = &shape.literal else {
        return Err(format!("it has shape {shape}, expected a tuple of extents"));
    };
    let ty = Type::f32(Shape::new(extents));
    ty.shape.check().map_err(|error| error.to_string())?;
    let expected = ty.shape.elements() * size;
    if elements.len() != expected {
        return Err(format!("it has {} bytes of elements, expected {expected} for {ty}", elements.len()));
    }
    let values = if size == 4 {
        let words = elements.as_chunks::<4>().0.iter();
        words.map(|word| if is_big_endian { f32::from_be_bytes(*word) } else { f32::from_le_bytes(*word) }).collect()
    } else {
        let words = elements.as_chunks::<8>().0.iter();
        let exact = words.map(|word| if is_big_endian { f64::from_be_bytes(*word) } else { f64::from_le_bytes(*word) });
        exact.enumerate().map(rounded).collect::<Result<Vec<f32>, String>>()?
    };
    let values = if is_column_major { row_major(&values, &ty.shape) } else { values };
    Tensor::f32(ty.shape, values).map_err(|error| error.to_string())
}

/// The nearest `f32`; of what is not finite itself.
fn rounded((at, exact): (usize, f64)) -> Result<f32, String> {
    let nearest = exact as f32;
    if exact.is_finite() && !nearest.is_finite() {
        return Err(format!("its element {at} is {exact:e}, which no f32 is near; the largest is {:e}", f32::MAX));
    }
    Ok(nearest)
}

/// Elements of which the first index runs fastest, in an order in which the last one does.
fn row_major(values: &[f32], shape: &Shape) -> Vec<f32> {
    let strides: Vec<usize> = shape
        .iter()
        .scan(1, |stride, extent| {
            let own = *stride;
            *stride *= extent;
            Some(own)
        })
        .collect();
    let mut index = vec![0; shape.len()];
    let mut at = 0;
    let mut ordered = Vec::with_capacity(values.len());
    for _ in values {
        ordered.push(values[at]);
        for axis in (0..shape.len()).rev() {
            index[axis] += 1;
            at += strides[axis];
            if index[axis] < shape[axis] {
                break;
            }
            at -= strides[axis] * shape[axis];
            index[axis] = 0;
        }
    }
    ordered
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_those_of_numpy() {
        let header = |extents: &[usize]| {
            let bytes = bytes(&Tensor::zeros(&Type::f32(extents)).unwrap());
            assert_eq!(&bytes[..10], b"\x93NUMPY\x01\x00\x76\x00");
            assert_eq!(bytes[127], b'\n');
            assert_eq!(parse(&bytes, false).unwrap().shape()[..], *extents);
            String::from_utf8(bytes[10..128].to_vec()).unwrap().trim_end().to_owned()
        };
        assert_eq!(header(&[3, 4]), "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }");
        assert_eq!(header(&[3]), "{'descr': '<f4', 'fortran_order': False, 'shape': (3,), }");
        assert_eq!(header(&[]), "{'descr': '<f4', 'fortran_order': False, 'shape': (), }");
    }

    /// The elements of `numpy.asfortranarray(numpy.arange(24).reshape(2, 3, 4))` as they lie in memory.
    #[test]
    fn columns_become_rows() {
        let shape = Shape::new(&[2, 3, 4]);
        let columns: Vec<f32> = (0..24).map(|i| (i % 2 * 12 + i / 2 % 3 * 4 + i / 6) as f32).collect();
        assert_eq!(row_major(&columns, &shape), (0..24).map(|i| i as f32).collect::<Vec<f32>>());
        assert_eq!(row_major(&[7.0], &Shape::default()), [7.0]);
    }
}
