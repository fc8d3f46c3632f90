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

    /// A number of this type, with as few digits as read back to it.
    pub fn text(&self, number: f64) -> String {
        if self.bytes == 8 { format!("{number:e}") } else { format!("{:e}", number as f32) }
    }
}
