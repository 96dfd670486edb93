//! Stalls of the same people in two runs of one seed.
//!
//! Rates wouldn't do: where a stall is one in 600 hours, that a fifth of these hours are polluters' makes as much of a difference as a stall.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

/// What the simulator's `viewers.csv` says of a visit, as far as it is needed here.
#[derive(Debug, Clone, Copy, Deserialize)]
pub(crate) struct Visit {
    viewer: u32,
    stalls: u64,
    withholds: bool,
}

/// Stalls of those who are honest in both runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct Stalls {
    /// Their visits.
    pub(crate) visits: u64,
    /// Without polluters.
    pub(crate) clean: u64,
    /// With them.
    pub(crate) polluted: u64,
}

impl Stalls {
    /// Counts them. Both runs have the same visits: who comes doesn't depend on what happens.
    pub(crate) fn of(clean: &[Visit], polluted: &[Visit]) -> Result<Self> {
        let same =
            clean.len() == polluted.len() && clean.iter().zip(polluted).all(|(a, b)| a.viewer == b.viewer);
        ensure!(same, "{} and {} visits, which aren't the same ones", clean.len(), polluted.len());
        let mut stalls = Self { visits: 0, clean: 0, polluted: 0 };
        for (a, b) in clean.iter().zip(polluted).filter(|(a, b)| !a.withholds && !b.withholds) {
            stalls.visits += 1;
            stalls.clean += a.stalls;
            stalls.polluted += b.stalls;
        }
        Ok(stalls)
    }
}

/// The visits of a run whose files are there.
pub(crate) fn visits(folder: &Path) -> Result<Vec<Visit>> {
    let path = folder.join("viewers.csv");
    let read = || csv::Reader::from_path(&path)?.into_deserialize().collect::<Result<_, csv::Error>>();
    read().with_context(|| format!("{} isn't what the simulator writes", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn visit(viewer: u32, stalls: u64, withholds: bool) -> Visit {
        Visit { viewer, stalls, withholds }
    }

    #[test]
    fn the_same_peoples_stalls_are_counted_and_no_polluters() {
        let clean = [visit(0, 1, false), visit(1, 2, false), visit(2, 0, false)];
        let polluted = [visit(0, 0, false), visit(1, 9, true), visit(2, 3, false)];
        assert_eq!(Stalls::of(&clean, &polluted).unwrap(), Stalls { visits: 2, clean: 1, polluted: 3 });
    }

    #[test]
    fn other_peoples_are_not_compared() {
        let (one, other) = ([visit(0, 1, false)], [visit(1, 1, false)]);
        assert!(Stalls::of(&one, &other).is_err());
        assert!(Stalls::of(&one, &[]).is_err());
    }

    #[test]
    fn what_is_read_is_named_and_may_stand_among_other_columns() {
        let folder = tempfile::tempdir().unwrap();
        let write = |text: &str| std::fs::write(folder.path().join("viewers.csv"), text).unwrap();
        write("viewer,joined_s,stalls,withholds\n0,0.5,2,true\n1,0.7,0,false\n");
        let read = visits(folder.path()).unwrap();
        assert_eq!(
            read.iter().map(|v| (v.viewer, v.stalls, v.withholds)).collect::<Vec<_>>(),
            [(0, 2, true), (1, 0, false)]
        );
        write("viewer,stalls\n0,1\n");
        assert!(visits(folder.path()).unwrap_err().to_string().contains("viewers.csv"));
    }
}
