//! A small network in virtual time, for the engine's own tests. The full simulator is a program of its own; this one is here so
//! that these tests need nothing else.
//!
//! - [`media`]: what is streamed: bodies, digests, names
//! - [`net`]: the clock, joining and leaving
//! - [`server`]: tickets, introductions, digests
//! - [`wires`]: links and uplinks
//! - [`source`]: the origin, and the publisher's hosted copies
//! - [`player`]: players that behave like hls.js
//! - [`figures`]: what a run has come to
//! - [`tape`]: a run recorded, to be played again to fresh engines
//! - [`tickets`]: the authority
//! - [`solo`]: one engine, driven by hand

pub mod figures;
pub mod media;
pub mod net;
pub mod player;
pub mod server;
pub mod solo;
pub mod source;
pub mod tape;
pub mod tickets;
pub mod wires;

pub use media::{AUDIO, Buf, HIGH, MAIN, Rendition, body, digest, entry, key, key_of, peer_id, video};
pub use net::{Net, Setup};
pub use solo::Solo;
pub use source::Answers;
