//! A hostile peer: a [`Station`] with an attacker's mind. It says hello, answers pings and takes every call, as an honest peer does; the rest
//! is its attack's.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use rillcast_core::wire::Message;
use rillcast_protocol::coding::{Blob, Wire};
use rillcast_protocol::digest::SegmentDigest;
use rillcast_protocol::id::{PeerId, SealingKey, SegmentKey};
use rillcast_protocol::session::SessionSignal;
use rillcast_protocol::signal::{ClientMessage, ServerMessage};
use rillcast_protocol::ticket::SignedTicket;
use rillcast_seed::rtc::{Happening, LinkEvent};
use rillcast_seed::signaling::News;
use tokio::task::JoinHandle;

use super::Attack;
use super::hand::{Hand, To};
use super::log::Log;
use crate::native::{Heard, Station, Visit};

/// How often an attack gets its turn.
const TICK: Duration = Duration::from_millis(50);
/// How often it asks for introductions.
const ASK: Duration = Duration::from_secs(5);
/// Digests that are remembered.
const DIGESTS: usize = 64;
/// A condition that takes longer than this has failed.
const LONG: Duration = Duration::from_secs(60);

/// A hostile peer.
pub struct Hostile {
    station: Station,
    attack: Box<dyn Attack>,
    log: Arc<Mutex<Log>>,
    own: Option<SignedTicket>,
    /// Linked, and by whom we were let in.
    neighbours: Vec<To>,
    digests: BTreeMap<SegmentKey, SegmentDigest>,
    /// By whom each link's signals are carried, where not by the server.
    carriers: BTreeMap<PeerId, u32>,
    /// What signals to those heard of are sealed with.
    keys: BTreeMap<PeerId, Option<SealingKey>>,
    away: bool,
    ticked: Instant,
    asked: Instant,
}

/// A hostile peer at work. Dropping it ends it.
#[derive(Debug)]
pub struct Running {
    log: Arc<Mutex<Log>>,
    task: JoinHandle<()>,
}

impl Running {
    /// What has become of it so far.
    pub fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until its log says so.
    pub async fn until(&self, what: &str, holds: impl Fn(&Log) -> bool) -> Result<()> {
        let begun = Instant::now();
        while !holds(&self.log()) {
            if begun.elapsed() > LONG {
                bail!("waited in vain until {what}: {:?}", self.log());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Hostile {
    /// Comes and attacks, in a task of its own.
    pub fn come(visit: &Visit, attack: impl Attack + 'static) -> Result<Running> {
        let log = Arc::<Mutex<Log>>::default();
        let hostile = Self {
            station: Station::start(visit)?,
            attack: Box::new(attack),
            log: Arc::clone(&log),
            own: None,
            neighbours: Vec::new(),
            digests: BTreeMap::new(),
            carriers: BTreeMap::new(),
            keys: BTreeMap::new(),
            away: false,
            ticked: Instant::now(),
            asked: Instant::now(),
        };
        Ok(Running { log, task: tokio::spawn(hostile.run()) })
    }

    async fn run(mut self) {
        loop {
            match self.station.hear(TICK).await {
                Heard::Link(event) => self.link(event),
                Heard::News(News::Joined(welcome)) => {
                    self.away = false;
                    self.station.links.joined(welcome.peer());
                    self.note(|log| (log.me, log.own) = (Some(welcome.peer()), Some(welcome.ticket.clone())));
                    self.own = Some(welcome.ticket);
                }
                // Whoever is sent away keeps its links if it can.
                Heard::News(News::Away(_)) => {
                    self.away = true;
                    self.note(|log| log.sent_away = true);
                }
                Heard::News(News::Message(message)) => self.news(*message),
                Heard::Nothing => {}
            }
            if self.ticked.elapsed() >= TICK {
                self.ticked = Instant::now();
                let now = self.station.now();
                // What isn't open in time is forgotten, so that it can be tried again.
                drop(self.station.links.overdue(now));
                self.neighbours.retain(|to| self.station.links.link(to.link).is_some());
                self.play(|attack, hand| attack.tick(hand));
                if self.asked.elapsed() >= ASK {
                    self.asked = Instant::now();
                    self.station.tell(ClientMessage::WantPeers { count: 32 });
                }
            }
        }
    }

    fn note(&self, what: impl FnOnce(&mut Log)) {
        what(&mut self.log.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Gives the attack its turn.
    fn play(&mut self, turn: impl FnOnce(&mut dyn Attack, &mut Hand<'_>)) {
        let Some(own) = &self.own else { return };
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.station.now();
        let mut hand = Hand {
            links: &mut self.station.links,
            log: &mut log,
            now,
            neighbours: &self.neighbours,
            digests: &self.digests,
            keys: &self.keys,
            own,
            away: self.away,
        };
        turn(&mut *self.attack, &mut hand);
    }

    fn link(&mut self, LinkEvent { link: id, what }: LinkEvent) {
        let Some(peer) = self.station.links.peer(id) else { return };
        let to = To { peer, link: id };
        match what {
            Happening::Signal(signal) => self.signal(peer, &signal),
            Happening::Open(_) => {
                self.station.links.opened(id);
                self.note(|log| {
                    log.fates.entry(peer).or_default().opened.get_or_insert_with(Instant::now);
                });
                if let Some(own) = self.own.clone() {
                    let ticket = self.attack.ticket(&own);
                    let hello =
                        Message::Hello { version: rillcast_protocol::VERSION, ticket, revocations: 0 };
                    self.play(|_, hand| hand.say(to, &hello));
                }
            }
            Happening::Control(bytes) => {
                if let Ok(message) = Message::parse(&bytes) {
                    self.heard(to, &message);
                }
            }
            Happening::Bulk { payload, .. } => {
                let bytes = payload.0.len() as u64;
                self.note(|log| log.fates.entry(peer).or_default().given += bytes);
            }
            Happening::Drained => {}
            Happening::Closed(_) => {
                self.station.links.ended(id);
                self.neighbours.retain(|other| other.link != id);
                self.carriers.remove(&peer);
                self.note(|log| {
                    log.fates.entry(peer).or_default().ended(Instant::now());
                });
            }
        }
    }

    /// By the server; where that is away, by whoever will carry it.
    fn signal(&mut self, to: PeerId, signal: &SessionSignal) {
        let Some(payload) = self.station.links.seal(to, signal) else { return };
        let carrier = self.carriers.get(&to).copied();
        let other = || self.neighbours.iter().find(|other| other.peer != to).map(|other| other.link);
        match carrier.or_else(|| self.away.then(other).flatten()) {
            None => {
                self.station.relay(to, payload);
            }
            Some(link) => {
                if let (Some(link), Some(payload)) = (self.station.links.link(link), Blob::new(payload)) {
                    link.control(Message::Relay { to, payload }.to_bytes());
                }
            }
        }
    }

    fn heard(&mut self, from: To, message: &Message) {
        match message {
            Message::Hello { ticket, .. } => {
                let ticket = ticket.clone();
                self.note(|log| {
                    log.shown.insert(from.peer, ticket);
                });
                return;
            }
            Message::Ping { stamp } => {
                let pong = Message::Pong { stamp: *stamp };
                self.play(|_, hand| hand.say(from, &pong));
            }
            Message::Digest { digest } => self.appeared(digest.clone()),
            Message::Request { .. } | Message::Grant { .. } => {
                self.note(|log| log.fates.entry(from.peer).or_default().asked += 1);
            }
            Message::Refuse { .. } => {
                self.note(|log| log.fates.entry(from.peer).or_default().refusals += 1);
            }
            Message::Relayed { from: caller, payload } => {
                let caller = &caller.ticket.body;
                self.carriers.insert(caller.peer, from.link);
                self.keys.insert(caller.peer, caller.sealing);
                self.signalled(caller.peer, caller.sealing, payload.as_slice());
            }
            _ => {}
        }
        if !self.neighbours.contains(&from) {
            self.neighbours.push(from);
            self.note(|log| {
                let fate = log.fates.entry(from.peer).or_default();
                fate.let_in.get_or_insert_with(Instant::now);
                fate.fooled += u64::from(fate.attempts > 0);
            });
            self.play(|attack, hand| attack.linked(hand, from));
        }
        self.play(|attack, hand| attack.heard(hand, from, message));
    }

    /// A signal has come: whoever calls is answered, and what it says of itself is noted.
    fn signalled(&mut self, peer: PeerId, sealing: Option<SealingKey>, payload: &[u8]) {
        let now = self.station.now();
        self.station.links.connect(now, peer, false, sealing);
        if let Some(SessionSignal::Candidate { candidate, .. }) = self.station.links.read(peer, payload) {
            self.note(|log| log.candidates.push((peer, candidate.as_str().to_owned())));
        }
        self.station.links.signalled(now, peer, payload);
    }

    fn appeared(&mut self, digest: SegmentDigest) {
        if self.digests.insert(digest.key, digest.clone()).is_none() {
            while self.digests.len() > DIGESTS {
                self.digests.pop_first();
            }
            self.play(|attack, hand| attack.appeared(hand, &digest));
        }
    }

    fn news(&mut self, message: ServerMessage) {
        match message {
            ServerMessage::Introduce { peers } => {
                self.note(|log| log.introduced += peers.len() as u64);
                let now = self.station.now();
                for peer in peers.iter() {
                    self.keys.insert(peer.id, peer.sealing);
                    self.station.links.connect(now, peer.id, peer.initiate, peer.sealing);
                }
            }
            ServerMessage::Relayed { from, payload } => {
                self.carriers.remove(&from);
                let sealing = self.keys.get(&from).copied().flatten();
                self.signalled(from, sealing, payload.as_slice());
            }
            ServerMessage::Digest { digest } => self.appeared(digest),
            ServerMessage::Ticket { ticket, .. } => self.own = Some(ticket),
            _ => {}
        }
    }
}
