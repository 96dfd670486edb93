//! Every limit at, under and over it. Connections, outboxes, buckets, STUN and the hosting shelf have theirs beside
//! their code.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use futures_util::SinkExt;
use rillcast_protocol::coding::{Blob, List, Text, Wire};
use rillcast_protocol::id::{PeerId, Role};
use rillcast_protocol::signal::{ClientMessage, Join, RefusedCode, ServerMessage};
use rillcast_publisher::PublishingKey;
use rillcast_signaling::limits::Limits;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;

use crate::kit::{Bench, Client, PATIENCE, digest, join, server_with, source};

#[tokio::test]
async fn the_settings_file_sets_them_and_a_misspelt_one_is_an_error() {
    let (server, _dir) = server_with("[limits]\nmembers = 3\n", &[]).await;
    assert_eq!(server.hub.limits, Limits { members: 3, ..Limits::default() });
    let wrong: Result<Limits, _> = toml::from_str("membres = 3");
    assert!(wrong.expect_err("unknown field").to_string().contains("membres"));
}

#[tokio::test]
async fn messages_up_to_the_limit_are_read_and_longer_ones_end_the_connection() {
    let (server, _dir) = server_with("[limits]\nmessage_bytes = 1000\n", &[]).await;
    let relay = |length: usize| {
        let payload = Blob::new(vec![0; length - 19]).expect("short");
        let bytes = ClientMessage::Relay { to: PeerId([0; 16]), payload }.to_bytes();
        assert_eq!(bytes.len(), length);
        bytes
    };
    let mut client = Client::viewer(&server).await;
    for length in [999, 1000] {
        client.send_bytes(relay(length)).await;
        client.settle().await;
    }
    client.send_bytes(relay(1001)).await;
    while client.next().await.is_some() {}
    assert_eq!(server.hub.metrics.relays_refused_total.value(), 2, "the third never arrived");
}

#[tokio::test]
async fn a_relayed_payload_has_a_limit_of_its_own() {
    let (server, _dir) = server_with("", &[]).await;
    let mut client = Client::viewer(&server).await;
    let relay = |n: usize| {
        let mut w = vec![2];
        w.extend([0; 16]);
        let mut length = n;
        while length >= 0x80 {
            w.push(length as u8 | 0x80);
            length >>= 7;
        }
        w.push(length as u8);
        w.extend(vec![0; n]);
        w
    };
    for n in [4095, 4096] {
        client.send_bytes(relay(n)).await;
        client.settle().await;
    }
    client.send_bytes(relay(4097)).await;
    assert_eq!(client.refused().await, RefusedCode::Malformed);
}

#[tokio::test]
async fn connections_beyond_the_limit_are_closed_and_room_is_given_back() {
    let (server, _dir) = server_with("[limits]\nconnections_per_address = 3\n", &[]).await;
    let address = server.listening[0];
    let mut clients = Vec::new();
    for _ in 0..3 {
        clients.push(Client::viewer(&server).await);
    }
    let mut one_more = TcpStream::connect(address).await.expect("the system accepts");
    let _ = one_more.write_all(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n").await;
    let mut answer = Vec::new();
    let _ = one_more.read_to_end(&mut answer).await;
    assert!(answer.is_empty());
    clients.pop();
    while server.hub.metrics.connections.value() > 2 {
        tokio::task::yield_now().await;
    }
    clients.push(Client::viewer(&server).await);
}

#[tokio::test]
async fn whoever_does_not_join_in_time_is_refused() {
    let (server, _dir) = server_with("[limits]\nhandshake_secs = 1\n", &[]).await;
    let mut client = Client::connect(&server, None).await;
    assert_eq!(client.refused().await, RefusedCode::Malformed);
}

#[tokio::test]
async fn a_request_that_never_ends_is_cut() {
    let (server, _dir) = server_with("[limits]\nhandshake_secs = 1\n", &[]).await;
    let mut slow = TcpStream::connect(server.listening[0]).await.expect("connects");
    slow.write_all(b"GET /health HTTP/1.1\r\nHost:").await.expect("sent");
    let mut answer = Vec::new();
    let end = tokio::time::timeout(PATIENCE, slow.read_to_end(&mut answer)).await;
    assert!(end.is_ok(), "the server hangs up");
    assert!(!String::from_utf8_lossy(&answer).contains("200 OK"));
}

#[tokio::test]
async fn a_request_head_that_is_too_long_is_refused() {
    let (server, _dir) = server_with("", &[]).await;
    for (length, status) in [(8 * 1024, "200"), (40 * 1024, "431")] {
        let mut stream = TcpStream::connect(server.listening[0]).await.expect("connects");
        let head = format!(
            "GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Long: {}\r\n\r\n",
            "a".repeat(length)
        );
        let _ = stream.write_all(head.as_bytes()).await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        assert!(String::from_utf8_lossy(&answer).starts_with(&format!("HTTP/1.1 {status}")), "{length}");
    }
}

#[tokio::test]
async fn a_silent_peer_is_cut_and_one_that_answers_pings_is_not() {
    let (server, _dir) = server_with("[limits]\nidle_secs = 1\n", &[]).await;
    let silent = Client::viewer(&server).await;
    let mut awake = Client::viewer(&server).await;
    // Reading answers pings; the silent one isn't read from.
    let gone = silent.id();
    awake
        .until(|m| match m {
            ServerMessage::Gone { peer } if *peer == gone => Some(()),
            _ => None,
        })
        .await;
    assert_eq!(server.hub.metrics.cut_idle_total.value(), 1);
    awake.settle().await;
}

#[tokio::test]
async fn a_connection_that_only_stays_open_is_ended() {
    let (server, _dir) = server_with("[limits]\nhttp_secs = 1\nhandshake_secs = 3600\n", &[]).await;
    let mut viewer = Client::viewer(&server).await;
    let mut idle = TcpStream::connect(server.listening[0]).await.expect("connects");
    idle.write_all(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n").await.expect("sent");
    let mut answer = Vec::new();
    let end = tokio::time::timeout(PATIENCE, idle.read_to_end(&mut answer)).await;
    assert!(end.is_ok() && String::from_utf8_lossy(&answer).starts_with("HTTP/1.1 200"));
    viewer.settle().await;
}

#[tokio::test]
async fn a_write_that_does_not_end_cuts_the_peer() {
    let settings = "[limits]\nqueue_messages = 1000000\nqueue_bytes = 1000000000\nwrite_secs = 1\n\
                    messages_burst = 1000000\nbytes_burst = 1000000000\n";
    let (server, _dir) = server_with(settings, &[]).await;
    let slow = Client::viewer(&server).await;
    let mut quick = Client::viewer(&server).await;
    let payload = Blob::new(vec![0; 4096]).expect("short");
    let message = ClientMessage::Relay { to: slow.id(), payload }.to_bytes();
    for _ in 0..10_000 {
        quick.socket.feed(Message::Binary(message.clone().into())).await.expect("open");
    }
    let gone = slow.id();
    quick.socket.flush().await.expect("open");
    quick
        .until(|m| match m {
            ServerMessage::Gone { peer } if *peer == gone => Some(()),
            _ => None,
        })
        .await;
    assert_eq!(server.hub.metrics.cut_slow_total.value(), 1);
}

#[tokio::test]
async fn admin_requests_beyond_the_limit_are_refused_whatever_their_token() {
    let dir = tempfile::tempdir().expect("dir");
    let path = |name: &str| dir.path().join(name);
    std::fs::write(path("token"), "0123456789abcdef0123\n").expect("write");
    std::fs::write(path("settings.toml"), "[limits]\nadmin_per_sec = 0\n").expect("write");
    let refused = async |per_sec: u32| {
        std::fs::write(path("settings.toml"), format!("[limits]\nadmin_per_sec = {per_sec}\n"))
            .expect("write");
        let options = rillcast_signaling::Options {
            listen: vec![crate::kit::loopback()],
            admin_token_file: Some(path("token")),
            config: Some(path("settings.toml")),
            ..Default::default()
        };
        let server = rillcast_signaling::start(options).await.expect("starts");
        let ask = reqwest::Client::new().get(crate::kit::url(&server, "/admin/sites/demo"));
        let answer = ask.bearer_auth("0123456789abcdef0123").send().await.expect("answers");
        answer.status() == 429
    };
    assert!(!refused(1).await, "at the limit");
    assert!(refused(0).await, "over it");
}

// H8: guessing keeps nobody out but the guesser.
#[tokio::test]
async fn wrong_admin_tokens_use_up_their_own_addresss_share_and_not_the_right_ones() {
    let dir = tempfile::tempdir().expect("dir");
    let path = |name: &str| dir.path().join(name);
    std::fs::write(path("token"), "0123456789abcdef0123\n").expect("write");
    std::fs::write(path("settings.toml"), "[limits]\nadmin_per_sec = 1\n").expect("write");
    let options = rillcast_signaling::Options {
        listen: vec![crate::kit::loopback()],
        admin_token_file: Some(path("token")),
        config: Some(path("settings.toml")),
        trusted_proxy: vec!["127.0.0.1".parse().expect("an address")],
        ..Default::default()
    };
    let server = rillcast_signaling::start(options).await.expect("starts");
    let http = reqwest::Client::new();
    let ask = async |token: &'static str, from: &'static str| {
        let ask = http.get(crate::kit::url(&server, "/admin/sites/demo"));
        let ask = ask.bearer_auth(token).header("x-forwarded-for", from);
        ask.send().await.expect("answers").status().as_u16()
    };
    let mut shut_out = false;
    while !shut_out {
        let status = ask("0123456789abcdef0124", "192.0.2.66").await;
        assert!([401, 429].contains(&status), "{status}");
        shut_out = status == 429;
    }
    assert_eq!(ask("0123456789abcdef0123", "192.0.2.1").await, 200);
    assert_eq!(ask("0123456789abcdef0124", "192.0.2.2").await, 401, "another may be wrong once, too");
}

#[tokio::test]
async fn a_slow_reader_is_cut_and_the_others_go_on() {
    let settings = "[limits]\nqueue_messages = 64\nqueue_bytes = 100000\nmessages_burst = 1000000\n\
                    bytes_burst = 1000000000\n";
    let (server, _dir) = server_with(settings, &[]).await;
    let slow = Client::viewer(&server).await;
    let mut quick = Client::viewer(&server).await;
    let payload = Blob::new(vec![0; 4000]).expect("short");
    let message = ClientMessage::Relay { to: slow.id(), payload }.to_bytes();
    // The kernel buffers some megabytes between the two; then the queue fills.
    while server.hub.metrics.cut_slow_total.value() == 0 {
        for _ in 0..50 {
            quick.socket.feed(Message::Binary(message.clone().into())).await.expect("open");
        }
        quick.settle().await;
    }
    let gone = slow.id();
    if server.hub.metrics.peers.value() > 1 {
        quick
            .until(|m| match m {
                ServerMessage::Gone { peer } if *peer == gone => Some(()),
                _ => None,
            })
            .await;
    }
    quick.settle().await;
}

#[tokio::test]
async fn a_viewer_that_is_too_fast_is_read_more_slowly_and_then_refused() {
    let settings = "[limits]\nmessages_per_sec = 1\nmessages_burst = 5\nthrottle_ms = 1500\n";
    let (server, _dir) = server_with(settings, &[]).await;
    let mut client = Client::viewer(&server).await;
    // Five at once pass without a pause, the sixth with one.
    for _ in 0..5 {
        client.settle().await;
    }
    assert_eq!(server.hub.metrics.throttled_total.value(), 0);
    client.settle().await;
    assert_eq!(server.hub.metrics.throttled_total.value(), 1);

    let settings = "[limits]\nmessages_per_sec = 0\nmessages_burst = 5\n";
    let (server, _dir) = server_with(settings, &[]).await;
    let mut client = Client::viewer(&server).await;
    for _ in 0..5 {
        client.settle().await;
    }
    client.send(&ClientMessage::Ping { nonce: 1 }).await;
    assert_eq!(client.refused().await, RefusedCode::RateLimited);
    assert_eq!(server.hub.metrics.cut_rate_total.value(), 1);
}

#[tokio::test]
async fn bytes_are_limited_as_messages_are_and_seeds_may_send_more() {
    let settings = "[limits]\nbytes_per_sec = 0\nbytes_burst = 1000\nseed_factor = 2\n";
    let (server, _dir) = server_with(settings, &[]).await;
    let message = |n: usize| {
        let payload = Blob::new(vec![0; n - 19]).expect("short");
        ClientMessage::Relay { to: PeerId([0; 16]), payload }.to_bytes()
    };
    let ping = ClientMessage::Ping { nonce: 77 }.to_bytes().len();
    for (role, allowed) in [(Role::Viewer, 1000), (Role::Seed, 2000)] {
        let mut client = Client::join(&server, join(role)).await;
        client.send_bytes(message(allowed - 2 * ping - 1)).await;
        client.settle().await;
        client.settle().await;
        client.send_bytes(message(20)).await;
        assert_eq!(client.refused().await, RefusedCode::RateLimited);
    }
}

#[tokio::test]
async fn requests_for_introductions_beyond_the_limit_are_not_answered() {
    let limits = Limits { introductions_per_min: 60, introductions_burst: 10, ..Limits::default() };
    let bench = Bench::new(limits, "[default]\nmax_links = 1\n");
    let mut asker = bench.viewer();
    let _others: Vec<_> = (0..60).map(|_| bench.viewer()).collect();
    asker.introduced();
    let mut ask = |count| {
        bench.say(&asker, ClientMessage::WantPeers { count });
        asker.introduced().iter().filter(|p| p.initiate).count()
    };
    assert_eq!([ask(1), ask(200), ask(200), ask(1)], [1, bench.hub.limits.introduce, 1, 0]);
    assert_eq!(bench.hub.metrics.wants_refused_total.value(), 1);
}

#[tokio::test]
async fn a_newcomer_meets_everybody_up_to_the_links_it_may_have_and_a_few_beyond() {
    let bench = Bench::new(Limits { introduce: 3, ..Limits::default() }, "[default]\nmax_links = 10\n");
    let mut everyone = vec![bench.viewer()];
    let mut introduced = 0;
    for others in 1..=30 {
        let mut newcomer = bench.viewer();
        let met = newcomer.introduced();
        assert!(met.iter().all(|p| p.initiate && p.id != newcomer.id));
        assert_eq!(met.iter().map(|p| p.id).collect::<HashSet<_>>().len(), met.len());
        assert_eq!(met.len(), if others <= 10 { others } else { 3 }, "{others}");
        introduced += met.len();
        everyone.push(newcomer);
    }
    let told: Vec<_> = everyone.iter_mut().flat_map(|one| one.introduced()).collect();
    assert_eq!((told.len(), told.iter().filter(|p| p.initiate).count()), (introduced, 0), "the others wait");
}

#[tokio::test]
async fn introductions_are_remembered_up_to_the_limit() {
    let bench = Bench::new(Limits { introduced: 2, ..Limits::default() }, "");
    let one = bench.viewer();
    let mut others: Vec<_> = (0..4).map(|_| bench.viewer()).collect();
    let relay = |to: &crate::kit::Puppet| ClientMessage::Relay { to: to.id, payload: Blob::default() };
    let mut reached = 0;
    for other in &mut others {
        other.heard();
        bench.say(&one, relay(other));
        reached += other.heard().len();
    }
    assert_eq!(reached, 2);
}

/// A seed is there for hundreds: with a viewer's limit it was never introduced to more than 128.
#[tokio::test]
async fn of_a_seed_more_introductions_are_remembered() {
    let bench = Bench::new(Limits { introduced: 2, seed_factor: 3, ..Limits::default() }, "");
    let mut seed = bench.seed(&PublishingKey::from_seed(&[1; 32]));
    for newcomer in 1..=8 {
        let viewer = bench.viewer();
        let met = seed.introduced().iter().any(|peer| peer.id == viewer.id);
        // At, under and over.
        assert_eq!(met, newcomer <= 6, "{newcomer}");
    }
}

#[tokio::test]
async fn swarms_and_members_are_bounded() {
    let bench = Bench::new(Limits { swarms: 2, members: 3, ..Limits::default() }, "");
    let of = |content: &str| {
        bench.enter(Join { content: Text::new(content).expect("short"), ..join(Role::Viewer) })
    };
    let _members: Vec<_> = (0..3).map(|_| of("a").expect("room")).collect();
    assert_eq!(of("a").err(), Some(RefusedCode::Unavailable));
    let _second = of("b").expect("room");
    assert_eq!(of("c").err(), Some(RefusedCode::Unavailable));
    bench.hub.leave(_second.swarm, _second.id);
    bench.hub.tick_once(Instant::now() + Duration::from_secs(bench.hub.limits.linger_secs + 1));
    assert!(of("c").is_ok(), "a deserted swarm makes room in the end");
}

#[tokio::test]
async fn a_deserted_swarm_keeps_its_digests_for_a_while() {
    let bench = Bench::new(Limits::default(), "");
    let key = PublishingKey::from_seed(&[1; 32]);
    let playlist = "http://origin.example/a.m3u8";
    let track = source(playlist).track;
    let come_and_go = |wait: u64| {
        bench.hub.tick_once(Instant::now() + Duration::from_secs(wait));
        let mut viewer = bench.viewer();
        bench.play(&viewer, &[playlist]);
        let count = viewer.digests().len();
        bench.hub.leave(viewer.swarm, viewer.id);
        count
    };
    let seed = bench.seed(&key);
    bench.say(&seed, ClientMessage::Publish { digest: digest(&key, seed.swarm, track, 1) });
    bench.hub.leave(seed.swarm, seed.id);
    let linger = bench.hub.limits.linger_secs;
    assert_eq!(come_and_go(linger - 2), 1);
    assert_eq!(come_and_go(linger + 1), 0);
}

#[tokio::test]
async fn the_tracks_followed_for_one_swarm_are_bounded_and_the_most_played_are_among_them() {
    let settings = "[default]\npublish = [\"http://origin.invalid/\"]\n";
    let bench = Bench::new(Limits { tracks_per_swarm: 2, ..Limits::default() }, settings);
    let names = ["a", "b", "c"].map(|n| format!("http://origin.invalid/{n}.m3u8"));
    let viewer = bench.viewer();
    for count in 1..=3 {
        let playing: Vec<&str> = names[..count].iter().map(String::as_str).collect();
        bench.play(&viewer, &playing);
        assert_eq!(bench.followed(), count.min(2));
    }
    let (one, two) = (bench.viewer(), bench.viewer());
    bench.play(&one, &[&names[2]]);
    bench.play(&two, &[&names[2]]);
    let followed = bench.hub.publisher().expect("there is one").following();
    assert!(followed.iter().any(|(_, track)| *track == source(&names[2]).track));
}

#[tokio::test]
async fn more_tracks_and_keys_than_a_message_may_name_are_malformed() {
    let (server, _dir) = server_with("", &[]).await;
    let tracks: Vec<_> = (0..9).map(|n| source(&format!("http://o/{n}.m3u8"))).collect();
    let mut client = Client::viewer(&server).await;
    let message = ClientMessage::Playing { tracks: List::clipped(tracks[..8].iter().cloned()) };
    client.send(&message).await;
    client.settle().await;
    let mut bytes = message.to_bytes();
    bytes[1] = 9;
    bytes.extend(tracks[8].to_bytes());
    client.send_bytes(bytes).await;
    assert_eq!(client.refused().await, RefusedCode::Malformed);
}
