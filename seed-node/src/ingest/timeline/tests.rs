//! Encoders begin, go on, are overtaken, begin anew and end; what is served keeps its numbers.

use std::cell::RefCell;
use std::collections::HashMap;

use rillcast_protocol::id::TrackId;
use rillcast_publisher::playlist::Playlist;

use super::*;
use crate::ingest::pushed::list;

/// A stream's files by the encoder's names, and the timeline of its playlist.
#[derive(Default)]
struct Station {
    timeline: Timeline,
    files: RefCell<HashMap<String, Lookup>>,
    now: u64,
}

impl Station {
    fn upload(&self, name: &str, bytes: &str) {
        let public = FilePath::new(name).expect("a name").versioned(&blake3::hash(bytes.as_bytes()));
        self.files.borrow_mut().insert(name.to_owned(), Lookup::There(public));
    }

    fn push_text(&mut self, text: &str) -> Taken {
        self.push_as(text, true)
    }

    fn push_as(&mut self, text: &str, patient: bool) -> Taken {
        let pushed = Pushed::parse(text).expect("a playlist");
        let files = self.files.borrow();
        let find = |uri: &str| files.get(uri).cloned().unwrap_or(Lookup::Missing);
        self.timeline.take(&pushed, find, patient, self.now)
    }

    /// Uploads a segment of these bytes, and pushes a list of six that ends with it.
    fn segment(&mut self, number: u64, life: &str) -> Taken {
        self.now += 2000;
        self.upload(&format!("{number}.ts"), &format!("{life}{number}"));
        self.push_text(&list(number.saturating_sub(5)..=number))
    }

    fn shown(&self, window: Option<Duration>) -> String {
        self.timeline.render(window, "", "/radio/", self.now)
    }

    /// Number, discontinuity and URL of what is shown, as the publisher and so all peers read it.
    fn keys(&self, window: Option<Duration>) -> Vec<(u64, u64, String)> {
        let base = reqwest::Url::parse("http://o.example/radio/index.m3u8").expect("a URL");
        let playlist = Playlist::parse(TrackId(1), &base, self.shown(window).as_bytes()).expect("a playlist");
        let key = |s: &rillcast_publisher::playlist::Segment| {
            (s.key.number, u64::from(s.key.discontinuity), s.url.path().to_owned())
        };
        playlist.segments.iter().map(key).collect()
    }

    fn numbers(&self) -> Vec<(u64, u64)> {
        self.keys(None).into_iter().map(|(number, discontinuity, _)| (number, discontinuity)).collect()
    }
}

#[test]
fn an_encoder_s_list_is_served_with_public_names_and_its_own_numbers() {
    let mut station = Station::default();
    for number in 0..10 {
        assert_eq!(station.segment(number, "a"), Taken { added: 1, ..Taken::default() });
    }
    let keys = station.keys(None);
    assert_eq!(station.numbers(), (4..10).map(|n| (n, 0)).collect::<Vec<_>>());
    assert!(keys[0].2.starts_with("/radio/4.") && keys[0].2.ends_with(".ts"), "{keys:?}");
}

// R19
#[test]
fn what_is_retained_is_the_same_list_made_longer() {
    let mut station = Station::default();
    for number in 0..50 {
        station.segment(number, "a");
    }
    let live = station.keys(None);
    let long = station.keys(Some(Duration::from_secs(40)));
    assert_eq!((live.len(), long.len()), (6, 20));
    assert_eq!(long[14..], live[..], "the same segments have the same numbers and URLs");
    assert_eq!(station.keys(Some(Duration::MAX)).len(), 50);
    assert_eq!(station.keys(Some(Duration::ZERO)), live, "never less than is live");
    for _ in 0..45 {
        station.timeline.pop_front();
    }
    assert_eq!(station.numbers(), (45..50).map(|n| (n, 0)).collect::<Vec<_>>());
}

// H12
#[test]
fn an_encoder_that_begins_anew_goes_on_behind_a_discontinuity() {
    let mut station = Station::default();
    for number in 0..8 {
        station.segment(number, "a");
    }
    let before = station.keys(Some(Duration::MAX));
    for number in 0..3 {
        station.segment(number, "b");
    }
    assert_eq!(station.numbers(), [(5, 0), (6, 0), (7, 0), (8, 1), (9, 1), (10, 1)]);
    let after = station.keys(Some(Duration::MAX));
    assert_eq!(after[..8], before[..], "what was is as it was");
    let urls: std::collections::HashSet<_> = after.iter().map(|(.., url)| url).collect();
    assert_eq!(urls.len(), after.len(), "no URL stands for two segments");
    assert!(station.shown(None).contains("#EXT-X-DISCONTINUITY\n#EXT-X-PROGRAM-DATE-TIME:"));
    // A third life; its discontinuity has a number though the first one's is out of sight.
    for number in 0..6 {
        station.segment(number, "c");
    }
    assert!(station.shown(None).contains("#EXT-X-DISCONTINUITY-SEQUENCE:2\n"));
    assert_eq!(station.numbers(), (11..17).map(|n| (n, 2)).collect::<Vec<_>>());
}

#[test]
fn the_same_film_from_its_beginning_is_a_new_life_too() {
    let mut station = Station::default();
    for number in (0..8).chain(0..3) {
        station.segment(number, "the same");
    }
    assert_eq!(station.numbers()[3..], [(8, 1), (9, 1), (10, 1)]);
}

#[test]
fn a_playlist_that_was_overtaken_says_nothing() {
    let mut station = Station::default();
    for number in 0..8 {
        station.segment(number, "a");
    }
    let before = station.shown(None);
    assert!(station.push_text(&list(1..=6)).stale);
    assert!(station.push_text(&list(0..=5)).stale);
    assert_eq!(station.push_text(&list(2..=7)), Taken::default(), "nor does the same one once more");
    assert_eq!(station.shown(None), before);
}

#[test]
fn a_segment_on_its_way_is_waited_for_and_a_lost_one_becomes_a_gap() {
    let mut station = Station::default();
    station.segment(0, "a");
    station.files.borrow_mut().insert("1.ts".to_owned(), Lookup::Coming);
    station.upload("2.ts", "a2");
    let taken = station.push_text(&list(0..=2));
    assert_eq!((taken.added, taken.waits), (0, true));
    let taken = station.push_as(&list(0..=2), false);
    assert!(taken.waits, "patience has nothing to do with it");
    station.files.borrow_mut().remove("1.ts");
    assert!(station.push_text(&list(0..=2)).waits);
    assert_eq!(station.push_as(&list(0..=2), false).added, 2);
    assert!(station.shown(None).contains("#EXT-X-GAP\n"), "{}", station.shown(None));
    assert_eq!(station.numbers(), [(0, 0), (2, 0)], "its number is left out");
}

#[test]
fn what_was_lost_before_all_else_is_no_gap() {
    let mut station = Station::default();
    station.upload("7.ts", "a");
    assert_eq!(station.push_as(&list(5..=7), false).added, 1);
    assert_eq!(station.numbers(), [(7, 0)]);
    assert!(!station.shown(None).contains("#EXT-X-GAP"));
}

#[test]
fn old_names_whose_new_bytes_are_on_their_way_are_not_taken_for_the_old_ones() {
    let mut station = Station::default();
    for number in 0..8 {
        station.segment(number, "a");
    }
    station.files.borrow_mut().insert("0.ts".to_owned(), Lookup::Coming);
    assert!(station.push_text(&list(0..=0)).waits);
    assert_eq!(station.numbers().last(), Some(&(7, 0)));
    station.upload("0.ts", "b0");
    station.push_text(&list(0..=0));
    assert_eq!(station.numbers().last(), Some(&(8, 1)));
}

#[test]
fn a_hole_in_the_encoder_s_numbers_is_a_discontinuity() {
    let mut station = Station::default();
    station.segment(0, "a");
    for number in 5..=6 {
        station.upload(&format!("{number}.ts"), "a");
    }
    station.push_text(&list(5..=6));
    assert_eq!(station.numbers(), [(0, 0), (1, 1), (2, 1)]);
}

#[test]
fn an_end_is_told_when_nobody_has_begun_anew_for_a_while() {
    let mut station = Station::default();
    station.segment(0, "a");
    let ended = |text: &str| text.ends_with("#EXT-X-ENDLIST\n");
    station.push_text(&(list(0..=0) + "#EXT-X-ENDLIST\n"));
    let end_after = END_AFTER.as_millis() as u64;
    station.now += end_after - 1;
    assert!(!ended(&station.shown(None)));
    station.now += 1;
    assert!(ended(&station.shown(None)));
    station.segment(1, "a");
    assert!(!ended(&station.shown(None)), "it goes on after all");
    let film = list(0..=1).replace("#EXTM3U", "#EXTM3U\n#EXT-X-PLAYLIST-TYPE:VOD") + "#EXT-X-ENDLIST\n";
    station.push_text(&film);
    assert!(ended(&station.shown(None)), "a film has its end at once");
}

#[test]
fn dates_are_the_encoder_s_or_reckoned() {
    let mut station = Station { now: 100_000, ..Station::default() };
    for number in 0..3 {
        station.upload(&format!("{number}.ts"), "a");
    }
    station.push_text(&list(0..=2));
    let dates = |station: &Station| station.timeline.entries().iter().map(|e| e.date_ms).collect::<Vec<_>>();
    assert_eq!(dates(&station), [94_000, 96_000, 98_000], "the newest has just ended");
    assert_eq!(station.shown(None).matches("#EXT-X-PROGRAM-DATE-TIME").count(), 1);
    station.upload("3.ts", "a");
    let with_date = list(1..=3)
        .replace("#EXTINF:2.0,\n3.ts", "#EXT-X-PROGRAM-DATE-TIME:1970-01-01T00:02:00Z\n#EXTINF:2.0,\n3.ts");
    station.push_text(&with_date);
    assert_eq!(dates(&station).last(), Some(&120_000));
    assert_eq!(station.shown(None).matches("#EXT-X-PROGRAM-DATE-TIME").count(), 2);
}

#[test]
fn keys_and_initialisation_stand_where_they_change() {
    let mut station = Station::default();
    for name in ["init.mp4", "0.m4s", "1.m4s", "2.m4s"] {
        station.upload(name, name);
    }
    let text = "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-MAP:URI=\"init.mp4\"\n#EXTINF:2,\n0.m4s\n#EXT-X-KEY:METHOD=AES-128,URI=\"k.key\"\n\
        #EXTINF:2,\n1.m4s\n#EXT-X-KEY:METHOD=NONE\n#EXTINF:2,\n2.m4s\n";
    station.push_text(text);
    let shown = station.shown(None);
    assert_eq!(shown.matches("#EXT-X-MAP:URI=\"init.").count(), 1, "{shown}");
    let lines: Vec<&str> = shown.lines().filter(|line| line.starts_with("#EXT-X-KEY")).collect();
    assert_eq!(lines, ["#EXT-X-KEY:METHOD=AES-128,URI=\"k.key\"", "#EXT-X-KEY:METHOD=NONE"]);
    assert!(shown.starts_with("#EXTM3U\n#EXT-X-VERSION:7\n"));
}

#[test]
fn files_of_other_folders_are_named_from_the_root() {
    assert_eq!(place("v0/a.ts", "v0", "/radio/"), "a.ts");
    assert_eq!(place("v1/a.ts", "v0", "/radio/"), "/radio/v1/a.ts");
    assert_eq!(place("a.ts", "", "/radio/"), "a.ts");
}

#[test]
fn windows_hold_at_under_and_over_their_limit() {
    for (listed, window) in
        [(MAX_WINDOW - 1, MAX_WINDOW - 1), (MAX_WINDOW, MAX_WINDOW), (MAX_WINDOW + 1, MAX_WINDOW)]
    {
        let mut station = Station::default();
        for number in 0..listed {
            station.upload(&format!("{number}.ts"), "a");
        }
        station.push_text(&list(0..=listed as u64 - 1));
        assert_eq!(station.numbers().len(), window);
    }
}

// H12
#[test]
fn what_was_written_down_goes_on_as_if_nothing_had_been() {
    let mut station = Station::default();
    for number in 0..8 {
        station.segment(number, "a");
    }
    let written = serde_json::to_string(station.timeline.entries()).expect("JSON");
    let entries = serde_json::from_str(&written).expect("the same");
    let (shown, head) = (station.shown(None), station.timeline.head().clone());
    station.timeline = Timeline::restore(head.clone(), entries);
    assert_eq!(station.shown(None), shown);
    station.segment(8, "a");
    assert_eq!(station.numbers().last(), Some(&(8, 0)), "the same life");
    // Nothing is left of it, yet no number comes again.
    station.timeline = Timeline::restore(Head { next: Some(9), ..head }, VecDeque::new());
    station.segment(0, "b");
    assert_eq!(station.numbers().last().map(|(number, _)| *number), Some(9));
}
