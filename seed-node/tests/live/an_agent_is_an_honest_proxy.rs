//! R1 R24 R51: what native players send through an agent reaches the origin, and its answer reaches them; for nobody else, and nowhere else.
//! Signaling is away throughout, and nobody is the worse for it (R52).

use crate::support;

use std::time::Duration;

use bytes::Bytes;
use rillcast_seed::agent::tally::Outcome;
use support::agent::{Agent, Client, NO_SIGNAL, path};
use support::byte;
use support::files::{Entry, Files};

const MEDIA: &str = "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\n0.ts\n#EXTINF:4,\n1.ts\n#EXT-X-ENDLIST\n";

fn bytes(seed: u32, length: usize) -> Bytes {
    (0..length).map(|at| byte(seed, at)).collect::<Vec<_>>().into()
}

/// An origin with a film of two segments.
async fn film() -> (Files, Agent) {
    let files = Files::start().await;
    files.text("/film/index.m3u8", "application/vnd.apple.mpegurl", MEDIA);
    files.put("/film/0.ts", Entry::File("video/x-own", bytes(1, 100_000)));
    files.put("/film/1.ts", Entry::File("video/x-own", bytes(2, 100_001)));
    let agent = Agent::start(&files.url("/film/index.m3u8"), NO_SIGNAL, &[]).await;
    (files, agent)
}

// R51
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_file_comes_through_and_can_be_resumed() {
    let (files, agent) = film().await;
    let image = bytes(7, 9_000_000);
    files.put("/image.iso", Entry::File("application/x-iso", image.clone()));
    let url = files.url("/image.iso?mirror=1");
    let whole = agent.get(&url, &[]).await;
    assert_eq!((whole.status, whole.header("content-type")), (200, "application/x-iso"));
    assert!(whole.body == image);
    let mut client = Client::connect(agent.address()).await;
    let head = client.ask("HEAD", &path(&url), &[]).await;
    assert_eq!(
        (head.status, head.header("content-length"), head.header("accept-ranges")),
        (200, "9000000", "bytes")
    );
    // It breaks off in the middle, and goes on from there.
    client.say("GET", &path(&url), &[]).await;
    client.head().await;
    let begun = client.take(3_000_000).await;
    drop(client);
    let rest = agent.get(&url, &[("range", "bytes=3000000-")]).await;
    assert_eq!((rest.status, rest.header("content-range")), (206, "bytes 3000000-8999999/9000000"));
    assert!([begun, rest.body].concat() == image);
    let over = agent.get(&url, &[("range", "bytes=9000000-")]).await;
    assert_eq!((over.status, over.header("content-range")), (416, "bytes */9000000"));
    assert_eq!(files.asked("/image.iso")[0].target, "/image.iso?mirror=1");
}

// R1
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ranges_of_a_segment_at_under_and_over_its_limits() {
    let (files, agent) = film().await;
    agent.get(&files.url("/film/index.m3u8"), &[]).await;
    let (url, segment) = (files.url("/film/0.ts"), files.file("/film/0.ts"));
    for (range, from, to) in [
        ("bytes=0-", 0, 100_000),
        ("bytes=0-0", 0, 1),
        ("bytes=0-99999", 0, 100_000),
        ("bytes=0-100000", 0, 100_000),
        ("bytes=32767-32768", 32767, 32769),
        ("bytes=99999-", 99_999, 100_000),
        ("bytes=-1", 99_999, 100_000),
        ("bytes=-100000", 0, 100_000),
        ("bytes=-100001", 0, 100_000),
    ] {
        let answer = agent.get(&url, &[("range", range)]).await;
        assert_eq!(answer.status, 206, "{range}");
        assert_eq!(answer.header("content-range"), format!("bytes {from}-{}/100000", to - 1), "{range}");
        assert_eq!(answer.header("content-length"), (to - from).to_string(), "{range}");
        assert!(answer.body == segment[from..to], "{range}");
    }
    for range in ["bytes=100000-", "bytes=-0"] {
        let answer = agent.get(&url, &[("range", range)]).await;
        assert_eq!((answer.status, answer.header("content-range")), (416, "bytes */100000"), "{range}");
    }
    let whole = agent.get(&url, &[("range", "bytes=0-1,4-5")]).await;
    assert_eq!((whole.status, whole.header("accept-ranges")), (200, "bytes"));
    assert!(whole.body == segment);
    assert_eq!(agent.requests(Outcome::FellBack), 0, "all of them by way of the engine");
    assert_eq!(files.asked("/film/0.ts").len(), 1, "which has fetched it once");
    let head = Client::connect(agent.address()).await.ask("HEAD", &path(&url), &[]).await;
    assert_eq!((head.status, head.header("content-length")), (200, "100000"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_segment_for_two_at_once_is_fetched_once_on_connections_that_are_kept() {
    let (files, agent) = film().await;
    let mut one = Client::connect(agent.address()).await;
    let mut two = Client::connect(agent.address()).await;
    for client in [&mut one, &mut two] {
        assert_eq!(client.ask("GET", &path(&files.url("/film/index.m3u8")), &[]).await.text(), MEDIA);
    }
    let second = path(&files.url("/film/1.ts"));
    let (a, b) = tokio::join!(one.ask("GET", &second, &[]), two.ask("GET", &second, &[]));
    assert!(a.body == files.file("/film/1.ts") && b.body == a.body);
    assert_eq!(files.asked("/film/1.ts").len(), 1);
    assert_eq!(one.ask("GET", &path(&files.url("/film/1.ts")), &[]).await.body, a.body);
    assert_eq!(files.asked("/film/1.ts").len(), 1, "nor again later");
    assert_eq!(agent.connections(), 2, "all of it over two connections");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cookies_and_authorization_reach_the_origin_and_no_other_one() {
    let (files, agent) = film().await;
    let mine = [
        ("cookie", "session=1"),
        ("authorization", "Bearer x"),
        ("x-player", "mine"),
        ("user-agent", "Lavf"),
        ("connection", "keep-alive, x-hop"),
        ("x-hop", "1"),
    ];
    agent.get(&files.url("/film/index.m3u8?t=1"), &mine).await;
    agent.get(&files.url("/film/0.ts"), &mine).await;
    for name in ["/film/index.m3u8", "/film/0.ts"] {
        let asked = files.asked(name);
        let headers = &asked[0].headers;
        for (name, value) in &mine[..4] {
            assert_eq!(headers.get(*name).map(|v| v.to_str().expect("text")), Some(*value));
        }
        assert!(headers.get("x-hop").is_none() && headers.get("range").is_none());
        assert_eq!(headers.get("host").expect("named").to_str().expect("text"), files.address.to_string());
    }
    files.put("/login", Entry::Cookie("session=2; Domain=127.0.0.1; Path=/film; Secure; HttpOnly"));
    let answer = agent.get(&files.url("/login"), &[]).await;
    assert_eq!(
        answer.header("set-cookie"),
        format!("session=2; Path=/http/{}/film; HttpOnly", files.address)
    );
    assert_eq!(answer.header("access-control-allow-origin"), "", "no page may read it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_is_no_open_proxy() {
    let (files, agent) = film().await;
    let elsewhere = Files::start().await;
    elsewhere.text("/secret", "text/plain", "inside");
    let refused = agent.get(&elsewhere.url("/secret"), &[]).await;
    assert_eq!(refused.status, 403);
    assert!(refused.text().contains("--allow"), "{}", refused.text());
    let own = path(&files.url("/film/index.m3u8"));
    for host in ["evil.example", "localhost.evil.example", "192.0.2.1", "a@localhost"] {
        let answer = Client::connect(agent.address()).await.named(host).ask("GET", &own, &[]).await;
        assert_eq!(answer.status, 421, "DNS rebinding: {host}");
    }
    for host in ["localhost", "localhost:1", "[::1]:2", "127.0.0.1"] {
        let answer = Client::connect(agent.address()).await.named(host).ask("GET", &own, &[]).await;
        assert_eq!(answer.status, 200, "{host}");
    }
    let forward = [elsewhere.url("/secret"), files.url("/film/0.ts")];
    for target in &forward {
        let host = target.split('/').nth(2).expect("a host");
        for named in [host.to_owned(), agent.address().to_string(), "evil.example".to_owned()] {
            let answer = Client::connect(agent.address()).await.named(&named).ask("GET", target, &[]).await;
            assert!(matches!(answer.status, 404 | 421), "{target} by way of {named}: {}", answer.status);
        }
    }
    for target in ["/ftp/h/x", "/http/u@h/x", "/film/0.ts", "/http/", "//"] {
        assert_eq!(
            Client::connect(agent.address()).await.ask("GET", target, &[]).await.status,
            404,
            "{target}"
        );
    }
    for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
        let answer = Client::connect(agent.address()).await.ask(method, &own, &[]).await;
        assert_eq!((answer.status, answer.header("allow")), (405, "GET, HEAD"), "{method}");
    }
    // An origin that would send the engine there is told no, and its player goes by itself.
    files.put("/film/0.ts", Entry::Redirect(elsewhere.url("/secret")));
    let answer = agent.get(&files.url("/film/0.ts"), &[]).await;
    assert_eq!((answer.status, answer.header("location")), (302, elsewhere.url("/secret").as_str()));
    assert!(elsewhere.asked("/secret").is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redirect_is_passed_on_and_leads_back_to_the_agent() {
    let (files, agent) = film().await;
    files.put("/start", Entry::Redirect("/film/index.m3u8?t=9".to_owned()));
    let answer = agent.get(&files.url("/start"), &[]).await;
    let target = path(&files.url("/film/index.m3u8?t=9"));
    assert_eq!((answer.status, answer.header("location")), (302, target.as_str()));
    files.put("/film/1.ts", Entry::Redirect("/other.ts".to_owned()));
    files.put("/other.ts", Entry::File("video/mp2t", bytes(5, 70_000)));
    agent.get(&files.url("/film/index.m3u8"), &[]).await;
    let answer = agent.get(&files.url("/film/1.ts"), &[]).await;
    assert_eq!(answer.status, 200, "what the engine fetches is followed, within what is allowed");
    assert!(answer.body == files.file("/other.ts"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_origin_says_is_said() {
    let (files, agent) = film().await;
    agent.get(&files.url("/film/index.m3u8"), &[]).await;
    for status in [401, 403, 404, 410, 429, 500, 503] {
        for name in ["/film/0.ts", "/film/index.m3u8", "/else"] {
            files.put(name, Entry::Status(status, "the origin's own words"));
            let answer = agent.get(&files.url(name), &[]).await;
            assert_eq!((answer.status, answer.text()), (status, "the origin's own words"), "{name}");
            assert_eq!(answer.header("x-own"), "word");
        }
    }
    files.text("/film/index.m3u8", "application/vnd.apple.mpegurl", "<html>not a playlist</html>");
    assert_eq!(agent.get(&files.url("/film/index.m3u8"), &[]).await.text(), "<html>not a playlist</html>");
    let gone = Files::start().await.address;
    let agent = Agent::start(&format!("http://127.0.0.1:9/{gone}.m3u8"), NO_SIGNAL, &[]).await;
    let answer = agent.get("http://127.0.0.1:9/x", &[]).await;
    assert_eq!(answer.status, 502);
    assert!(answer.text().contains("is that server up"), "{}", answer.text());
}

// R1
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn absolute_urls_in_playlists_lead_to_the_agent_and_their_segments_to_the_engine() {
    let (files, cdn) = (Files::start().await, Files::start().await);
    let master = format!(
        "#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"a\",URI=\"{}\"\n#EXT-X-STREAM-INF:BANDWIDTH=1\n{}\n",
        cdn.url("/sound.m3u8?t=1"),
        cdn.url("/low.m3u8?t=1")
    );
    files.text("/live/master.m3u8", "audio/mpegurl", &master);
    let low = format!(
        "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXT-X-KEY:METHOD=AES-128,URI=\"{}\"\n#EXTINF:4,\n{}\n#EXT-X-ENDLIST\n",
        cdn.url("/key"),
        cdn.url("/0.ts?t=1")
    );
    // By its type alone, and asked for as a range, as by a player that doesn't know what it is.
    cdn.text("/low.m3u8", "application/vnd.apple.mpegurl", &low);
    cdn.put("/0.ts", Entry::File("video/mp2t", bytes(3, 50_000)));
    let agent = Agent::start(&files.url("/live/master.m3u8"), NO_SIGNAL, &["--allow", &cdn.url("/")]).await;
    let seen = agent.get(&files.url("/live/master.m3u8?t=1"), &[("range", "bytes=0-")]).await;
    assert_eq!((seen.status, seen.header("content-type")), (200, "audio/mpegurl"));
    assert_eq!(seen.text(), master.replace("http://", "/http/"));
    let seen = agent.get(&cdn.url("/low.m3u8?t=1"), &[]).await;
    assert_eq!(seen.text(), low.replace("http://", "/http/"));
    assert!(agent.get(&cdn.url("/0.ts?t=1"), &[]).await.body == cdn.file("/0.ts"));
    assert_eq!(agent.requests(Outcome::Shared), 1);
    assert_eq!(agent.brought(), (50_000, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_player_that_hangs_up_cancels_what_it_asked_for() {
    let (files, agent) = film().await;
    agent.get(&files.url("/film/index.m3u8"), &[]).await;
    files.put("/film/0.ts", Entry::Half(bytes(1, 100_000)));
    let mut client = Client::connect(agent.address()).await;
    client.say("GET", &path(&files.url("/film/0.ts")), &[]).await;
    let head = client.head().await;
    assert_eq!((head.status, head.header("content-length")), (200, "100000"), "its first bytes are here");
    assert!(client.take(50_000).await == files_half());
    drop(client);
    // The fetch has ended: a new player isn't made to wait for it.
    files.put("/film/0.ts", Entry::File("video/mp2t", bytes(1, 100_000)));
    while agent.requests(Outcome::Cancelled) == 0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let answer = agent.get(&files.url("/film/0.ts"), &[]).await;
    assert!(answer.status == 200 && answer.body == bytes(1, 100_000));
    assert_eq!(files.asked("/film/0.ts").len(), 2);
}

fn files_half() -> Bytes {
    bytes(1, 100_000).slice(..50_000)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_looks_at_it_is_told_what_to_open() {
    let (files, agent) = film().await;
    let index = Client::connect(agent.address()).await.ask("GET", "/", &[]).await;
    assert!(index.text().contains(&agent.local(&files.url("/film/index.m3u8"))), "{}", index.text());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_player_that_does_not_read_holds_the_origin_back() {
    let (files, agent) = film().await;
    files.put("/image.iso", Entry::File("application/x-iso", vec![7; 100_000_000].into()));
    let mut client = Client::connect(agent.address()).await;
    client.say("GET", &path(&files.url("/image.iso")), &[]).await;
    client.head().await;
    let passed = || agent.running().tally.passed_bytes.load(std::sync::atomic::Ordering::Relaxed);
    let mut before = 0;
    while passed() == 0 || passed() > before {
        before = passed();
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    assert!(passed() < 50_000_000, "{} bytes are on their way to nobody", passed());
    assert!(client.take(99_000_000).await.iter().all(|b| *b == 7), "and go on when it does");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_are_bounded_and_more_wait_their_turn() {
    let (_files, agent) = film().await;
    let mut clients = Vec::new();
    for _ in 0..256 {
        let mut client = Client::connect(agent.address()).await;
        assert_eq!(client.ask("GET", "/", &[]).await.status, 200);
        clients.push(client);
    }
    let mut one_more = Client::connect(agent.address()).await;
    one_more.say("GET", "/", &[]).await;
    assert!(tokio::time::timeout(Duration::from_millis(500), one_more.head()).await.is_err());
    clients.pop();
    assert_eq!(one_more.head().await.status, 200);
}
