//! What others say of one member: who has had good blocks from it, and who says that it sent a false one.
//!
//! Nobody's word is proof. So it takes a majority of independent witnesses to have somebody sent away: more of those whom *we* have introduced to it
//! accuse it than don't, and more accuse it than thank it, each over the last minutes. Pages of one network or of one user are one witness,
//! however many they are. To frame somebody honest, one would have to be most of those whom we choose for it. Whom a liar lies to
//! cuts it off at once in any case; this is for the others' sake.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use rillcast_protocol::id::PeerId;

/// What is said counts for so long.
pub const FRESH: Duration = Duration::from_secs(300);
/// Receivers whose receipts are counted: a seed that stays for weeks meets far more than it has links at a time.
pub const MAX_RECEIVERS: usize = 1 << 16;
/// Receivers of which it is known who they are, to count witnesses: those who have said something last.
pub const MAX_THANKFUL: usize = 512;
/// Accusers that are remembered.
pub const MAX_ACCUSERS: usize = 256;

/// Who says something, as far as it tells witnesses apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Witness {
    /// Its network: a keyed hash of its address's prefix.
    pub network: u32,
    /// The user whom its token names.
    pub user: Option<String>,
}

/// How many of them are independent of each other.
pub fn independent<'a>(witnesses: impl IntoIterator<Item = &'a Witness>) -> usize {
    let (mut networks, mut users) = (HashSet::new(), HashSet::new());
    let mut count = 0;
    for Witness { network, user } in witnesses {
        let known = networks.contains(network) || user.as_ref().is_some_and(|user| users.contains(user));
        networks.insert(*network);
        users.extend(user.as_ref());
        count += usize::from(!known);
    }
    count
}

/// One member's account.
#[derive(Debug, Default)]
pub struct Repute {
    /// Bytes that each receiver vouches for. Nobody is forgotten: whoever shows a receipt a second time would be thanked twice.
    received: HashMap<PeerId, u64>,
    total: u64,
    thankful: HashMap<PeerId, (Witness, Instant)>,
    accusers: HashMap<PeerId, (Witness, Instant)>,
}

impl Repute {
    /// A receiver vouches for so many bytes in all. Returns how many of them are new; none if there is no room for another receiver.
    pub fn thank(&mut self, by: PeerId, witness: Witness, bytes: u64, now: Instant) -> u64 {
        if self.received.len() >= MAX_RECEIVERS && !self.received.contains_key(&by) {
            return 0;
        }
        let before = self.received.get(&by).copied().unwrap_or(0);
        if bytes <= before {
            return 0;
        }
        self.received.insert(by, bytes);
        self.total = self.total.saturating_add(bytes - before);
        if self.thankful.len() >= MAX_THANKFUL
            && !self.thankful.contains_key(&by)
            && let Some(oldest) =
                self.thankful.iter().min_by_key(|(id, (_, at))| (*at, **id)).map(|(id, _)| *id)
        {
            self.thankful.remove(&oldest);
        }
        self.thankful.insert(by, (witness, now));
        bytes - before
    }

    /// Bytes that receivers vouch for in all.
    pub fn thanked(&self) -> u64 {
        self.total
    }

    /// Somebody says that it sent a false block. Told back: how many witnesses against it there are, if they are enough to send it away.
    ///
    /// `introduced`: those whom we have introduced to it, the accuser among them. `least`: witnesses that there must be in any case.
    pub fn accuse(
        &mut self,
        by: PeerId,
        witness: Witness,
        introduced: &[(PeerId, Witness)],
        least: usize,
        now: Instant,
    ) -> Option<usize> {
        let is_fresh = |at: &Instant| now.saturating_duration_since(*at) < FRESH;
        self.accusers.retain(|_, (_, at)| is_fresh(at));
        if self.accusers.len() < MAX_ACCUSERS || self.accusers.contains_key(&by) {
            self.accusers.insert(by, (witness, now));
        }
        let against = independent(self.accusers.values().map(|(witness, _)| witness));
        let thankful = self
            .thankful
            .iter()
            .filter(|(receiver, (_, at))| is_fresh(at) && !self.accusers.contains_key(receiver));
        let grateful = independent(thankful.map(|(_, (witness, _))| witness));
        let all = independent(introduced.iter().map(|(_, witness)| witness));
        (against >= least.max(1) && against > grateful && 2 * against > all).then_some(against)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(n: usize) -> PeerId {
        PeerId([n as u8; 16])
    }

    fn at_home(n: usize) -> Witness {
        Witness { network: n as u32, user: Some(format!("user {n}")) }
    }

    /// Those whom it was introduced to, each in a network of its own.
    fn company(n: usize) -> Vec<(PeerId, Witness)> {
        (0..n).map(|n| (peer(n), at_home(n))).collect()
    }

    fn accused_by(repute: &mut Repute, accusers: &[usize], company: usize, now: Instant) -> Option<usize> {
        let introduced = self::company(company);
        accusers.iter().filter_map(|&n| repute.accuse(peer(n), at_home(n), &introduced, 3, now)).next_back()
    }

    #[test]
    fn witnesses_of_one_network_or_one_user_are_one() {
        let of = |network, user: &str| Witness { network, user: (!user.is_empty()).then(|| user.to_owned()) };
        assert_eq!(independent(&[of(1, "a"), of(1, "b"), of(2, "a"), of(3, "c")]), 2);
        assert_eq!(independent(&[of(1, ""), of(2, ""), of(3, "")]), 3, "no user is no common user");
        assert_eq!(independent(&[]), 0);
    }

    // H2: at, under and over.
    #[test]
    fn it_takes_three_independent_witnesses_and_most_of_those_introduced() {
        let now = Instant::now();
        assert_eq!(accused_by(&mut Repute::default(), &[0, 1], 3, now), None, "two are too few");
        assert_eq!(accused_by(&mut Repute::default(), &[0, 1, 2], 5, now), Some(3), "three of five");
        assert_eq!(accused_by(&mut Repute::default(), &[0, 1, 2], 6, now), None, "half of them");
        assert_eq!(accused_by(&mut Repute::default(), &[0, 1, 2, 3], 6, now), Some(4));
        assert_eq!(accused_by(&mut Repute::default(), &[0, 0, 0, 0], 3, now), None, "one who repeats itself");
    }

    #[test]
    fn whoever_is_thanked_by_as_many_stays() {
        let (mut repute, now) = (Repute::default(), Instant::now());
        for n in 10..13 {
            assert_eq!(repute.thank(peer(n), at_home(n), 1000, now), 1000);
        }
        assert_eq!(accused_by(&mut repute, &[0, 1, 2], 5, now), None, "three against three");
        assert_eq!(accused_by(&mut repute, &[3], 5, now), Some(4));
        // Thanks of long ago say nothing of today.
        assert_eq!(accused_by(&mut repute, &[0, 1, 2], 5, now + FRESH), Some(3));
    }

    #[test]
    fn whoever_thanked_first_and_accuses_now_is_an_accuser() {
        let (mut repute, now) = (Repute::default(), Instant::now());
        for n in 0..3 {
            repute.thank(peer(n), at_home(n), 1000, now);
        }
        assert_eq!(accused_by(&mut repute, &[0, 1, 2], 5, now), Some(3));
    }

    #[test]
    fn accusations_are_forgotten_in_time() {
        let (mut repute, now) = (Repute::default(), Instant::now());
        assert_eq!(accused_by(&mut repute, &[0, 1], 3, now), None);
        assert_eq!(accused_by(&mut repute, &[2], 3, now + FRESH), None, "the first two are old");
        assert_eq!(accused_by(&mut repute, &[0, 1], 3, now + FRESH), Some(3));
    }

    // H2: who speaks last is heard, however many there were before.
    #[test]
    fn of_many_receivers_those_who_said_something_last_are_witnesses() {
        let begin = Instant::now();
        let name = |n: usize| PeerId((n as u128 + 1000).to_be_bytes());
        for late in [0, 3] {
            let mut repute = Repute::default();
            for n in 0..MAX_THANKFUL + late {
                repute.thank(name(n), at_home(n + 1000), 1, begin + FRESH * u32::from(n >= MAX_THANKFUL));
            }
            assert_eq!(repute.thankful.len(), MAX_THANKFUL);
            assert_eq!(repute.thanked(), (MAX_THANKFUL + late) as u64);
            // Three accuse it: enough, unless as many are thankful.
            let accused = accused_by(&mut repute, &[0, 1, 2], 5, begin + FRESH);
            assert_eq!(accused, (late == 0).then_some(3), "{late} of late");
        }
    }

    // R60: at, under and over.
    #[test]
    fn totals_grow_and_receivers_are_bounded() {
        let (mut repute, now) = (Repute::default(), Instant::now());
        let name = |n: usize| PeerId((n as u128).to_be_bytes());
        assert_eq!(repute.thank(name(0), at_home(0), 100, now), 100);
        assert_eq!(repute.thank(name(0), at_home(0), 150, now), 50);
        assert_eq!(repute.thank(name(0), at_home(0), 120, now), 0, "an older receipt");
        for n in 1..MAX_RECEIVERS {
            assert_eq!(repute.thank(name(n), at_home(n), 1, now), 1);
        }
        assert_eq!(repute.thank(name(MAX_RECEIVERS), at_home(1), 1, now), 0, "no room");
        assert_eq!(repute.thank(name(0), at_home(0), 160, now), 10, "who is known stays known");
        assert_eq!(repute.thanked(), 160 + MAX_RECEIVERS as u64 - 1);
    }
}
