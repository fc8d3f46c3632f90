//! What is wrong with a graph, a tensor or a call.

use crate::{DType, Foreign, Shape, Type};

/// What can be wrong with a graph, a tensor or a text form. Errors arrive before anything is compiled.
///
/// A message says what was at fault, what would have been right and what came; in a scope, such as a layer's path, also
/// where.
///
/// ```
/// use bayeslift_ir::{Builder, Error, Type};
/// let b = Builder::new();
/// let x = b.input("x", Type::f32([32, 64]));
/// b.scoped("mlp", || x + b.input("bias", Type::f32([10])));
/// let error = b.finish().unwrap_err();
/// assert!(matches!(&error, Error::In { error, .. } if matches!(**error, Error::ShapeMismatch { .. })));
/// let message = "add: the right operand has shape [10], which does not fit a broadcast with [32,64], the shape of \
///                the left operand";
/// assert_eq!(error.to_string(), format!("in `mlp`: {message}"));
/// ```
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An error, and the scope (such as a layer's path) it arose in.
    #[error("in `{}`: {error}", Foreign::new(scope))]
    In {
        /// The path of the scope.
        scope: String,
        /// The error itself.
        error: Box<Error>,
    },
    /// Shapes that must fit each other do not.
    #[error("{op}: {argument} has shape {found}, which does not fit {expected}")]
    ShapeMismatch {
        /// The operation, layer or call.
        op: String,
        /// The argument at fault.
        argument: String,
        /// What would fit: a shape, or a rule.
        expected: String,
        /// What came.
        found: Shape,
    },
    /// An operand or tensor has the wrong element type.
    #[error("{op}: {argument} has element type {found}, expected {expected}")]
    DTypeMismatch {
        /// The operation, layer or call.
        op: String,
        /// The argument at fault.
        argument: String,
        /// The element type that is needed.
        expected: DType,
        /// What came.
        found: DType,
    },
    /// An axis has extent zero.
    #[error("shape {shape} has extent 0 on axis {axis}; every extent must be at least 1")]
    EmptyAxis {
        /// The shape.
        shape: Shape,
        /// The axis.
        axis: usize,
    },
    /// An attribute of an operation is out of range.
    #[error("{op}: {message}")]
    Attribute {
        /// The operation.
        op: String,
        /// What is wrong, and what would be right.
        message: String,
    },
    /// Something exceeds a limit.
    #[error("{what}: {size} exceeds the limit of {limit}")]
    TooLarge {
        /// What was counted.
        what: &'static str,
        /// How much there is.
        size: u64,
        /// How much there may be.
        limit: u64,
    },
    /// The machine has not that much memory left.
    #[error("out of memory: {bytes} bytes for {what}")]
    OutOfMemory {
        /// What it was for.
        what: &'static str,
        /// How much was asked for.
        bytes: u64,
    },
    /// Two inputs or two outputs share a name.
    #[error("the name `{}` is used twice among the {what}", Foreign::new(name))]
    DuplicateName {
        /// `inputs` or `outputs`.
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
    /// Two noise sites share a stream, so that their draws would be equal.
    #[error("two noise sites have the stream {stream:#018x}; give one of them another name")]
    StreamCollision {
        /// The stream.
        stream: u64,
    },
    /// The structure of a graph is broken.
    #[error("malformed graph: {0}")]
    Malformed(String),
    /// The text form does not parse.
    #[error("line {line}: {message}")]
    Parse {
        /// The line, counted from 1.
        line: usize,
        /// What was expected and what came.
        message: String,
    },
    /// A tensor's number of elements does not fit its type.
    #[error("`{}`: {found} elements for the type {ty}, which has {expected}", Foreign::new(name))]
    ElementCount {
        /// The tensor's name.
        name: String,
        /// The type.
        ty: Type,
        /// Its number of elements.
        expected: usize,
        /// What came.
        found: usize,
    },
}

impl Error {
    /// This error, marked with the scope it arose in. An empty scope changes nothing; one around an error that has a
    /// scope goes before that.
    ///
    /// ```
    /// use bayeslift_ir::Error;
    /// let error = Error::Malformed("no outputs".into());
    /// let error = error.within("affine").within("").within("mlp");
    /// assert_eq!(error.to_string(), "in `mlp/affine`: malformed graph: no outputs");
    /// ```
    pub fn within(self, scope: &str) -> Error {
        match self {
            Error::In { scope: inner, error } if !scope.is_empty() => {
                Error::In { scope: format!("{scope}/{inner}"), error }
            }
            error if scope.is_empty() => error,
            error => Error::In { scope: scope.to_owned(), error: Box::new(error) },
        }
    }
}
