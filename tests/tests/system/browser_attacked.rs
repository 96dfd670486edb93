//! Hostile native peers among viewers in browsers (H1, H2, H6, H11): the browser part of `bench attack`, small.

use std::process::Command;

use serde_json::Value;

#[test]
fn hostile_native_peers_harm_no_browser() {
    let reports = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_bench"))
        .args(["attack", "--only", "browsers", "--viewers", "3", "--seconds", "25", "--reports"])
        .arg(reports.path())
        .output()
        .unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    // The program's own verdict isn't asked for: three viewers of half a minute are too few for what they save and how fast they are.
    let line: Value = serde_json::from_str(printed.lines().last().unwrap_or_default()).expect(&errors);
    let holds = |what: &str| {
        let judged = line["judged"].as_array().unwrap();
        let one = judged.iter().find(|one| one["what"].as_str().unwrap().contains(what));
        one.unwrap_or_else(|| panic!("{what} isn't judged in {line}"))["holds"].as_bool().unwrap()
    };
    for what in ["no unverified byte is played", "cuts its liar off", "no honest peer is taken for a liar"] {
        assert!(holds(what), "{what}: {printed}\n{errors}");
    }
    let found = &line["findings"];
    assert!(found["browsers"]["broken_promises"].as_u64().unwrap() > 0, "the other one attacked as well");
    assert!(found["revocation"]["viewer"]["neighbours"].as_u64().unwrap() > 0, "a viewer was sent away");
    // A few milliseconds of half a minute: now and then a profile shows none of them.
    let hashing = found["costs"]["hashing"].as_f64().unwrap();
    assert!((0.0..0.05).contains(&hashing), "{hashing} of the browser's time");
    let html = std::fs::read_to_string(reports.path().join("attack.html")).unwrap();
    assert!(html.contains("<svg") && html.contains("</table>"));
}
