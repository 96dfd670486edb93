//! Measuring clients against each other, and against what is possible at all.

pub mod attack;
pub mod bound;
pub mod ingest;
pub mod nat;
pub mod offload;
mod report;
