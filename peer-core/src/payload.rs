//! What the engine moves without looking inside.

/// Media bytes by handle: a JS buffer in the browser, `bytes::Bytes` natively, a length in the simulator.
///
/// All three operations must be cheap: a clone and a slice share the bytes.
pub trait Payload: Clone {
    /// Bytes.
    fn len(&self) -> usize;
    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// A part of it; `range` lies within the length.
    fn slice(&self, range: core::ops::Range<usize>) -> Self;
    /// The parts one after the other. The one operation that may copy: a block arrives in a few messages.
    fn concat(parts: &[Self]) -> Self;
}

/// Plain bytes, for unit tests.
#[cfg(test)]
impl Payload for Vec<u8> {
    fn len(&self) -> usize {
        self.len()
    }
    fn slice(&self, range: core::ops::Range<usize>) -> Self {
        self[range].to_vec()
    }
    fn concat(parts: &[Self]) -> Self {
        parts.concat()
    }
}
