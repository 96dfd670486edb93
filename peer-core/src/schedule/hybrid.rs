//! The scheduler that ships: source election, offers near the live edge, pulling elsewhere, and the guard.
//!
//! Zones of a segment by the time left until the player needs it:
//! - *urgent*: the guard's moment has come, or the player waits: the missing bytes come from the source
//! - *needed*: pulled from whoever holds them, from many at once
//! - *fresh* (live only): who holds a block offers it; the source election has brought one copy

use std::ops::Range;

use rillcast_protocol::id::{Role, SegmentKey};

use crate::engine::io::{SourceError, Via};
use crate::map::keep;
use crate::media::{Bits, Segment};
use crate::overlay::Populations;
use crate::payload::Payload;
use crate::rng::Rng;
use crate::switches::Mechanism;
use crate::time::{Duration, Instant, Rate, millis};
use crate::transfer::source::Ranges;

use super::election::{self, GROUP, ONE, STAGGER};
use super::guard::Guard;
use super::overtake::{HURRIED, overtake};
use super::pulls::{Pulls, has_hope, near, runs};
use super::wanted::{Wanted, wanted};
use super::{Action, Plan, Scheduler, View, offers};

/// Among no more viewers than this, uplinks are seldom all busy, and what is needed is asked for.
const FEW: u64 = 16;
/// This often.
const REMIND: Duration = Duration::from_millis(600);
/// How long a demand waits for a digest that is likely to come.
const DIGEST_PATIENCE: Duration = Duration::from_millis(1500);
/// After the publisher's copy of a group turned out to be spent, its receiver has so long to offer it.
const SPENT: Duration = Duration::from_millis(1500);
/// A segment whose length isn't known is about as long as one that is no further away than this, or so long.
const NEARBY: u64 = 3;
const USUAL: u64 = 1_000_000;
/// A digest that hasn't come is asked for again after this time.
const ASK_AGAIN: Duration = Duration::from_millis(3000);
/// After a failure the source is left alone for so long, unless the player waits.
const BACKOFF: Duration = Duration::from_millis(1000);
/// When the guard's moment comes, a block on its way counts as stuck after so much silence.
const STUCK: Duration = Duration::from_millis(1500);
/// In the urgent zone thoughts are this far apart.
const TICK: Duration = Duration::from_millis(100);
/// The source is asked for no more than it brings in this time.
const FULL: Duration = Duration::from_millis(1500);
/// What the source brings in so many milliseconds is asked for at once.
const AT_ONCE_MS: u64 = 250;
/// Otherwise, while something is missing, no further than this.
const RECHECK: Duration = Duration::from_millis(1000);
/// Where more candidates are unseen than this, copies take time to come near, so more of them are fetched at once, and backups wait.
const LARGE: u64 = 48;
/// Candidates for each copy of a group that a large swarm fetches at once, and such copies at most.
const PER_COPY: u64 = 150;
const COPIES: u64 = 4;
/// Of what peers failed to bring of late, so many hundredths are fetched early.
const EARLY: u64 = 50;
/// News of a segment comes so many milliseconds after it is in the playlist, more or less.
const PUBLISHED_AGO: u64 = 500;
/// So many of a large swarm ask for the publisher's copy, one after the other.
const ASKERS: u64 = 6;
/// See [`ASKERS`].
const HURRY: Duration = Duration::from_millis(100);
/// In a large swarm a group has so long to come near before anybody else fetches it.
const SPREADING: Duration = Duration::from_millis(2000);

/// See the module's page.
#[derive(Clone, Debug, Default)]
pub struct Hybrid {
    guard: Guard,
    spent: Vec<(SegmentKey, u16, Instant)>,
    backoff: Vec<(SegmentKey, Instant)>,
    asked: Vec<(SegmentKey, Instant)>,
    reminded: Vec<(SegmentKey, Instant)>,
    /// Bytes that the guard has asked for since the last delivery, and their share of what was delivered of late, in thousandths.
    rescued: u64,
    shortage: u64,
}

impl<P: Payload> Scheduler<P> for Hybrid {
    fn get(&mut self, view: &View<'_, P>, rng: &mut Rng, actions: &mut Vec<Action>) -> Plan {
        self.forget_old(view.now);
        self.guard.adapts = view.switches.has(Mechanism::AdaptiveGuard);
        let mut plan = Plan { again: Instant::NEVER, hungry: false };
        let mut pulls = Pulls::new(view);
        for want in &wanted(view) {
            self.look(rng, view, want, &mut pulls, &mut plan, actions);
            self.ask_digest(view, want, actions);
        }
        plan
    }

    fn give(&mut self, view: &View<'_, P>, rng: &mut Rng, actions: &mut Vec<Action>) -> Plan {
        offers::plan(view, rng, actions)
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
                    self.spent.push((key, group, now));
                }
            }
            _ => {
                self.backoff.push((key, now + BACKOFF));
            }
        }
    }

    fn delivered(&mut self, _: SegmentKey, bytes: u64, late: bool) {
        self.guard.learn(late);
        let share = (core::mem::take(&mut self.rescued) * 1000 / bytes.max(1)).min(1000);
        self.shortage = (self.shortage * 7 + share) / 8;
    }
}

impl Hybrid {
    fn forget_old(&mut self, now: Instant) {
        keep(&mut self.backoff, |(_, until)| *until > now);
        keep(&mut self.asked, |(_, at)| now.since(*at) < ASK_AGAIN);
        keep(&mut self.reminded, |(_, at)| now.since(*at) < REMIND);
        keep(&mut self.spent, |(_, _, at)| now.since(*at) < Duration::from_secs(30));
    }

    /// Since when the publisher's copy of a group is known to be spent.
    fn spent_since(&self, key: &SegmentKey, group: u16) -> Option<Instant> {
        self.spent.iter().find(|(k, g, _)| (k, *g) == (key, group)).map(|(_, _, at)| *at)
    }

    /// Asks for a digest that won't come by itself: on demand there's no live edge that a publisher could follow.
    fn ask_digest<P: Payload>(
        &mut self,
        view: &View<'_, P>,
        want: &Wanted<'_, P>,
        actions: &mut Vec<Action>,
    ) {
        let lacking = want.segment.is_none_or(|s| s.digest().is_none() && !s.conflict);
        let asked = self.asked.iter().any(|(key, _)| *key == want.key);
        let waits = !view.timeline.has_started() || view.timeline.is_starving();
        // Live, what was there before we came has no digest where nobody played it yet; what is new comes by itself.
        let comes = want.live && (!want.demanded || waits);
        if comes || !lacking || asked || !view.has_publisher || !view.may_download {
            return;
        }
        self.asked.push((want.key, view.now));
        actions.push(Action::WantDigest { key: want.key });
    }

    /// Gets what is missing of one segment.
    fn look<P: Payload>(
        &mut self,
        rng: &mut Rng,
        view: &View<'_, P>,
        want: &Wanted<'_, P>,
        pulls: &mut Pulls,
        plan: &mut Plan,
        actions: &mut Vec<Action>,
    ) {
        let now = view.now;
        self.guard.share = view.timeline.haste(want.key.track, now);
        let has = |mechanism| view.switches.has(mechanism);
        let waits = want.demanded && (!view.timeline.has_started() || view.timeline.is_starving());
        let failed = self.backoff.iter().find(|(key, _)| *key == want.key).map(|(_, until)| *until);
        if let Some(until) = failed.filter(|_| !waits) {
            return plan.at(until);
        }
        let digest = want.segment.and_then(|s| s.digest().map(|d| (s, d)));
        let Some((segment, digest)) = digest.filter(|_| view.may_download || want.demanded) else {
            return plan.at(self.get_unshared(view, want, waits, actions));
        };
        if segment.is_complete() || segment.is_whole() {
            return;
        }
        let mut absent = segment.missing();
        let covered = view.sources.covered(&want.key, digest.blocks(), now);
        if !covered.is_empty() {
            absent.subtract(&covered);
            // What is being fetched may hang.
            plan.at(now + STUCK);
            if waits && view.may_download {
                plan.at(now + TICK);
                plan.hungry |= overtake(view, want, segment, covered, pulls, actions);
            }
        }
        if absent.is_empty() {
            return;
        }
        if !view.may_download {
            // Without peers there is nothing to wait for: do as the player alone would.
            self.fetch(view, want.key, segment, &absent.list(), (Via::Origin, true, false), actions);
            return plan.at(now + TICK);
        }
        let coming = view.downloads.coming_of(&want.key);
        if let Some(until) = failed {
            // The source has just failed and the player waits: if neighbours can bring it all, they are the better hope.
            let mut asked = absent.clone();
            asked.subtract(&coming);
            let mut hopeless = asked.clone();
            hopeless.subtract(&near(view, &want.key, |link, now| !link.is_doubted(now)));
            if hopeless.is_empty() {
                pulls.hurry = HURRIED;
                plan.hungry |= !pulls.request_all(view, want.key, asked.iter(), want.deadline, actions);
                pulls.hurry = Duration::ZERO;
                return plan.at(until);
            }
        }
        let missing_bytes = u64::from(absent.count()) * u64::from(segment.block_len(0));
        // Of what was measured four fifths are relied on, for every source has hiccups.
        let bitrate = u64::from(digest.length) * 1000 / u64::from(digest.duration_ms.max(1));
        let measured = view.sources.throughput(now).map(Rate::bytes_per_second);
        let slow = view.sources.is_overloaded(bitrate, now);
        let rate = measured.map(|rate| Rate::new(if slow { bitrate } else { rate } * 2 / 4));
        // An overloaded source is the last hope, not the first.
        let needed = if slow { 0 } else { missing_bytes };
        let deadline = want.deadline.minus(view.sources.in_the_way(now));
        let latest = self.guard.latest(deadline, needed, rate, view.sources.first_byte());
        let fresh = want.live
            && view.timeline.playing(want.key.track).is_some_and(|c| want.key.place() > c.joined_at);

        // What the player asks for has a URL, whatever the playlists that we have seen say.
        let listed = want.demanded || view.timeline.is_listed(&want.key);
        let starting = waits;
        if listed && (starting || now >= latest) && (want.demanded || view.timeline.has_started()) {
            // Blocks that are coming are left to come while there is time for one more attempt after them.
            let last_call = latest + self.guard.margin() / 2;
            let stuck =
                |b: u16| view.downloads.coming(&want.key, b).is_some_and(|d| now.since(d.moved) > STUCK);
            let mut take: Vec<u16> =
                absent.iter().filter(|b| !coming.contains(*b) || stuck(*b) || now >= last_call).collect();
            if !starting {
                // No more than must be: peers may still bring the rest.
                let can_wait = self.guard.can_wait(deadline, rate, view.sources.first_byte(), now);
                let outstanding = view.sources.outstanding(now);
                // As a player alone would, one segment after the other: both at once would make the first one late.
                let before =
                    |a: &Action| matches!(a, Action::Fetch { key, .. } if key.place() < want.key.place());
                if view.sources.first_before(&want.key, now).is_some() || actions.iter().any(before) {
                    return plan.at(now + TICK);
                }
                // More than the way to us takes in good time would only wait, and make others wait.
                if view.sources.throughput(now).is_some_and(|rate| rate.time_for(outstanding) > FULL) {
                    return plan.at(now + TICK);
                }
                let excess = (missing_bytes + outstanding).saturating_sub(can_wait);
                let block = u64::from(segment.block_len(0).max(1));
                // Little by little, but such that the way to us isn't idle for round trips.
                let at_once = rate.map_or(0, |rate| rate.bytes_per_second() * AT_ONCE_MS / 1000);
                let need = excess.max(at_once).div_ceil(block).max(1) as usize;
                while take.len() > need {
                    take.remove(rng.below(take.len()));
                }
            }
            let how = (Via::Origin, want.demanded, !starting);
            if starting && slow && view.sources.ranges() == Ranges::Yes {
                // From somewhere on: what many fetch slowly they can hand each other, if it isn't the same.
                let (before, after) = take.split_at(rng.below(take.len().max(1)));
                self.fetch(view, want.key, segment, after, how, actions);
                self.fetch(view, want.key, segment, before, how, actions);
            } else {
                self.fetch(view, want.key, segment, &take, how, actions);
            }
            self.rescued += if starting { 0 } else { take.len() as u64 * u64::from(segment.block_len(0)) };
            return plan.at(now + TICK);
        }

        // Claims end, hopes vanish.
        plan.at(if latest > now { latest.min(now + RECHECK) } else { now + TICK });
        // Whoever has nobody to pass it on to fetches nothing for others.
        let lonely =
            !view.members.links().any(|(_, l)| l.greeted && l.plays(want.key.track) && view.is_inside(l));
        if fresh && !view.hidden && !lonely && has(Mechanism::Election) {
            plan.at(self.elect(view, want, segment, digest.hosted, &absent, actions));
        }
        let mut lacking = absent.clone();
        lacking.subtract(&coming);
        let remind_from = want.deadline.minus(view.timeline.soon(want.key.track, now));
        let viewers = view.populations.size(Populations::of_track(want.key.track));
        let few = (viewers <= FEW || slow) && now >= remind_from;
        if !want.demanded && !view.timeline.has_started() {
            // The first picture gets all of the way to us.
        } else if !want.live || few || !has(Mechanism::Offers) {
            pulls.hurry = if slow { HURRIED } else { Duration::ZERO };
            plan.hungry |= !pulls.request_all(view, want.key, lacking.iter(), want.deadline, actions);
        } else if now < remind_from {
            plan.at(remind_from);
        } else if !lacking.is_empty() && has(Mechanism::Reminders) {
            match self.reminded.iter().find(|(key, _)| *key == want.key) {
                Some((_, at)) => plan.at(*at + REMIND),
                None => {
                    self.reminded.push((want.key, now));
                    actions.push(Action::Remind { key: want.key, lacking });
                    plan.at(now + REMIND);
                }
            }
        }
        if (!fresh || lonely) && want.demanded && listed {
            // Nobody has it, nobody is fetching it: the source, at once, or the buffer shrinks for nothing.
            let mut orphans = absent;
            orphans.subtract(&coming);
            orphans.subtract(&near(view, &want.key, |_, _| true));
            let orphans = if has_hope(view) { Vec::new() } else { orphans.list() };
            let spent = orphans.iter().any(|b| self.spent_since(&want.key, b / GROUP).is_some());
            let alone = !fresh || view.members.is_empty();
            let hosted = digest.hosted && !spent && alone && has(Mechanism::PublisherCopy);
            let via = if hosted { Via::Publisher } else { Via::Origin };
            self.fetch(view, want.key, segment, &orphans, (via, via == Via::Origin, false), actions);
            plan.hungry = true;
        }
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
        // Its length isn't known; it is about as long as those before it.
        let before = view.store.from(want.key.track, want.key.number.saturating_sub(NEARBY));
        let alike = before.filter(|(key, _)| (key.part > 0) == (want.key.part > 0));
        let length = alike.filter_map(|(_, s)| s.digest().map(|d| u64::from(d.length))).next();
        let latest = self.guard.latest(
            want.deadline,
            length.unwrap_or(USUAL),
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
        absent: &Bits,
        actions: &mut Vec<Action>,
    ) -> Instant {
        let now = view.now;
        let mut orphans = absent.clone();
        // What is near nobody fetches for others: whoever only says that it holds everything would keep all from being elected.
        orphans.subtract(&near(view, &want.key, |link, now| !link.is_doubted(now)));
        orphans.subtract(&view.downloads.coming_of(&want.key));
        if orphans.is_empty() {
            return Instant::NEVER;
        }
        let (Some((nonce, weight)), Some(digest)) = (view.ballot, segment.digest()) else {
            return Instant::NEVER;
        };
        let bitrate = u64::from(digest.length) * 1000 / u64::from(digest.duration_ms.max(1));
        // What comes early for others must not come in the way of what our own player needs soon.
        let rate = view.sources.throughput(now).map_or(u64::MAX, |rate| rate.bytes_per_second());
        let way = view.sources.way(now).map_or(u64::MAX, Rate::bytes_per_second);
        if way < 2 * bitrate || (view.timeline.has_started() && view.timeline.is_starving()) {
            return Instant::NEVER;
        }
        // The first picture gets all of the way to us, of which nothing is known yet.
        if !view.timeline.has_started() {
            return now + TICK;
        }
        let weigh = |given, upload| match view.switches.has(Mechanism::Weights) {
            true => election::weight(given, upload, bitrate),
            false => 100,
        };
        let own = (nonce, weigh(weight, view.upload));
        let voters: Vec<_> = view
            .members
            .links()
            .filter(|(_, l)| l.role == Role::Viewer && l.greeted && !l.passive && l.plays(want.key.track))
            .filter(|(_, l)| view.is_inside(l))
            .map(|(_, l)| (l.nonce, weigh(l.weight, l.upload)))
            .collect();
        // An office elects for itself: each fetches its own copy.
        let whole = view.office.map_or(Populations::of_track(want.key.track), Populations::of_site);
        let size = view.populations.size(whole);
        // The publisher's copy would mostly go to others, and they to theirs.
        let minor =
            view.office.is_some() && size * 2 < view.populations.size(Populations::of_track(want.key.track));
        let unseen = size.saturating_sub(voters.len() as u64 + 1);
        let large = unseen > LARGE;
        let copies = (unseen / PER_COPY).clamp(1, COPIES) * ONE;
        // What the source has to give in the end it had better give at the beginning, for others to pass it on.
        let early = if view.switches.has(Mechanism::EarlyCopies) {
            size * self.shortage * ONE * EARLY / 100_000
        } else {
            0
        };
        let copies = copies.max(early);
        let mean = voters.iter().map(|v| u64::from(v.1)).sum::<u64>() / (voters.len() as u64).max(1);
        let has_seed = view
            .members
            .links()
            .any(|(id, l)| l.role == Role::Seed && view.is_inside(l) && view.index.knows(id, &want.key));
        // Playlists are read at different moments, and only those that list the segment can fetch it: in hundredths, so many of the candidates.
        let age = millis(now.since(segment.known_at)) + PUBLISHED_AGO;
        let listed = (age * 100 / u64::from(digest.duration_ms.max(1))).min(100);
        let mut again = Instant::NEVER;
        for group in 0..digest.blocks().div_ceil(GROUP) {
            let mut of_group = Bits::default();
            of_group.put(group * GROUP..(group + 1) * GROUP);
            of_group.intersect(&orphans);
            let orphans = of_group.list();
            if orphans.is_empty() {
                continue;
            }
            let spent = self.spent_since(&want.key, group);
            let rank = election::rank(&want.key, group, own, voters.iter().copied(), (unseen, mean as u16));
            // The publisher's copy is for whoever comes first. In a large swarm nobody knows who is, so that a few ask for it.
            let asks = (!large || rank < ASKERS * ONE) && !minor;
            let hosted = hosted && view.switches.has(Mechanism::PublisherCopy);
            let via = if hosted && spent.is_none() && asks { Via::Publisher } else { Via::Origin };
            if via == Via::Origin && (rate < 2 * bitrate || !view.timeline.is_listed(&want.key)) {
                continue;
            }
            let since = spent.map_or(segment.known_at, |at| at + SPENT);
            // Seeds first: with one at work, viewers are the backups.
            let head_start = if has_seed { STAGGER * 5 } else { Duration::ZERO };
            let wait = match (large, via) {
                (false, _) => STAGGER * (rank.saturating_sub(copies - ONE) / ONE).min(1000) as u32,
                (true, Via::Publisher) => HURRY * (rank / ONE) as u32,
                (true, Via::Origin) if rank * listed / 100 < copies => Duration::ZERO,
                (true, Via::Origin) => {
                    SPREADING + STAGGER * (rank.saturating_sub(copies) / ONE).min(1000) as u32
                }
            };
            let turn = since + head_start + wait;
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
        if blocks.is_empty() {
            return;
        }
        let all = segment.digest().map_or(0, |d| d.blocks());
        if via == Via::Origin && (view.sources.ranges() == Ranges::No || blocks.len() == usize::from(all)) {
            if !view.sources.is_fetching_whole(&key) {
                actions.push(Action::Fetch { key, blocks: None, via, urgent, rescue });
            }
            return;
        }
        for run in runs(blocks) {
            actions.push(Action::Fetch { key, blocks: Some(run), via, urgent, rescue });
        }
    }
}
