//! Digests, verification, delivery.

use std::sync::Arc;

use rillcast_protocol::coding::List;
use rillcast_protocol::digest::SegmentDigest;
use rillcast_protocol::id::{Role, SegmentKey};

use crate::media::{Bringer, Cutter};
use crate::payload::Payload;
use crate::schedule::Demand;
use crate::time::{Duration, Instant, Rate};
use crate::transfer::source::Fetch;
use crate::wire::Message;
use crate::wire::message::HaveMap;
use rillcast_protocol::id::BlockIndex;

use super::{Check, CheckId, Delivery, Dirty, Engine, Event, LinkId, Output, Patience, Pending, Via};

/// Signatures being verified at a time; more are dropped and asked for again when needed.
const MAX_SIGNATURES: usize = 64;
impl<P: Payload + core::fmt::Debug + 'static> Engine<P> {
    pub(super) fn check(&mut self, pending: Pending, what: Check<P>) {
        self.next_check = self.next_check.wrapping_add(1);
        let check = CheckId(self.next_check);
        self.checks.insert(check, pending);
        self.outputs.push_back(Output::Verify { check, what });
    }

    /// Somebody shows a digest. It counts once its publisher's signature holds.
    pub(super) fn digest_offered(&mut self, digest: SegmentDigest, from: Option<LinkId>, now: Instant) {
        let Some(membership) = self.membership else { return };
        if digest.swarm != membership.swarm || !self.publishers.contains(&digest.publisher) {
            if let Some(link) = from.filter(|_| digest.swarm != membership.swarm) {
                self.expel(link, "showed a digest of another swarm", now);
            }
            return;
        }
        if self.store.segment(&digest.key).is_some_and(|s| s.conflict || s.says(&digest)) {
            return;
        }
        let same = |p: &Pending| matches!(p, Pending::Digest(d, _) if **d == digest);
        let signing = self.checks.values().filter(|p| matches!(p, Pending::Digest(..))).count();
        if signing >= MAX_SIGNATURES || self.checks.values().any(same) {
            return;
        }
        let what = Check::Signature {
            key: digest.publisher.0,
            message: digest.signed_bytes(),
            signature: digest.signature,
        };
        self.check(Pending::Digest(Box::new(digest), from), what);
    }

    pub(super) fn verdict(&mut self, check: CheckId, ok: bool, now: Instant) {
        match self.checks.remove(&check) {
            Some(Pending::Block(key, block)) => self.block_checked(key, block, ok, now),
            Some(Pending::Digest(digest, _)) if ok => {
                #[cfg(not(target_arch = "wasm32"))]
                if self.config.role == Role::Seed {
                    self.outputs.push_back(Output::Event(Event::Heard { digest: digest.clone() }));
                }
                self.accept_digest(*digest, now);
            }
            Some(Pending::Digest(_, Some(link))) => {
                self.expel(link, "showed a digest with a false signature", now)
            }
            Some(Pending::Ticket(ticket, link)) => self.ticket_checked(*ticket, link, ok, now),
            Some(Pending::Revocations(list, from)) => self.revocations_checked(*list, from, ok, now),
            Some(Pending::Heard(known, link)) => self.acquaintance_checked(&known, link, ok, now),
            Some(Pending::Call(from, link, said)) => self.call_checked(&from, link, said, ok, now),
            Some(Pending::Voucher(voucher, link)) => self.voucher_checked(*voucher, link, ok, now),
            Some(Pending::Digest(_, None) | Pending::Thanks(..)) | None => {}
        }
    }

    fn accept_digest(&mut self, digest: SegmentDigest, now: Instant) {
        let key = digest.key;
        if !self.is_undisputed(&digest, now) {
            return;
        }
        let segment = self.store.entry(key, now);
        segment.describe(Arc::new(digest));
        // What came whole before the digest did is verified now, and may then be relayed.
        if let Some(parts) = segment.take_whole() {
            let total: usize = parts.iter().map(Payload::len).sum();
            if segment.digest().is_some_and(|d| d.length as usize == total) {
                let mut cutter = Cutter::default();
                parts.into_iter().for_each(|p| cutter.push(p));
                self.cut(key, 0, &mut cutter, Bringer::Source, now);
            } else {
                segment.put_whole(parts, now);
                self.contradicted(key, now);
            }
        }
        self.announce(key);
        self.trim();
        self.dirty = Dirty { get: true, give: true };
    }

    /// Whether a digest whose signature holds may describe its segment. Two publishers that contradict each other may both be right (each
    /// has seen another version of the segment) or one lies: then nobody can tell which bytes are the site's, and nothing of it is shared.
    fn is_undisputed(&mut self, digest: &SegmentDigest, now: Instant) -> bool {
        let Some(segment) = self.store.segment(&digest.key) else { return true };
        let Some(first) = segment.digest().map(Arc::clone) else { return !segment.conflict };
        if first.agrees(digest) {
            return false;
        }
        self.forsake(digest.key, now);
        // Those who have heard of one alone take it for true.
        for digest in [&*first, digest] {
            self.tell_all(&Message::Digest { digest: digest.clone() });
        }
        let publishers = [first.publisher, digest.publisher];
        self.outputs.push_back(Output::Event(Event::Disputed { key: digest.key, publishers }));
        false
    }

    /// Cuts whole blocks off the front of a buffer whose first byte is byte `at` of the segment; told back: the new `at`.
    pub(super) fn cut(
        &mut self,
        key: SegmentKey,
        mut at: u32,
        buffer: &mut Cutter<P>,
        from: Bringer,
        now: Instant,
    ) -> u32 {
        let Some(digest) = self.store.segment(&key).and_then(|s| s.digest()).map(Arc::clone) else {
            return at;
        };
        while at < digest.length {
            let block = BlockIndex((at / digest.block_size()) as u16);
            let range = digest.range(block);
            let Some(payload) = buffer.take(range.len()) else { break };
            at = range.end;
            self.take_block(key, block.0, payload, from, now);
        }
        at
    }

    /// A whole block is here; it counts once it is verified.
    pub(super) fn take_block(
        &mut self,
        key: SegmentKey,
        block: u16,
        payload: P,
        from: Bringer,
        now: Instant,
    ) {
        let bytes = payload.len() as u64;
        let Some(segment) = self.store.segment_mut(&key) else { return };
        let Some(digest) = segment.digest().map(Arc::clone) else { return };
        let Some(hash) = digest.hashes.get(usize::from(block)) else { return };
        if !segment.put(block, payload.clone(), from, now) {
            self.counters.wasted_bytes += bytes;
            return;
        }
        // The same block may still be on its way from elsewhere.
        if let Some(coming) = self.downloads.coming(&key, block) {
            let (link, transfer) = (coming.link, coming.transfer);
            self.downloads.end(link, transfer);
            self.send(link, Message::Cancel { transfer });
        }
        self.check(Pending::Block(key, block), Check::Block { payload, hash: *hash });
    }

    fn block_checked(&mut self, key: SegmentKey, block: u16, ok: bool, now: Instant) {
        let Some(segment) = self.store.segment_mut(&key) else { return };
        let Some(from) = segment.settle(block, ok) else { return };
        if ok {
            let by = match from {
                Bringer::Peer(peer, _) => Some(peer),
                _ => None,
            };
            if let Some(peer) = by {
                let bytes = u64::from(segment.block_len(block));
                self.had(peer, bytes, now);
            }
            self.is_news(key, block, by, now);
            self.dirty.get |= self.hungry;
            self.stop_needless(&key, now);
            self.progress(key, now);
            self.try_deliver(key, now);
            return;
        }
        self.counters.false_blocks += 1;
        self.dirty.get = true;
        match from {
            Bringer::Peer(peer, _) => {
                if let Some(link) = self.members.link_to(peer) {
                    if let Some(name) = self.members.link(link).map(|l| l.name) {
                        self.outputs.push_back(Output::Accuse { peer: name, key });
                    }
                    self.expel(link, "sent a false block", now);
                }
            }
            // The publisher and we were given different bytes under one name: play the source's, share nothing.
            Bringer::Source => self.contradicted(key, now),
            Bringer::Publisher | Bringer::Own => {}
        }
    }

    pub(super) fn contradicted(&mut self, key: SegmentKey, now: Instant) {
        if self.store.segment(&key).is_some_and(|s| !s.conflict) {
            self.forsake(key, now);
            self.outputs.push_back(Output::Event(Event::SourceMismatch { key }));
        }
    }

    /// Shares nothing of a segment any more: the player gets it from the source, whole.
    fn forsake(&mut self, key: SegmentKey, now: Instant) {
        let Some(segment) = self.store.segment_mut(&key) else { return };
        let whole = segment.take_whole();
        segment.contradict();
        if let Some(parts) = whole {
            segment.put_whole(parts, now);
        }
        // Half-used fetches can't be told from the other version's bytes; a fresh one brings all of it.
        self.stop_fetching(&key, true, now);
        self.dirty.get = true;
    }

    /// A whole segment that this node signed for itself.
    pub(super) fn published(&mut self, digest: SegmentDigest, body: P, now: Instant) {
        self.counters.source_bytes += body.len() as u64;
        self.put_own(digest, body, now);
    }

    /// One that it signed before. Neighbours may think that it is still here, or know that it isn't.
    pub(super) fn recalled(&mut self, digest: SegmentDigest, body: P, now: Instant) {
        let key = digest.key;
        self.put_own(digest, body, now);
        if let Some(segment) = self.store.segment(&key) {
            let map = HaveMap { key, blocks: segment.held().clone() };
            self.tell_some(&Message::Have { maps: List::first(vec![map]) }, |l| l.plays(key.track));
        }
    }

    fn put_own(&mut self, digest: SegmentDigest, body: P, now: Instant) {
        let key = digest.key;
        let known = self.store.segment(&key).is_some_and(|s| s.says(&digest));
        if !known && !self.is_undisputed(&digest, now) {
            return;
        }
        let blocks = digest.blocks();
        let ranges: Vec<_> = (0..blocks).map(|b| digest.range(BlockIndex(b))).collect();
        let segment = self.store.entry(key, now);
        segment.describe(Arc::new(digest));
        for (block, range) in (0..blocks).zip(ranges) {
            if segment.put(block, body.slice(range.start as usize..range.end as usize), Bringer::Own, now) {
                segment.settle(block, true);
            }
        }
        self.announce(key);
        self.trim();
    }

    /// What the player got elsewhere, before we were there or after we failed, starts it just as well: what it asks for next isn't
    /// urgent any more.
    pub(super) fn handed(&mut self, key: SegmentKey, now: Instant) {
        self.timeline.demanded(key);
        self.timeline.delivered(key, now);
        self.tell_tracks();
    }

    pub(super) fn demand(&mut self, key: SegmentKey, patience: Patience, now: Instant) {
        self.timeline.demanded(key);
        self.demands.insert(key, Demand { since: now, patience });
        if let Some(segment) = self.store.segment_mut(&key) {
            segment.delivered = false;
        } else {
            self.store.entry(key, now);
        }
        self.tell_tracks();
        self.progress(key, now);
        self.try_deliver(key, now);
    }

    pub(super) fn cancel(&mut self, key: SegmentKey, now: Instant) {
        self.demands.remove(&key);
        // What only the player wanted stops. A seek or an ABR switch makes the rest unwanted as well; the next thought sees to that.
        let all = !self.timeline.is_wanted(&key);
        self.stop_fetching(&key, all, now);
    }

    /// Stops fetches of a segment: all of them, or those of it as a whole.
    fn stop_fetching(&mut self, key: &SegmentKey, all: bool, now: Instant) {
        self.stop(key, |f| f.whole || all, now);
    }

    /// Stops fetches that bring nothing any more that isn't here: peers were quicker.
    fn stop_needless(&mut self, key: &SegmentKey, now: Instant) {
        if !self.sources.is_fetching(key) {
            return;
        }
        let Some(segment) = self.store.segment(key) else { return };
        let (missing, block) = (segment.missing(), segment.block_len(0).max(1));
        let blocks = segment.digest().map_or(0, |d| d.blocks());
        let needless = |f: &Fetch<P>| {
            let end = f.blocks.as_ref().filter(|_| !f.whole).map_or(blocks, |b| b.end);
            let coming = f.at.div_ceil(block) as u16..end;
            // What brought all of its own comes to its end by itself, and may be longer than its digest says.
            f.via == Via::Origin && !coming.is_empty() && !missing.iter().any(|b| coming.contains(&b))
        };
        self.stop(key, needless, now);
    }

    fn stop(&mut self, key: &SegmentKey, which: impl Fn(&Fetch<P>) -> bool, now: Instant) {
        let of = |f: &Fetch<P>| f.key == *key && which(f);
        let stale: Vec<_> = self.sources.iter().filter(|(_, f)| of(f)).map(|(id, _)| id).collect();
        for fetch in stale {
            self.sources.end(fetch, now);
            self.outputs.push_back(Output::CancelFetch { fetch });
        }
    }

    fn tell_tracks(&mut self) {
        if self.config.role == Role::Seed {
            return;
        }
        let tracks: Vec<_> = self.timeline.current().map(|c| c.track).collect();
        if tracks != self.announced {
            self.announced.clone_from(&tracks);
            self.outputs.push_back(Output::Playing { tracks });
        }
    }

    /// Tells the player how loading goes, once all that is missing comes from the source; before that only that it goes. Peers
    /// deliver when they must, not as fast as they can, and what looks slow to a player it gives up for a smaller rendition.
    pub(super) fn progress(&mut self, key: SegmentKey, now: Instant) {
        if !self.demands.contains_key(&key) {
            return;
        }
        if let Some(segment) = self.store.segment(&key) {
            let (loaded, total) = segment.progress();
            let mut missing = segment.missing();
            missing.subtract(&self.sources.covered(&key, segment.digest().map_or(0, |d| d.blocks()), now));
            let from_source = missing.is_empty();
            let loaded = if from_source { loaded } else { 0 };
            if segment.bytes() > 0 {
                self.outputs.push_back(Output::Progress { key, loaded, total });
            }
        }
    }

    /// Hands a demanded segment over if all of it is here.
    pub(super) fn try_deliver(&mut self, key: SegmentKey, now: Instant) {
        let Some(demand) = self.demands.get(&key).copied() else { return };
        let Some(segment) = self.store.segment_mut(&key) else { return };
        let Some((parts, share)) = segment.assemble() else { return };
        segment.delivered = true;
        let first_byte = segment.first_byte.unwrap_or(now);
        let bytes: u64 = parts.iter().map(|p| p.len() as u64).sum();
        if let Some(digest) = segment.digest() {
            self.bitrate = bytes * 1000 / u64::from(digest.duration_ms.max(1));
        }
        let late = self.timeline.has_started() && self.timeline.is_starving();
        let waited = now.since(demand.since);
        let only_source = share.source > 0 && share.peers == 0 && share.seeds == 0 && share.publisher == 0;
        if !late && !only_source {
            self.sources.drift_up(now);
        }
        let mut throughput = self.sources.throughput(now);
        if late && !only_source {
            // Peers and source together were too slow: no better than what really happened, and never better than the source.
            let happened = Rate::of(bytes, waited.max(Duration::from_millis(1)));
            throughput = throughput.map(|measured| measured.min(happened));
        }
        self.demands.remove(&key);
        self.timeline.delivered(key, now);
        self.counters.delivered_bytes += bytes;
        self.scheduler.delivered(key, bytes, late);
        self.outputs.push_back(Output::Deliver(Delivery { key, parts, first_byte, throughput, share }));
    }

    pub(super) fn trim(&mut self) {
        let (timeline, demands, copying) = (&self.timeline, &self.demands, &self.copying);
        let keep = |key: &SegmentKey| demands.contains_key(key) || timeline.is_wanted(key);
        let dropped = self.store.trim(keep, |key| copying.is_spare(key));
        // A verdict that is still out must not speak for bytes that come later under the same name.
        self.checks.retain(|_, pending| !matches!(pending, Pending::Block(key, _) if dropped.contains(key)));
    }
}
