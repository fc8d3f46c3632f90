//! The explanation as text.

use super::{Estimate, ExplainedKernel, Explanation, text};
use bayeslift_ir::Origin;
use bayeslift_passes::{Access, Counts};
use std::{cmp::Reverse, fmt, time::Duration};

/// The most columns of a line, and of its last part: the name of what is written or read.
const WIDTH: usize = 120;
const MEMORY: usize = 23;

/// The heads of the columns with numbers.
const HEADS: [&str; 10] = ["flop", "op", "func", "draw", "byte", "thr", "time", "share", "flop/s", "byte/s"];

/// A line of the table: what comes first, the numbers, what comes last.
struct Line {
    title: String,
    cells: [String; HEADS.len()],
    memory: String,
}

/// One line a kernel: what it computes, how much, and the largest input or output that it writes (`>`) or, if there is
/// none, reads (`<`), with the number of others. Times, where they were measured, take the place of the counts of
/// operations, functions and draws. Columns without numbers are left out.
impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines = self.lines();
        let widths: [usize; HEADS.len()] = std::array::from_fn(|column| {
            let is_empty = lines[1..].iter().all(|line| line.cells[column].is_empty());
            if is_empty { 0 } else { widest(&lines, |line| &line.cells[column]) + 1 }
        });
        let taken = widths.iter().sum::<usize>() + 1 + widest(&lines, |line| &line.memory);
        let title = widest(&lines, |line| &line.title).min(WIDTH - taken);
        for line in &lines {
            let cells = line.cells.iter().zip(widths).map(|(cell, width)| format!("{:>width$}", filled(cell, width)));
            let text = format!("{:<title$}{}", text::shorten(&line.title, title), cells.collect::<String>());
            writeln!(f, "{}", format!("{text} {}", line.memory).trim_end())?;
        }
        let arena = if self.arena_bytes == 0 { "0".to_owned() } else { text::short(self.arena_bytes as f64) };
        write!(f, "{arena} bytes of intermediate values, {} {}", self.threads, plural(self.threads, "thread"))?;
        if self.is_measured() {
            write!(f, "; times are medians of {} {}", self.runs, plural(self.runs, "call"))?;
        }
        writeln!(f)?;
        if self.threads > 1 { writeln!(f, "{}", self.estimated()) } else { Ok(()) }
    }
}

/// How many characters the longest of these texts has.
fn widest(lines: &[Line], text: impl Fn(&Line) -> &str) -> usize {
    lines.iter().map(|line| text(line).chars().count()).max().unwrap_or(0)
}

/// The text of a cell, if its column is there.
fn filled(cell: &str, width: usize) -> &str {
    if width == 0 { "" } else { cell }
}

fn plural(count: usize, word: &str) -> String {
    if count == 1 { word.to_owned() } else { format!("{word}s") }
}

/// The largest named value that a kernel writes, or that it reads where none is written, and how many others there are.
fn largest(kernel: &ExplainedKernel) -> String {
    let (written, read) = (named(&kernel.work.writes), named(&kernel.work.reads));
    let (mark, names) = if written.is_empty() { ('<', read) } else { ('>', written) };
    let Some(first) = names.first() else { return String::new() };
    let others = if names.len() > 1 { format!(" +{}", names.len() - 1) } else { String::new() };
    let room = MEMORY - 2 - others.len();
    format!("{mark} {}{others}", text::shorten(&text::visible(first), room))
}

/// The names of values, the largest first.
fn named(accesses: &[Access]) -> Vec<&str> {
    let mut named: Vec<_> =
        accesses.iter().filter_map(|access| Some((access.bytes, access.name.as_deref()?))).collect();
    named.sort_by_key(|&(bytes, _)| Reverse(bytes));
    named.into_iter().map(|(_, name)| name).collect()
}

impl Explanation {
    /// How long a call takes by the model, and the kernels that take most of its longest chain of tasks.
    fn estimated(&self) -> String {
        const SHOWN: usize = 4;
        let Estimate { sequential, scheduled, critical_path, chain } = &self.estimate;
        let mut shown = chain.clone();
        shown.sort_by_key(|&kernel| Reverse(self.kernels[kernel].estimate));
        shown.truncate(SHOWN);
        shown.sort_unstable();
        let shown: Vec<String> = shown.iter().map(usize::to_string).collect();
        let others = match chain.len().saturating_sub(SHOWN) {
            0 => String::new(),
            others => format!(" and {others} more"),
        };
        let [one, several, longest] = [sequential, scheduled, critical_path].map(|&time| text::time(time));
        let (threads, kernels) = (self.threads, plural(chain.len(), "kernel"));
        format!(
            "model: {one} on 1 thread, {several} on {threads}; longest chain of tasks {longest}, {kernels} {}{others}",
            shown.join(", ")
        )
    }

    /// The head, a line a kernel, the total.
    fn lines(&self) -> Vec<Line> {
        let (title, memory) = ("  # kernel".to_owned(), "written or read".to_owned());
        let mut lines = vec![Line { title, cells: HEADS.map(String::from), memory }];
        for (i, (kernel, share)) in self.kernels.iter().zip(self.shares()).enumerate() {
            lines.push(Line {
                title: format!("{i:>3} {}", text::visible(&kernel.title())),
                cells: self.cells(kernel.work.counts, kernel.threads, kernel.time, share),
                memory: largest(kernel),
            });
        }
        let title = format!("    total of {} {}", self.kernels.len(), plural(self.kernels.len(), "kernel"));
        lines.push(Line { title, cells: self.cells(self.total(), 1, self.time(), 1.0), memory: String::new() });
        lines
    }

    fn cells(&self, counts: Counts, threads: usize, time: Option<Duration>, share: f64) -> [String; HEADS.len()] {
        let Counts { flops, operations, functions, draws, .. } = counts;
        let count = |count: u64| text::short(count as f64);
        let untimed = |count: u64| if self.is_measured() { String::new() } else { text::short(count as f64) };
        let timed = |cell: &dyn Fn(f64) -> String| time.map(|time| cell(time.as_secs_f64())).unwrap_or_default();
        let rate = |count: u64| timed(&|seconds| text::short(count as f64 / seconds.max(1e-9)));
        [
            count(flops),
            untimed(operations),
            untimed(functions),
            untimed(draws),
            count(counts.bytes()),
            if threads > 1 { threads.to_string() } else { String::new() },
            timed(&text::seconds),
            timed(&|_| text::percent(share)),
            rate(flops),
            rate(counts.bytes()),
        ]
    }
}

impl ExplainedKernel {
    /// Where it comes from, with `∇` for a gradient, and its labels, as far as they are known, and its name.
    pub(super) fn title(&self) -> String {
        let of = |origin: &Origin| format!("{}{}: ", if origin.is_gradient { "∇" } else { "" }, origin.scope);
        let origin = self.work.origin().map(of).unwrap_or_default();
        let labels = if self.labels.is_empty() { String::new() } else { format!("[{}] ", self.labels.join(", ")) };
        format!("{origin}{labels}{}", self.name)
    }
}
