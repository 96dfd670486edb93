//! STUN and TURN over UDP (RFC 8489, RFC 8656): tells peers how they are seen from outside, and carries datagrams between those whom no direct path
//! joins, or whose addresses are to stay hidden. Signaling has it built in, and a seed may have it too.
//!
//! - [`credentials`]: names and passwords that count for a time, in the form that coturn takes too
//! - [`peers`]: to whom is relayed; not into the operator's own network
//! - [`quota`], [`limits`]: how much one user, one address and all together may have
//! - [`client`]: what one client says and hears; the protocol itself is `turn-server-proto`'s
//! - [`options`]: the command line's part of it
//! - [`relays`]: the sockets that relay
//! - [`serve`]: the task that puts them together; [`start`]: begins it
//! - [`stun`]: answers of its own, without relays
//! - [`cidr`], [`group`], [`rate`], [`random`], [`count`]: what they are made of
//!
//! One task does all of it. What waits for it is bounded: datagrams of clients in the socket, those of peers in [`relays::QUEUE`].

pub mod cidr;
pub mod client;
pub mod count;
pub mod credentials;
pub mod group;
pub mod limits;
pub mod options;
pub mod peers;
pub mod quota;
pub mod random;
pub mod rate;
pub mod relays;
pub mod serve;
pub mod start;
pub mod stun;

pub use count::{Count, Counters};
pub use credentials::Secret;
pub use limits::Limits;
pub use start::{Place, StartError, start};

/// What clients' keys are made with besides name and password. It names nothing: whose server it is, the client knows.
pub const REALM: &str = "rillcast";
