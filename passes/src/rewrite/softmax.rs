//! Softmax with cross-entropy: the likelihood of labels under a softmax, and its gradient.
//!
//! It is no contraction, and two of its operations may be far apart by movement, so it is not in the e-graph: the graph
//! is searched. One rule shortens the gradient. A row of a one-hot has one 1, or none if its label is out of range, so
//! the sum of a row times a number s is s or 0, and the gradient (one_hot - softmax) s needs no reduction over the
//! classes. That rounds nothing: only where s is 0 or no finite number may the sum be another, a zero of the other sign
//! or an infinity.

use super::{
    Fused, Fusion, Report, Rewriting,
    grow::{behind_views, is_view},
};
use crate::rebuild::rebuild;
use bayeslift_ir::{Binary, Compare, Error, Graph, Op, Shape, Unary, Value};
use std::collections::BTreeSet;

/// A sum over the classes of a row's scale at its label.
struct OneHotSum {
    /// The scale, of one class.
    scale: Value,
    negative: bool,
    /// The labels, of one class.
    labels: Value,
    classes: usize,
}

/// The graph without sums over one-hots; `None` if there were none. Where the scale is not known to be a finite number
/// the rule changes bits.
pub(crate) fn shorten_one_hot_sums(
    graph: &Graph,
    level: Rewriting,
    report: &mut Report,
) -> Result<Option<Graph>, Error> {
    let search = Search(graph);
    let sums: Vec<Option<OneHotSum>> = graph.values().map(|value| search.one_hot_sum(value, level)).collect();
    let count = sums.iter().flatten().count();
    if count == 0 {
        return Ok(None);
    }
    let shortened = rebuild(graph, |to, value| match &sums[value.index()] {
        Some(sum) => {
            let (scale, labels) = (to.of(sum.scale), to.of(sum.labels));
            sum.emit(&mut to.graph, scale, labels, &graph.ty(value).shape)
        }
        None => to.copy(value),
    })?;
    report.fired.insert("sum-one-hot", count);
    Ok(Some(shortened))
}

impl OneHotSum {
    /// The scale where the label is one of the classes, else 0.
    fn emit(&self, out: &mut Graph, scale: Value, labels: Value, shape: &Shape) -> Result<Value, Error> {
        let to_shape = |out: &mut Graph, x: Value| {
            let with_class: Shape = shape.iter().copied().chain([1]).collect();
            let x = if out.ty(x).shape == with_class { x } else { out.push(Op::Broadcast(with_class), &[x])? };
            out.push(Op::Reshape(shape.clone()), &[x])
        };
        let constant = |out: &mut Graph, op: Op| {
            let scalar = out.push(op, &[])?;
            out.push(Op::Broadcast(shape.clone()), &[scalar])
        };
        let (scale, labels) = (to_shape(out, scale)?, to_shape(out, labels)?);
        let scale = if self.negative { out.push(Op::Unary(Unary::Neg), &[scale])? } else { scale };
        let classes = constant(out, Op::ConstantU32(self.classes as u32))?;
        let zero = constant(out, Op::Constant(0))?;
        let is_class = out.push(Op::Compare(Compare::Less), &[labels, classes])?;
        out.push(Op::Select, &[is_class, scale, zero])
    }
}

/// All softmax cross-entropies of a graph.
pub(crate) fn find_cross_entropies(graph: &Graph) -> Vec<Fusion> {
    let live = graph.live();
    let search = Search(graph);
    let mut found: Vec<Forward> =
        graph.values().filter(|v| live[v.index()]).filter_map(|value| search.forward(value)).collect();
    for value in graph.values().filter(|v| live[v.index()]) {
        for forward in &mut found {
            if let Some(scale) = search.scale_of_gradient(value, forward) {
                search.collect(value, &[forward.logits, scale], &mut forward.values);
            }
        }
    }
    let fusion = |forward: Forward| Fusion {
        kind: Fused::SoftmaxCrossEntropy,
        output: None,
        values: forward.values.into_iter().collect(),
    };
    found.into_iter().map(fusion).collect()
}

/// The log-likelihoods of labels.
struct Forward {
    logits: Value,
    exponential: Value,
    labels: Value,
    values: BTreeSet<Value>,
}

struct Search<'g>(&'g Graph);

impl Search<'_> {
    fn op(&self, value: Value) -> &Op {
        &self.0.node(value).op
    }

    fn args(&self, value: Value) -> &[Value] {
        &self.0.node(value).args
    }

    /// The operand of this function, behind movement on both sides.
    fn unary(&self, value: Value, op: Unary) -> Option<Value> {
        let value = behind_views(self.0, value);
        (*self.op(value) == Op::Unary(op)).then(|| behind_views(self.0, self.args(value)[0]))
    }

    /// The operands of this function, in both orders.
    fn binary(&self, value: Value, op: Binary) -> impl Iterator<Item = (Value, Value)> {
        let args = (*self.op(value) == Op::Binary(op)).then(|| (self.args(value)[0], self.args(value)[1]));
        args.into_iter().flat_map(|(a, b)| [(a, b), (b, a)])
    }

    /// What is reduced, if this is a reduction over the last axis.
    fn reduced(&self, value: Value, reduction: fn(usize) -> Op) -> Option<Value> {
        let &[x] = self.args(value) else { return None };
        let last = self.0.ty(x).shape.len().checked_sub(1)?;
        (*self.op(value) == reduction(last)).then_some(x)
    }

    /// What this is repeated from for each class: it has one.
    fn of_one_class(&self, value: Value) -> Option<Value> {
        let source = matches!(self.op(value), Op::Broadcast(_)).then(|| self.args(value)[0])?;
        (self.0.ty(source).shape.last_extent() == 1).then_some(source)
    }

    fn is(&self, value: Value, constant: f32) -> bool {
        *self.op(behind_views(self.0, value)) == Op::Constant(constant.to_bits())
    }

    /// The value behind movement that keeps the classes.
    fn behind_rows(&self, mut value: Value) -> Value {
        let classes = |value| self.0.ty(value).shape.last_extent();
        while is_view(self.0, value) && classes(self.args(value)[0]) == classes(value) {
            value = self.args(value)[0];
        }
        value
    }

    /// What each row has at its label and no other class, and the mask of the labels: `x` times a one-hot, or chosen by
    /// one. The flag says that it is negated.
    fn picked(&self, value: Value) -> Option<(Value, bool, Value)> {
        if let &[mask, x, zero] = self.args(value)
            && *self.op(value) == Op::Select
            && self.is(zero, 0.0)
        {
            return Some((x, false, mask));
        }
        self.binary(value, Binary::Mul).find_map(|(x, one_hot)| {
            let negated = (*self.op(one_hot) == Op::Unary(Unary::Neg)).then(|| self.args(one_hot)[0]);
            let one_hot = self.behind_rows(negated.unwrap_or(one_hot));
            let &[mask, one, zero] = self.args(one_hot) else { return None };
            let is_one_hot = *self.op(one_hot) == Op::Select && self.is(one, 1.0) && self.is(zero, 0.0);
            is_one_hot.then_some((x, negated.is_some(), mask))
        })
    }

    /// The labels of a mask of labels, of one class. Their axes are the mask's.
    fn labels(&self, mut mask: Value) -> Option<Value> {
        let classes = self.0.ty(mask).shape.last_extent();
        // repeated over other axes, by which the others keep their place
        while let (Op::Broadcast(_), &[source]) = (self.op(mask), self.args(mask)) {
            mask = source;
        }
        let &[a, b] = self.args(mask) else { return None };
        if *self.op(mask) != Op::Compare(Compare::Equal) || self.0.ty(mask).shape.last_extent() != classes {
            return None;
        }
        let labels = if self.counts(b, classes) { a } else { Some(b).filter(|_| self.counts(a, classes))? };
        self.of_one_class(labels)
    }

    /// Whether this is 0, 1, .. along the last axis, and the same along all others.
    fn counts(&self, mut value: Value, classes: usize) -> bool {
        while let (Op::Broadcast(_) | Op::Reshape(_), &[source]) = (self.op(value), self.args(value))
            && self.0.ty(source).shape.last_extent() == classes
        {
            value = source;
        }
        *self.op(value) == Op::Iota(classes)
    }

    fn one_hot_sum(&self, value: Value, level: Rewriting) -> Option<OneHotSum> {
        let picked = self.reduced(value, Op::Sum)?;
        let (scale, negative, mask) = self.picked(picked)?;
        let labels = self.labels(mask)?;
        let scale = self.of_one_class(scale)?;
        let is_number = match *self.op(behind_views(self.0, scale)) {
            Op::Constant(bits) => f32::from_bits(bits).is_finite() && f32::from_bits(bits) != 0.0,
            _ => false,
        };
        let shape = |value| &self.0.ty(value).shape;
        let classes = shape(picked).last_extent();
        let found = OneHotSum { scale, negative, labels, classes };
        let fits = |source| shape(picked).broadcast_with(shape(source)).as_ref() == Some(shape(picked));
        (fits(labels) && fits(scale) && (is_number || level == Rewriting::All)).then_some(found)
    }

    /// The sum over the classes of the log-softmax at the labels.
    fn forward(&self, value: Value) -> Option<Forward> {
        let (log_softmax, _, mask) = self.picked(self.reduced(value, Op::Sum)?)?;
        let labels = self.labels(mask)?;
        let (exponential, logits) = self.binary(log_softmax, Binary::Add).find_map(|(shifted, log)| {
            let total = self.unary(self.unary(log, Unary::Neg)?, Unary::Log)?;
            let exponential = self.reduced(total, Op::Sum)?;
            let is_of_shifted = *self.op(exponential) == Op::Unary(Unary::Exp) && self.args(exponential)[0] == shifted;
            let logits = self.binary(shifted, Binary::Add).find_map(|(logits, maximum)| {
                let maximum = self.unary(maximum, Unary::Neg)?;
                (self.reduced(maximum, Op::Max)? == logits).then_some(logits)
            })?;
            is_of_shifted.then_some((exponential, logits))
        })?;
        let mut forward = Forward { logits, exponential, labels, values: BTreeSet::new() };
        self.collect(value, &[logits], &mut forward.values);
        Some(forward)
    }

    /// The scale of each row, if this is the gradient with respect to the logits: that at the labels, and something
    /// times the exponential.
    fn scale_of_gradient(&self, value: Value, forward: &Forward) -> Option<Value> {
        let row = |x: Value| self.of_one_class(x).map(|_| behind_views(self.0, x));
        self.binary(value, Binary::Add).find_map(|(a, b)| {
            self.binary(b, Binary::Mul).find(|&(x, y)| x == forward.exponential && row(y).is_some())?;
            let (scale, _, mask) = self.picked(a)?;
            row(scale).filter(|_| self.labels(mask) == Some(forward.labels))
        })
    }

    /// Adds what is computed for a value from `leaves`, and from what neither sums over classes nor works by the
    /// element.
    fn collect(&self, value: Value, leaves: &[Value], values: &mut BTreeSet<Value>) {
        let mut pending = vec![value];
        while let Some(value) = pending.pop() {
            let reduces = self.reduced(value, Op::Sum).or(self.reduced(value, Op::Max)).is_some();
            let computes = reduces || self.op(value).is_elementwise();
            let is_view = is_view(self.0, value);
            if !leaves.contains(&value) && (computes && values.insert(value) || is_view) {
                pending.extend(self.args(value));
            }
        }
    }
}
