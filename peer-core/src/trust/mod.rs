//! Who may be linked with (R41): tickets, the authority's time, what is revoked, and those who wait at the gate.
//!
//! A link counts for nothing before the ticket of whoever is at its other end has been verified. There is no way around it: a neighbour's
//! [`Link`](crate::overlay::Link) is made from its ticket.

pub mod clock;
pub mod gate;
pub mod ledger;
pub mod refusal;
pub mod tickets;

pub use gate::{Gate, Guest};
pub use ledger::Ledger;
pub use refusal::Refusal;
pub use tickets::Trust;
