//! The task behind each followed playlist: looks when [`Edge`](crate::edge::Edge) says so, fetches what [`Ledger`] lacks, signs, tells. Of an MPD that
//! goes by the clock a look is only a look at the clock, until it has to be read again.

mod ahead;
mod bring;
mod fresh;
mod pieces;
mod presentation;
mod view;

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use reqwest::Url;
use rillcast_protocol::id::{PublisherKey, SegmentKey, SwarmId, TrackId};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;

use crate::allow::AllowList;
use crate::copies;
use crate::directives::awaiting;
use crate::key::PublishingKey;
use crate::ledger::Ledger;
use crate::manifest::{self, Read};
use crate::order::{self, Order};
use crate::origin::{Document, Origin, OriginError, Validators, bare};
use crate::playlist::{Playlist, Segment};
use crate::publisher::{Config, Event};
use crate::vod::{Next, Plan};
use ahead::Wish;
use bring::place;
use fresh::fresh;
pub(crate) use presentation::Presentations;
use presentation::{Look, Presentation};
use view::{Kept, Pending, View};

/// Room for an owner's commands to one follower.
pub const COMMANDS: usize = 64;
/// Segments and parts that wait to be fetched; beyond that the oldest are skipped.
const PENDING: usize = 64;

/// What the owner tells a follower.
#[derive(Debug)]
pub(crate) enum Command {
    /// Another place where the playlist may be found.
    Address(Url),
    /// The playlist has changed, by then.
    Look(Instant),
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
    pub(crate) presentations: Arc<Presentations>,
    pub(crate) fetches: Arc<Semaphore>,
    pub(crate) events: mpsc::Sender<Event>,
    pub(crate) ledger: Arc<Mutex<Ledger>>,
    pub(crate) order: watch::Receiver<Order>,
}

enum Done {
    Looked { at: Instant, wish: Option<Wish>, answer: Box<Answer> },
    Brought { key: SegmentKey, fetched: Option<Bytes>, joined: Option<Bytes> },
}

/// What a look showed.
#[derive(Debug)]
enum Answer {
    /// The origin's word, and when it was asked.
    Asked(Instant, Result<Option<Document>, OriginError>),
    /// The document that is here already, at a later time.
    Kept(Document),
}

/// Where a segment is to come from.
#[derive(Clone, Debug, PartialEq, Eq)]
enum How {
    /// From its copy, or from the origin, to be signed.
    Sign,
    /// The same, to be compared with what its parts make up.
    Compare(Bytes),
    /// From its parts, to be signed.
    Join(Bytes),
    /// From its copy alone: it was signed before.
    Recall,
}

impl Follower {
    pub(crate) async fn run(self, address: Url, mut inbox: mpsc::Receiver<Command>) {
        let mut view = View::new(address, &self.config);
        let mut jobs = JoinSet::new();
        let mut order = self.order.clone();
        loop {
            let wake = self.drive(&mut view, &mut jobs);
            tokio::select! {
                command = inbox.recv() => match command {
                    Some(Command::Address(url)) => view.add_address(url),
                    Some(Command::Look(at)) => view.look(at),
                    Some(Command::Want(key)) => view.want(key),
                    Some(Command::Recall(key)) => view.recall(key),
                    None => return,
                },
                Some(done) = jobs.join_next(), if !jobs.is_empty() => match done {
                    Ok(Done::Looked { at, wish, answer }) => self.looked(&mut view, at, wish, *answer).await,
                    Ok(Done::Brought { key, fetched, joined }) => view.brought(key, fetched, joined.as_ref()),
                    // A job that panicked has freed its place; its segment stays without a digest.
                    Err(error) => {
                        tracing::error!(%error, "a publisher's job failed");
                        view.looking = false;
                        view.underway.clear();
                    }
                },
                // Whose turn it is has changed.
                Ok(()) = order.changed() => {}
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
                    // The clock may be ahead of the packager, who may be about to finish it.
                    let early = view.kept.is_some();
                    jobs.spawn(self.clone().bring(segment, how, oldest, early));
                }
                Err(at) => {
                    wake = at;
                    break;
                }
            }
        }
        let ended = view.playlist.as_ref().is_some_and(|p| p.ended);
        if !view.looking && (!ended || view.told.is_some()) {
            let soonest = self.config.pace.quick / 4;
            let (due, wish) = view.next_look(soonest);
            if due <= now {
                let kept = view.kept_at(now);
                let told = view.told.take();
                (view.looking, view.looked) = (true, Some(now));
                match kept {
                    Some(document) => {
                        let answer = Box::new(Answer::Kept(document));
                        jobs.spawn(async move { Done::Looked { at: now, wish: None, answer } });
                    }
                    None => {
                        let look = Look {
                            url: view.place(),
                            known: view.validators.clone(),
                            // Those that are due now are one, however many Representations look.
                            since: told.unwrap_or_else(|| now.checked_sub(soonest).unwrap_or(now)),
                            by_clock: told.is_none() && !view.failing,
                        };
                        let presentation = view.presentation(self.swarm, &self.presentations);
                        jobs.spawn(self.clone().look(look, presentation, wish));
                    }
                }
            } else {
                wake = [wake, Some(due)].into_iter().flatten().min();
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
        self.next_unsigned(view, &playlist, now)
    }

    /// The next segment that has still to be signed, or when there may be one.
    fn next_unsigned(
        &self,
        view: &mut View,
        playlist: &Playlist,
        now: Instant,
    ) -> Result<(Segment, How), Option<Instant>> {
        let lacks = |view: &View, segment: &Segment| {
            !view.underway.contains(&segment.key) && lock(&self.ledger).lacks(segment.key, place(segment))
        };
        while let Some(key) = view.wanted.pop_front() {
            let Some(segment) = playlist.find(key).cloned() else {
                if playlist.newest().is_none_or(|newest| key > newest.key) && !playlist.ended {
                    view.edge.hurry(now);
                }
                continue;
            };
            if let Some(plan) = &mut view.plan
                && let Some(index) = playlist.segments.iter().position(|s| s.key == key)
            {
                plan.start(index, now);
            }
            if !lacks(view, &segment) {
                continue;
            }
            match view.way(&segment, playlist) {
                Some(how) => return Ok((segment, how)),
                // Nothing comes unasked yet, so not all of its parts will.
                None if now < view.settled => return Ok((segment, How::Sign)),
                None if view.pending.iter().any(|p| p.segment.key == key) => {}
                None => view.queue(segment, now),
            }
        }
        if now < view.settled && !view.pending.is_empty() {
            return Err(Some(view.settled));
        }
        let (mut at, mut wake) = (0, None::<Instant>);
        let sooner = |wake: Option<Instant>, at: Instant| Some(wake.map_or(at, |wake| wake.min(at)));
        while let Some(Pending { segment, since }) = view.pending.get(at).cloned() {
            // Whatever has left the playlist may be gone from the origin too, and nobody will play it.
            if playlist.find(segment.key).is_none() || !lacks(view, &segment) {
                view.pending.remove(at);
                continue;
            }
            let turn = since + self.waits(&segment);
            if turn > now {
                (at, wake) = (at + 1, sooner(wake, turn));
                continue;
            }
            match view.way(&segment, playlist) {
                None => at += 1,
                Some(how) => {
                    view.pending.remove(at);
                    return Ok((segment, how));
                }
            }
        }
        loop {
            match view.plan.as_mut().map_or(Next::Idle, |plan| plan.next(now)) {
                Next::Segment(index) if lacks(view, &playlist.segments[index]) => {
                    let segment = playlist.segments[index].clone();
                    let waits = self.waits(&segment);
                    if waits.is_zero() {
                        return Ok((segment, How::Sign));
                    }
                    view.queue(segment, now);
                    wake = sooner(wake, now + waits);
                }
                Next::Segment(_) => {}
                Next::Wait(until) => return Err(sooner(wake, until)),
                Next::Idle => return Err(wake),
            }
        }
    }

    /// For how long others have the time to bring a segment, from when it is known. What lies here as a copy waits for nobody.
    fn waits(&self, segment: &Segment) -> Duration {
        let ledger = lock(&self.ledger);
        // What is to be checked is contradicted at once, or viewers play it; who was found to lie has no turn.
        if ledger.checks(segment.key) || self.has_copy(segment.key) {
            return Duration::ZERO;
        }
        let mut before = self.order.borrow().before(segment.key);
        before.retain(|seed| !ledger.disbelieves(seed));
        order::waits(before.len(), segment.duration_ms)
    }

    async fn look(self, look: Look, presentation: Option<Arc<Presentation>>, wish: Option<Wish>) -> Done {
        let at = Instant::now();
        let (at, asked, answer) = match (wish, presentation) {
            (Some(wish), _) => {
                let url = awaiting(&look.url, wish.segment, Some(wish.part));
                (at, at, Ok(self.origin.awaited(&self.allow, &url, wish.hold).await))
            }
            (None, Some(presentation)) => {
                let (asked, answer) = presentation.look(&self.origin, &self.allow, &look).await;
                // What the clock makes of an older answer is seen now.
                (if asked < look.since { at } else { asked }, asked, answer)
            }
            (None, None) => (at, at, self.origin.playlist(&self.allow, &look.url, &look.known).await),
        };
        Done::Looked { at, wish, answer: Box::new(Answer::Asked(asked, answer)) }
    }

    async fn looked(&self, view: &mut View, at: Instant, wish: Option<Wish>, answer: Answer) {
        let (before, after) = (view.newest(), at.elapsed());
        // What was waited for has only just appeared.
        self.heed(view, if wish.is_some() { Instant::now() } else { at }, answer).await;
        if wish.is_some() {
            // They are those of another address.
            view.validators = Validators::default();
        }
        let news = view.newest() != before;
        view.ahead.answered(wish, after, news);
        view.looking = false;
        if view.told.is_some() {
            // It changed while it was on its way.
            view.edge.told(Instant::now());
        }
    }

    async fn heed(&self, view: &mut View, at: Instant, answer: Answer) {
        // One that hasn't changed says more as time passes, if it goes by the clock.
        let (document, asked) = match answer {
            Answer::Asked(asked, Ok(None)) => {
                view.failing = false;
                match view.kept.take() {
                    Some(kept) => (Ok(Some(kept.document)), Some(asked)),
                    None => return view.edge.unchanged(at),
                }
            }
            Answer::Asked(asked, answer) => (answer.map_err(|error| error.to_string()), Some(asked)),
            Answer::Kept(document) => (Ok(Some(document)), None),
        };
        let read = document.and_then(|document| {
            let Some(document) = document else { return Err("nothing came".to_owned()) };
            let (now, then) = (SystemTime::now(), Instant::now());
            manifest::read(self.track, &view.addresses[0], &document.url, &document.body, now)
                .map(|read| (read, document, then))
                .map_err(|error| error.to_string())
        });
        match read {
            Ok((Read { playlist, holds, until_next, moved }, document, then)) => {
                view.failing = false;
                if view.lags(&playlist, &document.from, at) {
                    view.validators = Validators::default();
                    return view.edge.unchanged(at);
                }
                if let Some(asked) = asked {
                    view.validators = document.validators.clone();
                    let until = asked + holds;
                    if let Some(presentation) = view.held().filter(|_| !holds.is_zero()) {
                        presentation.holds(asked, until).await;
                    }
                    view.moved = moved.filter(|moved| self.allow.allows(moved));
                    view.kept = (!holds.is_zero()).then_some(Kept { document, until });
                }
                self.compare(view, at, playlist).await;
                // By the clock alone, as long as the document holds.
                if let (Some(kept), Some(left)) = (&view.kept, until_next)
                    && then + left < kept.until
                {
                    view.edge.due_at(then + left);
                }
            }
            Err(why) => {
                view.edge.failed(at);
                view.validators = Validators::default();
                let why = format!("{}: {why}", bare(&view.place()));
                (view.kept, view.moved) = (None, None);
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
        let (known, before) = (view.playlist.clone(), view.newest());
        let first = known.is_none();
        let last = |playlist: &Playlist| playlist.segments.last().map(|s| s.key);
        if last(&playlist) < known.as_deref().and_then(last) {
            tracing::warn!(swarm = ?self.swarm, "a playlist's numbers went backwards: has its encoder started again?");
            lock(&self.ledger).restarted();
            view.pieces.restarted();
        }
        let changed = known.as_deref() != Some(&playlist);
        if first && playlist.ended {
            let durations = playlist.segments.iter().map(|s| millis(s.duration_ms)).collect();
            view.plan = self.config.lead.map(|lead| Plan::new(lead, durations, at));
        } else {
            let fresh = fresh(known.as_deref(), &playlist, self.config.backlog, |key| self.has_copy(key));
            // What was there before us, others may have: their digests are asked for meanwhile.
            let asks = first && !self.order.borrow().is_alone();
            let since = if asks { at + order::LEAST_STAGGER } else { at };
            fresh.into_iter().for_each(|segment| view.queue(segment, since));
        }
        view.pieces.keep_listed(&playlist);
        match playlist.newest() {
            Some(newest) if Some(newest.key) != before => {
                let is_part = newest.key.part > 0 && playlist.part_target_ms > 0;
                let usual = if is_part { playlist.part_target_ms } else { newest.duration_ms };
                view.edge.appeared(at, millis(usual), first);
            }
            _ => view.edge.unchanged(at),
        }
        let playlist = Arc::new(playlist);
        view.playlist = Some(playlist.clone());
        if changed && self.config.playlists {
            let event = Event::Playlist { swarm: self.swarm, track: self.track, playlist };
            let _ = self.events.send(event).await;
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

fn millis(ms: u32) -> Duration {
    Duration::from_millis(u64::from(ms))
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}
