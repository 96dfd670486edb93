//! Low-latency playlists (RFC 8216bis): parts are signed as they come, and the segments that they make up as well.

use std::sync::Arc;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rillcast_protocol::id::SegmentKey;
use rillcast_publisher::{Came, Config, Event, Published, sign, track_id};

use crate::kit::{Answer, Ask, Bench, Origin, SWARM, body};

const PART: Duration = Duration::from_millis(250);
const PARTS: u64 = 4;
/// Parts that are there at the beginning.
const BEGUN: u64 = 5 * PARTS;

/// How an origin departs from what is usual.
#[derive(Clone, Copy, PartialEq)]
enum Oddity {
    None,
    /// It lets nobody wait, though it says so.
    AnswersAtOnce,
    /// Its segments aren't the bytes of their parts.
    OtherBytes,
}

/// A stream whose part `n` is there after so many times a part's length.
#[derive(Clone)]
struct Stream {
    origin: Origin,
    began: Instant,
    /// What was asked for, of the playlist.
    queries: Arc<Mutex<Vec<String>>>,
}

/// The playlist when there are so many parts.
fn playlist(parts: u64) -> String {
    let (first, open) = ((parts / PARTS).saturating_sub(4), parts / PARTS);
    let seconds = PART.as_secs_f64();
    let mut text = format!(
        "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,CAN-SKIP-UNTIL=6\n\
         #EXT-X-PART-INF:PART-TARGET={seconds}\n#EXT-X-MEDIA-SEQUENCE:{first}\n"
    );
    for number in first..=open {
        if number + 3 > open {
            for part in 1..=PARTS.min(parts - number * PARTS) {
                text += &format!("#EXT-X-PART:DURATION={seconds},URI=\"{number}.{part}.ts\"\n");
            }
        }
        if number < open {
            text += &format!("#EXTINF:{},\n{number}.ts\n", seconds * PARTS as f64);
        }
    }
    text + &format!("#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"{open}.{}.ts\"\n", parts % PARTS + 1)
}

fn part_body(number: u64, part: u64) -> Bytes {
    body(&format!("/{number}.{part}.ts"))
}

fn whole(number: u64) -> Vec<u8> {
    (1..=PARTS).flat_map(|part| part_body(number, part)).collect()
}

impl Stream {
    async fn start(oddity: Oddity) -> Self {
        let began = Instant::now();
        let queries = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&queries);
        let there = move || BEGUN + (began.elapsed().as_millis() / PART.as_millis()) as u64;
        let handler = move |ask: Ask| {
            let Some(name) = ask.path.strip_suffix(".ts") else {
                seen.lock().expect("whole").push(ask.query.clone());
                let value =
                    |name: &str| ask.query.split('&').find_map(|p| p.strip_prefix(name)?.parse::<u64>().ok());
                let asked = value("_HLS_msn=").zip(value("_HLS_part="));
                let Some((number, part)) = asked.filter(|_| oddity != Oddity::AnswersAtOnce) else {
                    return Answer::ok(playlist(there()));
                };
                let parts = (number * PARTS + part + 1).max(there());
                let delay = (PART * (parts - BEGUN) as u32).saturating_sub(began.elapsed());
                return Answer::ok(playlist(parts)).slow(delay);
            };
            match name[1..].split_once('.') {
                Some((number, part)) => {
                    let read = |text: &str| text.parse::<u64>().expect("a number");
                    Answer::ok(part_body(read(number), read(part)))
                }
                None => {
                    let mut bytes = whole(name[1..].parse().expect("a number"));
                    if oddity == Oddity::OtherBytes {
                        bytes.push(0);
                    }
                    Answer::ok(bytes)
                }
            }
        };
        Self { origin: Origin::start(handler).await, began, queries }
    }

    /// When a part is there, if it wasn't from the beginning.
    fn appears(&self, key: SegmentKey) -> Option<Instant> {
        let after = (key.number * PARTS + u64::from(key.part)).checked_sub(BEGUN)?;
        Some(self.began + PART * after as u32)
    }

    /// Follows it until segment 7 is signed; what was signed in order, and when.
    async fn follow(&self) -> Vec<(Box<Published>, Instant)> {
        let mut bench = Bench::new(Config { backlog: 1, ..Config::default() });
        bench
            .publisher
            .follow(SWARM, &self.origin.url("/v.m3u8?t=1"), &self.origin.allow())
            .expect("follows");
        let mut all = Vec::new();
        loop {
            let published = bench.published().await;
            let key = published.digest.key;
            all.push((published, Instant::now()));
            if (key.number, key.part) == (7, 0) {
                return all;
            }
        }
    }
}

/// The median delay of the parts that came while it was followed, over a part's length.
fn delay(stream: &Stream, all: &[(Box<Published>, Instant)]) -> f64 {
    let of = |(published, at): &(Box<Published>, Instant)| {
        let key = published.digest.key;
        let appeared = (key.part > 0).then(|| stream.appears(key))??;
        Some(at.saturating_duration_since(appeared).as_secs_f64() / PART.as_secs_f64())
    };
    let mut delays: Vec<f64> = all.iter().filter_map(of).collect();
    delays.sort_by(f64::total_cmp);
    delays[delays.len() / 2]
}

// R2
#[tokio::test]
async fn parts_are_signed_as_they_come_and_their_segments_without_another_fetch() {
    let stream = Stream::start(Oddity::None).await;
    let all = stream.follow().await;
    for (published, _) in &all {
        let SegmentKey { track, number, part, .. } = published.digest.key;
        assert_eq!(track, track_id(&stream.origin.url("/v.m3u8")));
        let (right, ms) = match part {
            0 => (whole(number), PART.as_millis() * u128::from(PARTS)),
            part => (part_body(number, part.into()).to_vec(), PART.as_millis()),
        };
        assert_eq!((&published.body[..], u128::from(published.digest.duration_ms)), (&right[..], ms));
        assert_eq!(published.digest.hashes, sign::block_hashes(&right, published.digest.duration_ms));
    }
    // The newest segment that was there, and all that came: each once, and a segment behind its parts.
    let names: Vec<_> = all.iter().map(|(p, _)| (p.digest.key.number, p.digest.key.part)).collect();
    let mut sorted = names.clone();
    sorted.sort_unstable();
    let expected = (4..8).flat_map(|number| (0..=PARTS as u16).map(move |part| (number, part)));
    sorted.retain(|(number, _)| *number < 8);
    assert_eq!(sorted, expected.collect::<Vec<_>>());
    for number in 5..8 {
        let at = |part| names.iter().position(|name| *name == (number, part));
        assert!((1..=PARTS as u16).all(|part| at(part) < at(0)), "{names:?}");
    }
    let joined = |number| {
        let of = |p: &&(Box<Published>, Instant)| (p.0.digest.key.number, p.0.digest.key.part) == (number, 0);
        all.iter().find(of).map(|(p, _)| p.came)
    };
    assert_eq!([4, 5, 6, 7].map(joined), [Came::Fetched, Came::Joined, Came::Joined, Came::Joined].map(Some));
    assert_eq!(
        [4, 5, 6, 7].map(|n| stream.origin.count(&format!("/{n}.ts"))),
        [1, 0, 0, 0],
        "one to compare with"
    );
    for (number, part) in (4..8).flat_map(|number| (1..=PARTS).map(move |part| (number, part))) {
        assert_eq!(stream.origin.count(&format!("/{number}.{part}.ts")), 1, "{number}.{part}");
    }
    let delay = delay(&stream, &all);
    let queries = stream.queries.lock().expect("whole").clone();
    println!("median delay {delay:.2} of a part; {} looks for {} parts", queries.len(), 3 * PARTS);
    assert!(delay < 0.5, "{delay}");
    // The first look, and one for each part that came.
    assert!(queries.len() <= 3 * PARTS as usize + 4, "{queries:?}");
    assert_eq!(queries[0], "t=1");
    assert!(queries[1].starts_with("t=1&_HLS_msn=5&_HLS_part="), "{queries:?}");
}

// R2
#[tokio::test]
async fn an_origin_that_answers_at_once_is_looked_at_by_the_usual_pace() {
    let stream = Stream::start(Oddity::AnswersAtOnce).await;
    let all = stream.follow().await;
    let parts = all.iter().filter(|(p, _)| p.digest.key.part > 0 && p.digest.key.number < 8).count();
    assert_eq!(parts as u64, 4 * PARTS);
    let queries = stream.queries.lock().expect("whole").clone();
    let ahead = queries.iter().filter(|query| query.contains("_HLS_")).count();
    println!(
        "median delay {:.2} of a part; {} looks, {ahead} of them ahead",
        delay(&stream, &all),
        queries.len()
    );
    assert!(ahead <= 6 && queries.len() <= 6 * 3 * PARTS as usize, "{queries:?}");
}

// R2 H12
#[tokio::test]
async fn segments_that_are_not_their_parts_bytes_are_fetched_too() {
    let stream = Stream::start(Oddity::OtherBytes).await;
    let all = stream.follow().await;
    for (published, _) in all.iter().filter(|(p, _)| p.digest.key.part == 0) {
        let number = published.digest.key.number;
        assert_eq!(published.came, Came::Fetched);
        assert!(
            published.body.starts_with(&whole(number)) && published.body.len() == whole(number).len() + 1
        );
        assert_eq!(stream.origin.count(&format!("/{number}.ts")), 1);
    }
}

// R2
#[tokio::test]
async fn a_part_that_somebody_wants_is_signed_though_nothing_is_unasked() {
    let stream = Stream::start(Oddity::None).await;
    let mut bench = Bench::new(Config { backlog: 0, settle: Duration::from_secs(60), ..Config::default() });
    let url = stream.origin.url("/v.m3u8?_HLS_msn=3&_HLS_part=2");
    let track = bench.publisher.follow(SWARM, &url, &stream.origin.allow()).expect("follows");
    let key = |number, part| SegmentKey { track, number, discontinuity: 0, part };
    bench.publisher.want(SWARM, key(4, 2));
    bench.publisher.want(SWARM, key(1, 1));
    bench.publisher.want(SWARM, key(4, 0));
    let first = bench.published().await;
    assert_eq!((first.digest.key, first.came), (key(4, 2), Came::Fetched));
    let whole = bench.published().await;
    assert_eq!(
        (whole.digest.key, whole.came),
        (key(4, 0), Came::Fetched),
        "its other parts are nobody's wish"
    );
    let more = tokio::time::timeout(PART, bench.events.recv()).await;
    assert!(!matches!(more, Ok(Some(Event::Published(_)))), "{more:?}");
    assert_eq!(stream.queries.lock().expect("whole")[0], "", "whatever a player waited for");
}
