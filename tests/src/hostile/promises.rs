//! Promises that aren't kept.

use rillcast_core::wire::Message;
use rillcast_core::wire::message::No;
use rillcast_protocol::digest::SegmentDigest;

use super::{Attack, Hand, To};

/// Which promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Promise {
    /// To hold every block; none is given.
    Haves,
    /// To send a block: its first kilobyte comes, and then nothing.
    Upload,
    /// To fetch all of a segment from the source.
    Claims,
}

/// Promises, and doesn't keep it.
pub struct Breaks(pub Promise);

impl Breaks {
    fn promise(&self, hand: &mut Hand<'_>, to: To, digest: &SegmentDigest) {
        hand.pretend(to, digest);
        match self.0 {
            Promise::Haves => {}
            Promise::Upload => {
                let number = (digest.key.number as u32).wrapping_mul(64);
                for block in 0..digest.blocks() {
                    hand.offer(to, number + u32::from(block), digest, block);
                }
            }
            Promise::Claims => {
                hand.say(to, &Message::Claim { key: digest.key, first: 0, count: digest.blocks() });
                hand.lied(to);
            }
        }
    }
}

impl Attack for Breaks {
    fn linked(&mut self, hand: &mut Hand<'_>, to: To) {
        for digest in hand.digests.values().rev().take(8).cloned().collect::<Vec<_>>() {
            self.promise(hand, to, &digest);
        }
    }

    fn heard(&mut self, hand: &mut Hand<'_>, from: To, message: &Message) {
        let (Message::Request { transfer, .. } | Message::Grant { transfer, .. }) = message else { return };
        match self.0 {
            Promise::Haves | Promise::Claims => {
                hand.say(from, &Message::Refuse { transfer: *transfer, why: No::NotHeld });
            }
            Promise::Upload => hand.piece(from, *transfer, 0, vec![0; 1024]),
        }
        hand.lied(from);
    }

    fn appeared(&mut self, hand: &mut Hand<'_>, digest: &SegmentDigest) {
        for to in hand.neighbours {
            self.promise(hand, *to, digest);
        }
    }
}
