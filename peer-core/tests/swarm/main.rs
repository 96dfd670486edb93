//! The engine in small swarms and driven by hand, in virtual time. One module per subject; each test is one behaviour.
#![allow(missing_docs, unreachable_pub, clippy::unwrap_used)]

mod abr;
mod carrying;
mod choosing;
mod copying;
mod fuzz;
mod gossiping;
mod hearsay;
mod helping;
mod hostile;
mod lab;
mod leaving;
mod limits;
mod playing;
mod pollution;
mod priorities;
mod publishing;
mod reaching;
mod receipts;
mod relaying;
mod renewing;
mod replay;
mod revoking;
mod source;
mod swarms;
mod switches;
mod tickets;
mod wire;
