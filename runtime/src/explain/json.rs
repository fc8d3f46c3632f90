//! The explanation for programs.

use super::{ExplainedKernel, Explanation};
use bayeslift_passes::{Access, Counts, Part};
use serde_json::{Map, Value, json};

impl Explanation {
    /// One JSON object: `kernels`, each with its parts, reads, writes and counts; `total`; times in seconds, `null` if
    /// not measured.
    pub fn to_json(&self) -> String {
        let kernels: Vec<Value> = self.kernels.iter().map(kernel).collect();
        let seconds = self.time().map(|time| time.as_secs_f64());
        let object = json!({
            "kernels": kernels,
            "total": counted(self.total()),
            "seconds": seconds,
            "runs": self.runs,
            "threads": self.threads,
            "arena_bytes": self.arena_bytes,
            "estimate": {
                "sequential_seconds": self.estimate.sequential.as_secs_f64(),
                "scheduled_seconds": self.estimate.scheduled.as_secs_f64(),
                "critical_path_seconds": self.estimate.critical_path.as_secs_f64(),
                "chain": self.estimate.chain,
            },
        });
        object.to_string()
    }
}

fn kernel(kernel: &ExplainedKernel) -> Value {
    let part = |part: &Part| {
        let Part { value, operation, origin, .. } = part;
        json!({ "value": value.to_string(), "operation": operation, "origin": origin.to_string() })
    };
    let access = |access: &Access| json!({ "name": access.name, "bytes": access.bytes, "kernel": access.maker });
    json!({
        "name": kernel.name,
        "kind": kernel.kind().name(),
        "origin": kernel.work.origin().map(ToString::to_string),
        "labels": kernel.labels,
        "parts": kernel.work.parts.iter().map(part).collect::<Vec<_>>(),
        "reads": kernel.work.reads.iter().map(access).collect::<Vec<_>>(),
        "writes": kernel.work.writes.iter().map(access).collect::<Vec<_>>(),
        "counts": counted(kernel.work.counts),
        "tiles": kernel.tiles,
        "threads": kernel.threads,
        "estimated_seconds": kernel.estimate.as_secs_f64(),
        "seconds": kernel.time.map(|time| time.as_secs_f64()),
    })
}

fn counted(counts: Counts) -> Map<String, Value> {
    let pairs = [
        ("flops", counts.flops),
        ("operations", counts.operations),
        ("functions", counts.functions),
        ("draws", counts.draws),
        ("read_bytes", counts.read_bytes),
        ("written_bytes", counts.written_bytes),
    ];
    pairs.into_iter().map(|(name, count)| (name.to_owned(), json!(count))).collect()
}
