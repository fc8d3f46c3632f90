//! Maxima and averages of windows on an image.

use crate::{Call, Context, Error, Layer, LayerDescription, Padding, PerAxis, Scope, linear::Geometry};
use bayeslift_ir::{Builder, Expr, Sliding, Window};

/// What a pooling makes of the elements of a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Statistic {
    Max,
    Average,
}

impl Statistic {
    fn kind(self, max: &'static str, average: &'static str) -> &'static str {
        match self {
            Statistic::Max => max,
            Statistic::Average => average,
        }
    }
}

/// The largest or the mean element of each window, in each channel of an input `[examples.., positions.., channels]`.
///
/// Padding is never seen: a maximum is one of real elements, a mean is one of as many as there are. Elements that are
/// not numbers are ignored by a maximum. The gradient of a maximum that several elements share is shared among them.
///
/// ```
/// use bayeslift_ir::{Builder, Tensor, Type, evaluate};
/// use bayeslift_layers::{Context, Layer, Padding, Pooling, Scope};
/// let pooling = Pooling::max([3, 3]).strides(2).padding(Padding::Same);
/// assert_eq!(pooling.trace([16, 28, 28, 8].into())?.rows[0].ty.shape[..], [16, 14, 14, 8]);
/// // of a series, two windows of two elements
/// let b = Builder::new();
/// let (context, x) = (Context::new(Scope::describe(&b)), b.input("x", Type::f32([1, 4, 1])));
/// b.output("max", Pooling::max(2).rank(1).call(&context, x)?.output);
/// b.output("average", Pooling::average([2]).call(&context, x)?.output);
/// let y = evaluate(&b.finish()?, &[Tensor::f32([1, 4, 1], [1.0, 5.0, 2.0, 3.0])?])?;
/// assert_eq!((y[0].as_f32(), y[1].as_f32()), (Some(&[5.0, 3.0][..]), Some(&[3.0, 2.5][..])));
/// # Ok::<(), bayeslift_layers::Error>(())
/// ```
///
/// Refused with [`Error::Argument`], where a network is made of it: sizes or strides of 0, another padding. Refused
/// with [`Error::Shape`], where it is called: an input with fewer positions than a window has.
#[derive(Clone, Debug)]
pub struct Pooling {
    statistic: Statistic,
    geometry: Geometry,
    strides: Option<PerAxis>,
    name: Option<String>,
}

impl Pooling {
    /// The largest element of each window of this size; a number is the size on every axis.
    pub fn max(pool_size: impl Into<PerAxis>) -> Self {
        Pooling::new(Statistic::Max, pool_size.into())
    }

    /// The mean element of each window of this size; a number is the size on every axis.
    pub fn average(pool_size: impl Into<PerAxis>) -> Self {
        Pooling::new(Statistic::Average, pool_size.into())
    }

    fn new(statistic: Statistic, pool_size: PerAxis) -> Self {
        Pooling { statistic, geometry: Geometry::new(pool_size), strides: None, name: None }
    }

    /// The number of axes of positions: 1, 2 or 3. Default: as many as a list for the size has, or else 2.
    pub fn rank(mut self, rank: usize) -> Self {
        self.geometry.rank = Some(rank);
        self
    }

    /// How far apart windows are, in positions, on all axes alike or on each; at least 1. Default: the size of a
    /// window.
    pub fn strides(mut self, strides: impl Into<PerAxis>) -> Self {
        self.strides = Some(strides.into());
        self
    }

    /// How the borders are treated: [`Padding::Valid`], the default, or [`Padding::Same`].
    pub fn padding(mut self, padding: Padding) -> Self {
        self.geometry.padding = padding;
        self
    }

    /// Gives the layer a name. Names are unique in a container and have no `/`; others are refused where a network is
    /// made of it. Default: that of its kind, such as `max_pooling`, which containers number: `max_pooling_1`, ..
    ///
    /// ```
    /// use bayeslift_layers::{Pooling, Sequential};
    /// let network = Sequential::new().layer(Pooling::max(2)).layer(Pooling::max(2).name("last"));
    /// assert_eq!(network.names().collect::<Vec<_>>(), ["max_pooling", "last"]);
    /// ```
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// How windows move, checked.
    fn geometry(&self) -> Result<Geometry, Error> {
        let strides = self.strides.clone().unwrap_or_else(|| self.geometry.filter_shape.clone());
        let geometry = Geometry { strides, ..self.geometry.clone() };
        if !matches!(geometry.padding, Padding::Valid | Padding::Same) {
            return Err(Error::argument("padding", "Valid or Same", format!("{:?}", geometry.padding)));
        }
        geometry.check_windows("pool_size")?;
        Ok(geometry)
    }
}

impl Layer for Pooling {
    fn name(&self) -> &str {
        self.name.as_deref().unwrap_or(self.statistic.kind("max_pooling", "average_pooling"))
    }

    fn has_default_name(&self) -> bool {
        self.name.is_none()
    }

    fn declare(&self, _: &Scope<'_>) -> Result<(), Error> {
        self.geometry().map(drop)
    }

    fn call<'b>(&self, context: &Context<'b>, x: Expr<'b>) -> Result<Call<'b>, Error> {
        let geometry = self.geometry()?;
        let (rank, shape) = (geometry.rank(), x.shape());
        context.check_image(x, rank, shape.last_extent())?;
        let axes = geometry.on(&shape)?.axes;
        let first = shape.len() - rank - 1;
        // One axis after the other: maxima of maxima, and means of means, as windows are boxes.
        let pool = |x, (i, axis): (usize, &Sliding)| match self.statistic {
            Statistic::Max => max(x, first + i, axis),
            Statistic::Average => average(x, first + i, axis),
        };
        Ok(Call::new(axes.iter().enumerate().fold(x, pool)))
    }

    fn describe(&self) -> LayerDescription {
        let strides = self.strides.clone().unwrap_or_else(|| self.geometry.filter_shape.clone());
        let rank = self.geometry.rank();
        LayerDescription::new(self.statistic.kind("max_pooling", "average_pooling"))
            .option("pool_size", self.geometry.filter_shape.on(rank))
            .option("strides", strides.on(rank))
            .option("padding", format!("{:?}", self.geometry.padding))
    }
}

/// The windows on an axis with its padding: `[.., n, ..]` gives `[.., size, count, ..]`.
fn windows<'b>(x: Expr<'b>, axis: usize, sliding: &Sliding) -> Expr<'b> {
    let padded = x.pad(axis, sliding.before, sliding.after, 0);
    let shape = padded.shape();
    let Some(count) = shape.get(axis).and_then(|&extent| Sliding { before: 0, after: 0, ..*sliding }.windows(extent))
    else {
        return padded;
    };
    let (dilation, step) = (sliding.dilation as i64, sliding.step as i64);
    padded.window(Window { axis, start: 0, size: sliding.size, dilation, count, step })
}

fn max<'b>(x: Expr<'b>, axis: usize, sliding: &Sliding) -> Expr<'b> {
    let Some(&extent) = x.shape().get(axis) else { return x };
    let pooled = windows(x, axis, sliding);
    if sliding.before + sliding.after == 0 {
        return pooled.reduce_max(axis);
    }
    // A padded zero would win against negative numbers.
    let is_real = on_axis(windows(ones(x.builder(), extent), 0, sliding), axis, &pooled).equal(1.0);
    is_real.select(pooled, f32::NEG_INFINITY).reduce_max(axis)
}

fn average<'b>(x: Expr<'b>, axis: usize, sliding: &Sliding) -> Expr<'b> {
    let Some(&extent) = x.shape().get(axis) else { return x };
    let sum = windows(x, axis, sliding).sum(axis);
    if sliding.before + sliding.after == 0 {
        return sum / sliding.size as f64;
    }
    let real = windows(ones(x.builder(), extent), 0, sliding).sum(0);
    sum / on_axis(real, axis, &sum)
}

fn ones(builder: &Builder, extent: usize) -> Expr<'_> {
    builder.constant(1.0).broadcast(&[extent].into())
}

/// `numbers` with axes of extent 1 behind its own, so that it is broadcast along the axes of `like` after those that
/// start at `axis`.
fn on_axis<'b>(numbers: Expr<'b>, axis: usize, like: &Expr<'b>) -> Expr<'b> {
    let own = numbers.shape();
    let behind = like.shape().len().saturating_sub(axis + own.len());
    numbers.reshape([&own[..], &vec![1; behind]].concat().as_slice())
}

/// The largest or the mean element of each channel over all positions of an input `[examples.., positions..,
/// channels]`, which gives `[examples.., channels]`.
///
/// ```
/// use bayeslift_ir::{Builder, Tensor, Type, evaluate};
/// use bayeslift_layers::{Context, GlobalPooling, Layer, Scope};
/// assert_eq!(GlobalPooling::average(2).trace([16, 7, 7, 64].into())?.rows[0].ty.shape[..], [16, 64]);
/// let b = Builder::new();
/// let (context, x) = (Context::new(Scope::describe(&b)), b.input("x", Type::f32([1, 4, 1])));
/// b.output("max", GlobalPooling::max(1).call(&context, x)?.output);
/// b.output("average", GlobalPooling::average(1).name("mean").call(&context, x)?.output);
/// let y = evaluate(&b.finish()?, &[Tensor::f32([1, 4, 1], [1.0, 5.0, 2.0, 4.0])?])?;
/// assert_eq!((y[0].as_f32(), y[1].as_f32()), (Some(&[5.0][..]), Some(&[3.0][..])));
/// # Ok::<(), bayeslift_layers::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct GlobalPooling {
    statistic: Statistic,
    rank: usize,
    name: Option<String>,
}

impl GlobalPooling {
    /// The largest element over `rank` axes of positions: 1, 2 or 3; another rank is refused with [`Error::Argument`]
    /// where a network is made of the layer.
    pub fn max(rank: usize) -> Self {
        GlobalPooling { statistic: Statistic::Max, rank, name: None }
    }

    /// The mean over `rank` axes of positions: 1, 2 or 3; another rank is refused with [`Error::Argument`] where a
    /// network is made of the layer.
    pub fn average(rank: usize) -> Self {
        GlobalPooling { statistic: Statistic::Average, rank, name: None }
    }

    /// Gives the layer a name. Names are unique in a container and have no `/`; others are refused where a network is
    /// made of it. Default: that of its kind, such as `global_max_pooling`, which containers number:
    /// `global_max_pooling_1`, ..
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }
}

impl Layer for GlobalPooling {
    fn name(&self) -> &str {
        self.name.as_deref().unwrap_or(self.statistic.kind("global_max_pooling", "global_average_pooling"))
    }

    fn has_default_name(&self) -> bool {
        self.name.is_none()
    }

    fn declare(&self, _: &Scope<'_>) -> Result<(), Error> {
        if (1..=3).contains(&self.rank) { Ok(()) } else { Err(Error::argument("rank", "1, 2 or 3", self.rank)) }
    }

    fn call<'b>(&self, context: &Context<'b>, x: Expr<'b>) -> Result<Call<'b>, Error> {
        self.declare(context.scope())?;
        let shape = x.shape();
        context.check_image(x, self.rank, shape.last_extent())?;
        let first = shape.len() - self.rank - 1;
        let positions: usize = shape[first..shape.len() - 1].iter().product();
        let joined = x.reshape([&shape[..first], &[positions, shape.last_extent()]].concat().as_slice());
        Ok(Call::new(match self.statistic {
            Statistic::Max => joined.reduce_max(first),
            Statistic::Average => joined.mean(first),
        }))
    }

    fn describe(&self) -> LayerDescription {
        LayerDescription::new(self.statistic.kind("global_max_pooling", "global_average_pooling"))
            .option("rank", self.rank)
    }
}
