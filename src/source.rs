//! Examples that are not all in memory: read in order when they are needed, by a thread that is ahead of the steps.

use crate::{Dataset, Error, error::counted, trainer::check_dataset};
use bayeslift_ir::Shape;
use bayeslift_layers::likelihood::Target;
use std::{sync::mpsc::sync_channel, thread};

/// How many batches are read before they are needed.
const AHEAD: usize = 4;

/// What a source may fail with.
pub type SourceError = Box<dyn std::error::Error + Send + Sync>;

/// Examples that are read by their numbers, such as those of a file larger than memory.
///
/// [`Fit::run_source`](crate::Fit::run_source) reads batches on a thread of its own, a few ahead of the steps that use
/// them. Which rows they have is decided by seed and epoch as for a [`Dataset`], so that a source and the data set of
/// the same rows give the same bits.
///
/// ```
/// use bayeslift::{Source, SourceError, prelude::*};
///
/// /// One number and its sine, computed when it is asked for.
/// struct Sines(usize);
///
/// impl Source for Sines {
///     fn rows(&self) -> usize {
///         self.0
///     }
///     fn read(&self, rows: &[usize]) -> Result<Dataset, SourceError> {
///         let inputs: Vec<f32> = rows.iter().map(|&row| row as f32 / 10_000.0).collect();
///         let values = inputs.iter().map(|x| x.sin()).collect();
///         Ok(Dataset::regression([1], inputs, 1, values)?)
///     }
/// }
///
/// let layer = AffineVariationalReparameterizationLocal::new(1, 1);
/// let mut network = Network::new(layer, [1], likelihood::Normal::learned(1.0), 0)?;
/// let report = Fit::new().epochs(2).batch_size(500).run_source(&mut network, &Sines(10_000))?;
/// assert_eq!(report.steps, 40);
/// # Ok::<(), Error>(())
/// ```
pub trait Source: Sync {
    /// The number of examples, at least 1: the same whenever it is asked for. [`Source::read`] gets numbers below it.
    fn rows(&self) -> usize;

    /// These examples, in this order, each with the network's input shape and target: as many as there are numbers. It
    /// is called on another thread than the steps of training.
    ///
    /// # Errors
    /// What reading gives: it ends a fit with [`Error::Source`]. Other examples than the network takes end it, too.
    fn read(&self, rows: &[usize]) -> Result<Dataset, SourceError>;

    /// What tells this source from others in a [checkpoint](crate::Fit::checkpoint), such as the digest of a file;
    /// default: nothing, so that a run that goes on must be given the source that it had. A run that goes on with a
    /// source of another identity is refused with [`Error::OtherTraining`].
    ///
    /// ```
    /// use bayeslift::{Dataset, Source};
    /// // a data set is a source, whose identity is a digest of all that it holds
    /// let of = |label| Ok::<_, bayeslift::Error>(Dataset::classification([1], vec![0.5], vec![label])?.identity());
    /// assert_eq!(of(0)?, of(0)?);
    /// assert_ne!(of(0)?, of(1)?);
    /// # Ok::<(), bayeslift::Error>(())
    /// ```
    fn identity(&self) -> String {
        "a source".to_owned()
    }
}

impl Source for Dataset {
    fn rows(&self) -> usize {
        Dataset::rows(self)
    }

    fn read(&self, rows: &[usize]) -> Result<Dataset, SourceError> {
        Ok(self.select(rows)?)
    }

    fn identity(&self) -> String {
        self.digest()
    }
}

/// What a fit takes its batches from.
#[derive(Clone, Copy)]
pub(crate) enum Examples<'d> {
    Memory(&'d Dataset),
    Read(&'d dyn Source),
}

impl Examples<'_> {
    pub fn rows(&self) -> usize {
        match self {
            Examples::Memory(data) => data.rows(),
            Examples::Read(source) => source.rows(),
        }
    }

    pub fn identity(&self) -> String {
        match self {
            Examples::Memory(data) => data.digest(),
            Examples::Read(source) => source.identity(),
        }
    }
}

/// Calls `each` with what a source has of each of these batches, in order, while the next ones are read. Ends where it
/// breaks or fails.
pub(crate) fn read_ahead<'o>(
    source: &dyn Source,
    (input, target): (&Shape, &Target),
    batches: impl Iterator<Item = &'o [usize]> + Send,
    each: impl FnOnce(&mut dyn Iterator<Item = Result<Dataset, Error>>) -> Result<(), Error>,
) -> Result<(), Error> {
    thread::scope(|scope| {
        let (sender, receiver) = sync_channel(AHEAD);
        scope.spawn(move || {
            for rows in batches {
                let read = read(source, rows, input, target);
                let is_last = read.is_err();
                // nobody receives once the fit has ended
                if sender.send(read).is_err() || is_last {
                    return;
                }
            }
        });
        let mut received = receiver.into_iter();
        each(&mut received)
        // the receiver is dropped here, so that the thread ends
    })
}

fn read(source: &dyn Source, rows: &[usize], input: &Shape, target: &Target) -> Result<Dataset, Error> {
    let data = source.read(rows).map_err(|source| Error::Source { first: rows[0], rows: rows.len(), source })?;
    if data.rows() != rows.len() {
        let expected = format!("{}, those that were asked for", counted(rows.len(), "row"));
        return Err(Error::argument("what the source read", expected, counted(data.rows(), "row")));
    }
    check_dataset(input, target, &data)?;
    Ok(data)
}
