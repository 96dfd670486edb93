//! What viewers in real browsers have given each other is written down and can be checked by anybody (R60).

use crate::common;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use common::library;
use rillcast_protocol::coding::Wire;
use rillcast_protocol::receipt::Voucher;
use rillcast_signaling::receipts::{Sealed, bytes_of};
use rillcast_tests::browser::Kind;
use rillcast_tests::netlab::Link;
use rillcast_tests::scene::{Plan, Scene, Viewer};
use rillcast_tests::services::program;

/// Longer than this nothing here takes, on any machine.
const LONG: Duration = Duration::from_secs(90);

/// Bytes sent to each neighbour, by its name.
type Sent = BTreeMap<String, u64>;

async fn sent(viewer: &Viewer) -> Sent {
    let sent = "Object.fromEntries(Rillcast.stats().neighbours.map(({ peer, sent }) => [peer, sent]))";
    viewer.page.eval(sent).await.unwrap()
}

/// Checks a log with the program that anybody has, and the server's public key.
fn check(authority: &str, log: &Path) -> Output {
    let program = program("rillcast-receipts").unwrap();
    Command::new(program).args(["--authority", authority]).arg(log).output().unwrap()
}

#[tokio::test]
async fn what_viewers_have_given_each_other_is_signed_for_and_can_be_checked() {
    let scene = Scene::set(library(), Plan { receipts: true, ..Plan::LIVE }).await.unwrap();
    let viewers = [
        scene.viewer().await.unwrap(),
        scene.viewer_with(Kind::Firefox, Link::VIEWER, "").await.unwrap(),
        scene.viewer().await.unwrap(),
    ];
    // Receivers sign once a minute, and givers show that within seconds.
    for viewer in &viewers {
        viewer.page.wait_until("rcStats.state.playedMs > 72_000", 2 * LONG).await.unwrap();
    }
    let begun = std::time::Instant::now();
    while scene.servers.metric("rillcast_receipts_total").await.unwrap() < 2.0 {
        assert!(begun.elapsed() < LONG, "nobody shows receipts");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let mut reports = Vec::new();
    for viewer in &viewers {
        let report = scene.intact(viewer).await.unwrap();
        reports.push((sent(viewer).await, report.uploaded));
    }
    let everybody: BTreeSet<&String> = reports.iter().flat_map(|(sent, _)| sent.keys()).collect();
    // Each is linked with all but itself.
    let name = |sent: &Sent| everybody.iter().find(|name| !sent.contains_key(**name)).unwrap().to_string();
    let by_name: BTreeMap<String, &(Sent, u64)> =
        reports.iter().map(|report| (name(&report.0), report)).collect();
    assert_eq!(by_name.len(), viewers.len(), "{reports:?}");

    // A line is written when its peer has left.
    for viewer in viewers {
        viewer.page.close().await.unwrap();
    }
    let begun = std::time::Instant::now();
    while scene.servers.metric("rillcast_peers").await.unwrap() > 0.0 {
        assert!(begun.elapsed() < LONG, "somebody doesn't leave");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let text = std::fs::read_to_string(scene.servers.receipts()).unwrap();
    let health = scene.servers.health().await.unwrap();
    let authority = health["authorities"][0].as_str().unwrap();
    let (mut vouched, mut uploaded) = (0, 0);
    for line in text.lines().map(|line| serde_json::from_str::<Sealed>(line).unwrap().line) {
        let (sent, in_all) = by_name[&line.peer];
        assert!(line.bytes <= *in_all, "{} has given {in_all}, and is thanked for {}", line.peer, line.bytes);
        for voucher in &line.vouchers {
            let receipt = Voucher::from_bytes(&bytes_of(voucher).unwrap()).unwrap().receipt;
            let given = sent[&receipt.receiver.to_string()];
            assert!(receipt.bytes <= given, "{} of {given} bytes", receipt.bytes);
        }
        vouched += line.bytes;
    }
    uploaded += reports.iter().map(|(_, uploaded)| uploaded).sum::<u64>();
    println!("{vouched} of {uploaded} bytes given are signed for, {:.2}", vouched as f64 / uploaded as f64);
    // What was given in the last minute isn't signed for yet.
    assert!(vouched > uploaded / 2, "{vouched} of {uploaded}");

    let output = check(authority, &scene.servers.receipts());
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && told.contains(&vouched.to_string()), "{output:?}");
    let other = "00".repeat(32);
    assert!(!check(&other, &scene.servers.receipts()).status.success(), "by another's key");

    // Whatever is changed is found.
    let altered = scene.servers.folder().join("altered.jsonl");
    let first = text.lines().next().unwrap();
    let sealed: Sealed = serde_json::from_str(first).unwrap();
    let (peer, voucher) = (&sealed.line.peer, &sealed.line.vouchers[0]);
    let flipped = {
        let last = if voucher.ends_with('0') { "1" } else { "0" };
        format!("{}{last}", &voucher[..voucher.len() - 1])
    };
    let somebody = everybody.iter().find(|name| **name != peer).unwrap();
    for (from, to) in [
        (format!("\"bytes\":{}", sealed.line.bytes), format!("\"bytes\":{}0", sealed.line.bytes)),
        (peer.clone(), (*somebody).clone()),
        (voucher.clone(), flipped),
        ("\"role\":".to_owned(), "\"user\":\"mallory\",\"role\":".to_owned()),
    ] {
        let changed = first.replacen(&from, &to, 1);
        assert_ne!(changed, first);
        std::fs::write(&altered, format!("{}\n", text.replacen(first, &changed, 1).trim_end())).unwrap();
        let output = check(authority, &altered);
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && complaint.contains("line 1"), "{from}: {output:?}");
    }
}
