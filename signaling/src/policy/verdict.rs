//! Whether somebody may take part, and how: revocations first, then the site's rules.

use rillcast_protocol::id::PeerId;
use rillcast_protocol::signal::RefusedCode;
use thiserror::Error;

use super::rules::Barred;
use super::{Case, Standing};
use crate::hub::Refused;
use crate::revocation::{Kind, SiteList};
use crate::site::Site;

/// Why somebody may not take part.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Bar {
    /// It was revoked.
    #[error("access has been revoked ({0}); sign in again, or ask the site")]
    Revoked(&'static str),
    /// A rule keeps it out.
    #[error("{0}")]
    Rule(Barred),
}

impl Bar {
    /// As it is told.
    pub fn refusal(&self, site: &str) -> Refused {
        Refused { code: RefusedCode::Unauthorised, message: format!("site {site:?}: {self}") }
    }
}

/// Judges a case. `peer` is unknown until somebody has joined.
pub fn judge(
    site: &Site,
    revoked: &SiteList,
    case: &Case<'_>,
    peer: Option<PeerId>,
) -> Result<Standing, Bar> {
    if let Some(entry) = revoked.find(case.subject, peer, case.now) {
        return Err(Bar::Revoked(match entry.kind {
            Kind::User => "user",
            Kind::Token => "token",
            Kind::Key => "key",
            Kind::Peer => "peer",
        }));
    }
    site.rules.judge(case).map_err(Bar::Rule)
}
