//! Fused operations: what they are called, and what they mean.

use super::template::Template;
use std::{fmt, sync::LazyLock};

/// Operations that belong together. Each of contractions is *defined* by its parts, terms of primitive operations: a
/// rewritten graph has those, and a [`Fusion`](super::Fusion) names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Fused {
    /// x M and x² S, the moments that a layer with local reparameterization draws its outputs from.
    LocalReparameterization,
    /// The gradients with respect to M and S of such a layer, both from x.
    DualWeightGradient,
    /// What the gradient with respect to x of such a layer is made of: through M, and through S.
    DualInputGradient,
    /// The log-likelihoods of labels under a softmax over the last axis, and their gradient (one_hot - softmax) s for a
    /// scale s of each row. It has no contraction, and the graph is searched for it.
    SoftmaxCrossEntropy,
}

/// The text of a fused operation.
struct Definition {
    name: &'static str,
    /// Its operands, in order.
    operands: &'static [&'static str],
    /// Its results, all of one type; none if it is not in the e-graph.
    parts: &'static [&'static str],
    /// A fused operation that must have been found first, where the parts alone do not show that they belong together.
    beside: Option<&'static str>,
}

impl Fused {
    /// All of them, in order.
    pub const ALL: &'static [Fused] = &[
        Fused::LocalReparameterization,
        Fused::DualWeightGradient,
        Fused::DualInputGradient,
        Fused::SoftmaxCrossEntropy,
    ];

    /// The name, as in `local_reparameterization`.
    pub fn name(self) -> &'static str {
        self.definition().name
    }

    /// Whether its contractions are better computed in one kernel. Gradients of weights are not: each is followed by an
    /// update of its own (docs/rejected.md).
    pub(crate) fn shares_kernel(self) -> bool {
        match self {
            Fused::LocalReparameterization | Fused::DualInputGradient => true,
            Fused::DualWeightGradient | Fused::SoftmaxCrossEntropy => false,
        }
    }

    fn definition(self) -> Definition {
        match self {
            Fused::LocalReparameterization => Definition {
                name: "local_reparameterization",
                operands: &["?x", "?m", "?s"],
                parts: &["(dot ?x ?m)", "(dot (mul ?x ?x) ?s)"],
                beside: None,
            },
            Fused::DualWeightGradient => Definition {
                name: "dual_weight_gradient",
                operands: &["?x", "?g", "?h"],
                parts: &["(dot (transpose ?x) ?g)", "(dot (transpose (mul ?x ?x)) ?h)"],
                beside: None,
            },
            Fused::DualInputGradient => Definition {
                name: "dual_input_gradient",
                operands: &["?g", "?m", "?h", "?s"],
                parts: &["(dot ?g (transpose ?m))", "(dot ?h (transpose ?s))"],
                beside: Some("(local_reparameterization ?x ?m ?s)"),
            },
            Fused::SoftmaxCrossEntropy => {
                Definition { name: "softmax_cross_entropy", operands: &[], parts: &[], beside: None }
            }
        }
    }

    /// The operands' variables, in order.
    pub(super) fn operands(self) -> &'static [egg::Var] {
        &self.parsed().operands
    }

    /// The number of the operand that a variable of the parts stands for.
    pub(super) fn operand(self, var: egg::Var) -> usize {
        self.operands().iter().position(|&operand| operand == var).expect("parts are made of operands")
    }

    /// The results, in order.
    pub(super) fn parts(self) -> &'static [Template] {
        &self.parsed().parts
    }

    /// The fused operation that must be there too.
    pub(super) fn beside(self) -> Option<&'static Template> {
        self.parsed().beside.as_ref()
    }

    fn parsed(self) -> &'static Parsed {
        static ALL: LazyLock<Vec<Parsed>> = LazyLock::new(|| {
            let parse = |definition: Definition| Parsed {
                operands: definition.operands.iter().map(|name| name.parse().expect("a variable")).collect(),
                parts: definition.parts.iter().map(|text| Template::parse(text)).collect(),
                beside: definition.beside.map(Template::parse),
            };
            Fused::ALL.iter().map(|fused| parse(fused.definition())).collect()
        });
        let index = Fused::ALL.iter().position(|&fused| fused == self).expect("`ALL` lists all");
        &ALL[index]
    }
}

struct Parsed {
    operands: Vec<egg::Var>,
    parts: Vec<Template>,
    beside: Option<Template>,
}

impl fmt::Display for Fused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
