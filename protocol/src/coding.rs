//! A small binary codec: LEB128 integers, length-prefixed bytes, no self-description.
//!
//! Foreign bytes pass through [`Reader`], which never allocates more than the bytes at hand allow and fails
//! on the first thing out of bounds. A message must use up its bytes: trailing ones are an error, so that there
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
#[derive(Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Reads from the start of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Bytes not yet taken.
    pub fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// The next `n` bytes.
    pub fn take(&mut self, n: usize) -> Result<&'a [u8], DecodeError> {
        let (head, rest) = self.rest.split_at_checked(n).ok_or(DecodeError::Short)?;
        self.rest = rest;
        Ok(head)
    }

    /// One byte.
    pub fn byte(&mut self) -> Result<u8, DecodeError> {
        Ok(self.take(1)?[0])
    }

    /// An unsigned LEB128 integer in its shortest form, at most 10 bytes.
    pub fn varint(&mut self) -> Result<u64, DecodeError> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                return Err(DecodeError::TooLarge);
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return if byte == 0 && shift > 0 { Err(DecodeError::NotCanonical) } else { Ok(value) };
            }
        }
        Err(DecodeError::TooLarge)
    }

    /// A length or count of at most `limit`.
    pub fn length(&mut self, limit: usize) -> Result<usize, DecodeError> {
        let n = self.varint()?;
        if n > limit as u64 { Err(DecodeError::TooLarge) } else { Ok(n as usize) }
    }

    /// Length-prefixed bytes, at most `limit` of them.
    pub fn bytes(&mut self, limit: usize) -> Result<&'a [u8], DecodeError> {
        let n = self.length(limit)?;
        self.take(n)
    }

    /// Length-prefixed UTF-8 of at most `limit` bytes.
    pub fn text(&mut self, limit: usize) -> Result<String, DecodeError> {
        let bytes = self.bytes(limit)?;
        core::str::from_utf8(bytes).map(str::to_owned).map_err(|_| DecodeError::NotCanonical)
    }

    /// A list of at most `limit` values. Capacity never exceeds the bytes at hand.
    pub fn list<T: Wire>(&mut self, limit: usize) -> Result<Vec<T>, DecodeError> {
        let n = self.length(limit)?;
        let mut list = Vec::with_capacity(n.min(self.remaining()));
        for _ in 0..n {
            list.push(T::decode(self)?);
        }
        Ok(list)
    }

    /// Everything that is left.
    pub fn rest(&mut self) -> &'a [u8] {
        core::mem::take(&mut self.rest)
    }

    /// Fails if bytes are left.
    pub fn end(&self) -> Result<(), DecodeError> {
        if self.rest.is_empty() { Ok(()) } else { Err(DecodeError::Trailing) }
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
    /// Takes the value, checking every bound.
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError>;

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
        let value = Self::decode(&mut r)?;
        r.end()?;
        Ok(value)
    }
}

macro_rules! wire_integer {
    ($($t:ty),*) => {$(
        impl Wire for $t {
            fn encode(&self, w: &mut Writer) {
                w.varint(u64::from(*self));
            }
            fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
                <$t>::try_from(r.varint()?).map_err(|_| DecodeError::TooLarge)
            }
        }
    )*};
}
wire_integer!(u8, u16, u32, u64);

impl Wire for bool {
    fn encode(&self, w: &mut Writer) {
        w.byte(u8::from(*self));
    }
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match r.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(DecodeError::NotCanonical),
        }
    }
}

impl<const N: usize> Wire for [u8; N] {
    fn encode(&self, w: &mut Writer) {
        w.raw(self);
    }
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut out = [0; N];
        out.copy_from_slice(r.take(N)?);
        Ok(out)
    }
}

impl<T: Wire> Wire for Option<T> {
    fn encode(&self, w: &mut Writer) {
        w.byte(u8::from(self.is_some()));
        if let Some(v) = self {
            v.encode(w);
        }
    }
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(if bool::decode(r)? { Some(T::decode(r)?) } else { None })
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
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        r.text(MAX).map(Self)
    }
}

/// At most `MAX` values; the bound is part of the type.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct List<T, const MAX: usize>(Vec<T>);

impl<T, const MAX: usize> List<T, MAX> {
    /// The first `MAX` of the values.
    pub fn clipped(items: impl IntoIterator<Item = T>) -> Self {
        Self(items.into_iter().take(MAX).collect())
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
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        r.list(MAX).map(Self)
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
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        r.bytes(MAX).map(|b| Self(b.to_vec()))
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
            fn decode(r: &mut $crate::coding::Reader<'_>) -> Result<Self, $crate::coding::DecodeError> {
                Ok(Self { $($field: $crate::coding::Wire::decode(r)?),* })
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
            fn decode(r: &mut $crate::coding::Reader<'_>) -> Result<Self, $crate::coding::DecodeError> {
                match r.byte()? {
                    $($tag => Ok(Self::$variant { $($field: $crate::coding::Wire::decode(r)?),* }),)*
                    tag => Err($crate::coding::DecodeError::Tag(tag)),
                }
            }
        }
    };
}
