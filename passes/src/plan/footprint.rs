//! Which part of a value each element of a kernel's index space reads or writes, where that is a simple part.

use super::{Kernel, KernelKind, Read};
use crate::{View, merge_axes};
use bayeslift_ir::Value;
use std::collections::BTreeMap;
use std::ops::Range;

/// Of each `span` neighbouring elements of the index space, the first of which is a multiple of that, a kernel touches
/// `each` elements of a value, and the next `each` for the next ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Footprint {
    pub(super) span: usize,
    pub(super) each: usize,
}

impl Footprint {
    /// Element by element.
    pub(super) const ELEMENT: Footprint = Footprint { span: 1, each: 1 };

    /// One element a row.
    pub(super) fn of_rows(kernel: &Kernel) -> Footprint {
        Footprint { span: kernel.cols, each: 1 }
    }

    /// What these elements of the index space touch.
    pub fn of(self, elements: Range<usize>) -> Range<usize> {
        elements.start / self.span * self.each..elements.end.div_ceil(self.span) * self.each
    }
}

impl Kernel {
    /// For each value that is read, literals among them, which part each element reads; `None` for no simple one.
    pub fn read_footprints(&self) -> BTreeMap<Value, Option<Footprint>> {
        let mut footprints = BTreeMap::new();
        for read in &self.reads {
            for view in read.views() {
                let footprint = self.footprint(read, view);
                let known = footprints.entry(view.source).or_insert(footprint);
                if *known != footprint {
                    *known = None;
                }
            }
        }
        footprints
    }

    /// Whether the kernel may write over a value: if it reads that, then for each element the one that is written there
    /// next.
    pub(super) fn may_overwrite(&self, value: Value) -> bool {
        let reads_own = |read: &Read| match read {
            Read::Element { view, .. } => self.footprint(read, view) == Some(Footprint::ELEMENT),
            Read::Made { .. } | Read::Operand { .. } | Read::Numbers { .. } | Read::Table { .. } => false,
        };
        let mut reads = self.reads.iter().filter(|read| read.views().iter().any(|view| view.source == value));
        reads.all(|read| matches!(read, Read::Table { .. }) || self.writes_elements() && reads_own(read))
    }

    fn footprint(&self, read: &Read, view: &View) -> Option<Footprint> {
        match read {
            // all elements share what addresses noise
            Read::Made { .. } => None,
            Read::Numbers { .. } | Read::Table { .. } => None,
            // rows in any order
            Read::Element { .. } if matches!(self.kind, KernelKind::Indexed(_)) => None,
            Read::Element { .. } => by_the_element(view, self),
            Read::Operand { number: 0, .. } => by_the_row(view, self),
            Read::Operand { .. } => None,
        }
    }
}

/// Of a value that is viewed in the kernel's own shape.
fn by_the_element(view: &View, kernel: &Kernel) -> Option<Footprint> {
    let elements = kernel.rows * kernel.cols;
    if view.shape.elements() != elements {
        return None;
    }
    if view.is_contiguous() {
        return Some(Footprint::ELEMENT);
    }
    let (last, leading) = view.axes.split_last()?;
    let is_one_a_row = last.stride() == Some(0) && view.start == 0 && merge_axes(leading)[..] == [(kernel.rows, 1)];
    is_one_a_row.then_some(Footprint::of_rows(kernel))
}

/// Of the left operand of a product, of which each row of the result reads a row.
fn by_the_row(view: &View, kernel: &Kernel) -> Option<Footprint> {
    let each = view.shape.last_extent();
    let is_whole = view.is_contiguous() && view.shape.elements() == kernel.rows * each;
    is_whole.then_some(Footprint { span: kernel.cols, each })
}
