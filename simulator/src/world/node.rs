//! A viewer or seed as the world knows it: its engine, its access link, its open links.

use std::collections::VecDeque;

use rillcast_core::engine::{Engine, FetchId, LinkId};
use rillcast_core::protocol::id::{PeerId, Role, SegmentKey, TrackId};
use rillcast_core::time::{Duration, Instant};

use super::shared::SharedUplink;
use super::source::Fetching;
use crate::facts::Taken;
use crate::media::Lump;
use crate::player::Player;

/// How somebody behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Conduct {
    /// As it should.
    Honest,
    /// Gives nothing, and says so.
    FreeRider,
    /// Promises to give and sends nothing.
    Silent,
    /// Alters what it passes on.
    Polluter,
    /// Collects addresses.
    Crawler,
}

/// A viewer or seed, there or not. What every message touches stands first, within two lines of the cache.
#[repr(C)]
pub(crate) struct Node {
    /// While it is there.
    pub(super) engine: Option<Box<Engine<Lump>>>,
    pub(super) timer: Timer,
    pub(super) links: Links,
    /// Its uplink where a TCP flow shares it.
    pub(super) shared: Option<Box<SharedUplink>>,
    /// Bytes that leave links' buffers, and when.
    pub(super) leaving: VecDeque<(Instant, LinkId, u32)>,
    pub(super) up_free: Instant,
    pub(super) down_free: Instant,
    /// Bytes/s.
    pub(crate) up: f64,
    pub(super) down: f64,
    /// In which enterprise it sits.
    pub(crate) site: Option<u16>,
    /// Whose customer it is.
    pub(crate) isp: u16,
    pub(crate) role: Role,
    pub(crate) conduct: Conduct,
    /// On a unit square.
    pub(super) place: (f64, f64),
    pub(super) trying: Vec<PeerId>,
    pub(super) introduced: Vec<u32>,
    pub(super) fetches: Vec<(FetchId, Fetching)>,
    /// The guard has just stepped in for this segment.
    pub(super) rescuing: Option<SegmentKey>,
    pub(super) plays: Vec<TrackId>,
    /// A seed: since when it follows a track, and since when nobody plays it.
    pub(super) follows: Vec<(TrackId, Option<Instant>)>,
    pub(super) welcomed: bool,
    /// Who has told the server that it got a false block from it; whether the server has sent it away for that.
    pub(super) accusers: Vec<u32>,
    pub(super) sent_away: bool,
    /// Requests for introductions that the server would answer, and since when.
    pub(super) wants: (f64, Instant),
    pub(super) left: Option<Instant>,
    pub(crate) uploaded: u64,
    pub(super) taken: Taken,
    /// The rendition of each unit that its player got.
    pub(super) levels: Vec<u8>,
    /// Bytes of blocks taken, and the same times the peers that each came through.
    pub(super) hops: (u64, u64),
    pub(crate) player: Player,
}

impl Node {
    /// Somebody who comes at `joins`; all else is for the caller to fill in.
    pub(super) fn new(role: Role, up: f64, down: f64, joins: Instant) -> Self {
        Self {
            engine: None,
            role,
            conduct: Conduct::Honest,
            isp: 0,
            site: None,
            up,
            down,
            place: (0.5, 0.5),
            up_free: Instant::ZERO,
            down_free: Instant::ZERO,
            shared: None,
            leaving: VecDeque::new(),
            links: Links::default(),
            trying: Vec::new(),
            introduced: Vec::new(),
            fetches: Vec::new(),
            rescuing: None,
            timer: Timer::default(),
            plays: Vec::new(),
            follows: Vec::new(),
            welcomed: false,
            accusers: Vec::new(),
            sent_away: false,
            wants: (super::server::BURST, joins),
            left: None,
            uploaded: 0,
            taken: Taken::default(),
            levels: Vec::new(),
            hops: (0, 0),
            player: Player::new(joins),
        }
    }
}

/// When the engine wants to be called, and for when a call is in the queue. A later wish leaves the call where it is: it is
/// put off when it comes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Timer {
    pub(super) wanted: Instant,
    pub(super) queued: Instant,
}

impl Default for Timer {
    fn default() -> Self {
        Self { wanted: Instant::NEVER, queued: Instant::NEVER }
    }
}

/// One end of a link.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wire {
    pub(super) id: LinkId,
    pub(super) other: u32,
    pub(super) theirs: LinkId,
    pub(super) delay: Duration,
    /// Bytes of ours in its bulk buffer, and what the engine believes them to be.
    pub(super) buffered: u32,
    pub(super) told: u32,
    /// Lossy paths: what loss lets the association send goes out by then, and what was sent in order has arrived by then.
    pub(super) paced: Instant,
    pub(super) ordered: Instant,
}

/// A link's buffer is reported when it has fallen to this (`bufferedAmountLowThreshold`), half of what the engine keeps in it.
const LOW: u32 = 24 * 1024;

impl Wire {
    /// Some of its buffer has left; told back: what the engine is to be told that waits in it now.
    pub(super) fn left(&mut self, bytes: u32) -> Option<u32> {
        self.buffered -= bytes;
        let tell = self.buffered == 0 || (self.buffered <= LOW && self.told > LOW);
        if tell {
            self.told = self.buffered;
        }
        tell.then_some(self.buffered)
    }
}

/// A node's open links. A link's number holds its place in here, so finding it costs no search.
#[derive(Debug, Default)]
pub(super) struct Links {
    slots: Vec<Option<Wire>>,
    opened: u32,
}

/// Bits of a link's number that are its place; the rest counts, so that no number comes again.
const PLACE: u32 = 11;

impl Links {
    /// The number that the next link will have.
    pub(super) fn next_id(&mut self) -> LinkId {
        let free = self.slots.iter().position(Option::is_none).unwrap_or_else(|| {
            self.slots.push(None);
            self.slots.len() - 1
        });
        self.opened += 1;
        LinkId(self.opened << PLACE | free as u32 & ((1 << PLACE) - 1))
    }

    /// Puts one in, under a number that was just given out.
    pub(super) fn insert(&mut self, wire: Wire) {
        let place = Self::place(wire.id);
        self.slots[place] = Some(wire);
    }

    fn place(id: LinkId) -> usize {
        (id.0 & ((1 << PLACE) - 1)) as usize
    }

    pub(super) fn get_mut(&mut self, id: LinkId) -> Option<&mut Wire> {
        self.slots.get_mut(Self::place(id))?.as_mut().filter(|w| w.id == id)
    }

    pub(super) fn remove(&mut self, id: LinkId) -> Option<Wire> {
        self.get_mut(id)?;
        self.slots[Self::place(id)].take()
    }

    /// The link to a node.
    pub(super) fn to(&self, other: u32) -> Option<Wire> {
        self.slots.iter().flatten().find(|w| w.other == other).copied()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Wire> {
        self.slots.iter().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(links: &mut Links, other: u32) -> LinkId {
        let id = links.next_id();
        let zero = Instant::ZERO;
        let delay = Duration::ZERO;
        links.insert(Wire { id, other, theirs: id, delay, buffered: 0, told: 0, paced: zero, ordered: zero });
        id
    }

    #[test]
    fn a_number_is_never_given_out_again() {
        let mut links = Links::default();
        let first = open(&mut links, 1);
        let second = open(&mut links, 2);
        assert!(links.remove(first).is_some());
        let third = open(&mut links, 3);
        assert_ne!(first, third);
        assert!(links.get_mut(first).is_none(), "its place is another's now");
        assert_eq!(links.get_mut(third).map(|w| w.other), Some(3));
        assert_eq!(links.to(2).map(|w| w.id), Some(second));
        assert_eq!(links.iter().count(), 2);
    }
}
