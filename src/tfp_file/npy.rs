//! One tensor as a NumPy array.

use crate::npy::{Header, MAGIC};
use bayeslift_ir::{DType, Shape, Tensor, Type};

/// An array of floats, row-major, as NumPy writes it.
pub fn bytes(tensor: &Tensor) -> Vec<u8> {
    let extents: Vec<String> = tensor.shape().iter().map(|extent| format!("{extent},")).collect();
    // A tuple of one has a comma in the end, longer ones have not.
    let mut shape = extents.join(" ");
    if extents.len() > 1 {
        shape.pop();
    }
    let mut header =
        format!("{{'descr': '<f{}', 'fortran_order': False, 'shape': ({shape}), }}", tensor.dtype().bytes());
    // Elements begin at a multiple of 64 bytes.
    let start = (MAGIC.len() + 4 + header.len() + 1).next_multiple_of(64);
    header.extend(std::iter::repeat_n(' ', start - MAGIC.len() - 4 - header.len() - 1));
    header.push('\n');
    let length = u16::try_from(header.len()).expect("a tensor has few axes");
    let mut bytes = [&MAGIC[..], &[1, 0], &length.to_le_bytes(), header.as_bytes()].concat();
    bytes.extend(tensor.words().into_iter().flat_map(u32::to_le_bytes));
    bytes
}

/// The array in a file, for a parameter of this type: of the same, in any order of bytes and axes, or of `f64` where
/// they may be rounded.
pub fn parse(bytes: &[u8], dtype: DType, may_round: bool) -> Result<Tensor, String> {
    let mut elements = bytes;
    let header = Header::read(&mut elements).map_err(|error| error.to_string())?;
    if dtype == DType::F64 && header.element_bytes != 8 {
        let element_type = header.element_type();
        return Err(format!("it has element type {element_type}, f32, where the network is of f64"));
    }
    if dtype == DType::F32 && header.element_bytes == 8 && !may_round {
        let element_type = header.element_type();
        return Err(format!("it has element type {element_type}, f64; Network::load_tfp_rounded rounds such to f32"));
    }
    let ty = Type::new(dtype, Shape::new(&header.shape));
    ty.check().map_err(|error| error.to_string())?;
    let expected = ty.shape.elements() * header.element_bytes;
    if elements.len() != expected {
        return Err(format!("it has {} bytes of elements, expected {expected} for {ty}", elements.len()));
    }
    let own = |number: (usize, f64)| if dtype == DType::F64 { Ok(number.1) } else { rounded(number).map(f64::from) };
    let values = header.numbers(elements).enumerate().map(own);
    let values = values.collect::<Result<Vec<f64>, String>>()?;
    let values = if header.is_column_major { header.row_major(&values) } else { values };
    Tensor::floats(&ty, values).map_err(|error| error.to_string())
}

/// The nearest `f32`; of what is not finite itself.
fn rounded((at, exact): (usize, f64)) -> Result<f32, String> {
    let nearest = exact as f32;
    if exact.is_finite() && !nearest.is_finite() {
        return Err(format!("its element {at} is {exact:e}, which no f32 is near; the largest is {:e}", f32::MAX));
    }
    Ok(nearest)
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
            assert_eq!(parse(&bytes, DType::F32, false).unwrap().shape()[..], *extents);
            String::from_utf8(bytes[10..128].to_vec()).unwrap().trim_end().to_owned()
        };
        assert_eq!(header(&[3, 4]), "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }");
        assert_eq!(header(&[3]), "{'descr': '<f4', 'fortran_order': False, 'shape': (3,), }");
        assert_eq!(header(&[]), "{'descr': '<f4', 'fortran_order': False, 'shape': (), }");
    }
}
