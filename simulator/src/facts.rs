//! What a run has come to, as plain facts: the world writes them down, the report and the bounds read them.

use serde::Serialize;

/// A run's facts.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Facts {
    /// Viewers at a time, a crowd included.
    pub(crate) peers: usize,
    /// Bitrates of the renditions in bit/s, the lowest first.
    pub(crate) ladder_bps: Vec<f64>,
    /// Length of a segment in seconds.
    pub(crate) segment_s: f64,
    /// Upload that the site allows per byte downloaded.
    pub(crate) ratio: f64,
    /// Length of the run in seconds.
    pub(crate) length_s: f64,
    /// There is no live edge: everybody watches from where they like.
    pub(crate) on_demand: bool,
    /// Everybody who came, in the order of the scenario: the same number is the same visit in each run of a seed.
    pub(crate) visits: Vec<Visit>,
    /// Second by second.
    pub(crate) seconds: Vec<Second>,
    /// Every segment that somebody played or the source gave.
    pub(crate) segments: Vec<Segment>,
    /// Bytes that the publisher and seeds fetched from the source.
    pub(crate) published: u64,
    /// Bytes that seeds' uplinks carry in the run.
    pub(crate) seeds_uplink: u64,
    /// Bytes of blocks that viewers took, by how many viewers they came through; first segments and the guard's left out.
    pub(crate) depths: Vec<u64>,
    /// Where the scenario has ISPs.
    pub(crate) isps: Option<Isps>,
    /// Where the scenario has enterprises.
    pub(crate) sites: Vec<Site>,
    /// Where the scenario has TCP uploads beside ours.
    pub(crate) shared: Vec<Shared>,
    /// What became of false blocks.
    pub(crate) lies: Lies,
    /// Where the scenario has crawlers.
    pub(crate) crawled: Option<Crawled>,
    /// Messages on control channels, and their bytes.
    pub(crate) control: (u64, u64),
    /// Calls of engines.
    pub(crate) calls: u64,
    /// Viewer-seconds simulated.
    pub(crate) peer_seconds: f64,
}

/// What became of blocks that don't match their digests, and of who sent them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Lies {
    /// Blocks that their receivers found false.
    pub(crate) blocks: u64,
    /// Their bytes.
    #[serde(skip)]
    pub(crate) bytes: u64,
    /// Bytes in segments handed to players that aren't what the source has.
    pub(crate) played_bytes: u64,
    /// Bytes of false blocks that came from somebody who doesn't alter any.
    pub(crate) relayed_bytes: u64,
    /// Links to polluters that were ended for a false block or another break of the rules.
    pub(crate) cut: u64,
    /// Links to others that were ended for such a thing.
    pub(crate) framed: u64,
    /// Peers that the server sent away for what others said of them.
    pub(crate) sent_away: u64,
}

/// One viewer's visit.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Visit {
    /// When it came, in seconds from the start of the run.
    pub(crate) joined_s: f64,
    /// When it went.
    pub(crate) left_s: f64,
    /// Uplink in bit/s.
    pub(crate) up_bps: f64,
    /// Downlink in bit/s.
    pub(crate) down_bps: f64,
    /// From coming to the first picture in ms; none if it never saw one.
    pub(crate) start_ms: Option<f64>,
    /// Times that its player ran dry after starting.
    pub(crate) stalls: u32,
    /// How long in all, in ms.
    pub(crate) stall_ms: f64,
    /// Times that it fell so far behind that it jumped ahead.
    pub(crate) skips: u32,
    /// How long it waited after its viewer jumped, in ms.
    pub(crate) seek_ms: f64,
    /// How long it played, in ms.
    pub(crate) played_ms: f64,
    /// Bytes of media that its player got.
    pub(crate) consumed: u64,
    /// The rendition of each segment that it got, in order.
    pub(crate) levels: Vec<u8>,
    /// Mean time from a moment of the stream to its being played, in s.
    pub(crate) latency_s: Option<f64>,
    /// Bytes sent to others.
    pub(crate) given: u64,
    /// Bytes received.
    pub(crate) taken: Taken,
    /// Mean number of viewers that its blocks came through, fetches in the last moment left out; 0 is from the source.
    pub(crate) hops: Option<f64>,
    /// No link can be opened to or from it.
    pub(crate) blocked: bool,
    /// It gives nothing, or nothing of use: nobody's upload to count on.
    pub(crate) withholds: bool,
}

impl Visit {
    /// How long it waited for its player in all, in ms: start-up, stalls, and after jumps.
    pub(crate) fn buffering_ms(&self) -> f64 {
        self.start_ms.unwrap_or((self.left_s - self.joined_s) * 1000.0) + self.stall_ms + self.seek_ms
    }

    /// Mean nominal bitrate of its first `segments` segments.
    pub(crate) fn bitrate(&self, ladder_bps: &[f64], segments: usize) -> Option<f64> {
        let levels = self.levels.get(..segments).filter(|levels| !levels.is_empty())?;
        let sum: f64 = levels.iter().filter_map(|level| ladder_bps.get(usize::from(*level))).sum();
        Some(sum / levels.len() as f64)
    }
}

/// Bytes that a viewer received, by who gave them and why.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Taken {
    /// From viewers.
    pub(crate) peers: u64,
    /// From seeds.
    pub(crate) seeds: u64,
    /// From the publisher.
    pub(crate) publisher: u64,
    /// From the source, while the player waited for its first segment.
    pub(crate) first: u64,
    /// From the source, what the guard asked for.
    pub(crate) rescue: u64,
    /// From the source, other whole segments: there was no digest in time, or there are no peers.
    pub(crate) whole: u64,
    /// From the source, other parts of segments: who was elected passes them on.
    pub(crate) election: u64,
    /// What was here already, or unwanted.
    pub(crate) wasted: u64,
}

impl Taken {
    /// From the source, for whatever reason.
    pub(crate) fn source(&self) -> u64 {
        self.first + self.rescue + self.whole + self.election
    }
}

/// Bytes between viewers.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Isps {
    /// To another ISP.
    pub(crate) across: u64,
    /// In all.
    pub(crate) all: u64,
    /// The share that would go to another ISP if partners were chosen blindly.
    pub(crate) blindly: f64,
}

/// Addresses of viewers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Crawled {
    /// That the crawlers have learned, all together.
    pub(crate) learned: usize,
    /// That came to as many honest viewers in signals.
    pub(crate) shown: usize,
    /// That these had links with.
    pub(crate) linked: usize,
}

/// An enterprise.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Site {
    /// Bytes that came in over its line.
    pub(crate) inwards: u64,
    /// Sizes of the distinct segments that they were of.
    pub(crate) distinct: u64,
    /// The same of segments that appeared after the last of those who come at first had come.
    pub(crate) filled: (u64, u64),
}

/// An uplink that a TCP upload shares for a time.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Shared {
    /// Its rate.
    pub(crate) bps: f64,
    /// Seconds with TCP, and bytes of TCP's and ours in them.
    pub(crate) beside_s: u64,
    pub(crate) tcp: u64,
    pub(crate) beside: u64,
    /// Seconds without, and our bytes in them.
    pub(crate) alone_s: u64,
    pub(crate) alone: u64,
}

/// A second of a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Second {
    /// Viewers there at its beginning.
    pub(crate) viewers: u32,
    /// Bytes that the source gave.
    pub(crate) source: u64,
    /// Bytes that viewers received from viewers.
    pub(crate) peers: u64,
    /// Bytes that players got.
    pub(crate) consumed: u64,
}

/// A segment of a rendition.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Segment {
    /// Its rendition, or a number beyond all renditions for what everybody plays besides.
    pub(crate) level: u8,
    /// Its bytes; 0 if nobody played it.
    pub(crate) size: u64,
    /// Viewers who played it.
    pub(crate) viewers: u64,
    /// Of these, whose first it was.
    pub(crate) firsts: u64,
    /// Of these, who can't be linked with, their firsts left out.
    pub(crate) blocked: u64,
    /// Bytes that the source gave.
    pub(crate) source: u64,
    /// Of these, to viewers whose first it was.
    pub(crate) source_firsts: u64,
}
