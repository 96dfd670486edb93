//! Revocations (R36, H1): who was let in once and is let in no more.

use std::time::Instant;

use reqwest::{Method, StatusCode};
use rillcast_protocol::id::Role;
use rillcast_protocol::signal::{ClientMessage, Join, RefusedCode, ServerMessage};
use rillcast_publisher::PublishingKey;
use rillcast_signaling::limits::Limits;
use rillcast_signaling::revocation::{Kind, Request};
use serde_json::{Value, json};

use crate::bearer::{ask, at_home, bench, code, said, token};
use crate::kit::{Bench, digest, join, key, now, publisher_keys, source, with_token};
use crate::operator::{Site, sent_away};

const HERE: &str = "203.0.113.7";
const THERE: &str = "198.51.100.1";

fn request(kind: Kind, name: &str) -> Request {
    Request { kind, name: name.to_owned(), until: None, why: None }
}

#[tokio::test]
async fn whoever_is_revoked_is_sent_away_at_once_and_comes_back_only_when_that_is_taken_back() {
    let dir = tempfile::tempdir().expect("dir");
    let site = Site::start(dir.path(), "").await;
    let bob = || json!({"sub": "bob", "jti": "b", "uses": 9});
    for (kind, name) in [("user", "bob"), ("token", "b"), ("key", "one")] {
        let mut member = site.viewer(HERE, bob()).await.expect("joins");
        let added = site.done(Method::POST, "revocations", json!({"kind": kind, "name": name})).await;
        assert_eq!(added["sent_away"], 1, "{kind}");
        assert!(sent_away(&mut member).await.contains(kind));
        assert!(site.viewer(HERE, bob()).await.err().expect("refused").contains("revoked"));
        let number = added["entry"]["number"].as_u64().expect("a number");
        site.done(Method::DELETE, &format!("revocations/{number}"), Value::Null).await;
    }
    assert!(site.viewer(HERE, bob()).await.is_ok());
}

#[tokio::test]
async fn a_peer_is_sent_away_by_its_id_and_its_neighbours_hear_of_it() {
    let dir = tempfile::tempdir().expect("dir");
    let site = Site::start(dir.path(), "").await;
    let mut one = site.viewer(HERE, json!({})).await.expect("joins");
    let mut two = site.viewer(THERE, json!({})).await.expect("joins");
    two.introduced().await;
    let gone = one.id();
    let added =
        site.done(Method::POST, "revocations", json!({"kind": "peer", "name": gone.to_string()})).await;
    assert_eq!(added["sent_away"], 1);
    sent_away(&mut one).await;
    two.until(|m| matches!(m, ServerMessage::Gone { peer } if *peer == gone).then_some(())).await;
    two.settle().await;
}

#[tokio::test]
async fn the_list_is_numbered_shown_and_outlasts_the_server() {
    let dir = tempfile::tempdir().expect("dir");
    let state = dir.path().join("state");
    std::fs::create_dir(&state).expect("made");
    let start = async || Site::start_with(dir.path(), "", |o| o.state_dir = Some(state.clone())).await;
    let list = async |site: &Site| site.admin(Method::GET, "sites/demo/revocations", None).await.1;
    let site = start().await;
    assert_eq!(list(&site).await, json!({"number": 0, "entries": []}));
    let why = json!({"kind": "user", "name": "bob", "until": now() + 600, "why": "shared his password"});
    site.done(Method::POST, "revocations", why).await;
    site.done(Method::POST, "revocations", json!({"kind": "token", "name": "t"})).await;
    let before = list(&site).await;
    assert_eq!(before["entries"].as_array().map(Vec::len), Some(2));
    assert_eq!(before["entries"][1]["number"], before["number"]);
    site.server.stop().await;
    let site = start().await;
    assert_eq!(list(&site).await, before);
    assert!(site.viewer(HERE, json!({"sub": "bob"})).await.is_err());
    let (status, _) = site.admin(Method::GET, "sites/other/revocations", None).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    site.server.stop().await;
    std::fs::write(state.join("revocations.json"), "[").expect("write");
    let options = rillcast_signaling::Options {
        listen: vec![crate::kit::loopback()],
        state_dir: Some(state),
        ..Default::default()
    };
    let error = rillcast_signaling::start(options).await.expect_err("who was revoked isn't let in for that");
    assert!(error.to_string().contains("revocations.json"), "{error}");
}

#[tokio::test]
async fn a_revocation_ends_at_its_time() {
    let bench = bench();
    let bob = token(json!({"sub": "bob"}));
    let until = Some(now() + 2);
    bench.hub.revoke("demo", Request { until, ..request(Kind::User, "bob") }).expect("room");
    assert!(said(ask(&bench, &bob, at_home())).contains("revoked"));
    let end = Instant::now() + crate::kit::PATIENCE;
    while ask(&bench, &bob, at_home()).is_err() {
        assert!(Instant::now() < end);
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn another_site_and_other_users_are_not_concerned() {
    let bench = Bench::new(
        Limits::default(),
        &format!("{}{}", key("sites.demo", 1, "one"), key("sites.other", 1, "one")),
    );
    bench.hub.revoke("other", request(Kind::User, "bob")).expect("room");
    bench.hub.revoke("demo", request(Kind::User, "eve")).expect("room");
    assert!(ask(&bench, &token(json!({"sub": "bob"})), at_home()).is_ok());
    assert!(ask(&bench, &token(json!({})), at_home()).is_ok());
    assert_eq!(code(ask(&bench, &token(json!({"sub": "eve"})), at_home())), Some(RefusedCode::Unauthorised));
}

/// What is revoked between a join's check and its end is revoked all the same.
#[tokio::test]
async fn nobody_slips_in_while_the_list_changes() {
    let bench = bench();
    let join = with_token(join(Role::Viewer), &token(json!({"sub": "bob"})));
    let admitted = bench.hub.admit(&join, at_home()).expect("not yet revoked");
    bench.hub.revoke("demo", request(Kind::User, "bob")).expect("room");
    let refused = bench.finish(&admitted, None).err().expect("refused");
    assert_eq!(refused.code, RefusedCode::Unauthorised);
    assert_eq!(bench.hub.metrics.peers.value(), 0);
}

#[tokio::test]
async fn revocations_are_bounded_and_what_is_wrong_is_said() {
    let dir = tempfile::tempdir().expect("dir");
    let site = Site::start(dir.path(), "").await;
    let post = async |body: Value| site.admin(Method::POST, "sites/demo/revocations", Some(body)).await;
    for (body, words) in [
        (json!({"kind": "user", "name": ""}), "1 to 128"),
        (json!({"kind": "peer", "name": "xyz"}), "32 hex digits"),
        (json!({"kind": "user", "name": "bob", "until": 5}), "seconds since 1970"),
        (json!({"kind": "address", "name": "bob"}), "unknown variant"),
        (json!({"user": "bob"}), "unknown field"),
    ] {
        let (status, text) = post(body).await;
        assert_eq!(status, StatusCode::BAD_REQUEST);
        assert!(text.as_str().is_some_and(|t| t.contains(words)), "{text}");
    }
    let (status, _) = site.admin(Method::DELETE, "sites/demo/revocations/7", None).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    let bench = Bench::new(Limits { revocations: 1, ..Limits::default() }, &key("sites.demo", 1, "one"));
    bench.hub.revoke("demo", request(Kind::User, "a")).expect("room");
    let full = bench.hub.revoke("demo", request(Kind::User, "b")).expect_err("full");
    assert!(full.to_string().contains("`revocations`"), "{full}");
}

/// H2: a seed that was revoked is believed no more, also for what it signed before.
#[tokio::test]
async fn what_a_revoked_seed_signed_counts_no_more() {
    let bench = bench();
    let signing = PublishingKey::from_seed(&[1; 32]);
    let as_seed = |user: &str| {
        let claims = json!({"sub": user, "role": "publisher"});
        let join = Join { publisher: Some(signing.public()), ..with_token(join(Role::Seed), &token(claims)) };
        bench.enter_from(join, at_home()).expect("joins")
    };
    let (first, _second) = (as_seed("one"), as_seed("two"));
    let viewer = || {
        let mut viewer =
            bench.enter_from(with_token(join(Role::Viewer), &token(json!({}))), at_home()).expect("joins");
        bench.play(&viewer, &["http://origin.example/a.m3u8"]);
        (viewer.digests().len(), viewer)
    };
    let track = source("http://origin.example/a.m3u8").track;
    bench.say(&first, ClientMessage::Publish { digest: digest(&signing, first.swarm, track, 1) });
    bench.hub.revoke("demo", request(Kind::User, "one")).expect("room");
    let (had, mut told) = viewer();
    assert_eq!(had, 1, "another seed signs with the same key");
    told.heard();
    bench.hub.revoke("demo", request(Kind::User, "two")).expect("room");
    assert_eq!(publisher_keys(&told.heard()), Some(vec![]));
    assert_eq!(viewer().0, 0);
}
