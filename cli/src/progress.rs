//! A bar on the terminal for work that takes long.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::{
    io::{self, IsTerminal},
    time::{Duration, Instant},
};

/// What is too short for a bar.
const SHORT: Duration = Duration::from_secs(1);

/// Tells how far a file is read, after a second, if there is a terminal to tell it to.
pub struct Progress {
    began: Instant,
    is_wanted: bool,
    bar: Option<ProgressBar>,
}

impl Progress {
    /// Nothing is shown between answers on the terminal.
    pub fn new(answers_on_stdout: bool) -> Progress {
        let is_wanted = io::stderr().is_terminal() && !(answers_on_stdout && io::stdout().is_terminal());
        Progress { began: Instant::now(), is_wanted, bar: None }
    }

    /// `rows` rows are done, and `read` bytes of the file's `total` are read, if that is known.
    pub fn update(&mut self, rows: u64, read: u64, total: Option<u64>) {
        if !self.is_wanted || self.began.elapsed() < SHORT {
            return;
        }
        let bar = self.bar.get_or_insert_with(|| {
            let template = match total {
                Some(_) => "{bar:40} {percent:>3} % {msg}, {eta} left",
                None => "{spinner} {msg}",
            };
            let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
            ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr())
                .with_style(style)
                .with_elapsed(self.began.elapsed())
        });
        let a_second = rows as f64 / self.began.elapsed().as_secs_f64();
        bar.set_position(read);
        bar.set_message(format!("{rows} rows, {a_second:.0} a second"));
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
