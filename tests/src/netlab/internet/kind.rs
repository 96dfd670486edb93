//! Kinds of NAT, by what they do with ports (RFC 4787, 4 and 5): three questions with three answers each, 27 kinds.

use std::fmt;

use serde::Deserialize;

/// What a NAT's answer depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Dependence {
    /// Not on who is outside.
    Independent,
    /// On the address outside.
    Address,
    /// On address and port outside.
    Port,
}

/// Which port outside a new mapping gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Allocation {
    /// The one that it has inside, where no other host has it: as Linux does. So one socket keeps it towards all, and a mapping that depends on
    /// the address outside doesn't show.
    Preserving,
    /// The next.
    Contiguous,
    /// Any.
    Random,
}

/// A kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
pub struct Kind {
    /// For whom one port outside stands for the same socket inside.
    pub mapping: Dependence,
    /// Which port that is.
    pub allocation: Allocation,
    /// Whose packets come in by it: everybody's, or those of addresses, or of ports, that the socket has sent to.
    pub filtering: Dependence,
}

impl Dependence {
    /// All three.
    pub const ALL: [Self; 3] = [Self::Independent, Self::Address, Self::Port];
}

impl Allocation {
    /// All three.
    pub const ALL: [Self; 3] = [Self::Preserving, Self::Contiguous, Self::Random];
}

impl Kind {
    /// All 27.
    pub fn all() -> Vec<Self> {
        let mappings = Dependence::ALL.into_iter();
        mappings
            .flat_map(|mapping| Allocation::ALL.map(|allocation| (mapping, allocation)))
            .flat_map(|(mapping, allocation)| {
                Dependence::ALL.map(|filtering| Self { mapping, allocation, filtering })
            })
            .collect()
    }
}

/// `EI-PP-PD`, as NATCracker (Roverso et al., 2009) writes them: mapping, allocation, filtering.
impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dependence = |d| match d {
            Dependence::Independent => "EI",
            Dependence::Address => "HD",
            Dependence::Port => "PD",
        };
        let allocation = match self.allocation {
            Allocation::Preserving => "PP",
            Allocation::Contiguous => "PC",
            Allocation::Random => "RD",
        };
        write!(f, "{}-{allocation}-{}", dependence(self.mapping), dependence(self.filtering))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_27_kinds_and_each_has_a_name_of_its_own() {
        let names: std::collections::BTreeSet<String> = Kind::all().iter().map(Kind::to_string).collect();
        assert_eq!(names.len(), 27);
        assert!(names.contains("EI-PP-PD") && names.contains("PD-RD-PD"));
    }
}
