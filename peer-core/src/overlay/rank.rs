//! Whom we would rather be linked with.

use rillcast_protocol::id::{Role, TrackId};
use rillcast_protocol::signal::Network;

/// What partners are compared with: ourselves.
#[derive(Clone, Debug, Default)]
pub struct Place {
    /// Where we are.
    pub net: Network,
    /// What we play.
    pub tracks: Vec<TrackId>,
}

/// How well somebody suits us, the higher the better. Those who play the same rendition can give and take every block; those of the
/// same home, office or provider cost nobody else's network.
pub fn affinity(own: &Place, role: Role, net: Network, track: Option<TrackId>) -> u32 {
    let near = match net {
        n if n.site != 0 && n.site == own.net.site => 6,
        n if n.asn != 0 && n.asn == own.net.asn => 4,
        n if n.country != 0 && n.country == own.net.country => 1,
        _ => 0,
    };
    let same = track.is_some_and(|t| own.tracks.contains(&t));
    let seed = role == Role::Seed;
    near + if same { 4 } else { 0 } + if seed { 100 } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    // R6 R21 R26
    #[test]
    fn the_same_rendition_the_same_network_and_seeds_are_preferred() {
        let net = |asn, site| Network { asn, country: 0x4445, site };
        let own = Place { net: net(7, 9), tracks: vec![TrackId(1)] };
        let rank = |net, track| affinity(&own, Role::Viewer, net, Some(TrackId(track)));
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
