//! One visit to a swarm: the engine, and everything around it that it asks for or hears from, whatever the visitor's role. What a
//! role adds is its owner's: [`crate::driver`] seeds, [`crate::agent`] plays.
//!
//! The one law of the engine's surface holds here: after every input its outputs are drained, then one timer is armed. The owner has
//! a law too: after every call it drains [`Peer::told`].
//!
//! - `acting`: does what the engine asks for
//! - `hearing`: tells it what links, signaling and the source say
//!
//! Queues that end here: links' events ([`EVENTS`]), news from signaling, pieces of fetches. All push back on who fills them.

mod acting;
mod hearing;

use std::collections::{HashMap, VecDeque};
use std::path::PathBuf;
use std::sync::{Arc, PoisonError};

use bytes::Bytes;
use ed25519_dalek::SigningKey;
use rillcast_core::engine::{self, Conditions, Delivery, Engine, FetchId, Input, SourceError};
use rillcast_core::time::Instant;
use rillcast_protocol::coding::{Blob, Text};
use rillcast_protocol::digest::SegmentDigest;
use rillcast_protocol::id::{self, PeerId, PublisherKey, Role, SegmentKey, SessionKey, SwarmId, TrackId};
use rillcast_protocol::signal::{ClientMessage, Join, Popularity};
use rillcast_publisher::Url;
use tokio::sync::{mpsc, watch};
use tokio::time::Interval;

use crate::Error;
use crate::links::Links;
use crate::payload::Media;
use crate::picture::{Picture, Shared};
use crate::relay::Offer;
use crate::rtc::outside::Seen;
use crate::rtc::{Endpoint, LinkEvent};
use crate::share::Share;
use crate::signaling::{News, Signaling};
use crate::source::{PIECES, Piece, Sources};

/// Events of all links of a swarm that wait for the engine.
pub const EVENTS: usize = 256;
/// How often things are looked after that have no event of their own.
const TICK: std::time::Duration = std::time::Duration::from_secs(1);

/// Which swarm is visited, and as what.
#[derive(Clone, Debug)]
pub struct Visit {
    /// Signaling's WebSocket.
    pub signal: Url,
    /// The site's name there.
    pub site: String,
    /// What the swarm is named by.
    pub content: String,
    /// Viewer or seed.
    pub role: Role,
    /// Whose digests we publish, if we do.
    pub publisher: Option<PublisherKey>,
    /// Others may link with us. A publisher that can open no sealed signals is introduced to nobody.
    pub links: bool,
    /// HLS and DASH of one content are two swarms.
    pub delivery: id::Delivery,
    /// Where the token is that lets us in, if the site asks for one.
    pub token_file: Option<PathBuf>,
    /// Bytes of blocks held.
    pub store_budget: u64,
    /// Bytes/s given to all peers together; 0 is no cap.
    pub upload_cap: u32,
    /// The share of what all visits may give together, if that is capped.
    pub share: Option<Share>,
    /// What is uploaded yields to everything else on the uplink, whatever the site says.
    pub yields: bool,
    /// The relay that signaling is told of.
    pub relay: Option<Offer>,
}

/// What the owner of a visit has to know or to do.
#[derive(Debug)]
pub enum Told {
    /// The server let us in, or in again.
    Joined {
        /// The swarm.
        swarm: SwarmId,
        /// Who we are in it.
        peer: PeerId,
    },
    /// Another publisher has signed for a segment, and its signature holds; only seeds are told.
    Digest(SegmentDigest),
    /// A publisher whose word doesn't count yet has signed for a segment; only seeds are told.
    Unproven(SegmentDigest),
    /// Who shares the work of seeding, and what is played.
    Seeds {
        /// Their publishers' keys.
        keys: Vec<PublisherKey>,
        /// Those with the most viewers.
        tracks: Vec<Popularity>,
    },
    /// The renditions now played, by us or, of a seed, by those linked with it.
    Playing(Vec<TrackId>),
    /// A fetch of a whole segment has begun to bring it.
    Coming {
        /// Which segment.
        key: SegmentKey,
        /// How long it is, as far as its source says.
        total: Option<u32>,
    },
    /// Its next bytes.
    Came {
        /// Which segment.
        key: SegmentKey,
        /// In order, from its first byte on.
        data: Bytes,
    },
    /// The fetch has ended without bringing all of it.
    Broken {
        /// Which segment.
        key: SegmentKey,
    },
    /// A segment that was asked for.
    Delivered(Delivery<Media>),
    /// A segment that was asked for can't be had.
    Failed {
        /// Which.
        key: SegmentKey,
        /// The source's last word.
        error: SourceError,
    },
}

/// One visit.
#[derive(Debug)]
pub struct Peer {
    signal: Url,
    role: Role,
    engine: Engine<Media>,
    session: SigningKey,
    zero: std::time::Instant,
    links: Links,
    sources: Sources,
    /// The visit's own cap, and its share of all visits'.
    upload_cap: u32,
    share: Option<Share>,
    yields: bool,
    relay: Option<Offer>,
    /// `None` once we are about to leave.
    signaling: Option<Signaling>,
    /// Where hosted segments of signaling's own publisher are, and in which swarm.
    hosted_at: Option<(Url, SwarmId)>,
    /// Whose digests count.
    publishers: Vec<PublisherKey>,
    /// Of a viewer: fetches of whole segments from the origin, under way.
    whole: HashMap<FetchId, SegmentKey>,
    /// Inputs that outputs have led to.
    pending: VecDeque<Input<Media>>,
    told: VecDeque<Told>,
    picture: Picture,
    shared: Shared,
    from_links: mpsc::Receiver<LinkEvent>,
    news: mpsc::Receiver<News>,
    fetched: mpsc::Receiver<Piece>,
    /// How we are seen from outside, where we ask.
    seen: Option<watch::Receiver<Seen>>,
    tick: Interval,
}

impl Peer {
    /// Sets out: joins as soon as signaling answers. Must be called within a tokio runtime.
    pub fn start(
        visit: Visit,
        endpoint: Arc<Endpoint>,
        tls: Arc<rustls::ClientConfig>,
        client: reqwest::Client,
        shared: Shared,
    ) -> Result<Self, Error> {
        let (pieces, fetched) = mpsc::channel(PIECES);
        let (link_events, from_links) = mpsc::channel(EVENTS);
        let session = session_key()?;
        let join = Join {
            version: rillcast_protocol::VERSION,
            site: Text::new(visit.site.as_str()).ok_or(Error::TooLong("site"))?,
            content: Text::new(visit.content.as_str()).ok_or(Error::TooLong("manifest"))?,
            delivery: visit.delivery,
            role: visit.role,
            token: Blob::default(),
            publisher: visit.publisher,
            fingerprint: endpoint.fingerprint(),
            session: Some(SessionKey(session.verifying_key().to_bytes())),
            sealing: visit.links.then(|| endpoint.sealer().key()),
            ticket: None,
        };
        let mut random = [0u8; 8];
        getrandom::fill(&mut random).map_err(|e| Error::Random(e.to_string()))?;
        let (signaling, news) = Signaling::start(visit.signal.to_string(), join, visit.token_file, tls);
        let seen = endpoint.seen();
        let mut peer = Self {
            signal: visit.signal,
            role: visit.role,
            engine: Engine::new(engine::Config {
                role: visit.role,
                seed: u64::from_le_bytes(random),
                store_budget: visit.store_budget,
            }),
            session,
            zero: std::time::Instant::now(),
            links: Links::new(endpoint, link_events),
            sources: Sources::new(client, pieces),
            upload_cap: visit.upload_cap,
            share: visit.share,
            yields: visit.yields,
            relay: visit.relay,
            signaling: Some(signaling),
            hosted_at: None,
            publishers: Vec::new(),
            whole: HashMap::new(),
            pending: VecDeque::new(),
            told: VecDeque::new(),
            picture: Picture::default(),
            shared,
            from_links,
            news,
            fetched,
            seen,
            tick: tokio::time::interval(TICK),
        };
        peer.set_conditions();
        Ok(peer)
    }

    /// A node's conditions never change, but for its share of the uplink.
    fn set_conditions(&mut self) {
        let caps = [Some(self.upload_cap).filter(|cap| *cap > 0), self.share.as_ref().map(Share::granted)];
        self.input(Input::Conditions(Conditions {
            may_upload: true,
            may_download: true,
            hidden: false,
            upload_cap: caps.into_iter().flatten().min().unwrap_or(0),
        }));
    }

    /// Waits for whatever comes next and deals with it. May be dropped at any time without harm.
    pub async fn step(&mut self) {
        let timer = self.next_timeout();
        tokio::select! {
            Some(event) = self.from_links.recv() => self.link(event),
            Some(news) = self.news.recv() => self.news(news),
            Some(piece) = self.fetched.recv() => self.piece(piece),
            () = changed(&mut self.seen) => self.tell_nat(),
            () = sleep(timer), if timer.is_some() => self.input(Input::Timeout),
            _ = self.tick.tick() => self.look_after(),
        }
    }

    /// What the owner has to know or to do next; `None` when that was all.
    pub fn told(&mut self) -> Option<Told> {
        self.told.pop_front()
    }

    /// Time since the visit began.
    pub fn now(&self) -> Instant {
        Instant::from_micros(u64::try_from(self.zero.elapsed().as_micros()).unwrap_or(u64::MAX))
    }

    /// Where segments are, and with what they are asked for.
    pub fn sources(&mut self) -> &mut Sources {
        &mut self.sources
    }

    /// What is seen of the visit; the owner may count in it.
    pub fn picture(&mut self) -> &mut Picture {
        &mut self.picture
    }

    /// For each linked viewer, of the next few segments that it lacks those that aren't here whole.
    pub fn lacking(&self, ahead: usize) -> Vec<SegmentKey> {
        let mut lacking = Vec::new();
        for link in self.engine.stats().links.iter().filter(|link| link.role == Role::Viewer) {
            let Some((track, number)) = link.playing else { continue };
            let next = self.sources.upcoming(TrackId(track), number, ahead);
            lacking.extend(next.filter(|key| !self.engine.holds(key)));
        }
        lacking
    }

    /// What is held, shown and wanted here.
    pub fn engine(&self) -> &Engine<Media> {
        &self.engine
    }

    /// Tells signaling, unless we are away.
    pub fn send(&self, message: ClientMessage) {
        // While we are away the server can't do anything about it; what matters is said again on joining.
        if !self.picture.joined {
            return;
        }
        if self.signaling.as_ref().is_some_and(|signaling| !signaling.send(message)) {
            tracing::warn!("signaling takes messages too slowly; one was dropped");
        }
    }

    /// Sets out to leave: signaling is told, so that nobody is sent here any more; what was promised is finished, and nothing more promised.
    pub fn set_out(&mut self) {
        self.picture.joined = false;
        self.input(Input::Leaving);
        if let Some(signaling) = self.signaling.take() {
            tokio::spawn(signaling.leave());
        }
        self.show();
    }

    /// Whether something is still to be given to others.
    pub fn is_giving(&self) -> bool {
        self.engine.is_giving()
    }

    /// Closes all links, so that the others know at once, and leaves signaling.
    pub async fn leave(mut self) {
        self.links.clear();
        // Links' tasks end by themselves; what they still tell goes nowhere.
        drop(self.from_links);
        drop(self.news);
        if let Some(signaling) = self.signaling {
            signaling.leave().await;
        }
    }

    /// Tells the engine, and does what it then asks for.
    pub fn input(&mut self, input: Input<Media>) {
        self.pending.push_back(input);
        while let Some(input) = self.pending.pop_front() {
            let now = self.now();
            self.engine.handle(now, input);
            while let Some(output) = self.engine.poll_output() {
                self.act(output);
            }
        }
    }

    fn next_timeout(&self) -> Option<std::time::Duration> {
        let at = self.engine.poll_timeout();
        (at != Instant::NEVER).then(|| at.since(self.now()))
    }

    fn look_after(&mut self) {
        let now = self.now();
        for input in self.links.overdue(now) {
            self.input(input);
        }
        if let Some(share) = &self.share
            && share.report(self.engine.stats().uploaded_bytes, TICK, std::time::Instant::now())
        {
            self.set_conditions();
        }
        self.show();
    }

    /// Renews what is seen from outside.
    pub fn show(&mut self) {
        self.picture.stats = self.engine.stats();
        self.picture.links = self.links.len();
        self.shared.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&self.picture);
    }
}

/// Ends when we are seen otherwise than before; never where we don't ask.
async fn changed(seen: &mut Option<watch::Receiver<Seen>>) {
    if let Some(watched) = seen
        && watched.changed().await.is_ok()
    {
        return;
    }
    std::future::pending().await
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
