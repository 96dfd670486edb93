//! Messages between a peer and signaling, and what they are made of.

use rillcast_protocol::digest::{MAX_BLOCKS, MAX_SEGMENT, SegmentDigest};
use rillcast_protocol::id::{BlockIndex, SegmentKey};
use rillcast_protocol::settings::Settings;
use rillcast_protocol::signal::{ClientMessage, Network, PeerDescriptor, ServerMessage, hosted_path};
use rillcast_publisher::sign;

use crate::choice;
use crate::wire::one_form;

/// Reads one of them.
pub fn run(data: &[u8]) {
    let Some((which, data)) = choice(data, 7) else { return };
    match which {
        0 => drop(one_form::<ClientMessage>(data)),
        1 => drop(one_form::<ServerMessage>(data)),
        2 => {
            if let Some(found) = one_form::<SegmentDigest>(data) {
                digest(&found);
            }
        }
        3 => drop(one_form::<SegmentKey>(data).map(|key| key.place())),
        4 => drop(one_form::<Settings>(data)),
        5 => drop(one_form::<Network>(data)),
        _ => drop(one_form::<PeerDescriptor>(data)),
    }
}

/// The blocks of a digest cover its segment once, and its signature can be looked at.
fn digest(digest: &SegmentDigest) {
    assert!((1..=MAX_SEGMENT).contains(&digest.length) && digest.hashes.len() <= MAX_BLOCKS);
    let mut at = 0;
    for block in 0..digest.blocks() {
        let range = digest.range(BlockIndex(block));
        assert!(range.start == at && range.start < range.end && range.end - at <= digest.block_size());
        at = range.end;
    }
    assert_eq!(at, digest.length);
    assert!(!sign::verify(digest) || digest.signature != [0; 64], "nothing isn't a signature");
    let path = hosted_path(digest.swarm, digest.key);
    assert!(path.len() <= 128 && path.bytes().all(|b| b.is_ascii_hexdigit() || b == b'/'));
}
