//! What is beyond the borders of an image.

use crate::Error;
use bayeslift_ir::{MAX_ELEMENTS, Sliding};

/// How a convolution or a pooling treats the borders of its input.
///
/// n positions of an axis, a filter of f elements that are d apart and a stride of s give the numbers of windows below;
/// r = d (f - 1) + 1 is the reach of a window.
///
/// ```
/// use bayeslift_layers::{Convolution, ConvolutionTranspose, Layer, Padding};
/// // n = 8 positions, filters of f = 3 elements, strides of s = 2
/// let down = |padding: Padding| Convolution::new(1, 1, [3]).strides(2).padding(padding);
/// let up = |padding: Padding| ConvolutionTranspose::new(1, 1, [3]).strides(2).padding(padding);
/// for (padding, windows, positions) in [
///     (Padding::Valid, 3, 17),
///     (Padding::Same, 4, 16),
///     (Padding::Causal, 4, 16),
///     (Padding::Explicit(vec![(3, 3)]), 6, 11),
/// ] {
///     assert_eq!(down(padding.clone()).trace([1, 8, 1].into())?.rows[0].ty.shape[..], [1, windows, 1]);
///     assert_eq!(up(padding).trace([1, 8, 1].into())?.rows[0].ty.shape[..], [1, positions, 1]);
/// }
/// # Ok::<(), bayeslift_layers::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Padding {
    /// None: windows lie inside, (n - r) / s + 1 of them, rounded down. A transposed convolution gives n s + max(r - s,
    /// 0) positions.
    #[default]
    Valid,
    /// Zeros so that there are n / s windows, rounded up: max(r - ((n - 1) mod s + 1), 0), half of them, rounded down,
    /// before the first element, as TensorFlow has it. A transposed convolution gives n s positions.
    Same,
    /// On the first axis of positions - time - d (f - 1) zeros before the first element and none after the last, so
    /// that no output sees what comes later; on other axes as [`Padding::Same`]. A transposed convolution gives n s
    /// positions that see nothing later either: it cuts the end of the first axis. (So it is not the adjoint of a
    /// causal convolution, which sees nothing earlier.)
    Causal,
    /// So many zeros before the first and after the last element, for each axis. A transposed convolution cuts off so
    /// many positions of (n - 1) s + r.
    Explicit(Vec<(usize, usize)>),
}

impl Padding {
    /// The padding of this name, `valid`, `same` or `causal`, in any case.
    ///
    /// ```
    /// # use bayeslift_layers::Padding;
    /// assert_eq!(Padding::from_name("SAME"), Some(Padding::Same));
    /// ```
    pub fn from_name(name: &str) -> Option<Self> {
        match name.to_ascii_lowercase().as_str() {
            "valid" => Some(Padding::Valid),
            "same" => Some(Padding::Same),
            "causal" => Some(Padding::Causal),
            _ => None,
        }
    }

    /// Checks an explicit padding.
    pub(crate) fn check(&self, rank: usize) -> Result<(), Error> {
        let Padding::Explicit(pairs) = self else { return Ok(()) };
        if pairs.len() != rank {
            return Err(Error::argument("padding", format!("a pair for each of {rank} axes"), format!("{pairs:?}")));
        }
        if pairs.iter().any(|&(before, after)| before.max(after) > MAX_ELEMENTS) {
            return Err(Error::argument(
                "padding",
                format!("at most {MAX_ELEMENTS} on each side"),
                format!("{pairs:?}"),
            ));
        }
        Ok(())
    }

    /// Zeros before and after axis number `i` of positions, which has this extent.
    pub(crate) fn of(&self, i: usize, axis: &Sliding, extent: usize) -> (usize, usize) {
        let beyond = (axis.size - 1) * axis.dilation;
        match self {
            Padding::Valid => (0, 0),
            Padding::Causal if i == 0 => (beyond, 0),
            Padding::Same | Padding::Causal => {
                let total = (beyond + 1).saturating_sub((extent - 1) % axis.step + 1);
                (total / 2, total - total / 2)
            }
            Padding::Explicit(pairs) => pairs[i],
        }
    }

    /// Of axis number `i` of a transposed convolution: the number of positions of the result for `positions` of the
    /// input, and how many are cut off before the first.
    pub(crate) fn of_transpose(
        &self,
        i: usize,
        axis: &Sliding,
        positions: usize,
        output_padding: Option<usize>,
    ) -> Option<(usize, usize)> {
        let reach = (axis.size - 1) * axis.dilation + 1;
        let full = (positions - 1).checked_mul(axis.step)?.checked_add(reach)?;
        let is_causal = *self == Padding::Causal && i == 0;
        let extent = match (self, output_padding) {
            (Padding::Explicit(pairs), more) => {
                full.checked_add(more.unwrap_or(0))?.checked_sub(pairs[i].0)?.checked_sub(pairs[i].1)
            }
            (Padding::Valid, None) => Some(full.max(positions * axis.step)),
            (_, None) => Some(positions * axis.step),
            (Padding::Valid, Some(more)) => full.checked_add(more),
            (_, Some(more)) if is_causal => (full - (reach - 1)).checked_add(more),
            (_, Some(more)) => full.checked_add(more)?.checked_sub(reach / 2 * 2),
        };
        let extent = extent.filter(|&extent| extent > 0)?;
        let before = match self {
            Padding::Valid => 0,
            Padding::Explicit(pairs) => pairs[i].0,
            _ if is_causal => 0,
            _ => full.saturating_sub(extent) / 2,
        };
        Some((extent, before))
    }
}

impl<const N: usize> From<[(usize, usize); N]> for Padding {
    fn from(pairs: [(usize, usize); N]) -> Self {
        Padding::Explicit(pairs.to_vec())
    }
}
