//! What a running follower knows of its playlist, and what is still to be done.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use reqwest::Url;
use rillcast_protocol::dash;
use rillcast_protocol::id::{SegmentKey, SwarmId};

use super::ahead::{Ahead, Wish};
use super::pieces::{Pieces, Whole};
use super::presentation::{Presentation, Presentations};
use super::{How, PENDING};
use crate::edge::Edge;
use crate::origin::{Document, Validators};
use crate::playlist::{Playlist, Segment};
use crate::publisher::Config;
use crate::vod::Plan;

/// Addresses kept for one playlist.
const ADDRESSES: usize = 4;
/// A mirror may be behind its origin for so long.
const LAG: Duration = Duration::from_secs(30);

/// A segment that is to be brought in its turn.
#[derive(Clone, Debug)]
pub(super) struct Pending {
    pub(super) segment: Segment,
    /// Since when it is known to be there.
    pub(super) since: Instant,
}

/// A document that tells what is to come by the clock alone, for a time.
pub(super) struct Kept {
    pub(super) document: Document,
    pub(super) until: Instant,
}

/// What a running follower knows.
pub(super) struct View {
    pub(super) addresses: Vec<Url>,
    /// Where the document itself wants to be looked for.
    pub(super) moved: Option<Url>,
    pub(super) kept: Option<Kept>,
    /// Of an MPD: what all its Representations share, and where that is.
    presentation: Option<(Url, Arc<Presentation>)>,
    pub(super) edge: Edge,
    pub(super) validators: Validators,
    pub(super) playlist: Option<Arc<Playlist>>,
    /// Which server's that is, and since when another's is behind it.
    pub(super) from: String,
    pub(super) behind: Option<Instant>,
    /// For a playlist that was finished when first seen.
    pub(super) plan: Option<Plan>,
    pub(super) pending: VecDeque<Pending>,
    pub(super) wanted: VecDeque<SegmentKey>,
    pub(super) recalled: VecDeque<SegmentKey>,
    /// From when on what is pending is fetched unasked.
    pub(super) settled: Instant,
    pub(super) underway: Vec<SegmentKey>,
    /// Parts that were fetched, until their segment is signed.
    pub(super) pieces: Pieces,
    pub(super) ahead: Ahead,
    /// When the last look began.
    pub(super) looked: Option<Instant>,
    pub(super) looking: bool,
    /// When it was said to have changed, since the last look began.
    pub(super) told: Option<Instant>,
    pub(super) failing: bool,
}

impl View {
    pub(super) fn new(address: Url, config: &Config) -> Self {
        Self {
            addresses: vec![address],
            moved: None,
            kept: None,
            presentation: None,
            edge: Edge::new(config.pace, Instant::now()),
            validators: Validators::default(),
            playlist: None,
            from: String::new(),
            behind: None,
            plan: None,
            pending: VecDeque::new(),
            wanted: VecDeque::new(),
            recalled: VecDeque::new(),
            settled: Instant::now() + config.settle,
            underway: Vec::new(),
            pieces: Pieces::default(),
            ahead: Ahead::default(),
            looked: None,
            looking: false,
            told: None,
            failing: false,
        }
    }

    pub(super) fn add_address(&mut self, url: Url) {
        if !self.addresses.contains(&url) && self.addresses.len() < ADDRESSES {
            self.addresses.push(url);
        }
    }

    /// Where to look.
    pub(super) fn place(&self) -> Url {
        self.moved.clone().unwrap_or_else(|| self.addresses[0].clone())
    }

    /// What whoever follows the same MPD shares; nothing of HLS, where each rendition has a playlist of its own.
    pub(super) fn presentation(&mut self, swarm: SwarmId, all: &Presentations) -> Option<Arc<Presentation>> {
        // Where an MPD has moved to names no Representation.
        dash::representation_id(self.addresses[0].as_str())?;
        let place = self.place();
        if self.presentation.as_ref().is_none_or(|(at, _)| *at != place) {
            self.presentation = Some((place.clone(), all.at(swarm, &place)));
        }
        self.held()
    }

    /// The same, as it was when last looked for.
    pub(super) fn held(&self) -> Option<Arc<Presentation>> {
        self.presentation.as_ref().map(|(_, presentation)| Arc::clone(presentation))
    }

    /// The document that says what there is now, unless it has to be read again.
    pub(super) fn kept_at(&self, now: Instant) -> Option<Document> {
        let kept = self.kept.as_ref().filter(|kept| now < kept.until && self.told.is_none())?;
        Some(kept.document.clone())
    }

    /// Whether a playlist is an older one of another server, a mirror's that comes after its origin: nothing began anew, and nothing has to be
    /// fetched again. One that stays behind is believed in the end.
    pub(super) fn lags(&mut self, playlist: &Playlist, from: &str, at: Instant) -> bool {
        let is_behind = from != self.from && playlist.newest().map(|s| s.key) < self.newest();
        if is_behind && at.saturating_duration_since(*self.behind.get_or_insert(at)) < LAG {
            return true;
        }
        self.behind = None;
        from.clone_into(&mut self.from);
        false
    }

    /// The newest segment or part that is known.
    pub(super) fn newest(&self) -> Option<SegmentKey> {
        self.playlist.as_ref()?.newest().map(|s| s.key)
    }

    /// When the next look is due, and what it waits for at the origin. Never sooner after the last one than the pace allows: an origin may
    /// answer at once.
    pub(super) fn next_look(&self, soonest: Duration) -> (Instant, Option<Wish>) {
        match self.playlist.as_ref().and_then(|playlist| self.ahead.wish(playlist)) {
            Some(wish) => (self.looked.map_or(self.edge.next(), |looked| looked + soonest), Some(wish)),
            None => (self.edge.next(), None),
        }
    }

    /// How a segment that the playlist names is to be signed; not yet, while parts of it are to come.
    pub(super) fn way(&mut self, segment: &Segment, playlist: &Playlist) -> Option<How> {
        if segment.key.part > 0 {
            return Some(How::Sign);
        }
        let (underway, pending) = (&self.underway, &self.pending);
        let is_coming = |key| underway.contains(&key) || pending.iter().any(|p| p.segment.key == key);
        match self.pieces.whole(segment, playlist, is_coming) {
            Whole::Together(body) => Some(How::Join(body)),
            Whole::Compare(body) => Some(How::Compare(body)),
            Whole::Fetch => Some(How::Sign),
            Whole::Wait => None,
        }
    }

    /// A segment was brought. `fetched` are its bytes if the origin gave them just now, `joined` those of its parts if they are to be compared.
    pub(super) fn brought(&mut self, key: SegmentKey, fetched: Option<Bytes>, joined: Option<&Bytes>) {
        self.underway.retain(|k| *k != key);
        let Some(fetched) = fetched else { return };
        match joined {
            None if key.part > 0 => self.pieces.put(key, fetched),
            Some(joined) if !self.pieces.compared(key, joined, &fetched) => tracing::warn!(
                number = key.number,
                "a segment's bytes aren't those of its parts, so that both are fetched; a packager that makes segments of the same bytes would save half"
            ),
            _ => {}
        }
    }

    /// Puts a segment where it is brought in its turn; beyond the limit the oldest is skipped.
    pub(super) fn queue(&mut self, segment: Segment, since: Instant) {
        if self.pending.len() == PENDING {
            self.pending.pop_front();
        }
        self.pending.push_back(Pending { segment, since });
    }

    /// It has changed by now.
    pub(super) fn look(&mut self, now: Instant) {
        self.told = Some(now);
        self.edge.told(now);
    }

    pub(super) fn want(&mut self, key: SegmentKey) {
        if !self.wanted.contains(&key) && self.wanted.len() < PENDING {
            self.wanted.push_back(key);
        }
    }

    pub(super) fn recall(&mut self, key: SegmentKey) {
        if !self.recalled.contains(&key) && self.recalled.len() < PENDING {
            self.recalled.push_back(key);
        }
    }
}
