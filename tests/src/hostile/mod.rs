//! Peers that really attack: they join with a real token, get a real ticket, make real links, and then lie. Each way to lie is a small file.
//!
//! - [`peer`]: the peer itself, which behaves as an honest one would where its attack says nothing else
//! - [`hand`]: what an attack can do
//! - [`log`]: what became of it
//! - [`guest`]: one among viewers in browsers
//! - [`blocks`], [`digests`], [`promises`], [`floods`], [`bombs`], [`tickets`], [`names`]: the attacks

pub mod blocks;
pub mod bombs;
pub mod digests;
pub mod floods;
pub mod guest;
pub mod hand;
pub mod log;
pub mod names;
pub mod peer;
pub mod promises;
pub mod tickets;

use rillcast_core::wire::Message;
use rillcast_protocol::digest::SegmentDigest;
use rillcast_protocol::ticket::SignedTicket;

pub use guest::Guest;
pub use hand::{Hand, To};
pub use log::{Fate, Log};
pub use peer::{Hostile, Running};

/// A way to lie. What isn't overridden is what an honest peer without any media would do.
pub trait Attack: Send {
    /// The ticket that is shown on a new link.
    fn ticket(&mut self, own: &SignedTicket) -> SignedTicket {
        own.clone()
    }

    /// A neighbour has let us in.
    fn linked(&mut self, _hand: &mut Hand<'_>, _to: To) {}

    /// A neighbour says something.
    fn heard(&mut self, _hand: &mut Hand<'_>, _from: To, _message: &Message) {}

    /// There is a new segment: the publisher has said so.
    fn appeared(&mut self, _hand: &mut Hand<'_>, _digest: &SegmentDigest) {}

    /// Time passes: about twenty times a second.
    fn tick(&mut self, _hand: &mut Hand<'_>) {}
}
