//! Tickets that aren't the holder's own, or don't count.

use rillcast_protocol::ticket::SignedTicket;

use super::{Attack, Hand, To};

/// Shows another ticket than its own.
pub struct Shows<F>(pub F);

impl<F: FnMut(&SignedTicket) -> SignedTicket + Send> Attack for Shows<F> {
    fn ticket(&mut self, own: &SignedTicket) -> SignedTicket {
        (self.0)(own)
    }
}

/// Behaves until the server is away; then it hangs up, calls again by way of a common neighbour, and shows a ticket that it has altered.
#[derive(Debug, Default)]
pub struct ComesBack {
    lies: bool,
    victim: Option<To>,
    turns: u32,
}

/// Turns between hanging up and calling: a second.
const PAUSE: u32 = 20;
/// Calls of one victim.
const TRIES: u32 = 8;

impl Attack for ComesBack {
    fn ticket(&mut self, own: &SignedTicket) -> SignedTicket {
        let mut ticket = own.clone();
        if self.lies {
            ticket.body.expires_ms += 3_600_000;
        }
        ticket
    }

    fn tick(&mut self, hand: &mut Hand<'_>) {
        if !hand.away || (self.victim.is_none() && hand.neighbours.len() < 2) {
            return;
        }
        self.lies = true;
        // The last to come: a viewer rather than the seed.
        let Some(victim) = self.victim.or(hand.neighbours.last().copied()) else { return };
        self.victim = Some(victim);
        if self.turns == 0 {
            hand.lied(victim);
            hand.close(victim);
        }
        self.turns += 1;
        if self.turns > PAUSE * TRIES {
            // It may have gone: the next one.
            (self.victim, self.turns) = (None, 0);
            return;
        }
        if self.turns.is_multiple_of(PAUSE) {
            hand.call(victim.peer);
        }
    }
}
