//! Lists of what is revoked, one per site.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use rillcast_protocol::id::PeerId;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::auth::claims::MAX_NAME;
use crate::auth::keys;
use crate::policy::Subject;

/// Longest reason, in bytes.
pub const MAX_WHY: usize = 256;

/// What a revoked name is the name of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A user: a token's `sub`.
    User,
    /// A token: its `jti`.
    Token,
    /// A key: the id that the settings file gives it.
    Key,
    /// A peer, by the id that it was given on joining: 32 hex digits. It gets another one when it joins again.
    Peer,
}

/// Something to be revoked.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// What `name` names.
    pub kind: Kind,
    /// Whom.
    pub name: String,
    /// Until when, in seconds since 1970; without it for good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<u64>,
    /// For those who read the list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// An entry of a list.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Entry {
    /// The list's number when it was added: its name.
    pub number: u64,
    /// What `name` names.
    pub kind: Kind,
    /// Whom.
    pub name: String,
    /// Since when, in seconds since 1970.
    pub since: u64,
    /// Until when; without it for good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<u64>,
    /// For those who read the list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// Why something can't be revoked or taken back.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RevocationError {
    /// A name that can't be one.
    #[error(
        "{0:?} can't be the name of a {1:?}; give users and tokens 1 to 128 bytes, keys 1 to 64, peers 32 hex digits"
    )]
    Name(String, Kind),
    /// A reason out of bounds.
    #[error("why may be 256 bytes long at most")]
    Why,
    /// A time that is over.
    #[error(
        "until lies in the past; it counts seconds since 1970, and without it the revocation is for good"
    )]
    Past,
    /// No room.
    #[error(
        "there is no room for more revocations; take some back, revoke a key instead, or raise `revocations` in [limits]"
    )]
    Full,
    /// Not there.
    #[error("there is no revocation {0}; GET the list to see which there are")]
    Unknown(u64),
}

/// What is revoked of one site.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct SiteList {
    number: u64,
    entries: BTreeMap<u64, Entry>,
    /// The numbers of the entries, by whom they concern.
    by_name: HashMap<Kind, HashMap<String, u64>>,
}

/// A list as it is written.
#[derive(Deserialize, Serialize)]
struct Written {
    number: u64,
    entries: Vec<Entry>,
}

impl From<SiteList> for Written {
    fn from(list: SiteList) -> Self {
        Self { number: list.number, entries: list.entries.into_values().collect() }
    }
}

impl TryFrom<Written> for SiteList {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        let mut list = Self { number: written.number, ..Self::default() };
        for entry in written.entries {
            if entry.number > list.number || list.entries.contains_key(&entry.number) {
                return Err(format!("entry {} has a number that can't be its own", entry.number));
            }
            list.insert(entry);
        }
        Ok(list)
    }
}

impl SiteList {
    /// Grows with every change, and over restarts too: one that begins anew takes the time for it.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// What is revoked at this time, the oldest first.
    pub fn entries(&self, now: u64) -> impl Iterator<Item = &Entry> {
        self.entries.values().filter(move |entry| entry.counts(now))
    }

    /// The entry that concerns somebody.
    pub fn find(&self, subject: &Subject, peer: Option<PeerId>, now: u64) -> Option<&Entry> {
        if self.entries.is_empty() {
            return None;
        }
        let named = |kind: Kind, name: Option<&str>| {
            let number = self.by_name.get(&kind)?.get(name?)?;
            self.entries.get(number).filter(|entry| entry.counts(now))
        };
        named(Kind::User, subject.user.as_deref())
            .or_else(|| named(Kind::Token, subject.token.as_deref()))
            .or_else(|| named(Kind::Key, subject.key.as_deref()))
            .or_else(|| named(Kind::Peer, peer.map(|id| id.to_string()).as_deref()))
    }

    fn insert(&mut self, entry: Entry) {
        let names = self.by_name.entry(entry.kind).or_default();
        if let Some(before) = names.insert(entry.name.clone(), entry.number) {
            self.entries.remove(&before);
        }
        self.entries.insert(entry.number, entry);
    }

    fn remove(&mut self, number: u64) -> Option<Entry> {
        let entry = self.entries.remove(&number)?;
        if let Some(names) = self.by_name.get_mut(&entry.kind) {
            names.remove(&entry.name);
        }
        Some(entry)
    }

    fn step(&mut self, now: u64) -> u64 {
        self.number = now.max(self.number + 1);
        self.number
    }

    fn forget(&mut self, now: u64) {
        let over: Vec<u64> = self.entries.values().filter(|e| !e.counts(now)).map(|e| e.number).collect();
        for number in over {
            self.remove(number);
        }
    }
}

impl Entry {
    fn counts(&self, now: u64) -> bool {
        self.until.is_none_or(|until| now < until)
    }
}

impl Request {
    fn check(&self, now: u64) -> Result<(), RevocationError> {
        let length = self.name.len();
        let good = match self.kind {
            Kind::User | Kind::Token => (1..=MAX_NAME).contains(&length),
            Kind::Key => (1..=keys::MAX_ID).contains(&length),
            Kind::Peer => length == 32 && self.name.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')),
        };
        if !good {
            return Err(RevocationError::Name(self.name.clone(), self.kind));
        }
        if self.why.as_ref().is_some_and(|why| why.len() > MAX_WHY) {
            return Err(RevocationError::Why);
        }
        if self.until.is_some_and(|until| until <= now) { Err(RevocationError::Past) } else { Ok(()) }
    }
}

/// The lists of all sites.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(from = "BTreeMap<String, SiteList>", into = "BTreeMap<String, SiteList>")]
pub struct Lists(BTreeMap<String, Arc<SiteList>>);

impl From<BTreeMap<String, SiteList>> for Lists {
    fn from(lists: BTreeMap<String, SiteList>) -> Self {
        Self(lists.into_iter().map(|(site, list)| (site, Arc::new(list))).collect())
    }
}

impl From<Lists> for BTreeMap<String, SiteList> {
    fn from(lists: Lists) -> Self {
        lists.0.into_iter().map(|(site, list)| (site, Arc::unwrap_or_clone(list))).collect()
    }
}

impl Lists {
    /// A site's.
    pub fn of(&self, site: &str) -> Arc<SiteList> {
        self.0.get(site).cloned().unwrap_or_default()
    }

    /// Entries in all.
    pub fn len(&self) -> usize {
        self.0.values().map(|list| list.entries.len()).sum()
    }

    /// Whether nothing is revoked.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Revokes. Whoever is on the list already gets a new entry in place of the old one.
    pub fn add(
        &mut self,
        site: &str,
        request: Request,
        room: usize,
        now: u64,
    ) -> Result<Entry, RevocationError> {
        request.check(now)?;
        self.0.values_mut().for_each(|list| Arc::make_mut(list).forget(now));
        let known = self.0.get(site).is_some_and(|list| {
            list.by_name.get(&request.kind).is_some_and(|names| names.contains_key(&request.name))
        });
        if !known && self.len() >= room {
            return Err(RevocationError::Full);
        }
        let list = Arc::make_mut(self.0.entry(site.to_owned()).or_default());
        let Request { kind, name, until, why } = request;
        let entry = Entry { number: list.step(now), kind, name, since: now, until, why };
        list.insert(entry.clone());
        Ok(entry)
    }

    /// Takes a revocation back.
    pub fn take_back(&mut self, site: &str, number: u64, now: u64) -> Result<Entry, RevocationError> {
        let unknown = RevocationError::Unknown(number);
        let list = self.0.get_mut(site).ok_or(unknown.clone())?;
        let list = Arc::make_mut(list);
        let entry = list.remove(number).ok_or(unknown)?;
        list.step(now);
        Ok(entry)
    }
}

#[cfg(test)]
mod tests {
    use rillcast_protocol::id::Role;

    use super::*;
    use crate::geo::Place;

    const NOW: u64 = 1_800_000_000;
    const PEER: PeerId = PeerId([0xab; 16]);

    fn request(kind: Kind, name: &str) -> Request {
        Request { kind, name: name.to_owned(), until: None, why: None }
    }

    fn subject() -> Subject {
        let name = |name: &str| Some(name.to_owned());
        Subject {
            user: name("u"),
            token: name("t"),
            key: name("k"),
            address: [203, 0, 113, 7].into(),
            place: Place::default(),
            role: Role::Viewer,
        }
    }

    #[test]
    fn users_tokens_keys_and_peers_are_found_in_their_site_alone() {
        for (kind, name, found) in [
            (Kind::User, "u", true),
            (Kind::User, "t", false),
            (Kind::Token, "t", true),
            (Kind::Token, "u", false),
            (Kind::Key, "k", true),
            (Kind::Peer, "abababababababababababababababab", true),
            (Kind::Peer, "abababababababababababababababac", false),
        ] {
            let mut lists = Lists::default();
            lists.add("demo", request(kind, name), 9, NOW).expect("room");
            assert_eq!(
                lists.of("demo").find(&subject(), Some(PEER), NOW).is_some(),
                found,
                "{kind:?} {name}"
            );
            assert!(lists.of("other").find(&subject(), Some(PEER), NOW).is_none());
        }
    }

    #[test]
    fn it_counts_until_its_time_and_its_place_is_free_then() {
        let mut lists = Lists::default();
        let until = Request { until: Some(NOW + 10), ..request(Kind::User, "u") };
        lists.add("demo", until, 1, NOW).expect("room");
        assert!(lists.of("demo").find(&subject(), Some(PEER), NOW + 9).is_some());
        assert_eq!(lists.add("demo", request(Kind::User, "v"), 1, NOW + 9), Err(RevocationError::Full));
        assert!(lists.of("demo").find(&subject(), Some(PEER), NOW + 10).is_none());
        assert!(lists.add("demo", request(Kind::User, "v"), 1, NOW + 10).is_ok());
        assert_eq!(lists.len(), 1);
    }

    #[test]
    fn there_is_room_for_so_many_in_all_and_whoever_is_there_may_be_changed() {
        let mut lists = Lists::default();
        assert_eq!(lists.add("a", request(Kind::User, "u"), 0, NOW), Err(RevocationError::Full));
        let first = lists.add("a", request(Kind::User, "u"), 2, NOW).expect("room");
        lists.add("b", request(Kind::User, "u"), 2, NOW).expect("room");
        assert_eq!(lists.add("b", request(Kind::User, "v"), 2, NOW), Err(RevocationError::Full));
        let again = Request { until: Some(NOW + 1), ..request(Kind::User, "u") };
        let second = lists.add("a", again, 2, NOW).expect("its own room");
        assert!(second.number > first.number && lists.len() == 2);
        assert_eq!(lists.take_back("a", first.number, NOW), Err(RevocationError::Unknown(first.number)));
    }

    #[test]
    fn the_number_grows_with_every_change_and_beyond_what_was_forgotten() {
        let mut lists = Lists::default();
        let mut numbers = vec![lists.of("a").number()];
        for n in 0..3 {
            lists.add("a", request(Kind::User, &n.to_string()), 9, NOW).expect("room");
            numbers.push(lists.of("a").number());
        }
        lists.take_back("a", numbers[1], NOW).expect("there");
        numbers.push(lists.of("a").number());
        assert!(numbers.is_sorted_by(|a, b| a < b), "{numbers:?}");
        let mut anew = Lists::default();
        let after = anew.add("a", request(Kind::User, "x"), 9, NOW + 10).expect("room").number;
        assert!(after > lists.of("a").number(), "a server that forgot everything tells something newer");
    }

    #[test]
    fn what_cannot_be_revoked_is_named() {
        let long = |n: usize| "x".repeat(n);
        for (kind, good, bad) in [
            (Kind::User, vec![long(1), long(128)], vec![long(0), long(129)]),
            (Kind::Token, vec![long(1), long(128)], vec![long(0), long(129)]),
            (Kind::Key, vec![long(1), long(64)], vec![long(0), long(65)]),
            (Kind::Peer, vec!["0f".repeat(16)], vec!["0f".repeat(15), "0F".repeat(16), "0g".repeat(16)]),
        ] {
            for name in good {
                assert!(Lists::default().add("a", request(kind, &name), 9, NOW).is_ok(), "{kind:?} {name}");
            }
            for name in bad {
                let answer = Lists::default().add("a", request(kind, &name), 9, NOW);
                assert!(matches!(answer, Err(RevocationError::Name(..))), "{kind:?} {name}");
            }
        }
        let past = Request { until: Some(NOW), ..request(Kind::User, "u") };
        assert_eq!(Lists::default().add("a", past, 9, NOW), Err(RevocationError::Past));
        for (length, good) in [(256, true), (257, false)] {
            let why = Request { why: Some(long(length)), ..request(Kind::User, "u") };
            assert_eq!(Lists::default().add("a", why, 9, NOW).is_ok(), good);
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        let mut lists = Lists::default();
        let why = Some("shared".to_owned());
        lists
            .add("a", Request { why, until: Some(NOW + 5), ..request(Kind::User, "u") }, 9, NOW)
            .expect("room");
        lists.add("a", request(Kind::Key, "k"), 9, NOW).expect("room");
        let text = serde_json::to_string(&lists).expect("json");
        assert_eq!(serde_json::from_str::<Lists>(&text).expect("read"), lists);
        let wrong = r#"{"a":{"number":1,"entries":[{"number":2,"kind":"user","name":"u","since":0}]}}"#;
        assert!(serde_json::from_str::<Lists>(wrong).is_err());
    }
}
