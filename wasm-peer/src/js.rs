//! Small things that JavaScript offers and `web-sys` makes large.

use std::rc::Rc;

use rillcast_core::time::Instant;
use wasm_bindgen::prelude::*;

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_namespace = performance, js_name = now)]
    fn performance_now() -> f64;
    #[wasm_bindgen(js_name = setTimeout)]
    fn set_timeout(callback: &JsValue, milliseconds: f64) -> JsValue;
    #[wasm_bindgen(js_name = clearTimeout)]
    fn clear_timeout(id: &JsValue);
    #[wasm_bindgen(js_namespace = Math, js_name = random)]
    fn math_random() -> f64;
    #[wasm_bindgen(js_namespace = console, js_name = error)]
    fn console_error(text: &str);
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
    (math_random() * 4_294_967_296.0) as u32
}

/// Bytes as lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(bytes.len() * 2);
    for b in bytes {
        text.push(char::from(DIGITS[usize::from(b >> 4)]));
        text.push(char::from(DIGITS[usize::from(b & 15)]));
    }
    text
}

/// Tells the developer's console.
pub(crate) fn complain(text: &str) {
    console_error(text);
}

/// Calls once after so many milliseconds. Can't be called off: the callback checks whether it still matters.
pub(crate) fn after(milliseconds: u32, callback: impl FnOnce() + 'static) {
    set_timeout(&Closure::once_into_js(callback), f64::from(milliseconds));
}

/// One timer that is armed again and again with the same callback.
pub(crate) struct Timer {
    callback: Closure<dyn FnMut()>,
    armed: Option<(Instant, JsValue)>,
}

impl Timer {
    pub(crate) fn new(callback: impl FnMut() + 'static) -> Self {
        Self { callback: Closure::new(callback), armed: None }
    }

    /// Goes off at `at`, whatever was set before.
    pub(crate) fn arm(&mut self, now: Instant, at: Instant) {
        // A day: the longest that every browser's timers take, and more than any wait of ours.
        const LONGEST: f64 = 86_400_000.0;
        if let Some((armed, id)) = &self.armed {
            // Still ahead and the same: leave it. Once past it may have gone off already.
            if *armed == at && at > now {
                return;
            }
            clear_timeout(id);
            self.armed = None;
        }
        if at != Instant::NEVER {
            // Rounded up: a timer that goes off a little early would only be set again.
            let wait = (at.since(now).as_micros() as f64 / 1000.0).ceil().min(LONGEST);
            self.armed = Some((at, set_timeout(self.callback.as_ref(), wait)));
        }
    }

    /// Never goes off again.
    pub(crate) fn disarm(&mut self) {
        if let Some((_, id)) = self.armed.take() {
            clear_timeout(&id);
        }
    }
}

/// Event handlers of one JavaScript object; they live as long as this does.
#[derive(Default)]
pub(crate) struct Handlers(Vec<Rc<dyn core::any::Any>>);

impl Handlers {
    /// Keeps a handler alive and gives the function to assign.
    pub(crate) fn hold<E: wasm_bindgen::convert::FromWasmAbi + 'static>(
        &mut self,
        handler: impl FnMut(E) + 'static,
    ) -> js_sys::Function {
        let closure = Closure::<dyn FnMut(E)>::new(handler);
        let function: js_sys::Function = closure.as_ref().clone().unchecked_into();
        self.0.push(Rc::new(closure));
        function
    }
}
