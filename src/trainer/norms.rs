//! How large the gradients of a step are, parameter by parameter.

use super::{StepInput, Trainer, graph::Updates, options::Form, tensors};
use crate::{
    Error, Network,
    engine::{Engine, Session},
};
use bayeslift_ir::{Builder, Environment};

/// What tells the norms for one form of batch.
pub(super) type Norms = (Engine, Session);

impl Trainer {
    /// The norm of the gradient with respect to each trainable parameter, by path, that the next step on this batch
    /// would have: the root of the sum of squares of its elements, in `f64`, before
    /// [clipping](super::TrainerOptions::clip_norm). Nothing moves. It is TFP's `grad_summary_fn` of `make_fit_op`, for
    /// looking at what does not learn or learns too fast; the first call for a size of batch compiles.
    ///
    /// ```
    /// use bayeslift::prelude::*;
    ///
    /// let layer = AffineVariationalReparameterizationLocal::new(2, 2);
    /// let network = Network::new(layer, [2], likelihood::Categorical, 0)?;
    /// let mut trainer = Trainer::new(&network, 1000, TrainerOptions::default())?;
    /// let targets = Targets::Labels(vec![0, 1]);
    /// let norms = trainer.gradient_norms(&network, StepInput::new(&[1.0, 0.0, 0.0, 1.0], &targets))?;
    /// assert_eq!(norms[0].0, "kernel/loc");
    /// assert!(norms[0].1 > 0.0);
    /// # Ok::<(), bayeslift::Error>(())
    /// ```
    ///
    /// # Errors
    /// As for [`Trainer::step`] on a batch that does not fit.
    pub fn gradient_norms(&mut self, network: &Network, input: StepInput<'_>) -> Result<Vec<(String, f64)>, Error> {
        let _environment = Environment::enter();
        let (form, numbers) = self.check_input(network, &input)?;
        let input = numbers.input(&input);
        if !self.norms.contains_key(&form) {
            let made = self.compile_norms(network, form)?;
            self.norms.insert(form, made);
        }
        let scalars = self.scalars(network, &input)?;
        let trainable: Vec<String> =
            self.variables.iter().filter(|variable| variable.trainable).map(|variable| variable.path.clone()).collect();
        let mut copy = network.clone();
        let Some((engine, session)) = self.norms.get_mut(&form) else { return Ok(Vec::new()) };
        engine.call(session, &mut scalars.arguments(tensors(&mut copy, &mut self.state), &input))?;
        let norms = &session.outputs[session.outputs.len() - trainable.len()..];
        let norm = |squares: &bayeslift_ir::Tensor| squares.as_f64().map_or(f64::NAN, |squares| squares[0].sqrt());
        Ok(trainable.into_iter().zip(norms.iter().map(norm)).collect())
    }

    fn compile_norms(&self, network: &Network, form: Form) -> Result<Norms, Error> {
        let step = self.step_graph(network, form, Updates::Aside)?;
        let b = Builder::from(step.graph);
        for (i, &gradient) in step.gradients.iter().enumerate() {
            b.output(&format!("gradient {i}"), b.expr(gradient).to_f64().square().sum_all());
        }
        let engine = Engine::new(b.finish()?, &self.options.backend)?;
        let session = engine.session()?;
        Ok((engine, session))
    }
}
