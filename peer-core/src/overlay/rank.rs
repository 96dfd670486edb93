//! Whom we would rather be linked with.

use rillcast_protocol::id::{Role, TrackId};
use rillcast_protocol::nat::NatClass;
use rillcast_protocol::signal::Network;

use crate::wire::message::Playing;

/// On demand, whoever is ahead of us by no more segments still holds what we need next.
const AHEAD: u64 = 24;

/// What partners are compared with: ourselves.
#[derive(Clone, Debug, Default)]
pub struct Place {
    /// Where we are.
    pub net: Network,
    /// What we play, and where we are in it.
    pub playing: Vec<Playing>,
    /// What we spread, though we don't play it.
    pub helps: Option<TrackId>,
    /// Everybody is somewhere else in it.
    pub on_demand: bool,
    /// Partners aren't exchanged for better ones.
    pub settled: bool,
    /// How our network maps addresses.
    pub nat: NatClass,
    /// Links may go through a relay.
    pub relays: bool,
}

impl Place {
    /// Whether no way leads from here to a peer. Within one home or office there may be one that no NAT is on.
    pub fn is_out_of_reach(&self, nat: NatClass, net: Network) -> bool {
        let apart = self.net.site != 0 && net.site != 0 && self.net.site != net.site;
        apart && !self.relays && self.nat.is_hopeless_with(nat)
    }
}

/// Whoever plays the same rendition can give and take every block.
const KIN: u32 = 4;

/// How well what somebody plays goes with what we play. On demand, whoever is a little ahead gives, and whoever is behind takes.
fn closeness(own: &Place, playing: Option<Playing>) -> u32 {
    let common =
        playing.and_then(|p| own.playing.iter().find(|o| o.track == p.track).map(|o| (o.next, p.next)));
    match common {
        Some((ours, theirs)) if own.on_demand => match theirs.checked_sub(ours) {
            Some(0..=AHEAD) => KIN,
            Some(_) => KIN / 4,
            None => KIN / 2,
        },
        Some(_) => KIN,
        None if own.helps.is_some() && own.helps == playing.map(|p| p.track) => KIN,
        None => 0,
    }
}

/// Whether somebody has, or will have, all that we need next.
pub fn is_kin(own: &Place, playing: Option<Playing>) -> bool {
    closeness(own, playing) >= KIN
}

/// How well somebody suits us, the higher the better. Those of the same home, office or provider cost nobody else's network.
pub fn affinity(own: &Place, role: Role, net: Network, playing: Option<Playing>) -> u32 {
    let near = match net {
        n if n.site != 0 && n.site == own.net.site => 6,
        n if n.asn != 0 && n.asn == own.net.asn => 4,
        n if n.country != 0 && n.country == own.net.country => 1,
        _ => 0,
    };
    near + closeness(own, playing) + if role == Role::Seed { 100 } else { 0 }
}

#[cfg(test)]
mod tests {
    use rillcast_protocol::id::TrackId;

    use super::*;

    fn at(track: u64, next: u64) -> Playing {
        Playing { track: TrackId(track), next }
    }

    // R6
    #[test]
    fn on_demand_those_a_little_ahead_are_preferred() {
        let own = Place { playing: vec![at(1, 100)], on_demand: true, ..Place::default() };
        let rank = |track, next| affinity(&own, Role::Viewer, Network::default(), Some(at(track, next)));
        for ahead in [0, AHEAD - 1, AHEAD] {
            assert_eq!(rank(1, 100 + ahead), rank(1, 100), "at most so far");
        }
        let order = [rank(1, 100), rank(1, 99), rank(1, 101 + AHEAD), rank(2, 100)];
        assert!(order.is_sorted_by(|a, b| a > b), "{order:?}");
        assert!(is_kin(&own, Some(at(1, 100 + AHEAD))) && !is_kin(&own, Some(at(1, 99))));
        let live = Place { on_demand: false, ..own.clone() };
        let rank = |next| affinity(&live, Role::Viewer, Network::default(), Some(at(1, next)));
        assert_eq!(rank(50), rank(100), "live, all are at one place");
    }

    // R24 R31
    #[test]
    fn somebody_is_out_of_reach_only_where_all_of_it_is_known_and_no_relay_is_there() {
        use NatClass::{Dependent, Independent, Unknown};
        let net = |site| Network { site, ..Network::default() };
        let own = Place { net: net(7), nat: Dependent, ..Place::default() };
        assert!(own.is_out_of_reach(Dependent, net(8)));
        assert!(!own.is_out_of_reach(Dependent, net(7)), "in one home");
        assert!(!own.is_out_of_reach(Dependent, net(0)), "perhaps in one home");
        assert!(!own.is_out_of_reach(Independent, net(8)) && !own.is_out_of_reach(Unknown, net(8)));
        let relays = Place { relays: true, ..own.clone() };
        assert!(!relays.is_out_of_reach(Dependent, net(8)));
        let nowhere = Place { net: net(0), ..own.clone() };
        assert!(!nowhere.is_out_of_reach(Dependent, net(8)));
        assert!(!Place { nat: Unknown, ..own }.is_out_of_reach(Dependent, net(8)));
    }

    // R6 R21 R26
    #[test]
    fn the_same_rendition_the_same_network_and_seeds_are_preferred() {
        let net = |asn, site| Network { asn, country: 0x4445, site };
        let own = Place { net: net(7, 9), playing: vec![at(1, 7)], ..Place::default() };
        let rank = |net, track| affinity(&own, Role::Viewer, net, Some(at(track, 9)));
        let order = [
            rank(net(7, 9), 1),
            rank(net(7, 8), 1),
            rank(net(7, 9), 2),
            rank(net(6, 8), 1),
            rank(net(6, 8), 2),
            rank(Network::default(), 2),
        ];
        assert!(order.is_sorted_by(|a, b| a > b), "{order:?}");
        assert!(affinity(&own, Role::Seed, Network::default(), None) > order[0]);
        let nowhere = Place::default();
        assert_eq!(affinity(&nowhere, Role::Viewer, Network::default(), None), 0, "unknown is not equal");
    }
}
