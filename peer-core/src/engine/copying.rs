//! What a seed takes of other seeds to hold it too, and what it needn't hold (R30, R31). Which segments these are, its owner says; how they come, is
//! said here: they are asked for, block by block, of every seed that shows them, so one seed's uplink isn't all that they come by.

// A page is no seed, and doesn't download what only seeds do.
#[cfg(not(target_arch = "wasm32"))]
mod taking;

use rillcast_protocol::id::SegmentKey;

/// Segments being taken at a time.
pub const MAX_COPIES: usize = 64;

/// What is to be here, and what needn't.
#[derive(Clone, Debug, Default)]
pub(super) struct Copying {
    /// What is to come, in that order.
    take: Vec<SegmentKey>,
    /// In order.
    spare: Vec<SegmentKey>,
}

impl Copying {
    pub(super) fn takes(&self, key: &SegmentKey) -> bool {
        self.take.contains(key)
    }

    pub(super) fn is_spare(&self, key: &SegmentKey) -> bool {
        self.spare.binary_search(key).is_ok()
    }
}
