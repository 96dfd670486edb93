//! What somebody has given (R60): the receiver's signed word for it.
//!
//! A receipt is a total, so the newest of a pair replaces the others. With its receiver's ticket it speaks for itself: whoever knows the
//! authority's public key can check it, long after both have left.

use crate::id::{PeerId, SwarmId};
use crate::ticket::{SignedTicket, Statement};
use crate::wire_struct;

/// Vouchers in one message.
pub const MAX_VOUCHERS: usize = 16;

wire_struct! {
    /// So much has one peer had from another.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Receipt {
        /// In which swarm.
        pub swarm: SwarmId,
        /// From whom.
        pub giver: PeerId,
        /// Who says so.
        pub receiver: PeerId,
        /// Verified media bytes, over all of their links in this visit of the receiver's.
        pub bytes: u64,
    }
}

impl Statement for Receipt {
    const DOMAIN: &'static [u8] = b"rillcast receipt v1\0";
}

wire_struct! {
    /// A receipt that its giver can show to others.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Voucher {
        /// What was received.
        pub receipt: Receipt,
        /// The receiver's: says which key it signs with.
        pub ticket: SignedTicket,
        /// Ed25519 by the receiver's session key over the receipt, as [`statement_bytes`](crate::ticket::statement_bytes) writes it.
        pub signature: [u8; 64],
    }
}

impl Voucher {
    /// Whether receipt and ticket speak of the same receiver, and not of a peer that thanks itself. The signatures are somebody else's to check.
    pub fn is_sound(&self) -> bool {
        let Receipt { swarm, giver, receiver, .. } = self.receipt;
        let ticket = &self.ticket.body;
        giver != receiver && receiver == ticket.peer && swarm == ticket.swarm && ticket.session.is_some()
    }
}
