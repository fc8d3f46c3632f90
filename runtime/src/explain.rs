//! What a compiled graph does: what was fused into each kernel, how much that is, and how long it takes.

mod dot;
mod estimate;
mod json;
mod svg;
mod table;
mod text;

use crate::{
    Argument, Error, Executable, Workspace,
    compiling::Compiling,
    pool::MAX_THREADS,
    task_schedule::{self, TaskSchedule},
};
use bayeslift_codegen::{KernelTable, Program, Stage, Summary, Target};
use bayeslift_ir::{Environment, Tensor};
use bayeslift_passes::{Access, Counts, Role, Work};
use std::time::Duration;

pub use estimate::Estimate;

/// What each kernel of an [`Executable`] does. Prints as a table; drawn by [`Explanation::to_svg`] and
/// [`Explanation::to_dot`].
///
/// ```
/// use bayeslift_ir::{Builder, Type};
/// use bayeslift_runtime::{Executable, Options};
///
/// let b = Builder::new();
/// let (x, w) = (b.input("x", Type::f32([8, 4])), b.input("w", Type::f32([4, 2])));
/// b.output("y", x.dot(w).tanh());
/// let explanation = Executable::compile(b.finish()?, &Options::default())?.explain();
///
/// assert_eq!(explanation.kernels[0].name, "product 8x4x2, tanh");
/// assert_eq!(explanation.total().flops, 2 * 8 * 4 * 2);
/// println!("{explanation}");
/// # Ok::<(), bayeslift_runtime::Error>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Explanation {
    /// The kernels, in the order they run.
    pub kernels: Vec<ExplainedKernel>,
    /// The memory for intermediate values.
    pub arena_bytes: usize,
    /// The most threads a call uses.
    pub threads: usize,
    /// How many calls were timed.
    pub runs: usize,
    /// How long a call takes by the model of costs, on one thread, on `threads`, and on any number.
    pub estimate: Estimate,
}

/// What one kernel does.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ExplainedKernel {
    /// What it computes, such as `2 products 128x784x400, 2 packed, noise, 9 ops`.
    pub name: String,
    /// Which fusions made it, as in `local_reparameterization(bias, noise, relu)`; empty for what kernels are formed of
    /// in any case.
    pub labels: Vec<String>,
    /// What is fused into it, what it reads and writes, and how much that is.
    pub work: Work,
    /// How many tiles it has: what threads share.
    pub tiles: usize,
    /// How many threads it is worth.
    pub threads: usize,
    /// About how long one thread takes: what decides how many it is worth.
    pub estimate: Duration,
    /// The median time, if it was measured.
    pub time: Option<Duration>,
}

/// What a kernel does above all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Kind {
    /// Matrix products.
    Product,
    /// Drawing random numbers.
    Noise,
    /// Reductions.
    Reduction,
    /// Arithmetic on elements.
    Elementwise,
    /// Moving data.
    Movement,
}

impl Kind {
    const ALL: [Kind; 5] = [Kind::Product, Kind::Noise, Kind::Reduction, Kind::Elementwise, Kind::Movement];

    /// The name of a kind.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Product => "product",
            Kind::Noise => "noise",
            Kind::Reduction => "reduction",
            Kind::Elementwise => "elementwise",
            Kind::Movement => "movement",
        }
    }
}

impl ExplainedKernel {
    /// What it does above all.
    pub fn kind(&self) -> Kind {
        let kind = self.work.parts.iter().map(|part| match part.role {
            Role::Product(_) => Kind::Product,
            Role::Noise => Kind::Noise,
            Role::RowReduction | Role::ColumnReduction => Kind::Reduction,
            Role::Movement => Kind::Movement,
            _ => Kind::Elementwise,
        });
        kind.min().unwrap_or(Kind::Movement)
    }

    /// The kernels whose results it reads.
    pub fn waits_for(&self) -> Vec<usize> {
        let mut kernels: Vec<usize> = self.work.reads.iter().filter_map(|access| access.maker).collect();
        kernels.sort_unstable();
        kernels.dedup();
        kernels
    }

    /// The names of the inputs that it reads as the caller passed them.
    pub fn inputs(&self) -> impl Iterator<Item = &str> {
        let passed = self.work.reads.iter().filter(|access| access.maker.is_none());
        passed.filter_map(|access| access.name.as_deref())
    }

    /// The names of the outputs, and of the inputs that outputs update, that it writes.
    pub fn outputs(&self) -> impl Iterator<Item = &str> {
        self.work.writes.iter().filter_map(|access| access.name.as_deref())
    }

    /// How much of something it does a second, if it was measured.
    fn rate(&self, count: u64) -> Option<f64> {
        self.time.map(|time| count as f64 / time.as_secs_f64().max(1e-9))
    }

    /// Floating-point operations of matrix products a second, if it was measured.
    pub fn flops_per_second(&self) -> Option<f64> {
        self.rate(self.work.counts.flops)
    }

    /// Bytes read and written a second, if it was measured.
    pub fn bytes_per_second(&self) -> Option<f64> {
        self.rate(self.work.counts.bytes())
    }

    /// The measured time in seconds, or the estimate: to compare kernels with each other only.
    fn weight(&self) -> f64 {
        self.time.unwrap_or(self.estimate).as_secs_f64()
    }
}

impl Explanation {
    /// What the kernels of a table do, on up to `threads` threads: for any target, so that it explains what is not
    /// compiled here.
    pub fn of(table: &KernelTable, threads: usize) -> Explanation {
        Explanation::new(table, &TaskSchedule::new(table, threads, false))
    }

    fn new(table: &KernelTable, schedule: &TaskSchedule) -> Explanation {
        let stages: Vec<(usize, &Stage)> = table.stages.iter().enumerate().collect();
        let stages = stages.chunk_by(|(_, a), (_, b)| a.kernel == b.kernel);
        let kernel = |(Summary { name, labels, work }, stages): (&Summary, &[(usize, &Stage)])| {
            // of a kernel with two stages the second one tells
            let &(number, last) = stages.last()?;
            Some(ExplainedKernel {
                name: name.clone(),
                labels: labels.clone(),
                work: work.clone(),
                tiles: last.tiles,
                threads: schedule.parts(number).min(schedule.threads),
                estimate: task_schedule::time(stages.iter().map(|(_, stage)| stage.cost).sum()),
                time: None,
            })
        };
        let kernels = table.kernels.iter().zip(stages).filter_map(kernel).collect();
        let estimate = Estimate::of(table, schedule);
        Explanation { kernels, arena_bytes: table.arena_bytes, threads: schedule.threads, runs: 0, estimate }
    }

    /// What all kernels do together.
    pub fn total(&self) -> Counts {
        self.kernels.iter().map(|kernel| kernel.work.counts).sum()
    }

    /// The sum of the kernels' times, if they were measured.
    pub fn time(&self) -> Option<Duration> {
        self.kernels.iter().map(|kernel| kernel.time).sum::<Option<Duration>>().filter(|_| self.is_measured())
    }

    /// For each kernel its part of the whole time: measured, or roughly estimated.
    fn shares(&self) -> Vec<f64> {
        let total: f64 = self.kernels.iter().map(ExplainedKernel::weight).sum();
        self.kernels.iter().map(|kernel| kernel.weight() / total.max(f64::MIN_POSITIVE)).collect()
    }

    fn is_measured(&self) -> bool {
        self.runs > 0
    }
}

impl Executable {
    /// What each kernel does: what was fused into it, what it reads and writes, how much it computes.
    pub fn explain(&self) -> Explanation {
        Explanation::new(self.table(), self.schedule())
    }

    /// As [`Executable::explain`], of what the same kernels would be on another machine with this many threads: nothing
    /// of it runs here.
    ///
    /// # Errors
    /// [`Error::ForkedWhileCompiling`].
    pub fn explain_for(&self, target: Target, threads: usize) -> Result<Explanation, Error> {
        let _compiling = Compiling::begin()?;
        let _environment = Environment::enter();
        let threads = threads.clamp(1, MAX_THREADS);
        Ok(Explanation::of(&Program::lower(self.plan(), self.fusions(), target, threads).table, threads))
    }

    /// As [`Executable::explain`], with the median time of each kernel over `runs` calls, at least 1, which are made
    /// after one that is not timed. Each is a call like those of [`Executable::call_into`], so inputs that outputs
    /// update are overwritten each time: pass copies of what is to stay. Reading the clock adds some tens of
    /// nanoseconds to each time.
    ///
    /// # Errors
    /// As for [`Executable::call_into`].
    pub fn profile(
        &self,
        workspace: &mut Workspace,
        inputs: &mut [Argument<'_>],
        outputs: &mut [Tensor],
        runs: usize,
    ) -> Result<Explanation, Error> {
        let mut explanation = self.explain();
        let kernels = explanation.kernels.len();
        explanation.runs = runs.max(1);
        self.call_into(workspace, inputs, outputs)?;
        let mut times = Vec::new();
        for _ in 0..explanation.runs {
            let mut own = vec![Duration::ZERO; kernels];
            self.call_timed(workspace, inputs, outputs, Some(&mut own))?;
            times.push(own);
        }
        for (k, kernel) in explanation.kernels.iter_mut().enumerate() {
            let mut own: Vec<Duration> = times.iter().map(|times| times[k]).collect();
            own.sort_unstable();
            kernel.time = Some(own[own.len() / 2]);
        }
        Ok(explanation)
    }
}

/// Names of what is read and written, those that have one.
fn names<'a>(accesses: impl Iterator<Item = &'a Access>) -> String {
    let names = accesses.filter_map(|access| access.name.as_deref()).map(text::visible);
    names.collect::<Vec<_>>().join(", ")
}
