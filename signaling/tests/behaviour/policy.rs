//! Rules (R36): who may take part, in what, when and from where, at the join and afterwards.

use std::time::{Duration, Instant};

use reqwest::{Method, StatusCode};
use rillcast_protocol::id::Role;
use rillcast_protocol::settings::Settings;
use rillcast_protocol::signal::{RefusedCode, ServerMessage};
use rillcast_signaling::limits::Limits;
use rillcast_signaling::site::{SettingsFile, Sites};
use serde_json::{Value, json};

use crate::atlas::{at, write};
use crate::bearer::{at_home, token};
use crate::kit::{Bench, Puppet, join, key, now, with_token};
use crate::operator::{Site, sent_away};

const HERE: &str = "203.0.113.7";
const THERE: &str = "198.51.100.1";

fn settings_of(message: &ServerMessage) -> Option<Settings> {
    match message {
        ServerMessage::Settings { settings } => Some(settings.clone()),
        _ => None,
    }
}

fn rule(text: &str) -> String {
    format!("[[sites.demo.rules]]\n{text}\n")
}

#[tokio::test]
async fn a_rule_keeps_out_whom_it_names_and_says_which_rule_it_is() {
    let dir = tempfile::tempdir().expect("dir");
    let rules = rule("id = 'bob'\neffect = 'deny'\nusers = ['bob']");
    let site = Site::start(dir.path(), &rules).await;
    let said = site.viewer(HERE, json!({"sub": "bob"})).await.err().expect("refused");
    assert!(said.contains("\"bob\"") && said.contains("`rules`"), "{said}");
    assert!(site.viewer(HERE, json!({"sub": "alice"})).await.is_ok());
    assert!(site.viewer(HERE, json!({})).await.is_ok());
    assert_eq!(site.server.hub.metrics.joins_barred_total.value(), 1);
}

#[tokio::test]
async fn countries_providers_and_networks_decide_at_the_join() {
    let dir = tempfile::tempdir().expect("dir");
    let both = dir.path().join("both.mmdb");
    write(&both, "Test", &[("203.0.113.0/24", at("SE", 64_496)), ("198.51.100.0/24", at("NO", 64_497))]);
    let rules = [
        "id = 'office'\neffect = 'allow'\nnetworks = ['192.0.2.0/24']",
        "id = 'carrier'\neffect = 'leech-only'\nasns = [64497]",
        "id = 'home'\neffect = 'allow'\ncountries = ['SE']",
        "id = 'abroad'\neffect = 'deny'",
    ];
    let rules: String = rules.iter().map(|text| rule(text)).collect();
    let site = Site::start_with(dir.path(), &rules, |options| {
        (options.geo_country, options.geo_asn) = (Some(both.clone()), Some(both.clone()));
    })
    .await;
    let ratio = async |address| {
        let client = site.viewer(address, json!({})).await.ok()?;
        Some(client.welcome.expect("joined").settings.ratio_percent)
    };
    assert_eq!(ratio("192.0.2.1").await, Some(200));
    assert_eq!(ratio(THERE).await, Some(0), "leech-only uploads nothing");
    assert_eq!(ratio(HERE).await, Some(200));
    assert_eq!(ratio("192.0.3.1").await, None);
}

/// In mid-session: those concerned are sent away, those who were introduced to them hear of it, the others stay.
#[tokio::test]
async fn a_new_rule_sends_members_away_and_tells_their_neighbours() {
    let dir = tempfile::tempdir().expect("dir");
    let site = Site::start(dir.path(), "").await;
    let mut bob = site.viewer(HERE, json!({"sub": "bob"})).await.expect("joins");
    let mut alice = site.viewer(THERE, json!({"sub": "alice"})).await.expect("joins");
    alice.introduced().await;
    let added = site.done(Method::POST, "rules", json!({"effect": "deny", "users": ["bob"]})).await;
    assert_eq!((&added["sent_away"], &added["from"]), (&json!(1), &json!("admin")));
    assert_eq!(added["rules"][0]["id"].as_str().map(str::len), Some(8), "it is given an id");
    sent_away(&mut bob).await;
    let gone = bob.id();
    alice.until(|m| matches!(m, ServerMessage::Gone { peer } if *peer == gone).then_some(())).await;
    alice.settle().await;
    assert_eq!(site.server.hub.metrics.peers.value(), 1);
    assert!(site.viewer(HERE, json!({"sub": "bob"})).await.is_err(), "nor does he come back");
}

#[tokio::test]
async fn leech_only_reaches_members_as_settings_and_is_taken_back_so() {
    let dir = tempfile::tempdir().expect("dir");
    let site = Site::start(dir.path(), "").await;
    let mut viewer = site.viewer(HERE, json!({"ratio": 1.5})).await.expect("joins");
    let leech = json!({"id": "mobile", "effect": "leech-only", "networks": ["203.0.113.0/24"]});
    site.done(Method::POST, "rules", leech).await;
    let settings = viewer.until(settings_of).await;
    assert!(settings.ratio_percent == 0 && settings.enabled);
    site.done(Method::DELETE, "rules/mobile", Value::Null).await;
    assert_eq!(viewer.until(settings_of).await.ratio_percent, 150, "as its token says");
}

/// Where there is a relay its viewer is told to use that alone, and is introduced; a seed, which has none, isn't.
#[tokio::test]
async fn relay_only_reaches_a_viewer_as_a_setting_where_the_site_has_a_relay() {
    let dir = tempfile::tempdir().expect("dir");
    let ice = "[[sites.demo.ice]]\nurl = 'turn:turn.example:3478'\nusername = 'u'\ncredential = 'c'\n";
    let hide = rule("id = 'hide'\neffect = 'relay-only'\nusers = ['spy', 'node']");
    let site = Site::start(dir.path(), &format!("{ice}{hide}")).await;
    let mut others = site.viewer(THERE, json!({})).await.expect("joins");
    assert!(!others.welcome.as_ref().expect("joined").settings.relay_only);
    let mut hidden = site.viewer(HERE, json!({"sub": "spy"})).await.expect("joins");
    let settings = &hidden.welcome.as_ref().expect("joined").settings;
    assert!(settings.relay_only && settings.enabled);
    assert_eq!((hidden.introduced().await.len(), others.introduced().await.len()), (1, 1));
    let seed = site.member(Role::Seed, HERE, json!({"sub": "node", "role": "seed"})).await.expect("joins");
    assert!(!seed.welcome.as_ref().expect("joined").settings.enabled);
}

/// Without a relay, whoever may be linked through relays alone isn't linked: its address stays hidden.
#[tokio::test]
async fn relay_only_hides_an_address_by_leaving_its_viewer_without_peers_where_there_is_no_relay() {
    let dir = tempfile::tempdir().expect("dir");
    let site = Site::start(dir.path(), &rule("id = 'hide'\neffect = 'relay-only'\nusers = ['spy']")).await;
    let mut others = site.viewer(THERE, json!({})).await.expect("joins");
    let mut hidden = site.viewer(HERE, json!({"sub": "spy"})).await.expect("joins");
    assert!(!hidden.welcome.as_ref().expect("joined").settings.enabled);
    assert!(hidden.settle().await.is_empty() && others.settle().await.is_empty(), "nobody is introduced");
}

#[tokio::test]
async fn seeds_that_may_upload_nothing_are_kept_out_and_rules_may_leave_them_alone() {
    let dir = tempfile::tempdir().expect("dir");
    let leech = |more: &str| rule(&format!("id = 'a'\neffect = 'leech-only'\n{more}"));
    let site = Site::start(dir.path(), &leech("")).await;
    let seed = async || site.member(Role::Seed, HERE, json!({"role": "seed"})).await;
    assert!(seed().await.err().expect("refused").contains("roles"));
    site.done(Method::PUT, "rules/a", json!({"effect": "leech-only", "roles": ["viewer"]})).await;
    assert!(seed().await.is_ok());
}

fn minute(offset: i64) -> String {
    let minute = (now() as i64 / 60 + offset).rem_euclid(1440);
    format!("{:02}:{:02}", minute / 60, minute % 60)
}

fn viewer(bench: &Bench) -> Result<Puppet, RefusedCode> {
    let joined = bench.enter_from(with_token(join(Role::Viewer), &token(json!({}))), at_home());
    joined.map_err(|refused| refused.code)
}

/// Time alone opens and closes windows for those who have joined.
#[tokio::test]
async fn a_window_that_opens_or_closes_reaches_members() {
    let windowed = |effect: &str, from: i64, to: i64| {
        let (from, to) = (minute(from), minute(to));
        let text = format!("id = 'a'\neffect = '{effect}'\nwindow = {{ from = '{from}', to = '{to}' }}");
        Bench::new(Limits::default(), &format!("{}{}", key("sites.demo", 1, "one"), rule(&text)))
    };
    let later = |bench: &Bench, minutes: u64| bench.hub.tick_at(Instant::now(), now() + 60 * minutes);

    let bench = windowed("deny", 10, 20);
    let member = viewer(&bench).expect("not yet");
    later(&bench, 8);
    assert!(member.sent_away().is_none());
    later(&bench, 12);
    assert_eq!(member.sent_away().map(|refused| refused.code), Some(RefusedCode::Unauthorised));
    assert_eq!(bench.hub.metrics.peers.value(), 0);

    let bench = windowed("leech-only", -5, 10);
    let mut member = viewer(&bench).expect("joins");
    member.heard();
    later(&bench, 5);
    assert!(member.heard().is_empty(), "nothing has changed");
    later(&bench, 12);
    let heard = member.heard();
    assert_eq!(heard.iter().find_map(settings_of).map(|s| s.ratio_percent), Some(200));
    // And when the clock is set back.
    later(&bench, 3);
    assert_eq!(member.heard().iter().find_map(settings_of).map(|s| s.ratio_percent), Some(0));

    let bench = windowed("deny", -5, 10);
    assert_eq!(viewer(&bench).err(), Some(RefusedCode::Unauthorised));
}

#[tokio::test]
async fn rules_are_listed_put_in_order_replaced_removed_and_taken_back() {
    let dir = tempfile::tempdir().expect("dir");
    let site = Site::start(dir.path(), &rule("id = 'a'\neffect = 'deny'\nusers = ['x']")).await;
    let ids = |view: &Value| {
        let rules = view["rules"].as_array().expect("a list").iter();
        rules.map(|rule| rule["id"].as_str().expect("text").to_owned()).collect::<Vec<_>>()
    };
    let list = async || site.admin(Method::GET, "sites/demo/rules", None).await.1;
    let view = list().await;
    assert_eq!((ids(&view), &view["from"]), (vec!["a".to_owned()], &json!("settings-file")));
    site.done(Method::POST, "rules", json!({"id": "c", "effect": "deny"})).await;
    let view = site.done(Method::POST, "rules?before=c", json!({"id": "b", "effect": "allow"})).await;
    assert_eq!((ids(&view), &view["from"]), (["a", "b", "c"].map(str::to_owned).to_vec(), &json!("admin")));
    assert!(site.viewer(HERE, json!({})).await.is_ok(), "b comes before c");
    let view = site.done(Method::PUT, "rules/b", json!({"effect": "allow", "users": ["y"]})).await;
    assert_eq!(view["rules"][1], json!({"id": "b", "effect": "allow", "users": ["y"]}));
    assert!(site.viewer(HERE, json!({})).await.is_err());
    let view = site.done(Method::DELETE, "rules/c", Value::Null).await;
    assert_eq!(ids(&view), ["a", "b"]);
    let view = site.done(Method::PUT, "rules", json!([{"id": "z", "effect": "allow"}])).await;
    assert_eq!(ids(&view), ["z"]);
    let view = site.done(Method::DELETE, "rules", Value::Null).await;
    assert_eq!((ids(&view), &view["from"]), (vec!["a".to_owned()], &json!("settings-file")));

    for (method, path, body, status) in [
        (Method::DELETE, "sites/demo/rules/nobody", json!(null), StatusCode::NOT_FOUND),
        (Method::PUT, "sites/demo/rules/nobody", json!({"effect": "deny"}), StatusCode::NOT_FOUND),
        (Method::POST, "sites/demo/rules?before=nobody", json!({"effect": "deny"}), StatusCode::NOT_FOUND),
        (Method::POST, "sites/other/rules", json!({"effect": "deny"}), StatusCode::NOT_FOUND),
        (Method::POST, "sites/demo/rules", json!({"id": "a", "effect": "deny"}), StatusCode::BAD_REQUEST),
        (Method::POST, "sites/demo/rules", json!({"effect": "perhaps"}), StatusCode::BAD_REQUEST),
        (Method::POST, "sites/demo/rules", json!({"effect": "deny", "user": "x"}), StatusCode::BAD_REQUEST),
        (Method::POST, "sites/demo/rules", json!({"effect": "deny", "users": []}), StatusCode::BAD_REQUEST),
        (
            Method::POST,
            "sites/demo/rules",
            json!({"effect": "deny", "countries": ["SE"]}),
            StatusCode::BAD_REQUEST,
        ),
    ] {
        let (answer, text) = site.admin(method, path, Some(body.clone())).await;
        assert_eq!(answer, status, "{path} {body}: {text}");
    }
    assert_eq!(list().await, view_without_count(view), "nothing of that changed anything");
}

fn view_without_count(mut view: Value) -> Value {
    view.as_object_mut().expect("an object").remove("sent_away");
    view
}

#[tokio::test]
async fn rules_set_at_run_time_outlast_a_reload_and_those_of_the_file_follow_it() {
    let dir = tempfile::tempdir().expect("dir");
    let site = Site::start(dir.path(), &rule("id = 'a'\neffect = 'deny'\nusers = ['x']")).await;
    assert!(site.viewer(HERE, json!({"sub": "y"})).await.is_ok());
    site.done(Method::PUT, "rules", json!([{"id": "m", "effect": "deny", "users": ["y"]}])).await;
    let mut member = site.viewer(HERE, json!({"sub": "x"})).await.expect("joins");
    site.set(&format!("{}[default]\nratio = 0.5\n", rule("id = 'b'\neffect = 'deny'\nusers = ['x']")));
    let settings = member.until(settings_of).await;
    assert_eq!(settings.ratio_percent, 50, "the file was read");
    assert!(site.viewer(HERE, json!({"sub": "y"})).await.is_err(), "and the rule of before holds");
    let view = site.done(Method::DELETE, "rules", Value::Null).await;
    assert_eq!((&view["rules"][0]["id"], &view["sent_away"]), (&json!("b"), &json!(1)));
    sent_away(&mut member).await;
}

#[tokio::test]
async fn rules_of_the_defaults_hold_where_a_site_has_none_of_its_own() {
    let file = |text: &str| toml::from_str::<SettingsFile>(text).expect("settings");
    let text = "[[default.rules]]\nid = 'all'\neffect = 'deny'\n[sites.a]\n[sites.b]\nrules = []\n";
    let sites = Sites::new(&file(text), Vec::new()).expect("good");
    let count = |name: &str| sites.find(name).expect("there").rules.files().len();
    assert_eq!((count("a"), count("b")), (1, 0));
    for (text, words) in [
        ("id = 'a'\neffect = 'deny'\nasns = [1]", "--geo-asn"),
        ("effect = 'deny'", "1 to 64"),
        ("id = 'a'\neffect = 'deny'\nwindow = { from = '08:00', to = '08:00' }", "same minute"),
        ("id = 'a'\neffect = 'deny'\ncontent = ['https://cdn.ex*']", "behind the host"),
    ] {
        let said = Sites::new(&file(&rule(text)), Vec::new()).expect_err("refused").to_string();
        assert!(said.contains(words) && said.contains("site demo: rules"), "{said}");
    }
}

#[tokio::test]
async fn a_database_that_is_read_again_moves_members() {
    let dir = tempfile::tempdir().expect("dir");
    let path = dir.path().join("country.mmdb");
    write(&path, "Test", &[("203.0.113.0/24", at("SE", 1))]);
    let rules = rule("id = 'abroad'\neffect = 'deny'\ncountries = ['NO']");
    let site = Site::start_with(dir.path(), &rules, |o| o.geo_country = Some(path.clone())).await;
    let mut member = site.viewer(HERE, json!({})).await.expect("joins");
    let other = dir.path().join("new.mmdb");
    write(&other, "Test", &[("203.0.113.0/24", at("NO", 1)), ("198.51.100.0/24", at("SE", 1))]);
    std::fs::rename(&other, &path).expect("rename");
    assert!(sent_away(&mut member).await.contains("abroad"));
}

#[tokio::test]
async fn every_change_is_recorded_with_who_when_and_what() {
    let dir = tempfile::tempdir().expect("dir");
    let log = dir.path().join("audit.jsonl");
    let site = Site::start_with(dir.path(), "", |o| o.audit_log = Some(log.clone())).await;
    let before = now() * 1000;
    let _bob = site.viewer(HERE, json!({"sub": "bob"})).await.expect("joins");
    site.done(Method::POST, "rules", json!({"id": "a", "effect": "deny", "users": ["bob"]})).await;
    site.done(Method::PUT, "ratio", json!(1.0)).await;
    site.done(Method::DELETE, "rules/a", Value::Null).await;
    site.admin(Method::DELETE, "sites/demo/rules/nobody", None).await;
    let text = std::fs::read_to_string(&log).expect("written");
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("json")).collect();
    let actions: Vec<_> = lines.iter().map(|line| line["action"].as_str().expect("text")).collect();
    assert_eq!(actions, ["rules.add", "settings.set", "rules.remove"]);
    for line in &lines {
        assert_eq!(
            (&line["by"], &line["from"], &line["site"]),
            (&json!("admin"), &json!("192.0.2.99"), &json!("demo"))
        );
        assert!(line["at"].as_u64().is_some_and(|at| at >= before));
    }
    assert_eq!(lines[0]["detail"]["rule"]["users"], json!(["bob"]));
    assert_eq!(lines[0]["detail"]["sent_away"], json!(1));
    assert_eq!(lines[1]["detail"], json!({"ratio": 1.0}));
    assert!(!text.contains(HERE), "viewers' addresses stay out of it");
    let latest = site.admin(Method::GET, "audit?latest=2", None).await.1;
    assert_eq!(latest.as_array().map(Vec::len), Some(2));
    assert_eq!(latest[1], lines[2]);

    // What the file says counts again, and its changes do.
    site.done(Method::DELETE, "rules", Value::Null).await;
    site.set(&rule("id = 'f'\neffect = 'allow'"));
    let end = Instant::now() + Duration::from_secs(20);
    loop {
        let text = std::fs::read_to_string(&log).expect("read");
        let last: Value = serde_json::from_str(text.lines().last().expect("a line")).expect("json");
        if last["by"] == "settings-file" {
            assert_eq!((&last["action"], &last["detail"]), (&json!("rules.read"), &json!({"rules": ["f"]})));
            break;
        }
        assert!(Instant::now() < end, "no record of the file's change");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
