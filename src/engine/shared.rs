//! Code that several networks of one kind share.

use super::Error;
use crate::predictor::moment::MomentaryLock;
use bayeslift_ir::Graph;
use bayeslift_runtime::{Executable, Options};
use std::{collections::BTreeMap, fmt, sync::Arc};

/// What was compiled for some graphs, to be used for equal ones: see [`Backend::shared`](crate::Backend::shared).
#[derive(Clone, Default)]
pub struct SharedCode(Arc<MomentaryLock<BTreeMap<String, Arc<Executable>>>>);

impl SharedCode {
    /// The code for a graph, compiled if there is none yet. Two threads that ask for the same at once may both compile.
    pub(super) fn executable(&self, graph: Graph, options: &Options) -> Result<Arc<Executable>, Error> {
        let key = format!("{options:?}\n{graph}");
        let known = |code: &SharedCode| code.0.lock().and_then(|known| known.get(&key).cloned());
        if let Some(executable) = known(self) {
            return Ok(executable);
        }
        let executable = Arc::new(Executable::compile(graph, options)?);
        let Some(mut all) = self.0.lock() else { return Ok(executable) };
        Ok(all.entry(key).or_insert(executable).clone())
    }
}

impl fmt::Debug for SharedCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SharedCode({} graphs)", self.0.lock().map_or(0, |known| known.len()))
    }
}
