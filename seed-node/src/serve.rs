//! Accepts HTTP/1.1 connections with keep-alive, within limits, over TLS where there is a certificate; one request of a connection at a time.

use std::convert::Infallible;
use std::future::Future;
use std::time::Duration;

use axum::body::Body;
use axum::http::Response;
use hyper::Request;
use hyper::body::Incoming;
use hyper::service::Service;
use hyper_util::rt::{TokioIo, TokioTimer};
use rillcast_tls::TlsAcceptor;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// When no connection can be taken, out of file descriptors most likely, some get time to close.
const PAUSE: Duration = Duration::from_millis(50);

/// A TLS handshake has to be done within this.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// What connections may cost.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Connections at once, and so requests; more wait in the kernel's queue.
    pub(crate) connections: usize,
    /// A connection without a request, or without the whole of a request's head, is closed after so long.
    pub(crate) silent: Duration,
    /// A request goes on though its sender has closed the connection: encoders don't wait for the answer to an upload.
    pub(crate) outlives_sender: bool,
}

/// Where connections come.
pub(crate) struct Door {
    /// The address.
    pub(crate) listener: TcpListener,
    /// What they begin with, if it is TLS.
    pub(crate) tls: Option<TlsAcceptor>,
    /// What they may cost.
    pub(crate) limits: Limits,
}

/// Serves until stopped; then all connections end. `open` is told how many there are, `service` makes what answers the next one.
pub(crate) async fn serve<S>(
    door: Door,
    mut open: impl FnMut(usize),
    mut service: impl FnMut() -> S,
    mut stop: watch::Receiver<bool>,
) where
    S: Service<Request<Incoming>, Response = Response<Body>, Error = Infallible> + Send + 'static,
    S::Future: Future<Output = Result<Response<Body>, Infallible>> + Send,
{
    let Door { listener, tls, limits } = door;
    let mut connections = JoinSet::new();
    while !*stop.borrow() {
        while connections.try_join_next().is_some() {}
        open(connections.len());
        let full = connections.len() >= limits.connections;
        tokio::select! {
            _ = stop.changed() => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            accepted = listener.accept(), if !full => match accepted {
                Ok((stream, _)) => drop(connections.spawn(connection(stream, tls.clone(), limits, service()))),
                Err(_) => tokio::time::sleep(PAUSE).await,
            },
        }
    }
}

async fn connection<S>(stream: TcpStream, tls: Option<TlsAcceptor>, limits: Limits, service: S)
where
    S: Service<Request<Incoming>, Response = Response<Body>, Error = Infallible>,
{
    let _ = stream.set_nodelay(true);
    match tls {
        None => requests(stream, limits, service).await,
        // A failed handshake is somebody else's trouble, and says so there.
        Some(tls) => {
            if let Ok(Ok(stream)) = tokio::time::timeout(HANDSHAKE, tls.accept(stream)).await {
                requests(stream, limits, service).await;
            }
        }
    }
}

async fn requests<S>(stream: impl AsyncRead + AsyncWrite + Unpin, limits: Limits, service: S)
where
    S: Service<Request<Incoming>, Response = Response<Body>, Error = Infallible>,
{
    // An error here is somebody who left, or an answer that had to be broken off.
    let _ = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.silent)
        .half_close(limits.outlives_sender)
        .serve_connection(TokioIo::new(stream), service)
        .await;
}
