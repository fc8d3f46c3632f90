//! What a kernel is lowered by: it, its plan, the machine that it is for, and what follows from these alone.

use super::shape::NOISE_BLOCK;
use crate::target::Target;
use crate::tile::Class;
use bayeslift_ir::{DType, Indexed, Kind, Reduction, Value};
use bayeslift_passes::{Costs, Kernel, KernelKind, Plan, Read};
use std::collections::BTreeSet;

/// What a tile of products costs at least, in handovers to another thread, as a fraction: what makes one worth while.
const TILE: (u64, u64) = (10, 3);

/// A kernel and what it is lowered for.
#[derive(Clone, Copy)]
pub(super) struct Context<'p> {
    pub plan: &'p Plan,
    pub kernel: &'p Kernel,
    pub target: Target,
    pub threads: usize,
    /// About how many picoseconds one thread takes: decides how many threads are worth waking.
    pub cost: u64,
}

impl<'p> Context<'p> {
    pub fn new(plan: &'p Plan, kernel: &'p Kernel, target: Target, threads: usize) -> Context<'p> {
        let target = if kernel.is_of_doubles(&plan.graph) { target.of_doubles() } else { target };
        Context { plan, kernel, target, threads, cost: cost(plan, kernel, target) }
    }

    /// How many lanes vectors have.
    pub fn width(&self) -> usize {
        self.target.lanes()
    }

    /// The class of a value's elements.
    pub fn class(&self, value: Value) -> Class {
        match self.plan.graph.ty(value).dtype {
            DType::F32 => Class::Float,
            DType::F64 => Class::Double,
            DType::U32 => Class::Int,
            DType::Mask => Class::Mask,
        }
    }

    /// Whether the kernel has to do with doubles.
    pub fn is_of_doubles(&self) -> bool {
        self.kernel.is_of_doubles(&self.plan.graph)
    }

    /// The class of the kernel's floats.
    pub fn float(&self) -> Class {
        if self.is_of_doubles() { Class::Double } else { Class::Float }
    }

    /// How many words each of them has.
    pub fn words(&self) -> usize {
        if self.is_of_doubles() { 2 } else { 1 }
    }

    /// How many threads the kernel is worth.
    pub fn useful_threads(&self) -> usize {
        let tile = self.target.machine().handover * TILE.0 / TILE.1;
        ((self.cost / tile) as usize).clamp(1, self.threads.max(1))
    }

    /// Whether a row is too short to hide that its operations wait for each other.
    pub fn has_short_rows(&self) -> bool {
        self.width() > 1 && self.kernel.cols <= NOISE_BLOCK
    }

    /// What a reduction does.
    pub fn reduction(&self, value: Value) -> Reduction {
        match self.plan.graph.node(value).op.kind() {
            Kind::Reduction { function, .. } => function,
            _ => unreachable!("{value} is no reduction"),
        }
    }

    /// What a reduction reduces, or what else the first operand of a value is.
    pub fn operand(&self, value: Value) -> Value {
        self.plan.graph.node(value).args[0]
    }
}

/// About how many picoseconds a kernel takes: decides how many threads are worth waking.
fn cost(plan: &Plan, kernel: &Kernel, target: Target) -> u64 {
    /// What a kernel takes before it does anything.
    const BEGIN: u64 = 20_000;
    /// Up to this many elements take no longer than one, since an element's operations wait for each other.
    const INTERLEAVED: usize = 32;
    let costs = &target.machine().costs;
    let depth = |dot: &Value| plan.graph.ty(plan.graph.node(*dot).args[0]).shape.last_extent() as u64;
    let products = kernel.products().iter().map(depth).sum::<u64>() * costs.product;
    let writes = match kernel.kind {
        KernelKind::Products(_) | KernelKind::Rows(_) | KernelKind::Copy(_) => kernel.writes.len() as u64,
        // in the end, not for each element
        KernelKind::Column(_) | KernelKind::Fold(_) | KernelKind::Indexed(_) => 0,
    };
    let rows = match kernel.kind {
        // as many as have numbers, whatever the table has
        KernelKind::Indexed(value) => indexed_rows(plan, value),
        _ => kernel.rows,
    };
    let elements = rows * kernel.cols.next_multiple_of(target.lanes());
    let each = element_cost(plan, kernel, costs) + writes * costs.access + products;
    target.scaled(elements.max(INTERLEAVED) as u64 * each) + BEGIN
}

/// How many rows an indexed kernel touches.
fn indexed_rows(plan: &Plan, value: Value) -> usize {
    let shape = |value: Value| &plan.graph.ty(value).shape;
    let node = plan.graph.node(value);
    match node.op.kind() {
        Kind::Indexed(Indexed::FirstEqual { .. }) => 1,
        // all rows of the result are cleared
        Kind::Indexed(Indexed::ScatterAdd { .. }) => shape(value).rows() + shape(node.args[0]).rows(),
        _ => shape(node.args[1]).elements(),
    }
}

/// About how many picoseconds an element of a kernel takes besides products and stores.
fn element_cost(plan: &Plan, kernel: &Kernel, costs: &Costs) -> u64 {
    let graph = &plan.graph;
    let of = |&value: &Value| match graph.node(value).op.kind() {
        Kind::Noise(_) => costs.draw,
        Kind::Elementwise(function) => costs.of(function.arithmetic()),
        Kind::Literal(_) | Kind::Movement(_) => costs.simple,
        Kind::Input(_) | Kind::Contraction | Kind::Reduction { .. } | Kind::Fold { .. } | Kind::Indexed(_) => {
            unreachable!("{value} is in no body")
        }
    };
    // noise that is only drawn for the body is no part of it
    let made = kernel.reads.iter().filter_map(|read| match read {
        Read::Made { value, .. } => Some(*value),
        Read::Element { .. } | Read::Operand { .. } | Read::Numbers { .. } | Read::Table { .. } => None,
    });
    let computed: BTreeSet<Value> = kernel.body.iter().copied().chain(made).collect();
    costs.access + computed.iter().map(of).sum::<u64>()
}
