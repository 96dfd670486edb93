//! What a run is made of: a TOML file that one can read and write, every distribution spelled out.

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

use crate::draw::Law;

/// A scenario.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Scenario {
    /// What it is about, in a sentence.
    pub(crate) about: String,
    /// Virtual minutes.
    pub(crate) minutes: f64,
    /// What is watched.
    pub(crate) stream: Stream,
    /// Who watches.
    pub(crate) viewers: Viewers,
    /// The viewers' access links.
    pub(crate) links: Links,
    /// The way between two of them.
    #[serde(default)]
    pub(crate) paths: Paths,
    /// What the site allows.
    #[serde(default)]
    pub(crate) site: Site,
    /// The origin or CDN.
    #[serde(default)]
    pub(crate) source: Source,
}

/// What is watched.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Stream {
    /// Length of a segment in seconds.
    pub(crate) segment_seconds: f64,
    /// Bitrates of the renditions in kbit/s, the lowest first.
    pub(crate) ladder_kbps: Vec<f64>,
    /// How many segments behind the live edge players begin.
    pub(crate) behind: u64,
}

/// Who watches, and how long.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Viewers {
    /// Viewers at a time.
    pub(crate) peers: usize,
    /// They come in this time, evenly.
    pub(crate) come_within_seconds: f64,
    /// How long each stays.
    pub(crate) session_seconds: Law,
    /// Whoever leaves is followed by somebody else.
    #[serde(default)]
    pub(crate) replaced: bool,
}

/// Access links.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Links {
    /// Uplinks in kbit/s.
    pub(crate) up_kbps: Law,
    /// Downlinks in kbit/s.
    pub(crate) down_kbps: Law,
    /// Rank correlation of the two.
    #[serde(default)]
    pub(crate) correlation: f64,
    /// Uplinks are scaled such that their sum is so many times what all viewers' downlinks let them watch.
    pub(crate) up_over_demand: Option<f64>,
}

/// The way between two viewers.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Paths {
    /// Least one-way delay in ms.
    pub(crate) delay_ms: f64,
    /// One-way delay across the whole map, which viewers are spread on evenly, in ms.
    pub(crate) across_ms: f64,
    /// Share of the pairs that can connect whoever calls.
    pub(crate) both_ways: f64,
    /// Share of the pairs where only one of the two can call.
    pub(crate) one_way: f64,
}

impl Default for Paths {
    fn default() -> Self {
        Self { delay_ms: 5.0, across_ms: 60.0, both_ways: 0.81, one_way: 0.08 }
    }
}

/// What the site allows.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Site {
    /// Upload per byte downloaded.
    pub(crate) ratio: f64,
    /// Open links of one viewer.
    pub(crate) max_links: u8,
}

impl Default for Site {
    fn default() -> Self {
        Self { ratio: 2.0, max_links: 16 }
    }
}

/// The origin or CDN.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Source {
    /// What one viewer gets from it at most, in kbit/s.
    pub(crate) per_viewer_kbps: f64,
    /// What it gives in all, in Mbit/s; without it there is no limit.
    pub(crate) total_mbps: Option<f64>,
    /// Time to the first byte in ms.
    pub(crate) first_byte_ms: f64,
}

impl Default for Source {
    fn default() -> Self {
        Self { per_viewer_kbps: 20_000.0, total_mbps: None, first_byte_ms: 60.0 }
    }
}

const SHIPPED: [(&str, &str); 2] = [
    ("single-bitrate", include_str!("../scenarios/single-bitrate.toml")),
    ("peer2view", include_str!("../scenarios/peer2view.toml")),
];

impl Scenario {
    /// One that ships, or a file.
    pub(crate) fn load(name: &str) -> Result<Self> {
        if let Some((_, text)) = SHIPPED.iter().find(|(n, _)| *n == name) {
            return Self::parse(text).with_context(|| format!("scenario {name}"));
        }
        if !name.ends_with(".toml") {
            let all: Vec<_> = SHIPPED.iter().map(|(n, _)| *n).collect();
            bail!("there is no scenario {name}; name one of {} or a .toml file", all.join(", "));
        }
        let text = std::fs::read_to_string(name).with_context(|| format!("can't read {name}"))?;
        Self::parse(&text).with_context(|| name.to_owned())
    }

    /// Reads and checks one.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let scenario: Self = toml::from_str(text)?;
        scenario.check()?;
        Ok(scenario)
    }

    /// Says what is wrong with it, if anything is.
    pub(crate) fn check(&self) -> Result<()> {
        let Self { minutes, stream, viewers, links, paths, .. } = self;
        ensure!((0.1..=24.0 * 60.0).contains(minutes), "minutes must be 0.1 to 1440");
        ensure!((0.2..=60.0).contains(&stream.segment_seconds), "segment_seconds must be 0.2 to 60");
        ensure!((1..=16).contains(&stream.ladder_kbps.len()), "ladder_kbps must name 1 to 16 renditions");
        ensure!(
            stream.ladder_kbps.is_sorted() && stream.ladder_kbps[0] > 0.0,
            "ladder_kbps must be above 0, the lowest first"
        );
        ensure!((1..=20).contains(&stream.behind), "behind must be 1 to 20 segments");
        ensure!((1..=100_000).contains(&viewers.peers), "peers must be 1 to 100000");
        ensure!(viewers.come_within_seconds >= 0.0, "come_within_seconds must not be negative");
        ensure!((0.0..=1.0).contains(&links.correlation), "correlation must be 0 to 1");
        ensure!(
            paths.both_ways >= 0.0 && paths.one_way >= 0.0 && paths.both_ways + paths.one_way <= 1.0,
            "both_ways and one_way are shares of all pairs"
        );
        let laws = [
            ("viewers.session_seconds", &viewers.session_seconds),
            ("links.up_kbps", &links.up_kbps),
            ("links.down_kbps", &links.down_kbps),
        ];
        for (name, law) in laws {
            if let Some(fault) = law.fault() {
                bail!("{name}: {fault}");
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ships_can_be_read() {
        for (name, _) in SHIPPED {
            Scenario::load(name).expect(name);
        }
        assert!(Scenario::load("nothing").expect_err("unknown").to_string().contains("peer2view"));
    }

    #[test]
    fn wrong_values_are_named() {
        let (_, good) = SHIPPED[0];
        for (from, to, word) in [
            ("minutes = ", "minutes = 0 #", "minutes"),
            ("peers = ", "peers = 0 #", "peers"),
            ("behind = ", "behind = 21 #", "behind"),
            ("ladder_kbps = ", "ladder_kbps = [] #", "ladder_kbps"),
            ("[viewers]", "[viewers]\nmisspelt = 1", "misspelt"),
        ] {
            assert!(good.contains(from), "{from}");
            let error = Scenario::parse(&good.replace(from, to)).expect_err(to);
            assert!(format!("{error:#}").contains(word), "{to}: {error:#}");
        }
    }
}
