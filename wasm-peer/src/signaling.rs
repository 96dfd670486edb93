//! The WebSocket to the rendezvous server: join, introductions, relay, news.
//!
//! When the connection is lost, links stay: only new introductions have to wait. It is tried again after a pause that
//! doubles up to half a minute, with a random part so that a restarted server isn't met by everybody at once.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use rillcast_core::engine::Input;
use rillcast_protocol::coding::{Blob, List, Text, Wire};
use rillcast_protocol::id::{Delivery, PeerId, Role, SealingKey, SegmentKey, SessionKey};
use rillcast_protocol::nat::NatClass;
use rillcast_protocol::receipt::Voucher;
use rillcast_protocol::session::fingerprint;
use rillcast_protocol::signal::{
    ClientMessage, Join, MAX_MESSAGE, RefusedCode, Report, ServerMessage, TrackSource, Welcome,
};
use rillcast_protocol::ticket::SignedTicket;
use rillcast_protocol::{VERSION, settings::Settings};

use crate::alarm::{Alarm, milliseconds};
use crate::driver::Shell;
use crate::js;

/// First pause before another try, doubled each time up to [`LONGEST_PAUSE`]. Milliseconds.
const FIRST_PAUSE: u32 = 1_000;
const LONGEST_PAUSE: u32 = 32_000;
/// A ping after so many milliseconds; a connection that is silent for three of them is given up.
const PING_EVERY: u32 = 20_000;

/// What this peer asks to take part in.
pub(crate) struct Destination {
    pub(crate) url: String,
    pub(crate) site: Text<64>,
    pub(crate) content: Text<2048>,
    pub(crate) token: Blob<4096>,
}

/// What the player has lived through, for the operator's counters.
#[derive(Clone, Copy, Default)]
pub(crate) struct Watched {
    pub(crate) stalls: u32,
    pub(crate) stall_ms: u32,
    pub(crate) played_ms: f64,
}

/// The connection, while there is one, and how it is got back.
pub(crate) struct Signaling {
    to: Destination,
    /// The newest ticket that it has: whoever comes back keeps its name.
    ticket: RefCell<Option<SignedTicket>>,
    /// Counts connections, so that timers of an old one know it.
    generation: Cell<u32>,
    pause: Cell<u32>,
    /// Pings without any answer since.
    silent: Cell<u32>,
    welcomed: Cell<bool>,
    closed: Cell<bool>,
    report_secs: Cell<u16>,
    pub(crate) watched: Cell<Watched>,
    /// Said again after each welcome.
    playing: RefCell<Vec<TrackSource>>,
}

impl Signaling {
    pub(crate) fn new(to: Destination) -> Self {
        Self {
            to,
            ticket: RefCell::default(),
            generation: Cell::new(0),
            pause: Cell::new(FIRST_PAUSE),
            silent: Cell::new(0),
            welcomed: Cell::new(false),
            closed: Cell::new(false),
            report_secs: Cell::new(0),
            watched: Cell::default(),
            playing: RefCell::default(),
        }
    }

    /// Opens the connection.
    pub(crate) fn connect(&self, shell: &Rc<Shell>) {
        if self.closed.get() {
            return;
        }
        let generation = self.next_generation();
        self.silent.set(0);
        shell.host.open_socket(&self.to.url);
        shell.set_alarm(milliseconds(PING_EVERY), Alarm::Alive(generation));
    }

    /// The pause is over, if nothing has happened since.
    pub(crate) fn connect_again(&self, shell: &Rc<Shell>, generation: u32) {
        if self.generation.get() == generation {
            self.connect(shell);
        }
    }

    /// Asks for introductions.
    pub(crate) fn want_peers(&self, shell: &Shell, count: u8) {
        self.send(shell, &ClientMessage::WantPeers { count });
    }

    /// Asks for a new ticket.
    pub(crate) fn renew(&self, shell: &Shell) {
        self.send(shell, &ClientMessage::Renew {});
    }

    /// Tells how our network maps addresses.
    pub(crate) fn nat(&self, shell: &Shell, class: NatClass) {
        self.send(shell, &ClientMessage::Nat { class });
    }

    /// Shows what others have had from us.
    pub(crate) fn vouchers(&self, shell: &Shell, vouchers: Vec<Voucher>) {
        self.send(shell, &ClientMessage::Vouchers { vouchers: List::first(vouchers) });
    }

    /// Tells who has sent a false block.
    pub(crate) fn accuse(&self, shell: &Shell, peer: PeerId, key: SegmentKey) {
        self.send(shell, &ClientMessage::Accuse { peer, key });
    }

    /// Asks for digests.
    pub(crate) fn want_digests(&self, shell: &Shell, keys: Vec<SegmentKey>) {
        self.send(shell, &ClientMessage::WantDigests { keys: List::first(keys) });
    }

    /// Sends to a peer by way of the server.
    pub(crate) fn relay(&self, shell: &Shell, to: PeerId, payload: Vec<u8>) {
        if let Some(payload) = Blob::new(payload) {
            self.send(shell, &ClientMessage::Relay { to, payload });
        }
    }

    /// Says which renditions are played.
    pub(crate) fn playing(&self, shell: &Shell, tracks: Vec<TrackSource>) {
        self.playing.replace(tracks);
        self.say_playing(shell);
    }

    /// Ends it for good.
    pub(crate) fn close(&self, shell: &Shell) {
        self.closed.set(true);
        self.welcomed.set(false);
        self.next_generation();
        shell.host.close_socket();
    }

    fn next_generation(&self) -> u32 {
        let generation = self.generation.get().wrapping_add(1);
        self.generation.set(generation);
        generation
    }

    fn say_playing(&self, shell: &Shell) {
        let tracks = List::first(self.playing.borrow().clone());
        if !tracks.is_empty() {
            self.send(shell, &ClientMessage::Playing { tracks });
        }
    }

    /// The connection is open: join, the first thing to be said.
    pub(crate) fn opened(
        &self,
        shell: &Rc<Shell>,
        sdp: &str,
        session: Option<SessionKey>,
        sealing: Option<SealingKey>,
    ) {
        let Some(fingerprint) = fingerprint(sdp) else { return self.lost(shell) };
        let join = Join {
            version: VERSION,
            site: self.to.site.clone(),
            content: self.to.content.clone(),
            delivery: Delivery::Hls,
            role: Role::Viewer,
            token: self.to.token.clone(),
            publisher: None,
            fingerprint,
            session,
            sealing,
            ticket: self.ticket.borrow().clone(),
        };
        shell.host.send_socket(&ClientMessage::Join { join }.to_bytes());
    }

    /// Anything but the join; dropped while there is no connection, for whoever needs it says it again.
    fn send(&self, shell: &Shell, message: &ClientMessage) {
        if self.welcomed.get() {
            shell.host.send_socket(&message.to_bytes());
        }
    }

    /// The connection is gone.
    pub(crate) fn lost(&self, shell: &Rc<Shell>) {
        if self.closed.get() {
            return;
        }
        shell.host.close_socket();
        if self.welcomed.replace(false) {
            shell.host.signaling(false);
            shell.input(Input::ServerLost);
        }
        let generation = self.next_generation();
        let pause = self.pause.get();
        self.pause.set((pause * 2).min(LONGEST_PAUSE));
        // Half of the pause is certain, half is chance.
        let pause = pause / 2 + js::random() % (pause / 2 + 1);
        shell.set_alarm(milliseconds(pause), Alarm::Connect(generation));
    }

    /// Time for a ping, or to give a silent connection up.
    pub(crate) fn look_alive(&self, shell: &Rc<Shell>, generation: u32) {
        if self.generation.get() != generation {
            return;
        }
        let silent = self.silent.get() + 1;
        self.silent.set(silent);
        if silent > 3 {
            return self.lost(shell);
        }
        self.send(shell, &ClientMessage::Ping { nonce: u64::from(silent) });
        shell.set_alarm(milliseconds(PING_EVERY), Alarm::Alive(generation));
    }

    /// Time to tell counters.
    pub(crate) fn report_due(&self, shell: &Rc<Shell>, generation: u32) {
        if self.generation.get() == generation {
            self.report(shell);
            self.report_later(shell);
        }
    }

    fn report_later(&self, shell: &Rc<Shell>) {
        let secs = u32::from(self.report_secs.get());
        if secs > 0 {
            shell.set_alarm(milliseconds(secs * 1000), Alarm::Report(self.generation.get()));
        }
    }

    /// Tells the operator's counters. Also when the page is left.
    pub(crate) fn report(&self, shell: &Shell) {
        if self.report_secs.get() == 0 {
            return;
        }
        let stats = shell.stats();
        let watched = self.watched.get();
        let message = ClientMessage::Report {
            report: Report {
                source_bytes: stats.source_bytes,
                publisher_bytes: stats.publisher_bytes,
                peer_bytes: stats.peer_bytes,
                seed_bytes: stats.seed_bytes,
                uploaded_bytes: stats.uploaded_bytes,
                played_bytes: stats.delivered_bytes,
                stalls: watched.stalls,
                stall_ms: watched.stall_ms,
                played_ms: watched.played_ms as u64,
                links: stats.links.len() as u16,
            },
        };
        self.send(shell, &message);
    }

    /// A message from the server.
    pub(crate) fn receive(&self, shell: &Rc<Shell>, bytes: &[u8]) {
        self.silent.set(0);
        if bytes.len() > MAX_MESSAGE {
            return;
        }
        // A message of a kind that a newer server may send is no reason to leave it.
        let Ok(message) = ServerMessage::from_bytes(bytes) else { return };
        match message {
            ServerMessage::Welcome { welcome } => self.welcome(shell, welcome),
            ServerMessage::Introduce { peers } => shell.input(Input::Introduced(peers.into_vec())),
            ServerMessage::Relayed { from, payload } => shell.links.heard(shell, from, payload.as_slice()),
            ServerMessage::Digest { digest } => shell.input(Input::Digest(digest)),
            ServerMessage::Settings { settings } => self.settings(shell, settings),
            ServerMessage::Publishers { keys } => shell.input(Input::Publishers(keys.into_vec())),
            ServerMessage::Pong { server_time_ms, .. } => shell.input(Input::ServerTime(server_time_ms)),
            ServerMessage::Ticket { ticket, server_time_ms } => {
                self.ticket.replace(Some(ticket.clone()));
                shell.input(Input::ServerTime(server_time_ms));
                shell.input(Input::Ticket(ticket.into()));
            }
            ServerMessage::Revoked { revocations } => shell.input(Input::Revoked(revocations.into())),
            ServerMessage::Refused { code, message } => self.refused(shell, code, message.as_str()),
            ServerMessage::Gone { peer } => shell.input(Input::Gone(peer)),
            // Among seeds.
            ServerMessage::Seeds { .. } => {}
        }
    }

    fn welcome(&self, shell: &Rc<Shell>, welcome: Welcome) {
        self.pause.set(FIRST_PAUSE);
        self.welcomed.set(true);
        self.ticket.replace(Some(welcome.ticket.clone()));
        shell.links.joined(welcome.peer(), &welcome.settings);
        let base = welcome.publisher_base.as_str().to_owned();
        shell.source.set_publisher(base, welcome.swarm());
        shell.host.signaling(true);
        shell.host.settings(welcome.settings.enabled, welcome.settings.holdout);
        self.report_secs.set(welcome.settings.report_secs);
        self.report_later(shell);
        shell.input(Input::Welcome(welcome.into()));
        shell.links.tell_nat(shell);
        self.say_playing(shell);
    }

    fn settings(&self, shell: &Rc<Shell>, settings: Settings) {
        shell.links.set_ice(&settings);
        shell.host.settings(settings.enabled, settings.holdout);
        if self.report_secs.replace(settings.report_secs) == 0 {
            self.report_later(shell);
        }
        shell.input(Input::Settings(settings));
    }

    /// The server closes after this. Where waiting can't help, we don't come back.
    fn refused(&self, shell: &Rc<Shell>, code: RefusedCode, message: &str) {
        let again = matches!(code, RefusedCode::RateLimited | RefusedCode::Unavailable);
        shell.host.refused(message, again);
        if again {
            self.pause.set(LONGEST_PAUSE);
        } else {
            self.close(shell);
        }
    }
}
