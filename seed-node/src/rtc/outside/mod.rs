//! How this node is seen from outside, where it sits behind a NAT: its address as STUN servers see it, and a relay at a TURN server, by which those reach it
//! whom no hole in a NAT lets through. Both belong to the one port that all links share, so both are asked for here and not by the WebRTC
//! stack, which knows neither that port nor other links.
//!
//! - [`servers`]: whom to ask, as signaling says
//! - [`binding`]: asking for our address; pure
//! - [`mapping`]: what two servers' answers say of the NAT before us; pure
//! - [`relay`]: a relay; pure
//!
//! A link doesn't know whether its datagrams go through the relay: the mux sees to that (see `mux`). It is held back for [`HOLD_BACK`] after a link's start, so
//! that it carries nothing for those who can meet directly.

pub mod binding;
pub mod mapping;
pub mod relay;
pub mod servers;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, Weak};
use std::time::{Duration, Instant};

use rillcast_protocol::nat::NatClass;
use rillcast_protocol::settings::IceServer;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

use self::binding::Question;
use self::mapping::Mapping;
use self::relay::{Next, Relay};
use self::servers::Servers;
use super::mux::Mux;

/// For so long a new link tries without the relay.
pub const HOLD_BACK: Duration = Duration::from_secs(2);
/// How often a question is asked again until it is answered, and how many times; how many where another server has answered.
const ASK_AGAIN: Duration = Duration::from_millis(500);
const ASK_TIMES: u32 = 12;
const ASK_OTHER_TIMES: u32 = 4;
/// How often it is asked afterwards: keeps the NAT's mapping (RFC 4787 has it last for two minutes, many don't), and sees if it has changed.
const REFRESH: Duration = Duration::from_secs(15);
/// After a relay is lost, or refused.
const RELAY_AGAIN: Duration = Duration::from_secs(30);

/// What is known of the outside.
#[derive(Debug)]
pub struct Outside {
    /// The addresses that we have ourselves.
    own: Vec<SocketAddr>,
    servers: Mutex<Servers>,
    /// Whose datagrams are for us and for no link.
    asked: RwLock<Vec<SocketAddr>>,
    state: Mutex<State>,
    wake: Notify,
    seen: watch::Sender<Seen>,
}

/// How we are seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// As a STUN server sees us, if that is another address than we have.
    pub mapped: Option<SocketAddr>,
    /// Where a relay of ours is.
    pub relay: Option<SocketAddr>,
    /// How the NAT before us maps our port.
    pub nat: NatClass,
}

#[derive(Debug, Default)]
struct State {
    questions: Vec<(SocketAddr, Question)>,
    mapping: Mapping,
    relay: Option<Relay>,
}

impl Outside {
    /// Nothing is known yet but the addresses that we have ourselves.
    pub fn new(own: Vec<SocketAddr>) -> Self {
        Self {
            own,
            servers: Mutex::default(),
            asked: RwLock::default(),
            state: Mutex::default(),
            wake: Notify::new(),
            seen: watch::channel(Seen::default()).0,
        }
    }

    /// What is known, now and later.
    pub fn seen(&self) -> watch::Receiver<Seen> {
        self.seen.subscribe()
    }

    /// Signaling names servers; those named last count.
    pub fn name(&self, ice: &[IceServer]) {
        let named = Servers::of(ice);
        let mut servers = lock(&self.servers);
        if *servers != named {
            *servers = named;
            self.wake.notify_one();
        }
    }

    /// Whether datagrams from there are for us.
    pub fn is_asked(&self, from: SocketAddr) -> bool {
        self.asked.read().unwrap_or_else(PoisonError::into_inner).contains(&from)
    }

    /// Takes in what one of the servers sent; told back: what a peer sent through the relay.
    pub fn heard(&self, from: SocketAddr, bytes: &[u8]) -> Option<(SocketAddr, Vec<u8>)> {
        let mut state = lock(&self.state);
        let answered = |(server, question): &(SocketAddr, Question)| {
            let mapped = if *server == from { question.answered(bytes) } else { None };
            mapped.map(|mapped| (*server, mapped))
        };
        let answered = state.questions.iter().find_map(answered);
        if let Some((server, mapped)) = answered {
            state.questions.retain(|(asked, _)| *asked != server);
            state.mapping.answered(server, mapped, &self.own);
            self.wake.notify_one();
            return None;
        }
        let relay = state.relay.as_mut().filter(|relay| relay.server() == from)?;
        let came = relay.heard(bytes, Instant::now());
        if came.is_none() {
            // There may be something to answer.
            self.wake.notify_one();
        }
        came
    }

    /// What has to be sent to the relay's server, and where that is, so that a peer gets this.
    pub fn relayed(&self, to: SocketAddr, data: &[u8]) -> Option<(SocketAddr, Vec<u8>)> {
        let mut state = lock(&self.state);
        let relay = state.relay.as_mut()?;
        let sent = relay.send(to, data, Instant::now());
        let server = relay.server();
        if sent.is_none() {
            // It may have to ask for leave first.
            self.wake.notify_one();
        }
        Some((server, sent?))
    }

    fn tell(&self) {
        let state = lock(&self.state);
        let seen = Seen {
            mapped: state.mapping.address().filter(|mapped| !self.own.contains(mapped)),
            relay: state.relay.as_ref().and_then(Relay::address),
            nat: state.mapping.class(),
        };
        self.seen.send_if_modified(|told| std::mem::replace(told, seen) != seen);
    }
}

/// Asks servers for as long as the mux is there.
pub fn start(mux: &Arc<Mux>) -> JoinHandle<()> {
    tokio::spawn(run(Arc::downgrade(mux)))
}

async fn run(mux: Weak<Mux>) {
    let mut asker = Asker::default();
    loop {
        let Some(mux) = mux.upgrade() else { return };
        let Some(outside) = mux.outside() else { return };
        let wait = asker.step(&mux, outside).await;
        outside.tell();
        let outside = Arc::clone(outside);
        drop(mux);
        tokio::select! {
            () = outside.wake.notified() => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
}

/// The asking.
#[derive(Debug, Default)]
struct Asker {
    servers: Servers,
    stun: Vec<SocketAddr>,
    turn: Vec<SocketAddr>,
    /// Times that servers have been asked in this round.
    times: u32,
    /// It is over; the next one begins at `ask_at`.
    rests: bool,
    ask_at: Option<Instant>,
    relay_at: Option<Instant>,
    next_turn: usize,
}

impl Asker {
    /// Does what is due; told back: when to look again.
    async fn step(&mut self, mux: &Mux, outside: &Outside) -> Duration {
        let named = lock(&outside.servers).clone();
        if named != self.servers {
            self.renew(mux, outside, named).await;
        }
        let now = Instant::now();
        let mut wait = REFRESH;
        if let Some(at) = self.ask_at {
            if at <= now {
                self.ask(mux, outside, now);
            }
            wait = wait.min(self.ask_at.map_or(wait, |at| at.saturating_duration_since(now)));
        }
        wait.min(self.relay(mux, outside, now)).max(Duration::from_millis(5))
    }

    /// Other servers were named, or other credentials for the same ones.
    async fn renew(&mut self, mux: &Mux, outside: &Outside, named: Servers) {
        let v6 = mux.has_v6();
        let usable = |address: &SocketAddr| address.is_ipv4() || v6;
        if named.stun != self.servers.stun || self.stun.is_empty() {
            self.stun.clear();
            for at in &named.stun {
                let found = tokio::net::lookup_host(at.as_str()).await;
                self.stun.extend(found.into_iter().flatten().find(usable));
            }
            (self.times, self.rests) = (0, false);
            self.ask_at = (!self.stun.is_empty()).then(Instant::now);
            let mut state = lock(&outside.state);
            state.mapping.begin();
            state.questions.clear();
        }
        self.turn.clear();
        for turn in &named.turn {
            let found = tokio::net::lookup_host(turn.at.as_str()).await;
            self.turn.extend(found.into_iter().flatten().find(usable));
        }
        let mut asked = self.stun.clone();
        asked.extend(&self.turn);
        *outside.asked.write().unwrap_or_else(PoisonError::into_inner) = asked;
        self.servers = named;
    }

    fn ask(&mut self, mux: &Mux, outside: &Outside, now: Instant) {
        let mut state = lock(&outside.state);
        let state = &mut *state;
        let times = match state.mapping.class() {
            _ if state.mapping.has_any() => ASK_OTHER_TIMES,
            NatClass::Blocked => 1,
            _ => ASK_TIMES,
        };
        let all = self.stun.iter().all(|server| state.mapping.has(*server));
        if !self.rests && self.times > 0 && (all || self.times >= times) {
            state.mapping.end(&outside.own);
            (self.rests, self.ask_at) = (true, Some(now + REFRESH - ASK_AGAIN));
            return;
        }
        if self.rests {
            (self.times, self.rests) = (0, false);
            state.mapping.begin();
        }
        self.times += 1;
        for server in self.stun.iter().filter(|server| !state.mapping.has(**server)) {
            let (question, bytes) = Question::new();
            state.questions.push((*server, question));
            mux.send_now(*server, &bytes);
        }
        // Old ones may be answered still; more than a few never are.
        let keep = self.stun.len() * 4;
        let old = state.questions.len().saturating_sub(keep);
        state.questions.drain(..old);
        self.ask_at = Some(now + ASK_AGAIN);
    }

    /// Looks after the relay; told back: when to do so again.
    fn relay(&mut self, mux: &Mux, outside: &Outside, now: Instant) -> Duration {
        let mut state = lock(&outside.state);
        let state = &mut *state;
        if let Some(relay) = &mut state.relay {
            let next = relay.poll(now);
            let server = relay.server();
            for bytes in relay.outgoing(now) {
                mux.send_now(server, &bytes);
            }
            return match next {
                Next::Wait(wait) => wait,
                Next::Closed => {
                    tracing::debug!("the relay is over, or was refused");
                    state.relay = None;
                    self.next_turn += 1;
                    self.relay_at = Some(now + RELAY_AGAIN);
                    RELAY_AGAIN
                }
            };
        }
        // Whoever is reached at an address of its own needs no relay; where not even STUN is answered there's no use in asking.
        let behind_nat = state.mapping.address().is_some_and(|mapped| !outside.own.contains(&mapped));
        let due = self.relay_at.is_none_or(|at| at <= now);
        if behind_nat && due && !self.turn.is_empty() {
            let at = self.next_turn % self.turn.len();
            let local = mux.local_addr().unwrap_or_else(|_| SocketAddr::from(([0, 0, 0, 0], 0)));
            if let Some(of) = self.servers.turn.get(at) {
                state.relay = Some(Relay::ask(self.turn[at], of, local, now));
                return Duration::ZERO;
            }
        }
        REFRESH
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // No holder of these locks can panic half-way through a change.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
