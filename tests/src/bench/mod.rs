//! Measuring clients against each other, and against what is possible at all.

pub mod bound;
pub mod offload;
mod report;
