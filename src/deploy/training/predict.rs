//! Predictions with the parameters of a state: what they determine is computed first, at each call.

use super::state::State;
use crate::{
    Error,
    deploy::{
        entry::Known,
        functions::{Functions, check_memory, within},
        language::Language,
        layout::Places,
    },
    predictor::model::Model,
};
use Width::Long;
use bayeslift_codegen::{
    KernelTable, Program, Target,
    routine::{Callee, Data, Expr, Memory, Routine, RoutineBuilder, Width, launches},
};
use bayeslift_passes::Rewritten;
use bayeslift_runtime::Options;

/// What is computed of parameters for each block: of blocks that need the same, once.
#[derive(Debug, Default)]
pub struct Derived {
    computations: Vec<Precomputation>,
    /// For each block the number of its computation, and those of the parameters that the block reads itself.
    of_block: Vec<(usize, Vec<usize>)>,
}

/// What is computed of parameters alone, for a block or several.
#[derive(Debug)]
struct Precomputation {
    graph: Rewritten,
    table: KernelTable,
    first: usize,
    /// Where its outputs lie, and what it works in: arena, scratch, shared memory.
    outputs: Vec<i64>,
    memory: [i64; 3],
}

impl Derived {
    /// Adds what the next block needs.
    pub fn add<L: Language>(
        &mut self,
        language: &L,
        target: Target,
        graph: Rewritten,
        kept: Vec<usize>,
        kernels: &mut Vec<L::Function>,
    ) -> Result<(), Error> {
        let known = self.computations.iter().position(|computation| computation.graph.graph == graph.graph);
        if known.is_none() {
            let options = Options::default().target(target).threads(1);
            let Program { table, functions } = language.emit(&options, &graph)?;
            self.computations.push(Precomputation {
                graph,
                table,
                first: kernels.len(),
                outputs: Vec::new(),
                memory: [0; 3],
            });
            kernels.extend(functions);
        }
        self.of_block.push((known.unwrap_or(self.computations.len() - 1), kept));
        Ok(())
    }

    /// Gives all that is computed a place in the workspace; tells for each block where it finds what it knows.
    ///
    /// # Errors
    /// A block that reads a parameter that the state has not.
    pub fn place(&mut self, places: &mut Places, state: &State, model: &Model) -> Result<Vec<Vec<Known>>, Error> {
        for Precomputation { table, outputs, memory, .. } in &mut self.computations {
            *outputs = table.outputs.iter().map(|output| places.take(output.ty.bytes() as u64)).collect();
            *memory =
                [table.arena_bytes, table.scratch_bytes, table.shared_bytes].map(|bytes| places.take(bytes as u64));
        }
        let of_block = |(computation, kept): &(usize, Vec<usize>)| {
            let computed = self.computations[*computation].outputs.iter().map(|&at| Ok(Known::Workspace(at)));
            let read = kept.iter().map(|&number| {
                let parameter = model.parameters().iter().nth(number);
                let at = parameter.and_then(|(path, parameter)| state.find(path, &parameter.tensor.ty()));
                at.map(|at| Known::Brought(at as u64)).ok_or_else(|| unknown(&number.to_string()))
            });
            computed.chain(read).collect()
        };
        self.of_block.iter().map(of_block).collect()
    }

    /// `(request, inputs, rows, result, state, workspace)`: predicts.
    ///
    /// # Errors
    /// Graphs that read what is no parameter.
    pub fn predict(
        &self,
        functions: &Functions<'_>,
        routines: &mut Vec<Routine>,
        state: &State,
        data: &mut Data,
    ) -> Result<RoutineBuilder, Error> {
        let about =
            "(request, inputs, rows, result, workspace): predicts, when all is computed that parameters determine";
        routines.push(functions.predict().finish(None, about, Width::Word));
        let predict = Callee::Routine(routines.len() - 1);
        let (mut builder, [request, inputs, rows, result, memory, workspace]) = RoutineBuilder::new([Long; 6]);
        let b = &mut builder;
        check_memory(b, &[workspace]);
        state.check(b, memory);
        let mut kernels = Vec::new();
        for computation in &self.computations {
            let inputs = computation.table.inputs.iter().map(|input| {
                state.find(&input.name, &input.ty).map(|at| memory + at).ok_or_else(|| unknown(&input.name))
            });
            let inputs = inputs.collect::<Result<Vec<Expr>, _>>()?;
            let outputs = computation.outputs.iter().map(|&at| workspace + at).collect();
            let [arena, scratch, shared] = computation.memory.map(|at| workspace + at);
            let memory = Memory { inputs, outputs, arena, scratch, shared };
            kernels.extend(launches(&computation.table, computation.first, &memory, data));
        }
        within(b, functions.architecture, |b| b.append(kernels));
        b.store(Long, workspace, functions.parts.layout.header + 16, memory);
        let given = [request, inputs, rows, result, workspace].map(Expr::from);
        let found = b.call(predict, given.into());
        b.give(found);
        Ok(builder)
    }
}

fn unknown(name: &str) -> Error {
    let name = bayeslift_ir::Foreign::new(name);
    Error::argument("what a prediction computes of parameters", "parameters of the network", name)
}
