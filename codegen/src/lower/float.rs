//! What products, sums and noise do with the kernel's floats: `f32`, or `f64` in kernels of doubles.

use super::Lowering;
use crate::tile::{Address, Base, Class, Reg};
use bayeslift_ir::{DoubleLanes, Lanes};

impl Lowering<'_> {
    /// The class of the kernel's floats.
    pub(super) fn float(&self) -> Class {
        if self.kernel.is_of_doubles(&self.plan.graph) { Class::Double } else { Class::Float }
    }

    /// How many words each of them has.
    pub(super) fn words(&self) -> usize {
        if self.float() == Class::Double { 2 } else { 1 }
    }

    /// Where the float of number `index + offset` lies.
    pub(super) fn float_at(&mut self, base: Base, index: Reg, offset: i64) -> Address {
        self.of_class(self.float(), base, index, offset)
    }

    /// Where the element of number `index + offset` lies, of elements of this class.
    pub(super) fn of_class(&mut self, class: Class, base: Base, index: Reg, offset: i64) -> Address {
        match class {
            Class::Double => Address { base, index: self.b.index_scale(index, 2), offset: 2 * offset },
            _ => Address { base, index, offset },
        }
    }

    /// Takes scratch memory for so many floats; returns the number of the first, as [`Lowering::float_at`] counts.
    pub(super) fn take_floats(&mut self, count: usize) -> usize {
        self.take_scratch(count * self.words()) / self.words()
    }

    pub(super) fn float_constant(&mut self, x: f32) -> Reg {
        match self.float() {
            Class::Double => self.b.dconstant(x.into()),
            _ => self.b.constant(x),
        }
    }

    pub(super) fn add_floats(&mut self, x: Reg, y: Reg) -> Reg {
        match self.float() {
            Class::Double => self.b.dadd(x, y),
            _ => self.b.add(x, y),
        }
    }

    /// `x * y + sum`, as a product adds it: fused for `f32`, with a rounding in between for `f64`.
    pub(super) fn multiply_add(&mut self, x: Reg, y: Reg, sum: Reg) -> Reg {
        match self.float() {
            Class::Double => {
                let product = self.b.dmul(x, y);
                self.b.dadd(sum, product)
            }
            _ => self.b.fma(x, y, sum),
        }
    }

    /// `mask ? x : y`, of floats of any kernel.
    pub(super) fn choose(&mut self, mask: Reg, x: Reg, y: Reg) -> Reg {
        match self.b.ty(x).class {
            Class::Double => self.b.dselect(mask, x, y),
            _ => self.b.select(mask, x, y),
        }
    }
}
