//! A layer: what it declares, what it is called with, and what a call gives.

mod context;
mod description;
mod eager;
mod scope;
mod trace;

pub(crate) use context::addressed_noise;
pub use context::{Context, Site, noise_inputs};
pub use description::LayerDescription;
pub use eager::Eager;
pub(crate) use eager::evaluate_one;
pub use scope::{Declaration, Scope};
pub use trace::{Trace, TraceRow};

use crate::{AnyDistribution, Divergence, Draw, Error, Parameters, Reads, TermDivergence, Variable, parameters};
use bayeslift_ir::{Builder, DType, Expr, Shape, Type};

/// A part of a network: declares parameters, and is called on an expression.
///
/// A layer is a description. It holds no parameters and no state, so one value can be used from many threads, in many
/// graphs and in several places of a network; each place is a path and has its own parameters.
///
/// ```
/// use bayeslift_ir::Expr;
/// use bayeslift_layers::{Affine, Call, Context, Error, Initializer, Layer, Scope, Sequential};
///
/// /// x times a factor for each unit, then a layer of its own.
/// struct Scaled(usize, Affine);
///
/// impl Layer for Scaled {
///     fn name(&self) -> &str {
///         "scaled"
///     }
///     fn has_default_name(&self) -> bool {
///         true // a container numbers several
///     }
///     fn declare(&self, scope: &Scope<'_>) -> Result<(), Error> {
///         scope.parameter("factor", &[self.0].into(), &Initializer::Ones)?;
///         self.1.declare(&scope.child("inner"))
///     }
///     fn call<'b>(&self, context: &Context<'b>, x: Expr<'b>) -> Result<Call<'b>, Error> {
///         context.check_input(x, self.0)?;
///         let factor = context.scope().parameter("factor", &[self.0].into(), &Initializer::Ones)?;
///         context.call_layer("inner", &self.1, x * factor)
///     }
///     fn children(&self) -> Vec<(&str, &dyn Layer)> {
///         vec![("inner", &self.1)]
///     }
/// }
///
/// let network = Sequential::new().layer(Scaled(3, Affine::new(3, 3))).layer(Scaled(3, Affine::new(3, 1)));
/// let paths: Vec<_> = network.variables()?.into_iter().map(|variable| variable.path).collect();
/// assert_eq!(paths[..3], ["scaled/factor", "scaled/inner/kernel", "scaled/inner/bias"]);
/// assert_eq!(network.trainable_variables()?[3].path, "scaled_1/factor");
/// assert_eq!(network.initialize(42)?, network.initialize(42)?); // the same bits
/// assert!(network.summary()?.ends_with("trainable size: 22  /  0.000 MiB  /  {float32: 22}"));
/// assert_eq!((network.element_type(), network.has_default_name()), (None, true));
/// # Ok::<(), Error>(())
/// ```
pub trait Layer: Send + Sync {
    /// The name: its own if it was given one, else the default of its kind. Containers number equal default names.
    fn name(&self) -> &str;

    /// Whether the name is the default of its kind, so that a container may number it.
    fn has_default_name(&self) -> bool {
        false
    }

    /// The element type that it is told to have, or one of its layers is; `None`, the default for a layer without
    /// others, if it has that of the network around it, and `f32` alone.
    fn element_type(&self) -> Option<DType> {
        self.children().into_iter().find_map(|(_, layer)| layer.element_type())
    }

    /// Declares the parameters in a scope that stands at the layer's path, or checks those it is bound to.
    ///
    /// # Errors
    /// Arguments of the layer that make no sense, parameters that do not fit.
    fn declare(&self, scope: &Scope<'_>) -> Result<(), Error>;

    /// Adds the layer's operations on `x` to the graph.
    ///
    /// # Errors
    /// An input that does not fit, parameters that do not fit, noise where there is no address.
    fn call<'b>(&self, context: &Context<'b>, x: Expr<'b>) -> Result<Call<'b>, Error>;

    /// What the layer is, in words, for model files. Default: its name. A container should tell its layers, and a layer
    /// with options those that change its output; what is not told is compared by the network's graph alone.
    ///
    /// ```
    /// use bayeslift_ir::Expr;
    /// use bayeslift_layers::{Call, Context, Error, Layer, LayerDescription, Scope};
    ///
    /// struct Power(i32);
    ///
    /// impl Layer for Power {
    ///     fn name(&self) -> &str {
    ///         "power"
    ///     }
    ///     fn declare(&self, _: &Scope<'_>) -> Result<(), Error> {
    ///         Ok(())
    ///     }
    ///     fn call<'b>(&self, _: &Context<'b>, x: Expr<'b>) -> Result<Call<'b>, Error> {
    ///         Ok(Call::new((1..self.0).fold(x, |power, _| power * x)))
    ///     }
    ///     fn describe(&self) -> LayerDescription {
    ///         LayerDescription::new("power").option("exponent", self.0)
    ///     }
    /// }
    /// ```
    fn describe(&self) -> LayerDescription {
        LayerDescription::new(self.name())
    }

    /// The layers that this one is made of, by the names that they have in it; default: none. What they are called is
    /// told by [`Layer::call`]; this is to look at.
    fn children(&self) -> Vec<(&str, &dyn Layer)> {
        Vec::new()
    }

    /// All layers in this one, by path: TensorFlow's `submodules`, in which a name is a `name_scope`.
    ///
    /// ```
    /// use bayeslift_layers::{Affine, Layer, Residual, Sequential};
    /// let block = Sequential::new().layer(Affine::new(8, 8)).layer(Affine::new(8, 8));
    /// let network = Sequential::new().layer(Residual::new(block)).layer(Affine::new(8, 1));
    /// let paths: Vec<_> = network.submodules().into_iter().map(|(path, _)| path).collect();
    /// assert_eq!(paths[..3], ["residual", "residual/sequential", "residual/sequential/affine"]);
    /// ```
    fn submodules(&self) -> Vec<(String, &dyn Layer)> {
        let mut all = Vec::new();
        for (name, child) in self.children() {
            all.push((name.to_owned(), child));
            all.extend(child.submodules().into_iter().map(|(path, layer)| (format!("{name}/{path}"), layer)));
        }
        all
    }

    /// The parameters with their initial values. Each is drawn at an address made of `seed` and its path, so adding a
    /// layer elsewhere changes nothing, and the bits are the same on every machine.
    ///
    /// # Errors
    /// As for [`Layer::declare`].
    fn initialize(&self, seed: u64) -> Result<Parameters, Error> {
        let builder = builder_of(self);
        let scope = Scope::initialize(&builder, seed);
        self.declare(&scope).map_err(|error| error.within(self.name()))?;
        Ok(scope.parameters())
    }

    /// The parameters, without values.
    ///
    /// # Errors
    /// As for [`Layer::declare`].
    fn variables(&self) -> Result<Vec<Variable>, Error> {
        let builder = builder_of(self);
        let scope = Scope::describe(&builder);
        self.declare(&scope).map_err(|error| error.within(self.name()))?;
        Ok(scope.variables())
    }

    /// The parameters that training changes, without values.
    ///
    /// # Errors
    /// As for [`Layer::declare`].
    fn trainable_variables(&self) -> Result<Vec<Variable>, Error> {
        Ok(self.variables()?.into_iter().filter(|variable| variable.trainable).collect())
    }

    /// A text table of the parameters.
    ///
    /// # Errors
    /// As for [`Layer::declare`].
    fn summary(&self) -> Result<String, Error> {
        Ok(parameters::summary(self.name(), &self.variables()?))
    }

    /// What each layer gives for an input of this shape: its path, and the element type and shape of its output.
    /// Nothing is computed.
    ///
    /// ```
    /// use bayeslift_layers::{Affine, Layer, Sequential};
    /// let network = Sequential::new().layer(Affine::new(8, 4)).apply(|x| x.relu()).layer(Affine::new(4, 1));
    /// let trace = network.trace([32, 8].into())?;
    /// let rows: Vec<String> = trace.rows.iter().map(|row| format!("{} {}", row.path, row.ty)).collect();
    /// assert_eq!(rows, ["affine f32[32,4]", "lambda f32[32,4]", "affine_1 f32[32,1]", "sequential f32[32,1]"]);
    /// println!("{trace}");
    /// # Ok::<(), bayeslift_layers::Error>(())
    /// ```
    ///
    /// # Errors
    /// As for [`Layer::declare`] and [`Layer::call`].
    fn trace(&self, input: Shape) -> Result<Trace, Error> {
        let builder = builder_of(self);
        let variables = self.variables()?;
        let parameters =
            variables.into_iter().map(|variable| (builder.input(&variable.path, variable.ty), variable.path));
        let parameters: Vec<_> = parameters.map(|(expr, path)| (path, expr)).collect();
        let context = Context::new(Scope::bind_exprs(&builder, parameters)).noise(noise_inputs(&builder)).tracing();
        let x = builder.input("x", Type::new(builder.float(), input));
        let call = self.call(&context, x).map_err(|error| error.within(self.name()))?;
        builder.check().map_err(|error| Error::from(error).within(self.name()))?;
        let mut rows = context.traced();
        rows.push(TraceRow::new(self.name(), call.output));
        Ok(Trace { rows })
    }

    /// Checks that `parameters` are those of the layer: all paths and types, and finite elements where a layer has
    /// `validate_args`.
    ///
    /// # Errors
    /// The first that is missing, does not fit, or is not finite.
    fn validate(&self, parameters: &Parameters) -> Result<(), Error> {
        let builder = builder_of(self);
        let scope = Scope::bind(&builder, parameters)?;
        self.declare(&scope).map_err(|error| error.within(self.name()))
    }
}

/// A builder of graphs of a layer alone.
fn builder_of(layer: &(impl Layer + ?Sized)) -> Builder {
    Builder::of(layer.element_type().unwrap_or(DType::F32))
}

impl<L: Layer + ?Sized> Layer for std::sync::Arc<L> {
    fn name(&self) -> &str {
        (**self).name()
    }
    fn has_default_name(&self) -> bool {
        (**self).has_default_name()
    }
    fn element_type(&self) -> Option<DType> {
        (**self).element_type()
    }
    fn declare(&self, scope: &Scope<'_>) -> Result<(), Error> {
        (**self).declare(scope)
    }
    fn call<'b>(&self, context: &Context<'b>, x: Expr<'b>) -> Result<Call<'b>, Error> {
        (**self).call(context, x)
    }
    fn describe(&self) -> LayerDescription {
        (**self).describe()
    }
    fn children(&self) -> Vec<(&str, &dyn Layer)> {
        (**self).children()
    }
}

/// What a call of a layer returns: its output, what its divergence is computed from, and what training remembers of it.
///
/// ```
/// use bayeslift_ir::{Builder, Type};
/// use bayeslift_layers::{
///     Affine, AffineVariationalReparameterization, Call, Context, Divergence, Layer, Prior, Scope, Sequential,
///     noise_inputs,
/// };
///
/// let random = AffineVariationalReparameterization::new(4, 2).prior_maker(Prior::normal(0.0, 1.0));
/// let layers = Sequential::new().layer(Affine::new(3, 4)).layer(random);
/// let (builder, parameters) = (Builder::new(), layers.initialize(0)?);
/// let context = Context::new(Scope::bind(&builder, &parameters)?).noise(noise_inputs(&builder));
/// let call = layers.call(&context, builder.input("x", Type::f32([8, 3])))?;
/// assert_eq!((call.output.ty(), call.terms.len()), (Type::f32([8, 2]), 2)); // kernel and bias are random
///
/// // in nats: of all, and of each with how it is computed
/// assert_eq!(call.divergence(&Divergence::Exact)?.ty(), Type::f32([]));
/// assert_eq!(call.losses(&Divergence::Exact)?[0].0, "affine_1/kernel");
/// assert_eq!(call.divergences(&Divergence::Exact)?.len(), 2);
/// // the kernel that was drawn, and of no other
/// assert_eq!(call.posterior_value("affine_1/kernel").map(|kernel| kernel.ty()), Some(Type::f32([4, 2])));
/// assert!(call.posterior_value("affine/kernel").is_none());
///
/// // a container's call of several: terms are collected
/// let mut sum = Call::new(call.output * 2.0);
/// sum.absorb_all(call.clone());
/// sum.absorb(call.terms); // the same random variables, which count once
/// assert_eq!(sum.terms.len(), 2);
/// # Ok::<(), bayeslift_layers::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Call<'b> {
    /// The output.
    pub output: Expr<'b>,
    /// A term for each random variable of the layers called.
    pub terms: Vec<Term<'b>>,
    /// Values that a step of training gives to parameters that are not trainable, such as the moving averages of a
    /// batch normalization, by path.
    pub updates: Vec<(String, Expr<'b>)>,
}

/// A random variable of a network in one call: its posterior, its prior, and the value that the call used.
#[derive(Clone, Debug)]
pub struct Term<'b> {
    /// Where divergences draw, if they have to; its path, such as `affine/kernel`, is the random variable's.
    pub site: Site<'b>,
    /// The shape of one value.
    pub shape: Shape,
    /// The distribution that training fits.
    pub posterior: AnyDistribution<'b>,
    /// The distribution before data.
    pub prior: AnyDistribution<'b>,
    /// The value that the forward pass used, if it used one: `[samples, shape..]`, or `shape` without samples.
    pub value: Option<Draw<'b>>,
    /// The rows of the random variable by which its divergence is estimated, if it is not computed of all.
    pub reads: Option<Reads<'b>>,
}

impl<'b> Term<'b> {
    /// The sum of a number for each event of a value, or of several values, where an event has `event_ndims` axes; or
    /// its estimate by the rows that were read.
    pub(crate) fn sum(&self, events: Expr<'b>, event_ndims: usize) -> Expr<'b> {
        let estimate = self.reads.as_ref().and_then(|reads| reads.sum(events, event_ndims));
        estimate.unwrap_or_else(|| events.sum_all())
    }
}

impl<'b> Call<'b> {
    /// A call without random variables.
    pub fn new(output: Expr<'b>) -> Self {
        Call { output, terms: Vec::new(), updates: Vec::new() }
    }

    /// Appends the terms of another call. A random variable that is here already - a layer called twice under one
    /// path - counts once.
    pub fn absorb(&mut self, terms: Vec<Term<'b>>) {
        for term in terms {
            if !self.terms.iter().any(|known| known.site.path() == term.site.path()) {
                self.terms.push(term);
            }
        }
    }

    /// Appends terms and updates of another call. Of a parameter that both update the later value counts.
    pub fn absorb_all(&mut self, call: Call<'b>) {
        self.absorb(call.terms);
        self.updates.retain(|(path, _)| !call.updates.iter().any(|(other, _)| other == path));
        self.updates.extend(call.updates);
    }

    /// The divergence of posterior from prior, in nats, summed over all random variables; 0 without any.
    ///
    /// # Errors
    /// As for [`Divergence`].
    pub fn divergence(&self, divergence: &Divergence) -> Result<Expr<'b>, Error> {
        let losses = self.losses(divergence)?;
        let sum = losses.into_iter().map(|(_, loss)| loss).reduce(|a, b| a + b);
        Ok(sum.unwrap_or_else(|| self.output.builder().constant(0.0)))
    }

    /// The divergence of each random variable, in nats, by path.
    ///
    /// # Errors
    /// As for [`Divergence`].
    pub fn losses(&self, divergence: &Divergence) -> Result<Vec<(String, Expr<'b>)>, Error> {
        Ok(self.divergences(divergence)?.into_iter().map(|term| (term.path, term.value)).collect())
    }

    /// The divergence of each random variable, in nats, and how it is computed.
    ///
    /// # Errors
    /// As for [`Divergence`].
    pub fn divergences(&self, divergence: &Divergence) -> Result<Vec<TermDivergence<'b>>, Error> {
        let with_method = |term: &Term<'b>| {
            let path = format!("{}/divergence", term.site.path());
            term.site.builder().scoped(&path, || divergence.with_method(term))
        };
        self.terms.iter().map(with_method).collect()
    }

    /// The value that the forward pass used for the random variable at `path`, such as `affine/kernel`; `None` if
    /// there is no such variable or none of its values was used, as in a local layer.
    pub fn posterior_value(&self, path: &str) -> Option<Expr<'b>> {
        let term = self.terms.iter().find(|term| term.site.path() == path)?;
        term.value.map(|draw| draw.value)
    }
}
