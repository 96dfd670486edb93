//! The optional tables of a scenario: what isn't named doesn't happen.

use anyhow::{Result, bail, ensure};
use serde::Deserialize;

use crate::draw::Law;

/// A share of all viewers or pairs.
pub(super) fn share(name: &str, value: f64) -> Result<()> {
    ensure!((0.0..=1.0).contains(&value), "{name} must be a share, 0 to 1");
    Ok(())
}

/// A number that must lie in a range.
pub(super) fn within(name: &str, value: f64, least: f64, most: f64) -> Result<()> {
    ensure!((least..=most).contains(&value), "{name} must be {least} to {most}");
    Ok(())
}

/// A law whose numbers must make sense.
pub(super) fn law(name: &str, law: &Law) -> Result<()> {
    if let Some(fault) = law.fault() {
        bail!("{name}: {fault}");
    }
    Ok(())
}

fn span(name: &str, from: f64, to: f64) -> Result<()> {
    within(&format!("{name}.from_minute"), from, 0.0, 1440.0)?;
    ensure!(to > from && to <= 1440.0, "{name}.to_minute must be after from_minute, at most 1440");
    Ok(())
}

/// `[crowd]`: many more come at once, and stay by the law of all.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Crowd {
    /// How many, besides those of `[viewers]`.
    pub(crate) peers: usize,
    /// When the first of them comes.
    pub(crate) at_minute: f64,
    /// The last comes so much later.
    pub(crate) within_seconds: f64,
}

impl Crowd {
    pub(super) fn check(&self) -> Result<()> {
        ensure!((1..=100_000).contains(&self.peers), "crowd.peers must be 1 to 100000");
        within("crowd.at_minute", self.at_minute, 0.0, 1440.0)?;
        within("crowd.within_seconds", self.within_seconds, 0.0, 86_400.0)
    }
}

/// `[[departures]]`: of those who are there at a moment, a share leaves, and nobody follows.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Departure {
    /// When.
    pub(crate) at_minute: f64,
    /// How many of them.
    pub(crate) share: f64,
}

impl Departure {
    pub(super) fn check(&self) -> Result<()> {
        within("departures.at_minute", self.at_minute, 0.0, 1440.0)?;
        share("departures.share", self.share)
    }
}

/// `[outage]`: signaling is away. Nobody joins or is introduced, no digest or notice of leaving goes out, its publisher neither
/// fetches nor serves; open links go on.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Outage {
    /// From here.
    pub(crate) from_minute: f64,
    /// To here.
    pub(crate) to_minute: f64,
    /// Clients are back within this time after it, spread evenly.
    #[serde(default = "ten")]
    pub(crate) back_within_seconds: f64,
}

fn ten() -> f64 {
    10.0
}

impl Outage {
    pub(super) fn check(&self) -> Result<()> {
        span("outage", self.from_minute, self.to_minute)?;
        within("outage.back_within_seconds", self.back_within_seconds, 0.0, 3600.0)
    }
}

/// `[partition]`: some viewers reach neither the others nor signaling; the source they reach.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Partition {
    /// From here.
    pub(crate) from_minute: f64,
    /// To here.
    pub(crate) to_minute: f64,
    /// How many are cut off.
    pub(crate) share: f64,
}

impl Partition {
    pub(super) fn check(&self) -> Result<()> {
        span("partition", self.from_minute, self.to_minute)?;
        share("partition.share", self.share)
    }
}

/// `[isps]`: each viewer is a customer of one, and the way to another's customers is longer.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Isps {
    /// How many there are.
    pub(crate) count: usize,
    /// Their sizes go as 1 / rank^zipf; 0 is all alike.
    pub(crate) zipf: Option<f64>,
    /// Or: their sizes, in any unit.
    pub(crate) shares: Option<Vec<f64>>,
    /// Extra one-way delay between two of them in ms.
    #[serde(default)]
    pub(crate) between_ms: f64,
}

impl Isps {
    pub(super) fn check(&self) -> Result<()> {
        ensure!((1..=1000).contains(&self.count), "isps.count must be 1 to 1000");
        within("isps.between_ms", self.between_ms, 0.0, 1000.0)?;
        match (&self.zipf, &self.shares) {
            (Some(_), Some(_)) => bail!("isps: give zipf or shares, not both"),
            (Some(zipf), None) => within("isps.zipf", *zipf, 0.0, 5.0),
            (None, Some(shares)) => {
                ensure!(shares.len() == self.count, "isps.shares must name as many as isps.count");
                ensure!(
                    shares.iter().all(|s| s.is_finite() && *s >= 0.0) && shares.iter().sum::<f64>() > 0.0,
                    "isps.shares must not be negative, nor all 0"
                );
                Ok(())
            }
            (None, None) => Ok(()),
        }
    }

    /// Each one's share of the viewers.
    pub(crate) fn sizes(&self) -> Vec<f64> {
        let sizes: Vec<f64> = match (&self.shares, self.zipf) {
            (Some(shares), _) => shares.clone(),
            (None, zipf) => (1..=self.count).map(|r| (r as f64).powf(-zipf.unwrap_or(0.0))).collect(),
        };
        let sum: f64 = sizes.iter().sum();
        sizes.into_iter().map(|s| s / sum).collect()
    }
}

/// `[sites]`: enterprises. Inside there is a LAN, and all that enters or leaves shares one line.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Sites {
    /// How many there are, all with as many viewers.
    pub(crate) count: usize,
    /// Share of the viewers who sit in one; the others have a line of their own.
    #[serde(default = "all")]
    pub(crate) share: f64,
    /// Each site's line in kbit/s, either way.
    pub(crate) wan_kbps: Law,
    /// A viewer's port on the LAN in kbit/s, either way; stands for `[links]`.
    pub(crate) lan_kbps: f64,
}

fn all() -> f64 {
    1.0
}

impl Sites {
    pub(super) fn check(&self) -> Result<()> {
        ensure!((1..=10_000).contains(&self.count), "sites.count must be 1 to 10000");
        share("sites.share", self.share)?;
        law("sites.wan_kbps", &self.wan_kbps)?;
        within("sites.lan_kbps", self.lan_kbps, 100.0, 1e8)
    }
}

/// `[conduct]`: viewers that don't do as they should. A viewer has at most one of these ways.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Conduct {
    /// Share that gives nothing, and says so.
    pub(crate) free_riders: f64,
    /// Share that promises to give and sends nothing.
    pub(crate) silent: f64,
    /// Share that alters every block that it passes on.
    pub(crate) polluters: f64,
}

impl Conduct {
    pub(super) fn check(&self) -> Result<()> {
        share("conduct.free_riders", self.free_riders)?;
        share("conduct.silent", self.silent)?;
        share("conduct.polluters", self.polluters)?;
        let sum = self.free_riders + self.silent + self.polluters;
        ensure!(sum <= 1.0 + 1e-9, "conduct: the shares must come to 1 at most");
        Ok(())
    }
}

/// `[crawlers]`: they collect addresses, all together. As many honest viewers come with them, and all stay to the end.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Crawlers {
    /// How many.
    pub(crate) count: usize,
    /// When they come.
    pub(crate) at_minute: f64,
}

impl Crawlers {
    pub(super) fn check(&self) -> Result<()> {
        ensure!((1..=1000).contains(&self.count), "crawlers.count must be 1 to 1000");
        within("crawlers.at_minute", self.at_minute, 0.0, 1440.0)
    }
}

/// `[seeds]`: native nodes that follow the live edge, publish and serve. Signaling's own publisher leaves the following to them.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Seeds {
    /// How many.
    pub(crate) count: usize,
    /// Each one's uplink in kbit/s.
    pub(crate) up_kbps: f64,
    /// Each one's downlink in kbit/s.
    #[serde(default = "gigabit")]
    pub(crate) down_kbps: f64,
}

fn gigabit() -> f64 {
    1e6
}

impl Seeds {
    pub(super) fn check(&self) -> Result<()> {
        ensure!((1..=1000).contains(&self.count), "seeds.count must be 1 to 1000");
        within("seeds.up_kbps", self.up_kbps, 8.0, 1e8)?;
        within("seeds.down_kbps", self.down_kbps, 64.0, 1e8)
    }
}

/// `[seeks]`: on demand, some jump about in the film.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Seeks {
    /// Share of the viewers that do.
    pub(crate) share: f64,
    /// From starting, or the last jump, to the next one.
    pub(crate) after_seconds: Law,
}

impl Seeks {
    pub(super) fn check(&self) -> Result<()> {
        share("seeks.share", self.share)?;
        law("seeks.after_seconds", &self.after_seconds)
    }
}

/// How a TCP flow grows and shrinks its window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Tcp {
    /// RFC 6582.
    NewReno,
    /// RFC 9438.
    Cubic,
}

/// `[background]`: some viewers' uplinks also carry a long TCP upload. They come first and stay to the end; their bulk messages
/// go packet by packet through the same queue, which drops what doesn't fit.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Background {
    /// How many viewers have one.
    pub(crate) viewers: usize,
    /// Which law it obeys.
    pub(crate) flow: Tcp,
    /// These viewers' uplinks in kbit/s.
    pub(crate) up_kbps: f64,
    /// How long the queue is when full, in ms.
    pub(crate) queue_ms: f64,
    /// The upload's round trip without the queue, in ms.
    pub(crate) rtt_ms: f64,
    /// Their site has what they give to others yield to everything else on the uplink.
    #[serde(default)]
    pub(crate) yields: bool,
    /// It runs from here.
    #[serde(default)]
    pub(crate) from_minute: f64,
    /// To here.
    #[serde(default = "day")]
    pub(crate) to_minute: f64,
}

fn day() -> f64 {
    1440.0
}

impl Background {
    pub(super) fn check(&self) -> Result<()> {
        ensure!((1..=100).contains(&self.viewers), "background.viewers must be 1 to 100");
        within("background.up_kbps", self.up_kbps, 64.0, 1e6)?;
        within("background.queue_ms", self.queue_ms, 1.0, 10_000.0)?;
        within("background.rtt_ms", self.rtt_ms, 1.0, 2000.0)?;
        span("background", self.from_minute, self.to_minute)
    }
}
