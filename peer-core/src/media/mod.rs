//! What there is to play, when it is needed, what we hold.

pub mod bits;
pub mod cutter;
pub mod segment;
pub mod store;
pub mod tally;
pub mod timeline;

pub use bits::Bits;
pub use cutter::Cutter;
pub use segment::{Bringer, Segment, Slot};
pub use store::Store;
pub use tally::Tally;
pub use timeline::{MediaKind, Timeline};
