//! What the page's script calls, and what it is told.

use std::rc::Rc;

use js_sys::{Array, Float64Array, Object, Reflect, Uint8Array};
use rillcast_core::engine::{
    CheckId, Conditions, FetchId, Input, MediaKind, Patience, Playhead, SegmentEntry,
};
use rillcast_core::time::Duration;
use rillcast_protocol::coding::{Blob, Text};
use rillcast_protocol::id::{Role, SegmentKey, TrackId, canonical_path};
use wasm_bindgen::prelude::*;

use crate::driver::Shell;
use crate::js;
use crate::payload::JsBytes;
use crate::signaling::{Signaling, Ticket, Watched};
use crate::source::Place;

/// A host's mistakes are its own: an exception must not leave the engine half-way.
macro_rules! host {
    ($($(#[$meta:meta])* $js:literal $name:ident => $import:ident($($arg:ident: $t:ty),*) $(-> $r:ty)?;)*) => {
        #[wasm_bindgen]
        extern "C" {
            /// What the page's script does for a peer (`web/src/io`). One that throws loses that one call.
            pub type Host;
            $(
                #[wasm_bindgen(method, catch, js_name = $js)]
                fn $import(this: &Host, $($arg: $t),*) -> Result<host!(@ $($r)?), JsValue>;
            )*
        }
        impl Host {
            $(
                $(#[$meta])*
                #[allow(clippy::too_many_arguments)] // crosses to JavaScript, where an object would cost an allocation
                pub(crate) fn $name(&self, $($arg: $t),*) $(-> $r)? {
                    self.$import($($arg),*).unwrap_or_default()
                }
            )*
        }
    };
    (@) => { () };
    (@ $r:ty) => { $r };
}

host! {
    /// Calls `wake` after so many milliseconds, instead of when it was asked to before.
    "wake" wake => wake_js(milliseconds: f64);
    /// Fetches `url`: bytes `start` to before `end`, or all of it if `end` is 0. `origin`: with the credentials and
    /// headers that the site's own requests carry.
    "fetch" fetch => fetch_js(id: u32, url: &str, start: f64, end: f64, origin: bool, urgent: bool);
    /// Stops a fetch.
    "stop" stop => stop_js(id: u32);
    /// Checks an Ed25519 signature; answers by `verdict`.
    "verify" verify => verify_js(id: u32, key: &[u8], message: &[u8], signature: &[u8]);
    /// Makes a connection and its offer, or its answer to the offer `sdp`. `ice`: three texts per server.
    "dial" dial => dial_js(link: u32, ice: &Array, sdp: &str);
    /// Takes the answer in.
    "accept" accept => accept_js(link: u32, sdp: &str);
    /// Takes a candidate in, once there is a description.
    "candidate" add_candidate => candidate_js(link: u32, candidate: &str);
    /// Closes a connection.
    "hangUp" hang_up => hang_up_js(link: u32);
    /// False if it couldn't be sent.
    "sendControl" send_control => send_control_js(link: u32, bytes: &[u8]) -> bool;
    /// Bytes that wait in the buffer then; negative if it couldn't be sent.
    "sendBulk" send_bulk => send_bulk_js(link: u32, header: &[u8], payload: &Uint8Array) -> f64;
    /// Bytes that wait in the bulk channel's buffer.
    "buffered" buffered => buffered_js(link: u32) -> f64;
    /// Opens the WebSocket.
    "openSocket" open_socket => open_socket_js(url: &str);
    /// Sends on it, if it is open.
    "sendSocket" send_socket => send_socket_js(bytes: &[u8]);
    /// Closes it without a word.
    "closeSocket" close_socket => close_socket_js();
    /// The URL that `url` is, seen from the signaling server.
    "absolute" absolute => absolute_js(url: &str) -> String;
    /// The segment is here.
    "deliver" deliver => deliver_js(
        request: u32, parts: &Array, throughput: f64, first_byte: f64, source: u32, publisher: u32, peers: u32, seeds: u32
    );
    /// So much of it is here.
    "progress" progress => progress_js(request: u32, loaded: u32, total: f64);
    /// It can't be had.
    "failed" failed => failed_js(request: u32, status: i32);
    /// The server was reached or lost.
    "signaling" signaling => signaling_js(connected: bool);
    /// The site's settings.
    "settings" settings => settings_js(enabled: bool, holdout: bool);
    /// The server said no.
    "refused" refused => refused_js(message: &str, again: bool);
    /// A neighbour was cut off.
    "liar" liar => liar_js(peer: &str, why: &str);
    /// The source's bytes aren't those that were signed.
    "mismatch" mismatch => mismatch_js(number: f64);
    /// The source filled in.
    "rescue" rescue => rescue_js(number: f64, bytes: u32);
}

/// A track's name: the first 8 bytes of the BLAKE3 hash of its playlist's canonical path, as hexadecimal digits.
#[wasm_bindgen]
pub fn track_name(playlist: &str) -> String {
    js::hex(&track_id(playlist).0.to_be_bytes())
}

fn track_id(playlist: &str) -> TrackId {
    let hash = blake3::hash(canonical_path(playlist).as_bytes());
    let mut first = [0; 8];
    first.copy_from_slice(&hash.as_bytes()[..8]);
    TrackId(u64::from_be_bytes(first))
}

/// One viewer's peer.
#[wasm_bindgen]
pub struct Peer {
    shell: Rc<Shell>,
}

#[wasm_bindgen]
impl Peer {
    /// Joins. `url`: the signaling server's WebSocket; `store`: bytes of media that may be held.
    #[wasm_bindgen(constructor)]
    pub fn new(
        url: String,
        site: String,
        content: String,
        token: Vec<u8>,
        store: f64,
        host: Host,
    ) -> Result<Self, JsValue> {
        let too_long = || JsValue::from_str("site (64 bytes), content (2048) or token (4096) is too long");
        let site = Text::new(site).ok_or_else(too_long)?;
        let content = Text::new(content).ok_or_else(too_long)?;
        let token = Blob::new(token).ok_or_else(too_long)?;
        let shell = Shell::new(store as u64, host, Signaling::new(Ticket { url, site, content, token }));
        shell.signaling.connect(&shell);
        Ok(Self { shell })
    }

    /// A playlist as the player sees it. `audio`: a separate audio rendition. `numbers` holds seven values per segment: media sequence number,
    /// discontinuity sequence, part (0 is the whole segment), start and duration in milliseconds, first byte in the
    /// resource and the byte after the last (0 and 0 are all of it); `urls` one URL per segment.
    pub fn timeline(&self, playlist: &str, audio: bool, live: bool, numbers: &Float64Array, urls: &Array) {
        const FIELDS: usize = 7;
        let track = track_id(playlist);
        let numbers = numbers.to_vec();
        let mut segments = Vec::with_capacity(numbers.len() / FIELDS);
        let mut places = Vec::with_capacity(numbers.len() / FIELDS);
        for (n, url) in numbers.chunks_exact(FIELDS).zip(urls.iter()) {
            let Some(url) = url.as_string() else { continue };
            let key = key(track, n[0], n[1], n[2]);
            segments.push(SegmentEntry { key, start_ms: n[3] as i64, duration_ms: n[4] as u32 });
            places.push((key, place(url, n[5], n[6])));
        }
        self.shell.source.timeline(track, playlist, places);
        let kind = if audio { MediaKind::Audio } else { MediaKind::Main };
        self.shell.input(Input::Timeline { track, kind, segments, live });
    }

    /// The player asks for a segment; the answer comes to the host under the number given back. The rest as in
    /// `timeline`.
    #[allow(clippy::too_many_arguments)] // crosses from JavaScript, where an object would cost a decoder
    pub fn demand(
        &self,
        playlist: &str,
        number: f64,
        discontinuity: f64,
        part: f64,
        url: String,
        start: f64,
        end: f64,
        first_byte_ms: f64,
        whole_ms: f64,
    ) -> u32 {
        let key = key(track_id(playlist), number, discontinuity, part);
        self.shell.source.place(key, place(url, start, end));
        self.shell.demand(key, Patience { first_byte: ms(first_byte_ms), whole: ms(whole_ms) })
    }

    /// The player got a segment without us.
    #[allow(clippy::too_many_arguments)] // as above
    pub fn handed(
        &self,
        playlist: &str,
        number: f64,
        discontinuity: f64,
        part: f64,
        bytes: f64,
        first_byte_ms: f64,
        transfer_ms: f64,
    ) {
        let key = key(track_id(playlist), number, discontinuity, part);
        let (first_byte, transfer) = (ms(first_byte_ms), ms(transfer_ms));
        self.shell.input(Input::Handed { key, bytes: bytes as u32, first_byte, transfer });
    }

    /// The player no longer wants it.
    pub fn cancel(&self, request: u32) {
        self.shell.cancel(request);
    }

    /// Where the player is. Times in milliseconds, `rate` in hundredths.
    pub fn playhead(&self, position_ms: f64, rate: f64, buffered_ms: f64, starving: bool) {
        self.shell.input(Input::Playhead(Playhead {
            position_ms: position_ms as i64,
            rate_percent: rate as u16,
            buffered_ms: buffered_ms as i64,
            starving,
        }));
    }

    /// What is allowed now. `upload_cap` in bytes per second; 0 is none.
    pub fn conditions(&self, may_upload: bool, may_download: bool, hidden: bool, upload_cap: f64) {
        let upload_cap = upload_cap as u32;
        self.shell.input(Input::Conditions(Conditions { may_upload, may_download, hidden, upload_cap }));
    }

    /// What the viewer has lived through so far, for the operator's counters.
    pub fn watched(&self, stalls: u32, stall_ms: u32, played_ms: f64) {
        self.shell.signaling.watched.set(Watched { stalls, stall_ms, played_ms });
    }

    /// Counters and neighbours, as a plain object (see `PeerStats` in the types).
    pub fn stats(&self) -> Object {
        let stats = self.shell.stats();
        let object = Object::new();
        let numbers = [
            ("sourceBytes", stats.source_bytes),
            ("publisherBytes", stats.publisher_bytes),
            ("peerBytes", stats.peer_bytes),
            ("seedBytes", stats.seed_bytes),
            ("uploadedBytes", stats.uploaded_bytes),
            ("deliveredBytes", stats.delivered_bytes),
            ("wastedBytes", stats.wasted_bytes),
            ("falseBlocks", stats.false_blocks),
            ("rescues", stats.rescues),
            ("rescueBytes", stats.rescue_bytes),
            ("storedBytes", stats.stored_bytes),
            ("uploadRate", stats.upload_rate),
            ("sourceRate", stats.source_rate),
        ];
        for (name, value) in numbers {
            set(&object, name, value as f64);
        }
        let links = Array::new();
        for link in &stats.links {
            let entry = Object::new();
            set(&entry, "peer", js::hex(&link.peer.0).as_str());
            set(&entry, "seed", link.role == Role::Seed);
            set(&entry, "rttMs", link.rtt_ms.map_or(JsValue::NULL, JsValue::from));
            set(&entry, "received", link.received as f64);
            set(&entry, "sent", link.sent as f64);
            links.push(&entry);
        }
        set(&object, "neighbours", links);
        object
    }

    /// The time that `Host::wake` was given has passed.
    pub fn wake(&self) {
        self.shell.wake();
    }

    /// An answer's status; its first byte and the whole resource's length where they could be read, else -1.
    #[wasm_bindgen(js_name = sourceHead)]
    pub fn source_head(&self, id: u32, status: u16, first: f64, total: f64) {
        let known = |n: f64| (n >= 0.0).then_some(n as u64);
        self.shell.source.head(&self.shell, FetchId(id), status, known(first), known(total));
    }

    /// Bytes of an answer.
    #[wasm_bindgen(js_name = sourceData)]
    pub fn source_data(&self, id: u32, bytes: Uint8Array) {
        self.shell.source.data(&self.shell, FetchId(id), &JsBytes::new(bytes));
    }

    /// An answer is complete.
    #[wasm_bindgen(js_name = sourceEnd)]
    pub fn source_end(&self, id: u32) {
        self.shell.source.end(&self.shell, FetchId(id));
    }

    /// There was no answer, or it broke off.
    #[wasm_bindgen(js_name = sourceFailed)]
    pub fn source_failed(&self, id: u32) {
        self.shell.source.failed(&self.shell, FetchId(id));
    }

    /// Whether a signature holds.
    pub fn verdict(&self, id: u32, ok: bool) {
        self.shell.input(Input::Verdict { check: CheckId(id), ok });
    }

    /// A connection has its local description.
    pub fn described(&self, link: u32, sdp: &str) {
        self.shell.links.described(&self.shell, link, sdp);
    }

    /// A connection has found a way by which it may be reached.
    #[wasm_bindgen(js_name = foundCandidate)]
    pub fn found_candidate(&self, link: u32, candidate: String) {
        self.shell.links.found_candidate(&self.shell, link, candidate);
    }

    /// A connection's channels are open.
    pub fn opened(&self, link: u32) {
        self.shell.links.opened(&self.shell, link);
    }

    /// A connection, or the attempt at one, is gone.
    pub fn lost(&self, link: u32) {
        self.shell.links.lost(&self.shell, link);
    }

    /// A message on the control channel.
    pub fn control(&self, link: u32, bytes: Vec<u8>) {
        self.shell.links.control(&self.shell, link, bytes);
    }

    /// A message on the bulk channel.
    pub fn bulk(&self, link: u32, message: Uint8Array) {
        self.shell.links.bulk(&self.shell, link, &message);
    }

    /// The bulk channel's buffer has fallen to its mark.
    pub fn drained(&self, link: u32, buffered: u32) {
        self.shell.links.drained(&self.shell, link, buffered);
    }

    /// The WebSocket is open.
    #[wasm_bindgen(js_name = socketOpened)]
    pub fn socket_opened(&self) {
        self.shell.signaling.opened(&self.shell);
    }

    /// A message from the server.
    #[wasm_bindgen(js_name = socketMessage)]
    pub fn socket_message(&self, bytes: &[u8]) {
        self.shell.signaling.receive(&self.shell, bytes);
    }

    /// The WebSocket is closed.
    #[wasm_bindgen(js_name = socketClosed)]
    pub fn socket_closed(&self) {
        self.shell.signaling.lost(&self.shell);
    }

    /// Leaves: closes every link and stops every fetch. Requests that wait are answered as failed.
    pub fn close(&self) {
        if !self.shell.is_closed() {
            self.shell.signaling.report(&self.shell);
            self.shell.close();
        }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.shell.close();
    }
}

fn set(object: &Object, name: &str, value: impl Into<JsValue>) {
    drop(Reflect::set(object, &JsValue::from_str(name), &value.into()));
}

fn key(track: TrackId, number: f64, discontinuity: f64, part: f64) -> SegmentKey {
    SegmentKey { track, number: number as u64, discontinuity: discontinuity as u32, part: part as u16 }
}

fn place(url: String, start: f64, end: f64) -> Place {
    Place { url, range: (end > start).then_some(start as u64..end as u64) }
}

fn ms(milliseconds: f64) -> Duration {
    Duration::from_millis(milliseconds as u64)
}
