//! Sets one connection of the WebRTC stack up as this node needs it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use rillcast_protocol::session::{BULK_CHANNEL, CONTROL_CHANNEL};
use rtc::ice::mdns::MulticastDnsMode;
use tokio::sync::watch;
use webrtc::data_channel::{DataChannel, RTCDataChannelInit};
use webrtc::peer_connection::{
    PeerConnection, PeerConnectionBuilder, PeerConnectionEventHandler, RTCConfigurationBuilder,
    RTCPeerConnectionState, SettingEngineBuilder,
};

use super::endpoint::Endpoint;
use super::pacer::CEILING;
use super::port::Port;
use super::runtime::PortRuntime;

/// What a peer may have on its way to us: 20 MB/s at 100 ms. A seed mostly gives, and every link could fill this.
const RECEIVE_WINDOW: u32 = 2 * 1024 * 1024;
/// Without an answer to checks for so long, the connection is disconnected; after as long again it has failed.
const ICE_PATIENCE: Duration = Duration::from_secs(5);
const ICE_KEEPALIVE: Duration = Duration::from_secs(2);
/// The interval between checks of a pair and their number: 10 s, for a peer's candidates may come late.
const CHECK_INTERVAL: Duration = Duration::from_millis(200);
const CHECKS: u16 = 50;

/// A connection with its channels.
pub(super) struct Connection {
    pub(super) pc: Arc<dyn PeerConnection>,
    pub(super) control: Arc<dyn DataChannel>,
    pub(super) bulk: Arc<dyn DataChannel>,
    pub(super) port: Arc<Port>,
    pub(super) state: watch::Receiver<RTCPeerConnectionState>,
}

struct Handler {
    state: watch::Sender<RTCPeerConnectionState>,
}

#[async_trait::async_trait]
impl PeerConnectionEventHandler for Handler {
    async fn on_connection_state_change(&self, state: RTCPeerConnectionState) {
        self.state.send_replace(state);
    }
}

/// A connection at the endpoint's port, not yet described.
pub(super) async fn build(endpoint: &Endpoint) -> Result<Connection, String> {
    if endpoint.mdns.load(Relaxed) {
        match build_with(endpoint, MulticastDnsMode::QueryOnly).await {
            Ok(connection) => return Ok(connection),
            Err(e) => {
                // Without a multicast route the stack can't start with mDNS at all.
                let connection = build_with(endpoint, MulticastDnsMode::Disabled).await?;
                if endpoint.mdns.swap(false, Relaxed) {
                    tracing::warn!(
                        "mDNS can't be used here ({e}), so browsers' .local candidates are left out; they still \
                         connect if this node is reachable for them"
                    );
                }
                return Ok(connection);
            }
        }
    }
    build_with(endpoint, MulticastDnsMode::Disabled).await
}

async fn build_with(endpoint: &Endpoint, mdns: MulticastDnsMode) -> Result<Connection, String> {
    let (ufrag, password) = credentials()?;
    let port = endpoint.mux().open(&ufrag).map_err(|e| e.to_string())?;
    let mut settings = SettingEngineBuilder::new()
        .with_ice_credentials(ufrag, password)
        .with_multicast_dns_mode(mdns)
        .with_ice_timeouts(Some(ICE_PATIENCE), Some(ICE_PATIENCE), Some(ICE_KEEPALIVE))
        .with_ice_connection_attempts(Some(CHECK_INTERVAL), Some(CHECKS))
        .with_include_loopback_candidate(true)
        .with_sctp_max_receive_buffer_size(RECEIVE_WINDOW);
    // Most peers are known by their checks alone (their own candidates are `.local` names): don't wait for better.
    settings = settings
        .with_prflx_acceptance_min_wait(Some(Duration::ZERO))
        .with_srflx_acceptance_min_wait(Some(Duration::ZERO));
    let (state, watched) = watch::channel(RTCPeerConnectionState::New);
    // The stack binds these for itself; what it gets is the port at the shared socket. See `PortRuntime`.
    let mut local = vec![SocketAddr::from(([127, 0, 0, 1], 0))];
    if endpoint.mux().has_v6() {
        local.push(SocketAddr::from((std::net::Ipv6Addr::LOCALHOST, 0)));
    }
    let pc = PeerConnectionBuilder::new()
        .with_configuration(
            RTCConfigurationBuilder::new().with_certificates(vec![endpoint.certificate.clone()]).build(),
        )
        .with_setting_engine(settings.build())
        .with_runtime(Arc::new(PortRuntime::new(Arc::clone(&port))))
        .with_handler(Arc::new(Handler { state }))
        .with_udp_addrs(local)
        // The pacer keeps the bulk channel well below; for the control channel it is the bound.
        .with_data_channel_send_buffer_limit(CEILING)
        .build()
        .await
        .map_err(|e| e.to_string())?;
    let channel = async |label: &str, id: u16, ordered: bool| {
        let init = RTCDataChannelInit { ordered, negotiated: Some(id), ..RTCDataChannelInit::default() };
        pc.create_data_channel(label, Some(init)).await.map_err(|e| e.to_string())
    };
    let control = channel("control", CONTROL_CHANNEL, true).await?;
    let bulk = channel("bulk", BULK_CHANNEL, false).await?;
    Ok(Connection { pc: Arc::new(pc), control, bulk, port, state: watched })
}

/// 48 and 144 random bits, in characters that ICE allows.
fn credentials() -> Result<(String, String), String> {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut random = [0u8; 32];
    getrandom::fill(&mut random).map_err(|e| format!("the system gives no random numbers: {e}"))?;
    let text = |bytes: &[u8]| bytes.iter().map(|b| char::from(ALPHABET[usize::from(b & 63)])).collect();
    Ok((text(&random[..8]), text(&random[8..])))
}
