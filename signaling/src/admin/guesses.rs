//! Wrong tokens, counted by address, so that whoever guesses keeps nobody out but itself.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Instant;

use crate::listen::group;
use rillcast_relay::rate::Bucket;

/// Addresses that are remembered. Beyond that all are forgotten: a token can't be guessed anyway, and what is to be bounded is what guessing costs.
const MAX_ADDRESSES: usize = 4096;

/// Who has guessed wrong, and how often.
#[derive(Debug)]
pub(super) struct Guesses {
    per_sec: f64,
    wrong: HashMap<IpAddr, Bucket>,
}

impl Guesses {
    /// So many a second, and at once, of each address.
    pub(super) fn new(per_sec: f64) -> Self {
        Self { per_sec, wrong: HashMap::new() }
    }

    /// Whether an address may try.
    pub(super) fn may_try(&mut self, address: IpAddr, now: Instant) -> bool {
        self.wrong.get_mut(&group(address)).is_none_or(|bucket| bucket.has(1.0, now))
    }

    /// An address has tried a wrong one.
    pub(super) fn missed(&mut self, address: IpAddr, now: Instant) {
        if self.wrong.len() == MAX_ADDRESSES {
            self.wrong.retain(|_, bucket| !bucket.is_full(now));
            if self.wrong.len() == MAX_ADDRESSES {
                self.wrong.clear();
            }
        }
        let new = || Bucket::new(self.per_sec, self.per_sec, now);
        self.wrong.entry(group(address)).or_insert_with(new).take(1.0, now);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn address(n: u32) -> IpAddr {
        IpAddr::from(n.to_be_bytes())
    }

    #[test]
    fn whoever_guesses_is_shut_out_for_a_while_and_nobody_else_is() {
        let mut guesses = Guesses::new(2.0);
        let now = Instant::now();
        for _ in 0..2 {
            assert!(guesses.may_try(address(1), now));
            guesses.missed(address(1), now);
        }
        assert!(!guesses.may_try(address(1), now) && guesses.may_try(address(2), now));
        assert!(guesses.may_try(address(1), now + Duration::from_millis(500)));
    }

    #[test]
    fn no_more_addresses_are_remembered_than_fit() {
        let mut guesses = Guesses::new(1.0);
        let now = Instant::now();
        (0..3 * MAX_ADDRESSES as u32).for_each(|n| guesses.missed(address(n), now));
        assert!(guesses.wrong.len() <= MAX_ADDRESSES);
    }
}
