//! Who and what is spoken of: peers, swarms, tracks, segments, blocks.

use core::fmt;

use crate::coding::{Reader, Wire, Writer};
use crate::{wire_struct, wire_tags};

macro_rules! byte_id {
    ($(#[$meta:meta])* $name:ident, $n:literal) => {
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub [u8; $n]);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|b| write!(f, "{b:02x}"))
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().take(4).try_for_each(|b| write!(f, "{b:02x}"))
            }
        }
        impl Wire for $name {
            fn encode(&self, w: &mut Writer) {
                w.raw(&self.0);
            }
            fn decode(r: &mut Reader<'_>) -> Self {
                Self(Wire::decode(r))
            }
        }
    };
}

byte_id!(
    /// One visit of one viewer, or one run of a seed. Chosen by the server on joining, so that it can't be ground.
    PeerId, 16
);
byte_id!(
    /// One presentation: all renditions, audio and subtitles of one manifest under one protocol.
    SwarmId, 16
);
byte_id!(
    /// A publisher's Ed25519 public key.
    PublisherKey, 32
);
byte_id!(
    /// An Ed25519 public key of the authority that gives tickets: signaling.
    AuthorityKey, 32
);
byte_id!(
    /// A peer's own Ed25519 public key, new at each visit.
    SessionKey, 32
);
byte_id!(
    /// A peer's own X25519 public key, new at each visit: what peers tell each other to connect is sealed with it
    /// ([`sealing`](crate::sealing)).
    SealingKey, 32
);
byte_id!(
    /// SHA-256 of a DTLS certificate. One certificate stands for one visit.
    Fingerprint, 32
);

wire_struct! {
    /// Where a peer is, as the server sees it. 0 is unknown.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct Network {
        /// The autonomous system, which is its internet provider.
        pub asn: u32,
        /// ISO 3166 letters as two bytes.
        pub country: u16,
        /// One home's or office's network: a keyed hash of its address prefix, so that it names nobody.
        pub site: u32,
    }
}

/// One rendition's media: the first 8 bytes (big-endian) of the BLAKE3 hash of its canonical playlist path
/// (see [`canonical_path`]) or of the site's own name for it. In DASH the canonical path of the MPD, `#` and what names the Representation
/// ([`dash`](crate::dash)).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TrackId(pub u64);

impl Wire for TrackId {
    fn encode(&self, w: &mut Writer) {
        w.raw(&self.0.to_be_bytes());
    }
    fn decode(r: &mut Reader<'_>) -> Self {
        Self(u64::from_be_bytes(Wire::decode(r)))
    }
}

/// What of a URL makes its identity: the path alone. Scheme, host (multi-CDN), query and fragment (tokens) don't count.
pub fn canonical_path(url: &str) -> &str {
    // By bytes: searching for a text brings two kilobytes of algorithm along for every viewer.
    let bytes = url.as_bytes();
    let scheme = (0..bytes.len()).find(|at| bytes[*at..].starts_with(b"://"));
    let path = match scheme {
        None => 0,
        Some(at) => match bytes[at + 3..].iter().position(|b| *b == b'/') {
            Some(slash) => at + 3 + slash,
            None => return "/",
        },
    };
    let end = bytes[path..].iter().position(|b| matches!(b, b'?' | b'#')).map_or(bytes.len(), |n| path + n);
    // The ends lie at ASCII characters, so at character boundaries.
    url.get(path..end).unwrap_or(url)
}

wire_struct! {
    /// One segment of one track, as the manifest names it.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub struct SegmentKey {
        /// The rendition.
        pub track: TrackId,
        /// HLS media sequence number; for DASH see [`dash::segment_key`](crate::dash::segment_key).
        pub number: u64,
        /// HLS discontinuity sequence; for DASH what else tells when a segment begins.
        pub discontinuity: u32,
        /// 0 for a whole segment; 1, 2, ... for the LL-HLS parts of it.
        pub part: u16,
    }
}

impl SegmentKey {
    /// Its place in the presentation, whatever the track: numbers and parts in order.
    pub fn place(&self) -> (u64, u16) {
        (self.number, self.part)
    }

    /// The fields in their order, as numbers: compared without a branch for each of them. Engines search by key all the time.
    #[inline]
    fn order(&self) -> (u128, u64) {
        let name = u128::from(self.track.0) << 64 | u128::from(self.number);
        (name, u64::from(self.discontinuity) << 16 | u64::from(self.part))
    }
}

impl Ord for SegmentKey {
    // In a page's download it is worth its bytes once.
    #[cfg_attr(target_arch = "wasm32", inline(never))]
    #[cfg_attr(not(target_arch = "wasm32"), inline)]
    fn cmp(&self, other: &Self) -> core::cmp::Ordering {
        self.order().cmp(&other.order())
    }
}

impl PartialOrd for SegmentKey {
    #[inline]
    fn partial_cmp(&self, other: &Self) -> Option<core::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

/// A block's place in its segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BlockIndex(pub u16);

impl Wire for BlockIndex {
    fn encode(&self, w: &mut Writer) {
        self.0.encode(w);
    }
    fn decode(r: &mut Reader<'_>) -> Self {
        Self(Wire::decode(r))
    }
}

wire_tags! {
    /// What a peer is in its swarm.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub enum Role {
        /// Plays the stream.
        0 => Viewer,
        /// A native node that serves and may publish digests.
        1 => Seed,
    }
}

wire_tags! {
    /// The delivery protocol. HLS and DASH of one video are different bytes, so they never share a swarm (H10).
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub enum Delivery {
        /// HTTP Live Streaming, RFC 8216.
        0 => Hls,
        /// ISO/IEC 23009-1.
        1 => Dash,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_tokens_do_not_change_identity() {
        for url in ["https://a.example/v/1.m3u8", "http://b.example:81/v/1.m3u8?token=x#t", "/v/1.m3u8"] {
            assert_eq!(canonical_path(url), "/v/1.m3u8");
        }
        assert_eq!(canonical_path("https://a.example"), "/");
    }

    #[test]
    fn segments_are_in_the_order_of_their_fields() {
        let most = (u64::MAX, u32::MAX, u16::MAX);
        let key = |track, (number, discontinuity, part)| SegmentKey {
            track: TrackId(track),
            number,
            discontinuity,
            part,
        };
        let order = [
            key(0, (0, 0, 0)),
            key(0, (0, 0, u16::MAX)),
            key(0, (0, 1, 0)),
            key(0, (0, u32::MAX, u16::MAX)),
            key(0, (1, 0, 0)),
            key(0, most),
            key(1, (0, 0, 0)),
            key(u64::MAX, most),
        ];
        assert!(order.is_sorted_by(|a, b| a < b), "{order:?}");
    }
}
