//! Who may have how many relays, and how many bytes pass.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Instant;

use crate::group::group;
use crate::limits::Limits;
use crate::rate::Bucket;

/// Whose relay it is: counted by the name in its credentials and by its address (an IPv6 /64 is one).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    user: String,
    address: IpAddr,
}

impl Holder {
    /// A client.
    pub fn new(user: &str, address: IpAddr) -> Self {
        Self { user: user.to_owned(), address: group(address) }
    }
}

/// What all have.
#[derive(Debug)]
pub struct Quota {
    all: usize,
    by_user: HashMap<String, usize>,
    by_address: HashMap<IpAddr, usize>,
    max: usize,
    max_per_user: usize,
    max_per_address: usize,
    per_sec: u32,
    bytes: Bucket,
}

impl Quota {
    /// By the limits.
    pub fn new(limits: &Limits, now: Instant) -> Self {
        Self {
            all: 0,
            by_user: HashMap::new(),
            by_address: HashMap::new(),
            max: limits.allocations,
            max_per_user: limits.allocations_per_user,
            max_per_address: limits.allocations_per_address,
            per_sec: limits.bytes_per_sec,
            bytes: bucket(limits.bytes_per_sec_in_all, now),
        }
    }

    /// One more relay, if its holder may have it.
    pub fn take(&mut self, holder: &Holder) -> bool {
        let of_user = self.by_user.get(&holder.user).copied().unwrap_or(0);
        let of_address = self.by_address.get(&holder.address).copied().unwrap_or(0);
        let free = self.all < self.max && of_user < self.max_per_user && of_address < self.max_per_address;
        if free {
            self.all += 1;
            self.by_user.insert(holder.user.clone(), of_user + 1);
            self.by_address.insert(holder.address, of_address + 1);
        }
        free
    }

    /// One less.
    pub fn give_back(&mut self, holder: &Holder) {
        self.all = self.all.saturating_sub(1);
        lower(&mut self.by_user, &holder.user);
        lower(&mut self.by_address, &holder.address);
    }

    /// What a new client may have relayed.
    pub fn bytes_of_one(&self, now: Instant) -> Bucket {
        bucket(self.per_sec, now)
    }

    /// Whether so many bytes of a client may pass now.
    pub fn passes(&mut self, of_one: &mut Bucket, bytes: usize, now: Instant) -> bool {
        let bytes = bytes as f64;
        of_one.has(bytes, now) && self.bytes.take(bytes, now) && of_one.take(bytes, now)
    }
}

/// A second's worth at once.
fn bucket(per_sec: u32, now: Instant) -> Bucket {
    Bucket::new(f64::from(per_sec), f64::from(per_sec), now)
}

fn lower<K: std::hash::Hash + Eq>(counts: &mut HashMap<K, usize>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn holder(user: &str, address: &str) -> Holder {
        Holder::new(user, address.parse().expect("an address"))
    }

    fn quota(all: usize, user: usize, address: usize) -> Quota {
        let limits = Limits {
            allocations: all,
            allocations_per_user: user,
            allocations_per_address: address,
            bytes_per_sec: 1000,
            bytes_per_sec_in_all: 1500,
            ..Limits::default()
        };
        Quota::new(&limits, Instant::now())
    }

    #[test]
    fn relays_are_limited_in_all_per_user_and_per_address() {
        for (mut quota, holders) in [
            (quota(2, 9, 9), ["a 1.1.1.1", "b 1.1.1.2", "c 1.1.1.3"]),
            (quota(9, 2, 9), ["a 1.1.1.1", "a 1.1.1.2", "a 1.1.1.3"]),
            (quota(9, 9, 2), ["a 2001:db8::1", "b 2001:db8::2", "c 2001:db8::3"]),
        ] {
            let holders = holders.map(|text| text.split_once(' ').expect("two words"));
            let [first, second, third] = holders.map(|(user, address)| holder(user, address));
            assert!(quota.take(&first) && quota.take(&second) && !quota.take(&third));
            quota.give_back(&first);
            assert!(quota.take(&third));
        }
    }

    #[test]
    fn what_is_given_back_leaves_nothing_behind() {
        let mut quota = quota(9, 9, 9);
        let one = holder("a", "1.1.1.1");
        assert!(quota.take(&one) && quota.take(&one));
        quota.give_back(&one);
        quota.give_back(&one);
        assert!(quota.all == 0 && quota.by_user.is_empty() && quota.by_address.is_empty());
    }

    #[test]
    fn bytes_are_limited_of_one_and_in_all() {
        let mut quota = quota(9, 9, 9);
        let now = Instant::now();
        let (mut one, mut other) = (quota.bytes_of_one(now), quota.bytes_of_one(now));
        assert!(quota.passes(&mut one, 999, now) && quota.passes(&mut one, 1, now));
        assert!(!quota.passes(&mut one, 1, now), "its own are used up");
        assert!(quota.passes(&mut other, 500, now) && !quota.passes(&mut other, 1, now), "all are used up");
        let later = now + Duration::from_secs(1);
        assert!(quota.passes(&mut one, 1000, later));
    }
}
