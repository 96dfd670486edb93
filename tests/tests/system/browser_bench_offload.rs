//! `bench offload` measures what is there: nothing saved by viewers that share nothing, something by those that do.

use std::process::Command;

use serde_json::Value;

/// Runs the program itself and returns its last line, and all it printed.
fn bench(args: &[&str]) -> (Value, String) {
    let reports = std::env::temp_dir().join(format!("rillcast-reports-{}", std::process::id()));
    let output = Command::new(env!("CARGO_BIN_EXE_bench"))
        .arg("offload")
        .args(args)
        .arg("--reports")
        .arg(&reports)
        .output()
        .unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{errors}");
    let html = std::fs::read_to_string(reports.join("offload-live-flat.html")).unwrap();
    assert!(html.contains("<svg") && html.contains("</table>"));
    std::fs::remove_dir_all(&reports).unwrap();
    (serde_json::from_str(printed.lines().last().unwrap()).unwrap(), printed)
}

#[test]
fn plain_viewers_save_nothing_and_p2p_media_loader_something() {
    let args = [
        "--clients",
        "plain,p2p-media-loader-tuned",
        "--viewers",
        "2",
        "--seconds",
        "24",
        "--flat",
        "--verify",
    ];
    let (line, printed) = bench(&args);
    let [plain, p2p] = line.as_array().unwrap().as_slice() else { panic!("{line}") };
    for key in [
        "client",
        "viewers",
        "savings",
        "bound",
        "peer_share",
        "seed_share",
        "copies",
        "copies_steady",
        "stalls",
        "stall_ms",
        "start_ms",
        "latency_s",
        "bitrate_bps",
        "cpu_per_viewer",
        "cpu_ms_per_mb",
        "upload_ratio",
    ] {
        assert!(plain[key].is_number() || key == "client", "{key} is missing in {line}");
    }
    let of = |result: &Value, key: &str| result[key].as_f64().unwrap();
    // Bytes under way at the end were fetched and not yet played.
    assert!(of(plain, "savings") <= 0.0 && of(plain, "savings") > -0.3, "{line}");
    assert_eq!((of(plain, "peer_share"), of(plain, "upload_ratio"), of(plain, "altered")), (0.0, 0.0, 0.0));
    assert!(of(plain, "copies") > 1.0 && of(plain, "bound") > 0.2, "{line}");
    assert!(of(plain, "latency_s") > 4.0 && of(plain, "start_ms") > 0.0, "{line}");
    assert!(of(p2p, "peer_share") > 0.0 && of(p2p, "savings") > of(plain, "savings"), "{line}");
    assert_eq!(p2p["client"], "p2p-media-loader-tuned");
    assert!(printed.contains("savings") && printed.contains("report: "), "{printed}");
}

#[test]
fn senseless_options_are_refused() {
    for args in [
        ["--viewers", "0"],
        ["--viewers", "201"],
        ["--seconds", "9"],
        ["--clients", "nobody"],
        ["--runs", "0"],
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_bench")).arg("offload").args(args).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{args:?}");
    }
}
