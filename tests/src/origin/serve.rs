//! Accepting connections. HTTP/1.1 with small buffers, so that the ledger's count is near what left the machine.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::Shared;
use super::body::CountedBody;
use super::respond::respond;

/// What hyper may hold of a response before it is written (its least allowed value, twice over).
const WRITE_BUFFER: usize = 16 * 1024;
/// Largest posted body that is read.
const POST_LIMIT: usize = 16 * 1024;
/// Connections at once; more wait in the kernel's queue.
const CONNECTIONS: usize = 4096;

/// Serves until dropped; then all connections end.
pub(super) async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        while connections.len() >= CONNECTIONS || connections.try_join_next().is_some() {
            if connections.len() >= CONNECTIONS {
                connections.join_next().await;
            }
        }
        match listener.accept().await {
            Ok((stream, client)) => {
                connections.spawn(connection(stream, client, shared.clone()));
            }
            // Out of file descriptors, most likely: let some close.
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

async fn connection(stream: TcpStream, client: SocketAddr, shared: Arc<Shared>) {
    let _ = stream.set_nodelay(true);
    let service = service_fn(|request: Request<Incoming>| {
        let shared = shared.clone();
        async move { Ok::<_, Infallible>(handle(request, client, &shared).await) }
    });
    // An error here is a client that left.
    let _ = hyper::server::conn::http1::Builder::new()
        .max_buf_size(WRITE_BUFFER)
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_secs(120))
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

async fn handle(
    request: Request<Incoming>,
    client: SocketAddr,
    shared: &Arc<Shared>,
) -> Response<CountedBody> {
    let (parts, body) = request.into_parts();
    // A body that is too long is no set of faults either way.
    let posted = Limited::new(body, POST_LIMIT).collect().await.map_or(Bytes::new(), |all| all.to_bytes());
    respond(shared, client, &Request::from_parts(parts, ()), posted).await
}
