//! Pairs of peers who try to meet: behind NATs of every kind, with what signaling tells them to get through.
//!
//! - [`town`]: an internet with signaling on it, which answers STUN and relays, and coturn where asked for
//! - [`end`]: one end of a link: the native node's links, or a Chromium's
//! - [`visitor`]: a whole native peer
//! - `audience`: an origin, a seed of its streams, and whole viewers in browsers
//! - [`meet`]: two ends, their signals carried from one to the other, and by which way they met

mod audience;
pub mod end;
pub mod meet;
pub mod town;
pub mod visitor;

pub use end::{Chromium, End, Native};
pub use meet::{Met, Outcome, meet};
pub use town::Town;
pub use visitor::Visitor;
