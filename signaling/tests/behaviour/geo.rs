//! Where viewers are (R36): databases of countries and providers, tokens that are bound to them, and what peers learn.

use std::path::Path;

use rillcast_protocol::id::Role;
use rillcast_protocol::signal::{Network, RefusedCode, ServerMessage};
use rillcast_signaling::geo::GeoFiles;
use rillcast_signaling::{Options, Running, start};
use serde_json::{Value, json};

use crate::atlas::{asn_alone, at, country_alone, nothing, write};
use crate::bearer::token;
use crate::kit::{Client, join, key, loopback, with_token};

/// A server behind a proxy on this machine, so that tests may come from anywhere.
async fn server(dir: &Path, country: Option<&Path>, asn: Option<&Path>) -> Running {
    let config = dir.join("settings.toml");
    std::fs::write(&config, key("sites.demo", 1, "one")).expect("write");
    let options = Options {
        listen: vec![loopback()],
        config: Some(config),
        trusted_proxy: vec!["127.0.0.1".parse().expect("an address")],
        geo_country: country.map(Path::to_owned),
        geo_asn: asn.map(Path::to_owned),
        ..Options::default()
    };
    start(options).await.expect("starts")
}

/// Joins from this address with a token that says this besides.
async fn ask(server: &Running, address: &str, claims: Value) -> Result<Network, String> {
    let mut client = Client::connect_with(server, &[("x-forwarded-for", address)]).await;
    let join = with_token(join(Role::Viewer), &token(claims));
    client.send(&rillcast_protocol::signal::ClientMessage::Join { join }).await;
    match client.next().await {
        Some(ServerMessage::Welcome { welcome }) => Ok(welcome.ticket.body.net),
        Some(ServerMessage::Refused { code, message }) => {
            assert_eq!(code, RefusedCode::Unauthorised);
            Err(message.as_str().to_owned())
        }
        other => panic!("neither welcome nor refusal: {other:?}"),
    }
}

#[tokio::test]
async fn tokens_bound_to_countries_and_providers_open_from_there_alone() {
    let dir = tempfile::tempdir().expect("dir");
    let both = dir.path().join("both.mmdb");
    let records = [
        ("203.0.113.0/24", at("SE", 64_496)),
        ("198.51.100.0/24", at("NO", 64_497)),
        ("2001:db8::/32", at("SE", 64_498)),
    ];
    write(&both, "Test-Both", &records);
    let server = server(dir.path(), Some(&both), Some(&both)).await;
    let swedes = || json!({"countries": ["SE", "fi"]});
    assert!(ask(&server, "203.0.113.7", swedes()).await.is_ok());
    assert!(ask(&server, "2001:db8::1", swedes()).await.is_ok());
    let customers = || json!({"asns": [64_497]});
    assert!(ask(&server, "198.51.100.1", customers()).await.is_ok());
    for (address, claims, words) in [
        ("198.51.100.1", swedes(), "other countries"),
        ("192.0.2.1", swedes(), "other countries"),
        ("203.0.113.7", customers(), "other providers"),
        ("192.0.2.1", customers(), "other providers"),
        ("203.0.113.7", json!({"countries": []}), "other countries"),
        ("203.0.113.7", json!({"countries": ["SE"], "asns": [1]}), "other providers"),
    ] {
        let said = ask(&server, address, claims).await.expect_err("refused");
        assert!(said.contains(words), "{address}: {said}");
    }
}

#[tokio::test]
async fn without_a_database_such_tokens_open_nothing_and_the_flag_is_named() {
    let dir = tempfile::tempdir().expect("dir");
    let asns = dir.path().join("asns.mmdb");
    write(&asns, "Test-ASN", &[("203.0.113.0/24", asn_alone(64_496))]);
    let server = server(dir.path(), None, Some(&asns)).await;
    let said = ask(&server, "203.0.113.7", json!({"countries": ["SE"]})).await.expect_err("refused");
    assert!(said.contains("no database") && said.contains("--geo-country"), "{said}");
    assert!(ask(&server, "203.0.113.7", json!({"asns": [64_496]})).await.is_ok());
}

#[tokio::test]
async fn peers_learn_whether_they_share_a_provider_and_a_country_and_not_which() {
    let dir = tempfile::tempdir().expect("dir");
    let both = dir.path().join("both.mmdb");
    let records = [("203.0.113.0/24", at("SE", 64_496)), ("198.51.100.0/24", at("SE", 64_497))];
    write(&both, "Test-Both", &records);
    let server = server(dir.path(), Some(&both), Some(&both)).await;
    let from = async |address| ask(&server, address, json!({})).await.expect("joins");
    let (one, two, other, nowhere) = (
        from("203.0.113.7").await,
        from("203.0.113.8").await,
        from("198.51.100.1").await,
        from("192.0.2.1").await,
    );
    assert_eq!((one.asn, one.country), (two.asn, two.country));
    assert!(one.asn != other.asn && one.country == other.country);
    assert!(one.asn != 64_496 && one.country != u16::from_be_bytes(*b"SE"));
    assert_eq!((nowhere.asn, nowhere.country), (0, 0), "unknown");
}

#[tokio::test]
async fn a_changed_database_is_read_again_and_a_broken_one_changes_nothing() {
    let dir = tempfile::tempdir().expect("dir");
    let path = dir.path().join("country.mmdb");
    write(&path, "Test", &[("203.0.113.0/24", at("SE", 1))]);
    let server = server(dir.path(), Some(&path), None).await;
    let swede = async || ask(&server, "203.0.113.7", json!({"countries": ["SE"]})).await.is_ok();
    assert!(swede().await);
    std::fs::write(&path, "half a database").expect("write");
    tokio::time::sleep(std::time::Duration::from_millis(2500)).await;
    assert!(swede().await, "the old one stays");
    write(&path, "Test", &[("203.0.113.0/24", at("NO", 1)), ("198.51.100.0/24", at("SE", 1))]);
    while swede().await {
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
}

#[test]
fn a_file_that_is_no_such_database_is_refused_with_what_it_should_be() {
    let dir = tempfile::tempdir().expect("dir");
    let path = |name: &str| dir.path().join(name);
    std::fs::write(path("text"), "Sverige\n".repeat(100)).expect("write");
    std::fs::write(path("empty"), "").expect("write");
    write(&path("asn"), "Test-ASN", &[("203.0.113.0/24", asn_alone(64_496))]);
    write(&path("country"), "Test-Country", &[("203.0.113.0/24", country_alone("SE"))]);
    write(&path("nothing"), "Test-Nothing", &[("203.0.113.0/24", nothing())]);
    let whole = std::fs::read(path("country")).expect("read");
    std::fs::write(path("half"), &whole[..whole.len() / 2]).expect("write");
    for (name, words) in [
        ("missing", "check the path"),
        ("text", "MaxMind's format"),
        ("empty", "MaxMind's format"),
        ("half", "MaxMind's format"),
        ("asn", "--geo-country"),
        ("nothing", "Test-Nothing"),
    ] {
        let files = GeoFiles { country: Some(path(name)), asn: None };
        let said = files.load().expect_err(name).to_string();
        assert!(said.contains(words) && said.contains(name), "{said}");
    }
    let said = GeoFiles { country: None, asn: Some(path("country")) }.load().expect_err("none").to_string();
    assert!(said.contains("--geo-asn") && said.contains("autonomous_system_number"), "{said}");
    assert!(GeoFiles { country: Some(path("country")), asn: Some(path("asn")) }.load().is_ok());
}
