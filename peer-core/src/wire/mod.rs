//! What peers say to each other: [`message`] on the control channel, [`bulk`] on the bulk channel.

pub mod bulk;
pub mod message;

pub use bulk::BulkHeader;
pub use message::{Message, TransferId};
