//! The server's task.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::mpsc;

use crate::client::{Client, Moment, Need, NoRelay, Rules, Said};
use crate::count::Counters;
use crate::limits::Limits;
use crate::quota::Quota;
use crate::relays::{Arrived, At, Key, Listener, Relays};
use crate::stun::{self, Guard};

/// Time that a client has from its first word to its relay.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often is looked for what has run out.
const TICK: Duration = Duration::from_secs(1);

/// The server.
#[derive(Debug)]
pub struct Turn {
    listeners: Vec<Listener>,
    rules: Rules,
    relays: Relays,
    quota: Quota,
    clients: HashMap<Key, Client>,
    /// Those that had no relay when they came, oldest first.
    new: VecDeque<Key>,
    max_new: usize,
    session: Duration,
    strangers: Guard,
    stun: Guard,
    metrics: Arc<Counters>,
}

impl Turn {
    /// A server without clients.
    pub fn new(
        listeners: Vec<Listener>,
        rules: Rules,
        relays: Relays,
        limits: &Limits,
        metrics: Arc<Counters>,
    ) -> Self {
        let now = Instant::now();
        Self {
            listeners,
            rules,
            relays,
            quota: Quota::new(limits, now),
            clients: HashMap::new(),
            new: VecDeque::new(),
            max_new: limits.new,
            session: Duration::from_secs(limits.session_secs),
            strangers: Guard::of(limits.new_per_address, limits.new_per_sec, now),
            stun: Guard::new(limits, now),
            metrics,
        }
    }

    /// Serves what comes in, for ever.
    pub async fn serve(mut self, mut queue: mpsc::Receiver<Arrived>) {
        let mut tick = tokio::time::interval(TICK);
        loop {
            tokio::select! {
                Some(arrived) = queue.recv() => self.arrived(arrived),
                _ = tick.tick() => self.tick(),
            }
        }
    }

    fn arrived(&mut self, Arrived { at, from, data }: Arrived) {
        match at {
            At::Listener(number) => self.heard((number, from), data),
            At::Relay(relay) => self.came(relay, from, data),
        }
    }

    /// A client has said something.
    fn heard(&mut self, key: Key, data: Vec<u8>) {
        let (number, from) = key;
        let now = Moment { at: Instant::now(), unix: unix() };
        if let Some(answer) = stun::answer(&data, from) {
            if self.stun.allows(from.ip(), now.at) {
                self.metrics.stun_answers_total.up();
                self.listeners[number].send(from, &answer);
            } else {
                self.metrics.stun_dropped_total.up();
            }
            return;
        }
        if !self.clients.contains_key(&key) && !self.enter(key, &data, now.at) {
            return self.metrics.dropped_total.up();
        }
        let Some(client) = self.clients.get_mut(&key) else { return };
        match client.from_client(data, &self.rules, now) {
            Some(Said::Answer(answer)) => self.listeners[number].send(from, &answer),
            Some(Said::Relay { relay, to, data }) => self.relay(key, relay, to, data),
            None => {}
        }
        self.settle(key, now.at);
    }

    /// Whether there is a place for a client that nobody knows. It is forgotten soon, unless it shows credentials that count.
    fn enter(&mut self, key: Key, data: &[u8], now: Instant) -> bool {
        // A request, and of TURN: bits 0 to 3 of the method, RFC 8489, 5.
        let is_request =
            data.first() == Some(&0) && data.get(1).is_some_and(|method| (3..=9).contains(method));
        if !is_request || !self.strangers.allows(key.1.ip(), now) {
            return false;
        }
        self.new.retain(|known| self.clients.get(known).is_some_and(Client::is_new));
        while self.new.len() >= self.max_new.max(1) {
            let Some(oldest) = self.new.pop_front() else { break };
            self.clients.remove(&oldest);
        }
        let bytes = self.quota.bytes_of_one(now);
        self.clients.insert(key, Client::new(self.listeners[key.0].local, key.1, bytes, now));
        self.new.push_back(key);
        true
    }

    /// Passes a client's datagram on to a peer.
    fn relay(&mut self, key: Key, relay: SocketAddr, to: SocketAddr, data: Vec<u8>) {
        let now = Instant::now();
        let Some(client) = self.clients.get_mut(&key) else { return };
        // Asked for each datagram: what was allowed when the client asked for it stands for an address, not for a port.
        let own = self.rules.peers.is_own(to.ip());
        let may = if own { self.relays.client(to).is_some() } else { self.rules.peers.may(to.ip()) };
        if !may || !self.quota.passes(&mut client.bytes, data.len(), now) {
            return self.metrics.dropped_total.up();
        }
        self.metrics.sent_bytes_total.add(data.len() as u64);
        if own {
            // Not by way of the network, where a NAT before this machine may not lead back to it.
            self.came(to, relay, data);
        } else {
            self.relays.send(relay, to, &data);
        }
    }

    /// A peer has sent something to a relay.
    fn came(&mut self, relay: SocketAddr, from: SocketAddr, data: Vec<u8>) {
        let now = Instant::now();
        let Some(key) = self.relays.client(relay) else { return };
        let Some(client) = self.clients.get_mut(&key) else { return };
        let length = data.len();
        let Some(data) = client.from_peer(relay, from, data, now) else {
            return self.metrics.dropped_total.up();
        };
        if !self.quota.passes(&mut client.bytes, length, now) {
            return self.metrics.dropped_total.up();
        }
        self.metrics.received_bytes_total.add(length as u64);
        self.listeners[key.0].send(key.1, &data);
    }

    /// Gives a client what it needs, and takes back what it has no more.
    fn settle(&mut self, key: Key, now: Instant) {
        let Some(client) = self.clients.get_mut(&key) else { return };
        while let Some(need) = client.need(now) {
            match need {
                Need::Open { v4 } => {
                    let relay = match client.holder() {
                        _ if !self.relays.has(v4) => Err(NoRelay::Family),
                        Some(holder) if self.quota.take(&holder) => {
                            let relay = self.relays.open(key, v4).ok_or(NoRelay::Full);
                            if relay.is_err() {
                                self.quota.give_back(&holder);
                            }
                            relay
                        }
                        _ => Err(NoRelay::Full),
                    };
                    if relay.is_ok() {
                        self.metrics.allocations.up();
                        self.metrics.allocations_total.up();
                    } else {
                        self.metrics.refused_total.up();
                    }
                    if let Some(answer) = client.opened(v4, relay, now) {
                        self.listeners[key.0].send(key.1, &answer);
                    }
                }
                Need::Close(relay) => close(&mut self.relays, &mut self.quota, &self.metrics, client, relay),
            }
        }
        if client.is_done() {
            self.clients.remove(&key);
        }
    }

    fn tick(&mut self) {
        let now = Instant::now();
        let keys: Vec<Key> = self.clients.keys().copied().collect();
        for key in keys {
            self.settle(key, now);
            let Some(client) = self.clients.get(&key) else { continue };
            let age = now.saturating_duration_since(client.since());
            if age >= if client.is_new() { PATIENCE } else { self.session } {
                self.dismiss(key);
            }
        }
    }

    fn dismiss(&mut self, key: Key) {
        let Some(client) = self.clients.remove(&key) else { return };
        for relay in client.relays() {
            close(&mut self.relays, &mut self.quota, &self.metrics, &client, *relay);
        }
    }
}

fn close(relays: &mut Relays, quota: &mut Quota, metrics: &Counters, client: &Client, relay: SocketAddr) {
    if relays.close(relay) {
        metrics.allocations.down();
        if let Some(holder) = client.holder() {
            quota.give_back(&holder);
        }
    }
}

/// Seconds since 1970.
fn unix() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |passed| passed.as_secs())
}
