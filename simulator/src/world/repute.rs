//! Whom the server sends away: the rule that signaling goes by (`signaling/src/swarm/repute.rs`), but for receipts, which nobody writes here.
//! Whoever is sent away watches on, from the source alone.

use rillcast_core::engine::Input;
use rillcast_core::protocol::settings::Settings;

use super::server::SERVER;
use super::{Event, World};

/// Independent witnesses that it takes.
const WITNESSES: usize = 3;

impl World {
    /// Somebody has told the server who sent it a false block.
    pub(super) fn accuse(&mut self, by: u32, accused: u32) {
        if self.without_server(by) || !self.is_there(accused) || !self.nodes[accused as usize].welcomed {
            return;
        }
        // Whoever has come by its link in another way may be one of many who gathered around it.
        let node = self.node(accused);
        if !node.introduced.contains(&by) || node.accusers.contains(&by) {
            return;
        }
        node.accusers.push(by);
        let node = &self.nodes[accused as usize];
        let against = self.witnesses(&node.accusers);
        if against >= WITNESSES && 2 * against > self.witnesses(&node.introduced) {
            self.after(SERVER, Event::SendAway(accused));
        }
    }

    /// How many of them are there, each office one.
    fn witnesses(&self, of: &[u32]) -> usize {
        let mut sites = Vec::new();
        let is_new = |n: &&u32| match self.nodes[**n as usize].site {
            _ if !self.is_there(**n) => false,
            Some(site) if sites.contains(&site) => false,
            site => {
                sites.extend(site);
                true
            }
        };
        of.iter().filter(is_new).count()
    }

    /// Its ticket counts no more.
    pub(super) fn send_away(&mut self, n: u32) {
        if !self.is_there(n) || self.nodes[n as usize].sent_away {
            return;
        }
        self.ledger.lies.sent_away += 1;
        let node = self.node(n);
        (node.welcomed, node.sent_away) = (false, true);
        let settings = Settings { enabled: false, ..self.settings.clone() };
        self.input(n, Input::Settings(settings));
    }
}
