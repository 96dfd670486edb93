//! What neighbours say, and what we answer.

use std::sync::Arc;

use rillcast_protocol::coding::List;
use rillcast_protocol::id::{Role, SegmentKey};

use crate::media::Bringer;
use crate::payload::Payload;
use crate::time::{Duration, Instant};
use crate::transfer::download::Piece;
use crate::transfer::upload::Promise;
use crate::wire::message::{BlockName, HaveMap, No, TransferId};
use crate::wire::{BulkHeader, Message};

use super::{BULK_HEADER, Engine, LinkId, Output};

impl<P: Payload + core::fmt::Debug + 'static> Engine<P> {
    pub(super) fn control(&mut self, link: LinkId, bytes: &[u8], now: Instant) {
        let Some(l) = self.members.link_mut(link) else { return };
        l.heard = now;
        let greeted = l.greeted;
        let message = match Message::parse(bytes) {
            Ok(message) => message,
            Err(_) => return self.expel(link, "sent a message that can't be read", now),
        };
        if !greeted && !matches!(message, Message::Hello { .. }) {
            return self.expel(link, "spoke before its hello", now);
        }
        match message {
            Message::Hello { session, .. } => self.greeted(link, session, now),
            Message::Profile { playing, passive } => self.with(link, |l| {
                l.playing = playing.to_vec();
                l.passive = passive;
            }),
            Message::Have { maps } => self.have(link, maps.into_vec()),
            Message::Got { blocks } => self.got(link, &blocks),
            Message::WantDigest { keys } => self.want_digest(link, &keys),
            Message::Digest { digest } => {
                self.with(link, |l| {
                    if l.held_of(&digest.key).is_none() {
                        l.set_map(digest.key, Default::default());
                    }
                });
                self.digest_offered(digest, Some(link), now);
            }
            Message::Offer { transfer, name } => self.offered(link, transfer, name, now),
            Message::Grant { transfer } => self.granted(link, transfer),
            Message::Decline { transfer, why } => {
                if let Some(name) = self.uploads.take_offer(link, transfer) {
                    self.with(link, |l| {
                        if why == No::Held {
                            l.add_block(name.key, name.block.0);
                        } else {
                            l.decline(name.key, name.block.0, why, now);
                        }
                    });
                }
            }
            Message::Request { transfer, name, need_ms } => {
                self.requested(link, transfer, name, need_ms, now)
            }
            Message::Refuse { transfer, why } => {
                if let Some(name) = self.downloads.end(link, transfer) {
                    self.with(link, |l| {
                        if why == No::NotHeld {
                            l.remove_block(&name.key, name.block.0);
                        }
                        l.decline(name.key, name.block.0, why, now);
                    });
                }
            }
            Message::Cancel { transfer } => {
                let lost = self.uploads.cancel(link, transfer);
                self.pacer.lost(u64::from(lost));
            }
            Message::Arrived { transfer } => self.arrived(link, transfer, now),
            Message::Claim { key, first, count } => {
                self.with(link, |l| l.claim(key, first..first.saturating_add(count), now));
            }
            Message::Ping { stamp } => self.send(link, Message::Pong { stamp }),
            Message::Pong { stamp } => {
                let sample = now.since(Instant::from_micros(stamp));
                // A stamp that isn't ours would teach us nonsense.
                if stamp <= now.as_micros() && sample < Duration::from_secs(30) {
                    self.with(link, |l| l.measure(sample));
                }
            }
        }
    }

    fn with(&mut self, link: LinkId, act: impl FnOnce(&mut crate::overlay::Link)) {
        if let Some(l) = self.members.link_mut(link) {
            act(l);
        }
    }

    /// A peer that came back to the server has a new id there, while its old links still work: of two links to one visit the newer
    /// is closed, at both ends alike.
    fn greeted(&mut self, link: LinkId, session: u64, now: Instant) {
        let twin = self
            .members
            .links()
            .find(|(id, l)| *id != link && l.greeted && l.session == session)
            .map(|(id, _)| id);
        self.with(link, |l| (l.greeted, l.session) = (true, session));
        let Some(twin) = twin else { return };
        let newer = link.max(twin);
        if let Some(peer) = self.members.link(newer).map(|l| l.peer) {
            self.link_closed(peer, Some(newer), now);
            self.members.forget(peer);
            self.outputs.push_back(Output::Close { peer });
        }
    }

    fn have(&mut self, link: LinkId, maps: Vec<HaveMap>) {
        let mut unknown = Vec::new();
        for map in maps {
            if self.lacks_digest(&map.key) {
                unknown.push(map.key);
            }
            self.with(link, |l| l.set_map(map.key, map.blocks));
        }
        self.ask_digests(link, unknown);
    }

    fn got(&mut self, link: LinkId, blocks: &[BlockName]) {
        let mut unknown = Vec::new();
        for name in blocks {
            if self.lacks_digest(&name.key) && !unknown.contains(&name.key) {
                unknown.push(name.key);
            }
            self.with(link, |l| l.add_block(name.key, name.block.0));
        }
        self.ask_digests(link, unknown);
    }

    /// Whether the player will want the segment and its digest isn't here.
    fn lacks_digest(&self, key: &SegmentKey) -> bool {
        (self.timeline.is_wanted(key) || self.demands.contains_key(key))
            && self.store.segment(key).is_none_or(|s| s.digest().is_none() && !s.conflict)
    }

    fn ask_digests(&mut self, link: LinkId, keys: Vec<SegmentKey>) {
        if !keys.is_empty() {
            self.send(link, Message::WantDigest { keys: List::clipped(keys) });
        }
    }

    fn want_digest(&mut self, link: LinkId, keys: &[SegmentKey]) {
        for key in keys {
            if let Some(digest) = self.store.segment(key).and_then(|s| s.digest()) {
                let digest = (**digest).clone();
                self.send(link, Message::Digest { digest });
            }
        }
    }

    fn offered(&mut self, link: LinkId, transfer: TransferId, name: BlockName, now: Instant) {
        if transfer.is_requested() {
            return self.expel(link, "offered under a request's number", now);
        }
        self.with(link, |l| l.add_block(name.key, name.block.0));
        let no = self.why_not(&name, now);
        let why = match no {
            None => {
                let len = self.store.segment(&name.key).map_or(0, |s| s.block_len(name.block.0));
                if self.downloads.begin(link, transfer, name, len, now) {
                    return self.send(link, Message::Grant { transfer });
                }
                No::Busy
            }
            Some(No::NoDigest) => {
                self.ask_digests(link, vec![name.key]);
                No::NoDigest
            }
            Some(why) => why,
        };
        self.send(link, Message::Decline { transfer, why });
    }

    /// Why an offered block isn't wanted.
    fn why_not(&self, name: &BlockName, now: Instant) -> Option<No> {
        if !self.may_download() || self.config.role == Role::Seed {
            return Some(No::Unwanted);
        }
        if !self.timeline.is_wanted(&name.key) && !self.demands.contains_key(&name.key) {
            return Some(No::Unwanted);
        }
        let Some(segment) = self.store.segment(&name.key) else { return Some(No::NoDigest) };
        if segment.conflict || segment.is_whole() {
            return Some(No::Unwanted);
        }
        match segment.digest() {
            None => Some(No::NoDigest),
            Some(d) if name.block.0 >= d.blocks() => Some(No::Unwanted),
            Some(_) if !segment.is_missing(name.block.0) => Some(No::Held),
            Some(_) => {
                let busy = self.downloads.is_coming(&name.key, name.block.0)
                    || self.sources.covers(&name.key, name.block.0, now);
                busy.then_some(No::InFlight)
            }
        }
    }

    fn granted(&mut self, link: LinkId, transfer: TransferId) {
        let Some(name) = self.uploads.take_offer(link, transfer) else {
            // It came too late for the offer. Without a word its sender would wait for the block until its lease ends.
            return self.send(link, Message::Refuse { transfer, why: No::Busy });
        };
        self.promise(link, transfer, name, Instant::NEVER);
    }

    fn requested(&mut self, link: LinkId, transfer: TransferId, name: BlockName, need_ms: u32, now: Instant) {
        if !transfer.is_requested() {
            return self.expel(link, "asked under an offer's number", now);
        }
        self.promise(link, transfer, name, now + Duration::from_millis(u64::from(need_ms)));
    }

    fn promise(&mut self, link: LinkId, transfer: TransferId, name: BlockName, due: Instant) {
        let len = self.store.segment(&name.key).and_then(|s| s.block(name.block.0)).map(Payload::len);
        let Some(len) = len else { return self.send(link, Message::Refuse { transfer, why: No::NotHeld }) };
        if !self.may_upload() {
            return self.send(link, Message::Refuse { transfer, why: No::Busy });
        }
        let promise = Promise { link, transfer, name, len: len as u32, due };
        if let Some((link, transfer)) = self.uploads.queue(promise, self.pacer.rate()) {
            self.send(link, Message::Refuse { transfer, why: No::Busy });
        }
    }

    fn arrived(&mut self, link: LinkId, transfer: TransferId, now: Instant) {
        if let Some((name, bytes)) = self.uploads.arrived(link, transfer) {
            self.pacer.arrived(u64::from(bytes), now);
            // It will say so to everybody a little later; offered again before that it would only be declined.
            self.with(link, |l| l.add_block(name.key, name.block.0));
        }
    }

    pub(super) fn bulk(&mut self, link: LinkId, header: [u8; BULK_HEADER], payload: P, now: Instant) {
        let Some(l) = self.members.link_mut(link) else { return };
        l.heard = now;
        let (peer, role) = (l.peer, l.role);
        let bytes = payload.len() as u64;
        let header = BulkHeader::from_bytes(header);
        match self.downloads.piece(link, header.transfer, header.offset, payload, now) {
            Piece::Partial => self.credit(link, role, bytes),
            Piece::Unasked => self.counters.wasted_bytes += bytes,
            Piece::Nonsense => self.expel(link, "sent bytes outside what was agreed", now),
            Piece::Complete(key, block, payload) => {
                self.credit(link, role, bytes);
                self.send(link, Message::Arrived { transfer: header.transfer });
                self.take_block(key, block, payload, Bringer::Peer(peer, role), now);
            }
        }
    }

    fn credit(&mut self, link: LinkId, role: Role, bytes: u64) {
        self.with(link, |l| l.received += bytes);
        match role {
            Role::Viewer => self.counters.peer_bytes += bytes,
            Role::Seed => self.counters.seed_bytes += bytes,
        }
    }

    /// Tells whoever doesn't know yet that a digest is here: news of the segment, ahead of its data.
    pub(super) fn announce(&mut self, key: SegmentKey) {
        let Some(digest) = self.store.segment(&key).and_then(|s| s.digest()).map(Arc::clone) else { return };
        let held = self.store.segment(&key).map_or_else(Default::default, |s| s.held().clone());
        let seed = self.config.role == Role::Seed;
        let unaware: Vec<_> = self
            .members
            .links()
            .filter(|(_, l)| l.held_of(&key).is_none())
            .map(|(id, l)| (id, l.plays(key.track)))
            .collect();
        for (link, plays) in unaware {
            // A seed speaks first-hand: the digest itself. A viewer's neighbours have mostly heard already: its name.
            if seed && plays {
                self.send(link, Message::Digest { digest: (*digest).clone() });
            }
            let map = HaveMap { key, blocks: held.clone() };
            self.send(link, Message::Have { maps: List::clipped([map]) });
        }
    }
}
