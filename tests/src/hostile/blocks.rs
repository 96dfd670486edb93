//! Lies in the blocks themselves.

use rillcast_core::wire::message::BlockName;
use rillcast_core::wire::{Message, TransferId};
use rillcast_protocol::digest::SegmentDigest;
use rillcast_protocol::id::SegmentKey;

use super::{Attack, Hand, To};

/// What is wrong with the blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wrong {
    /// One bit of each is turned over.
    Altered,
    /// They stop half way.
    Truncated,
    /// They go on behind their end.
    Endless,
}

/// The bytes that a segment really has.
type Truth = Box<dyn Fn(SegmentKey) -> Vec<u8> + Send>;

/// Holds everything at once, offers it to everybody, and gives blocks that are wrong.
pub struct FalseBlocks {
    wrong: Wrong,
    /// The true bytes of a segment, where they are at hand. A false block is false without them too.
    truth: Truth,
    offers: u32,
}

impl FalseBlocks {
    /// Of a stream whose segments are these.
    pub fn new(wrong: Wrong, truth: impl Fn(SegmentKey) -> Vec<u8> + Send + 'static) -> Self {
        Self { wrong, truth: Box::new(truth), offers: 0 }
    }

    fn give(&self, hand: &mut Hand<'_>, to: To, transfer: TransferId, name: BlockName) {
        let Some(digest) = hand.digests.get(&name.key) else { return };
        let range = digest.range(name.block);
        let (start, end) = (range.start as usize, range.end as usize);
        let mut block = (self.truth)(name.key);
        block.resize(digest.length as usize, 0);
        let Some(block) = block.get_mut(start..end) else { return };
        match self.wrong {
            Wrong::Altered => {
                block[0] ^= 1;
                hand.block(to, transfer, block);
            }
            Wrong::Truncated => hand.block(to, transfer, &block[..block.len() / 2]),
            Wrong::Endless => {
                // True to the last byte, so that only the length is a lie.
                let end = block.len() as u32 - 1;
                hand.block(to, transfer, &block[..block.len() - 1]);
                hand.piece(to, transfer, end, vec![0; 4096]);
            }
        }
        hand.lied(to);
    }

    fn offer_all(&mut self, hand: &mut Hand<'_>, digest: &SegmentDigest, to: To) {
        hand.pretend(to, digest);
        for block in 0..digest.blocks() {
            self.offers += 1;
            hand.offer(to, self.offers, digest, block);
        }
    }
}

impl Attack for FalseBlocks {
    fn linked(&mut self, hand: &mut Hand<'_>, to: To) {
        for digest in hand.digests.values().rev().take(8).cloned().collect::<Vec<_>>() {
            self.offer_all(hand, &digest, to);
        }
    }

    fn heard(&mut self, hand: &mut Hand<'_>, from: To, message: &Message) {
        if let Message::Request { transfer, name, .. } | Message::Grant { transfer, name, .. } = message {
            self.give(hand, from, *transfer, *name);
        }
    }

    fn appeared(&mut self, hand: &mut Hand<'_>, digest: &SegmentDigest) {
        for to in hand.neighbours {
            self.offer_all(hand, digest, *to);
        }
    }
}
