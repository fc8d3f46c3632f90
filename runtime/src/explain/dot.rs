//! The graph of kernels for Graphviz.

use super::{ExplainedKernel, Explanation, text};
use bayeslift_passes::{Access, Place};
use std::collections::BTreeSet;

/// Inputs up to this size, such as noise keys, are drawn with thin edges: they go everywhere and say little.
const SMALL: u64 = 64;
/// The most characters of a line in a box.
const LINE: usize = 44;

impl Explanation {
    /// The graph of kernels as Graphviz text: a box a kernel, redder the more of the time it takes (measured, or
    /// roughly estimated), small boxes for inputs and outputs, and edges with the bytes that go along them.
    ///
    /// `dot -Tsvg` makes a picture of it.
    pub fn to_dot(&self) -> String {
        let mut lines = vec![
            "digraph kernels {".to_owned(),
            "  rankdir=TB;".to_owned(),
            "  node [shape=box, style=filled, fontname=\"Helvetica\", fontsize=11, fillcolor=white];".to_owned(),
            "  edge [fontname=\"Helvetica\", fontsize=9, color=gray40];".to_owned(),
        ];
        let (mut nodes, mut edges) = (BTreeSet::new(), Vec::new());
        for (k, (kernel, share)) in self.kernels.iter().zip(self.shares()).enumerate() {
            lines.push(format!("  k{k} [{}];", self.attributes(k, kernel, share)));
            for access in &kernel.work.reads {
                let source = match access.maker {
                    Some(maker) => format!("k{maker}"),
                    None => memory(access, "in", &mut nodes),
                };
                edges.push(edge(&source, &format!("k{k}"), access));
            }
            for access in kernel.work.writes.iter().filter(|access| access.name.is_some()) {
                let target = memory(access, "out", &mut nodes);
                edges.push(edge(&format!("k{k}"), &target, access));
            }
        }
        lines.extend(nodes);
        lines.extend(edges);
        lines.push("}\n".to_owned());
        lines.join("\n")
    }

    fn attributes(&self, k: usize, kernel: &ExplainedKernel, share: f64) -> String {
        let mut label = vec![format!("{k}: {}", kernel.kind().name())];
        label.extend(wrapped(&text::visible(&kernel.title())));
        let counts = kernel.work.counts;
        let counted = [(counts.flops, "flop"), (counts.draws, "draws"), (counts.bytes(), "bytes")];
        let counted = counted.into_iter().filter(|&(count, _)| count > 0);
        let counted = counted.map(|(count, unit)| format!("{} {unit}", text::short(count as f64)));
        label.push(counted.collect::<Vec<_>>().join(", "));
        if let Some(time) = kernel.time {
            label.push(format!("{}, {}", text::time(time), text::percent(share)));
        }
        let label: Vec<String> = label.iter().map(|line| escaped(line)).collect();
        // hue, saturation, value: the share's root, so that small ones can be told apart
        format!("label=\"{}\", fillcolor=\"0.060 {:.3} 1.000\"", label.join("\\n"), share.sqrt() * 0.8)
    }
}

/// The node of an input or output, which is added to `nodes`.
fn memory(access: &Access, direction: &str, nodes: &mut BTreeSet<String>) -> String {
    let node = match access.place {
        Place::Input(i) => format!("{direction}{i}"),
        Place::Output(i) => format!("result{i}"),
        Place::Arena(offset) => format!("arena{offset}"),
    };
    let name = text::shorten(&text::visible(access.name.as_deref().unwrap_or("arena")), LINE);
    let name =
        if direction == "out" && matches!(access.place, Place::Input(_)) { format!("{name}, new") } else { name };
    nodes.insert(format!("  {node} [label=\"{}\", fontsize=9, height=0.2, style=\"rounded,filled\"];", escaped(&name)));
    node
}

fn edge(from: &str, to: &str, access: &Access) -> String {
    let attributes = match access.bytes {
        ..=SMALL => "style=dotted".to_owned(),
        bytes => format!("label=\"{}\"", text::short(bytes as f64)),
    };
    format!("  {from} -> {to} [{attributes}];")
}

/// A name in lines, broken at commas.
fn wrapped(name: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for part in name.split_inclusive(", ") {
        match lines.last_mut() {
            Some(line) if line.chars().count() + part.chars().count() <= LINE => line.push_str(part),
            _ => lines.push(part.to_owned()),
        }
    }
    lines.iter().map(|line| line.trim_end().to_owned()).collect()
}

/// A text within quotes. Graphviz also knows character references, so `&` is one.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('&', "&amp;")
}
