//! What settings come to, and what is refused.

use super::*;
use clap::CommandFactory;

const BASE: [&str; 5] =
    ["rillcast-seed", "--manifest", "http://o.example/m.m3u8", "--signal", "ws://s.example/"];

fn settle(extra: &[&str]) -> Result<Settings, ConfigError> {
    Options::try_parse_from(BASE.iter().chain(extra)).expect("flags that exist").settle()
}

#[test]
fn the_defaults_listen_on_loopback_alone() {
    let settings = settle(&[]).expect("enough");
    assert!(settings.udp.ip().is_loopback());
    assert_eq!((settings.memory, settings.upload_cap, settings.max_links), (512 << 20, 0, 512));
}

#[test]
fn other_addresses_need_a_word() {
    for flag in ["--udp", "--metrics", "--agent"] {
        for open in ["0.0.0.0:7", "[::]:7", "192.0.2.1:7"] {
            let said = settle(&[flag, open]).expect_err("refused").to_string();
            assert!(said.contains("--insecure-open"), "{said}");
            settle(&[flag, open, "--insecure-open"]).expect("the operator wants it");
        }
        settle(&[flag, "127.0.0.2:7"]).expect("loopback");
        settle(&[flag, "[::1]:7"]).expect("loopback");
    }
    // R41: with a token it is the site that says who may be served.
    settle(&["--udp", "0.0.0.0:7", "--token-file", "t"]).expect("viewers are authorised");
    settle(&["--metrics", "0.0.0.0:7", "--token-file", "t"]).expect_err("those who read metrics aren't");
    settle(&["--agent", "0.0.0.0:7", "--token-file", "t"])
        .expect_err("nor are those who play through the agent");
}

#[test]
fn an_agent_seeds_only_if_told_so() {
    let seeds = |flags: &[&str]| settle(flags).expect("enough").seeds;
    assert!(seeds(&[]) && seeds(&["--agent", "127.0.0.1:0", "--seed"]));
    assert!(!seeds(&["--agent", "127.0.0.1:0"]));
}

#[test]
fn a_publisher_alone_follows_everything_and_is_no_agent() {
    let settings = settle(&["--publish-only"]).expect("enough");
    assert!(settings.publish_only && settings.all_renditions && settings.seeds);
    assert_eq!(settings.udp.port(), 0);
    assert!(matches!(settle(&["--publish-only", "--agent", "127.0.0.1:7"]), Err(ConfigError::PublishOnly)));
}

#[test]
fn a_relay_needs_an_address_and_a_stream_that_is_seeded() {
    let relay = |flags: &[&str]| settle(flags).map(|settings| settings.relay.expect("a relay"));
    let plain = relay(&["--relay", "192.0.2.1:3478"]).expect("enough");
    assert!(plain.place.addresses.is_empty() && plain.place.ports.count() == 16_384 && plain.cap == 4 << 20);
    let set = [
        "--relay",
        "0.0.0.0:3478",
        "--relay-address",
        "203.0.113.7/10.0.0.7",
        "--relay-ports",
        "50000-50099",
    ];
    let set =
        relay(&[&set[..], &["--relay-allow", "10.0.0.0/8", "--relay-cap", "1M"]].concat()).expect("enough");
    assert_eq!(
        (set.place.addresses.len(), set.place.ports.count(), set.place.allow.len(), set.cap),
        (1, 100, 1, 1 << 20)
    );
    assert!(matches!(relay(&["--relay", "0.0.0.0:3478"]), Err(ConfigError::RelayAddress(_))));
    for (flag, text) in [("--relay-address", "x"), ("--relay-ports", "1-2"), ("--relay-allow", "10.0.0.1/8")]
    {
        let said = relay(&["--relay", "192.0.2.1:1", flag, text]).expect_err("refused").to_string();
        assert!(said.starts_with(flag), "{said}");
        let said = settle(&[flag, text]).expect_err("refused").to_string();
        assert!(said.contains("--relay too"), "{said}");
    }
    for other in [&["--publish-only"][..], &["--agent", "127.0.0.1:7"]] {
        let flags = [&["--relay", "192.0.2.1:3478"][..], other].concat();
        assert!(matches!(settle(&flags), Err(ConfigError::RelayAlone)), "{other:?}");
    }
    let cap = |text: &str| relay(&["--relay", "192.0.2.1:1", "--relay-cap", text]).map(|relay| relay.cap);
    assert!(matches!(cap("65535"), Err(ConfigError::TooLittle("relay-cap", _))));
    assert_eq!(
        (cap("64K").expect("the least"), cap("65537").expect("more")),
        (MIN_RELAY_CAP, MIN_RELAY_CAP + 1)
    );
}

#[test]
fn amounts_are_read_with_their_unit() {
    for (text, bytes) in [("0", 0), ("1023", 1023), ("2K", 2048), ("512M", 512 << 20), ("3g", 3 << 30)] {
        assert_eq!(text.parse::<Amount>().expect(text), Amount(bytes));
    }
    for wrong in ["", "K", "-1", "1.5M", "9T", "99999999999999999999", "99999999999G"] {
        wrong.parse::<Amount>().expect_err(wrong);
    }
}

#[test]
fn times_are_read_with_their_unit() {
    for (text, seconds) in [("90s", 90), ("12h", 12 * 3600), ("7d", 7 * 86_400), ("1h 30m", 5400)] {
        assert_eq!(text.parse::<Span>().expect(text), Span(Duration::from_secs(seconds)));
    }
    for wrong in ["", "7", "d", "-1s", "11y", "99999999999999999999d"] {
        wrong.parse::<Span>().expect_err(wrong);
    }
}

// R37
#[test]
fn a_cache_has_a_key_a_size_and_a_time() {
    let cache = |extra: &[&str]| {
        let flags = [&["--cache-dir", "d", "--key", "k"], extra].concat();
        settle(&flags).map(|settings| settings.cache.expect("a cache"))
    };
    let plain = cache(&[]).expect("enough");
    assert_eq!((plain.budget, plain.keep), (10 << 30, Duration::from_secs(7 * 86_400)));
    assert_eq!(settle(&[]).expect("enough").cache, None);
    for (flag, at, under) in [("--cache-size", "64M", "65535K"), ("--cache-keep", "1s", "999ms")] {
        cache(&[flag, at]).expect("at the limit");
        let said = cache(&[flag, under]).expect_err("under").to_string();
        assert!(said.contains(flag), "{said}");
        let said = settle(&[flag, at]).expect_err("no directory").to_string();
        assert!(said.contains("--cache-dir"), "{said}");
    }
    let said = settle(&["--cache-dir", "d"]).expect_err("no key").to_string();
    assert!(said.contains("--key"), "{said}");
}

#[test]
fn each_limit_holds_at_under_and_over() {
    settle(&["--memory", "16M"]).expect("at");
    settle(&["--memory", "17M"]).expect("over");
    settle(&["--memory", "15M"]).expect_err("under");
    settle(&["--site-cap", "0"]).expect("none");
    settle(&["--site-cap", "64K"]).expect("at");
    settle(&["--site-cap", "65535"]).expect_err("under");
    settle(&["--drain", "0s"]).expect("under");
    settle(&["--drain", "1h"]).expect("at");
    settle(&["--drain", "3601s"]).expect_err("over");
    assert_eq!(settle(&[]).expect("a default").audit, 8);
    assert_eq!(settle(&["--audit", "0"]).expect("none").audit, 0);
    assert_eq!(settle(&["--audit", "255"]).expect("at").audit, 255);
    let over = ["rillcast-seed", "--audit", "256"];
    assert!(Options::try_parse_from(over).is_err(), "over");
    settle(&["--max-links", "1"]).expect("at");
    settle(&["--max-links", "0"]).expect_err("under");
    let manifests = |n: usize| {
        let options = Options {
            manifest: vec!["http://o.example/m".to_owned(); n],
            signal: Some("ws://s.example/".to_owned()),
            ..Options::default()
        };
        options.settle()
    };
    manifests(MAX_MANIFESTS).expect("at");
    manifests(MAX_MANIFESTS + 1).expect_err("over");
    assert!(matches!(manifests(0), Err(ConfigError::NoManifest)));
}

// R48
#[test]
fn an_origin_has_a_place_and_keys_where_others_can_reach_it() {
    let alone = |extra: &[&str]| {
        let flags = [&["rillcast-seed", "--ingest", "127.0.0.1:7"], extra].concat();
        Options::try_parse_from(flags).expect("flags that exist").settle()
    };
    let dir = ["--ingest-dir", "d"];
    let with = |extra: &[&str]| alone(&[&dir, extra].concat());
    let settings = with(&[]).expect("it needs nothing to seed");
    assert_eq!((settings.signal, settings.manifests.len()), (None, 0));
    let ingest = settings.ingest.expect("an origin");
    assert_eq!(
        (ingest.budget, ingest.retain, ingest.prefix.as_str()),
        (10 << 30, Duration::from_secs(3600), "/")
    );
    assert!(matches!(alone(&[]), Err(ConfigError::NoIngestDir)));
    assert!(matches!(with(&["--manifest", "http://o.example/m"]), Err(ConfigError::NoSignal)));
    assert!(matches!(with(&["--agent", "127.0.0.1:8"]), Err(ConfigError::NoManifest)));
    for (flag, at, under) in [("--ingest-size", "64M", "65535K"), ("--retain", "10s", "9999ms")] {
        with(&[flag, at]).expect("at the limit");
        let said = with(&[flag, under]).expect_err("under").to_string();
        assert!(said.contains(flag), "{said}");
        let said = settle(&[flag, at]).expect_err("no origin").to_string();
        assert!(said.contains("--ingest"), "{said}");
    }
    let open = ["--ingest", "0.0.0.0:7", "--ingest-dir", "d"];
    let said = settle(&open).expect_err("refused").to_string();
    assert!(said.contains("--ingest-keys") && said.contains("--insecure-open"), "{said}");
    settle(&[&open[..], &["--ingest-keys", "k"]].concat()).expect("who pushes has a key");
    settle(&[&open[..], &["--insecure-open"]].concat()).expect("the operator wants it");
}

#[test]
fn tls_has_a_certificate_and_a_plain_port_behind_it() {
    const FILES: [&str; 6] = ["--ingest-cert", "c", "--ingest-cert-key", "k", "--ingest-dir", "d"];
    let with = |extra: &[&str]| settle(&[&FILES, extra].concat());
    let settings = with(&["--ingest-tls", "127.0.0.1:7"]).expect("enough");
    let addresses: Vec<SocketAddr> = settings.ingest.as_ref().expect("an origin").addresses().collect();
    let loopback = |port: u16| SocketAddr::from(([127, 0, 0, 1], port));
    assert_eq!(addresses, [loopback(0), loopback(7)]);
    let both = with(&["--ingest-tls", "127.0.0.1:7", "--ingest", "127.0.0.1:8"]).expect("enough");
    assert_eq!(both.ingest.expect("an origin").listen.port(), 8);
    let refused = |flags: &[&str]| settle(flags).expect_err("refused").to_string();
    let said = refused(&["--ingest-tls", "127.0.0.1:7", "--ingest-dir", "d", "--ingest-cert", "c"]);
    assert!(said.contains("--ingest-cert-key"), "{said}");
    let said = refused(&["--ingest", "127.0.0.1:7", "--ingest-dir", "d", "--ingest-cert", "c"]);
    assert!(said.contains("--ingest-tls"), "{said}");
    assert!(refused(&["--ingest-cert", "c"]).contains("--ingest"));
    // Who may push is asked there too.
    let said = refused(&[&FILES[..], &["--ingest-tls", "0.0.0.0:7"]].concat());
    assert!(said.contains("0.0.0.0:7") && said.contains("--ingest-keys"), "{said}");
}

#[test]
fn what_lies_under_the_public_address_is_pushed_here() {
    let settle = |extra: &[&str]| {
        let base = ["--ingest", "127.0.0.1:7", "--ingest-dir", "d"];
        settle(&[&base, extra].concat())
    };
    let listening = "127.0.0.1:7".parse().expect("an address");
    let url = |text: &str| Url::parse(text).expect("a URL");
    let public = settle(&["--ingest-url", "https://tv.example/live"]).expect("a prefix");
    assert_eq!(public.ingest.as_ref().expect("an origin").prefix, "/live/");
    assert!(public.is_pushed(&url("https://tv.example/live/a/index.m3u8"), listening));
    for other in ["https://tv.example/lively/a", "http://tv.example/live/a", "https://tv.example:8443/live/a"]
    {
        assert!(!public.is_pushed(&url(other), listening), "{other}");
    }
    let plain = settle(&[]).expect("its own address");
    assert!(plain.is_pushed(&url("http://127.0.0.1:7/a/index.m3u8"), listening));
    assert!(!plain.is_pushed(&url("http://o.example/a/index.m3u8"), listening));
    for wrong in ["ftp://tv.example/", "tv.example", "https://tv.example/?a=b"] {
        settle(&["--ingest-url", wrong]).expect_err(wrong);
    }
}

#[test]
fn fallbacks_are_pairs_of_prefixes() {
    settle(&[
        "--fallback",
        "http://o.example/=http://b.example/",
        "--fallback",
        "http://o.example/=http://c.example/",
    ])
    .expect("mirrors");
    let said = settle(&["--fallback", "http://b.example/"]).expect_err("one alone").to_string();
    assert!(said.contains("--fallback"), "{said}");
}

#[test]
fn urls_are_of_the_right_kind() {
    for (flag, wrong) in
        [("--signal", "http://s.example/"), ("--manifest", "file:///m"), ("--signal", "nonsense")]
    {
        let mut flags = BASE.to_vec();
        let at = flags.iter().position(|f| *f == flag).expect("there");
        flags[at + 1] = wrong;
        Options::try_parse_from(flags).expect("flags that exist").settle().expect_err(wrong);
    }
}

#[test]
fn flags_go_before_the_file() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("seed.toml");
    std::fs::write(&path, "site = \"file\"\nmemory = \"64M\"\nmax-links = 9\nall-renditions = true\n")
        .expect("written");
    let path = path.to_str().expect("UTF-8").to_owned();
    let settings = settle(&["--config", &path, "--site", "flag"]).expect("enough");
    assert_eq!((settings.site.as_str(), settings.memory, settings.max_links), ("flag", 64 << 20, 9));
    assert!(settings.all_renditions);
    std::fs::write(&path, "sites = 1\n").expect("written");
    let said = settle(&["--config", &path]).expect_err("a key that isn't there").to_string();
    assert!(said.contains("sites"), "{said}");
}

#[test]
fn the_readme_has_every_setting() {
    let readme = include_str!("../../README.md");
    for arg in Options::command().get_arguments() {
        let Some(flag) = arg.get_long().filter(|l| !["help", "version"].contains(l)) else { continue };
        assert!(readme.contains(&format!("| `--{flag}`")), "README.md lacks --{flag}");
        let variable = arg.get_env().and_then(|e| e.to_str()).expect("each has a variable");
        assert!(readme.contains(&format!("`{variable}`")), "README.md lacks {variable}");
    }
}

// What the package brings is what the program understands, with the examples in it as well.
#[test]
fn the_packages_settings_say_what_they_lack_and_work_once_filled_in() {
    let shipped = include_str!("../../packaging/seed.toml");
    let options: Options = toml::from_str(shipped).expect("keys that exist");
    assert!(matches!(options.settle(), Err(ConfigError::NoManifest)));
    let filled = shipped.lines().map(|line| match line.strip_prefix('#') {
        Some(example) if !example.starts_with(' ') => example,
        _ => line,
    });
    let filled: Options = toml::from_str(&filled.collect::<Vec<_>>().join("\n")).expect("keys that exist");
    let settings = filled.settle().expect("enough");
    assert!(settings.cache.is_some() && settings.key.is_some() && settings.token_file.is_some());
}
