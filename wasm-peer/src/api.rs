//! What the page's script calls, and what it is told.

use std::rc::Rc;

use js_sys::{Array, Float64Array, Object, Promise, Reflect};
use rillcast_core::engine::{Conditions, Input, MediaKind, Playhead, SegmentEntry};
use rillcast_core::time::Duration;
use rillcast_protocol::coding::{Blob, Text};
use rillcast_protocol::id::{Role, SegmentKey, TrackId, canonical_path};
use wasm_bindgen::prelude::*;
use web_sys::AbortSignal;

use crate::driver::Shell;
use crate::js;
use crate::signaling::{Signaling, Ticket, Watched};
use crate::source::Place;

#[wasm_bindgen]
extern "C" {
    /// What the page's script does for a peer. A host that throws loses that one call.
    pub type Host;

    /// Fetches `url`: bytes `start` to before `end`, or all of it if `end` is 0. The promise gives a `Response`.
    /// `origin`: with the credentials and headers that the site's own requests carry.
    #[wasm_bindgen(method, catch)]
    pub(crate) fn fetch(
        this: &Host,
        url: &str,
        start: f64,
        end: f64,
        origin: bool,
        urgent: bool,
        signal: &AbortSignal,
    ) -> Result<Promise, JsValue>;
    /// Checks an Ed25519 signature. The promise gives a boolean.
    #[wasm_bindgen(method, catch)]
    pub(crate) fn verify(
        this: &Host,
        key: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> Result<Promise, JsValue>;
    #[wasm_bindgen(method, catch, js_name = absolute)]
    fn absolute_url(this: &Host, url: &str) -> Result<String, JsValue>;
    #[wasm_bindgen(method, catch, js_name = deliver)]
    fn deliver_segment(
        this: &Host,
        request: u32,
        parts: &Array,
        throughput: f64,
        first_byte: f64,
        source: u32,
        publisher: u32,
        peers: u32,
        seeds: u32,
    ) -> Result<(), JsValue>;
    #[wasm_bindgen(method, catch, js_name = progress)]
    fn progress_made(this: &Host, request: u32, loaded: u32, total: f64) -> Result<(), JsValue>;
    #[wasm_bindgen(method, catch, js_name = failed)]
    fn request_failed(this: &Host, request: u32, status: i32) -> Result<(), JsValue>;
    #[wasm_bindgen(method, catch, js_name = signaling)]
    fn signaling_changed(this: &Host, connected: bool) -> Result<(), JsValue>;
    #[wasm_bindgen(method, catch, js_name = settings)]
    fn settings_changed(this: &Host, enabled: bool, holdout: bool) -> Result<(), JsValue>;
    #[wasm_bindgen(method, catch, js_name = refused)]
    fn join_refused(this: &Host, message: &str, again: bool) -> Result<(), JsValue>;
    #[wasm_bindgen(method, catch, js_name = liar)]
    fn liar_found(this: &Host, peer: &str, why: &str) -> Result<(), JsValue>;
    #[wasm_bindgen(method, catch, js_name = mismatch)]
    fn source_mismatch(this: &Host, number: f64) -> Result<(), JsValue>;
    #[wasm_bindgen(method, catch, js_name = rescue)]
    fn rescued(this: &Host, number: f64, bytes: u32) -> Result<(), JsValue>;
}

/// A host's mistakes are its own: an exception must not leave the engine half-way.
macro_rules! forgiving {
    ($($name:ident => $import:ident($($arg:ident: $t:ty),*);)*) => {
        impl Host {
            $(pub(crate) fn $name(&self, $($arg: $t),*) {
                drop(self.$import($($arg),*));
            })*
        }
    };
}
forgiving! {
    progress => progress_made(request: u32, loaded: u32, total: f64);
    failed => request_failed(request: u32, status: i32);
    signaling => signaling_changed(connected: bool);
    settings => settings_changed(enabled: bool, holdout: bool);
    refused => join_refused(message: &str, again: bool);
    liar => liar_found(peer: &str, why: &str);
    mismatch => source_mismatch(number: f64);
    rescue => rescued(number: f64, bytes: u32);
}

impl Host {
    #[allow(clippy::too_many_arguments)] // crosses to JavaScript, where an object would cost an allocation
    pub(crate) fn deliver(
        &self,
        request: u32,
        parts: &Array,
        throughput: f64,
        first_byte: f64,
        source: u32,
        publisher: u32,
        peers: u32,
        seeds: u32,
    ) {
        drop(self.deliver_segment(request, parts, throughput, first_byte, source, publisher, peers, seeds));
    }

    /// The URL that `url` is, seen from the signaling server; empty if it is none.
    pub(crate) fn absolute(&self, url: &str) -> String {
        if url.is_empty() { String::new() } else { self.absolute_url(url).unwrap_or_default() }
    }
}

/// Puts a panic's message on the console before the instance stops.
#[wasm_bindgen(start)]
pub fn start_up() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map_or("", |l| l.file());
        let line = panic.location().map_or(0, |l| l.line());
        js::complain("Rillcast stopped; the page goes on without it. Please report:");
        js::complain(place);
        js::complain(&JsValue::from(line).as_string().unwrap_or_default());
    }));
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
    ) -> Result<Self, JsError> {
        let site = Text::new(site).ok_or_else(|| JsError::new("The site's name has more than 64 bytes"))?;
        let content =
            Text::new(content).ok_or_else(|| JsError::new("The content's name has more than 2048 bytes"))?;
        let token = Blob::new(token).ok_or_else(|| JsError::new("The token has more than 4096 bytes"))?;
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
        patience_ms: f64,
    ) -> u32 {
        let key = key(track_id(playlist), number, discontinuity, part);
        self.shell.source.place(key, place(url, start, end));
        self.shell.demand(key, Duration::from_millis(patience_ms as u64))
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
