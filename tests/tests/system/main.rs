//! Whole-system tests. One module per subject; one program, for each would be linked with all that they test. Those whose modules are named
//! `browser_*` or `seed_crowd` run one at a time, with nothing beside them: `.config/nextest.toml`.
#![allow(clippy::unwrap_used, reason = "a test that can't go on fails")]

mod attack;
mod browser_agent;
mod browser_attacked;
mod browser_bench_offload;
mod browser_control;
mod browser_demo_page;
mod browser_ingest;
mod browser_nats;
mod browser_parts;
mod browser_plain;
mod browser_receipts;
mod browser_relayed;
mod browser_sessions;
mod common;
mod media_files;
mod nats;
mod netlab;
mod origin_bytes;
mod origin_stream;
mod publishers;
mod seed_crowd;
