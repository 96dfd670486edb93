//! Thinking, and sending.

use rillcast_protocol::coding::List;
use rillcast_protocol::id::{Role, SegmentKey};

use crate::map::put_in_order;
use crate::media::Bits;
use crate::payload::Payload;
use crate::schedule::{Action, Plan, View};
use crate::switches::Mechanism;
use crate::time::{Duration, Instant, millis};
use crate::transfer::Priority;
use crate::wire::message::{HaveMap, Playing, TransferId};
use crate::wire::{BulkHeader, Message};

use super::{BulkFrame, Engine, Event, LinkId, Output};

/// Bytes that may wait in a link's bulk buffer. Two messages keep it from running dry between two of the shell's reports.
const LINK_BUFFER: u32 = 48 * 1024;
/// How often what is on its way is looked at while it keeps others waiting.
const RESETTLE: Duration = Duration::from_millis(60);
/// Neighbours reminded at a time.
const REMINDED: usize = 4;
/// From an offer to its grant, a round trip and so many microseconds pass.
const ANSWER: u64 = 150_000;
/// Uplinks that haven't been measured, in bytes/s.
const UNKNOWN_UPLINK: u32 = 250_000;
const SEED_UPLINK: u32 = 3_500_000;

impl<P: Payload + core::fmt::Debug + 'static> Engine<P> {
    /// Tells who sends us blocks that they have become more or less urgent: their time has come nearer, or the player has jumped.
    pub(super) fn tell_priorities(&mut self, now: Instant) {
        while let Some((link, transfer, priority)) = self.downloads.reprioritize(&self.timeline, now) {
            self.send(link, Message::Priority { transfer, priority });
        }
    }

    /// Gives up blocks that don't come, or aren't wanted any more.
    pub(super) fn reap_downloads(&mut self, now: Instant) {
        let (timeline, demands, helps) = (&self.timeline, &self.demands, self.helping.track);
        let copying = &self.copying;
        let stale = self.downloads.reap(now, |key| {
            let wanted = demands.contains_key(key) || timeline.is_wanted(key);
            wanted || helps == Some(key.track) || copying.takes(key)
        });
        self.dirty.get |= !stale.is_empty();
        for (link, transfer, late) in stale {
            self.send(link, Message::Cancel { transfer });
            if let Some(l) = self.members.link_mut(link).filter(|_| late) {
                l.let_down(now);
            }
        }
    }

    /// Has the scheduler say what to get and what to give, and does it.
    pub(super) fn think(&mut self, get: bool, give: bool, now: Instant) {
        self.thought_at = now;
        if get {
            self.reap_downloads(now);
            self.tell_profile(now);
        }
        let may_upload = self.may_upload();
        let view = View {
            now,
            role: self.config.role,
            net: self.place.net,
            office: self.members.office(self.place.net),
            switches: self.switches,
            ballot: self.membership.map(|m| (m.nonce, m.weight)),
            timeline: &self.timeline,
            helps: self.helping.track,
            store: &self.store,
            members: &self.members,
            index: &self.index,
            populations: &self.populations,
            upload: self.uplink(),
            downloads: &self.downloads,
            uploads: &self.uploads,
            sources: &self.sources,
            demands: &self.demands,
            has_publisher: self.membership.is_some() && !self.publishers.is_empty(),
            arriving: self.arriving(now),
            may_upload,
            may_download: self.may_download(),
            hidden: self.conditions.hidden,
            offer_bytes: self.offer_bytes(),
        };
        let mut actions = Vec::new();
        if get {
            self.dirty.get = false;
            let plan = self.scheduler.get(&view, &mut self.rng, &mut actions);
            (self.get_at, self.hungry) = (plan.again, plan.hungry);
        }
        if give {
            self.dirty.give = false;
            let none = Plan { again: Instant::NEVER, hungry: false };
            let plan = if may_upload && self.switches.has(Mechanism::Offers) {
                self.scheduler.give(&view, &mut self.rng, &mut actions)
            } else {
                none
            };
            (self.give_at, self.spare) = (plan.again, plan.hungry);
        }
        #[cfg(not(target_arch = "wasm32"))]
        if get {
            self.take_copies(now);
        }
        let mut digests = Vec::new();
        for action in actions {
            match action {
                Action::WantDigest { key } => digests.push(key),
                action => self.act(action, now),
            }
        }
        if !digests.is_empty() {
            self.outputs.push_back(Output::WantDigests { keys: digests });
        }
    }

    pub(super) fn act(&mut self, action: Action, now: Instant) {
        match action {
            Action::Fetch { key, blocks, via, urgent, rescue } => {
                let digest = self.store.segment(&key).and_then(|s| s.digest());
                let range = match (&blocks, digest) {
                    (Some(b), Some(d)) => {
                        let end = d.range(rillcast_protocol::id::BlockIndex(b.end - 1)).end;
                        Some(u32::from(b.start) * d.block_size()..end)
                    }
                    _ => None,
                };
                if rescue {
                    let bytes = range.as_ref().map_or(digest.map_or(0, |d| d.length), |r| r.end - r.start);
                    self.counters.rescues += 1;
                    self.counters.rescue_bytes += u64::from(bytes);
                    self.outputs.push_back(Output::Event(Event::Rescue { key, bytes }));
                }
                // The guard's blocks are for us alone in the first place, and soon here.
                if let Some(b) = blocks.as_ref().filter(|_| !rescue) {
                    let claim = Message::Claim { key, first: b.start, count: b.end - b.start };
                    self.tell_some(&claim, |l| l.plays(key.track));
                }
                // One that hangs is given up for the new one: each holds a connection, and browsers have few.
                for fetch in self.sources.stalled(&key, now) {
                    self.sources.end(fetch, now);
                    self.outputs.push_back(Output::CancelFetch { fetch });
                }
                let at = range.as_ref().map_or(0, |r| r.start);
                let whole = self.store.segment(&key).and_then(|s| s.digest()).map_or(0, |d| d.length);
                let left = range.as_ref().map_or(whole, |r| r.end - r.start);
                let fetch = self.sources.begin(key, blocks, (at, u64::from(left)), via, now);
                self.outputs.push_back(Output::Fetch { fetch, key, range, via, urgent });
            }
            Action::Request { link, name, due } => {
                self.next_request = self.next_request.wrapping_add(1);
                let transfer = TransferId::request(self.next_request);
                let len = self.store.segment(&name.key).map_or(0, |s| s.block_len(name.block.0));
                let priority = Priority::of(&self.timeline, &name.key, due, now);
                let expected = self.members.link(link).map_or(now, |l| l.answers(now));
                if len > 0 && self.downloads.begin(link, transfer, name, len, priority, expected) {
                    let need_ms = millis(due.since(now)).min(600_000) as u32;
                    self.send(link, Message::Request { transfer, name, need_ms, priority });
                }
            }
            Action::WantDigest { .. } => {}
            Action::Remind { key, lacking } => self.remind(key, &lacking, now),
            Action::Offer { link, name, expected } => {
                let transfer = self.uploads.offer(link, name, expected, now);
                // Its receiver can't take it without the digest; better sent with the first offer than asked for.
                if !self.index.knows(link, &name.key)
                    && let Some(digest) = self.store.segment(&name.key).and_then(|s| s.digest())
                {
                    let digest = (**digest).clone();
                    self.send(link, Message::Digest { digest });
                    self.index.set(link, name.key, Default::default());
                }
                let blocks =
                    self.store.segment(&name.key).map_or_else(Default::default, |s| s.held().clone());
                self.send(link, Message::Offer { transfer, name, blocks });
            }
        }
    }

    /// Shows some of those who hold what we lack our map of a segment.
    fn remind(&mut self, key: SegmentKey, lacking: &Bits, now: Instant) {
        let mut holders: Vec<LinkId> = Vec::new();
        for (link, held) in self.index.holders(&key) {
            let mut useful = held.clone();
            useful.intersect(lacking);
            if !useful.is_empty() && self.members.link(link).is_some_and(|l| !l.passive) {
                holders.push(link);
            }
        }
        let map = HaveMap { key, blocks: self.taken_of(&key, now) };
        for _ in 0..REMINDED.min(holders.len()) {
            let link = holders.swap_remove(self.rng.below(holders.len()));
            self.send(link, Message::Have { maps: List::first(vec![map.clone()]) });
        }
    }

    /// The uplink may take more: whatever could be given is, unless there was nothing to give.
    pub(super) fn has_room(&mut self) {
        self.dirty.give |= !self.spare;
    }

    /// There may be more to give: of use where the uplink had room.
    pub(super) fn has_news(&mut self) {
        self.dirty.give |= self.spare;
    }

    /// Sends while the window and the links' buffers have room.
    pub(super) fn pump(&mut self, now: Instant) {
        self.pump_at = Instant::NEVER;
        let queued = self.uploads.queued();
        if self.uploads.has_background() && self.pacer.probes(now) {
            self.probe(now);
        }
        if self.uploads.is_idle() {
            return;
        }
        self.withdraw(now);
        loop {
            let (members, pacer) = (&self.members, &mut self.pacer);
            let room = |link| members.link(link).is_some_and(|l| l.buffered < LINK_BUFFER);
            let admits =
                |bytes, begun, priority: Priority| pacer.admits(bytes, begun, priority.yields(), now);
            let Some(slice) = self.uploads.next_slice(room, admits, now) else {
                if self.settle(now) {
                    continue;
                }
                break;
            };
            let block = self.store.segment(&slice.name.key).and_then(|s| s.block(slice.name.block.0));
            let Some(block) = block else {
                self.uploads.take_back(&slice);
                self.uploads.cancel(slice.link, slice.transfer, now);
                self.send(
                    slice.link,
                    Message::Refuse { transfer: slice.transfer, why: crate::wire::message::No::NotHeld },
                );
                continue;
            };
            let payload = block.slice(slice.offset as usize..(slice.offset + slice.len) as usize);
            let header = BulkHeader { transfer: slice.transfer, offset: slice.offset }.to_bytes();
            self.pacer.sent(u64::from(slice.len), slice.priority.yields(), now);
            self.counters.uploaded_bytes += u64::from(slice.len);
            self.helping.give(slice.name.key.track, slice.len);
            if let Some(l) = self.members.link_mut(slice.link) {
                l.buffered += slice.len;
                l.sent += u64::from(slice.len);
            }
            self.outputs.push_back(Output::Bulk { link: slice.link, frame: BulkFrame { header, payload } });
        }
        if self.uploads.queued() < queued {
            // Whoever it is for may be offered another, even where the uplink had room before.
            self.dirty.give = true;
        }
        if self.uploads.queued() > 0
            && let Some(at) = self.pacer.wait(super::BULK_PAYLOAD as u64, now)
        {
            self.pump_at = self.pump_at.min(at);
        }
        if self.uploads.has_background() {
            self.pump_at = self.pump_at.min(self.pacer.yielding.next(now));
        }
    }

    /// Measures a round trip to whom none has been measured to for longest, rather not behind a bulk message: a ping would measure that.
    fn probe(&mut self, now: Instant) {
        let mut next = (u64::MAX, LinkId(0));
        for (id, l) in self.members.links() {
            let this = l.pinged.as_micros() | u64::from(l.buffered > 0) << 63;
            if this < next.0 {
                next = (this, id);
            }
        }
        if next.0 < u64::MAX {
            self.ping(next.1, now);
        }
    }

    /// Stops counting what must have left our uplink long ago: it waits at a slow receiver's end.
    fn settle(&mut self, now: Instant) -> bool {
        if self.uploads.queued() == 0 {
            return false;
        }
        let due = self.settled_at + RESETTLE;
        if now < due {
            self.pump_at = self.pump_at.min(due);
            return false;
        }
        self.pump_at = self.pump_at.min(now + RESETTLE);
        self.settled_at = now;
        let members = &self.members;
        let has_left = |link| members.link(link).is_none_or(|l| l.buffered == 0);
        let settled = self.uploads.settle(self.pacer.rate(), has_left, now);
        self.pacer.lost(settled);
        settled > 0
    }

    /// Refuses what was promised and may no longer be given.
    fn withdraw(&mut self, now: Instant) {
        let refused = match (self.may_give(), self.is_willing()) {
            (true, _) => return,
            // Past the ratio: the block that has begun is finished, for half a block is of no use to anybody.
            (false, true) => self.uploads.give_up_waiting(),
            (false, false) => self.uploads.give_up(),
        };
        for (link, transfer) in refused {
            self.uploads.cancel(link, transfer, now);
            self.send(link, Message::Refuse { transfer, why: crate::wire::message::No::Busy });
        }
    }

    /// What our uplink carries, in bytes/s: as measured, within the caps; 0 while it isn't known.
    pub(super) fn uplink(&self) -> u32 {
        self.pacer.rate().map_or(0, |rate| rate.bytes_per_second().min(u64::from(u32::MAX)) as u32)
    }

    /// Enough that the uplink doesn't idle while an answer is on its way, and no more: a block that waits here could be passed on by others.
    fn offer_bytes(&self) -> u64 {
        let rate = match (self.config.role, self.uplink()) {
            (Role::Seed, rate) => rate.max(SEED_UPLINK),
            (_, 0) => UNKNOWN_UPLINK,
            (_, rate) => rate,
        };
        let bytes = u64::from(rate) * (ANSWER + self.pacer.answer()) / 1_000_000;
        // A measured rate is remembered for seconds; what yields comes back sooner.
        bytes.max(self.pacer.yielding.window())
    }

    /// What neighbours are told of us, once there is anything to tell.
    pub(super) fn profile(&self) -> Option<Message> {
        let (playing, passive, upload, helps) = self.told.clone()?;
        let (playing, short) = (List::first(playing), self.helping.short());
        Some(Message::Profile { playing, passive, upload, short, helps })
    }

    /// Tells the neighbours what we play and can give, if that has changed.
    fn tell_profile(&mut self, now: Instant) {
        let playing: Vec<_> =
            self.timeline.current().map(|c| Playing { track: c.track, next: c.next }).collect();
        let passive = !self.may_upload();
        self.belong(passive, now);
        let (uplink, before) = (self.uplink(), self.told.as_ref().map_or(0, |t| t.2));
        // Small differences aren't worth a message to everybody.
        let upload = if uplink.abs_diff(before) > before / 4 { uplink } else { before };
        // Nor is each segment of a live stream: what somebody lacks shows in its maps.
        let moved = |before: &[Playing]| {
            before.len() != playing.len()
                || before.iter().zip(&playing).any(|(old, new)| {
                    let live = self.timeline.playing(new.track).is_some_and(|c| c.live);
                    old.track != new.track
                        || new.next < old.next
                        || new.next - old.next > if live { 2 } else { 0 }
                })
        };
        let helps = self.helping.track;
        if self.told.as_ref().is_none_or(|t| moved(&t.0) || (t.1, t.2, t.3) != (passive, upload, helps)) {
            self.told = Some((playing, passive, upload, helps));
            if let Some(profile) = self.profile() {
                self.tell_all(&profile);
            }
        }
        if self.config.role == Role::Seed {
            let mut tracks = Vec::new();
            for (_, l) in self.members.links() {
                for playing in &l.playing {
                    if !tracks.contains(&playing.track) {
                        put_in_order(&mut tracks, playing.track, |track| *track);
                    }
                }
            }
            if tracks != self.announced {
                self.announced.clone_from(&tracks);
                self.outputs.push_back(Output::Playing { tracks });
            }
        }
    }
}
