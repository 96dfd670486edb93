//! `bench seed` in small: a crowd at a seed is linked, fed and counted (R33). What it is judged by as a whole, processor time above all, is the
//! bench's own business: beside other tests it says nothing.

use std::process::Command;

use serde_json::Value;

const VIEWERS: u64 = 20;

#[test]
fn a_seed_feeds_twenty_viewers_and_fetches_each_segment_once() {
    let reports = tempfile::tempdir().unwrap();
    let viewers = VIEWERS.to_string();
    let output = Command::new(env!("CARGO_BIN_EXE_bench"))
        .args([
            "seed",
            "--only",
            "crowd",
            "--runs",
            "1",
            "--seconds",
            "6",
            "--viewers",
            &viewers,
            "--reports",
        ])
        .arg(reports.path())
        .output()
        .unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    let line = printed.lines().last().unwrap_or_default();
    let Ok(line) = serde_json::from_str::<Value>(line) else {
        panic!("{printed}{}", String::from_utf8_lossy(&output.stderr));
    };
    let [seed, raw] = ["seed", "raw"].map(|who| &line["crowd"][who][0]);
    let care = &line["crowd"]["care"][0];
    let number =
        |of: &Value, key: &str| of[key].as_f64().unwrap_or_else(|| panic!("{key} is missing in {line}"));
    assert_eq!((number(seed, "peers"), number(raw, "peers")), (VIEWERS as f64, VIEWERS as f64), "{line}");
    assert!(number(seed, "rss_mib_per_peer") <= 2.0, "{line}");
    assert!(number(seed, "cpu_ms_per_mb") > 0.0 && number(raw, "cpu_ms_per_mb") > 0.0, "{line}");
    // Six seconds are three segments: `bench seed` asks for 0.9 of thirty.
    assert!(number(seed, "bytes_per_s") >= 0.5 * number(raw, "bytes_per_s"), "{line}");
    assert_eq!([number(care, "fewest_fetches"), number(care, "most_fetches")], [1.0, 1.0], "{line}");
    assert_eq!(number(care, "altered"), 0.0, "{line}");
    let html = std::fs::read_to_string(reports.path().join("seed.html")).unwrap();
    assert!(html.contains("<svg") && html.contains("</table>"));
}

#[test]
fn senseless_options_are_refused() {
    for args in [
        ["--viewers", "0"],
        ["--viewers", "1001"],
        ["--seconds", "1"],
        ["--kbps", "63"],
        ["--rtt-ms", "1001"],
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_bench")).arg("seed").args(args).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{args:?}");
    }
}
