//! Plan to tile IR: what one kernel computes, as loops over vectors.

mod columns;
mod dot;
mod element;
mod fold;
mod map;
mod noise;
mod panel;
mod prefetch;
mod shape;
mod windows;

use crate::tile::{Class, TileBuilder, TileKernel};
use bayeslift_ir::{DType, Value};
use bayeslift_passes::{Kernel, Place, Plan};
use element::Leaf;
use std::collections::HashMap;

/// What a kernel's pointer argument points to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Argument {
    /// A value's memory.
    Place(Place),
    /// Words that differ between kernels that are otherwise the same, such as a noise stream.
    Words(Vec<u32>),
}

/// A kernel as tile code, and what to call it with.
#[derive(Clone, Debug)]
pub struct Lowered {
    /// The code.
    pub code: TileKernel,
    /// The pointers it takes.
    pub arguments: Vec<Argument>,
    /// The number of tiles, which may run in any order and on any thread.
    pub tiles: usize,
    /// A rough number of vector operations in all.
    pub cost: usize,
}

/// About what a tile costs at least: what makes handing it to a thread worth while.
const TILE_COST: usize = 1 << 17;

/// Lowers a kernel for vectors of `width` elements; 1 makes scalar code. A kernel that is worth several threads has tiles
/// for `threads` of them.
pub fn lower(plan: &Plan, kernel: &Kernel, width: usize, threads: usize) -> Lowered {
    let mut lowering = Lowering {
        plan,
        kernel,
        width,
        threads,
        cost: cost(plan, kernel),
        b: TileBuilder::new(),
        arguments: Vec::new(),
        argument_of: HashMap::new(),
        leaves: HashMap::new(),
        site_keys: HashMap::new(),
        row_keys: HashMap::new(),
        dot_tiles: HashMap::new(),
        scratch: 0,
    };
    lowering.collect_leaves();
    lowering.load_site_keys();
    let tiles = if !kernel.dots.is_empty() {
        lowering.dots()
    } else if let Some(reduction) = kernel.column_reduction {
        lowering.column_reduction(reduction)
    } else {
        lowering.map()
    };
    let Lowering { b, arguments, scratch, cost, .. } = lowering;
    let code = b.finish(arguments.len(), scratch * 4);
    Lowered { code, arguments, tiles, cost }
}

struct Lowering<'p> {
    plan: &'p Plan,
    kernel: &'p Kernel,
    width: usize,
    threads: usize,
    cost: usize,
    b: TileBuilder,
    arguments: Vec<Argument>,
    argument_of: HashMap<Argument, usize>,
    leaves: HashMap<Value, Leaf>,
    /// The noise key of each site, the same for the whole call.
    site_keys: HashMap<Value, [crate::tile::Reg; 2]>,
    /// Where in scratch memory the two words of the keys of rows lie, from which row on.
    row_keys: HashMap<Value, (crate::tile::Reg, [usize; 2])>,
    /// Where in scratch memory the current tile of each contraction lies.
    dot_tiles: HashMap<Value, usize>,
    /// Scratch elements taken so far.
    scratch: usize,
}

impl Lowering<'_> {
    fn argument(&mut self, argument: Argument) -> usize {
        let next = self.arguments.len();
        let index = *self.argument_of.entry(argument.clone()).or_insert(next);
        if index == next {
            self.arguments.push(argument);
        }
        index
    }

    /// Takes scratch memory, in elements; returns its offset.
    fn take_scratch(&mut self, elements: usize) -> usize {
        let offset = self.scratch;
        self.scratch += elements.next_multiple_of(16);
        offset
    }

    fn class(&self, value: Value) -> Class {
        match self.plan.graph.ty(value).dtype {
            DType::F32 => Class::Float,
            DType::U32 => Class::Int,
            DType::Mask => Class::Mask,
        }
    }
}

/// A rough number of vector operations a kernel takes: decides how many threads are worth waking.
fn cost(plan: &Plan, kernel: &Kernel) -> usize {
    let elements = kernel.rows * kernel.cols;
    let depth = |dot: &Value| plan.graph.ty(plan.graph.node(*dot).args[0]).shape.last_extent();
    elements * (kernel.members.len() * 4 + kernel.stores.len() + 1 + kernel.dots.iter().map(depth).sum::<usize>())
}
