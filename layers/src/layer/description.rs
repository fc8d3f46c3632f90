//! What a layer says of itself, for people and for files.

use crate::Layer;

/// What a layer is, in words: what a model file says of it, and compares when it is loaded.
///
/// It has the kind of the layer, all that changes what a call gives - sizes, the activation, how outputs are drawn -
/// and the layers inside. It has not what changes only how parameters begin or are checked. A closure, such as an
/// activation of one's own, has no words: of it there is only that it is one.
///
/// ```
/// use bayeslift_layers::{Activation, Affine, Layer, LayerDescription, Sequential};
/// let description = Sequential::new().layer(Affine::new(8, 4).activation(Activation::Relu)).describe();
/// let (name, affine) = &description.layers[0];
/// assert_eq!((name.as_str(), affine.kind.as_str()), ("affine", "affine"));
/// assert!(affine.options.contains(&("activation".into(), "relu".into())));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LayerDescription {
    /// The kind of layer, such as `affine`.
    pub kind: String,
    /// What it was told: names and values.
    pub options: Vec<(String, String)>,
    /// The layers inside, by the name that is their part of a path.
    pub layers: Vec<(String, LayerDescription)>,
}

impl LayerDescription {
    /// A layer of this kind, without options.
    pub fn new(kind: impl Into<String>) -> Self {
        LayerDescription { kind: kind.into(), options: Vec::new(), layers: Vec::new() }
    }

    /// Says what the layer was told.
    pub fn option(mut self, name: &str, value: impl ToString) -> Self {
        self.options.push((name.to_owned(), value.to_string()));
        self
    }

    /// Describes a layer inside.
    pub fn layer(mut self, name: &str, layer: &dyn Layer) -> Self {
        self.layers.push((name.to_owned(), layer.describe()));
        self
    }
}
