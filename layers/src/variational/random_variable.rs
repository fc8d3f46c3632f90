//! What a layer is uncertain of, by its posterior and its prior.

use crate::{
    AnyDistribution, Context, Declaration, Draw, Error, Group, Initializer, Scope, Term, distribution::Normal,
    variational::initial_raw_scale,
};
use bayeslift_ir::Shape;

/// A random variable of a layer: what training fits a distribution of. [`VariationalLayer`](crate::VariationalLayer)
/// takes them; a layer that implements [`Layer`](crate::Layer) itself makes terms of them.
///
/// ```
/// use bayeslift_ir::Builder;
/// use bayeslift_layers::{Context, Initializer, RandomVariable, Scope, distribution::Normal};
///
/// let builder = Builder::new();
/// let scope = Scope::initialize(&builder, 0);
/// let prior = Normal::scalar(&builder, 0.0, 1.0);
/// let kernel = RandomVariable::mean_field(&scope, "kernel", [3, 2], &Initializer::Zeros, 0.1, prior)?;
/// assert_eq!(scope.parameters().paths().collect::<Vec<_>>(), ["kernel/loc", "kernel/raw_scale"]);
/// assert_eq!((kernel.posterior.family(), kernel.shape.elements()), ("Normal", 6));
///
/// let term = kernel.term(&Context::new(scope), None); // no value of it is used
/// assert_eq!((term.site.path(), term.value.is_none()), ("kernel".to_owned(), true));
///
/// let fixed = RandomVariable::new("noise", [2], Normal::scalar(&builder, 0.0, 1.0), prior);
/// assert_eq!(fixed.name, "noise"); // declares nothing
/// # Ok::<(), bayeslift_layers::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct RandomVariable<'b> {
    /// The name, unique in its layer: the last part of its path.
    pub name: String,
    /// The shape of one value.
    pub shape: Shape,
    /// The distribution that training fits.
    pub posterior: AnyDistribution<'b>,
    /// The distribution before data.
    pub prior: AnyDistribution<'b>,
}

impl<'b> RandomVariable<'b> {
    /// A random variable of these distributions.
    pub fn new(
        name: impl Into<String>,
        shape: impl Into<Shape>,
        posterior: impl Into<AnyDistribution<'b>>,
        prior: impl Into<AnyDistribution<'b>>,
    ) -> Self {
        RandomVariable { name: name.into(), shape: shape.into(), posterior: posterior.into(), prior: prior.into() }
    }

    /// One whose posterior is an independent normal distribution of each element, as in
    /// [`Posterior::mean_field`](crate::Posterior::mean_field): declares `name/loc`, which starts as the initializer
    /// says, and `name/raw_scale`, with scale = softplus(raw_scale) + 1e-5, which starts at `scale`.
    ///
    /// # Errors
    /// A scale that is not above 1e-5; as for [`Scope::declare_parameter`].
    pub fn mean_field(
        scope: &Scope<'b>,
        name: &str,
        shape: impl Into<Shape>,
        loc: &Initializer,
        scale: f64,
        prior: impl Into<AnyDistribution<'b>>,
    ) -> Result<Self, Error> {
        let (scope, shape) = (scope.child(name), &shape.into());
        let raw_scale = &Initializer::Constant(initial_raw_scale(scale)?);
        let declare = |name: &str, initializer, group| {
            let declaration = Declaration { shape, initializer, batch_ndims: 0, trainable: true, group };
            scope.declare_parameter(name, &declaration)
        };
        let (loc, raw_scale) = (declare("loc", loc, Group::Loc)?, declare("raw_scale", raw_scale, Group::Scale)?);
        Ok(RandomVariable::new(name, shape.clone(), Normal::from_raw_scale(loc, raw_scale), prior))
    }

    /// Its term of the divergence of a call that used this value, if it used one.
    pub fn term(self, context: &Context<'b>, value: Option<Draw<'b>>) -> Term<'b> {
        let RandomVariable { name, shape, posterior, prior } = self;
        Term { site: context.site(&name), shape, posterior, prior, value, reads: None }
    }
}
