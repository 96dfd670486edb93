//! What the engine tells for statistics and pages.

#[cfg(not(target_arch = "wasm32"))]
use rillcast_protocol::digest::SegmentDigest;
use rillcast_protocol::id::{PeerId, PublisherKey, SegmentKey};

use crate::trust::Refusal;

/// Something worth telling.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A peer broke the protocol or sent a false block; its link is closed.
    Liar {
        /// Who.
        peer: PeerId,
        /// What it did.
        why: &'static str,
    },
    /// Somebody isn't linked with, or not any more.
    Refused {
        /// By which name it was to be, or was, linked with. Somebody else may have answered to it.
        peer: PeerId,
        /// Why.
        why: Refusal,
    },
    /// The source's bytes disagree with the publisher's digest: played, not shared.
    SourceMismatch {
        /// Which segment.
        key: SegmentKey,
    },
    /// Two publishers contradict each other: played from the source, not shared.
    Disputed {
        /// Of which segment.
        key: SegmentKey,
        /// Whose digest was here first, and whose came then.
        publishers: [PublisherKey; 2],
    },
    /// Of a seed: a publisher of the site has signed for a segment. Its signature holds.
    #[cfg(not(target_arch = "wasm32"))]
    Heard {
        /// What it says.
        digest: Box<SegmentDigest>,
    },
    /// The guard stepped in.
    Rescue {
        /// For which segment.
        key: SegmentKey,
        /// Bytes asked of the source.
        bytes: u32,
    },
}
