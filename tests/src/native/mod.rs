//! Peers without a browser, on real links and real signaling, in one process: what attacks and their victims are made of.
//!
//! - [`door`]: a bare connection to signaling, which joins and says what it is told
//! - [`site`]: a signaling server with a token key, and tokens for it
//! - [`stream`]: a small live stream whose every byte can be told
//! - [`station`]: a connection to signaling and links: the body of a peer, without a mind
//! - [`viewer`]: an honest one: the engine as its mind, and a player

pub mod door;
pub mod site;
pub mod station;
pub mod stream;
pub mod viewer;

pub use door::Door;
pub use site::Site;
pub use station::{Heard, Station, Visit};
pub use stream::Stream;
pub use viewer::Viewer;
