//! The simple scheduler: pulls from have-maps. A baseline to compare with (R40), not for viewers.
//!
//! Every viewer asks a neighbour that holds a block for it as soon as it hears of that, the rarest blocks first. What no neighbour has, each
//! fetches from the source by lot now and then, and whatever is still missing when it can't wait any more.

use std::ops::Range;

use rillcast_protocol::id::{Role, SegmentKey};

use crate::engine::io::{SourceError, Via};
use crate::map::Map;
use crate::payload::Payload;
use crate::rng::Rng;
use crate::time::{Duration, Instant};

use super::guard::Guard;
use super::pulls::{Pulls, near, runs};
use super::wanted::{Wanted, wanted};
use super::{Action, Plan, Scheduler, View};

/// Thoughts are no further apart.
const TICK: Duration = Duration::from_millis(250);
/// A segment without a digest comes whole from the source after so long.
const PATIENCE: Duration = Duration::from_millis(1500);
/// After a failure the source is left alone for so long.
const BACKOFF: Duration = Duration::from_millis(1000);

/// See the module's page.
#[derive(Clone, Debug, Default)]
pub struct Simple {
    guard: Guard,
    backoff: Map<SegmentKey, Instant>,
}

impl<P: Payload> Scheduler<P> for Simple {
    fn get(&mut self, view: &View<'_, P>, rng: &mut Rng, actions: &mut Vec<Action>) -> Plan {
        self.backoff.retain(|_, until| *until > view.now);
        let mut pulls = Pulls::new(view);
        let wanted = wanted(view);
        for want in &wanted {
            self.look(view, want, &mut pulls, rng, actions);
        }
        Plan { again: if wanted.is_empty() { Instant::NEVER } else { view.now + TICK }, hungry: true }
    }

    fn give(&mut self, _: &View<'_, P>, _: &mut Rng, _: &mut Vec<Action>) -> Plan {
        Plan { again: Instant::NEVER, hungry: false }
    }

    fn source_failed(
        &mut self,
        key: SegmentKey,
        _: Option<Range<u16>>,
        via: Via,
        _: SourceError,
        now: Instant,
    ) {
        if via == Via::Origin {
            self.backoff.insert(key, now + BACKOFF);
        }
    }

    fn delivered(&mut self, _: SegmentKey, _: u64, late: bool) {
        self.guard.learn(late);
    }
}

impl Simple {
    fn look<P: Payload>(
        &self,
        view: &View<'_, P>,
        want: &Wanted<'_, P>,
        pulls: &mut Pulls,
        rng: &mut Rng,
        actions: &mut Vec<Action>,
    ) {
        let now = view.now;
        let waits = want.demanded && (!view.timeline.has_started() || view.timeline.is_starving());
        if !waits && self.backoff.contains_key(&want.key) {
            return;
        }
        let fetch = |blocks: Option<Range<u16>>, rescue: bool| Action::Fetch {
            key: want.key,
            blocks,
            via: Via::Origin,
            urgent: want.demanded,
            rescue,
        };
        let described = want.segment.filter(|s| s.digest().is_some());
        let Some(segment) = described else {
            let patient = view.demands.get(&want.key).is_some_and(|d| now < d.since + PATIENCE) && !waits;
            let here =
                want.segment.is_some_and(|s| s.is_whole()) || view.sources.is_fetching_whole(&want.key);
            if want.demanded && !patient && !here {
                actions.push(fetch(None, false));
            }
            return;
        };
        let absent: Vec<u16> =
            segment.missing().iter().filter(|b| !view.sources.covers(&want.key, *b, now)).collect();
        let bytes: u64 = absent.iter().map(|b| u64::from(segment.block_len(*b))).sum();
        let latest =
            self.guard.latest(want.deadline, bytes, view.sources.throughput(now), view.sources.first_byte());
        let listed = want.demanded || view.timeline.is_listed(&want.key);
        if listed && (waits || !view.may_download || now >= latest) {
            runs(&absent).into_iter().for_each(|run| actions.push(fetch(Some(run), !waits)));
            return;
        }
        let mut lacking: Vec<u16> =
            absent.into_iter().filter(|b| !view.downloads.is_coming(&want.key, *b)).collect();
        let holders =
            |block: &u16| view.index.holders(&want.key).filter(|(_, held)| held.contains(*block)).count();
        lacking.sort_by_cached_key(|block| (holders(block), rng.draw()));
        pulls.request_all(view, want.key, lacking.iter().copied(), want.deadline, actions);
        let near = near(view, &want.key, |_, _| true);
        let others =
            view.members.links().filter(|(_, l)| l.role == Role::Viewer && l.plays(want.key.track)).count();
        let lost: Vec<u16> = lacking.into_iter().filter(|b| !near.contains(*b)).collect();
        let mine: Vec<u16> = lost.into_iter().filter(|_| rng.below(4 * (others + 1)) == 0).collect();
        if listed {
            runs(&mine).into_iter().for_each(|run| actions.push(fetch(Some(run), false)));
        }
    }
}
