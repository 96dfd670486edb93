//! Puts the rooms together; decides nothing itself.

use crate::payload::Payload;
use crate::time::Instant;

pub mod io;
pub mod stats;

pub use io::*;
pub use stats::{LinkStats, Stats};

/// What a node is built with.
#[derive(Clone, Debug)]
pub struct Config {
    /// Viewer or seed.
    pub role: rillcast_protocol::id::Role,
    /// For every random choice.
    pub seed: u64,
    /// Bytes of blocks that may be held. At least what the player has asked for is always held.
    pub store_budget: u64,
}

/// One peer's engine.
#[derive(Debug)]
pub struct Engine<P> {
    _config: Config,
    outputs: std::collections::VecDeque<Output<P>>,
}

impl<P: Payload> Engine<P> {
    /// A node that knows nobody and plays nothing.
    pub fn new(config: Config) -> Self {
        Self { _config: config, outputs: Default::default() }
    }

    /// Takes one input.
    pub fn handle(&mut self, _now: Instant, _input: Input<P>) {}

    /// The next thing to do; drain to `None` after every input.
    pub fn poll_output(&mut self) -> Option<Output<P>> {
        self.outputs.pop_front()
    }

    /// When to call with [`Input::Timeout`] if nothing else happens before.
    pub fn poll_timeout(&self) -> Instant {
        Instant::NEVER
    }

    /// Counters and the picture of the moment.
    pub fn stats(&self, _now: Instant) -> Stats {
        Stats::default()
    }
}
