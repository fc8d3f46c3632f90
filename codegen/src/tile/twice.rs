//! Two of everything, side by side.

use super::{Reg, TileBuilder};
use bayeslift_ir::Lanes;

/// [`Lanes`] that record each operation twice, for two independent vectors. A long chain of operations that wait for each
/// other leaves the machine idle; two chains in turn keep it busy.
#[derive(Debug)]
pub struct Twice<'b>(pub &'b mut TileBuilder);

type Two = [Reg; 2];

macro_rules! twice {
    ($($name:ident($($arg:ident),*);)*) => {
        $(fn $name(&mut self, $($arg: Two),*) -> Two {
            [0, 1].map(|i| self.0.$name($($arg[i]),*))
        })*
    };
}

macro_rules! twice_by {
    ($($name:ident)*) => {
        $(fn $name(&mut self, a: Two, by: u32) -> Two {
            a.map(|a| self.0.$name(a, by))
        })*
    };
}

impl Lanes for Twice<'_> {
    type F = Two;
    type I = Two;
    type M = Two;

    fn constant(&mut self, x: f32) -> Two {
        [self.0.constant(x); 2]
    }
    fn integer(&mut self, x: u32) -> Two {
        [self.0.integer(x); 2]
    }

    twice! {
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

    twice_by! { shl shr sar rotl }
}
