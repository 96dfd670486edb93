//! The browser shell around the engine: data channels, fetch, signaling and the clock in; an API for the page's
//! script out. It decides nothing: who, what, when and where from are the engine's.
//!
//! - `payload`: media bytes stay in JavaScript's memory; the engine moves handles
//! - `driver`: owns the engine, feeds it and does what it asks
//! - `rtc`: one `RTCPeerConnection` per link
//! - `signaling`: the WebSocket to the rendezvous server
//! - `source`: fetches from the origin, the CDN or a publisher
//! - `check`: hashes
//! - `api`: what the page's script calls, and what it is told

// Browser objects belong to one thread, and so does everything here: `Rc`, `Cell` and `RefCell` throughout.
mod api;
mod check;
mod driver;
mod js;
mod payload;
mod rtc;
mod signaling;
mod source;
mod table;

pub use api::{Peer, start_up, track_name};
