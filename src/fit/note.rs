//! What a fit does otherwise than its options may have meant, and says.

use std::fmt;

/// A remark of [`FitReport`](crate::FitReport): no error, but worth a look. It prints as a sentence.
///
/// ```
/// use bayeslift::{FitNote, prelude::*};
///
/// let data = Dataset::classification([1], vec![0.0, 1.0], vec![0, 1])?;
/// let layer = AffineVariationalReparameterizationLocal::new(1, 2);
/// let mut network = Network::new(layer, [1], likelihood::Categorical, 0)?;
/// let report = Fit::new().epochs(1).batch_size(32).run(&mut network, &data)?;
/// assert_eq!(report.notes, [FitNote::BatchLargerThanData { batch_size: 32, training_examples: 2 }]);
/// assert!(report.notes[0].to_string().starts_with("the batch size is 32, but there are 2 training examples"));
/// # Ok::<(), bayeslift::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum FitNote {
    /// The batch size is larger than the data: a batch is all of them.
    BatchLargerThanData {
        /// The batch size that was asked for.
        batch_size: usize,
        /// The number of training examples.
        training_examples: usize,
    },
    /// A layer normalizes by its batch, and the last batch of an epoch would have been a single example: it was joined
    /// to the batch before it.
    JoinedRest {
        /// The number of examples in the last batch of each epoch: the batch size and 1.
        rows: usize,
        /// The path of the layer.
        layer: String,
    },
    /// The warm-up was not over at the last step, so the posterior is colder than the weight of the divergence says.
    WarmUpNotOver {
        /// The weight at the last step.
        reached: f64,
        /// The weight that was asked for.
        divergence_weight: f64,
    },
    /// No epoch had the full weight of the divergence in all of its steps, so validation chose none: the network has
    /// the parameters of the last step.
    NoEpochToChoose,
    /// Validation was infinite or not a number after some epochs, which could not be chosen then.
    NotCompared {
        /// The epochs.
        epochs: Vec<usize>,
        /// The first row of the validation data whose log likelihood was not finite after the last of these epochs.
        row: usize,
        /// That log likelihood.
        log_likelihood: f64,
    },
    /// Training could not stop early: too few epochs follow the first that validation can choose.
    LongPatience {
        /// The patience that was asked for.
        patience: usize,
        /// The number of epochs that validation can choose from.
        epochs: usize,
    },
}

impl fmt::Display for FitNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FitNote::BatchLargerThanData { batch_size, training_examples: rows } => {
                write!(f, "the batch size is {batch_size}, but there are {rows} training examples: a batch is all of them")
            }
            FitNote::JoinedRest { rows, layer } => write!(
                f,
                "the last batch of each epoch has {rows} examples: one would be left over, and `{layer}` needs more"
            ),
            FitNote::WarmUpNotOver { reached, divergence_weight } => write!(
                f,
                "the warm-up was not over: at the last step the weight of the divergence was {reached}, not \
                 {divergence_weight}"
            ),
            FitNote::NoEpochToChoose => f.write_str(
                "no epoch had the full weight of the divergence in all of its steps, so validation chose none: the last \
                 parameters were kept",
            ),
            FitNote::NotCompared { epochs, row, log_likelihood } => {
                let (count, last) = (epochs.len(), epochs.last().copied().unwrap_or_default());
                let epochs = if count == 1 { "epoch" } else { "epochs" };
                write!(
                    f,
                    "{count} {epochs} could not be compared: after epoch {last} the log likelihood of row {row} of the \
                     validation data was {log_likelihood}"
                )
            }
            FitNote::LongPatience { patience, epochs } => write!(
                f,
                "training could not stop early: the patience is {patience}, and validation can choose from {epochs} epochs"
            ),
        }
    }
}
