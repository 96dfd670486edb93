//! One link: a WebRTC connection with its two channels, run by a task of its own.
//!
//! The task is told what to do by [`Link`] and tells what happens by [`LinkEvent`]s. It decides nothing but when
//! bytes may leave (see [`super::pacer`]) and when a connection is beyond hope (`serving`).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use bytes::Bytes;
use rillcast_core::engine::{BULK_HEADER, BulkFrame};
use rillcast_protocol::coding::Text;
use rillcast_protocol::id::Fingerprint;
use rillcast_protocol::session::{Description, SessionSignal, Side};
use tokio::sync::mpsc;
use webrtc::peer_connection::{PeerConnection, RTCSessionDescription};

use super::connection::{self, Connection};
use super::endpoint::Endpoint;
use super::reader::Readers;
use super::serving::Serving;
use crate::payload::Media;

/// An attempt that hasn't opened both channels by then has failed.
pub const OPEN_WITHIN: Duration = Duration::from_secs(15);
/// Open, and nothing has come in for so long: the peer is gone. Either side's connectivity checks come every few
/// seconds, so this is two or three of them lost. (A closed Chromium tab says nothing when it goes.)
pub const SILENCE: Duration = Duration::from_secs(8);
/// Most commands that wait for a link's task.
const COMMANDS: usize = 1024;

/// How a link begins.
#[derive(Clone, Debug)]
pub enum Start {
    /// We make the offer.
    Offer,
    /// We answer a peer's.
    Answer(Description),
}

/// What happened on a link.
#[derive(Debug)]
pub struct LinkEvent {
    /// The number given to [`Link::start`].
    pub link: u32,
    /// What.
    pub what: Happening,
}

/// See [`LinkEvent`].
#[derive(Debug)]
pub enum Happening {
    /// To be passed on to the peer.
    Signal(SessionSignal),
    /// Both channels are open, to whoever has the certificate of the description that was applied: the stack has seen to that.
    Open(Fingerprint),
    /// A message on the control channel.
    Control(Vec<u8>),
    /// A message on the bulk channel.
    Bulk {
        /// Its first bytes.
        header: [u8; BULK_HEADER],
        /// The rest.
        payload: Media,
    },
    /// Something has left the queue; [`Link::queued`] knows how much is left.
    Drained,
    /// The last of a link's events.
    Closed(Why),
}

/// Why a link ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// We were told to.
    Told,
    /// The connection failed, or the peer closed it.
    Peer,
    /// It didn't open in time.
    NeverOpened,
    /// The same, and nothing that we sent was answered, though both ends had told each other where they are.
    NoWay,
    /// Nothing came in for [`SILENCE`].
    Silent,
    /// What we sent wasn't acknowledged for [`super::pacer::STALL`].
    Stalled,
    /// It doesn't take its control messages, or we were too slow to hand it ours.
    Overrun,
    /// The peer sent what no peer may send.
    Protocol(&'static str),
    /// This side could not set the connection up.
    Setup(String),
}

/// What a link is told to do.
pub(super) enum Command {
    Signal(SessionSignal),
    Control(Vec<u8>),
    Bulk(BulkFrame<Media>),
}

/// A link's reins. Dropping it closes the link.
#[derive(Debug)]
pub struct Link {
    commands: mpsc::Sender<Command>,
    shared: Arc<Shared>,
}

/// What a link and its task both see.
#[derive(Debug, Default)]
pub(super) struct Shared {
    pub(super) queued: AtomicUsize,
    pub(super) drained: AtomicBool,
    pub(super) overrun: AtomicBool,
}

impl Link {
    /// Starts the task of a link, or of an attempt at one.
    pub fn start(
        endpoint: &Arc<Endpoint>,
        link: u32,
        attempt: u32,
        start: Start,
        events: mpsc::Sender<LinkEvent>,
    ) -> Self {
        let (commands, inbox) = mpsc::channel(COMMANDS);
        let shared = Arc::new(Shared::default());
        let task =
            Task { endpoint: Arc::clone(endpoint), link, attempt, events, shared: Arc::clone(&shared) };
        tokio::spawn(task.run(start, inbox));
        Self { commands, shared }
    }

    /// A signal from the peer.
    pub fn signal(&self, signal: SessionSignal) {
        self.command(Command::Signal(signal));
    }

    /// Sends on the control channel.
    pub fn control(&self, bytes: Vec<u8>) {
        self.command(Command::Control(bytes));
    }

    /// Queues for the bulk channel.
    pub fn bulk(&self, frame: BulkFrame<Media>) {
        self.shared.queued.fetch_add(BULK_HEADER + frame.payload.0.len(), Relaxed);
        self.command(Command::Bulk(frame));
    }

    /// Bytes queued for the bulk channel that wait for the pacer. What is on its way isn't counted, as with a
    /// browser's `bufferedAmount`.
    pub fn queued(&self) -> u32 {
        self.shared.drained.store(false, Relaxed);
        u32::try_from(self.shared.queued.load(Relaxed)).unwrap_or(u32::MAX)
    }

    fn command(&self, command: Command) {
        // Full: the link's task can't keep up with the engine, which sends no faster than told by `Drained`. It is
        // given up rather than served with gaps.
        if let Err(mpsc::error::TrySendError::Full(_)) = self.commands.try_send(command) {
            self.shared.overrun.store(true, Relaxed);
        }
    }
}

/// A link's task.
pub(super) struct Task {
    pub(super) endpoint: Arc<Endpoint>,
    link: u32,
    pub(super) attempt: u32,
    events: mpsc::Sender<LinkEvent>,
    pub(super) shared: Arc<Shared>,
}

impl Task {
    async fn run(self, start: Start, mut commands: mpsc::Receiver<Command>) {
        let why = match connection::build(&self.endpoint).await {
            Err(e) => Why::Setup(e),
            Ok(connection) => {
                let why = match self.signal_first(&connection.pc, start).await {
                    Err(why) => why,
                    Ok(theirs) => self.serve(&connection, theirs, &mut commands).await,
                };
                // Bounded by the stack's own time limit. It tells the peer, whose side then ends at once.
                let _ = connection.pc.close().await;
                why
            }
        };
        self.tell(Happening::Closed(why)).await;
    }

    pub(super) async fn tell(&self, what: Happening) {
        // The receiver is gone only when the node stops.
        let _ = self.events.send(LinkEvent { link: self.link, what }).await;
    }

    /// Tells the peer our description; told back: of theirs, if it is here, the certificate's fingerprint.
    async fn signal_first(
        &self,
        pc: &Arc<dyn PeerConnection>,
        start: Start,
    ) -> Result<Option<Fingerprint>, Why> {
        let setup = |e: webrtc::error::Error| Why::Setup(e.to_string());
        let theirs = match &start {
            Start::Offer => None,
            Start::Answer(description) => Some(description.fingerprint),
        };
        let ours = match &start {
            Start::Offer => pc.create_offer(None).await.map_err(setup)?,
            Start::Answer(description) => {
                let sdp = description.to_sdp(Side::Offer).ok_or(Why::Protocol("description"))?;
                let offer = RTCSessionDescription::offer(sdp).map_err(setup)?;
                pc.set_remote_description(offer).await.map_err(setup)?;
                pc.create_answer(None).await.map_err(setup)?
            }
        };
        let description = Description::from_sdp(&ours.sdp).ok_or_else(|| {
            Why::Setup("the WebRTC stack made a description without ICE or DTLS fields".into())
        })?;
        pc.set_local_description(ours).await.map_err(setup)?;
        let attempt = self.attempt;
        self.tell(Happening::Signal(match start {
            Start::Offer => SessionSignal::Offer { attempt, description },
            Start::Answer(_) => SessionSignal::Answer { attempt, description },
        }))
        .await;
        for line in self.endpoint.candidates() {
            if let Some(candidate) = Text::new(line) {
                self.tell(Happening::Signal(SessionSignal::Candidate { attempt, candidate })).await;
            }
        }
        Ok(theirs)
    }

    async fn serve(
        &self,
        connection: &Connection,
        theirs: Option<Fingerprint>,
        commands: &mut mpsc::Receiver<Command>,
    ) -> Why {
        let (readers, mut reports) =
            Readers::start(self.link, &connection.control, &connection.bulk, &self.events);
        let why = Serving::new(self, connection, theirs, readers.opened.clone())
            .run(connection.state.clone(), commands, &mut reports)
            .await;
        drop(readers);
        why
    }
}

/// So that a payload can be made from bytes at hand.
impl From<Bytes> for Media {
    fn from(bytes: Bytes) -> Self {
        Self(bytes)
    }
}
