//! Kernels that become one.

use super::{Former, KernelKind, MAX_BODY};
use bayeslift_ir::{Graph, Kind, Shape, Value};

/// The most contractions one kernel computes: bounds its scratch memory.
const MAX_DOTS: usize = 4;

impl Former<'_> {
    /// Whether two kernels can be one: same space, and no path between them through other kernels or memory.
    pub(super) fn may_merge(&self, a: usize, b: usize) -> bool {
        let (x, y) = (&self.kernels[a], &self.kernels[b]);
        let fits = (x.rows, x.cols) == (y.rows, y.cols) && self.cost[a] + self.cost[b] <= MAX_BODY;
        fits && joined(self.graph, &x.kind, &y.kind).is_some()
            && !self.behind(&self.outside(a, b)).contains(b)
            && !self.behind(&self.outside(b, a)).contains(a)
    }

    /// What kernel `g` reads other than by the element from `g` or `other`.
    fn outside(&self, g: usize, other: usize) -> Vec<Value> {
        let mut reads = Vec::new();
        for value in self.kernels[g].values() {
            let by_element = match self.graph.node(value).op.kind() {
                Kind::Elementwise(_) | Kind::Reduction { .. } | Kind::Fold { .. } => true,
                Kind::Indexed(_) => false,
                Kind::Contraction | Kind::Movement(_) | Kind::Noise(_) | Kind::Literal(_) | Kind::Input(_) => false,
            };
            for &arg in &self.graph.node(value).args {
                let internal = by_element && self.joinable(arg).is_some_and(|h| h == g || h == other);
                if !internal && self.group_of[arg.index()] != Some(g) {
                    reads.push(arg);
                }
            }
        }
        reads
    }

    /// Makes one kernel of two.
    pub(super) fn merge(&mut self, into: usize, from: usize) {
        let kernel = std::mem::take(&mut self.kernels[from]);
        for value in kernel.values() {
            self.group_of[value.index()] = Some(into);
        }
        let target = &mut self.kernels[into];
        target.kind = joined(self.graph, &target.kind, &kernel.kind).expect("they may merge");
        target.body.extend(kernel.body);
        self.cost[into] += std::mem::take(&mut self.cost[from]);
        let mut waits_for = std::mem::take(&mut self.ancestors[from]);
        for (kernel, set) in self.ancestors.iter_mut().enumerate().filter(|(_, set)| set.contains(from)) {
            set.remove(from);
            if kernel != into {
                set.grow_and_insert(into);
            }
        }
        waits_for.union_with(&self.ancestors[into]);
        self.depend(into, waits_for);
        // Numbers at the end are free again: mostly young kernels are merged into old ones.
        while self.kernels.last().is_some_and(|kernel| kernel.rows == 0) {
            self.kernels.pop();
            self.cost.pop();
            self.ancestors.pop();
        }
    }
}

/// What two kernels are as one, if they can be.
fn joined(graph: &Graph, one: &KernelKind, other: &KernelKind) -> Option<KernelKind> {
    let both = |one: &[Value], other: &[Value]| {
        let mut both = [one, other].concat();
        both.sort_unstable();
        both
    };
    match (one, other) {
        (KernelKind::Products(p), KernelKind::Products(q)) => {
            let fit = p.len() + q.len() <= MAX_DOTS && batch(graph, p[0]) == batch(graph, q[0]);
            fit.then(|| KernelKind::Products(both(p, q)))
        }
        (KernelKind::Products(products), KernelKind::Rows(reductions))
        | (KernelKind::Rows(reductions), KernelKind::Products(products)) => {
            reductions.is_empty().then(|| KernelKind::Products(products.clone()))
        }
        (KernelKind::Rows(p), KernelKind::Rows(q)) => Some(KernelKind::Rows(both(p, q))),
        (KernelKind::Column(_) | KernelKind::Fold(_) | KernelKind::Indexed(_) | KernelKind::Copy(_), _)
        | (_, KernelKind::Column(_) | KernelKind::Fold(_) | KernelKind::Indexed(_) | KernelKind::Copy(_)) => None,
    }
}

/// The leading axes of a contraction, over which it is a separate product.
fn batch(graph: &Graph, dot: Value) -> Shape {
    let shape = &graph.ty(dot).shape;
    Shape::new(&shape[..shape.len() - 2])
}
