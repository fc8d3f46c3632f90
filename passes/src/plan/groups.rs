//! Forming kernels: anchors are contractions and reductions, elementwise values join the kernels of their operands.

mod merge;
mod sink;
mod stored;

use super::reads::{self, behind_views, prologue_views};
use super::{Fusion, Kernel, KernelKind, Place, Plan, kernel::is_double};
use bayeslift_ir::{Arithmetic, Binary, Error, Graph, Kind, Op, Unary, Value};
use fixedbitset::FixedBitSet;

/// The cost of a kernel's body, in rough vector operations, beyond which it takes no more values: keeps
/// code size and compile time linear in the graph.
const MAX_BODY: usize = 900;
/// The most kernels a plan may have.
const MAX_KERNELS: usize = 1 << 14;
/// The arena, before offsets are assigned.
pub(super) const UNASSIGNED: Place = Place::Arena(usize::MAX);

/// A plan whose kernels have no order and write nothing yet. Values that must be in memory, since they are read across
/// kernels or not by the element, have a place, which is not known yet.
pub(super) fn form(graph: Graph, fusions: &[Fusion]) -> Result<Plan, Error> {
    let (kernels, stored) = kernels(&graph, fusions)?;
    let mut places: Vec<Option<Place>> = stored.iter().map(|&stored| stored.then_some(UNASSIGNED)).collect();
    for (i, input) in graph.inputs().iter().enumerate() {
        places[input.value.index()] = Some(Place::Input(i));
    }
    Ok(Plan { graph, kernels, places, arena_bytes: 0 })
}

/// The kernels, and for each value whether it must be in memory.
fn kernels(graph: &Graph, fusions: &[Fusion]) -> Result<(Vec<Kernel>, Vec<bool>), Error> {
    let live = graph.live();
    let uses = uses(graph, &live);
    let mut former = Former {
        graph,
        kernels: Vec::new(),
        cost: Vec::new(),
        ancestors: Vec::new(),
        group_of: vec![None; graph.nodes().len()],
        stored: vec![false; graph.nodes().len()],
        prologue: vec![false; graph.nodes().len()],
        partner: partners(graph, fusions),
    };
    for value in graph.values().filter(|v| live[v.index()]) {
        former.prologue[value.index()] = former.is_prologue(value, &uses);
        former.place(value);
        former.check_size()?;
    }
    former.require_memory(&live);
    former.check_size()?;
    former.sink(&uses);
    former.fuse_into_column_reductions(&uses);
    Ok(former.finish())
}

/// For each contraction the one before it in the same fused operation, if they are better computed in one kernel.
fn partners(graph: &Graph, fusions: &[Fusion]) -> Vec<Option<Value>> {
    let mut partner = vec![None; graph.nodes().len()];
    for fusion in fusions.iter().filter(|fusion| fusion.kind.shares_kernel()) {
        let values = fusion.values.iter().copied();
        let dots: Vec<Value> = values.filter(|v| v.index() < partner.len() && graph.node(*v).op == Op::Dot).collect();
        dots.windows(2).for_each(|pair| partner[pair[1].index()] = Some(pair[0]));
    }
    partner
}

/// The live users of each value; an output counts as a user without a value.
fn uses(graph: &Graph, live: &[bool]) -> Vec<Vec<Option<Value>>> {
    let mut uses = vec![Vec::new(); graph.nodes().len()];
    for value in graph.values().filter(|v| live[v.index()]) {
        for arg in &graph.node(value).args {
            uses[arg.index()].push(Some(value));
        }
    }
    for output in graph.outputs() {
        uses[output.value.index()].push(None);
    }
    uses
}

struct Former<'g> {
    graph: &'g Graph,
    kernels: Vec<Kernel>,
    cost: Vec<usize>,
    /// For each kernel those that must run before it.
    ancestors: Vec<FixedBitSet>,
    group_of: Vec<Option<usize>>,
    stored: Vec<bool>,
    /// Cheap elementwise values used by contractions alone: computed while an operand is packed, never stored.
    prologue: Vec<bool>,
    /// For each contraction one that it should share a kernel with.
    partner: Vec<Option<Value>>,
}

impl Former<'_> {
    fn check_size(&self) -> Result<(), Error> {
        let size = self.kernels.len() as u64;
        if size <= MAX_KERNELS as u64 {
            return Ok(());
        }
        Err(Error::TooLarge { what: "kernels of a plan", size, limit: MAX_KERNELS as u64 })
    }

    fn space(&self, value: Value) -> (usize, usize) {
        let shape = &self.graph.ty(value).shape;
        (shape.rows(), shape.last_extent())
    }

    /// The value behind reshapes that keep rows and columns.
    fn aligned(&self, value: Value) -> Value {
        reads::aligned(self.graph, value, &|_| false)
    }

    /// Whether kernel `g` may compute `value` as far as types go: values of `f64` are with their like.
    fn is_like(&self, value: Value, g: usize) -> bool {
        self.kernels[g].is_of_doubles(self.graph) == is_double(self.graph, value)
    }

    /// The kernel whose elements include `value` at the same row and column, if it is computed by the element.
    fn joinable(&self, value: Value) -> Option<usize> {
        let value = self.aligned(value);
        match self.graph.node(value).op.kind() {
            Kind::Elementwise(_) | Kind::Contraction => self.group_of[value.index()],
            Kind::Input(_) | Kind::Literal(_) | Kind::Noise(_) => None,
            Kind::Reduction { .. } | Kind::Fold { .. } | Kind::Indexed(_) | Kind::Movement(_) => None,
        }
    }

    fn is_prologue(&self, value: Value, uses: &[Vec<Option<Value>>]) -> bool {
        let cheap = matches!(
            self.graph.node(value).op,
            Op::Binary(Binary::Add | Binary::Mul | Binary::Max) | Op::Unary(Unary::Neg | Unary::Abs)
        );
        cheap && self.is_read_by_dots_alone(value, uses)
    }

    /// Whether all that reads `value`, through views or not, are contractions.
    fn is_read_by_dots_alone(&self, value: Value, uses: &[Vec<Option<Value>>]) -> bool {
        let mut stack = vec![value];
        while let Some(value) = stack.pop() {
            for user in &uses[value.index()] {
                match user.map(|user| (user, &self.graph.node(user).op)) {
                    Some((_, Op::Dot)) => {}
                    Some((view, op)) if op.is_movement() => stack.push(view),
                    _ => return false,
                }
            }
        }
        true
    }

    /// Finds or makes the kernel that computes `value`.
    fn place(&mut self, value: Value) {
        let node = self.graph.node(value);
        match node.op.kind() {
            Kind::Contraction => {
                let group = self.start(value);
                let partner = self.partner[value.index()].and_then(|partner| self.group_of[partner.index()]);
                if let Some(partner) = partner.filter(|&partner| self.may_merge(partner, group)) {
                    self.merge(partner, group);
                }
            }
            Kind::Reduction { axis, .. } => {
                let operand = node.args[0];
                let (rows, cols) = self.space(operand);
                if axis + 1 < self.graph.ty(operand).shape.len() {
                    let kernel = Kernel { kind: KernelKind::Column(value), rows, cols, ..Kernel::default() };
                    self.add(kernel, value, 1);
                    return;
                }
                let is_fit =
                    |g: &usize| matches!(self.kernels[*g].kind, KernelKind::Rows(_)) && self.is_like(value, *g);
                let joined = self.joinable(operand).filter(is_fit);
                let group = joined.unwrap_or_else(|| self.add(Kernel { rows, cols, ..Kernel::default() }, value, 0));
                self.group_of[value.index()] = Some(group);
                if let KernelKind::Rows(reductions) = &mut self.kernels[group].kind {
                    reductions.push(value);
                }
                self.cost[group] += own_cost(&node.op);
            }
            Kind::Fold { .. } => {
                let (rows, cols) = self.space(node.args[0]);
                let kernel = Kernel { kind: KernelKind::Fold(value), rows, cols, ..Kernel::default() };
                self.add(kernel, value, 1);
            }
            Kind::Indexed(indexed) => {
                let space = indexed.source().unwrap_or(indexed.numbers());
                let (rows, cols) = self.space(node.args[space]);
                let kernel = Kernel { kind: KernelKind::Indexed(value), rows, cols, ..Kernel::default() };
                self.add(kernel, value, 1);
            }
            Kind::Elementwise(_) if self.prologue[value.index()] => {}
            Kind::Elementwise(_) => self.place_elementwise(value),
            // read or made wherever it is needed
            Kind::Input(_) | Kind::Literal(_) | Kind::Noise(_) | Kind::Movement(_) => {}
        }
    }

    fn add(&mut self, kernel: Kernel, value: Value, cost: usize) -> usize {
        let g = self.kernels.len();
        let waits_for = self.behind(&self.graph.node(value).args);
        self.kernels.push(kernel);
        self.cost.push(cost);
        self.ancestors.push(waits_for);
        self.group_of[value.index()] = Some(g);
        g
    }

    /// A kernel of its own for a contraction or an elementwise value.
    fn start(&mut self, value: Value) -> usize {
        let (rows, cols) = self.space(value);
        let mut kernel = Kernel { rows, cols, ..Kernel::default() };
        if self.graph.node(value).op == Op::Dot {
            kernel.kind = KernelKind::Products(vec![value]);
        } else {
            kernel.body.insert(value);
        }
        let cost = self.cost_of(value);
        self.add(kernel, value, cost)
    }

    fn place_elementwise(&mut self, value: Value) {
        let args = self.graph.node(value).args.clone();
        let mut candidates: Vec<usize> = args.iter().filter_map(|&arg| self.joinable(arg)).collect();
        candidates.sort_unstable();
        candidates.dedup();
        candidates
            .retain(|&g| (self.kernels[g].rows, self.kernels[g].cols) == self.space(value) && self.is_like(value, g));
        let cost = self.cost_of(value);
        let Some(group) =
            candidates.iter().copied().find(|&g| self.cost[g] + cost <= MAX_BODY && self.may_join(value, g))
        else {
            self.start(value);
            return;
        };
        let waits_for = self.behind(&args);
        self.group_of[value.index()] = Some(group);
        self.kernels[group].body.insert(value);
        self.cost[group] += cost;
        self.depend(group, waits_for);
        for other in candidates {
            if other != group && self.may_merge(group, other) {
                self.merge(group, other);
            }
        }
    }

    /// Whether `value` can be computed by the element in kernel `g`: nothing it reads from memory waits for `g`.
    fn may_join(&self, value: Value, g: usize) -> bool {
        self.graph.node(value).args.iter().all(|&arg| self.joinable(arg) == Some(g) || !self.behind(&[arg]).contains(g))
    }

    /// The kernels that must have run before any of `values` can be read.
    fn behind(&self, values: &[Value]) -> FixedBitSet {
        let mut set = FixedBitSet::new();
        let mut stack = values.to_vec();
        while let Some(value) = stack.pop() {
            match self.group_of[value.index()] {
                Some(g) => {
                    set.grow_and_insert(g);
                    set.union_with(&self.ancestors[g]);
                }
                None => stack.extend(&self.graph.node(value).args),
            }
        }
        set
    }

    /// Kernel `g` now also waits for `more`, and so does every kernel that waits for `g`.
    fn depend(&mut self, g: usize, mut more: FixedBitSet) {
        if more.contains(g) {
            more.remove(g);
        }
        self.ancestors[g].union_with(&more);
        for set in &mut self.ancestors {
            if set.contains(g) {
                set.union_with(&more);
            }
        }
    }

    /// An elementwise kernel whose only result is the operand of one reduction over an outer axis becomes part of it.
    fn fuse_into_column_reductions(&mut self, uses: &[Vec<Option<Value>>]) {
        for g in 0..self.kernels.len() {
            let reduction = match self.kernels[g].kind {
                KernelKind::Column(reduction) | KernelKind::Fold(reduction) => reduction,
                KernelKind::Products(_) | KernelKind::Rows(_) | KernelKind::Indexed(_) | KernelKind::Copy(_) => {
                    continue;
                }
            };
            let operand = self.graph.node(reduction).args[0];
            let Some(h) = self.joinable(operand).filter(|&h| self.is_like(reduction, h)) else { continue };
            let kernel = &self.kernels[h];
            let stored: Vec<Value> = kernel.values().filter(|v| self.stored[v.index()]).collect();
            let private = self.aligned(operand) == operand && stored == [operand] && uses[operand.index()].len() == 1;
            let noisy = kernel.body.iter().any(|&v| self.noise_operands(v) > 0);
            if private && !noisy && kernel.anchors().is_empty() {
                self.stored[operand.index()] = false;
                let body = std::mem::take(&mut self.kernels[h].body);
                for value in &body {
                    self.group_of[value.index()] = Some(g);
                }
                self.kernels[g].body = body;
            }
        }
    }

    /// Emptied kernels go; the rest keep their order. What they read is settled.
    fn finish(mut self) -> (Vec<Kernel>, Vec<bool>) {
        let mut kernels = std::mem::take(&mut self.kernels);
        kernels.retain(|kernel| kernel.values().next().is_some());
        for kernel in &mut kernels {
            kernel.reads = reads::of(self.graph, &|value| self.in_memory(value), kernel);
        }
        (kernels, self.stored)
    }

    /// A rough count of vector operations, with the noise that is drawn for them.
    fn cost_of(&self, value: Value) -> usize {
        own_cost(&self.graph.node(value).op) + 150 * self.noise_operands(value)
    }

    fn noise_operands(&self, value: Value) -> usize {
        let is_noise = |&&arg: &&Value| self.graph.node(self.aligned(arg)).op.is_noise();
        self.graph.node(value).args.iter().filter(is_noise).count()
    }
}

/// A rough count of an operation's vector operations, besides what makes its operands.
fn own_cost(op: &Op) -> usize {
    match op.kind() {
        Kind::Elementwise(function) => match function.arithmetic() {
            Arithmetic::Copy | Arithmetic::Simple | Arithmetic::Division => 1,
            Arithmetic::Elementary => 30,
        },
        Kind::Contraction => 1,
        Kind::Reduction { .. } | Kind::Fold { .. } | Kind::Indexed(_) => 2,
        Kind::Input(_) | Kind::Literal(_) | Kind::Noise(_) | Kind::Movement(_) => 0,
    }
}
