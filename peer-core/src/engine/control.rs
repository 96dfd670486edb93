//! What neighbours say, and what we answer.

use std::sync::Arc;

use rillcast_protocol::coding::List;
use rillcast_protocol::digest::BLOCK;
use rillcast_protocol::id::{BlockIndex, Role, SegmentKey};

use crate::index::Index;
use crate::media::{Bits, Bringer};
use crate::overlay::Link;
use crate::payload::Payload;
use crate::switches::Mechanism;
use crate::time::{Duration, Instant, Rate};
use crate::transfer::Priority;
use crate::transfer::download::Piece;
use crate::transfer::upload::Promise;
use crate::trust::Refusal;
use crate::wire::message::{BlockName, HaveMap, No, TransferId};
use crate::wire::{BulkHeader, Message};

use super::{BULK_HEADER, Engine, LinkId};

/// Segments that are looked through for something to take.
const SEGMENTS: usize = 6;
/// What is needed first is to come by so much before it is needed, even if the source has to give all of it.
const SPARE: Duration = Duration::from_millis(1000);
/// A neighbour that was busy is left alone for so long.
const BUSY: Duration = Duration::from_millis(500);
/// One that refused for another reason isn't asked for the same again at once.
const REFUSED: Duration = Duration::from_millis(100);

impl<P: Payload + core::fmt::Debug + 'static> Engine<P> {
    pub(super) fn control(&mut self, link: LinkId, bytes: &[u8], now: Instant) {
        let Some(l) = self.members.link_mut(link) else { return self.at_the_gate(link, bytes, now) };
        (l.heard, l.greeted) = (now, true);
        let message = match Message::parse(bytes) {
            Ok(message) => message,
            Err(_) => return self.expel(link, "sent a message that can't be read", now),
        };
        match message {
            Message::Hello { ticket, .. } => self.ticket_shown(link, ticket, now),
            Message::Revoked { revocations } => self.revocations_offered(revocations, Some(link)),
            Message::Nat { class } => self.members.told_nat(link, class),
            Message::Receipt { receipt, signature } => self.receipt_shown(link, receipt, signature),
            Message::Profile { playing, passive, upload, short, helps } => {
                self.profiled(link, playing.to_vec(), passive, upload, now);
                let before = self.members.link(link).and_then(|l| l.helps);
                self.with(link, |l| (l.short, l.helps) = (short, helps));
                // Who comes to our help is told at once who plays what we play.
                if before != helps && helps.is_some_and(|track| self.timeline.playing(track).is_some()) {
                    self.shuffle(link);
                }
            }
            Message::Have { maps } => {
                self.have(link, maps.into_vec(), Index::set);
                self.has_news();
            }
            Message::Got { maps } => self.have(link, maps.into_vec(), Index::gain),
            Message::WantDigest { keys } => self.want_digest(link, &keys),
            Message::Digest { digest } => {
                if !self.index.knows(link, &digest.key) {
                    self.index.set(link, digest.key, Default::default());
                }
                self.digest_offered(digest, Some(link), now);
            }
            Message::Offer { transfer, name, blocks } => self.offered(link, transfer, name, blocks, now),
            Message::Grant { transfer, name, blocks } => self.granted(link, transfer, name, blocks, now),
            Message::Decline { transfer, why, blocks } => {
                if let Some((name, at)) = self.uploads.take_offer(link, transfer) {
                    self.answered(link, now.since(at));
                    self.index.merge(link, name.key, &blocks);
                    if why == No::Held {
                        self.index.add(link, name.key, name.block.0);
                    }
                    self.with(link, |l| l.decline(name.key, why, now));
                    // Even where the uplink had room: now it may be offered something else, or this again after a while.
                    self.dirty.give = true;
                }
            }
            Message::Request { transfer, name, need_ms, priority } => {
                if !transfer.is_requested() {
                    return self.expel(link, "asked under an offer's number", now);
                }
                let due = now + Duration::from_millis(u64::from(need_ms));
                self.promise(link, transfer, name, due, priority);
            }
            Message::Priority { transfer, priority } => {
                self.uploads.set_priority(link, transfer, self.grants(priority));
            }
            Message::Refuse { transfer, why } => {
                if let Some(name) = self.downloads.end(link, transfer) {
                    if why == No::NotHeld {
                        self.index.remove(link, &name.key, name.block.0);
                    }
                    let pause = now + if why == No::Busy { BUSY } else { REFUSED };
                    self.with(link, |l| l.busy_until = l.busy_until.max(pause));
                    self.dirty.get = true;
                }
            }
            Message::Cancel { transfer } => {
                if let Some((out, time)) = self.uploads.cancel(link, transfer, now) {
                    self.pacer.failed(out, time, now);
                }
                self.has_room();
            }
            Message::Arrived { transfer } => self.arrived(link, transfer, now),
            Message::Claim { key, first, count } => {
                // Longer than any segment is, it would only cost time.
                let end = first.saturating_add(count).min(rillcast_protocol::digest::MAX_BLOCKS as u16);
                self.with(link, |l| l.claim(key, first..end, now));
            }
            Message::Census { of, slots } => {
                if let Some(census) = self.populations.census_mut(of) {
                    census.hear(&slots, now);
                }
            }
            Message::Shuffle { peers } => self.shuffled(link, peers, now),
            Message::Relay { to, payload } => self.relay(link, to, payload, now),
            Message::Relayed { from, payload } => self.relayed(link, from, payload.as_slice().to_vec(), now),
            Message::Ping { stamp } => self.send(link, Message::Pong { stamp }),
            Message::Pong { stamp } => {
                let sample = now.since(Instant::from_micros(stamp));
                // A stamp that isn't ours would teach us nonsense.
                if stamp <= now.as_micros() && sample < Duration::from_secs(30) {
                    self.answered(link, sample);
                    let queue = self.pacer.yielding.queue(now);
                    if let Some(l) = self.members.link_mut(link) {
                        self.pacer.yielding.measured(l.measure(sample, queue, now));
                    }
                }
            }
        }
    }

    /// An answer took so long. One that waited for our own blocks to leave says nothing of the neighbour.
    fn answered(&mut self, link: LinkId, time: Duration) {
        if self.pacer.in_flight() <= 2 * u64::from(BLOCK) {
            self.with(link, |l| l.answered(time));
        }
    }

    fn with(&mut self, link: LinkId, act: impl FnOnce(&mut Link)) {
        if let Some(l) = self.members.link_mut(link) {
            act(l);
        }
    }

    fn have(&mut self, link: LinkId, maps: Vec<HaveMap>, take: fn(&mut Index, LinkId, SegmentKey, Bits)) {
        let mut unknown = Vec::new();
        for map in maps {
            if self.lacks_digest(&map.key) {
                unknown.push(map.key);
            }
            take(&mut self.index, link, map.key, map.blocks);
        }
        self.dirty.get |= self.hungry;
        self.ask_digests(link, unknown);
    }

    /// Whether the player will want the segment and its digest isn't here.
    fn lacks_digest(&self, key: &SegmentKey) -> bool {
        (self.timeline.is_wanted(key) || self.demands.contains_key(key))
            && self.store.segment(key).is_none_or(|s| s.digest().is_none() && !s.conflict)
    }

    fn ask_digests(&mut self, link: LinkId, keys: Vec<SegmentKey>) {
        if !keys.is_empty() {
            self.send(link, Message::WantDigest { keys: List::first(keys) });
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

    fn offered(&mut self, link: LinkId, transfer: TransferId, name: BlockName, blocks: Bits, now: Instant) {
        if transfer.is_requested() {
            return self.expel(link, "offered under a request's number", now);
        }
        let map = self.index.map_mut(link, name.key);
        map.merge(&blocks);
        map.insert(name.block.0);
        self.with(link, |l| l.offers = l.offers.saturating_add(1));
        // It may have another one to send first.
        let arrives = now + self.members.link(link).map_or(Duration::ZERO, |l| l.takes(3 * BLOCK));
        let promised = self.downloads.promised(link);
        let trusted = self.members.link(link).is_some_and(|l| !l.is_shunned(now) && l.may_promise(promised));
        let chosen = if trusted { self.choose(link, name, arrives, now) } else { Err(No::Busy) };
        let why = match chosen {
            Ok(name) => {
                let len = self.store.segment(&name.key).map_or(0, |s| s.block_len(name.block.0));
                let room = self.has_capacity(&name.key, now);
                if room && let Some((link, transfer)) = self.downloads.give_way(&name, now) {
                    self.send(link, Message::Cancel { transfer });
                }
                if room && self.downloads.begin(link, transfer, name, len, Priority::NORMAL, arrives) {
                    let blocks = self.taken_of(&name.key, now);
                    return self.send(link, Message::Grant { transfer, name, blocks });
                }
                No::Busy
            }
            Err(why) => why,
        };
        if why == No::NoDigest {
            self.ask_digests(link, vec![name.key]);
        }
        let blocks = self.taken_of(&name.key, now);
        self.send(link, Message::Decline { transfer, why, blocks });
    }

    /// Which block to take of a neighbour that offers one: what is needed in a moment, else what it offers, else another that it holds.
    /// Never one that would arrive too late.
    fn choose(
        &mut self,
        link: LinkId,
        offered: BlockName,
        arrives: Instant,
        now: Instant,
    ) -> Result<BlockName, No> {
        let key = offered.key;
        if self.for_others(&offered) {
            return self.helps(offered, now);
        }
        let no = self.why_not(&offered, now);
        let outside = |site: u32| self.members.link(link).is_some_and(|l| l.net.site != site);
        if no == Some(No::Unwanted) || self.members.office(self.place.net).is_some_and(outside) {
            return Err(No::Unwanted);
        }
        if !self.switches.has(Mechanism::Choice) {
            return no.map_or(Ok(offered), Err);
        }
        let next = self.timeline.playing(key.track).map_or(key.number, |c| c.next);
        // A player that waits is glad of whatever comes; one that should have run dry and hasn't said so yet waits too.
        let waits = !self.timeline.has_started() || self.timeline.is_starving();
        let spare = SPARE * self.timeline.haste(key.track, now) / 1000;
        let in_time = |k: &SegmentKey| {
            let deadline = self.timeline.deadline(k, now);
            waits || deadline <= now || deadline >= arrives + spare
        };
        let ours = self.store.from(key.track, next).map(|(k, _)| *k);
        let ours = ours.filter(|k| self.timeline.is_wanted(k)).take(SEGMENTS).filter(in_time);
        let ours: Vec<_> = ours.collect();
        let late = !ours.contains(&key);
        // What is needed soon is taken before what was offered: otherwise the source would have to give it.
        let hurry = self.timeline.soon(key.track, now);
        for soon in &ours {
            if self.timeline.deadline(soon, now).since(now) >= hurry {
                break;
            }
            if let Some(name) = self.lacking_of(link, *soon, now) {
                return Ok(name);
            }
        }
        match no {
            None if !late => Ok(offered),
            None => ours.into_iter().find_map(|k| self.lacking_of(link, k, now)).ok_or(No::Busy),
            Some(why @ (No::Held | No::InFlight)) => {
                let others = core::iter::once(key).filter(|_| !late).chain(ours);
                others.into_iter().find_map(|k| self.lacking_of(link, k, now)).ok_or(why)
            }
            Some(why) => Err(why),
        }
    }

    /// Whether our downlink can take one more block of a segment, as far as we know it: in good time, and without making late what is
    /// needed before it.
    fn has_capacity(&self, key: &SegmentKey, now: Instant) -> bool {
        const AHEAD_MS: u64 = 1000;
        let outstanding = self.sources.outstanding(now);
        // Of a downlink that nothing is known of, the first picture gets all.
        let Some(rate) = self.sources.way(now) else { return outstanding == 0 };
        let block = u64::from(BLOCK);
        // What a slow source won't bring in that time takes nothing of it.
        let source = self.sources.throughput(now).map_or(0, Rate::bytes_per_second);
        let overloaded = self.sources.is_overloaded(self.bitrate, now);
        let outstanding = outstanding.min(source * AHEAD_MS / 1000);
        let coming = self.downloads.sure(now) as u64 * block + outstanding;
        if coming >= (rate.bytes_per_second() * AHEAD_MS / 1000).max(2 * block) {
            return false;
        }
        // What the source is bringing of an earlier segment comes first: its player would wait for it. An overloaded
        // one isn't waited for.
        overloaded
            || self.sources.first_before(key, now).is_none_or(|(first, left)| {
                self.timeline.deadline(&first, now).since(now + SPARE) >= rate.time_for(left + coming + block)
            })
    }

    /// What we hold of a segment, or have coming for sure: nobody need offer it.
    pub(super) fn taken_of(&self, key: &SegmentKey, now: Instant) -> Bits {
        let mut blocks = self.store.segment(key).map_or_else(Bits::default, |s| s.held().clone());
        blocks.merge(&self.downloads.sure_of(key, now));
        blocks
    }

    /// A block that a neighbour holds, and that neither is here nor comes.
    fn lacking_of(&mut self, link: LinkId, key: SegmentKey, now: Instant) -> Option<BlockName> {
        if !self.timeline.is_wanted(&key) {
            return None;
        }
        let segment = self.store.segment(&key).filter(|s| !s.conflict)?;
        let blocks = segment.digest()?.blocks();
        let mut lacking = segment.missing();
        if lacking.is_empty() {
            return None;
        }
        lacking.intersect(self.index.held(link, &key)?);
        lacking.subtract(&self.downloads.sure_of(&key, now));
        lacking.subtract(&self.sources.covered(&key, blocks, now));
        lacking.any(&mut self.rng).map(|block| BlockName { key, block: BlockIndex(block) })
    }

    /// Why an offered block isn't wanted.
    fn why_not(&self, name: &BlockName, now: Instant) -> Option<No> {
        if !self.may_download() || self.config.role == Role::Seed {
            return Some(No::Unwanted);
        }
        if !self.timeline.is_wanted(&name.key) && !self.demands.contains_key(&name.key) {
            return Some(No::Unwanted);
        }
        self.unfit(name, now)
    }

    /// Why a block can't be taken, wanted or not.
    pub(super) fn unfit(&self, name: &BlockName, now: Instant) -> Option<No> {
        let Some(segment) = self.store.segment(&name.key) else { return Some(No::NoDigest) };
        if segment.conflict || segment.is_whole() {
            return Some(No::Unwanted);
        }
        match segment.digest() {
            None => Some(No::NoDigest),
            Some(d) if name.block.0 >= d.blocks() => Some(No::Unwanted),
            Some(_) if !segment.is_missing(name.block.0) => Some(No::Held),
            Some(_) => {
                let busy = self.downloads.sure_of(&name.key, now).contains(name.block.0)
                    || self.sources.covers(&name.key, name.block.0, now);
                busy.then_some(No::InFlight)
            }
        }
    }

    fn granted(&mut self, link: LinkId, transfer: TransferId, name: BlockName, blocks: Bits, now: Instant) {
        self.index.merge(link, name.key, &blocks);
        let Some((_, at)) = self.uploads.take_offer(link, transfer) else {
            // It came too late for the offer. Without a word its sender would wait for the block until its lease ends.
            return self.send(link, Message::Refuse { transfer, why: No::Busy });
        };
        self.answered(link, now.since(at));
        self.promise(link, transfer, name, Instant::ZERO, Priority::NORMAL);
    }

    /// Where the site has all uploads yield, none is more than that.
    fn grants(&self, priority: Priority) -> Priority {
        if self.settings.yields { Priority::BACKGROUND } else { priority }
    }

    fn promise(
        &mut self,
        link: LinkId,
        transfer: TransferId,
        name: BlockName,
        due: Instant,
        priority: Priority,
    ) {
        let len = self.store.segment(&name.key).and_then(|s| s.block(name.block.0)).map(Payload::len);
        let Some(len) = len else { return self.send(link, Message::Refuse { transfer, why: No::NotHeld }) };
        // What was offered is as good as promised.
        let may = if transfer.is_requested() { self.may_upload() } else { self.may_give() };
        if !may {
            return self.send(link, Message::Refuse { transfer, why: No::Busy });
        }
        let promise = Promise { link, transfer, name, len: len as u32, due, priority: self.grants(priority) };
        if let Some((link, transfer)) = self.uploads.queue(promise, self.pacer.rate()) {
            self.send(link, Message::Refuse { transfer, why: No::Busy });
        }
    }

    fn arrived(&mut self, link: LinkId, transfer: TransferId, now: Instant) {
        if let Some((name, bytes)) = self.uploads.arrived(link, transfer) {
            self.pacer.arrived(u64::from(bytes), now);
            // It will say so to everybody a little later; offered again before that it would only be declined.
            self.index.add(link, name.key, name.block.0);
            self.has_room();
        }
    }

    pub(super) fn bulk(&mut self, link: LinkId, header: [u8; BULK_HEADER], payload: P, now: Instant) {
        let Some(l) = self.members.link_mut(link) else { return self.refuse(link, Refusal::NoTicket, now) };
        l.heard = now;
        let (peer, role) = (l.peer, l.role);
        let bytes = payload.len() as u64;
        self.sources.beside(bytes, now);
        let header = BulkHeader::from_bytes(header);
        match self.downloads.piece(link, header.transfer, header.offset, payload, now) {
            Piece::Partial => self.credit(link, role, bytes),
            Piece::Unasked => self.counters.wasted_bytes += bytes,
            Piece::Nonsense => self.expel(link, "sent bytes outside what was agreed", now),
            Piece::Complete(key, block, payload) => {
                self.credit(link, role, bytes);
                self.with(link, Link::kept_word);
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
            .filter(|(id, _)| !self.index.knows(*id, &key))
            .map(|(id, l)| (id, l.plays(key.track) || l.role == Role::Seed))
            .collect();
        for (link, needs) in unaware {
            // A seed speaks first-hand: the digest itself, to other seeds too, who needn't fetch the segment then. A viewer's neighbours have mostly heard already: its name.
            if seed && needs {
                self.send(link, Message::Digest { digest: (*digest).clone() });
            }
            let map = HaveMap { key, blocks: held.clone() };
            self.send(link, Message::Have { maps: List::first(vec![map]) });
        }
    }
}
