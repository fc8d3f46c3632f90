//! A layer of a user's own with random variables.

use crate::{
    AnyDistribution, Call, Context, Draw, Error, Layer, LayerDescription, PosteriorValue, RandomVariable, Scope,
};
use bayeslift_ir::{Expr, Foreign};
use std::cell::Cell;

/// A layer of your own with random variables: what they are, and what is computed of their values. Whoever implements
/// it has a [`Layer`].
///
/// The rest is done for it: values are drawn at addresses of the layer's path or set by the context, the divergence
/// gets the values that the output used, and errors name the layer. It works with and without samples if `forward`
/// works on trailing axes.
///
/// ```
/// use bayeslift_ir::Expr;
/// use bayeslift_layers::{
///     Draws, Error, Initializer, Layer, RandomVariable, Scope, VariationalLayer, distribution::Normal, on_units,
/// };
///
/// /// Multiplies every unit by a random factor near 1.
/// struct Gain {
///     units: usize,
/// }
///
/// impl VariationalLayer for Gain {
///     fn kind(&self) -> &str {
///         "gain"
///     }
///
///     fn random_variables<'b>(&self, scope: &Scope<'b>) -> Result<Vec<RandomVariable<'b>>, Error> {
///         let prior = Normal::scalar(scope.builder(), 1.0, 0.3);
///         Ok(vec![RandomVariable::mean_field(scope, "gain", [self.units], &Initializer::Ones, 0.1, prior)?])
///     }
///
///     fn forward<'b>(&self, draws: &Draws<'_, 'b>, x: Expr<'b>) -> Result<Expr<'b>, Error> {
///         draws.context().check_input(x, self.units)?;
///         Ok(x * on_units(draws.value("gain")?, x))
///     }
/// }
///
/// let parameters = Gain { units: 8 }.initialize(0)?;
/// assert_eq!(parameters.paths().collect::<Vec<_>>(), ["gain/loc", "gain/raw_scale"]);
/// # Ok::<(), Error>(())
/// ```
pub trait VariationalLayer: Send + Sync {
    /// The name of its kind, which it has unless it was given one; containers number equal ones.
    fn kind(&self) -> &str;

    /// The name that it was given. Default: none.
    fn own_name(&self) -> Option<&str> {
        None
    }

    /// The value of its posteriors that a call uses unless the context says another. Default: a sample.
    fn posterior_value(&self) -> PosteriorValue {
        PosteriorValue::Sample
    }

    /// Declares its random variables - and other parameters, with [`Scope::parameter`] - in a scope that stands at its
    /// path.
    ///
    /// # Errors
    /// Arguments of the layer that make no sense, parameters that do not fit.
    fn random_variables<'b>(&self, scope: &Scope<'b>) -> Result<Vec<RandomVariable<'b>>, Error>;

    /// The output for an input, with the random variables' values as `draws` gives them.
    ///
    /// # Errors
    /// An input that does not fit, noise where there is no address.
    fn forward<'b>(&self, draws: &Draws<'_, 'b>, x: Expr<'b>) -> Result<Expr<'b>, Error>;
}

/// The random variables of a [`VariationalLayer`] in one call.
///
/// ```
/// use bayeslift_ir::Expr;
/// use bayeslift_layers::{
///     Draws, Error, Initializer, Layer, RandomVariable, Scope, VariationalLayer, distribution::Normal, on_units,
/// };
///
/// /// x + a random offset for each unit, times a factor that is learned as it is.
/// struct Shifted(usize);
///
/// impl VariationalLayer for Shifted {
///     fn kind(&self) -> &str {
///         "shifted"
///     }
///     fn random_variables<'b>(&self, scope: &Scope<'b>) -> Result<Vec<RandomVariable<'b>>, Error> {
///         scope.parameter("factor", &[self.0].into(), &Initializer::Ones)?;
///         let standard = || Normal::scalar(scope.builder(), 0.0, 1.0);
///         Ok(vec![RandomVariable::new("offset", [self.0], standard(), standard())]) // nothing of it is learned
///     }
///     fn forward<'b>(&self, draws: &Draws<'_, 'b>, x: Expr<'b>) -> Result<Expr<'b>, Error> {
///         draws.context().check_input(x, self.0)?;
///         assert_eq!(draws.posterior("offset")?.family(), "Normal");
///         Ok((x + on_units(draws.value("offset")?, x)) * draws.parameter("factor")?)
///     }
/// }
///
/// assert_eq!(Shifted(3).initialize(0)?.paths().collect::<Vec<_>>(), ["factor"]);
/// # Ok::<(), Error>(())
/// ```
#[derive(Debug)]
pub struct Draws<'a, 'b> {
    context: &'a Context<'b>,
    value: PosteriorValue,
    variables: Vec<(RandomVariable<'b>, Cell<Option<Draw<'b>>>)>,
}

impl<'b> Draws<'_, 'b> {
    /// The context of the call.
    pub fn context(&self) -> &Context<'b> {
        self.context
    }

    /// The value of a random variable, `shape`, or `[samples, shape..]` where it is drawn for samples. It is the one
    /// that the divergence gets; a variable that is never asked for is not drawn here.
    ///
    /// # Errors
    /// No variable of this name; as for [`PosteriorValue::of`].
    pub fn value(&self, name: &str) -> Result<Expr<'b>, Error> {
        let (variable, used) = self.variable(name)?;
        let draw = match used.get() {
            Some(draw) => draw,
            None => self.value.of(&variable.posterior, &self.context.site(name), &variable.shape)?,
        };
        used.set(Some(draw));
        Ok(draw.value)
    }

    /// The posterior of a random variable, for a layer that needs no value of it.
    ///
    /// # Errors
    /// No variable of this name.
    pub fn posterior(&self, name: &str) -> Result<&AnyDistribution<'b>, Error> {
        Ok(&self.variable(name)?.0.posterior)
    }

    /// A parameter of the layer that is not random.
    ///
    /// # Errors
    /// No parameter of this name.
    pub fn parameter(&self, name: &str) -> Result<Expr<'b>, Error> {
        self.context.scope().existing(name)
    }

    fn variable(&self, name: &str) -> Result<&(RandomVariable<'b>, Cell<Option<Draw<'b>>>), Error> {
        self.variables.iter().find(|(variable, _)| variable.name == name).ok_or_else(|| {
            let known = self.variables.iter().map(|(variable, _)| variable.name.as_str());
            Error::UnknownName { what: "random variable", name: name.to_owned(), known: Foreign::list(known) }
        })
    }
}

impl<V: VariationalLayer> Layer for V {
    fn name(&self) -> &str {
        self.own_name().unwrap_or(self.kind())
    }

    fn has_default_name(&self) -> bool {
        self.own_name().is_none()
    }

    fn declare(&self, scope: &Scope<'_>) -> Result<(), Error> {
        declared(self, scope).map(drop).map_err(|error| error.within(label(self, scope.path())))
    }

    fn call<'b>(&self, context: &Context<'b>, x: Expr<'b>) -> Result<Call<'b>, Error> {
        let call = || {
            let variables = declared(self, context.scope())?.into_iter().map(|variable| (variable, Cell::new(None)));
            let value = context.posterior_value_override().cloned().unwrap_or_else(|| self.posterior_value());
            let draws = Draws { context, value, variables: variables.collect() };
            let output = self.forward(&draws, x)?;
            let terms = draws.variables.into_iter().map(|(variable, used)| variable.term(context, used.get()));
            Ok(Call { terms: terms.collect(), ..Call::new(output) })
        };
        call().map_err(|error: Error| error.within(label(self, context.path())))
    }

    fn describe(&self) -> LayerDescription {
        let value = format!("{:?}", VariationalLayer::posterior_value(self));
        LayerDescription::new(self.kind()).option("posterior_value", value)
    }
}

fn declared<'b>(layer: &impl VariationalLayer, scope: &Scope<'b>) -> Result<Vec<RandomVariable<'b>>, Error> {
    let variables = layer.random_variables(scope)?;
    for (i, variable) in variables.iter().enumerate() {
        if variables[..i].iter().any(|other| other.name == variable.name) {
            return Err(Error::DuplicateName { what: "random variables", name: variable.name.clone() });
        }
    }
    Ok(variables)
}

/// The path that errors name: the layer's own name at the root, where there is no path.
fn label<'a>(layer: &'a impl VariationalLayer, path: &'a str) -> &'a str {
    if path.is_empty() { Layer::name(layer) } else { path }
}
