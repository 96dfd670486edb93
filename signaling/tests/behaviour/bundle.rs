//! The browser bundle.

use reqwest::header;
use rillcast_signaling::{Options, start};

use crate::kit::{loopback, server, url};

#[tokio::test]
async fn files_come_with_type_tag_and_compression_as_the_browser_takes_it() {
    let dir = tempfile::tempdir().expect("dir");
    let script = "console.log('rillcast');\n".repeat(100);
    std::fs::write(dir.path().join("rillcast.js"), &script).expect("write");
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

    let packed = get("/rillcast.js", header::ACCEPT_ENCODING, "br, gzip;q=0.8").await;
    assert_eq!(packed.headers()[header::CONTENT_ENCODING], "gzip");
    assert_ne!(packed.headers()[header::ETAG].to_str().expect("text"), tag);
    assert!(packed.bytes().await.expect("whole").len() < script.len());
    let refused = get("/rillcast.js", header::ACCEPT_ENCODING, "gzip;q=0").await;
    assert!(!refused.headers().contains_key(header::CONTENT_ENCODING));

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
