//! What MPDs say. All Representations stand in one, so one look at it tells of each; and where it goes by the clock, players ask for segments that
//! weren't there yet when they read it.

use std::time::{Duration, Instant, SystemTime};

use rillcast_protocol::dash;
use rillcast_publisher::Url;
use rillcast_publisher::dash::Mpd;

use super::super::listing::Listing;
use super::{Catalog, Stream, kind, plain};

/// Between two looks at the clock: requests for what is in no list come often, as for initialisation segments.
const LOOK: Duration = Duration::from_millis(250);

/// An MPD that tells what there is by the clock.
#[derive(Debug)]
pub(super) struct Clock {
    mpd: Mpd,
    url: Url,
    looked: Instant,
}

impl Catalog {
    /// Takes an MPD that was asked for at `url`; told back: how all of its Representations stand now, and of which stream they are.
    pub fn present(&self, url: &Url, text: &[u8], now: SystemTime) -> Vec<(usize, Listing)> {
        let Ok(mpd) = Mpd::parse(url, text) else { return Vec::new() };
        let mut streams = self.lock();
        let name = plain(url);
        let Some(number) = streams.iter().position(|s| s.manifests.contains(&name)) else {
            return Vec::new();
        };
        let stream = &mut streams[number];
        if let Some(moved) = mpd.moved() {
            stream.is_also_at(plain(moved));
        }
        let listings = stream.present(url, &mpd, now);
        let looked = Instant::now();
        stream.clock = (!mpd.holds().is_zero()).then(|| Clock { mpd, url: url.clone(), looked });
        listings.into_iter().map(|listing| (number, listing)).collect()
    }

    /// What has come since, where that is told by the clock, and of which stream it is.
    pub fn look_at_the_clock(&self, now: SystemTime) -> Vec<(usize, Listing)> {
        let mut all = Vec::new();
        for (number, stream) in self.lock().iter_mut().enumerate() {
            let Some(clock) = stream.clock.as_mut().filter(|clock| clock.looked.elapsed() >= LOOK) else {
                continue;
            };
            clock.looked = Instant::now();
            all.extend(stream.look(now).into_iter().map(|listing| (number, listing)));
        }
        all
    }

    /// The same of one stream, by somebody who looks at intervals.
    pub fn look_at(&self, number: usize, now: SystemTime) -> Vec<Listing> {
        self.lock().get_mut(number).map(|stream| stream.look(now)).unwrap_or_default()
    }

    /// How long it is until the clock says something more of one stream, where it does so to the moment.
    pub fn until_next(&self, number: usize, now: SystemTime) -> Option<Duration> {
        let streams = self.lock();
        let mpd = &streams.get(number)?.clock.as_ref()?.mpd;
        let shared = mpd.representations().into_iter().filter(|named| named.is_shared);
        shared.filter_map(|named| mpd.until_next(&named.id, now)).min()
    }
}

impl Stream {
    fn look(&mut self, now: SystemTime) -> Vec<Listing> {
        let Some(clock) = self.clock.take() else { return Vec::new() };
        let listings = self.present(&clock.url, &clock.mpd, now);
        self.clock = Some(clock);
        listings
    }

    fn present(&mut self, url: &Url, mpd: &Mpd, now: SystemTime) -> Vec<Listing> {
        let Some(manifest) = self.manifests.first().cloned() else { return Vec::new() };
        // Elsewhere it is called as where it was first looked for, for that is what others know.
        let asked = if plain(url) == manifest { url.as_str() } else { &manifest };
        let mut listings = Vec::new();
        for named in mpd.representations().into_iter().filter(|named| named.is_shared) {
            let name = dash::address(&manifest, &named.id);
            self.name(name.clone(), kind(named.kind));
            let Some(track) = self.renditions.get(&name).map(|rendition| rendition.track) else { continue };
            let Ok(playlist) = mpd.playlist(track, &named.id, now) else { continue };
            let Ok(address) = Url::parse(&dash::address(asked, &named.id)) else { continue };
            listings.extend(self.take(&name, &address, playlist));
        }
        listings
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderMap;
    use rillcast_core::engine::MediaKind;
    use rillcast_publisher::track_id;

    use super::super::super::listing::GRACE;
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).expect("a URL")
    }

    const MANIFEST: &str = "https://cdn.example/live.mpd";

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn text(template: &str, more: &str) -> String {
        let set = |kind: &str, id: &str| {
            format!(
                "<AdaptationSet contentType='{kind}'><SegmentTemplate timescale='10' media='$RepresentationID$/$Number$' {template}</SegmentTemplate>\
                 <Representation id='{id}'/></AdaptationSet>"
            )
        };
        let sets = set("video", "v 1") + &set("audio", "a") + &set("text", "t");
        format!(
            "<MPD type='dynamic' availabilityStartTime='1970-01-01T00:00:00Z' maxSegmentDuration='PT2S'>{more}<Period start='PT0S'>{sets}</Period></MPD>"
        )
    }

    fn timeline(first: u64, count: u64) -> String {
        let template = format!(
            "startNumber='{first}'><SegmentTimeline><S t='{}' d='20' r='{}'/></SegmentTimeline>",
            first * 20,
            count - 1
        );
        text(&template, "")
    }

    fn finds(catalog: &Catalog, name: &str) -> bool {
        catalog.find(&url(&format!("https://cdn.example/{name}")), &HeaderMap::new()).is_some()
    }

    // R2 H10
    #[test]
    fn an_mpd_tells_of_all_its_representations_at_once() {
        let catalog = Catalog::new(&[url("https://cdn.example/other.mpd"), url(MANIFEST)]);
        let told = catalog.present(&url(&format!("{MANIFEST}?t=1")), timeline(7, 3).as_bytes(), at(0));
        let of = |(stream, listing): &(usize, Listing)| {
            (
                *stream,
                listing.kind,
                listing.url.to_string(),
                listing.entries.iter().map(|e| e.start_ms).collect::<Vec<_>>(),
            )
        };
        let starts = vec![14_000, 16_000, 18_000];
        let address = |id| format!("{MANIFEST}?t=1#representation={id}");
        let want = [
            (1, MediaKind::Main, address("v%201"), starts.clone()),
            (1, MediaKind::Audio, address("a"), starts),
        ];
        assert_eq!(told.iter().map(of).collect::<Vec<_>>(), want, "subtitles aren't shared");
        assert_eq!(told[0].1.track, track_id(&address("v%201")));
        assert!(finds(&catalog, "v%201/7") && finds(&catalog, "a/9"));
        assert!(!finds(&catalog, "a/10") && !finds(&catalog, "t/7"));
        assert!(
            catalog
                .present(&url("https://cdn.example/stranger.mpd"), timeline(7, 3).as_bytes(), at(0))
                .is_empty()
        );
        assert!(catalog.present(&url(MANIFEST), b"<html/>", at(0)).is_empty());
    }

    #[test]
    fn what_has_just_left_the_window_is_still_known() {
        let catalog = Catalog::new(&[url(MANIFEST)]);
        catalog.present(&url(MANIFEST), timeline(7, 3).as_bytes(), at(0));
        catalog.present(&url(MANIFEST), timeline(9, 3).as_bytes(), at(0));
        assert!(finds(&catalog, "a/7") && finds(&catalog, "a/11"));
        catalog.present(&url(MANIFEST), timeline(7 + 2 * GRACE, 3).as_bytes(), at(0));
        assert!(!finds(&catalog, "a/7"));
    }

    #[test]
    fn what_comes_by_the_clock_is_known_without_another_look_at_the_mpd() {
        let catalog = Catalog::new(&[url(MANIFEST)]);
        let told = catalog.present(&url(MANIFEST), text("duration='20'>", "").as_bytes(), at(10));
        assert_eq!(told[0].1.entries.len(), 5);
        assert!(finds(&catalog, "a/5") && !finds(&catalog, "a/6"));
        assert_eq!(catalog.until_next(0, at(11)), Some(Duration::from_secs(1)));
        assert!(catalog.look_at_the_clock(at(12)).is_empty(), "a moment ago it was looked at");
        std::thread::sleep(LOOK);
        assert_eq!(catalog.look_at_the_clock(at(12)).len(), 2);
        assert!(finds(&catalog, "a/6"));
    }

    #[test]
    fn an_mpd_that_has_moved_is_the_same_one() {
        let catalog = Catalog::new(&[url(MANIFEST)]);
        let moved = text("duration='20'>", "<Location>https://cdn.example/edge/x.mpd?s=1</Location>");
        catalog.present(&url(MANIFEST), moved.as_bytes(), at(10));
        let told = catalog.present(&url("https://cdn.example/edge/x.mpd?s=1"), moved.as_bytes(), at(10));
        assert_eq!(told[1].1.url.as_str(), format!("{MANIFEST}#representation=a"));
        assert_eq!(told[1].1.track, track_id(told[1].1.url.as_str()));
    }
}
