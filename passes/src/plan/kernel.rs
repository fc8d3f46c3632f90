//! Kernels: what one function computes, reads and writes.

use super::{Footprint, Place};
use crate::View;
#[cfg(doc)]
use bayeslift_ir::Indexed;
use bayeslift_ir::{DType, Graph, Value};
use smallvec::SmallVec;
use std::{collections::BTreeSet, slice};

/// Values that one function computes in one pass over `rows` x `cols` elements.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kernel {
    /// What it does besides computing its body.
    pub kind: KernelKind,
    /// The product of all axes of the index space but the last.
    pub rows: usize,
    /// The last axis of the index space.
    pub cols: usize,
    /// The elementwise body: values evaluated at each element.
    pub body: BTreeSet<Value>,
    /// All that it needs and does not compute: what is made at each element first, then what elements read, then
    /// operands of products.
    pub reads: Vec<Read>,
    /// What it leaves in memory: results of reductions first, then values in full.
    pub writes: Vec<Write>,
}

/// What a kernel is besides its body, by the operations that are no function of one element.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KernelKind {
    /// Matrix products, tile by tile; the body is computed on the tile.
    Products(Vec<Value>),
    /// Rows of elements, and reductions of values of the body over the last axis, if any.
    Rows(Vec<Value>),
    /// A reduction over another axis. The index space is its operand's, of which the body computes the elements.
    Column(Value),
    /// A fold. The index space is its operand's, of which the body computes the elements.
    Fold(Value),
    /// Rows by their numbers. The index space is that of the operand whose elements are computed ([`Indexed::source`]).
    Indexed(Value),
    /// A value that lies in memory is copied to another place. The body is empty.
    Copy(Value),
}

/// Something that a kernel needs and does not compute from others there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Read {
    /// A literal or noise, made at each element.
    Made {
        /// The value.
        value: Value,
        /// What addresses noise: its operands.
        address: SmallVec<[View; 3]>,
    },
    /// Each element reads what the view has at its row and column.
    Element {
        /// What is read, as a view of itself or of what it is moved from; a value that only moves is what it makes of
        /// that.
        value: Value,
        /// Where it is.
        view: View,
    },
    /// The numbers of rows, in row-major order.
    Numbers {
        /// Where they are, as a view of themselves.
        view: View,
    },
    /// The table of which rows are replaced, in row-major order: nothing of it is read where the result takes its
    /// place.
    Table {
        /// Where it is, as a view of itself.
        view: View,
    },
    /// A product reads an operand.
    Operand {
        /// The product.
        dot: Value,
        /// Which operand it is.
        number: usize,
        /// Where it is.
        operand: DotOperand,
    },
}

/// How a contraction reads an operand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DotOperand {
    /// From memory.
    Memory(View),
    /// As an elementwise function of values that lie in memory or are literals, computed while it is packed.
    Computed {
        /// The elementwise value.
        value: Value,
        /// Its operands, each in the shape of the contraction's operand.
        views: SmallVec<[View; 2]>,
    },
}

/// A value that a kernel leaves in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Write {
    /// The value.
    pub value: Value,
    /// Where it goes.
    pub place: Place,
    /// Which part each element of the index space writes; `None` for any.
    pub footprint: Option<Footprint>,
}

impl Default for KernelKind {
    fn default() -> KernelKind {
        KernelKind::Rows(Vec::new())
    }
}

impl Kernel {
    /// The values that are no function of one element.
    pub fn anchors(&self) -> &[Value] {
        match &self.kind {
            KernelKind::Products(values) | KernelKind::Rows(values) => values,
            KernelKind::Column(value) | KernelKind::Fold(value) | KernelKind::Indexed(value) => slice::from_ref(value),
            KernelKind::Copy(_) => &[],
        }
    }

    /// The matrix products, if it computes any.
    pub fn products(&self) -> &[Value] {
        if let KernelKind::Products(products) = &self.kind { products } else { &[] }
    }

    /// The reductions over the last axis.
    pub fn row_reductions(&self) -> &[Value] {
        if let KernelKind::Rows(reductions) = &self.kind { reductions } else { &[] }
    }

    /// All values that it computes.
    pub fn values(&self) -> impl Iterator<Item = Value> {
        self.anchors().iter().chain(&self.body).copied()
    }

    /// Whether each element of the index space reads all that it needs before it writes at its own number.
    pub(super) fn writes_elements(&self) -> bool {
        match self.kind {
            KernelKind::Products(_) | KernelKind::Rows(_) | KernelKind::Copy(_) => true,
            KernelKind::Column(_) | KernelKind::Fold(_) | KernelKind::Indexed(_) => false,
        }
    }

    /// What each element of the index space writes at its own number.
    pub fn element_writes(&self) -> impl Iterator<Item = &Write> {
        self.writes.iter().filter(|write| self.writes_elements() && !self.row_reductions().contains(&write.value))
    }

    /// Whether it has to do with values of `f64`, as all that it computes then has: vectors of such kernels have fewer
    /// elements, and those of `f32` stay wide. A copy computes nothing, so it has to do with what it copies alone.
    pub fn is_of_doubles(&self, graph: &Graph) -> bool {
        if let KernelKind::Copy(value) = self.kind {
            return graph.ty(value).dtype == DType::F64;
        }
        self.values().next().is_some_and(|value| is_double(graph, value))
    }

    /// Whether a value is computed at each element, or is a product, which elements read on the tile.
    pub fn has_elements_of(&self, value: Value) -> bool {
        self.body.contains(&value) || self.products().contains(&value)
    }

    /// An operand of one of its products.
    pub fn operand(&self, dot: Value, number: usize) -> &DotOperand {
        let operand = self.reads.iter().find_map(|read| match read {
            Read::Operand { dot: reader, number: which, operand } if (*reader, *which) == (dot, number) => {
                Some(operand)
            }
            Read::Operand { .. } | Read::Made { .. } | Read::Element { .. } => None,
            Read::Numbers { .. } | Read::Table { .. } => None,
        });
        operand.expect("a kernel reads the operands of its products")
    }
}

/// Whether an operation has a result or an operand of `f64`.
pub(super) fn is_double(graph: &Graph, value: Value) -> bool {
    let is_f64 = |value: Value| graph.ty(value).dtype == DType::F64;
    is_f64(value) || graph.node(value).args.iter().copied().any(is_f64)
}

impl Read {
    /// What is read: in memory, or literals.
    pub fn views(&self) -> &[View] {
        match self {
            Read::Made { address, .. } => address,
            Read::Element { view, .. } | Read::Numbers { view } | Read::Table { view } => slice::from_ref(view),
            Read::Operand { operand, .. } => operand.views(),
        }
    }
}

impl DotOperand {
    /// What is read: in memory, or literals.
    pub fn views(&self) -> &[View] {
        match self {
            DotOperand::Memory(view) => slice::from_ref(view),
            DotOperand::Computed { views, .. } => views,
        }
    }
}
