//! The scheduler that ships: source election, offers near the live edge, pulling elsewhere, and the guard.
//!
//! Zones of a segment by the time left until the player needs it:
//! - *urgent*: the guard's moment has come, or the player waits: the missing bytes come from the source
//! - *needed*: pulled from whoever holds them, from many at once
//! - *fresh* (live only): who holds a block offers it; the source election has brought one copy

use crate::map::Map;
use std::ops::Range;

use rillcast_protocol::id::{BlockIndex, Role, SegmentKey};

use crate::engine::io::{LinkId, SourceError, Via};
use crate::media::Segment;
use crate::media::timeline::Current;
use crate::overlay::Link;
use crate::payload::Payload;
use crate::rng::Rng;
use crate::time::{Duration, Instant};
use crate::transfer::source::Ranges;
use crate::wire::message::BlockName;

use super::election::{self, GROUP, STAGGER};
use super::guard::Guard;
use super::{Action, Plan, Scheduler, View, offers};

/// From so much time left on, blocks are pulled as well as offered.
const NEEDED: Duration = Duration::from_millis(4500);
/// Blocks asked of one neighbour at a time.
const PULLS_PER_LINK: usize = 3;
/// Blocks coming at a time, so that a downlink isn't promised twice.
const PULLS: usize = 48;
/// On demand, segments that far ahead are pulled too.
const VOD_AHEAD: usize = 3;
/// How long a demand waits for a digest that is likely to come.
const DIGEST_PATIENCE: Duration = Duration::from_millis(1500);
/// After the publisher's copy of a group turned out to be spent, its receiver has so long to offer it.
const SPENT: Duration = Duration::from_millis(1500);
/// A digest that hasn't come is asked for again after this time.
const ASK_AGAIN: Duration = Duration::from_millis(3000);
/// After a failure the source is left alone for so long, unless the player waits.
const BACKOFF: Duration = Duration::from_millis(1000);
/// When the guard's moment comes, a block on its way counts as stuck after so much silence.
const STUCK: Duration = Duration::from_millis(1000);
/// Thoughts are never further apart than this while something is missing.
const TICK: Duration = Duration::from_millis(100);

/// See the module's page.
#[derive(Clone, Debug, Default)]
pub struct Hybrid {
    guard: Guard,
    spent: Map<(SegmentKey, u16), Instant>,
    backoff: Map<SegmentKey, Instant>,
    asked: Map<SegmentKey, Instant>,
}

/// One wanted segment, looked at.
struct Wanted<'a, P> {
    key: SegmentKey,
    segment: Option<&'a Segment<P>>,
    demanded: bool,
    live: bool,
    deadline: Instant,
}

impl<P: Payload> Scheduler<P> for Hybrid {
    fn plan(&mut self, view: &View<'_, P>, rng: &mut Rng, actions: &mut Vec<Action>) -> Plan {
        self.forget_old(view.now);
        let wanted = wanted(view);
        let mut again = Instant::NEVER;
        let mut pulls = Pulls::new(view);
        for want in &wanted {
            again = again.min(self.get(view, want, &mut pulls, actions));
            self.ask_digest(view, want, actions);
        }
        if view.may_upload {
            offers::plan(view, rng, actions);
        }
        Plan { again }
    }

    fn source_failed(
        &mut self,
        key: SegmentKey,
        blocks: Option<Range<u16>>,
        via: Via,
        _: SourceError,
        now: Instant,
    ) {
        match (via, blocks) {
            (Via::Publisher, Some(blocks)) => {
                for group in blocks.start / GROUP..=blocks.end.saturating_sub(1) / GROUP {
                    self.spent.insert((key, group), now);
                }
            }
            _ => {
                self.backoff.insert(key, now + BACKOFF);
            }
        }
    }

    fn delivered(&mut self, _: SegmentKey, late: bool) {
        self.guard.learn(late);
    }
}

/// The segments that the player will need, soonest first.
fn wanted<'a, P: Payload>(view: &View<'a, P>) -> Vec<Wanted<'a, P>> {
    let mut list: Vec<Wanted<'a, P>> = Vec::new();
    let mut add = |key: SegmentKey, current: Option<Current>| {
        if list.iter().any(|w| w.key == key) {
            return;
        }
        let demand = view.demands.get(&key);
        let segment = view.store.segment(&key);
        let mut deadline = view.timeline.deadline(&key, view.now);
        if let Some(d) = demand {
            let begun = segment.is_some_and(|s| s.bytes() > 0);
            let patience = if begun { d.patience.whole } else { d.patience.first_byte };
            deadline = deadline.min((d.since + patience).minus(Duration::from_secs(1)));
        }
        if demand.is_none() && segment.is_some_and(|s| s.is_complete() || s.is_whole() || s.delivered) {
            return;
        }
        list.push(Wanted {
            key,
            segment,
            demanded: demand.is_some(),
            live: current.is_some_and(|c| c.live),
            deadline,
        });
    };
    for key in view.demands.keys() {
        add(*key, view.timeline.playing(key.track));
    }
    for current in view.timeline.current() {
        if current.live {
            for (key, segment) in view.store.from(current.track, current.next) {
                if segment.digest().is_some() && view.timeline.is_wanted(key) {
                    add(*key, Some(current));
                }
            }
        } else {
            for entry in view.timeline.listed_from(current.track, current.next).take(VOD_AHEAD) {
                add(entry.key, Some(current));
            }
        }
    }
    list.sort_by_key(|w| (w.deadline, w.key));
    list
}

impl Hybrid {
    fn forget_old(&mut self, now: Instant) {
        self.backoff.retain(|_, until| *until > now);
        self.asked.retain(|_, at| now.since(*at) < ASK_AGAIN);
        self.spent.retain(|_, at| now.since(*at) < Duration::from_secs(30));
    }

    /// Asks for a digest that won't come by itself: on demand there's no live edge that a publisher could follow.
    fn ask_digest<P: Payload>(
        &mut self,
        view: &View<'_, P>,
        want: &Wanted<'_, P>,
        actions: &mut Vec<Action>,
    ) {
        let lacking = want.segment.is_none_or(|s| s.digest().is_none() && !s.conflict);
        let asked = self.asked.get(&want.key).is_some_and(|at| view.now.since(*at) < ASK_AGAIN);
        let waits = !view.timeline.has_started() || view.timeline.is_starving();
        // Live, what was there before we came has no digest where nobody played it yet; what is new comes by itself.
        let comes = want.live && (!want.demanded || waits);
        if comes || !lacking || asked || !view.has_publisher || !view.may_download {
            return;
        }
        self.asked.insert(want.key, view.now);
        actions.push(Action::WantDigest { key: want.key });
    }

    /// Gets what is missing of one segment; told back: when to look again.
    fn get<P: Payload>(
        &self,
        view: &View<'_, P>,
        want: &Wanted<'_, P>,
        pulls: &mut Pulls,
        actions: &mut Vec<Action>,
    ) -> Instant {
        let now = view.now;
        let waits = want.demanded && (!view.timeline.has_started() || view.timeline.is_starving());
        if !waits && self.backoff.contains_key(&want.key) {
            return now + TICK;
        }
        let digest = want.segment.and_then(|s| s.digest().map(|d| (s, d)));
        let Some((segment, digest)) = digest.filter(|_| view.may_download || want.demanded) else {
            return self.get_unshared(view, want, waits, actions);
        };
        if segment.is_complete() || segment.is_whole() {
            return Instant::NEVER;
        }
        let absent: Vec<u16> =
            segment.missing().filter(|b| !view.sources.covers(&want.key, *b, now)).collect();
        if !view.may_download {
            // Without peers there is nothing to wait for: do as the player alone would.
            self.fetch(view, want.key, segment, &absent, (Via::Origin, true, false), actions);
            return now + TICK;
        }
        let coming = |b: u16| view.downloads.is_coming(&want.key, b);
        let missing_bytes: u64 = absent.iter().map(|b| u64::from(segment.block_len(*b))).sum();
        let latest = self.guard.latest(
            want.deadline,
            missing_bytes,
            view.sources.throughput(now),
            view.sources.first_byte(),
        );

        // What the player asks for has a URL, whatever the playlists that we have seen say.
        let listed = want.demanded || view.timeline.is_listed(&want.key);
        let starting = waits && !absent.is_empty();
        if listed
            && (starting || now >= latest)
            && !absent.is_empty()
            && (want.demanded || view.timeline.has_started())
        {
            // Blocks that are coming are left to come while there is time for one more attempt after them.
            let last_call = want.deadline.minus(self.guard.margin() / 2);
            let stuck =
                |b: u16| view.downloads.coming(&want.key, b).is_some_and(|d| now.since(d.moved) > STUCK);
            let take: Vec<u16> =
                absent.iter().copied().filter(|b| !coming(*b) || stuck(*b) || now >= last_call).collect();
            self.fetch(view, want.key, segment, &take, (Via::Origin, want.demanded, !starting), actions);
            return now + TICK;
        }

        // Once the guard's moment is past, time alone brings nothing new before the next tick: what it asked for is on its way.
        let mut again = if latest > now { latest.min(now + TICK) } else { now + TICK };
        let fresh =
            want.live && view.timeline.playing(want.key.track).is_some_and(|c| want.key.number > c.joined_at);
        if fresh && !view.hidden {
            again = again.min(self.elect(view, want, segment, digest.hosted, &absent, actions));
        }
        let left = want.deadline.since(now);
        for block in absent.iter().copied().filter(|b| !coming(*b)) {
            if !want.live || left < NEEDED {
                let name = BlockName { key: want.key, block: BlockIndex(block) };
                pulls.request(view, name, want.deadline, actions);
            }
        }
        if !fresh && want.demanded && listed {
            // Nobody has it, nobody is fetching it: the source, at once, or the buffer shrinks for nothing.
            let orphans: Vec<u16> =
                absent.iter().copied().filter(|b| !coming(*b) && !has_hope(view, &want.key, *b)).collect();
            let spent = orphans.iter().any(|b| self.spent.contains_key(&(want.key, b / GROUP)));
            let via = if digest.hosted && !spent { Via::Publisher } else { Via::Origin };
            self.fetch(view, want.key, segment, &orphans, (via, via == Via::Origin, false), actions);
        }
        again
    }

    /// No digest, or one that the source contradicts: the whole segment for the own player alone.
    fn get_unshared<P: Payload>(
        &self,
        view: &View<'_, P>,
        want: &Wanted<'_, P>,
        waits: bool,
        actions: &mut Vec<Action>,
    ) -> Instant {
        if !want.demanded
            || view.sources.is_fetching_whole(&want.key)
            || want.segment.is_some_and(|s| s.is_whole())
        {
            return Instant::NEVER;
        }
        let Some(demand) = view.demands.get(&want.key) else { return Instant::NEVER };
        let hopeless = want.segment.is_some_and(|s| s.conflict)
            || !(view.has_publisher || view.arriving)
            || !view.may_download;
        let patience = demand.since + DIGEST_PATIENCE;
        // Its length isn't known; what a megabyte takes is a fair guess.
        let latest = self.guard.latest(
            want.deadline,
            1_000_000,
            view.sources.throughput(view.now),
            view.sources.first_byte(),
        );
        let until = patience.min(latest);
        if waits || hopeless || view.now >= until {
            actions.push(Action::Fetch {
                key: want.key,
                blocks: None,
                via: Via::Origin,
                urgent: waits,
                rescue: false,
            });
            return Instant::NEVER;
        }
        until
    }

    /// Takes part in the source election; told back: when our turn comes.
    fn elect<P: Payload>(
        &self,
        view: &View<'_, P>,
        want: &Wanted<'_, P>,
        segment: &Segment<P>,
        hosted: bool,
        absent: &[u16],
        actions: &mut Vec<Action>,
    ) -> Instant {
        let now = view.now;
        let Some(own) = view.ballot else { return Instant::NEVER };
        let has_seed =
            view.members.links().any(|(_, l)| l.role == Role::Seed && l.held_of(&want.key).is_some());
        let voters = || {
            view.members
                .links()
                .filter(|(_, l)| l.role == Role::Viewer && l.greeted && !l.passive && l.plays(want.key.track))
                .map(|(_, l)| (l.nonce, l.weight))
        };
        let mut again = Instant::NEVER;
        let mut group_start = None;
        for block in absent {
            let group = block / GROUP;
            if group_start == Some(group) {
                continue;
            }
            group_start = Some(group);
            let blocks: Vec<u16> = absent.iter().copied().filter(|b| b / GROUP == group).collect();
            let served = |b: &u16| {
                view.downloads.is_coming(&want.key, *b)
                    || view
                        .members
                        .links()
                        .any(|(_, l)| l.holds(&want.key, *b) || l.claims(&want.key, *b, now))
            };
            let orphans: Vec<u16> = blocks.into_iter().filter(|b| !served(b)).collect();
            if orphans.is_empty() {
                continue;
            }
            let spent = self.spent.get(&(want.key, group));
            let via = if hosted && spent.is_none() { Via::Publisher } else { Via::Origin };
            if via == Via::Origin && !view.timeline.is_listed(&want.key) {
                continue;
            }
            let since = spent.map_or(segment.known_at, |at| *at + SPENT);
            // Seeds first: with one at work, viewers are the backups.
            let head_start = if has_seed { STAGGER * 5 } else { Duration::ZERO };
            let turn = since + head_start + STAGGER * election::rank(&want.key, group, own, voters()) as u32;
            if turn > now {
                again = again.min(turn);
            } else {
                self.fetch(view, want.key, segment, &orphans, (via, false, false), actions);
            }
        }
        again
    }

    /// Fetches blocks in runs, or the whole segment where the source knows no Range.
    fn fetch<P: Payload>(
        &self,
        view: &View<'_, P>,
        key: SegmentKey,
        segment: &Segment<P>,
        blocks: &[u16],
        (via, urgent, rescue): (Via, bool, bool),
        actions: &mut Vec<Action>,
    ) {
        let Some(first) = blocks.first() else { return };
        let all = segment.digest().map_or(0, |d| d.blocks());
        if via == Via::Origin && view.sources.ranges() == Ranges::No {
            if !view.sources.is_fetching_whole(&key) {
                actions.push(Action::Fetch { key, blocks: None, via, urgent, rescue });
            }
            return;
        }
        if blocks.len() == usize::from(all) && via == Via::Origin {
            actions.push(Action::Fetch { key, blocks: None, via, urgent, rescue });
            return;
        }
        let mut run = *first..*first + 1;
        for block in blocks[1..].iter().copied() {
            if block == run.end {
                run.end += 1;
            } else {
                actions.push(Action::Fetch { key, blocks: Some(run), via, urgent, rescue });
                run = block..block + 1;
            }
        }
        actions.push(Action::Fetch { key, blocks: Some(run), via, urgent, rescue });
    }
}

/// Requests being handed out in one thought: neighbours' loads as they will be.
struct Pulls {
    load: Map<LinkId, usize>,
    total: usize,
}

impl Pulls {
    fn new<P: Payload>(view: &View<'_, P>) -> Self {
        let load: Map<_, _> = view.members.links().map(|(id, _)| (id, view.downloads.over(id))).collect();
        Self { load, total: view.downloads.len() }
    }

    /// Asks the holder that plays closest ahead of us: those further ahead are the only hope of others. Seeds only where no
    /// viewer has room.
    fn request<P: Payload>(
        &mut self,
        view: &View<'_, P>,
        name: BlockName,
        due: Instant,
        actions: &mut Vec<Action>,
    ) {
        if self.total >= PULLS {
            return;
        }
        let lead = |l: &Link| {
            l.playing
                .iter()
                .find(|p| p.track == name.key.track)
                .map_or(u64::MAX, |p| p.next.abs_diff(name.key.number))
        };
        let best = view
            .members
            .links()
            .filter(|(id, l)| {
                let limit = if l.role == Role::Seed { PULLS_PER_LINK * 4 } else { PULLS_PER_LINK };
                l.greeted
                    && !l.passive
                    && l.holds(&name.key, name.block.0)
                    && !l.has_declined(&name.key, name.block.0, view.now)
                    && self.load.get(id).copied().unwrap_or(0) < limit
            })
            .min_by_key(|(id, l)| {
                let load = self.load.get(id).copied().unwrap_or(0);
                (l.role == Role::Seed, load + lead(l).min(16) as usize, l.rtt, *id)
            });
        if let Some((link, _)) = best {
            *self.load.or_insert_with(link, Default::default) += 1;
            self.total += 1;
            actions.push(Action::Request { link, name, due });
        }
    }
}

/// Whether some neighbour holds the block (be it busy), is fetching it, or may turn up with it.
fn has_hope<P: Payload>(view: &View<'_, P>, key: &SegmentKey, block: u16) -> bool {
    view.arriving
        || view.members.expects_company()
        || view
            .members
            .links()
            .any(|(_, l)| !l.greeted || (l.holds(key, block) && !l.passive) || l.claims(key, block, view.now))
}
