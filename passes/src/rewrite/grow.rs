//! Growing a pair of products into the whole output of its layer, in the rewritten graph.
//!
//! The e-graph has the pair alone: cost sees nothing else, and what follows would be a left side for each combination
//! of biases, activation and movement. What follows is found here instead, by one pass over the graph that knows each
//! value of the layer by what its operands are. Movement changes nothing of that, nor do samples.

use super::{Fused, Fusion, LocalOutput};
use bayeslift_ir::{Binary, Graph, Op, Unary, Value};

/// The values on the way to the output of a layer.
#[derive(Clone, Copy, PartialEq)]
enum Intermediate {
    Mean,
    Variance,
    Deviation,
    /// The deviation times noise.
    Spread,
    Sum,
    Activated,
}

/// Which value of the layer of a fusion a value is, and what was found on the way.
#[derive(Clone, Copy)]
struct Recognized {
    fusion: usize,
    intermediate: Intermediate,
    found: LocalOutput,
}

/// Adds to each [`Fused::LocalReparameterization`] what makes the layer's output of it, if all of that is there.
pub(crate) fn grow_layers(graph: &Graph, fusions: &mut [Fusion]) {
    let grower = Grower { graph, ends: ends(graph) };
    let mut recognized: Vec<Option<Recognized>> = vec![None; graph.nodes().len()];
    for (i, fusion) in fusions.iter().enumerate().filter(|(_, f)| f.kind == Fused::LocalReparameterization) {
        let is_dot = |value: &&Value| graph.node(**value).op == Op::Dot;
        for &dot in fusion.values.iter().filter(is_dot) {
            let intermediate = if grower.is_product_of_square(dot, &fusion.values) {
                Intermediate::Variance
            } else {
                Intermediate::Mean
            };
            recognized[dot.index()] = Some(Recognized { fusion: i, intermediate, found: LocalOutput::default() });
        }
    }
    let mut last: Vec<Option<Value>> = vec![None; fusions.len()];
    for value in graph.values() {
        if recognized[value.index()].is_some() {
            continue;
        }
        let Some(known) = grower.recognize(value, &recognized) else { continue };
        let last = &mut last[known.fusion];
        // of several sums or activations the first is the layer's
        let is_taken =
            |last: Value| recognized[last.index()].is_some_and(|taken| taken.intermediate == known.intermediate);
        match known.intermediate {
            Intermediate::Sum | Intermediate::Activated if is_view(graph, value) => {}
            Intermediate::Sum | Intermediate::Activated if last.is_some_and(is_taken) => continue,
            Intermediate::Sum | Intermediate::Activated => *last = Some(value),
            _ => {}
        }
        recognized[value.index()] = Some(known);
    }
    for (i, fusion) in fusions.iter_mut().enumerate() {
        let Some(output) = last[i] else { continue };
        fusion.output = recognized[output.index()].map(|known| known.found);
        let mut pending = vec![output];
        while let Some(value) = pending.pop() {
            let belongs = recognized[value.index()].is_some_and(|known| known.fusion == i);
            if belongs && !fusion.values.contains(&value) {
                fusion.values.push(value);
                pending.extend(&graph.node(value).args);
            }
        }
        fusion.values.sort_unstable();
    }
}

/// For each value whether it is read by other than elementwise operations, through movement or not, or is an output.
fn ends(graph: &Graph) -> Vec<bool> {
    let mut ends = vec![false; graph.nodes().len()];
    graph.outputs().iter().for_each(|output| ends[output.value.index()] = true);
    for value in graph.values().rev() {
        let op = &graph.node(value).op;
        if !op.is_elementwise() && (!is_view(graph, value) || ends[value.index()]) {
            graph.node(value).args.iter().for_each(|arg| ends[arg.index()] = true);
        }
    }
    ends
}

/// Whether a value only repeats elements, or gives them another shape.
pub(super) fn is_view(graph: &Graph, value: Value) -> bool {
    matches!(graph.node(value).op, Op::Broadcast(_) | Op::Reshape(_))
}

pub(super) fn behind_views(graph: &Graph, mut value: Value) -> Value {
    while is_view(graph, value) {
        value = graph.node(value).args[0];
    }
    value
}

struct Grower<'g> {
    graph: &'g Graph,
    ends: Vec<bool>,
}

impl Grower<'_> {
    /// Whether this contraction is the one of the squares, which are among the fusion's values.
    fn is_product_of_square(&self, dot: Value, values: &[Value]) -> bool {
        let left = self.graph.node(dot).args[0];
        let node = self.graph.node(left);
        values.contains(&left) && node.op == Op::Binary(Binary::Mul) && node.args[0] == node.args[1]
    }

    /// What a value is, if it belongs to a layer.
    fn recognize(&self, value: Value, recognized: &[Option<Recognized>]) -> Option<Recognized> {
        let node = self.graph.node(value);
        let lookup = |arg: Value| recognized[arg.index()];
        if is_view(self.graph, value) {
            return lookup(node.args[0]);
        }
        // who reads more of a layer than its output gets that from the kernel's memory, not from the operation
        let open = |arg: Value| lookup(arg).filter(|_| !self.ends[arg.index()]);
        let turned = |known: Recognized, intermediate| Some(Recognized { intermediate, ..known });
        match (&node.op, &node.args[..]) {
            (Op::Unary(Unary::Sqrt), &[x]) => open(x)
                .filter(|x| x.intermediate == Intermediate::Variance)
                .and_then(|x| turned(x, Intermediate::Deviation)),
            (Op::Unary(op), &[x]) => {
                let activation = matches!(op, Unary::Tanh | Unary::Sigmoid | Unary::Softplus).then(|| op.name())?;
                self.activated(open(x)?, activation)
            }
            (Op::Binary(Binary::Max), &[x, zero]) if self.is_zero(zero) => self.activated(open(x)?, "relu"),
            (Op::Binary(Binary::Mul), &[x, y]) => {
                let (known, other) = open(x).map(|x| (x, y)).or_else(|| Some((open(y)?, x)))?;
                let scales = known.intermediate == Intermediate::Deviation && self.is_noise(other);
                scales.then_some(known).and_then(|x| turned(x, Intermediate::Spread))
            }
            (Op::Binary(Binary::Add), &[x, y]) => match (open(x), open(y)) {
                (Some(a), Some(b)) => self.sum(a, b),
                (Some(known), None) => self.with_bias(known, y, value),
                (None, Some(known)) => self.with_bias(known, x, value),
                (None, None) => None,
            },
            _ => None,
        }
    }

    fn activated(&self, known: Recognized, activation: &'static str) -> Option<Recognized> {
        let found = LocalOutput { activation: Some(activation), ..known.found };
        (known.intermediate == Intermediate::Sum).then_some(Recognized {
            intermediate: Intermediate::Activated,
            found,
            ..known
        })
    }

    fn sum(&self, a: Recognized, b: Recognized) -> Option<Recognized> {
        let (mean, spread) = if a.intermediate == Intermediate::Mean { (a, b) } else { (b, a) };
        let fits = mean.fusion == spread.fusion
            && (mean.intermediate, spread.intermediate) == (Intermediate::Mean, Intermediate::Spread);
        let found = LocalOutput { bias_variance: spread.found.bias_variance, ..mean.found };
        fits.then_some(Recognized { intermediate: Intermediate::Sum, found, ..mean })
    }

    /// A mean or variance to which the same is added in every row.
    fn with_bias(&self, mut known: Recognized, bias: Value, sum: Value) -> Option<Recognized> {
        let shape = |value| &self.graph.ty(value).shape;
        if shape(behind_views(self.graph, bias)).elements() > shape(sum).last_extent() {
            return None;
        }
        let found = match known.intermediate {
            Intermediate::Mean => &mut known.found.bias_mean,
            Intermediate::Variance => &mut known.found.bias_variance,
            _ => return None,
        };
        (!std::mem::replace(found, true)).then_some(known)
    }

    fn is_noise(&self, value: Value) -> bool {
        matches!(self.graph.node(behind_views(self.graph, value)).op, Op::Noise(_))
    }

    fn is_zero(&self, value: Value) -> bool {
        self.graph.node(behind_views(self.graph, value)).op == Op::Constant(0)
    }
}
