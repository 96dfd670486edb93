//! Reverse proxies (H8): whose word about the client's address is believed, and what follows from that address.

use std::net::SocketAddr;

use rillcast_protocol::id::Role;
use rillcast_protocol::signal::{ClientMessage, RefusedCode};
use rillcast_signaling::{Options, Running, start};
use serde_json::json;

use crate::kit::{Client, join, key, loopback, minter, now, url, with_token};

const HEADER: &str = "x-forwarded-for";

/// A server that trusts these proxies.
async fn server(proxies: &[&str], settings: &str) -> (Running, tempfile::TempDir) {
    let dir = tempfile::tempdir().expect("dir");
    let config = dir.path().join("settings.toml");
    std::fs::write(&config, settings).expect("write");
    let options = Options {
        listen: vec![loopback()],
        config: Some(config),
        trusted_proxy: proxies.iter().map(|p| p.parse().expect("a range")).collect(),
        ..Options::default()
    };
    (start(options).await.expect("starts"), dir)
}

/// A token that counts in 203.0.113.0/24 only.
fn bound() -> String {
    let claims = json!({"site": "demo", "exp": now() + 600, "networks": ["203.0.113.0/24"]});
    minter(1, None).mint(&claims).expect("signed")
}

/// Joins with these headers; the refusal if there is one.
async fn ask(server: &Running, headers: &[&str], token: &str) -> Result<Client, (RefusedCode, String)> {
    let headers: Vec<_> = headers.iter().map(|value| (HEADER, *value)).collect();
    let mut client = Client::connect_with(server, &headers).await;
    client.send(&ClientMessage::Join { join: with_token(join(Role::Viewer), token) }).await;
    match client.next().await {
        Some(rillcast_protocol::signal::ServerMessage::Welcome { welcome }) => client.welcome = Some(welcome),
        Some(rillcast_protocol::signal::ServerMessage::Refused { code, message }) => {
            return Err((code, message.as_str().to_owned()));
        }
        other => panic!("neither welcome nor refusal: {other:?}"),
    }
    Ok(client)
}

#[tokio::test]
async fn a_trusted_proxy_is_believed_and_what_the_client_claims_is_not() {
    let (server, _dir) = server(&["127.0.0.0/8", "10.0.0.0/8"], &key("sites.demo", 1, "one")).await;
    for headers in [
        &["203.0.113.7"][..],
        &["203.0.113.7, 10.1.2.3"],
        &["198.51.100.1, 203.0.113.7"],
        &["198.51.100.1", "203.0.113.7:4711", "10.1.2.3"],
    ] {
        assert!(ask(&server, headers, &bound()).await.is_ok(), "{headers:?}");
    }
    for headers in
        [&["198.51.100.1"][..], &["203.0.113.7, 198.51.100.1"], &["203.0.113.7", "198.51.100.1, 10.1.2.3"]]
    {
        let (code, message) = ask(&server, headers, &bound()).await.err().expect("refused");
        assert_eq!(code, RefusedCode::Unauthorised, "{headers:?}");
        assert!(message.contains("other networks"), "{message}");
    }
}

#[tokio::test]
async fn from_anybody_else_the_header_opens_nothing() {
    for proxies in [&[][..], &["10.0.0.0/8"]] {
        let (server, _dir) = server(proxies, &key("sites.demo", 1, "one")).await;
        let (code, _) = ask(&server, &["203.0.113.7"], &bound()).await.err().expect("refused");
        assert_eq!(code, RefusedCode::Unauthorised);
    }
    // Where this machine alone may join, a proxy on it that nobody has named speaks for strangers.
    let (server, _dir) = server(&[], "").await;
    assert!(ask(&server, &[], "").await.is_ok());
    for from in ["203.0.113.7", "127.0.0.1"] {
        let (code, message) = ask(&server, &[from], "").await.err().expect("refused");
        assert_eq!(code, RefusedCode::Unauthorised);
        assert!(message.contains("no keys"), "{message}");
    }
}

#[tokio::test]
async fn behind_a_proxy_on_this_machine_strangers_are_strangers() {
    let (server, _dir) = server(&["127.0.0.1"], "").await;
    let (code, message) = ask(&server, &["203.0.113.7"], "").await.err().expect("refused");
    assert_eq!(code, RefusedCode::Unauthorised);
    assert!(message.contains("no keys"), "{message}");
    assert!(ask(&server, &["::1"], "").await.is_ok());
    for nobody in [&[][..], &["unknown"], &["203.0.113.7, unknown"]] {
        let (code, message) = ask(&server, nobody, "").await.err().expect("refused");
        assert_eq!(code, RefusedCode::Unavailable, "{nobody:?}");
        assert!(message.contains("X-Forwarded-For"), "{message}");
    }
    let health = reqwest::get(url(&server, "/health")).await.expect("answers");
    assert_eq!(health.status(), 200, "what needs no address is served");
}

#[tokio::test]
async fn where_viewers_are_follows_from_their_own_addresses() {
    let options = Options { listen: vec![SocketAddr::from(([127, 0, 0, 1], 0))], ..Options::default() };
    let proxied = Options {
        trusted_proxy: vec!["127.0.0.1".parse().expect("an address")],
        insecure_open: true,
        ..options
    };
    let server = start(proxied).await.expect("starts");
    let mut sites = Vec::new();
    for address in ["203.0.113.7", "203.0.113.7", "203.0.113.8"] {
        let client = ask(&server, &[address], "").await.expect("joins");
        sites.push(client.welcome.as_ref().expect("joined").ticket.body.net.site);
    }
    assert_eq!(sites[0], sites[1]);
    assert_ne!(sites[0], sites[2]);
}

#[tokio::test]
async fn connections_are_counted_by_client_not_by_proxy() {
    let settings = format!("[limits]\nconnections_per_address = 2\n{}", key("sites.demo", 1, "one"));
    let (server, _dir) = server(&["127.0.0.1"], &settings).await;
    let mut open = Vec::new();
    for address in ["203.0.113.1", "203.0.113.1", "203.0.113.2", "203.0.113.2", "203.0.113.3"] {
        open.push(ask(&server, &[address], &bound()).await.expect("room"));
    }
    let third = |address: &'static str| {
        reqwest::Client::new().get(url(&server, "/health")).header(HEADER, address).send()
    };
    assert_eq!(third("203.0.113.1").await.expect("answers").status(), 429);
    assert_eq!(third("203.0.113.3").await.expect("answers").status(), 200, "requests give their place back");
    assert_eq!(third("203.0.113.3").await.expect("answers").status(), 200);
    drop(open.remove(0));
    while third("203.0.113.1").await.expect("answers").status() != 200 {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}
