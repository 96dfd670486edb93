//! The bytes of one TCP connection to signaling: HTTP with everything that is answered there, WebSockets, messages in
//! their frames, the admin interface.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rillcast_signaling::admin::Admin;
use rillcast_signaling::bundle::Bundle;
use rillcast_signaling::http::{Front, router};
use rillcast_signaling::listen::{Gate, Server, serve_stream};
use rillcast_signaling::proxy::Proxies;
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;

use crate::choice;
use crate::hub::hub;

/// Most bytes that one connection may bring back per byte that it sends, and with none at all.
const ANSWER: (usize, usize) = (2048, 256 * 1024);

/// Speaks to the server as a program of this machine, or as a trusted proxy.
pub fn run(data: &[u8]) {
    thread_local! {
        static RUNTIME: Runtime = Builder::new_current_thread().enable_time().build().expect("a runtime");
    }
    let Some((who, request)) = choice(data, 2) else { return };
    let answer = RUNTIME.with(|runtime| runtime.block_on(speak(who, request)));
    assert!(
        answer.len() <= request.len() * ANSWER.0 + ANSWER.1,
        "{} bytes for {}",
        answer.len(),
        request.len()
    );
}

async fn speak(who: u8, request: &[u8]) -> Vec<u8> {
    let hub = hub();
    let front = Front {
        hub: hub.clone(),
        bundle: Arc::new(Bundle::default()),
        turn_port: Some(3478),
        stun_ports: vec![3478, 3479],
        stun_also: None,
        insecure_open: false,
        metrics_open: false,
        started: Instant::now(),
        admin: Some(Arc::new(Admin::new("t", &hub.limits))),
    };
    let (_stop, stop) = watch::channel(false);
    let server = Server {
        router: router(front),
        gate: Gate::new(&hub.limits, hub.metrics.clone()),
        proxies: Proxies::new(&["10.0.0.0/8".parse().expect("a range")]),
        handshake: Duration::from_secs(5),
        http: Duration::from_secs(5),
        stop,
    };
    let from: [u8; 4] = if who == 0 { [127, 0, 0, 1] } else { [10, 0, 0, 1] };
    let (near, far) = duplex(64 * 1024);
    let served = tokio::spawn(serve_stream(far, SocketAddr::from((from, 4711)), server));
    let (mut reader, mut writer) = tokio::io::split(near);
    let (_, answer) = tokio::join!(
        async {
            // A server that has heard enough closes.
            let _ = writer.write_all(request).await;
            let _ = writer.shutdown().await;
        },
        async {
            let mut answer = Vec::new();
            let _ = reader.read_to_end(&mut answer).await;
            answer
        }
    );
    served.await.expect("serving a connection doesn't panic");
    assert_eq!(hub.metrics.peers.value(), 0, "who has gone is gone");
    answer
}
