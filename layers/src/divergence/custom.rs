//! A divergence of the user's own, by a closure.

use crate::{Error, Term};
use bayeslift_ir::{Expr, Shape};
use std::{fmt, sync::Arc};

type Closure = dyn for<'b> Fn(&Term<'b>) -> Result<Option<Expr<'b>>, Error> + Send + Sync;

/// A closure that computes a divergence, with its name; [`Divergence::custom`](super::Divergence::custom) makes it.
/// Clones of one are equal, and no others are, whatever their names.
///
/// ```
/// use bayeslift_layers::Divergence;
/// let none = || Divergence::custom("None", |term| Ok(Some(term.site.builder().constant(0.0))));
/// let divergence = none();
/// assert_eq!(divergence, divergence.clone());
/// assert_ne!(divergence, none());
/// let Divergence::Custom(custom) = divergence else { unreachable!() };
/// assert_eq!(custom.name(), "None");
/// ```
#[derive(Clone)]
pub struct CustomDivergence {
    name: String,
    closure: Arc<Closure>,
}

impl CustomDivergence {
    pub(super) fn new(
        name: String,
        closure: impl for<'b> Fn(&Term<'b>) -> Result<Option<Expr<'b>>, Error> + Send + Sync + 'static,
    ) -> Self {
        CustomDivergence { name, closure: Arc::new(closure) }
    }

    /// The name that [`Divergence::custom`](super::Divergence::custom) was given: what reports and errors call it.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn of<'b>(&self, term: &Term<'b>) -> Result<Option<Expr<'b>>, Error> {
        let value = (self.closure)(term)?;
        match value {
            // of an expression after an error nothing is known
            Some(value) if term.site.builder().check().is_ok() && value.shape() != Shape::default() => {
                let what = format!("the divergence `{}` of `{}`", self.name, term.site.path());
                Err(Error::shape(&what, "[], a sum over all elements", &value.shape()))
            }
            value => Ok(value.map(Expr::to_float)),
        }
    }
}

impl PartialEq for CustomDivergence {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && Arc::ptr_eq(&self.closure, &other.closure)
    }
}

impl fmt::Debug for CustomDivergence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}(..)", self.name)
    }
}
