//! What a link's task does once there is a connection: it hands over what the pacer allows, takes the peer's signals, and sees when there is no
//! hope left.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use bytes::BytesMut;
use rillcast_core::engine::{BULK_HEADER, BulkFrame};
use rillcast_core::time::Instant;
use rillcast_core::wire::Message;
use rillcast_protocol::coding::{Text, Wire};
use rillcast_protocol::id::Fingerprint;
use rillcast_protocol::session::{SessionSignal, Side};
use tokio::sync::{mpsc, watch};
use webrtc::data_channel::DataChannel;
use webrtc::peer_connection::{
    PeerConnection, RTCIceCandidateInit, RTCPeerConnectionState, RTCSessionDescription,
};

use super::candidate;
use super::connection::Connection;
use super::link::{Command, Happening, OPEN_WITHIN, SILENCE, Task, Why};
use super::outside::Seen;
use super::pacer::Pacer;
use super::port::Port;
use super::reader::{Kind, Report};
use crate::payload::Media;

/// Most peer's candidates taken in one attempt.
const MAX_CANDIDATES: usize = 64;
/// How often acknowledgements are looked for when nothing tells of them.
const LOOK: Duration = Duration::from_millis(20);

/// What is seen from outside when that changes.
async fn changed(seen: &mut Option<watch::Receiver<Seen>>) -> Option<Seen> {
    let seen = seen.as_mut()?;
    seen.changed().await.ok()?;
    Some(*seen.borrow_and_update())
}

/// A connection that is being made, or is there.
pub(super) struct Serving<'a> {
    task: &'a Task,
    pc: &'a Arc<dyn PeerConnection>,
    control: &'a Arc<dyn DataChannel>,
    bulk: &'a Arc<dyn DataChannel>,
    port: &'a Arc<Port>,
    zero: std::time::Instant,
    pacer: Pacer,
    queue: VecDeque<BulkFrame<Media>>,
    /// Candidates that came before the answer.
    early: Vec<String>,
    /// Of the peer's certificate, once its description is here.
    theirs: Option<Fingerprint>,
    /// What the peer has been told of how we are seen from outside.
    told: Seen,
    candidates: usize,
    open: [bool; 2],
    opened: watch::Sender<bool>,
}

impl<'a> Serving<'a> {
    /// `theirs` is the fingerprint of the peer's certificate, if its description is here already.
    pub(super) fn new(
        task: &'a Task,
        connection: &'a Connection,
        theirs: Option<Fingerprint>,
        opened: watch::Sender<bool>,
    ) -> Self {
        Self {
            task,
            pc: &connection.pc,
            control: &connection.control,
            bulk: &connection.bulk,
            port: &connection.port,
            zero: std::time::Instant::now(),
            pacer: Pacer::new(Instant::ZERO),
            queue: VecDeque::new(),
            early: Vec::new(),
            theirs,
            told: Seen::default(),
            candidates: 0,
            open: [false; 2],
            opened,
        }
    }

    /// Serves it until it ends; told back: why.
    pub(super) async fn run(
        mut self,
        mut state: watch::Receiver<RTCPeerConnectionState>,
        commands: &mut mpsc::Receiver<Command>,
        reports: &mut mpsc::Receiver<Report>,
    ) -> Why {
        let mut tick = tokio::time::interval(Duration::from_secs(1));
        let never_opened = tokio::time::sleep(OPEN_WITHIN);
        tokio::pin!(never_opened);
        let mut seen = self.task.endpoint.seen();
        let at_first = seen.as_mut().map(|seen| *seen.borrow_and_update());
        self.seen(at_first.unwrap_or_default()).await;
        loop {
            let is_open = self.is_open();
            let wake = self.wake();
            let step = tokio::select! {
                command = commands.recv() => match command {
                    None => Err(Why::Told),
                    Some(command) => self.obey(command).await,
                },
                () = self.port.worked_off().notified(), if self.pacer.in_flight() > 0 => Ok(()),
                () = tokio::time::sleep(wake.unwrap_or(LOOK)), if wake.is_some() => Ok(()),
                report = reports.recv() => match report {
                    Some(Report::Open(kind)) => self.opens(kind).await,
                    Some(Report::Protocol(what)) => Err(Why::Protocol(what)),
                    Some(Report::Closed) | None => Err(Why::Peer),
                },
                changed = state.changed() => match (changed, *state.borrow_and_update()) {
                    (Err(_), _) => Err(Why::Peer),
                    (_, RTCPeerConnectionState::Failed) => Err(self.failed(Why::Peer)),
                    (_, RTCPeerConnectionState::Closed) => Err(Why::Peer),
                    _ => Ok(()),
                },
                Some(now) = changed(&mut seen), if !is_open => {
                    self.seen(now).await;
                    Ok(())
                }
                () = &mut never_opened, if !is_open => Err(self.failed(Why::NeverOpened)),
                _ = tick.tick() => self.check(),
            };
            if let Err(why) = step {
                return why;
            }
            // Take what else is there before pumping, so that a burst of frames is one round.
            while let Ok(command) = commands.try_recv() {
                if let Err(why) = self.obey(command).await {
                    return why;
                }
            }
            if let Err(why) = self.pump().await {
                return why;
            }
        }
    }

    /// Tells the peer how we are seen from outside, as far as it doesn't know.
    async fn seen(&mut self, now: Seen) {
        let news = Seen {
            mapped: now.mapped.filter(|_| now.mapped != self.told.mapped),
            relay: now.relay.filter(|_| now.relay != self.told.relay),
            ..now
        };
        self.told = now;
        let attempt = self.task.attempt;
        for candidate in candidate::outside_lines(news).iter().filter_map(|line| Text::new(line.as_str())) {
            self.task.tell(Happening::Signal(SessionSignal::Candidate { attempt, candidate })).await;
        }
    }

    /// Why an attempt failed that time has run out for, or that the stack has given up.
    fn failed(&self, why: Why) -> Why {
        let tried = !self.is_open() && self.theirs.is_some() && self.candidates > 0;
        if tried && !self.port.is_answered() { Why::NoWay } else { why }
    }

    fn now(&self) -> Instant {
        Instant::from_micros(u64::try_from(self.zero.elapsed().as_micros()).unwrap_or(u64::MAX))
    }

    fn is_open(&self) -> bool {
        self.open == [true; 2]
    }

    fn check(&self) -> Result<(), Why> {
        if self.task.shared.overrun.load(Relaxed) {
            return Err(Why::Overrun);
        }
        if self.pacer.stalled(self.now()) {
            return Err(Why::Stalled);
        }
        if self.is_open() && self.port.silence() > SILENCE {
            return Err(Why::Silent);
        }
        Ok(())
    }

    /// How long to sleep for the pacer's sake.
    fn wake(&self) -> Option<Duration> {
        let now = self.now();
        let next = self.queue.front().and_then(|frame| self.pacer.next_send(now, size(frame)));
        let look = (self.pacer.in_flight() > 0).then_some(LOOK);
        match (next.map(|at| at.since(now)), look) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }

    async fn obey(&mut self, command: Command) -> Result<(), Why> {
        match command {
            Command::Signal(signal) => self.signalled(signal).await,
            // Before both channels are open the engine knows of no link, so it sends nothing.
            Command::Control(_) if !self.is_open() => Ok(()),
            Command::Bulk(frame) if !self.is_open() => {
                self.task.shared.queued.fetch_sub(size(&frame), Relaxed);
                Ok(())
            }
            Command::Control(bytes) => {
                self.control.try_send(BytesMut::from(&bytes[..])).await.map_err(|e| match e {
                    webrtc::error::Error::ErrSendBufferFull => Why::Overrun,
                    _ => Why::Peer,
                })
            }
            Command::Bulk(frame) => {
                self.queue.push_back(frame);
                Ok(())
            }
        }
    }

    async fn signalled(&mut self, signal: SessionSignal) -> Result<(), Why> {
        match signal {
            SessionSignal::Answer { attempt, description }
                if attempt == self.task.attempt && self.theirs.is_none() =>
            {
                let sdp = description.to_sdp(Side::Answer).ok_or(Why::Protocol("description"))?;
                let answer = RTCSessionDescription::answer(sdp).map_err(|_| Why::Protocol("description"))?;
                self.pc.set_remote_description(answer).await.map_err(|e| Why::Setup(e.to_string()))?;
                self.theirs = Some(description.fingerprint);
                for line in std::mem::take(&mut self.early) {
                    self.add_candidate(line).await;
                }
            }
            SessionSignal::Candidate { attempt, candidate } if attempt == self.task.attempt => {
                let usable = candidate::is_usable(candidate.as_str(), self.task.endpoint.has_mdns());
                if usable && self.candidates < MAX_CANDIDATES {
                    self.candidates += 1;
                    if self.theirs.is_some() {
                        self.add_candidate(candidate.as_str().to_owned()).await;
                    } else {
                        self.early.push(candidate.as_str().to_owned());
                    }
                }
            }
            SessionSignal::Abort { attempt } if attempt == self.task.attempt && !self.is_open() => {
                return Err(Why::Peer);
            }
            _ => {}
        }
        Ok(())
    }

    async fn add_candidate(&self, candidate: String) {
        let init = RTCIceCandidateInit {
            candidate,
            sdp_mid: Some("0".to_owned()),
            sdp_mline_index: Some(0),
            ..RTCIceCandidateInit::default()
        };
        if let Err(e) = self.pc.add_ice_candidate(init).await {
            tracing::debug!("a peer's candidate is of no use: {e}");
        }
    }

    async fn opens(&mut self, kind: Kind) -> Result<(), Why> {
        self.open[usize::from(kind == Kind::Bulk)] = true;
        if self.is_open() {
            self.port.at_full_speed();
            let theirs = self.theirs.ok_or(Why::Protocol("no description"))?;
            self.task.tell(Happening::Open(theirs)).await;
            let _ = self.opened.send(true);
        }
        Ok(())
    }

    /// Sends what asks for nothing but an acknowledgement: a ping whose answer means nothing to any engine, for its time hasn't come.
    async fn nudge(&self) -> Result<(), Why> {
        let ping = Message::Ping { stamp: u64::MAX }.to_bytes();
        match self.control.try_send(BytesMut::from(&ping[..])).await {
            Ok(()) | Err(webrtc::error::Error::ErrSendBufferFull) => Ok(()),
            Err(_) => Err(Why::Peer),
        }
    }

    /// Hands over what the pacer allows.
    async fn pump(&mut self) -> Result<(), Why> {
        if self.pacer.in_flight() > 0 {
            let outstanding = self.bulk.outstanding_bytes().await.map_err(|_| Why::Peer)?;
            self.pacer.outstanding(self.now(), outstanding);
            if self.is_open() && self.pacer.nudges(self.now()) {
                self.nudge().await?;
            }
        }
        let mut handed = 0;
        while let Some(frame) = self.queue.front() {
            let bytes = size(frame);
            if !self.pacer.may_send(self.now(), bytes) {
                break;
            }
            let mut message = BytesMut::with_capacity(bytes);
            message.extend_from_slice(&frame.header);
            message.extend_from_slice(&frame.payload.0);
            self.queue.pop_front();
            handed += bytes;
            self.bulk.try_send(message).await.map_err(|_| Why::Peer)?;
            self.pacer.sent(self.now(), bytes);
        }
        if handed > 0 {
            self.task.shared.queued.fetch_sub(handed, Relaxed);
            if !self.task.shared.drained.swap(true, Relaxed) {
                self.task.tell(Happening::Drained).await;
            }
        }
        Ok(())
    }
}

fn size(frame: &BulkFrame<Media>) -> usize {
    BULK_HEADER + frame.payload.0.len()
}
