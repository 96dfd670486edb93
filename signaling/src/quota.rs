//! What one address, one token and one site may use of the server together (H1, H8), however many connections they spread
//! it over.
//!
//! | counted | of an address | of a token, by its `jti` and by its `sub` | of a site |
//! | --- | --- | --- | --- |
//! | joins per minute | every attempt, before anything is verified | those that are authorised | those that are authorised |
//! | connections | joined ones | joined ones | joined ones |
//! | messages and bytes per second | all | all | all |
//!
//! A token's and a site's joins are counted once they are authorised: otherwise strangers could use them up. Who joins too
//! often or has too much open is refused and may come back; who sends too much is read more slowly, as a single peer is, and
//! refused where the pause would be longer than `throttle_ms`.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use rillcast_protocol::signal::RefusedCode;
use serde::Deserialize;
use thiserror::Error;

use crate::hub::Refused;
use crate::limits::Limits;
use crate::listen::group;
use crate::policy::Subject;
use crate::random;
use rillcast_relay::rate::Bucket;

/// Seconds' worth of messages and bytes that may come at once.
const BURST_SECS: f64 = 10.0;
/// How often room is looked for at most: it takes a pass over everything.
const TIDY_EVERY: Duration = Duration::from_secs(1);
/// And how often where there is room.
const TIDY_UNASKED: Duration = Duration::from_secs(15);

/// What one of a kind may use. A table of `[limits]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Share {
    /// Joins per minute, and at once. Beyond: refused.
    pub joins_per_min: u32,
    /// Joined connections. Beyond: refused.
    pub connections: u32,
    /// Messages per second; ten seconds' worth at once. Beyond: read more slowly.
    pub messages_per_sec: u32,
    /// Bytes per second; ten seconds' worth at once. Beyond: read more slowly.
    pub bytes_per_sec: u32,
}

/// Whose share it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// An IPv4 address or an IPv6 /64.
    Address,
    /// A token or its user.
    Token,
    /// A site.
    Site,
}

/// What there was too much of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Over {
    /// Joins.
    #[error("too many joins of one {} in a minute; come back later, or raise joins_per_min in [limits.{}]", .0.word(), .0.table())]
    Joins(Scope),
    /// Connections.
    #[error("one {} has as many connections as it may; close some, or raise connections in [limits.{}]", .0.word(), .0.table())]
    Connections(Scope),
    /// Things to count.
    #[error(
        "the server can't count more addresses, tokens and sites; come back later, or raise quota_memory in [limits]"
    )]
    Memory,
}

impl Scope {
    /// As it is told.
    pub fn word(self) -> &'static str {
        match self {
            Self::Address => "address",
            Self::Token => "token or user",
            Self::Site => "site",
        }
    }

    fn table(self) -> &'static str {
        match self {
            Self::Address => "per_address",
            Self::Token => "per_token",
            Self::Site => "per_site",
        }
    }
}

impl From<Over> for Refused {
    fn from(over: Over) -> Self {
        let code = if over == Over::Memory { RefusedCode::Unavailable } else { RefusedCode::RateLimited };
        Self { code, message: over.to_string() }
    }
}

/// What has been used of one share.
#[derive(Debug)]
struct Used {
    scope: Scope,
    joins: Bucket,
    messages: Bucket,
    bytes: Bucket,
    connections: u32,
    most: u32,
}

type Shared = Arc<Mutex<Used>>;
type Name = [u8; 16];

/// All shares in use.
#[derive(Debug)]
pub struct Quotas {
    address: Share,
    token: Share,
    site: Share,
    room: usize,
    key: [u8; 32],
    used: Mutex<Table>,
}

#[derive(Debug)]
struct Table {
    /// By keyed hashes, so that nobody can make two alike, and no address is kept.
    shares: HashMap<Name, Shared>,
    tidied: Option<Instant>,
}

/// A joined connection's place in its shares, given back on drop.
#[derive(Debug)]
pub struct Seat(Vec<Shared>);

impl Quotas {
    /// Nothing used yet.
    pub fn new(limits: &Limits) -> Self {
        Self {
            address: limits.per_address.clone(),
            token: limits.per_token.clone(),
            site: limits.per_site.clone(),
            room: limits.quota_memory,
            key: random::fresh(),
            used: Mutex::new(Table { shares: HashMap::new(), tidied: None }),
        }
    }

    /// Somebody at this address wants to join.
    pub fn knock(&self, address: IpAddr, now: Instant) -> Result<(), Over> {
        let share = self.of_address(address, now)?;
        if lock(&share).joins.take(1.0, now) { Ok(()) } else { Err(Over::Joins(Scope::Address)) }
    }

    /// An authorised join; its place, if there is room everywhere.
    pub fn enter(&self, site: &str, subject: &Subject, now: Instant) -> Result<Seat, Over> {
        let mut all = vec![self.of_address(subject.address, now)?];
        for (kind, name) in [(&b"user"[..], &subject.user), (b"token", &subject.token)] {
            if let Some(name) = name {
                let name = self.name(&[kind, site.as_bytes(), name.as_bytes()]);
                all.push(self.find(name, Scope::Token, &self.token, now)?);
            }
        }
        let name = self.name(&[b"site", site.as_bytes()]);
        all.push(self.find(name, Scope::Site, &self.site, now)?);
        let mut seat = Seat(Vec::with_capacity(all.len()));
        for share in all {
            {
                let mut used = lock(&share);
                if used.connections >= used.most {
                    return Err(Over::Connections(used.scope));
                }
                // An address' joins have been counted when it knocked.
                if used.scope != Scope::Address && !used.joins.take(1.0, now) {
                    return Err(Over::Joins(used.scope));
                }
                used.connections += 1;
            }
            seat.0.push(share);
        }
        Ok(seat)
    }

    /// How many shares are in use.
    pub fn len(&self) -> usize {
        lock(&self.used).shares.len()
    }

    /// Whether none is in use.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What time brings: now and then, what nobody uses is forgotten. Whoever comes back finds a full share, as it would
    /// have been.
    pub fn tick(&self, now: Instant) {
        let mut table = lock(&self.used);
        if table.tidied.is_none_or(|at| now.saturating_duration_since(at) >= TIDY_UNASKED) {
            table.tidy(now);
        }
    }

    fn of_address(&self, address: IpAddr, now: Instant) -> Result<Shared, Over> {
        let name = self.name(&[b"address", group(address).to_string().as_bytes()]);
        self.find(name, Scope::Address, &self.address, now)
    }

    fn find(&self, name: Name, scope: Scope, share: &Share, now: Instant) -> Result<Shared, Over> {
        let mut table = lock(&self.used);
        if let Some(found) = table.shares.get(&name) {
            return Ok(found.clone());
        }
        if table.shares.len() >= self.room {
            if table.tidied.is_none_or(|at| now.saturating_duration_since(at) >= TIDY_EVERY) {
                table.tidy(now);
            }
            if table.shares.len() >= self.room {
                return Err(Over::Memory);
            }
        }
        let rate = |per_sec: u32| Bucket::new(f64::from(per_sec), f64::from(per_sec) * BURST_SECS, now);
        let per_min = f64::from(share.joins_per_min);
        let new = Arc::new(Mutex::new(Used {
            scope,
            joins: Bucket::new(per_min / 60.0, per_min, now),
            messages: rate(share.messages_per_sec),
            bytes: rate(share.bytes_per_sec),
            connections: 0,
            most: share.connections,
        }));
        table.shares.insert(name, new.clone());
        Ok(new)
    }

    fn name(&self, parts: &[&[u8]]) -> Name {
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        for part in parts {
            hasher.update(&(part.len() as u64).to_be_bytes()).update(part);
        }
        let mut name = [0; 16];
        name.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
        name
    }
}

impl Table {
    fn tidy(&mut self, now: Instant) {
        self.tidied = Some(now);
        self.shares.retain(|_, share| {
            // Whoever holds it got it from here, so nobody takes it up while we look.
            let held = Arc::strong_count(share) > 1;
            let mut used = lock(share);
            let used = &mut *used;
            held || ![&mut used.joins, &mut used.messages, &mut used.bytes]
                .into_iter()
                .all(|b| b.is_full(now))
        });
    }
}

impl Seat {
    /// Counts one message of this many bytes. `weight` is what it counts for: less than 1 of those who may send more.
    /// Returns how long to pause before the next, and on whose account.
    pub fn borrow(&self, bytes: usize, weight: f64, now: Instant) -> (Duration, Option<Scope>) {
        let mut longest = (Duration::ZERO, None);
        for share in &self.0 {
            let mut used = lock(share);
            let pause = used.messages.borrow(weight, now).max(used.bytes.borrow(bytes as f64 * weight, now));
            if pause > longest.0 {
                longest = (pause, Some(used.scope));
            }
        }
        longest
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        for share in &self.0 {
            lock(share).connections -= 1;
        }
    }
}

/// A panic elsewhere leaves the counts whole: each is changed in one step.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

#[cfg(test)]
mod tests {
    use rillcast_protocol::id::Role;

    use super::*;
    use crate::geo::Place;

    const WIDE: Share =
        Share { joins_per_min: 1000, connections: 1000, messages_per_sec: 1000, bytes_per_sec: 1_000_000 };

    fn subject(address: [u8; 4], user: Option<&str>, token: Option<&str>) -> Subject {
        Subject {
            user: user.map(str::to_owned),
            token: token.map(str::to_owned),
            key: None,
            address: address.into(),
            place: Place::default(),
            role: Role::Viewer,
        }
    }

    fn quotas(address: Share, token: Share, site: Share) -> Quotas {
        Quotas::new(&Limits { per_address: address, per_token: token, per_site: site, ..Limits::default() })
    }

    const HOME: [u8; 4] = [203, 0, 113, 7];
    const AWAY: [u8; 4] = [198, 51, 100, 1];

    #[test]
    fn joins_of_an_address_are_counted_by_the_minute_whoever_makes_them() {
        let now = Instant::now();
        let quotas = quotas(Share { joins_per_min: 3, ..WIDE }, WIDE, WIDE);
        assert!((0..3).all(|_| quotas.knock(HOME.into(), now).is_ok()));
        assert_eq!(quotas.knock(HOME.into(), now), Err(Over::Joins(Scope::Address)));
        assert!(quotas.knock(AWAY.into(), now).is_ok());
        assert!(quotas.knock(HOME.into(), now + Duration::from_secs(19)).is_err());
        assert!(quotas.knock(HOME.into(), now + Duration::from_secs(20)).is_ok());
        let v6 = |text: &str| quotas.knock(text.parse().expect("an address"), now);
        assert!((1..=3).all(|n| v6(&format!("2001:db8::{n}")).is_ok()));
        assert!(v6("2001:db8::4").is_err() && v6("2001:db8:0:1::4").is_ok(), "a /64 is one");
    }

    #[test]
    fn joins_with_a_token_and_of_a_site_are_counted_by_the_minute() {
        let now = Instant::now();
        let few = || Share { joins_per_min: 2, ..WIDE };
        let of_token = quotas(WIDE, few(), WIDE);
        let enter = |quotas: &Quotas, site: &str, subject| quotas.enter(site, &subject, now).map(drop);
        for _ in 0..2 {
            assert_eq!(enter(&of_token, "a", subject(HOME, Some("u"), None)), Ok(()));
        }
        let over = Err(Over::Joins(Scope::Token));
        assert_eq!(enter(&of_token, "a", subject(AWAY, Some("u"), Some("t"))), over);
        assert_eq!(enter(&of_token, "a", subject(HOME, Some("v"), None)), Ok(()));
        assert_eq!(enter(&of_token, "b", subject(HOME, Some("u"), None)), Ok(()), "another site's user");
        assert_eq!(enter(&of_token, "a", subject(HOME, None, None)), Ok(()));
        for _ in 0..2 {
            assert_eq!(enter(&of_token, "a", subject(HOME, None, Some("s"))), Ok(()));
        }
        assert_eq!(enter(&of_token, "a", subject(HOME, None, Some("s"))), over);

        let of_site = quotas(WIDE, WIDE, few());
        for n in [1, 2] {
            assert_eq!(enter(&of_site, "a", subject([10, 0, 0, n], None, None)), Ok(()));
        }
        assert_eq!(enter(&of_site, "a", subject(HOME, None, None)), Err(Over::Joins(Scope::Site)));
        assert_eq!(enter(&of_site, "b", subject(HOME, None, None)), Ok(()));
    }

    #[test]
    fn connections_are_counted_while_they_last() {
        let now = Instant::now();
        let few = || Share { connections: 2, ..WIDE };
        for (scope, quotas) in [
            (Scope::Address, quotas(few(), WIDE, WIDE)),
            (Scope::Token, quotas(WIDE, few(), WIDE)),
            (Scope::Site, quotas(WIDE, WIDE, few())),
        ] {
            let enter = || quotas.enter("a", &subject(HOME, Some("u"), Some("t")), now);
            let mut seats = vec![enter().expect("room"), enter().expect("room")];
            assert_eq!(enter().map(drop), Err(Over::Connections(scope)));
            seats.pop();
            seats.push(enter().expect("room again"));
            assert_eq!(enter().map(drop), Err(Over::Connections(scope)), "what was refused took nothing");
        }
    }

    #[test]
    fn messages_and_bytes_are_counted_together() {
        let now = Instant::now();
        let few = || Share { messages_per_sec: 2, ..WIDE };
        let thin = || Share { bytes_per_sec: 100, ..WIDE };
        for (scope, share) in [
            (Scope::Address, (few(), WIDE, WIDE)),
            (Scope::Token, (WIDE, few(), WIDE)),
            (Scope::Site, (WIDE, WIDE, few())),
        ] {
            let quotas = quotas(share.0, share.1, share.2);
            let seat = || quotas.enter("a", &subject(HOME, Some("u"), None), now).expect("room");
            let (one, two) = (seat(), seat());
            for seat in [&one, &two].repeat(10) {
                assert_eq!(seat.borrow(1, 1.0, now), (Duration::ZERO, None), "ten seconds' worth at once");
            }
            assert_eq!(one.borrow(1, 1.0, now), (Duration::from_millis(500), Some(scope)));
            assert_eq!(two.borrow(1, 1.0, now), (Duration::from_secs(1), Some(scope)));
        }
        let quotas = quotas(WIDE, WIDE, thin());
        let seat = quotas.enter("a", &subject(HOME, None, None), now).expect("room");
        assert_eq!(seat.borrow(1000, 1.0, now).0, Duration::ZERO);
        assert_eq!(seat.borrow(100, 1.0, now), (Duration::from_secs(1), Some(Scope::Site)));
        assert_eq!(seat.borrow(100, 0.5, now).0, Duration::from_millis(1500), "seeds' count for less");
    }

    #[test]
    fn memory_is_bounded_and_what_is_not_used_makes_room() {
        let now = Instant::now();
        let quotas = Quotas::new(&Limits { quota_memory: 2, per_address: WIDE, ..Limits::default() });
        quotas.knock([10, 0, 0, 1].into(), now).expect("room");
        quotas.knock([10, 0, 0, 2].into(), now).expect("room");
        assert_eq!(quotas.knock([10, 0, 0, 3].into(), now), Err(Over::Memory));
        quotas.knock([10, 0, 0, 2].into(), now).expect("known");
        let later = now + Duration::from_secs(60);
        quotas.knock([10, 0, 0, 3].into(), later).expect("the first two are forgotten");
        assert_eq!(quotas.len(), 1);
        let over = Refused::from(Over::Memory);
        assert!(over.code == RefusedCode::Unavailable && over.message.contains("quota_memory"));
    }
}
