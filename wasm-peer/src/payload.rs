//! Media bytes in JavaScript's memory.

use js_sys::Uint8Array;
use rillcast_core::payload::Payload;

/// A view of a JavaScript buffer. Clones and slices share the buffer; nothing enters wasm memory.
#[derive(Clone, Debug)]
pub(crate) struct JsBytes {
    view: Uint8Array,
    /// Kept here because asking JavaScript costs a call.
    len: u32,
}

impl JsBytes {
    pub(crate) fn new(view: Uint8Array) -> Self {
        let len = view.length();
        Self { view, len }
    }

    pub(crate) fn view(&self) -> &Uint8Array {
        &self.view
    }
}

impl Payload for JsBytes {
    fn len(&self) -> usize {
        self.len as usize
    }

    fn slice(&self, range: core::ops::Range<usize>) -> Self {
        if range == (0..self.len()) {
            return self.clone();
        }
        let (start, end) = (range.start as u32, range.end as u32);
        Self { view: self.view.subarray(start, end), len: end - start }
    }

    fn concat(parts: &[Self]) -> Self {
        if let [one] = parts {
            return one.clone();
        }
        let len = parts.iter().map(|p| p.len).sum();
        let view = Uint8Array::new_with_length(len);
        let mut at = 0;
        for part in parts {
            view.set(&part.view, at);
            at += part.len;
        }
        Self { view, len }
    }
}
