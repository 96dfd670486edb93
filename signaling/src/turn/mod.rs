//! A TURN server over UDP (RFC 8656): carries datagrams between peers whom no direct path joins, or whose addresses are to stay hidden.
//!
//! - [`credentials`]: names and passwords that count for a time, in the form that coturn takes too
//! - [`peers`]: to whom is relayed; not into the operator's own network
//! - [`quota`]: how much one user, one address and all together may have
//! - [`client`]: what one client says and hears; the protocol itself is `turn-server-proto`'s
//! - [`options`]: the command line's part of it
//! - [`relays`]: the sockets that relay
//! - [`serve`]: the task that puts them together
//!
//! One task does all of it. What waits for it is bounded: datagrams of clients in the socket, those of peers in [`relays::QUEUE`].

pub mod client;
pub mod credentials;
pub mod options;
pub mod peers;
pub mod quota;
pub mod relays;
pub mod serve;

pub use credentials::Secret;

/// What clients' keys are made with besides name and password. It names nothing: whose server it is, the client knows.
pub const REALM: &str = "rillcast";
