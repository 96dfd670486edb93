//! Other places of what an origin serves, for when it fails.
//!
//! A mirror is a URL prefix that stands for another one. What is fetched is known by the first one's URL, whoever gives it: a segment that came
//! from a mirror is the same segment. A server that fails rests for a while that doubles each time; until then the others are asked
//! first, and it only if they have nothing either.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use reqwest::Url;
use thiserror::Error;

use crate::allow::{AllowList, PrefixError};

/// Most mirrors of one publisher.
pub const MAX_MIRRORS: usize = 16;
/// First and longest rest of a server that has failed.
pub const REST: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// Why a mirror isn't usable.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum MirrorError {
    /// Not two URLs.
    #[error(
        "{0:?} isn't of the form URL-PREFIX=URL-PREFIX; write https://cdn.example/live/=https://backup.example/live/"
    )]
    Form(String),
    /// Not a prefix.
    #[error(transparent)]
    Prefix(#[from] PrefixError),
    /// `/live` might be half of a name.
    #[error("{0:?}: either both prefixes end with a slash or neither does")]
    Slash(String),
    /// Too many.
    #[error("{0} mirrors, but at most {MAX_MIRRORS} can be used; leave some out")]
    TooMany(usize),
}

/// What became of a server's answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ServerStats {
    /// Requests that it answered.
    pub answered: u64,
    /// Requests that failed.
    pub failed: u64,
    /// It rests now.
    pub rests: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct Health {
    answered: u64,
    failed: u64,
    /// Failures in a row.
    row: u32,
    rests_until: Option<Instant>,
}

#[derive(Debug)]
struct Mirror {
    from: Url,
    to: Url,
    /// The same as lists, which know what lies under a prefix.
    under: [AllowList; 2],
}

/// Mirrors, in the order in which they are tried.
#[derive(Debug, Default)]
pub struct Mirrors {
    mirrors: Vec<Mirror>,
    /// Of the servers that stand in `mirrors`, and no others.
    health: Mutex<HashMap<String, Health>>,
}

impl Mirrors {
    /// Reads `FROM=TO` pairs of URL prefixes.
    pub fn new<S: AsRef<str>>(pairs: impl IntoIterator<Item = S>) -> Result<Self, MirrorError> {
        let mirrors =
            pairs.into_iter().map(|pair| Mirror::read(pair.as_ref())).collect::<Result<Vec<_>, _>>()?;
        if mirrors.len() > MAX_MIRRORS {
            return Err(MirrorError::TooMany(mirrors.len()));
        }
        let servers = mirrors.iter().flat_map(|mirror| [server(&mirror.from), server(&mirror.to)]);
        let health = servers.map(|server| (server, Health::default())).collect();
        Ok(Self { mirrors, health: Mutex::new(health) })
    }

    /// The prefixes under which mirrors lie.
    pub fn prefixes(&self) -> impl Iterator<Item = &str> {
        self.mirrors.iter().map(|mirror| mirror.to.as_str())
    }

    /// Where to ask for a URL, one after the other.
    pub fn places(&self, url: &Url, now: Instant) -> Vec<Url> {
        let mut places = vec![url.clone()];
        places.extend(self.mirrors.iter().filter_map(|mirror| mirror.stands_for(url)));
        if places.len() > 1 {
            let health = self.health();
            // Stable: who rests comes last, else in the order given.
            places.sort_by_key(|place| health.get(&server(place)).is_some_and(|h| h.rests(now)));
        }
        places
    }

    /// The URL by which something is known that was found here.
    pub fn home(&self, url: &Url) -> Url {
        self.mirrors.iter().find_map(|mirror| mirror.came_from(url)).unwrap_or_else(|| url.clone())
    }

    /// The server of this URL has answered.
    pub fn answered(&self, url: &Url) {
        if let Some(health) = self.health().get_mut(&server(url)) {
            health.answered += 1;
            (health.row, health.rests_until) = (0, None);
        }
    }

    /// It has failed, so it rests.
    pub fn failed(&self, url: &Url, now: Instant) {
        if let Some(health) = self.health().get_mut(&server(url)) {
            health.failed += 1;
            // What failed at the same time counts once.
            if !health.rests(now) {
                let rest = REST.0.saturating_mul(1 << health.row.min(16)).min(REST.1);
                (health.row, health.rests_until) = (health.row.saturating_add(1), Some(now + rest));
                tracing::warn!(
                    server = server(url),
                    ?rest,
                    "an origin fails; others are asked first for a while"
                );
            }
        }
    }

    /// Of each server that stands in a mirror, in order of their names.
    pub fn stats(&self, now: Instant) -> Vec<(String, ServerStats)> {
        let of = |h: &Health| ServerStats { answered: h.answered, failed: h.failed, rests: h.rests(now) };
        let mut stats: Vec<_> = self.health().iter().map(|(server, h)| (server.clone(), of(h))).collect();
        stats.sort_by(|a, b| a.0.cmp(&b.0));
        stats
    }

    fn health(&self) -> MutexGuard<'_, HashMap<String, Health>> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Health {
    fn rests(&self, now: Instant) -> bool {
        self.rests_until.is_some_and(|until| now < until)
    }
}

impl Mirror {
    fn read(pair: &str) -> Result<Self, MirrorError> {
        // A path may have a `=` in it; a second URL begins with its scheme.
        let at = ["=http://", "=https://"].iter().filter_map(|mark| pair.find(mark)).min();
        let (from, to) =
            at.map(|at| (&pair[..at], &pair[at + 1..])).ok_or_else(|| MirrorError::Form(pair.into()))?;
        let under = [AllowList::new([from])?, AllowList::new([to])?];
        let read = |text: &str| Url::parse(text).map_err(|_| MirrorError::Form(pair.into()));
        let (from, to) = (read(from)?, read(to)?);
        if from.path().ends_with('/') != to.path().ends_with('/') {
            return Err(MirrorError::Slash(pair.into()));
        }
        Ok(Self { from, to, under })
    }

    fn stands_for(&self, url: &Url) -> Option<Url> {
        self.under[0].allows(url).then(|| moved(url, &self.from, &self.to))
    }

    fn came_from(&self, url: &Url) -> Option<Url> {
        self.under[1].allows(url).then(|| moved(url, &self.to, &self.from))
    }
}

/// A URL under one prefix, as it is under another. Its query stays: tokens may count there too.
fn moved(url: &Url, from: &Url, to: &Url) -> Url {
    let rest = url.path().strip_prefix(from.path()).unwrap_or_default();
    let mut there = to.clone();
    there.set_path(&format!("{}{rest}", to.path()));
    there.set_query(url.query());
    there
}

fn server(url: &Url) -> String {
    url.origin().ascii_serialization()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).expect("a URL")
    }

    fn places(mirrors: &Mirrors, at: &str, now: Instant) -> Vec<String> {
        mirrors.places(&url(at), now).into_iter().map(String::from).collect()
    }

    #[test]
    fn a_mirror_is_found_and_known_by_its_origin() {
        let mirrors = Mirrors::new([
            "https://cdn.example/live/=http://b.example:81/x=y/",
            "https://cdn.example=https://c.example",
        ])
        .expect("mirrors");
        let now = Instant::now();
        let there = [
            "https://cdn.example/live/a/1.ts?t=1",
            "http://b.example:81/x=y/a/1.ts?t=1",
            "https://c.example/live/a/1.ts?t=1",
        ];
        assert_eq!(places(&mirrors, there[0], now), there);
        assert_eq!(places(&mirrors, "https://cdn.example/vod/1", now)[1..], ["https://c.example/vod/1"]);
        assert_eq!(places(&mirrors, "https://other.example/live/1", now).len(), 1);
        assert!(there.iter().all(|t| mirrors.home(&url(t)).as_str() == there[0]));
    }

    #[test]
    fn who_fails_is_asked_last_until_it_has_rested_and_rests_longer_each_time() {
        let mirrors = Mirrors::new(["http://a.example/=http://b.example/"]).expect("a mirror");
        let (a, b) = (url("http://a.example/1"), url("http://b.example/1"));
        let first = |now| mirrors.places(&a, now)[0].clone();
        let mut now = Instant::now();
        for rest in [1, 2, 4, 8, 16, 32, 60, 60] {
            assert_eq!(first(now), a);
            mirrors.failed(&a, now);
            mirrors.failed(&a, now);
            assert_eq!(mirrors.places(&a, now), [b.clone(), a.clone()]);
            now += Duration::from_secs(rest);
            assert_eq!(first(now - Duration::from_millis(1)), b, "{rest} s");
        }
        mirrors.failed(&a, now);
        mirrors.failed(&b, now);
        assert_eq!(first(now), a, "all rest, so all are asked in order");
        mirrors.answered(&a);
        mirrors.failed(&a, now);
        assert_eq!(first(now + Duration::from_secs(1)), a, "the count begins anew");
        let stats = mirrors.stats(now);
        assert_eq!(stats[0].0, "http://a.example");
        assert_eq!(stats[0].1, ServerStats { answered: 1, failed: 18, rests: true });
    }

    #[test]
    fn what_can_not_be_a_mirror_is_named() {
        let wrong = |pair: &str| Mirrors::new([pair]).expect_err(pair).to_string();
        assert!(wrong("http://a.example/").contains("URL-PREFIX=URL-PREFIX"));
        assert!(wrong("a.example=http://b.example").contains("a.example"));
        assert!(wrong("http://a.example/?x=http://b.example/").contains("query"));
        assert!(wrong("http://a.example/live=http://b.example/").contains("slash"));
        let many = |n| Mirrors::new(vec!["http://a.example/=http://b.example/"; n]);
        many(MAX_MIRRORS).expect("at");
        assert_eq!(many(MAX_MIRRORS + 1).expect_err("over"), MirrorError::TooMany(MAX_MIRRORS + 1));
    }
}
