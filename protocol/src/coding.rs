//! A small binary codec: LEB128 integers, length-prefixed bytes, no self-description.
//!
//! Foreign bytes pass through [`Reader`], which never allocates more than the bytes at hand allow and stops
//! at the first thing out of bounds. A message must use up its bytes: trailing ones are an error, so that there
//! is one encoding of each value.

use thiserror::Error;

/// Why foreign bytes were refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum DecodeError {
    /// The message ends before the value does.
    #[error("the message ends in the middle of a value")]
    Short,
    /// A number, length or count above what its field allows.
    #[error("a length, count or number is above its limit")]
    TooLarge,
    /// A tag that this version doesn't know.
    #[error("unknown tag {0}")]
    Tag(u8),
    /// An integer in more bytes than it needs, or text that isn't UTF-8.
    #[error("a value isn't in its one allowed form")]
    NotCanonical,
    /// Bytes are left over after the message.
    #[error("bytes left over after the message")]
    Trailing,
    /// The sender speaks a version that we don't.
    #[error("protocol version {0} isn't spoken here; update the older side")]
    Version(u8),
}

/// Takes values off a slice of foreign bytes.
///
/// It doesn't stop at the first thing out of bounds: it remembers it, has no more bytes, and gives zeros from then on. Whoever began
/// reading asks at the [`end`](Reader::end) whether all that was read means anything. That leaves decoders without a branch behind
/// each field, a tenth of what a viewer's browser downloads.
#[derive(Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
    error: Option<DecodeError>,
}

impl<'a> Reader<'a> {
    /// Reads from the start of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, error: None }
    }

    /// Bytes not yet taken; 0 after a failure.
    pub fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// What was read means nothing, and nothing more can be. The first reason stands.
    #[cold]
    pub fn fail(&mut self, why: DecodeError) {
        self.error.get_or_insert(why);
        self.rest = &[];
    }

    /// Whether something has failed, so that there is nothing more to read.
    pub fn has_failed(&self) -> bool {
        self.error.is_some()
    }

    /// The next `n` bytes; none after a failure.
    pub fn take(&mut self, n: usize) -> &'a [u8] {
        match self.rest.split_at_checked(n) {
            Some((head, rest)) => {
                self.rest = rest;
                head
            }
            None => {
                self.fail(DecodeError::Short);
                &[]
            }
        }
    }

    /// One byte.
    pub fn byte(&mut self) -> u8 {
        self.take(1).first().copied().unwrap_or(0)
    }

    /// An unsigned LEB128 integer in its shortest form, at most 10 bytes, and at most `limit`.
    pub fn varint(&mut self, limit: u64) -> u64 {
        let mut value = 0u64;
        let mut shift = 0;
        loop {
            let byte = self.byte();
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && byte > 1 {
                self.fail(DecodeError::TooLarge);
                return 0;
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                if byte == 0 && shift > 0 {
                    self.fail(DecodeError::NotCanonical);
                }
                break;
            }
            shift += 7;
        }
        if value > limit {
            self.fail(DecodeError::TooLarge);
            value = 0;
        }
        value
    }

    /// A length or count of at most `limit`.
    pub fn length(&mut self, limit: usize) -> usize {
        self.varint(limit as u64) as usize
    }

    /// Length-prefixed bytes, at most `limit` of them.
    pub fn bytes(&mut self, limit: usize) -> &'a [u8] {
        let n = self.length(limit);
        self.take(n)
    }

    /// Length-prefixed UTF-8 of at most `limit` bytes.
    pub fn text(&mut self, limit: usize) -> String {
        let bytes = self.bytes(limit);
        if let Ok(text) = core::str::from_utf8(bytes) {
            return text.to_owned();
        }
        self.fail(DecodeError::NotCanonical);
        String::new()
    }

    /// A list of at most `limit` values. Capacity never exceeds the bytes at hand.
    pub fn list<T: Wire>(&mut self, limit: usize) -> Vec<T> {
        let n = self.length(limit);
        let mut list = Vec::with_capacity(n.min(self.remaining()));
        for _ in 0..n {
            if self.has_failed() {
                break;
            }
            list.push(T::decode(self));
        }
        list
    }

    /// Everything that is left.
    pub fn rest(&mut self) -> &'a [u8] {
        core::mem::take(&mut self.rest)
    }

    /// What has failed; bytes that are left are a failure too.
    pub fn end(&self) -> Result<(), DecodeError> {
        match self.error {
            Some(why) => Err(why),
            None if self.rest.is_empty() => Ok(()),
            None => Err(DecodeError::Trailing),
        }
    }
}

/// Appends values to a buffer. Limits are the reader's to enforce; a writer only writes what we made.
#[derive(Debug, Default)]
pub struct Writer {
    buf: Vec<u8>,
}

impl Writer {
    /// An empty buffer.
    pub fn new() -> Self {
        Self::default()
    }

    /// The bytes written.
    pub fn into_bytes(self) -> Vec<u8> {
        self.buf
    }

    /// One byte.
    pub fn byte(&mut self, b: u8) {
        self.buf.push(b);
    }

    /// Bytes as they are.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.buf.extend_from_slice(bytes);
    }

    /// An unsigned LEB128 integer.
    pub fn varint(&mut self, mut v: u64) {
        while v >= 0x80 {
            self.buf.push(v as u8 | 0x80);
            v >>= 7;
        }
        self.buf.push(v as u8);
    }

    /// Length-prefixed bytes.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.varint(bytes.len() as u64);
        self.raw(bytes);
    }

    /// A counted list.
    pub fn list<T: Wire>(&mut self, list: &[T]) {
        self.varint(list.len() as u64);
        for item in list {
            item.encode(self);
        }
    }
}

/// A value with one form on the wire.
pub trait Wire: Sized {
    /// Appends the value.
    fn encode(&self, w: &mut Writer);
    /// Takes the value, checking every bound: what it is after a [failure](Reader::fail) means nothing.
    fn decode(r: &mut Reader<'_>) -> Self;

    /// The value alone, as bytes.
    fn to_bytes(&self) -> Vec<u8> {
        // Most messages are shorter: their buffer needn't grow on the way.
        let mut w = Writer { buf: Vec::with_capacity(64) };
        self.encode(&mut w);
        w.into_bytes()
    }

    /// The value from exactly these bytes.
    fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::new(bytes);
        let value = Self::decode(&mut r);
        r.end().map(|()| value)
    }
}

macro_rules! wire_integer {
    ($($t:ty),*) => {$(
        impl Wire for $t {
            fn encode(&self, w: &mut Writer) {
                w.varint(u64::from(*self));
            }
            fn decode(r: &mut Reader<'_>) -> Self {
                r.varint(u64::from(<$t>::MAX)) as $t
            }
        }
    )*};
}
wire_integer!(u8, u16, u32, u64);

impl Wire for bool {
    fn encode(&self, w: &mut Writer) {
        w.byte(u8::from(*self));
    }
    fn decode(r: &mut Reader<'_>) -> Self {
        let byte = r.byte();
        if byte > 1 {
            r.fail(DecodeError::NotCanonical);
        }
        byte == 1
    }
}

impl<const N: usize> Wire for [u8; N] {
    fn encode(&self, w: &mut Writer) {
        w.raw(self);
    }
    fn decode(r: &mut Reader<'_>) -> Self {
        r.take(N).try_into().unwrap_or([0; N])
    }
}

impl<T: Wire> Wire for Option<T> {
    fn encode(&self, w: &mut Writer) {
        w.byte(u8::from(self.is_some()));
        if let Some(v) = self {
            v.encode(w);
        }
    }
    fn decode(r: &mut Reader<'_>) -> Self {
        bool::decode(r).then(|| T::decode(r))
    }
}

/// Text of at most `MAX` bytes; the bound is part of the type.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Text<const MAX: usize>(String);

impl<const MAX: usize> Text<MAX> {
    /// `None` if the text is longer than `MAX` bytes.
    pub fn new(text: impl Into<String>) -> Option<Self> {
        let text = text.into();
        (text.len() <= MAX).then_some(Self(text))
    }

    /// The text, cut at a character boundary where it is too long. For messages to people only.
    pub fn clipped(text: &str) -> Self {
        let mut end = text.len().min(MAX);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        Self(text[..end].to_owned())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<const MAX: usize> Wire for Text<MAX> {
    fn encode(&self, w: &mut Writer) {
        w.bytes(self.0.as_bytes());
    }
    fn decode(r: &mut Reader<'_>) -> Self {
        Self(r.text(MAX))
    }
}

/// At most `MAX` values; the bound is part of the type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct List<T, const MAX: usize>(Vec<T>);

impl<T, const MAX: usize> Default for List<T, MAX> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T, const MAX: usize> List<T, MAX> {
    /// The first `MAX` of the values.
    pub fn clipped(items: impl IntoIterator<Item = T>) -> Self {
        Self(items.into_iter().take(MAX).collect())
    }

    /// The first `MAX` of the values in a list: less code than [`clipped`](Self::clipped).
    pub fn first(mut items: Vec<T>) -> Self {
        items.truncate(MAX);
        Self(items)
    }

    /// The values.
    pub fn into_vec(self) -> Vec<T> {
        self.0
    }
}

impl<T, const MAX: usize> core::ops::Deref for List<T, MAX> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<T: Wire, const MAX: usize> Wire for List<T, MAX> {
    fn encode(&self, w: &mut Writer) {
        w.list(&self.0);
    }
    fn decode(r: &mut Reader<'_>) -> Self {
        Self(r.list(MAX))
    }
}

/// Opaque bytes of at most `MAX`.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Blob<const MAX: usize>(Vec<u8>);

impl<const MAX: usize> Blob<MAX> {
    /// `None` if there are more than `MAX` bytes.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Option<Self> {
        let bytes = bytes.into();
        (bytes.len() <= MAX).then_some(Self(bytes))
    }

    /// The bytes.
    pub fn as_slice(&self) -> &[u8] {
        &self.0
    }
}

impl<const MAX: usize> core::fmt::Debug for Blob<MAX> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Blob({} bytes)", self.0.len())
    }
}

impl<const MAX: usize> Wire for Blob<MAX> {
    fn encode(&self, w: &mut Writer) {
        w.bytes(&self.0);
    }
    fn decode(r: &mut Reader<'_>) -> Self {
        Self(r.bytes(MAX).to_vec())
    }
}

/// Declares a struct whose wire form is its fields in order.
#[macro_export]
macro_rules! wire_struct {
    ($(#[$meta:meta])* pub struct $name:ident { $($(#[$fmeta:meta])* pub $field:ident : $ty:ty),* $(,)? }) => {
        $(#[$meta])*
        pub struct $name { $($(#[$fmeta])* pub $field: $ty),* }
        impl $crate::coding::Wire for $name {
            fn encode(&self, w: &mut $crate::coding::Writer) {
                $($crate::coding::Wire::encode(&self.$field, w);)*
            }
            fn decode(r: &mut $crate::coding::Reader<'_>) -> Self {
                Self { $($field: $crate::coding::Wire::decode(r)),* }
            }
        }
    };
}

/// Declares an enum of structs whose wire form is a tag byte and the fields in order.
#[macro_export]
macro_rules! wire_enum {
    ($(#[$meta:meta])* pub enum $name:ident {
        $($(#[$vmeta:meta])* $tag:literal => $variant:ident { $($(#[$fmeta:meta])* $field:ident : $ty:ty),* $(,)? }),* $(,)?
    }) => {
        $(#[$meta])*
        pub enum $name { $($(#[$vmeta])* $variant { $($(#[$fmeta])* $field: $ty),* }),* }
        impl $crate::coding::Wire for $name {
            fn encode(&self, w: &mut $crate::coding::Writer) {
                match self {
                    $(Self::$variant { $($field),* } => {
                        w.byte($tag);
                        $($crate::coding::Wire::encode($field, w);)*
                    })*
                }
            }
            fn decode(r: &mut $crate::coding::Reader<'_>) -> Self {
                let mut tag = r.byte();
                loop {
                    match tag {
                        $($tag => return Self::$variant { $($field: $crate::coding::Wire::decode(r)),* },)*
                        _ => {
                            r.fail($crate::coding::DecodeError::Tag(tag));
                            tag = [$($tag),*][0];
                        }
                    }
                }
            }
        }
    };
}

/// Declares an enum without fields whose wire form is a tag byte.
#[macro_export]
macro_rules! wire_tags {
    ($(#[$meta:meta])* pub enum $name:ident {
        $($(#[$vmeta:meta])* $tag:literal => $variant:ident),* $(,)?
    }) => {
        $(#[$meta])*
        pub enum $name { $($(#[$vmeta])* $variant),* }
        impl $crate::coding::Wire for $name {
            fn encode(&self, w: &mut $crate::coding::Writer) {
                w.byte(match self { $(Self::$variant => $tag),* });
            }
            fn decode(r: &mut $crate::coding::Reader<'_>) -> Self {
                let tag = r.byte();
                match tag {
                    $($tag => Self::$variant,)*
                    _ => {
                        r.fail($crate::coding::DecodeError::Tag(tag));
                        [$(Self::$variant),*][0]
                    }
                }
            }
        }
    };
}
