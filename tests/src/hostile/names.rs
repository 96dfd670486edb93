//! Lies about who somebody is.

use rillcast_core::wire::Message;
use rillcast_core::wire::message::Acquaintance;
use rillcast_protocol::coding::{Blob, List, Text, Wire};
use rillcast_protocol::id::PeerId;
use rillcast_protocol::nat::NatClass;
use rillcast_protocol::session::{Description, SessionSignal};

use super::{Attack, Hand, To};

/// Does nothing but hold the links that it has.
#[derive(Debug, Default)]
pub struct Quiet;

impl Attack for Quiet {}

/// Tells a neighbour that somebody else, with whom it is linked, calls it anew: the call leads to the attacker.
pub struct CallsAs {
    /// In whose name.
    pub name: PeerId,
    /// Calls that are left.
    pub calls: u32,
}

impl CallsAs {
    fn call(&self, hand: &mut Hand<'_>, to: To) -> Option<()> {
        let ticket = hand.shown(self.name)?.clone();
        let description = Description {
            ufrag: Text::new("hostile")?,
            password: Text::new("0123456789abcdefABCDEF")?,
            fingerprint: hand.own.body.fingerprint,
        };
        let signal = SessionSignal::Offer { attempt: 7000 + self.calls, description };
        let payload = Blob::new(signal.to_bytes())?;
        hand.say(
            to,
            &Message::Relayed {
                from: Acquaintance { ticket, playing: None, nat: NatClass::Unknown },
                payload,
            },
        );
        hand.lied(to);
        Some(())
    }
}

impl Attack for CallsAs {
    fn tick(&mut self, hand: &mut Hand<'_>) {
        let victims: Vec<To> = hand.neighbours.iter().filter(|to| to.peer != self.name).copied().collect();
        if self.calls == 0 || victims.is_empty() || hand.shown(self.name).is_none() {
            return;
        }
        self.calls -= 1;
        for to in victims {
            let _ = self.call(hand, to);
        }
    }
}

/// Tells whoever lets it in of somebody who doesn't exist, in a ticket of its own making.
#[derive(Debug, Default)]
pub struct MakesUp;

impl Attack for MakesUp {
    fn linked(&mut self, hand: &mut Hand<'_>, to: To) {
        let mut ticket = hand.own.clone();
        ticket.body.peer = PeerId([0x77; 16]);
        let peers = List::clipped([Acquaintance { ticket, playing: None, nat: NatClass::Unknown }]);
        hand.say(to, &Message::Shuffle { peers });
        hand.lied(to);
    }
}
