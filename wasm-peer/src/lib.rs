//! The browser shell around the engine: data channels, fetch, signaling and the clock in; an API for the page's
//! script out. It decides nothing: who, what, when and where from are the engine's.
//!
//! The browser's own objects (connections, requests, the socket, the timer) are held by the page's script, in
//! `web/src/io`: naming them from here would add a tenth to what a viewer downloads. It calls in with what happened,
//! and `host` is what is asked of it.
//!
//! - `host`: what the page's script does for us, and keeps
//! - `payload`: media bytes stay in JavaScript's memory; the engine moves handles
//! - `driver`: owns the engine, feeds it and does what it asks
//! - `rtc`: links, and the attempts at them
//! - `signaling`: what is said to the rendezvous server, and when it is tried again
//! - `source`: fetches from the origin, the CDN or a publisher
//! - `alarm`: what the shell itself waits for
//! - `check`: hashes
//! - `api`: what the page's script calls

// Browser objects belong to one thread, and so does everything here: `Rc`, `Cell` and `RefCell` throughout.
mod alarm;
pub mod api;
mod check;
mod driver;
mod host;
mod js;
mod payload;
mod rtc;
mod signaling;
mod source;

#[cfg(target_arch = "wasm32")]
#[global_allocator]
static ALLOCATOR: talc::wasm::WasmDynamicTalc = talc::wasm::new_wasm_dynamic_allocator();
