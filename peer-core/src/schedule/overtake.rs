//! Feeding a player that waits from both ends: the source brings a segment from its front, neighbours from its back.

use crate::media::{Bits, Segment};
use crate::payload::Payload;
use crate::time::{Duration, Rate, millis};

use super::pulls::{Pulls, Race};
use super::wanted::Wanted;
use super::{Action, View};

/// Neighbours help where after so many milliseconds...
const SLOW_MS: u64 = 500;
/// ...a segment comes in less than so many times the speed at which it plays.
const SPEED: u64 = 3;
/// What the source brings in so many milliseconds is left to it.
const MEANWHILE_MS: u64 = 250;
/// Neighbours are asked for what they send in this time.
pub(super) const HURRIED: Duration = Duration::from_millis(250);

/// Asks neighbours for what a slow source would bring last of `covered`, which it is at work on. The two meet somewhere in between.
/// True if more would have been asked for.
pub(super) fn overtake<P: Payload>(
    view: &View<'_, P>,
    want: &Wanted<'_, P>,
    segment: &Segment<P>,
    covered: Bits,
    pulls: &mut Pulls,
    actions: &mut Vec<Action>,
) -> bool {
    let (Some(demand), Some(digest)) = (view.demands.get(&want.key), segment.digest()) else {
        return false;
    };
    let (here, block) = (segment.bytes(), u64::from(segment.block_len(0).max(1)));
    let waited = millis(view.now.since(demand.since));
    let in_time = u64::from(digest.length) * waited * SPEED / u64::from(digest.duration_ms.max(1));
    if waited < SLOW_MS || here + block >= in_time {
        return false;
    }
    let mut late = covered;
    late.intersect(&segment.missing());
    late.subtract(&view.downloads.coming_of(&want.key));
    let soon = here * MEANWHILE_MS / waited / block + 1;
    let late = late.list();
    // Where it is our own downlink that is slow, neighbours' blocks hold up the source's, and what comes twice makes the player wait longer
    // than without them. What is measured of the source is less than what comes in all, and shows how little it would bring alone.
    let all = Rate::new((here * 1000 / waited).max(1));
    let source = view.sources.throughput(view.now).unwrap_or(all).min(all);
    pulls.race = late.first().map(|first| Race { first: *first, each: source.time_for(block) });
    pulls.hurry = HURRIED;
    let late = late.into_iter().skip(soon as usize).rev();
    let all = pulls.request_all(view, want.key, late, want.deadline, actions);
    (pulls.hurry, pulls.race) = (Duration::ZERO, None);
    !all
}
