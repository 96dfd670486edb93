//! `demo` prints the address of a page that plays the stream, and its windows deliver to each other.

use std::process::Stdio;
use std::time::Duration;

use rillcast_tests::browser::{Browser, Kind, Launch};
use rillcast_tests::services::Place;
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// A running demo. Killed, it would leave its servers behind: it is told to end, as by Ctrl-C.
struct Demo(Child);

impl Drop for Demo {
    fn drop(&mut self) {
        if let Some(pid) = self.0.id().and_then(|pid| Pid::from_raw(pid as i32)) {
            let _ = kill_process(pid, Signal::INT);
        }
    }
}

/// Starts the demo and returns it with the address that it prints.
async fn demo() -> (Demo, String) {
    let port = || Place::LOOPBACK.free_port().unwrap().to_string();
    let mut child = Command::new(env!("CARGO_BIN_EXE_demo"))
        .args(["--port", &port(), "--signaling-port", &port()])
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    while let Some(line) = lines.next_line().await.unwrap() {
        if let Some(at) = line.find("http://").filter(|_| line.starts_with("open this page")) {
            // Keeps reading, so that the demo never waits for us.
            let url = line[at..].to_owned();
            tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
            return (Demo(child), url);
        }
    }
    panic!("the demo ended without an address: {:?}", child.wait().await);
}

#[tokio::test]
async fn windows_of_the_printed_page_deliver_to_each_other() {
    let (_demo, url) = demo().await;
    let browser = Browser::launch(&Launch::new(Kind::Chromium)).await.unwrap();
    let (one, two) = (browser.open(&url).await.unwrap(), browser.open(&url).await.unwrap());
    for page in [&one, &two] {
        let begun = "document.querySelector('video').currentTime";
        page.wait_until(&format!("{begun} > 0"), Duration::from_secs(60)).await.unwrap();
        let from: f64 = page.eval(begun).await.unwrap();
        page.wait_until(&format!("{begun} > {}", from + 12.0), Duration::from_secs(120)).await.unwrap();
    }
    let shared = "(({ peers, seeds, publisher }) => peers + seeds + publisher)(Rillcast.stats().bytes) > 0";
    one.wait_until(shared, Duration::from_secs(60)).await.unwrap();
    two.wait_until(shared, Duration::from_secs(60)).await.unwrap();
    if let Some(picture) = std::env::var_os("RILLCAST_PICTURE") {
        two.screenshot(picture.as_ref()).await.unwrap();
    }
}

#[tokio::test]
async fn a_port_that_is_taken_is_named_with_advice() {
    let held = Place::LOOPBACK.listen(0).unwrap();
    let port = held.local_addr().unwrap().port().to_string();
    let demo = Command::new(env!("CARGO_BIN_EXE_demo")).args(["--origin-only", "--port", &port]).output();
    let demo = demo.await.unwrap();
    let said = String::from_utf8_lossy(&demo.stderr);
    assert!(!demo.status.success() && said.contains("is the port taken?"), "{said}");
}

#[tokio::test]
async fn media_that_is_none_ends_with_advice_and_not_with_a_trace() {
    let demo = Command::new(env!("CARGO_BIN_EXE_demo")).args(["--media", "/nowhere/film.mp4"]).output();
    let demo = demo.await.unwrap();
    let said = String::from_utf8_lossy(&demo.stderr);
    assert!(
        said.trim_end() == "error: /nowhere/film.mp4 is not a file: give --media the path of a video file",
        "{said}"
    );
}
