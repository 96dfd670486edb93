//! What sites allow, and changes while viewers watch.

use reqwest::Method;
use rillcast_protocol::coding::Text;
use rillcast_protocol::id::Role;
use rillcast_protocol::settings::Settings;
use rillcast_protocol::signal::{ClientMessage, Join, RefusedCode, ServerMessage};
use rillcast_signaling::auth::Asker;
use rillcast_signaling::limits::Limits;
use rillcast_signaling::site::{Reach, SettingsFile, Sites};
use rillcast_signaling::{Options, start};
use serde_json::{Value, json};

use crate::kit::{Bench, Client, Puppet, join, loopback, server_with, url};
use crate::operator::Site;

fn settings(messages: &[ServerMessage]) -> Option<Settings> {
    messages.iter().rev().find_map(|m| match m {
        ServerMessage::Settings { settings } => Some(settings.clone()),
        ServerMessage::Welcome { welcome } => Some(welcome.settings.clone()),
        _ => None,
    })
}

fn file(text: &str) -> SettingsFile {
    toml::from_str(text).expect("settings")
}

#[tokio::test]
async fn only_listed_sites_and_origins_are_let_in() {
    let text = "[sites.demo]\norigins = [\"https://www.example\"]\n";
    let (server, _dir) = server_with(text, &[]).await;
    for (origin, site, welcome) in [
        (Some("https://www.example"), "demo", true),
        (Some("https://www.example.evil"), "demo", false),
        (None, "demo", false),
        (Some("https://www.example"), "other", false),
    ] {
        let mut client = Client::connect(&server, origin).await;
        let join = Join { site: Text::new(site).expect("short"), ..join(Role::Viewer) };
        client.send(&ClientMessage::Join { join }).await;
        if welcome {
            assert!(matches!(client.next().await, Some(ServerMessage::Welcome { .. })));
        } else {
            assert_eq!(client.refused().await, RefusedCode::Site, "{origin:?} {site}");
        }
    }
    let seed = Client::join(&server, join(Role::Seed)).await;
    assert!(seed.welcome.is_some(), "a seed has no page");
}

#[tokio::test]
async fn the_kill_switch_reaches_running_peers_through_the_admin_interface() {
    let dir = tempfile::tempdir().expect("dir");
    let token = dir.path().join("token");
    std::fs::write(&token, "0123456789abcdef0123\n").expect("write");
    let options = Options { listen: vec![loopback()], admin_token_file: Some(token), ..Options::default() };
    let server = start(options).await.expect("starts");
    let mut viewers = [Client::viewer(&server).await, Client::viewer(&server).await];
    for viewer in &mut viewers {
        viewer.introduced().await;
    }
    let http = reqwest::Client::new();
    let put = |field: &str, value: &str| {
        http.put(url(&server, &format!("/admin/sites/demo/{field}"))).body(value.to_owned())
    };
    assert_eq!(put("enabled", "false").send().await.expect("answers").status(), 401);
    let wrong = put("enabled", "false").bearer_auth("0123456789abcdef0124");
    assert_eq!(wrong.send().await.expect("answers").status(), 401);
    let right = |field, value| put(field, value).bearer_auth("0123456789abcdef0123").send();
    assert_eq!(right("enabled", "perhaps").await.expect("answers").status(), 400);
    assert_eq!(right("ratio", "-1").await.expect("answers").status(), 400);
    assert_eq!(right("nonsense", "1").await.expect("answers").status(), 400);
    assert_eq!(right("enabled", "false").await.expect("answers").status(), 204);
    let pushed = |m: &ServerMessage| match m {
        ServerMessage::Settings { settings } => Some(settings.enabled),
        _ => None,
    };
    for viewer in &mut viewers {
        assert!(!viewer.until(pushed).await);
    }
    let mut late = Client::viewer(&server).await;
    assert!(!late.welcome.as_ref().expect("joined").settings.enabled);
    assert!(late.settle().await.is_empty(), "nobody is introduced");

    assert_eq!(right("enabled", "true").await.expect("answers").status(), 204);
    assert!(viewers[0].until(pushed).await);
    viewers[0].introduced().await;
}

#[tokio::test]
async fn a_changed_file_reaches_running_peers_and_a_broken_one_changes_nothing() {
    let (server, dir) = server_with("[default]\nratio = 1.5\n", &[]).await;
    let mut viewer = Client::viewer(&server).await;
    assert_eq!(viewer.welcome.as_ref().expect("joined").settings.ratio_percent, 150);
    let path = dir.path().join("settings.toml");
    std::fs::write(&path, "[default]\nratio = nonsense, and longer\n").expect("write");
    // The file is looked at every other second; the second change comes after the first was refused or unseen.
    std::fs::write(&path, "[default]\nratio = 0.5\nholdout = 0\n").expect("write");
    let ratio = viewer
        .until(|m| match m {
            ServerMessage::Settings { settings } => Some(settings.ratio_percent),
            _ => None,
        })
        .await;
    assert_eq!(ratio, 50);
}

#[tokio::test]
async fn made_up_names_cost_nothing_where_any_name_is_a_site() {
    let bench = Bench::new(Limits::default(), "");
    let named = |name: String| Join { site: Text::new(name).expect("short"), ..join(Role::Viewer) };
    for n in 0..20_000 {
        let asker = Asker { address: loopback().ip(), origin: None, forwarded: false };
        assert!(bench.hub.admit(&named(format!("site{n}")), asker).is_ok());
    }
}

#[tokio::test]
async fn a_reload_that_fails_leaves_everything_as_it_was() {
    let bench = Bench::new(Limits::default(), "[default]\nratio = 1.0\n");
    let mut viewer = bench.viewer();
    viewer.heard();
    assert!(bench.hub.reload(&file("[default]\nratio = 9999.0\n")).is_err());
    assert!(viewer.heard().is_empty());
    bench.hub.reload(&file("[default]\nratio = 3.0\n")).expect("good");
    assert_eq!(settings(&viewer.heard()).map(|s| s.ratio_percent), Some(300));
    bench.hub.reload(&file("[default]\nratio = 3.0\nrollout = 100\n")).expect("good");
    assert!(viewer.heard().is_empty(), "nothing that concerns it has changed");
}

#[tokio::test]
async fn changes_by_the_operator_outlast_a_reload() {
    let bench = Bench::new(Limits::default(), "");
    let mut viewer = bench.viewer();
    bench.hub.change_site("demo", |s| s.enabled = Some(false)).expect("good");
    bench.hub.reload(&file("[default]\nenabled = true\nratio = 1.0\n")).expect("good");
    let now = settings(&viewer.heard()).expect("told");
    assert!(!now.enabled);
    assert_eq!(now.ratio_percent, 100);
}

#[tokio::test]
async fn rollout_and_holdout_take_their_share_and_stay_the_same_for_a_peer() {
    let sites = Sites::new(&file("[default]\nrollout = 30.0\nholdout = 10.0\n"), Vec::new()).expect("good");
    let site = sites.find("demo").expect("any name is a site");
    let wider = Sites::new(&file("[default]\nrollout = 60.0\nholdout = 10.0\n"), Vec::new()).expect("good");
    let wide = wider.find("demo").expect("any name is a site");
    let (mut enabled, mut held) = (0, 0);
    for _ in 0..10_000 {
        let peer = rillcast_signaling::random::peer_id();
        let now = site.settings_for(peer, false, Reach::default());
        assert_eq!(now, site.settings_for(peer, false, Reach::default()));
        let then = wide.settings_for(peer, false, Reach::default());
        assert!(!now.enabled || then.enabled, "whoever was in stays in when more are let in");
        assert_eq!(now.holdout, then.holdout);
        enabled += usize::from(now.enabled);
        held += usize::from(now.holdout);
        let seed = site.settings_for(peer, true, Reach::default());
        assert!(seed.enabled && !seed.holdout, "seeds aren't viewers");
    }
    assert!((2700..3300).contains(&enabled), "{enabled}");
    assert!((800..1200).contains(&held), "{held}");
    for (percent, all) in [("0.0", false), ("100.0", true)] {
        let sites =
            Sites::new(&file(&format!("[default]\nrollout = {percent}\n")), Vec::new()).expect("good");
        let site = sites.find("demo").expect("any name is a site");
        assert!((0..1000).all(|_| {
            site.settings_for(rillcast_signaling::random::peer_id(), false, Reach::default()).enabled == all
        }));
    }
}

#[tokio::test]
async fn the_holdout_group_is_counted_and_left_without_peers() {
    let bench = Bench::new(Limits::default(), "[default]\nholdout = 100.0\n");
    let mut viewers: Vec<Puppet> = (0..3).map(|_| bench.viewer()).collect();
    for viewer in &mut viewers {
        bench.say(viewer, ClientMessage::WantPeers { count: 8 });
        assert!(viewer.introduced().is_empty());
    }
    assert_eq!(bench.hub.metrics.peers.value(), 3);
}

#[test]
fn values_out_of_bounds_are_named_with_what_they_should_be() {
    for (text, field) in [
        ("rollout = 100.1", "rollout"),
        ("holdout = -0.1", "holdout"),
        ("ratio = 600.1", "ratio"),
        ("max_links = 0", "max_links"),
        ("max_links = 65", "max_links"),
        ("publish = [\"nonsense\"]", "publish"),
        ("seeds = [\"12\"]", "seeds"),
    ] {
        let error = Sites::new(&file(&format!("[sites.a]\n{text}\n")), Vec::new()).expect_err(text);
        assert!(error.to_string().contains(field), "{error}");
        assert!(error.to_string().contains("site a"), "{error}");
    }
    for text in ["rollout = 100.0", "holdout = 0.0", "ratio = 600.0", "max_links = 1", "max_links = 64"] {
        Sites::new(&file(&format!("[sites.a]\n{text}\n")), Vec::new()).expect(text);
    }
    let long = "x".repeat(257);
    let ice = |url: &str| format!("[sites.a]\nice = [{{ url = \"{url}\" }}]\n");
    assert!(Sites::new(&file(&ice(&long[..256])), Vec::new()).is_ok());
    assert!(Sites::new(&file(&ice(&long)), Vec::new()).is_err());
}

// R36: a restart lets nobody in whom a rule made at run time keeps out, and throws no kill switch back.
#[tokio::test]
async fn what_was_changed_at_run_time_outlasts_the_server_until_it_is_taken_back() {
    let dir = tempfile::tempdir().expect("dir");
    let state = dir.path().join("state");
    std::fs::create_dir(&state).expect("a directory");
    let start = async || Site::start_with(dir.path(), "", |o| o.state_dir = Some(state.clone())).await;
    let site = start().await;
    site.viewer("192.0.2.1", json!({ "sub": "mallory" })).await.expect("not yet");
    let rule = json!({ "id": "out", "effect": "deny", "users": ["mallory"] });
    site.done(Method::POST, "rules", rule).await;
    site.done(Method::PUT, "max_links", json!(7)).await;
    site.server.stop().await;

    let site = start().await;
    let why = site.viewer("192.0.2.1", json!({ "sub": "mallory" })).await.err().expect("kept out");
    assert!(why.contains("out"), "{why}");
    let alice = site.viewer("192.0.2.1", json!({ "sub": "alice" })).await.expect("may");
    assert_eq!(alice.welcome.as_ref().expect("joined").settings.max_links, 7);
    site.done(Method::DELETE, "rules", Value::Null).await;
    site.server.stop().await;

    let site = start().await;
    let mallory = site.viewer("192.0.2.1", json!({ "sub": "mallory" })).await.expect("taken back");
    assert_eq!(mallory.welcome.as_ref().expect("joined").settings.max_links, 7);
    // What can't be kept counts, and whoever has changed it is told.
    std::fs::remove_dir_all(&state).expect("removed");
    let (status, said) = site.admin(Method::PUT, "sites/demo/max_links", Some(json!(9))).await;
    assert!(
        status == 500 && said.as_str().is_some_and(|said| said.contains("--state-dir")),
        "{status} {said}"
    );
    let bob = site.viewer("192.0.2.1", json!({ "sub": "bob" })).await.expect("may");
    assert_eq!(bob.welcome.as_ref().expect("joined").settings.max_links, 9);
}
