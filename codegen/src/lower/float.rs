//! What products, sums and noise do with the kernel's floats: `f32`, or `f64` in kernels of doubles.

use super::code::Code;
use crate::tile::{Class, Reg};
use bayeslift_ir::{DoubleLanes, Lanes};

impl Code<'_> {
    pub fn float_constant(&mut self, x: f32) -> Reg {
        match self.context.float() {
            Class::Double => self.b.dconstant(x.into()),
            _ => self.b.constant(x),
        }
    }

    pub fn add_floats(&mut self, x: Reg, y: Reg) -> Reg {
        match self.context.float() {
            Class::Double => self.b.dadd(x, y),
            _ => self.b.add(x, y),
        }
    }

    /// `x * y + sum`, as a product adds it: fused for `f32`, with a rounding in between for `f64`.
    pub fn multiply_add(&mut self, x: Reg, y: Reg, sum: Reg) -> Reg {
        match self.context.float() {
            Class::Double => {
                let product = self.b.dmul(x, y);
                self.b.dadd(sum, product)
            }
            _ => self.b.fma(x, y, sum),
        }
    }

    /// `mask ? x : y`, of floats of any kernel.
    pub fn choose(&mut self, mask: Reg, x: Reg, y: Reg) -> Reg {
        match self.b.ty(x).class {
            Class::Double => self.b.dselect(mask, x, y),
            _ => self.b.select(mask, x, y),
        }
    }
}
