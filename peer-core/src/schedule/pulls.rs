//! Asking neighbours for blocks.

use std::ops::Range;

use rillcast_protocol::digest::BLOCK;
use rillcast_protocol::id::{BlockIndex, Role, SegmentKey};

use crate::engine::io::LinkId;
use crate::map::keep;
use crate::media::Bits;
use crate::overlay::Link;
use crate::payload::Payload;
use crate::time::{Duration, Instant, millis};
use crate::wire::message::BlockName;

use super::{Action, View};

/// Blocks asked of one neighbour at a time.
const PULLS_PER_LINK: usize = 3;
/// In a hurry no more than this, whatever a neighbour says of its uplink.
const MOST_PER_LINK: u64 = 16;
/// Blocks coming at a time, so that a downlink isn't promised twice.
const PULLS: usize = 48;

/// What would come so little sooner than from the source comes twice if anything goes wrong.
const PHOTO_FINISH: Duration = Duration::from_millis(200);

/// Requests being handed out in one thought: neighbours' loads as they will be.
pub(super) struct Pulls {
    load: Vec<(LinkId, usize)>,
    total: usize,
    /// Neighbours are asked for all that their uplinks send in this time, if that is more than they are asked for else.
    pub(super) hurry: Duration,
    /// Neighbours are asked for what they bring before the source does.
    pub(super) race: Option<Race>,
}

/// The source is at work too, one block after the other.
#[derive(Clone, Copy)]
pub(super) struct Race {
    /// The block that it brings now.
    pub(super) first: u16,
    /// How long one takes it.
    pub(super) each: Duration,
}

impl Race {
    /// Whether somebody who takes so long for a block, and has so many to send before it, is sooner.
    fn is_won(self, block: u16, takes: Duration, before: usize) -> bool {
        // It may be sending to others too.
        let arrives = takes * (before as u32 + 2) * 3 / 2 + PHOTO_FINISH;
        arrives <= self.each * u32::from(block.saturating_sub(self.first))
    }
}

/// A neighbour that may be asked for blocks of a segment.
struct Holder<'a> {
    id: LinkId,
    blocks: &'a Bits,
    /// Seeds only where no viewer has room. Then whoever plays closest ahead of us: those further ahead are the only hope of others.
    seed: bool,
    lead: usize,
    rtt: Option<Duration>,
    /// How long a block takes from it.
    takes: Duration,
    /// Where its load stands, and what it may rise to.
    at: usize,
    room: usize,
}

impl Pulls {
    pub(super) fn new<P: Payload>(view: &View<'_, P>) -> Self {
        Self { load: Vec::new(), total: view.downloads.len(), hurry: Duration::ZERO, race: None }
    }

    /// Where a neighbour's load stands.
    fn load_of<P: Payload>(&mut self, view: &View<'_, P>, link: LinkId) -> usize {
        self.load.iter().position(|(l, _)| *l == link).unwrap_or_else(|| {
            self.load.push((link, view.downloads.over(link)));
            self.load.len() - 1
        })
    }

    /// Asks for these blocks, as many as there is room for; false if some could not be asked for.
    pub(super) fn request_all<P: Payload>(
        &mut self,
        view: &View<'_, P>,
        key: SegmentKey,
        blocks: impl Iterator<Item = u16>,
        due: Instant,
        actions: &mut Vec<Action>,
    ) -> bool {
        let mut blocks = blocks.peekable();
        if blocks.peek().is_none() {
            return true;
        }
        if self.total >= PULLS {
            return false;
        }
        let lead = |l: &Link| {
            let theirs = l.playing.iter().find(|p| p.track == key.track);
            theirs.map_or(16, |p| p.next.abs_diff(key.number).min(16) as usize)
        };
        let block_len = view.store.segment(&key).map_or(BLOCK, |s| s.block_len(0));
        let mut holders = Vec::new();
        for (id, blocks) in view.index.holders(&key) {
            let Some(link) = view.members.link(id).filter(|l| view.is_inside(l)) else { continue };
            if !blocks.is_empty() && link.busy_until <= view.now && link.greeted && !link.passive {
                let (seed, at) = (link.role == Role::Seed, self.load_of(view, id));
                let sends = u64::from(link.upload) * millis(self.hurry) / 1000 / u64::from(BLOCK);
                let room = (PULLS_PER_LINK * if seed { 4 } else { 1 }).max(sends.min(MOST_PER_LINK) as usize);
                let (lead, takes) = (lead(link), link.takes(block_len));
                holders.push(Holder { id, blocks, seed, lead, rtt: link.rtt, takes, at, room });
            }
        }
        let mut all = true;
        for block in blocks {
            keep(&mut holders, |h| self.load[h.at].1 < h.room);
            if holders.is_empty() || self.total >= PULLS {
                return false;
            }
            let sooner =
                |h: &Holder<'_>| self.race.is_none_or(|r| r.is_won(block, h.takes, self.load[h.at].1));
            let able = holders.iter().filter(|h| h.blocks.contains(block) && sooner(h));
            let Some(best) = able.min_by_key(|h| (h.seed, self.load[h.at].1 + h.lead, h.rtt, h.id)) else {
                all = false;
                continue;
            };
            self.load[best.at].1 += 1;
            self.total += 1;
            let name = BlockName { key, block: BlockIndex(block) };
            actions.push(Action::Request { link: best.id, name, due });
        }
        all
    }
}

/// Whether a block that nobody is known to have may turn up all the same.
pub(super) fn has_hope<P: Payload>(view: &View<'_, P>) -> bool {
    view.arriving || view.members.expects_company() || view.members.links().any(|(_, l)| !l.greeted)
}

/// Blocks of a segment that some neighbour of whom `counts` says so holds (be it busy) or is fetching.
pub(super) fn near<P: Payload>(
    view: &View<'_, P>,
    key: &SegmentKey,
    counts: fn(&Link, Instant) -> bool,
) -> Bits {
    let mut near = Bits::default();
    let counts = |l: &Link| view.is_inside(l) && counts(l, view.now);
    for (link, blocks) in view.index.holders(key) {
        // Most have nothing that those before them haven't.
        if !near.includes(blocks) && view.members.link(link).is_some_and(|l| !l.passive && counts(l)) {
            near.merge(blocks);
        }
    }
    let inside = view.members.links().filter(|(_, l)| counts(l));
    inside.for_each(|(_, l)| l.claimed(key, view.now, &mut near));
    near
}

/// Runs of numbers that follow each other.
pub(super) fn runs(blocks: &[u16]) -> Vec<Range<u16>> {
    let mut runs: Vec<Range<u16>> = Vec::new();
    for block in blocks {
        match runs.last_mut() {
            Some(run) if run.end == *block => run.end += 1,
            _ => runs.push(*block..*block + 1),
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_neighbour_is_asked_for_what_the_source_would_bring_later() {
        let ms = Duration::from_millis;
        let race = Race { first: 4, each: ms(100) };
        // Twice 100 ms, half as much again, and 200 ms: 500 ms, in which the source brings five blocks.
        let won = |block, takes, before| race.is_won(block, ms(takes), before);
        assert!(!won(8, 100, 0) && won(9, 100, 0) && won(10, 100, 0));
        assert!(!won(9, 101, 0), "a slower one");
        assert!(!won(9, 100, 1) && won(11, 100, 1), "one that has another to send first");
        assert!(!won(4, 0, 0) && !won(0, 0, 0), "what the source brings now, or has brought");
        assert!(won(u16::MAX, 1000, 2), "whoever takes a second, where the source takes forever");
    }
}
