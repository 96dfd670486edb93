//! The handle: what to follow, what to digest first, and where the news comes out.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use bytes::Bytes;
use reqwest::Url;
use rillcast_protocol::digest::SegmentDigest;
use rillcast_protocol::id::{PublisherKey, SegmentKey, SwarmId, TrackId, canonical_path};
use thiserror::Error;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::AbortHandle;

use crate::allow::AllowList;
use crate::copies::Copies;
use crate::directives;
use crate::edge::Pace;
use crate::follow::{self, Command, Follower, Presentations};
use crate::key::PublishingKey;
use crate::ledger::Ledger;
use crate::manifest::{self, ManifestError};
use crate::mirrors::Mirrors;
use crate::order::Order;
use crate::origin::{Origin, OriginError, Timeouts, Validators};
use crate::playlist::Playlist;
use crate::track::track_id;
use crate::vod::Lead;

/// Everything that can be set.
#[derive(Clone, Debug)]
pub struct Config {
    /// How often live playlists are looked at.
    pub pace: Pace,
    /// How far ahead of the viewers finished playlists are digested; `None` digests only what is asked for.
    pub lead: Option<Lead>,
    /// How long the origin may take.
    pub timeouts: Timeouts,
    /// Segments behind the live edge that are digested when following begins: what players start with.
    pub backlog: usize,
    /// What is new in a live playlist waits so long after following began; what is asked for doesn't. A rendition that
    /// viewers only start with, and leave at once, then costs no copies.
    pub settle: Duration,
    /// Most playlists followed at a time.
    pub max_tracks: usize,
    /// Most segments fetched at a time, over all playlists.
    pub max_fetches: usize,
    /// Most segments of one playlist fetched at a time.
    pub max_fetches_per_track: usize,
    /// Attempts at a segment before it is skipped.
    pub attempts: u32,
    /// Of the segments that another publisher has digested one in so many is fetched and compared (0: none). Whoever is found to lie is
    /// believed no more. Costs a copy of that part of the stream, whether one other seed looks at it or several take turns.
    pub audit: u8,
    /// Tell of every change of a playlist ([`Event::Playlist`]).
    pub playlists: bool,
    /// Where copies of what was signed lie.
    pub copies: Option<Arc<dyn Copies>>,
    /// Where else to ask when an origin fails.
    pub mirrors: Arc<Mirrors>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            pace: Pace::default(),
            lead: Some(Lead::default()),
            timeouts: Timeouts::default(),
            backlog: 3,
            settle: Duration::ZERO,
            max_tracks: 256,
            max_fetches: 8,
            max_fetches_per_track: 2,
            attempts: 6,
            audit: 8,
            playlists: false,
            copies: None,
            mirrors: Arc::default(),
        }
    }
}

/// Room in the channel of events. It pushes back: while it is full, nothing more is fetched.
pub const EVENTS: usize = 8;

/// A segment that was fetched, with the digest of its bytes.
#[derive(Clone, Debug)]
pub struct Published {
    /// Signed.
    pub digest: SegmentDigest,
    /// The segment's bytes.
    pub body: Bytes,
    /// Where they came from.
    pub url: Url,
    /// Which bytes of that; `None` is all.
    pub range: Option<Range<u64>>,
    /// What they cost.
    pub came: Came,
}

/// How a segment's bytes came to be here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Came {
    /// The origin gave them, this time.
    Fetched,
    /// They are a copy: this time the origin gave nothing.
    Copied,
    /// Put together from parts, of which each was told of as fetched.
    Joined,
}

/// What a publisher has to tell.
#[derive(Clone, Debug)]
pub enum Event {
    /// A new digest.
    Published(Box<Published>),
    /// A key came again with other bytes; nothing was signed, and the earlier digest shouldn't be handed on.
    Conflict {
        /// The swarm.
        swarm: SwarmId,
        /// The key.
        key: SegmentKey,
    },
    /// A segment gets no digest.
    Skipped {
        /// The swarm.
        swarm: SwarmId,
        /// The key.
        key: SegmentKey,
        /// Why not.
        why: OriginError,
    },
    /// A playlist can't be had or read. Told at the first failure of a row.
    Failing {
        /// The swarm.
        swarm: SwarmId,
        /// The track.
        track: TrackId,
        /// Why, and what to do.
        why: String,
    },
    /// A playlist has changed (only with [`Config::playlists`]).
    Playlist {
        /// The swarm.
        swarm: SwarmId,
        /// The track.
        track: TrackId,
        /// Its content.
        playlist: Arc<Playlist>,
    },
}

/// Why a playlist isn't followed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum FollowError {
    /// Not an absolute URL.
    #[error("the playlist's address isn't an absolute URL")]
    NotAUrl,
    /// Outside the allow-list.
    #[error("{0} isn't under an allowed prefix; add one with --publish if it should be")]
    NotAllowed(String),
    /// Too many.
    #[error("{0} playlists are followed already; raise max_tracks to follow more")]
    Full(usize),
}

type TrackOf = (SwarmId, TrackId);
/// The live seeds of a swarm, for its followers to see when that changes.
type Company = watch::Sender<Order>;

#[derive(Debug)]
struct Followed {
    path: String,
    commands: mpsc::Sender<Command>,
    task: AbortHandle,
}

#[derive(Debug, Default)]
struct State {
    followed: HashMap<TrackOf, Followed>,
    /// Outlive the following, until the swarm is forgotten: a track that is taken up again mustn't be signed anew.
    ledgers: HashMap<TrackOf, Arc<Mutex<Ledger>>>,
    /// Of the swarms whose seeds are known, or of which something is followed.
    companies: HashMap<SwarmId, Company>,
}

impl State {
    fn company(&mut self, swarm: SwarmId, own: PublisherKey) -> &Company {
        self.companies.entry(swarm).or_insert_with(|| watch::Sender::new(Order::alone(own)))
    }
}

#[derive(Debug)]
struct Shared {
    key: Arc<PublishingKey>,
    config: Arc<Config>,
    origin: Origin,
    presentations: Arc<Presentations>,
    fetches: Arc<Semaphore>,
    events: mpsc::Sender<Event>,
    state: Mutex<State>,
}

/// Follows playlists and tells of new digests. A clone is another handle on the same; the last one dropped ends it.
#[derive(Clone, Debug)]
pub struct Publisher {
    shared: Arc<Shared>,
}

impl Publisher {
    /// A publisher that follows nothing yet, and where its news comes out.
    pub fn new(key: PublishingKey, config: Config) -> Result<(Self, mpsc::Receiver<Event>), OriginError> {
        let (events, news) = mpsc::channel(EVENTS);
        let shared = Shared {
            key: Arc::new(key),
            origin: Origin::new(config.timeouts)?.with_mirrors(config.mirrors.clone()),
            presentations: Arc::default(),
            fetches: Arc::new(Semaphore::new(config.max_fetches)),
            config: Arc::new(config),
            events,
            state: Mutex::default(),
        };
        Ok((Self { shared: Arc::new(shared) }, news))
    }

    /// Whose signature the digests carry.
    pub fn key(&self) -> PublisherKey {
        self.shared.key.public()
    }

    /// The client to the origin, for owners that fetch something themselves.
    pub fn origin(&self) -> &Origin {
        &self.shared.origin
    }

    /// Follows a media playlist, or a Representation of an MPD ([`rillcast_protocol::dash::address`]), from now on; a second call for the same track adds another address to fall back on
    /// (another CDN, another token). Must be called within a tokio runtime.
    pub fn follow(
        &self,
        swarm: SwarmId,
        playlist: &str,
        allow: &Arc<AllowList>,
    ) -> Result<TrackId, FollowError> {
        // A player's own address may say which part it waited for.
        let url = directives::without(&Url::parse(playlist).map_err(|_| FollowError::NotAUrl)?);
        if !allow.allows(&url) {
            return Err(FollowError::NotAllowed(crate::origin::bare(&url)));
        }
        let track = track_id(playlist);
        let mut state = self.state();
        if let Some(followed) = state.followed.get(&(swarm, track)) {
            // A full queue only means that enough addresses are on their way already.
            let _ = followed.commands.try_send(Command::Address(url));
            return Ok(track);
        }
        if state.followed.len() >= self.shared.config.max_tracks {
            return Err(FollowError::Full(state.followed.len()));
        }
        let ledger = state.ledgers.entry((swarm, track)).or_default().clone();
        let order = state.company(swarm, self.key()).subscribe();
        let (commands, inbox) = mpsc::channel(follow::COMMANDS);
        let follower = Follower {
            swarm,
            track,
            allow: allow.clone(),
            key: self.shared.key.clone(),
            config: self.shared.config.clone(),
            origin: self.shared.origin.clone(),
            presentations: Arc::clone(&self.shared.presentations),
            fetches: self.shared.fetches.clone(),
            events: self.shared.events.clone(),
            ledger,
            order,
        };
        let path = canonical_path(playlist).to_owned();
        let task = tokio::spawn(follower.run(url, inbox)).abort_handle();
        state.followed.insert((swarm, track), Followed { path, commands, task });
        Ok(track)
    }

    /// Stops following; fetches under way are given up.
    pub fn unfollow(&self, swarm: SwarmId, track: TrackId) {
        if let Some(followed) = self.state().followed.remove(&(swarm, track)) {
            followed.task.abort();
        }
    }

    /// Stops following all of a swarm and forgets what was signed for it.
    pub fn forget(&self, swarm: SwarmId) {
        let mut state = self.state();
        state.followed.retain(|of, followed| {
            if of.0 == swarm {
                followed.task.abort();
            }
            of.0 != swarm
        });
        state.ledgers.retain(|of, _| of.0 != swarm);
        state.companies.remove(&swarm);
    }

    /// The origin says that what it has at this path has changed: the playlist there, or all that an MPD there names, is looked at at once, in
    /// every swarm.
    pub fn look(&self, path: &str) {
        let now = Instant::now();
        for followed in self.state().followed.values() {
            if followed.path == path {
                // Dropped where the queue is full: then it is looked at by its pace.
                let _ = followed.commands.try_send(Command::Look(now));
            }
        }
    }

    /// Somebody needs this segment's digest: it comes before the others.
    pub fn want(&self, swarm: SwarmId, key: SegmentKey) {
        if let Some(followed) = self.state().followed.get(&(swarm, key.track)) {
            // Dropped where the queue is full: whoever asked falls back on the source, and may ask again.
            let _ = followed.commands.try_send(Command::Want(key));
        }
    }

    /// These seeds share the work: whoever comes first in a segment's order fetches it at once, the others one [`stagger`](crate::order::stagger) after
    /// the other, each only if no digest has come by then.
    pub fn share(&self, swarm: SwarmId, order: Order) {
        let own = self.key();
        self.state().company(swarm, own).send_if_modified(|known| {
            let is_news = *known != order;
            *known = order;
            is_news
        });
    }

    /// Another publisher's digest is here and its segment's bytes aren't to be had of anybody: they are fetched all the same, and signed here too.
    pub fn bring(&self, swarm: SwarmId, key: SegmentKey) {
        let ledger = self.state().ledgers.get(&(swarm, key.track)).cloned();
        if let Some(ledger) = ledger {
            follow::lock(&ledger).recheck(key);
            self.want(swarm, key);
        }
    }

    /// Reads a segment that was signed before, from its copy, and tells of it as of a new one. Without a copy nothing comes: the origin
    /// isn't asked.
    pub fn recall(&self, swarm: SwarmId, key: SegmentKey) {
        if let Some(followed) = self.state().followed.get(&(swarm, key.track)) {
            // Dropped where the queue is full: whoever lacks the segment will be seen to lack it.
            let _ = followed.commands.try_send(Command::Recall(key));
        }
    }

    /// Another publisher digested this segment: it needn't be fetched here, unless it is one of those by which others are checked.
    pub fn note(&self, digest: &SegmentDigest) {
        self.hear(digest, false);
    }

    /// One whose word isn't taken yet digested this segment: it is fetched here all the same, if its track is followed, and signed if it is true
    /// and if it isn't.
    pub fn check(&self, digest: &SegmentDigest) {
        self.hear(digest, true);
        self.want(digest.swarm, digest.key);
    }

    fn hear(&self, digest: &SegmentDigest, checks: bool) {
        // Our own, from before a restart: the bytes aren't here, and nobody else can be relied on to have them.
        if digest.publisher == self.key() {
            return;
        }
        let mut state = self.state();
        let of = (digest.swarm, digest.key.track);
        // Two bounds: as many tracks as are followed may be noted besides those followed.
        if state.ledgers.len() < 2 * self.shared.config.max_tracks || state.ledgers.contains_key(&of) {
            let ledger = state.ledgers.entry(of).or_default().clone();
            // All others together look at one in so many.
            let others = state.companies.get(&digest.swarm).map_or(1, |of| of.borrow().seeds() - 1).max(1);
            drop(state);
            let every = u16::from(self.shared.config.audit) * others as u16;
            let (wakes, contested);
            let contradicts = {
                let mut ledger = follow::lock(&ledger);
                // A newcomer's word alone isn't taken: whoever lies would be believed until it is found out.
                let is_new = ledger.is_unproven(&digest.publisher) && !ledger.disbelieves(&digest.publisher);
                let checks = checks || (every > 0 && is_new);
                let audit = checks || self.shared.key.audits(digest.key, every);
                let contradicts = ledger.note(digest, audit);
                (wakes, contested) = (ledger.checks(digest.key), ledger.is_contested(digest.key));
                contradicts
            };
            if wakes && let Some(company) = self.state().companies.get(&digest.swarm) {
                company.send_modify(|_| ());
            }
            // Its turn may have passed long ago, and nobody is believed until it is looked at.
            if contested {
                self.want(digest.swarm, digest.key);
            }
            if contradicts {
                follow::disputed(digest.key, digest.publisher);
            }
        }
    }

    /// The tracks followed now.
    pub fn following(&self) -> Vec<(SwarmId, TrackId)> {
        self.state().followed.keys().copied().collect()
    }

    /// What can be followed behind an address: the media playlists that a multivariant playlist names, or the playlist itself, or the
    /// Representations of an MPD.
    pub async fn renditions(&self, url: &str, allow: &AllowList) -> Result<Vec<Url>, RenditionsError> {
        let url = Url::parse(url).map_err(|_| FollowError::NotAUrl)?;
        let document = self.shared.origin.playlist(allow, &url, &Validators::default()).await?;
        let Some(document) = document else { return Ok(Vec::new()) };
        let found = manifest::renditions(&url, &document.url, &document.body)?;
        Ok(if found.is_empty() { vec![url] } else { found.into_iter().map(|r| r.url).collect() })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// Why a manifest gave nothing.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RenditionsError {
    /// The address.
    #[error(transparent)]
    Address(#[from] FollowError),
    /// The origin.
    #[error(transparent)]
    Origin(#[from] OriginError),
    /// The content.
    #[error(transparent)]
    Content(#[from] ManifestError),
}

impl Drop for State {
    fn drop(&mut self) {
        self.followed.values().for_each(|followed| followed.task.abort());
    }
}
