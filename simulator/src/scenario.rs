//! What a run is made of: a TOML file that one can read and write, every distribution spelled out.

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

use crate::draw::Law;

pub(crate) mod tables;

use tables::{
    Background, Conduct, Crawlers, Crowd, Departure, Isps, Outage, Partition, Seeds, Seeks, Sites, law,
    share, within,
};

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
    /// Viewers that don't do as they should.
    #[serde(default)]
    pub(crate) conduct: Conduct,
    /// Many more at once.
    pub(crate) crowd: Option<Crowd>,
    /// Many leave at once.
    #[serde(default)]
    pub(crate) departures: Vec<Departure>,
    /// Signaling is away.
    pub(crate) outage: Option<Outage>,
    /// Some reach nobody but the source.
    pub(crate) partition: Option<Partition>,
    /// Whose customers the viewers are.
    pub(crate) isps: Option<Isps>,
    /// Enterprises.
    pub(crate) sites: Option<Sites>,
    /// Collectors of addresses.
    pub(crate) crawlers: Option<Crawlers>,
    /// Native nodes that serve.
    pub(crate) seeds: Option<Seeds>,
    /// Jumps in a film.
    pub(crate) seeks: Option<Seeks>,
    /// TCP uploads beside ours.
    pub(crate) background: Option<Background>,
}

/// What is watched.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Stream {
    /// Length of a segment in seconds.
    pub(crate) segment_seconds: f64,
    /// Bitrates of the renditions in kbit/s, the lowest first.
    pub(crate) ladder_kbps: Vec<f64>,
    /// How many segments behind the live edge players begin; with parts, how many parts.
    pub(crate) behind: u64,
    /// Each segment comes in so many parts (LL-HLS), which players ask for one by one.
    #[serde(default = "one")]
    pub(crate) parts: u16,
    /// Bitrate of a separate audio track in kbit/s; without it there is none.
    pub(crate) audio_kbps: Option<f64>,
    /// Not live but a film of so many minutes, watched from its beginning.
    pub(crate) film_minutes: Option<f64>,
}

fn one() -> u16 {
    1
}

/// Who watches, and how long.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Viewers {
    /// Viewers at a time.
    pub(crate) peers: usize,
    /// They come in this time.
    pub(crate) come_within_seconds: f64,
    /// At which moments of it.
    #[serde(default)]
    pub(crate) come: Come,
    /// How long each stays.
    pub(crate) session_seconds: Law,
    /// Whoever leaves is followed by somebody else.
    #[serde(default)]
    pub(crate) replaced: bool,
    /// Besides, so large a share leaves each minute whatever it wanted to watch, each followed by somebody else.
    #[serde(default)]
    pub(crate) churn_per_minute: f64,
    /// Milliseconds between two turns of a page, on average: a busy one takes what has come meanwhile all at once.
    #[serde(default = "eight")]
    pub(crate) turn_ms: f64,
}

fn eight() -> f64 {
    8.0
}

/// At which moments viewers come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Come {
    /// Evenly spaced.
    #[default]
    Evenly,
    /// Independently of each other: a Poisson process, given how many come in all.
    Poisson,
}

/// Access links.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Links {
    /// Uplinks in kbit/s.
    pub(crate) up_kbps: Law,
    /// Downlinks in kbit/s.
    pub(crate) down_kbps: Law,
    /// A downlink that would carry less carries this: whom the lowest rendition overtaxes watches something else.
    #[serde(default)]
    pub(crate) least_down_kbps: f64,
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
    /// Share of the viewers that connect to nobody, for their UDP is blocked.
    pub(crate) udp_blocked: f64,
    /// Probability that something of a message of 16 KiB is lost on its way, and has to be sent again.
    pub(crate) loss: f64,
}

impl Default for Paths {
    fn default() -> Self {
        Self { delay_ms: 5.0, across_ms: 60.0, both_ways: 0.81, one_way: 0.08, udp_blocked: 0.0, loss: 0.0 }
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
        Self { ratio: 2.0, max_links: 24 }
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

macro_rules! shipped {
    ($($name:literal),*) => { [$(($name, include_str!(concat!("../scenarios/", $name, ".toml")))),*] };
}

const SHIPPED: [(&str, &str); 19] = shipped![
    "peer2view",
    "single-bitrate",
    "broadband-2026",
    "flash-crowd",
    "churn",
    "free-riders",
    "scarce",
    "isps",
    "crawlers",
    "tracker-outage",
    "mass-departure",
    "seeds",
    "enterprise",
    "low-latency",
    "vod",
    "uhd",
    "background",
    "polluters",
    "busy-pages"
];

impl Scenario {
    /// The file of one that ships, or of one's own.
    pub(crate) fn text(name: &str) -> Result<String> {
        if let Some((_, text)) = SHIPPED.iter().find(|(n, _)| *n == name) {
            return Ok((*text).to_owned());
        }
        if !name.ends_with(".toml") {
            let all: Vec<_> = SHIPPED.iter().map(|(n, _)| *n).collect();
            bail!("there is no scenario {name}; name one of {} or a .toml file", all.join(", "));
        }
        std::fs::read_to_string(name).with_context(|| format!("can't read {name}"))
    }

    /// One that ships, or a file.
    #[cfg(test)]
    pub(crate) fn load(name: &str) -> Result<Self> {
        Self::parse(&Self::text(name)?).with_context(|| format!("scenario {name}"))
    }

    /// Reads and checks one.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let scenario: Self = toml::from_str(text)?;
        scenario.check()?;
        Ok(scenario)
    }

    /// Says what is wrong with it, if anything is.
    pub(crate) fn check(&self) -> Result<()> {
        let Self { minutes, stream, viewers, links, paths, site, source, .. } = self;
        within("minutes", *minutes, 0.1, 24.0 * 60.0)?;
        stream.check()?;
        ensure!((1..=100_000).contains(&viewers.peers), "viewers.peers must be 1 to 100000");
        within("viewers.come_within_seconds", viewers.come_within_seconds, 0.0, 86_400.0)?;
        within("viewers.churn_per_minute", viewers.churn_per_minute, 0.0, 10.0)?;
        within("viewers.turn_ms", viewers.turn_ms, 0.001, 2000.0)?;
        law("viewers.session_seconds", &viewers.session_seconds)?;
        law("links.up_kbps", &links.up_kbps)?;
        law("links.down_kbps", &links.down_kbps)?;
        within("links.least_down_kbps", links.least_down_kbps, 0.0, 1e7)?;
        share("links.correlation", links.correlation)?;
        if let Some(times) = links.up_over_demand {
            within("links.up_over_demand", times, 0.001, 1000.0)?;
        }
        within("paths.delay_ms", paths.delay_ms, 0.1, 1000.0)?;
        within("paths.across_ms", paths.across_ms, 0.0, 1000.0)?;
        share("paths.both_ways", paths.both_ways)?;
        share("paths.one_way", paths.one_way)?;
        ensure!(
            paths.both_ways + paths.one_way <= 1.0,
            "paths.both_ways and one_way are shares of all pairs"
        );
        share("paths.udp_blocked", paths.udp_blocked)?;
        within("paths.loss", paths.loss, 0.0, 0.5)?;
        within("site.ratio", site.ratio, 0.0, 655.0)?;
        within("source.per_viewer_kbps", source.per_viewer_kbps, 1.0, 1e7)?;
        within("source.first_byte_ms", source.first_byte_ms, 0.0, 60_000.0)?;
        if let Some(total) = source.total_mbps {
            within("source.total_mbps", total, 0.001, 1e9)?;
        }
        self.check_tables()
    }

    fn check_tables(&self) -> Result<()> {
        self.conduct.check()?;
        self.departures.iter().try_for_each(Departure::check)?;
        self.crowd.iter().try_for_each(Crowd::check)?;
        self.outage.iter().try_for_each(Outage::check)?;
        self.crawlers.iter().try_for_each(Crawlers::check)?;
        self.partition.iter().try_for_each(Partition::check)?;
        self.isps.iter().try_for_each(Isps::check)?;
        self.sites.iter().try_for_each(Sites::check)?;
        self.seeds.iter().try_for_each(Seeds::check)?;
        self.seeks.iter().try_for_each(Seeks::check)?;
        self.background.iter().try_for_each(Background::check)?;
        let film = self.stream.film_minutes.is_some();
        ensure!(film || self.seeks.is_none(), "seeks: only in a film (stream.film_minutes)");
        ensure!(!film || self.seeds.is_none(), "seeds: only in a live stream, for they follow its edge");
        let uploads = self.background.as_ref().map_or(0, |b| b.viewers);
        ensure!(uploads <= self.viewers.peers, "background.viewers must not be more than viewers.peers");
        Ok(())
    }

    /// Changes how many watch at a time; a crowd grows and shrinks with them.
    pub(crate) fn resize(&mut self, peers: usize) {
        let before = self.viewers.peers + self.crowd.as_ref().map_or(0, |c| c.peers);
        let times = peers as f64 / before as f64;
        if let Some(crowd) = &mut self.crowd {
            crowd.peers = ((crowd.peers as f64 * times).round() as usize).clamp(1, peers.max(2) - 1);
            self.viewers.peers = (peers - crowd.peers.min(peers)).max(1);
        } else {
            self.viewers.peers = peers;
        }
    }
}

impl Stream {
    fn check(&self) -> Result<()> {
        within("stream.segment_seconds", self.segment_seconds, 0.2, 60.0)?;
        ensure!(
            (1..=16).contains(&self.ladder_kbps.len()),
            "stream.ladder_kbps must name 1 to 16 renditions"
        );
        ensure!(
            self.ladder_kbps.is_sorted() && self.ladder_kbps.iter().all(|rate| (1.0..=1e6).contains(rate)),
            "stream.ladder_kbps must be 1 to 1000000, the lowest first"
        );
        ensure!((1..=20).contains(&self.parts), "stream.parts must be 1 to 20");
        let most = 20 * u64::from(self.parts);
        ensure!((1..=most).contains(&self.behind), "stream.behind must be 1 to {most}");
        if let Some(rate) = self.audio_kbps {
            within("stream.audio_kbps", rate, 1.0, 10_000.0)?;
        }
        if let Some(film) = self.film_minutes {
            within("stream.film_minutes", film, 0.5, 600.0)?;
            ensure!(self.parts == 1, "stream.parts: a film has none");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
