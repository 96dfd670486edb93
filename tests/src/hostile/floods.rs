//! More than anybody can serve.

use rillcast_core::transfer::Priority;
use rillcast_core::wire::message::BlockName;
use rillcast_core::wire::{Message, TransferId};
use rillcast_protocol::coding::List;
use rillcast_protocol::id::BlockIndex;

use super::{Attack, Hand, To};

/// Asks for blocks and digests, again and again, and says that all of it is urgent.
pub struct Requests {
    /// Of each neighbour at every turn.
    burst: u32,
    /// Of each neighbour in all.
    most: u32,
    sent: u32,
}

impl Requests {
    /// So many at every turn, and so many in all, of each neighbour.
    pub fn new(burst: u32, most: u32) -> Self {
        Self { burst, most, sent: 0 }
    }

    fn ask(&mut self, hand: &mut Hand<'_>, to: To) {
        let keys: Vec<_> = hand.digests.values().rev().take(8).map(|d| (d.key, d.blocks())).collect();
        if keys.is_empty() || hand.fate(to.peer).lies >= u64::from(self.most) {
            return;
        }
        let digests = keys.iter().map(|(key, _)| *key);
        hand.say(to, &Message::WantDigest { keys: List::clipped(digests) });
        for _ in 0..self.burst {
            self.sent += 1;
            let (key, blocks) = keys[self.sent as usize % keys.len()];
            let name = BlockName { key, block: BlockIndex(self.sent as u16 % blocks) };
            let transfer = TransferId::request(self.sent);
            hand.say(to, &Message::Request { transfer, name, need_ms: 0, priority: Priority::URGENT });
            hand.lied(to);
        }
    }
}

impl Attack for Requests {
    fn tick(&mut self, hand: &mut Hand<'_>) {
        for to in hand.neighbours {
            self.ask(hand, *to);
        }
    }
}
