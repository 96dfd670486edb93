//! Browsers do as they are told, say why when they don't, and leave nothing behind.

use crate::common;

use std::path::Path;
use std::time::{Duration, Instant};

use common::{origin, small_library};
use rillcast_tests::browser::{Browser, BrowserError, Kind, Launch, Page};
use rillcast_tests::origin::{Origin, OriginConfig};

async fn open(kind: Kind) -> (Origin, Browser, Page) {
    let origin = origin(small_library(), OriginConfig::default()).await;
    let browser = Browser::launch(&Launch::new(kind)).await.unwrap();
    // A page with nothing in it but our own origin.
    let page = browser.open(&origin.url("/faults")).await.unwrap();
    (origin, browser, page)
}

#[tokio::test]
async fn pages_answer_await_promises_log_and_are_pictured() {
    for kind in [Kind::Chromium, Kind::Firefox] {
        let (_origin, browser, page) = open(kind).await;
        assert_eq!(page.eval::<u32>("1 + 1").await.unwrap(), 2);
        let slow = "new Promise((resolve) => setTimeout(() => resolve({ a: [1, null] }), 50))";
        assert_eq!(
            page.eval::<serde_json::Value>(slow).await.unwrap(),
            serde_json::json!({ "a": [1, null] })
        );
        page.eval::<Option<u32>>("console.log('a word')").await.unwrap();
        let patience = Instant::now() + Duration::from_secs(30);
        while !page.log().await.unwrap().iter().any(|line| line.contains("a word")) {
            assert!(Instant::now() < patience, "{kind:?} logged nothing");
        }
        let error = page.eval::<u32>("nothing.there").await.unwrap_err();
        assert!(error.to_string().contains("nothing is not defined"), "{error}");
        let error = page.eval::<u32>("'text'").await.unwrap_err();
        assert!(matches!(error, BrowserError::Form { .. }), "{error}");
        let error =
            page.eval_within::<u32>("new Promise(() => {})", Duration::from_millis(300)).await.unwrap_err();
        assert!(matches!(error, BrowserError::Timeout { .. }), "{error}");
        let picture = std::env::temp_dir().join(format!("rillcast-picture-{}.png", std::process::id()));
        page.screenshot(&picture).await.unwrap();
        assert!(std::fs::read(&picture).unwrap().starts_with(b"\x89PNG"));
        std::fs::remove_file(&picture).unwrap();
        page.close().await.unwrap();
        assert!(browser.cpu_ms() > 0);
    }
}

#[tokio::test]
async fn a_frozen_page_stands_still_until_it_is_woken() {
    let (_origin, _browser, page) = open(Kind::Chromium).await;
    let counted = "(window.n ??= 0, window.t ??= setInterval(() => window.n++, 20), window.n)";
    page.wait_until(&format!("{counted} > 3"), Duration::from_secs(30)).await.unwrap();
    page.freeze().await.unwrap();
    let before: u32 = page.eval("window.n").await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let after: u32 = page.eval("window.n").await.unwrap();
    assert!(after - before <= 2, "{before} {after}");
    page.thaw().await.unwrap();
    page.wait_until(&format!("window.n > {after} + 3"), Duration::from_secs(30)).await.unwrap();
}

#[tokio::test]
async fn pages_of_one_browser_share_no_storage() {
    let (origin, browser, page) = open(Kind::Chromium).await;
    page.eval::<Option<u32>>("localStorage.setItem('a', '1')").await.unwrap();
    let other = browser.open(&origin.url("/faults")).await.unwrap();
    assert_eq!(other.eval::<Option<String>>("localStorage.getItem('a')").await.unwrap(), None);
}

#[tokio::test]
async fn nothing_of_a_dropped_browser_is_left() {
    for kind in [Kind::Chromium, Kind::Firefox] {
        let (_origin, browser, _page) = open(kind).await;
        let process = Path::new("/proc").join(browser.pid().to_string());
        let prefix = format!("rillcast-browser-{}-", std::process::id());
        let profiles = || {
            let all = std::fs::read_dir(std::env::temp_dir()).unwrap();
            all.flatten().filter(|entry| entry.file_name().to_string_lossy().starts_with(&prefix)).count()
        };
        assert!(process.exists());
        assert_eq!(profiles(), 1);
        drop(browser);
        let patience = Instant::now() + Duration::from_secs(30);
        // A zombie, until somebody reaps it, has no command line.
        while std::fs::read(process.join("cmdline")).is_ok_and(|line| !line.is_empty()) || profiles() > 0 {
            assert!(Instant::now() < patience, "{kind:?} lives on");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

#[tokio::test]
async fn a_killed_browser_fails_what_is_asked_of_it() {
    let (_origin, browser, page) = open(Kind::Chromium).await;
    browser.kill();
    assert!(page.eval_within::<u32>("1", Duration::from_secs(20)).await.is_err());
}

#[tokio::test]
async fn a_browser_that_is_not_there_is_named_with_advice() {
    let launch = Launch { program: Some("/nowhere/chromium".into()), ..Launch::new(Kind::Chromium) };
    let said = Browser::launch(&launch).await.unwrap_err().to_string();
    assert!(said.contains("/nowhere/chromium") && said.contains("RILLCAST_CHROMIUM"), "{said}");
    let launch = Launch { program: Some("/bin/false".into()), ..Launch::new(Kind::Chromium) };
    let said = Browser::launch(&launch).await.unwrap_err().to_string();
    assert!(said.contains("launch"), "{said}");
}
