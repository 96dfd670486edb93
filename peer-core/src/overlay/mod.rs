//! Whom we know, whom we are linked to, whom we prefer, how many there are.

pub mod census;
pub mod helping;
pub mod link;
pub mod members;
pub mod rank;
pub mod routes;

pub use census::{Census, Populations};
pub use link::Link;
pub use members::Members;
pub use rank::Place;
