//! Joining, introductions, relaying, leaving.

use rillcast_protocol::VERSION;
use rillcast_protocol::coding::{Blob, Text, Wire};
use rillcast_protocol::id::{Delivery, PeerId, Role};
use rillcast_protocol::signal::{ClientMessage, Join, RefusedCode, ServerMessage};
use tokio_tungstenite::tungstenite::Message;

use crate::kit::{Bench, Client, Puppet, join, server};
use futures_util::SinkExt;
use rillcast_signaling::limits::Limits;

fn relay(to: PeerId, text: &str) -> ClientMessage {
    ClientMessage::Relay { to, payload: Blob::new(text.as_bytes()).expect("short") }
}

#[tokio::test]
async fn two_clients_meet_and_one_of_them_initiates() {
    let server = server().await;
    let mut first = Client::viewer(&server).await;
    let mut second = Client::viewer(&server).await;
    let (to_first, to_second) = (first.introduced().await, second.introduced().await);
    assert_eq!((to_first[0].id, to_second[0].id), (second.id(), first.id()));
    assert!(to_second[0].initiate && !to_first[0].initiate, "the newcomer opens the link");
    assert_eq!(to_first[0].nonce, second.welcome.as_ref().expect("joined").ticket.body.nonce);
    first.send(&relay(second.id(), "offer")).await;
    let (from, payload) = second
        .until(|m| match m {
            ServerMessage::Relayed { from, payload } => Some((*from, payload.as_slice().to_vec())),
            _ => None,
        })
        .await;
    assert_eq!((from, payload.as_slice()), (first.id(), b"offer".as_slice()));
}

#[tokio::test]
async fn strangers_cannot_relay() {
    let server = server().await;
    let mut here = Client::viewer(&server).await;
    let elsewhere = Join { content: Text::new("other").expect("short"), ..join(Role::Viewer) };
    let mut there = Client::join(&server, elsewhere).await;
    here.send(&relay(there.id(), "hello")).await;
    here.send(&relay(PeerId([1; 16]), "hello")).await;
    here.send(&relay(here.id(), "hello")).await;
    here.settle().await;
    assert!(there.settle().await.is_empty());
    assert_eq!(server.hub.metrics.relays_refused_total.value(), 3);
}

#[tokio::test]
async fn descriptions_say_who_shares_a_network_in_this_swarm_alone() {
    let server = server().await;
    let mut first = Client::viewer(&server).await;
    let mut second = Client::viewer(&server).await;
    let elsewhere = Join { content: Text::new("other").expect("short"), ..join(Role::Viewer) };
    let there = Client::join(&server, elsewhere).await;
    let net = |c: &Client| c.welcome.as_ref().expect("joined").ticket.body.net;
    assert_eq!(net(&first), net(&second), "all connect from this host");
    assert_ne!(net(&first).site, 0);
    assert_eq!((net(&first).asn, net(&first).country), (0, 0));
    assert_ne!(net(&first).site, net(&there).site);
    assert_eq!(first.introduced().await[0].net, net(&second));
    assert_eq!(second.introduced().await[0].net, net(&first));
}

fn introduced(puppet: &mut Puppet) -> Vec<PeerId> {
    let peers = puppet.heard().into_iter().flat_map(|m| match m {
        ServerMessage::Introduce { peers } => peers.into_vec(),
        _ => Vec::new(),
    });
    peers.map(|p| p.id).collect()
}

#[tokio::test]
async fn whoever_asks_meets_players_of_the_same_rendition_in_half_the_cases_at_least() {
    const MINE: &str = "http://origin.invalid/mine.m3u8";
    const AUDIO: &str = "http://origin.invalid/audio.m3u8";
    // A hundredth of the swarm plays what the asker plays; all share the sound.
    let bench = Bench::new(Limits { introduced: 10_000, ..Limits::default() }, "");
    let mut kin = Vec::new();
    for n in 0..500 {
        let other = format!("http://origin.invalid/{}.m3u8", n % 3);
        let puppet = bench.viewer();
        let is_kin = n % 100 == 50;
        bench.play(&puppet, &[if is_kin { MINE } else { &other }, AUDIO]);
        kin.extend(is_kin.then_some(puppet.id));
    }
    let mut asker = bench.viewer();
    assert_eq!(introduced(&mut asker).len(), 8, "plays nothing yet, so anybody will do");
    bench.play(&asker, &[MINE, AUDIO]);
    bench.say(&asker, ClientMessage::WantPeers { count: 8 });
    let met = introduced(&mut asker);
    assert_eq!(met.len(), 8);
    let first = met.iter().filter(|id| kin.contains(id)).count();
    assert!(first >= 4, "{first} of {} kin", kin.len());
    assert!(first < 8, "strangers are among them");

    // Whoever turns to another rendition, or leaves, is kin no longer.
    bench.play(&asker, &["http://origin.invalid/nobody.m3u8"]);
    bench.say(&asker, ClientMessage::WantPeers { count: 8 });
    assert_eq!(introduced(&mut asker).len(), 8, "without kin it is as ever");
}

#[tokio::test]
async fn whoever_was_introduced_hears_of_a_leave_and_others_do_not() {
    let server = server().await;
    let mut stays = Client::viewer(&server).await;
    let mut leaves = Client::viewer(&server).await;
    let mut stranger = Client::join(&server, Join { delivery: Delivery::Dash, ..join(Role::Viewer) }).await;
    leaves.introduced().await;
    let gone = leaves.id();
    drop(leaves);
    stays
        .until(|m| match m {
            ServerMessage::Gone { peer } if *peer == gone => Some(()),
            _ => None,
        })
        .await;
    assert!(stranger.settle().await.is_empty());
    stays.send(&relay(gone, "too late")).await;
    stays.settle().await;
    assert_eq!(server.hub.metrics.relays_refused_total.value(), 1);
}

#[tokio::test]
async fn hls_and_dash_sites_and_contents_are_swarms_of_their_own_and_tokens_are_not() {
    let server = server().await;
    let base = Client::viewer(&server).await.swarm();
    let text = |t: &str| Text::new(t).expect("short");
    let site = Join { site: Text::new("other").expect("short"), ..join(Role::Viewer) };
    let content = Join { content: text("http://origin.example/live/other.m3u8"), ..join(Role::Viewer) };
    for other in [Join { delivery: Delivery::Dash, ..join(Role::Viewer) }, site, content] {
        assert_ne!(Client::join(&server, other).await.swarm(), base);
    }
    let token = text("http://origin.example/live/master.m3u8?token=abc");
    assert_eq!(Client::join(&server, Join { content: token, ..join(Role::Viewer) }).await.swarm(), base);
}

#[tokio::test]
async fn a_ping_brings_the_servers_time() {
    let server = server().await;
    let mut client = Client::viewer(&server).await;
    client.send(&ClientMessage::Ping { nonce: u64::MAX }).await;
    let time = client
        .until(|m| match m {
            ServerMessage::Pong { nonce: u64::MAX, server_time_ms } => Some(*server_time_ms),
            _ => None,
        })
        .await;
    assert!(time >= client.welcome.as_ref().expect("joined").server_time_ms);
}

#[tokio::test]
async fn what_is_not_the_protocol_is_refused() {
    let server = server().await;
    let mut too_early = Client::connect(&server, None).await;
    too_early.send(&ClientMessage::WantPeers { count: 1 }).await;
    assert_eq!(too_early.refused().await, RefusedCode::Malformed);

    let mut garbage = Client::connect(&server, None).await;
    garbage.send_bytes(vec![9; 100]).await;
    assert_eq!(garbage.refused().await, RefusedCode::Malformed);

    let mut twice = Client::viewer(&server).await;
    twice.send(&ClientMessage::Join { join: join(Role::Viewer) }).await;
    assert_eq!(twice.refused().await, RefusedCode::Malformed);

    let mut trailing = Client::viewer(&server).await;
    let mut bytes = ClientMessage::Ping { nonce: 1 }.to_bytes();
    bytes.push(0);
    trailing.send_bytes(bytes).await;
    assert_eq!(trailing.refused().await, RefusedCode::Malformed);

    let mut text = Client::viewer(&server).await;
    text.socket.send(Message::Text("hello".into())).await.expect("sent");
    assert_eq!(text.refused().await, RefusedCode::Malformed);
}

#[tokio::test]
async fn a_version_that_is_not_spoken_is_named_and_a_newer_one_meets_in_the_middle() {
    let server = server().await;
    let mut old = Client::connect(&server, None).await;
    old.send(&ClientMessage::Join { join: Join { version: 0, ..join(Role::Viewer) } }).await;
    assert_eq!(old.refused().await, RefusedCode::Version);

    for (theirs, spoken) in [(1, 1), (VERSION, VERSION), (VERSION + 1, VERSION)] {
        let client = Client::join(&server, Join { version: theirs, ..join(Role::Viewer) }).await;
        assert_eq!(client.welcome.expect("joined").version, spoken);
    }

    let mut unreadable = Client::connect(&server, None).await;
    unreadable.send_bytes(vec![0, 9, 255, 255, 255]).await;
    assert_eq!(unreadable.refused().await, RefusedCode::Version);
}

#[tokio::test]
async fn a_stopping_server_says_so() {
    let server = server().await;
    let mut client = Client::viewer(&server).await;
    let (code, ()) = tokio::join!(client.refused(), server.stop());
    assert_eq!(code, RefusedCode::Unavailable);
}

#[tokio::test]
async fn this_servers_stun_is_told_by_the_name_the_caller_used() {
    let server = server().await;
    let client = Client::viewer(&server).await;
    let ice = client.welcome.expect("joined").settings.ice;
    assert_eq!(ice[0].url.as_str(), format!("stun:127.0.0.1:{}", server.stun[0].port()));
}
