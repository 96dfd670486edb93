//! Whom we know, whom we are linked to, what they hold and play.

pub mod link;
pub mod members;

pub use link::Link;
pub use members::Members;
