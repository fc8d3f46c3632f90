//! The explanation as a picture.

use super::{ExplainedKernel, Explanation, Kind, names, text};

/// Sizes, in pixels.
const WIDTH: usize = 960;
const ROW: usize = 18;
const TOP: usize = 56;
const BARS: usize = 430;
const LONGEST: usize = 400;
/// The most characters left of a bar.
const NAME: usize = 66;

impl Explanation {
    /// A picture that needs nothing else: a bar a kernel, in order, as long as its time (measured, or roughly
    /// estimated), in the colour of what it does above all. What it reads and writes shows where the mouse points.
    pub fn to_svg(&self) -> String {
        let height = TOP + ROW * self.kernels.len() + 12;
        let mut lines = vec![
            format!(
                "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" viewBox=\"0 0 {WIDTH} \
                 {height}\" font-family=\"sans-serif\" font-size=\"11\">"
            ),
            format!("<rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#ffffff\"/>"),
            format!("<text x=\"10\" y=\"20\" font-size=\"14\">{}</text>", escaped(&self.headline())),
        ];
        for (i, kind) in Kind::ALL.into_iter().enumerate() {
            let x = 10 + 110 * i;
            lines.push(format!("<rect x=\"{x}\" y=\"30\" width=\"12\" height=\"12\" fill=\"{}\"/>", colour(kind)));
            lines.push(format!("<text x=\"{}\" y=\"40\">{}</text>", x + 17, kind.name()));
        }
        let shares = self.shares();
        let largest = shares.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
        for (k, (kernel, &share)) in self.kernels.iter().zip(&shares).enumerate() {
            lines.extend(self.row(k, kernel, share, share / largest));
        }
        lines.push("</svg>\n".to_owned());
        lines.join("\n")
    }

    fn headline(&self) -> String {
        let kernels = self.kernels.len();
        match self.time() {
            Some(time) => format!("{kernels} kernels, {}: median times of {} calls", text::time(time), self.runs),
            None => format!("{kernels} kernels, rough estimates of their times"),
        }
    }

    fn row(&self, k: usize, kernel: &ExplainedKernel, share: f64, length: f64) -> Vec<String> {
        let (top, base) = (TOP + ROW * k, TOP + ROW * k + 13);
        let name = text::shorten(&format!("{k}: {}", text::visible(&kernel.title())), NAME);
        let length = (length * LONGEST as f64).max(1.0);
        let beside = match kernel.time {
            Some(time) => format!("{} {}", text::time(time), text::percent(share)),
            None => text::percent(share),
        };
        vec![
            format!("<g><title>{}</title>", escaped(&tooltip(k, kernel))),
            // what the mouse can point at is the whole row
            format!("<rect x=\"0\" y=\"{top}\" width=\"{WIDTH}\" height=\"{ROW}\" fill=\"#ffffff\"/>"),
            format!("<text x=\"{}\" y=\"{base}\" text-anchor=\"end\">{}</text>", BARS - 8, escaped(&name)),
            format!(
                "<rect x=\"{BARS}\" y=\"{}\" width=\"{length:.1}\" height=\"{}\" fill=\"{}\"/>",
                top + 2,
                ROW - 4,
                colour(kernel.kind())
            ),
            format!("<text x=\"{:.1}\" y=\"{base}\">{}</text></g>", BARS as f64 + length + 6.0, escaped(&beside)),
        ]
    }
}

fn colour(kind: Kind) -> &'static str {
    match kind {
        Kind::Product => "#3b75af",
        Kind::Noise => "#8e6bb8",
        Kind::Reduction => "#519e3e",
        Kind::Elementwise => "#ef8636",
        Kind::Movement => "#8c8c8c",
    }
}

/// All that is known of a kernel, in lines.
fn tooltip(k: usize, kernel: &ExplainedKernel) -> String {
    let counts = kernel.work.counts;
    let counted = [
        (counts.flops, "flop of products"),
        (counts.operations, "operations on elements"),
        (counts.functions, "elementary functions"),
        (counts.draws, "random numbers"),
        (counts.read_bytes, "bytes read"),
        (counts.written_bytes, "bytes written"),
    ];
    let mut lines = vec![format!("{k}: {}", text::visible(&kernel.title()))];
    let counted = counted.into_iter().filter(|&(count, _)| count > 0);
    lines.extend(counted.map(|(count, what)| format!("{} {what}", text::short(count as f64))));
    for (what, names) in [("reads", names(kernel.work.reads.iter())), ("writes", names(kernel.work.writes.iter()))] {
        if !names.is_empty() {
            lines.push(format!("{what} {names}"));
        }
    }
    let before: Vec<String> = kernel.waits_for().iter().map(usize::to_string).collect();
    if !before.is_empty() {
        lines.push(format!("reads results of {}", before.join(", ")));
    }
    lines.join("\n")
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
