//! Explaining predictions: what the kernels of a block do, and how long each takes.

use super::{
    Predictor,
    rows::{Numbers, RowBlock},
};
use crate::Error;
use bayeslift_ir::Environment;
use bayeslift_runtime::{Explanation, Target};

impl Predictor {
    /// What each kernel of a block of samples and rows does: what was fused into it, what it reads and writes, how much
    /// it computes. An input named `early` is what was computed of the parameters before.
    ///
    /// # Errors
    /// A backend that compiles nothing.
    pub fn explain(&self) -> Result<Explanation, Error> {
        let _environment = Environment::enter();
        self.blocks(self.first).pool(&self.model, &self.options, self.options.row_block)?.plain.engine.explain()
    }

    /// As [`Predictor::explain`], for another machine with this many threads, on which the predictor cannot run here.
    ///
    /// ```
    /// # use bayeslift::prelude::*;
    /// use bayeslift::runtime::Target;
    /// # let layer = AffineVariationalReparameterizationLocal::new(2, 3);
    /// # let network = Network::new(layer, [2], likelihood::Categorical, 0)?;
    /// let neon = Target::named("neon").expect("a row of the table of machines");
    /// println!("{}", Predictor::new(&network)?.explain_for(neon, 1)?);
    /// # Ok::<(), bayeslift::Error>(())
    /// ```
    ///
    /// # Errors
    /// As for [`Predictor::explain`].
    pub fn explain_for(&self, target: Target, threads: usize) -> Result<Explanation, Error> {
        let _environment = Environment::enter();
        let pool = self.blocks(self.first).pool(&self.model, &self.options, self.options.row_block)?;
        pool.plain.engine.explain_for(target, threads)
    }

    /// As [`Predictor::explain`], with the median time of each kernel over `runs` computations of the first block of
    /// these inputs.
    ///
    /// ```
    /// use bayeslift::prelude::*;
    ///
    /// let layer = AffineVariationalReparameterizationLocal::new(64, 10);
    /// let predictor = Predictor::new(&Network::new(layer, [64], likelihood::Categorical, 0)?)?;
    /// let profile = predictor.profile(&[0.5; 32 * 64], 10)?;
    /// assert_eq!(profile.kernels.len(), predictor.explain()?.kernels.len());
    /// println!("{profile}{:?} in all", profile.time().expect("it was measured"));
    /// std::fs::write(std::env::temp_dir().join("kernels.svg"), profile.to_svg()).ok();
    /// # Ok::<(), bayeslift::Error>(())
    /// ```
    ///
    /// # Errors
    /// Inputs that are no whole rows or not finite; a backend that compiles nothing.
    pub fn profile(&self, inputs: &[f32], runs: usize) -> Result<Explanation, Error> {
        let _environment = Environment::enter();
        let rows = self.rows(Numbers::From(0), inputs)?;
        let size = self.options.row_block;
        let block = RowBlock { first: 0, size, rows: (0..size.min(rows.sizes.len())).map(|row| (row, row)).collect() };
        let pool = self.blocks(self.first).pool(&self.model, &self.options, size)?;
        let mut memory = pool.take(&pool.plain)?;
        let result = self.profile_block(pool, &mut memory, &block, &rows, runs);
        pool.plain.put_back(memory);
        result
    }
}
