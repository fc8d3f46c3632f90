//! How long a call takes by the model of costs, also on machines that are not here.

use crate::task_schedule::{self, TaskSchedule};
use bayeslift_codegen::KernelTable;
use std::time::Duration;

/// How long a call takes by the same model of costs that cuts kernels into tasks and orders them: for a machine at hand
/// or another one ([`Executable::explain_for`](crate::Executable::explain_for)), with as many threads as it has. The
/// model knows the rates of cores and of their caches, and what a task costs to claim; it does not know what cores take
/// from each other, such as memory that all of them wait for.
///
/// ```
/// use bayeslift_ir::{Builder, Type};
/// use bayeslift_runtime::{Executable, Options, Target};
///
/// let b = Builder::new();
/// let x = b.input("x", Type::f32([256, 512]));
/// let [v, w] = ["v", "w"].map(|name| b.input(name, Type::f32([512, 512])));
/// b.output("y", x.dot(v).tanh().dot(w));
/// let executable = Executable::compile(b.finish()?, &Options::default())?;
///
/// let zen4 = Target::named("zen4").expect("a row of the table of machines");
/// let [one, eight] = [1, 8].map(|threads| executable.explain_for(zen4, threads));
/// let (one, eight) = (one?.estimate, eight?.estimate);
/// assert_eq!((one.scheduled, one.critical_path), (one.sequential, one.sequential));
/// assert!(eight.scheduled < eight.sequential / 5 && eight.critical_path <= eight.scheduled);
/// assert_eq!(eight.chain, [0, 1]);
/// # Ok::<(), bayeslift_runtime::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Estimate {
    /// All kernels on one thread.
    pub sequential: Duration,
    /// On as many threads as the call uses, each of which takes the next task that is ready.
    pub scheduled: Duration,
    /// The longest chain of tasks that wait for each other, as kernels are cut for that many threads: no number of
    /// threads is faster with these tasks.
    pub critical_path: Duration,
    /// The kernels of that chain, in the order in which they run.
    pub chain: Vec<usize>,
}

impl Estimate {
    pub(super) fn of(table: &KernelTable, schedule: &TaskSchedule) -> Estimate {
        let [sequential, scheduled] = schedule.costs.map(task_schedule::time);
        let kernels = |stages: &mut dyn Iterator<Item = usize>| {
            let mut chain: Vec<usize> = stages.map(|stage| table.stages[stage].kernel).collect();
            chain.dedup();
            chain
        };
        if schedule.threads == 1 {
            let chain = kernels(&mut (0..table.stages.len()));
            return Estimate { sequential, scheduled, critical_path: sequential, chain };
        }
        let path = schedule.critical_path(table.target.machine().handover);
        let chain = kernels(&mut path.groups.iter().flat_map(|&group| schedule.groups[group].stages.iter().copied()));
        Estimate { sequential, scheduled, critical_path: task_schedule::time(path.cost), chain }
    }
}
