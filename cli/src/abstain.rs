//! The options by which one abstains, which several commands have.

use bayeslift::{Abstention, Error, Measure};

/// When to abstain.
#[derive(Debug, clap::Args)]
pub struct Abstain {
    /// Say where to abstain: where what `--abstain-by` measures is above this number, in nats, or in the unit of what
    /// is predicted
    #[arg(long, value_name = "NATS", allow_negative_numbers = true)]
    abstain_above: Option<f64>,
    /// What is measured: of classes the entropy of the prediction, or the mutual information; of numbers the epistemic
    /// deviation
    #[arg(long, value_name = "MEASURE", value_enum, default_value_t = By::Entropy, requires = "abstain_above")]
    abstain_by: By,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum By {
    Entropy,
    MutualInformation,
    Epistemic,
}

impl Abstain {
    /// When to abstain, if one does.
    pub fn abstention(&self) -> Result<Option<Abstention>, Error> {
        let measure = match self.abstain_by {
            By::Entropy => Measure::PredictiveEntropy,
            By::MutualInformation => Measure::MutualInformation,
            By::Epistemic => Measure::Epistemic,
        };
        self.abstain_above.map(|above| Abstention::new(measure, above)).transpose()
    }

    /// The options as a command has them.
    pub fn command(&self) -> String {
        let by = match self.abstain_by {
            By::Entropy => "",
            By::MutualInformation => " --abstain-by mutual-information",
            By::Epistemic => " --abstain-by epistemic",
        };
        self.abstain_above.map_or_else(String::new, |above| format!(" --abstain-above {above}{by}"))
    }
}
