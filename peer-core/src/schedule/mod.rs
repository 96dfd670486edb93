//! What to get, from whom, when; what to offer to whom. Source or peer.
//!
//! A [`Scheduler`] sees the other rooms and names actions; the engine carries them out. It can be replaced without touching the
//! overlay or the index (R40).

use crate::map::Map;
use std::ops::Range;

use rillcast_protocol::id::{Role, SegmentKey, TrackId};
use rillcast_protocol::signal::Network;

use crate::engine::io::{LinkId, Patience, SourceError, Via};
use crate::index::Index;
use crate::media::{Bits, Store, Timeline};
use crate::overlay::{Link, Members, Populations};
use crate::payload::Payload;
use crate::rng::Rng;
use crate::switches::Switches;
use crate::time::Instant;
use crate::transfer::{Downloads, Sources, Uploads};
use crate::wire::message::BlockName;

pub mod election;
pub mod guard;
mod hybrid;
mod offers;
mod overtake;
mod pulls;
pub mod simple;
mod wanted;

pub use hybrid::Hybrid;
pub use simple::Simple;

/// The player waits for a segment.
#[derive(Clone, Copy, Debug)]
pub struct Demand {
    /// Since when.
    pub since: Instant,
    /// When it gives up.
    pub patience: Patience,
}

/// What a scheduler sees.
#[derive(Debug)]
pub struct View<'a, P> {
    /// The moment.
    pub now: Instant,
    /// Viewer or seed.
    pub role: Role,
    /// Where we are.
    pub net: Network,
    /// In which office we are, if in any: see [`Members::office`].
    pub office: Option<u32>,
    /// What is switched off.
    pub switches: Switches,
    /// Our place and weight in elections, once joined.
    pub ballot: Option<(u64, u16)>,
    /// Playlists and playhead.
    pub timeline: &'a Timeline,
    /// A track that we spread though we don't play it.
    pub helps: Option<TrackId>,
    /// What we hold.
    pub store: &'a Store<P>,
    /// Our neighbours.
    pub members: &'a Members,
    /// What they hold.
    pub index: &'a Index,
    /// How many there are.
    pub populations: &'a Populations,
    /// What our uplink carries in bytes/s; 0 while it isn't known.
    pub upload: u32,
    /// What is coming.
    pub downloads: &'a Downloads<P>,
    /// What is going.
    pub uploads: &'a Uploads,
    /// What is being fetched.
    pub sources: &'a Sources<P>,
    /// What the player waits for.
    pub demands: &'a Map<SegmentKey, Demand>,
    /// Some publisher is at work, so that digests can be hoped for.
    pub has_publisher: bool,
    /// We are still joining, or have just joined: neighbours and digests are on their way.
    pub arriving: bool,
    /// We may give.
    pub may_upload: bool,
    /// We may take.
    pub may_download: bool,
    /// The page is hidden.
    pub hidden: bool,
    /// Bytes that may be promised or expected to be granted at once.
    pub offer_bytes: u64,
}

impl<P> View<'_, P> {
    /// Whether a neighbour is one to give and to take: in an office only those inside are.
    pub fn is_inside(&self, link: &Link) -> bool {
        self.office.is_none_or(|site| link.net.site == site)
    }
}

/// What a scheduler wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Fetch from the source.
    Fetch {
        /// The segment.
        key: SegmentKey,
        /// Its blocks; `None` is all of it without a Range header.
        blocks: Option<Range<u16>>,
        /// Where.
        via: Via,
        /// The player waits for it now.
        urgent: bool,
        /// The guard wants it.
        rescue: bool,
    },
    /// Ask a neighbour for a block.
    Request {
        /// The neighbour.
        link: LinkId,
        /// The block.
        name: BlockName,
        /// When the player needs it.
        due: Instant,
    },
    /// Tell some neighbours that hold these blocks that we lack them: whoever has nothing else to do will offer them.
    Remind {
        /// The segment.
        key: SegmentKey,
        /// The blocks.
        lacking: Bits,
    },
    /// Ask signaling for a digest that no neighbour has.
    WantDigest {
        /// Of this segment.
        key: SegmentKey,
    },
    /// Offer a block to a neighbour.
    Offer {
        /// The neighbour.
        link: LinkId,
        /// The block.
        name: BlockName,
        /// Bytes of it that are likely to be sent: others may have been quicker.
        expected: u32,
    },
}

/// Decides.
pub trait Scheduler<P: Payload>: core::fmt::Debug {
    /// What to get now. Called after whatever may have changed the answer and when [`Plan::again`] says.
    fn get(&mut self, view: &View<'_, P>, rng: &mut Rng, actions: &mut Vec<Action>) -> Plan;
    /// What to give now, where we may.
    fn give(&mut self, view: &View<'_, P>, rng: &mut Rng, actions: &mut Vec<Action>) -> Plan;
    /// A fetch has failed.
    fn source_failed(
        &mut self,
        key: SegmentKey,
        blocks: Option<Range<u16>>,
        via: Via,
        error: SourceError,
        now: Instant,
    );
    /// A segment of so many bytes has been delivered; `late` says after the player needed it.
    fn delivered(&mut self, key: SegmentKey, bytes: u64, late: bool);
}

/// What a thought has left open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Think again at this moment, though nothing has happened.
    pub again: Instant,
    /// Something wanted could not be asked for: think again when a neighbour has something new. Or something more could be given: think
    /// again when there is something new to give, or somebody new.
    pub hungry: bool,
}

impl Plan {
    /// Think again at this moment at the latest.
    pub fn at(&mut self, moment: Instant) {
        self.again = self.again.min(moment);
    }
}
