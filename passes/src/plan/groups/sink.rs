//! Values computed where they are read instead of where their operands are, if that takes less memory traffic.

use super::{Former, KernelKind, behind_views};
use bayeslift_ir::{Kind, Literal, Value};
use std::collections::BTreeSet;

/// The most operations that move together.
const MAX_CONE: usize = 12;
/// Memory accesses of a value that is stored in one kernel and read in another.
const STORED: usize = 2;

impl Former<'_> {
    /// Moves cheap elementwise values to the one kernel that reads them, with what they are made of: such as the mask
    /// of an activation, which follows from the activation, or the gradient of an exact divergence, which follows from
    /// a scale. What others need too is computed twice. Users come first, so that chains move as far as they can.
    pub(super) fn sink(&mut self, uses: &[Vec<Option<Value>>]) {
        // computed in two kernels: what these read must stay in memory
        let mut copied: BTreeSet<Value> = BTreeSet::new();
        for value in self.graph.values().rev().filter(|v| self.stored[v.index()]).collect::<Vec<_>>() {
            if uses[value.index()].iter().flatten().any(|user| copied.contains(user)) {
                continue;
            }
            let Some((from, to)) = self.only_reader(value, uses) else { continue };
            let Some(cone) = self.cone(value, from) else { continue };
            let before = self.sources_of(&self.kernels[to].body);
            let new: Vec<Value> = self.sources_of(&cone).difference(&before).copied().collect();
            let input = |v: &Value| if let Kind::Input(i) = self.graph.node(*v).op.kind() { Some(i) } else { None };
            let is_donated = |v: &Value| input(v).is_some_and(|i| self.graph.is_donated(i));
            if new.len() >= STORED || new.iter().any(is_donated) {
                continue;
            }
            self.stored[value.index()] = false;
            // users before operands: what a value that stays reads stays too
            for &node in cone.iter().rev() {
                let moves =
                    |user: &Option<Value>| user.is_some_and(|user| cone.contains(&user) && !copied.contains(&user));
                if node == value || uses[node.index()].iter().all(moves) {
                    self.group_of[node.index()] = Some(to);
                    self.kernels[from].body.remove(&node);
                } else {
                    copied.insert(node);
                }
                self.kernels[to].body.insert(node);
            }
        }
    }

    /// The kernel of a cheap elementwise value, and the only one that reads it, if that does so by the element.
    fn only_reader(&self, value: Value, uses: &[Vec<Option<Value>>]) -> Option<(usize, usize)> {
        let from = self.group_of[value.index()].filter(|_| self.is_cheap(value))?;
        let reader = |user: &Option<Value>| {
            let user = user.filter(|user| self.graph.node(*user).op.is_elementwise())?;
            self.group_of[user.index()].filter(|&g| self.kernels[g].body.contains(&user))
        };
        let readers: Option<BTreeSet<usize>> = uses[value.index()].iter().map(reader).collect();
        let to = readers.filter(|readers| readers.len() == 1)?.pop_first().filter(|&to| to != from)?;
        let space = |g: usize| (self.kernels[g].rows, self.kernels[g].cols);
        let reads_in_place = matches!(self.kernels[to].kind, KernelKind::Products(_) | KernelKind::Rows(_));
        (space(from) == space(to) && reads_in_place && self.is_like(value, to)).then_some((from, to))
    }

    fn is_cheap(&self, value: Value) -> bool {
        self.graph.node(value).op.is_elementwise() && self.cost_of(value) == 1
    }

    /// `value` and what its kernel computes for it, if that is little and the rest of what they read lies in memory.
    fn cone(&self, value: Value, from: usize) -> Option<BTreeSet<Value>> {
        let mut cone = BTreeSet::from([value]);
        let mut stack = vec![value];
        while let Some(value) = stack.pop() {
            for &arg in &self.graph.node(value).args {
                if cone.contains(&arg) || self.is_at_hand(arg) {
                    continue;
                }
                let is_little = self.group_of[arg.index()] == Some(from) && self.is_cheap(arg) && cone.len() < MAX_CONE;
                if !is_little {
                    return None;
                }
                cone.insert(arg);
                stack.push(arg);
            }
        }
        Some(cone)
    }

    /// Whether a value can be read, or made, in any kernel.
    fn is_at_hand(&self, value: Value) -> bool {
        let (source, _) = behind_views(self.graph, value, |v| self.in_memory(v));
        let is_scalar = |value: Value| {
            matches!(
                self.graph.node(value).op.kind(),
                Kind::Literal(Literal::Float(_) | Literal::Double(_) | Literal::Word(_))
            )
        };
        self.in_memory(source) || is_scalar(source)
    }

    /// What elementwise values read from memory that is as large as they are.
    fn sources_of(&self, body: &BTreeSet<Value>) -> BTreeSet<Value> {
        let elements = |v: Value| self.graph.ty(v).shape.elements();
        let args =
            body.iter().flat_map(|&node| self.graph.node(node).args.iter().map(move |&arg| (arg, elements(node))));
        let sources = args.map(|(arg, size)| (behind_views(self.graph, arg, |v| self.in_memory(v)).0, size));
        sources.filter(|&(source, size)| self.in_memory(source) && elements(source) == size).map(|(v, _)| v).collect()
    }
}
