//! The task behind each followed playlist: looks when [`Edge`](crate::edge::Edge) says so, fetches what [`Ledger`] lacks, signs, tells.

mod view;

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use bytes::Bytes;
use reqwest::Url;
use rillcast_protocol::digest::LARGE_SEGMENT;
use rillcast_protocol::id::{PublisherKey, SegmentKey, SwarmId, TrackId, canonical_path};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;

use crate::allow::AllowList;
use crate::copies::{self, Wanted};
use crate::key::PublishingKey;
use crate::ledger::{Entered, Ledger, Place, Print};
use crate::origin::{Document, Origin, OriginError, Validators, bare};
use crate::playlist::{Playlist, Segment};
use crate::publisher::{Config, Event, Published};
use crate::sign;
use crate::vod::{Next, Plan};
use view::View;

/// Room for an owner's commands to one follower.
pub const COMMANDS: usize = 64;
/// Segments that wait to be fetched; beyond that the oldest are skipped.
const PENDING: usize = 64;

/// What the owner tells a follower.
#[derive(Debug)]
pub(crate) enum Command {
    /// Another place where the playlist may be found.
    Address(Url),
    /// The playlist has changed.
    Look,
    /// Digest this first.
    Want(SegmentKey),
    /// Read this from its copy again.
    Recall(SegmentKey),
}

/// A follower before it runs.
#[derive(Debug, Clone)]
pub(crate) struct Follower {
    pub(crate) swarm: SwarmId,
    pub(crate) track: TrackId,
    pub(crate) allow: Arc<AllowList>,
    pub(crate) key: Arc<PublishingKey>,
    pub(crate) config: Arc<Config>,
    pub(crate) origin: Origin,
    pub(crate) fetches: Arc<Semaphore>,
    pub(crate) events: mpsc::Sender<Event>,
    pub(crate) ledger: Arc<Mutex<Ledger>>,
}

enum Done {
    Looked { at: Instant, answer: Box<Result<Option<Document>, OriginError>> },
    Brought(SegmentKey),
}

/// Where a segment is to come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    /// From its copy, or from the origin, to be signed.
    Sign,
    /// From its copy alone: it was signed before.
    Recall,
}

impl Follower {
    pub(crate) async fn run(self, address: Url, mut inbox: mpsc::Receiver<Command>) {
        let mut view = View::new(address, &self.config);
        let mut jobs = JoinSet::new();
        loop {
            let wake = self.drive(&mut view, &mut jobs);
            tokio::select! {
                command = inbox.recv() => match command {
                    Some(Command::Address(url)) => view.add_address(url),
                    Some(Command::Look) => view.look(Instant::now()),
                    Some(Command::Want(key)) => view.want(key),
                    Some(Command::Recall(key)) => view.recall(key),
                    None => return,
                },
                Some(done) = jobs.join_next(), if !jobs.is_empty() => match done {
                    Ok(Done::Looked { at, answer }) => self.looked(&mut view, at, *answer).await,
                    Ok(Done::Brought(key)) => view.underway.retain(|k| *k != key),
                    // A job that panicked has freed its place; its segment stays without a digest.
                    Err(error) => {
                        tracing::error!(%error, "a publisher's job failed");
                        view.looking = false;
                        view.underway.clear();
                    }
                },
                () = sleep_until(wake) => {}
            }
        }
    }

    /// Starts what is due; returns when to come again.
    fn drive(&self, view: &mut View, jobs: &mut JoinSet<Done>) -> Option<Instant> {
        let now = Instant::now();
        let mut wake = None;
        while view.underway.len() < self.config.max_fetches_per_track {
            match self.next_segment(view, now) {
                Ok((segment, how)) => {
                    view.underway.push(segment.key);
                    let oldest = view.playlist.as_ref().and_then(|playlist| {
                        let index = playlist.segments.iter().position(|s| s.key == segment.key)?;
                        copies::oldest(playlist, index)
                    });
                    jobs.spawn(self.clone().bring(segment, how, oldest));
                }
                Err(at) => {
                    wake = at;
                    break;
                }
            }
        }
        let ended = view.playlist.as_ref().is_some_and(|p| p.ended);
        if !view.looking && (!ended || view.told) {
            if view.edge.next() <= now {
                (view.looking, view.told) = (true, false);
                jobs.spawn(self.clone().look(view.addresses[0].clone(), view.validators.clone()));
            } else {
                wake = [wake, Some(view.edge.next())].into_iter().flatten().min();
            }
        }
        wake
    }

    /// The next segment to bring, or when there may be one.
    fn next_segment(&self, view: &mut View, now: Instant) -> Result<(Segment, How), Option<Instant>> {
        let Some(playlist) = view.playlist.clone() else { return Err(None) };
        while let Some(key) = view.recalled.pop_front() {
            if let Some(segment) = playlist.find(key).filter(|_| !view.underway.contains(&key)) {
                return Ok((segment.clone(), How::Recall));
            }
        }
        self.next_unsigned(view, &playlist, now).map(|segment| (segment, How::Sign))
    }

    /// The next segment that has still to be signed, or when there may be one.
    fn next_unsigned(
        &self,
        view: &mut View,
        playlist: &Playlist,
        now: Instant,
    ) -> Result<Segment, Option<Instant>> {
        let lacks = |view: &View, segment: &Segment| {
            !view.underway.contains(&segment.key) && lock(&self.ledger).lacks(segment.key, place(segment))
        };
        while let Some(key) = view.wanted.pop_front() {
            let Some(index) = playlist.segments.iter().position(|s| s.key == key) else {
                if playlist.segments.last().is_none_or(|newest| key > newest.key) && !playlist.ended {
                    view.edge.hurry(now);
                }
                continue;
            };
            if let Some(plan) = &mut view.plan {
                plan.start(index, now);
            }
            if lacks(view, &playlist.segments[index]) {
                return Ok(playlist.segments[index].clone());
            }
        }
        if now < view.settled && !view.pending.is_empty() {
            return Err(Some(view.settled));
        }
        while let Some(segment) = view.pending.pop_front() {
            // Whatever has left the playlist may be gone from the origin too, and nobody will play it.
            if playlist.find(segment.key).is_some() && lacks(view, &segment) {
                return Ok(segment);
            }
        }
        loop {
            match view.plan.as_mut().map_or(Next::Idle, |plan| plan.next(now)) {
                Next::Segment(index) if lacks(view, &playlist.segments[index]) => {
                    return Ok(playlist.segments[index].clone());
                }
                Next::Segment(_) => {}
                Next::Wait(until) => return Err(Some(until)),
                Next::Idle => return Err(None),
            }
        }
    }

    async fn look(self, url: Url, validators: Validators) -> Done {
        let at = Instant::now();
        let answer = self.origin.playlist(&self.allow, &url, &validators).await;
        Done::Looked { at, answer: Box::new(answer) }
    }

    async fn looked(&self, view: &mut View, at: Instant, answer: Result<Option<Document>, OriginError>) {
        self.heed(view, at, answer).await;
        view.looking = false;
        if view.told {
            // It changed while it was on its way.
            view.edge.told(Instant::now());
        }
    }

    async fn heed(&self, view: &mut View, at: Instant, answer: Result<Option<Document>, OriginError>) {
        let parsed = match answer {
            Ok(None) => {
                view.failing = false;
                return view.edge.unchanged(at);
            }
            Ok(Some(document)) => Playlist::parse(self.track, &document.url, &document.body)
                .map(|playlist| (playlist, document.from, document.validators))
                .map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        match parsed {
            Ok((playlist, from, validators)) => {
                view.failing = false;
                if view.lags(&playlist, &from, at) {
                    view.validators = Validators::default();
                    return view.edge.unchanged(at);
                }
                view.validators = validators;
                self.compare(view, at, playlist).await;
            }
            Err(why) => {
                view.edge.failed(at);
                view.validators = Validators::default();
                let why = format!("{}: {why}", bare(&view.addresses[0]));
                view.addresses.rotate_left(1);
                if !std::mem::replace(&mut view.failing, true) {
                    tracing::warn!(swarm = ?self.swarm, %why, "a playlist can't be followed");
                    let _ =
                        self.events.send(Event::Failing { swarm: self.swarm, track: self.track, why }).await;
                }
            }
        }
    }

    /// Takes in a playlist as it is now.
    async fn compare(&self, view: &mut View, at: Instant, playlist: Playlist) {
        let first = view.playlist.is_none();
        let known = view.playlist.as_ref().and_then(|p| p.segments.last()).map(|s| s.key);
        let newest = playlist.segments.last().map(|s| s.key);
        if newest < known {
            tracing::warn!(swarm = ?self.swarm, "a playlist's numbers went backwards: has its encoder started again?");
            lock(&self.ledger).restarted();
        }
        let changed = view.playlist.as_deref() != Some(&playlist);
        if first && playlist.ended {
            let durations = playlist.segments.iter().map(|s| millis(s.duration_ms)).collect();
            view.plan = self.config.lead.map(|lead| Plan::new(lead, durations, at));
        } else {
            let fresh = match known {
                Some(known) if newest >= Some(known) => {
                    playlist.segments.iter().filter(|s| s.key > known).collect::<Vec<_>>()
                }
                _ => {
                    let from = playlist.segments.len().saturating_sub(self.config.backlog);
                    let (older, backlog) = playlist.segments.split_at(from);
                    // What there are copies of costs the origin nothing.
                    older.iter().filter(|s| self.has_copy(s.key)).chain(backlog).collect()
                }
            };
            for segment in fresh {
                if view.pending.len() == PENDING {
                    view.pending.pop_front();
                }
                view.pending.push_back(segment.clone());
            }
        }
        match playlist.segments.last() {
            Some(last) if newest != known => view.edge.appeared(at, millis(last.duration_ms), first),
            _ => view.edge.unchanged(at),
        }
        let playlist = Arc::new(playlist);
        view.playlist = Some(playlist.clone());
        if changed && self.config.playlists {
            let event = Event::Playlist { swarm: self.swarm, track: self.track, playlist };
            let _ = self.events.send(event).await;
        }
    }

    async fn bring(self, segment: Segment, how: How, oldest: Option<Duration>) -> Done {
        let key = segment.key;
        let event = match how {
            How::Recall => self.copy(&segment, oldest).await,
            How::Sign => self.sign(&segment, oldest).await,
        };
        if let Some(event) = event {
            let _ = self.events.send(event).await;
        }
        Done::Brought(key)
    }

    async fn sign(&self, segment: &Segment, oldest: Option<Duration>) -> Option<Event> {
        // Of a name that has been heard of something has changed, or it is to be checked: then it is the origin's word that counts.
        let is_new = lock(&self.ledger).is_new(segment.key);
        if is_new && let Some(event) = self.copy(segment, oldest).await {
            return Some(event);
        }
        match self.attempt(segment).await {
            Ok(body) => self.enter(segment, body).await,
            Err(why) => {
                tracing::warn!(url = bare(&segment.url), %why, "a segment gets no digest");
                Some(Event::Skipped { swarm: self.swarm, key: segment.key, why })
            }
        }
    }

    fn has_copy(&self, key: SegmentKey) -> bool {
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
        Some(Event::Published(Box::new(Published { digest, body, url, range, copy: true })))
    }

    /// Fetches, and tries again with growing pauses where that may help.
    async fn attempt(&self, segment: &Segment) -> Result<Bytes, OriginError> {
        let mut pause = self.config.pace.quick;
        let mut tries = 0;
        loop {
            let answer = {
                let _place = self.fetches.acquire().await;
                self.origin.segment(&self.allow, &segment.url, segment.range.clone()).await
            };
            tries += 1;
            let hopeless = matches!(
                answer,
                Err(OriginError::NotAllowed(_) | OriginError::TooLarge(_) | OriginError::WrongRange)
            );
            if answer.is_ok() || hopeless || tries >= self.config.attempts {
                return answer;
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(self.config.pace.slow);
        }
    }

    async fn enter(&self, segment: &Segment, body: Bytes) -> Option<Event> {
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
        if let Some(copies) = &self.config.copies {
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
                copy: false,
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

/// A poisoned ledger is whole: every change of it is one step.
pub(crate) fn lock(ledger: &Mutex<Ledger>) -> MutexGuard<'_, Ledger> {
    ledger.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// Somebody else has signed what the origin doesn't give.
pub(crate) fn disputed(key: SegmentKey, publisher: PublisherKey) {
    tracing::error!(
        number = key.number,
        %publisher,
        "this publisher's digest isn't of the bytes that the origin gives here; if others say so as well, revoke it"
    );
}

fn place(segment: &Segment) -> Place {
    let mut hasher = blake3::Hasher::new();
    hasher.update(canonical_path(segment.url.as_str()).as_bytes());
    if let Some(range) = &segment.range {
        hasher.update(&range.start.to_be_bytes()).update(&range.end.to_be_bytes());
    }
    let mut head = [0; 8];
    head.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
    Place(u64::from_be_bytes(head))
}

fn millis(ms: u32) -> Duration {
    Duration::from_millis(u64::from(ms))
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}
