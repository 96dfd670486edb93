//! Which share of viewers is behind which kind of NAT: `population.toml`, which says what it rests on.

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use super::kind::Kind;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    kinds: Vec<Share>,
}

/// A kind's share.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Share {
    /// The kind.
    pub kind: Kind,
    /// Its share of all viewers behind NATs.
    pub weight: f64,
}

/// The population that benches weigh by.
pub fn built_in() -> Result<Vec<Share>> {
    read(include_str!("population.toml"))
}

/// Reads one; weights add up to 1.
pub fn read(text: &str) -> Result<Vec<Share>> {
    let file: File = toml::from_str(text).context("the population can't be read")?;
    let sum: f64 = file.kinds.iter().map(|share| share.weight).sum();
    ensure!((sum - 1.0).abs() < 1e-6, "the population's weights add up to {sum}; they have to add up to 1");
    Ok(file.kinds)
}

#[cfg(test)]
mod tests {
    use super::super::kind::{Allocation, Dependence};
    use super::*;

    #[test]
    fn the_population_is_what_its_sources_say() {
        let shares = built_in().expect("it can be read");
        let one_port = |kind: &Kind| {
            kind.mapping == Dependence::Independent || kind.allocation == Allocation::Preserving
        };
        let sum = |pick: &dyn Fn(&Kind) -> bool| -> f64 {
            shares.iter().filter(|share| pick(&share.kind)).map(|share| share.weight).sum()
        };
        assert!((sum(&one_port) - 0.82).abs() < 1e-6);
        assert!((sum(&|kind| one_port(kind) && kind.filtering != Dependence::Port) - 0.604).abs() < 1e-6);
    }

    #[test]
    fn weights_that_do_not_add_up_are_refused() {
        let kind = "[[kinds]]\nkind = { mapping = \"port\", allocation = \"random\", filtering = \"port\" }\nweight = ";
        assert!(read(&format!("{kind}1.0")).is_ok());
        let error = read(&format!("{kind}0.9")).expect_err("refused").to_string();
        assert!(error.contains("add up to 1"), "{error}");
    }
}
