//! What is read, and what is refused.

use super::*;

#[test]
fn what_ships_can_be_read() {
    for (name, _) in SHIPPED {
        let scenario = Scenario::load(name).expect(name);
        assert!(!scenario.about.is_empty(), "{name}");
    }
    assert!(Scenario::load("nothing").expect_err("unknown").to_string().contains("peer2view"));
}

const GOOD: &str = r#"
about = "A test."
minutes = 10
[stream]
segment_seconds = 4
ladder_kbps = [700]
behind = 3
[viewers]
peers = 100
come_within_seconds = 10
session_seconds = { law = "fixed", value = 600 }
[links]
up_kbps = { law = "fixed", value = 1000 }
down_kbps = { law = "fixed", value = 9000 }
"#;

fn with(table: &str, line: &str) -> Result<Scenario> {
    let header = format!("[{table}]");
    if table.is_empty() {
        let key = line.split('=').next().unwrap_or_default();
        let kept: Vec<&str> = GOOD.lines().filter(|l| !l.starts_with(key)).collect();
        Scenario::parse(&format!("{line}\n{}", kept.join("\n")))
    } else if GOOD.contains(&header) {
        let key = line.split('=').next().unwrap_or_default();
        let kept: Vec<&str> = GOOD.lines().filter(|l| !l.starts_with(key)).collect();
        Scenario::parse(&kept.join("\n").replace(&header, &format!("{header}\n{line}")))
    } else {
        Scenario::parse(&format!("{GOOD}\n{header}\n{line}"))
    }
}

/// In a table a field may be this, and not that; the refusal names it.
fn limits(table: &str, field: &str, rest: &str, good: &[&str], bad: &[&str]) {
    for value in good {
        let line = format!("{field} = {value}\n{rest}");
        with(table, &line).unwrap_or_else(|e| panic!("[{table}] {line}: {e:#}"));
    }
    for value in bad {
        let line = format!("{field} = {value}\n{rest}");
        let error = with(table, &line).expect_err(&line);
        let text = format!("{error:#}");
        assert!(text.contains(field) && text.contains(table), "[{table}] {line}: {text}");
    }
}

#[test]
fn the_base_tables_refuse_what_lies_outside_their_limits() {
    limits("", "minutes", "", &["0.1", "1440"], &["0.09", "1440.1", "-1"]);
    limits("stream", "segment_seconds", "", &["0.2", "60"], &["0.19", "60.1"]);
    limits("stream", "ladder_kbps", "", &["[1]", "[1, 1000000]"], &["[]", "[0.5]", "[2, 1]", "[1000001]"]);
    limits("stream", "behind", "", &["1", "20"], &["0", "21"]);
    limits("stream", "parts", "", &["1", "20"], &["0", "21"]);
    limits("stream", "audio_kbps", "", &["1", "10000"], &["0.9", "10001"]);
    limits("stream", "film_minutes", "", &["0.5", "600"], &["0.4", "601"]);
    limits("viewers", "peers", "", &["1", "100000"], &["0", "100001"]);
    limits("viewers", "come_within_seconds", "", &["0", "86400"], &["-1", "86401"]);
    limits("viewers", "churn_per_minute", "", &["0", "10"], &["-0.1", "10.1"]);
    limits("viewers", "turn_ms", "", &["0.001", "2000"], &["0", "2001"]);
    limits("links", "correlation", "", &["0", "1"], &["-0.1", "1.1"]);
    limits("links", "least_down_kbps", "", &["0", "1e7"], &["-1", "10000001"]);
    limits("links", "up_over_demand", "", &["0.001", "1000"], &["0", "1001"]);
    limits("site", "ratio", "", &["0", "655"], &["-1", "656"]);
    limits("source", "total_mbps", "", &["0.001", "1e9"], &["0", "2e9"]);
    limits("source", "per_viewer_kbps", "", &["1", "1e7"], &["0", "2e7"]);
    limits("source", "first_byte_ms", "", &["0", "60000"], &["-1", "60001"]);
}

#[test]
fn paths_are_shares_that_fit() {
    limits("paths", "udp_blocked", "", &["0", "1"], &["-0.1", "1.1"]);
    limits("paths", "loss", "", &["0", "0.5"], &["-0.1", "0.51"]);
    limits("paths", "both_ways", "one_way = 0.1", &["0", "0.9"], &["-0.1", "0.91", "1.1"]);
    limits("paths", "delay_ms", "", &["0.1", "1000"], &["0", "1001"]);
    limits("paths", "across_ms", "", &["0", "1000"], &["-1", "1001"]);
}

#[test]
fn comings_and_goings_have_limits() {
    limits("crowd", "peers", "at_minute = 1\nwithin_seconds = 1", &["1", "100000"], &["0", "100001"]);
    limits("crowd", "at_minute", "peers = 1\nwithin_seconds = 1", &["0", "1440"], &["-1", "1441"]);
    limits("crowd", "within_seconds", "peers = 1\nat_minute = 1", &["0", "86400"], &["-1", "86401"]);
    limits("outage", "to_minute", "from_minute = 2", &["2.1", "1440"], &["2", "1441"]);
    limits("outage", "from_minute", "to_minute = 1440", &["0", "1439"], &["-1", "1441"]);
    limits(
        "outage",
        "back_within_seconds",
        "from_minute = 1\nto_minute = 2",
        &["0", "3600"],
        &["-1", "3601"],
    );
    limits("partition", "share", "from_minute = 1\nto_minute = 2", &["0", "1"], &["-0.1", "1.1"]);
    for (share, good) in [("0", true), ("1", true), ("1.1", false), ("-0.1", false)] {
        let text = format!("{GOOD}\n[[departures]]\nat_minute = 1\nshare = {share}");
        match Scenario::parse(&text) {
            Ok(_) => assert!(good, "{share}"),
            Err(error) => assert!(!good && format!("{error:#}").contains("departures.share"), "{error:#}"),
        }
    }
}

#[test]
fn places_have_limits() {
    limits("isps", "count", "", &["1", "1000"], &["0", "1001"]);
    limits("isps", "zipf", "count = 3", &["0", "5"], &["-0.1", "5.1"]);
    limits("isps", "shares", "count = 2", &["[1, 0]"], &["[1]", "[0, 0]", "[1, -1]", "[1, 1, 1]"]);
    limits("isps", "between_ms", "count = 2", &["0", "1000"], &["-1", "1001"]);
    let lan = "wan_kbps = { law = \"fixed\", value = 1000 }";
    limits("sites", "count", &format!("{lan}\nlan_kbps = 1000"), &["1", "10000"], &["0", "10001"]);
    limits("sites", "share", &format!("{lan}\nlan_kbps = 1000\ncount = 1"), &["0", "1"], &["-0.1", "1.1"]);
    limits("sites", "lan_kbps", &format!("{lan}\ncount = 1"), &["100", "1e8"], &["99", "2e8"]);
    let wan = "count = 1\nlan_kbps = 1000";
    limits("sites", "wan_kbps", wan, &[], &["{ law = \"fixed\", value = 0 }"]);
}

#[test]
fn helpers_and_villains_have_limits() {
    limits("conduct", "free_riders", "", &["0", "1"], &["-0.1", "1.1"]);
    limits("conduct", "silent", "", &["0", "1"], &["-0.1", "1.1"]);
    limits("conduct", "polluters", "", &["0", "1"], &["-0.1", "1.1"]);
    let error = with("conduct", "silent = 0.6\npolluters = 0.6").expect_err("more than all");
    assert!(format!("{error:#}").contains("conduct"));
    limits("seeds", "count", "up_kbps = 1000", &["1", "1000"], &["0", "1001"]);
    limits("seeds", "up_kbps", "count = 1", &["8", "1e8"], &["7", "2e8"]);
    limits("seeds", "down_kbps", "count = 1\nup_kbps = 8", &["64", "1e8"], &["63", "2e8"]);
    let rest = "flow = \"cubic\"\nqueue_ms = 100\nrtt_ms = 40";
    let line = |extra: &str| format!("{rest}\n{extra}");
    limits("background", "viewers", &line("up_kbps = 1000"), &["1", "100"], &["0", "101"]);
    limits("background", "up_kbps", &line("viewers = 1"), &["64", "1e6"], &["63", "2e6"]);
    let rest = "viewers = 1\nup_kbps = 1000\nrtt_ms = 40\nqueue_ms = 100";
    limits("background", "flow", rest, &["\"newreno\"", "\"cubic\""], &[]);
    let rest = "viewers = 1\nup_kbps = 1000\nflow = \"cubic\"\nrtt_ms = 40";
    limits("background", "queue_ms", rest, &["1", "10000"], &["0.9", "10001"]);
    let rest = "viewers = 1\nup_kbps = 1000\nflow = \"cubic\"\nqueue_ms = 40";
    limits("background", "rtt_ms", rest, &["1", "2000"], &["0.9", "2001"]);
}

#[test]
fn what_contradicts_itself_is_refused() {
    let seeks = "share = 0.5\nafter_seconds = { law = \"fixed\", value = 10 }";
    assert!(format!("{:#}", with("seeks", seeks).expect_err("live")).contains("film_minutes"));
    let mut film = Scenario::parse(GOOD).expect("good");
    film.stream.film_minutes = Some(10.0);
    film.seeks = Some(Seeks { share: 0.5, after_seconds: Law::Fixed { value: 10.0 } });
    film.check().expect("a film");
    film.seeds = Some(Seeds { count: 1, up_kbps: 1000.0, down_kbps: 1000.0 });
    assert!(format!("{:#}", film.check().expect_err("no edge")).contains("seeds"));
    assert!(format!("{:#}", with("viewers", "misspelt = 1").expect_err("unknown")).contains("misspelt"));
}

#[test]
fn a_crowd_is_resized_with_the_rest() {
    let mut scenario = with("crowd", "peers = 4980\nat_minute = 2\nwithin_seconds = 60").expect("good");
    scenario.viewers.peers = 20;
    scenario.resize(500);
    assert_eq!((scenario.viewers.peers, scenario.crowd.map(|c| c.peers)), (2, Some(498)));
    let mut scenario = Scenario::parse(GOOD).expect("good");
    scenario.resize(7);
    assert_eq!(scenario.viewers.peers, 7);
}
