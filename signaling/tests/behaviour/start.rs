//! Starting: what is refused, TLS, STUN on the wire, the command itself.

use std::net::SocketAddr;
use std::process::Stdio;

use rillcast_signaling::{Options, start};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::UdpSocket;

use crate::kit::{Client, PATIENCE, loopback, server};

async fn refusal(options: Options) -> String {
    start(options).await.expect_err("refused").to_string()
}

#[tokio::test]
async fn without_authorisation_only_loopback_is_served_unless_told_so() {
    let open = SocketAddr::from(([0, 0, 0, 0], 0));
    let error = refusal(Options { listen: vec![loopback(), open], ..Options::default() }).await;
    assert!(error.contains("--insecure-open") && error.contains("127.0.0.1"), "{error}");
    let mapped = "[::ffff:10.0.0.1]:0".parse().expect("address");
    assert!(
        refusal(Options { listen: vec![mapped], ..Options::default() }).await.contains("--insecure-open")
    );
    let options = Options { listen: vec![open], insecure_open: true, ..Options::default() };
    let server = start(options).await.expect("starts");
    let health = reqwest::get(format!("http://127.0.0.1:{}/health", server.listening[0].port()));
    assert!(health.await.expect("answers").text().await.expect("text").contains("\"insecure_open\":true"));
    start(Options { listen: vec!["[::1]:0".parse().expect("address")], ..Options::default() })
        .await
        .map_or_else(|e| assert!(e.to_string().contains("can't listen"), "{e}"), drop);
}

#[tokio::test]
async fn what_is_wrong_is_named_with_the_remedy() {
    let taken = server().await;
    let error = refusal(Options { listen: taken.listening.clone(), ..Options::default() }).await;
    assert!(error.contains(&taken.listening[0].to_string()) && error.contains("in use"), "{error}");
    let error = refusal(Options { listen_tls: vec![loopback()], ..Options::default() }).await;
    assert!(error.contains("--cert"), "{error}");
    let config = Some("/nonexistent/settings.toml".into());
    let error = refusal(Options { listen: vec![loopback()], config, ..Options::default() }).await;
    assert!(error.contains("--config"), "{error}");
    let publish = vec!["nonsense".to_owned()];
    let error = refusal(Options { listen: vec![loopback()], publish, ..Options::default() }).await;
    assert!(error.contains("nonsense"), "{error}");
    let dir = tempfile::tempdir().expect("dir");
    let token = dir.path().join("token");
    std::fs::write(&token, "short\n").expect("write");
    let options = Options { listen: vec![loopback()], admin_token_file: Some(token), ..Options::default() };
    assert!(refusal(options).await.contains("openssl rand"));
}

#[tokio::test]
async fn state_survives_a_restart() {
    let dir = tempfile::tempdir().expect("dir");
    let options =
        Options { listen: vec![loopback()], state_dir: Some(dir.path().to_owned()), ..Options::default() };
    let first = start(options.clone()).await.expect("starts");
    let swarm = Client::viewer(&first).await.swarm();
    let key = first.publisher;
    first.stop().await;
    let second = start(options).await.expect("starts");
    assert_eq!(second.publisher, key);
    assert_eq!(Client::viewer(&second).await.swarm(), swarm);
    assert_ne!(Client::viewer(&server().await).await.swarm(), swarm, "another secret, other swarms");
}

#[tokio::test]
async fn tls_serves_the_same_and_takes_a_new_certificate_while_running() {
    let dir = tempfile::tempdir().expect("dir");
    let (cert, key) = (dir.path().join("cert.pem"), dir.path().join("key.pem"));
    let write = || {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("made");
        std::fs::write(&cert, made.cert.pem()).expect("write");
        std::fs::write(&key, made.signing_key.serialize_pem()).expect("write");
        made.cert.pem()
    };
    let first = write();
    let options = Options {
        listen_tls: vec![loopback()],
        cert: Some(cert.clone()),
        key: Some(key.clone()),
        ..Options::default()
    };
    let server = start(options).await.expect("starts");
    let client = |pem: &str| {
        let root = reqwest::Certificate::from_pem(pem.as_bytes()).expect("pem");
        reqwest::Client::builder().tls_certs_only([root]).build().expect("client")
    };
    let health = format!("https://localhost:{}/health", server.listening_tls[0].port());
    assert_eq!(client(&first).get(&health).send().await.expect("trusted").status(), 200);
    let second = write();
    while client(&second).get(&health).send().await.is_err() {
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    assert!(client(&first).get(&health).send().await.is_err(), "the old one is gone");

    std::fs::write(&key, "nonsense").expect("write");
    let options =
        Options { listen_tls: vec![loopback()], cert: Some(cert), key: Some(key), ..Options::default() };
    assert!(refusal(options).await.contains("private key"));
}

#[tokio::test]
async fn stun_tells_the_address_it_sees() {
    let server = server().await;
    let socket = UdpSocket::bind(loopback()).await.expect("bind");
    let mut request = vec![0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42];
    request.extend([7; 12]);
    socket.send_to(&request[..19], server.stun[0]).await.expect("sent");
    socket.send_to(&request, server.stun[0]).await.expect("sent");
    let mut answer = [0; 100];
    let received = tokio::time::timeout(PATIENCE, socket.recv_from(&mut answer)).await;
    let (length, from) = received.expect("in time").expect("received");
    assert_eq!((length, from), (32, server.stun[0]));
    let port = u16::from_be_bytes([answer[26], answer[27]]) ^ 0x2112;
    assert_eq!(port, socket.local_addr().expect("address").port());
}

#[tokio::test]
async fn the_command_says_in_one_line_when_it_is_ready() {
    // The client below needs one; elsewhere the server's own publisher has seen to it.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_rillcast-signaling"));
    command.args(["--listen", "127.0.0.1:0", "--stun", "127.0.0.1:0", "--insecure-open"]);
    let mut child =
        command.stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true).spawn().expect("starts");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let line = tokio::time::timeout(PATIENCE, lines.next_line()).await.expect("in time").expect("read");
    let ready: serde_json::Value = serde_json::from_str(&line.expect("a line")).expect("json");
    let health = format!("http://{}/health", ready["listening"].as_str().expect("address"));
    assert_eq!(reqwest::get(health).await.expect("answers").status(), 200);

    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_rillcast-signaling"));
    let refused = command.args(["--listen", "0.0.0.0:0"]).output().await.expect("runs");
    assert!(!refused.status.success());
    assert!(String::from_utf8_lossy(&refused.stderr).contains("--insecure-open"));
}

#[cfg(unix)]
#[tokio::test]
async fn sighup_reads_the_settings_again_and_sigterm_ends_it_in_order() {
    let dir = tempfile::tempdir().expect("dir");
    let path = dir.path().join("settings.toml");
    std::fs::write(&path, "[sites.demo]\nratio = 1.0\n").expect("write");
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_rillcast-signaling"));
    command.args(["--listen", "127.0.0.1:0", "--config"]).arg(&path).env("RUST_LOG", "info");
    let mut child =
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true).spawn().expect("starts");
    let mut ready = BufReader::new(child.stdout.take().expect("piped")).lines();
    let mut logs = BufReader::new(child.stderr.take().expect("piped")).lines();
    let line = tokio::time::timeout(PATIENCE, ready.next_line()).await.expect("in time").expect("read");
    assert!(line.is_some());
    let pid = child.id().expect("runs").to_string();
    let signal = async |name: &str| {
        let sent = tokio::process::Command::new("kill").args([name, &pid]).status().await.expect("runs");
        assert!(sent.success());
    };
    // The file is as it was, so only the signal can make it be read.
    signal("-HUP").await;
    loop {
        let line = tokio::time::timeout(PATIENCE, logs.next_line()).await.expect("in time").expect("read");
        if line.expect("still runs").contains("settings read again") {
            break;
        }
    }
    signal("-TERM").await;
    let status = tokio::time::timeout(PATIENCE, child.wait()).await.expect("in time").expect("ended");
    assert!(status.success());
}
