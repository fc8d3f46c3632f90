//! Code that several networks of one kind share.

use super::Error;
use crate::predictor::moment::MomentaryLock;
use bayeslift_ir::Graph;
use bayeslift_runtime::{Executable, Options};
use std::{collections::BTreeMap, fmt, sync::Arc};

/// What was compiled for some graphs, to be used for equal ones: see [`Backend::shared`](crate::Backend::shared).
#[derive(Clone, Default)]
pub struct SharedCode(Arc<MomentaryLock<BTreeMap<String, Arc<Entry>>>>);

/// The code for a graph, locked while it is compiled.
type Entry = MomentaryLock<Option<Arc<Executable>>>;

impl SharedCode {
    /// The code for a graph, compiled if there is none yet; others that ask for the same wait.
    pub(super) fn executable(&self, graph: Graph, options: &Options) -> Result<Arc<Executable>, Error> {
        let key = format!("{options:?}\n{graph}");
        let entry = self.0.lock().map(|mut all| all.entry(key).or_default().clone());
        // a forked process may find locks that nobody holds any more
        let mut known = entry.as_ref().and_then(|entry| entry.lock());
        if let Some(Some(executable)) = known.as_deref() {
            return Ok(executable.clone());
        }
        let executable = Arc::new(Executable::compile(graph, options)?);
        known.iter_mut().for_each(|known| **known = Some(executable.clone()));
        Ok(executable)
    }
}

impl fmt::Debug for SharedCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SharedCode({} graphs)", self.0.lock().map_or(0, |known| known.len()))
    }
}
