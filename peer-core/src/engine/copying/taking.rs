//! How copies come, and what an owner may ask to say which they are to be.

use std::sync::Arc;

use rillcast_protocol::digest::SegmentDigest;
use rillcast_protocol::id::{BlockIndex, Role, SegmentKey};

use super::{Copying, MAX_COPIES};
use crate::engine::Engine;
use crate::engine::io::LinkId;
use crate::media::store::MAX_SEGMENTS;
use crate::payload::Payload;
use crate::schedule::Action;
use crate::time::{Duration, Instant};
use crate::wire::message::BlockName;

/// Blocks asked of one seed at a time.
const PER_SEED: usize = 12;
/// Blocks coming at a time.
const AT_ONCE: usize = 48;
/// Neither urgent nor what yields: viewers' requests go first, and still it is there before the segment is old.
const DUE: Duration = Duration::from_millis(8000);
/// As long as something lacks, seeds that had no time are asked again so often.
const AGAIN: Duration = Duration::from_millis(300);

impl<P: Payload + core::fmt::Debug + 'static> Engine<P> {
    pub(in crate::engine) fn share_out(&mut self, mut take: Vec<SegmentKey>, mut spare: Vec<SegmentKey>) {
        if self.config.role != Role::Seed {
            return;
        }
        take.truncate(MAX_COPIES);
        spare.truncate(MAX_SEGMENTS);
        spare.sort_unstable();
        self.copying = Copying { take, spare };
    }

    /// Asks other seeds for what is to be taken of them, as far as they show it.
    pub(in crate::engine) fn take_copies(&mut self, now: Instant) {
        if self.copying.take.is_empty() || !self.may_download() || self.leaving {
            return;
        }
        let mut load: Vec<(LinkId, usize)> = Vec::new();
        let mut total = self.downloads.len();
        let mut requests = Vec::new();
        let mut lacks = false;
        for key in &self.copying.take {
            let Some(segment) = self.store.segment(key).filter(|s| !s.conflict && s.digest().is_some())
            else {
                continue;
            };
            let mut lacking = segment.missing();
            lacking.subtract(&self.downloads.coming_of(key));
            lacks |= !lacking.is_empty();
            let mut blocks = lacking.list();
            // Who takes the same of the same seed begins elsewhere, and so has something to give.
            let middle = self.rng.below(blocks.len().max(1));
            blocks.rotate_left(middle);
            for block in blocks {
                let able = self.index.holders(key).filter(|(id, held)| {
                    let asked = |l: &crate::overlay::Link| {
                        l.role == Role::Seed && l.greeted && l.busy_until <= now && !l.is_shunned(now)
                    };
                    held.contains(block) && self.members.link(*id).is_some_and(asked)
                });
                let mut best: Option<(usize, LinkId)> = None;
                for (id, _) in able {
                    let at = load.iter().position(|(l, _)| *l == id).unwrap_or_else(|| {
                        load.push((id, self.downloads.over(id)));
                        load.len() - 1
                    });
                    let this = (load[at].1, id);
                    if this.0 < PER_SEED && best.is_none_or(|best| this < best) {
                        best = Some(this);
                    }
                }
                let Some((_, link)) = best.filter(|_| total < AT_ONCE) else { continue };
                total += 1;
                load.iter_mut().filter(|(l, _)| *l == link).for_each(|(_, n)| *n += 1);
                requests.push((link, BlockName { key: *key, block: BlockIndex(block) }));
            }
        }
        for (link, name) in requests {
            self.act(Action::Request { link, name, due: now + DUE }, now);
        }
        self.hungry |= lacks;
        if lacks {
            self.get_at = self.get_at.min(now + AGAIN);
        }
    }

    /// The segments that are here whole.
    pub fn held(&self) -> impl Iterator<Item = SegmentKey> {
        self.store.iter().filter(|(_, segment)| segment.is_complete()).map(|(key, _)| *key)
    }

    /// What is known of a segment.
    pub fn digest(&self, key: &SegmentKey) -> Option<&Arc<SegmentDigest>> {
        self.store.segment(key).and_then(crate::media::Segment::digest)
    }

    /// Whether another seed shows some of a segment.
    pub fn is_at_a_seed(&self, key: &SegmentKey) -> bool {
        let seed = |link| self.members.link(link).is_some_and(|l| l.role == Role::Seed);
        self.index.holders(key).any(|(link, held)| !held.is_empty() && seed(link))
    }

    /// Whether a viewer that we are linked with is going to play a segment.
    pub fn is_awaited(&self, key: &SegmentKey) -> bool {
        self.members.links().any(|(_, l)| l.role == Role::Viewer && l.wants(key))
    }
}
