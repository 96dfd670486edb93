//! Seeds that relay for viewers whom no direct path joins, where the site has no TURN server that would. A relay sees addresses and sealed datagrams.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rillcast_protocol::coding::{List, Text};
use rillcast_protocol::id::{PeerId, Role};
use rillcast_protocol::settings::Settings;
use rillcast_relay::Secret;

use super::{Desk, Swarm};
use crate::site::{MAX_SERVERS, Site, server};

/// A viewer is told of so many relays: each costs it a request while it gathers candidates, and one may be gone.
pub(super) const TOLD: usize = 2;
/// Of so many relays, those that were offered first, viewers are told; more step up as these go. Each of a swarm's members is matched with all of them.
pub(super) const MAX_RELAYS: usize = 64;
/// Members hear of other relays so often at most: a seed that comes and goes isn't to keep everybody busy.
const EVERY: Duration = Duration::from_secs(10);

/// What one seed offers.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Offer {
    seed: PeerId,
    url: String,
    secret: Secret,
}

/// All that seeds offer.
#[derive(Debug, Default)]
pub(super) struct Offers {
    all: Vec<Offer>,
    /// Not all members have heard of it.
    news: bool,
    told: Option<Instant>,
}

impl Offers {
    /// Adds to what a peer is told, unless its site wants none, it has other relays already, or must be known to no seed.
    pub(super) fn add_to(&self, settings: &mut Settings, site: &Site, peer: PeerId, role: Role, until: u64) {
        let wants = site.seed_relays && role != Role::Seed && !settings.relay_only;
        if !wants || self.all.is_empty() || settings.has_relays() {
            return;
        }
        // By rendezvous hashing: every seed has its share of viewers, and those of one that goes are shared out.
        let reckoned = self.all.iter().take(MAX_RELAYS);
        let mut order: Vec<_> = reckoned.map(|offer| (score(offer.seed, peer), offer)).collect();
        order.sort_unstable_by_key(|(score, _)| *score);
        let room = MAX_SERVERS.saturating_sub(settings.ice.len()).min(TOLD);
        let user = peer.to_string();
        let told = order
            .into_iter()
            .take(room)
            .filter_map(|(_, offer)| server(Text::new(offer.url.as_str())?, &offer.secret, until, &user));
        settings.ice = List::clipped(settings.ice.iter().cloned().chain(told));
    }

    /// A seed offers nothing any more.
    pub(super) fn gone(&mut self, seed: PeerId) {
        let before = self.all.len();
        self.all.retain(|offer| offer.seed != seed);
        self.news |= self.all.len() != before;
    }
}

impl Swarm {
    /// A seed relays, or doesn't any more. It is found where it comes from itself, so nobody can send viewers to a stranger's port.
    pub(crate) fn offer_relay(&mut self, id: PeerId, port: u16, secret: &[u8; 32]) {
        // Noted even where the site wants none: it may want them later, and a seed says it once.
        let Some(member) = self.members.get(&id).filter(|m| m.is_seed()) else { return };
        let at = SocketAddr::new(member.joiner.subject.address.to_canonical(), port);
        let offer = Offer { seed: id, url: format!("turn:{at}?transport=udp"), secret: Secret::new(secret) };
        if self.offers.all.contains(&offer) {
            return;
        }
        self.offers.gone(id);
        if port > 0 {
            self.offers.all.push(offer);
            self.offers.news = true;
        }
    }

    /// Tells members of relays that have come or gone.
    pub(super) fn tell_offers(&mut self, desk: &Desk<'_>, now: Instant) {
        let recent = self.offers.told.is_some_and(|at| now.saturating_duration_since(at) < EVERY);
        if self.offers.news && !recent {
            (self.offers.news, self.offers.told) = (false, Some(now));
            self.review(desk, now);
        }
    }
}

fn score(seed: PeerId, peer: PeerId) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&seed.0).update(&peer.0);
    *hasher.finalize().as_bytes()
}
