//! Who may join (R8, R36, R41): a site's backend signs a token (a JWT, RFC 7519), the page hands it over on joining.
//!
//! - [`keys`]: what tokens are verified with; a key decides the algorithm, a token's header never does
//! - [`claims`], [`window`]: what a token may say; [`check`]: whether that allows this join
//! - [`replay`]: whether the token has been used elsewhere
//! - [`mint`], [`show`]: making tokens and taking them apart, for the command, for examples and tests
//! - [`crypto`]: what signs and verifies
//!
//! Nothing is decided in favour of a joiner because something can't be read or remembered (H3).

use std::net::IpAddr;

use rillcast_protocol::signal::Join;
use thiserror::Error;

use crate::geo::{Place, Tells};
use crate::site::Allowance;

pub mod check;
pub mod claims;
pub mod crypto;
pub mod keys;
pub mod mint;
pub mod places;
pub mod replay;
pub mod show;
pub mod window;

/// Who may join a site without keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Open {
    /// Programs of this machine.
    #[default]
    Loopback,
    /// Everybody: the operator wants it so.
    Everyone,
}

/// Who asks to join, as the connection shows it.
#[derive(Clone, Copy, Debug)]
pub struct Asker<'a> {
    /// The client's address; behind a trusted proxy not the connection's.
    pub address: IpAddr,
    /// The page's origin, if it is a page.
    pub origin: Option<&'a str>,
    /// A proxy that nobody has named passes it on: from where isn't known.
    pub forwarded: bool,
}

/// A join, and what it is measured by.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// What is asked for.
    pub join: &'a Join,
    /// By whom.
    pub asker: Asker<'a>,
    /// The join's content in the form that counts ([`crate::content::canonical`]).
    pub content: &'a str,
    /// How that form is made.
    pub multi_cdn: bool,
    /// Longest life of a token, in seconds.
    pub max_secs: u64,
    /// Seconds since 1970, by the server's clock.
    pub now: u64,
    /// The id of the key that the token's signature fits.
    pub key: &'a str,
    /// Where the asker is.
    pub place: Place,
    /// What there are databases for.
    pub tells: Tells,
}

/// What a token gives its bearer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Grant {
    /// The backend's name for the user.
    pub user: Option<String>,
    /// The token's own name (`jti`).
    pub token: Option<String>,
    /// The id of the key that signed it.
    pub key: Option<String>,
    /// Below what the site allows.
    pub allowance: Allowance,
}

/// Why a join isn't authorised. What is said of claims is said to bearers of a token with a right signature only.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Denied {
    /// The site asks for no token, but only this machine's programs may join it.
    #[error(
        "the site has no keys to check tokens with, so only programs of the server's machine may join; add keys to it \
         in the settings file (make some with: rillcast-token keygen), or start the server with --insecure-open"
    )]
    NoKeys,
    /// There is no token.
    #[error("a token is needed; have the site's backend sign one, and hand it over on joining")]
    Missing,
    /// It isn't a JWT, or one of another algorithm.
    #[error("the token can't be read; it has to be a JWT, signed with EdDSA or HS256 and handed over whole")]
    Unreadable,
    /// No key has the token's `kid`.
    #[error("the token's kid is the id of none of the site's keys; add the key to the site's `keys`")]
    UnknownKey,
    /// No key fits.
    #[error(
        "the token's signature fits none of the site's keys; sign with a key that is in the site's `keys`"
    )]
    Signature,
    /// A claim is missing, of a wrong type or out of bounds.
    #[error("the token's claims can't be used: {0}")]
    Claims(String),
    /// For somebody else.
    #[error("the token's aud names somebody else; leave it out or name \"rillcast\"")]
    Audience,
    /// For another site.
    #[error("the token is for another site")]
    Site,
    /// Its time is over.
    #[error("the token has expired; fetch a new one before joining")]
    Expired,
    /// Its time hasn't come.
    #[error("the token isn't valid yet; look at its nbf and iat, in seconds since 1970, and at the clocks")]
    Early,
    /// Valid for too long.
    #[error("the token lives longer than token_max_secs allows; look at its exp, in seconds since 1970")]
    TooLong,
    /// A seed or publisher with a viewer's token.
    #[error(
        "the token's role allows no more than its bearer's: seeds need \"seed\", publishing ones \"publisher\""
    )]
    Role,
    /// For other content.
    #[error("the token is for other content")]
    Content,
    /// For another site's pages.
    #[error("the token is bound to pages of another origin")]
    Origin,
    /// From outside the networks.
    #[error("the token is bound to other networks than the one this connection comes from")]
    Network,
    /// At the wrong time of day.
    #[error("the token isn't valid at this time of the day; look at its window, in UTC")]
    Window,
    /// Countries can't be told.
    #[error(
        "the token is bound to countries, and the server has no database to tell them by; start it with --geo-country \
         FILE, leave the claim out, or bind the token to networks"
    )]
    NoCountries,
    /// From another country.
    #[error(
        "the token is bound to other countries than the one this connection comes from, as far as that is known"
    )]
    Country,
    /// Providers can't be told.
    #[error(
        "the token is bound to providers (asns), and the server has no database to tell them by; start it with \
         --geo-asn FILE, leave the claim out, or bind the token to networks"
    )]
    NoAsns,
    /// From another provider.
    #[error(
        "the token is bound to other providers (asns) than the one this connection comes from, as far as that is known"
    )]
    Asn,
    /// Used from as many places as it may.
    #[error(
        "the token has been used from another address or page; fetch a new one, or raise its uses where viewers move"
    )]
    Replayed,
    /// There's no room to remember it.
    #[error(
        "the server can't remember more tokens with a jti; come back later, or raise token_memory in its settings file"
    )]
    MemoryFull,
}

/// Seconds by which the clocks of the site's backend and of this server may differ.
pub const LEEWAY: u64 = 30;
