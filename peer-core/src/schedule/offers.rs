//! What to offer to whom: the sender's half of sender-scheduled spreading.
//!
//! The block that fewest neighbours have goes first (what only we hold is worth most), to the neighbour that can pass on most, newest
//! segments before older ones. One or two blocks are offered ahead, so that the uplink never idles.

use rillcast_protocol::id::{BlockIndex, Role, SegmentKey};
use rillcast_protocol::signal::Network;

use crate::engine::io::LinkId;
use crate::media::{Bits, Segment, Tally};
use crate::overlay::Link;
use crate::overlay::census::minus_log2;
use crate::payload::Payload;
use crate::rng::Rng;
use crate::switches::Mechanism;
use crate::time::{Duration, Instant};
use crate::wire::message::BlockName;

use super::{Action, Plan, View};

/// Segments known for longer are pulled by those that lack them.
const FRESH: Duration = Duration::from_secs(12);
/// Offers are taken to be granted in so many of a hundred cases at least.
const LEAST_EXPECTED: u32 = 20;
/// Offers open at a time, whatever the uplink.
const MAX_OFFERS: usize = 24;
/// The same of a seed, which has hundreds of receivers: with as few as a viewer it idled while they answered.
const MAX_OFFERS_OF_SEED: usize = 256;
/// Blocks offered to one receiver at a time.
const PER_LINK: usize = 2;
/// A seed gives each block to so many and lets them spread it...
const SEED_COPIES: u8 = 2;
/// ...unless it is still lacking somewhere after this time.
const SEED_HELPS: Duration = Duration::from_millis(2500);
/// Believed of an uplink that hasn't been measured, in bytes/s.
const UNKNOWN: u32 = 125_000;

/// Whoever is fastest counts while no more neighbours than this have a block.
const RARE: u8 = 1;
/// Afterwards all those are alike who can pass on so much, in 1,000 bytes/s.
const ENOUGH: u32 = 32;

/// A fresh segment of which we hold something.
struct Fresh {
    key: SegmentKey,
    words: usize,
    /// Where its words begin in the board's lists.
    lacks: usize,
    holders: usize,
    /// Others are to spread it for a while.
    young: bool,
    /// Bytes of an offer that are likely to be sent: the more of it the neighbours have, the likelier is it that others are quicker.
    expected: u32,
}

/// What might be offered to whom.
struct Board<'a> {
    takers: Vec<Taker<'a>>,
    fresh: Vec<Fresh>,
    /// By segment, receiver, and 64 blocks at a time: what it might be offered.
    lacks: Vec<u64>,
    /// By segment: how many of the neighbours that want it hold each block, or are getting it from us.
    holders: Vec<Tally>,
    /// By the same: of what somebody lacks, those that fewest hold, and how many that is. For [`Board::best`].
    rarest: Vec<(u8, u64)>,
}

/// A receiver.
struct Taker<'a> {
    id: LinkId,
    link: &'a Link,
    /// Of its have-maps in the index.
    place: Option<usize>,
    /// Blocks offered or promised to it, and not yet sent.
    pending: usize,
    /// Roughly how fast it passes on what it gets.
    speed: u32,
    /// How much rather it is served for where it is.
    near: u32,
}

/// Fills the free slots.
pub(super) fn plan<P: Payload>(view: &View<'_, P>, rng: &mut Rng, actions: &mut Vec<Action>) -> Plan {
    let open = view.uploads.offered();
    let mut room = view.offer_bytes.saturating_sub(view.uploads.committed());
    let full = Plan { again: Instant::NEVER, hungry: false };
    let most = if view.role == Role::Seed { MAX_OFFERS_OF_SEED } else { MAX_OFFERS };
    if room == 0 || open >= most {
        return full;
    }
    let mut again = Instant::NEVER;
    let mut segments =
        view.store.since(view.now.minus(FRESH)).filter(|(key, s)| is_offered(view, key, s)).peekable();
    if segments.peek().is_none() {
        return Plan { again, hungry: true };
    }
    let mut takers = Vec::with_capacity(view.members.len());
    for (id, link) in view.members.links() {
        if link.role != Role::Viewer || !link.greeted || !view.is_inside(link) || view.uploads.is_lagging(id)
        {
            continue;
        }
        if link.full_until > view.now {
            again = again.min(link.full_until);
            continue;
        }
        let pending = view.uploads.pending_for(id);
        if pending < PER_LINK {
            takers.push(Taker {
                id,
                link,
                place: view.index.place(id),
                pending,
                speed: if view.switches.has(Mechanism::FastestFirst) { speed(link, view.now) } else { 1 },
                near: nearness(view.net, link.net),
            });
        }
    }
    // Few segments are fresh at a time: the lists rarely grow.
    let lacks = Vec::with_capacity(takers.len() * 4);
    let (fresh, holders, rarest) = (Vec::with_capacity(4), Vec::with_capacity(4), Vec::new());
    let mut board = Board { takers, fresh, lacks, holders, rarest };
    for (key, segment) in segments {
        board.look(view, *key, segment, &mut again);
    }
    let mut made = 0;
    while room > 0 && open + made < most {
        let Some((at, taker, block)) = board.best(rng) else {
            return Plan { again, hungry: true };
        };
        let entry = &board.fresh[at];
        let (word, bit) = (usize::from(block / 64), 1 << (block % 64));
        board.holders[entry.holders + word].add(bit);
        board.lacks[entry.lacks + taker * entry.words + word] &= !bit;
        let taker = &mut board.takers[taker];
        taker.pending += 1;
        made += 1;
        let name = BlockName { key: entry.key, block: BlockIndex(block) };
        room = room.saturating_sub(u64::from(entry.expected));
        actions.push(Action::Offer { link: taker.id, name, expected: entry.expected });
    }
    full
}

/// Whether anything of a segment is to be offered: of a live stream that we play or spread, and held.
fn is_offered<P: Payload>(view: &View<'_, P>, key: &SegmentKey, segment: &Segment<P>) -> bool {
    let live = || view.role == Role::Seed || view.timeline.playing(key.track).is_some_and(|c| c.live);
    !segment.held().is_empty() && (live() || view.helps == Some(key.track))
}

/// How much rather somebody is served than another as fast: what stays in a home, an office or a provider's network costs others nothing
/// (R21, R26).
fn nearness(own: Network, other: Network) -> u32 {
    match other {
        n if n.site != 0 && n.site == own.site => 32,
        n if n.asn != 0 && n.asn == own.asn => 16,
        _ => 1,
    }
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

impl Board<'_> {
    /// Who might be offered what of a segment.
    fn look<P: Payload>(
        &mut self,
        view: &View<'_, P>,
        key: SegmentKey,
        segment: &Segment<P>,
        again: &mut Instant,
    ) {
        let now = view.now;
        let Some(digest) = segment.digest() else { return };
        let blocks = digest.blocks();
        let held = segment.held();
        let words = usize::from(blocks).div_ceil(64);
        let maps = view.index.maps(&key);
        let map_of = |taker: &Taker<'_>| taker.place.and_then(|place| maps.get(place)?.as_ref());
        let has = |map: Option<&Bits>, word: usize| map.map_or(0, |map| map.word(word));
        let first = self.lacks.len();
        self.lacks.resize(first + self.takers.len() * words, 0);
        let lacks = &mut self.lacks[first..];
        for (taker, lacks) in self.takers.iter().zip(lacks.chunks_exact_mut(words)) {
            if !taker.link.takes_part(&key) {
                continue;
            }
            if let Some(until) = taker.link.pauses(&key, now) {
                *again = (*again).min(until);
                continue;
            }
            let map = map_of(taker);
            for (word, lacks) in lacks.iter_mut().enumerate() {
                *lacks = held.word(word) & !has(map, word);
            }
            if lacks.iter().any(|word| *word != 0) {
                let mut claimed = Bits::default();
                taker.link.claimed(&key, now, &mut claimed);
                lacks.iter_mut().enumerate().for_each(|(word, lacks)| *lacks &= !claimed.word(word));
            }
        }
        let pending = || view.uploads.pending_of(&key).filter(|(_, block)| *block < blocks);
        let bit = |block: u16| (usize::from(block / 64), 1u64 << (block % 64));
        for (link, block) in pending() {
            if let Some(at) = self.takers.iter().position(|t| t.id == link) {
                lacks[at * words + bit(block).0] &= !bit(block).1;
            }
        }
        if lacks.iter().all(|word| *word == 0) {
            return self.lacks.truncate(first);
        }
        let first_holders = self.holders.len();
        self.holders.resize(first_holders + words, Tally::default());
        let holders = &mut self.holders[first_holders..];
        let mut wanting = 0u32;
        for taker in self.takers.iter().filter(|taker| taker.link.takes_part(&key)) {
            wanting += 1;
            let map = map_of(taker);
            holders.iter_mut().enumerate().for_each(|(word, holders)| holders.add(has(map, word)));
        }
        for (_, block) in pending() {
            holders[bit(block).0].add(bit(block).1);
        }
        // Who only spreads it gets what is rare.
        for (taker, lacks) in self.takers.iter().zip(self.lacks[first..].chunks_exact_mut(words)) {
            if !taker.link.wants(&key) {
                lacks.iter_mut().zip(&*holders).for_each(|(lacks, holders)| *lacks &= !holders.several());
            }
        }
        let (have, all) = (holders.iter().map(|h| h.sum(u64::MAX)).sum::<u32>(), u32::from(blocks) * wanting);
        let lacking = 100 - (have * 100 / all.max(1)).min(100 - LEAST_EXPECTED);
        let expected = segment.block_len(0) * lacking / 100;
        // Waiting for others to spread it is of use only where somebody can.
        let spreads = |(_, l): (LinkId, &Link)| l.role == Role::Viewer && !l.passive && l.takes_part(&key);
        let young = view.role == Role::Seed
            && now.since(segment.known_at) < SEED_HELPS
            && view.members.links().any(spreads);
        if young {
            *again = (*again).min(segment.known_at + SEED_HELPS);
        }
        self.rarest.resize(self.holders.len(), (u8::MAX, 0));
        self.fresh.push(Fresh { key, words, lacks: first, holders: first_holders, young, expected });
    }

    /// The segment, receiver and block of the best offer.
    fn best(&mut self, rng: &mut Rng) -> Option<(usize, usize, u16)> {
        // What fewest have, of all that anybody might be offered.
        let mut fewest = u8::MAX;
        for entry in &self.fresh {
            let enough = if entry.young { SEED_COPIES } else { u8::MAX };
            for word in 0..entry.words {
                let lacks = self.lacks[entry.lacks + word..].iter().step_by(entry.words);
                let open = self.takers.iter().zip(lacks).filter(|(taker, _)| taker.pending < PER_LINK);
                let lacking = open.fold(0, |all, (_, lacks)| all | lacks);
                let rarest = &mut self.rarest[entry.holders + word];
                *rarest = self.holders[entry.holders + word].rarest(lacking);
                if lacking == 0 || rarest.0 >= enough {
                    *rarest = (u8::MAX, 0);
                }
                fewest = fewest.min(rarest.0);
            }
        }
        // To whom: luck is drawn for everybody, and worked out where it may decide.
        type Score = (u64, core::cmp::Reverse<u64>);
        let mut best: Option<(Score, usize, usize, usize, u64)> = None;
        for (at, taker) in self.takers.iter().enumerate().filter(|(_, t)| t.pending < PER_LINK) {
            let drawn = rng.draw();
            for (of, entry) in self.fresh.iter().enumerate() {
                for word in 0..entry.words {
                    let (holders, rarest) = self.rarest[entry.holders + word];
                    let rarest = rarest & self.lacks[entry.lacks + at * entry.words + word];
                    if holders > fewest || rarest == 0 {
                        continue;
                    }
                    let speed = if fewest <= RARE { taker.speed } else { taker.speed.min(ENOUGH) };
                    let luck = minus_log2(drawn) / u64::from((speed * taker.near).max(1));
                    let score = (luck, core::cmp::Reverse(entry.key.number));
                    if best.as_ref().is_none_or(|(s, ..)| score < *s) {
                        best = Some((score, of, at, word, rarest));
                    }
                }
            }
        }
        let (_, of, at, word, mut rarest) = best?;
        for _ in 0..rng.below(rarest.count_ones() as usize) {
            rarest &= rarest - 1;
        }
        Some((of, at, (word * 64) as u16 + rarest.trailing_zeros() as u16))
    }
}
