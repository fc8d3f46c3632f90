//! A kernel's tile code while it is written: its statements, the pointers that it takes, and its scratch memory.

use super::context::Context;
use super::{KernelArgument, Lowered, Tiling};
use crate::tile::{Address, Base, Class, Reg, TileBuilder};
use bayeslift_ir::Value;
use bayeslift_passes::{Place, View, merge_axes};
use std::collections::HashMap;

/// The code of one stage of a kernel.
pub(super) struct Code<'p> {
    pub context: Context<'p>,
    pub b: TileBuilder,
    arguments: Vec<KernelArgument>,
    argument_of: HashMap<KernelArgument, usize>,
    /// Scratch elements of four bytes taken so far.
    scratch: usize,
}

/// How many tiles code has, and which elements of the kernel's index space each of them computes; `None` if tiles are
/// not of rows or parts of them.
pub(super) type Tiles = (usize, Option<Tiling>);

impl<'p> Code<'p> {
    pub fn new(context: Context<'p>) -> Code<'p> {
        let b = TileBuilder::new();
        Code { context, b, arguments: Vec::new(), argument_of: HashMap::new(), scratch: 0 }
    }

    /// The stage, which takes about `cost` picoseconds and shares `shared` floats among its tiles.
    pub fn finish(self, (tiles, tiling): Tiles, cost: u64, shared: usize) -> Lowered {
        let Code { context, b, arguments, scratch, .. } = self;
        let code = b.finish(arguments.len(), scratch * 4);
        let has_vectors = code.regs.iter().any(|reg| reg.vector);
        debug_assert!(!has_vectors || code.has_doubles() == context.is_of_doubles(), "{code}");
        let (lanes, shared_bytes) = (context.width(), shared * 4 * context.words());
        Lowered { code, lanes, arguments, tiles, tiling, cost, shared_bytes }
    }

    /// What a pointer that the code takes points to. They are numbered in the order in which they are asked for.
    pub fn argument(&mut self, argument: KernelArgument) -> Base {
        let next = self.arguments.len();
        let index = *self.argument_of.entry(argument.clone()).or_insert(next);
        if index == next {
            self.arguments.push(argument);
        }
        Base::Argument(index)
    }

    /// The memory at a place.
    pub fn memory(&mut self, place: Place) -> Base {
        self.argument(KernelArgument::Place(place))
    }

    /// Numbers the pointers to these places, in their order.
    pub fn take_pointers(&mut self, places: impl IntoIterator<Item = Place>) {
        for place in places {
            self.memory(place);
        }
    }

    /// The memory of a value that the kernel writes.
    pub fn written(&mut self, value: Value) -> Base {
        let write = self.context.kernel.writes.iter().find(|write| write.value == value);
        self.memory(write.expect("reductions are written").place)
    }

    /// Takes scratch memory, in elements of four bytes; returns its offset.
    pub fn take_scratch(&mut self, elements: usize) -> usize {
        let offset = self.scratch;
        self.scratch += elements.next_multiple_of(16);
        offset
    }

    /// Takes scratch memory for `count` floats; returns the number of the first, as [`Code::float_at`] counts.
    pub fn take_floats(&mut self, count: usize) -> usize {
        self.take_scratch(count * self.context.words()) / self.context.words()
    }

    /// Where the float of number `index + offset` lies.
    pub fn float_at(&mut self, base: Base, index: Reg, offset: i64) -> Address {
        self.element(self.context.float(), base, index, offset)
    }

    /// Where the element of number `index + offset` lies, of elements of this class.
    pub fn element(&mut self, class: Class, base: Base, index: Reg, offset: i64) -> Address {
        match class {
            Class::Double => Address { base, index: self.b.index_scale(index, 2), offset: 2 * offset },
            _ => Address { base, index, offset },
        }
    }

    /// The index of a row's first element under a view.
    pub fn row_offset(&mut self, view: &View, row: Reg) -> Reg {
        let leading = view.axes.len().saturating_sub(1);
        let first = self.b.index(view.start as usize);
        let offset = self.nested_offset(&merge_axes(&view.axes[..leading]), row);
        self.b.index_add(first, offset)
    }

    /// How far from the first one the element of this number is, in row-major order over nested axes.
    pub fn nested_offset(&mut self, axes: &[(usize, i64)], number: Reg) -> Reg {
        let mut offset = self.b.index(0);
        let mut rest = number;
        for (i, &(extent, stride)) in axes.iter().enumerate().rev() {
            let digit = if i == 0 { rest } else { self.b.index_rem(rest, extent) };
            if stride != 0 {
                let part = self.b.index_scale_signed(digit, stride);
                offset = self.b.index_add(offset, part);
            }
            if i > 0 {
                rest = self.b.index_div(rest, extent);
            }
        }
        offset
    }
}
