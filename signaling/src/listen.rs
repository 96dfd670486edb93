//! Accepting connections: counted in all and per address, with time limits from the first byte on.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use rillcast_tls::TlsAcceptor;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::timeout;

pub use rillcast_relay::group::group;

use crate::limits::Limits;
use crate::metrics::Metrics;
use crate::proxy::Proxies;

/// Largest request head.
const MAX_HEAD: usize = 16 * 1024;

/// Counts connections.
#[derive(Debug)]
pub struct Gate {
    max: usize,
    max_per_address: usize,
    metrics: Arc<Metrics>,
    by_address: Mutex<HashMap<IpAddr, usize>>,
}

/// A place among the open connections, given back on drop.
#[derive(Debug)]
pub struct Pass {
    gate: Arc<Gate>,
    _place: Option<Place>,
}

/// A place among what one address has open, given back on drop.
#[derive(Debug)]
pub struct Place {
    gate: Arc<Gate>,
    address: IpAddr,
}

/// The other end of a connection. Whoever holds a clone keeps its place in the count.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The connection's address: a client's or a proxy's.
    pub address: SocketAddr,
    /// The client's address; `None` where a trusted proxy doesn't say for whom it asks.
    pub client: Option<IpAddr>,
    /// Somebody passes it on whom nobody has named as a trusted proxy.
    pub forwarded: bool,
    _pass: Arc<Pass>,
    /// Of the client's behind a proxy, while the request lasts.
    _place: Option<Arc<Place>>,
}

impl Gate {
    /// A gate with these bounds.
    pub fn new(limits: &Limits, metrics: Arc<Metrics>) -> Arc<Self> {
        Arc::new(Self {
            max: limits.connections,
            max_per_address: limits.connections_per_address,
            metrics,
            by_address: Mutex::default(),
        })
    }

    /// A place for a connection from this address, if there is room.
    pub fn enter(self: &Arc<Self>, address: IpAddr) -> Option<Pass> {
        let place = self.place(address)?;
        self.pass(Some(place))
    }

    /// A place for a connection from a trusted proxy, if there is room: its clients are counted, not itself.
    pub fn enter_proxy(self: &Arc<Self>) -> Option<Pass> {
        self.pass(None)
    }

    /// A place for one more thing that a client at this address has open, if there is room.
    pub fn place(self: &Arc<Self>, address: IpAddr) -> Option<Place> {
        let address = group(address);
        let mut by_address = self.by_address.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let of_address = by_address.get(&address).copied().unwrap_or(0);
        if of_address >= self.max_per_address {
            self.metrics.connections_refused_total.up();
            return None;
        }
        by_address.insert(address, of_address + 1);
        Some(Place { gate: self.clone(), address })
    }

    fn pass(self: &Arc<Self>, place: Option<Place>) -> Option<Pass> {
        // Whoever counts up holds the lock, so that several listeners don't let one too many in.
        let _alone = self.by_address.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if self.metrics.connections.value() >= self.max as u64 {
            self.metrics.connections_refused_total.up();
            return None;
        }
        self.metrics.connections.up();
        Some(Pass { gate: self.clone(), _place: place })
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        self.gate.metrics.connections.down();
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut by_address = self.gate.by_address.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some(count) = by_address.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                by_address.remove(&self.address);
            }
        }
    }
}

/// What connections are served with.
#[derive(Clone, Debug)]
pub struct Server {
    /// Requests go here.
    pub router: Router,
    /// Connections are counted here.
    pub gate: Arc<Gate>,
    /// Who is believed for whom it asks.
    pub proxies: Proxies,
    /// For a request's head and the TLS handshake.
    pub handshake: Duration,
    /// For a plain HTTP connection.
    pub http: Duration,
    /// Turns true when the server stops.
    pub stop: watch::Receiver<bool>,
}

impl Server {
    /// Whoever connects from this address, if there is room.
    fn caller(&self, address: SocketAddr) -> Option<Caller> {
        let proxy = self.proxies.trusts(address.ip());
        let pass = if proxy { self.gate.enter_proxy() } else { self.gate.enter(address.ip()) };
        let client = (!proxy).then_some(address.ip());
        Some(Caller { address, client, forwarded: false, _pass: Arc::new(pass?), _place: None })
    }
}

/// Serves one connection from this address to its end, whatever it runs over.
pub async fn serve_stream(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    address: SocketAddr,
    server: Server,
) {
    if let Some(caller) = server.caller(address) {
        http(stream, server, caller).await;
    }
}

/// Accepts connections until the server stops.
pub async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, server: Server) {
    let mut stop = server.stop.clone();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.wait_for(|stop| *stop) => return,
        };
        let (stream, address) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of file handles, most likely: going on at once would only burn CPU.
                tracing::warn!(%error, "can't accept a connection; raise the open-files limit (ulimit -n)");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let Some(caller) = server.caller(address) else { continue };
        let (server, tls) = (server.clone(), tls.clone());
        tokio::spawn(async move {
            let _ = stream.set_nodelay(true);
            serve(stream, tls, server, caller).await;
        });
    }
}

async fn serve(stream: TcpStream, tls: Option<TlsAcceptor>, server: Server, caller: Caller) {
    match tls {
        None => http(stream, server, caller).await,
        Some(tls) => match timeout(server.handshake, tls.accept(stream)).await {
            Ok(Ok(stream)) => http(stream, server, caller).await,
            Ok(Err(error)) => tracing::debug!(%error, address = %caller.address, "TLS handshake failed"),
            Err(_) => tracing::debug!(address = %caller.address, "TLS handshake took too long"),
        },
    }
}

async fn http(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, server: Server, caller: Caller) {
    let service = tower_service(&server, caller);
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(server.handshake)
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let mut connection = std::pin::pin!(connection);
    let mut stop = server.stop;
    tokio::select! {
        _ = connection.as_mut() => return,
        () = tokio::time::sleep(server.http) => {}
        _ = stop.wait_for(|stop| *stop) => {}
    }
    connection.as_mut().graceful_shutdown();
    let _ = timeout(server.http, connection).await;
}

fn tower_service(
    server: &Server,
    caller: Caller,
) -> impl hyper::service::Service<
    Request<Incoming>,
    Response = axum::response::Response,
    Error = std::convert::Infallible,
    Future: Send,
> + use<> {
    let inner = TowerToHyperService::new(server.router.clone());
    let (gate, proxies) = (server.gate.clone(), server.proxies.clone());
    hyper::service::service_fn(move |request: Request<Incoming>| {
        let mut request = request.map(Body::new);
        let known = asked_for(caller.clone(), &request, &gate, &proxies);
        let answer = known.map(|caller| {
            request.extensions_mut().insert(caller);
            hyper::service::Service::call(&inner, request)
        });
        async move {
            match answer {
                Some(answer) => answer.await,
                None => Ok((StatusCode::TOO_MANY_REQUESTS, "Too many connections from one address.\n")
                    .into_response()),
            }
        }
    })
}

/// What proxies add to the requests that they pass on.
const FORWARDING: [&str; 4] = ["x-forwarded-for", "forwarded", "x-real-ip", "via"];

/// For whom this request is made: the caller itself, or whom a trusted proxy names. `None` if that client has as much
/// open as it may.
fn asked_for(caller: Caller, request: &Request<Body>, gate: &Arc<Gate>, proxies: &Proxies) -> Option<Caller> {
    if !proxies.trusts(caller.address.ip()) {
        let forwarded = FORWARDING.iter().any(|name| request.headers().contains_key(*name));
        return Some(Caller { forwarded, ..caller });
    }
    let client = proxies.client(request.headers());
    let place = match client {
        Some(client) => Some(Arc::new(gate.place(client)?)),
        None => None,
    };
    Some(Caller { client, _place: place, ..caller })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate(max: usize, per_address: usize) -> Arc<Gate> {
        let limits = Limits { connections: max, connections_per_address: per_address, ..Limits::default() };
        Gate::new(&limits, Arc::default())
    }

    #[test]
    fn a_proxy_is_no_address_and_its_clients_are() {
        let gate = gate(3, 1);
        let proxies: Vec<_> = (0..3).map(|_| gate.enter_proxy().expect("room")).collect();
        assert!(gate.enter_proxy().is_none() && gate.enter(v4(1)).is_none(), "all count in all");
        let place = gate.place(v4(1)).expect("room");
        assert!(gate.place(v4(1)).is_none() && gate.place(v4(2)).is_some());
        drop((proxies, place));
        assert!(gate.enter(v4(1)).is_some());
        assert!(gate.by_address.lock().expect("whole").is_empty(), "nothing is left behind");
    }

    fn v4(n: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, n])
    }

    #[test]
    fn connections_are_bounded_in_all() {
        let gate = gate(3, 10);
        let mut passes: Vec<_> = (0..3).map(|n| gate.enter(v4(n)).expect("room")).collect();
        assert!(gate.enter(v4(9)).is_none());
        passes.pop();
        assert!(gate.enter(v4(9)).is_some());
    }

    #[test]
    fn connections_are_bounded_per_address() {
        let gate = gate(100, 2);
        let passes: Vec<_> = (0..2).map(|_| gate.enter(v4(1)).expect("room")).collect();
        assert!(gate.enter(v4(1)).is_none());
        assert!(gate.enter(v4(2)).is_some());
        drop(passes);
        assert!(gate.enter(v4(1)).is_some());
        assert!(gate.by_address.lock().expect("whole").is_empty(), "nothing is left behind");
    }

    #[test]
    fn a_v6_network_is_one_address_and_a_mapped_v4_is_a_v4() {
        let address = |text: &str| group(text.parse().expect("address"));
        assert_eq!(address("2001:db8::1"), address("2001:db8::ffff:2"));
        assert_ne!(address("2001:db8::1"), address("2001:db8:0:1::1"));
        assert_eq!(address("::ffff:10.0.0.1"), v4(1));
    }
}
