//! The built-in TURN server, spoken to as clients do (R13, R42), and what keeps it from being of use to others (H4, H8).

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::{Duration, Instant};

use clap::Parser;
use rillcast_protocol::id::{PeerId, Role};
use rillcast_protocol::settings::{IceServer, Settings};
use rillcast_protocol::signal::{ClientMessage, ServerMessage};
use rillcast_relay::Secret;
use rillcast_signaling::limits::Limits;
use rillcast_signaling::site::{Reach, SettingsFile, Sites};
use rillcast_signaling::{Options, Running, start};
use tokio::net::UdpSocket;
use turn_client_proto::api::{TransmitBuild, TurnClientApi, TurnConfig, TurnEvent, TurnPollRet, TurnRecvRet};
use turn_client_proto::stun::auth::Feature;
use turn_client_proto::types::{Instant as Time, TransportType, TurnCredentials};
use turn_client_proto::udp::TurnClientUdp;

use crate::kit::{Bench, Client, PATIENCE, join, now};

/// A server that relays on loopback, to addresses of this range besides its own relays.
async fn server(limits: &str, allow: &str) -> (Running, tempfile::TempDir) {
    let dir = tempfile::tempdir().expect("dir");
    let config = dir.path().join("settings.toml");
    std::fs::write(&config, format!("[limits]\n{limits}\n")).expect("write");
    let options = Options {
        listen: vec![crate::kit::loopback()],
        turn: vec![crate::kit::loopback()],
        turn_allow: vec![allow.parse().expect("a range")],
        config: Some(config),
        ..Options::default()
    };
    (start(options).await.expect("starts"), dir)
}

/// What somebody who joins is told to relay through.
async fn told(server: &Running) -> (IceServer, Client) {
    let client = Client::join(server, join(Role::Viewer)).await;
    let ice = &client.welcome.as_ref().expect("joined").settings.ice;
    let turn = ice.iter().find(|server| server.url.as_str().starts_with("turn:")).expect("a relay").clone();
    (turn, client)
}

/// A client of the TURN server.
struct Caller {
    socket: UdpSocket,
    proto: TurnClientUdp,
    zero: Instant,
    heard: Vec<(SocketAddr, Vec<u8>)>,
}

impl Caller {
    /// Asks for a relay.
    async fn new(server: SocketAddr, name: &str, password: &str) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.expect("bind");
        let local = socket.local_addr().expect("bound");
        let mut config = TurnConfig::new(TurnCredentials::new(name, password));
        // As browsers do: who checks names by a secret has to be told them.
        config.set_anonymous_username(Feature::Disabled);
        // Whoever isn't answered gives up within seconds.
        let (first, longest) = (Duration::from_millis(200), Duration::from_secs(1));
        config.set_request_retransmits(first, longest, 3, longest);
        let proto = TurnClientUdp::allocate(local, server, config);
        Self { socket, proto, zero: Instant::now(), heard: Vec::new() }
    }

    async fn told(server: &Running, ice: &IceServer) -> Self {
        Self::new(server.turn[0], ice.username.as_str(), ice.credential.as_str()).await
    }

    fn time(&self) -> Time {
        Time::from_nanos(self.zero.elapsed().as_nanos() as i64 + 1_000_000_000)
    }

    /// Sends what waits, and takes in what comes within a moment.
    async fn step(&mut self) {
        let _ = self.proto.poll(self.time());
        while let Some(sent) = self.proto.poll_transmit(self.time()) {
            self.socket.send_to(sent.data.as_ref(), sent.to).await.expect("sent");
        }
        let mut buffer = vec![0; 2048];
        let moment = Duration::from_millis(20);
        let Ok(Ok((length, from))) = tokio::time::timeout(moment, self.socket.recv_from(&mut buffer)).await
        else {
            return;
        };
        let local = self.socket.local_addr().expect("bound");
        let came =
            turn_client_proto::api::Transmit::new(buffer[..length].to_vec(), TransportType::Udp, from, local);
        if let TurnRecvRet::PeerData(data) = self.proto.recv(came, self.time()) {
            self.heard.push((data.peer, data.data().to_vec()));
        }
    }

    async fn event<T>(&mut self, mut pick: impl FnMut(TurnEvent) -> Option<T>) -> Option<T> {
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            while let Some(event) = self.proto.poll_event() {
                if let Some(found) = pick(event) {
                    return Some(found);
                }
            }
            if matches!(self.proto.poll(self.time()), TurnPollRet::Closed) {
                return None;
            }
            self.step().await;
        }
        panic!("nothing happens");
    }

    /// Its relay, if it gets one.
    async fn relay(&mut self) -> Option<SocketAddr> {
        self.event(|event| match event {
            TurnEvent::AllocationCreated(_, relay) => Some(Some(relay)),
            TurnEvent::AllocationCreateFailed(_) => Some(None),
            _ => None,
        })
        .await
        .flatten()
    }

    /// Whether it may send to an address.
    async fn may(&mut self, peer: IpAddr) -> bool {
        let time = self.time();
        self.proto.create_permission(TransportType::Udp, peer, time).expect("it has a relay");
        let answered = self.event(|event| match event {
            TurnEvent::PermissionCreated(_, ip) if ip == peer => Some(true),
            TurnEvent::PermissionCreateFailed(_, ip) if ip == peer => Some(false),
            _ => None,
        });
        answered.await.expect("answered")
    }

    async fn send(&mut self, to: SocketAddr, data: &[u8]) {
        let time = self.time();
        let sent = self.proto.send_to(TransportType::Udp, to, data, time).expect("it may");
        if let Some(sent) = sent {
            let sent = TransmitBuild::build(sent);
            self.socket.send_to(&sent.data, sent.to).await.expect("sent");
        }
    }

    /// What has come through the relay until so much has.
    async fn hears(&mut self, count: usize) -> Vec<(SocketAddr, Vec<u8>)> {
        let until = Instant::now() + PATIENCE;
        while self.heard.len() < count && Instant::now() < until {
            self.step().await;
        }
        std::mem::take(&mut self.heard)
    }
}

// R13 R42
#[tokio::test]
async fn two_who_joined_meet_through_their_relays() {
    let (server, _dir) = server("", "192.0.2.1").await;
    let (ice, _one) = told(&server).await;
    assert_eq!(ice.url.as_str(), format!("turn:127.0.0.1:{}?transport=udp", server.turn[0].port()));
    let (other_ice, _other) = told(&server).await;
    assert_ne!(ice.username, other_ice.username);
    let mut one = Caller::told(&server, &ice).await;
    let mut other = Caller::told(&server, &other_ice).await;
    let here = one.relay().await.expect("a relay");
    let there = other.relay().await.expect("a relay");
    assert!(one.may(there.ip()).await && other.may(here.ip()).await);
    one.send(there, b"hello").await;
    assert_eq!(other.hears(1).await, [(here, b"hello".to_vec())]);
    other.send(here, &[7; 1200]).await;
    assert_eq!(one.hears(1).await, [(there, vec![7; 1200])]);
    let metrics = &server.hub.metrics;
    assert_eq!((metrics.relay.allocations.value(), metrics.relay.allocations_total.value()), (2, 2));
    assert_eq!(
        (metrics.relay.sent_bytes_total.value(), metrics.relay.received_bytes_total.value()),
        (1205, 1205)
    );
    // To a port of its own address where there's no relay: nothing, whatever else listens there.
    one.send(SocketAddr::new(there.ip(), 9), b"x").await;
    one.send(there, b"again").await;
    assert_eq!(other.hears(1).await, [(here, b"again".to_vec())]);
    assert_eq!(metrics.relay.dropped_total.value(), 1);
}

// H8
#[tokio::test]
async fn a_relay_leads_to_nobody_but_the_public_and_whom_the_operator_allows() {
    let (server, _dir) = server("", "127.0.0.2").await;
    let (ice, _client) = told(&server).await;
    let mut caller = Caller::told(&server, &ice).await;
    let relay = caller.relay().await.expect("a relay");
    for inside in ["127.0.0.3", "10.0.0.1", "192.168.1.1", "169.254.169.254", "224.0.0.1"] {
        assert!(!caller.may(inside.parse().expect("an address")).await, "{inside}");
    }
    let peer = UdpSocket::bind("127.0.0.2:0").await.expect("bind");
    let stranger = UdpSocket::bind("127.0.0.2:0").await.expect("bind");
    let there = peer.local_addr().expect("bound");
    assert!(caller.may(there.ip()).await);
    caller.send(there, b"ping").await;
    let mut buffer = [0; 16];
    let (length, from) =
        tokio::time::timeout(PATIENCE, peer.recv_from(&mut buffer)).await.expect("in time").expect("comes");
    assert_eq!((&buffer[..length], from), (&b"ping"[..], relay));
    peer.send_to(b"pong", relay).await.expect("sent");
    assert_eq!(caller.hears(1).await, [(there, b"pong".to_vec())]);
    // From an address that it hasn't asked for nothing comes through.
    let elsewhere = UdpSocket::bind("127.0.0.4:0").await.expect("bind");
    elsewhere.send_to(b"psst", relay).await.expect("sent");
    stranger.send_to(b"port", relay).await.expect("sent");
    assert_eq!(caller.hears(1).await, [(stranger.local_addr().expect("bound"), b"port".to_vec())]);
}

// R41
#[tokio::test]
async fn who_has_not_joined_gets_no_relay() {
    let (server, _dir) = server("", "127.0.0.2").await;
    let (ice, _client) = told(&server).await;
    let (name, password) = (ice.username.as_str(), ice.credential.as_str());
    let (_, user) = name.split_once(':').expect("expiry and user");
    let over = server.hub.turn.credentials(now() - 2, user);
    let strangers = [
        (name, "another"),
        ("4000000000:made-up", password),
        ("made-up", password),
        (over.name.as_str(), over.password.as_str()),
    ];
    let at = server.turn[0];
    let asked = strangers.map(|(name, password)| async move {
        assert_eq!(Caller::new(at, name, password).await.relay().await, None, "{name}");
    });
    futures_util::future::join_all(asked).await;
    assert_eq!(server.hub.metrics.relay.allocations_total.value(), 0);
    assert!(Caller::new(server.turn[0], name, password).await.relay().await.is_some());
}

// H8
#[tokio::test]
async fn relays_are_limited_and_one_that_is_given_back_makes_room() {
    let (server, _dir) = server("turn_allocations_per_user = 2", "127.0.0.2").await;
    let (ice, _client) = told(&server).await;
    let mut under = Caller::told(&server, &ice).await;
    let mut at = Caller::told(&server, &ice).await;
    assert!(under.relay().await.is_some() && at.relay().await.is_some());
    assert_eq!(Caller::told(&server, &ice).await.relay().await, None, "over");
    assert_eq!(server.hub.metrics.relay.refused_total.value(), 1);
    let (other, _client) = told(&server).await;
    assert!(Caller::told(&server, &other).await.relay().await.is_some(), "somebody else's");
    let time = under.time();
    under.proto.delete(time).expect("it has one");
    let until = Instant::now() + PATIENCE;
    while server.hub.metrics.relay.allocations.value() > 2 {
        assert!(Instant::now() < until, "it isn't given back");
        under.step().await;
    }
    assert!(Caller::told(&server, &ice).await.relay().await.is_some());
}

// H8
#[tokio::test]
async fn a_client_is_relayed_so_many_bytes_and_to_so_many() {
    let (server, _dir) = server("turn_bytes_per_sec = 1000\nturn_peers = 2", "127.0.0.0/8").await;
    let (ice, _client) = told(&server).await;
    let mut caller = Caller::told(&server, &ice).await;
    caller.relay().await.expect("a relay");
    let address = |n: u8| IpAddr::from([127, 0, 0, n]);
    assert!(caller.may(address(2)).await && caller.may(address(3)).await && !caller.may(address(4)).await);
    let peer = UdpSocket::bind("127.0.0.2:0").await.expect("bind");
    let there = peer.local_addr().expect("bound");
    for _ in 0..3 {
        caller.send(there, &[1; 600]).await;
    }
    let until = Instant::now() + PATIENCE;
    while server.hub.metrics.relay.dropped_total.value() < 2 {
        assert!(Instant::now() < until, "more is relayed than may be");
        caller.step().await;
    }
    assert_eq!(server.hub.metrics.relay.sent_bytes_total.value(), 600);
}

// R13: whoever may make a link may have it relayed, for as long as its ticket can count.
#[tokio::test]
async fn credentials_reach_as_far_as_the_ticket_and_a_new_ticket_brings_new_ones() {
    let dir = tempfile::tempdir().expect("dir");
    let secret = "0123456789abcdef0123456789abcdef";
    let bench = Bench::new(
        Limits::default(),
        &relayed(dir.path(), secret, "\"turn:relay.example:3478?transport=tcp\""),
    );
    let mut member = bench.viewer();
    let (mut settings, mut given, me) = (None, 0, member.id);
    for message in member.heard() {
        if let ServerMessage::Welcome { welcome } = message {
            given = welcome.server_time_ms;
            settings = Some(welcome.settings);
        }
    }
    let until = |settings: &Settings| -> u64 {
        let [server] = &settings.ice[..] else { panic!("one relay: {settings:?}") };
        let (until, user) = server.username.as_str().split_once(':').expect("expiry and user");
        assert_eq!(user, me.to_string());
        assert_eq!(server.url.as_str(), "turn:relay.example:3478?transport=tcp");
        let made = Secret::new(secret.as_bytes()).password(server.username.as_str());
        assert_eq!(server.credential.as_str(), made);
        until.parse().expect("seconds")
    };
    let first = until(&settings.expect("welcomed"));
    // A ticket's 15 minutes and an hour of grace.
    assert!(first.abs_diff(now() + 900 + 3600) <= 2, "{first}");
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let mut renew = |at| {
        bench.hub.message_at(member.swarm, member.id, ClientMessage::Renew {}, at);
        member.heard().into_iter().find_map(|message| match message {
            ServerMessage::Settings { settings } => Some(settings),
            _ => None,
        })
    };
    assert_eq!(renew(given + 100_000), None, "a young ticket stays, and so do they");
    let renewed = renew(given + 450_000).expect("new ones");
    assert!(until(&renewed) > first);
}

fn relayed(dir: &Path, secret: &str, urls: &str) -> String {
    let file = dir.join("turn.secret");
    std::fs::write(&file, format!("{secret}\n")).expect("write");
    #[cfg(unix)]
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).expect("set");
    format!("[sites.demo.turn]\nurls = [{urls}]\nsecret_file = \"{}\"\n", file.display())
}

#[tokio::test]
async fn a_site_names_its_relays_and_what_they_share_with_us() {
    let dir = tempfile::tempdir().expect("dir");
    let sites = |text: &str| {
        let file: SettingsFile = toml::from_str(text).expect("settings");
        Sites::new(&file, Vec::new())
    };
    let secret = "0123456789abcdef0123456789abcdef";
    let of =
        |count: usize| relayed(dir.path(), secret, &vec!["\"turns:relay.example:443\""; count].join(","));
    let told = |text: &str, site: &str| {
        let site = sites(text).expect("holds").find(site).expect("there");
        site.settings_for(PeerId([1; 16]), false, Reach::default()).ice.len()
    };
    // The built-in ones have room beside them.
    assert_eq!((told(&of(1), "demo"), told(&of(6), "demo")), (1, 6));
    let error = sites(&of(7)).expect_err("too many").to_string();
    assert!(error.contains("6 of those"), "{error}");
    let ice =
        |count: usize| format!("[sites.demo]\nice = [{}]\n", vec!["{ url = \"stun:a:1\" }"; count].join(","));
    assert_eq!(told(&(ice(4) + &of(4)), "demo"), 8);
    assert!(sites(&(ice(4) + &of(5))).is_err());
    let with_default = of(2).replace("sites.demo", "default");
    assert_eq!(told(&with_default, "any"), 2);
    assert_eq!(told(&(with_default + "[sites.demo.turn]\nurls = []\n"), "demo"), 0, "takes them away");
    for (text, hint) in [
        (relayed(dir.path(), secret, "\"stun:relay.example\""), "turn:HOST:PORT"),
        ("[sites.demo.turn]\nurls = [\"turn:a:1\"]\n".to_owned(), "static-auth-secret"),
        (relayed(dir.path(), "short", "\"turn:a:1\""), "openssl rand"),
    ] {
        let error = sites(&text).expect_err("refused").to_string();
        assert!(error.contains(hint), "{error}");
    }
}

#[tokio::test]
async fn it_answers_stun_as_well_and_says_what_it_lacks_to_relay() {
    let (server, _dir) = server("", "127.0.0.2").await;
    let socket = UdpSocket::bind("127.0.0.1:0").await.expect("bind");
    let mut request = vec![0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42];
    request.extend([5; 12]);
    socket.send_to(&request, server.turn[0]).await.expect("sent");
    let mut buffer = [0; 64];
    let (length, _) =
        tokio::time::timeout(PATIENCE, socket.recv_from(&mut buffer)).await.expect("in time").expect("comes");
    assert_eq!(length, 32);
    let client = Client::viewer(&server).await;
    let ice = client.welcome.expect("joined").settings.ice;
    assert_eq!(ice[0].url.as_str(), format!("stun:127.0.0.1:{}", server.turn[0].port()));

    let refuse = async |arguments: &[&str]| {
        let arguments = ["rillcast-signaling", "--listen", "127.0.0.1:0"].iter().chain(arguments);
        let options = Options::try_parse_from(arguments).map_err(|error| error.to_string())?;
        start(options).await.map(drop).map_err(|error| error.to_string())
    };
    let error = refuse(&["--turn", "0.0.0.0:0"]).await.expect_err("no address");
    assert!(error.contains("--turn-relay 203.0.113.7"), "{error}");
    let error = refuse(&["--turn", "127.0.0.1:0", "--turn-relay", "192.0.2.1"]).await.expect_err("not ours");
    assert!(error.contains("PUBLIC/LOCAL"), "{error}");
    let error = refuse(&["--turn", "127.0.0.1:0", "--turn-ports", "9-10"]).await.expect_err("ports");
    assert!(error.contains("49152-65535"), "{error}");
    refuse(&["--turn", "127.0.0.1:0", "--turn-relay", "192.0.2.1/127.0.0.1"]).await.expect("behind a NAT");
}

/// Asks for a relay without saying who asks; told back: what the answer says, but for the transaction.
async fn knock(server: SocketAddr, socket: &UdpSocket) -> Option<Vec<u8>> {
    let mut request = vec![0, 3, 0, 8, 0x21, 0x12, 0xa4, 0x42];
    request.extend([9; 12]);
    request.extend([0, 0x19, 0, 4, 17, 0, 0, 0]);
    socket.send_to(&request, server).await.expect("sent");
    let mut buffer = [0; 512];
    let answer = tokio::time::timeout(Duration::from_millis(300), socket.recv_from(&mut buffer)).await;
    answer.ok().map(|answer| buffer[20..answer.expect("comes").0].to_vec())
}

async fn stranger() -> UdpSocket {
    UdpSocket::bind("127.0.0.1:0").await.expect("bind")
}

// H8
#[tokio::test]
async fn of_strangers_so_many_are_remembered() {
    let (server, _dir) = server("turn_new = 2", "127.0.0.2").await;
    let at = server.turn[0];
    let (first, second, third) = (stranger().await, stranger().await, stranger().await);
    // Whoever is remembered gets the same nonce again.
    let told = knock(at, &first).await.expect("answered");
    assert!(knock(at, &second).await.is_some());
    assert_eq!(knock(at, &first).await, Some(told.clone()), "at the limit");
    assert!(knock(at, &third).await.is_some());
    assert_ne!(knock(at, &first).await.expect("answered"), told, "the oldest is forgotten");
}

// H8
#[tokio::test]
async fn of_strangers_at_one_address_so_many_are_answered_per_second() {
    let (server, _dir) = server("turn_new_per_address = 2", "127.0.0.2").await;
    let at = server.turn[0];
    let answers = [knock(at, &stranger().await).await, knock(at, &stranger().await).await];
    assert!(answers.iter().all(Option::is_some));
    let mut silent = false;
    for _ in 0..8 {
        silent |= knock(at, &stranger().await).await.is_none();
    }
    assert!(silent, "more than two a second are answered");
}

// H8
#[tokio::test]
async fn a_relay_is_kept_for_so_long_and_no_longer() {
    let (server, _dir) = server("turn_session_secs = 2", "127.0.0.2").await;
    let (ice, _client) = told(&server).await;
    let begun = Instant::now();
    assert!(Caller::told(&server, &ice).await.relay().await.is_some());
    while server.hub.metrics.relay.allocations.value() > 0 {
        assert!(begun.elapsed() < PATIENCE, "it is kept");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(begun.elapsed() >= Duration::from_millis(1900), "it was ended too soon");
}
