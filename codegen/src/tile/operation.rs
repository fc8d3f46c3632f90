//! The operations on lanes, and what they are called in the text form.

use bayeslift_ir::named;

named! {
    /// What a register holds.
    Class {
        /// `f32` elements.
        Float = "float",
        /// `f64` elements.
        Double = "double",
        /// 32-bit integers.
        Int = "int",
        /// Truth values.
        Mask = "mask",
        /// One 64-bit signed integer: a row, a column, an element's number.
        Index = "index",
    }
}

named! {
    /// Functions of a float or a double.
    FloatUnary {
        /// Correctly rounded.
        Sqrt = "sqrt",
        /// Flips the sign bit.
        Neg = "neg",
        /// Clears the sign bit.
        Abs = "abs",
        /// The largest whole number that is not above.
        Floor = "floor",
    }
}

named! {
    /// Functions of two floats or two doubles.
    FloatBinary {
        /// Rounded to nearest, ties to even, as the next three.
        Add = "add",
        /// `a - b`.
        Sub = "sub",
        /// `a * b`.
        Mul = "mul",
        /// `a / b`.
        Div = "div",
        /// `a > b ? a : b`: the second of two zeros, and the second if one is no number.
        Max = "max",
        /// `a < b ? a : b`: likewise.
        Min = "min",
    }
}

named! {
    /// Comparisons of floats or doubles. None holds if one is no number.
    FloatCompare {
        /// `a < b`.
        Less = "less",
        /// `a <= b`.
        LessEqual = "less_equal",
        /// `a == b`.
        Equal = "equal",
    }
}

named! {
    /// Functions of two integers, modulo 2^32.
    IntBinary {
        /// Sum.
        Add = "int_add",
        /// Difference.
        Sub = "int_sub",
        /// Bitwise.
        And = "int_and",
        /// Bitwise.
        Or = "int_or",
        /// Bitwise.
        Xor = "int_xor",
    }
}

named! {
    /// Shifts of integers by a constant number of bits, less than 32.
    Shift {
        /// Shifts zeros in from the right.
        Left = "shift_left",
        /// Shifts zeros in from the left.
        LogicalRight = "shift_right",
        /// Shifts the sign in from the left.
        ArithmeticRight = "shift_right_signed",
        /// Rotates, by one bit at least.
        RotateLeft = "rotate_left",
    }
}
