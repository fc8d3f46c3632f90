//! What each layer of a network gives, by its path.

use bayeslift_ir::{Expr, Type};
use std::fmt;

/// What each layer of a network gives: see [`Layer::trace`](crate::Layer::trace).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trace {
    /// A row for each layer, in the order in which they return; a container comes after its layers.
    pub rows: Vec<TraceRow>,
}

/// What one layer gives.
///
/// ```
/// use bayeslift_ir::Type;
/// use bayeslift_layers::{Affine, Layer, Trace, TraceRow};
///
/// let trace: Trace = Affine::new(8, 4).trace([32, 8].into())?;
/// let TraceRow { path, ty, values } = &trace.rows[0];
/// assert_eq!((path.as_str(), ty), ("affine", &Type::f32([32, 4])));
/// assert!(*values > 3); // input, kernel and bias came before
/// # Ok::<(), bayeslift_layers::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceRow {
    /// The path of the layer.
    pub path: String,
    /// The element type and the shape of its output.
    pub ty: Type,
    /// How many values the graph had when it returned: those that it added come before.
    pub values: usize,
}

impl TraceRow {
    pub(crate) fn new(path: &str, output: Expr<'_>) -> TraceRow {
        let values = output.builder().graph().nodes().len();
        TraceRow { path: path.to_owned(), ty: output.ty(), values }
    }
}

/// A table of paths, element types and shapes.
impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.rows.iter().map(|row| row.path.chars().count()).max().unwrap_or(0);
        for (number, TraceRow { path, ty, .. }) in self.rows.iter().enumerate() {
            writeln!(f, "{number:>3}  {path:width$}  {:4}  {}", ty.dtype.name(), ty.shape)?;
        }
        Ok(())
    }
}
