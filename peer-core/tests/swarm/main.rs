//! The engine in small swarms and driven by hand, in virtual time. One module per subject; each test is one behaviour.
#![allow(missing_docs, unreachable_pub, clippy::unwrap_used)]

mod hostile;
mod lab;
mod replay;
mod swarms;
