//! What headers, modules and manifests tell of an object.

use super::{
    DeployOptions, System,
    block::Column,
    decisions::{Abstains, Decides},
    element::Element,
    information::Information,
};

/// What is told of an object.
pub struct Facts<'a> {
    pub options: &'a DeployOptions,
    pub system: &'a System,
    /// What inputs and results are.
    pub element: Element,
    pub information: &'a Information,
    pub results: &'a [Column],
    pub abstains: Option<Abstains>,
    pub decides: Option<Decides>,
    /// The digest of the model.
    pub digest: Option<&'a str>,
    /// How many rows are computed at once.
    pub rows: usize,
    pub levels: &'a [Option<i64>],
    pub layout_bytes: u64,
    /// None of C.
    pub stack_bytes: Option<u64>,
    /// The bytes of accumulators of a block of rows and of a single one, where samples differ.
    pub accumulators: Option<[u64; 2]>,
    /// Of an ensemble, how many members it has.
    pub members: Option<usize>,
    /// The bytes of weights that the caller brings.
    pub weights: Option<u64>,
    pub bound: f64,
}

impl Facts<'_> {
    /// The name of the file with the functions.
    pub fn object(&self) -> String {
        format!("{}.{}", self.options.name, extension(self.system))
    }

    /// What the targets of code are called.
    pub fn levels(&self) -> Vec<String> {
        self.levels.iter().flatten().map(|level| format!("v{level}")).collect()
    }
}

/// A text that a comment of C may have in it.
pub fn in_a_comment(text: &str) -> String {
    text.replace("*/", "* /").replace("/*", "/ *")
}

/// What each result is.
pub fn meaning(name: &str) -> &'static str {
    match name {
        "probabilities" => "of each class, the mean over samples",
        "predictive_entropy" => "of those probabilities, in nats: all the uncertainty",
        "expected_entropy" => "the mean over samples of theirs: how much the data scatter",
        "mutual_information" => "the difference of the two: how much the network does not know",
        "mean" => "the mean of each number",
        "epistemic" => "its standard deviation over samples: how much the network does not know",
        "aleatoric" => "the standard deviation that the law tells: how much the data scatter",
        "total" => "the standard deviation of both",
        "information_within" => "the part of the mutual information that a member does not know, on average",
        "information_between" => "and that by which members contradict each other",
        "epistemic_within" => {
            "the part of the epistemic deviation that a member does not know: the root of its mean square"
        }
        "epistemic_between" => "and the standard deviation of members' means",
        _ => "",
    }
}

/// How the file with the functions ends.
pub fn extension(system: &System) -> &'static str {
    match system {
        system if system.is_c() => "c",
        system if system.is_coff() => "obj",
        _ => "o",
    }
}
