//! What a kernel reads by the element, or makes from nothing.

use super::context::Context;
use crate::tile::Class;
use bayeslift_ir::{Kind, Literal, Noise, Value};
use bayeslift_passes::{Place, Read, View};

/// A value that a kernel does not compute from others.
#[derive(Clone, Debug)]
pub(super) enum Leaf {
    Float(u32),
    Double(u64),
    Word(u32),
    /// An index: the position that the view gives is the value.
    Position(View),
    Noise(Noise),
    Memory {
        place: Place,
        class: Class,
        view: View,
    },
}

impl Context<'_> {
    /// Everything that the kernel reads by the element, in the order in which it says so.
    pub fn leaves(&self) -> Vec<(Value, Leaf)> {
        let leaf = |read: &Read| match read {
            Read::Made { value, .. } => Some((*value, self.made(*value))),
            Read::Element { value, view } => Some((*value, self.leaf(view.clone()))),
            Read::Operand { .. } | Read::Numbers { .. } | Read::Table { .. } => None,
        };
        self.kernel.reads.iter().filter_map(leaf).collect()
    }

    /// What is made from nothing.
    fn made(&self, value: Value) -> Leaf {
        match self.plan.graph.node(value).op.kind() {
            Kind::Noise(noise) => Leaf::Noise(noise.clone()),
            Kind::Literal(literal) => literal_leaf(literal, View::identity(&self.plan.graph, value)),
            Kind::Input(_) | Kind::Elementwise(_) | Kind::Contraction | Kind::Movement(_) => {
                unreachable!("{value} is not made from nothing")
            }
            Kind::Reduction { .. } | Kind::Fold { .. } | Kind::Indexed(_) => {
                unreachable!("{value} is not made from nothing")
            }
        }
    }

    /// What a view reads.
    pub fn leaf(&self, view: View) -> Leaf {
        let source = view.source;
        if let Some(place) = self.plan.places[source.index()] {
            return Leaf::Memory { place, class: self.class(source), view };
        }
        let op = &self.plan.graph.node(source).op;
        let Kind::Literal(literal) = op.kind() else {
            unreachable!("{source} = {} is read but has no memory", op.name())
        };
        literal_leaf(literal, view)
    }
}

fn literal_leaf(literal: Literal, view: View) -> Leaf {
    match literal {
        Literal::Float(bits) => Leaf::Float(bits),
        Literal::Double(bits) => Leaf::Double(bits),
        Literal::Word(word) => Leaf::Word(word),
        Literal::Position => Leaf::Position(view),
    }
}
