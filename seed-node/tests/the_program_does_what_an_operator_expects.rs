//! The program itself: its one line on stdout, its metrics, how it leaves, and what it says when it can't start.

mod support;

use std::process::Stdio;
use std::time::Duration;

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
