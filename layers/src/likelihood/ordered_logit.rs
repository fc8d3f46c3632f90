//! Labels that have an order.

use super::{Law, Likelihood, Target};
use crate::{Declaration, Error, Group, Initializer, Scope, distribution, variational::initial_raw_scale};
use bayeslift_ir::{Expr, Shape};

/// A grade 0, 1, .., grades - 1 in an order: P(grade <= k) = sigmoid(cutpoint k - output), the proportional odds model
/// (McCullagh 1980). Output `[.., rows, positions.., 1]`, targets labels `u32[rows, positions..]`.
///
/// Cutpoints are learned, the same for all examples: the first one is `likelihood/first_cutpoint`, those after it are
/// further up by softplus(`likelihood/raw_increments`) + 1e-5. They start at a distance of 1, around 0. An intercept of
/// the output would move all of them: the last layer needs none.
///
/// ```
/// use bayeslift_layers::likelihood::{Likelihood, OrderedLogit};
///
/// let grades = OrderedLogit::new(5);
/// assert_eq!(grades.target(&[1].into())?.classes(), Some(5));
/// assert!(grades.target(&[5].into()).is_err()); // one output, whatever the number of grades
/// # Ok::<(), bayeslift_layers::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OrderedLogit {
    /// The number of grades, at least 2.
    pub grades: usize,
}

impl OrderedLogit {
    /// With this number of grades.
    pub fn new(grades: usize) -> Self {
        OrderedLogit { grades }
    }

    /// The cutpoints `[grades - 1]`, and the logarithms of 1 - e^-increment, `[grades - 2]`, if there are any.
    fn cutpoints<'b>(&self, scope: &Scope<'b>) -> Result<(Expr<'b>, Option<Expr<'b>>), Error> {
        let scope = scope.child("likelihood");
        let parameter = |name: &str, shape: &Shape, initial: f64| {
            let (initializer, batch_ndims, group) = (&Initializer::Constant(initial), 0, Group::Likelihood);
            scope.declare_parameter(name, &Declaration { shape, initializer, batch_ndims, trainable: true, group })
        };
        let count = self.grades.saturating_sub(2);
        let first = parameter("first_cutpoint", &Shape::default(), count as f64 * -0.5)?;
        if count == 0 {
            return Ok((first.expand(0), None));
        }
        let raw = parameter("raw_increments", &[count].into(), initial_raw_scale(1.0)?)?;
        let increments = raw.softplus() + 1e-5;
        // each cutpoint adds the increments up to it
        let number = |count| first.builder().iota(count);
        let is_below = number(count).less(number(count + 1).expand(1));
        let cutpoints = first + is_below.select(increments, 0.0).sum(1);
        // 1 - e^-x = 2 t / (1 + t) with t = tanh(x / 2), which has the digits of a small x
        let t = (increments * 0.5).tanh();
        Ok((cutpoints, Some((t * 2.0 / (t + 1.0)).log())))
    }
}

impl Likelihood for OrderedLogit {
    fn describe(&self) -> String {
        format!("OrderedLogit(location = output, {} grades, cutpoints = likelihood/first_cutpoint + ..)", self.grades)
    }

    fn target(&self, output: &Shape) -> Result<Target, Error> {
        if self.grades < 2 {
            return Err(Error::argument("the number of grades of an ordered logit", "2 or more", self.grades));
        }
        match output.split_last() {
            Some((1, positions)) => Ok(Target::labels(positions, self.grades)),
            _ => Err(Error::argument("the number of outputs of an ordered logit", "1", output.last_extent())),
        }
    }

    fn declare(&self, scope: &Scope<'_>, _: &Target) -> Result<(), Error> {
        self.cutpoints(scope).map(drop)
    }

    /// A categorical law. With sigmoid(x) - sigmoid(y) = sigmoid(x) sigmoid(-y) (1 - e^(y - x)) for the cutpoints x and
    /// y of a grade, both less the output, its logits are log probabilities that lose no digits.
    fn law<'b>(&self, scope: &Scope<'b>, output: Expr<'b>) -> Result<Box<dyn Law<'b> + 'b>, Error> {
        let axis = output.shape().len().saturating_sub(1);
        let (cutpoints, log_widths) = self.cutpoints(scope)?;
        let distance = cutpoints - output;
        let below_next = (-distance).softplus().pad(axis, 0, 1, 0);
        let above_last = distance.softplus().pad(axis, 1, 0, 0);
        let logits = -(below_next + above_last);
        let logits = log_widths.map_or(logits, |widths| logits + widths.pad(0, 1, 1, 0));
        Ok(Box::new(distribution::Categorical::new(logits)))
    }
}
