//! How many datagrams the stack gets before it has to work them off. Pure logic.
//!
//! The stack takes what it is given in one burst, and only then writes what that asks for. Left to itself it takes up to 65, which has two faults:
//!
//! - Before the channels are open, what comes right behind the datagram that completes a handshake is lost to it (`docs/seed-transport.md`): one at a time.
//! - Afterwards it answers a whole burst with a single acknowledgement, where RFC 9260 (6.2) asks for one for every second packet. A sender that puts no
//!   more than four packets on the wire for each acknowledgement, as Chromium does (Max.Burst, 6.1), then sends four in a round trip for good. So of packets
//!   that are long enough to carry data it gets two; what is short are acknowledgements and small messages.

/// Packets for which there is to be one acknowledgement.
pub const ACKNOWLEDGED: usize = 2;
/// Shorter ones aren't counted once the channels are open.
pub const LONG: usize = 600;

/// What the stack has in hand.
#[derive(Debug, Default)]
pub struct Burst {
    counted: usize,
}

impl Burst {
    /// How many more datagrams of this length it may take; with none, the burst is to end.
    pub fn room(&self, open: bool, length: usize) -> usize {
        match (open, length) {
            (false, _) => 1usize.saturating_sub(self.counted),
            (true, LONG..) => ACKNOWLEDGED.saturating_sub(self.counted),
            (true, _) => usize::MAX,
        }
    }

    /// It has taken so many.
    pub fn took(&mut self, open: bool, length: usize, count: usize) {
        if !open || length >= LONG {
            self.counted += count;
        }
    }

    /// It works off what it has.
    pub fn end(&mut self) {
        self.counted = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn before_the_channels_are_open_it_is_one_at_a_time_whatever_its_length() {
        let mut burst = Burst::default();
        for length in [1, LONG - 1, LONG, 1500] {
            assert_eq!(burst.room(false, length), 1);
            burst.took(false, length, 1);
            assert_eq!(burst.room(false, length), 0);
            burst.end();
        }
    }

    #[test]
    fn afterwards_two_long_ones_and_any_number_of_short_ones() {
        let mut burst = Burst::default();
        for (taken, left) in [(0, 2), (1, 1), (1, 0), (1, 0)] {
            burst.took(true, LONG, taken);
            assert_eq!(burst.room(true, LONG), left);
            burst.took(true, LONG - 1, 100);
            assert_eq!(burst.room(true, LONG - 1), usize::MAX);
        }
        burst.end();
        assert_eq!(burst.room(true, LONG), ACKNOWLEDGED);
    }
}
