//! What an optimizer sees of the step that it is part of.

use crate::{Variable, layer::addressed_noise};
use bayeslift_ir::{Expr, NoiseAddress, NoiseDistribution, noise::stream};

/// One parameter in one step, before its gradient is known: all that an [`Optimizer`](crate::Optimizer) can go by.
///
/// ```
/// use bayeslift_ir::{Builder, Tensor, Type, evaluate};
/// use bayeslift_layers::{Group, Optimizer, Sgd, Step, Variable};
/// let b = Builder::new();
/// let variable = Variable::new("w", Type::f32([2]), Group::Weight);
/// let [w, gradient] = ["w", "gradient"].map(|name| b.input(name, Type::f32([2])));
/// let step = Step { scalars: &[b.constant(0.5)], ..Step::new(&variable, w) };
/// b.output("w", Sgd::default().update(&step, gradient).parameter);
/// // noise is that of the seed, the step and the path
/// b.output("noise", step.normal());
/// b.output("again", step.normal());
/// let other = Variable::new("bias", Type::f32([2]), Group::Weight);
/// b.output("other", Step::new(&other, w).normal());
///
/// let (w, gradient) = (Tensor::f32([2], [1.0, 2.0])?, Tensor::f32([2], [4.0, -4.0])?);
/// let outputs = evaluate(&b.finish()?, &[w, gradient])?;
/// assert_eq!(outputs[0], Tensor::f32([2], [-1.0, 4.0])?);
/// assert_eq!(outputs[1], outputs[2]);
/// assert_ne!(outputs[1], outputs[3]);
/// # Ok::<(), bayeslift_ir::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Step<'a, 'b> {
    /// Which parameter it is: its path, its type, and what it is to its layer.
    pub variable: &'a Variable,
    /// Its value before the step.
    pub parameter: Expr<'b>,
    /// Its state before the step, in the order of [`Optimizer::state`](crate::Optimizer::state).
    pub state: &'a [Expr<'b>],
    /// The scalars of the step, in the order of [`Optimizer::scalars`](crate::Optimizer::scalars).
    pub scalars: &'a [Expr<'b>],
    /// The weight of the divergence divided by the number of training examples, a scalar that is not negative.
    ///
    /// The posterior of all parameters has a density that goes as exp(-loss / temperature), so this is all that an
    /// optimizer with a posterior needs to know of the size of the data, and a weight below 1 makes that posterior
    /// colder, as it does others.
    pub temperature: Expr<'b>,
    /// Where the step's noise comes from; see [`Step::normal`].
    pub noise: NoiseAddress<'b>,
    /// The numbers of the rows, `u32[n]`, where the step is of some rows of a table: parameter, state and gradient are
    /// `[n, width]` then.
    pub numbers: Option<Expr<'b>>,
}

impl<'a, 'b> Step<'a, 'b> {
    /// A step without state and scalars, at temperature 0, with the noise of seed 0 and step 0: for looking at an
    /// optimizer alone. What it needs of these is set with `..Step::new(..)`, as above.
    pub fn new(variable: &'a Variable, parameter: Expr<'b>) -> Self {
        let b = parameter.builder();
        let zeros = |extents: &[usize]| b.constant_u32(0).broadcast(&extents.iter().copied().collect());
        let noise = NoiseAddress { key: zeros(&[4]), first_sample: zeros(&[]), first_row: zeros(&[2]) };
        Step { variable, parameter, state: &[], scalars: &[], temperature: b.constant(0.0), noise, numbers: None }
    }

    /// Standard normal noise of the parameter's shape, addressed by seed, step and the parameter's path: the same
    /// whenever it is asked for in one step. Of some rows of a table it is that of these rows.
    pub fn normal(&self) -> Expr<'b> {
        let stream = stream(&self.variable.path, "optimizer");
        let noise =
            addressed_noise(self.noise, NoiseDistribution::Normal, stream, &self.variable.ty.shape, None, false);
        self.numbers.map_or(noise, |numbers| noise.gather(numbers))
    }
}
