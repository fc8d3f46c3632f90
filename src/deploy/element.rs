//! What an object's numbers are, inputs and results: floats of 32 bits or of 64.

use bayeslift_codegen::routine::Width;
use bayeslift_ir::DType;

/// A type of floats, as memory has it and languages call it.
#[derive(Clone, Copy, Debug)]
pub struct Element {
    pub dtype: DType,
    /// The bytes of a number, and what they are called.
    pub bytes: i64,
    pub bytes_in_words: &'static str,
    /// How one is read and written.
    pub width: Width,
    /// The highest bit.
    pub sign: i64,
    /// All of these bits are set in what is not finite.
    pub exponent: i64,
    /// The largest number that is finite.
    pub largest: f64,
    /// The type in C, and what its numbers end with.
    pub c: &'static str,
    pub c_suffix: &'static str,
    /// The type in Rust.
    pub rust: &'static str,
    /// The type of arrays of NumPy, and the array in JavaScript.
    pub numpy: &'static str,
    pub javascript: &'static str,
}

const F32: Element = Element {
    dtype: DType::F32,
    bytes: 4,
    bytes_in_words: "four",
    width: Width::Word,
    sign: 1 << 31,
    exponent: 0xff << 23,
    largest: f32::MAX as f64,
    c: "float",
    c_suffix: "f",
    rust: "f32",
    numpy: "float32",
    javascript: "Float32Array",
};

const F64: Element = Element {
    dtype: DType::F64,
    bytes: 8,
    bytes_in_words: "eight",
    width: Width::Long,
    sign: 1 << 63,
    exponent: 0x7ff << 52,
    largest: f64::MAX,
    c: "double",
    c_suffix: "",
    rust: "f64",
    numpy: "float64",
    javascript: "Float64Array",
};

impl Element {
    /// That of networks of this type.
    pub fn of(dtype: DType) -> Element {
        if dtype == DType::F64 { F64 } else { F32 }
    }

    /// The lowest bit of the exponent: added to an exponent of which all bits are set, it reaches the sign.
    pub fn least_exponent(&self) -> i64 {
        self.exponent & self.exponent.wrapping_neg()
    }

    /// All bits but the sign.
    pub fn size(&self) -> i64 {
        self.exponent | (self.least_exponent() - 1)
    }

    /// These bits in each number that lies in a long.
    pub fn in_a_long(&self, bits: i64) -> i64 {
        if self.bytes == 8 { bits } else { bits.wrapping_mul(0x1_0000_0001) }
    }

    /// The bits of a number of this type.
    pub fn bits(&self, number: f64) -> i64 {
        if self.bytes == 8 { number.to_bits() as i64 } else { (number as f32).to_bits().into() }
    }

    /// The bits of the largest number of this type that is not above one which is not negative: numbers of this type
    /// exceed both or neither.
    pub fn bits_below(&self, number: f64) -> i64 {
        let (number, bits) = (number.min(self.largest), self.bits(number.min(self.largest)));
        if self.bytes == 4 && f64::from(f32::from_bits(bits as u32)) > number { bits - 1 } else { bits }
    }

    /// A number of this type, with as few digits as read back to it.
    pub fn text(&self, number: f64) -> String {
        if self.bytes == 8 { format!("{number:e}") } else { format!("{:e}", number as f32) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_of_the_largest_number_that_is_not_above() {
        for above in [0.0, 1e-50, 1e-40, 0.1, 0.5, 0.7, 3_f64.ln(), 1e38, 1e300] {
            let below = f32::from_bits(F32.bits_below(above) as u32);
            assert!(f64::from(below) <= above && f64::from(below.next_up()) > above, "{below} of {above}");
            assert_eq!(f64::from_bits(F64.bits_below(above) as u64), above);
        }
    }
}
