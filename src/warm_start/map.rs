//! Where a network finds its weights in a file of another system: names, and how axes lie there.

/// Which tensor of another system's safetensors file each weight of a network is, and in which order its axes are
/// there. Nothing is guessed: what has another layout says so, since a square matrix would fit either way.
///
/// PyTorch's layouts, as [`WeightMap::permuted`] takes them:
///
/// | module | its `weight` | the kernel here | axes |
/// |---|---|---|---|
/// | `Linear` | `[out, in]` | `[in, out]` | `[1, 0]` |
/// | `Conv1d` | `[out, in, w]` | `[w, in, out]` | `[2, 1, 0]` |
/// | `Conv2d` | `[out, in, h, w]` | `[h, w, in, out]` | `[2, 3, 1, 0]` |
/// | `Conv3d` | `[out, in, d, h, w]` | `[d, h, w, in, out]` | `[2, 3, 4, 1, 0]` |
/// | `ConvTranspose2d` | `[in, out, h, w]` | `[h, w, in, out]` | `[2, 3, 0, 1]` |
/// | `Linear` after `Flatten` of `[c, h, w]` | `[out, c h w]` | `[h w c, out]` | as `[out, c, h, w]`: `[2, 3, 1, 0]` |
///
/// Biases and embeddings are as they are here. The last row is for [`WeightMap::reshaped`]: PyTorch has channels first,
/// so the numbers of an image are in another order once it is flat.
///
/// ```
/// use bayeslift::WeightMap;
///
/// // of a network for images of 28 x 28 with 8 channels before it is flat, whose last layer is replaced
/// let map = WeightMap::new()
///     .permuted("convolution/kernel", "conv1.weight", [2, 3, 1, 0])
///     .tensor("convolution/bias", "conv1.bias")
///     .reshaped("affine/kernel", "fc1.weight", [32, 8, 28, 28], [2, 3, 1, 0])
///     .tensor("affine/bias", "fc1.bias")
///     .ignore("fc2.weight")
///     .ignore("fc2.bias");
/// assert_ne!(map.clone().ignore_others(), map); // those that are not named are no error then
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WeightMap {
    pub(super) weights: Vec<Mapped>,
    pub(super) ignored: Vec<String>,
    pub(super) ignores_others: bool,
}

/// A weight of the network, and the tensor that it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mapped {
    pub path: String,
    pub name: String,
    /// The shape to read the tensor as, if not its own.
    pub shape: Option<Vec<usize>>,
    /// For each axis of the weight that of the tensor.
    pub axes: Option<Vec<usize>>,
}

impl WeightMap {
    /// Without weights.
    pub fn new() -> WeightMap {
        WeightMap::default()
    }

    /// The weight of this path, such as `affine/bias`, is the tensor of this name, such as `fc1.bias`.
    pub fn tensor(self, path: impl Into<String>, name: impl Into<String>) -> WeightMap {
        self.mapped(path, name, None, None)
    }

    /// The weight of this path is the tensor of this name with its axes in another order: axis `i` of the weight is
    /// axis `axes[i]` of the tensor, as by `numpy.transpose`.
    pub fn permuted(self, path: impl Into<String>, name: impl Into<String>, axes: impl Into<Vec<usize>>) -> WeightMap {
        self.mapped(path, name, None, Some(axes.into()))
    }

    /// As [`WeightMap::permuted`], of the tensor read as having this shape; what it has then is read as the weight's
    /// own shape. Both keep the order of elements, the last axis fastest.
    pub fn reshaped(
        self,
        path: impl Into<String>,
        name: impl Into<String>,
        shape: impl Into<Vec<usize>>,
        axes: impl Into<Vec<usize>>,
    ) -> WeightMap {
        self.mapped(path, name, Some(shape.into()), Some(axes.into()))
    }

    /// The tensor of this name is not used, and may be there: a head that is replaced, a counter.
    pub fn ignore(mut self, name: impl Into<String>) -> WeightMap {
        self.ignored.push(name.into());
        self
    }

    /// Nor are any others that the map does not name.
    pub fn ignore_others(mut self) -> WeightMap {
        self.ignores_others = true;
        self
    }

    fn mapped(
        mut self,
        path: impl Into<String>,
        name: impl Into<String>,
        shape: Option<Vec<usize>>,
        axes: Option<Vec<usize>>,
    ) -> WeightMap {
        self.weights.push(Mapped { path: path.into(), name: name.into(), shape, axes });
        self
    }
}
