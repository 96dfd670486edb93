//! Messages of the control channel and the bulk header, from a peer.

use rillcast_core::engine::{BULK_HEADER, MAX_CONTROL};
use rillcast_core::media::Bits;
use rillcast_core::rng::Rng;
use rillcast_core::wire::{BulkHeader, Message};
use rillcast_protocol::coding::Wire;
use rillcast_protocol::digest::MAX_BLOCKS;

use crate::wire::one_form;

/// Reads a message, a set of blocks and a header.
pub fn run(data: &[u8]) {
    if let Ok(message) = Message::parse(data) {
        assert!(data.len() <= MAX_CONTROL);
        assert_eq!(one_form::<Message>(data), Some(message));
    }
    if let Some(blocks) = one_form::<Bits>(data) {
        set(&blocks);
    }
    if let Some(header) = data.first_chunk::<BULK_HEADER>() {
        assert_eq!(BulkHeader::from_bytes(*header).to_bytes(), *header);
    }
}

/// A set that came over the wire holds what a set may hold, and its operations agree with each other.
fn set(blocks: &Bits) {
    let list = blocks.list();
    assert_eq!(list.len(), blocks.count() as usize);
    assert_eq!(list.is_empty(), blocks.is_empty());
    assert!(list.is_sorted_by(|a, b| a < b) && list.iter().all(|b| blocks.contains(*b)));
    assert!(list.iter().all(|b| usize::from(*b) < MAX_BLOCKS.next_multiple_of(64)));
    assert_eq!(blocks.any(&mut Rng::new(1)).is_some(), !list.is_empty());
    let full = Bits::full(100);
    let (mut rest, mut common, mut all) = (full.clone(), full.clone(), full.clone());
    rest.subtract(blocks);
    common.intersect(blocks);
    all.merge(blocks);
    assert!(all.includes(&full) && all.includes(blocks) && blocks.includes(&common));
    assert_eq!(rest.count() + common.count(), 100);
    assert_eq!(Bits::from_bytes(&all.to_bytes()), Ok(all));
}
