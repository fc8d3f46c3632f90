//! Random terms of a pattern, as graphs and as e-graphs.

use super::super::{
    fact::{EGraph, Facts},
    rules::When,
    template::Template,
    term::{Head, Term, last_two_exchanged},
};
use bayeslift_ir::{Args, Graph, Op, Shape, Tensor, Type, Unary, Value};
use egg::{ENodeOrVar, Id, Language, Var};
use std::collections::HashMap;

/// Extents around one vector, and one.
const EXTENTS: [usize; 4] = [1, 7, 16, 33];
pub const SPECIAL: [f32; 12] = [
    0.0,
    -0.0,
    1e-45,
    -1e-40,
    f32::MIN_POSITIVE,
    f32::INFINITY,
    f32::NEG_INFINITY,
    f32::NAN,
    f32::MAX,
    -1e30,
    1.0,
    -2.0,
];

/// SplitMix64.
pub struct Random(pub u64);

impl Random {
    pub fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let x = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }

    pub fn below(&mut self, limit: usize) -> usize {
        (self.word() % limit as u64) as usize
    }

    pub fn choose<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    /// Numbers of moderate size and both signs; in the presence of `specials` a third are those.
    pub fn tensor(&mut self, ty: &Type, specials: bool) -> Tensor {
        let mut element = || match specials && self.below(3) == 0 {
            true => self.choose(&SPECIAL),
            false => (self.below(1 << 24) as f32 + 0.5) / (1 << 21) as f32 - 4.0,
        };
        Tensor::f32(ty.shape.clone(), (0..ty.shape.elements()).map(|_| element()).collect::<Vec<_>>()).unwrap()
    }
}

/// Terms under construction: a graph, and the variables that patterns share.
pub struct Instance {
    pub graph: Graph,
    variables: HashMap<Var, Value>,
    extents: [usize; 2],
    rank: usize,
}

impl Instance {
    pub fn new(random: &mut Random) -> Instance {
        let extents = [random.choose(&EXTENTS), random.choose(&EXTENTS)];
        Instance { graph: Graph::new(), variables: HashMap::new(), extents, rank: random.choose(&[2, 2, 3]) }
    }

    /// Adds a term of random types; `None` if they do not fit.
    pub fn term(&mut self, template: &Template, when: &[When], random: &mut Random) -> Option<Value> {
        let mut made: Vec<Value> = Vec::new();
        for node in template.0.ast.as_ref() {
            let value = match node {
                ENodeOrVar::Var(var) => self.variable(*var, when, random)?,
                ENodeOrVar::ENode(term) => {
                    let args: Args = term.args.iter().map(|&arg| made[usize::from(arg)]).collect();
                    let op = self.with_attributes(term.primitive()?.clone(), &args, random);
                    self.graph.push(op, &args).ok()?
                }
            };
            made.push(value);
        }
        made.pop()
    }

    fn shape(&self, random: &mut Random) -> Shape {
        (0..self.rank).map(|_| random.choose(&self.extents)).collect()
    }

    fn variable(&mut self, var: Var, when: &[When], random: &mut Random) -> Option<Value> {
        if let Some(&value) = self.variables.get(&var) {
            return Some(value);
        }
        let shape = self.shape(random);
        let when = when.iter().find(|when| when.variable() == var.to_string());
        let constant = match when {
            Some(When::Zero(_)) => Some(0.0),
            Some(When::Two(_)) => Some(2.0),
            Some(When::PowerOfTwo(_)) => {
                Some(random.choose(&[0.5, 2.0, -4.0, 1024.0, f32::MIN_POSITIVE, 1.7014118e38]))
            }
            Some(When::Divisor(_)) => Some(random.choose(&[1.0, 3.0, -10.0, 784.0, 1e30])),
            Some(When::NonNegative(_)) | None => None,
        };
        let value = match constant {
            Some(x) => {
                let scalar = self.graph.push(Op::Constant(x.to_bits()), &[]).ok()?;
                self.graph.push(Op::Broadcast(shape), &[scalar]).ok()?
            }
            None => self.graph.input(&var.to_string(), Type::f32(shape)).ok()?,
        };
        let value = match when {
            Some(When::NonNegative(_)) => self.graph.push(Op::Unary(Unary::Abs), &[value]).ok()?,
            _ => value,
        };
        self.variables.insert(var, value);
        Some(value)
    }

    /// What a pattern leaves open is chosen.
    fn with_attributes(&self, op: Op, args: &[Value], random: &mut Random) -> Op {
        let shape = |i: usize| &self.graph.ty(args[i]).shape;
        match op {
            Op::Transpose(axes) if axes.is_empty() => Op::Transpose(last_two_exchanged(shape(0).len())),
            Op::Transpose(_) => {
                let mut axes: Vec<u8> = (0..shape(0).len() as u8).collect();
                let turn = random.below(axes.len());
                axes.rotate_left(turn);
                axes.swap(0, random.below(shape(0).len()));
                Op::Transpose(axes.into_iter().collect())
            }
            Op::Broadcast(_) => {
                let extent = |&extent: &usize| if extent == 1 { self.extents[0] } else { extent };
                Op::Broadcast(std::iter::once(self.extents[1]).chain(shape(0).iter().map(extent)).collect())
            }
            Op::Reshape(_) => match random.below(2) {
                0 => Op::Reshape(Shape::new(&[shape(0).rows(), shape(0).last_extent()])),
                _ => Op::Reshape(shape(0).iter().rev().copied().collect()),
            },
            op => op,
        }
    }
}

/// The e-graph of a graph of primitive operations; inputs are the leaves. Also the class of every value.
pub fn egraph_of(graph: &Graph) -> (EGraph, Vec<Id>) {
    let is_leaf = |op: &Op| matches!(op, Op::Input(_) | Op::Noise(_));
    let leaves = graph.nodes().iter().filter(|node| is_leaf(&node.op));
    let mut egraph = EGraph::new(Facts { slots: leaves.map(|node| node.ty.clone()).collect() });
    let (mut ids, mut slots) = (Vec::new(), 0..);
    for node in graph.nodes() {
        let args = node.args.iter().map(|arg| ids[arg.index()]);
        let term = match is_leaf(&node.op) {
            true => Term::new(Head::Slot(slots.next().unwrap()), []),
            false => Term::new(Head::Op(node.op.clone()), args),
        };
        ids.push(egraph.add(term));
    }
    egraph.rebuild();
    (egraph, ids)
}

/// The inputs of a graph, and as its output `y` a term of an e-graph whose leaves those are.
pub fn graph_of(inputs: &Graph, egraph: &EGraph, term: &Term) -> Graph {
    let mut graph = Graph::new();
    inputs.inputs().iter().for_each(|input| {
        graph.input(&input.name, inputs.ty(input.value).clone()).unwrap();
    });
    let smallest = egg::Extractor::new(egraph, egg::AstSize);
    let mut terms = Vec::new();
    term.for_each(|arg| terms.push(smallest.find_best(arg).1));
    let args: Vec<Value> = terms.iter().map(|terms| push_all(&mut graph, terms.as_ref())).collect();
    let value = push(&mut graph, term, &args);
    graph.output("y", value).unwrap();
    graph
}

fn push_all(graph: &mut Graph, terms: &[Term]) -> Value {
    let mut values = Vec::new();
    for term in terms {
        let args: Vec<Value> = term.args.iter().map(|&arg| values[usize::from(arg)]).collect();
        values.push(push(graph, term, &args));
    }
    *values.last().unwrap()
}

fn push(graph: &mut Graph, term: &Term, args: &[Value]) -> Value {
    match &term.head {
        Head::Slot(slot) => graph.inputs()[*slot as usize].value,
        Head::Op(op) => graph.push(op.clone(), args).unwrap(),
        head => panic!("{head:?} is no operation of a graph"),
    }
}
