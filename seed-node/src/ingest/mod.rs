//! The origin that encoders push to: HLS and DASH over HTTP, kept on disk, served to viewers and to this node's own publisher.
//!
//! - [`name`]: what may be called what, and why a file's public name carries a hash of its bytes; pure
//! - [`keys`]: who may push
//! - [`pushed`], [`timeline`]: an encoder's playlist, and the one list that is made of all of them; pure
//! - [`stream`]: files, playlists and manifests of one stream, what is kept and what goes; pure
//! - [`library`]: all streams, within a budget; [`disk`]: where they lie
//! - `receive`, `give`: requests; [`refusal`]: what is said when one isn't granted

pub mod disk;
mod give;
pub mod keys;
pub mod library;
pub mod metrics;
pub mod name;
pub mod pushed;
mod receive;
pub mod refusal;
pub mod stream;
pub mod timeline;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, DATE, RANGE};
use axum::http::{Method, Response, StatusCode};
use axum::response::IntoResponse;
use hyper::body::Incoming;
use hyper::service::{Service, service_fn};
use hyper_util::service::TowerToHyperService;

use rillcast_tls::{Certificate, TlsError};
use tokio::net::TcpListener;
use tokio::sync::{broadcast, watch};
use tokio::task::JoinSet;
use tower_http::cors::{Any, CorsLayer};

use crate::Error;
use crate::channel::{self, Channel, ChannelError};
use crate::serve::{self, Door, Limits};
use keys::{Keys, KeysError};
use library::Library;
use name::{FilePath, NameError, StreamName};
use refusal::Refusal;

/// Connections at once at each address; more wait in the kernel's queue.
pub const CONNECTIONS: usize = 2048;
/// A request's head has to come within this, and a connection without a request is closed after it.
pub const SILENT: Duration = Duration::from_secs(60);
const LIMITS: Limits = Limits { connections: CONNECTIONS, silent: SILENT, outlives_sender: true };
/// How often what is too old goes, and lost segments are given up.
const TICK: Duration = Duration::from_secs(1);

/// Where it is served over TLS besides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// Where encoders and viewers connect.
    pub listen: SocketAddr,
    /// The certificate chain's file.
    pub cert: PathBuf,
    /// Its key's file.
    pub key: PathBuf,
}

/// What an operator sets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Where encoders and viewers connect.
    pub listen: SocketAddr,
    /// The same over TLS.
    pub tls: Option<Tls>,
    /// Where streams lie.
    pub dir: PathBuf,
    /// Bytes of disk for them.
    pub budget: u64,
    /// How long what has been pushed is kept.
    pub retain: Duration,
    /// The path under which streams are found, with slashes at both ends.
    pub prefix: String,
    /// The stream keys' file; without one everybody may push.
    pub keys: Option<PathBuf>,
    /// Schedules of linear channels that are served besides.
    pub channels: Vec<PathBuf>,
}

impl Config {
    /// Where it listens.
    pub fn addresses(&self) -> impl Iterator<Item = SocketAddr> + use<> {
        [Some(self.listen), self.tls.as_ref().map(|tls| tls.listen)].into_iter().flatten()
    }
}

/// Why the origin can't start.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    /// The directory.
    #[error("can't keep streams in {0}: {1}; name a directory with --ingest-dir that this user can write")]
    Directory(PathBuf, std::io::Error),
    /// Another node has it.
    #[error("{0} belongs to another node that runs; give each its own --ingest-dir")]
    Taken(PathBuf),
    /// The keys.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// A linear channel.
    #[error("--channel: {0}")]
    Channel(#[from] ChannelError),
    /// The certificate.
    #[error("--ingest-cert, --ingest-cert-key: {0}")]
    Tls(#[from] TlsError),
    /// The address.
    #[error("can't take streams at {0}: {1}; choose another address with --ingest or --ingest-tls")]
    Listen(SocketAddr, std::io::Error),
}

/// Paths of media playlists, as they change. Who listens too slowly misses some.
#[derive(Clone, Debug)]
pub struct Changes(pub(crate) broadcast::Sender<Arc<str>>);

impl Changes {
    /// Changes that a listener may be behind by.
    pub const ROOM: usize = 256;
}

/// A running origin.
#[derive(Debug)]
pub struct Running {
    /// Where it listens.
    pub address: SocketAddr,
    /// Where it listens for TLS.
    pub tls: Option<SocketAddr>,
    /// What it keeps.
    pub library: Arc<Library>,
}

struct App {
    library: Arc<Library>,
    keys: Option<Keys>,
    channels: Vec<Channel>,
    prefix: String,
}

/// Starts one: its tasks run in `tasks` until stopped.
pub async fn start(
    config: &Config,
    tasks: &mut JoinSet<Result<(), Error>>,
    stop: &watch::Receiver<bool>,
) -> Result<Running, IngestError> {
    let keys = config.keys.as_deref().map(Keys::open).transpose()?;
    let opened = config.clone();
    let opening = move || -> Result<_, IngestError> {
        // The library first: the directory is this node's from then on.
        let library = Library::open(&opened)?;
        Ok((library, channel::open(&opened.channels, &opened.dir)?))
    };
    let ended = |_| IngestError::Directory(config.dir.clone(), std::io::Error::other("its task ended"));
    let (library, channels) = tokio::task::spawn_blocking(opening).await.map_err(ended)??;
    let library = Arc::new(library);
    let certificate = config.tls.as_ref().map(|tls| Certificate::load(&tls.cert, &tls.key)).transpose()?;
    let app = Arc::new(App { library: Arc::clone(&library), keys, channels, prefix: config.prefix.clone() });
    let router = Router::new().fallback(respond).with_state(app).layer(cors());
    let (plain, address) = bind(config.listen).await?;
    let mut doors = vec![(plain, None)];
    let mut secured = None;
    if let (Some(tls), Some(certificate)) = (&config.tls, &certificate) {
        let (listener, address) = bind(tls.listen).await?;
        secured = Some(address);
        doors.push((listener, Some(certificate.acceptor_for_uploads())));
    }
    let serials = Arc::new(AtomicU64::new(1));
    for (listener, tls) in doors {
        let (router, serials, counted) = (router.clone(), Arc::clone(&serials), Arc::clone(&library));
        let stopped = stop.clone();
        tasks.spawn(async move {
            // Of all addresses together; each counts its own.
            let mut before = 0;
            let open = move |count| {
                let connections = &counted.tally.connections;
                connections.fetch_add((count as u64).wrapping_sub(before), Relaxed);
                before = count as u64;
            };
            let service = || numbered(router.clone(), Arc::clone(&serials));
            serve::serve(Door { listener, tls, limits: LIMITS }, open, service, stopped).await;
            Ok(())
        });
    }
    tasks.spawn(keep(Arc::clone(&library), certificate, stop.clone()));
    Ok(Running { address, tls: secured, library })
}

async fn bind(address: SocketAddr) -> Result<(TcpListener, SocketAddr), IngestError> {
    let bound = async {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        Ok((listener, address))
    };
    bound.await.map_err(|error| IngestError::Listen(address, error))
}

/// Lets go of what is too old, and follows the certificate's files.
async fn keep(
    library: Arc<Library>,
    certificate: Option<Arc<Certificate>>,
    mut stop: watch::Receiver<bool>,
) -> Result<(), Error> {
    let mut tick = tokio::time::interval(TICK);
    while !*stop.borrow() {
        tokio::select! {
            _ = tick.tick() => {
                let library = Arc::clone(&library);
                let _ = tokio::task::spawn_blocking(move || library.tick()).await;
                match certificate.as_deref().map(Certificate::follow) {
                    None | Some(Ok(false)) => {}
                    Some(Ok(true)) => tracing::info!("certificate read again"),
                    Some(Err(error)) => tracing::error!(%error, "the old certificate stays; correct the files"),
                }
            }
            _ = stop.changed() => break,
        }
    }
    Ok(())
}

/// Milliseconds since 1970.
fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    since.as_millis().try_into().unwrap_or(u64::MAX)
}

/// A request's place among all: encoders send a playlist on a connection of its own each time, and don't wait for the answer before the next.
#[derive(Clone, Copy, Debug)]
struct Serial(u64);

/// A connection that is made for a request brings it at once. One that comes later was kept in stock, and what it brings may be newer than what came
/// by others meanwhile.
const MADE_FOR_IT: Duration = Duration::from_millis(100);

/// What answers a connection: the request that it was made for has its place by when the connection came, for then they have an order.
fn numbered(
    router: Router,
    serials: Arc<AtomicU64>,
) -> impl Service<
    hyper::Request<Incoming>,
    Response = Response<Body>,
    Error = Infallible,
    Future = impl Future<Output = Result<Response<Body>, Infallible>> + Send,
> {
    let inner = TowerToHyperService::new(router);
    let came = AtomicU64::new(serials.fetch_add(1, Relaxed));
    let at = Instant::now();
    service_fn(move |mut request: hyper::Request<Incoming>| {
        let serial = match came.swap(0, Relaxed) {
            first if first > 0 && at.elapsed() < MADE_FOR_IT => first,
            _ => serials.fetch_add(1, Relaxed),
        };
        request.extensions_mut().insert(Serial(serial));
        inner.call(request)
    })
}

/// Pages of every site may read, with ranges; none may push.
fn cors() -> CorsLayer {
    CorsLayer::new()
        .allow_origin(Any)
        .allow_methods([Method::GET, Method::HEAD])
        .allow_headers([RANGE])
        .expose_headers([CONTENT_LENGTH, CONTENT_RANGE, ACCEPT_RANGES, DATE])
        .max_age(give::PREFLIGHT)
}

async fn respond(State(app): State<Arc<App>>, request: Request) -> Response<Body> {
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    match answer(&app, request).await {
        Ok(response) => {
            if reads {
                app.library.tally.served.fetch_add(1, Relaxed);
            }
            response
        }
        Err(refusal) => {
            if !reads {
                app.library.tally.refused.fetch_add(1, Relaxed);
                tracing::warn!(%refusal, "a push was refused");
            }
            refusal.into_response()
        }
    }
}

impl App {
    fn channel(&self, name: &StreamName) -> Option<&Channel> {
        self.channels.iter().find(|channel| channel.name == *name)
    }
}

async fn answer(app: &App, request: Request) -> Result<Response<Body>, Refusal> {
    let path = request.uri().path().to_owned();
    let inside = path.strip_prefix(app.prefix.as_str()).ok_or(Refusal::Nothing)?;
    match *request.method() {
        Method::GET | Method::HEAD => {
            let (stream, file) = inside.split_once('/').ok_or(Refusal::Nothing)?;
            let stream = StreamName::new(stream).map_err(|_| Refusal::Nothing)?;
            let window = give::window(request.uri().query())?;
            let span = window.as_ref().map(|(_, span)| *span);
            let found = match app.channel(&stream) {
                None => app.library.find(&stream, file, span),
                Some(channel) => channel.find(file, span, &format!("{}{stream}/", app.prefix), now_ms()),
            };
            let found = found.ok_or(Refusal::Nothing)?;
            give::give(found, window.map(|(text, _)| text), request).await
        }
        Method::PUT | Method::POST | Method::DELETE => {
            let (stream, file) = inside.split_once('/').ok_or(NameError::Incomplete)?;
            let stream = StreamName::new(stream)?;
            if app.keys.as_ref().is_some_and(|keys| !keys.admits(&stream, request.headers())) {
                return Err(Refusal::Key);
            }
            if app.channel(&stream).is_some() {
                return Err(Refusal::Channel);
            }
            let file = FilePath::new(file)?;
            // What the encoder lists no longer is what viewers go back to: how long it is kept, --retain says.
            if *request.method() == Method::DELETE {
                return Ok(StatusCode::NO_CONTENT.into_response());
            }
            let serial = request.extensions().get().map_or(0, |Serial(serial)| *serial);
            receive::receive(&app.library, stream, file, serial, request.into_body()).await?;
            Ok(StatusCode::CREATED.into_response())
        }
        _ => Err(Refusal::Method),
    }
}
