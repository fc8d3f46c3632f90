//! The values that parameters have before training.

use crate::{
    Error,
    layer::{addressed_noise, evaluate_one},
};
use bayeslift_ir::{Builder, Environment, Expr, NoiseDistribution, Shape, Tensor, Type, memory};
use std::{fmt, sync::Arc};

/// The closure of [`Initializer::Custom`].
pub type CustomInitializer = dyn Fn(&Shape) -> Result<Tensor, Error> + Send + Sync;

/// The law of a parameter's initial value.
///
/// Random values are drawn at an address made of the seed and the parameter's path. Those of `f64` are those of `f32`
/// with more digits.
///
/// ```
/// use bayeslift_ir::Tensor;
/// use bayeslift_layers::{Affine, Initializer, Layer};
///
/// let kernel = |initializer: Initializer| {
///     let parameters = Affine::new(2, 2).kernel_initializer(initializer).initialize(7)?;
///     Ok::<_, bayeslift_layers::Error>(parameters.get("kernel")?.tensor.clone())
/// };
/// // the same numbers for the same seed and path, on every machine
/// assert_eq!(kernel(Initializer::HeNormal)?, kernel(Initializer::HeNormal)?);
/// let known = Tensor::f32([2, 2], [1.0, 2.0, 3.0, 4.0])?;
/// assert_eq!(kernel(Initializer::value(known.clone()))?, known);
/// let counted = Initializer::custom(|shape| {
///     let numbers: Vec<f32> = (0..shape.elements()).map(|i| i as f32).collect();
///     Ok(Tensor::f32(shape.clone(), numbers)?)
/// });
/// assert_eq!(kernel(counted)?, Tensor::f32([2, 2], [0.0, 1.0, 2.0, 3.0])?);
/// # Ok::<(), bayeslift_layers::Error>(())
/// ```
#[derive(Clone, Default)]
#[non_exhaustive]
pub enum Initializer {
    /// All 0.
    #[default]
    Zeros,
    /// All 1.
    Ones,
    /// All this number.
    Constant(f64),
    /// Uniform on (-limit, limit).
    Uniform {
        /// The limit.
        limit: f64,
    },
    /// Uniform of variance 2 / (fan_in + fan_out) (Glorot and Bengio 2010, equation 16).
    GlorotUniform,
    /// Uniform of variance 2 / fan_in (He and others 2015, equation 10).
    HeUniform,
    /// Normal, cut off at two standard deviations, of variance 2 / (fan_in + fan_out) after the cut.
    GlorotNormal,
    /// Normal, cut off at two standard deviations, of variance 2 / fan_in after the cut.
    HeNormal,
    /// Uniform of variance 1 / fan_in (LeCun, Bottou, Orr and Mueller 1998), which selu needs.
    LecunUniform,
    /// Normal, cut off at two standard deviations, of variance 1 / fan_in after the cut.
    LecunNormal,
    /// Normal of mean 0.
    Normal {
        /// The standard deviation.
        stddev: f64,
    },
    /// Normal of mean 0, cut off at two standard deviations.
    TruncatedNormal {
        /// The standard deviation before the cut.
        stddev: f64,
    },
    /// Orthogonal rows or columns, whichever are fewer, of the matrix whose columns are those of the last axis, each
    /// batch on its own; uniform among those (Saxe, McClelland and Ganguli 2014; Mezzadri 2007).
    Orthogonal {
        /// What the matrix is multiplied by: the norm of each of these rows or columns.
        gain: f64,
    },
    /// Any value of the shape, `f32` or `f64`, which becomes what the parameter is; see [`Initializer::custom`].
    Custom(Arc<CustomInitializer>),
}

/// The standard deviation of a standard normal cut off at two standard deviations.
const TRUNCATED_STDDEV: f64 = 0.879_625_661_034_239_8;

/// The number of inputs and outputs of one unit, as TFP counts them: the shape behind the axes of the batch, filled up
/// in the end with ones to two axes, is `[receptive.., input, output]`, and both fans include the receptive field. (TFP
/// fills up before it leaves the batch out, which fails for a bias.)
///
/// ```
/// assert_eq!(bayeslift_layers::fans(&[5, 5, 3, 32].into(), 0), (75, 800));
/// assert_eq!(bayeslift_layers::fans(&[7].into(), 0), (7, 1));
/// assert_eq!(bayeslift_layers::fans(&[500, 7].into(), 1), (7, 1));
/// ```
pub fn fans(shape: &Shape, batch_ndims: usize) -> (usize, usize) {
    let mut extents = shape[batch_ndims.min(shape.len())..].to_vec();
    extents.resize(extents.len().max(2), 1);
    let (receptive, units) = extents.split_at(extents.len() - 2);
    let receptive: usize = receptive.iter().product();
    (units[0] * receptive, units[1] * receptive)
}

impl Initializer {
    /// Any value: a closure that is given the parameter's shape and returns a tensor of it, `f32` or `f64`, which is
    /// taken to the parameter's type. Another shape is refused where the parameter is made.
    pub fn custom(value: impl Fn(&Shape) -> Result<Tensor, Error> + Send + Sync + 'static) -> Self {
        Initializer::Custom(Arc::new(value))
    }

    /// This very value, which has to have the parameter's shape, as of [`Initializer::custom`].
    pub fn value(tensor: Tensor) -> Self {
        Initializer::custom(move |_| Ok(tensor.clone()))
    }

    /// The variance of each element, for the families that scale with the fans.
    fn variance(&self, shape: &Shape, batch_ndims: usize) -> f64 {
        let (fan_in, fan_out) = fans(shape, batch_ndims);
        match self {
            Initializer::HeUniform | Initializer::HeNormal => 2.0 / fan_in as f64,
            Initializer::LecunUniform | Initializer::LecunNormal => 1.0 / fan_in as f64,
            _ => 2.0 / (fan_in + fan_out) as f64,
        }
    }

    /// The limit l of an initializer that is uniform on (-l, l), for a parameter of this shape, whose first
    /// `batch_ndims` axes count independent layers: sqrt(3 v) for a variance v that follows from the [`fans`]. `None`
    /// for an initializer that is not uniform.
    ///
    /// ```
    /// use bayeslift_layers::Initializer;
    /// // of 4 inputs and 2 outputs: sqrt(3 * 2 / (4 + 2))
    /// assert_eq!(Initializer::GlorotUniform.limit(&[4, 2].into(), 0), Some(1.0));
    /// assert_eq!(Initializer::Zeros.limit(&[4, 2].into(), 0), None);
    /// ```
    pub fn limit(&self, shape: &Shape, batch_ndims: usize) -> Option<f64> {
        Environment::within(|| match self {
            Initializer::Uniform { limit } => Some(*limit),
            Initializer::GlorotUniform | Initializer::HeUniform | Initializer::LecunUniform => {
                Some((3.0 * self.variance(shape, batch_ndims)).sqrt())
            }
            _ => None,
        })
    }

    /// The standard deviation before the cut of an initializer that is a normal distribution cut off at two standard
    /// deviations, for a shape as of [`Initializer::limit`]: sqrt(v) / 0.8796 for a variance v after the cut that
    /// follows from the [`fans`]. `None` for any other initializer.
    pub fn stddev_before_truncation(&self, shape: &Shape, batch_ndims: usize) -> Option<f64> {
        Environment::within(|| match self {
            Initializer::TruncatedNormal { stddev } => Some(*stddev),
            Initializer::GlorotNormal | Initializer::HeNormal | Initializer::LecunNormal => {
                Some(self.variance(shape, batch_ndims).sqrt() / TRUNCATED_STDDEV)
            }
            _ => None,
        })
    }

    /// The initial value of a parameter of this type, `f32` or `f64`, whose draws are addressed by a seed and a stream.
    ///
    /// # Errors
    /// A shape of extent 0, or for which there is no memory; for a custom initializer its own error, or a value of
    /// another shape.
    pub fn initial(&self, seed: u64, stream: u64, ty: &Type, batch_ndims: usize) -> Result<Tensor, Error> {
        let _environment = Environment::enter();
        let shape = &ty.shape;
        ty.check()?;
        memory::check(shape.elements(), ty.dtype.bytes(), "the initial value of a parameter")?;
        let fill = |x: f64| Ok(Tensor::floats(ty, vec![x; shape.elements()])?);
        match self {
            Initializer::Zeros => fill(0.0),
            Initializer::Ones => fill(1.0),
            Initializer::Constant(x) => fill(*x),
            Initializer::Normal { stddev } => {
                draw(seed, ty, |site| Ok(site(stream, NoiseDistribution::Normal)? * *stddev))
            }
            Initializer::Orthogonal { gain } => {
                let normal = draw(seed, ty, |site| site(stream, NoiseDistribution::Normal))?;
                orthogonal(&normal, *gain, batch_ndims)
            }
            Initializer::Custom(value) => {
                let tensor = value(shape)?;
                match tensor.to_f64s().filter(|_| tensor.shape() == shape) {
                    Some(_) if tensor.dtype() == ty.dtype => Ok(tensor),
                    Some(elements) => Ok(Tensor::floats(ty, elements)?),
                    None => {
                        let what = "the type of what the initializer gives";
                        Err(Error::argument(what, ty.to_string(), tensor.ty()))
                    }
                }
            }
            _ => {
                if let Some(limit) = self.limit(shape, batch_ndims) {
                    return draw(seed, ty, |site| {
                        let unit = site(stream, NoiseDistribution::Uniform)?;
                        Ok((unit * 2.0 - 1.0) * limit)
                    });
                }
                let stddev =
                    self.stddev_before_truncation(shape, batch_ndims).expect("the other families have a limit");
                draw(seed, ty, |site| Ok(truncated_normal(stream, site)? * stddev))
            }
        }
    }
}

/// Evaluates a graph whose noise has this seed and step 0.
fn draw(
    seed: u64,
    ty: &Type,
    build: impl for<'b> Fn(&dyn Fn(u64, NoiseDistribution) -> Result<Expr<'b>, Error>) -> Result<Expr<'b>, Error>,
) -> Result<Tensor, Error> {
    let builder = Builder::of(ty.dtype);
    let address = crate::noise_inputs(&builder);
    let site = |stream: u64, law: NoiseDistribution| Ok(addressed_noise(address, law, stream, &ty.shape, None, false));
    builder.output("value", build(&site)?);
    evaluate_one(builder.finish()?, Vec::new(), Some(seed))
}

/// A standard normal that is drawn again where it lies beyond 2: each redraw has a stream of its own. Sixteen draws
/// all miss with probability 3e-22; then it is 0.
fn truncated_normal<'b>(
    stream: u64,
    site: &dyn Fn(u64, NoiseDistribution) -> Result<Expr<'b>, Error>,
) -> Result<Expr<'b>, Error> {
    let mut value: Option<Expr<'b>> = None;
    for redraw in (0..16_u64).rev() {
        // The odd constant of SplitMix64 keeps the streams of redraws apart.
        let z = site(stream.wrapping_add(redraw.wrapping_mul(0x9e37_79b9_7f4a_7c15)), NoiseDistribution::Normal)?;
        let inside = z.abs().less_equal(2.0);
        value = Some(match value {
            Some(later) => inside.select(z, later),
            None => inside.select(z, 0.0),
        });
    }
    Ok(value.expect("there are draws"))
}

/// The orthogonal factor of each matrix of normals, by Gram and Schmidt, twice: a second pass takes what rounding left
/// of the first. Its triangular factor has a positive diagonal, without which the law would not be uniform.
fn orthogonal(normal: &Tensor, gain: f64, batch_ndims: usize) -> Result<Tensor, Error> {
    let shape = normal.shape();
    let columns = shape.last_extent();
    let batches: usize = shape[..batch_ndims.min(shape.len())].iter().product();
    let rows = shape.elements() / (batches * columns).max(1);
    // the vectors that are made orthogonal are the longer ones
    let (count, length) = (rows.min(columns), rows.max(columns));
    let place = |vector: usize, i: usize| if rows < columns { vector * columns + i } else { i * columns + vector };
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).fold(0.0, |sum, (a, b)| sum + a * b);
    let mut result = vec![0.0; shape.elements()];
    let normals = normal.to_f64s().unwrap_or_default();
    let matrices = normals.chunks_exact((rows * columns).max(1));
    for (matrix, result) in matrices.zip(result.chunks_exact_mut((rows * columns).max(1))) {
        let mut basis: Vec<Vec<f64>> = Vec::with_capacity(count);
        for vector in 0..count {
            let mut x: Vec<f64> = (0..length).map(|i| matrix[place(vector, i)]).collect();
            for other in basis.iter().chain(basis.iter()) {
                let along = dot(&x, other);
                x.iter_mut().zip(other).for_each(|(x, other)| *x -= along * other);
            }
            let norm = dot(&x, &x).sqrt();
            x.iter_mut().for_each(|x| *x /= norm);
            x.iter().enumerate().for_each(|(i, x)| result[place(vector, i)] = gain * x);
            basis.push(x);
        }
    }
    Ok(Tensor::floats(&normal.ty(), result)?)
}

impl fmt::Debug for Initializer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Initializer::Zeros => f.write_str("Zeros"),
            Initializer::Ones => f.write_str("Ones"),
            Initializer::Constant(x) => write!(f, "Constant({x})"),
            Initializer::Uniform { limit } => write!(f, "Uniform({limit})"),
            Initializer::GlorotUniform => f.write_str("GlorotUniform"),
            Initializer::HeUniform => f.write_str("HeUniform"),
            Initializer::GlorotNormal => f.write_str("GlorotNormal"),
            Initializer::HeNormal => f.write_str("HeNormal"),
            Initializer::LecunUniform => f.write_str("LecunUniform"),
            Initializer::LecunNormal => f.write_str("LecunNormal"),
            Initializer::Normal { stddev } => write!(f, "Normal({stddev})"),
            Initializer::TruncatedNormal { stddev } => write!(f, "TruncatedNormal({stddev})"),
            Initializer::Orthogonal { gain } => write!(f, "Orthogonal({gain})"),
            Initializer::Custom(_) => f.write_str("Custom(..)"),
        }
    }
}
