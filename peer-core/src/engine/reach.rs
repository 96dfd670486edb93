//! Whom no way leads to (R24): how our network maps addresses, told to neighbours and server, and what follows from theirs.
//!
//! Where links may go through a relay nothing follows. Where they may not, nobody is called or answered whose class and ours are hopeless together
//! ([`NatClass::is_hopeless_with`]) or who was tried in vain before (`overlay/routes.rs`). While nothing is known, nothing is different either.

use rillcast_protocol::id::{Network, PeerId};
use rillcast_protocol::nat::{NatClass, TOLD_SINCE};

use crate::overlay::Link;
use crate::payload::Payload;
use crate::time::Instant;
use crate::wire::Message;

use super::{Engine, LinkId, Output};

impl<P: Payload + core::fmt::Debug + 'static> Engine<P> {
    /// The shell has found how our network maps addresses.
    pub(super) fn placed(&mut self, nat: NatClass, now: Instant) {
        if self.place.nat != NatClass::Unknown && self.place.nat != nat {
            self.members.forget_routes();
        }
        self.set_nat(nat);
        self.give_up_hopeless(now);
    }

    /// The server sees us in another network: what was found out was found out in the former. (Who changes networks loses the connection to the server,
    /// and is seen anew by it. The shell says anew what it knows, too.)
    pub(super) fn moved(&mut self, from: Network, to: Network) {
        if from != Network::default() && from != to {
            self.members.forget_routes();
            self.set_nat(NatClass::Unknown);
        }
    }

    fn set_nat(&mut self, nat: NatClass) {
        if nat != self.place.nat {
            self.place.nat = nat;
            self.tell_some(&Message::Nat { class: nat }, |l| l.version >= TOLD_SINCE);
            self.tell_server_nat();
        }
    }

    /// For whom the server introduces us to.
    fn tell_server_nat(&mut self) {
        if self.server_version >= TOLD_SINCE {
            self.outputs.push_back(Output::Nat { class: self.place.nat });
        }
    }

    /// The server has let us in. It speaks this version.
    pub(super) fn introduce_nat(&mut self, version: u8) {
        self.server_version = version;
        if self.place.nat != NatClass::Unknown {
            self.tell_server_nat();
        }
    }

    /// To a new neighbour.
    pub(super) fn show_nat(&mut self, link: LinkId) {
        let class = self.place.nat;
        let understands = |l: &Link| l.version >= TOLD_SINCE;
        if class != NatClass::Unknown && self.members.link(link).is_some_and(understands) {
            self.send(link, Message::Nat { class });
        }
    }

    /// Attempts that can't come to anything are ended; others may be made in their place.
    pub(super) fn give_up_hopeless(&mut self, now: Instant) {
        for peer in self.members.give_up_hopeless(&self.place, now) {
            self.hang_up(peer);
            self.upkeep_at = now;
        }
    }

    /// An attempt has ended, and no way to the peer was found. With relays there ought to be one; what failed then was something else.
    pub(super) fn no_way(&mut self, peer: PeerId, now: Instant) {
        if !self.place.relays {
            self.members.missed(peer, now);
        }
        self.link_closed(peer, None, now);
    }
}
