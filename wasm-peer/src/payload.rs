//! Media bytes in JavaScript's memory.

use std::rc::Rc;

use rillcast_core::payload::Payload;

use crate::host::{Held, Part};

/// A part of bytes that the host keeps. Clones and slices share them; nothing enters wasm memory.
#[derive(Clone, Debug)]
pub(crate) struct JsBytes {
    held: Rc<Held>,
    start: u32,
    len: u32,
}

impl JsBytes {
    /// All of the `length` bytes that the host keeps under this number.
    pub(crate) fn new(number: u32, length: u32) -> Self {
        Self { held: Rc::new(Held::new(number)), start: 0, len: length }
    }

    pub(crate) fn part(&self) -> Part<'_> {
        Part { held: &self.held, start: self.start as usize, length: self.len() }
    }

    /// Copies the first bytes into wasm memory: as many as `into` has.
    pub(crate) fn read(&self, into: &mut [u8]) {
        debug_assert!(into.len() <= self.len());
        self.held.read(self.start as usize, into);
    }

    /// A copy in wasm memory.
    pub(crate) fn to_vec(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.len()];
        self.read(&mut bytes);
        bytes
    }
}

impl Payload for JsBytes {
    fn len(&self) -> usize {
        self.len as usize
    }

    fn slice(&self, range: core::ops::Range<usize>) -> Self {
        assert!(range.start <= range.end && range.end <= self.len());
        let len = (range.end - range.start) as u32;
        Self { held: Rc::clone(&self.held), start: self.start + range.start as u32, len }
    }

    fn concat(parts: &[Self]) -> Self {
        if let [one] = parts {
            return one.clone();
        }
        let len = parts.iter().map(|p| p.len).sum();
        let room = Held::room(len as usize);
        let mut at = 0;
        for part in parts {
            room.put(at, &part.held, part.start as usize, part.len());
            at += part.len();
        }
        Self { held: Rc::new(room), start: 0, len }
    }
}
