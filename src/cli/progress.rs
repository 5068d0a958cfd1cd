//! How far a long command is: a bar that moves on a terminal, a line at every fifth elsewhere.
//! On the error stream, so that what a command says can be read by programs.

use std::io::{IsTerminal, Write};

const WIDTH: u64 = 30;
const STEP_PERCENT: u64 = 20;

/// The bar of one piece of work.
pub(crate) struct Progress {
    terminal: bool,
    percent: Option<u64>,
}

impl Progress {
    pub(crate) fn new() -> Self {
        Self {
            terminal: std::io::stderr().is_terminal(),
            percent: None,
        }
    }

    /// So many bytes of so many.
    pub(crate) fn at(&mut self, bytes: u64, of: u64) {
        if let Some(line) = self.due(bytes, of) {
            let (begin, end) = if self.terminal {
                ("\r", "")
            } else {
                ("", "\n")
            };
            self.write(format_args!("{begin}{line}{end}"));
        }
    }

    /// The line to show, if it is another than the last.
    fn due(&mut self, bytes: u64, of: u64) -> Option<String> {
        let percent = (bytes.saturating_mul(100) / of.max(1)).min(100);
        let step = if self.terminal { 1 } else { STEP_PERCENT };
        if self.percent.map(|shown| shown / step) == Some(percent / step) {
            return None;
        }
        self.percent = Some(percent);
        Some(line(percent, bytes, of))
    }

    /// A line of words; a bar before it stays as it was last.
    pub(crate) fn tell(&mut self, line: impl std::fmt::Display) {
        let end = if self.terminal && self.percent.take().is_some() {
            "\n"
        } else {
            ""
        };
        self.write(format_args!("{end}{line}\n"));
    }

    fn write(&self, text: std::fmt::Arguments<'_>) {
        // A reader who has gone needs no progress.
        let mut to = std::io::stderr().lock();
        let _gone = to.write_fmt(text).and_then(|()| to.flush());
    }
}

fn line(percent: u64, bytes: u64, of: u64) -> String {
    const MIB: f64 = 1_048_576.0;
    let full = (percent * WIDTH / 100) as usize;
    format!(
        "[{:<width$}] {percent:>3} %  {:.1} of {:.1} MiB",
        "=".repeat(full),
        bytes as f64 / MIB,
        of as f64 / MIB,
        width = WIDTH as usize,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_grows_with_what_is_done() {
        let mib = 1 << 20;
        for (percent, bytes, begins) in [
            (
                0,
                0,
                "[                              ]   0 %  0.0 of 10.0 MiB",
            ),
            (
                50,
                5 * mib,
                "[===============               ]  50 %  5.0 of 10.0 MiB",
            ),
            (
                100,
                10 * mib,
                "[==============================] 100 %  10.0 of 10.0 MiB",
            ),
        ] {
            assert_eq!(line(percent, bytes, 10 * mib), begins);
        }
    }

    #[test]
    fn a_line_is_due_at_every_hundredth_on_a_terminal_and_at_every_fifth_elsewhere() {
        for (terminal, lines) in [(true, 101), (false, 6)] {
            let mut progress = Progress {
                terminal,
                percent: None,
            };
            let due = (0..=1000).filter_map(|bytes| progress.due(bytes, 1000));
            assert_eq!(due.count(), lines, "on a terminal: {terminal}");
        }
    }
}
