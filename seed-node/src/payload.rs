//! The payload that the engine moves here.

use bytes::{Bytes, BytesMut};
use rillcast_core::payload::Payload;

/// Media bytes; clones and slices share them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Media(pub Bytes);

impl Payload for Media {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn slice(&self, range: core::ops::Range<usize>) -> Self {
        Self(self.0.slice(range))
    }

    fn concat(parts: &[Self]) -> Self {
        if let [one] = parts {
            return one.clone();
        }
        let mut all = BytesMut::with_capacity(parts.iter().map(|p| p.0.len()).sum());
        parts.iter().for_each(|p| all.extend_from_slice(&p.0));
        Self(all.freeze())
    }
}
