//! Owns the engine: puts inputs in, does what comes out, keeps one timer.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use rillcast_core::engine::{
    Check, CheckId, Config, Delivery, Engine, Event, Input, Output, Patience, SourceError,
};
use rillcast_core::map::keep;
use rillcast_core::time::{Duration, Instant, micros};
use rillcast_protocol::id::{Role, SegmentKey};

use crate::alarm::{Alarm, Alarms};
use crate::check;
use crate::host::{Delivered, Host, Part};
use crate::js;
use crate::payload::JsBytes;
use crate::rtc::Links;
use crate::signaling::Signaling;
use crate::source::Source;

/// One peer: the engine and everything around it.
pub(crate) struct Shell {
    engine: RefCell<Engine<JsBytes>>,
    /// What came in while the engine was at work: callbacks may call back. Emptied before `input` returns.
    inbox: RefCell<VecDeque<Input<JsBytes>>>,
    busy: Cell<bool>,
    closed: Cell<bool>,
    alarms: RefCell<Alarms>,
    /// When the page's timer goes off.
    armed: Cell<Instant>,
    /// The player's requests that wait for their segment. As many as the player makes at once: one per media type.
    requests: RefCell<Vec<(u32, SegmentKey)>>,
    next_request: Cell<u32>,
    scratch: RefCell<Vec<u8>>,
    pub(crate) host: Host,
    pub(crate) links: Links,
    pub(crate) signaling: Signaling,
    pub(crate) source: Source,
}

impl Shell {
    pub(crate) fn new(store_budget: u64, host: Host, signaling: Signaling) -> Rc<Self> {
        let seed = u64::from(js::random()) << 32 | u64::from(js::random());
        let config = Config { role: Role::Viewer, seed, store_budget };
        Rc::new(Self {
            engine: RefCell::new(Engine::new(config)),
            inbox: RefCell::default(),
            busy: Cell::new(false),
            closed: Cell::new(false),
            alarms: RefCell::default(),
            armed: Cell::new(Instant::NEVER),
            requests: RefCell::default(),
            next_request: Cell::new(0),
            scratch: RefCell::default(),
            host,
            links: Links::default(),
            signaling,
            source: Source::default(),
        })
    }

    /// The page's timer has gone off.
    pub(crate) fn wake(self: &Rc<Self>) {
        self.armed.set(Instant::NEVER);
        loop {
            let due = self.alarms.borrow_mut().due(js::now());
            match due {
                Some(Alarm::Attempt(number)) => self.links.attempt_over(self, number),
                Some(Alarm::Connect(generation)) => self.signaling.connect_again(self, generation),
                Some(Alarm::Alive(generation)) => self.signaling.look_alive(self, generation),
                Some(Alarm::Report(generation)) => self.signaling.report_due(self, generation),
                None => break,
            }
        }
        self.links.report_drained(self);
        self.input(Input::Timeout);
    }

    /// Sets an alarm of the shell's own.
    pub(crate) fn set_alarm(&self, after: Duration, alarm: Alarm) {
        self.alarms.borrow_mut().set(js::now() + after, alarm);
        self.arm();
    }

    /// Has the page's timer go off when the next thing is due.
    fn arm(&self) {
        if self.busy.get() || self.closed.get() {
            return;
        }
        let at = self.engine.borrow().poll_timeout().min(self.alarms.borrow().next());
        let now = js::now();
        // One that is past may have gone off already.
        if at != self.armed.get() || at <= now {
            self.armed.set(at);
            // A day is the longest wait that every browser's timers take. Rounded up: one that goes off a little
            // early would only be set again.
            let wait = (micros(at.since(now)) as f64 / 1000.0).ceil().min(86_400_000.0);
            self.host.wake(wait);
        }
    }

    /// Gives the engine an input and does everything that follows from it.
    pub(crate) fn input(self: &Rc<Self>, input: Input<JsBytes>) {
        if self.closed.get() {
            return;
        }
        self.inbox.borrow_mut().push_back(input);
        if self.busy.replace(true) {
            return;
        }
        // Hidden pages' timers come late, so whatever else wakes us looks at the clock too.
        let mut looked = false;
        loop {
            let next = self.inbox.borrow_mut().pop_front();
            let input = match next {
                Some(input) => input,
                None if !looked && self.engine.borrow().poll_timeout() <= js::now() => Input::Timeout,
                None => break,
            };
            looked |= matches!(input, Input::Timeout);
            self.engine.borrow_mut().handle(js::now(), input);
            loop {
                let output = self.engine.borrow_mut().poll_output();
                let Some(output) = output else { break };
                self.act(output);
                if self.closed.get() {
                    return;
                }
            }
        }
        self.busy.set(false);
        self.arm();
    }

    /// The player asks for a segment. The answer is a call of the host with the request's number.
    pub(crate) fn demand(self: &Rc<Self>, key: SegmentKey, patience: Patience) -> u32 {
        let request = self.next_request.get();
        self.next_request.set(request.wrapping_add(1));
        self.requests.borrow_mut().push((request, key));
        self.input(Input::Demand { key, patience });
        request
    }

    /// The player no longer wants what it asked for.
    pub(crate) fn cancel(self: &Rc<Self>, request: u32) {
        let mut requests = self.requests.borrow_mut();
        let Some(at) = requests.iter().position(|r| r.0 == request) else { return };
        let (_, key) = requests.swap_remove(at);
        if requests.iter().all(|r| r.1 != key) {
            drop(requests);
            self.input(Input::Cancel { key });
        }
    }

    /// Counters and the picture of the moment.
    pub(crate) fn stats(&self) -> rillcast_core::engine::Stats {
        self.engine.borrow().stats()
    }

    /// Leaves: every link, fetch and timer ends, and nothing comes in or goes out any more.
    pub(crate) fn close(self: &Rc<Self>) {
        if self.closed.replace(true) {
            return;
        }
        self.links.close_all(self);
        self.signaling.close(self);
        self.source.close(self);
        self.inbox.borrow_mut().clear();
        for (request, _) in self.requests.take() {
            self.host.failed(request, -1);
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.get()
    }

    fn act(self: &Rc<Self>, output: Output<JsBytes>) {
        match output {
            Output::Connect { peer, initiate, sealing } => self.links.connect(self, peer, initiate, sealing),
            Output::Close { peer } => self.links.close(self, peer),
            Output::Control { link, bytes } => self.links.send_control(self, link, &bytes),
            Output::Bulk { link, frame } => self.links.send_bulk(self, link, &frame),
            Output::Signal { to, payload } => self.signaling.relay(self, to, payload),
            Output::Signaled { from, payload } => self.links.heard(self, from, &payload),
            Output::WantPeers { count } => self.signaling.want_peers(self, count),
            Output::Renew => self.signaling.renew(self),
            Output::Nat { class } => self.signaling.nat(self, class),
            Output::WantDigests { keys } => self.signaling.want_digests(self, keys),
            Output::Fetch { fetch, key, range, via, urgent } => {
                self.source.fetch(self, fetch, key, range, via, urgent);
            }
            Output::CancelFetch { fetch } => self.source.cancel(self, fetch),
            Output::Verify { check, what } => self.verify(check, &what),
            Output::Sign { check, message } => self.host.sign(check.0, &message),
            Output::Vouchers { vouchers } => self.signaling.vouchers(self, vouchers),
            Output::Accuse { peer, key } => self.signaling.accuse(self, peer, key),
            Output::Deliver(delivery) => self.deliver(&delivery),
            Output::Progress { key, loaded, total } => {
                let total = total.map_or(-1.0, f64::from);
                for request in self.waiting(key) {
                    self.host.progress(request, loaded, total);
                }
            }
            Output::Failed { key, error } => {
                let status = match error {
                    SourceError::Status(status) => i32::from(status),
                    SourceError::Network => 0,
                    SourceError::Unknown => -1,
                };
                for request in self.take_waiting(key) {
                    self.host.failed(request, status);
                }
            }
            Output::Playing { tracks } => {
                let sources = self.source.playlists(&tracks);
                self.signaling.playing(self, sources);
            }
            Output::Event(event) => self.tell(&event),
        }
    }

    fn verify(self: &Rc<Self>, check: CheckId, what: &Check<JsBytes>) {
        match what {
            Check::Block { payload, hash } => {
                let ok = check::block(payload, hash, &mut self.scratch.borrow_mut());
                self.input(Input::Verdict { check, ok });
            }
            Check::Signature { key, message, signature } => {
                self.host.verify(check.0, key, message, signature);
            }
        }
    }

    fn deliver(&self, delivery: &Delivery<JsBytes>) {
        let parts: Vec<Part<'_>> = delivery.parts.iter().map(JsBytes::part).collect();
        let share = delivery.share;
        let delivered = Delivered {
            parts: &parts,
            throughput: delivery.throughput.map_or(f64::NAN, |r| r.bytes_per_second() as f64),
            first_byte: js::to_milliseconds(delivery.first_byte),
            source: share.source,
            publisher: share.publisher,
            peers: share.peers,
            seeds: share.seeds,
        };
        for request in self.take_waiting(delivery.key) {
            self.host.deliver(request, &delivered);
        }
    }

    fn tell(&self, event: &Event) {
        match event {
            Event::Liar { peer, why } => self.host.liar(&peer.0, why),
            // Counted.
            Event::Refused { .. } => {}
            // For whoever publishes.
            #[cfg(not(target_arch = "wasm32"))]
            Event::Heard { .. } => {}
            Event::SourceMismatch { key } | Event::Disputed { key, .. } => {
                self.host.mismatch(key.number as f64)
            }
            Event::Rescue { key, bytes } => self.host.rescue(key.number as f64, *bytes),
        }
    }

    fn waiting(&self, key: SegmentKey) -> Vec<u32> {
        self.requests.borrow().iter().filter(|r| r.1 == key).map(|r| r.0).collect()
    }

    fn take_waiting(&self, key: SegmentKey) -> Vec<u32> {
        let waiting = self.waiting(key);
        keep(&mut self.requests.borrow_mut(), |r| r.1 != key);
        waiting
    }
}
