//! What holds of every plan, found from the graph and compared with what kernels say of themselves.

use super::memory::{ALIGNMENT, size_of};
use super::{
    DotOperand, Kernel, KernelKind, Place, Plan, Read, Write, kernel::is_double, reads, reads::row_major_source,
};
use crate::View;
use bayeslift_ir::{Kind, Value};
use std::collections::{BTreeMap, BTreeSet};
use thiserror::Error;

/// A rule that a plan breaks: a defect of planning, whatever the graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{}{value}: it does not hold that {rule}", .kernel.map_or_else(String::new, |kernel| format!("kernel {kernel}, ")))]
pub struct Defect {
    /// The kernel, if it is about one.
    pub kernel: Option<usize>,
    /// The value.
    pub value: Value,
    /// What should hold of them.
    pub rule: &'static str,
}

/// The error if a rule does not hold.
fn check(holds: bool, kernel: impl Into<Option<usize>>, value: Value, rule: &'static str) -> Result<(), Defect> {
    if holds { Ok(()) } else { Err(Defect { kernel: kernel.into(), value, rule }) }
}

/// The error if there is a value for which a rule does not hold.
fn check_none(value: Option<Value>, kernel: impl Into<Option<usize>>, rule: &'static str) -> Result<(), Defect> {
    value.map_or(Ok(()), |value| check(false, kernel, value, rule))
}

impl Plan {
    /// Checks a plan: each kernel computes what it is said to, and reads what that needs; values are made before they
    /// are read; inputs are overwritten after they are read; each output is written once; values that are needed at one
    /// time lie apart.
    ///
    /// # Errors
    /// The first defect found.
    pub fn verify(&self) -> Result<(), Defect> {
        self.verify_kernels()?;
        self.verify_order()?;
        self.verify_arena()
    }

    /// What holds as soon as kernels are formed.
    pub(super) fn verify_kernels(&self) -> Result<(), Defect> {
        let mut maker: BTreeMap<Value, usize> = BTreeMap::new();
        for (k, kernel) in self.kernels.iter().enumerate() {
            self.verify_kind(k, kernel)?;
            self.verify_reads(k, kernel)?;
            for value in kernel.values().filter(|value| self.in_memory(*value)) {
                check(maker.insert(value, k).is_none(), k, value, "one kernel makes what lies in memory")?;
            }
        }
        let is_made = |value: &Value| maker.contains_key(value) || matches!(self.kind(*value), Kind::Input(_));
        let unmade = self.graph.values().find(|value| self.in_memory(*value) && !is_made(value));
        check_none(unmade, None, "a kernel makes what lies in memory")
    }

    fn in_memory(&self, value: Value) -> bool {
        self.places[value.index()].is_some()
    }

    fn kind(&self, value: Value) -> Kind<'_> {
        self.graph.node(value).op.kind()
    }

    fn element_count(&self, value: Value) -> usize {
        self.graph.ty(value).shape.elements()
    }

    /// Whether a value has the elements of a kernel's index space.
    fn is_of_space(&self, kernel: &Kernel, value: Value) -> bool {
        let shape = &self.graph.ty(value).shape;
        (shape.rows(), shape.last_extent()) == (kernel.rows, kernel.cols)
    }

    fn verify_kind(&self, k: usize, kernel: &Kernel) -> Result<(), Defect> {
        if let (KernelKind::Products(dots), Some(write)) = (&kernel.kind, kernel.writes.first()) {
            check(!dots.is_empty(), k, write.value, "a kernel of products has some")?;
        }
        for &anchor in kernel.anchors() {
            let operand = self.graph.node(anchor).args.first().copied().unwrap_or(anchor);
            let reduces_last = |axis: usize| axis + 1 == self.graph.ty(operand).shape.len();
            let (fits, space) = match (&kernel.kind, self.kind(anchor)) {
                (KernelKind::Products(_), Kind::Contraction) => (true, anchor),
                (KernelKind::Rows(_), Kind::Reduction { axis, .. }) => (reduces_last(axis), operand),
                (KernelKind::Column(_), Kind::Reduction { axis, .. }) => (!reduces_last(axis), operand),
                (KernelKind::Fold(_), Kind::Fold { .. }) => (true, operand),
                (KernelKind::Indexed(_), Kind::Indexed(indexed)) => {
                    let space = indexed.source().unwrap_or(indexed.numbers());
                    (true, self.graph.node(anchor).args[space])
                }
                _ => (false, anchor),
            };
            check(fits, k, anchor, "kernels are of the kind of their anchors")?;
            check(self.is_of_space(kernel, space), k, anchor, "the index space is that of what is computed")?;
        }
        let copied = if let KernelKind::Copy(value) = kernel.kind { Some(value) } else { None };
        for &value in kernel.body.iter().chain(&copied) {
            let fits = match self.kind(value) {
                _ if copied.is_some() => kernel.body.is_empty() && self.in_memory(value),
                Kind::Elementwise(_) => true,
                // made or moved wherever they are needed, unless they have memory
                Kind::Literal(_) | Kind::Noise(_) | Kind::Movement(_) => self.in_memory(value),
                Kind::Input(_) | Kind::Contraction | Kind::Reduction { .. } | Kind::Fold { .. } => false,
                Kind::Indexed(_) => false,
            };
            check(fits, k, value, "a body is computed by the element, and copies have none")?;
            check(self.is_of_space(kernel, value), k, value, "the index space is that of what is computed")?;
        }
        let is_of_doubles = kernel.is_of_doubles(&self.graph);
        let other = kernel.values().find(|value| is_double(&self.graph, *value) != is_of_doubles);
        check_none(other, k, "what has to do with `f64` is with its like")?;
        Ok(())
    }

    /// Whether a kernel says that it reads what its values are made of, and nothing else, and reads within that.
    fn verify_reads(&self, k: usize, kernel: &Kernel) -> Result<(), Defect> {
        let needed = self.needed(k, kernel)?;
        let stated: BTreeSet<Value> = kernel.read_footprints().into_keys().filter(|v| self.in_memory(*v)).collect();
        check_none(needed.difference(&stated).next().copied(), k, "a kernel says what it reads")?;
        check_none(stated.difference(&needed).next().copied(), k, "a kernel reads what it needs alone")?;
        for read in &kernel.reads {
            match read {
                Read::Made { value, .. } | Read::Element { value, .. } => {
                    check(self.is_of_space(kernel, *value), k, *value, "elements read in their own index space")?;
                }
                Read::Numbers { view } | Read::Table { view } => {
                    let is_indexed = matches!(kernel.kind, KernelKind::Indexed(_)) && view.is_contiguous();
                    check(is_indexed, k, view.source, "rows are found by numbers in order")?;
                }
                Read::Operand { dot, .. } => {
                    check(kernel.products().contains(dot), k, *dot, "products read operands")?;
                }
            }
            for view in read.views() {
                check(self.is_within(view), k, view.source, "what is read is within the value")?;
            }
        }
        for (value, footprint) in kernel.read_footprints() {
            let all = footprint.map_or(0..0, |footprint| footprint.of(0..kernel.rows * kernel.cols));
            check(all.end <= self.element_count(value), k, value, "a footprint is within the value")?;
        }
        // what was stated before bodies or places changed is no more true
        let now = reads::of(&self.graph, &|value| self.in_memory(value), kernel);
        let first = kernel.reads.iter().flat_map(Read::views).map(|view| view.source).chain(kernel.values()).next();
        check_none(first.filter(|_| now != kernel.reads), k, "a kernel says how it reads")
    }

    /// The values in memory that those of a kernel are made of.
    fn needed(&self, k: usize, kernel: &Kernel) -> Result<BTreeSet<Value>, Defect> {
        let computed: BTreeSet<Value> = kernel.values().collect();
        let made = kernel.reads.iter().filter_map(|read| match read {
            Read::Made { value, .. } | Read::Operand { operand: DotOperand::Computed { value, .. }, .. } => {
                Some(*value)
            }
            Read::Element { .. } | Read::Operand { operand: DotOperand::Memory(_), .. } => None,
            Read::Numbers { .. } | Read::Table { .. } => None,
        });
        let made: BTreeSet<Value> = made.collect();
        let mut pending = if let KernelKind::Copy(value) = kernel.kind { vec![value] } else { Vec::new() };
        for &value in &computed {
            let by_element = match self.kind(value) {
                Kind::Elementwise(_) | Kind::Reduction { .. } | Kind::Fold { .. } | Kind::Indexed(_) => true,
                Kind::Contraction | Kind::Movement(_) | Kind::Noise(_) => false,
                Kind::Input(_) | Kind::Literal(_) => false,
            };
            let is_at_hand = |arg: &Value| by_element && kernel.has_elements_of(self.aligned(*arg));
            pending.extend(self.graph.node(value).args.iter().filter(|arg| !is_at_hand(arg)));
        }
        let mut needed = BTreeSet::new();
        let mut seen = BTreeSet::new();
        while let Some(value) = pending.pop() {
            check(!computed.contains(&value), k, value, "elements are not moved in the kernel that computes them")?;
            if self.in_memory(value) {
                needed.insert(value);
                continue;
            }
            let is_known = match self.kind(value) {
                Kind::Movement(_) | Kind::Literal(_) => true,
                Kind::Noise(_) | Kind::Elementwise(_) => made.contains(&value),
                Kind::Input(_) | Kind::Contraction | Kind::Reduction { .. } | Kind::Fold { .. } => false,
                Kind::Indexed(_) => false,
            };
            check(is_known, k, value, "what is needed is computed, made or read")?;
            if seen.insert(value) {
                pending.extend(&self.graph.node(value).args);
            }
        }
        Ok(needed)
    }

    fn is_within(&self, view: &View) -> bool {
        let (mut low, mut high) = (view.start, view.start);
        for &(extent, stride) in view.axes.iter().flat_map(|axis| axis.nested()) {
            let distance = (extent as i64 - 1) * stride;
            if distance < 0 { low += distance } else { high += distance }
        }
        low >= 0 && (high as usize) < self.element_count(view.source)
    }

    /// What holds as soon as kernels are in order and it is known what they write.
    pub(super) fn verify_order(&self) -> Result<(), Defect> {
        let mut made: BTreeSet<Value> = self.graph.inputs().iter().map(|input| input.value).collect();
        let mut written: BTreeMap<Place, Value> = BTreeMap::new();
        for (k, kernel) in self.kernels.iter().enumerate() {
            for value in kernel.reads.iter().flat_map(Read::views).map(|view| view.source) {
                let Some(place) = self.places[value.index()] else { continue };
                check(made.contains(&value), k, value, "a value is made before it is read")?;
                let is_whole = written.get(&place).is_none_or(|new| *new == value);
                check(is_whole, k, value, "a value is overwritten after it is read")?;
                let stays = is_arena(place) || kernel.writes.iter().all(|write| write.place != place);
                let may_go = stays || kernel.may_overwrite(value);
                check(may_go, k, value, "what a kernel overwrites it reads by the element")?;
            }
            self.verify_writes(k, kernel)?;
            for write in &kernel.writes {
                made.insert(write.value);
                let earlier = if is_arena(write.place) { None } else { written.insert(write.place, write.value) };
                check(earlier.is_none(), k, write.value, "outputs are written once")?;
            }
        }
        for (number, output) in self.graph.outputs().iter().enumerate() {
            let place = output.updates.map_or(Place::Output(number), Place::Input);
            let source = row_major_source(&self.graph, output.value);
            let there = written.get(&place).copied().or_else(|| {
                let stays = self.places[source.index()] == Some(place);
                stays.then_some(source)
            });
            check(there == Some(source), None, source, "every output is written")?;
        }
        Ok(())
    }

    /// Whether a kernel says that it writes what it computes and has memory, all of that, and nothing else.
    fn verify_writes(&self, k: usize, kernel: &Kernel) -> Result<(), Defect> {
        let mut left: BTreeSet<Value> = kernel.values().filter(|value| self.in_memory(*value)).collect();
        for &Write { value, place, footprint } in &kernel.writes {
            let is_its_own = match kernel.kind {
                KernelKind::Copy(copied) => copied == value && self.places[value.index()] != Some(place),
                KernelKind::Products(_)
                | KernelKind::Rows(_)
                | KernelKind::Column(_)
                | KernelKind::Fold(_)
                | KernelKind::Indexed(_) => left.remove(&value) && self.places[value.index()] == Some(place),
            };
            check(is_its_own, k, value, "a kernel writes what it computes where that lies")?;
            let may_write = match place {
                Place::Input(i) => self.graph.is_donated(i),
                Place::Output(_) | Place::Arena(_) => true,
            };
            check(may_write, k, value, "inputs that are overwritten are donated")?;
            let all = footprint.map(|footprint| footprint.of(0..kernel.rows * kernel.cols));
            let is_whole = all.is_none_or(|all| all == (0..self.element_count(value)));
            check(is_whole, k, value, "elements of the index space write all of a value")?;
        }
        check_none(left.pop_first(), k, "a kernel writes all that has memory")
    }

    /// Whether values that are needed at one time lie apart in the arena, and within it.
    fn verify_arena(&self) -> Result<(), Defect> {
        let mut last: BTreeMap<Value, usize> = BTreeMap::new();
        for (k, kernel) in self.kernels.iter().enumerate() {
            let read = kernel.reads.iter().flat_map(Read::views).map(|view| view.source);
            last.extend(kernel.writes.iter().map(|write| write.value).chain(read).map(|value| (value, k)));
        }
        // by where they begin, where values end that are still needed, and when they are needed last
        let mut live: BTreeMap<usize, (usize, usize)> = BTreeMap::new();
        for (k, kernel) in self.kernels.iter().enumerate() {
            live.retain(|_, (_, last)| *last >= k);
            for write in &kernel.writes {
                let Place::Arena(start) = write.place else { continue };
                let end = start.saturating_add(size_of(&self.graph, write.value));
                let is_aligned = start.is_multiple_of(ALIGNMENT) && self.arena_bytes.is_multiple_of(ALIGNMENT);
                check(is_aligned && end <= self.arena_bytes, k, write.value, "values lie aligned in the arena")?;
                let before = live.range(..end).next_back();
                let is_apart = before.is_none_or(|(_, &(its_end, _))| its_end <= start);
                check(is_apart, k, write.value, "values that are needed at one time lie apart")?;
                live.insert(start, (end, last[&write.value]));
            }
        }
        Ok(())
    }
}

fn is_arena(place: Place) -> bool {
    matches!(place, Place::Arena(_))
}
