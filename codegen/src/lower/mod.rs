//! Plan to tile IR: what one kernel computes, as loops over vectors.

mod argument;
mod columns;
mod dot;
mod element;
mod float;
mod fold;
mod in_order;
mod indexed;
mod map;
mod noise;
mod panel;
mod prefetch;
mod runs;
mod shape;
mod shared;
mod sums;
mod tiling;
mod windows;

use crate::target::Target;
use crate::tile::{Address, Base, Class, Reg, TileBuilder, TileKernel};
pub use argument::Argument;
use bayeslift_ir::{DType, Indexed, Kind, Value};
use bayeslift_passes::{Costs, Kernel, KernelKind, Plan, Read};
use element::Leaf;
use std::collections::{BTreeSet, HashMap};
pub use tiling::Tiling;

/// A stage of a kernel as tile code, and what to call it with.
#[derive(Clone, Debug)]
pub struct Lowered {
    /// The code.
    pub code: TileKernel,
    /// How many lanes its vectors have.
    pub lanes: usize,
    /// The pointers it takes.
    pub arguments: Vec<Argument>,
    /// The number of tiles, which may run in any order and on any thread.
    pub tiles: usize,
    /// Which elements of the kernel's index space each of them computes; `None` if tiles are not of rows or parts of them.
    pub tiling: Option<Tiling>,
    /// About how many picoseconds one thread takes.
    pub cost: u64,
    /// The memory behind [`Argument::Shared`].
    pub shared_bytes: usize,
}

/// Lowers a kernel for a target. Products that are worth several threads have tiles for `threads` of them. Returns its stages,
/// each of which begins when the one before is over: what packs operands that tiles share, if they share any, and the rest.
pub fn lower(plan: &Plan, kernel: &Kernel, target: Target, threads: usize) -> Vec<Lowered> {
    let target = if kernel.is_of_doubles(&plan.graph) { target.of_doubles() } else { target };
    let mut stages = Vec::new();
    if let KernelKind::Products(_) = kernel.kind {
        let mut packing = Lowering::new(plan, kernel, target, threads);
        let tiles = packing.pack_shared();
        stages.extend((tiles > 0).then(|| packing.finish(tiles)));
    }
    let mut lowering = Lowering::new(plan, kernel, target, threads);
    let tiles = lowering.kernel();
    stages.push(lowering.finish(tiles));
    stages
}

struct Lowering<'p> {
    plan: &'p Plan,
    kernel: &'p Kernel,
    target: Target,
    threads: usize,
    cost: u64,
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
    /// The lanes of reductions of a short row, in registers.
    short_sums: HashMap<Value, Vec<crate::tile::Reg>>,
    /// Scratch elements taken so far.
    scratch: usize,
    /// Shared floats.
    shared: usize,
    tiling: Option<Tiling>,
}

impl<'p> Lowering<'p> {
    fn new(plan: &'p Plan, kernel: &'p Kernel, target: Target, threads: usize) -> Lowering<'p> {
        Lowering {
            plan,
            kernel,
            target,
            threads,
            cost: cost(plan, kernel, target),
            b: TileBuilder::new(),
            arguments: Vec::new(),
            argument_of: HashMap::new(),
            leaves: HashMap::new(),
            site_keys: HashMap::new(),
            row_keys: HashMap::new(),
            dot_tiles: HashMap::new(),
            short_sums: HashMap::new(),
            scratch: 0,
            shared: 0,
            tiling: None,
        }
    }

    fn finish(self, tiles: usize) -> Lowered {
        let shared_bytes = self.shared * 4 * self.words();
        let Lowering { plan, kernel, b, arguments, scratch, cost, tiling, target, .. } = self;
        let lanes = target.lanes();
        let code = b.finish(arguments.len(), scratch * 4);
        let has_vectors = code.regs.iter().any(|reg| reg.vector);
        debug_assert!(!has_vectors || code.has_doubles() == kernel.is_of_doubles(&plan.graph), "{code}");
        Lowered { code, lanes, arguments, tiles, tiling, cost, shared_bytes }
    }

    /// The kernel itself. Returns the number of tiles.
    fn kernel(&mut self) -> usize {
        self.collect_leaves();
        self.load_site_keys();
        match self.kernel.kind {
            KernelKind::Products(_) => self.dots(),
            KernelKind::Rows(_) | KernelKind::Copy(_) => self.map(),
            KernelKind::Column(reduction) => self.column_reduction(reduction),
            KernelKind::Fold(fold) => self.fold(fold),
            KernelKind::Indexed(value) => self.indexed(value),
        }
    }

    fn argument(&mut self, argument: Argument) -> usize {
        let next = self.arguments.len();
        let index = *self.argument_of.entry(argument.clone()).or_insert(next);
        if index == next {
            self.arguments.push(argument);
        }
        index
    }

    /// Takes scratch memory, in elements of four bytes; returns its offset.
    fn take_scratch(&mut self, elements: usize) -> usize {
        let offset = self.scratch;
        self.scratch += elements.next_multiple_of(16);
        offset
    }

    /// Where the element of this number of a value lies.
    fn element(&mut self, base: Base, class: Class, number: Reg) -> Address {
        let index = if class == Class::Double { self.b.index_scale(number, 2) } else { number };
        Address { base, index, offset: 0 }
    }

    fn class(&self, value: Value) -> Class {
        match self.plan.graph.ty(value).dtype {
            DType::F32 => Class::Float,
            DType::F64 => Class::Double,
            DType::U32 => Class::Int,
            DType::Mask => Class::Mask,
        }
    }
}

/// About how many picoseconds a kernel takes: decides how many threads are worth waking.
fn cost(plan: &Plan, kernel: &Kernel, target: Target) -> u64 {
    /// What a kernel takes before it does anything.
    const BEGIN: u64 = 20_000;
    /// So many elements take no longer than one, since an element's operations wait for each other.
    const ABREAST: usize = 32;
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
    target.scaled(elements.max(ABREAST) as u64 * each) + BEGIN
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
            unreachable!("{value} is no member of a kernel")
        }
    };
    // noise that is only drawn for members is none of them
    let made = kernel.reads.iter().filter_map(|read| match read {
        Read::Made { value, .. } => Some(*value),
        Read::Element { .. } | Read::Operand { .. } | Read::Numbers { .. } | Read::Table { .. } => None,
    });
    let computed: BTreeSet<Value> = kernel.members.iter().copied().chain(made).collect();
    costs.access + computed.iter().map(of).sum::<u64>()
}
