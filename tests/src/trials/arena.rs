//! What a trial takes place in: a stream, a site, an honest seed.

use anyhow::{Context, Result, ensure};
use rillcast_protocol::id::{Delivery, PeerId};
use rillcast_seed::node::Node;
use serde_json::json;

use crate::hostile::{Attack, Fate, Hostile, Log, Running};
use crate::native::{Site, Stream, Viewer, Visit, site};

/// The content's name.
const CONTENT: &str = "the stream";

/// The place.
#[derive(Debug)]
pub struct Arena {
    /// The stream.
    pub stream: Stream,
    /// The site.
    pub site: Site,
    /// The honest seed, which publishes.
    pub seed: Node,
}

impl Arena {
    /// Opens it, with these settings (TOML) of signaling.
    pub async fn open(settings: &str) -> Result<Self> {
        Self::open_with(settings, &[]).await
    }

    /// The same, where the seed signs and gives nothing: what an attacker says that it holds nobody else has.
    pub async fn open_with_publisher_alone() -> Result<Self> {
        Self::open_with("", &["--publish-only"]).await
    }

    async fn open_with(settings: &str, flags: &[&str]) -> Result<Self> {
        let stream = Stream::begin().await?;
        let site = Site::open(settings).await?;
        let seed = site.seed_with(&stream.playlist(), CONTENT, "seed", flags).await?;
        Ok(Self { stream, site, seed })
    }

    /// A visit with a token of its own.
    pub fn visit(&self) -> Result<Visit> {
        Ok(Visit {
            signal: self.site.signal(),
            site: site::NAME.to_owned(),
            content: CONTENT.to_owned(),
            delivery: Delivery::Hls,
            token: self.site.token(&json!({}))?,
            udp: ([127, 0, 0, 1], 0).into(),
        })
    }

    /// A viewer without a source: what it plays comes from peers or not at all.
    pub fn viewer(&self) -> Result<Viewer> {
        Viewer::come(&self.visit()?, &self.stream, false)
    }

    /// A viewer with a source.
    pub fn viewer_with_source(&self) -> Result<Viewer> {
        Viewer::come(&self.visit()?, &self.stream, true)
    }

    /// An attacker, once the server has let it in.
    pub async fn hostile(&self, attack: impl Attack + 'static) -> Result<Running> {
        self.hostile_at(&self.visit()?, attack).await
    }

    /// The same on another visit.
    pub async fn hostile_at(&self, visit: &Visit, attack: impl Attack + 'static) -> Result<Running> {
        let hostile = Hostile::come(visit, attack)?;
        hostile.until("the server lets it in", |log| log.me.is_some()).await?;
        Ok(hostile)
    }

    /// The seed's name.
    pub fn seed_id(&self) -> Result<PeerId> {
        let picture = self.seed.swarms.first().context("the seed has a swarm")?;
        let picture = picture.1.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        picture.peer.context("the seed has joined")
    }
}

/// The name of somebody who has been let in.
pub fn name(hostile: &Running) -> Result<PeerId> {
    hostile.log().me.context("it has been let in")
}

/// Fails unless the viewer played nothing but the stream's bytes and called nobody a liar but these (H2, H11).
pub fn unharmed(viewer: &Viewer, liars: &[PeerId]) -> Result<()> {
    let seen = &viewer.seen;
    ensure!(seen.altered_bytes == 0, "{} altered bytes were played", seen.altered_bytes);
    let framed: Vec<_> = seen.liars.iter().filter(|(peer, ..)| !liars.contains(peer)).collect();
    ensure!(framed.is_empty(), "honest peers were taken for liars: {framed:?}");
    Ok(())
}

/// Seconds from the first lie to the end of the link, at most.
pub fn longest(log: &Log) -> f64 {
    log.fates.values().filter_map(Fate::lived).fold(0.0, f64::max)
}
