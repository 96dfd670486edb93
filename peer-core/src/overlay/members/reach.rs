//! Of those known, whom no way leads to.

use rillcast_protocol::id::PeerId;
use rillcast_protocol::nat::NatClass;

use super::{Known, Members, State};
use crate::engine::io::LinkId;
use crate::overlay::Place;
use crate::overlay::routes::MISSES;
use crate::time::Instant;

impl Members {
    /// A neighbour says how its network maps addresses. Should the link end, that stands before what others have said.
    pub fn told_nat(&mut self, link: LinkId, nat: NatClass) {
        let Some(l) = self.links.get_mut(&link) else { return };
        l.nat = nat;
        if let Some(known) = self.known.get_mut(&l.peer) {
            known.descriptor.nat = nat;
        }
    }

    /// An attempt has found no way to a peer; it is over, which [`closed`](Self::closed) is told.
    pub fn missed(&mut self, peer: PeerId, now: Instant) {
        let Some(known) = self.known.get_mut(&peer).filter(|k| k.state == State::Connecting) else { return };
        known.misses += 1;
        if known.misses >= MISSES {
            self.known.remove(&peer);
            self.out_of_reach.remember(peer, now);
        }
    }

    /// Whether a peer was tried in vain, times enough and not long ago.
    pub fn was_missed(&self, peer: PeerId, now: Instant) -> bool {
        self.out_of_reach.has(peer, now)
    }

    /// We may be in another network: who was out of reach may be within it now.
    pub fn forget_routes(&mut self) {
        self.out_of_reach.clear();
    }

    /// Ends the attempts to reach those whom no way leads to; told back: at whom.
    pub fn give_up_hopeless(&mut self, own: &Place, now: Instant) -> Vec<PeerId> {
        let mut given_up = Vec::new();
        for (id, known) in self.known.iter_mut() {
            if known.state == State::Connecting && known.is_out_of_reach(own) {
                (known.state, known.not_before) = (State::Idle, now);
                given_up.push(*id);
            }
        }
        given_up
    }
}

impl Known {
    pub(super) fn is_out_of_reach(&self, own: &Place) -> bool {
        own.is_out_of_reach(self.descriptor.nat, self.descriptor.net)
    }
}
