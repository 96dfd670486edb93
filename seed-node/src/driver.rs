//! One swarm: the engine in a task, and everything around it that the engine asks for or hears from.
//!
//! The one law of the engine's surface holds here: after every input its outputs are drained, then one timer is armed.
//!
//! Queues that end here: links' events ([`EVENTS`]), news from signaling, pieces of fetches, the publisher's events.
//! All push back on who fills them.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError};

use ed25519_dalek::{Signer, SigningKey};
use rillcast_core::engine::{self, Conditions, Engine, Event, Input, LinkId, Output, Via};
use rillcast_core::time::Instant;
use rillcast_protocol::coding::{Blob, List, Text};
use rillcast_protocol::digest::SegmentDigest;
use rillcast_protocol::id::{Delivery, PeerId, Role, SegmentKey, SessionKey, SwarmId};
use rillcast_protocol::signal::{ClientMessage, Join, ServerMessage, Welcome, hosted_path};
use rillcast_publisher::{Publisher, PublishingKey, Url};
use tokio::sync::{mpsc, watch};

use crate::follow::Following;
use crate::links::Links;
use crate::manifest::{allow_list, read_manifest};
use crate::payload::Media;
use crate::picture::{Picture, Shared};
use crate::rtc::{Endpoint, Happening, LinkEvent};
use crate::signaling::{News, Signaling};
use crate::source::{PIECES, Piece, Place, Sources, What};
use crate::{Error, check};

/// Events of all links of a swarm that wait for the engine.
pub const EVENTS: usize = 256;
/// Newest digests that are told again to a server that we come back to: it may have started anew.
pub const RECENT: usize = 32;
/// How often things are looked after that have no event of their own.
const TICK: std::time::Duration = std::time::Duration::from_secs(1);

/// One swarm to take part in.
#[derive(Clone, Debug)]
pub struct SwarmConfig {
    /// The HLS manifest: a multivariant playlist, or a media playlist.
    pub manifest: Url,
    /// What the swarm is named by, if not by the manifest's URL.
    pub content: Option<String>,
    /// Where the token is that lets us in, if the site asks for one.
    pub token_file: Option<PathBuf>,
    /// Signaling's WebSocket.
    pub signal: Url,
    /// The site's name there.
    pub site: String,
    /// Prefixes of URLs that may be fetched besides the manifest's own origin.
    pub allow: Vec<String>,
    /// Follow every rendition, played or not.
    pub all_renditions: bool,
    /// Bytes of blocks held.
    pub store_budget: u64,
    /// Bytes/s given to all peers together; 0 is no cap.
    pub upload_cap: u32,
}

/// Told once, when first joined.
#[derive(Clone, Debug)]
pub struct Joined {
    /// The manifest.
    pub manifest: Url,
    /// The swarm.
    pub swarm: SwarmId,
    /// Who we are in it.
    pub peer: PeerId,
}

/// Takes part in a swarm until told to stop.
pub async fn run(
    config: SwarmConfig,
    key: PublishingKey,
    endpoint: Arc<Endpoint>,
    tls: Arc<rustls::ClientConfig>,
    shared: Shared,
    joined: mpsc::Sender<Joined>,
    mut stop: watch::Receiver<bool>,
) -> Result<(), Error> {
    let allow = allow_list(&config)?;
    let publisher_config = rillcast_publisher::Config { playlists: true, backlog: 1, ..Default::default() };
    let (publisher, mut published) = Publisher::new(key, publisher_config)?;
    let (pieces, mut fetched) = mpsc::channel(PIECES);
    let (link_events, mut from_links) = mpsc::channel(EVENTS);
    let session = session_key()?;
    let join = Join {
        version: rillcast_protocol::VERSION,
        site: Text::new(config.site.as_str()).ok_or(Error::TooLong("site"))?,
        content: Text::new(config.content.as_deref().unwrap_or(config.manifest.as_str()))
            .ok_or(Error::TooLong("manifest"))?,
        delivery: Delivery::Hls,
        role: Role::Seed,
        token: Blob::default(),
        publisher: Some(publisher.key()),
        fingerprint: endpoint.fingerprint(),
        session: Some(SessionKey(session.verifying_key().to_bytes())),
        sealing: Some(endpoint.sealer().key()),
        ticket: None,
    };
    let (signaling, mut news) =
        Signaling::start(config.signal.to_string(), join, config.token_file.clone(), tls);
    let mut random = [0u8; 8];
    getrandom::fill(&mut random).map_err(|e| Error::Random(e.to_string()))?;
    let mut driver = Driver {
        engine: Engine::new(engine::Config {
            role: Role::Seed,
            seed: u64::from_le_bytes(random),
            store_budget: config.store_budget,
        }),
        session,
        zero: std::time::Instant::now(),
        links: Links::new(endpoint, link_events),
        following: Following::new(publisher.clone(), Arc::clone(&allow), config.all_renditions),
        publisher,
        sources: Sources::new(pieces)?,
        signaling: Some(signaling),
        hosted_at: None,
        recent: VecDeque::new(),
        pending: VecDeque::new(),
        picture: Picture::default(),
        shared,
        joined: Some(joined),
        config,
    };
    driver.input(Input::Conditions(Conditions {
        may_upload: true,
        may_download: true,
        hidden: false,
        upload_cap: driver.config.upload_cap,
    }));
    let mut tick = tokio::time::interval(TICK);
    let manifest = read_manifest(driver.publisher.clone(), driver.config.manifest.clone(), allow);
    tokio::pin!(manifest);
    let mut know_manifest = false;
    while !*stop.borrow() {
        let timer = driver.next_timeout();
        tokio::select! {
            _ = stop.changed() => break,
            Some(event) = from_links.recv() => driver.link(event),
            Some(news) = news.recv() => driver.news(news),
            Some(event) = published.recv() => driver.published(event),
            Some(piece) = fetched.recv() => driver.piece(piece),
            urls = &mut manifest, if !know_manifest => {
                know_manifest = true;
                let now = driver.now();
                driver.following.renditions(now, urls);
            }
            () = sleep(timer), if timer.is_some() => driver.input(Input::Timeout),
            _ = tick.tick() => driver.tick(),
        }
    }
    driver.links.clear();
    // Links' tasks end by themselves; what they still tell goes nowhere.
    drop(from_links);
    if let Some(signaling) = driver.signaling.take() {
        drop(news);
        signaling.leave().await;
    }
    Ok(())
}

async fn sleep(duration: Option<std::time::Duration>) {
    tokio::time::sleep(duration.unwrap_or_default()).await;
}

/// This visit's own key.
fn session_key() -> Result<SigningKey, Error> {
    let mut secret = [0u8; 32];
    getrandom::fill(&mut secret).map_err(|e| Error::Random(e.to_string()))?;
    Ok(SigningKey::from_bytes(&secret))
}

struct Driver {
    config: SwarmConfig,
    engine: Engine<Media>,
    session: SigningKey,
    zero: std::time::Instant,
    links: Links,
    following: Following,
    publisher: Publisher,
    sources: Sources,
    signaling: Option<Signaling>,
    /// Where hosted segments of signaling's own publisher are, and in which swarm.
    hosted_at: Option<(Url, SwarmId)>,
    recent: VecDeque<SegmentDigest>,
    /// Inputs that outputs have led to.
    pending: VecDeque<Input<Media>>,
    picture: Picture,
    shared: Shared,
    joined: Option<mpsc::Sender<Joined>>,
}

impl Driver {
    fn now(&self) -> Instant {
        Instant::from_micros(u64::try_from(self.zero.elapsed().as_micros()).unwrap_or(u64::MAX))
    }

    fn next_timeout(&self) -> Option<std::time::Duration> {
        let at = self.engine.poll_timeout();
        (at != Instant::NEVER).then(|| at.since(self.now()))
    }

    /// Tells the engine, and does what it then asks for.
    fn input(&mut self, input: Input<Media>) {
        self.pending.push_back(input);
        while let Some(input) = self.pending.pop_front() {
            let now = self.now();
            self.engine.handle(now, input);
            while let Some(output) = self.engine.poll_output() {
                self.act(output);
            }
        }
    }

    fn act(&mut self, output: Output<Media>) {
        let now = self.now();
        match output {
            Output::Connect { peer, initiate, sealing } => self.links.connect(now, peer, initiate, sealing),
            Output::Close { peer } => self.links.close(peer),
            Output::Control { link, bytes } => {
                if let Some(link) = self.links.link(link.0) {
                    link.control(bytes);
                }
            }
            Output::Bulk { link, frame } => {
                if let Some(link) = self.links.link(link.0) {
                    link.bulk(frame);
                }
            }
            Output::Signal { to, payload } => {
                if let Some(payload) = Blob::new(payload) {
                    self.send(ClientMessage::Relay { to, payload });
                }
            }
            Output::Signaled { from, payload } => {
                let told = self.links.signalled(now, from, &payload);
                self.pending.extend(told);
            }
            Output::WantPeers { count } => self.send(ClientMessage::WantPeers { count }),
            Output::Renew => self.send(ClientMessage::Renew {}),
            Output::Fetch { fetch, key, range, via, .. } => {
                let place = self.place(key, via);
                self.sources.fetch(fetch, place, range);
            }
            Output::CancelFetch { fetch } => self.sources.cancel(fetch),
            Output::Verify { check, what } => {
                self.pending.push_back(Input::Verdict { check, ok: check::holds(&what) });
            }
            Output::Sign { check, message } => {
                let signature = self.session.sign(&message).to_bytes();
                self.pending.push_back(Input::Signed { check, signature });
            }
            Output::Vouchers { vouchers } => {
                self.send(ClientMessage::Vouchers { vouchers: List::clipped(vouchers) });
            }
            Output::Accuse { peer, key } => self.send(ClientMessage::Accuse { peer, key }),
            Output::Playing { tracks } => {
                let gone = self.following.playing(now, tracks);
                gone.into_iter().for_each(|track| self.sources.forget(track));
            }
            Output::WantDigests { keys } => {
                self.send(ClientMessage::WantDigests { keys: List::clipped(keys) });
            }
            Output::Event(Event::Liar { peer, why }) => {
                self.picture.liars += 1;
                tracing::warn!(%peer, why, "a peer broke the rules; its link is closed");
            }
            Output::Event(Event::Refused { peer, why }) => {
                self.picture.refused += 1;
                tracing::info!(%peer, why = why.word(), "a peer isn't linked with");
            }
            Output::Event(Event::Disputed { key, publishers: [first, second] }) => {
                self.picture.disputes += 1;
                tracing::error!(
                    number = key.number, %first, %second,
                    "two publishers contradict each other, so the segment isn't shared; revoke the one that lies"
                );
            }
            // Nobody plays here.
            Output::Deliver(_) | Output::Progress { .. } | Output::Failed { .. } | Output::Event(_) => {}
        }
    }

    fn place(&self, key: SegmentKey, via: Via) -> Option<Place> {
        match via {
            Via::Origin => self.sources.place(key),
            Via::Publisher => {
                let (base, swarm) = self.hosted_at.as_ref()?;
                Some(Place { url: base.join(&hosted_path(*swarm, key)).ok()?, part: None })
            }
        }
    }

    fn send(&self, message: ClientMessage) {
        // While we are away the server can't do anything about it; what matters is said again on joining.
        if self.picture.joined
            && let Some(signaling) = &self.signaling
            && !signaling.send(message)
        {
            tracing::warn!("signaling takes messages too slowly; one was dropped");
        }
    }

    fn link(&mut self, event: LinkEvent) {
        let LinkEvent { link: id, what } = event;
        let link = LinkId(id);
        if let Happening::Closed(why) = what {
            self.picture.link_ended(&why);
            let peer = self.links.peer(id);
            tracing::info!(?peer, ?why, "link ended");
            if let Some(input) = self.links.ended(id) {
                self.input(input);
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

    fn news(&mut self, news: News) {
        match news {
            News::Joined(welcome) => self.welcome(*welcome),
            News::Away(error) => {
                self.picture.joined = false;
                self.input(Input::ServerLost);
                self.publish_picture();
                tracing::warn!(%error, signal = rillcast_publisher::origin::bare(&self.config.signal), "away from signaling; links go on");
            }
            News::Message(message) => match *message {
                ServerMessage::Introduce { peers } => self.input(Input::Introduced(peers.into_vec())),
                ServerMessage::Gone { peer } => self.input(Input::Gone(peer)),
                ServerMessage::Digest { digest } => {
                    self.publisher.note(&digest);
                    self.input(Input::Digest(digest));
                }
                ServerMessage::Settings { settings } => self.input(Input::Settings(settings)),
                ServerMessage::Publishers { keys } => self.input(Input::Publishers(keys.into_vec())),
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

    fn welcome(&mut self, welcome: Welcome) {
        let now = self.now();
        self.picture.joined = true;
        let (swarm, peer) = (welcome.swarm(), welcome.peer());
        self.picture.peer = Some(peer);
        self.picture.swarm = Some(swarm);
        self.hosted_at =
            hosted_base(&self.config.signal, welcome.publisher_base.as_str()).map(|base| (base, swarm));
        self.links.joined(peer);
        for track in self.following.joined(now, swarm) {
            self.sources.forget(track);
        }
        self.recent.retain(|digest| digest.swarm == swarm);
        self.input(Input::Welcome(welcome.into()));
        for digest in self.recent.clone() {
            self.send(ClientMessage::Publish { digest });
        }
        self.publish_picture();
        tracing::info!(%swarm, %peer, "joined");
        if let Some(joined) = self.joined.take() {
            let _ = joined.try_send(Joined { manifest: self.config.manifest.clone(), swarm, peer });
        }
    }

    fn published(&mut self, event: rillcast_publisher::Event) {
        match event {
            rillcast_publisher::Event::Published(published) => {
                let digest = published.digest;
                if Some(digest.swarm) != self.picture.swarm {
                    return;
                }
                self.picture.published += 1;
                self.picture.published_bytes += published.body.len() as u64;
                if self.recent.len() == RECENT {
                    self.recent.pop_front();
                }
                self.recent.push_back(digest.clone());
                self.send(ClientMessage::Publish { digest: digest.clone() });
                self.input(Input::Published { digest, body: Media(published.body) });
            }
            rillcast_publisher::Event::Playlist { track, playlist, .. } => {
                self.sources.learn(track, playlist)
            }
            rillcast_publisher::Event::Conflict { .. } => self.picture.conflicts += 1,
            rillcast_publisher::Event::Skipped { .. } => self.picture.skipped += 1,
            rillcast_publisher::Event::Failing { why, .. } => tracing::warn!(why, "a playlist can't be had"),
        }
    }

    fn piece(&mut self, piece: Piece) {
        if !self.sources.counts(&piece) {
            return;
        }
        let fetch = piece.fetch;
        self.input(match piece.what {
            What::Head(head) => Input::SourceHead { fetch, head },
            What::Data(data) => Input::SourceData { fetch, data: Media(data) },
            What::End => Input::SourceEnd { fetch },
            What::Failed(error) => Input::SourceFailed { fetch, error },
        });
    }

    fn tick(&mut self) {
        let now = self.now();
        for input in self.links.overdue(now) {
            self.input(input);
        }
        for track in self.following.decide(now) {
            self.sources.forget(track);
        }
        self.publish_picture();
    }

    fn publish_picture(&mut self) {
        self.picture.stats = self.engine.stats();
        self.picture.links = self.links.len();
        self.picture.followed = self.following.len();
        self.shared.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&self.picture);
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
