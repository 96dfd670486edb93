//! How bytes move: [`upload`] to peers, [`download`] from peers, [`source`] from the origin, [`pace`] of the uplink,
//! [`yielding`] to everything else on it, and the [`priority`] that says what does.

pub mod download;
mod meter;
pub mod pace;
pub mod priority;
pub mod source;
pub mod upload;
pub mod yielding;

pub use download::Downloads;
pub use pace::Pacer;
pub use priority::Priority;
pub use source::Sources;
pub use upload::Uploads;
