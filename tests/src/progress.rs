//! Progress on stderr: one line that is rewritten on a terminal, a line per tenth elsewhere.

use std::io::{IsTerminal, Write};
use std::sync::{Mutex, PoisonError};

/// The line being shown.
#[derive(Debug, Default)]
pub struct Line {
    last: Mutex<(String, u32)>,
}

impl Line {
    /// Shows that `what` is done to the extent `done` (0 to 1).
    pub fn show(&self, what: &str, done: f64) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let terminal = std::io::stderr().is_terminal();
        let percent = (done * 100.0) as u32;
        let step = if terminal { percent } else { percent / 10 * 10 };
        if last.0 == what && last.1 == step {
            return;
        }
        *last = (what.to_owned(), step);
        let mut err = std::io::stderr().lock();
        // Nothing to be done about a closed stderr.
        let _ = if !terminal {
            writeln!(err, "{what}: {step} %")
        } else if percent >= 100 {
            writeln!(err, "\r\x1b[K{what}: done")
        } else {
            write!(err, "\r\x1b[K{what}: {percent} %")
        };
        let _ = err.flush();
    }
}
