//! `rillcast-token`, and the examples of how a backend signs: what they make opens a site.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use rillcast_protocol::id::Role;
use rillcast_signaling::{Options, Running, start};

use crate::kit::{Client, join, loopback, with_token};

const CONTENT: &str = "http://origin.example/live/master.m3u8";

fn token_command(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rillcast-token"));
    command.args(arguments).stdin(Stdio::null()).output().expect("runs")
}

/// What it prints when all is well.
fn printed(arguments: &[&str]) -> String {
    let output = token_command(arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text").trim().to_owned()
}

/// What it complains of.
fn complaint(arguments: &[&str]) -> String {
    let output = token_command(arguments);
    assert!(!output.status.success(), "{arguments:?}");
    assert!(output.stdout.is_empty());
    String::from_utf8(output.stderr).expect("text")
}

async fn server(dir: &Path, settings: &str) -> Running {
    let config = dir.join("settings.toml");
    std::fs::write(&config, settings).expect("write");
    let options = Options { listen: vec![loopback()], config: Some(config), ..Options::default() };
    start(options).await.expect("starts")
}

fn text(path: &Path) -> &str {
    path.to_str().expect("text")
}

#[tokio::test]
async fn the_command_makes_a_key_and_tokens_that_open_the_site() {
    let dir = tempfile::tempdir().expect("dir");
    let file = dir.path().join("demo.pem");
    let keygen = ["keygen", "--site", "demo", "--out", text(&file)];
    let settings = printed(&keygen);
    #[cfg(unix)]
    {
        let meta = std::fs::metadata(&file).expect("meta");
        assert_eq!(std::os::unix::fs::PermissionsExt::mode(&meta.permissions()) & 0o777, 0o600);
    }
    assert!(complaint(&keygen).contains("already"), "a key isn't overwritten");
    let id =
        settings.lines().find_map(|l| l.strip_prefix("id = ")).expect("an id").trim_matches('"').to_owned();
    let server = server(dir.path(), &settings).await;
    let plain = printed(&["mint", "--key", text(&file), "--site", "demo"]);
    Client::join(&server, with_token(join(Role::Viewer), &plain)).await;
    let all = printed(&[
        "mint",
        "--key",
        text(&file),
        "--id",
        &id,
        "--site",
        "demo",
        "--expires-in",
        "15m",
        "--user",
        "u",
        "--content",
        "http://origin.example/*",
        "--role",
        "seed",
        "--network",
        "127.0.0.0/8",
        "--network",
        "::1",
        "--upload-cap",
        "1000",
        "--ratio",
        "0.5",
        "--once",
        "--uses",
        "2",
        "--origin",
        "https://www.example",
    ]);
    let mut client = Client::connect(&server, Some("https://www.example")).await;
    client.enter(with_token(join(Role::Viewer), &all)).await;
    let settings = &client.welcome.as_ref().expect("joined").settings;
    assert_eq!((settings.ratio_percent, settings.upload_cap), (50, 1000));
    let shown = printed(&["show", &all]);
    for words in ["EdDSA", &id, "\"uses\": 2", "127.0.0.0/8", "UTC, in 1"] {
        assert!(shown.contains(words), "{words}: {shown}");
    }
}

#[test]
fn mistakes_are_named_with_the_remedy() {
    let dir = tempfile::tempdir().expect("dir");
    let path = |name: &str| dir.path().join(name).to_str().expect("text").to_owned();
    std::fs::write(path("short"), "short").expect("write");
    std::fs::write(path("odd"), "-----BEGIN RSA PRIVATE KEY-----\n").expect("write");
    #[cfg(unix)]
    std::fs::set_permissions(path("short"), std::os::unix::fs::PermissionsExt::from_mode(0o600))
        .expect("chmod");
    printed(&["keygen", "--site", "a b", "--out", &path("key")]);
    let mint = |key: &str, more: &[&str]| {
        let key = path(key);
        complaint(&[&["mint", "--key", &key, "--site", "demo"], more].concat())
    };
    assert!(mint("none", &[]).contains("rillcast-token keygen"));
    assert!(mint("short", &[]).contains("openssl rand"));
    assert!(mint("odd", &[]).contains("PEM"));
    assert!(mint("key", &["--uses", "2"]).contains("jti"));
    assert!(mint("key", &["--network", "10.0.0.1/8"]).contains("10.0.0.0/8"));
    assert!(mint("key", &["--window", "8-9"]).contains("08:30"));
    assert!(mint("key", &["--expires-in", "soon"]).contains("15m"));
    assert!(mint("key", &["--role", "owner"]).contains("publisher"));
    assert!(mint("key", &["--ratio", "601"]).contains("ratio"));
    assert!(complaint(&["keygen", "--site", "a", "--out", &path("no/such/dir")]).contains("check the path"));
    assert!(complaint(&["show", "nonsense"]).contains("no JWT"));
}

/// What an example prints. Without its interpreter the test fails: nobody is to take the example for tested.
fn example(interpreter: &str, file: &str, key: &Path) -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(file);
    let mut command = Command::new(interpreter);
    let output = command.arg(file).arg(key).args(["k", "demo", CONTENT]).stdin(Stdio::null()).output();
    let output = output.unwrap_or_else(|e| panic!("{interpreter} runs an example; install it: {e}"));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text").trim().to_owned()
}

#[tokio::test]
async fn what_a_backend_on_node_signs_opens_the_site() {
    let dir = tempfile::tempdir().expect("dir");
    let file = dir.path().join("demo.pem");
    let settings = printed(&["keygen", "--site", "demo", "--id", "k", "--out", text(&file)]);
    let server = server(dir.path(), &settings).await;
    let token = example("node", "mint.mjs", &file);
    Client::join(&server, with_token(join(Role::Viewer), &token)).await;
}

#[tokio::test]
async fn what_a_backend_in_python_signs_opens_the_site() {
    let dir = tempfile::tempdir().expect("dir");
    let file = dir.path().join("demo.secret");
    std::fs::write(&file, "0123456789abcdef0123456789abcdef\n").expect("write");
    #[cfg(unix)]
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).expect("chmod");
    let settings = "[[sites.demo.keys]]\nid = \"k\"\nsecret_file = \"demo.secret\"\n";
    let server = server(dir.path(), settings).await;
    let token = example("python3", "mint.py", &file);
    Client::join(&server, with_token(join(Role::Viewer), &token)).await;
}
