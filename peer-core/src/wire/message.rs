//! The control channel: every message in one enum, at most 16 KiB each.
//!
//! A transfer is one block from one peer to another. It begins with an [`Offer`](Message::Offer) by the sender or a
//! [`Request`](Message::Request) by the receiver, whose number it carries; [`TransferId`] tells whose numbers they are.

use rillcast_protocol::coding::{Blob, DecodeError, List, Reader, Wire, Writer};
use rillcast_protocol::digest::SegmentDigest;
use rillcast_protocol::id::{BlockIndex, PeerId, SegmentKey, TrackId};
use rillcast_protocol::nat::NatClass;
use rillcast_protocol::receipt::Receipt;
use rillcast_protocol::signal::MAX_RELAY;
use rillcast_protocol::ticket::{SignedRevocations, SignedTicket};
use rillcast_protocol::{OLDEST_VERSION, wire_enum, wire_struct, wire_tags};

use crate::engine::io::MAX_CONTROL;
use crate::media::Bits;
use crate::overlay::census::Slots;
use crate::transfer::Priority;

/// Have-maps in one message.
pub const MAX_MAPS: usize = 64;
/// Neighbours described in one `Shuffle`.
pub const MAX_ACQUAINTANCES: usize = 8;
/// Keys in one `WantDigest`.
pub const MAX_KEYS: usize = 16;

/// One transfer on one link. The highest bit is set in numbers that the receiver of the block chose (requests) and clear
/// in those of its sender (offers), so that both may count for themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TransferId(pub u32);

impl TransferId {
    const REQUESTED: u32 = 1 << 31;

    /// The `n`th offer.
    pub fn offer(n: u32) -> Self {
        Self(n & !Self::REQUESTED)
    }

    /// The `n`th request.
    pub fn request(n: u32) -> Self {
        Self(n | Self::REQUESTED)
    }

    /// Whether the block's receiver chose it.
    pub fn is_requested(self) -> bool {
        self.0 & Self::REQUESTED != 0
    }
}

impl Wire for TransferId {
    fn encode(&self, w: &mut Writer) {
        self.0.encode(w);
    }
    fn decode(r: &mut Reader<'_>) -> Self {
        Self(Wire::decode(r))
    }
}

wire_struct! {
    /// A track that a peer plays and the first segment of it that the peer's player hasn't got.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Playing {
        /// The track.
        pub track: TrackId,
        /// The number.
        pub next: u64,
    }
}

/// A peer as one of its neighbours describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acquaintance {
    /// The peer's: nobody can be told of who wasn't let in.
    pub ticket: SignedTicket,
    /// What it plays, and where it is in it.
    pub playing: Option<Playing>,
    /// How its network maps addresses. On the wire in one byte with whether it plays.
    pub nat: NatClass,
}

impl Wire for Acquaintance {
    fn encode(&self, w: &mut Writer) {
        self.ticket.encode(w);
        self.nat.beside(self.playing.is_some(), w);
        if let Some(playing) = &self.playing {
            playing.encode(w);
        }
    }
    fn decode(r: &mut Reader<'_>) -> Self {
        let ticket = Wire::decode(r);
        let (plays, nat) = NatClass::and_flag(r);
        Self { ticket, playing: plays.then(|| Wire::decode(r)), nat }
    }
}

wire_struct! {
    /// What a peer holds of one segment. An empty map says: I have its digest.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct HaveMap {
        /// The segment.
        pub key: SegmentKey,
        /// Verified blocks.
        pub blocks: Bits,
    }
}

wire_struct! {
    /// One block by name.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct BlockName {
        /// The segment.
        pub key: SegmentKey,
        /// The block.
        pub block: BlockIndex,
    }
}

wire_tags! {
    /// Why a transfer isn't to be.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum No {
        /// Have it.
        0 => Held,
        /// It is on its way from somebody else.
        1 => InFlight,
        /// Not playing that.
        2 => Unwanted,
        /// Don't know its digest yet; ask again.
        3 => NoDigest,
        /// Don't hold it (any more).
        4 => NotHeld,
        /// Too much to do.
        5 => Busy,
    }
}

wire_enum! {
    /// A control message.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub enum Message {
        /// First on every link, and again when the sender's ticket has been renewed.
        0 => Hello { /// The sender's version.
                     version: u8, /// Who it is.
                     ticket: SignedTicket, /// The number of the newest list of revocations that it knows.
                     revocations: u64 },
        /// What the sender plays; replaces what it said before.
        1 => Profile { /// One per kind of media.
                       playing: List<Playing, 4>, /// It leaves elections and gives nothing (hidden tab, sharing off).
                       passive: bool, /// What its uplink carries in bytes/s, roughly; 0 while it doesn't know.
                       upload: u32, /// So many hundredths of what it played of late the source had to bring in the end.
                       short: u8, /// It spreads this track, though it doesn't play it.
                       helps: Option<TrackId> },
        /// What the sender holds of some segments; replaces what it said of them before.
        2 => Have { /// The maps.
                    maps: List<HaveMap, MAX_MAPS> },
        /// Blocks that the sender holds from now on, besides those that it has told of.
        3 => Got { /// Maps of them alone.
                   maps: List<HaveMap, MAX_MAPS> },
        /// Asks for digests.
        4 => WantDigest { /// Of these segments.
                          keys: List<SegmentKey, MAX_KEYS> },
        /// A digest; the publisher's signature speaks for it.
        5 => Digest { /// The digest.
                      digest: SegmentDigest },
        /// The sender could send a block now.
        6 => Offer { /// Its number, an offer's.
                     transfer: TransferId, /// The block.
                     name: BlockName, /// What the sender holds of the segment.
                     blocks: Bits },
        /// Yes to an offer: of the block offered or, where that is coming already, of another that the receiver lacks and the sender holds.
        7 => Grant { /// The offer's number.
                     transfer: TransferId, /// The block to send.
                     name: BlockName, /// What the receiver of the block holds of its segment, or has coming.
                     blocks: Bits },
        /// No to an offer.
        8 => Decline { /// The offer's number.
                       transfer: TransferId, /// Why.
                       why: No, /// What its sender holds of the segment, or has coming.
                       blocks: Bits },
        /// Asks for a block.
        9 => Request { /// Its number, a request's.
                       transfer: TransferId, /// The block.
                       name: BlockName, /// Milliseconds until its player needs it.
                       need_ms: u32, /// Its share of the sender's uplink.
                       priority: Priority },
        /// No to a request, or to a grant that can't be kept.
        10 => Refuse { /// The number.
                       transfer: TransferId, /// Why.
                       why: No },
        /// The receiver wants no more of a transfer.
        11 => Cancel { /// The number.
                       transfer: TransferId },
        /// The block has arrived in whole. Paces the sender; says nothing of truth.
        12 => Arrived { /// The number.
                        transfer: TransferId },
        /// The sender is fetching these blocks from the source: a promise for a short while.
        13 => Claim { /// The segment.
                      key: SegmentKey, /// First block.
                      first: u16, /// So many.
                      count: u16 },
        /// Keeps the link alive and measures it.
        14 => Ping { /// Comes back.
                     stamp: u64 },
        /// Answer to a ping.
        15 => Pong { /// From the ping.
                     stamp: u64 },
        /// How many there are, as far as the sender has heard.
        16 => Census { /// Of this population.
                       of: u64, /// The smallest numbers heard of.
                       slots: Slots },
        /// Some of the sender's other neighbours: it can carry signals to them.
        17 => Shuffle { /// Never all of them.
                        peers: List<Acquaintance, MAX_ACQUAINTANCES> },
        /// Asks a common neighbour to pass a signal on.
        18 => Relay { /// To this neighbour of the receiver.
                      to: PeerId, /// Opaque.
                      payload: Blob<MAX_RELAY> },
        /// A signal passed on.
        19 => Relayed { /// The sender's neighbour that it is from.
                        from: Acquaintance, /// Opaque.
                        payload: Blob<MAX_RELAY> },
        /// A block that was asked for has become more or less urgent.
        20 => Priority { /// The request's number.
                         transfer: TransferId, /// Its share from now on.
                         priority: Priority },
        /// A list of revocations that is newer than the receiver's.
        21 => Revoked { /// The authority's signature speaks for it.
                        revocations: SignedRevocations },
        /// What the sender has had from the receiver.
        22 => Receipt { /// A total.
                        receipt: Receipt, /// By the sender's session key.
                        signature: [u8; 64] },
        /// How the sender's network maps its addresses. To neighbours of version [`TOLD_SINCE`](rillcast_protocol::nat::TOLD_SINCE) on.
        23 => Nat { /// Replaces what it said before.
                    class: NatClass },
    }
}

impl Message {
    /// Reads a control message off the wire.
    pub fn parse(bytes: &[u8]) -> Result<Self, DecodeError> {
        if bytes.len() > MAX_CONTROL {
            return Err(DecodeError::TooLarge);
        }
        match Self::from_bytes(bytes)? {
            Self::Hello { version, .. } if version < OLDEST_VERSION => Err(DecodeError::Version(version)),
            message => Ok(message),
        }
    }
}
