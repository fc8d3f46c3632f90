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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TrainerOptions;
    use bayeslift_layers::{Affine, BatchNormalization, Sequential, likelihood};

    #[test]
    fn every_row_is_in_one_batch() {
        for normalize in [false, true] {
            let layers = Sequential::new();
            let layers = if normalize { layers.layer(BatchNormalization::new(1)) } else { layers };
            let network =
                Network::new(layers.layer(Affine::new(1, 1)), [1], likelihood::Normal::fixed(1.0), 0).unwrap();
            let trainer = Trainer::new(&network, 1, TrainerOptions::default()).unwrap();
            for (rows, size) in (1..12).flat_map(|rows| (1..14).map(move |size| (rows, size))) {
                let mut notes = Vec::new();
                let batches = Batches::new(size, rows, &network, &trainer, &mut notes).unwrap();
                let order: Vec<usize> = (0..rows).rev().collect();
                let all: Vec<&[usize]> = batches.of(&order).collect();
                assert_eq!(all.concat(), order, "{rows} rows in batches of {size}");
                assert_eq!((all.len(), all[0].len()), (batches.count(), batches.first()));
                let joined = normalize && size > 1 && rows > size && rows % size == 1;
                assert_eq!(notes.iter().any(|note| matches!(note, FitNote::JoinedRest { .. })), joined);
                for (i, batch) in all.iter().enumerate() {
                    let expected = if i + 1 < all.len() { size } else { rows - i * size };
                    assert_eq!(batch.len(), expected);
                    assert!(batch.len() <= size || joined && batch.len() == size + 1);
                    assert!(batch.len() > 1 || !normalize || size == 1 || rows == 1);
                }
            }
        }
    }
}
