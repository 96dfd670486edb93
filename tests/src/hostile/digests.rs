//! Lies about what segments are.

use rillcast_core::wire::Message;
use rillcast_protocol::digest::SegmentDigest;

use super::{Attack, Hand, To};

/// Which digest is shown.
#[derive(Debug, Clone)]
pub enum Shown {
    /// The true one of a segment to come, as far as anybody knows, with one hash altered.
    Altered,
    /// A true one under another segment's number.
    OtherSegment,
    /// One that is true and rightly signed, in another swarm.
    OtherSwarm(Box<SegmentDigest>),
}

/// Shows a digest that isn't what it says, as soon as it is let in.
pub struct FalseDigest(pub Shown);

impl FalseDigest {
    fn show(&self, hand: &mut Hand<'_>, to: To) {
        let Some(newest) = hand.digests.values().next_back().cloned() else { return };
        if hand.fate(to.peer).lied.is_some() {
            return;
        }
        let digest = match &self.0 {
            Shown::Altered => {
                let mut digest = newest;
                digest.hashes[0][0] ^= 1;
                // Of a segment whose true digest is known already a second one isn't even looked at.
                digest.key.number += 2;
                digest
            }
            Shown::OtherSegment => {
                let mut digest = newest;
                digest.key.number += 2;
                digest
            }
            Shown::OtherSwarm(digest) => (**digest).clone(),
        };
        hand.say(to, &Message::Digest { digest });
        hand.lied(to);
    }
}

impl Attack for FalseDigest {
    fn linked(&mut self, hand: &mut Hand<'_>, to: To) {
        self.show(hand, to);
    }

    fn appeared(&mut self, hand: &mut Hand<'_>, _: &SegmentDigest) {
        for to in hand.neighbours {
            self.show(hand, *to);
        }
    }
}
