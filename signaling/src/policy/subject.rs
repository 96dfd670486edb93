//! What is known of whoever is judged.

use std::fmt;
use std::net::IpAddr;

use rillcast_protocol::id::Role;

use crate::geo::Place;

/// What is kept of a member, so that it can be judged again. Never logged, never handed out.
#[derive(Clone)]
pub struct Subject {
    /// The backend's name for the user (`sub`).
    pub user: Option<String>,
    /// The token's own name (`jti`).
    pub token: Option<String>,
    /// The id of the key that signed the token.
    pub key: Option<String>,
    /// The client's address.
    pub address: IpAddr,
    /// Where that is.
    pub place: Place,
    /// As what it joined.
    pub role: Role,
}

impl fmt::Debug for Subject {
    /// Without who and where: whatever prints a member must not print a viewer.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subject").field("role", &self.role).finish_non_exhaustive()
    }
}

/// A subject that wants to play some content at some time.
#[derive(Clone, Copy, Debug)]
pub struct Case<'a> {
    /// Who.
    pub subject: &'a Subject,
    /// What, in the form that counts.
    pub content: &'a str,
    /// When: seconds since 1970.
    pub now: u64,
}
