//! What is fetched from the origin, the CDN or a publisher. The host makes the requests, under the engine's numbers.
//!
//! The engine speaks of bytes of a *segment*; where a playlist gives a segment as a byte range of a larger resource,
//! the offset is added here, and what a server sends beyond the segment is cut away.

use std::cell::RefCell;
use std::ops::Range;
use std::rc::Rc;

use rillcast_core::engine::{FetchId, Input, SourceError, SourceHead, Via};
use rillcast_core::map::Map;
use rillcast_core::payload::Payload;
use rillcast_protocol::coding::Text;
use rillcast_protocol::id::{SegmentKey, SwarmId, TrackId};
use rillcast_protocol::signal::{TrackSource, hosted_path};

use crate::driver::Shell;
use crate::payload::JsBytes;

/// How far behind a live playlist's oldest segment its URLs are kept, in segments: a rescue may still run.
const GRACE: u64 = 16;

/// Where a segment is.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) url: String,
    /// First byte in the resource, and the byte after the last; `None` is all of it.
    pub(crate) range: Option<Range<u64>>,
}

/// What is known of the source, and what is under way.
#[derive(Default)]
pub(crate) struct Source {
    /// One entry per segment of the playlists seen last, and a few that have just left them.
    places: RefCell<Map<SegmentKey, Place>>,
    /// Playlist URLs by track: as many as the presentation has.
    playlists: RefCell<Map<TrackId, String>>,
    /// As many as the engine has asked for and not cancelled.
    running: RefCell<Map<FetchId, Running>>,
    /// Where hosted segments are, and the swarm that their paths name.
    publisher: RefCell<Option<(String, SwarmId)>>,
}

/// One fetch.
struct Running {
    cut: Cut,
    /// Bytes to leave out before the next that counts.
    skip: u64,
    /// Bytes that may still come.
    left: u64,
}

impl Source {
    /// Takes in a playlist: where its segments are.
    pub(crate) fn timeline(&self, track: TrackId, playlist: String, places: Vec<(SegmentKey, Place)>) {
        let oldest = places.iter().map(|p| p.0.number).min().unwrap_or(0).saturating_sub(GRACE);
        let mut known = self.places.borrow_mut();
        known.retain(|key, _| key.track != track || key.number >= oldest);
        for (key, place) in places {
            known.insert(key, place);
        }
        self.playlists.borrow_mut().insert(track, playlist);
    }

    /// Takes in where one segment is.
    pub(crate) fn place(&self, key: SegmentKey, place: Place) {
        self.places.borrow_mut().insert(key, place);
    }

    /// Playlist URLs of these tracks, for signaling.
    pub(crate) fn playlists(&self, tracks: &[TrackId]) -> Vec<TrackSource> {
        let known = self.playlists.borrow();
        let source = |track: &TrackId| {
            let playlist = Text::new(known.get(track)?.as_str())?;
            Some(TrackSource { track: *track, playlist })
        };
        tracks.iter().filter_map(source).collect()
    }

    /// Where hosted segments are from now on; an empty base is nowhere.
    pub(crate) fn set_publisher(&self, base: String, swarm: SwarmId) {
        *self.publisher.borrow_mut() = (!base.is_empty()).then_some((base, swarm));
    }

    /// Starts a fetch.
    pub(crate) fn fetch(
        &self,
        shell: &Rc<Shell>,
        fetch: FetchId,
        key: SegmentKey,
        range: Option<Range<u32>>,
        via: Via,
        urgent: bool,
    ) {
        let place = match via {
            Via::Origin => self.places.borrow().get(&key).cloned(),
            Via::Publisher => self.publisher.borrow().as_ref().map(|(base, swarm)| {
                let mut url = base.clone();
                url.push('/');
                url.push_str(&hosted_path(*swarm, key));
                Place { url, range: None }
            }),
        };
        let Some(place) = place else {
            return shell.input(Input::SourceFailed { fetch, error: SourceError::Unknown });
        };
        let cut = Cut::new(&place, range);
        let (start, end) = cut.ask.as_ref().map_or((0.0, 0.0), |r| (r.start as f64, r.end as f64));
        self.running.borrow_mut().insert(fetch, Running { cut, skip: 0, left: 0 });
        shell.host.fetch(fetch.0, &place.url, start, end, via == Via::Origin, urgent);
    }

    /// Stops a fetch; nothing more of it comes in.
    pub(crate) fn cancel(&self, shell: &Shell, fetch: FetchId) {
        if self.running.borrow_mut().remove(&fetch).is_some() {
            shell.host.stop(fetch.0);
        }
    }

    /// Stops all of them.
    pub(crate) fn close(&self, shell: &Shell) {
        for (fetch, _) in self.running.take().iter() {
            shell.host.stop(fetch.0);
        }
    }

    /// An answer's head: its status, and where they could be read the first byte and the length of the whole resource.
    pub(crate) fn head(
        &self,
        shell: &Rc<Shell>,
        fetch: FetchId,
        status: u16,
        first: Option<u64>,
        total: Option<u64>,
    ) {
        let mut running = self.running.borrow_mut();
        let Some(one) = running.get_mut(&fetch) else { return };
        let other = matches!((&one.cut.ask, first), (Some(ask), Some(first)) if ask.start != first);
        let head = if other { None } else { one.cut.head(status, total) };
        if let Some((head, skip, left)) = head {
            (one.skip, one.left) = (skip, left);
            drop(running);
            return shell.input(Input::SourceHead { fetch, head });
        }
        drop(running);
        let error = if other { SourceError::Network } else { SourceError::Status(status) };
        self.cancel(shell, fetch);
        shell.input(Input::SourceFailed { fetch, error });
    }

    /// Bytes of an answer's body.
    pub(crate) fn data(&self, shell: &Rc<Shell>, fetch: FetchId, data: &JsBytes) {
        let mut running = self.running.borrow_mut();
        let Some(one) = running.get_mut(&fetch) else { return };
        let length = data.len() as u64;
        let from = one.skip.min(length);
        let to = one.left.saturating_add(from).min(length);
        one.skip -= from;
        one.left -= to - from;
        let complete = one.left == 0;
        drop(running);
        if to > from {
            shell.input(Input::SourceData { fetch, data: data.slice(from as usize..to as usize) });
        }
        if complete {
            // What the server sends beyond the segment isn't ours to wait for.
            shell.host.stop(fetch.0);
            self.end(shell, fetch);
        }
    }

    /// An answer's body is complete.
    pub(crate) fn end(&self, shell: &Rc<Shell>, fetch: FetchId) {
        if self.running.borrow_mut().remove(&fetch).is_some() {
            shell.input(Input::SourceEnd { fetch });
        }
    }

    /// There was no answer, or it broke off.
    pub(crate) fn failed(&self, shell: &Rc<Shell>, fetch: FetchId) {
        if self.running.borrow_mut().remove(&fetch).is_some() {
            shell.input(Input::SourceFailed { fetch, error: SourceError::Network });
        }
    }
}

/// Which bytes of the resource are asked for, and which the engine means.
#[derive(Debug, PartialEq)]
struct Cut {
    /// Bytes to ask for; `None` asks for the whole resource.
    ask: Option<Range<u64>>,
    /// The segment within the resource.
    segment: Option<Range<u64>>,
    /// The engine asked for a part of the segment.
    partial: bool,
}

impl Cut {
    fn new(place: &Place, range: Option<Range<u32>>) -> Self {
        let start = place.range.as_ref().map_or(0, |r| r.start);
        let ask = match &range {
            Some(r) => Some(start + u64::from(r.start)..start + u64::from(r.end)),
            None => place.range.clone(),
        };
        Self { ask, segment: place.range.clone(), partial: range.is_some() }
    }

    /// The segment's length, where the playlist tells it.
    fn length(&self) -> Option<u32> {
        self.segment.as_ref().and_then(|r| u32::try_from(r.end - r.start).ok())
    }

    /// What to tell the engine of an answer, the bytes to skip at its front, and the most to hand on after them.
    fn head(&self, status: u16, total: Option<u64>) -> Option<(SourceHead, u64, u64)> {
        let total = total.and_then(|t| u32::try_from(t).ok());
        match (status, &self.ask) {
            (206, Some(ask)) if self.partial => {
                let total = if self.segment.is_some() { self.length() } else { total };
                Some((SourceHead::Partial { total }, 0, ask.end - ask.start))
            }
            // The whole of a segment that is a part of its resource.
            (206, Some(ask)) => Some((SourceHead::Whole { total: self.length() }, 0, ask.end - ask.start)),
            (200..=299, _) => Some(match &self.segment {
                Some(segment) => {
                    let total = self.length();
                    (SourceHead::Whole { total }, segment.start, segment.end - segment.start)
                }
                None => (SourceHead::Whole { total }, 0, u64::MAX),
            }),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole() -> Place {
        Place { url: String::new(), range: None }
    }

    fn part() -> Place {
        Place { url: String::new(), range: Some(1000..3000) }
    }

    #[test]
    fn a_range_of_a_segment_is_asked_for_as_it_is() {
        let cut = Cut::new(&whole(), Some(10..20));
        assert_eq!(cut.ask, Some(10..20));
        assert_eq!(cut.head(206, Some(500)), Some((SourceHead::Partial { total: Some(500) }, 0, 10)));
        assert_eq!(cut.head(206, None), Some((SourceHead::Partial { total: None }, 0, 10)));
        assert_eq!(cut.head(200, Some(500)), Some((SourceHead::Whole { total: Some(500) }, 0, u64::MAX)));
        assert_eq!(cut.head(404, None), None);
    }

    #[test]
    fn a_range_of_a_byte_range_segment_is_moved_by_its_offset() {
        let cut = Cut::new(&part(), Some(10..20));
        assert_eq!(cut.ask, Some(1010..1020));
        assert_eq!(cut.head(206, Some(9000)), Some((SourceHead::Partial { total: Some(2000) }, 0, 10)));
    }

    #[test]
    fn a_whole_byte_range_segment_is_a_range_of_its_resource() {
        let cut = Cut::new(&part(), None);
        assert_eq!(cut.ask, Some(1000..3000));
        assert_eq!(cut.head(206, Some(9000)), Some((SourceHead::Whole { total: Some(2000) }, 0, 2000)));
    }

    #[test]
    fn a_server_without_ranges_sends_more_than_the_segment_and_it_is_cut_out() {
        let cut = Cut::new(&part(), Some(10..20));
        assert_eq!(cut.head(200, Some(9000)), Some((SourceHead::Whole { total: Some(2000) }, 1000, 2000)));
    }
}
