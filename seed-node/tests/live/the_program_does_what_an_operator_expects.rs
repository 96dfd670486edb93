//! The program itself: its one line on stdout, its metrics, how it leaves, and what it says when it can't start.

use crate::support;

use std::process::Stdio;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rillcast_signaling::auth::claims::{Claims, TokenRole};
use rillcast_signaling::auth::mint::Minter;
use rillcast_signaling::options::Options as SignalOptions;
use support::origin::Origin;
use support::viewer::Viewer;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, Command};

fn program(args: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_rillcast-seed"))
        .args(args)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("it was built for this test")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_says_that_it_joined_shows_metrics_and_leaves_when_it_is_told() {
    let origin = Origin::start().await;
    let options = SignalOptions {
        listen: vec!["127.0.0.1:0".parse().expect("an address")],
        ..SignalOptions::default()
    };
    let running = rillcast_signaling::server::start(options).await.expect("a free port");
    let signal = format!("ws://{}", running.listening[0]);
    let manifest = origin.url("master.m3u8");
    let mut seed = program(&[
        "--manifest",
        &manifest,
        "--signal",
        &signal,
        "--udp",
        "127.0.0.1:0",
        "--metrics",
        "127.0.0.1:0",
    ]);
    let mut out = BufReader::new(seed.stdout.take().expect("piped")).lines();
    let line = out.next_line().await.expect("readable").expect("a line");
    let said: serde_json::Value = serde_json::from_str(&line).expect("JSON");
    assert_eq!(said["joined"], manifest.as_str());
    assert_eq!(said["publisher"].as_str().map(str::len), Some(64));

    let mut viewer = Viewer::start(&origin, &signal, "low");
    viewer.play(&origin, 2).await;
    let metrics = format!("http://{}/metrics", said["metrics"].as_str().expect("was asked for"));
    let uploaded = async || {
        let text = reqwest::get(&metrics).await.expect("answers").text().await.expect("text");
        let line =
            text.lines().find(|l| l.starts_with("rillcast_seed_uploaded_bytes_total{")).map(str::to_owned);
        line.and_then(|l| l.rsplit(' ').next()?.parse::<u64>().ok()).expect("the series is there")
    };
    // The picture is drawn once a second.
    while uploaded().await == 0 {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }

    let pid = seed.id().expect("it runs");
    assert!(Command::new("kill").arg(pid.to_string()).status().await.expect("kill runs").success());
    assert!(seed.wait().await.expect("it ends").success(), "told to leave, it leaves in order");
    viewer.until(|v| v.links_closed > 0).await;
}

// R8 R36
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_site_that_asks_for_a_token_lets_it_in_with_one() {
    let origin = Origin::start().await;
    let dir = tempfile::tempdir().expect("a directory");
    let minter = Minter::from_seed(&[9; 32], None);
    let settings = dir.path().join("settings.toml");
    let public = minter.public().expect("a key pair");
    std::fs::write(&settings, format!("[[sites.default.keys]]\nid = \"a\"\npublic = \"{public}\"\n"))
        .expect("written");
    let options = SignalOptions {
        listen: vec!["127.0.0.1:0".parse().expect("an address")],
        config: Some(settings),
        ..SignalOptions::default()
    };
    let running = rillcast_signaling::server::start(options).await.expect("a free port");
    let signal = format!("ws://{}", running.listening[0]);
    let manifest = origin.url("master.m3u8");
    let token = dir.path().join("token");
    let path = token.to_str().expect("text");
    let args = ["--manifest", &manifest, "--signal", &signal, "--udp", "127.0.0.1:0"];
    let expires = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs() + 600;
    let claims = |role| Claims { role, ..Claims::new("default", expires) };
    let viewer = minter.mint(&claims(TokenRole::Viewer)).expect("signed");
    for (text, word) in [
        (None, "a token is needed"),
        (Some(String::new()), "first line is empty"),
        (Some("x".repeat(4097)), "longer than a token"),
        (Some(viewer), "role"),
    ] {
        let with: &[&str] = if let Some(text) = &text {
            std::fs::write(&token, text).expect("written");
            &["--token-file", path]
        } else {
            &[]
        };
        let mut seed = program(&[&args[..], with].concat());
        let mut said = BufReader::new(seed.stderr.take().expect("piped")).lines();
        let mut line = String::new();
        while !line.contains(word) {
            line = said.next_line().await.expect("text").expect("it says why and doesn't end");
        }
        assert!(seed.try_wait().expect("readable").is_none(), "it goes on trying: {word}");
    }
    let good = minter.mint(&claims(TokenRole::Publisher)).expect("signed");
    std::fs::write(&token, format!("{good}\n")).expect("written");
    let mut seed = program(&[&args[..], &["--token-file", path]].concat());
    let mut out = BufReader::new(seed.stdout.take().expect("piped")).lines();
    let line = out.next_line().await.expect("readable").expect("a line");
    assert!(line.contains("joined"), "{line}");
}

// R24
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn as_an_agent_it_says_where_and_counts_who_brought_what() {
    // Each test may be a process of its own.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let origin = Origin::start().await;
    let manifest = origin.url("low/live.m3u8");
    let more = ["--signal", "ws://127.0.0.1:9/", "--udp", "127.0.0.1:0", "--metrics", "127.0.0.1:0"];
    let args = [&["--agent", "127.0.0.1:0", "--manifest", manifest.as_str()], &more[..]].concat();
    let mut agent = program(&args);
    let mut out = BufReader::new(agent.stdout.take().expect("piped")).lines();
    let line = out.next_line().await.expect("readable").expect("a line");
    let said: serde_json::Value = serde_json::from_str(&line).expect("JSON");
    let text = async |url: String| reqwest::get(url).await.expect("answers").text().await.expect("text");
    let at = said["agent"].as_str().expect("where it is");
    let playlist = text(format!("{at}{}", manifest.replacen("://", "/", 1))).await;
    let segment = playlist.lines().last().expect("a segment");
    let url = format!("{at}{}", origin.url(&format!("low/{segment}")).replacen("://", "/", 1));
    assert_eq!(reqwest::get(url).await.expect("answers").bytes().await.expect("bytes").len(), 60_000);
    let metrics = text(format!("http://{}/metrics", said["metrics"].as_str().expect("was asked for"))).await;
    for line in [
        format!("rillcast_agent_bytes_total{{manifest=\"{manifest}\",by=\"source\"}} 60000"),
        format!("rillcast_agent_bytes_total{{manifest=\"{manifest}\",by=\"peers\"}} 0"),
        "rillcast_agent_requests_total{outcome=\"playlist\"} 1".to_owned(),
        "rillcast_agent_requests_total{outcome=\"shared\"} 1".to_owned(),
        format!("rillcast_agent_joined{{manifest=\"{manifest}\"}} 0"),
    ] {
        assert!(metrics.lines().any(|l| l == line), "{line}: {metrics}");
    }
    let pid = agent.id().expect("it runs");
    assert!(Command::new("kill").arg(pid.to_string()).status().await.expect("kill runs").success());
    assert!(agent.wait().await.expect("it ends").success());
}

#[tokio::test]
async fn what_it_can_not_do_it_says_with_advice() {
    for (args, word) in [
        (&["--signal", "ws://127.0.0.1:1"][..], "--manifest"),
        (&["--manifest", "http://o.example/m.m3u8"], "--signal"),
        (&["--manifest", "not a url", "--signal", "ws://127.0.0.1:1"], "http://"),
    ] {
        let mut seed = program(args);
        let mut said = String::new();
        seed.stderr.take().expect("piped").read_to_string(&mut said).await.expect("text");
        assert!(!seed.wait().await.expect("it ends").success());
        assert!(said.contains(word), "{args:?}: {said}");
    }
}
