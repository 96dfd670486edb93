//! Sites with keys and without (R8, R41): rotation, shared secrets, what a token gives, who may come in without one.

use std::net::SocketAddr;
use std::path::Path;

use rillcast_protocol::id::{PublisherKey, Role};
use rillcast_protocol::signal::{ClientMessage, Join, RefusedCode, ServerMessage};
use rillcast_signaling::auth::Open;
use rillcast_signaling::auth::mint::Minter;
use rillcast_signaling::limits::Limits;
use rillcast_signaling::site::SettingsFile;
use rillcast_signaling::{Options, start};
use serde_json::json;

use crate::bearer::{ask, asker, at_home, claims, said, token};
use crate::kit::{Bench, Client, join, key, loopback, minter, url, with_token};

#[tokio::test]
async fn keys_follow_each_other_without_a_gap() {
    let file = |text: &str| toml::from_str::<SettingsFile>(text).expect("settings");
    let (old, new) = (key("sites.demo", 1, "one"), key("sites.demo", 2, "two"));
    let bench = Bench::new(Limits::default(), &old);
    let by_old = token(json!({}));
    let by_new = minter(2, Some("two")).mint(&claims(json!({}))).expect("signed");
    let without_id = minter(2, None).mint(&claims(json!({}))).expect("signed");
    let counts = || [&by_old, &by_new, &without_id].map(|token| ask(&bench, token, at_home()).is_ok());
    assert_eq!(counts(), [true, false, false]);
    let mut viewer = bench.enter(with_token(join(Role::Viewer), &by_old)).expect("joins");
    bench.hub.reload(&file(&format!("{old}{new}"))).expect("good");
    assert_eq!(counts(), [true, true, true]);
    // A failing reload leaves everything as it was.
    let broken = "[[sites.demo.keys]]\nid = \"x\"\npublic = \"12\"\n";
    let error = bench.hub.reload(&file(broken)).expect_err("broken").to_string();
    assert!(error.contains("site demo") && error.contains("rillcast-token keygen"), "{error}");
    assert_eq!(counts(), [true, true, true]);
    bench.hub.reload(&file(&new)).expect("good");
    assert_eq!(counts(), [false, true, true]);
    viewer.heard();
    bench.say(&viewer, ClientMessage::WantPeers { count: 1 });
    assert_eq!(bench.hub.metrics.peers.value(), 1, "whoever has joined stays");
    // Without keys the site is this machine's again, not everybody's.
    bench.hub.reload(&file("[sites.demo]\n")).expect("good");
    assert!(said(ask(&bench, &by_new, at_home())).contains("no keys"));
}

#[tokio::test]
async fn a_shared_secret_does_as_well_and_is_shown_nowhere() {
    let dir = tempfile::tempdir().expect("dir");
    let secret = "a-secret-of-the-backend-and-nobody-else";
    write_secret(&dir.path().join("demo.secret"), secret);
    std::fs::write(dir.path().join("admin"), "0123456789abcdef0123\n").expect("write");
    // The path begins at the settings file.
    let settings = "[[sites.demo.keys]]\nid = \"hs\"\nsecret_file = \"demo.secret\"\n";
    std::fs::write(dir.path().join("settings.toml"), settings).expect("write");
    let options = Options {
        listen: vec![loopback()],
        config: Some(dir.path().join("settings.toml")),
        admin_token_file: Some(dir.path().join("admin")),
        ..Options::default()
    };
    let server = start(options).await.expect("starts");
    let hs = Minter::from_secret(secret.as_bytes(), None);
    let good = hs.mint(&claims(json!({}))).expect("signed");
    Client::join(&server, with_token(join(Role::Viewer), &good)).await;
    for wrong in [
        Minter::from_secret(&secret.as_bytes()[1..], None).mint(&claims(json!({}))).expect("signed"),
        minter(1, Some("hs")).mint(&claims(json!({}))).expect("signed"),
    ] {
        let mut client = Client::connect(&server, None).await;
        client.send(&ClientMessage::Join { join: with_token(join(Role::Viewer), &wrong) }).await;
        let (code, message) = client.refusal().await;
        assert_eq!(code, RefusedCode::Unauthorised);
        assert!(!message.contains("secret"), "{message}");
    }
    assert!(!format!("{:?}", server.hub).contains(secret));
    let http = reqwest::Client::new();
    let admin = |request: reqwest::RequestBuilder| request.bearer_auth("0123456789abcdef0123").send();
    let shown = admin(http.get(url(&server, "/admin/sites/demo"))).await.expect("answers");
    let shown = shown.text().await.expect("text");
    assert!(shown.contains("ratio") && !shown.contains("keys") && !shown.contains("secret"), "{shown}");
    let put = admin(http.put(url(&server, "/admin/sites/demo/keys")).body("[]")).await.expect("answers");
    assert_eq!(put.status(), 400, "the file alone says who may sign");
}

fn write_secret(path: &Path, secret: &str) {
    std::fs::write(path, format!("{secret}\n")).expect("write");
    #[cfg(unix)]
    std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).expect("chmod");
}

#[tokio::test]
async fn a_token_lowers_what_the_site_allows_and_never_raises_it() {
    let settings = |ratio: f64, cap: u32| {
        format!("[sites.demo]\nratio = {ratio:?}\nupload_cap = {cap}\n{}", key("sites.demo", 1, "one"))
    };
    for (cap, more, expected) in [
        (0, json!({}), (200, 0)),
        (0, json!({"ratio": 0.5, "upload_cap": 1000}), (50, 1000)),
        (900, json!({"ratio": 3, "upload_cap": 1000}), (200, 900)),
        (1100, json!({"ratio": 0, "upload_cap": 1000}), (0, 1000)),
    ] {
        let bench = Bench::new(Limits::default(), &settings(2.0, cap));
        let mut viewer = bench.enter(with_token(join(Role::Viewer), &token(more.clone()))).expect("joins");
        let welcome = viewer.heard().into_iter().find_map(|m| match m {
            ServerMessage::Welcome { welcome } => Some(welcome.settings),
            _ => None,
        });
        let got = welcome.map(|s| (s.ratio_percent, s.upload_cap));
        assert_eq!(got, Some(expected), "{cap} {more}");
    }
    // What the operator changes later stays lowered.
    let bench = Bench::new(Limits::default(), &settings(2.0, 0));
    let bound = with_token(join(Role::Viewer), &token(json!({"ratio": 1})));
    let mut viewer = bench.enter(bound).expect("joins");
    viewer.heard();
    bench.hub.change_site("demo", |s| s.ratio = Some(5.0)).expect("good");
    assert!(viewer.heard().is_empty(), "nothing changes for this viewer");
    bench.hub.change_site("demo", |s| s.ratio = Some(0.5)).expect("good");
    let told = viewer.heard().into_iter().find_map(|m| match m {
        ServerMessage::Settings { settings } => Some(settings.ratio_percent),
        _ => None,
    });
    assert_eq!(told, Some(50));
}

#[tokio::test]
async fn seeds_need_a_role_and_publishers_their_key_on_the_list_besides() {
    let [listed, stranger] = [PublisherKey([3; 32]), PublisherKey([4; 32])];
    let settings = format!("[sites.demo]\nseeds = [\"{listed}\"]\n{}", key("sites.demo", 1, "one"));
    let bench = Bench::new(Limits::default(), &settings);
    let viewer = || join(Role::Viewer);
    let seed = |publisher| Join { publisher, ..join(Role::Seed) };
    for (role, allowed) in [
        ("viewer", [true, false, false, false]),
        ("seed", [true, true, false, false]),
        ("publisher", [true, true, true, false]),
    ] {
        let token = token(json!({ "role": role }));
        let joins = [viewer(), seed(None), seed(Some(listed)), seed(Some(stranger))];
        let got =
            joins.map(|join| bench.hub.admit(&with_token(join, &token), asker("203.0.113.7", None)).is_ok());
        assert_eq!(got, allowed, "{role}");
    }
    assert!(bench.hub.admit(&seed(Some(listed)), asker("127.0.0.1", None)).is_err(), "no token, no seed");
}

#[tokio::test]
async fn a_site_without_keys_is_this_machines_unless_the_operator_opens_it() {
    let near = ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"].map(|a| asker(a, None));
    let far = ["10.0.0.1", "203.0.113.7", "2001:db8::1", "::ffff:10.0.0.1"].map(|a| asker(a, None));
    // With a list of sites and without; and a site that takes the default's keys away.
    let taken = format!("{}[sites.demo]\nkeys = []\n", key("default", 1, "one"));
    for settings in ["", "[sites.demo]\n", &taken] {
        let bench = Bench::new(Limits::default(), settings);
        assert!(near.iter().all(|a| ask(&bench, "", *a).is_ok()), "{settings}");
        for address in far {
            let said = said(ask(&bench, "", address));
            assert!(said.contains("--insecure-open") && said.contains("keygen"), "{said}");
        }
        let bench = Bench::open(Limits::default(), settings, Open::Everyone);
        assert!(near.iter().chain(&far).all(|a| ask(&bench, "", *a).is_ok()), "{settings}");
        assert!(ask(&bench, "whatever", far[0]).is_ok(), "nobody looks at it");
    }
    // Keys count for whomever the door is open to.
    for settings in [key("default", 1, "one"), key("sites.demo", 1, "one")] {
        let bench = Bench::open(Limits::default(), &settings, Open::Everyone);
        assert!(ask(&bench, "", near[0]).is_err() && ask(&bench, "", far[0]).is_err());
        assert!(ask(&bench, &token(json!({})), far[0]).is_ok());
    }
}

#[tokio::test]
async fn other_machines_are_served_where_every_site_has_keys() {
    let open = SocketAddr::from(([0, 0, 0, 0], 0));
    let dir = tempfile::tempdir().expect("dir");
    let path = dir.path().join("settings.toml");
    let begin = async |settings: &str| {
        std::fs::write(&path, settings).expect("write");
        let options = Options { listen: vec![open], config: Some(path.clone()), ..Options::default() };
        start(options).await.map_err(|e| e.to_string())
    };
    let (demo, default) = (key("sites.demo", 1, "one"), key("default", 1, "one"));
    for good in [&demo, &default, &format!("{default}[sites.a]\n[sites.b]\n")] {
        begin(good).await.expect("starts").stop().await;
    }
    for (bad, table) in [
        ("", "default"),
        ("[sites.a]\n", "sites.a"),
        (&format!("{demo}[sites.b]\nenabled = false\n"), "sites.b"),
        (&format!("{default}[sites.c]\nkeys = []\n"), "sites.c"),
    ] {
        let error = begin(bad).await.expect_err("refused");
        assert!(error.contains(&format!("[[{table}.keys]]")) && error.contains("--insecure-open"), "{error}");
    }
    let error = begin("[[sites.a.keys]]\nid = \"k\"\npublic = \"\"\n").await.expect_err("refused");
    assert!(error.contains("site a") && error.contains("keygen"), "{error}");
}
