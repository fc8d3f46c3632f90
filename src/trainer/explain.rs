//! Explaining training steps: what the kernels of a step do, and how long each takes.

use super::{Compiled, StepInput, Trainer, prepared};
use crate::{Error, Network};
use bayeslift_ir::{Environment, Tensor};
use bayeslift_runtime::{Explanation, Target};

impl Trainer {
    /// What each kernel of the step for this number of rows does: what was fused into it, what it reads and writes, how
    /// much it computes. Prepares the step, as [`Trainer::prepare`] does; [`Trainer::profile`] tells this of a step for
    /// missing targets or weights.
    ///
    /// ```
    /// use bayeslift::prelude::*;
    ///
    /// let layer = AffineVariationalReparameterizationLocal::new(64, 10);
    /// let network = Network::new(layer, [64], likelihood::Categorical, 0)?;
    /// let mut trainer = Trainer::new(&network, 1000, TrainerOptions::default())?;
    /// let explanation = trainer.explain(&network, 32)?;
    /// let first = explanation.kernels.iter().find(|kernel| kernel.inputs().any(|name| name == "x")).unwrap();
    /// assert!(first.name.starts_with("2 products 32x64x10"));
    /// println!("{explanation}");
    /// # Ok::<(), bayeslift::Error>(())
    /// ```
    ///
    /// # Errors
    /// As for [`Trainer::prepare`]; a backend that compiles nothing.
    pub fn explain(&mut self, network: &Network, rows: usize) -> Result<Explanation, Error> {
        let _environment = Environment::enter();
        self.prepare_form(network, rows.into())?;
        prepared(&mut self.compiled, rows.into())?.engine.explain()
    }

    /// As [`Trainer::explain`], of what the same step would be on another machine, or on this one with another number
    /// of threads: nothing of it runs here. Its [`estimate`](Explanation::estimate) tells what more threads are worth.
    ///
    /// ```
    /// use bayeslift::{prelude::*, runtime::Target};
    ///
    /// let layer = AffineVariationalReparameterizationLocal::new(784, 1600);
    /// let network = Network::new(layer, [784], likelihood::Categorical, 0)?;
    /// let mut trainer = Trainer::new(&network, 60_000, TrainerOptions::default())?;
    /// let zen4 = Target::named("zen4").expect("a row of the table of machines");
    /// let estimate = trainer.explain_for(&network, 128, zen4, 16)?.estimate;
    /// assert!(estimate.critical_path <= estimate.scheduled && estimate.scheduled < estimate.sequential);
    /// # Ok::<(), bayeslift::Error>(())
    /// ```
    ///
    /// # Errors
    /// As for [`Trainer::explain`].
    pub fn explain_for(
        &mut self,
        network: &Network,
        rows: usize,
        target: Target,
        threads: usize,
    ) -> Result<Explanation, Error> {
        let _environment = Environment::enter();
        self.prepare_form(network, rows.into())?;
        prepared(&mut self.compiled, rows.into())?.engine.explain_for(target, threads)
    }

    /// As [`Trainer::explain`], with the median time of each kernel over `runs` steps on this batch. Parameters, the
    /// optimizer's state and the number of steps stay what they are: steps are made on copies.
    ///
    /// ```
    /// use bayeslift::prelude::*;
    ///
    /// let layer = AffineVariationalReparameterizationLocal::new(64, 10);
    /// let network = Network::new(layer, [64], likelihood::Categorical, 0)?;
    /// let mut trainer = Trainer::new(&network, 1000, TrainerOptions::default())?;
    /// let targets = Targets::Labels(vec![3; 32]);
    /// let profile = trainer.profile(&network, StepInput::new(&[0.5; 32 * 64], &targets), 10)?;
    /// assert!(profile.time().is_some() && trainer.steps() == 0);
    /// println!("{profile}");
    /// # Ok::<(), bayeslift::Error>(())
    /// ```
    ///
    /// # Errors
    /// As for [`Trainer::step`], but for a loss that is not finite; a backend that compiles nothing.
    pub fn profile(&mut self, network: &Network, input: StepInput<'_>, runs: usize) -> Result<Explanation, Error> {
        let _environment = Environment::enter();
        let (form, numbers) = self.check_input(network, &input)?;
        let input = numbers.input(&input);
        self.prepare_form(network, form)?;
        let scalars = self.scalars(network, &input)?;
        let parameters = network.parameters().iter().map(|(_, parameter)| &parameter.tensor);
        let mut copies: Vec<Tensor> = parameters.chain(self.state.iter().map(|(_, tensor)| tensor)).cloned().collect();
        let mut arguments = scalars.arguments(copies.iter_mut(), &input);
        let Compiled { engine, session, .. } = prepared(&mut self.compiled, form)?;
        engine.profile(session, &mut arguments, runs)
    }
}
