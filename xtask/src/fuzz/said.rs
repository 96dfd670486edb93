//! What libFuzzer says on its standard error, as far as it concerns us.

use std::collections::VecDeque;
use std::path::PathBuf;

/// Last lines kept, for the case that something is found.
const KEPT: usize = 40;

/// What has been said so far.
#[derive(Debug, Default)]
pub(crate) struct Said {
    /// Inputs tried, by the last word on it.
    pub(crate) executions: u64,
    /// Edges of the code that were taken.
    pub(crate) coverage: u64,
    /// Inputs kept because each shows something that no other does.
    pub(crate) corpus: u64,
    /// Most memory used, in MiB.
    pub(crate) rss_mib: u64,
    /// The input that broke something.
    pub(crate) found: Option<PathBuf>,
    last: VecDeque<String>,
}

impl Said {
    /// Takes in one line.
    pub(crate) fn line(&mut self, line: &str) {
        // #1234  NEW    cov: 56 ft: 78 corp: 9/10b lim: 4 exec/s: 0 rss: 30Mb L: 4/4 MS: 1 ChangeByte-
        if let Some(status) = line.strip_prefix('#') {
            let mut words = status.split_whitespace();
            self.set(|said| &mut said.executions, words.next());
            while let Some(word) = words.next() {
                match word {
                    "cov:" => self.set(|said| &mut said.coverage, words.next()),
                    "corp:" => self.set(|said| &mut said.corpus, words.next()),
                    "rss:" => self.set(|said| &mut said.rss_mib, words.next()),
                    _ => {}
                }
            }
            return;
        }
        match line.split_once(' ') {
            Some(("stat::number_of_executed_units:", number)) => {
                self.set(|said| &mut said.executions, Some(number))
            }
            Some(("stat::peak_rss_mb:", number)) => self.set(|said| &mut said.rss_mib, Some(number)),
            _ => {}
        }
        if let Some((_, path)) = line.split_once("Test unit written to ") {
            self.found.get_or_insert_with(|| PathBuf::from(path.trim()));
        }
        // Dictionaries that libFuzzer recommends, and words of it that were of use: pages of them.
        if line.is_empty() || line.starts_with('"') || line.starts_with("stat::") || line.starts_with("###") {
            return;
        }
        if self.last.len() == KEPT {
            self.last.pop_front();
        }
        self.last.push_back(line.to_owned());
    }

    /// The last lines that weren't figures.
    pub(crate) fn last(&self) -> impl Iterator<Item = &str> {
        self.last.iter().map(String::as_str)
    }

    /// Sets a figure to the digits at the start of a word.
    fn set(&mut self, figure: impl Fn(&mut Self) -> &mut u64, word: Option<&str>) {
        let digits = word.unwrap_or_default().trim();
        let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
        if let Ok(number) = digits[..end].parse() {
            *figure(self) = number;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_come_from_status_lines_and_are_final_at_the_end() {
        let mut said = Said::default();
        said.line("#2\tINITED cov: 5 ft: 6 corp: 1/1b exec/s: 0 rss: 29Mb");
        said.line("#1048576\tREDUCE cov: 171 ft: 503 corp: 88/6102b lim: 4096 exec/s: 40329 rss: 74Mb L: 5/9 MS: 1 X-");
        assert_eq!((said.executions, said.coverage, said.corpus, said.rss_mib), (1_048_576, 171, 88, 74));
        said.line("stat::number_of_executed_units: 2000000");
        said.line("stat::peak_rss_mb:              99");
        assert_eq!((said.executions, said.coverage, said.rss_mib), (2_000_000, 171, 99));
        assert_eq!(said.found, None);
    }

    #[test]
    fn the_input_that_broke_something_is_named() {
        let mut said = Said::default();
        said.line("thread '<unnamed>' panicked at protocol/src/coding.rs:1:1:");
        said.line("artifact_prefix='/t/found/engine/'; Test unit written to /t/found/engine/crash-12");
        assert_eq!(said.found, Some(PathBuf::from("/t/found/engine/crash-12")));
        assert!(said.last().next().is_some_and(|line| line.contains("panicked")));
    }

    #[test]
    fn only_so_many_last_lines_are_kept() {
        for (lines, kept) in [(KEPT - 1, KEPT - 1), (KEPT, KEPT), (KEPT + 1, KEPT)] {
            let mut said = Said::default();
            (0..lines).for_each(|n| said.line(&format!("line {n}")));
            assert_eq!(said.last().count(), kept);
            assert_eq!(said.last().last(), Some(format!("line {}", lines - 1).as_str()));
        }
    }

    #[test]
    fn what_is_no_figure_changes_nothing() {
        let mut said = Said::default();
        for line in
            ["", "#", "# x", "#1 cov:", "#2 cov: x corp: /b", "stat::peak_rss_mb:", "\"word\" # Uses: 3"]
        {
            said.line(line);
        }
        assert_eq!((said.executions, said.coverage, said.corpus, said.last().count()), (2, 0, 0, 0));
    }
}
