//! One rule: as it is written, and as it is compared.

use std::collections::HashSet;

use rillcast_protocol::id::Role;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{Case, Effect};
use crate::auth::claims::{MAX_CONTENT, MAX_NAME};
use crate::auth::window::{Window, WindowError};
use crate::content::{NoPrefix, Pattern};
use crate::geo::{Country, Tells};
use rillcast_relay::cidr::Cidr;

/// Longest id, in bytes.
pub const MAX_ID: usize = 64;
/// Most names in one of a rule's lists.
pub const MAX_LIST: usize = 256;

/// A rule as it is written. A condition that isn't there fits everybody; of a list one has to fit, of the conditions all.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct RuleFile {
    /// What it is called by.
    #[serde(default)]
    pub id: String,
    /// What it does.
    pub effect: Effect,
    /// The users' names in their tokens (`sub`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub users: Option<Vec<String>>,
    /// The content, as in a join; with `*` at its end all that begins so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<Vec<String>>,
    /// The part of the day, in UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<Window>,
    /// Countries. Needs a database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub countries: Option<Vec<Country>>,
    /// Providers. Needs a database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asns: Option<Vec<u32>>,
    /// Ranges of addresses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub networks: Option<Vec<Cidr>>,
    /// Viewers, seeds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub roles: Option<Vec<RoleName>>,
}

/// As what somebody joins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RoleName {
    /// A viewer.
    Viewer,
    /// A seed, publishing or not.
    Seed,
}

/// Why a rule can't be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RuleError {
    /// Too many.
    #[error(
        "there are {0} rules, but at most 128 are allowed; put lists of users, networks and so on into one rule"
    )]
    Many(usize),
    /// A wrong id.
    #[error("the id {0:?} of a rule has to be 1 to 64 letters, digits and signs of ASCII, without /")]
    Id(String),
    /// An id that comes twice.
    #[error("the id {0:?} is there twice; every rule needs one of its own")]
    Twice(String),
    /// An id that isn't there.
    #[error("there is no rule {0:?}; GET the rules to see which there are")]
    Unknown(String),
    /// A list that is empty or too long.
    #[error("rule {id:?}: {list} has to name 1 to 256; leave it out where it doesn't matter")]
    List {
        /// The rule.
        id: String,
        /// The list.
        list: &'static str,
    },
    /// A name out of bounds.
    #[error("rule {id:?}: {list} holds a name that is empty or longer than {most} bytes")]
    Name {
        /// The rule.
        id: String,
        /// The list.
        list: &'static str,
        /// Its bound.
        most: usize,
    },
    /// A content pattern.
    #[error("rule {id:?}: content: {source}")]
    Content {
        /// The rule.
        id: String,
        /// What is wrong.
        source: NoPrefix,
    },
    /// A window.
    #[error("rule {id:?}: {source}")]
    Window {
        /// The rule.
        id: String,
        /// What is wrong.
        source: WindowError,
    },
    /// What nothing can tell.
    #[error(
        "rule {id:?} names {list}, and the server has no database to tell them by; start it with {flag} FILE, or leave \
         {list} out"
    )]
    NoDatabase {
        /// The rule.
        id: String,
        /// The condition.
        list: &'static str,
        /// The flag.
        flag: &'static str,
    },
}

/// A rule, ready to be compared.
#[derive(Clone, Debug)]
pub struct Rule {
    /// What it is called by.
    pub id: String,
    /// What it does.
    pub effect: Effect,
    users: Option<HashSet<String>>,
    content: Option<Vec<Pattern>>,
    window: Option<Window>,
    countries: Option<HashSet<Country>>,
    asns: Option<HashSet<u32>>,
    networks: Option<Vec<Cidr>>,
    roles: Option<Vec<RoleName>>,
}

impl RuleFile {
    /// A rule that fits everybody.
    pub fn new(id: impl Into<String>, effect: Effect) -> Self {
        Self {
            id: id.into(),
            effect,
            users: None,
            content: None,
            window: None,
            countries: None,
            asns: None,
            networks: None,
            roles: None,
        }
    }
}

impl Rule {
    /// Makes a rule ready. `multi_cdn` is the site's, `tells` what the server has databases for.
    pub fn new(file: &RuleFile, multi_cdn: bool, tells: Tells) -> Result<Self, RuleError> {
        let id = || file.id.clone();
        // What stands in an admin path is told apart by slashes.
        let plain = file.id.bytes().all(|b| b.is_ascii_graphic() && b != b'/');
        if !(1..=MAX_ID).contains(&file.id.len()) || !plain {
            return Err(RuleError::Id(id()));
        }
        let length = |list: &'static str, length: Option<usize>| match length {
            Some(length) if !(1..=MAX_LIST).contains(&length) => Err(RuleError::List { id: id(), list }),
            _ => Ok(()),
        };
        length("users", file.users.as_ref().map(Vec::len))?;
        length("content", file.content.as_ref().map(Vec::len))?;
        length("countries", file.countries.as_ref().map(Vec::len))?;
        length("asns", file.asns.as_ref().map(Vec::len))?;
        length("networks", file.networks.as_ref().map(Vec::len))?;
        length("roles", file.roles.as_ref().map(Vec::len))?;
        let names = |list: &'static str, names: &Option<Vec<String>>, most: usize| {
            let wrong = names.iter().flatten().any(|name| !(1..=most).contains(&name.len()));
            if wrong { Err(RuleError::Name { id: id(), list, most }) } else { Ok(()) }
        };
        names("users", &file.users, MAX_NAME)?;
        names("content", &file.content, MAX_CONTENT)?;
        if let Some(Err(source)) = file.window.map(|window| window.check()) {
            return Err(RuleError::Window { id: id(), source });
        }
        for (asked, told, list, flag) in [
            (file.countries.is_some(), tells.countries, "countries", "--geo-country"),
            (file.asns.is_some(), tells.asns, "asns", "--geo-asn"),
        ] {
            if asked && !told {
                return Err(RuleError::NoDatabase { id: id(), list, flag });
            }
        }
        let patterns = |texts: &Vec<String>| {
            let patterns = texts.iter().map(|text| Pattern::new(text, multi_cdn));
            patterns.collect::<Result<_, _>>().map_err(|source| RuleError::Content { id: id(), source })
        };
        Ok(Self {
            id: id(),
            effect: file.effect,
            users: file.users.as_ref().map(|users| users.iter().cloned().collect()),
            content: file.content.as_ref().map(patterns).transpose()?,
            window: file.window,
            countries: file.countries.as_ref().map(|list| list.iter().copied().collect()),
            asns: file.asns.as_ref().map(|list| list.iter().copied().collect()),
            networks: file.networks.clone(),
            roles: file.roles.clone(),
        })
    }

    /// Whether it goes by the time.
    pub fn is_timed(&self) -> bool {
        self.window.is_some()
    }

    /// Whether it fits. What is unknown fits nothing that is named.
    pub fn fits(&self, case: &Case<'_>) -> bool {
        let Case { subject, content, now } = *case;
        let role = if subject.role == Role::Seed { RoleName::Seed } else { RoleName::Viewer };
        self.roles.as_ref().is_none_or(|roles| roles.contains(&role))
            && self.window.is_none_or(|window| window.holds(now))
            && self
                .users
                .as_ref()
                .is_none_or(|users| subject.user.as_ref().is_some_and(|u| users.contains(u)))
            && self.countries.as_ref().is_none_or(|c| subject.place.country.is_some_and(|of| c.contains(&of)))
            && self.asns.as_ref().is_none_or(|asns| subject.place.asn.is_some_and(|asn| asns.contains(&asn)))
            && self.networks.as_ref().is_none_or(|n| n.iter().any(|range| range.contains(subject.address)))
            && self.content.as_ref().is_none_or(|all| all.iter().any(|pattern| pattern.covers(content)))
    }
}
