//! Accepts players' connections: HTTP/1.1 with keep-alive, one request of a connection at a time.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use hyper::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::Agent;
use super::respond::respond;

/// Connections at once, and so requests; more wait in the kernel's queue.
const CONNECTIONS: usize = 256;
/// A connection without a request is closed after so long.
const SILENT: Duration = Duration::from_secs(60);
/// When no connection can be taken, out of file descriptors most likely, some get time to close.
const PAUSE: Duration = Duration::from_millis(50);

/// Serves until stopped; then all connections end.
pub(super) async fn serve(agent: Arc<Agent>, listener: TcpListener, mut stop: watch::Receiver<bool>) {
    let Ok(bound) = listener.local_addr() else { return };
    let mut connections = JoinSet::new();
    while !*stop.borrow() {
        while connections.try_join_next().is_some() {}
        agent.tally.connections.store(connections.len() as u64, Relaxed);
        let full = connections.len() >= CONNECTIONS;
        tokio::select! {
            _ = stop.changed() => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            accepted = listener.accept(), if !full => match accepted {
                Ok((stream, _)) => drop(connections.spawn(connection(Arc::clone(&agent), bound, stream))),
                Err(_) => tokio::time::sleep(PAUSE).await,
            },
        }
    }
}

async fn connection(agent: Arc<Agent>, bound: SocketAddr, stream: TcpStream) {
    let _ = stream.set_nodelay(true);
    let service = service_fn(|request: Request<Incoming>| {
        let agent = Arc::clone(&agent);
        async move { Ok::<_, Infallible>(respond(&agent, bound, &request).await) }
    });
    // An error here is a player that left, or an answer that had to be broken off.
    let _ = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(SILENT)
        .serve_connection(TokioIo::new(stream), service)
        .await;
}
