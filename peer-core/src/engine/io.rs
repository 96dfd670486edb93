//! The engine's whole surface: what a shell tells it and what it asks of the shell.
//!
//! One law: after every input, drain [`poll_output`](super::Engine::poll_output) to `None`, then arm one timer for
//! [`poll_timeout`](super::Engine::poll_timeout).

use rillcast_protocol::digest::{BlockHash, SegmentDigest};
use rillcast_protocol::id::{Fingerprint, PeerId, PublisherKey, SealingKey, SegmentKey, TrackId};
use rillcast_protocol::nat::NatClass;
use rillcast_protocol::receipt::Voucher;
use rillcast_protocol::settings::Settings;
use rillcast_protocol::signal::{PeerDescriptor, Welcome};
use rillcast_protocol::ticket::{SignedRevocations, SignedTicket};

pub use super::event::Event;
pub use crate::media::timeline::MediaKind;
use crate::time::{Duration, Instant, Rate};

/// A link's number, chosen by the shell and never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LinkId(pub u32);

/// A source fetch's number, chosen by the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FetchId(pub u32);

/// A verification's or signature's number, chosen by the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CheckId(pub u32);

/// Bytes of the header that opens every message of the bulk channel; the payload follows it directly.
pub const BULK_HEADER: usize = 8;
/// Most payload bytes in one bulk message: half a block.
pub const BULK_PAYLOAD: usize = 16 * 1024;
/// Longest control message.
pub const MAX_CONTROL: usize = 16 * 1024;

/// One segment of a playlist, on the player's timeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentEntry {
    /// Which.
    pub key: SegmentKey,
    /// Where it starts on the media element's timeline, in milliseconds.
    pub start_ms: i64,
    /// How long it plays, in milliseconds.
    pub duration_ms: u32,
}

/// Where the player is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Playhead {
    /// `currentTime`, in milliseconds.
    pub position_ms: i64,
    /// Hundredths of normal speed; 0 before playback has begun and while paused.
    pub rate_percent: u16,
    /// End of the buffered range that holds the position, in milliseconds; the position itself if nothing is buffered.
    pub buffered_ms: i64,
    /// The player wants to play but has nothing to: every demand is late.
    pub starving: bool,
}

/// What the device and its owner allow now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conditions {
    /// May give bytes to others: consent, no off switch, not on cellular or `saveData`.
    pub may_upload: bool,
    /// May take bytes from others: consent, no off switch.
    pub may_download: bool,
    /// The page is hidden or about to be frozen: no promises, no elections.
    pub hidden: bool,
    /// The viewer's own cap in bytes/s, below the site's; 0 is none.
    pub upload_cap: u32,
}

/// How the engine learnt what the source can do with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceHead {
    /// 206: the bytes asked for follow; the resource has `total` bytes if the answer said so.
    Partial {
        /// From Content-Range, where it may be read.
        total: Option<u32>,
    },
    /// 200: the whole resource follows, whatever was asked.
    Whole {
        /// From Content-Length, where it may be read.
        total: Option<u32>,
    },
}

/// Why a source fetch failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceError {
    /// The answer's HTTP status.
    Status(u16),
    /// No answer: network, DNS, CORS.
    Network,
    /// The shell doesn't know the segment's URL (its playlist hasn't been seen yet).
    Unknown,
}

/// Where a fetch goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Via {
    /// The site's origin or CDN, by the segment's own URL.
    Origin,
    /// The publisher built into signaling, which hands its copy on once.
    Publisher,
}

/// When a player gives up what it asked for, counted from then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// If nothing of it has come.
    pub first_byte: Duration,
    /// If not all of it has come.
    pub whole: Duration,
}

/// What a shell tells the engine.
#[derive(Clone, Debug)]
pub enum Input<P> {
    /// The server let us in, or in again.
    Welcome(Box<Welcome>),
    /// The server can't be reached; it will be tried again.
    ServerLost,
    /// The server has said what time it is: milliseconds since 1970.
    ServerTime(u64),
    /// The server has renewed our ticket, or given us the one that we have.
    Ticket(Box<SignedTicket>),
    /// The server tells whose tickets count no more.
    Revoked(Box<SignedRevocations>),
    /// The operator changed something.
    Settings(Settings),
    /// Publishers have come or gone.
    Publishers(Vec<PublisherKey>),
    /// Peers we may link with.
    Introduced(Vec<PeerDescriptor>),
    /// An introduced peer has left.
    Gone(PeerId),
    /// To be brought to a peer that we are connecting with: by the server, or by a common neighbour.
    Signal {
        /// To whom.
        to: PeerId,
        /// Opaque; at most [`MAX_RELAY`](rillcast_protocol::signal::MAX_RELAY) bytes.
        payload: Vec<u8>,
    },
    /// A publisher's news by way of signaling.
    Digest(SegmentDigest),
    /// Both channels of a link are open.
    LinkOpen {
        /// Its number.
        link: LinkId,
        /// Who is to be at the other end.
        peer: PeerId,
        /// Of the certificate that the DTLS stack has found there: the one of the description that it was given.
        fingerprint: Fingerprint,
    },
    /// A link is gone, or an attempt at one failed.
    LinkClosed {
        /// Who was, or would have been, at the other end.
        peer: PeerId,
        /// Its number, if it had been open.
        link: Option<LinkId>,
    },
    /// An attempt at a link has failed for lack of a way: both ends had told each other where they are, and nothing was answered. Instead of
    /// [`LinkClosed`](Self::LinkClosed).
    NoWay {
        /// Who would have been at the other end.
        peer: PeerId,
    },
    /// How our network maps addresses has been found out, or has changed; again after each [`Welcome`](Self::Welcome).
    Nat(NatClass),
    /// A message on the control channel.
    Control {
        /// The link.
        link: LinkId,
        /// The message.
        bytes: Vec<u8>,
    },
    /// A message on the bulk channel.
    Bulk {
        /// The link.
        link: LinkId,
        /// Its first bytes.
        header: [u8; BULK_HEADER],
        /// The rest.
        payload: P,
    },
    /// The link's bulk buffer (`bufferedAmount`) has changed.
    Drained {
        /// The link.
        link: LinkId,
        /// Bytes that wait in it.
        buffered: u32,
    },
    /// A playlist as the player sees it now; replaces what was known of the track.
    Timeline {
        /// The rendition.
        track: TrackId,
        /// What it is for: an ABR switch replaces the track of the same kind.
        kind: MediaKind,
        /// Its segments, oldest first.
        segments: Vec<SegmentEntry>,
        /// More will come.
        live: bool,
    },
    /// Where the player is.
    Playhead(Playhead),
    /// The player asks for a segment.
    Demand {
        /// Which.
        key: SegmentKey,
        /// How long it waits.
        patience: Patience,
    },
    /// The player got a segment without us.
    Handed {
        /// Which.
        key: SegmentKey,
        /// Its length.
        bytes: u32,
        /// From asking to the first byte.
        first_byte: Duration,
        /// From the first byte to the last.
        transfer: Duration,
    },
    /// The player no longer wants it.
    Cancel {
        /// Which.
        key: SegmentKey,
    },
    /// A fetch got its answer's head.
    SourceHead {
        /// The fetch.
        fetch: FetchId,
        /// What it says.
        head: SourceHead,
    },
    /// Bytes of a fetch, in order.
    SourceData {
        /// The fetch.
        fetch: FetchId,
        /// The next bytes.
        data: P,
    },
    /// A fetch is complete.
    SourceEnd {
        /// The fetch.
        fetch: FetchId,
    },
    /// A fetch failed.
    SourceFailed {
        /// The fetch.
        fetch: FetchId,
        /// Why.
        error: SourceError,
    },
    /// The outcome of a verification.
    Verdict {
        /// The verification.
        check: CheckId,
        /// Whether it holds.
        ok: bool,
    },
    /// What was to be signed is.
    Signed {
        /// Of [`Output::Sign`].
        check: CheckId,
        /// Ed25519 by this visit's session key.
        signature: [u8; 64],
    },
    /// A whole segment that this node itself fetched and signed for.
    Published {
        /// Its digest.
        digest: SegmentDigest,
        /// Its bytes.
        body: P,
    },
    /// A whole segment that this node signed, and has read from its disk or put together from parts: nothing was fetched for it.
    Recalled {
        /// Its digest.
        digest: SegmentDigest,
        /// Its bytes, which match it.
        body: P,
    },
    /// Of a seed among several: what it is to hold. In whole: replaces what was said before.
    #[cfg(not(target_arch = "wasm32"))]
    Replicas {
        /// To be taken of other seeds, in this order; the first [`MAX_COPIES`](super::MAX_COPIES) count.
        take: Vec<SegmentKey>,
        /// Held, and to make room for other segments before those that aren't named; at most as many as a store remembers.
        spare: Vec<SegmentKey>,
    },
    /// This node is about to end: it finishes what it has promised, and neither promises anything more nor takes new neighbours. For good.
    Leaving,
    /// What is allowed now.
    Conditions(Conditions),
    /// Nothing but time has passed.
    Timeout,
}

/// A message for the bulk channel: the header, then the payload, in one message.
#[derive(Clone, Debug)]
pub struct BulkFrame<P> {
    /// Goes first.
    pub header: [u8; BULK_HEADER],
    /// Goes behind it.
    pub payload: P,
}

/// What to verify.
#[derive(Clone, Debug)]
pub enum Check<P> {
    /// BLAKE3 of the payload equals the hash.
    Block {
        /// The bytes.
        payload: P,
        /// What they must hash to.
        hash: BlockHash,
    },
    /// Ed25519.
    Signature {
        /// Signer's public key.
        key: [u8; 32],
        /// What is signed.
        message: Vec<u8>,
        /// The signature.
        signature: [u8; 64],
    },
}

/// A segment for the player.
#[derive(Clone, Debug)]
pub struct Delivery<P> {
    /// Which.
    pub key: SegmentKey,
    /// Its bytes in order.
    pub parts: Vec<P>,
    /// When its first byte was here.
    pub first_byte: Instant,
    /// The throughput that the player's ABR may believe in: what the source gives us, or less where peers and
    /// source together were slower than the play-out needs. `None` until something was measured.
    pub throughput: Option<Rate>,
    /// Who brought it.
    pub share: Share,
}

/// Bytes of one segment by who brought them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Share {
    /// Origin or CDN.
    pub source: u32,
    /// The publisher built into signaling.
    pub publisher: u32,
    /// Viewers.
    pub peers: u32,
    /// Seed nodes.
    pub seeds: u32,
}

/// What the engine asks of its shell.
#[derive(Clone, Debug)]
pub enum Output<P> {
    /// Open a link: make the offer if `initiate`, else wait for one.
    Connect {
        /// With whom.
        peer: PeerId,
        /// We make the offer.
        initiate: bool,
        /// What signals to it are sealed with, and those that it sends: see [`sealing`](rillcast_protocol::sealing). Until the attempt
        /// is over, whatever can't be opened with it isn't from that peer.
        sealing: Option<SealingKey>,
    },
    /// Close the link or the attempt at one.
    Close {
        /// With whom.
        peer: PeerId,
    },
    /// Send on the control channel.
    Control {
        /// The link.
        link: LinkId,
        /// The message.
        bytes: Vec<u8>,
    },
    /// Send on the bulk channel; then report [`Input::Drained`] as the buffer empties.
    Bulk {
        /// The link.
        link: LinkId,
        /// The message.
        frame: BulkFrame<P>,
    },
    /// Have the server relay a signal.
    Signal {
        /// To whom.
        to: PeerId,
        /// Opaque.
        payload: Vec<u8>,
    },
    /// A common neighbour has brought a signal: as if the server had relayed it.
    Signaled {
        /// From whom.
        from: PeerId,
        /// Opaque.
        payload: Vec<u8>,
    },
    /// Ask the server for a new ticket; answered by [`Input::Ticket`].
    Renew,
    /// Tell the server how our network maps addresses.
    Nat {
        /// As far as it is known.
        class: NatClass,
    },
    /// Ask the server for introductions.
    WantPeers {
        /// At most so many.
        count: u8,
    },
    /// Fetch from the source.
    Fetch {
        /// Its number.
        fetch: FetchId,
        /// The segment.
        key: SegmentKey,
        /// Bytes of the segment; `None` is all of it, without a Range header.
        range: Option<core::ops::Range<u32>>,
        /// Where.
        via: Via,
        /// The player waits for it now.
        urgent: bool,
    },
    /// Stop a fetch. Nothing more of it may come in.
    CancelFetch {
        /// The fetch.
        fetch: FetchId,
    },
    /// Verify, then answer with [`Input::Verdict`].
    Verify {
        /// Its number.
        check: CheckId,
        /// What.
        what: Check<P>,
    },
    /// Sign with this visit's session key, the one of our ticket, then answer with [`Input::Signed`]. Only asked where the ticket has one.
    Sign {
        /// Its number.
        check: CheckId,
        /// What.
        message: Vec<u8>,
    },
    /// Show the server what others have had from us.
    Vouchers {
        /// At most [`MAX_VOUCHERS`](rillcast_protocol::receipt::MAX_VOUCHERS).
        vouchers: Vec<Voucher>,
    },
    /// Tell the server who has sent a false block.
    Accuse {
        /// Who, by the name of its ticket.
        peer: PeerId,
        /// A block of this segment.
        key: SegmentKey,
    },
    /// Hand a segment to the player.
    Deliver(Delivery<P>),
    /// More of a demanded segment is here.
    Progress {
        /// Which.
        key: SegmentKey,
        /// Bytes here, if the rest is coming from the source; 0 while peers are bringing it in their own time.
        loaded: u32,
        /// Bytes in all, once known.
        total: Option<u32>,
    },
    /// A demanded segment can't be had.
    Failed {
        /// Which.
        key: SegmentKey,
        /// The source's last word.
        error: SourceError,
    },
    /// The renditions now played have changed; tell signaling so that a publisher follows them.
    Playing {
        /// All of them.
        tracks: Vec<TrackId>,
    },
    /// Ask signaling for digests that the player will need.
    WantDigests {
        /// Of these segments, soonest needed first.
        keys: Vec<SegmentKey>,
    },
    /// For statistics and pages; carries no duty.
    Event(Event),
}
