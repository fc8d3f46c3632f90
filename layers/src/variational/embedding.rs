//! Embeddings with random rows, by each estimator.

use crate::{Embedding, Estimator, Flipout, Local, Reparameterization, Unseen, Variational};
use std::sync::Arc;

/// An embedding with random weights; see [`Variational`].
///
/// Of the rows that a call does not read it draws nothing, but for a divergence of all of them.
pub type EmbeddingVariational<E> = Variational<Embedding, E>;

/// An embedding whose rows are drawn: one draw for all examples of a call. See [`Variational`].
pub type EmbeddingVariationalReparameterization = Variational<Embedding, Reparameterization>;

/// An embedding whose outputs are drawn, each on its own: two places of one category get different draws of its row.
/// See [`Variational`].
pub type EmbeddingVariationalReparameterizationLocal = Variational<Embedding, Local>;

/// An embedding whose rows are drawn once and flipped for each example. See [`Variational`].
///
/// A sign is drawn for each category and example, and the flipped rows are a product with one-hot rows: this estimator
/// costs as much as an affine layer from `input_size` units.
pub type EmbeddingVariationalFlipout = Variational<Embedding, Flipout>;

impl<E: Estimator> EmbeddingVariational<E> {
    /// Rows of `output_size` numbers for `input_size` categories. See [`Variational::of`] for the defaults.
    pub fn new(input_size: usize, output_size: usize) -> Self {
        Variational::of(Embedding::new(input_size, output_size))
    }

    /// What an input gives that is no category; see [`Embedding::unseen`].
    pub fn unseen(mut self, unseen: Unseen) -> Self {
        self.layer.unseen = unseen;
        self
    }

    /// Estimates the divergence of the rows by those that a call reads, given how often each category occurs in the
    /// data of training, so that a step costs nothing for other rows. Default: the divergence is that of all rows.
    ///
    /// With n_r the count of row r, n their sum, and D_r the row's divergence, a call that reads rows r_1, .., r_k has
    ///
    /// D = 1/k (n / n_{r_1} D_{r_1} + .. + n / n_{r_k} D_{r_k})
    ///
    /// (the estimator of Hansen and Hurwitz 1943, of sampling with unequal probabilities): where examples are drawn
    /// evenly its expectation is the sum of D_r over all rows that occur. A row pays in each step for its share of the
    /// reads, and over an epoch for all of its divergence. Rows that never occur count nothing, and stay as they were
    /// initialized.
    ///
    /// The weights n / n_r, 0 for n_r = 0, are the parameter `kernel/weight: [input_size, 1]`, which training leaves
    /// alone.
    ///
    /// ```
    /// use bayeslift_layers::{EmbeddingVariationalReparameterizationLocal, Layer};
    /// let layer = EmbeddingVariationalReparameterizationLocal::new(3, 2).read_counts([4, 1, 0]);
    /// let parameters = layer.initialize(0)?;
    /// assert_eq!(parameters.get("kernel/weight")?.tensor.as_f32(), Some(&[1.25, 5.0, 0.0][..]));
    /// # Ok::<(), bayeslift_layers::Error>(())
    /// ```
    pub fn read_counts(mut self, counts: impl Into<Arc<[u32]>>) -> Self {
        self.layer.read_counts = Some(counts.into());
        self
    }
}
