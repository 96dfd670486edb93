//! Asking neighbours for blocks.

use std::ops::Range;

use rillcast_protocol::id::{BlockIndex, Role, SegmentKey};

use crate::engine::io::LinkId;
use crate::media::Bits;
use crate::overlay::Link;
use crate::payload::Payload;
use crate::time::Instant;
use crate::wire::message::BlockName;

use super::{Action, View};

/// Blocks asked of one neighbour at a time.
const PULLS_PER_LINK: usize = 3;
/// Blocks coming at a time, so that a downlink isn't promised twice.
const PULLS: usize = 48;

/// Requests being handed out in one thought: neighbours' loads as they will be.
pub(super) struct Pulls {
    load: Vec<(LinkId, usize)>,
    total: usize,
}

impl Pulls {
    pub(super) fn new<P: Payload>(view: &View<'_, P>) -> Self {
        Self { load: Vec::new(), total: view.downloads.len() }
    }

    fn load_of<P: Payload>(&mut self, view: &View<'_, P>, link: LinkId) -> &mut usize {
        let at = self.load.iter().position(|(l, _)| *l == link).unwrap_or_else(|| {
            self.load.push((link, view.downloads.over(link)));
            self.load.len() - 1
        });
        &mut self.load[at].1
    }

    /// Asks the holder that plays closest ahead of us: those further ahead are the only hope of others. Seeds only where no
    /// viewer has room. False if nobody could be asked.
    pub(super) fn request<P: Payload>(
        &mut self,
        view: &View<'_, P>,
        name: BlockName,
        due: Instant,
        actions: &mut Vec<Action>,
    ) -> bool {
        if self.total >= PULLS {
            return false;
        }
        let lead = |l: &Link| {
            l.playing
                .iter()
                .find(|p| p.track == name.key.track)
                .map_or(u64::MAX, |p| p.next.abs_diff(name.key.number))
        };
        let mut best = None;
        for (id, blocks) in view.index.holders(&name.key) {
            let holds = |l: &&Link| blocks.contains(name.block.0) && view.is_inside(l);
            let Some(link) = view.members.link(id).filter(holds) else {
                continue;
            };
            if link.busy_until > view.now || !link.greeted || link.passive {
                continue;
            }
            let seed = link.role == Role::Seed;
            let limit = if seed { PULLS_PER_LINK * 4 } else { PULLS_PER_LINK };
            let load = *self.load_of(view, id);
            let score = (seed, load + lead(link).min(16) as usize, link.rtt, id);
            if load < limit && best.is_none_or(|b| score < b) {
                best = Some(score);
            }
        }
        let Some((.., link)) = best else { return false };
        *self.load_of(view, link) += 1;
        self.total += 1;
        actions.push(Action::Request { link, name, due });
        true
    }

    /// Asks for all of these blocks; false if some could not be asked for.
    pub(super) fn request_all<P: Payload>(
        &mut self,
        view: &View<'_, P>,
        key: SegmentKey,
        blocks: impl Iterator<Item = u16>,
        due: Instant,
        actions: &mut Vec<Action>,
    ) -> bool {
        let mut all = true;
        for block in blocks {
            all &= self.request(view, BlockName { key, block: BlockIndex(block) }, due, actions);
        }
        all
    }
}

/// Whether a block that nobody is known to have may turn up all the same.
pub(super) fn has_hope<P: Payload>(view: &View<'_, P>) -> bool {
    view.arriving || view.members.expects_company() || view.members.links().any(|(_, l)| !l.greeted)
}

/// Blocks of a segment that some neighbour holds (be it busy) or is fetching.
pub(super) fn near<P: Payload>(view: &View<'_, P>, key: &SegmentKey) -> Bits {
    let mut near = Bits::default();
    for (link, blocks) in view.index.holders(key) {
        // Most have nothing that those before them haven't.
        if !near.includes(blocks) && view.members.link(link).is_some_and(|l| !l.passive && view.is_inside(l))
        {
            near.merge(blocks);
        }
    }
    let inside = view.members.links().filter(|(_, l)| view.is_inside(l));
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
