//! Rewriting by equality saturation, on the regions around contractions. egg is named only here.
//!
//! [`region`] cuts regions out of a graph, [`saturate`] applies the [`rules`] to each, with the [facts](fact) they
//! need, until nothing new follows, [`extract`] chooses the cheapest of all equal terms, and [`emit`] builds the graph.
//! Equal regions, such as the layers of a deep network, are rewritten once. [`grow`] finds what makes whole layers of
//! fused operations; [`softmax`] finds what is around no contraction.

mod apply;
mod cost;
mod emit;
mod extract;
mod fact;
mod fused;
mod fusion;
mod grow;
mod region;
mod rules;
mod saturate;
mod softmax;
mod template;
mod term;
#[cfg(test)]
mod tests;

use bayeslift_ir::{Error, Graph, Value};
pub use fused::Fused;
pub(crate) use grow::grow_layers;
use region::{Problem, Region};
use saturate::Solution;
pub(crate) use softmax::{find_cross_entropies, shorten_one_hot_sums};
use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    rc::Rc,
};

/// The most regions that differ from each other; more stay as they are.
const MAX_DISTINCT: usize = 256;

/// Which rules rewrite a graph, each level those of the levels before it too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Rewriting {
    /// None.
    Off,
    /// Those that keep every bit.
    Exact,
    /// Also those that round differently: a division by a constant becomes a multiplication.
    #[default]
    All,
}

/// Values of a graph that are one operation of a kind that graphs do not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fusion {
    /// The operation.
    pub kind: Fused,
    /// What makes a layer's output of [`Fused::LocalReparameterization`]; `None` if it is the products alone.
    pub output: Option<LocalOutput>,
    /// The contractions, what is computed for them alone, and what makes the layer's output of them, in order.
    pub values: Vec<Value>,
}

/// What a layer with local reparameterization does with its two products: a bias may be added to each, the square root
/// of the second times noise is added to the first, and an activation may follow.
///
/// Prints as `bias, noise, relu`, with `mean bias` or `variance bias` if there is one of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LocalOutput {
    /// Whether a bias is added to the means.
    pub bias_mean: bool,
    /// Whether the variances of a bias are added to the variances.
    pub bias_variance: bool,
    /// The name of the activation: `relu`, `tanh`, `sigmoid` or `softplus`.
    pub activation: Option<&'static str>,
}

impl fmt::Display for LocalOutput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match (self.bias_mean, self.bias_variance) {
            (true, true) => "bias, noise",
            (true, false) => "mean bias, noise",
            (false, true) => "variance bias, noise",
            (false, false) => "noise",
        })?;
        self.activation.map_or(Ok(()), |activation| write!(f, ", {activation}"))
    }
}

impl Fusion {
    /// The operation with what was found of it, as in `local_reparameterization(bias, noise, relu)`.
    pub fn label(&self) -> String {
        self.output.map_or(self.kind.to_string(), |output| format!("{}({output})", self.kind))
    }
}

/// Prints as `local_reparameterization(noise) %42 %43 %45 %46 %48`.
impl fmt::Display for Fusion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.label())?;
        self.values.iter().try_for_each(|value| write!(f, " {value}"))
    }
}

/// How a graph was rewritten.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// The number of regions.
    pub regions: usize,
    /// The number of regions that differ from each other. What follows is summed over these.
    pub distinct_regions: usize,
    /// How often all rules were applied.
    pub iterations: usize,
    /// The terms of the e-graphs.
    pub nodes: usize,
    /// The classes of equal terms.
    pub classes: usize,
    /// How often each rule found something new, by name; rules that did not are left out.
    pub fired: BTreeMap<&'static str, usize>,
}

/// Prints as lines of text.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report { regions, distinct_regions, iterations, nodes, classes, fired } = self;
        writeln!(f, "regions: {regions}, of which {distinct_regions} differ")?;
        writeln!(f, "iterations: {iterations}; terms: {nodes} in {classes} classes")?;
        fired.iter().try_for_each(|(rule, count)| writeln!(f, "{rule}: {count}"))
    }
}

/// The graph with each region replaced by the cheapest of what equals it, and the fused operations of contractions in
/// that.
pub(crate) fn rewrite_regions(
    graph: &Graph,
    level: Rewriting,
    report: &mut Report,
) -> Result<(Graph, Vec<Fusion>), Error> {
    let mut solved: HashMap<Problem, Rc<Solution>> = HashMap::new();
    let mut regions = Vec::new();
    for region in region::find(graph) {
        let solution = match solved.get(&region.problem) {
            Some(solution) => solution.clone(),
            None if solved.len() == MAX_DISTINCT => Rc::new(saturate::unchanged(&region.problem)),
            None => {
                let solution = Rc::new(saturate::solve(&region.problem, level));
                report.add(&solution);
                solved.insert(region.problem.clone(), solution.clone());
                solution
            }
        };
        let ordered = is_ordered(&region, &solution);
        let solution = if ordered { solution } else { Rc::new(saturate::unchanged(&region.problem)) };
        regions.push((region, solution));
    }
    (report.regions, report.distinct_regions) = (regions.len(), solved.len());
    emit::emit(graph, &regions)
}

/// Whether each root is made of what comes before it in the graph, so that regions that read each other can be emitted.
fn is_ordered(region: &Region, solution: &Solution) -> bool {
    region
        .roots
        .iter()
        .zip(&solution.roots)
        .all(|(value, &root)| solution.leaves(root).all(|leaf| region.leaves[leaf] < *value))
}

impl Report {
    fn add(&mut self, solution: &Solution) {
        self.iterations += solution.iterations;
        self.nodes += solution.nodes;
        self.classes += solution.classes;
        for (rule, count) in &solution.fired {
            *self.fired.entry(rule).or_default() += count;
        }
    }
}
