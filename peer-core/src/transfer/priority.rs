//! How urgent a transfer is.

use rillcast_protocol::coding::{DecodeError, Reader, Wire, Writer};
use rillcast_protocol::id::SegmentKey;

use crate::media::Timeline;
use crate::time::{Instant, millis};

/// What is needed so many milliseconds later is prefetched: it yields.
const FAR: u64 = 12_000;
/// What is needed in less than half of this is urgent, the more the sooner. With a quarter of it left it is as urgent as can be: while the
/// guard hasn't given up waiting for peers.
const SOON: u64 = 8000;

/// A transfer's share of its sender's uplink, a normal one's being [`NORMAL`](Self::NORMAL).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Priority(u8);

impl Priority {
    /// Less than best effort: goes when nothing else waits, and yields to everything else on the uplink.
    pub const BACKGROUND: Self = Self(0);
    /// As what is offered at the live edge.
    pub const NORMAL: Self = Self(1);
    /// Four times a normal transfer's share.
    pub const URGENT: Self = Self(4);

    /// Of a segment that is needed then.
    pub fn of(timeline: &Timeline, key: &SegmentKey, due: Instant, now: Instant) -> Self {
        // Live, what is late doesn't go before what is new, or that would come late everywhere.
        if timeline.playing(key.track).is_some_and(|c| c.live) {
            return Self::NORMAL;
        }
        Self::within(millis(due.since(now)))
    }

    /// Of what is played on demand and needed in so many milliseconds.
    fn within(left: u64) -> Self {
        if left >= FAR {
            return Self::BACKGROUND;
        }
        Self((SOON / left.max(1)).clamp(1, 4) as u8)
    }

    /// Whether it is the lowest.
    pub fn yields(self) -> bool {
        self == Self::BACKGROUND
    }

    /// In normal transfers' shares.
    pub fn weight(self) -> i32 {
        i32::from(self.0)
    }
}

impl Wire for Priority {
    fn encode(&self, w: &mut Writer) {
        w.byte(self.0);
    }
    fn decode(r: &mut Reader<'_>) -> Self {
        let priority = Self(r.byte());
        if priority > Self::URGENT {
            r.fail(DecodeError::Tag(priority.0));
        }
        priority
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // R14
    #[test]
    fn it_rises_as_the_deadline_nears() {
        let at = Priority::within;
        assert_eq!([600_000, 12_001, 12_000].map(at), [Priority::BACKGROUND; 3]);
        assert_eq!([11_999, 4001].map(at), [Priority::NORMAL; 2]);
        assert_eq!([4000, 2667, 2666, 2001].map(at), [Priority(2), Priority(2), Priority(3), Priority(3)]);
        assert_eq!([2000, 1, 0].map(at), [Priority::URGENT; 3]);
        let all: Vec<_> = (0..20_000).rev().map(at).collect();
        assert!(all.is_sorted());
    }
}
