//! What is done to a graph before it is planned: one list of passes, run in order by one function.

use crate::{
    Fusion, Report, Rewriting,
    rewrite::{find_cross_entropies, grow_layers, rewrite_regions, shorten_one_hot_sums},
    simplify,
};
use bayeslift_ir::{Environment, Error, Graph, Input, Output, Type, verify};
use std::borrow::Cow;

/// The passes, in order. The last two look for fused operations and leave the graph as it is.
const PASSES: &[Pass] = &[
    Pass { name: "simplify", level: Rewriting::Off, keeps: Keeps::Bits, run: |graph, _, _| simplify(graph).map(Some) },
    Pass {
        name: "sum-one-hot",
        level: Rewriting::Exact,
        keeps: Keeps::Values,
        run: |graph, level, found| shorten_one_hot_sums(graph, level, &mut found.report),
    },
    Pass {
        name: "saturate",
        level: Rewriting::Exact,
        keeps: Keeps::Values,
        run: |graph, level, found| {
            let (graph, fusions) = rewrite_regions(graph, level, &mut found.report)?;
            found.fusions = fusions;
            Ok(Some(graph))
        },
    },
    Pass {
        name: "grow",
        level: Rewriting::Exact,
        keeps: Keeps::Bits,
        run: |graph, _, found| {
            grow_layers(graph, &mut found.fusions);
            Ok(None)
        },
    },
    Pass {
        name: "softmax",
        level: Rewriting::Exact,
        keeps: Keeps::Bits,
        run: |graph, _, found| {
            found.fusions.extend(find_cross_entropies(graph));
            Ok(None)
        },
    },
];

/// One step from graph to graph.
struct Pass {
    name: &'static str,
    /// The lowest level of rewriting that has it.
    level: Rewriting,
    #[cfg_attr(not(test), expect(dead_code, reason = "it is there to be read, and tests hold the pass to it"))]
    keeps: Keeps,
    /// Gives the graph that comes of a graph, if it is another one. The names of inputs and outputs, their types and
    /// which inputs are updated stay, and what is found besides is noted.
    run: fn(&Graph, Rewriting, &mut Found) -> Result<Option<Graph>, Error>,
}

/// What a pass keeps of the outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Keeps {
    /// Every bit.
    Bits,
    /// Every bit below [`Rewriting::All`], and there all but roundings.
    Values,
}

/// What passes find out about the graph.
#[derive(Default)]
struct Found {
    fusions: Vec<Fusion>,
    report: Report,
}

/// A graph that is ready to be planned.
#[derive(Clone, Debug)]
pub struct Rewritten {
    /// The graph: the same inputs and outputs, of primitive operations.
    pub graph: Graph,
    /// What of it is one operation.
    pub fusions: Vec<Fusion>,
    /// How it came about.
    pub report: Report,
}

/// What every way to run a graph begins with: the passes that make it cheaper. Dead nodes go; inputs, outputs and
/// donations stay.
///
/// With [`Rewriting::Exact`] and below the outputs keep their bits; with [`Rewriting::All`] they may round differently,
/// but never in a way that depends on extents. The result is a function of the graph: nothing depends on time or on the
/// order of hashes.
///
/// ```
/// use bayeslift_ir::{Builder, Type};
/// use bayeslift_passes::Pipeline;
/// let b = Builder::new();
/// let x = b.input("x", Type::f32([32, 64]));
/// let (m, s) = (b.input("m", Type::f32([64, 10])), b.input("s", Type::f32([64, 10])));
/// b.output("mean", x.dot(m));
/// b.output("variance", x.square().dot(s.square()));
/// let graph = b.finish()?;
/// let rewritten = Pipeline::default().run(&graph)?;
/// assert_eq!(rewritten.fusions[0].kind.name(), "local_reparameterization");
/// // looking at what the first pass makes of it
/// let simplified = Pipeline { stop_after: Some("simplify"), ..Pipeline::default() }.run(&graph)?;
/// assert!(simplified.fusions.is_empty());
/// # Ok::<(), bayeslift_ir::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Pipeline<'a> {
    /// Whether to begin with [`simplify`].
    pub simplify: bool,
    /// Which rules rewrite the graph around contractions and the likelihoods of labels.
    pub rewriting: Rewriting,
    /// The name of the pass after which to stop, for looking at what it gives.
    pub stop_after: Option<&'a str>,
}

impl Default for Pipeline<'_> {
    fn default() -> Self {
        Pipeline { simplify: true, rewriting: Rewriting::default(), stop_after: None }
    }
}

impl Pipeline<'_> {
    /// Runs the passes. Debug builds verify the graph after each, and an error names the pass.
    ///
    /// # Errors
    /// A pass to stop after that does not exist; those of building a graph, of which there are none for a graph that
    /// verifies.
    pub fn run(&self, graph: &Graph) -> Result<Rewritten, Error> {
        self.run_passes(PASSES, graph)
    }

    fn run_passes(&self, passes: &[Pass], graph: &Graph) -> Result<Rewritten, Error> {
        let _environment = Environment::enter();
        let count = match self.stop_after {
            None => passes.len(),
            Some(name) => 1 + passes.iter().position(|pass| pass.name == name).ok_or_else(|| unknown(passes, name))?,
        };
        let (mut graph, mut found) = (Cow::Borrowed(graph), Found::default());
        for pass in passes[..count].iter().filter(|pass| self.has(pass)) {
            if let Some(result) = pass.run(&graph, self.rewriting, &mut found)? {
                graph = Cow::Owned(result);
            }
        }
        Ok(Rewritten { graph: graph.into_owned(), fusions: found.fusions, report: found.report })
    }

    fn has(&self, pass: &Pass) -> bool {
        pass.level <= self.rewriting && (self.simplify || pass.level > Rewriting::Off)
    }
}

impl Pass {
    fn run(&self, graph: &Graph, level: Rewriting, found: &mut Found) -> Result<Option<Graph>, Error> {
        let result = (self.run)(graph, level, found).and_then(|result| {
            if let Some(result) = result.as_ref().filter(|_| cfg!(debug_assertions)) {
                check(graph, result)?;
            }
            Ok(result)
        });
        result.map_err(|error| error.within(self.name))
    }
}

/// Whether what came of a graph is well-formed, with the same inputs and outputs.
fn check(before: &Graph, after: &Graph) -> Result<(), Error> {
    fn inputs(graph: &Graph) -> impl Iterator<Item = (&str, &Type)> {
        graph.inputs().iter().map(|Input { name, value }| (name.as_str(), graph.ty(*value)))
    }
    fn outputs(graph: &Graph) -> impl Iterator<Item = (&str, &Type, Option<usize>)> {
        graph.outputs().iter().map(|Output { name, value, updates }| (name.as_str(), graph.ty(*value), *updates))
    }
    verify(after)?;
    for (what, same) in [("inputs", inputs(before).eq(inputs(after))), ("outputs", outputs(before).eq(outputs(after)))]
    {
        if !same {
            return Err(Error::Malformed(format!("the {what} are not those of the graph that it was made of")));
        }
    }
    Ok(())
}

fn unknown(passes: &[Pass], name: &str) -> Error {
    let names: Vec<&str> = passes.iter().map(|pass| pass.name).collect();
    Error::UnknownName { what: "pass", name: name.to_owned(), known: names.join(", ") }
}

/// All passes at a level of rewriting: with [`Rewriting::Off`] the graph is only simplified.
///
/// # Errors
/// As for [`Pipeline::run`].
pub fn optimize(graph: &Graph, rewriting: Rewriting) -> Result<Rewritten, Error> {
    Pipeline { rewriting, ..Pipeline::default() }.run(graph)
}

#[cfg(test)]
mod tests;
