//! MPDs from an origin, as publishers and agents read them.

use std::time::{Duration, SystemTime};

use rillcast_protocol::id::TrackId;
use rillcast_publisher::dash::urls::{Bases, mend};
use rillcast_publisher::dash::{LONGEST_HOLD, MAX_ID, MAX_LIVE, Mpd};
use rillcast_publisher::playlist::{MAX_RENDITIONS, MAX_SEGMENTS};
use rillcast_publisher::{AllowList, Url, manifest};
use rillcast_seed::agent::catalog::Catalog;
use rillcast_seed::agent::rewrite::rewrite;

/// Reads an MPD, lists all of its Representations at several times, and mends its URLs.
pub fn run(data: &[u8]) {
    let base = Url::parse("https://cdn.example/tv/live.mpd?token=x").expect("a URL");
    // 2026, and whenever the corpus's streams have long begun and long ended.
    let times = [0, 1_764_230_430, 1_764_316_800, u64::from(u32::MAX)];
    let times = times.map(|seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
    if let Ok(mpd) = Mpd::parse(&base, data) {
        times.into_iter().for_each(|now| listings(&mpd, now));
    }
    if let Ok(renditions) = manifest::renditions(&base, &base, data) {
        assert!(renditions.len() <= MAX_RENDITIONS);
        for rendition in renditions.iter().filter(|_| manifest::is_mpd(data)) {
            assert_eq!(rendition.url.path(), base.path());
            let _ = manifest::read(TrackId(7), &rendition.url, &base, data, times[1]);
        }
    }
    let catalog = Catalog::new(std::slice::from_ref(&base));
    for (_, listing) in catalog.present(&base, data, times[1]) {
        assert!(listing.entries.len() <= listing.playlist.segments.len());
    }
    if let Ok(text) = str::from_utf8(data) {
        mended(&base, text);
    }
}

fn listings(mpd: &Mpd, now: SystemTime) {
    assert!(mpd.holds() <= LONGEST_HOLD);
    let named = mpd.representations();
    assert!(named.len() <= MAX_RENDITIONS && named.iter().all(|named| named.id.len() <= MAX_ID));
    for named in named {
        let Ok(playlist) = mpd.playlist(TrackId(7), &named.id, now) else { continue };
        assert!(playlist.target_ms >= 1);
        assert!(playlist.segments.len() <= if playlist.ended { MAX_SEGMENTS } else { MAX_LIVE });
        assert!(playlist.segments.is_sorted_by(|a, b| a.key < b.key), "a name of its own for each, in order");
        assert!(playlist.segments.iter().all(|s| s.range.as_ref().is_none_or(|r| r.start < r.end)));
    }
}

/// What is mended once leads to the right place, so nothing changes a second time.
fn mended(base: &Url, text: &str) {
    let bases = Bases { meant: base.clone(), seen: base.clone() };
    if let Ok(same) = mend(text, &bases, |_, _| None) {
        assert_eq!(same, text);
        let other = mend(text, &bases, |url, _| Some(format!("x&{url}"))).expect("it could be read before");
        assert!(mend(&other, &bases, |_, _| None).is_ok(), "it is still one");
    }
    let allow = AllowList::new(["https://cdn.example/tv/"]).expect("a prefix");
    rewrite(base, &allow, text);
}
