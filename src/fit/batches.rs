//! How the examples of an epoch are cut into batches.

use super::FitNote;
use crate::{Error, Network, Trainer};

/// All batches of an epoch have the same number of examples, but for the last.
#[derive(Clone, Copy, Debug)]
pub(super) struct Batches {
    size: usize,
    rows: usize,
    count: usize,
}

impl Batches {
    /// Cuts this many rows. A rest of one row that a layer refuses is joined to the batch before it.
    ///
    /// # Errors
    /// Layers that do not fit.
    pub fn new(
        size: usize,
        rows: usize,
        network: &Network,
        trainer: &Trainer,
        notes: &mut Vec<FitNote>,
    ) -> Result<Batches, Error> {
        if size > rows {
            notes.push(FitNote::BatchLargerThanData { batch_size: size, training_examples: rows });
        }
        let mut batches = Batches { size: size.min(rows), rows, count: rows.div_ceil(size) };
        if batches.size > 1
            && rows % batches.size == 1
            && let Some(layer) = refusing_layer(network, trainer)?
        {
            batches.count -= 1;
            notes.push(FitNote::JoinedRest { rows: batches.size + 1, layer });
        }
        Ok(batches)
    }

    /// The number of batches.
    pub fn count(&self) -> usize {
        self.count
    }

    /// The number of rows of the first batch.
    pub fn first(&self) -> usize {
        if self.count == 1 { self.rows } else { self.size }
    }

    /// Cuts the rows in this order.
    pub fn of<'o>(&self, order: &'o [usize]) -> impl Iterator<Item = &'o [usize]> + use<'o> {
        let Batches { size, count, .. } = *self;
        (0..count).map(move |i| if i + 1 == count { &order[i * size..] } else { &order[i * size..][..size] })
    }
}

/// The path of the layer, if there is one, that a batch of a single row is too small for.
fn refusing_layer(network: &Network, trainer: &Trainer) -> Result<Option<String>, Error> {
    use bayeslift_layers::Error::{In, SingleValue};
    match trainer.graph(network, 1) {
        Err(Error::Layer(In { path, error })) if *error == SingleValue => Ok(Some(path)),
        graph => graph.map(|_| None),
    }
}
