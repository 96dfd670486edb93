//! The agent: a local HTTP server through which native players play, and take part in the same swarms as browsers.
//!
//! A player knows it by a URL alone ([`address`]). Playlists come from the origin, with URLs mended that would lead elsewhere
//! ([`rewrite`]); what they say is written down ([`catalog`], [`listing`]). A request for a segment that stands there goes to its stream's engine
//! ([`stream`], `segment`); everything else, and whatever the engine can't bring, is handed through from the origin (`pass`).
//!
//! - [`address`], [`headers`], [`range`], [`rewrite`], [`reckoning`], [`waiting`]: pure
//! - `serve`, `respond`: connections, requests
//! - counters: [`tally`]

pub mod address;
pub mod catalog;
pub mod headers;
pub mod listing;
mod pass;
pub mod range;
pub mod reckoning;
mod respond;
pub mod rewrite;
mod segment;
mod serve;
pub mod stream;
pub mod tally;
pub mod waiting;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use axum::body::Body;
use axum::http::header::{self, HeaderMap, HeaderValue};
use axum::http::{Response, StatusCode};
use reqwest::redirect;
use rillcast_protocol::id::{Role, TrackId};
use rillcast_publisher::playlist::MAX_RENDITIONS;
use rillcast_publisher::{AllowList, Url, manifest};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use crate::driver::SwarmConfig;
use crate::picture::Shared;
use crate::rtc::Endpoint;
use crate::{Error, source};
use catalog::{Catalog, Found};
use listing::Listing;
use stream::{ASKS, Ask, Stream};
use tally::Tally;

/// Redirects that a fetch of the engine's follows, within the allowed prefixes.
const REDIRECTS: usize = 5;
/// An origin that doesn't take a connection within this, or is silent in an answer for so long, is given up.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
const SILENCE: Duration = Duration::from_secs(30);

/// What all requests share.
#[derive(Debug)]
pub(crate) struct Agent {
    allow: Arc<AllowList>,
    manifests: Vec<Url>,
    catalog: Arc<Catalog>,
    /// To the task of each manifest, in their order.
    streams: Vec<mpsc::Sender<Ask>>,
    passing: reqwest::Client,
    tally: Arc<Tally>,
    /// What the origin calls a rendition's segments; at most [`MAX_RENDITIONS`] for each manifest.
    types: Mutex<HashMap<TrackId, HeaderValue>>,
}

/// A running agent.
#[derive(Debug)]
pub struct Running {
    /// Where players find it.
    pub address: SocketAddr,
    /// Its counters.
    pub tally: Arc<Tally>,
    /// What is seen of its swarms, by manifest.
    pub swarms: Vec<(String, Shared)>,
}

/// Starts one: its tasks run in `tasks` until stopped. `configs` has one entry for each manifest.
pub async fn start(
    address: SocketAddr,
    configs: &[SwarmConfig],
    endpoint: &Arc<Endpoint>,
    tls: &Arc<rustls::ClientConfig>,
    tasks: &mut JoinSet<Result<(), Error>>,
    stop: &watch::Receiver<bool>,
) -> Result<Running, Error> {
    let origins = configs.iter().map(|c| c.manifest.origin().ascii_serialization());
    let allow =
        Arc::new(AllowList::new(origins.chain(configs.iter().flat_map(|c| c.allow.iter().cloned())))?);
    let listener = TcpListener::bind(address).await.map_err(|e| Error::Agent(address, e))?;
    let address = listener.local_addr().map_err(Error::Io)?;
    let manifests: Vec<Url> = configs.iter().map(|c| c.manifest.clone()).collect();
    let tally = Arc::new(Tally::new(manifests.iter().map(rillcast_publisher::origin::bare)));
    let client = source::client(within(&allow))?;
    let catalog = Arc::new(Catalog::new(&manifests));
    let (mut streams, mut swarms) = (Vec::new(), Vec::new());
    for (number, (config, (name, brought))) in configs.iter().zip(&tally.streams).enumerate() {
        let (asks, inbox) = mpsc::channel(ASKS);
        let shared = Shared::default();
        streams.push(asks);
        swarms.push((name.clone(), Arc::clone(&shared)));
        let stream = Stream {
            visit: config.visit(Role::Viewer),
            endpoint: Arc::clone(endpoint),
            tls: Arc::clone(tls),
            client: client.clone(),
            shared,
            brought: Arc::clone(brought),
            catalog: Arc::clone(&catalog),
            number,
        };
        let stop = stop.clone();
        tasks.spawn(async move {
            stream.run(inbox, stop).await;
            Ok(())
        });
    }
    let passing = reqwest::Client::builder()
        .redirect(redirect::Policy::none())
        .connect_timeout(CONNECT_WITHIN)
        .read_timeout(SILENCE)
        .build()?;
    let agent = Arc::new(Agent {
        allow,
        manifests,
        catalog,
        streams,
        passing,
        tally: Arc::clone(&tally),
        types: Mutex::default(),
    });
    let stop = stop.clone();
    tasks.spawn(async move {
        serve::serve(agent, listener, stop).await;
        Ok(())
    });
    Ok(Running { address, tally, swarms })
}

/// Follows redirects only to where the agent may go: an origin that sends it elsewhere, into the operator's own network say, is told no.
fn within(allow: &Arc<AllowList>) -> redirect::Policy {
    let allow = Arc::clone(allow);
    redirect::Policy::custom(move |attempt| {
        if attempt.previous().len() <= REDIRECTS && allow.allows(attempt.url()) {
            attempt.follow()
        } else {
            attempt.stop()
        }
    })
}

impl Agent {
    /// Takes a playlist in that a player has fetched.
    async fn learn(&self, url: &Url, text: &[u8]) {
        let listings = if manifest::is_mpd(text) {
            self.catalog.present(url, text, SystemTime::now())
        } else {
            self.catalog.learn(url, text).into_iter().collect()
        };
        self.tell(listings).await;
    }

    /// The segment that a request means; where an MPD goes by the clock, as far as that is now.
    async fn find(&self, url: &Url, headers: &HeaderMap) -> Option<Found> {
        let found = self.catalog.find(url, headers);
        if found.is_some() {
            return found;
        }
        let listings = self.catalog.look_at_the_clock(SystemTime::now());
        if listings.is_empty() {
            return None;
        }
        self.tell(listings).await;
        self.catalog.find(url, headers)
    }

    async fn tell(&self, listings: Vec<(usize, Listing)>) {
        for (stream, listing) in listings {
            if let Some(asks) = self.streams.get(stream) {
                // If the task is gone, players are served from the origin.
                let _ = asks.send(Ask::Saw(Box::new(listing))).await;
            }
        }
    }

    fn note_type(&self, found: &Found, headers: &HeaderMap) {
        let Some(kind) = headers.get(header::CONTENT_TYPE) else { return };
        let mut types = self.types.lock().unwrap_or_else(PoisonError::into_inner);
        if types.len() < MAX_RENDITIONS * self.manifests.len() || types.contains_key(&found.key.track) {
            types.insert(found.key.track, kind.clone());
        }
    }

    /// What the origin has called such segments, or else what their names say.
    fn content_type(&self, found: &Found, url: &Url) -> HeaderValue {
        let types = self.types.lock().unwrap_or_else(PoisonError::into_inner);
        let extension = url.path().rsplit('.').next().unwrap_or_default().to_ascii_lowercase();
        let by_name = match extension.as_str() {
            "ts" => "video/mp2t",
            "mp4" | "m4s" | "m4v" | "cmfv" => "video/mp4",
            "m4a" | "cmfa" => "audio/mp4",
            "aac" => "audio/aac",
            "mp3" => "audio/mpeg",
            _ => "application/octet-stream",
        };
        types.get(&found.key.track).cloned().unwrap_or_else(|| HeaderValue::from_static(by_name))
    }
}

/// A short answer of the agent's own.
fn plain_text(status: StatusCode, text: String) -> Response<Body> {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}
