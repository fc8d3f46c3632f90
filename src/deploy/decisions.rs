//! Where a package abstains, and how it decides: what of its options, its results and its routines belongs to that.

use super::{DeployOptions, block::Column, element::Element};
use crate::{
    Abstention, Error,
    predictor::{certainty::limits, decide},
};
use Width::Byte;
use bayeslift_codegen::routine::{Data, Expr, RoutineBuilder, Variable, Width};

/// Where a package abstains: a byte of 1 or 0 for each number of the result that is measured, behind all results.
#[derive(Clone, Copy, Debug)]
pub struct Abstains {
    pub abstention: Abstention,
    /// Which of the results is measured.
    column: usize,
    /// How many numbers a row has of it.
    pub width: usize,
}

impl Abstains {
    /// By one of these results.
    pub fn of(abstention: Abstention, results: &[Column]) -> Result<Abstains, Error> {
        let measure = abstention.measure();
        let column =
            results.iter().position(|column| column.name == measure.name()).ok_or_else(|| measure.missing())?;
        Ok(Abstains { abstention, column, width: results[column].width })
    }

    /// What it is, in words.
    pub fn about(&self) -> String {
        format!("{} above {}", self.abstention.measure().name(), self.abstention.above())
    }

    /// Gives the bytes of `count` rows from `row` on to the caller, if they were asked for: by results that lie in the
    /// workspace at these places. The size of what is no number is above all.
    pub fn give(
        &self,
        b: &mut RoutineBuilder,
        element: Element,
        [workspace, result, count, row]: [Variable; 4],
        places: &[i64],
    ) {
        let (width, at) = (self.width as i64, places[self.column]);
        let into = b.set(Expr::from(result).address(places.len()));
        b.when(into, |b| {
            let into = b.set(into + row * width);
            b.each(count * width, |b, i| {
                let size = (workspace + i * element.bytes).load(element.width, at) & element.size();
                b.store(Byte, into + i, 0, Expr::from(element.bits_below(self.abstention.above())).less(size));
            });
        });
    }
}

/// How a package decides.
#[derive(Clone, Copy, Debug)]
pub struct Decides {
    /// The probability that what is certain is wrong.
    pub error: f64,
    /// How many labels a row has.
    pub labels: usize,
    pub classes: usize,
    /// Whether to abstain is part of what is decided.
    pub may_abstain: bool,
    /// Where the limits lie in the data: see [`limits`].
    pub limits: u64,
}

impl Decides {
    /// With this error, by these results.
    pub fn of(error: f64, options: &DeployOptions, results: &[Column], data: &mut Data) -> Decides {
        let width = |name: &str| results.iter().find(|column| column.name == name).map_or(1, |column| column.width);
        let [all, labels] = ["probabilities", "predictive_entropy"].map(width);
        let classes = all / labels;
        let above = decide::entropy_above(options.abstention);
        let limits = limits(error, (classes, labels), above);
        let limits = data.add(&limits.iter().flat_map(|limit| limit.to_le_bytes()).collect::<Vec<u8>>());
        Decides { error, labels, classes, may_abstain: above.is_some(), limits }
    }

    /// What is wrong with deciding by these results of `networks` networks, if one is to.
    pub fn check(options: &DeployOptions, networks: usize, draws: bool, results: &[Column]) -> Result<(), Error> {
        let Some(error) = options.decision_error else { return Ok(()) };
        decide::check_error(error)?;
        if !results.iter().any(|column| column.name == "probabilities") {
            return Err(refused("the network predicts numbers, and was to decide on classes"));
        }
        if networks > 1 {
            return Err(refused("an ensemble was to decide, whose samples are not draws of one posterior"));
        }
        if !draws {
            return Err(refused("the network was to decide by samples, and draws none: what it predicts is certain"));
        }
        Ok(())
    }
}

fn refused(problem: &str) -> Error {
    Error::misuse(problem, "compile it without decisions, and predict")
}
