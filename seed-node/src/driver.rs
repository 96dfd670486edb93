//! The seed of one swarm: a visit ([`Peer`]) that follows the stream's renditions, publishes their digests and holds what it fetched.
//!
//! - `sharing`: what it leaves to other seeds, and takes of them
//!
//! The publisher's events end here; they push back on the publisher.

mod sharing;

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;

use rillcast_core::engine::Input;
use rillcast_protocol::digest::SegmentDigest;
use rillcast_protocol::id::{PeerId, Role, SwarmId};
use rillcast_protocol::signal::ClientMessage;
use rillcast_publisher::{Came, Copies, Mirrors, Publisher, PublishingKey, Url, manifest};
use tokio::sync::{broadcast, mpsc, watch};

use sharing::Sharing;

use crate::Error;
use crate::follow::Following;
use crate::ingest::Changes;
use crate::manifest::{allow_list, read_manifest};
use crate::payload::Media;
use crate::peer::{Peer, Told, Visit};
use crate::picture::Shared;
use crate::recall::{self, Recall};
use crate::relay::Offer;
use crate::rtc::Endpoint;
use crate::share::Share;
use crate::source;

/// Newest digests that are told again to a server that we come back to: it may have started anew.
pub const RECENT: usize = 128;
/// How often it is looked at which renditions to follow.
const TICK: std::time::Duration = std::time::Duration::from_secs(1);

/// One swarm to take part in.
#[derive(Clone, Debug)]
pub struct SwarmConfig {
    /// The manifest: a multivariant playlist, or a media playlist, of HLS; or an MPD.
    pub manifest: Url,
    /// Where it is fetched: elsewhere if this node is its origin. The path is the same.
    pub at: Url,
    /// What changes there, if this node is its origin.
    pub changes: Option<Changes>,
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
    /// One in so many of the segments that others have signed is fetched and compared; 0 is none.
    pub audit: u8,
    /// Sign, and do nothing else.
    pub publish_only: bool,
    /// The relay that signaling is told of.
    pub relay: Option<Offer>,
    /// Bytes of blocks held.
    pub store_budget: u64,
    /// Bytes/s given to all peers together; 0 is no cap.
    pub upload_cap: u32,
    /// The share of what all streams may give together, if that is capped.
    pub share: Option<Share>,
    /// What is uploaded yields to everything else on the uplink, whatever the site says.
    pub yields: bool,
    /// Other places of what origins serve.
    pub mirrors: Arc<Mirrors>,
    /// Where copies of what was signed lie.
    pub copies: Option<Arc<dyn Copies>>,
}

impl SwarmConfig {
    /// The visit that this is, in a role.
    pub fn visit(&self, role: Role) -> Visit {
        Visit {
            signal: self.signal.clone(),
            site: self.site.clone(),
            content: self.content.clone().unwrap_or_else(|| self.manifest.to_string()),
            delivery: manifest::delivery(&self.manifest),
            role,
            publisher: None,
            links: !self.publish_only,
            token_file: self.token_file.clone(),
            store_budget: self.store_budget,
            upload_cap: self.upload_cap,
            share: self.share.clone(),
            yields: self.yields,
            relay: self.relay.filter(|_| role == Role::Seed),
        }
    }
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

/// How far a node is from its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stage {
    /// It takes part.
    #[default]
    Serving,
    /// It finishes what it has promised, and ends then.
    Leaving,
    /// It ends.
    Ending,
}

/// Takes part in a swarm until told to leave or to end.
pub async fn run(
    config: SwarmConfig,
    key: PublishingKey,
    endpoint: Arc<Endpoint>,
    tls: Arc<rustls::ClientConfig>,
    shared: Shared,
    joined: mpsc::Sender<Joined>,
    mut stage: watch::Receiver<Stage>,
) -> Result<(), Error> {
    let allow = allow_list(&config)?;
    let publisher_config = rillcast_publisher::Config {
        playlists: true,
        backlog: 1,
        audit: config.audit,
        copies: config.copies.clone(),
        mirrors: Arc::clone(&config.mirrors),
        ..Default::default()
    };
    let (publisher, mut published) = Publisher::new(key, publisher_config)?;
    let own = publisher.key();
    let visit = Visit { publisher: Some(own), ..config.visit(Role::Seed) };
    let client = source::client(reqwest::redirect::Policy::default())?;
    let mut driver = Driver {
        peer: Peer::start(visit, endpoint, tls, client, shared)?,
        following: Following::new(publisher.clone(), Arc::clone(&allow), config.all_renditions),
        publisher,
        recent: VecDeque::new(),
        recall: Recall::new(config.store_budget),
        sharing: Sharing::new(own),
        joined: Some(joined),
        config,
    };
    let mut tick = tokio::time::interval(TICK);
    let mut changed = driver.config.changes.as_ref().map(|changes| changes.0.subscribe());
    let manifest = read_manifest(driver.publisher.clone(), driver.config.at.clone(), allow);
    tokio::pin!(manifest);
    let mut know_manifest = false;
    let mut now = Stage::Serving;
    while now == Stage::Serving || now == Stage::Leaving && !driver.is_done() {
        let again = driver.until_again();
        tokio::select! {
            changed = stage.changed() => {
                now = if changed.is_ok() { *stage.borrow_and_update() } else { Stage::Ending };
                driver.staged(now);
            }
            () = driver.peer.step() => {}
            Some(event) = published.recv(), if now == Stage::Serving => driver.published(event),
            urls = &mut manifest, if !know_manifest => {
                know_manifest = true;
                let now = driver.peer.now();
                driver.following.renditions(now, urls);
            }
            path = next(&mut changed), if now == Stage::Serving => driver.publisher.look(&path),
            _ = tick.tick(), if now == Stage::Serving => driver.tick(),
            () = tokio::time::sleep(again.unwrap_or_default()), if again.is_some() && now == Stage::Serving => driver.share(),
        }
        driver.heed();
    }
    driver.peer.leave().await;
    Ok(())
}

/// The next playlist that has changed; never where nobody tells.
async fn next(changes: &mut Option<broadcast::Receiver<Arc<str>>>) -> Arc<str> {
    while let Some(changed) = changes {
        match changed.recv().await {
            Ok(path) => return path,
            // What was missed is found by looking, as ever.
            Err(broadcast::error::RecvError::Lagged(_)) => {}
            Err(broadcast::error::RecvError::Closed) => *changes = None,
        }
    }
    std::future::pending().await
}

struct Driver {
    config: SwarmConfig,
    peer: Peer,
    following: Following,
    publisher: Publisher,
    recent: VecDeque<SegmentDigest>,
    recall: Recall,
    sharing: Sharing,
    joined: Option<mpsc::Sender<Joined>>,
}

impl Driver {
    /// Does what the visit has led to.
    fn heed(&mut self) {
        while let Some(told) = self.peer.told() {
            let now = self.peer.now();
            match told {
                Told::Joined { swarm, peer } => self.joined(swarm, peer),
                Told::Digest(digest) => self.heard(&digest),
                Told::Unproven(digest) => self.publisher.check(&digest),
                Told::Seeds { keys, tracks } => self.company(keys, &tracks),
                Told::Playing(tracks) => {
                    for track in self.following.playing(now, tracks) {
                        self.peer.sources().forget(track);
                    }
                }
                // Nobody plays here.
                Told::Delivered(_) | Told::Failed { .. } => {}
                Told::Coming { .. } | Told::Came { .. } | Told::Broken { .. } => {}
            }
        }
        self.peer.picture().followed = self.following.len();
    }

    fn staged(&mut self, stage: Stage) {
        if stage == Stage::Leaving {
            // What comes from now on would be for nobody.
            self.following.end();
            self.peer.set_out();
        }
    }

    /// Whether all that was promised has been given.
    fn is_done(&self) -> bool {
        !self.peer.is_giving()
    }

    fn joined(&mut self, swarm: SwarmId, peer: PeerId) {
        if self.following.is_elsewhere(swarm) {
            self.sharing.replicas.forget();
        }
        for track in self.following.joined(self.peer.now(), swarm) {
            self.peer.sources().forget(track);
        }
        self.recent.retain(|digest| digest.swarm == swarm);
        for digest in self.recent.clone() {
            self.peer.send(ClientMessage::Publish { digest });
        }
        self.peer.picture().followed = self.following.len();
        self.peer.show();
        if let Some(joined) = self.joined.take() {
            let _ = joined.try_send(Joined { manifest: self.config.manifest.clone(), swarm, peer });
        }
    }

    fn published(&mut self, event: rillcast_publisher::Event) {
        let picture = self.peer.picture();
        match event {
            rillcast_publisher::Event::Published(published) => {
                let digest = published.digest;
                if Some(digest.swarm) != picture.swarm {
                    return;
                }
                let bytes = published.body.len() as u64;
                if published.came == Came::Copied {
                    picture.recalled_bytes += bytes;
                    // What we call back has been told of. What lay there at our start, the server may have forgotten.
                    if !self.recall.has_asked(&digest.key) {
                        self.peer.send(ClientMessage::Publish { digest: digest.clone() });
                    }
                    return self.peer.input(Input::Recalled { digest, body: Media(published.body) });
                }
                picture.published += 1;
                if published.came == Came::Fetched {
                    picture.published_bytes += bytes;
                    self.fetched(digest.key);
                }
                if self.recent.len() == RECENT {
                    self.recent.pop_front();
                }
                self.recent.push_back(digest.clone());
                // Who gives nothing has no use for the bytes. Neighbours hear it first, and that it is here: of whoever hears of a segment by way of
                // signaling before that, some would fetch it for the others.
                if !self.config.publish_only {
                    let (digest, body) = (digest.clone(), Media(published.body));
                    self.peer.input(match published.came {
                        Came::Fetched => Input::Published { digest, body },
                        // The source gave these bytes before, as parts.
                        Came::Joined | Came::Copied => Input::Recalled { digest, body },
                    });
                }
                self.peer.send(ClientMessage::Publish { digest });
            }
            rillcast_publisher::Event::Playlist { track, playlist, .. } => {
                if !self.peer.sources().knows(track) {
                    self.ask(&playlist);
                }
                self.peer.sources().learn(track, playlist);
            }
            rillcast_publisher::Event::Conflict { .. } => picture.conflicts += 1,
            rillcast_publisher::Event::Skipped { .. } => picture.skipped += 1,
            rillcast_publisher::Event::Failing { why, .. } => tracing::warn!(why, "a playlist can't be had"),
        }
    }

    fn tick(&mut self) {
        for track in self.following.decide(self.peer.now()) {
            self.peer.sources().forget(track);
        }
        self.recall();
        self.look_after_shares();
    }

    /// Has copies read that linked viewers are about to need and that memory has no more.
    fn recall(&mut self) {
        let (Some(copies), Some(swarm)) = (&self.config.copies, self.peer.picture().swarm) else { return };
        let lacking = self.peer.lacking(recall::AHEAD);
        let length = |key| copies.length(swarm, key);
        for key in self.recall.choose(self.peer.now(), lacking, length) {
            self.publisher.recall(swarm, key);
        }
    }
}
