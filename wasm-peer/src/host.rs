//! What the page's script does for a peer (`web/src/host.ts`, `web/src/io`), and what it keeps for it.
//!
//! Numbers and places in our memory are all that crosses: the glue only passes them on, and no text or object of
//! JavaScript's needs code of its own on either side. A call of the host that fails does nothing and gives 0, so an
//! exception can't leave the engine half-way.

/// As they are imported. The first number is the peer's. Places come with the number of items that are there; the host
/// reads those (`read` writes them) before it returns.
mod raw {
    use wasm_bindgen::prelude::*;

    #[wasm_bindgen(raw_module = "../src/host.js", js_namespace = host)]
    #[allow(clippy::too_many_arguments)] // crosses to JavaScript, where an object would cost an allocation
    extern "C" {
        pub(super) fn room(bytes: usize) -> u32;
        pub(super) fn put(into: u32, at: usize, from: u32, start: usize, length: usize);
        pub(super) fn read(from: u32, start: usize, into: *mut u8, length: usize);
        pub(super) fn release(held: u32);

        pub(super) fn wake(peer: u32, milliseconds: f64);
        pub(super) fn fetch(
            peer: u32,
            id: u32,
            url: *const u8,
            length: usize,
            start: f64,
            end: f64,
            origin: bool,
            urgent: bool,
        );
        pub(super) fn stop(peer: u32, id: u32);
        pub(super) fn verify(
            peer: u32,
            id: u32,
            key: *const u8,
            message: *const u8,
            length: usize,
            signature: *const u8,
        );
        pub(super) fn sign(peer: u32, id: u32, message: *const u8, length: usize);
        pub(super) fn seal(peer: u32, key: *const u8, to: *const u8, signal: *const u8, length: usize);
        pub(super) fn open(peer: u32, key: *const u8, from: *const u8, signal: *const u8, length: usize);
        pub(super) fn dial(
            peer: u32,
            link: u32,
            ice: *const u8,
            ice_length: usize,
            sdp: *const u8,
            sdp_length: usize,
            relay_only: bool,
        );
        pub(super) fn accept(peer: u32, link: u32, sdp: *const u8, length: usize);
        pub(super) fn candidate(peer: u32, link: u32, candidate: *const u8, length: usize);
        #[wasm_bindgen(js_name = hangUp)]
        pub(super) fn hang_up(peer: u32, link: u32);
        #[wasm_bindgen(js_name = sendControl)]
        pub(super) fn send_control(peer: u32, link: u32, bytes: *const u8, length: usize) -> bool;
        #[wasm_bindgen(js_name = sendBulk)]
        pub(super) fn send_bulk(
            peer: u32,
            link: u32,
            header: *const u8,
            header_length: usize,
            held: u32,
            start: usize,
            length: usize,
        ) -> i32;
        pub(super) fn buffered(peer: u32, link: u32) -> u32;
        #[wasm_bindgen(js_name = openSocket)]
        pub(super) fn open_socket(peer: u32, url: *const u8, length: usize);
        #[wasm_bindgen(js_name = sendSocket)]
        pub(super) fn send_socket(peer: u32, bytes: *const u8, length: usize);
        #[wasm_bindgen(js_name = closeSocket)]
        pub(super) fn close_socket(peer: u32);
        pub(super) fn deliver(
            peer: u32,
            request: u32,
            parts: *const [u32; 3],
            count: usize,
            throughput: f64,
            first_byte: f64,
            source: u32,
            publisher: u32,
            peers: u32,
            seeds: u32,
        );
        pub(super) fn progress(peer: u32, request: u32, loaded: u32, total: f64);
        pub(super) fn failed(peer: u32, request: u32, status: i32);
        pub(super) fn signaling(peer: u32, connected: bool);
        pub(super) fn settings(peer: u32, enabled: bool, holdout: bool);
        pub(super) fn refused(peer: u32, message: *const u8, length: usize, again: bool);
        pub(super) fn liar(peer: u32, id: *const u8, why: *const u8, length: usize);
        pub(super) fn mismatch(peer: u32, number: f64);
        pub(super) fn rescue(peer: u32, number: f64, bytes: u32);
        pub(super) fn counters(peer: u32, values: *const f64, count: usize);
    }
}

/// Bytes that the host keeps, by its number for them. Let go of when this is dropped.
#[derive(Debug)]
pub(crate) struct Held(u32);

impl Held {
    /// Takes over what the host keeps under this number.
    pub(crate) fn new(number: u32) -> Self {
        Self(number)
    }

    /// So many new bytes.
    pub(crate) fn room(bytes: usize) -> Self {
        Self(raw::room(bytes))
    }

    /// Copies a part of other bytes to `at`.
    pub(crate) fn put(&self, at: usize, from: &Self, start: usize, length: usize) {
        raw::put(self.0, at, from.0, start, length);
    }

    /// Copies the bytes from `start` on into our memory.
    pub(crate) fn read(&self, start: usize, into: &mut [u8]) {
        raw::read(self.0, start, into.as_mut_ptr(), into.len());
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        raw::release(self.0);
    }
}

/// A part of what the host keeps.
#[derive(Clone, Copy)]
pub(crate) struct Part<'a> {
    pub(crate) held: &'a Held,
    pub(crate) start: usize,
    pub(crate) length: usize,
}

/// A segment, and who brought how much of it.
pub(crate) struct Delivered<'a> {
    pub(crate) parts: &'a [Part<'a>],
    /// Bytes per second; NaN if unknown.
    pub(crate) throughput: f64,
    /// On `performance.now()`'s clock.
    pub(crate) first_byte: f64,
    pub(crate) source: u32,
    pub(crate) publisher: u32,
    pub(crate) peers: u32,
    pub(crate) seeds: u32,
}

/// The host of one peer, by the number that it gave it.
pub(crate) struct Host(u32);

impl Host {
    pub(crate) fn new(peer: u32) -> Self {
        Self(peer)
    }

    /// Whether it gave this number.
    pub(crate) fn is(&self, peer: u32) -> bool {
        self.0 == peer
    }

    /// Calls `wake` after so many milliseconds, instead of when it was asked to before.
    pub(crate) fn wake(&self, milliseconds: f64) {
        raw::wake(self.0, milliseconds);
    }

    /// Fetches `url`: bytes `start` to before `end`, or all of it if `end` is 0. `origin`: with the credentials and
    /// headers that the site's own requests carry; else `url` may be relative to the signaling server.
    pub(crate) fn fetch(&self, id: u32, url: &str, start: f64, end: f64, origin: bool, urgent: bool) {
        raw::fetch(self.0, id, url.as_ptr(), url.len(), start, end, origin, urgent);
    }

    /// Stops a fetch.
    pub(crate) fn stop(&self, id: u32) {
        raw::stop(self.0, id);
    }

    /// Checks an Ed25519 signature; answers by `verdict`.
    pub(crate) fn verify(&self, id: u32, key: &[u8; 32], message: &[u8], signature: &[u8; 64]) {
        let (place, length) = (message.as_ptr(), message.len());
        raw::verify(self.0, id, key.as_ptr(), place, length, signature.as_ptr());
    }

    /// Signs with this visit's key; answers by `signed`, if it has one.
    pub(crate) fn sign(&self, id: u32, message: &[u8]) {
        raw::sign(self.0, id, message.as_ptr(), message.len());
    }

    /// Seals a signal with our key and this one; answers by `signal_sealed`, in order.
    pub(crate) fn seal(&self, key: &[u8; 32], to: &[u8; 16], signal: &[u8]) {
        raw::seal(self.0, key.as_ptr(), to.as_ptr(), signal.as_ptr(), signal.len());
    }

    /// Opens one; answers by `signal_opened`, in order, if it was sealed with these keys.
    pub(crate) fn open(&self, key: &[u8; 32], from: &[u8; 16], signal: &[u8]) {
        raw::open(self.0, key.as_ptr(), from.as_ptr(), signal.as_ptr(), signal.len());
    }

    /// Makes a connection and its offer, or its answer to the offer `sdp`. `ice`: three texts per server, a NUL after
    /// each.
    pub(crate) fn dial(&self, link: u32, ice: &str, sdp: &str, relay_only: bool) {
        raw::dial(self.0, link, ice.as_ptr(), ice.len(), sdp.as_ptr(), sdp.len(), relay_only);
    }

    /// Takes the answer in.
    pub(crate) fn accept(&self, link: u32, sdp: &str) {
        raw::accept(self.0, link, sdp.as_ptr(), sdp.len());
    }

    /// Takes a candidate in, once there is a description.
    pub(crate) fn add_candidate(&self, link: u32, candidate: &str) {
        raw::candidate(self.0, link, candidate.as_ptr(), candidate.len());
    }

    /// Closes a connection.
    pub(crate) fn hang_up(&self, link: u32) {
        raw::hang_up(self.0, link);
    }

    /// False if it couldn't be sent.
    pub(crate) fn send_control(&self, link: u32, bytes: &[u8]) -> bool {
        raw::send_control(self.0, link, bytes.as_ptr(), bytes.len())
    }

    /// Bytes that wait in the buffer then; negative if it couldn't be sent.
    pub(crate) fn send_bulk(&self, link: u32, header: &[u8], payload: Part<'_>) -> i32 {
        let (held, start, length) = (payload.held.0, payload.start, payload.length);
        raw::send_bulk(self.0, link, header.as_ptr(), header.len(), held, start, length)
    }

    /// Bytes that wait in the bulk channel's buffer.
    pub(crate) fn buffered(&self, link: u32) -> u32 {
        raw::buffered(self.0, link)
    }

    /// Opens the WebSocket.
    pub(crate) fn open_socket(&self, url: &str) {
        raw::open_socket(self.0, url.as_ptr(), url.len());
    }

    /// Sends on it, if it is open.
    pub(crate) fn send_socket(&self, bytes: &[u8]) {
        raw::send_socket(self.0, bytes.as_ptr(), bytes.len());
    }

    /// Closes it without a word.
    pub(crate) fn close_socket(&self) {
        raw::close_socket(self.0);
    }

    /// The segment is here.
    pub(crate) fn deliver(&self, request: u32, it: &Delivered<'_>) {
        let parts: Vec<[u32; 3]> =
            it.parts.iter().map(|p| [p.held.0, p.start as u32, p.length as u32]).collect();
        raw::deliver(
            self.0,
            request,
            parts.as_ptr(),
            parts.len(),
            it.throughput,
            it.first_byte,
            it.source,
            it.publisher,
            it.peers,
            it.seeds,
        );
    }

    /// So much of it is here. `total` is negative while unknown.
    pub(crate) fn progress(&self, request: u32, loaded: u32, total: f64) {
        raw::progress(self.0, request, loaded, total);
    }

    /// It can't be had.
    pub(crate) fn failed(&self, request: u32, status: i32) {
        raw::failed(self.0, request, status);
    }

    /// The server was reached or lost.
    pub(crate) fn signaling(&self, connected: bool) {
        raw::signaling(self.0, connected);
    }

    /// The site's settings.
    pub(crate) fn settings(&self, enabled: bool, holdout: bool) {
        raw::settings(self.0, enabled, holdout);
    }

    /// The server said no.
    pub(crate) fn refused(&self, message: &str, again: bool) {
        raw::refused(self.0, message.as_ptr(), message.len(), again);
    }

    /// A neighbour was cut off.
    pub(crate) fn liar(&self, peer: &[u8; 16], why: &str) {
        raw::liar(self.0, peer.as_ptr(), why.as_ptr(), why.len());
    }

    /// The source's bytes aren't those that were signed.
    pub(crate) fn mismatch(&self, number: f64) {
        raw::mismatch(self.0, number);
    }

    /// The source filled in.
    pub(crate) fn rescue(&self, number: f64, bytes: u32) {
        raw::rescue(self.0, number, bytes);
    }

    /// The answer to `stats`.
    pub(crate) fn counters(&self, values: &[f64]) {
        raw::counters(self.0, values.as_ptr(), values.len());
    }
}
