//! WebRTC with every peer on one UDP port.
//!
//! - [`endpoint`]: what all links share; start here
//! - [`link`]: one link and its task; `serving`: what that does while there is a connection; `reader`: what comes in on it
//! - [`pacer`]: how much may be on its way on a link; pure logic
//! - [`connection`]: one connection of the WebRTC stack, set up our way
//! - [`runtime`], [`mux`]: the stack's sockets, which are all the same one; [`port`]: one link's place there
//! - [`burst`]: how many datagrams the stack gets at once; pure logic
//! - [`routes`], [`datagram`]: which datagram is for which link; pure logic
//! - [`outside`]: how we are seen from beyond a NAT, and a relay for those who can't reach us
//! - [`ways`]: which of a link's datagrams go through that relay; pure logic
//! - [`candidate`], [`socket`]: our addresses, and theirs; the socket itself

pub mod burst;
pub mod candidate;
mod connection;
pub mod datagram;
pub mod endpoint;
pub mod link;
pub mod mux;
pub mod outside;
pub mod pacer;
pub mod port;
mod reader;
pub mod routes;
pub mod runtime;
mod serving;
pub mod socket;
pub mod ways;

pub use endpoint::{Endpoint, EndpointConfig, EndpointError};
pub use link::{Happening, Link, LinkEvent, Start, Why};
