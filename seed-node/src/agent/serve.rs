//! Players' connections.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use hyper::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::Agent;
use super::respond::respond;
use crate::serve::{self, Door, Limits};

/// What players' connections may cost.
const LIMITS: Limits = Limits { connections: 256, silent: Duration::from_secs(60), outlives_sender: false };

/// Serves until stopped; then all connections end.
pub(super) async fn serve(agent: Arc<Agent>, listener: TcpListener, stop: watch::Receiver<bool>) {
    let Ok(bound) = listener.local_addr() else { return };
    let counted = Arc::clone(&agent);
    let service = service_fn(move |request: Request<Incoming>| {
        let agent = Arc::clone(&agent);
        async move { Ok::<_, Infallible>(respond(&agent, bound, &request).await) }
    });
    serve::serve(
        Door { listener, tls: None, limits: LIMITS },
        |open| counted.tally.connections.store(open as u64, Relaxed),
        || service.clone(),
        stop,
    )
    .await;
}
