//! What an attack can do: say things, send bytes, call somebody; and what it knows.

use std::collections::BTreeMap;
use std::time::Instant;

use rillcast_core::engine::{BULK_PAYLOAD, BulkFrame};
use rillcast_core::media::Bits;
use rillcast_core::wire::message::{BlockName, HaveMap, Playing};
use rillcast_core::wire::{BulkHeader, Message, TransferId};
use rillcast_protocol::coding::{List, Wire};
use rillcast_protocol::digest::SegmentDigest;
use rillcast_protocol::id::{BlockIndex, PeerId, SealingKey, SegmentKey};
use rillcast_protocol::ticket::SignedTicket;
use rillcast_seed::links::Links;
use rillcast_seed::payload::Media;

use super::log::{Fate, Log};

/// A neighbour on its link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct To {
    /// Who.
    pub peer: PeerId,
    /// The link's number.
    pub link: u32,
}

/// A hand to play.
#[derive(Debug)]
pub struct Hand<'a> {
    pub(super) links: &'a mut Links,
    pub(super) log: &'a mut Log,
    pub(super) now: rillcast_core::time::Instant,
    /// Neighbours that have let us in.
    pub neighbours: &'a [To],
    /// Digests heard of.
    pub digests: &'a BTreeMap<SegmentKey, SegmentDigest>,
    /// What signals to those heard of are sealed with.
    pub(super) keys: &'a BTreeMap<PeerId, Option<SealingKey>>,
    /// Our ticket.
    pub own: &'a SignedTicket,
    /// The server can't be reached, or has sent us away.
    pub away: bool,
}

impl Hand<'_> {
    /// Says something.
    pub fn say(&mut self, to: To, message: &Message) {
        self.bytes(to, message.to_bytes());
    }

    /// Sends these bytes as a control message.
    pub fn bytes(&mut self, to: To, bytes: Vec<u8>) {
        if let Some(link) = self.links.link(to.link) {
            link.control(bytes);
        }
    }

    /// Sends these bytes as a piece of a block.
    pub fn piece(&mut self, to: To, transfer: TransferId, offset: u32, payload: Vec<u8>) {
        if let Some(link) = self.links.link(to.link) {
            let header = BulkHeader { transfer, offset }.to_bytes();
            link.bulk(BulkFrame { header, payload: Media(payload.into()) });
        }
    }

    /// Sends a whole block of these bytes.
    pub fn block(&mut self, to: To, transfer: TransferId, bytes: &[u8]) {
        for (at, piece) in bytes.chunks(BULK_PAYLOAD).enumerate() {
            self.piece(to, transfer, (at * BULK_PAYLOAD) as u32, piece.to_vec());
        }
    }

    /// Notes a lie.
    pub fn lied(&mut self, to: To) {
        let fate = self.fate(to.peer);
        fate.lies += 1;
        fate.lied.get_or_insert_with(Instant::now);
    }

    /// The ticket that somebody has shown.
    pub fn shown(&self, peer: PeerId) -> Option<&SignedTicket> {
        self.log.shown.get(&peer)
    }

    /// How it goes with a neighbour.
    pub fn fate(&mut self, peer: PeerId) -> &mut Fate {
        self.log.fates.entry(peer).or_default()
    }

    /// Says that we play a segment's track and hold all of it, so that we are asked.
    pub fn pretend(&mut self, to: To, digest: &SegmentDigest) {
        let playing = Playing { track: digest.key.track, next: digest.key.number };
        // An uplink that anybody would like to be linked with.
        let profile = Message::Profile {
            playing: List::clipped([playing]),
            passive: false,
            upload: 4_000_000,
            short: 0,
            helps: None,
        };
        self.say(to, &profile);
        let map = HaveMap { key: digest.key, blocks: Bits::full(digest.blocks()) };
        self.say(to, &Message::Have { maps: List::clipped([map]) });
    }

    /// Offers a block of a segment.
    pub fn offer(&mut self, to: To, number: u32, digest: &SegmentDigest, block: u16) {
        let name = BlockName { key: digest.key, block: BlockIndex(block) };
        let blocks = Bits::full(digest.blocks());
        self.say(to, &Message::Offer { transfer: TransferId::offer(number), name, blocks });
    }

    /// Hangs up.
    pub fn close(&mut self, to: To) {
        self.links.close(to.peer);
    }

    /// Calls somebody, whatever was before.
    pub fn call(&mut self, peer: PeerId) {
        self.fate(peer).attempts += 1;
        let key = self.keys.get(&peer).copied().flatten();
        self.links.connect(self.now, peer, true, key);
    }
}
