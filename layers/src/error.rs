//! What is wrong with a layer, its parameters or its call.

use bayeslift_ir::{Error as GraphError, Foreign, Shape, Type};

/// What can be wrong with a network, its parameters or its data. Errors arrive before anything is compiled.
///
/// ```
/// use bayeslift_layers::{Affine, Error, Layer, Sequential};
///
/// let network = Sequential::new().layer(Affine::new(3, 2)).layer(Affine::new(4, 1));
/// let error = network.trace([8, 3].into()).unwrap_err();
/// assert_eq!(error.to_string(), "in layer `affine_1`: the input has shape [8,2], expected [..,4]");
/// let Error::In { path, error } = error.within("outer") else { panic!("the innermost layer has marked it") };
/// assert!(path == "affine_1" && matches!(*error, Error::Shape { .. }));
/// ```
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An error, and the path of the layer it arose in.
    #[error("in layer `{}`: {error}", Foreign::new(path))]
    In {
        /// The path of the layer.
        path: String,
        /// The error itself.
        error: Box<Error>,
    },
    /// A tensor has a shape that does not fit.
    #[error("{argument} has shape {found}, expected {expected}")]
    Shape {
        /// The argument at fault.
        argument: String,
        /// What would fit: a shape, or a rule.
        expected: String,
        /// What came.
        found: Shape,
    },
    /// An argument has a value that does not fit.
    #[error("{} is {}, expected {expected}", Foreign::whole(argument), Foreign::whole(found))]
    Argument {
        /// The argument at fault.
        argument: String,
        /// What would fit.
        expected: String,
        /// What came.
        found: String,
    },
    /// What was asked for cannot be done.
    #[error("{}; {remedy}", Foreign::whole(problem))]
    Misuse {
        /// What is wrong, with what came and what is needed.
        problem: String,
        /// What to do.
        remedy: &'static str,
    },
    /// Two things that need different names share one.
    #[error("two {what} are named `{}`; give one of them another name", Foreign::new(name))]
    DuplicateName {
        /// What is named.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// A name that does not exist.
    #[error("there is no {what} named `{}`; there are: {known}", Foreign::new(name))]
    UnknownName {
        /// What was looked for.
        what: &'static str,
        /// The name.
        name: String,
        /// The names that exist.
        known: String,
    },
    /// A parameter has another type than the layer declares.
    #[error("parameter `{}` has type {found}, expected {expected}", Foreign::new(path))]
    ParameterType {
        /// The path of the parameter.
        path: String,
        /// The type that the layer declares.
        expected: Type,
        /// What came.
        found: Type,
    },
    /// A parameter of a layer with `validate_args` has an element that is infinite or not a number.
    #[error("parameter `{}` is {value} at element {index}; every element must be finite", Foreign::new(path))]
    NonFinite {
        /// The path of the parameter.
        path: String,
        /// The row-major index of the first such element.
        index: usize,
        /// The element.
        value: String,
    },
    /// There is no closed form of the divergence between two distributions.
    #[error(
        "the divergence of {posterior} from {prior} at `{}` has no closed form; say what to take then, as \
         Divergence::Exact.or(Divergence::quadrature()), or use Divergence::MonteCarlo",
        Foreign::new(path)
    )]
    NoExactDivergence {
        /// The path of the random variable.
        path: String,
        /// The family of the posterior.
        posterior: &'static str,
        /// The family of the prior.
        prior: &'static str,
    },
    /// No way to compute the divergence that was asked for has an answer for two distributions.
    #[error(
        "the divergence of {posterior} from {prior} at `{}` is not computed by {}; say what to take then, as \
         .or(Divergence::MonteCarlo {{ draws: 1 }})",
        Foreign::new(path),
        Foreign::whole(divergence)
    )]
    NoDivergence {
        /// The path of the random variable.
        path: String,
        /// The family of the posterior.
        posterior: &'static str,
        /// The family of the prior.
        prior: &'static str,
        /// How it was to be computed.
        divergence: String,
    },
    /// A distribution was asked for something that it does not define.
    #[error("{distribution} has no {what}")]
    Undefined {
        /// The family of the distribution.
        distribution: &'static str,
        /// What was asked for.
        what: &'static str,
    },
    /// A layer draws noise, but the context has no noise address.
    #[error(
        "`{}` draws noise, but the context has no noise address; call Context::noise, or use PosteriorValue::Mean",
        Foreign::new(site)
    )]
    NoNoise {
        /// The path of the noise site.
        site: String,
    },
    /// A layer that normalizes by its batch was called in training on a batch with a single value of each unit.
    #[error(
        "the batch has a single value of each unit, expected at least 2 in training: a value alone is its own mean; use \
         larger batches"
    )]
    SingleValue,
    /// An error of the graph.
    #[error(transparent)]
    Graph(#[from] bayeslift_ir::Error),
}

impl Error {
    /// This error, marked with the path of the layer it arose in. The innermost layer marks it; an empty path changes
    /// nothing.
    pub fn within(self, path: &str) -> Error {
        match self {
            error @ Error::In { .. } => error,
            // the graph knows the scope that it arose in
            Error::Graph(GraphError::In { scope: path, error }) => {
                Error::In { path, error: Box::new(Error::Graph(*error)) }
            }
            error if path.is_empty() => error,
            error => Error::In { path: path.to_owned(), error: Box::new(error) },
        }
    }

    pub(crate) fn argument(argument: &str, expected: impl Into<String>, found: impl ToString) -> Error {
        Error::Argument { argument: argument.to_owned(), expected: expected.into(), found: found.to_string() }
    }

    pub(crate) fn misuse(problem: impl Into<String>, remedy: &'static str) -> Error {
        Error::Misuse { problem: problem.into(), remedy }
    }

    pub(crate) fn shape(argument: &str, expected: impl Into<String>, found: &Shape) -> Error {
        Error::Shape { argument: argument.to_owned(), expected: expected.into(), found: found.clone() }
    }
}
