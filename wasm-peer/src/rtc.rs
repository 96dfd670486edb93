//! Links: who is connected to whom, by which attempt. The host holds the browser's connections, under the same numbers.
//!
//! Two may call each other, for each has heard of the other from a common neighbour: the one with the greater id answers.
//! Descriptions and candidates travel through signaling or a common neighbour, each marked with the attempt it belongs to. Between two who
//! both have a key for it they are sealed, and nothing else is taken (`rillcast_protocol::sealing`); the host does that.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use rillcast_core::engine::{BULK_HEADER, BulkFrame, Input, LinkId, MAX_CONTROL};
use rillcast_core::map::keep;
use rillcast_core::payload::Payload;
use rillcast_core::time::Instant;
use rillcast_protocol::coding::{Text, Wire};
use rillcast_protocol::id::{Fingerprint, PeerId, SealingKey};
use rillcast_protocol::nat::{Gathered, NatClass};
use rillcast_protocol::sealing::OFFER;
use rillcast_protocol::session::{Description, SessionSignal, Side, is_candidate};
use rillcast_protocol::settings::{IceServer, Settings};

use crate::alarm::{Alarm, milliseconds};
use crate::driver::Shell;
use crate::js;
use crate::payload::JsBytes;

/// An attempt that hasn't opened by then has failed. Milliseconds.
const ATTEMPT: u32 = 15_000;
/// The engine is told at once when no more than this waits in a bulk buffer; above, the browser speaks up when the
/// buffer falls *to* this mark (see `wires.ts`).
const LOW_WATER: u32 = 16 * 1024;
/// Signals that may wait with an offer: candidates.
const MAX_EARLY: usize = 32;
/// Offers that may wait for the engine to want the link.
const MAX_OFFERS: usize = 32;

/// All links and attempts; the engine bounds them (`max_links`).
#[derive(Default)]
pub(crate) struct Links {
    links: RefCell<Vec<Link>>,
    /// Offers that came before the engine asked for the link: at most [`MAX_OFFERS`], the oldest goes; for as long as an attempt.
    early: RefCell<Vec<Early>>,
    /// We have a key of our own.
    seals: Cell<bool>,
    ice: RefCell<Vec<IceServer>>,
    relay_only: Cell<bool>,
    /// Who we are, once the server has said so.
    me: Cell<Option<PeerId>>,
    /// What the newest attempt has gathered, and how our NAT maps.
    gathered: RefCell<(u32, Gathered)>,
    nat: Cell<NatClass>,
    last: Cell<u32>,
}

/// An offer, and what came behind it.
struct Early {
    from: PeerId,
    at: Instant,
    said: Vec<Said>,
}

/// A signal that waits.
enum Said {
    /// As it came; it can be read once the engine has told the peer's key.
    Unread(Vec<u8>),
    Read(SessionSignal),
}

/// A link or an attempt at one.
#[derive(Clone, Copy)]
struct Link {
    /// The engine's and the host's name for it.
    number: u32,
    peer: PeerId,
    /// Tells one attempt from the next, on this side and in signals. The offerer chooses it.
    attempt: u32,
    sealing: Option<SealingKey>,
    initiate: bool,
    /// The host has a connection for it.
    dialled: bool,
    open: bool,
    /// The other end has said where it may be reached.
    located: bool,
    /// Of the certificate in the description that the other end has sent: the browser lets nobody else open the link.
    fingerprint: Option<Fingerprint>,
    /// The engine counts bytes in the bulk buffer that may have gone out since.
    waiting: bool,
}

impl Links {
    /// The server has let us in.
    pub(crate) fn joined(&self, me: PeerId, settings: &Settings) {
        self.me.set(Some(me));
        self.set_ice(settings);
    }

    /// STUN and TURN servers for links made from now on, and whether those are to be relayed.
    pub(crate) fn set_ice(&self, settings: &Settings) {
        self.ice.replace(settings.ice.to_vec());
        self.relay_only.set(settings.relay_only);
    }

    /// Whether we have a key of our own to seal signals with.
    pub(crate) fn set_seals(&self, seals: bool) {
        self.seals.set(seals);
    }

    /// The engine wants a link.
    pub(crate) fn connect(
        &self,
        shell: &Rc<Shell>,
        peer: PeerId,
        initiate: bool,
        sealing: Option<SealingKey>,
    ) {
        self.forget(shell, |l| l.peer == peer);
        let number = self.last.get().wrapping_add(1);
        self.last.set(number);
        let early = self.take_early(peer);
        // Whoever has called already is answered.
        let initiate = initiate && early.is_empty();
        let link = Link {
            number,
            peer,
            attempt: js::random(),
            sealing: sealing.filter(|_| self.seals.get()),
            initiate,
            dialled: false,
            open: false,
            located: false,
            fingerprint: None,
            waiting: false,
        };
        self.links.borrow_mut().push(link);
        shell.set_alarm(milliseconds(ATTEMPT), Alarm::Attempt(number));
        if initiate {
            self.dial(shell, number, None);
        }
        for said in early {
            match said {
                Said::Unread(payload) => self.heard(shell, peer, &payload),
                Said::Read(signal) => self.signal(shell, peer, signal),
            }
        }
    }

    /// The engine is done with the peer. It knows, so nothing comes back.
    pub(crate) fn close(&self, shell: &Rc<Shell>, peer: PeerId) {
        if let Some(link) = self.forget(shell, |l| l.peer == peer)
            && !link.open
        {
            self.say(shell, &link, &SessionSignal::Abort { attempt: link.attempt });
        }
        self.take_early(peer);
    }

    /// Ends all links at once.
    pub(crate) fn close_all(&self, shell: &Shell) {
        for link in self.links.take() {
            shell.host.hang_up(link.number);
        }
        self.early.take();
    }

    /// Time is up for an attempt.
    pub(crate) fn attempt_over(&self, shell: &Rc<Shell>, number: u32) {
        if self.get(number).is_some_and(|l| !l.open) {
            self.failed(shell, number);
        }
    }

    /// Sends a message on the control channel.
    pub(crate) fn send_control(&self, shell: &Rc<Shell>, link: LinkId, bytes: &[u8]) {
        if self.get(link.0).is_some_and(|l| l.open) && !shell.host.send_control(link.0, bytes) {
            self.lost(shell, link.0);
        }
    }

    /// Sends a message on the bulk channel: header and payload in one.
    pub(crate) fn send_bulk(&self, shell: &Rc<Shell>, link: LinkId, frame: &BulkFrame<JsBytes>) {
        if self.get(link.0).is_none_or(|l| !l.open) {
            return;
        }
        let buffered = shell.host.send_bulk(link.0, &frame.header, frame.payload.part());
        if buffered < 0 {
            return self.lost(shell, link.0);
        }
        self.change(link.0, |l| l.waiting = true);
        if buffered as u32 <= LOW_WATER {
            self.drained(shell, link.0, buffered as u32);
        }
    }

    /// So much waits in the bulk buffer.
    pub(crate) fn drained(&self, shell: &Rc<Shell>, number: u32, buffered: u32) {
        self.change(number, |l| l.waiting = buffered > 0);
        shell.input(Input::Drained { link: LinkId(number), buffered });
    }

    /// Tells the engine what still waits in the links' buffers.
    pub(crate) fn report_drained(&self, shell: &Rc<Shell>) {
        let waiting: Vec<u32> = self.links.borrow().iter().filter(|l| l.waiting).map(|l| l.number).collect();
        for number in waiting {
            let buffered = shell.host.buffered(number);
            self.drained(shell, number, buffered);
        }
    }

    /// Sends to a peer by the server or by a common neighbour: the engine knows.
    fn say(&self, shell: &Rc<Shell>, link: &Link, signal: &SessionSignal) {
        let (to, payload) = (link.peer, signal.to_bytes());
        match &link.sealing {
            // It comes back by `signal_sealed`, in order.
            Some(key) => shell.host.seal(&key.0, &to.0, &payload),
            None => shell.input(Input::Signal { to, payload }),
        }
    }

    /// A peer has sent something, by the server or by a common neighbour.
    pub(crate) fn heard(&self, shell: &Rc<Shell>, from: PeerId, payload: &[u8]) {
        match self.with(from) {
            // It comes back by `read`, in order.
            Some(Link { sealing: Some(key), .. }) => shell.host.open(&key.0, &from.0, payload),
            Some(_) => self.read(shell, from, payload),
            None => self.keep_early(from, payload.first() == Some(&OFFER), Said::Unread(payload.to_vec())),
        }
    }

    /// The same as it can be read.
    pub(crate) fn read(&self, shell: &Rc<Shell>, from: PeerId, payload: &[u8]) {
        if let Ok(signal) = SessionSignal::from_bytes(payload) {
            self.signal(shell, from, signal);
        }
    }

    fn signal(&self, shell: &Rc<Shell>, from: PeerId, signal: SessionSignal) {
        let link = self.with(from);
        match signal {
            SessionSignal::Offer { attempt, description } => match link {
                // Both have called. Of two offers one has to stand, and both ends must agree on which.
                Some(link) if link.initiate && !link.open => {
                    if self.me.get() > Some(from) {
                        self.keep_early(
                            from,
                            true,
                            Said::Read(SessionSignal::Offer { attempt, description }),
                        );
                        self.connect(shell, from, false, link.sealing);
                    }
                }
                Some(link) if !link.dialled => {
                    self.change(link.number, |l| l.attempt = attempt);
                    self.dial(shell, link.number, Some(&description));
                }
                other => {
                    // The other side has begun anew: what we hold is dead.
                    if let Some(link) = other {
                        self.lost(shell, link.number);
                    }
                    self.keep_early(from, true, Said::Read(SessionSignal::Offer { attempt, description }));
                }
            },
            SessionSignal::Answer { attempt, description } => {
                // One answer: the fingerprint that we tell the engine has to be the one that the browser holds the other end to.
                let waits =
                    |l: &Link| l.initiate && l.dialled && l.attempt == attempt && l.fingerprint.is_none();
                if let Some(link) = link.filter(waits)
                    && let Some(sdp) = description.to_sdp(Side::Answer)
                {
                    self.change(link.number, |l| l.fingerprint = Some(description.fingerprint));
                    shell.host.accept(link.number, &sdp);
                }
            }
            SessionSignal::Candidate { attempt, candidate } => {
                if !is_candidate(candidate.as_str()) {
                    return;
                }
                if let Some(link) = link.filter(|l| l.dialled && l.attempt == attempt) {
                    self.change(link.number, |l| l.located = true);
                    return shell.host.add_candidate(link.number, candidate.as_str());
                }
                self.keep_early(from, false, Said::Read(SessionSignal::Candidate { attempt, candidate }));
            }
            SessionSignal::Abort { attempt } => {
                if let Some(link) = link.filter(|l| l.attempt == attempt && !l.open) {
                    self.lost(shell, link.number);
                }
            }
        }
    }

    /// The host has our description.
    pub(crate) fn described(&self, shell: &Rc<Shell>, number: u32, sdp: &str) {
        let Some(link) = self.get(number) else { return };
        let Some(description) = Description::from_sdp(sdp) else { return self.lost(shell, number) };
        let attempt = link.attempt;
        let signal = if link.initiate {
            SessionSignal::Offer { attempt, description }
        } else {
            SessionSignal::Answer { attempt, description }
        };
        self.say(shell, &link, &signal);
    }

    /// The host has found a way by which we may be reached.
    pub(crate) fn found_candidate(&self, shell: &Rc<Shell>, number: u32, candidate: String) {
        if let Some(link) = self.get(number)
            && let Some(candidate) = Text::new(candidate)
            && is_candidate(candidate.as_str())
        {
            self.look_at_nat(shell, number, candidate.as_str());
            let signal = SessionSignal::Candidate { attempt: link.attempt, candidate };
            self.say(shell, &link, &signal);
        }
    }

    /// Two STUN servers that see one port of ours differently show how our NAT maps. Attempts are compared with themselves: each has a port of its own.
    fn look_at_nat(&self, shell: &Rc<Shell>, number: u32, candidate: &str) {
        let mut gathered = self.gathered.borrow_mut();
        if gathered.0 != number {
            *gathered = (number, Gathered::default());
        }
        let is_dependent = gathered.1.is_dependent(candidate);
        drop(gathered);
        if is_dependent && self.nat.replace(NatClass::Dependent) != NatClass::Dependent {
            self.tell_nat(shell);
        }
    }

    /// Tells the engine what is known of our NAT, if anything is.
    pub(crate) fn tell_nat(&self, shell: &Rc<Shell>) {
        let nat = self.nat.get();
        if nat != NatClass::Unknown {
            shell.input(Input::Nat(nat));
        }
    }

    /// Both channels are open.
    pub(crate) fn opened(&self, shell: &Rc<Shell>, number: u32) {
        if let Some(Link { peer, fingerprint: Some(fingerprint), .. }) = self.get(number).filter(|l| !l.open)
        {
            self.change(number, |l| l.open = true);
            shell.input(Input::LinkOpen { link: LinkId(number), peer, fingerprint });
        }
    }

    /// The connection, or the attempt at one, is gone; the engine is told.
    pub(crate) fn lost(&self, shell: &Rc<Shell>, number: u32) {
        if let Some(link) = self.forget(shell, |l| l.number == number) {
            let open = link.open.then_some(LinkId(number));
            shell.input(Input::LinkClosed { peer: link.peer, link: open });
        }
    }

    /// The host's connection has failed, or time is up for it. If both ends had told each other where they are, there is no way between them.
    pub(crate) fn failed(&self, shell: &Rc<Shell>, number: u32) {
        let tried = |l: &Link| !l.open && l.located && l.fingerprint.is_some();
        if self.get(number).is_some_and(|l| tried(&l)) {
            if let Some(link) = self.forget(shell, |l| l.number == number) {
                shell.input(Input::NoWay { peer: link.peer });
            }
        } else {
            self.lost(shell, number);
        }
    }

    /// A message on a link's control channel.
    pub(crate) fn control(&self, shell: &Rc<Shell>, number: u32, message: &JsBytes) {
        if message.len() > MAX_CONTROL {
            return self.lost(shell, number);
        }
        shell.input(Input::Control { link: LinkId(number), bytes: message.to_vec() });
    }

    /// A message on a link's bulk channel.
    pub(crate) fn bulk(&self, shell: &Rc<Shell>, number: u32, message: &JsBytes) {
        let length = message.len();
        if length < BULK_HEADER {
            return self.lost(shell, number);
        }
        let mut header = [0; BULK_HEADER];
        message.read(&mut header);
        let payload = message.slice(BULK_HEADER..length);
        shell.input(Input::Bulk { link: LinkId(number), header, payload });
    }

    fn get(&self, number: u32) -> Option<Link> {
        self.links.borrow().iter().find(|l| l.number == number).copied()
    }

    fn change(&self, number: u32, change: impl FnOnce(&mut Link)) {
        if let Some(link) = self.links.borrow_mut().iter_mut().find(|l| l.number == number) {
            change(link);
        }
    }

    fn with(&self, peer: PeerId) -> Option<Link> {
        self.links.borrow().iter().find(|l| l.peer == peer).copied()
    }

    /// Keeps what a peer says before the engine wants a link with it: an offer, and what comes behind one.
    fn keep_early(&self, from: PeerId, is_offer: bool, said: Said) {
        let mut early = self.early.borrow_mut();
        if is_offer {
            keep(&mut early, |e| e.from != from);
            if early.len() == MAX_OFFERS {
                early.remove(0);
            }
            early.push(Early { from, at: js::now(), said: vec![said] });
        } else if let Some(early) = early.iter_mut().find(|e| e.from == from)
            && early.said.len() <= MAX_EARLY
        {
            early.said.push(said);
        }
    }

    fn take_early(&self, from: PeerId) -> Vec<Said> {
        let mut early = self.early.borrow_mut();
        let Some(at) = early.iter().position(|e| e.from == from) else { return Vec::new() };
        let early = early.remove(at);
        if js::now().since(early.at) < milliseconds(ATTEMPT) { early.said } else { Vec::new() }
    }

    /// Takes the link down without a word.
    fn forget(&self, shell: &Shell, which: impl Fn(&Link) -> bool) -> Option<Link> {
        let mut links = self.links.borrow_mut();
        let at = links.iter().position(which)?;
        let link = links.swap_remove(at);
        drop(links);
        if link.dialled {
            shell.host.hang_up(link.number);
        }
        Some(link)
    }

    /// Has the host make a connection, and the offer, or the answer to one.
    fn dial(&self, shell: &Rc<Shell>, number: u32, offer: Option<&Description>) {
        let sdp = match offer.map(|o| o.to_sdp(Side::Offer)) {
            Some(None) => return self.lost(shell, number),
            Some(Some(sdp)) => sdp,
            None => String::new(),
        };
        self.change(number, |l| (l.dialled, l.fingerprint) = (true, offer.map(|o| o.fingerprint)));
        let mut ice = String::new();
        for server in self.ice.borrow().iter() {
            for text in [&server.url, &server.username, &server.credential] {
                ice.push_str(text.as_str());
                ice.push('\0');
            }
        }
        shell.host.dial(number, &ice, &sdp, self.relay_only.get());
    }
}
