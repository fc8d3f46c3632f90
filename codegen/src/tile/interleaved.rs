//! Operations on several independent values in turn, so that none waits for another.

use super::{Reg, TileBuilder};
use bayeslift_ir::{DoubleLanes, Lanes};

/// [`Lanes`] that record each operation `N` times, for independent vectors. A long chain of operations that wait for
/// each other leaves the machine idle; several chains in turn keep it busy.
#[derive(Debug)]
pub struct Interleaved<'b, const N: usize>(pub &'b mut TileBuilder);

macro_rules! each {
    ($($name:ident($($arg:ident),*);)*) => {
        $(fn $name(&mut self, $($arg: [Reg; N]),*) -> [Reg; N] {
            std::array::from_fn(|i| self.0.$name($($arg[i]),*))
        })*
    };
}

macro_rules! each_by {
    ($($name:ident)*) => {
        $(fn $name(&mut self, a: [Reg; N], by: u32) -> [Reg; N] {
            a.map(|a| self.0.$name(a, by))
        })*
    };
}

impl<const N: usize> Lanes for Interleaved<'_, N> {
    type F = [Reg; N];
    type I = [Reg; N];
    type M = [Reg; N];

    fn constant(&mut self, x: f32) -> [Reg; N] {
        [self.0.constant(x); N]
    }
    fn integer(&mut self, x: u32) -> [Reg; N] {
        [self.0.integer(x); N]
    }

    each! {
        add(a, b);
        sub(a, b);
        mul(a, b);
        div(a, b);
        fma(a, b, c);
        sqrt(a);
        neg(a);
        abs(a);
        floor(a);
        less(a, b);
        less_equal(a, b);
        equal(a, b);
        select(m, a, b);
        bits(a);
        float_of_bits(a);
        to_float(a);
        iadd(a, b);
        isub(a, b);
        and(a, b);
        or(a, b);
        xor(a, b);
        iequal(a, b);
        iless(a, b);
        iselect(m, a, b);
    }

    each_by! { shl shr sar rotl }
}

impl<const N: usize> DoubleLanes for Interleaved<'_, N> {
    type D = [Reg; N];

    fn dconstant(&mut self, x: f64) -> [Reg; N] {
        [self.0.dconstant(x); N]
    }

    each! {
        dadd(a, b);
        dsub(a, b);
        dmul(a, b);
        ddiv(a, b);
        dsqrt(a);
        dneg(a);
        dabs(a);
        dfloor(a);
        dless(a, b);
        dless_equal(a, b);
        dequal(a, b);
        dselect(m, a, b);
        widen(a);
        narrow(a);
        to_double(a);
        high_word(a);
        low_word(a);
        double_of_words(high, low);
    }
}
