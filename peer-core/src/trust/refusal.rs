//! Why somebody isn't linked with.

/// Why a link is closed whose other end may not be a neighbour, or not any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It said something else before it showed a ticket.
    NoTicket,
    /// Its first message can't be read, or is of a version that we don't speak.
    Unreadable,
    /// It said more than fits while its ticket was being verified.
    Flood,
    /// No ticket of it could be verified in time.
    Late,
    /// Another swarm's ticket.
    Swarm,
    /// A ticket of somebody else than we meant to link with.
    Peer,
    /// Somebody else's ticket: it belongs to another certificate than the link's.
    Certificate,
    /// Signed by nobody whose tickets count.
    Authority,
    /// Not signed by whom it names.
    Signature,
    /// Its time is over.
    Expired,
    /// Taken back by the authority.
    Revoked,
}

impl Refusal {
    /// In a word, for logs.
    pub const fn word(self) -> &'static str {
        match self {
            Self::NoTicket => "no ticket",
            Self::Unreadable => "unreadable",
            Self::Flood => "flood",
            Self::Late => "late",
            Self::Swarm => "swarm",
            Self::Peer => "peer",
            Self::Certificate => "certificate",
            Self::Authority => "authority",
            Self::Signature => "signature",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
        }
    }
}
