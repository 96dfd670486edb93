//! What `bench fuzz` can be told.

use clap::Parser;

/// Feeds every decoder of foreign bytes with millions of inputs, and fails if one of them breaks something.
#[derive(Clone, Debug, PartialEq, Eq, Parser)]
#[command(name = "cargo xtask bench fuzz", bin_name = "cargo xtask bench fuzz")]
pub(crate) struct Options {
    /// Seconds for each target.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    pub(crate) seconds: u32,
    /// This target alone; repeatable. A wrong name lists them all.
    #[arg(long, value_name = "NAME")]
    pub(crate) target: Vec<String>,
}

impl Options {
    /// The targets asked for, among all there are; or which there are.
    pub(crate) fn choose(&self, all: &[String]) -> Result<Vec<String>, String> {
        if let Some(wrong) = self.target.iter().find(|name| !all.contains(name)) {
            return Err(format!("there is no target {wrong:?}; there are: {}", all.join(", ")));
        }
        let asked = |name: &&String| self.target.is_empty() || self.target.contains(name);
        Ok(all.iter().filter(asked).cloned().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Options, clap::Error> {
        Options::try_parse_from(["fuzz"].into_iter().chain(line.split_whitespace()))
    }

    #[test]
    fn without_a_word_every_target_has_a_minute() {
        let options = parse("").unwrap();
        assert_eq!(options.seconds, 60);
        let all = ["a", "b"].map(str::to_owned);
        assert_eq!(options.choose(&all).unwrap(), all);
    }

    #[test]
    fn seconds_have_limits() {
        for (seconds, good) in
            [("0", false), ("1", true), ("86400", true), ("86401", false), ("-1", false), ("x", false)]
        {
            assert_eq!(parse(&format!("--seconds={seconds}")).is_ok(), good, "{seconds}");
        }
    }

    #[test]
    fn chosen_targets_come_in_the_order_of_all_and_once() {
        let all = ["a", "b", "c"].map(str::to_owned);
        let chosen = parse("--target c --target a --target c").unwrap().choose(&all).unwrap();
        assert_eq!(chosen, ["a", "c"]);
    }

    #[test]
    fn a_wrong_target_is_told_the_right_ones() {
        let error = parse("--target engin").unwrap().choose(&["engine".to_owned()]).unwrap_err();
        assert!(error.contains("\"engin\"") && error.contains("engine"), "{error}");
    }
}
