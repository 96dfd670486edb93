//! How a run's viewers get their media, so that the same visits can be played several ways and compared.

use anyhow::{Result, bail};
use clap::ValueEnum;
use rillcast_core::switches::{Mechanism, Switches};

/// How viewers get their media.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Arrangement {
    /// As browsers do.
    #[default]
    Hybrid,
    /// From the CDN alone: the same engine, held out and allowed neither to give nor to take. No publisher, no links.
    Alone,
    /// From each other by the plainest scheduler: pulling what have-maps show.
    Simple,
}

impl Arrangement {
    /// Nobody hands anybody anything.
    pub(crate) fn is_alone(self) -> bool {
        self == Self::Alone
    }

    /// For progress and tables.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Hybrid => "engine",
            Self::Alone => "CDN alone",
            Self::Simple => "simple scheduler",
        }
    }
}

/// What else to play on the same seed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Pairs {
    /// Nothing.
    None,
    /// The CDN alone.
    #[default]
    Cdn,
    /// The simple scheduler.
    Simple,
    /// Both.
    All,
}

impl Pairs {
    /// Besides the engine itself, which comes first.
    pub(crate) fn arrangements(self) -> &'static [Arrangement] {
        match self {
            Self::None => &[],
            Self::Cdn => &[Arrangement::Alone],
            Self::Simple => &[Arrangement::Simple],
            Self::All => &[Arrangement::Alone, Arrangement::Simple],
        }
    }
}

/// The switches with these mechanisms off, by name.
pub(crate) fn switches(without: &[String]) -> Result<Switches> {
    let mut switches = Switches::default();
    for name in without {
        let Some((_, mechanism)) = Mechanism::ALL.iter().find(|(known, _)| known == name) else {
            let known: Vec<_> = Mechanism::ALL.iter().map(|(name, _)| *name).collect();
            bail!("there is no mechanism {name}; name one of {}", known.join(", "));
        };
        switches = switches.without(*mechanism);
    }
    Ok(switches)
}
