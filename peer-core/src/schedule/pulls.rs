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

/// Requests being handed out in one thought: neighbours' loads as they will be.
pub(super) struct Pulls {
    load: Vec<(LinkId, usize)>,
    total: usize,
    /// Neighbours are asked for all that their uplinks send in this time, if that is more than they are asked for else.
    pub(super) hurry: Duration,
}

/// A neighbour that may be asked for blocks of a segment.
struct Holder<'a> {
    id: LinkId,
    blocks: &'a Bits,
    /// Seeds only where no viewer has room. Then whoever plays closest ahead of us: those further ahead are the only hope of others.
    seed: bool,
    lead: usize,
    rtt: Option<Duration>,
    /// Where its load stands, and what it may rise to.
    at: usize,
    room: usize,
}

impl Pulls {
    pub(super) fn new<P: Payload>(view: &View<'_, P>) -> Self {
        Self { load: Vec::new(), total: view.downloads.len(), hurry: Duration::ZERO }
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
        let mut holders = Vec::new();
        for (id, blocks) in view.index.holders(&key) {
            let Some(link) = view.members.link(id).filter(|l| view.is_inside(l)) else { continue };
            if !blocks.is_empty() && link.busy_until <= view.now && link.greeted && !link.passive {
                let (seed, at) = (link.role == Role::Seed, self.load_of(view, id));
                let sends = u64::from(link.upload) * millis(self.hurry) / 1000 / u64::from(BLOCK);
                let room = (PULLS_PER_LINK * if seed { 4 } else { 1 }).max(sends.min(MOST_PER_LINK) as usize);
                holders.push(Holder { id, blocks, seed, lead: lead(link), rtt: link.rtt, at, room });
            }
        }
        let mut all = true;
        for block in blocks {
            keep(&mut holders, |h| self.load[h.at].1 < h.room);
            if holders.is_empty() || self.total >= PULLS {
                return false;
            }
            let able = holders.iter().filter(|h| h.blocks.contains(block));
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
