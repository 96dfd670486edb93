//! Joining, settings, closing of links, upkeep.

use rillcast_protocol::id::{PeerId, Role};
use rillcast_protocol::settings::Settings;
use rillcast_protocol::signal::{PeerDescriptor, Welcome};
use rillcast_protocol::ticket::{SignedTicket, Ticket};

use crate::overlay::Link;
use crate::overlay::members::{PING_EVERY, SILENCE, Want};
use crate::payload::Payload;
use crate::switches::Mechanism;
use crate::time::{Duration, Instant, Rate, micros};
use crate::wire::Message;

use super::{Engine, Event, LinkId, Membership, Output};
use rillcast_protocol::coding::Wire;

/// A browser's ceiling, whatever the site allows: each link costs memory and messages.
const MAX_LINKS: usize = 64;
/// However weak an uplink is, its owner takes from so many.
const FEW_LINKS: usize = 14;
/// A peer that the server has lost sight of answers a ping within this time, or is gone.
const ANSWER: Duration = Duration::from_millis(2000);
/// Segments behind a live player's that neighbours' maps are remembered of.
const BEHIND: u64 = 12;
/// Round trips of links that speak are measured this often.
const MEASURE_EVERY: Duration = Duration::from_millis(20_000);
/// The window allows for answers that take so much longer than the shortest. What a busy page takes is no queue of ours; more may be one.
const BUSY: Duration = Duration::from_millis(200);

impl<P: Payload + core::fmt::Debug + 'static> Engine<P> {
    pub(super) fn joined(&mut self, welcome: Welcome, now: Instant) {
        let Welcome {
            version, ticket, authorities, revocations, server_time_ms, settings, publishers, ..
        } = welcome;
        self.trust.joined(ticket.clone(), authorities, server_time_ms, now);
        self.become_member(ticket);
        self.introduce_nat(version);
        if let Some(revocations) = revocations {
            self.revocations_offered(revocations, None);
        }
        self.place.settled = !self.switches.has(Mechanism::Exchange);
        self.joined.get_or_insert(now);
        self.publishers = publishers.into_vec();
        self.announced.clear();
        self.apply(settings, now);
        self.upkeep_at = now;
    }

    /// What our ticket says that we are; neighbours are shown it.
    pub(super) fn become_member(&mut self, ticket: SignedTicket) {
        let Ticket { swarm, peer, nonce, weight, net, .. } = ticket.body;
        if self.switches.has(Mechanism::Locality) {
            self.moved(self.place.net, net);
            self.place.net = net;
        }
        self.membership = Some(Membership { swarm, peer, nonce, weight });
        let hello = self.hello(ticket);
        self.tell_all(&hello);
    }

    pub(super) fn apply(&mut self, settings: Settings, now: Instant) {
        self.trust.set_grace(settings.grace_secs);
        let hides = settings.relay_only && !self.settings.relay_only;
        self.place.relays = settings.has_relays();
        self.settings = settings;
        if !self.sharing() {
            self.gate.clear();
            for peer in self.members.clear() {
                self.outputs.push_back(Output::Close { peer });
            }
            self.index = Default::default();
            self.downloads = Default::default();
            self.uploads = Default::default();
            self.pacer = Default::default();
        }
        if hides {
            // Their other ends know our address, but no longer than they must. New links are made through relays.
            let peers: Vec<_> = self.members.links().map(|(_, l)| l.peer).collect();
            peers.into_iter().for_each(|peer| self.close(peer, now));
        }
        self.limit_upload();
    }

    /// The lower of the site's cap and the viewer's.
    pub(super) fn limit_upload(&mut self) {
        let caps = [self.settings.upload_cap, self.conditions.upload_cap];
        let cap = caps.into_iter().filter(|c| *c > 0).min();
        self.pacer.set_cap(cap.map(|c| Rate::new(u64::from(c))));
    }

    pub(super) fn introduced(&mut self, peers: &[PeerDescriptor], now: Instant) {
        let me = self.membership.map(|m| m.peer);
        let others: Vec<_> = peers.iter().filter(|p| Some(p.id) != me).copied().collect();
        self.members.introduce(&others, now);
        self.give_up_hopeless(now);
        self.upkeep_at = now;
    }

    /// The server lost sight of a peer. Its links may well work on (a server that restarts loses sight of everybody), so an open one is
    /// only asked for a sign of life, soon.
    pub(super) fn gone(&mut self, peer: PeerId, now: Instant) {
        match self.members.link_to(peer) {
            Some(link) => {
                if let Some(l) = self.members.link_mut(link) {
                    l.heard = l.heard.min(now.minus(SILENCE - ANSWER));
                }
                self.ping(link, now);
            }
            None => {
                if self.members.forget(peer) {
                    self.hang_up(peer);
                }
            }
        }
    }

    pub(super) fn link_closed(&mut self, peer: PeerId, link: Option<LinkId>, now: Instant) {
        if let Some(link) = link {
            self.gate.take(link);
            self.drop_link(link);
        }
        self.members.closed(peer, link, now);
        self.upkeep_at = now;
    }

    /// Gives a link up.
    pub(super) fn close(&mut self, peer: PeerId, now: Instant) {
        let link = self.members.link_to(peer);
        self.link_closed(peer, link, now);
        self.hang_up(peer);
    }

    /// Has the shell make a link.
    pub(super) fn connect(&mut self, peer: PeerId, initiate: bool) {
        let sealing = self.members.sealing(peer);
        self.outputs.push_back(Output::Connect { peer, initiate, sealing });
    }

    /// Has the shell end the link, or the attempt at one.
    pub(super) fn hang_up(&mut self, peer: PeerId) {
        self.gate.forget(peer);
        self.outputs.push_back(Output::Close { peer });
    }

    /// What was coming over the link comes from elsewhere; what was going is forgotten.
    fn drop_link(&mut self, link: LinkId) {
        self.index.drop_link(link);
        self.downloads.drop_link(link);
        let lost = self.uploads.drop_link(link);
        self.pacer.lost(lost);
    }

    /// A peer that broke the protocol or lied: never again in this visit.
    pub(super) fn expel(&mut self, link: LinkId, why: &'static str, now: Instant) {
        if let Some(peer) = self.cut_off(link, now) {
            self.outputs.push_back(Output::Event(Event::Liar { peer, why }));
        }
    }

    /// Ends a link, and with it all that its other end is known by.
    pub(super) fn cut_off(&mut self, link: LinkId, now: Instant) -> Option<PeerId> {
        let (peer, name) = self.members.link(link).map(|l| (l.peer, l.name))?;
        self.drop_link(link);
        self.members.closed(peer, Some(link), now);
        self.members.ban(name);
        self.members.ban(peer);
        self.hang_up(peer);
        Some(peer)
    }

    pub(super) fn upkeep(&mut self, now: Instant) {
        self.limit_upload();
        if !self.sharing() {
            return;
        }
        let max = self.max_links();
        if self.membership.is_some() {
            self.check_tickets(now);
            self.settle_accounts(now);
            let wants = if self.trust.may_link(now) && !self.leaving {
                self.members.maintain(&self.place, max, &mut self.rng, now)
            } else {
                self.members.silent(now)
            };
            for want in wants {
                match want {
                    Want::Connect(peer, initiate) => self.connect(peer, initiate),
                    Want::Peers(count) => self.outputs.push_back(Output::WantPeers { count }),
                    Want::Close(peer) => self.close(peer, now),
                }
            }
        }
        // Whoever speaks is alive; the round trip is measured now and then all the same.
        let due = |l: &Link| {
            now.since(l.pinged) >= if now.since(l.heard) >= PING_EVERY { PING_EVERY } else { MEASURE_EVERY }
        };
        let quiet: Vec<_> = self.members.links().filter(|(_, l)| due(l)).map(|(id, _)| id).collect();
        for link in quiet {
            self.ping(link, now);
        }
        let (mut rtts, mut busy, mut measured) = (0, 0, 0);
        for (_, l) in self.members.links() {
            let Some(rtt) = l.rtt else { continue };
            let over = l.delay.saturating_sub(rtt).min(BUSY);
            (rtts, busy, measured) = (rtts + micros(rtt), busy + micros(over), measured + 1);
        }
        let mean = |sum: u64| sum.checked_div(measured);
        if let (Some(rtt), Some(busy)) = (mean(rtts), mean(busy)) {
            self.pacer.set_rtt(rtt, busy);
        }
        self.members.links_mut().for_each(|(_, l)| l.forget_old(now));
        // Far behind a live edge nobody needs anything; on demand, anything may be jumped to.
        if let Some(oldest) = self.timeline.current().filter(|c| c.live).map(|c| c.next).min() {
            self.index.keep(|key| key.number + BEHIND >= oldest);
        }
        let (unanswered, lost) = self.uploads.reap(now);
        if !unanswered.is_empty() {
            self.has_room();
        }
        for (link, name) in unanswered {
            if let Some(l) = self.members.link_mut(link) {
                l.decline(name.key, crate::wire::message::No::Busy, now);
            }
        }
        self.pacer.lost(lost);
        self.reap_downloads(now);
        self.gossip(now);
        self.consider_helping(now);
    }

    /// Links that we may have. A strong uplink keeps itself busy only with many to give to, a weak one needs few.
    pub(super) fn max_links(&self) -> usize {
        if self.config.role == Role::Seed {
            return usize::MAX;
        }
        let most = usize::from(self.settings.max_links).min(MAX_LINKS);
        match (self.bitrate, self.uplink()) {
            (0, _) | (_, 0) => most,
            _ if !self.switches.has(Mechanism::UplinkLinks) => most,
            (bitrate, uplink) => {
                let percent = (80 + 35 * u64::from(uplink) / bitrate).clamp(90, 200) as usize;
                let own = (most * percent / 100).max(most.min(FEW_LINKS));
                // Besides its own, a helper needs neighbours whom it helps.
                let helped = if self.helping.track.is_some() { most * 2 / 3 } else { 0 };
                (own + helped).min(MAX_LINKS)
            }
        }
    }

    pub(super) fn ping(&mut self, link: LinkId, now: Instant) {
        if let Some(l) = self.members.link_mut(link) {
            l.pinged = now;
        }
        self.send(link, Message::Ping { stamp: now.as_micros() });
    }

    pub(super) fn send(&mut self, link: LinkId, message: Message) {
        self.outputs.push_back(Output::Control { link, bytes: message.to_bytes() });
    }

    pub(super) fn tell_all(&mut self, message: &Message) {
        self.tell_some(message, |_| true);
    }

    pub(super) fn tell_some(&mut self, message: &Message, whom: impl Fn(&Link) -> bool) {
        let bytes = message.to_bytes();
        for (link, _) in self.members.links().filter(|(_, l)| whom(l)) {
            self.outputs.push_back(Output::Control { link, bytes: bytes.clone() });
        }
    }
}
