//! One manifest's players together are one viewer of its swarm: it joins when the first of them comes, and leaves some time after the
//! last has asked for anything.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::http::HeaderMap;
use rillcast_core::engine::{Input, MediaKind, Patience, SegmentEntry};
use rillcast_core::time::Instant;
use rillcast_protocol::coding::{List, Text};
use rillcast_protocol::id::{SegmentKey, TrackId};
use rillcast_protocol::signal::{ClientMessage, TrackSource};
use rillcast_publisher::Url;
use rillcast_publisher::playlist::MAX_RENDITIONS;
use tokio::sync::{mpsc, watch};

use super::catalog::Catalog;
use super::listing::Listing;
use super::reckoning::{self, Reckoning};
use super::tally::Brought;
use super::waiting::{Bit, Waiting};
use crate::payload::Media;
use crate::peer::{Peer, Told, Visit};
use crate::picture::{Picture, Shared};
use crate::rtc::Endpoint;

/// Requests that wait for a stream's task. They push back on the players.
pub const ASKS: usize = 64;
/// After so long without a request the swarm is left.
const IDLE: Duration = Duration::from_secs(120);
/// How often the guess of where players are is told, and who has hung up is looked for.
const LOOK: Duration = Duration::from_millis(250);
/// Looks at the clock are this far apart at least.
const CLOCK: Duration = Duration::from_millis(1);
/// A rendition that a player has asked for counts as played for so long: of several players each may play another one.
const PLAYED: Duration = Duration::from_secs(30);
/// What native players grant a server, conservatively.
pub const PATIENCE: Patience =
    Patience { first_byte: Duration::from_secs(8), whole: Duration::from_secs(15) };

/// What requests tell a stream's task.
#[derive(Debug)]
pub enum Ask {
    /// A player is here.
    Come,
    /// It has seen a playlist.
    Saw(Box<Listing>),
    /// It wants a segment.
    Want {
        /// Which.
        key: SegmentKey,
        /// Where it is.
        url: Url,
        /// What the player's own request carries.
        headers: HeaderMap,
        /// It takes bytes as they come.
        streams: bool,
        /// Where it gets them.
        tell: mpsc::UnboundedSender<Bit>,
    },
    /// Somebody has hung up.
    Gone,
    /// A player got a segment past us.
    Handed {
        /// Which.
        key: SegmentKey,
        /// Its length.
        bytes: u32,
        /// From asking to the first byte.
        first_byte: Duration,
        /// From the first byte to the last.
        transfer: Duration,
    },
}

/// A stream's task before it runs.
#[derive(Debug)]
pub struct Stream {
    /// Its swarm.
    pub visit: Visit,
    /// Where links are made.
    pub endpoint: Arc<Endpoint>,
    /// For signaling.
    pub tls: Arc<rustls::ClientConfig>,
    /// For the source.
    pub client: reqwest::Client,
    /// What is seen of it.
    pub shared: Shared,
    /// What it brought.
    pub brought: Arc<Brought>,
    /// What playlists say.
    pub catalog: Arc<Catalog>,
    /// Which of the catalog's streams this is.
    pub number: usize,
}

impl Stream {
    /// Runs until stopped.
    pub async fn run(self, mut asks: mpsc::Receiver<Ask>, mut stop: watch::Receiver<bool>) {
        let mut listings = HashMap::new();
        while !*stop.borrow() {
            let first = tokio::select! {
                _ = stop.changed() => break,
                ask = asks.recv() => match ask {
                    None => break,
                    // Nobody plays any more, or not by way of us.
                    Some(Ask::Gone | Ask::Handed { .. }) => continue,
                    Some(ask) => ask,
                },
            };
            let started = Peer::start(
                self.visit.clone(),
                self.endpoint.clone(),
                self.tls.clone(),
                self.client.clone(),
                self.shared.clone(),
            );
            let peer = match started {
                Ok(peer) => peer,
                // The request falls back to the origin, for nobody answers it.
                Err(error) => {
                    tracing::error!(%error, "can't join a swarm; players get this stream from its origin");
                    continue;
                }
            };
            let mut viewer = Viewer {
                peer,
                brought: Arc::clone(&self.brought),
                catalog: Arc::clone(&self.catalog),
                number: self.number,
                listings: std::mem::take(&mut listings),
                starts: HashMap::new(),
                waiting: Waiting::default(),
                reckonings: [Reckoning::default(), Reckoning::default()],
                played: HashMap::new(),
                in_parts: HashSet::new(),
                told: Vec::new(),
            };
            viewer.run(first, &mut asks, &mut stop).await;
            listings = viewer.listings;
            viewer.peer.leave().await;
            *self.shared.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Picture::default();
        }
    }
}

struct Viewer {
    peer: Peer,
    brought: Arc<Brought>,
    catalog: Arc<Catalog>,
    number: usize,
    /// At most as many as the manifest has renditions.
    listings: HashMap<TrackId, Listing>,
    /// Segments and parts listed now, and whether the playlist begins with them.
    starts: HashMap<SegmentKey, (SegmentEntry, MediaKind, bool)>,
    waiting: Waiting,
    /// Of picture and sound.
    reckonings: [Reckoning; 2],
    /// When each rendition was last asked for.
    played: HashMap<TrackId, Instant>,
    /// Renditions of which a player last asked for a part, not for a whole segment.
    in_parts: HashSet<TrackId>,
    /// Renditions that signaling has been told of.
    told: Vec<TrackId>,
}

impl Viewer {
    async fn run(&mut self, first: Ask, asks: &mut mpsc::Receiver<Ask>, stop: &mut watch::Receiver<bool>) {
        // What was seen on an earlier visit: a player of a finished playlist reads that once.
        for listing in self.listings.values().cloned().collect::<Vec<_>>() {
            self.saw(listing);
        }
        self.heard(first);
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let clock = tokio::time::sleep(LOOK);
        tokio::pin!(clock);
        let mut asked = tokio::time::Instant::now();
        while !*stop.borrow() && asked.elapsed() < IDLE {
            tokio::select! {
                _ = stop.changed() => break,
                ask = asks.recv() => match ask {
                    None => break,
                    Some(ask) => {
                        asked = tokio::time::Instant::now();
                        self.heard(ask);
                    }
                },
                () = self.peer.step() => {}
                _ = look.tick() => self.look(),
                () = &mut clock => {
                    self.look_at_the_clock();
                    // Neighbours offer what is new at once, and what we don't know of yet is refused. Neither is it known of too soon.
                    let left = self.catalog.until_next(self.number, SystemTime::now());
                    let left = left.map_or(LOOK, |left| left.min(LOOK) + CLOCK);
                    clock.as_mut().reset(tokio::time::Instant::now() + left);
                }
            }
            self.heed();
        }
        self.waiting.fail_all();
    }

    fn heard(&mut self, ask: Ask) {
        match ask {
            Ask::Come => {}
            Ask::Saw(listing) => self.saw(*listing),
            Ask::Want { key, url, headers, streams, tell } => {
                self.peer.sources().carry(&url, headers);
                self.played.insert(key.track, self.peer.now());
                self.plays_in_parts(key.track, key.part > 0);
                if self.waiting.add(key, streams, tell) {
                    self.reckon(key, Reckoning::asked);
                    self.tell_playhead();
                    self.peer.input(Input::Demand { key, patience: PATIENCE });
                }
            }
            Ask::Gone => self.look(),
            Ask::Handed { key, bytes, first_byte, transfer } => {
                self.reckon(key, Reckoning::asked);
                self.reckon(key, Reckoning::delivered);
                self.peer.input(Input::Handed { key, bytes, first_byte, transfer });
            }
        }
    }

    /// Whether a rendition's player takes parts shows in what it asks for: near the live edge it does, further back it takes segments.
    fn plays_in_parts(&mut self, track: TrackId, in_parts: bool) {
        let changes = if in_parts { self.in_parts.insert(track) } else { self.in_parts.remove(&track) };
        if changes && let Some(listing) = self.listings.get(&track) {
            let input = timeline(listing, in_parts);
            self.peer.input(input);
        }
    }

    fn saw(&mut self, listing: Listing) {
        let Listing { track, kind, ref playlist, ref entries, ref parts, .. } = listing;
        self.starts.retain(|key, _| key.track != track);
        for (at, entry) in entries.iter().enumerate().chain(parts.iter().map(|part| (1, part))) {
            self.starts.insert(entry.key, (*entry, kind, at == 0 || !playlist.ended));
        }
        self.peer.sources().learn(track, Arc::clone(playlist));
        self.peer.input(timeline(&listing, self.in_parts.contains(&track)));
        if self.listings.len() < MAX_RENDITIONS || self.listings.contains_key(&track) {
            self.listings.insert(track, listing);
        }
    }

    /// Does what the visit has led to.
    fn heed(&mut self) {
        while let Some(told) = self.peer.told() {
            match told {
                Told::Joined { .. } => {
                    self.told.clear();
                    self.tell_playing();
                }
                Told::Playing(tracks) => {
                    let now = self.peer.now();
                    self.played.extend(tracks.into_iter().map(|track| (track, now)));
                    self.tell_playing();
                }
                Told::Coming { key, total } => self.waiting.coming(key, total),
                Told::Came { key, data } => self.waiting.came(key, &data),
                Told::Broken { key } => self.waiting.broken(key),
                Told::Delivered(delivery) => {
                    let parts: Vec<_> = delivery.parts.into_iter().map(|part| part.0).collect();
                    if self.waiting.delivered(delivery.key, &parts) {
                        self.brought.add(delivery.share);
                        self.reckon(delivery.key, Reckoning::delivered);
                        self.tell_playhead();
                    }
                }
                Told::Failed { key, error } => {
                    tracing::debug!(
                        ?key,
                        ?error,
                        "a segment can't be had; the player gets it from the origin"
                    );
                    self.waiting.failed(key);
                }
                // Seeds' business.
                Told::Digest(_) | Told::Unproven(_) | Told::Seeds { .. } => {}
            }
        }
    }

    /// What comes by the clock is shared before a player asks for it.
    fn look_at_the_clock(&mut self) {
        for listing in self.catalog.look_at(self.number, SystemTime::now()) {
            let newest = |listing: &Listing| listing.entries.last().map(|entry| entry.key);
            if self.listings.get(&listing.track).and_then(newest) != newest(&listing) {
                self.saw(listing);
            }
        }
    }

    fn look(&mut self) {
        for key in self.waiting.prune() {
            self.reckon(key, |reckoning, span, _| reckoning.cancelled(span));
            self.peer.input(Input::Cancel { key });
        }
        self.tell_playhead();
        self.tell_playing();
    }

    fn reckon(&mut self, key: SegmentKey, what: impl Fn(&mut Reckoning, reckoning::Span, Instant)) {
        let Some((entry, kind, is_beginning)) = self.starts.get(&key).copied() else { return };
        let end_ms = entry.start_ms + i64::from(entry.duration_ms);
        let span = reckoning::Span { start_ms: entry.start_ms, end_ms, is_beginning };
        let now = self.peer.now();
        what(&mut self.reckonings[usize::from(kind == MediaKind::Audio)], span, now);
    }

    fn tell_playhead(&mut self) {
        let now = self.peer.now();
        let mut playheads = self.reckonings.iter().filter_map(|r| r.playhead(now));
        let Some(mut playhead) = playheads.next() else { return };
        playheads.for_each(|other| playhead.starving |= other.starving);
        self.peer.input(Input::Playhead(playhead));
    }

    /// Tells signaling which renditions are played, so that somebody publishes their digests.
    fn tell_playing(&mut self) {
        let now = self.peer.now();
        self.played.retain(|_, at| now.since(*at) < PLAYED);
        let mut playing: Vec<TrackId> = self.played.keys().copied().collect();
        playing.sort_unstable();
        if playing == self.told || !self.peer.picture().joined {
            return;
        }
        let source = |track: &TrackId| {
            let playlist = Text::new(self.listings.get(track)?.url.as_str())?;
            Some(TrackSource { track: *track, playlist })
        };
        let tracks: Vec<_> = playing.iter().filter_map(source).collect();
        self.peer.send(ClientMessage::Playing { tracks: List::clipped(tracks) });
        self.told = playing;
    }
}

fn timeline(listing: &Listing, in_parts: bool) -> Input<Media> {
    let &Listing { track, kind, ref playlist, .. } = listing;
    Input::Timeline { track, kind, segments: listing.timeline(in_parts), live: !playlist.ended }
}
