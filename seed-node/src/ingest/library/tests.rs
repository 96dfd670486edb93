//! Budgets, limits and restarts, on a real disk.

use super::*;
use std::fs;

struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().expect("a directory") }
    }

    fn open(&self, budget: u64) -> Library {
        let config = Config {
            listen: ([127, 0, 0, 1], 0).into(),
            dir: self.dir.path().join("ingest"),
            budget,
            retain: Duration::from_secs(3600),
            prefix: "/".to_owned(),
            keys: None,
            channels: Vec::new(),
            tls: None,
        };
        Library::open(&config).expect("a directory of its own")
    }
}

fn name(text: &str) -> StreamName {
    StreamName::new(text).expect(text)
}

fn path(text: &str) -> FilePath {
    FilePath::new(text).expect(text)
}

fn upload(library: &Library, stream: &str, file: &str, bytes: &[u8]) -> Result<(), Refusal> {
    let (stream, file) = (name(stream), path(file));
    let part = library.begin(&stream, &file)?;
    let reserved = bytes.len() as u64 + BLOCK;
    if let Err(full) = library.reserve(reserved) {
        library.abandon(&stream, &file, &part, 0);
        return Err(full);
    }
    fs::write(&part, bytes).expect("written");
    let whole = Whole { part, hash: blake3::hash(bytes), bytes: bytes.len() as u64, is_init: false };
    library.complete(&stream, &file, &whole, reserved)
}

fn list(library: &Library, stream: &str, numbers: std::ops::RangeInclusive<u64>) {
    let pushed = Pushed::parse(&crate::ingest::pushed::list(numbers)).expect("a playlist");
    library.playlist(&name(stream), &path("index.m3u8"), pushed, 0).expect("taken");
}

fn shown(library: &Library, stream: &str) -> String {
    match library.find(&name(stream), "index.m3u8", Some(Duration::MAX)) {
        Some(Found::Text { text, .. }) => text,
        _ => String::new(),
    }
}

fn on_disk(place: &Place) -> u64 {
    fn of(dir: &Path) -> u64 {
        let entries = fs::read_dir(dir).into_iter().flatten().flatten();
        entries
            .map(
                |e| {
                    if e.path().is_dir() {
                        of(&e.path())
                    } else {
                        rounded(e.metadata().map_or(0, |m| m.len()))
                    }
                },
            )
            .sum()
    }
    let streams = fs::read_dir(place.dir.path().join("ingest")).into_iter().flatten().flatten();
    streams.map(|stream| of(&stream.path().join("media"))).sum()
}

const SEGMENT: usize = 10_000;

// R31
#[test]
fn the_budget_holds_at_every_moment_and_the_oldest_goes_first() {
    let place = Place::new();
    let budget = 10 * rounded(SEGMENT as u64);
    let library = place.open(budget);
    for number in 0..30u64 {
        upload(&library, "radio", &format!("{number}.ts"), &[number as u8; SEGMENT]).expect("room is made");
        list(&library, "radio", number.saturating_sub(3)..=number);
        assert!(on_disk(&place) <= budget && library.stats().0 <= budget);
        assert_eq!(on_disk(&place), library.stats().0);
    }
    assert!(shown(&library, "radio").contains("#EXT-X-MEDIA-SEQUENCE:2"), "{}", shown(&library, "radio"));
    let gone = 30 - shown(&library, "radio").matches("#EXTINF").count() as u64;
    // Of two that came within a millisecond either may go first, and takes the other along.
    assert!((1..=gone).contains(&library.tally.evicted.load(Relaxed)) && gone >= 20);
}

#[test]
fn where_only_what_is_live_is_left_uploads_are_refused_and_nothing_is_lost() {
    let place = Place::new();
    // Four segments, and one on its way with what rounding may take.
    let library = place.open(4 * rounded(SEGMENT as u64));
    for number in 0..3u64 {
        upload(&library, "radio", &format!("{number}.ts"), &[number as u8; SEGMENT]).expect("room");
    }
    list(&library, "radio", 0..=2);
    let before = shown(&library, "radio");
    assert!(matches!(upload(&library, "radio", "3.ts", &[3; SEGMENT + 4097]), Err(Refusal::Full)));
    assert_eq!(shown(&library, "radio"), before);
    upload(&library, "radio", "3.ts", &[3; SEGMENT - 4096]).expect("at the limit");
    assert_eq!(library.state().uploads, 0, "what was refused is no longer under way");
}

#[test]
fn streams_and_uploads_hold_their_limits_at_under_and_over() {
    let place = Place::new();
    let library = place.open(1 << 30);
    for at in 0..=MAX_STREAMS {
        let taken = upload(&library, &format!("s{at}"), "0.ts", b"x");
        assert_eq!(taken.is_ok(), at < MAX_STREAMS, "{at}");
    }
    let parts: Vec<_> =
        (0..=MAX_UPLOADS).map(|at| library.begin(&name("s0"), &path(&format!("{at}.ts")))).collect();
    for (at, part) in parts.iter().enumerate() {
        assert_eq!(part.is_ok(), at < MAX_UPLOADS, "{at}");
    }
    library.abandon(&name("s0"), &path("0.ts"), parts[0].as_ref().expect("begun"), 0);
    library.begin(&name("s0"), &path("0.ts")).expect("one has ended");
}

// H12
#[test]
fn after_a_restart_all_is_there_but_what_was_half_and_a_torn_line_harms_nothing() {
    let place = Place::new();
    let library = place.open(1 << 30);
    for number in 0..5u64 {
        upload(&library, "radio", &format!("{number}.ts"), &[number as u8; SEGMENT]).expect("room");
        list(&library, "radio", 0..=number);
    }
    library.manifest(&name("radio"), &path("master.m3u8"), "#EXTM3U\n".to_owned(), 1).expect("taken");
    let half = library.begin(&name("radio"), &path("5.ts")).expect("begun");
    fs::write(&half, [5; 100]).expect("written");
    let (before, used) = (shown(&library, "radio"), on_disk(&place));
    drop(library);
    let journal = place.dir.path().join("ingest/radio/journal.jsonl");
    let mut text = fs::read(&journal).expect("there");
    text.extend_from_slice(b"{\"entry\":[\"index.m3u8\",{\"num");
    fs::write(&journal, text).expect("written");
    fs::write(place.dir.path().join("ingest/radio/media/stray.0123456789abcdef.ts"), b"x").expect("written");

    let library = place.open(1 << 30);
    assert_eq!((shown(&library, "radio"), on_disk(&place)), (before, used));
    assert!(!half.exists());
    assert_eq!(library.stats().0, used);
    assert!(matches!(library.find(&name("radio"), "master.m3u8", None), Some(Found::Text { .. })));
    upload(&library, "radio", "5.ts", &[5; SEGMENT]).expect("room");
    list(&library, "radio", 0..=5);
    assert_eq!(shown(&library, "radio").matches("#EXTINF").count(), 6);
    drop(library);
    // With less room than what is live takes up, that stays, and nothing more is taken.
    let library = place.open(4 * rounded(SEGMENT as u64));
    assert_eq!(shown(&library, "radio").matches("#EXTINF").count(), 6);
    assert!(matches!(upload(&library, "radio", "6.ts", &[6; SEGMENT]), Err(Refusal::Full)));
}

#[test]
fn a_directory_belongs_to_one_node() {
    let place = Place::new();
    let library = place.open(1 << 30);
    let config = Config {
        listen: ([127, 0, 0, 1], 0).into(),
        dir: place.dir.path().join("ingest"),
        budget: 1 << 30,
        retain: Duration::MAX,
        prefix: "/".to_owned(),
        keys: None,
        channels: Vec::new(),
        tls: None,
    };
    assert!(matches!(Library::open(&config), Err(IngestError::Taken(_))));
    drop(library);
    Library::open(&config).expect("it is free again");
}

#[test]
fn a_journal_is_written_anew_before_it_is_much_longer_than_it_has_to_be() {
    let place = Place::new();
    let library = place.open(1 << 30);
    for turn in 0..(SPARE_LINES as u64 + 500) {
        // The same file again and again: a line each time, and nothing more to know.
        upload(&library, "radio", "0.ts", if turn == 0 { b"a" } else { b"b" }).expect("room");
    }
    let journal = fs::read_to_string(place.dir.path().join("ingest/radio/journal.jsonl")).expect("there");
    assert!(journal.lines().count() < 1000, "{}", journal.lines().count());
}
