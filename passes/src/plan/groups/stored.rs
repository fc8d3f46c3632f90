//! Which values must be in memory: read across kernels, or not by the element.

use super::{Former, Kernel, behind_views, prologue_views};
use crate::View;
use bayeslift_ir::{Kind, Op, Value};
use std::collections::BTreeSet;

/// What a reader can do with a view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reader {
    /// A kernel that reads by the element: neighbours on the last axis have one distance.
    Element,
    /// A contraction's operand that is read by strides.
    Strided,
    /// A contraction's left operand, packed whatever it is: windows on an image.
    Packed,
}

impl Reader {
    fn can_read(self, view: &View) -> bool {
        match self {
            Reader::Element => view.last_stride().is_some(),
            Reader::Strided => view.is_strided(),
            Reader::Packed => true,
        }
    }
}

impl Former<'_> {
    /// Marks what must be in memory, and makes kernels for what only a copy can bring there. Repeats until nothing is
    /// added: once a value has memory, views of it begin there, and strides may no longer express them.
    pub(super) fn require_memory(&mut self, live: &[bool]) {
        let count = |stored: &[bool]| stored.iter().filter(|&&stored| stored).count();
        loop {
            let before = count(&self.stored);
            self.require_memory_once(live);
            if count(&self.stored) == before {
                return;
            }
        }
    }

    fn require_memory_once(&mut self, live: &[bool]) {
        for value in self.graph.values().filter(|v| live[v.index()]) {
            let node = self.graph.node(value);
            for (i, &arg) in node.args.iter().enumerate() {
                match node.op.kind() {
                    Kind::Movement(_) if self.stored[value.index()] => self.reach(value, Reader::Element),
                    Kind::Movement(_) => {}
                    Kind::Elementwise(_) if self.prologue[value.index()] => self.read(arg, Reader::Strided),
                    Kind::Elementwise(_) | Kind::Reduction { .. } | Kind::Fold { .. } => self.read_element(value, arg),
                    // rows in any order are read from memory, or made; the rest lies there as a whole
                    Kind::Indexed(indexed) if indexed.source() == Some(i) => self.read_element(value, arg),
                    Kind::Indexed(_) => self.store_output(arg),
                    Kind::Contraction => self.read_operand(arg, i == 0),
                    Kind::Noise(_) => self.read(arg, Reader::Element),
                    Kind::Input(_) | Kind::Literal(_) => unreachable!("{value} has no operands"),
                }
            }
        }
        for output in self.graph.outputs() {
            self.store_output(output.value);
        }
    }

    /// An output, or what is read as a whole, is stored by the kernel that computes it; what no kernel computes is
    /// copied by one.
    fn store_output(&mut self, value: Value) {
        let mut computed = value;
        while let Op::Reshape(_) = self.graph.node(computed).op {
            computed = self.graph.node(computed).args[0];
        }
        match self.graph.node(computed).op.kind() {
            Kind::Input(_) => {}
            Kind::Movement(_) => {
                self.force(computed);
                self.reach(computed, Reader::Element);
            }
            Kind::Literal(_) | Kind::Noise(_) | Kind::Elementwise(_) => self.force(computed),
            Kind::Contraction | Kind::Reduction { .. } | Kind::Fold { .. } | Kind::Indexed(_) => self.force(computed),
        }
    }

    /// `user` reads `arg` by the element, from its own kernel if that computes it.
    fn read_element(&mut self, user: Value, arg: Value) {
        let source = &self.graph.node(self.aligned(arg)).op;
        let is_made = source.is_literal() || source.is_noise();
        let is_computed = self.joinable(arg).is_some() && self.joinable(arg) == self.group_of[user.index()];
        if !is_made && !is_computed {
            self.read(arg, Reader::Element);
        }
    }

    /// A contraction's operand; behind views there may be a value computed while packing.
    fn read_operand(&mut self, arg: Value, is_left: bool) {
        let (source, movement) = behind_views(self.graph, arg, |_| false);
        let has_windows = movement.iter().any(|&moved| matches!(self.graph.node(moved).op, Op::Window(_)));
        let reader = if is_left && has_windows { Reader::Packed } else { Reader::Strided };
        let can_compute = || {
            let views = prologue_views(self.graph, arg, &|v| self.in_memory(v));
            views.is_some_and(|(_, views)| views.iter().all(|view| reader.can_read(view)))
        };
        if self.prologue[source.index()] && !can_compute() {
            self.prologue[source.index()] = false;
            self.start(source);
            for operand in self.graph.node(source).args.clone() {
                self.read_element(source, operand);
            }
        }
        if !self.prologue[source.index()] {
            self.read(arg, reader);
            if self.graph.node(source).op.is_literal() {
                self.force(source);
            }
        }
    }

    /// Something reads `value` from memory, through views where it can.
    fn read(&mut self, value: Value, reader: Reader) {
        if !self.in_memory(value) {
            self.reach(value, reader);
        }
    }

    /// Gives what lies behind `value` the memory that it can be read or copied from.
    fn reach(&mut self, value: Value, reader: Reader) {
        let (source, movement) = behind_views(self.graph, value, |v| v != value && self.in_memory(v));
        if !self.graph.node(source).op.is_literal() {
            self.force(source);
        }
        let mut view = View::identity(self.graph, source);
        for &moved in movement.iter().rev() {
            let node = self.graph.node(moved);
            view = view.through(&node.op).filter(|view| reader.can_read(view)).unwrap_or_else(|| {
                self.force(node.args[0]);
                let stored = View::identity(self.graph, node.args[0]);
                stored.through(&node.op).expect("memory in order can have any shape")
            });
        }
    }

    pub(super) fn in_memory(&self, value: Value) -> bool {
        self.stored[value.index()] || matches!(self.graph.node(value).op, Op::Input(_))
    }

    /// `value` gets memory of its own.
    fn force(&mut self, value: Value) {
        if self.in_memory(value) {
            return;
        }
        self.stored[value.index()] = true;
        if self.group_of[value.index()].is_none() {
            let (rows, cols) = self.space(value);
            let body = BTreeSet::from([value]);
            self.add(Kernel { rows, cols, body, ..Kernel::default() }, value, 1);
        }
    }
}
