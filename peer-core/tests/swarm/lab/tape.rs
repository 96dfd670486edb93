//! A run recorded: every input of every node with its moment, and a fingerprint of every output, to be played again to fresh
//! engines.

use rillcast_core::engine::{Config, Engine, Input, Output};
use rillcast_core::protocol::id::Role;
use rillcast_core::time::Instant;

use super::media::Buf;

/// One node's run.
#[derive(Clone, Debug)]
pub struct Tape {
    config: Config,
    steps: Vec<Step>,
}

#[derive(Clone, Debug)]
struct Step {
    now: Instant,
    input: Input<Buf>,
    answer: blake3::Hash,
}

/// Everything an engine answers to one input, put into one hash: the bytes of messages, payloads by their hash, the next timeout.
#[derive(Debug, Default)]
pub struct Answer(blake3::Hasher);

impl Answer {
    pub fn output(&mut self, output: &Output<Buf>) {
        self.0.update(format!("{output:?}\n").as_bytes());
    }

    fn close(mut self, timeout: Instant) -> blake3::Hash {
        self.0.update(&timeout.as_micros().to_be_bytes());
        self.0.finalize()
    }
}

impl Tape {
    pub fn new(config: Config) -> Self {
        Self { config, steps: Vec::new() }
    }

    pub fn record(&mut self, now: Instant, input: Input<Buf>, answer: Answer, timeout: Instant) {
        self.steps.push(Step { now, input, answer: answer.close(timeout) });
    }

    /// The same inputs, to be given to another kind of engine.
    pub fn with_role(&self, role: Role) -> Self {
        Self { config: Config { role, ..self.config.clone() }, steps: self.steps.clone() }
    }

    pub fn len(&self) -> usize {
        self.steps.len()
    }

    /// One hash for the whole of it.
    pub fn fingerprint(&self) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new();
        self.steps.iter().for_each(|s| {
            hasher.update(s.answer.as_bytes());
        });
        hasher.finalize()
    }

    /// Gives the inputs to a fresh engine; told back: the first one that it answers otherwise.
    pub fn replay(&self) -> Option<usize> {
        let mut engine = Engine::new(self.config.clone());
        self.steps.iter().position(|step| {
            engine.handle(step.now, step.input.clone());
            let mut answer = Answer::default();
            while let Some(output) = engine.poll_output() {
                answer.output(&output);
            }
            answer.close(engine.poll_timeout()) != step.answer
        })
    }
}
