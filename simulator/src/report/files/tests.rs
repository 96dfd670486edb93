use super::*;
use crate::pairs::Pairs;
use crate::run::play;
use crate::scenario::Scenario;

fn small() -> Scenario {
    let mut scenario = Scenario::load("peer2view").expect("ships");
    scenario.viewers.peers = 40;
    scenario.viewers.come_within_seconds = 10.0;
    scenario.viewers.session_seconds = crate::draw::Law::Exponential { mean: 60.0 };
    scenario.minutes = 1.0;
    scenario
}

fn played(seed: u64) -> (Report, Vec<(String, String)>) {
    let runs = play(&small(), seed, Pairs::Cdn, Default::default());
    let report = Report::new("small", seed, &runs);
    let files = files(&report, "about", &runs).expect("can be written");
    (report, files)
}

#[test]
fn the_same_seed_gives_the_same_files_but_for_what_they_cost() {
    let without_cost = |seed| {
        let (_, mut files) = played(seed);
        files.retain(|(name, _)| name != "machine.json");
        files
    };
    let first = without_cost(3);
    assert!(first == without_cost(3), "byte for byte");
    assert!(first != without_cost(4), "another seed is another run");
}

#[test]
fn every_run_is_in_the_files_and_nothing_comes_from_elsewhere() {
    let (report, files) = played(1);
    let names: Vec<&str> = files.iter().map(|(name, _)| name.as_str()).collect();
    for name in [
        "index.html",
        "report.json",
        "machine.json",
        "seconds.csv",
        "viewers-cdn.csv",
        "offload.svg",
        "buffering.svg",
    ] {
        assert!(names.contains(&name), "{name} is not among {names:?}");
    }
    let of = |name: &str| &files.iter().find(|(n, _)| n == name).expect("is there").1;
    let page = of("index.html");
    assert!(page.matches("<svg").count() >= 4, "the plots are in the page");
    for word in ["src=", "@import", "url(", "href=\"http", "NaN", "inf"] {
        assert!(!page.contains(word), "{word}");
    }
    let json: serde_json::Value = serde_json::from_str(of("report.json")).expect("is JSON");
    assert!(json.get("wall_s").is_none() && json["baseline"].get("rss_mib").is_none());
    assert!(json["savings"].is_number() && json["baseline"]["savings"].is_number());
    assert_eq!(of("viewers.csv").lines().count(), report.engine.figures.visitors + 1);
    assert_eq!(of("viewers.csv").lines().count(), of("viewers-cdn.csv").lines().count());
}

#[test]
fn the_closing_line_has_every_key_and_the_cdn_alone_saves_nothing() {
    let (report, _) = played(1);
    let json = serde_json::to_value(&report).expect("is JSON");
    for key in [
        "savings",
        "bound",
        "eta",
        "copies",
        "copies_steady",
        "peak_source_bps",
        "p95_source_bps",
        "worse_buffering",
        "lower_bitrate",
        "stalled_peers",
        "stalls_per_hour",
        "latency_s",
        "latency_above_s",
        "cross_isp",
        "rho_depth_upload",
        "wall_s",
        "rss_mib",
        "cpu_us_per_peer_second",
        "peers",
        "baseline",
    ] {
        assert!(json.get(key).is_some(), "{key} is missing in {json}");
    }
    let alone = &report.baseline.as_ref().expect("was played").figures;
    assert_eq!((alone.bytes.peers, alone.bytes.publisher, alone.bytes.published), (0, 0, 0));
    let parts = alone.bytes.election + alone.bytes.rescue + alone.bytes.whole + alone.bytes.first;
    assert_eq!(parts, alone.bytes.source);
    // What is on its way when a viewer leaves was given and is not played.
    assert!((-0.1..=0.0).contains(&alone.savings), "{}", alone.savings);
    assert_eq!(alone.visitors, report.engine.figures.visitors, "the same visits");
}
