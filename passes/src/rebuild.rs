//! A graph made of another one's nodes: the one way in which passes copy what they do not change.

use bayeslift_ir::{Args, Error, Graph, Op, Origin, Output, Value};

/// The same inputs, then of each live node what `becomes` of it, in order, then the same outputs. Operands come before
/// users, so what has become of them is known.
pub(crate) fn rebuild<'g>(
    graph: &'g Graph,
    mut becomes: impl FnMut(&mut Rebuild<'g>, Value) -> Result<Value, Error>,
) -> Result<Graph, Error> {
    let mut to = Rebuild::with_inputs(graph)?;
    let live = graph.live();
    for value in graph.values().filter(|v| live[v.index()] && !matches!(graph.node(*v).op, Op::Input(_))) {
        to.set_origin_of(value);
        let new = becomes(&mut to, value)?;
        to.set(value, new);
    }
    to.finish()
}

/// A graph under construction, and what has become of each value of the one that it is made from.
pub(crate) struct Rebuild<'g> {
    from: &'g Graph,
    pub graph: Graph,
    made: Vec<Option<Value>>,
}

impl<'g> Rebuild<'g> {
    /// With nothing in it.
    pub fn new(from: &'g Graph) -> Rebuild<'g> {
        Rebuild { from, graph: Graph::new(), made: vec![None; from.nodes().len()] }
    }

    /// With all inputs, in order.
    pub fn with_inputs(from: &'g Graph) -> Result<Rebuild<'g>, Error> {
        let mut to = Rebuild::new(from);
        from.inputs().iter().try_for_each(|input| to.input(&input.name, input.value).map(drop))?;
        Ok(to)
    }

    /// A value of any kind becomes an input.
    pub fn input(&mut self, name: &str, value: Value) -> Result<Value, Error> {
        self.set_origin_of(value);
        let new = self.graph.input(name, self.from.ty(value).clone())?;
        self.set(value, new);
        Ok(new)
    }

    /// A node stays as it was.
    pub fn copy(&mut self, value: Value) -> Result<Value, Error> {
        let node = self.from.node(value);
        if let Op::Input(i) = node.op {
            return self.input(&self.from.inputs()[i as usize].name, value);
        }
        self.set_origin_of(value);
        let new = self.graph.push(node.op.clone(), &self.operands(value))?;
        self.set(value, new);
        Ok(new)
    }

    /// A node stays as it was, and so does what it is made of, as far as that has become nothing yet.
    pub fn copy_with_operands(&mut self, value: Value) -> Result<Value, Error> {
        let mut stack = vec![value];
        while let Some(top) = stack.pop() {
            let missing = |value: &Value| self.made[value.index()].is_none();
            if !missing(&top) {
                continue;
            }
            let operands: Args = self.from.node(top).args.iter().copied().filter(missing).collect();
            if operands.is_empty() {
                self.copy(top)?;
            } else {
                stack.push(top);
                stack.extend(operands);
            }
        }
        Ok(self.of(value))
    }

    /// From now on nodes come from where a value does; until now they came from what this gives.
    pub fn set_origin_of(&mut self, value: Value) -> Origin {
        self.graph.set_origin(self.from.origin(value).clone())
    }

    /// A value becomes this one.
    pub fn set(&mut self, value: Value, new: Value) {
        self.made[value.index()] = Some(new);
    }

    /// What has become of a value.
    pub fn of(&self, value: Value) -> Value {
        self.made[value.index()].expect("operands come first, and outputs are live")
    }

    /// What has become of a node's operands.
    pub fn operands(&self, value: Value) -> Args {
        self.from.node(value).args.iter().map(|&arg| self.of(arg)).collect()
    }

    /// An output reports this value, and updates what has become of the input that it updated.
    pub fn output(&mut self, output: &Output, value: Value) -> Result<(), Error> {
        match output.updates {
            None => self.graph.output(&output.name, value),
            Some(input) => self.graph.output_updating(&output.name, value, self.of(self.from.inputs()[input].value)),
        }
    }

    /// The graph, in which all outputs report what has become of their values.
    pub fn finish(mut self) -> Result<Graph, Error> {
        self.from.outputs().iter().try_for_each(|output| self.output(output, self.of(output.value)))?;
        Ok(self.graph)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bayeslift_ir::{
        Type, Unary,
        arbitrary::{config, graph_and_inputs},
        evaluate, same_bits, verify,
    };
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(config(256))]

        /// Dead nodes go, nothing else does, and a graph that was rebuilt stays as it is.
        #[test]
        fn what_is_copied_stays((graph, inputs) in graph_and_inputs()) {
            let copy = rebuild(&graph, Rebuild::copy).unwrap();
            prop_assert_eq!(verify(&copy), Ok(()));
            let live = graph.live().into_iter().zip(graph.nodes());
            let count = live.filter(|(live, node)| *live || matches!(node.op, Op::Input(_))).count();
            prop_assert_eq!(copy.nodes().len(), count);
            let updates = |graph: &Graph| graph.outputs().iter().map(|output| output.updates).collect::<Vec<_>>();
            prop_assert_eq!(updates(&copy), updates(&graph));
            for (found, want) in evaluate(&copy, &inputs).unwrap().iter().zip(evaluate(&graph, &inputs).unwrap()) {
                prop_assert_eq!(same_bits(found, &want), Ok(()));
            }
            prop_assert_eq!(rebuild(&copy, Rebuild::copy).unwrap(), copy);
        }
    }

    /// `a`, `b`, `sum = a + b`, `root = sqrt sum`; `root` updates `b`.
    fn graph() -> (Graph, [Value; 4]) {
        let mut graph = Graph::new();
        let [a, b] = ["a", "b"].map(|name| graph.input(name, Type::f32([3])).unwrap());
        let sum = graph.push(Op::Binary(bayeslift_ir::Binary::Add), &[a, b]).unwrap();
        let root = graph.push(Op::Unary(Unary::Sqrt), &[sum]).unwrap();
        graph.output_updating("new b", root, b).unwrap();
        (graph, [a, b, sum, root])
    }

    #[test]
    fn users_read_what_their_operands_became() {
        let (graph, [_, _, sum, _]) = graph();
        let rebuilt = rebuild(&graph, |to, value| match to.copy(value)? {
            copy if value == sum => to.graph.push(Op::Unary(Unary::Abs), &[copy]),
            copy => Ok(copy),
        });
        let expected = "graph {\n  %0 = input \"a\" : f32[3]\n  %1 = input \"b\" : f32[3]\n  %2 = add %0 %1 : f32[3]\n  \
                        %3 = abs %2 : f32[3]\n  %4 = sqrt %3 : f32[3]\n  output \"new b\" = %4 updates %1\n}\n";
        assert_eq!(rebuilt.unwrap().to_string(), expected);
    }

    #[test]
    fn an_output_updates_its_input_wherever_that_is() {
        let (graph, [_, b, sum, _]) = graph();
        let mut to = Rebuild::new(&graph);
        to.copy(b).unwrap();
        to.input("sum", sum).unwrap();
        // it is there, so nothing that it was made of is needed
        to.copy_with_operands(sum).unwrap();
        to.copy_with_operands(graph.outputs()[0].value).unwrap();
        let expected = "graph {\n  %0 = input \"b\" : f32[3]\n  %1 = input \"sum\" : f32[3]\n  %2 = sqrt %1 : f32[3]\n  \
                        output \"new b\" = %2 updates %0\n}\n";
        assert_eq!(to.finish().unwrap().to_string(), expected);
    }

    #[test]
    fn long_chains_need_no_stack() {
        let mut graph = Graph::new();
        let mut x = graph.input("x", Type::f32([1])).unwrap();
        for i in 0..200_000 {
            x = graph.push(Op::Unary([Unary::Neg, Unary::Abs][i % 2]), &[x]).unwrap();
        }
        let mut to = Rebuild::new(&graph);
        to.copy_with_operands(x).unwrap();
        assert_eq!(to.graph.nodes(), graph.nodes());
    }
}
