//! Chance in the laboratory: from the engine's generator, so that a run can be had again from its seed.

use rillcast_core::rng::Rng;

/// A generator that repeats itself for the same seed.
#[derive(Debug, Clone)]
pub struct Random(Rng);

impl Random {
    /// From a seed.
    pub fn new(seed: u64) -> Self {
        Self(Rng::new(seed))
    }

    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.0.draw()
    }

    /// A number below `n`, which is at least 1.
    pub fn below(&mut self, n: usize) -> usize {
        self.0.below(n)
    }

    /// Whether something happens that does so with this probability.
    pub fn happens(&mut self, probability: f64) -> bool {
        probability > 0.0 && (self.number() >> 11) as f64 / (1u64 << 53) as f64 <= probability
    }
}
