//! Provenance: which part of a program made a value.

use std::{fmt, sync::Arc};

/// Where a value comes from: the scope in which it was built, such as a layer's path, and whether it is of the gradient
/// of what was built there.
///
/// Passes keep it: what replaces a value has its origin. It is told to people and decides nothing, so graphs that
/// differ in it alone are equal, and of two equal nodes the first tells. Prints as `mlp/affine`, or `gradient of
/// mlp/affine`; as nothing for what was built in no scope.
///
/// ```
/// use bayeslift_ir::Origin;
/// let layer = Origin { scope: "mlp/affine".into(), is_gradient: false };
/// assert_eq!(layer.to_string(), "mlp/affine");
/// assert_eq!(layer.gradient().to_string(), "gradient of mlp/affine");
/// assert!(Origin::default().is_unknown() && Origin::default().to_string().is_empty());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Origin {
    /// The path of the scope; empty outside of all.
    pub scope: Arc<str>,
    /// Whether it is of an adjoint.
    pub is_gradient: bool,
}

impl Origin {
    /// A scope inside of this one.
    pub(crate) fn child(&self, name: &str) -> Origin {
        let scope = if self.scope.is_empty() { name.into() } else { format!("{}/{name}", self.scope).into() };
        Origin { scope, ..*self }
    }

    /// The origin of a gradient of what is from here: the same scope, with [`Origin::is_gradient`] set.
    pub fn gradient(&self) -> Origin {
        Origin { scope: Arc::clone(&self.scope), is_gradient: true }
    }

    /// Whether there is nothing to tell: the scope is empty, as it is of what was built in none.
    pub fn is_unknown(&self) -> bool {
        self.scope.is_empty()
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = if self.is_gradient && !self.is_unknown() { "gradient of " } else { "" };
        write!(f, "{of}{}", self.scope)
    }
}
