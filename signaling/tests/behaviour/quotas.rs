//! What one address, one token and one site may use together (H1, H8), over WebSockets. Each limit's edges stand beside its
//! code.

use rillcast_protocol::coding::{Blob, Wire};
use rillcast_protocol::id::{PeerId, Role};
use rillcast_protocol::signal::{ClientMessage, RefusedCode, ServerMessage};
use rillcast_signaling::limits::Limits;
use rillcast_signaling::{Options, Running, start};
use serde_json::{Value, json};

use crate::bearer::token;
use crate::kit::{Client, join, key, loopback, with_token};

/// A server behind a proxy on this machine, with this much for each of `table`, and key pair 1 for two sites.
async fn server(table: &str, share: [u32; 4]) -> (Running, tempfile::TempDir) {
    let [joins, connections, messages, bytes] = share;
    let dir = tempfile::tempdir().expect("dir");
    let config = dir.path().join("settings.toml");
    let text = format!(
        "[limits.{table}]\njoins_per_min = {joins}\nconnections = {connections}\nmessages_per_sec = {messages}\n\
         bytes_per_sec = {bytes}\n{}",
        key("sites.demo", 1, "one")
    );
    std::fs::write(&config, text).expect("write");
    let options = Options {
        listen: vec![loopback()],
        config: Some(config),
        trusted_proxy: vec!["127.0.0.1".parse().expect("an address")],
        ..Options::default()
    };
    (start(options).await.expect("starts"), dir)
}

/// Joins from this address with these claims; the refusal if there is one.
async fn ask(server: &Running, address: &str, claims: Value) -> Result<Client, (RefusedCode, String)> {
    let mut client = Client::connect_with(server, &[("x-forwarded-for", address)]).await;
    client.send(&ClientMessage::Join { join: with_token(join(Role::Viewer), &token(claims)) }).await;
    match client.next().await {
        Some(ServerMessage::Welcome { welcome }) => client.welcome = Some(welcome),
        Some(ServerMessage::Refused { code, message }) => return Err((code, message.as_str().to_owned())),
        other => panic!("neither welcome nor refusal: {other:?}"),
    }
    Ok(client)
}

/// The two of each pair share what is limited, the third has one of its own.
fn sharers(table: &str) -> [(&'static str, Value); 3] {
    match table {
        "per_address" => [
            ("203.0.113.1", json!({"sub": "a"})),
            ("203.0.113.1", json!({"sub": "b"})),
            ("203.0.113.2", json!({"sub": "a"})),
        ],
        "per_token" => [
            ("203.0.113.1", json!({"sub": "a"})),
            ("203.0.113.2", json!({"sub": "a"})),
            ("203.0.113.2", json!({"sub": "b"})),
        ],
        _ => [
            ("203.0.113.1", json!({"sub": "a"})),
            ("203.0.113.2", json!({"sub": "b"})),
            ("203.0.113.2", json!({"sub": "c"})),
        ],
    }
}

const MUCH: u32 = 1_000_000;

#[tokio::test]
async fn joins_of_an_address_a_token_and_a_site_are_limited_together() {
    for table in ["per_address", "per_token", "per_site"] {
        let (server, _dir) = server(table, [2, MUCH, MUCH, MUCH]).await;
        let [one, two, other] = sharers(table);
        // At the limit, also where the first is gone: it is joins that are counted.
        drop(ask(&server, one.0, one.1.clone()).await.expect("under it"));
        drop(ask(&server, two.0, two.1).await.expect("at it"));
        let (code, message) = ask(&server, one.0, one.1).await.err().expect("over it");
        assert_eq!(code, RefusedCode::RateLimited);
        assert!(message.contains(table) && message.contains("joins_per_min"), "{message}");
        assert_eq!(ask(&server, other.0, other.1).await.is_ok(), table != "per_site", "{table}");
        assert!(server.hub.metrics.joins_over_quota_total.value() >= 1);
    }
}

#[tokio::test]
async fn connections_of_an_address_a_token_and_a_site_are_limited_together() {
    for table in ["per_address", "per_token", "per_site"] {
        let (server, _dir) = server(table, [MUCH, 2, MUCH, MUCH]).await;
        let [one, two, other] = sharers(table);
        let first = ask(&server, one.0, one.1.clone()).await.expect("under it");
        let _second = ask(&server, two.0, two.1).await.expect("at it");
        let (code, message) = ask(&server, one.0, one.1.clone()).await.err().expect("over it");
        assert_eq!(code, RefusedCode::RateLimited);
        assert!(message.contains(table) && message.contains("connections"), "{message}");
        assert_eq!(ask(&server, other.0, other.1).await.is_ok(), table != "per_site", "{table}");
        drop(first);
        while ask(&server, one.0, one.1.clone()).await.is_err() {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }
}

#[tokio::test]
async fn messages_and_bytes_of_an_address_a_token_and_a_site_are_limited_together() {
    let relay = |length: usize| {
        let payload = Blob::new(vec![0; length - 19]).expect("short");
        ClientMessage::Relay { to: PeerId([0; 16]), payload }.to_bytes()
    };
    for table in ["per_address", "per_token", "per_site"] {
        for share in [[MUCH, MUCH, 1, MUCH], [MUCH, MUCH, MUCH, 100]] {
            let (server, _dir) = server(table, share).await;
            let [one, two, _] = sharers(table);
            let mut one = ask(&server, one.0, one.1).await.expect("joins");
            let mut two = ask(&server, two.0, two.1).await.expect("joins");
            // Ten seconds' worth at once, of whichever: ten messages, a thousand bytes.
            for client in [&mut one, &mut two] {
                for _ in 0..4 {
                    client.send_bytes(relay(100)).await;
                }
                client.settle().await;
            }
            assert_eq!(server.hub.metrics.throttled_total.value(), 0, "{table} {share:?}");
            for _ in 0..2 {
                two.send_bytes(relay(200)).await;
            }
            one.send_bytes(relay(200)).await;
            while server.hub.metrics.throttled_total.value() == 0 {
                tokio::task::yield_now().await;
            }
        }
    }
}

/// A token's and a site's joins can't be used up by those whose joins aren't authorised.
#[tokio::test]
async fn joins_that_are_not_authorised_count_against_their_address_alone() {
    let (server, _dir) = server("per_site", [1, MUCH, MUCH, MUCH]).await;
    for _ in 0..3 {
        let (code, _) = ask(&server, "203.0.113.1", json!({"exp": 5})).await.err().expect("expired");
        assert_eq!(code, RefusedCode::Unauthorised);
    }
    assert!(ask(&server, "203.0.113.1", json!({})).await.is_ok());
}

#[test]
fn a_table_of_shares_is_read_and_its_defaults_are_wide_enough_for_a_household() {
    let limits: Limits = toml::from_str(
        "[per_token]\njoins_per_min = 1\nconnections = 2\nmessages_per_sec = 3\nbytes_per_sec = 4\n",
    )
    .expect("limits");
    assert_eq!(limits.per_token.connections, 2);
    assert_eq!(limits.per_address, Limits::default().per_address);
    assert!(toml::from_str::<Limits>("[per_token]\njoins = 1\n").is_err());
}
