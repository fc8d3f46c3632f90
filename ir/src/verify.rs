//! The verifier: whether a graph is what every pass relies on.
//!
//! [`Graph`]'s methods keep most of this by construction; the verifier shares nothing with them but the type rule, so
//! that a fault in either shows. Stream collisions are the one fault that graphs built by users can have.

use crate::{Error, Graph, Input, Node, Noise, Op, Output, infer};
use std::collections::{HashMap, HashSet};

/// `Ok` if `graph` is well-formed: operands come first, types follow the type rule, equal nodes are one, inputs and
/// outputs fit their nodes, and no two noise sites share a stream.
///
/// # Errors
/// [`Error::StreamCollision`] for two noise nodes with one stream; [`Error::DuplicateName`]; the type rule's errors
/// in the scope of the node, such as `%3 = dot`; [`Error::Malformed`] for everything else.
///
/// ```
/// use bayeslift_ir::{Error, Graph, verify};
/// let graph: Graph = r#"graph {
///     %0 = input "key" : u32[4]
///     %1 = input "sample" : u32[]
///     %2 = input "row" : u32[2]
///     %3 = noise normal stream=0x0000000000000001 %0 %1 %2 : f32[8]
///     %4 = noise normal stream=0x0000000000000001 %0 %1 %2 : f32[9]
/// }"#.parse()?;
/// assert_eq!(verify(&graph), Err(Error::StreamCollision { stream: 1 }));
/// # Ok::<(), bayeslift_ir::Error>(())
/// ```
pub fn verify(graph: &Graph) -> Result<(), Error> {
    let parts = Parts { nodes: graph.nodes(), inputs: graph.inputs(), outputs: graph.outputs() };
    parts.verify()
}

/// What a graph consists of; unlike a graph, tests can make one that is malformed.
#[derive(Clone, Copy)]
struct Parts<'a> {
    nodes: &'a [Node],
    inputs: &'a [Input],
    outputs: &'a [Output],
}

impl Parts<'_> {
    fn verify(self) -> Result<(), Error> {
        let mut distinct = HashSet::new();
        let mut streams = HashMap::new();
        for (index, node) in self.nodes.iter().enumerate() {
            let here = |error: Error| error.within(&format!("%{index} = {}", node.op.name()));
            self.node(index, node).map_err(here)?;
            if !distinct.insert((&node.op, &node.args)) {
                return Err(here(malformed("equals an earlier node".into())));
            }
            if let Op::Noise(Noise { stream, .. }) = node.op
                && streams.insert(stream, index).is_some()
            {
                return Err(Error::StreamCollision { stream });
            }
        }
        self.check_inputs()?;
        self.check_outputs()
    }

    fn node(self, index: usize, node: &Node) -> Result<(), Error> {
        if let Some(arg) = node.args.iter().find(|arg| arg.index() >= index) {
            return Err(malformed(format!("the operand {arg} is not defined before its user")));
        }
        match node.op {
            Op::Input(input) => {
                let entry = self.inputs.get(input as usize);
                if entry.is_none_or(|entry| entry.value.index() != index) {
                    return Err(malformed(format!("input number {input} is not this node")));
                }
                if !node.args.is_empty() {
                    return Err(malformed("an input has no operands".into()));
                }
                return node.ty.check();
            }
            Op::Constant(bits) if f32::from_bits(bits).is_nan() && bits != f32::NAN.to_bits() => {
                return Err(malformed(format!("the not-a-number {bits:#010x} is not the canonical one")));
            }
            Op::ConstantF64(bits) if f64::from_bits(bits).is_nan() && bits != f64::NAN.to_bits() => {
                return Err(malformed(format!("the not-a-number {bits:#018x} is not the canonical one")));
            }
            _ => {}
        }
        let types: Vec<_> = node.args.iter().map(|arg| &self.nodes[arg.index()].ty).collect();
        let inferred = infer::result_type(&node.op, &types)?;
        if inferred == node.ty {
            return Ok(());
        }
        Err(malformed(format!("has the type {}, but its operands give {inferred}", node.ty)))
    }

    fn check_inputs(self) -> Result<(), Error> {
        let mut names = HashSet::new();
        for (index, input) in self.inputs.iter().enumerate() {
            if !names.insert(&input.name) {
                return Err(Error::DuplicateName { what: "inputs", name: input.name.clone() });
            }
            let op = self.nodes.get(input.value.index()).map(|node| &node.op);
            if op != Some(&Op::Input(index as u32)) {
                return Err(malformed(format!("the input `{}` is not the node {}", input.name, input.value)));
            }
        }
        Ok(())
    }

    fn check_outputs(self) -> Result<(), Error> {
        let (mut names, mut donated) = (HashSet::new(), HashSet::new());
        for Output { name, value, updates } in self.outputs {
            if !names.insert(name) {
                return Err(Error::DuplicateName { what: "outputs", name: name.clone() });
            }
            let Some(node) = self.nodes.get(value.index()) else {
                return Err(malformed(format!("the output `{name}` reports {value}, which does not exist")));
            };
            let Some(index) = *updates else { continue };
            let Some(input) = self.inputs.get(index) else {
                return Err(malformed(format!(
                    "the output `{name}` updates input number {index}, which does not exist"
                )));
            };
            if !donated.insert(index) {
                return Err(malformed(format!("two outputs update the input `{}`", input.name)));
            }
            let expected = &self.nodes[input.value.index()].ty;
            if node.ty != *expected {
                let found = &node.ty;
                return Err(malformed(format!(
                    "the output `{name}` of type {found} updates an input of type {expected}"
                )));
            }
        }
        Ok(())
    }
}

fn malformed(message: String) -> Error {
    Error::Malformed(message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Builder, DType, NoiseAddress, NoiseDistribution, Shape, Type, Unary, Value};

    /// The parts of a graph, to be broken.
    struct Broken {
        nodes: Vec<Node>,
        inputs: Vec<Input>,
        outputs: Vec<Output>,
    }

    /// `%0 = x, %1 = y, %2 = 1.5, %3 = broadcast %2, %4 = x * %3, %5 = exp %4`; `%5` updates `x`.
    fn sample() -> Graph {
        let b = Builder::new();
        let (x, y) = (b.input("x", Type::f32([2, 3])), b.input("y", Type::f32([3])));
        let result = (x * 1.5).exp();
        b.output_updating("x'", result, x);
        b.output("y'", y);
        b.finish().unwrap()
    }

    /// The message for `sample` broken by `mutate`, which also receives a value beyond the graph.
    #[track_caller]
    fn check(mutate: impl FnOnce(&mut Broken, Value), message: &str) {
        let graph = sample();
        let mut larger = graph.clone();
        for _ in 0..3 {
            let last = larger.values().next_back().unwrap();
            larger.push(Op::Unary(Unary::Abs), &[last]).unwrap();
        }
        let mut broken = Broken {
            nodes: graph.nodes().to_vec(),
            inputs: graph.inputs().to_vec(),
            outputs: graph.outputs().to_vec(),
        };
        mutate(&mut broken, larger.values().next_back().unwrap());
        let parts = Parts { nodes: &broken.nodes, inputs: &broken.inputs, outputs: &broken.outputs };
        assert_eq!(parts.verify().unwrap_err().to_string(), message);
    }

    #[test]
    fn accepts_what_builders_make() {
        assert_eq!(verify(&sample()), Ok(()));
        assert_eq!(verify(&Graph::new()), Ok(()));
    }

    #[test]
    fn rejects_broken_nodes() {
        check(
            |g, beyond| g.nodes[5].args[0] = beyond,
            "in `%5 = exp`: malformed graph: the operand %8 is not defined before its user",
        );
        check(
            |g, _| g.nodes.swap(4, 5),
            "in `%4 = exp`: malformed graph: the operand %4 is not defined before its user",
        );
        check(
            |g, _| g.nodes[5].ty = Type::f32([3, 2]),
            "in `%5 = exp`: malformed graph: has the type f32[3,2], but its operands give f32[2,3]",
        );
        check(|g, _| g.nodes[4].args.truncate(1), "in `%4 = mul`: mul: 1 operands, expected 2");
        check(
            |g, _| g.nodes[3].op = Op::Broadcast(Shape::new(&[2, 0])),
            "in `%3 = broadcast`: shape [2,0] has extent 0 on axis 1; every extent must be at least 1",
        );
        check(
            |g, _| g.nodes[2].op = Op::Constant(0x7fc0_0001),
            "in `%2 = constant`: malformed graph: the not-a-number 0x7fc00001 is not the canonical one",
        );
        check(
            |g, _| g.nodes[2].op = Op::ConstantF64(0x7ff8_0000_0000_0001),
            "in `%2 = constant`: malformed graph: the not-a-number 0x7ff8000000000001 is not the canonical one",
        );
        check(|g, _| g.nodes.push(g.nodes[5].clone()), "in `%6 = exp`: malformed graph: equals an earlier node");
    }

    #[test]
    fn rejects_broken_inputs() {
        check(|g, _| g.inputs.truncate(1), "in `%1 = input`: malformed graph: input number 1 is not this node");
        check(|g, _| g.nodes[1].op = Op::Input(0), "in `%1 = input`: malformed graph: input number 0 is not this node");
        check(|g, _| g.inputs[1].name = "x".into(), "the name `x` is used twice among the inputs");
        check(
            |g, beyond| g.inputs.push(Input { name: "z".into(), value: beyond }),
            "malformed graph: the input `z` is not the node %8",
        );
        check(
            |g, _| g.nodes[1].ty = Type::f32([0]),
            "in `%1 = input`: shape [0] has extent 0 on axis 0; every extent must be at least 1",
        );
        check(
            |g, _| {
                let arg = g.inputs[0].value;
                g.nodes[1].args.push(arg);
            },
            "in `%1 = input`: malformed graph: an input has no operands",
        );
    }

    #[test]
    fn rejects_broken_outputs() {
        check(
            |g, beyond| g.outputs[0].value = beyond,
            "malformed graph: the output `x'` reports %8, which does not exist",
        );
        check(|g, _| g.outputs[1].name = "x'".into(), "the name `x'` is used twice among the outputs");
        check(
            |g, _| g.outputs[0].updates = Some(2),
            "malformed graph: the output `x'` updates input number 2, which does not exist",
        );
        check(
            |g, _| g.outputs[0].updates = Some(1),
            "malformed graph: the output `x'` of type f32[2,3] updates an input of type f32[3]",
        );
        check(
            |g, _| {
                let again = Output { name: "again".into(), ..g.outputs[0].clone() };
                g.outputs.push(again);
            },
            "malformed graph: two outputs update the input `x`",
        );
    }

    #[test]
    fn rejects_two_sites_with_one_stream() {
        let b = Builder::new();
        let key = b.input("key", Type::u32([4]));
        let (first_sample, first_row) = (b.input("sample", Type::u32([])), b.input("row", Type::u32([2])));
        let address = NoiseAddress { key, first_sample, first_row };
        let draw = |distribution, stream, units| {
            let shape = Shape::new(&[units]);
            b.noise(
                Noise { distribution, dtype: DType::F32, stream, sample_axis: None, example_axis: None, shape },
                address,
            )
        };
        draw(NoiseDistribution::Normal, 1, 5);
        draw(NoiseDistribution::Normal, 1, 5);
        draw(NoiseDistribution::Normal, 2, 5);
        assert_eq!(verify(&b.graph()), Ok(()));
        draw(NoiseDistribution::Uniform, 2, 5);
        assert_eq!(verify(&b.graph()), Err(Error::StreamCollision { stream: 2 }));
    }
}
