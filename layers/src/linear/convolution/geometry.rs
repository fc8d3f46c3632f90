//! Where the windows of a convolution lie, and what shapes follow.

use super::{Padding, PerAxis};
use crate::{Error, KernelBiasConfig, KernelBiasShape, LayerDescription};
use bayeslift_ir::{Convolution, MAX_ELEMENTS, Shape, Sliding};

/// How a convolution, transposed or not, moves over its input.
#[derive(Clone, Debug)]
pub(crate) struct Geometry {
    pub filter_shape: PerAxis,
    pub rank: Option<usize>,
    pub strides: PerAxis,
    pub padding: Padding,
    pub dilations: PerAxis,
    pub groups: usize,
}

impl Geometry {
    pub fn new(filter_shape: PerAxis) -> Self {
        Geometry {
            filter_shape,
            rank: None,
            strides: 1.into(),
            padding: Padding::Valid,
            dilations: 1.into(),
            groups: 1,
        }
    }

    /// The number of axes of positions: what was said, or as many as the filter has, or 2.
    pub fn rank(&self) -> usize {
        self.rank.or(self.filter_shape.len()).unwrap_or(2)
    }

    /// Says how windows move.
    pub fn describe(&self, description: LayerDescription) -> LayerDescription {
        let rank = self.rank();
        description
            .option("filter_shape", self.filter_shape.on(rank))
            .option("strides", self.strides.on(rank))
            .option("padding", format!("{:?}", self.padding))
            .option("dilations", self.dilations.on(rank))
            .option("groups", self.groups)
    }

    /// Checks what does not depend on the input.
    pub fn check(&self, config: &KernelBiasConfig) -> Result<(), Error> {
        config.check()?;
        self.check_windows("filter_shape")?;
        for (argument, size) in [("input_size", config.input_size), ("output_size", config.output_size)] {
            if self.groups == 0 || !size.is_multiple_of(self.groups) {
                let expected = format!("a divisor of {argument}, which is {size}");
                return Err(Error::argument("groups", expected, self.groups));
            }
        }
        Ok(())
    }

    /// Checks how windows move; `argument` says what their size is called.
    pub fn check_windows(&self, argument: &str) -> Result<(), Error> {
        let rank = self.rank();
        if !(1..=3).contains(&rank) {
            return Err(Error::argument("rank", "1, 2 or 3", rank));
        }
        let sizes = [(argument, &self.filter_shape), ("strides", &self.strides), ("dilations", &self.dilations)];
        for (argument, sizes) in sizes {
            sizes.check(argument, rank, 1)?;
        }
        self.padding.check(rank)?;
        let reach = |axis: &Sliding| (axis.size as u64 - 1) * axis.dilation as u64 + 1;
        if self.axes().any(|axis| reach(&axis) > MAX_ELEMENTS as u64) {
            let found = format!("{} with dilations {}", self.filter_shape, self.dilations);
            return Err(Error::argument(
                argument,
                format!("windows that reach over at most {MAX_ELEMENTS} positions"),
                found,
            ));
        }
        Ok(())
    }

    /// The shapes of a kernel `batch ++ filter ++ [input / groups, output]` and of its bias.
    pub fn shape(&self, config: &KernelBiasConfig, batch: &Shape) -> KernelBiasShape {
        let window: Vec<usize> = self.filter_shape.each(self.rank()).collect();
        config.shape(batch, &window, config.input_size.checked_div(self.groups).unwrap_or(0))
    }

    /// The axes, without padding.
    pub fn axes(&self) -> impl ExactSizeIterator<Item = Sliding> {
        let rank = self.rank();
        let (mut strides, mut dilations) = (self.strides.each(rank), self.dilations.each(rank));
        self.filter_shape.each(rank).collect::<Vec<_>>().into_iter().map(move |size| {
            let (step, dilation) = (strides.next().unwrap_or(1), dilations.next().unwrap_or(1));
            Sliding { size, step, dilation, before: 0, after: 0 }
        })
    }

    /// The convolution of an input `[.., positions.., channels]` of this shape, which has enough axes.
    ///
    /// # Errors
    /// Padded positions on which no window lies, more windows than a tensor may have elements.
    pub fn on(&self, input: &Shape) -> Result<Convolution, Error> {
        let rank = self.rank();
        let (before, positions, channels) = parts(input, rank);
        let mut axes = Vec::new();
        for (i, (mut axis, &extent)) in self.axes().zip(positions).enumerate() {
            (axis.before, axis.after) = self.padding.of(i, &axis, extent);
            axes.push(axis);
        }
        let counts = axes.iter().zip(positions).map(|(axis, &extent)| axis.windows(extent));
        let Some(counts) = counts.collect::<Option<Vec<usize>>>() else {
            let reach = |axis: &Sliding| (axis.size - 1) * axis.dilation + 1;
            let least = axes.iter().map(|axis| reach(axis).saturating_sub(axis.before.saturating_add(axis.after)));
            let least: Vec<String> = least.map(|least| least.to_string()).collect();
            return Err(Error::shape("the input", format!("positions of [{}] or more", least.join(",")), input));
        };
        let padded = axes.iter().zip(positions);
        let padded: Vec<usize> =
            padded.map(|(axis, &n)| n.saturating_add(axis.before).saturating_add(axis.after)).collect();
        let sizes: Vec<usize> = axes.iter().map(|axis| axis.size).collect();
        within_limits("the padded input", &[before, &padded, &[channels]])?;
        within_limits("the array of windows", &[before, &counts, &sizes, &[channels]])?;
        Ok(Convolution { axes: axes.into_iter().collect(), groups: self.groups })
    }
}

/// The axes before positions, positions, and channels of an input with enough axes.
pub(crate) fn parts(input: &Shape, rank: usize) -> (&[usize], &[usize], usize) {
    let (leading, image) = input.split_at(input.len() - rank - 1);
    (leading, &image[..rank], image[rank])
}

/// Checks that a tensor of all these extents is not too large.
pub(crate) fn within_limits(what: &str, extents: &[&[usize]]) -> Result<(), Error> {
    let shape = Shape::new(&extents.concat());
    let elements = shape.iter().try_fold(1_usize, |n, &extent| n.checked_mul(extent));
    match elements {
        Some(elements) if elements <= MAX_ELEMENTS => Ok(()),
        _ => Err(Error::shape(what, format!("at most {MAX_ELEMENTS} elements"), &shape)),
    }
}

/// The builder methods that convolutions share, transposed or not; `geometry_mut` gives what they set.
macro_rules! convolution_options {
    () => {
        /// The number of axes of positions: 1, 2 or 3. Default: as many as a list for `filter_shape` has, or else 2.
        /// Another number, or one that is not the length of a list, is refused where a network is made of the layer.
        ///
        /// ```
        /// use bayeslift_layers::{Convolution, Layer};
        /// let [images, series] = [Convolution::new(1, 4, 3), Convolution::new(1, 4, 3).rank(1)];
        /// assert_eq!(images.variables()?[0].ty.shape[..], [3, 3, 1, 4]);
        /// assert_eq!(series.variables()?[0].ty.shape[..], [3, 1, 4]);
        /// # Ok::<(), bayeslift_layers::Error>(())
        /// ```
        pub fn rank(mut self, rank: usize) -> Self {
            self.geometry_mut().rank = Some(rank);
            self
        }

        /// How far apart windows are, in positions, on all axes alike or on each; at least 1. Default: 1. A convolution
        /// divides the number of positions by about that, a transposed one multiplies it: see
        /// [`Padding`](crate::Padding) for their exact numbers.
        ///
        /// ```
        /// use bayeslift_layers::{Convolution, ConvolutionTranspose, Layer, Padding};
        /// let down = Convolution::new(1, 4, 3).strides(2).padding(Padding::Same);
        /// assert_eq!(down.trace([16, 28, 28, 1].into())?.rows[0].ty.shape[..], [16, 14, 14, 4]);
        /// let up = ConvolutionTranspose::new(1, 4, 3).strides([2, 1]).padding(Padding::Same);
        /// assert_eq!(up.trace([16, 28, 28, 1].into())?.rows[0].ty.shape[..], [16, 56, 28, 4]);
        /// # Ok::<(), bayeslift_layers::Error>(())
        /// ```
        pub fn strides(mut self, strides: impl Into<crate::PerAxis>) -> Self {
            self.geometry_mut().strides = strides.into();
            self
        }

        /// How the borders are treated: a [`Padding`](crate::Padding), which says how many positions the output has, or
        /// a pair of numbers for each axis. Default: [`Padding::Valid`](crate::Padding::Valid).
        ///
        /// ```
        /// use bayeslift_layers::{Convolution, Layer};
        /// let layer = Convolution::new(1, 4, 3).padding([(1, 1), (0, 2)]);
        /// assert_eq!(layer.trace([16, 28, 28, 1].into())?.rows[0].ty.shape[..], [16, 28, 28, 4]);
        /// # Ok::<(), bayeslift_layers::Error>(())
        /// ```
        pub fn padding(mut self, padding: impl Into<crate::Padding>) -> Self {
            self.geometry_mut().padding = padding.into();
            self
        }

        /// How far apart neighbours in a window are, in positions, on all axes alike or on each; at least 1. Default:
        /// 1. They go with any strides.
        ///
        /// ```
        /// use bayeslift_layers::{Convolution, Layer};
        /// // three elements that are 4 apart reach over 9 positions
        /// let layer = Convolution::new(1, 4, [3]).dilations(4);
        /// assert_eq!(layer.trace([16, 28, 1].into())?.rows[0].ty.shape[..], [16, 20, 4]);
        /// # Ok::<(), bayeslift_layers::Error>(())
        /// ```
        pub fn dilations(mut self, dilations: impl Into<crate::PerAxis>) -> Self {
            self.geometry_mut().dilations = dilations.into();
            self
        }

        /// Cuts input and output channels into `groups` runs of neighbours, and connects only runs of equal number:
        /// with as many groups as input channels it is a depthwise convolution. Default: 1. It must divide both sizes,
        /// or it is refused where a network is made of the layer.
        ///
        /// ```
        /// use bayeslift_layers::{Convolution, Layer};
        /// let depthwise = Convolution::new(8, 16, 3).groups(8);
        /// assert_eq!(depthwise.variables()?[0].ty.shape[..], [3, 3, 1, 16]);
        /// let error = Convolution::new(8, 16, 3).groups(3).variables().unwrap_err();
        /// assert!(error.to_string().ends_with("groups is 3, expected a divisor of input_size, which is 8"));
        /// # Ok::<(), bayeslift_layers::Error>(())
        /// ```
        pub fn groups(mut self, groups: usize) -> Self {
            self.geometry_mut().groups = groups;
            self
        }
    };
}
pub(crate) use convolution_options;
