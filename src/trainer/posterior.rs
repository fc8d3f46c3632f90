//! The posterior of an optimizer that has one.

use super::Trainer;
use crate::{Error, Network};
use bayeslift_ir::{Builder, Environment, Expr, Tensor, evaluate};
use bayeslift_layers::{Group, Parameter, Parameters, Step, Variable, distribution::Normal};

/// The least scale that is told: a little above that of a raw scale of minus infinity.
const LEAST_SCALE: f64 = 1.1e-5;

impl Trainer {
    /// The posterior that the optimizer has found for the weights of deterministic layers, as parameters of variational
    /// ones: `NAME/loc`, the parameter, and `NAME/raw_scale`, with softplus(raw_scale) + 1e-5 its scale, for each
    /// parameter `NAME` that the optimizer draws, and the parameter itself for each other one.
    ///
    /// A network of variational layers in the places of the deterministic ones has parameters of these paths, and
    /// predicts with them. Scales below
    /// 1.1e-5 are told as that. `divergence_weight` is that of the steps: the posterior of a smaller one is colder.
    ///
    /// ```
    /// use bayeslift::prelude::*;
    ///
    /// let deterministic = Affine::new(1, 1);
    /// let mut network = Network::new(deterministic, [1], likelihood::Normal::fixed(0.1), 0)?;
    /// let mut trainer = Trainer::new(&network, 4, TrainerOptions::default().optimizer(Ivon::default()))?;
    /// let targets = Targets::Values { units: 1, values: vec![1.0, 2.0, 3.0, 4.0] };
    /// for _ in 0..100 {
    ///     trainer.step(&mut network, StepInput::new(&[0.0, 1.0, 2.0, 3.0], &targets))?;
    /// }
    /// let variational = AffineVariationalReparameterization::new(1, 1);
    /// let mut bayesian = Network::new(variational, [1], likelihood::Normal::fixed(0.1), 0)?;
    /// for (path, parameter) in trainer.posterior(&network, 1.0)?.iter() {
    ///     bayesian.parameters_mut().assign(path, parameter.tensor.clone())?;
    /// }
    /// assert!(Predictor::new(&bayesian)?.regress(&[1.5])?.epistemic()[0] > 0.0);
    /// # Ok::<(), bayeslift::Error>(())
    /// ```
    ///
    /// # Errors
    /// An optimizer that draws no parameters; another network than the trainer's; a weight that is not a finite number,
    /// or negative.
    pub fn posterior(&self, network: &Network, divergence_weight: f64) -> Result<Parameters, Error> {
        self.posterior_if_any(network, divergence_weight)?.ok_or_else(|| {
            let name = self.options.optimizer.name();
            let problem = format!("the optimizer `{name}` draws no parameter, so it has no posterior");
            Error::misuse(problem, "train with one that does, such as `Ivon`")
        })
    }

    /// As [`Trainer::posterior`]; `None` for an optimizer that draws no parameters.
    pub(crate) fn posterior_if_any(
        &self,
        network: &Network,
        divergence_weight: f64,
    ) -> Result<Option<Parameters>, Error> {
        let _environment = Environment::enter();
        self.check_network(network)?;
        let temperature = divergence_weight / self.training_examples as f64;
        if !(divergence_weight >= 0.0 && (temperature as f32).is_finite()) {
            let expected = "a finite number, not negative";
            return Err(Error::argument("the divergence weight", expected, format!("{divergence_weight:?}")));
        }
        let mut state = self.state.iter().map(|(_, tensor)| tensor);
        let mut scales = Vec::new();
        for (variable, (_, parameter)) in self.variables.iter().zip(network.parameters().iter()) {
            scales.push(if variable.trainable {
                let own: Vec<&Tensor> = state.by_ref().take(self.options.optimizer.state(variable).len()).collect();
                self.scale(variable, &parameter.tensor, &own, temperature)?
            } else {
                None
            });
        }
        if scales.iter().all(Option::is_none) {
            return Ok(None);
        }
        let mut posterior = Parameters::new();
        for ((path, parameter), scale) in network.parameters().iter().zip(scales) {
            let Some(scale) = scale else {
                posterior.insert(path, parameter.clone())?;
                continue;
            };
            let raw = |scale: f64| Normal::raw_scale(scale.max(LEAST_SCALE));
            let raw = scale.to_f64s().unwrap_or_default().into_iter().map(raw).collect();
            let raw = Tensor::floats(&scale.ty(), raw)?;
            for (name, tensor, group) in
                [("loc", parameter.tensor.clone(), Group::Loc), ("raw_scale", raw, Group::Scale)]
            {
                posterior.insert(&format!("{path}/{name}"), Parameter { tensor, trainable: true, group })?;
            }
        }
        Ok(Some(posterior))
    }

    /// The scale of what the next step draws in the place of a parameter; `None` if that is the parameter.
    fn scale(
        &self,
        variable: &Variable,
        parameter: &Tensor,
        state: &[&Tensor],
        temperature: f64,
    ) -> Result<Option<Tensor>, Error> {
        let optimizer = &self.options.optimizer;
        let b = Builder::of(variable.ty.dtype);
        let value = b.input("parameter", variable.ty.clone());
        let input = |name: &str| b.input(&format!("state/{name}"), variable.ty.clone());
        let own: Vec<Expr<'_>> = optimizer.state(variable).iter().map(|name| input(name)).collect();
        let scalars = optimizer.scalar_values(self.step + 1, 1.0);
        let scalars: Vec<Expr<'_>> = scalars.into_iter().map(|scalar| b.constant(scalar)).collect();
        let temperature = b.constant(temperature);
        let step = Step { state: &own, scalars: &scalars, temperature, ..Step::new(variable, value) };
        let Some(scale) = optimizer.scale(&step) else { return Ok(None) };
        b.output("scale", scale.broadcast(&variable.ty.shape));
        let inputs: Vec<Tensor> = [parameter].iter().chain(state).map(|&tensor| tensor.clone()).collect();
        Ok(evaluate(&b.finish()?, &inputs)?.pop())
    }
}
