//! Two graphs in the place of one: what depends on inputs that are known early, and the rest.

use crate::rebuild::Rebuild;
use bayeslift_ir::{DType, Error, Graph, Input, Op, Value};

/// A graph cut in two. Running `first`, then `second` with what that gave, gives what the graph gives, to the bit.
#[derive(Clone, Debug)]
pub struct Stages {
    /// Computes what `second` needs and early inputs determine: its outputs. Takes all early inputs.
    pub first: Graph,
    /// Takes the outputs of `first`, in order, then early inputs that it reads itself, then all late inputs.
    pub second: Graph,
    /// The indices, among the inputs of the whole graph, of the early inputs that `second` takes.
    pub kept: Vec<usize>,
}

/// Cuts a graph between what depends on nothing but inputs that are `early`, and the rest. An input that an output
/// updates is never early.
///
/// # Errors
/// Those of building a graph; none for a graph that verifies.
pub fn stage(graph: &Graph, early: impl Fn(&Input) -> bool) -> Result<Stages, Error> {
    let is_early_input: Vec<bool> =
        graph.inputs().iter().enumerate().map(|(i, input)| early(input) && !graph.is_donated(i)).collect();
    let when = moments(graph, &is_early_input);
    let needed = needed(graph, &when);

    let mut first = Rebuild::new(graph);
    for (input, _) in graph.inputs().iter().zip(&is_early_input).filter(|(_, early)| **early) {
        first.input(&input.name, input.value)?;
    }
    let mut second = Rebuild::new(graph);
    let computed = |v: &Value| needed[v.index()] && !matches!(graph.node(*v).op, Op::Input(_));
    for value in graph.values().filter(computed) {
        let name = format!("early {value}");
        let result = first.copy_with_operands(value)?;
        first.graph.output(&name, result)?;
        second.input(&name, value)?;
    }
    let kept = graph.inputs().iter().enumerate().filter(|(i, input)| is_early_input[*i] && needed[input.value.index()]);
    let kept: Vec<usize> = kept.map(|(i, _)| i).collect();
    let late = (0..graph.inputs().len()).filter(|&i| !is_early_input[i]);
    for input in kept.iter().copied().chain(late).map(|i| &graph.inputs()[i]) {
        second.input(&input.name, input.value)?;
    }
    for output in graph.outputs() {
        let value = second.copy_with_operands(output.value)?;
        second.output(output, value)?;
    }
    Ok(Stages { first: first.graph, second: second.graph, kept })
}

/// When a value is known.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Moment {
    /// It is made of constants.
    Always,
    Early,
    Late,
}

fn moments(graph: &Graph, is_early_input: &[bool]) -> Vec<Moment> {
    let mut when: Vec<Moment> = Vec::with_capacity(graph.nodes().len());
    for node in graph.nodes() {
        when.push(match node.op {
            Op::Input(i) if is_early_input[i as usize] => Moment::Early,
            Op::Input(_) => Moment::Late,
            _ => node.args.iter().map(|arg| when[arg.index()]).max().unwrap_or(Moment::Always),
        });
    }
    when
}

/// The early values that late ones or outputs read. Of one that only moves data its source is needed, which is smaller;
/// of a truth value what it is made of, since callers have none.
fn needed(graph: &Graph, when: &[Moment]) -> Vec<bool> {
    let mut needed = vec![false; graph.nodes().len()];
    let live = graph.live();
    let late = graph.values().filter(|v| live[v.index()] && when[v.index()] == Moment::Late);
    let read = late.flat_map(|v| graph.node(v).args.iter().copied()).chain(graph.outputs().iter().map(|o| o.value));
    let mut stack: Vec<Value> = read.collect();
    while let Some(value) = stack.pop() {
        let node = graph.node(value);
        if when[value.index()] == Moment::Early && !needed[value.index()] {
            if node.op.is_movement() || node.ty.dtype == DType::Mask && !node.args.is_empty() {
                stack.extend(&node.args);
            } else {
                needed[value.index()] = true;
            }
        }
    }
    needed
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simplify;
    use bayeslift_ir::{
        Tensor,
        arbitrary::{config, graph_and_inputs},
        evaluate, same_bits,
    };
    use proptest::prelude::*;

    #[test]
    fn what_parameters_determine_is_computed_first() {
        let text = "graph {\n  %0 = input \"scale\" : f32[3]\n  %1 = input \"x\" : f32[2,3]\n  %2 = softplus %0 : f32[3]\n  \
                    %3 = broadcast %2 : f32[2,3]\n  %4 = mul %1 %3 : f32[2,3]\n  output \"y\" = %4\n}\n";
        let stages = stage(&text.parse().unwrap(), |input| input.name == "scale").unwrap();
        assert_eq!((stages.first.outputs().len(), stages.kept), (1, vec![]));
        assert!(stages.first.to_string().contains("softplus"));
        assert!(!stages.second.to_string().contains("softplus"));
    }

    proptest! {
        #![proptest_config(config(256))]
        /// Whatever the cut, both stages together give the bits of the whole.
        #[test]
        fn stages_give_the_same_bits((graph, inputs) in graph_and_inputs(), choice in any::<u64>()) {
            let is_early = |i: usize| choice >> (i % 64) & 1 == 1;
            let index = |input: &Input| graph.inputs().iter().position(|other| other.name == input.name).unwrap();
            let stages = stage(&graph, |input| is_early(index(input))).unwrap();
            let of = |names: &Graph, given: &[Tensor]| -> Vec<Tensor> {
                let rest = names.inputs()[given.len()..].iter().map(|input| inputs[index(input)].clone());
                given.iter().cloned().chain(rest).collect()
            };
            let first = evaluate(&stages.first, &of(&stages.first, &[])).unwrap();
            let second = evaluate(&stages.second, &of(&stages.second, &first)).unwrap();
            for (got, want) in second.iter().zip(evaluate(&graph, &inputs).unwrap()) {
                prop_assert_eq!(same_bits(got, &want), Ok(()));
            }
        }

        /// Both stages of a graph that is simple are simple.
        #[test]
        fn stages_stay_simple((graph, _) in graph_and_inputs(), choice in any::<u64>()) {
            let graph = simplify(&graph).unwrap();
            let is_early = |input: &Input| {
                let index = graph.inputs().iter().position(|other| other.name == input.name);
                choice >> (index.unwrap() % 64) & 1 == 1
            };
            let Stages { first, second, .. } = stage(&graph, is_early).unwrap();
            for stage in [first, second] {
                prop_assert_eq!(simplify(&stage).unwrap().to_string(), stage.to_string());
            }
        }
    }
}
