//! A publisher: follows media playlists, fetches every new segment once, and signs what it got.
//!
//! Signaling runs one for swarms that no seed publishes for; a seed node runs its own. Neither's policy is in here:
//! the owner says which playlists to follow and where the bytes go.
//!
//! - [`key`]: the signing key and its file
//! - [`track`]: what a playlist's URL makes of its track's name
//! - [`allow`]: which URLs may be fetched at all
//! - [`playlist`]: what a media playlist says, as far as it concerns us; `attributes` reads its tags
//! - [`dash`]: what an MPD says, as such playlists; [`manifest`]: either of them
//! - [`date`]: dates and lengths of time
//! - [`directives`]: what is said in a request for a low-latency playlist
//! - [`edge`]: when to look at a live playlist again; pure
//! - [`vod`]: what to digest next of a finished playlist; pure
//! - [`order`]: which of several seeds fetches what; pure
//! - [`ledger`]: what was signed already, so that no key gets two meanings; pure
//! - [`copies`]: copies that outlast the program, where the owner keeps some
//! - [`origin`]: bounded HTTP
//! - [`mirrors`]: other places of the same, for when an origin fails
//! - [`sign`]: block hashes and the signature, and its check
//! - [`follow`]: the task behind each followed playlist
//! - [`publisher`]: the handle

pub mod allow;
mod attributes;
pub mod copies;
pub mod dash;
pub mod date;
pub mod directives;
pub mod edge;
pub mod follow;
pub mod key;
pub mod ledger;
pub mod manifest;
pub mod mirrors;
pub mod order;
pub mod origin;
pub mod playlist;
pub mod publisher;
pub mod sign;
pub mod track;
pub mod vod;

pub use allow::AllowList;
pub use copies::Copies;
pub use key::PublishingKey;
pub use mirrors::Mirrors;
pub use order::Order;
pub use publisher::{Came, Config, Event, FollowError, Published, Publisher};
pub use reqwest::Url;
pub use track::track_id;
