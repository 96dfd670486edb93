//! Tells the engine what links, signaling and the source say.

use rillcast_core::engine::{FetchId, Input, LinkId, SourceHead};
use rillcast_protocol::id::Role;
use rillcast_protocol::nat::NatClass;
use rillcast_protocol::signal::{ClientMessage, RELAYS_TAKEN_SINCE, ServerMessage, Welcome};
use rillcast_publisher::Url;

use super::{Peer, Told};
use crate::payload::Media;
use crate::relay::Offer;
use crate::rtc::link::Why;
use crate::rtc::{Happening, LinkEvent};
use crate::signaling::News;
use crate::source::{Piece, What};

impl Peer {
    pub(super) fn link(&mut self, event: LinkEvent) {
        let LinkEvent { link: id, what } = event;
        let link = LinkId(id);
        if let Happening::Closed(why) = what {
            self.picture.link_ended(&why);
            let peer = self.links.peer(id);
            tracing::info!(?peer, ?why, "link ended");
            if let Some(input) = self.links.ended(id) {
                self.input(match input {
                    Input::LinkClosed { peer, link: None } if why == Why::NoWay => Input::NoWay { peer },
                    other => other,
                });
            }
            return;
        }
        let Some(peer) = self.links.peer(id) else { return };
        match what {
            // By the server or by a common neighbour: the engine knows.
            Happening::Signal(signal) => {
                if let Some(payload) = self.links.seal(peer, &signal) {
                    self.input(Input::Signal { to: peer, payload });
                }
            }
            Happening::Open(fingerprint) => {
                if let Some(peer) = self.links.opened(id) {
                    tracing::info!(%peer, "link open");
                    self.input(Input::LinkOpen { link, peer, fingerprint });
                }
            }
            Happening::Control(bytes) => self.input(Input::Control { link, bytes }),
            Happening::Bulk { header, payload } => self.input(Input::Bulk { link, header, payload }),
            Happening::Drained => {
                if let Some(buffered) = self.links.link(id).map(|l| l.queued()) {
                    self.input(Input::Drained { link, buffered });
                }
            }
            Happening::Closed(_) => {}
        }
    }

    pub(super) fn news(&mut self, news: News) {
        // Who is about to leave has told the server so; what still comes is from before.
        if self.signaling.is_none() {
            return;
        }
        match news {
            News::Joined(welcome) => self.welcome(*welcome),
            News::Away(error) => {
                self.picture.joined = false;
                self.input(Input::ServerLost);
                self.show();
                tracing::warn!(%error, signal = rillcast_publisher::origin::bare(&self.signal), "away from signaling; links go on");
            }
            News::Message(message) => match *message {
                ServerMessage::Introduce { peers } => self.input(Input::Introduced(peers.into_vec())),
                ServerMessage::Gone { peer } => self.input(Input::Gone(peer)),
                // By somebody whose word isn't taken yet: seeds look whether it is true.
                ServerMessage::Digest { digest }
                    if self.role == Role::Seed && !self.publishers.contains(&digest.publisher) =>
                {
                    self.told.push_back(Told::Unproven(digest));
                }
                ServerMessage::Digest { digest } => self.input(Input::Digest(digest)),
                ServerMessage::Seeds { keys, tracks } => {
                    if self.role == Role::Seed {
                        let (keys, tracks) = (keys.into_vec(), tracks.into_vec());
                        self.told.push_back(Told::Seeds { keys, tracks });
                    }
                }
                ServerMessage::Settings { mut settings } => {
                    settings.yields |= self.yields;
                    self.links.name_servers(&settings.ice);
                    self.input(Input::Settings(settings));
                }
                ServerMessage::Publishers { keys } => {
                    self.publishers = keys.into_vec();
                    self.input(Input::Publishers(self.publishers.clone()));
                }
                ServerMessage::Relayed { from, payload } => {
                    let now = self.now();
                    if let Some(input) = self.links.signalled(now, from, payload.as_slice()) {
                        self.input(input);
                    }
                }
                ServerMessage::Pong { server_time_ms, .. } => self.input(Input::ServerTime(server_time_ms)),
                ServerMessage::Ticket { ticket, server_time_ms } => {
                    self.input(Input::ServerTime(server_time_ms));
                    self.input(Input::Ticket(ticket.into()));
                }
                ServerMessage::Revoked { revocations } => self.input(Input::Revoked(revocations.into())),
                ServerMessage::Welcome { .. } | ServerMessage::Refused { .. } => {}
            },
        }
    }

    fn welcome(&mut self, mut welcome: Welcome) {
        welcome.settings.yields |= self.yields;
        self.picture.joined = true;
        let (swarm, peer, version) = (welcome.swarm(), welcome.peer(), welcome.version);
        self.picture.peer = Some(peer);
        self.picture.swarm = Some(swarm);
        self.hosted_at = hosted_base(&self.signal, welcome.publisher_base.as_str()).map(|base| (base, swarm));
        self.links.joined(peer);
        self.links.name_servers(&welcome.settings.ice);
        self.told.push_back(Told::Joined { swarm, peer });
        self.publishers = welcome.publishers.to_vec();
        self.input(Input::Welcome(welcome.into()));
        self.tell_nat();
        if let Some(Offer { port, secret }) = self.relay.filter(|_| version >= RELAYS_TAKEN_SINCE) {
            self.send(ClientMessage::OfferRelay { port, secret });
        }
        self.show();
        tracing::info!(%swarm, %peer, "joined");
    }

    /// What is known of the NAT before us; the engine knows whether that is news.
    pub(super) fn tell_nat(&mut self) {
        let nat = self.seen.as_mut().map(|seen| seen.borrow_and_update().nat);
        if let Some(nat) = nat.filter(|nat| *nat != NatClass::Unknown) {
            self.input(Input::Nat(nat));
        }
    }

    pub(super) fn piece(&mut self, piece: Piece) {
        if !self.sources.counts(&piece) {
            return;
        }
        let fetch = piece.fetch;
        let whole = self.whole.get(&fetch).copied();
        let input = match piece.what {
            What::Head(head) => {
                if let (Some(key), SourceHead::Whole { total }) = (whole, head) {
                    self.told.push_back(Told::Coming { key, total });
                }
                Input::SourceHead { fetch, head }
            }
            What::Data(data) => {
                if let Some(key) = whole {
                    self.told.push_back(Told::Came { key, data: data.clone() });
                }
                Input::SourceData { fetch, data: Media(data) }
            }
            What::End => {
                // Whether that was all of it, the delivery says.
                self.whole.remove(&fetch);
                Input::SourceEnd { fetch }
            }
            What::Failed(error) => {
                self.broken(fetch);
                Input::SourceFailed { fetch, error }
            }
        };
        self.input(input);
    }

    pub(super) fn broken(&mut self, fetch: FetchId) {
        if let Some(key) = self.whole.remove(&fetch) {
            self.told.push_back(Told::Broken { key });
        }
    }
}

/// The base of hosted segments: absolute, or a path at signaling's own host.
fn hosted_base(signal: &Url, base: &str) -> Option<Url> {
    if base.is_empty() {
        return None;
    }
    let mut own = signal.clone();
    own.set_scheme(if signal.scheme() == "wss" { "https" } else { "http" }).ok()?;
    own.set_query(None);
    let mut url = own.join(base).ok()?;
    if !url.path().ends_with('/') {
        url.set_path(&format!("{}/", url.path()));
    }
    Some(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosted_segments_are_at_signaling_unless_it_says_otherwise() {
        let signal = Url::parse("wss://signal.example/ws").expect("a URL");
        let base = |b: &str| hosted_base(&signal, b).map(String::from);
        assert_eq!(base(""), None);
        assert_eq!(base("/segments").as_deref(), Some("https://signal.example/segments/"));
        assert_eq!(base("http://x.example/s").as_deref(), Some("http://x.example/s/"));
    }
}
