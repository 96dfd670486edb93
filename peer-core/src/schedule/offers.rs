//! What to offer to whom: the sender's half of sender-scheduled spreading.
//!
//! The block that fewest neighbours have goes first (what only we hold is worth most), newest segments before older ones,
//! to the neighbour that gives most to others. One or two blocks are offered ahead, so that the uplink never idles.

use rillcast_protocol::id::{BlockIndex, Role};

use crate::payload::Payload;
use crate::rng::Rng;
use crate::time::Duration;
use crate::wire::message::BlockName;

use super::{Action, View};

/// Segments known for longer are pulled by those that lack them.
const FRESH: Duration = Duration::from_secs(12);
/// Blocks offered to one receiver at a time.
const PER_LINK: usize = 2;
/// A seed gives each block to so many and lets them spread it...
const SEED_COPIES: usize = 2;
/// ...unless it is still lacking somewhere after this time.
const SEED_HELPS: Duration = Duration::from_millis(2500);

/// Fills the free slots.
pub(super) fn plan<P: Payload>(view: &View<'_, P>, rng: &mut Rng, actions: &mut Vec<Action>) {
    let busy = view.uploads.queued() + view.uploads.offered();
    let mut given: Vec<(crate::engine::io::LinkId, BlockName)> = Vec::new();
    while busy + given.len() < view.offer_slots {
        let Some((link, name)) = best(view, rng, &given) else { break };
        given.push((link, name));
        actions.push(Action::Offer { link, name });
    }
}

fn best<P: Payload>(
    view: &View<'_, P>,
    rng: &mut Rng,
    given: &[(crate::engine::io::LinkId, BlockName)],
) -> Option<(crate::engine::io::LinkId, BlockName)> {
    let now = view.now;
    let mut best = None;
    for (key, segment) in view.store.iter().rev() {
        let age = now.since(segment.known_at);
        let live = view.role == Role::Seed || view.timeline.playing(key.track).is_some_and(|c| c.live);
        if age > FRESH || !live || segment.digest().is_none() || segment.held().is_empty() {
            continue;
        }
        let takers: Vec<_> = view
            .members
            .links()
            .filter(|(id, l)| {
                l.role == Role::Viewer
                    && l.greeted
                    && l.wants(key)
                    && view.uploads.pending_for(*id) + given.iter().filter(|(g, _)| g == id).count()
                        < PER_LINK
            })
            .collect();
        if takers.is_empty() {
            continue;
        }
        for block in 0..segment.digest().map_or(0, |d| d.blocks()) {
            if !segment.held().contains(block) {
                continue;
            }
            let name = BlockName { key: *key, block: BlockIndex(block) };
            let holders =
                view.members.links().filter(|(_, l)| l.role == Role::Viewer && l.holds(key, block)).count()
                    + view.uploads.receivers(&name)
                    + given.iter().filter(|(_, n)| *n == name).count();
            if view.role == Role::Seed && holders >= SEED_COPIES && age < SEED_HELPS {
                continue;
            }
            for (id, link) in &takers {
                if link.holds(key, block)
                    || link.has_declined(key, block, now)
                    || link.claims(key, block, now)
                    || view.uploads.is_pending(*id, &name)
                    || given.contains(&(*id, name))
                {
                    continue;
                }
                // Who passes most on gets first; in units of 256 KiB, so that small differences leave room for chance.
                let generosity = link.received / (256 * 1024);
                let score = (holders, u64::MAX - key.number, u64::MAX - generosity, rng.draw());
                if best.as_ref().is_none_or(|(s, _, _)| score < *s) {
                    best = Some((score, *id, name));
                }
            }
        }
    }
    best.map(|(_, link, name)| (link, name))
}
