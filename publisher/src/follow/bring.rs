//! Brings one segment, or part of one: from its copy, its parts or the origin; signs it and tells of it.

use std::time::Duration;

use bytes::Bytes;
use rillcast_protocol::digest::LARGE_SEGMENT;
use rillcast_protocol::id::{SegmentKey, canonical_path};

use super::{Done, Follower, How, disputed, lock};
use crate::copies::Wanted;
use crate::ledger::{Entered, Place, Print};
use crate::origin::{OriginError, bare};
use crate::playlist::Segment;
use crate::publisher::{Came, Event, Published};
use crate::sign;

/// Attempts at a part before it is skipped: its segment comes soon.
const PART_ATTEMPTS: u32 = 3;

impl Follower {
    pub(super) async fn bring(
        self,
        segment: Segment,
        how: How,
        oldest: Option<Duration>,
        early: bool,
    ) -> Done {
        let key = segment.key;
        let (event, joined) = match how {
            How::Recall => (self.copy(&segment, oldest).await, None),
            How::Sign => (self.sign(&segment, oldest, early).await, None),
            How::Compare(joined) => (self.sign(&segment, oldest, early).await, Some(joined)),
            How::Join(body) => (self.enter(&segment, body, Came::Joined).await, None),
        };
        let fetched = match &event {
            Some(Event::Published(published)) if published.came == Came::Fetched => {
                Some(published.body.clone())
            }
            _ => None,
        };
        if let Some(event) = event {
            let _ = self.events.send(event).await;
        }
        Done::Brought { key, fetched, joined }
    }

    async fn sign(&self, segment: &Segment, oldest: Option<Duration>, early: bool) -> Option<Event> {
        // Of a name that has been heard of something has changed, or it is to be checked: then it is the origin's word that counts.
        let is_new = lock(&self.ledger).is_new(segment.key);
        if is_new && let Some(event) = self.copy(segment, oldest).await {
            return Some(event);
        }
        match self.attempt(segment, early).await {
            Ok(body) => self.enter(segment, body, Came::Fetched).await,
            Err(why) => {
                tracing::warn!(url = bare(&segment.url), %why, "a segment gets no digest");
                Some(Event::Skipped { swarm: self.swarm, key: segment.key, why })
            }
        }
    }

    pub(super) fn has_copy(&self, key: SegmentKey) -> bool {
        self.config.copies.as_ref().is_some_and(|copies| copies.length(self.swarm, key).is_some())
    }

    /// A segment's copy, if there is a true one.
    async fn copy(&self, segment: &Segment, oldest: Option<Duration>) -> Option<Event> {
        let copies = self.config.copies.clone().filter(|_| self.has_copy(segment.key))?;
        let (swarm, key, duration_ms) = (self.swarm, segment.key, segment.duration_ms);
        let wanted = Wanted { swarm, key, place: place(segment), duration_ms, oldest };
        let (digest, body) =
            tokio::task::spawn_blocking(move || copies.read(&wanted)).await.ok().flatten()?;
        match lock(&self.ledger).enter(key, place(segment), Print::of(&digest)) {
            Entered::New | Entered::Same => {}
            Entered::Disputed(publisher) => disputed(key, publisher),
            Entered::Conflict => return None,
        }
        let (url, range) = (segment.url.clone(), segment.range.clone());
        Some(Event::Published(Box::new(Published { digest, body, url, range, came: Came::Copied })))
    }

    /// Fetches, and tries again with growing pauses where that may help. What we come for `early` is asked for once more a moment later.
    async fn attempt(&self, segment: &Segment, mut early: bool) -> Result<Bytes, OriginError> {
        let mut pause = self.config.pace.quick;
        let mut tries = 0;
        let is_part = segment.key.part > 0;
        let most = if is_part { self.config.attempts.min(PART_ATTEMPTS) } else { self.config.attempts };
        loop {
            let answer = {
                let _place = self.fetches.acquire().await;
                self.origin.segment(&self.allow, &segment.url, segment.range.clone()).await
            };
            if std::mem::take(&mut early) && matches!(answer, Err(OriginError::Status(404))) {
                tokio::time::sleep(self.config.pace.quick / 4).await;
                continue;
            }
            tries += 1;
            let hopeless = matches!(
                answer,
                Err(OriginError::NotAllowed(_) | OriginError::TooLarge(_) | OriginError::WrongRange)
            );
            if answer.is_ok() || hopeless || tries >= most {
                return answer;
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(self.config.pace.slow);
        }
    }

    async fn enter(&self, segment: &Segment, body: Bytes, came: Came) -> Option<Event> {
        let (key, swarm) = (self.key.clone(), self.swarm);
        let (name, duration, bytes) = (segment.key, segment.duration_ms, body.clone());
        let work = move || sign::digest(&key, swarm, name, duration, &bytes);
        let digest = if body.len() > LARGE_SEGMENT as usize {
            tokio::task::spawn_blocking(work).await.ok().flatten()
        } else {
            work()
        };
        let Some(digest) = digest else {
            let why = OriginError::WrongRange;
            tracing::warn!(url = bare(&segment.url), "an empty segment gets no digest");
            return Some(Event::Skipped { swarm, key: segment.key, why });
        };
        let entered = lock(&self.ledger).enter(segment.key, place(segment), Print::of(&digest));
        if let Entered::Disputed(publisher) = entered {
            disputed(segment.key, publisher);
        }
        // Of parts none is kept: they are in their segment's copy, and nobody asks for old ones.
        if let Some(copies) = self.config.copies.as_ref().filter(|_| segment.key.part == 0) {
            match entered {
                Entered::New | Entered::Disputed(_) => copies.keep(place(segment), &digest, &body),
                Entered::Same => {}
                Entered::Conflict => copies.forget(swarm, segment.key),
            }
        }
        match entered {
            Entered::New | Entered::Disputed(_) => Some(Event::Published(Box::new(Published {
                digest,
                body,
                url: segment.url.clone(),
                range: segment.range.clone(),
                came,
            }))),
            Entered::Same => None,
            Entered::Conflict => {
                tracing::error!(
                    url = bare(&segment.url),
                    number = segment.key.number,
                    "a segment came again with other bytes; it isn't signed or shared. An encoder that starts again should go on counting, or put in a discontinuity"
                );
                Some(Event::Conflict { swarm, key: segment.key })
            }
        }
    }
}

/// Where the origin has it.
pub(super) fn place(segment: &Segment) -> Place {
    let mut hasher = blake3::Hasher::new();
    hasher.update(canonical_path(segment.url.as_str()).as_bytes());
    if let Some(range) = &segment.range {
        hasher.update(&range.start.to_be_bytes()).update(&range.end.to_be_bytes());
    }
    let mut head = [0; 8];
    head.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
    Place(u64::from_be_bytes(head))
}
