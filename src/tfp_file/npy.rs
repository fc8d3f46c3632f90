//! One array in NumPy's `.npy` format: a magic number, a version, a Python dictionary, the elements.

use bayeslift_ir::{Shape, Tensor, Type};

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

/// The array in a file of format version 1, 2 or 3, which must be `f32`, little-endian and row-major.
pub fn parse(bytes: &[u8]) -> Result<Tensor, String> {
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

    let element_type = field(header, "descr")?;
    if element_type != "'<f4'" {
        return Err(format!("it has element type {element_type}, expected '<f4', little-endian f32"));
    }
    let fortran_order = field(header, "fortran_order")?;
    if fortran_order != "False" {
        return Err(format!("it has fortran_order {fortran_order}, expected False: a row-major array"));
    }
    let text = field(header, "shape")?;
    let wrong = || format!("it has shape {text}, expected a tuple of extents");
    let extents = text.strip_prefix('(').and_then(|text| text.strip_suffix(')')).ok_or_else(wrong)?;
    let extents = extents.split(',').map(str::trim).filter(|extent| !extent.is_empty());
    let extents: Vec<usize> = extents.map(str::parse).collect::<Result<_, _>>().map_err(|_| wrong())?;
    let ty = Type::f32(Shape::new(&extents));
    ty.shape.check().map_err(|error| error.to_string())?;
    let expected = ty.shape.elements() * 4;
    if elements.len() != expected {
        return Err(format!("it has {} bytes of elements, expected {expected} for {ty}", elements.len()));
    }
    let words = elements.as_chunks::<4>().0.iter().map(|word| u32::from_le_bytes(*word)).collect();
    Tensor::from_words(&ty, words).map_err(|error| error.to_string())
}

/// The text of a field of the header, a Python dictionary of `'name': value` of which no value has a comma or brace but
/// a tuple in parentheses.
fn field<'a>(header: &'a str, name: &str) -> Result<&'a str, String> {
    let missing = || format!("its header has no `{name}`");
    let (_, rest) = header.split_once(&format!("'{name}':")).ok_or_else(missing)?;
    let rest = rest.trim_start();
    let end = match rest.strip_prefix('(') {
        Some(tuple) => tuple.find(')').map(|end| end + 2),
        None => rest.find([',', '}']),
    };
    rest.get(..end.ok_or_else(missing)?).map(str::trim_end).ok_or_else(missing)
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
            assert_eq!(parse(&bytes).unwrap().shape()[..], *extents);
            String::from_utf8(bytes[10..128].to_vec()).unwrap().trim_end().to_owned()
        };
        assert_eq!(header(&[3, 4]), "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }");
        assert_eq!(header(&[3]), "{'descr': '<f4', 'fortran_order': False, 'shape': (3,), }");
        assert_eq!(header(&[]), "{'descr': '<f4', 'fortran_order': False, 'shape': (), }");
    }
}
