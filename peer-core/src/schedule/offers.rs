//! What to offer to whom: the sender's half of sender-scheduled spreading.
//!
//! The block that fewest neighbours have goes first (what only we hold is worth most), to the neighbour that can pass on most, newest
//! segments before older ones. One or two blocks are offered ahead, so that the uplink never idles.

use rillcast_protocol::id::{BlockIndex, Role, SegmentKey};

use crate::engine::io::LinkId;
use crate::media::{Bits, Segment};
use crate::overlay::Link;
use crate::overlay::census::minus_log2;
use crate::payload::Payload;
use crate::rng::Rng;
use crate::time::{Duration, Instant};
use crate::wire::message::BlockName;

use super::{Action, View};

/// Segments known for longer are pulled by those that lack them.
const FRESH: Duration = Duration::from_secs(12);
/// Offers are taken to be granted in so many of a hundred cases at least.
const LEAST_EXPECTED: u32 = 20;
/// Offers open at a time, whatever the uplink.
const MAX_OFFERS: usize = 24;
/// Blocks offered to one receiver at a time.
const PER_LINK: usize = 2;
/// A seed gives each block to so many and lets them spread it...
const SEED_COPIES: usize = 2;
/// ...unless it is still lacking somewhere after this time.
const SEED_HELPS: Duration = Duration::from_millis(2500);
/// What was declined may be wanted a little later.
const RETRY: Duration = Duration::from_millis(250);
/// Believed of an uplink that hasn't been measured, in bytes/s.
const UNKNOWN: u32 = 125_000;

/// A fresh segment of which we hold something.
struct Fresh {
    key: SegmentKey,
    /// Neighbours that hold each block, or are getting it from us.
    holders: Vec<u8>,
    /// By receiver: what it might be offered.
    takers: Vec<(usize, Bits)>,
    young: bool,
    /// Bytes of an offer that are likely to be sent: the more of it the neighbours have, the likelier is it that others are quicker.
    expected: u32,
}

/// A receiver.
struct Taker<'a> {
    id: LinkId,
    link: &'a Link,
    pending: usize,
    /// Roughly how fast it passes on what it gets: the logarithm leaves room for chance among equals.
    speed: u32,
}

/// Fills the free slots; told back: when to look again though nothing has happened.
pub(super) fn plan<P: Payload>(view: &View<'_, P>, rng: &mut Rng, actions: &mut Vec<Action>) -> Instant {
    let open = view.uploads.offered();
    let mut room = view.offer_bytes.saturating_sub(view.uploads.committed());
    if room == 0 || open >= MAX_OFFERS {
        return Instant::NEVER;
    }
    let mut takers: Vec<Taker<'_>> = view
        .members
        .links()
        .filter(|(id, l)| l.role == Role::Viewer && l.greeted && !view.uploads.is_lagging(*id))
        .map(|(id, link)| Taker {
            id,
            link,
            pending: view.uploads.pending_for(id),
            speed: speed(link, view.now),
        })
        .collect();
    let mut again = Instant::NEVER;
    let mut fresh: Vec<Fresh> = Vec::new();
    for (key, segment) in view.store.iter().rev() {
        if let Some(entry) = look(view, *key, segment, &takers, &mut again) {
            fresh.push(entry);
        }
    }
    let mut made = 0;
    while room > 0 && open + made < MAX_OFFERS {
        let Some((at, taker, block)) = best(view, &fresh, &takers, rng) else { return again };
        let entry = &mut fresh[at];
        entry.holders[usize::from(block)] = entry.holders[usize::from(block)].saturating_add(1);
        if let Some((_, blocks)) = entry.takers.iter_mut().find(|(t, _)| *t == taker) {
            blocks.remove(block);
        }
        takers[taker].pending += 1;
        made += 1;
        let name = BlockName { key: entry.key, block: BlockIndex(block) };
        let expected = entry.expected;
        room = room.saturating_sub(u64::from(expected));
        actions.push(Action::Offer { link: takers[taker].id, name, expected });
    }
    Instant::NEVER
}

fn speed(link: &Link, now: Instant) -> u32 {
    // Who has taken much, and neither given nor offered anything, is served last, whatever it says of itself (R57).
    let takes_only = link.sent > 1 << 20 && link.received == 0 && link.offers == 0;
    if link.passive || (takes_only && now.since(link.opened) > Duration::from_secs(20)) {
        return 0;
    }
    let upload = if link.upload == 0 { UNKNOWN } else { link.upload };
    1 + upload / 1000
}

/// Who might be offered what of a segment.
fn look<P: Payload>(
    view: &View<'_, P>,
    key: SegmentKey,
    segment: &Segment<P>,
    takers: &[Taker<'_>],
    again: &mut Instant,
) -> Option<Fresh> {
    let now = view.now;
    let age = now.since(segment.known_at);
    let live = view.role == Role::Seed || view.timeline.playing(key.track).is_some_and(|c| c.live);
    let blocks = segment.digest()?.blocks();
    if age > FRESH || !live || segment.held().is_empty() {
        return None;
    }
    let mut holders = vec![0u8; usize::from(blocks)];
    let mut offered = Vec::new();
    let mut wanting = 0u32;
    let holdings = view.index.holders(&key);
    for (at, taker) in takers.iter().enumerate() {
        if !taker.link.wants(&key) {
            continue;
        }
        wanting += 1;
        let mut lacks = segment.held().clone();
        if let Some(holding) = holdings.iter().find(|h| h.link == taker.id) {
            for block in holding.blocks.list().into_iter().filter(|b| *b < blocks) {
                holders[usize::from(block)] += 1;
            }
            lacks.subtract(&holding.blocks);
        }
        if lacks.is_empty() {
            continue;
        }
        let mut free = lacks.clone();
        taker.link.spare(&key, &mut free, now);
        if free != lacks {
            *again = now + RETRY;
        }
        if !free.is_empty() {
            offered.push((at, free));
        }
    }
    if offered.is_empty() {
        return None;
    }
    for (link, block) in view.uploads.pending_of(&key) {
        if let Some(count) = holders.get_mut(usize::from(block)) {
            *count = count.saturating_add(1);
        }
        if let Some((_, blocks)) = offered.iter_mut().find(|(at, _)| takers[*at].id == link) {
            blocks.remove(block);
        }
    }
    let (have, all) = (holders.iter().map(|h| u32::from(*h)).sum::<u32>(), u32::from(blocks) * wanting);
    let lacking = 100 - (have * 100 / all.max(1)).min(100 - LEAST_EXPECTED);
    let expected = segment.block_len(0) * lacking / 100;
    Some(Fresh { key, holders, takers: offered, young: age < SEED_HELPS, expected })
}

fn best<P: Payload>(
    view: &View<'_, P>,
    fresh: &[Fresh],
    takers: &[Taker<'_>],
    rng: &mut Rng,
) -> Option<(usize, usize, u16)> {
    type Score = (u8, u64, core::cmp::Reverse<u64>, u64);
    let mut best: Option<(Score, usize, usize, u16)> = None;
    for (at, entry) in fresh.iter().enumerate() {
        let enough = if view.role == Role::Seed && entry.young { SEED_COPIES } else { usize::MAX };
        for (taker, blocks) in &entry.takers {
            let Taker { pending, speed, .. } = takers[*taker];
            if pending >= PER_LINK {
                continue;
            }
            let chance = rng.draw();
            let luck = minus_log2(chance) / u64::from(speed.max(1));
            for block in blocks.list() {
                let holders = entry.holders[usize::from(block)];
                if usize::from(holders) >= enough {
                    continue;
                }
                let score = (
                    holders,
                    luck,
                    core::cmp::Reverse(entry.key.number),
                    chance ^ u64::from(block).wrapping_mul(0x9e37_79b9_7f4a_7c15),
                );
                if best.as_ref().is_none_or(|(s, ..)| score < *s) {
                    best = Some((score, at, *taker, block));
                }
            }
        }
    }
    best.map(|(_, at, taker, block)| (at, taker, block))
}
