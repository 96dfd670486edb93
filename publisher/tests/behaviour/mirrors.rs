//! Origins that fail, and mirrors that stand in for them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rillcast_publisher::{AllowList, Config, Event, Mirrors};

use crate::kit::{Answer, Bench, Origin, SWARM, body, playlist};

/// A server of the stream: what it lists, and whether it is out of order.
struct Server {
    origin: Origin,
    end: Arc<AtomicU64>,
    down: Arc<AtomicBool>,
}

impl Server {
    async fn start(under: &'static str, end: u64) -> Self {
        let (counter, broken) = (Arc::new(AtomicU64::new(end)), Arc::new(AtomicBool::new(false)));
        let (end, down) = (Arc::clone(&counter), Arc::clone(&broken));
        let origin = Origin::start(move |ask| {
            let Some(name) = ask.path.strip_prefix(under) else { return Answer::status(404) };
            if broken.load(Ordering::SeqCst) {
                return Answer::status(503);
            }
            match name {
                "v.m3u8" => {
                    let end = counter.load(Ordering::SeqCst);
                    Answer::ok(playlist(end - 6..end, false))
                }
                name => Answer::ok(body(name)),
            }
        })
        .await;
        Self { origin, end, down }
    }

    fn publishes(&self, end: u64) {
        self.end.store(end, Ordering::SeqCst);
    }
}

async fn pair() -> (Server, Server, Bench, Arc<AllowList>) {
    let (first, second) = (Server::start("/live/", 100).await, Server::start("/backup/", 100).await);
    let pair = format!("{}={}", first.origin.url("/live/"), second.origin.url("/backup/"));
    let mirrors = Arc::new(Mirrors::new([pair]).expect("a mirror"));
    let bench = Bench::new(Config { mirrors, backlog: 1, playlists: true, ..Config::default() });
    let allow = AllowList::new([first.origin.url("/"), second.origin.url("/")]).expect("prefixes");
    (first, second, bench, Arc::new(allow))
}

// R33 R46 H12
#[tokio::test]
async fn when_the_origin_fails_its_mirror_goes_on_and_each_segment_is_fetched_once() {
    let (first, second, mut bench, allow) = pair().await;
    bench.publisher.follow(SWARM, &first.origin.url("/live/v.m3u8"), &allow).expect("follows");
    assert_eq!(bench.published().await.digest.key.number, 99);
    first.down.store(true, Ordering::SeqCst);
    for number in 100..103 {
        [&first, &second].iter().for_each(|server| server.publishes(number + 1));
        let published = bench.published().await;
        assert_eq!(published.digest.key.number, number);
        assert_eq!(published.body, body(&format!("{number}.ts")));
        assert_eq!(
            published.url.as_str(),
            first.origin.url(&format!("/live/{number}.ts")),
            "known by its origin"
        );
        assert_eq!(second.origin.count(&format!("/backup/{number}.ts")), 1);
    }
    assert_eq!(second.origin.count("/backup/99.ts"), 0, "what is here isn't fetched again");
    first.down.store(false, Ordering::SeqCst);
    // Once it has rested, the origin is asked again, and the mirror no more.
    let mut number = 103;
    while first.origin.count(&format!("/live/{}.ts", number - 1)) == 0 {
        [&first, &second].iter().for_each(|server| server.publishes(number + 1));
        assert_eq!(bench.published().await.digest.key.number, number);
        number += 1;
    }
}

#[tokio::test]
async fn a_mirror_that_lags_makes_nothing_begin_anew() {
    let (first, second, mut bench, allow) = pair().await;
    second.publishes(98);
    bench.publisher.follow(SWARM, &first.origin.url("/live/v.m3u8"), &allow).expect("follows");
    assert_eq!(bench.published().await.digest.key.number, 99);
    first.down.store(true, Ordering::SeqCst);
    while second.origin.count("/backup/v.m3u8") < 2 {
        tokio::task::yield_now().await;
    }
    second.publishes(101);
    let next = loop {
        match bench.next().await {
            Event::Published(published) => break published,
            Event::Playlist { playlist, .. } => {
                assert_eq!(playlist.segments.last().map(|s| s.key.number), Some(100))
            }
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(next.digest.key.number, 100);
    assert_eq!(second.origin.count("/backup/97.ts"), 0, "none of what it had earlier is fetched");
}

#[tokio::test]
async fn a_mirror_is_asked_for_what_the_origin_alone_lacks() {
    let (first, second, _, allow) = pair().await;
    let from = first.origin.url("/live/").replace("/live/", "/gone/");
    let mirrors = Mirrors::new([format!("{from}={}", second.origin.url("/backup/"))]).expect("a mirror");
    let mut bench = Bench::new(Config { mirrors: Arc::new(mirrors), ..Config::default() });
    bench.publisher.follow(SWARM, &format!("{from}v.m3u8"), &allow).expect("follows");
    assert_eq!(bench.numbers(3).await, [97, 98, 99]);
    let asked = [97, 98, 99].map(|n| first.origin.count(&format!("/gone/{n}.ts")));
    assert_eq!(asked, [1, 1, 1], "each place is asked once");
}
