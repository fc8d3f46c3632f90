//! Fitting several networks beside each other.

use super::{Fit, FitReport};
use crate::{Backend, Dataset, Ensemble, Error, engine::SharedCode};
use std::{
    collections::VecDeque,
    ops::ControlFlow,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

/// How long a member trains before others that wait have their turn: so long that bringing its parameters near again is
/// nothing beside it.
const SLICE: Duration = Duration::from_millis(100);

impl Ensemble {
    /// Fits each member to a data set, with what `fit` makes for the member of this number. Member `i` ends as it would
    /// alone, bit for bit.
    ///
    /// The step is compiled once for all members. They train beside each other, each on as many threads as are left for
    /// it: what a single network loses where its threads wait for each other is not lost then. On two cores five
    /// members take 2.4 to 3.4 times as long as one where that is small, and
    /// 4.8 times where it keeps both threads busy. Threads in all are those of the fit's backend. Progress is told from
    /// the threads of the members.
    ///
    /// ```
    /// use bayeslift::{Ensemble, EnsemblePredictor, prelude::*};
    ///
    /// # let (inputs, values) = ((0..64).map(|i| i as f32 / 64.0).collect(), (0..64).map(|i| (i as f32 / 9.0).sin()).collect());
    /// let data = Dataset::regression([1], inputs, 1, values)?;
    /// let recipe = Recipe::tables();
    /// let mut ensemble = Ensemble::new(5, |member| {
    ///     let layers = Sequential::new()
    ///         .layer(AffineVariationalReparameterizationLocal::new(1, 8).recipe(&recipe).activation(Activation::Relu))
    ///         .layer(AffineVariationalReparameterizationLocal::new(8, 1).recipe(&recipe));
    ///     Network::new(layers, [1], likelihood::Normal::learned(1.0), member)
    /// })?;
    /// let reports = ensemble.fit(&data, |_| Fit::by(&recipe, data.rows()).epochs(2))?;
    /// assert_eq!(reports.len(), 5);
    /// let answer = EnsemblePredictor::new(&ensemble)?.regress(&[0.5])?;
    /// let (mean, epistemic) = (answer.all.mean(), answer.all.epistemic());
    /// println!("{mean:?} ± {epistemic:?}, of which members differ by {:?}", answer.between);
    /// # Ok::<(), bayeslift::Error>(())
    /// ```
    ///
    /// # Errors
    /// The first of the members' errors, in their order; see [`Fit::run`]. The other members are fitted all the same.
    pub fn fit<'f>(&mut self, data: &Dataset, fit: impl Fn(usize) -> Fit<'f> + Sync) -> Result<Vec<FitReport>, Error> {
        let threads = fit(0).backend.options().map_or(1, |options| options.threads.max(1));
        let members = self.members.len();
        // how many members train beside each other, and how many threads each has
        let beside = members.min(threads);
        let of_each = threads / beside.max(1);
        let code = SharedCode::default();
        let turns = Arc::new(Turns::new(beside));
        let run = |number: usize, network: &mut crate::Network| {
            let mut fit = fit(number);
            if let Some(options) = fit.backend.options() {
                fit.backend = Backend::Shared(options.clone().threads(of_each), code.clone());
            }
            let _turn = Turn::take(&turns, number);
            let (mut told, passing, mut since) = (fit.progress.take(), turns.clone(), Instant::now());
            fit.progress = Some(Box::new(move |progress| {
                if since.elapsed() > SLICE {
                    passing.pass(number);
                    since = Instant::now();
                }
                told.as_mut().map_or(ControlFlow::Continue(()), |told| told(progress))
            }));
            fit.run(network, data)
        };
        let results: Vec<Result<FitReport, Error>> = thread::scope(|scope| {
            let run = &run;
            let spawn = |(number, network)| scope.spawn(move || run(number, network));
            let threads: Vec<_> = self.members.iter_mut().enumerate().map(spawn).collect();
            let join = |thread: thread::ScopedJoinHandle<'_, _>| {
                thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            };
            threads.into_iter().map(join).collect()
        });
        results.into_iter().collect()
    }
}

/// Whose turn it is to train: a number of members at a time, the others wait in a row.
struct Turns {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    free: usize,
    waiting: VecDeque<usize>,
}

impl Turns {
    fn new(free: usize) -> Turns {
        Turns { state: Mutex::new(State { free, waiting: VecDeque::new() }), changed: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a turn.
    fn take(&self, number: usize) {
        let mut state = self.lock();
        state.waiting.push_back(number);
        while state.free == 0 || state.waiting.front() != Some(&number) {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.waiting.pop_front();
        state.free -= 1;
        drop(state);
        // there may be a turn for the next one too
        self.changed.notify_all();
    }

    fn give_back(&self) {
        self.lock().free += 1;
        self.changed.notify_all();
    }

    /// Lets another one have the turn, if one waits.
    fn pass(&self, number: usize) {
        if !self.lock().waiting.is_empty() {
            self.give_back();
            self.take(number);
        }
    }
}

/// A turn, which ends with it.
struct Turn<'t>(&'t Turns);

impl<'t> Turn<'t> {
    fn take(turns: &'t Turns, number: usize) -> Turn<'t> {
        turns.take(number);
        Turn(turns)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.give_back();
    }
}
