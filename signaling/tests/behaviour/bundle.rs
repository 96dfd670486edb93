//! The browser bundle.

use reqwest::header;
use rillcast_signaling::{Options, start};

use crate::kit::{loopback, server, url};

#[tokio::test]
async fn files_come_with_type_tag_and_compression_as_the_browser_takes_it() {
    let dir = tempfile::tempdir().expect("dir");
    let script = "console.log('rillcast');\n".repeat(100);
    std::fs::write(dir.path().join("rillcast.js"), &script).expect("write");
    for (ending, packed) in [("gz", "as gzip packs it"), ("br", "as Brotli does")] {
        std::fs::write(dir.path().join(format!("rillcast.js.{ending}")), packed).expect("write");
    }
    std::fs::write(dir.path().join("rillcast_bg.wasm"), b"\0asm").expect("write");
    std::fs::create_dir(dir.path().join("demo")).expect("mkdir");
    std::fs::write(dir.path().join("demo/index.html"), "<p>").expect("write");
    let bundle = Some(dir.path().to_owned());
    let server =
        start(Options { listen: vec![loopback()], bundle, ..Options::default() }).await.expect("starts");
    let http = reqwest::Client::new();
    let get = async |path: &str, name: header::HeaderName, value: &str| {
        http.get(url(&server, path)).header(name, value).send().await.expect("answers")
    };
    let plain = get("/rillcast.js", header::ACCEPT_ENCODING, "identity").await;
    assert_eq!(plain.headers()[header::CONTENT_TYPE], "text/javascript; charset=utf-8");
    assert_eq!(plain.headers()[header::ACCESS_CONTROL_ALLOW_ORIGIN], "*");
    assert_eq!(plain.headers()[header::VARY], "accept-encoding");
    assert!(!plain.headers().contains_key(header::CONTENT_ENCODING));
    let tag = plain.headers()[header::ETAG].to_str().expect("text").to_owned();
    assert_eq!(plain.text().await.expect("text"), script);

    let mut tags = vec![tag.clone()];
    for (accepted, coding, expected) in [
        ("gzip, deflate, br", "br", "as Brotli does"),
        ("br;q=0, gzip;q=0.8", "gzip", "as gzip packs it"),
        ("gzip", "gzip", "as gzip packs it"),
    ] {
        let packed = get("/rillcast.js", header::ACCEPT_ENCODING, accepted).await;
        assert_eq!(packed.headers()[header::CONTENT_ENCODING], coding, "{accepted}");
        assert_eq!(packed.headers()[header::CONTENT_TYPE], "text/javascript; charset=utf-8");
        tags.push(packed.headers()[header::ETAG].to_str().expect("text").to_owned());
        assert_eq!(packed.text().await.expect("text"), expected);
    }
    tags.dedup();
    assert_eq!(tags.len(), 3, "each form has a tag of its own: {tags:?}");
    let refused = get("/rillcast.js", header::ACCEPT_ENCODING, "gzip;q=0, br;q=0").await;
    assert!(!refused.headers().contains_key(header::CONTENT_ENCODING));
    let none = get("/rillcast_bg.wasm", header::ACCEPT_ENCODING, "gzip, br").await;
    assert!(!none.headers().contains_key(header::CONTENT_ENCODING));

    assert_eq!(get("/rillcast.js", header::IF_NONE_MATCH, &tag).await.status(), 304);
    let any = |path: String| http.get(url(&server, &path)).send();
    let versioned = any(format!("/rillcast.js?v={}", &tag[1..17])).await.expect("answers");
    assert!(versioned.headers()[header::CACHE_CONTROL].to_str().expect("text").contains("immutable"));
    let other = any("/rillcast.js?v=0123456789abcdef".to_owned()).await.expect("answers");
    assert_eq!(other.headers()[header::CACHE_CONTROL], "public, no-cache");
    let wasm = any("/rillcast_bg.wasm".to_owned()).await.expect("answers");
    assert_eq!(wasm.headers()[header::CONTENT_TYPE], "application/wasm");
    assert_eq!(any("/demo/index.html".to_owned()).await.expect("answers").status(), 200);
    assert_eq!(any("/nothing.js".to_owned()).await.expect("answers").status(), 404);
    assert_eq!(any("/../Cargo.toml".to_owned()).await.expect("answers").status(), 404);
}

#[tokio::test]
async fn a_file_edited_after_it_was_packed_is_served_as_it_is() {
    let dir = tempfile::tempdir().expect("dir");
    let script = dir.path().join("rillcast.js");
    std::fs::write(dir.path().join("rillcast.js.gz"), "what it was").expect("write");
    std::fs::write(&script, "what it is").expect("write");
    let later = std::time::SystemTime::now() + std::time::Duration::from_secs(5);
    std::fs::File::open(&script).and_then(|file| file.set_modified(later)).expect("dated");
    let bundle = Some(dir.path().to_owned());
    let server =
        start(Options { listen: vec![loopback()], bundle, ..Options::default() }).await.expect("starts");
    let request = reqwest::Client::new().get(url(&server, "/rillcast.js"));
    let answer = request.header(header::ACCEPT_ENCODING, "gzip").send().await.expect("answers");
    assert!(!answer.headers().contains_key(header::CONTENT_ENCODING));
    assert_eq!(answer.text().await.expect("text"), "what it is");
}

#[tokio::test]
async fn without_a_bundle_it_says_what_to_do() {
    let dir = tempfile::tempdir().expect("dir");
    let bundle = Some(dir.path().to_owned());
    let empty =
        start(Options { listen: vec![loopback()], bundle, ..Options::default() }).await.expect("starts");
    for path in ["/rillcast.js", "/rillcast_bg.wasm", "/rillcast.mjs"] {
        let answer = reqwest::get(url(&empty, path)).await.expect("answers");
        assert_eq!(answer.status(), 503);
        assert!(answer.text().await.expect("text").contains("cargo xtask build"));
    }
    // Whatever is built in, asking for it never fails otherwise.
    let status = reqwest::get(url(&server().await, "/rillcast.js")).await.expect("answers").status();
    assert!(status == 200 || status == 503);
}
