//! Several publishers of one stream that know of each other: who fetches what, and who steps in (R31, R32).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use rillcast_protocol::id::{PublisherKey, SegmentKey};
use rillcast_publisher::order::LEAST_STAGGER;
use rillcast_publisher::{Config, Event, Order, Publisher, PublishingKey, track_id};
use tokio::sync::mpsc;

use crate::kit::{Answer, Origin, PATIENCE, SWARM, body, playlist};

/// Segments that the playlist names.
const WINDOW: u64 = 16;

/// Of a stream of which the newest segment is so many.
async fn origin() -> (Origin, Arc<AtomicU64>) {
    let end = Arc::new(AtomicU64::new(10));
    let of = Arc::clone(&end);
    let origin = Origin::start(move |ask| match ask.path.as_str() {
        "/v.m3u8" => Answer::ok(playlist(of.load(Relaxed).saturating_sub(WINDOW)..of.load(Relaxed), false)),
        path => Answer::ok(body(path)),
    })
    .await;
    (origin, end)
}

struct Node {
    publisher: Publisher,
    events: mpsc::Receiver<Event>,
}

/// A publisher that knows these to be live, with its key made of a number. It checks nobody.
fn node(origin: &Origin, own: u8, live: &[PublisherKey]) -> Node {
    let config = Config { backlog: 0, audit: 0, ..Config::default() };
    let (publisher, events) =
        Publisher::new(PublishingKey::from_seed(&[own; 32]), config).expect("publisher");
    publisher.share(SWARM, Order::new(publisher.key(), live));
    publisher.follow(SWARM, &origin.url("/v.m3u8"), &origin.allow()).expect("follows");
    Node { publisher, events }
}

fn key(origin: &Origin, number: u64) -> SegmentKey {
    SegmentKey { track: track_id(&origin.url("/v.m3u8")), number, discontinuity: 0, part: 0 }
}

impl Node {
    async fn published(&mut self) -> Box<rillcast_publisher::Published> {
        loop {
            let event = tokio::time::timeout(PATIENCE, self.events.recv()).await;
            if let Event::Published(published) = event.expect("in time").expect("open") {
                return published;
            }
        }
    }
}

fn public(n: u8) -> PublisherKey {
    PublishingKey::from_seed(&[n; 32]).public()
}

#[tokio::test]
async fn each_segment_is_fetched_by_whoever_comes_first_and_by_the_next_if_that_one_does_nothing() {
    let (origin, end) = origin().await;
    let both = [public(1), public(2)];
    let mut one = node(&origin, 1, &both);
    // The second publisher says nothing: it is named, and isn't there.
    let order = Order::new(public(1), &both);
    while origin.count("/v.m3u8") == 0 {
        tokio::task::yield_now().await;
    }
    let mut signed = Vec::new();
    let mut since = std::time::Instant::now();
    let (mut first, mut later) = (Vec::new(), Vec::new());
    while first.is_empty() || later.is_empty() {
        let number = end.fetch_add(1, Relaxed);
        let digest = one.published().await.digest;
        assert_eq!(digest.key, key(&origin, number), "in its turn");
        let rank = order.rank(digest.key);
        if rank == 0 {
            first.push(since.elapsed())
        } else {
            later.push(since.elapsed())
        }
        since = std::time::Instant::now();
        signed.push(number);
    }
    assert!(later.iter().all(|waited| *waited >= LEAST_STAGGER), "{later:?}");
    for number in signed {
        assert_eq!(origin.count(&format!("/{number}.ts")), 1);
    }
}

#[tokio::test]
async fn what_the_other_has_signed_is_not_fetched_unless_it_is_asked_for() {
    let (origin, end) = origin().await;
    let both = [public(1), public(2)];
    let (mut one, mut two) = (node(&origin, 1, &both), node(&origin, 2, &both));
    while origin.count("/v.m3u8") < 2 {
        tokio::task::yield_now().await;
    }
    let mut theirs = Vec::new();
    for _ in 0..8 {
        let number = end.fetch_add(1, Relaxed);
        // Each tells the other at once.
        tokio::select! {
            published = one.published() => two.publisher.note(&published.digest),
            published = two.published() => {
                one.publisher.note(&published.digest);
                theirs.push(number);
            }
        }
    }
    tokio::time::sleep(LEAST_STAGGER + Duration::from_millis(300)).await;
    assert!((10..18).all(|n| origin.count(&format!("/{n}.ts")) == 1), "each once, by either");
    // If its bytes are to be had of nobody, that is.
    let last = *theirs.last().expect("an even load");
    one.publisher.bring(SWARM, key(&origin, last));
    while one.published().await.digest.key != key(&origin, last) {}
    assert_eq!(origin.count(&format!("/{last}.ts")), 2);
}

#[tokio::test]
async fn when_another_goes_its_segments_are_fetched_at_once() {
    let (origin, end) = origin().await;
    let many: Vec<PublisherKey> = (1..=16).map(public).collect();
    let mut one = node(&origin, 1, &many);
    while origin.count("/v.m3u8") == 0 {
        tokio::task::yield_now().await;
    }
    let order = Order::new(public(1), &many);
    let number = (10..).find(|n| order.rank(key(&origin, *n)) > 2).expect("soon");
    end.store(number + 1, Relaxed);
    one.publisher.look("/v.m3u8");
    let looks = origin.count("/v.m3u8");
    while origin.count("/v.m3u8") < looks + 2 {
        tokio::task::yield_now().await;
    }
    assert_eq!(origin.count(&format!("/{number}.ts")), 0);
    let since = std::time::Instant::now();
    one.publisher.share(SWARM, Order::alone(public(1)));
    while one.published().await.digest.key != key(&origin, number) {}
    assert!(since.elapsed() < LEAST_STAGGER, "it would have waited for three of these");
}
