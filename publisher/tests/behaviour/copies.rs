//! Copies that outlast a publisher: what there is a true one of isn't fetched again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use rillcast_protocol::digest::SegmentDigest;
use rillcast_protocol::id::{SegmentKey, SwarmId};
use rillcast_publisher::copies::Wanted;
use rillcast_publisher::ledger::Place;
use rillcast_publisher::{Came, Config, Copies, Event};

use crate::kit::{Answer, Bench, Origin, SWARM, body, playlist};

/// Copies in memory, which outlast a publisher as files outlast a program.
#[derive(Debug, Default)]
struct Shelf {
    kept: Mutex<HashMap<SegmentKey, (Place, SegmentDigest, Bytes)>>,
    asked: Mutex<Vec<Wanted>>,
}

impl Copies for Shelf {
    fn length(&self, _: SwarmId, key: SegmentKey) -> Option<u64> {
        self.kept.lock().expect("whole").get(&key).map(|(_, _, body)| body.len() as u64)
    }

    fn read(&self, wanted: &Wanted) -> Option<(SegmentDigest, Bytes)> {
        self.asked.lock().expect("whole").push(*wanted);
        let kept = self.kept.lock().expect("whole");
        let (place, digest, body) = kept.get(&wanted.key)?;
        (*place == wanted.place).then(|| (digest.clone(), body.clone()))
    }

    fn keep(&self, place: Place, digest: &SegmentDigest, body: &Bytes) {
        self.kept.lock().expect("whole").insert(digest.key, (place, digest.clone(), body.clone()));
    }

    fn forget(&self, _: SwarmId, key: SegmentKey) {
        self.kept.lock().expect("whole").remove(&key);
    }
}

fn config(shelf: &Arc<Shelf>) -> Config {
    Config { backlog: 1, playlists: true, copies: Some(Arc::clone(shelf) as _), ..Config::default() }
}

async fn origin(ended: bool) -> Origin {
    Origin::start(move |ask| match ask.path.as_str() {
        "/v.m3u8" => Answer::ok(playlist(10..16, ended)),
        path => Answer::ok(body(path)),
    })
    .await
}

// R31 H12
#[tokio::test]
async fn what_there_are_copies_of_is_told_again_and_not_fetched_again() {
    let (origin, shelf) = (origin(false).await, Arc::new(Shelf::default()));
    let url = origin.url("/v.m3u8");
    let first = {
        let mut bench = Bench::new(Config { backlog: 4, ..config(&shelf) });
        bench.publisher.follow(SWARM, &url, &origin.allow()).expect("follows");
        bench.numbers(4).await
    };
    assert_eq!(first, [12, 13, 14, 15]);
    let lost = shelf.kept.lock().expect("whole").keys().find(|key| key.number == 13).copied();
    shelf.forget(SWARM, lost.expect("it was kept"));
    // A new one, with the backlog of a seed: the newest alone. The swarm tells it of what it signed before.
    let mut bench = Bench::new(config(&shelf));
    let told: Vec<_> =
        shelf.kept.lock().expect("whole").values().map(|(_, digest, _)| digest.clone()).collect();
    told.iter().for_each(|digest| bench.publisher.note(digest));
    bench.publisher.follow(SWARM, &url, &origin.allow()).expect("follows");
    for _ in 0..3 {
        let published = bench.published().await;
        let number = published.digest.key.number;
        assert!(
            published.came == Came::Copied && published.body == body(&format!("/{number}.ts")),
            "{number}"
        );
    }
    for number in 12..16 {
        assert_eq!(origin.count(&format!("/{number}.ts")), 1, "{number}");
    }
    // A live segment's copy may be no older than its place in the playlist says.
    let asked = shelf.asked.lock().expect("whole").clone();
    assert!(asked.iter().all(|w| w.oldest.is_some_and(|age| age < Duration::from_secs(60))), "{asked:?}");
}

#[tokio::test]
async fn a_copy_counts_for_the_place_that_it_came_from() {
    let shelf = Arc::new(Shelf::default());
    for (name, copies) in [("", 0), ("", 6), ("elsewhere/", 5)] {
        let origin = Origin::start(move |ask| match ask.path.as_str() {
            "/v.m3u8" => Answer::ok(playlist(10..16, true).replace("12.ts", &format!("{name}12.ts"))),
            path => Answer::ok(body(path)),
        })
        .await;
        let mut bench = Bench::new(config(&shelf));
        bench.publisher.follow(SWARM, &origin.url("/v.m3u8"), &origin.allow()).expect("follows");
        let mut found = 0;
        for _ in 0..6 {
            found += usize::from(bench.published().await.came == Came::Copied);
        }
        assert_eq!(found, copies, "{name}");
        assert_eq!(origin.count(&format!("/{name}12.ts")), usize::from(copies < 6));
    }
    let asked = shelf.asked.lock().expect("whole").clone();
    assert!(asked.iter().all(|w| w.oldest.is_none()), "what a finished playlist names doesn't change");
}

#[tokio::test]
async fn a_recalled_segment_comes_from_its_copy_or_not_at_all() {
    let (origin, shelf) = (origin(true).await, Arc::new(Shelf::default()));
    let mut bench = Bench::new(config(&shelf));
    let track = bench.publisher.follow(SWARM, &origin.url("/v.m3u8"), &origin.allow()).expect("follows");
    assert_eq!(bench.numbers(6).await, (10..16).collect::<Vec<_>>());
    let key = |number| SegmentKey { track, number, discontinuity: 0, part: 0 };
    shelf.forget(SWARM, key(11));
    for number in [11, 12, 99] {
        bench.publisher.recall(SWARM, key(number));
    }
    let published = bench.published().await;
    assert_eq!((published.digest.key.number, published.came), (12, Came::Copied));
    bench.publisher.recall(SWARM, key(14));
    match bench.next().await {
        Event::Published(published) => {
            assert_eq!(published.digest.key.number, 14, "nothing came of the others")
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(origin.count("/11.ts"), 1, "the origin isn't asked");
}
