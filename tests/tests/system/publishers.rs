//! Whoever publishes may go, come back, be late or lie: segments are shared while somebody vouches for them, and played in any case
//! (R10, R52, H2, H12).

use std::time::Instant;

use rillcast_protocol::id::{Delivery, PeerId, PublisherKey};
use rillcast_seed::node::Node;
use rillcast_signaling::revocation::{Kind, Request};
use rillcast_tests::native::{Site, Stream, Viewer, Visit, site, stream};
use rillcast_tests::trials::arena::unharmed;
use serde_json::json;

const CONTENT: &str = "the stream";

fn visit(site: &Site) -> Visit {
    Visit {
        signal: site.signal(),
        site: site::NAME.to_owned(),
        content: CONTENT.to_owned(),
        delivery: Delivery::Hls,
        token: site.token(&json!({})).unwrap(),
        udp: ([127, 0, 0, 1], 0).into(),
    }
}

async fn seed(site: &Site, stream: &Stream, key: &str) -> Node {
    site.seed(&stream.playlist(), CONTENT, key).await.unwrap()
}

fn comes(site: &Site, stream: &Stream, has_source: bool) -> Viewer {
    Viewer::come(&visit(site), stream, has_source).unwrap()
}

/// Segments of which a viewer has heard a digest by this publisher.
fn signed_by(viewer: &Viewer, publisher: PublisherKey) -> usize {
    viewer.seen.digests.iter().filter(|(_, by, _)| *by == publisher).count()
}

async fn both_play(one: &mut Viewer, two: &mut Viewer, segments: u64) {
    tokio::try_join!(one.plays(segments), two.plays(segments)).unwrap();
}

/// Both play, nobody is harmed, nobody is called a liar but the one who is, and meanwhile each gets something from others.
async fn both_share(one: &mut Viewer, two: &mut Viewer, segments: u64, liar: PeerId) {
    let before = [one.seen.from_peers, two.seen.from_peers];
    both_play(one, two, segments).await;
    for (viewer, before) in [&*one, &*two].into_iter().zip(before) {
        unharmed(viewer, &[liar]).unwrap();
        assert!(viewer.seen.from_peers > before, "nothing was shared: {:?}", viewer.stats());
    }
}

/// The name of a seed that has joined. One that signs what the origin doesn't give hands it to whoever asks: that is a false block.
fn name(node: &Node) -> PeerId {
    node.swarms[0].1.lock().unwrap().peer.unwrap()
}

/// Bytes that a viewer got from others, and gave them.
fn shared(viewer: &Viewer) -> (u64, u64) {
    (viewer.seen.from_peers, viewer.stats().uploaded_bytes)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_publishers_either_will_do_and_one_may_be_killed() {
    let stream = Stream::begin().await.unwrap();
    let site = Site::open("").await.unwrap();
    let one = seed(&site, &stream, "one").await;
    let two = seed(&site, &stream, "two").await;
    assert_ne!(one.publisher, two.publisher);
    // Neither has a source: what they play was published and came from a seed, or from each other.
    let (mut first, mut second) = (comes(&site, &stream, false), comes(&site, &stream, false));
    both_play(&mut first, &mut second, 6).await;
    let refused = site.server.hub.metrics.digests_refused_total.value();
    assert_eq!(refused, 0, "two publishers say the same of a segment, or only one says something");
    let (left, right) = (one.publisher, two.publisher);
    drop(one);
    let before = signed_by(&first, right);
    both_play(&mut first, &mut second, 8).await;
    for viewer in [&first, &second] {
        unharmed(viewer, &[]).unwrap();
        assert_eq!(viewer.seen.from_source, 0);
    }
    assert!(signed_by(&first, right) > before, "the other one publishes");
    println!(
        "digests by the first {}, by the second {}; {} segments played, {} late; the origin gave {} segments of {}",
        signed_by(&first, left),
        signed_by(&first, right),
        first.seen.played,
        first.seen.late,
        stream.served(),
        stream.newest(),
    );
    two.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_publishers_viewers_play_from_the_source_and_share_nothing_until_one_is_back() {
    let stream = Stream::begin().await.unwrap();
    let site = Site::open("").await.unwrap();
    let seeds = [seed(&site, &stream, "one").await, seed(&site, &stream, "two").await];
    let (mut one, mut two) = (comes(&site, &stream, true), comes(&site, &stream, true));
    both_play(&mut one, &mut two, 6).await;
    assert!(one.seen.from_peers + two.seen.from_peers > 0, "they share while there are publishers");
    drop(seeds);
    // What was published before is still shared.
    both_play(&mut one, &mut two, 8).await;
    let before = [&one, &two].map(|viewer| (shared(viewer), viewer.seen.late, viewer.seen.skips));
    both_play(&mut one, &mut two, 5).await;
    for (viewer, before) in [&one, &two].into_iter().zip(before) {
        unharmed(viewer, &[]).unwrap();
        let now = (shared(viewer), viewer.seen.late, viewer.seen.skips);
        assert_eq!(now, before, "nothing that nobody vouches for is shared, and nobody waits");
    }
    let back = seed(&site, &stream, "one").await;
    let (before, then) = ([&one, &two].map(|viewer| viewer.seen.from_peers), Instant::now());
    let shares = |viewer: &Viewer, before: u64| viewer.seen.from_peers > before;
    tokio::try_join!(
        one.until("it shares again", |viewer| shares(viewer, before[0])),
        two.until("it shares again", |viewer| shares(viewer, before[1]))
    )
    .unwrap();
    println!("sharing began again {:.1} s after a publisher was back", then.elapsed().as_secs_f64());
    both_play(&mut one, &mut two, 2).await;
    for viewer in [&one, &two] {
        unharmed(viewer, &[]).unwrap();
    }
    back.stop().await;
}

// H2: a publisher that is let in, and signs what the origin doesn't give.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_publisher_that_lies_is_contradicted_named_and_can_be_sent_away_and_nobody_plays_its_bytes() {
    let stream = Stream::begin().await.unwrap();
    let altered = stream.altered().await.unwrap();
    let site = Site::open("").await.unwrap();
    let _honest = seed(&site, &stream, "honest").await;
    let (mut one, mut two) = (comes(&site, &stream, true), comes(&site, &stream, true));
    both_play(&mut one, &mut two, 4).await;
    let liar = seed(&site, &altered, "liar").await;
    let disputes = || site.server.hub.metrics.disputes_total.value();
    while disputes() < 3 {
        both_play(&mut one, &mut two, 1).await;
    }
    // One word against another: nobody can tell who lies, so nothing is shared any more.
    both_play(&mut one, &mut two, 4).await;
    let before = [&one, &two].map(|viewer| (shared(viewer), viewer.seen.late));
    both_play(&mut one, &mut two, 4).await;
    for (viewer, before) in [&one, &two].into_iter().zip(before) {
        unharmed(viewer, &[name(&liar)]).unwrap();
        assert_eq!((shared(viewer), viewer.seen.late), before, "played from the source, and in time");
    }
    println!("{} segments with two meanings", disputes());
    // Who of the two it is, the operator can see by looking; viewers can't, so it takes the operator to share again.
    let peer = name(&liar);
    let request = Request { kind: Kind::Peer, name: peer.to_string(), until: None, why: None };
    site.server.hub.revoke(site::NAME, request).unwrap();
    both_play(&mut one, &mut two, 8).await;
    both_share(&mut one, &mut two, 3, peer).await;
}

// H2: of one against two, the two are believed, and within seconds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_publisher_that_lies_among_three_is_outvoted_and_sharing_goes_on() {
    let stream = Stream::begin().await.unwrap();
    let altered = stream.altered().await.unwrap();
    let site = Site::open("").await.unwrap();
    let honest = [seed(&site, &stream, "one").await, seed(&site, &stream, "two").await];
    let (mut one, mut two) = (comes(&site, &stream, true), comes(&site, &stream, true));
    let both = |viewer: &Viewer| honest.iter().all(|node| signed_by(viewer, node.publisher) > 0);
    tokio::try_join!(one.until("both count", both), two.until("both count", both)).unwrap();
    let liar = seed(&site, &altered, "liar").await;
    let disputes = || site.server.hub.metrics.disputes_total.value();
    while disputes() == 0 {
        both_play(&mut one, &mut two, 1).await;
    }
    let liar = name(&liar);
    for _ in 0..3 {
        four_are_shared(&mut one, &mut two, liar).await;
    }
    println!("{} segments with two meanings", disputes());
}

/// As [`both_share`], with the figures.
async fn four_are_shared(one: &mut Viewer, two: &mut Viewer, liar: PeerId) {
    let before = [&*one, &*two].map(|viewer| (viewer.seen.from_peers, viewer.seen.from_source));
    both_share(one, two, 4, liar).await;
    for (viewer, before) in [&*one, &*two].into_iter().zip(before) {
        let (peers, source) = (viewer.seen.from_peers - before.0, viewer.seen.from_source - before.1);
        println!("in four segments {peers} bytes of others, {source} of the source");
    }
}

// H2: a liar that was there first can't keep a third from being heard.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_third_publisher_decides_between_two_that_contradict_each_other() {
    let stream = Stream::begin().await.unwrap();
    let altered = stream.altered().await.unwrap();
    let site = Site::open("").await.unwrap();
    let _first = seed(&site, &stream, "one").await;
    let (mut one, mut two) = (comes(&site, &stream, true), comes(&site, &stream, true));
    both_play(&mut one, &mut two, 2).await;
    let liar = seed(&site, &altered, "liar").await;
    let disputes = || site.server.hub.metrics.disputes_total.value();
    while disputes() < 3 {
        both_play(&mut one, &mut two, 1).await;
    }
    let _third = seed(&site, &stream, "two").await;
    // Its first digests are compared, and then those under way are played.
    let newest = stream.newest();
    let proven = |viewer: &Viewer| viewer.seen.digests.iter().any(|(key, ..)| key.number > newest + 1);
    tokio::try_join!(one.until("somebody counts", proven), two.until("somebody counts", proven)).unwrap();
    println!("digests count again {} segments after the third came", stream.newest() - newest);
    both_play(&mut one, &mut two, 6).await;
    for _ in 0..2 {
        four_are_shared(&mut one, &mut two, name(&liar)).await;
    }
}

/// How long digests took from the moment that their segments were in the playlist, in milliseconds, shortest first.
async fn delays(viewer: &mut Viewer, stream: &Stream) -> Vec<u128> {
    const SEGMENTS: u64 = 20;
    // A publisher learns when segments come by those that it sees coming.
    viewer.plays(4).await.unwrap();
    let from = stream.newest() + 1;
    let heard = |viewer: &Viewer, number: u64| {
        viewer.seen.digests.iter().find(|(key, ..)| key.number == number).map(|(.., at)| *at)
    };
    let last = from + SEGMENTS - 1;
    viewer.until("all are published", |viewer| heard(viewer, last).is_some()).await.unwrap();
    let delay = |number| {
        let at = heard(viewer, number).unwrap_or_else(|| panic!("segment {number} wasn't published"));
        at.saturating_duration_since(stream.appears(number).unwrap()).as_millis()
    };
    let mut delays: Vec<u128> = (from..=last).map(delay).collect();
    delays.sort_unstable();
    delays
}

fn in_time(who: &str, delays: &[u128], looks: f64) {
    let (median, max) = (delays[delays.len() / 2], delays[delays.len() - 1]);
    println!(
        "{who}: median {median} ms, longest {max} ms; {looks:.1} looks at the playlist per segment; {delays:?}"
    );
    // Whoever looked as often, but at any time, would be late by half the time between two looks and what a fetch takes. And a
    // digest that comes when half of a segment's time is over is of no use to whoever plays close to the edge.
    assert!(median < stream::SEGMENT.as_millis() / 2, "median {median}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn digests_reach_viewers_soon_after_their_segments_appear() {
    let stream = Stream::begin().await.unwrap();
    let site = Site::open("").await.unwrap();
    let seed = seed(&site, &stream, "seed").await;
    let mut viewer = comes(&site, &stream, true);
    let (looks, at) = (stream.looks(), stream.newest());
    let by_seed = delays(&mut viewer, &stream).await;
    let per_segment = |looks: u64, at: u64| (stream.looks() - looks) as f64 / (stream.newest() - at) as f64;
    in_time("a seed's", &by_seed, per_segment(looks, at));
    seed.stop().await;
    drop(viewer);
    site.close().await;

    let site = Site::open(&format!("[default]\npublish = [\"{}\"]\n", stream.prefix())).await.unwrap();
    let mut viewer = comes(&site, &stream, true);
    let (looks, at) = (stream.looks(), stream.newest());
    let built_in = delays(&mut viewer, &stream).await;
    in_time("the built-in publisher's", &built_in, per_segment(looks, at));
}
