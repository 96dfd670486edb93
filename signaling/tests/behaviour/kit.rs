//! What the tests are made of: a server, clients, joiners without sockets, an origin.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use rillcast_protocol::coding::{Blob, List, Text, Wire};
use rillcast_protocol::digest::SegmentDigest;
use rillcast_protocol::id::{
    Delivery, Fingerprint, PeerId, PublisherKey, Role, SealingKey, SegmentKey, SessionKey, SwarmId, TrackId,
};
use rillcast_protocol::signal::{
    ClientMessage, Join, PeerDescriptor, RefusedCode, ServerMessage, TrackSource, Welcome,
};
use rillcast_publisher::{Config, Publisher, PublishingKey, sign, track_id};
use rillcast_signaling::auth::mint::Minter;
use rillcast_signaling::auth::{Asker, Open};
use rillcast_signaling::authority::Authority;
use rillcast_signaling::hub::{Admission, Files, Hub, Refused};
use rillcast_signaling::limits::Limits;
use rillcast_signaling::outbox::{Outgoing, outbox};
use rillcast_signaling::site::{Own, SettingsFile, Sites};
use rillcast_signaling::swarm::Joiner;
use rillcast_signaling::{Options, Running, random, start};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

/// Long enough for anything on a loaded machine; a test that waits so long has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) fn loopback() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

/// A server with these settings (TOML), publishing whatever lies under `publish`.
pub(crate) async fn server_with(settings: &str, publish: &[String]) -> (Running, tempfile::TempDir) {
    let dir = tempfile::tempdir().expect("dir");
    let config = dir.path().join("settings.toml");
    std::fs::write(&config, settings).expect("write");
    let options = Options {
        listen: vec![loopback()],
        stun: vec![loopback()],
        config: Some(config),
        publish: publish.to_vec(),
        ..Options::default()
    };
    (start(options).await.expect("starts"), dir)
}

pub(crate) async fn server() -> Running {
    server_with("", &[]).await.0
}

pub(crate) fn url(server: &Running, path: &str) -> String {
    format!("http://{}{path}", server.listening[0])
}

pub(crate) fn join(role: Role) -> Join {
    Join {
        version: 1,
        site: Text::new("demo").expect("short"),
        content: Text::new("http://origin.example/live/master.m3u8").expect("short"),
        delivery: Delivery::Hls,
        role,
        token: Blob::default(),
        publisher: None,
        fingerprint: random_fingerprint(),
        session: Some(SessionKey([3; 32])),
        sealing: Some(SealingKey([4; 32])),
        ticket: None,
    }
}

fn random_fingerprint() -> Fingerprint {
    let mut fingerprint = [0; 32];
    fingerprint[..16].copy_from_slice(&random::peer_id().0);
    Fingerprint(fingerprint)
}

/// The same with a token.
pub(crate) fn with_token(join: Join, token: &str) -> Join {
    Join { token: Blob::new(token.as_bytes()).expect("short"), ..join }
}

/// Seconds since 1970.
pub(crate) fn now() -> u64 {
    rillcast_signaling::hub::unix_ms() / 1000
}

/// The key pair with this number.
pub(crate) fn minter(number: u8, id: Option<&str>) -> Minter {
    Minter::from_seed(&[number; 32], id.map(str::to_owned))
}

/// The public half of the key pair with this number, in the settings of a site.
pub(crate) fn key(site: &str, number: u8, id: &str) -> String {
    let public = minter(number, None).public().expect("a pair");
    format!("[[{site}.keys]]\nid = \"{id}\"\npublic = \"{public}\"\n")
}

/// A WebSocket client.
pub(crate) struct Client {
    pub(crate) socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    pub(crate) welcome: Option<Welcome>,
}

impl Client {
    pub(crate) async fn connect(server: &Running, origin: Option<&str>) -> Self {
        let headers: Vec<_> = origin.map(|origin| ("origin", origin)).into_iter().collect();
        Self::connect_with(server, &headers).await
    }

    /// Connects with these headers.
    pub(crate) async fn connect_with(server: &Running, headers: &[(&'static str, &str)]) -> Self {
        let mut request = format!("ws://{}/ws", server.listening[0]).into_client_request().expect("request");
        for (name, value) in headers {
            request.headers_mut().append(*name, value.parse().expect("header"));
        }
        let (socket, _) = tokio_tungstenite::connect_async(request).await.expect("upgrades");
        Self { socket, welcome: None }
    }

    /// Connects and joins.
    pub(crate) async fn join(server: &Running, join: Join) -> Self {
        let mut client = Self::connect(server, None).await;
        client.enter(join).await;
        client
    }

    /// Joins on an open connection.
    pub(crate) async fn enter(&mut self, join: Join) {
        self.send(&ClientMessage::Join { join }).await;
        match self.next().await {
            Some(ServerMessage::Welcome { welcome }) => self.welcome = Some(welcome),
            other => panic!("no welcome: {other:?}"),
        }
    }

    pub(crate) async fn viewer(server: &Running) -> Self {
        Self::join(server, join(Role::Viewer)).await
    }

    pub(crate) fn id(&self) -> PeerId {
        self.welcome.as_ref().expect("joined").peer()
    }

    pub(crate) fn swarm(&self) -> SwarmId {
        self.welcome.as_ref().expect("joined").swarm()
    }

    pub(crate) async fn send(&mut self, message: &ClientMessage) {
        self.send_bytes(message.to_bytes()).await;
    }

    pub(crate) async fn send_bytes(&mut self, bytes: Vec<u8>) {
        // A server that has already hung up is seen by whoever reads.
        let _ = self.socket.send(Message::Binary(bytes.into())).await;
    }

    /// The next message; `None` when the connection is closed.
    pub(crate) async fn next(&mut self) -> Option<ServerMessage> {
        loop {
            let message = tokio::time::timeout(PATIENCE, self.socket.next()).await.expect("something comes");
            match message {
                Some(Ok(Message::Binary(bytes))) => {
                    return Some(ServerMessage::from_bytes(&bytes).expect("the server speaks the protocol"));
                }
                Some(Ok(Message::Close(_)) | Err(_)) | None => return None,
                Some(Ok(_)) => {}
            }
        }
    }

    /// The next message that `pick` takes; others are passed over.
    pub(crate) async fn until<T>(&mut self, mut pick: impl FnMut(&ServerMessage) -> Option<T>) -> T {
        loop {
            let message = self.next().await.expect("still open");
            if let Some(found) = pick(&message) {
                return found;
            }
        }
    }

    pub(crate) async fn introduced(&mut self) -> Vec<PeerDescriptor> {
        self.until(|m| match m {
            ServerMessage::Introduce { peers } => Some(peers.to_vec()),
            _ => None,
        })
        .await
    }

    pub(crate) async fn digest(&mut self) -> SegmentDigest {
        self.until(|m| match m {
            ServerMessage::Digest { digest } => Some(digest.clone()),
            _ => None,
        })
        .await
    }

    /// The server's refusal, after which the connection is closed.
    pub(crate) async fn refused(&mut self) -> RefusedCode {
        self.refusal().await.0
    }

    /// The same with what it says to people.
    pub(crate) async fn refusal(&mut self) -> (RefusedCode, String) {
        let refusal = self
            .until(|m| match m {
                ServerMessage::Refused { code, message } => Some((*code, message.as_str().to_owned())),
                _ => None,
            })
            .await;
        assert!(!refusal.1.is_empty());
        assert!(self.next().await.is_none());
        refusal
    }

    /// Everything that was sent before has been dealt with when this returns; what came meanwhile is returned.
    pub(crate) async fn settle(&mut self) -> Vec<ServerMessage> {
        self.send(&ClientMessage::Ping { nonce: 77 }).await;
        let mut all = Vec::new();
        loop {
            match self.next().await.expect("still open") {
                ServerMessage::Pong { nonce: 77, .. } => return all,
                other => all.push(other),
            }
        }
    }

    pub(crate) async fn play(&mut self, playlists: &[&str]) {
        let tracks = List::clipped(playlists.iter().map(|p| source(p)));
        self.send(&ClientMessage::Playing { tracks }).await;
    }
}

pub(crate) fn source(playlist: &str) -> TrackSource {
    TrackSource { track: track_id(playlist), playlist: Text::new(playlist).expect("short") }
}

/// A hub without sockets.
pub(crate) struct Bench {
    pub(crate) hub: Arc<Hub>,
    /// That those speak who enter from now on.
    pub(crate) version: u8,
    _events: tokio::sync::mpsc::Receiver<rillcast_publisher::Event>,
}

/// A member of a hub without sockets.
pub(crate) struct Puppet {
    pub(crate) id: PeerId,
    pub(crate) swarm: SwarmId,
    outgoing: Outgoing,
}

impl Bench {
    pub(crate) fn new(limits: Limits, settings: &str) -> Self {
        Self::open(limits, settings, Open::Loopback)
    }

    pub(crate) fn open(limits: Limits, settings: &str, open: Open) -> Self {
        let file: SettingsFile = toml::from_str(settings).expect("settings");
        let sites = Sites::new(&file, Vec::new()).expect("sites");
        let (publisher, events) =
            Publisher::new(PublishingKey::from_seed(&[9; 32]), Config::default()).expect("publisher");
        let keys = ([7; 32], Authority::from_seeds(&[5; 32], &[]));
        let hub = Hub::new(limits, sites, Some(publisher), keys, open, Files::default());
        Self { hub, version: rillcast_protocol::VERSION, _events: events }
    }

    pub(crate) fn enter(&self, join: Join) -> Result<Puppet, RefusedCode> {
        let asker = Asker { address: loopback().ip(), origin: None, forwarded: false };
        self.enter_from(join, asker).map_err(|refused| refused.code)
    }

    pub(crate) fn enter_from(&self, join: Join, asker: Asker<'_>) -> Result<Puppet, Refused> {
        self.finish(&self.hub.admit(&join, asker)?, join.publisher)
    }

    /// Joins with what has been admitted.
    pub(crate) fn finish(
        &self,
        admission: &Admission,
        publisher: Option<PublisherKey>,
    ) -> Result<Puppet, Refused> {
        let swarm = admission.swarm;
        let (outbox, outgoing) = outbox(10_000, 10_000_000);
        let joiner = Joiner {
            id: random::peer_id(),
            role: admission.subject.role,
            publisher,
            net: self.hub.locate(swarm, admission.subject.address),
            subject: admission.subject.clone(),
            allowance: admission.allowance,
            visit: admission.visit,
            outbox,
            own: Own::default(),
            version: self.version,
        };
        let id = self.hub.join(admission, joiner)?;
        Ok(Puppet { id, swarm, outgoing })
    }

    pub(crate) fn viewer(&self) -> Puppet {
        self.enter(join(Role::Viewer)).expect("room")
    }

    pub(crate) fn seed(&self, key: &PublishingKey) -> Puppet {
        self.enter(Join { publisher: Some(key.public()), ..join(Role::Seed) }).expect("room")
    }

    pub(crate) fn say(&self, puppet: &Puppet, message: ClientMessage) {
        self.hub.message(puppet.swarm, puppet.id, message);
    }

    pub(crate) fn play(&self, puppet: &Puppet, playlists: &[&str]) {
        let tracks = List::clipped(playlists.iter().map(|p| source(p)));
        self.say(puppet, ClientMessage::Playing { tracks });
    }

    pub(crate) fn followed(&self) -> usize {
        self.hub.publisher().expect("there is one").following().len()
    }
}

impl Puppet {
    /// Everything that has come since last time.
    pub(crate) fn heard(&mut self) -> Vec<ServerMessage> {
        let next = std::iter::from_fn(|| self.outgoing.ready());
        next.map(|bytes| ServerMessage::from_bytes(&bytes).expect("speaks the protocol")).collect()
    }

    /// Why it was sent away, if it was.
    pub(crate) fn sent_away(&self) -> Option<Refused> {
        self.outgoing.refusal()
    }

    pub(crate) fn digests(&mut self) -> Vec<u64> {
        let digests = self.heard().into_iter().filter_map(|m| match m {
            ServerMessage::Digest { digest } => Some(digest.key.number),
            _ => None,
        });
        digests.collect()
    }

    pub(crate) fn introduced(&mut self) -> Vec<PeerDescriptor> {
        let lists = self.heard().into_iter().filter_map(|m| match m {
            ServerMessage::Introduce { peers } => Some(peers.into_vec()),
            _ => None,
        });
        lists.flatten().collect()
    }
}

pub(crate) fn key_of(track: TrackId, number: u64) -> SegmentKey {
    SegmentKey { track, number, discontinuity: 0, part: 0 }
}

/// A digest as a seed would publish it.
pub(crate) fn digest(key: &PublishingKey, swarm: SwarmId, track: TrackId, number: u64) -> SegmentDigest {
    let body = number.to_be_bytes().repeat(10);
    sign::digest(key, swarm, key_of(track, number), 4000, &body).expect("in bounds")
}

pub(crate) fn publisher_keys(messages: &[ServerMessage]) -> Option<Vec<PublisherKey>> {
    messages.iter().rev().find_map(|m| match m {
        ServerMessage::Publishers { keys } => Some(keys.to_vec()),
        _ => None,
    })
}

/// A small origin with one live or finished stream per name, told by the test what it has.
#[derive(Clone, Default)]
pub(crate) struct Origin(Arc<Inner>);

#[derive(Default)]
struct Inner {
    /// Numbers of the first segment and of the one after the last.
    window: (AtomicUsize, AtomicUsize),
    ended: std::sync::atomic::AtomicBool,
    playlists: AtomicUsize,
    segments: std::sync::Mutex<Vec<u64>>,
}

impl Origin {
    pub(crate) async fn start(first: usize, end: usize, ended: bool) -> (Self, String) {
        let origin = Self::default();
        origin.0.ended.store(ended, Ordering::SeqCst);
        origin.show(first, end);
        let listener = TcpListener::bind(loopback()).await.expect("bind");
        let base = format!("http://{}/", listener.local_addr().expect("address"));
        let app = Router::new().route("/{name}", get(serve)).with_state(origin.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        (origin, base)
    }

    pub(crate) fn show(&self, first: usize, end: usize) {
        self.0.window.0.store(first, Ordering::SeqCst);
        self.0.window.1.store(end, Ordering::SeqCst);
    }

    /// Numbers of the segments that were fetched, in order.
    pub(crate) fn fetched(&self) -> Vec<u64> {
        self.0.segments.lock().expect("whole").clone()
    }

    pub(crate) fn looks(&self) -> usize {
        self.0.playlists.load(Ordering::SeqCst)
    }

    pub(crate) fn body(number: u64) -> Bytes {
        (0..40_000u64).map(|i| (i.wrapping_mul(number + 3) >> 3) as u8).collect()
    }
}

async fn serve(State(origin): State<Origin>, Path(name): Path<String>, _: HeaderMap) -> Response {
    let inner = &origin.0;
    if name.ends_with(".m3u8") {
        inner.playlists.fetch_add(1, Ordering::SeqCst);
        let (first, end) = (inner.window.0.load(Ordering::SeqCst), inner.window.1.load(Ordering::SeqCst));
        let mut text = format!("#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXT-X-MEDIA-SEQUENCE:{first}\n");
        for number in first..end {
            text += &format!("#EXTINF:4.0,\n{}-{number}.ts\n", name.trim_end_matches(".m3u8"));
        }
        if inner.ended.load(Ordering::SeqCst) {
            text += "#EXT-X-ENDLIST\n";
        }
        return ([(header::CONTENT_TYPE, "application/vnd.apple.mpegurl")], text).into_response();
    }
    let number = name.trim_end_matches(".ts").rsplit('-').next().and_then(|n| n.parse().ok());
    match number {
        Some(number) => {
            inner.segments.lock().expect("whole").push(number);
            Origin::body(number).into_response()
        }
        None => StatusCode::NOT_FOUND.into_response(),
    }
}
