//! Rendezvous for Rillcast viewers: lets peers into swarms, introduces them, relays what they need to connect, and
//! tells them what is true (digests). It never sees media, except where it has to publish digests itself.
//!
//! - [`options`], [`limits`], [`site`]: everything that can be set
//! - [`listen`], [`proxy`], [`http`], [`socket`]: connections, from accept to message
//! - [`auth`]: who may join
//! - [`policy`], [`revocation`]: who may stay, and as what
//! - [`authority`]: signs for all of that, so that peers can check it without us
//! - [`quota`]: what one address, one token, one site may use
//! - [`geo`]: in which country and with which provider an address is
//! - [`hub`], [`swarm`]: all swarms, and one swarm; no sockets in there
//! - [`introduce`], [`network`], [`outbox`], [`random`], [`content`]: what they are made of
//! - [`hosted`]: bytes of the built-in publisher, handed on once
//! - [`bundle`], [`admin`], [`audit`], [`receipts`], [`metrics`]: what else the binary does

pub mod admin;
pub mod audit;
pub mod auth;
pub mod authority;
pub mod bundle;
pub mod content;
pub mod geo;
pub mod hosted;
pub mod http;
pub mod hub;
pub mod introduce;
pub mod keep;
pub mod limits;
pub mod listen;
pub mod metrics;
pub mod network;
pub mod options;
pub mod outbox;
pub mod policy;
pub mod proxy;
pub mod quota;
pub mod random;
pub mod receipts;
pub mod revocation;
pub mod server;
pub mod site;
pub mod socket;
pub mod swarm;
pub mod watch;

pub use options::Options;
pub use server::{Running, start};
