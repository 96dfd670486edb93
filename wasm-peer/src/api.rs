//! What the page's script calls: numbers alone, so that the glue only passes them on.
//!
//! The first is the host's number for the peer that is meant. Bytes and texts come as the host's number for what it
//! keeps for us, and a length: see `host.rs`.

use std::cell::RefCell;
use std::rc::Rc;

use rillcast_core::engine::{
    CheckId, Conditions, FetchId, Input, MediaKind, Patience, Playhead, SegmentEntry,
};
use rillcast_core::map::keep;
use rillcast_core::time::Duration;
use rillcast_protocol::coding::{Blob, Text};
use rillcast_protocol::id::{PeerId, Role, SealingKey, SegmentKey, SessionKey, TrackId, canonical_path};
use wasm_bindgen::prelude::*;

use crate::driver::Shell;
use crate::host::Host;
use crate::payload::JsBytes;
use crate::signaling::{Destination, Signaling, Watched};
use crate::source::Place;

thread_local! {
    /// Those who have joined: one for each player on the page.
    static PEERS: RefCell<Vec<Rc<Shell>>> = const { RefCell::new(Vec::new()) };
}

/// None once it has left: what was under way may still call in.
#[inline(never)]
fn find(peer: u32) -> Option<Rc<Shell>> {
    PEERS.with_borrow(|peers| peers.iter().find(|shell| shell.host.is(peer)).cloned())
}

fn to(peer: u32, act: impl FnOnce(&Rc<Shell>)) {
    if let Some(shell) = find(peer) {
        act(&shell);
    }
}

/// Joins. `peer` is the host's number for it; `url`: the signaling server's WebSocket; `store`: bytes of media that
/// may be held. False if `site`, `content` or `token` is too long.
#[wasm_bindgen]
#[allow(clippy::too_many_arguments)] // crosses from JavaScript, where an object would cost a decoder
pub fn join(
    peer: u32,
    url: u32,
    url_length: u32,
    site: u32,
    site_length: u32,
    content: u32,
    content_length: u32,
    token: u32,
    token_length: u32,
    store: f64,
) -> bool {
    // All are taken before one of them fails: the host keeps them until then.
    let url = text(url, url_length);
    let site = Text::new(text(site, site_length));
    let content = Text::new(text(content, content_length));
    let token = Blob::new(bytes(token, token_length));
    let (Some(site), Some(content), Some(token)) = (site, content, token) else { return false };
    let to = Destination { url, site, content, token };
    let shell = Shell::new(store as u64, Host::new(peer), Signaling::new(to));
    PEERS.with_borrow_mut(|peers| peers.push(Rc::clone(&shell)));
    shell.signaling.connect(&shell);
    true
}

/// A playlist as the player sees it. `audio`: a separate audio rendition. `numbers` holds seven 64-bit floats per
/// segment: media sequence number, discontinuity sequence, part (0 is the whole segment), start and duration in
/// milliseconds, first byte in the resource and the byte after the last (0 and 0 are all of it); `urls` one URL per
/// segment, a NUL between each and the next.
#[wasm_bindgen]
#[allow(clippy::too_many_arguments)] // as above
pub fn timeline(
    peer: u32,
    playlist: u32,
    playlist_length: u32,
    audio: bool,
    live: bool,
    numbers: u32,
    numbers_length: u32,
    urls: u32,
    urls_length: u32,
) {
    const FIELDS: usize = 7;
    let playlist = text(playlist, playlist_length);
    let track = track_id(&playlist);
    let numbers: Vec<f64> =
        bytes(numbers, numbers_length).as_chunks().0.iter().map(|n| f64::from_le_bytes(*n)).collect();
    let urls = text(urls, urls_length);
    let mut segments = Vec::with_capacity(numbers.len() / FIELDS);
    let mut places = Vec::with_capacity(numbers.len() / FIELDS);
    for (n, url) in numbers.chunks_exact(FIELDS).zip(urls.split('\0')) {
        let key = key(track, n[0], n[1], n[2]);
        segments.push(SegmentEntry { key, start_ms: n[3] as i64, duration_ms: n[4] as u32 });
        places.push((key, place(url.to_owned(), n[5], n[6])));
    }
    let kind = if audio { MediaKind::Audio } else { MediaKind::Main };
    to(peer, |shell| {
        shell.source.timeline(track, playlist, places);
        shell.input(Input::Timeline { track, kind, segments, live });
    });
}

/// The player asks for a segment; the answer comes to the host under the number given back. The rest as in
/// `timeline`.
#[wasm_bindgen]
#[allow(clippy::too_many_arguments)] // as above
pub fn demand(
    peer: u32,
    playlist: u32,
    playlist_length: u32,
    number: f64,
    discontinuity: f64,
    part: f64,
    url: u32,
    url_length: u32,
    start: f64,
    end: f64,
    first_byte_ms: f64,
    whole_ms: f64,
) -> u32 {
    let key = key(track_id(&text(playlist, playlist_length)), number, discontinuity, part);
    let place = place(text(url, url_length), start, end);
    find(peer).map_or(0, |shell| {
        shell.source.place(key, place);
        shell.demand(key, Patience { first_byte: ms(first_byte_ms), whole: ms(whole_ms) })
    })
}

/// The player got a segment without us.
#[wasm_bindgen]
#[allow(clippy::too_many_arguments)] // as above
pub fn handed(
    peer: u32,
    playlist: u32,
    playlist_length: u32,
    number: f64,
    discontinuity: f64,
    part: f64,
    length: f64,
    first_byte_ms: f64,
    transfer_ms: f64,
) {
    let key = key(track_id(&text(playlist, playlist_length)), number, discontinuity, part);
    let (first_byte, transfer) = (ms(first_byte_ms), ms(transfer_ms));
    to(peer, |shell| shell.input(Input::Handed { key, bytes: length as u32, first_byte, transfer }));
}

/// The player no longer wants it.
#[wasm_bindgen]
pub fn cancel(peer: u32, request: u32) {
    to(peer, |shell| shell.cancel(request));
}

/// Where the player is. Times in milliseconds, `rate` in hundredths.
#[wasm_bindgen]
pub fn playhead(peer: u32, position_ms: f64, rate: f64, buffered_ms: f64, starving: bool) {
    let playhead = Playhead {
        position_ms: position_ms as i64,
        rate_percent: rate as u16,
        buffered_ms: buffered_ms as i64,
        starving,
    };
    to(peer, |shell| shell.input(Input::Playhead(playhead)));
}

/// What is allowed now. `upload_cap` in bytes per second; 0 is none.
#[wasm_bindgen]
pub fn conditions(peer: u32, may_upload: bool, may_download: bool, hidden: bool, upload_cap: f64) {
    let upload_cap = upload_cap as u32;
    let conditions = Conditions { may_upload, may_download, hidden, upload_cap };
    to(peer, |shell| shell.input(Input::Conditions(conditions)));
}

/// What the viewer has lived through so far, for the operator's counters.
#[wasm_bindgen]
pub fn watched(peer: u32, stalls: u32, stall_ms: u32, played_ms: f64) {
    to(peer, |shell| shell.signaling.watched.set(Watched { stalls, stall_ms, played_ms }));
}

/// Has the host told counters and neighbours, in the order of `COUNTERS` in `web/src/peer.ts`.
#[wasm_bindgen]
pub fn stats(peer: u32) {
    let Some(shell) = find(peer) else { return };
    let stats = shell.stats();
    let counters = [
        stats.source_bytes,
        stats.publisher_bytes,
        stats.peer_bytes,
        stats.seed_bytes,
        stats.uploaded_bytes,
        stats.delivered_bytes,
        stats.wasted_bytes,
        stats.false_blocks,
        stats.refused_links,
        stats.rescues,
        stats.rescue_bytes,
        stats.stored_bytes,
        stats.upload_rate,
        stats.source_rate,
    ];
    let mut values: Vec<f64> = counters.iter().map(|&n| n as f64).collect();
    for link in &stats.links {
        values.extend(link.peer.0.iter().map(|&b| f64::from(b)));
        values.extend([
            f64::from(u8::from(link.role == Role::Seed)),
            link.rtt_ms.map_or(-1.0, f64::from),
            link.received as f64,
            link.sent as f64,
        ]);
    }
    shell.host.counters(&values);
}

/// The time that `Host::wake` was given has passed.
#[wasm_bindgen]
pub fn wake(peer: u32) {
    to(peer, Shell::wake);
}

/// An answer's status; its first byte and the whole resource's length where they could be read, else -1.
#[wasm_bindgen(js_name = sourceHead)]
pub fn source_head(peer: u32, id: u32, status: u16, first: f64, total: f64) {
    let known = |n: f64| (n >= 0.0).then_some(n as u64);
    to(peer, |shell| shell.source.head(shell, FetchId(id), status, known(first), known(total)));
}

/// Bytes of an answer.
#[wasm_bindgen(js_name = sourceData)]
pub fn source_data(peer: u32, id: u32, data: u32, length: u32) {
    let data = JsBytes::new(data, length);
    to(peer, |shell| shell.source.data(shell, FetchId(id), &data));
}

/// An answer is complete.
#[wasm_bindgen(js_name = sourceEnd)]
pub fn source_end(peer: u32, id: u32) {
    to(peer, |shell| shell.source.end(shell, FetchId(id)));
}

/// There was no answer, or it broke off.
#[wasm_bindgen(js_name = sourceFailed)]
pub fn source_failed(peer: u32, id: u32) {
    to(peer, |shell| shell.source.failed(shell, FetchId(id)));
}

/// Whether a signature holds.
#[wasm_bindgen]
pub fn verdict(peer: u32, id: u32, ok: bool) {
    to(peer, |shell| shell.input(Input::Verdict { check: CheckId(id), ok }));
}

/// A message is signed.
#[wasm_bindgen]
pub fn signed(peer: u32, id: u32, signature: u32, length: u32) {
    let signature = bytes(signature, length);
    if let Ok(signature) = signature.try_into() {
        to(peer, |shell| shell.input(Input::Signed { check: CheckId(id), signature }));
    }
}

/// A signal to a peer is sealed.
#[wasm_bindgen(js_name = signalSealed)]
pub fn signal_sealed(peer: u32, other: u32, id_length: u32, signal: u32, length: u32) {
    let (other, payload) = (bytes(other, id_length), bytes(signal, length));
    if let Ok(id) = other.try_into() {
        to(peer, |shell| shell.input(Input::Signal { to: PeerId(id), payload }));
    }
}

/// A signal of a peer is open.
#[wasm_bindgen(js_name = signalOpened)]
pub fn signal_opened(peer: u32, other: u32, id_length: u32, signal: u32, length: u32) {
    let (other, payload) = (bytes(other, id_length), bytes(signal, length));
    if let Ok(id) = other.try_into() {
        to(peer, |shell| shell.links.read(shell, PeerId(id), &payload));
    }
}

/// A connection has its local description.
#[wasm_bindgen]
pub fn described(peer: u32, link: u32, sdp: u32, length: u32) {
    let sdp = text(sdp, length);
    to(peer, |shell| shell.links.described(shell, link, &sdp));
}

/// A connection has found a way by which it may be reached.
#[wasm_bindgen(js_name = foundCandidate)]
pub fn found_candidate(peer: u32, link: u32, candidate: u32, length: u32) {
    let candidate = text(candidate, length);
    to(peer, |shell| shell.links.found_candidate(shell, link, candidate));
}

/// A connection's channels are open.
#[wasm_bindgen]
pub fn opened(peer: u32, link: u32) {
    to(peer, |shell| shell.links.opened(shell, link));
}

/// A connection, or the attempt at one, is gone.
#[wasm_bindgen]
pub fn lost(peer: u32, link: u32) {
    to(peer, |shell| shell.links.failed(shell, link));
}

/// A message on the control channel.
#[wasm_bindgen]
pub fn control(peer: u32, link: u32, message: u32, length: u32) {
    let message = JsBytes::new(message, length);
    to(peer, |shell| shell.links.control(shell, link, &message));
}

/// A message on the bulk channel.
#[wasm_bindgen]
pub fn bulk(peer: u32, link: u32, message: u32, length: u32) {
    let message = JsBytes::new(message, length);
    to(peer, |shell| shell.links.bulk(shell, link, &message));
}

/// The bulk channel's buffer has fallen to its mark.
#[wasm_bindgen]
pub fn drained(peer: u32, link: u32, buffered: u32) {
    to(peer, |shell| shell.links.drained(shell, link, buffered));
}

/// The WebSocket is open. `sdp` has the fingerprint of the certificate that this visit's connections are made with, `session` the key that it signs
/// with, `sealing` the one that signals to us are sealed with; each is empty where the browser has none.
#[wasm_bindgen(js_name = socketOpened)]
pub fn socket_opened(
    peer: u32,
    sdp: u32,
    length: u32,
    session: u32,
    session_length: u32,
    sealing: u32,
    sealing_length: u32,
) {
    let sdp = text(sdp, length);
    let session = bytes(session, session_length).try_into().ok().map(SessionKey);
    let sealing = bytes(sealing, sealing_length).try_into().ok().map(SealingKey);
    to(peer, |shell| {
        shell.links.set_seals(sealing.is_some());
        shell.signaling.opened(shell, &sdp, session, sealing);
    });
}

/// A message from the server.
#[wasm_bindgen(js_name = socketMessage)]
pub fn socket_message(peer: u32, message: u32, length: u32) {
    let message = bytes(message, length);
    to(peer, |shell| shell.signaling.receive(shell, &message));
}

/// The WebSocket is closed.
#[wasm_bindgen(js_name = socketClosed)]
pub fn socket_closed(peer: u32) {
    to(peer, |shell| shell.signaling.lost(shell));
}

/// Leaves: closes every link and stops every fetch. Requests that wait are answered as failed.
#[wasm_bindgen]
pub fn close(peer: u32) {
    to(peer, |shell| {
        if !shell.is_closed() {
            shell.signaling.report(shell);
            shell.close();
        }
    });
    PEERS.with_borrow_mut(|peers| keep(peers, |shell| !shell.host.is(peer)));
}

fn bytes(number: u32, length: u32) -> Vec<u8> {
    JsBytes::new(number, length).to_vec()
}

/// The host encodes no text but as UTF-8; anything else would be none.
fn text(number: u32, length: u32) -> String {
    String::from_utf8(bytes(number, length)).unwrap_or_default()
}

/// A track is known by its playlist's canonical path.
fn track_id(playlist: &str) -> TrackId {
    let hash = blake3::hash(canonical_path(playlist).as_bytes());
    let mut first = [0; 8];
    first.copy_from_slice(&hash.as_bytes()[..8]);
    TrackId(u64::from_be_bytes(first))
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
