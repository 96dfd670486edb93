//! Who may join (R8, R36, R41, R54, H1, H3): what tokens of a site's backend say, and what is made of forged and stolen ones.

use proptest::prelude::*;
use rillcast_protocol::coding::{Blob, Text, Wire};
use rillcast_protocol::id::Role;
use rillcast_protocol::signal::{ClientMessage, Join, RefusedCode};
use rillcast_signaling::auth::keys::{KeyFile, Keyring};
use rillcast_signaling::auth::mint::Minter;
use rillcast_signaling::limits::Limits;
use rillcast_signaling::{Options, start};
use serde_json::json;

use crate::bearer::{PAGE, ask, asker, at_home, base64url, bench, claims, code, said, token};
use crate::kit::{Bench, Client, join, key, loopback, minter, now, server_with, with_token};

#[tokio::test]
async fn a_site_with_keys_lets_nobody_in_without_a_token() {
    let (server, _dir) = server_with(&key("sites.demo", 1, "one"), &[]).await;
    let mut without = Client::connect(&server, None).await;
    without.send(&ClientMessage::Join { join: join(Role::Viewer) }).await;
    let (code, message) = without.refusal().await;
    assert_eq!(code, RefusedCode::Unauthorised);
    assert!(message.contains("backend"), "{message}");
    assert_eq!(server.hub.metrics.tokens_refused_total.value(), 1);
    assert_eq!(server.hub.metrics.joins_refused_total.value(), 1);
    let with = Client::join(&server, with_token(join(Role::Viewer), &token(json!({})))).await;
    assert!(with.welcome.is_some());
    assert_eq!(server.hub.metrics.peers.value(), 1, "nobody else gets a neighbour");
}

#[tokio::test]
async fn every_claim_holds_at_the_join() {
    let bench = bench();
    let long = |n: usize| "x".repeat(n);
    let networks = |last: &str, n: usize| {
        let mut all = vec!["10.0.0.0/8"; n - 1];
        all.push(last);
        json!(all)
    };
    let minute = |offset: u64| {
        let minute = (now() / 60 + offset) % 1440;
        format!("{:02}:{:02}", minute / 60, minute % 60)
    };
    // A minute may turn in between, so windows leave one on either side.
    let around = json!({"from": minute(1438), "to": minute(2)});
    let beside = json!({"from": minute(2), "to": minute(1438)});
    for (name, allowed, refused) in [
        ("site", vec![json!("demo")], vec![json!("demo2"), json!("Demo"), json!("")]),
        (
            "exp",
            vec![json!(now() + 86_400), json!(now() - 5)],
            vec![json!(now() - 31), json!(now() + 86_500), json!("9999999999")],
        ),
        ("nbf", vec![json!(now() + 20), json!(0)], vec![json!(now() + 60), json!("0")]),
        (
            "iat",
            vec![json!(now() + 20), json!(now() + 700 - 86_400)],
            vec![json!(now() + 60), json!(now() - 86_400)],
        ),
        ("aud", vec![json!("rillcast")], vec![json!("billing")]),
        ("sub", vec![json!(long(128))], vec![json!(long(129))]),
        (
            "content",
            vec![
                json!("https://origin.example/live/master.m3u8?t=1"),
                json!("https://origin.example/live/*"),
                json!("*"),
            ],
            vec![
                json!("https://origin.example/live/other.m3u8"),
                json!("https://origin.example/vod/*"),
                json!("https://origin.*"),
                json!(""),
            ],
        ),
        ("role", vec![json!("viewer"), json!("publisher")], vec![json!("owner")]),
        (
            "origin",
            vec![json!(PAGE)],
            vec![json!("https://www.example.evil"), json!("http://www.example"), json!("")],
        ),
        (
            "networks",
            vec![networks("203.0.113.0/24", 32)],
            vec![networks("203.0.113.0/24", 33), networks("203.0.114.0/24", 2), json!([])],
        ),
        ("upload_cap", vec![json!(1)], vec![json!(0), json!(-1)]),
        ("ratio", vec![json!(0), json!(600)], vec![json!(601)]),
        ("jti", vec![json!(long(128))], vec![json!(long(129)), json!("")]),
        ("uses", vec![], vec![json!(1)]),
        ("window", vec![around], vec![beside]),
        ("countries", vec![], vec![json!(["SE"]), json!([])]),
        ("asns", vec![], vec![json!([64_496])]),
        ("colour", vec![json!("red")], vec![]),
    ] {
        for value in allowed {
            let answer = ask(&bench, &token(json!({ name: value })), at_home());
            assert!(answer.is_ok(), "{name} {value}: {answer:?}");
        }
        for value in refused {
            let answer = ask(&bench, &token(json!({ name: value })), at_home());
            assert_eq!(code(answer), Some(RefusedCode::Unauthorised), "{name} {value}");
        }
    }
}

#[tokio::test]
async fn a_refusal_says_what_is_wrong() {
    let bench = bench();
    for (more, words) in [
        (json!({"exp": now() - 100}), "has expired"),
        (json!({"nbf": now() + 100}), "isn't valid yet"),
        (json!({"exp": (now() + 60) * 1000}), "seconds since 1970"),
        (json!({"site": "other"}), "another site"),
        (json!({"content": "other"}), "other content"),
        (json!({"origin": "https://other.example"}), "another origin"),
        (json!({"networks": ["10.0.0.0/8"]}), "other networks"),
        (json!({"countries": ["SE"]}), "no database"),
        (json!({"uses": 3}), "needs a jti"),
        (json!({"ratio": "much"}), "invalid type"),
    ] {
        let said = said(ask(&bench, &token(more), at_home()));
        assert!(said.contains(words), "{said}");
    }
    let bare = minter(1, None).mint(&json!({"site": "demo"})).expect("signed");
    assert!(said(ask(&bench, &bare, at_home())).contains("exp"));
}

/// H1: no key, no way in.
#[tokio::test]
async fn forged_tokens_are_refused() {
    let bench = bench();
    let body = claims(json!({}));
    let good = token(json!({}));
    assert!(ask(&bench, &good, at_home()).is_ok());
    let parts: Vec<&str> = good.split('.').collect();
    let header = |text: &str| base64url(text.as_bytes());
    let public = minter(1, None).public().expect("a pair");
    let pem = minter(1, None).public_pem().expect("a pair");
    let bytes = rillcast_publisher::key::unhex(&public).expect("hex");
    // Alg confusion: the public key, which everybody may know, taken for a shared secret.
    let confused =
        |secret: &[u8]| Minter::from_secret(secret, Some("one".to_owned())).mint(&body).expect("signed");
    let mut flipped = good.clone().into_bytes();
    let middle = parts[0].len() + 10;
    flipped[middle] = if flipped[middle] == b'A' { b'B' } else { b'A' };
    for (what, forged) in [
        ("other key", minter(2, Some("one")).mint(&body).expect("signed")),
        ("other key without kid", minter(2, None).mint(&body).expect("signed")),
        ("unknown kid", minter(1, Some("two")).mint(&body).expect("signed")),
        ("public key's bytes", confused(&bytes)),
        ("public key's hex", confused(public.as_bytes())),
        ("public key's PEM", confused(pem.as_bytes())),
        ("empty secret", confused(b"")),
        ("none", format!("{}.{}.", header(r#"{"alg":"none"}"#), parts[1])),
        ("None with its signature", format!("{}.{}.{}", header(r#"{"alg":"None"}"#), parts[1], parts[2])),
        ("HS256 with its signature", format!("{}.{}.{}", header(r#"{"alg":"HS256"}"#), parts[1], parts[2])),
        ("RS256", format!("{}.{}.{}", header(r#"{"alg":"RS256"}"#), parts[1], parts[2])),
        (
            "own key in the header",
            format!("{}.{}.{}", header(r#"{"alg":"EdDSA","jwk":{}}"#), parts[1], parts[2]),
        ),
        ("no signature", format!("{}.{}.", parts[0], parts[1])),
        ("truncated", good[..good.len() - 1].to_owned()),
        ("half", good[..good.len() / 2].to_owned()),
        ("longer", format!("{good}AAAA")),
        ("four parts", format!("{good}.AAAA")),
        ("other claims", String::from_utf8(flipped).expect("ASCII")),
        ("nonsense", "nonsense".to_owned()),
        ("dots", "..".to_owned()),
        ("not base64", "!.!.!".to_owned()),
        ("space", format!(" {good}")),
    ] {
        let said = said(ask(&bench, &forged, at_home()));
        assert!(!said.contains(&public), "{what}: {said}");
    }
    // What the header wants to be understood isn't.
    let critical = format!("{}.{}", header(r#"{"alg":"EdDSA","crit":["exp"],"exp":1}"#), parts[1]);
    assert!(said(ask(&bench, &format!("{critical}.{}", parts[2]), at_home())).contains("can't be read"));
    let not_text = Join { token: Blob::new(vec![0xff; 100]).expect("short"), ..join(Role::Viewer) };
    assert_eq!(code(bench.hub.admit(&not_text, at_home())), Some(RefusedCode::Unauthorised));
    assert_eq!(bench.hub.metrics.peers.value(), 0);
}

#[tokio::test]
async fn a_token_may_be_as_long_as_the_protocol_allows() {
    let (server, _dir) = server_with(&key("sites.demo", 1, "one"), &[]).await;
    // Base64 has no lengths of 4n + 1, so the very last byte may not be reached.
    let tokens = (2700..3100).map(|n| token(json!({"filler": "x".repeat(n)})));
    let longest = tokens.take_while(|t| t.len() <= 4096).last().expect("some fit");
    assert!(longest.len() >= 4094, "{}", longest.len());
    let client = Client::join(&server, with_token(join(Role::Viewer), &longest)).await;
    assert!(client.welcome.is_some());
    // One byte more than the protocol takes, written by hand.
    let mut bytes =
        ClientMessage::Join { join: with_token(join(Role::Viewer), &"x".repeat(4096)) }.to_bytes();
    let at = bytes.windows(2).position(|pair| pair == [0x80, 0x20]).expect("the token's length");
    bytes[at] = 0x81;
    bytes.insert(at + 2, b'x');
    let mut client = Client::connect(&server, None).await;
    client.send_bytes(bytes).await;
    assert_eq!(client.refused().await, RefusedCode::Malformed);
}

/// H1: a page that reconnects is let through, whoever got hold of its token isn't.
#[tokio::test]
async fn a_replayed_token_is_refused_and_a_reconnect_is_not() {
    let bench = bench();
    let once = token(json!({"jti": "a"}));
    for _ in 0..3 {
        assert!(ask(&bench, &once, at_home()).is_ok());
    }
    let elsewhere = [
        asker("203.0.113.8", Some(PAGE)),
        asker("2001:db8::1", Some(PAGE)),
        asker("203.0.113.7", Some("https://leech.example")),
        asker("203.0.113.7", None),
    ];
    for other in elsewhere {
        assert!(said(ask(&bench, &once, other)).contains("another address or page"));
    }
    assert!(ask(&bench, &once, at_home()).is_ok(), "and the first one still may");
    // Another token with the same name is the same; another name, or none, isn't.
    assert!(ask(&bench, &token(json!({"jti": "a", "sub": "x"})), elsewhere[0]).is_err());
    assert!(ask(&bench, &token(json!({"jti": "b"})), elsewhere[0]).is_ok());
    let unnamed = token(json!({}));
    assert!(elsewhere.iter().all(|other| ask(&bench, &unnamed, *other).is_ok()));
    // A home with IPv6 changes addresses within its /64.
    let home = token(json!({"jti": "v6"}));
    assert!(ask(&bench, &home, asker("2001:db8:1:2::1", None)).is_ok());
    assert!(ask(&bench, &home, asker("2001:db8:1:2:ffff::9", None)).is_ok());
    assert!(ask(&bench, &home, asker("2001:db8:1:3::1", None)).is_err());
}

#[tokio::test]
async fn uses_say_from_how_many_places_a_token_counts() {
    let bench = bench();
    let twice = token(json!({"jti": "a", "uses": 2}));
    assert!(ask(&bench, &twice, asker("203.0.113.1", None)).is_ok());
    assert!(ask(&bench, &twice, asker("203.0.113.2", None)).is_ok());
    assert!(ask(&bench, &twice, asker("203.0.113.3", None)).is_err());
    assert!(ask(&bench, &twice, asker("203.0.113.2", None)).is_ok());
    // A token that is refused for something else isn't used up.
    let bound = token(json!({"jti": "b", "origin": PAGE}));
    assert!(ask(&bench, &bound, asker("203.0.113.1", None)).is_err());
    assert!(ask(&bench, &bound, at_home()).is_ok());
}

#[tokio::test]
async fn a_full_memory_refuses_and_says_so() {
    let limits = Limits { token_memory: 2, ..Limits::default() };
    let bench = Bench::new(limits, &key("sites.demo", 1, "one"));
    let named = |name: &str| token(json!({ "jti": name }));
    assert!(ask(&bench, &named("a"), at_home()).is_ok());
    assert!(ask(&bench, &named("b"), at_home()).is_ok());
    let refused = ask(&bench, &named("c"), at_home()).expect_err("full");
    assert_eq!(refused.code, RefusedCode::Unavailable);
    assert!(refused.message.contains("token_memory"), "{}", refused.message);
    assert_eq!(bench.hub.metrics.token_memory_full_total.value(), 1);
    assert!(bench.hub.render_metrics().contains("rillcast_tokens_remembered 2"));
    assert!(ask(&bench, &named("a"), at_home()).is_ok(), "whoever is known comes back");
    assert!(ask(&bench, &token(json!({})), at_home()).is_ok(), "nothing to remember");
    // The leeway of 30 s over, its place is free.
    let brief =
        minter(1, None).mint(&json!({"site": "demo", "exp": now() - 29, "jti": "d"})).expect("signed");
    let bench = Bench::new(Limits { token_memory: 1, ..Limits::default() }, &key("sites.demo", 1, "one"));
    assert!(ask(&bench, &brief, at_home()).is_ok());
    while ask(&bench, &named("e"), at_home()).is_err() {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

// H1: who waits for a restart can't use a stolen token again.
#[tokio::test]
async fn with_a_state_directory_it_is_known_after_a_restart_from_where_a_token_was_used() {
    let dir = tempfile::tempdir().expect("a directory");
    let config = dir.path().join("settings.toml");
    std::fs::write(&config, key("sites.demo", 1, "one")).expect("written");
    let once = token(json!({"jti": "a"}));
    for (page, allowed) in [(PAGE, true), ("https://elsewhere.example", false), (PAGE, true)] {
        let server = start(Options {
            listen: vec![loopback()],
            config: Some(config.clone()),
            state_dir: Some(dir.path().to_owned()),
            ..Options::default()
        });
        let server = server.await.expect("starts");
        let mut client = Client::connect(&server, Some(page)).await;
        let asks = with_token(join(Role::Viewer), &once);
        if allowed {
            client.enter(asks).await;
        } else {
            client.send(&ClientMessage::Join { join: asks }).await;
            assert_eq!(client.refusal().await.0, RefusedCode::Unauthorised);
        }
        server.stop().await;
    }
}

#[tokio::test]
async fn the_longest_life_is_a_limit() {
    for (max, life, allowed) in [(100, 99, true), (100, 100, true), (100, 200, false), (0, 60, false)] {
        let limits = Limits { token_max_secs: max, ..Limits::default() };
        let bench = Bench::new(limits, &key("sites.demo", 1, "one"));
        let made = now();
        let made = token(json!({"iat": made, "exp": made + life}));
        assert_eq!(ask(&bench, &made, at_home()).is_ok(), allowed, "{life} of {max}");
    }
}

/// R54: invitations of one content don't open another, nor HLS's the swarm of another site.
#[tokio::test]
async fn an_invitation_opens_what_it_names() {
    let settings = format!("{}{}", key("sites.demo", 1, "one"), key("sites.other", 1, "one"));
    let bench = Bench::new(Limits::default(), &settings);
    let invitation = token(json!({"content": "party-7"}));
    let to = |site: &str, content: &str| {
        let text = Text::new(content).expect("short");
        let join = Join { site: Text::new(site).expect("short"), content: text, ..join(Role::Viewer) };
        bench.hub.admit(&with_token(join, &invitation), at_home()).is_ok()
    };
    assert!(to("demo", "party-7"));
    assert!(!to("demo", "party-77") && !to("demo", "party-") && !to("demo", "Party-7"));
    assert!(!to("other", "party-7"), "the same key in two sites");
}

proptest! {
    /// H3: whatever is made of a token, and whatever else is handed over, opens nothing.
    #[test]
    fn no_other_bytes_are_a_token(at in any::<prop::sample::Index>(), byte: u8, noise in prop::collection::vec(any::<u8>(), 0..4096)) {
        let keys = [KeyFile { id: "one".to_owned(), public: minter(1, None).public(), secret_file: None }];
        let keys = Keyring::load(&keys).expect("good");
        let good = token(json!({"jti": "a"})).into_bytes();
        prop_assert!(keys.verify(&good).is_ok());
        let mut other = good.clone();
        other[at.index(good.len())] = byte;
        prop_assert_eq!(keys.verify(&other).is_ok(), other == good);
        prop_assert!(keys.verify(&noise).is_err());
        // A signature of ours under whatever claims: read, or refused, and never more.
        let odd = minter(1, None).mint(&String::from_utf8_lossy(&noise)).expect("signed");
        prop_assert!(keys.verify(odd.as_bytes()).is_err());
    }
}
