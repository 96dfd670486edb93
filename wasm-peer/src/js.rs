//! Small things that JavaScript offers and `web-sys` makes large.

use rillcast_core::time::Instant;
use wasm_bindgen::prelude::*;

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_namespace = performance, js_name = now)]
    fn performance_now() -> f64;
}

/// The engine's time is `performance.now()` in microseconds.
pub(crate) fn now() -> Instant {
    Instant::from_micros((performance_now() * 1000.0) as u64)
}

/// Milliseconds of `performance.now()`.
pub(crate) fn to_milliseconds(at: Instant) -> f64 {
    at.as_micros() as f64 / 1000.0
}

/// 32 random bits. Spreads retries and elections; secrets aren't made here.
pub(crate) fn random() -> u32 {
    (js_sys::Math::random() * 4_294_967_296.0) as u32
}
