//! `rillcast-seed check`, as an operator runs it.

use crate::support;

use serde_json::Value;
use support::origin::Origin;
use support::program::signaling;
use tokio::process::Command;

/// Its status, and what it says.
async fn check(args: &[&str]) -> (bool, Value) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rillcast-seed"));
    let output =
        command.args(["check", "--json"]).args(args).output().await.expect("it was built for this test");
    (output.status.success(), serde_json::from_slice(&output.stdout).expect("JSON"))
}

/// How the first thing is that a word names.
fn state<'a>(said: &'a Value, what: &str) -> (&'a str, &'a str) {
    let findings = said["findings"].as_array().expect("a list");
    let named = |f: &&Value| f["what"].as_str().is_some_and(|name| name.starts_with(what));
    let finding = findings.iter().find(named).expect("it was looked at");
    (finding["state"].as_str().expect("text"), finding["says"].as_str().expect("text"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_all_is_well_it_says_so_and_leaves_nothing_behind() {
    let origin = Origin::start().await;
    let (_running, signal) = signaling().await;
    let dir = tempfile::tempdir().expect("a directory");
    let (key, cache) = (dir.path().join("seed.key"), dir.path().join("cache"));
    let files = ["--key", key.to_str().expect("text"), "--cache-dir", cache.to_str().expect("text")];
    let manifest = origin.url("master.m3u8");
    let args = ["--manifest", &manifest, "--signal", &signal, "--udp", "127.0.0.1:0", "--cache-size", "64M"];
    let (good, said) = check(&[&args[..], &files].concat()).await;
    assert!(good && said["good"] == true, "{said}");
    for what in ["settings", "--udp", "--key", "--cache-dir", "--manifest", "--signal", "file descriptors"] {
        assert_ne!(state(&said, what).0, "wrong", "{said}");
    }
    assert!(state(&said, "--manifest").1.contains("2 renditions, live"), "{said}");
    assert_eq!(std::fs::read_dir(dir.path()).expect("readable").count(), 0);
    assert_eq!(origin.state.segments_served.load(std::sync::atomic::Ordering::Relaxed), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_would_go_wrong_it_names_all_together_with_advice() {
    let origin = Origin::start().await;
    let taken = std::net::UdpSocket::bind("127.0.0.1:0").expect("a port");
    let udp = taken.local_addr().expect("bound").to_string();
    let manifest = origin.url("none.m3u8");
    // Not a signaling server: the origin's own port.
    let signal = format!("ws://{}", origin.address);
    let (good, said) = check(&["--manifest", &manifest, "--signal", &signal, "--udp", &udp]).await;
    assert!(!good && said["good"] == false, "{said}");
    for (what, word) in [("--udp", "another port"), ("--manifest", "404"), ("--signal", "WebSocket")] {
        let (state, says) = state(&said, what);
        assert!(state == "wrong" && says.contains(word), "{what}: {said}");
    }
    let (good, said) = check(&["--manifest", &manifest]).await;
    assert!(!good && state(&said, "settings").1.contains("--signal"), "{said}");
}
