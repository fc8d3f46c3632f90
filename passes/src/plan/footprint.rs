//! Which part of a value each element of a kernel's index space reads or writes, where that is a simple part.

use super::{Kernel, Operand, Plan};
use crate::{View, merge_axes};
use bayeslift_ir::{Kind, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// Of each `span` neighbouring elements of the index space, the first of which is a multiple of that, a kernel touches `each`
/// elements of a value, and the next `each` for the next ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Footprint {
    pub(super) span: usize,
    pub(super) each: usize,
}

impl Footprint {
    /// Element by element.
    pub(super) const SAME: Footprint = Footprint { span: 1, each: 1 };

    /// What these elements of the index space touch.
    pub fn of(self, elements: Range<usize>) -> Range<usize> {
        elements.start / self.span * self.each..elements.end.div_ceil(self.span) * self.each
    }
}

impl Plan {
    /// For each value in memory that a kernel reads, which part each element reads; `None` for no simple one. Values that are not there
    /// may be read in any way.
    pub(super) fn read_footprints(&self, kernel: &Kernel) -> BTreeMap<Value, Option<Footprint>> {
        let mut footprints = BTreeMap::new();
        let mut add = |source: Value, footprint: Option<Footprint>| {
            let known = footprints.entry(source).or_insert(footprint);
            if *known != footprint {
                *known = None;
            }
        };
        for read in self.element_reads(kernel) {
            let view = match read {
                ElementRead::Copied(member) => self.copied(member),
                ElementRead::Value(value) => self.view(value),
                ElementRead::Made(value) => {
                    // what addresses noise
                    self.graph.node(value).args.iter().for_each(|&arg| add(self.view(arg).source, None));
                    continue;
                }
            };
            add(view.source, by_the_element(&view, kernel));
        }
        for &dot in &kernel.dots {
            let [left, right] = [0, 1].map(|i| self.operand(self.graph.node(dot).args[i]));
            views(&left).for_each(|view| add(view.source, by_the_row(view, kernel)));
            views(&right).for_each(|view| add(view.source, None));
        }
        footprints
    }

    /// All that the elements of a kernel need and that is not computed from others there, besides products, each once.
    pub fn element_reads(&self, kernel: &Kernel) -> BTreeSet<ElementRead> {
        let node = |value: Value| self.graph.node(value);
        let (computing, moving): (Vec<Value>, Vec<Value>) =
            kernel.members.iter().partition(|member| node(**member).op.is_elementwise());
        let moved = moving.into_iter().map(|member| match node(member).op.kind() {
            Kind::Movement(_) => ElementRead::Copied(member),
            Kind::Literal(_) | Kind::Noise(_) => ElementRead::Made(member),
            Kind::Input(_) | Kind::Elementwise(_) => unreachable!("{member} is in memory or computes"),
            Kind::Contraction | Kind::Reduction { .. } | Kind::Fold { .. } => unreachable!("{member} is no member"),
        });
        let reductions = kernel.row_reductions.iter().chain(&kernel.column_reduction).copied();
        let args = computing.into_iter().chain(reductions).flat_map(|value| node(value).args.iter().copied());
        let read = args.chain(kernel.stores.iter().map(|&(value, _)| value)).map(|value| self.aligned(value));
        let is_drawn = |value: Value| node(value).op.is_noise() && self.places[value.index()].is_none();
        let read = read.filter(|&value| !kernel.computes(value)).map(|value| match is_drawn(value) {
            true => ElementRead::Made(value),
            false => ElementRead::Value(value),
        });
        moved.chain(read).collect()
    }
}

/// What the elements of a kernel need and that is not computed from others there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ElementRead {
    /// Noise, or a member that is a constant or counts elements: made from nothing, but for what addresses noise.
    Made(Value),
    /// A member that only moves data: see [`Plan::copied`].
    Copied(Value),
    /// A value that is read: see [`Plan::view`].
    Value(Value),
}

fn views(operand: &Operand) -> impl Iterator<Item = &View> {
    match operand {
        Operand::Memory(view) => std::slice::from_ref(view),
        Operand::Computed { views, .. } => views,
    }
    .iter()
}

/// Of a value that is viewed in the kernel's own shape.
fn by_the_element(view: &View, kernel: &Kernel) -> Option<Footprint> {
    let elements = kernel.rows * kernel.cols;
    if view.shape.elements() != elements {
        return None;
    }
    if view.is_contiguous() {
        return Some(Footprint::SAME);
    }
    let (last, leading) = view.axes.split_last()?;
    let is_one_a_row = last.stride() == Some(0) && view.start == 0 && merge_axes(leading)[..] == [(kernel.rows, 1)];
    is_one_a_row.then_some(Footprint { span: kernel.cols, each: 1 })
}

/// Of the left operand of a product, of which each row of the result reads a row.
fn by_the_row(view: &View, kernel: &Kernel) -> Option<Footprint> {
    let each = view.shape.last_extent();
    let is_whole = view.is_contiguous() && view.shape.elements() == kernel.rows * each;
    is_whole.then_some(Footprint { span: kernel.cols, each })
}
