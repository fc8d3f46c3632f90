//! What a closure that is told of each step answers.

use std::ops::ControlFlow;

/// What the closure of [`Fit::progress`](crate::Fit::progress) returns: nothing, to go on, or whether to.
///
/// ```
/// use bayeslift::prelude::*;
/// use std::ops::ControlFlow;
///
/// # let data = Dataset::regression([1], vec![0.0, 0.5, 1.0], 1, vec![0.1, 0.4, 1.1])?;
/// let layer = AffineVariationalReparameterizationLocal::new(1, 1);
/// let mut network = Network::new(layer, [1], likelihood::Normal::fixed(0.1), 0)?;
/// let until_good = |progress: &Progress| match progress.loss.negative_log_likelihood < 1.0 || progress.step == 5 {
///     true => ControlFlow::Break(()),
///     false => ControlFlow::Continue(()),
/// };
/// let report = Fit::new().epochs(1000).progress(until_good).run(&mut network, &data)?;
/// assert!(report.stopped && report.steps <= 5);
/// # Ok::<(), Error>(())
/// ```
pub trait ProgressFlow {
    /// Whether to go on.
    fn flow(self) -> ControlFlow<()>;
}

impl ProgressFlow for () {
    fn flow(self) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}

impl ProgressFlow for ControlFlow<()> {
    fn flow(self) -> ControlFlow<()> {
        self
    }
}
