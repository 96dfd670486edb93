//! The segments that the player will need.

use rillcast_protocol::id::SegmentKey;

use crate::map::put_in_order;
use crate::media::Segment;
use crate::media::timeline::Current;
use crate::payload::Payload;
use crate::time::{Duration, Instant};

use super::View;

/// On demand, segments that far ahead are got too.
const VOD_AHEAD: usize = 3;

/// One of them, looked at.
pub(super) struct Wanted<'a, P> {
    pub(super) key: SegmentKey,
    pub(super) segment: Option<&'a Segment<P>>,
    pub(super) demanded: bool,
    pub(super) live: bool,
    pub(super) deadline: Instant,
}

/// The segments that the player will need, soonest first.
pub(super) fn wanted<'a, P: Payload>(view: &View<'a, P>) -> Vec<Wanted<'a, P>> {
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
        let want = Wanted {
            key,
            segment,
            demanded: demand.is_some(),
            live: current.is_some_and(|c| c.live),
            deadline,
        };
        put_in_order(&mut list, want, |w| (w.deadline, w.key));
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
    list
}
