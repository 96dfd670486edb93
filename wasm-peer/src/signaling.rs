//! The WebSocket to the rendezvous server: join, introductions, relay, news.
//!
//! When the connection is lost, links stay: only new introductions have to wait. It is tried again after a pause that
//! doubles up to half a minute, with a random part so that a restarted server isn't met by everybody at once.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use rillcast_core::engine::Input;
use rillcast_protocol::coding::{Blob, List, Text, Wire};
use rillcast_protocol::id::{Delivery, PeerId, Role, SegmentKey};
use rillcast_protocol::session::SessionSignal;
use rillcast_protocol::signal::{
    ClientMessage, Join, MAX_MESSAGE, RefusedCode, Report, ServerMessage, TrackSource, Welcome,
};
use rillcast_protocol::{VERSION, settings::Settings};
use wasm_bindgen::prelude::*;
use web_sys::{BinaryType, MessageEvent, WebSocket};

use crate::driver::Shell;
use crate::js::{self, Handlers};

/// First pause before another try, doubled each time up to [`LONGEST_PAUSE`]. Milliseconds.
const FIRST_PAUSE: u32 = 1_000;
const LONGEST_PAUSE: u32 = 32_000;
/// A ping after so many milliseconds; a connection that is silent for three of them is given up.
const PING_EVERY: u32 = 20_000;
/// Bytes that may wait in the socket's buffer. Beyond it messages are dropped: the server isn't reading.
const MAX_WAITING: u32 = 256 * 1024;

/// What this peer asks to take part in.
pub(crate) struct Ticket {
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
    ticket: Ticket,
    socket: RefCell<Option<Socket>>,
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

struct Socket {
    socket: WebSocket,
    _handlers: Handlers,
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.socket.set_onopen(None);
        self.socket.set_onmessage(None);
        self.socket.set_onclose(None);
        drop(self.socket.close());
    }
}

impl Signaling {
    pub(crate) fn new(ticket: Ticket) -> Self {
        Self {
            ticket,
            socket: RefCell::default(),
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

    /// Opens the connection, now or after the pause.
    pub(crate) fn connect(&self, shell: &Rc<Shell>) {
        if self.closed.get() {
            return;
        }
        let Ok(socket) = WebSocket::new(&self.ticket.url) else {
            js::complain("Rillcast: the signaling server's URL isn't one that a WebSocket can open");
            return;
        };
        let generation = self.generation.get().wrapping_add(1);
        self.generation.set(generation);
        self.silent.set(0);
        socket.set_binary_type(BinaryType::Arraybuffer);
        let mut handlers = Handlers::default();
        let weak = Rc::downgrade(shell);
        let open = handlers.hold(move |_: JsValue| {
            if let Some(shell) = weak.upgrade() {
                shell.signaling.join();
            }
        });
        let weak = Rc::downgrade(shell);
        let message = handlers.hold(move |event: MessageEvent| {
            if let Some(shell) = weak.upgrade() {
                shell.signaling.receive(&shell, &event.data());
            }
        });
        let weak = Rc::downgrade(shell);
        let close = handlers.hold(move |_: JsValue| {
            if let Some(shell) = weak.upgrade() {
                shell.signaling.lost(&shell);
            }
        });
        socket.set_onopen(Some(&open));
        socket.set_onmessage(Some(&message));
        socket.set_onclose(Some(&close));
        *self.socket.borrow_mut() = Some(Socket { socket, _handlers: handlers });
        self.keep_alive(shell, generation);
    }

    /// Asks for introductions.
    pub(crate) fn want_peers(&self, count: u8) {
        self.send(&ClientMessage::WantPeers { count });
    }

    /// Asks for digests.
    pub(crate) fn want_digests(&self, keys: Vec<SegmentKey>) {
        self.send(&ClientMessage::WantDigests { keys: List::clipped(keys) });
    }

    /// Sends to a peer by way of the server.
    pub(crate) fn relay(&self, to: PeerId, signal: &SessionSignal) {
        if let Some(payload) = Blob::new(signal.to_bytes()) {
            self.send(&ClientMessage::Relay { to, payload });
        }
    }

    /// Says which renditions are played.
    pub(crate) fn playing(&self, tracks: Vec<TrackSource>) {
        self.playing.replace(tracks);
        self.say_playing();
    }

    /// Ends it for good.
    pub(crate) fn close(&self) {
        self.closed.set(true);
        self.generation.set(self.generation.get().wrapping_add(1));
        self.socket.replace(None);
    }

    fn say_playing(&self) {
        let tracks = List::clipped(self.playing.borrow().iter().cloned());
        if !tracks.is_empty() {
            self.send(&ClientMessage::Playing { tracks });
        }
    }

    fn join(&self) {
        let join = Join {
            version: VERSION,
            site: self.ticket.site.clone(),
            content: self.ticket.content.clone(),
            delivery: Delivery::Hls,
            role: Role::Viewer,
            token: self.ticket.token.clone(),
            publisher: None,
        };
        let socket = self.socket.borrow();
        if let Some(socket) = &*socket {
            drop(socket.socket.send_with_u8_array(&ClientMessage::Join { join }.to_bytes()));
        }
    }

    /// Anything but the join; dropped while there is no connection, for whoever needs it says it again.
    fn send(&self, message: &ClientMessage) {
        let socket = self.socket.borrow();
        let Some(socket) = socket.as_ref().filter(|_| self.welcomed.get()) else { return };
        if socket.socket.ready_state() == WebSocket::OPEN && socket.socket.buffered_amount() <= MAX_WAITING {
            drop(socket.socket.send_with_u8_array(&message.to_bytes()));
        }
    }

    fn lost(&self, shell: &Rc<Shell>) {
        self.socket.replace(None);
        if self.welcomed.replace(false) {
            shell.host.signaling(false);
        }
        let generation = self.generation.get().wrapping_add(1);
        self.generation.set(generation);
        let pause = self.pause.get();
        self.pause.set((pause * 2).min(LONGEST_PAUSE));
        let weak = Rc::downgrade(shell);
        // Half of the pause is certain, half is chance.
        js::after(pause / 2 + js::random() % (pause / 2 + 1), move || {
            if let Some(shell) = weak.upgrade()
                && shell.signaling.generation.get() == generation
            {
                shell.signaling.connect(&shell);
            }
        });
    }

    fn keep_alive(&self, shell: &Rc<Shell>, generation: u32) {
        let weak = Rc::downgrade(shell);
        js::after(PING_EVERY, move || {
            let Some(shell) = weak.upgrade() else { return };
            let me = &shell.signaling;
            if me.generation.get() != generation {
                return;
            }
            let silent = me.silent.get() + 1;
            me.silent.set(silent);
            if silent > 3 {
                return me.lost(&shell);
            }
            me.send(&ClientMessage::Ping { nonce: u64::from(silent) });
            me.keep_alive(&shell, generation);
        });
    }

    fn report_later(&self, shell: &Rc<Shell>, generation: u32) {
        let secs = self.report_secs.get();
        if secs == 0 {
            return;
        }
        let weak = Rc::downgrade(shell);
        js::after(u32::from(secs) * 1000, move || {
            let Some(shell) = weak.upgrade() else { return };
            let me = &shell.signaling;
            if me.generation.get() == generation {
                me.report(&shell);
                me.report_later(&shell, generation);
            }
        });
    }

    /// Tells the operator's counters. Also when the page is left.
    pub(crate) fn report(&self, shell: &Shell) {
        if self.report_secs.get() == 0 {
            return;
        }
        let stats = shell.stats();
        let watched = self.watched.get();
        self.send(&ClientMessage::Report {
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
        });
    }

    fn receive(&self, shell: &Rc<Shell>, data: &JsValue) {
        self.silent.set(0);
        let Some(buffer) = data.dyn_ref::<js_sys::ArrayBuffer>() else { return };
        if buffer.byte_length() as usize > MAX_MESSAGE {
            return;
        }
        let bytes = js_sys::Uint8Array::new(buffer).to_vec();
        // A message of a kind that a newer server may send is no reason to leave it.
        let Ok(message) = ServerMessage::from_bytes(&bytes) else { return };
        match message {
            ServerMessage::Welcome { welcome } => self.welcome(shell, welcome),
            ServerMessage::Introduce { peers } => shell.input(Input::Introduced(peers.into_vec())),
            ServerMessage::Relayed { from, payload } => {
                if let Ok(signal) = SessionSignal::from_bytes(payload.as_slice()) {
                    shell.links.signal(shell, from, signal);
                }
            }
            ServerMessage::Digest { digest } => shell.input(Input::Digest(digest)),
            ServerMessage::Settings { settings } => self.settings(shell, settings),
            ServerMessage::Publishers { keys } => shell.input(Input::Publishers(keys.into_vec())),
            ServerMessage::Pong { .. } => {}
            ServerMessage::Refused { code, message } => self.refused(shell, code, message.as_str()),
            ServerMessage::Gone { peer } => shell.input(Input::Gone(peer)),
        }
    }

    fn welcome(&self, shell: &Rc<Shell>, welcome: Welcome) {
        self.pause.set(FIRST_PAUSE);
        self.welcomed.set(true);
        shell.links.set_ice(&welcome.settings.ice);
        let base = shell.host.absolute(welcome.publisher_base.as_str());
        shell.source.set_publisher(base, welcome.swarm);
        shell.host.signaling(true);
        shell.host.settings(welcome.settings.enabled, welcome.settings.holdout);
        self.report_secs.set(welcome.settings.report_secs);
        self.report_later(shell, self.generation.get());
        shell.input(Input::Welcome(welcome));
        self.say_playing();
    }

    fn settings(&self, shell: &Rc<Shell>, settings: Settings) {
        shell.links.set_ice(&settings.ice);
        shell.host.settings(settings.enabled, settings.holdout);
        if self.report_secs.replace(settings.report_secs) == 0 {
            self.report_later(shell, self.generation.get());
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
            self.close();
        }
    }
}
