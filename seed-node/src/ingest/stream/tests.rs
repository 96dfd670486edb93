//! What is kept, what goes, and what names lead to.

use super::*;
use crate::ingest::pushed::list;

const SECOND: u64 = 1000;

fn path(text: &str) -> FilePath {
    FilePath::new(text).expect(text)
}

/// A stream that a pretended encoder pushes to, two seconds a segment.
struct Station {
    stream: Stream,
    now: u64,
}

impl Station {
    fn new() -> Self {
        Self { stream: Stream::default(), now: 1_000_000 }
    }

    fn upload(&mut self, name: &str, bytes: &str) -> FilePath {
        let (name, hash) = (path(name), blake3::hash(bytes.as_bytes()));
        let public = name.versioned(&hash);
        self.stream.arriving(&name, self.now);
        self.stream.arrived(&name, &public, 1000, bytes.starts_with("init"), self.now);
        self.stream.left(&name, self.now);
        public
    }

    fn push(&mut self, text: &str) -> Option<bool> {
        let pushed = Pushed::parse(text).expect("a playlist");
        self.stream.playlist(&path("index.m3u8"), pushed, 0, self.now)
    }

    fn segments(&mut self, numbers: std::ops::Range<u64>, life: &str) {
        for number in numbers {
            self.now += 2 * SECOND;
            self.upload(&format!("{number}.ts"), &format!("{life}{number}"));
            assert_eq!(self.push(&list(number.saturating_sub(3)..=number)), Some(true));
        }
    }

    fn shown(&self) -> String {
        self.stream.render(&path("index.m3u8"), Some(Duration::MAX), "/radio/", self.now).unwrap_or_default()
    }

    fn listed(&self) -> usize {
        self.shown().matches("#EXTINF").count()
    }
}

// R37
#[test]
fn what_is_older_than_it_is_kept_goes_at_the_limit_and_not_before() {
    let mut station = Station::new();
    station.segments(0..20, "a");
    let keep = Duration::from_secs(20);
    station.stream.expire(keep, station.now);
    // The newest was added just now; each plays for two seconds.
    assert_eq!(station.listed(), 12);
    station.stream.expire(keep, station.now + 1);
    assert_eq!((station.listed(), station.stream.file_count()), (11, 11));
    assert_eq!(station.stream.outbox.gone.len(), 9);
}

#[test]
fn what_is_live_stays_while_the_encoder_is_there() {
    let mut station = Station::new();
    station.segments(0..20, "a");
    let long = Duration::from_secs(1);
    station.stream.expire(long, station.now + IDLE.as_millis() as u64);
    assert_eq!(station.listed(), 4);
    station.stream.expire(long, station.now + IDLE.as_millis() as u64 + 1);
    assert_eq!(station.listed(), 0);
    assert!(station.stream.is_empty());
    station.upload("0.ts", "b0");
    assert_eq!(station.push(&list(0..=0)), Some(true));
    assert!(station.shown().contains("#EXT-X-MEDIA-SEQUENCE:20\n"), "no number comes again");
}

#[test]
fn room_is_made_from_the_oldest_on_and_live_viewers_lose_nothing() {
    let mut station = Station::new();
    station.segments(0..10, "a");
    let mut evicted = 0;
    while let Some((_, file)) = station.stream.oldest(station.now) {
        station.stream.evict(&file);
        evicted += 1;
        assert_eq!(station.listed(), 10 - evicted);
    }
    assert_eq!(evicted, 6, "the live window has four");
    assert!(station.shown().contains("#EXT-X-MEDIA-SEQUENCE:6\n"));
}

#[test]
fn initialisation_stays_as_long_as_the_encoder_and_what_needs_it() {
    let mut station = Station::new();
    let init = station.upload("init.mp4", "init");
    let with_map =
        |numbers| list(numbers).replace("#EXTINF:2.0,\n0", "#EXT-X-MAP:URI=\"init.mp4\"\n#EXTINF:2.0,\n0");
    station.upload("0.ts", "a0");
    station.push(&with_map(0..=0));
    let other = station.upload("init.mp4", "init of a new life");
    let hour = 3600 * SECOND;
    station.now += hour;
    station.stream.pushed_ms = station.now;
    station.stream.expire(Duration::from_secs(60), station.now);
    assert!(station.stream.has(&init) && station.stream.has(&other), "one is named, one is the newest");
    assert_eq!(station.stream.oldest(station.now), None);
    station.now += hour;
    station.stream.expire(Duration::from_secs(60), station.now);
    station.stream.expire(Duration::from_secs(60), station.now);
    assert!(station.stream.is_empty(), "nobody is there any more");
}

#[test]
fn a_file_that_no_playlist_names_is_kept_for_a_minute_at_least() {
    let mut station = Station::new();
    let file = station.upload("chunk-1.m4s", "a");
    let loose = LOOSE.as_millis() as u64;
    station.stream.expire(Duration::from_secs(10), station.now + loose);
    assert_eq!(station.stream.oldest(station.now + loose - 1), None);
    assert!(station.stream.has(&file));
    assert!(station.stream.oldest(station.now + loose).is_some());
    station.stream.expire(Duration::from_secs(10), station.now + loose + 1);
    assert!(!station.stream.has(&file));
}

#[test]
fn a_name_stands_for_one_file_within_a_life_of_the_encoder() {
    let mut station = Station::new();
    let init = station.upload("init.m4s", "init");
    let one = station.upload("1.m4s", "a");
    let first = station.stream.run().expect("a run");
    assert_eq!(station.upload("1.m4s", "a"), one, "the same again is no new life");
    assert_eq!(station.stream.run(), Some(first));
    let other = station.upload("1.m4s", "b");
    let second = station.stream.run().expect("a run");
    assert!(second > first);
    let (name, stream) = (path("1.m4s"), &station.stream);
    assert_eq!(stream.public(&name, Some(first)), Some(&one));
    assert_eq!(stream.public(&name, Some(second)), Some(&other));
    assert_eq!(stream.public(&name, None), Some(&other));
    assert_eq!(
        stream.public(&path("init.m4s"), Some(second)),
        Some(&init),
        "what wasn't replaced is as it was"
    );
    assert_eq!(stream.public(&one, None), Some(&one), "public names stand for themselves");
    // An encoder that uses its names in turn makes runs without end.
    for turn in 0..50 {
        station.upload("2.m4s", &format!("turn {turn}"));
    }
    assert_eq!(station.stream.public(&path("init.m4s"), None), Some(&init));
    assert!(station.stream.runs.len() <= MAX_RUNS);
}

#[test]
fn a_playlist_that_comes_before_its_segment_shows_it_when_it_is_whole() {
    let mut station = Station::new();
    station.segments(0..3, "a");
    let name = path("3.ts");
    station.stream.arriving(&name, station.now);
    assert_eq!(station.push(&list(0..=3)), Some(false));
    let public = name.versioned(&blake3::hash(b"a3"));
    station.stream.arrived(&name, &public, 1000, false, station.now);
    assert_eq!(station.stream.left(&name, station.now), [path("index.m3u8")]);
    assert!(station.shown().ends_with(&format!("{public}\n")));
    // One whose upload failed becomes a gap when the next has come, or patience is over.
    let name = path("4.ts");
    station.stream.arriving(&name, station.now);
    station.upload("5.ts", "a5");
    assert_eq!(station.push(&list(0..=5)), Some(false));
    assert!(station.stream.left(&name, station.now).is_empty());
    let patience = PATIENCE.as_millis() as u64;
    assert!(station.stream.retry(station.now + patience - 1).is_empty());
    assert_eq!(station.stream.retry(station.now + patience), [path("index.m3u8")]);
    assert!(station.shown().contains("#EXT-X-GAP\n"));
}

#[test]
fn what_is_listed_no_longer_when_it_comes_is_not_lost() {
    let mut station = Station::new();
    station.segments(0..3, "a");
    let name = path("3.ts");
    station.stream.arriving(&name, station.now);
    station.push(&list(2..=3));
    station.upload("4.ts", "a4");
    assert_eq!(station.push(&list(4..=4)), Some(false), "the third is still on its way");
    let public = name.versioned(&blake3::hash(b"a3"));
    station.stream.arrived(&name, &public, 1000, false, station.now);
    assert_eq!(station.stream.left(&name, station.now), [path("index.m3u8")]);
    assert_eq!(station.listed(), 5);
    assert!(!station.shown().contains("#EXT-X-DISCONTINUITY"));
    let live = station.stream.render(&path("index.m3u8"), None, "/radio/", station.now).expect("some");
    assert_eq!(live.matches("#EXTINF").count(), 3, "the window is what the encoder lists");
}

#[test]
fn playlists_and_manifests_hold_their_limits_at_under_and_over() {
    let mut stream = Stream::default();
    for at in 0..=MAX_PLAYLISTS {
        let pushed = Pushed::parse("#EXTM3U\n").expect("a playlist");
        let taken = stream.playlist(&path(&format!("{at}.m3u8")), pushed, 0, 0);
        assert_eq!(taken.is_some(), at < MAX_PLAYLISTS, "{at}");
    }
    for at in 0..=MAX_MANIFESTS {
        let taken = stream.manifest(&path(&format!("{at}.mpd")), String::new(), 0, 0);
        assert_eq!(taken, if at < MAX_MANIFESTS { Put::Taken } else { Put::Full }, "{at}");
    }
    assert_eq!(
        stream.manifest(&path("0.mpd"), String::new(), 0, 0),
        Put::Taken,
        "one that is there already may change"
    );
}

#[test]
fn a_manifest_that_was_overtaken_on_its_way_says_nothing() {
    let mut stream = Stream::default();
    let master = path("master.m3u8");
    let mut put = |text: &str, serial| stream.manifest(&master, text.to_owned(), serial, 0);
    assert_eq!(put("later", 7), Put::Taken);
    assert_eq!(put("earlier", 6), Put::Overtaken);
    assert_eq!(put("on the same connection", 7), Put::Taken);
    assert_eq!(stream.manifest_text(&master), Some("on the same connection"));
}

// H12
#[test]
fn what_was_written_down_is_the_same_stream() {
    let mut station = Station::new();
    let mut journal = Vec::new();
    station.segments(0..6, "a");
    station.segments(0..3, "b");
    journal.append(&mut station.stream.outbox.lines);
    let find = |stream: &Stream, lost: &[FilePath]| {
        let files: HashMap<FilePath, (u64, u64)> = stream
            .files
            .iter()
            .filter(|(file, _)| !lost.contains(file))
            .map(|(file, about)| (file.clone(), (about.bytes, about.arrived_ms)))
            .collect();
        move |file: &FilePath| files.get(file).copied()
    };
    for lines in [journal, station.stream.lines()] {
        let mut again =
            Station { stream: Stream::restore(lines, find(&station.stream, &[])), now: station.now };
        assert_eq!(again.shown(), station.shown());
        assert_eq!(again.stream.files, station.stream.files);
        assert_eq!(again.stream.run(), station.stream.run());
        again.segments(3..5, "b");
        assert_eq!(again.listed(), 11);
        assert_eq!(again.shown().matches("#EXT-X-DISCONTINUITY\n").count(), 1, "the encoder went on");
    }
    // What was lost on disk isn't named, nor what came before it.
    let lost = path("4.ts").versioned(&blake3::hash(b"a4"));
    let again = Stream::restore(station.stream.lines(), find(&station.stream, &[lost]));
    let shown = again.render(&path("index.m3u8"), Some(Duration::MAX), "/radio/", station.now).expect("some");
    assert!(shown.contains("#EXT-X-MEDIA-SEQUENCE:5\n"), "{shown}");
}

// H12 R43: an encoder that begins anew lists what it is about to push, and its uploads are late.
#[test]
fn a_former_life_s_segment_is_not_taken_for_the_new_one_of_its_name() {
    let mut station = Station::new();
    station.segments(0..4, "a");
    for number in 0..2 {
        station.upload(&format!("{number}.ts"), &format!("b{number}"));
    }
    station.now += SECOND;
    assert_eq!(station.push(&list(0..=3)), Some(true));
    assert_eq!(station.listed(), 6, "{}", station.shown());
    for number in 2..4 {
        station.now += SECOND / 2;
        station.upload(&format!("{number}.ts"), &format!("b{number}"));
        assert_eq!(station.listed() as u64, 5 + number, "{}", station.shown());
    }
    assert_eq!(station.shown().matches("#EXT-X-DISCONTINUITY\n").count(), 1, "{}", station.shown());
    // The same bytes pushed again are a segment again.
    for number in 0..4 {
        station.now += SECOND;
        station.upload(&format!("{number}.ts"), &format!("b{number}"));
        assert_eq!(station.push(&list(0..=number)), Some(true));
    }
    assert_eq!(station.listed(), 12, "{}", station.shown());
}
