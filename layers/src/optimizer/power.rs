//! Powers of decays, as graph code.

use bayeslift_ir::{Environment, Expr};

/// `base^exponent` by repeated squaring, with the bits of [`integer_power`](crate::host::integer_power), for a base
/// from 0 to below 1 and a scalar `f64` that is a whole number from 0 to below 2^53.
pub fn power<'b>(base: f64, exponent: Expr<'b>) -> Expr<'b> {
    const BITS: usize = 53;
    let mut result = exponent.builder().constant_f64(1.0);
    let (mut square, mut left) = (base, exponent);
    for _ in 0..BITS {
        if square == 0.0 {
            // so are all further squares, and the product with one of them
            return left.equal(0.0).select(result, 0.0);
        }
        let half = (left * 0.5).floor();
        result = (half * 2.0).equal(left).select(result, result * square);
        square = Environment::within(|| square * square);
        left = half;
    }
    result
}
