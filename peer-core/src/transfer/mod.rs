//! How bytes move: [`upload`] to peers, [`download`] from peers, [`source`] from the origin, [`pace`] of the uplink.

pub mod download;
pub mod pace;
pub mod source;
pub mod upload;

pub use download::Downloads;
pub use pace::Pacer;
pub use source::Sources;
pub use upload::Uploads;
