//! Thinking, and sending.

use rillcast_protocol::coding::List;
use rillcast_protocol::id::Role;

use crate::payload::Payload;
use crate::schedule::{Action, View};
use crate::time::{Instant, millis};
use crate::wire::message::{MAX_GOT, Playing, TransferId};
use crate::wire::{BulkHeader, Message};

use super::{BulkFrame, Engine, Event, Output};

/// Bytes that may wait in a link's bulk buffer. Two messages keep it from running dry between two of the shell's reports.
const LINK_BUFFER: u32 = 48 * 1024;
/// Offers open or granted blocks waiting: one being sent, one ready, one being asked for.
const OFFER_SLOTS: usize = 3;
/// A seed's uplink serves many at once.
const SEED_OFFER_SLOTS: usize = 16;

impl<P: Payload + core::fmt::Debug + 'static> Engine<P> {
    pub(super) fn think(&mut self, now: Instant) {
        self.dirty = false;
        self.thought_at = now;
        let (timeline, demands) = (&self.timeline, &self.demands);
        let stale = self.downloads.reap(now, |key| demands.contains_key(key) || timeline.is_wanted(key));
        for (link, transfer) in stale {
            self.send(link, Message::Cancel { transfer });
        }
        self.tell_profile(now);
        let view = View {
            now,
            role: self.config.role,
            ballot: self.membership.map(|m| (m.nonce, m.weight)),
            timeline: &self.timeline,
            store: &self.store,
            members: &self.members,
            downloads: &self.downloads,
            uploads: &self.uploads,
            sources: &self.sources,
            demands: &self.demands,
            has_publisher: self.membership.is_some() && !self.publishers.is_empty(),
            arriving: self.arriving(now),
            may_upload: self.may_upload(),
            may_download: self.may_download(),
            hidden: self.conditions.hidden,
            offer_slots: if self.config.role == Role::Seed { SEED_OFFER_SLOTS } else { OFFER_SLOTS },
        };
        let mut actions = Vec::new();
        let plan = self.scheduler.plan(&view, &mut self.rng, &mut actions);
        self.think_at = plan.again;
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

    fn act(&mut self, action: Action, now: Instant) {
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
                if let Some(b) = &blocks {
                    self.tell_all(&Message::Claim { key, first: b.start, count: b.end - b.start });
                }
                // One that hangs is given up for the new one: each holds a connection, and browsers have few.
                for fetch in self.sources.stalled(&key, now) {
                    self.sources.end(fetch, now);
                    self.outputs.push_back(Output::CancelFetch { fetch });
                }
                let at = range.as_ref().map_or(0, |r| r.start);
                let fetch = self.sources.begin(key, blocks, at, via, now);
                self.outputs.push_back(Output::Fetch { fetch, key, range, via, urgent });
            }
            Action::Request { link, name, due } => {
                self.next_request = self.next_request.wrapping_add(1);
                let transfer = TransferId::request(self.next_request);
                let len = self.store.segment(&name.key).map_or(0, |s| s.block_len(name.block.0));
                if len > 0 && self.downloads.begin(link, transfer, name, len, now) {
                    let need_ms = millis(due.since(now)).min(600_000) as u32;
                    self.send(link, Message::Request { transfer, name, need_ms });
                }
            }
            Action::WantDigest { .. } => {}
            Action::Offer { link, name } => {
                let transfer = self.uploads.offer(link, name, now);
                // Its receiver can't take it without the digest; better sent with the first offer than asked for.
                if self.members.link(link).is_some_and(|l| l.held_of(&name.key).is_none())
                    && let Some(digest) = self.store.segment(&name.key).and_then(|s| s.digest())
                {
                    let digest = (**digest).clone();
                    self.send(link, Message::Digest { digest });
                    if let Some(l) = self.members.link_mut(link) {
                        l.set_map(name.key, Default::default());
                    }
                }
                self.send(link, Message::Offer { transfer, name });
            }
        }
    }

    /// Sends while the window and the links' buffers have room.
    pub(super) fn pump(&mut self, now: Instant) {
        self.withdraw();
        loop {
            let (members, pacer) = (&self.members, &mut self.pacer);
            let room = |link| members.link(link).is_some_and(|l| l.buffered < LINK_BUFFER);
            let Some(slice) = self.uploads.next_slice(room, |bytes| pacer.admits(bytes, now), now) else {
                break;
            };
            let block = self.store.segment(&slice.name.key).and_then(|s| s.block(slice.name.block.0));
            let Some(block) = block else {
                let sent = self.uploads.cancel(slice.link, slice.transfer);
                self.pacer.lost(u64::from(sent.saturating_sub(slice.len)));
                self.send(
                    slice.link,
                    Message::Refuse { transfer: slice.transfer, why: crate::wire::message::No::NotHeld },
                );
                continue;
            };
            let payload = block.slice(slice.offset as usize..(slice.offset + slice.len) as usize);
            let header = BulkHeader { transfer: slice.transfer, offset: slice.offset }.to_bytes();
            self.pacer.sent(u64::from(slice.len));
            self.counters.uploaded_bytes += u64::from(slice.len);
            if let Some(l) = self.members.link_mut(slice.link) {
                l.buffered += slice.len;
                l.sent += u64::from(slice.len);
            }
            self.outputs.push_back(Output::Bulk { link: slice.link, frame: BulkFrame { header, payload } });
        }
        if self.uploads.queued() > 0
            && let Some(at) = self.pacer.wait(super::BULK_PAYLOAD as u64, now)
        {
            self.think_at = self.think_at.min(at);
        }
    }

    /// Refuses what was promised and may no longer be given.
    fn withdraw(&mut self) {
        let refused = match (self.may_upload(), self.is_willing()) {
            (true, _) => return,
            // Past the ratio: the block that has begun is finished, for half a block is of no use to anybody.
            (false, true) => self.uploads.give_up_waiting(),
            (false, false) => self.uploads.give_up(),
        };
        for (link, transfer) in refused {
            let lost = self.uploads.cancel(link, transfer);
            self.pacer.lost(u64::from(lost));
            self.send(link, Message::Refuse { transfer, why: crate::wire::message::No::Busy });
        }
    }

    /// Tells the neighbours what we play, if that has changed.
    fn tell_profile(&mut self, _now: Instant) {
        let playing: Vec<_> =
            self.timeline.current().map(|c| Playing { track: c.track, next: c.next }).collect();
        let passive = !self.may_upload();
        let fresh = Some((playing, passive));
        if self.told != fresh {
            self.told = fresh;
            if let Some((playing, passive)) = self.told.clone() {
                self.tell_all(&Message::Profile { playing: List::clipped(playing), passive });
            }
        }
        if self.config.role == Role::Seed {
            let mut tracks: Vec<_> =
                self.members.links().flat_map(|(_, l)| l.playing.iter().map(|p| p.track)).collect();
            tracks.sort_unstable();
            tracks.dedup();
            if tracks != self.announced {
                self.announced.clone_from(&tracks);
                self.outputs.push_back(Output::Playing { tracks });
            }
        }
    }

    /// Tells the neighbours what we have got since the last time.
    pub(super) fn flush(&mut self, _now: Instant) {
        self.flush_at = Instant::NEVER;
        let got = core::mem::take(&mut self.got);
        for part in got.chunks(MAX_GOT) {
            self.tell_all(&Message::Got { blocks: List::clipped(part.iter().copied()) });
        }
    }
}
