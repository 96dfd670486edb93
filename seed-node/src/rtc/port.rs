//! One link's place at the mux: what has come in for it, and what looks to the WebRTC stack like a socket.

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};

use rillcast_core::time::Instant;
use tokio::sync::Notify;
use webrtc::runtime::{AsyncUdpSocket, RecvMeta, Transmit};

use super::burst::Burst;
use super::datagram::Datagram;
use super::mux::{MAX_QUEUED, Mux, canonical, lock};
use super::outside::HOLD_BACK;
use super::ways::{Path, Ways};

/// Datagrams handed to the stack at once; it keeps two buffers of so many packets for every port.
const BATCH: usize = 16;

/// One link's place at the mux.
pub struct Port {
    mux: Arc<Mux>,
    inbox: Arc<Inbox>,
    link: u64,
}

impl fmt::Debug for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Port").field("link", &self.link).finish_non_exhaustive()
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        lock(&self.mux.routes).remove(self.link);
    }
}

impl Port {
    /// The place of the link with this number.
    pub(super) fn new(mux: Arc<Mux>, inbox: Arc<Inbox>, link: u64) -> Self {
        Self { mux, inbox, link }
    }

    /// What looks to the WebRTC stack like a socket bound to `local`.
    pub fn socket(self: &Arc<Self>, local: SocketAddr) -> PortSocket {
        let family = Family::of(local);
        PortSocket { port: Arc::clone(self), local, family, last: Mutex::new(None) }
    }

    /// Woken when the stack has worked off datagrams: acknowledgements may have been among them.
    pub fn worked_off(&self) -> &Notify {
        &self.inbox.worked_off
    }

    /// The channels are open: from now on the stack gets more than one datagram at a time (see [`super::burst`]).
    ///
    /// Until then it has worked off each before the next. What of a burst comes behind the datagram that completes a handshake is lost to it: the
    /// peer's first message behind SCTP's COOKIE ACK for good (acknowledged and thrown away), an INIT behind the last of DTLS for a second.
    pub fn at_full_speed(&self) {
        self.inbox.open.store(true, Relaxed);
    }

    /// Whether anything has been answered: a check of ours, or more than checks have come.
    pub fn is_answered(&self) -> bool {
        self.inbox.answered.load(Relaxed)
    }

    /// How long nothing has come in.
    pub fn silence(&self) -> std::time::Duration {
        self.mux.now().since(Instant::from_micros(self.inbox.heard.load(Relaxed)))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Family {
    V4,
    V6,
}

impl Family {
    fn of(address: SocketAddr) -> Self {
        if address.is_ipv4() { Self::V4 } else { Self::V6 }
    }
}

/// What has come in for a link.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    v4: Mutex<Queue>,
    v6: Mutex<Queue>,
    heard: AtomicU64,
    worked_off: Notify,
    open: AtomicBool,
    answered: AtomicBool,
    born: Option<std::time::Instant>,
    ways: Ways,
}

#[derive(Debug, Default)]
struct Queue {
    batches: VecDeque<Batch>,
    bytes: usize,
    waker: Option<Waker>,
    /// Times that an empty queue is still to be reported: the stack looks twice after each burst, once at once and
    /// once when it has worked the burst off.
    unreported: u8,
    /// What the stack has in hand.
    burst: Burst,
}

#[derive(Debug)]
struct Batch {
    from: SocketAddr,
    stride: usize,
    taken: usize,
    datagrams: Box<[u8]>,
}

impl Inbox {
    /// Of a link that begins now.
    pub(super) fn new() -> Self {
        Self { born: Some(std::time::Instant::now()), ..Self::default() }
    }

    /// By which way something has come.
    pub(super) fn came(&self, from: SocketAddr, path: Path, what: Datagram<'_>) {
        self.ways.came(from, path, what);
        if matches!(what, Datagram::Answer | Datagram::Dtls) {
            self.answered.store(true, Relaxed);
        }
    }

    fn queue(&self, family: Family) -> MutexGuard<'_, Queue> {
        lock(match family {
            Family::V4 => &self.v4,
            Family::V6 => &self.v6,
        })
    }

    /// Whether it's still being tried which way leads to the peer, the direct ones for long enough.
    fn tries_relay(&self) -> bool {
        !self.open.load(Relaxed) && self.born.is_some_and(|born| born.elapsed() >= HOLD_BACK)
    }

    /// Queues datagrams of one length. Told back: whether there was room.
    pub(super) fn push(&self, datagrams: &[u8], stride: usize, from: SocketAddr, now: Instant) -> bool {
        self.heard.store(now.as_micros(), Relaxed);
        let mut queue = self.queue(Family::of(from));
        if queue.bytes + datagrams.len() > MAX_QUEUED {
            return false;
        }
        queue.bytes += datagrams.len();
        queue.batches.push_back(Batch { from, stride, taken: 0, datagrams: datagrams.into() });
        if let Some(waker) = queue.waker.take() {
            drop(queue);
            waker.wake();
        }
        true
    }
}

/// A [`Port`] in the form that the WebRTC stack takes.
#[derive(Debug)]
pub struct PortSocket {
    port: Arc<Port>,
    local: SocketAddr,
    family: Family,
    /// The last address sent to, which the routes know.
    last: Mutex<Option<SocketAddr>>,
}

impl AsyncUdpSocket for PortSocket {
    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.local)
    }

    fn max_gso_segments(&self) -> usize {
        self.port.mux.batching.max_gso_segments()
    }

    fn max_gro_segments(&self) -> usize {
        BATCH
    }

    fn poll_send(&self, cx: &mut Context<'_>, transmit: &Transmit<'_>) -> Poll<io::Result<usize>> {
        let to = canonical(transmit.destination);
        // Checks are entered each time: they are few, and what the table forgot comes back with them.
        let is_check = matches!(transmit.contents.first(), Some(0..=3));
        let mut last = lock(&self.last);
        if is_check || *last != Some(to) {
            *last = Some(to);
            lock(&self.port.mux.routes).sent(self.port.mux.now(), self.port.link, to);
        }
        drop(last);
        let (mux, inbox) = (&self.port.mux, &self.port.inbox);
        let goes = inbox.ways.go(to, transmit.contents.first().copied(), inbox.tries_relay());
        if goes.relay {
            mux.send_relayed(to, transmit.contents, transmit.segment_size);
        }
        if !goes.direct {
            return Poll::Ready(Ok(transmit.contents.len()));
        }
        mux.poll_send(cx, transmit)
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let (Some(buf), Some(meta)) = (bufs.first_mut(), meta.first_mut()) else { return Poll::Ready(Ok(0)) };
        let mut guard = self.port.inbox.queue(self.family);
        let queue = &mut *guard;
        let open = self.port.inbox.open.load(Relaxed);
        let Some(batch) = queue.batches.front_mut() else {
            queue.burst.end();
            queue.waker = Some(cx.waker().clone());
            if queue.unreported > 0 {
                queue.unreported -= 1;
                drop(guard);
                self.port.inbox.worked_off.notify_one();
            }
            return Poll::Pending;
        };
        let most = queue.burst.room(open, batch.stride).min(BATCH);
        if most == 0 {
            // This ends the burst. The waker brings the stack back when it has been round its loop.
            queue.burst.end();
            queue.waker = None;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let left = &batch.datagrams[batch.taken..];
        let whole = (buf.len() / batch.stride).clamp(1, most) * batch.stride;
        let taken = left.len().min(whole);
        // A datagram longer than any buffer that the stack offers is cut, as a socket would.
        let copied = taken.min(buf.len());
        buf[..copied].copy_from_slice(&left[..copied]);
        meta.addr = batch.from;
        meta.len = copied;
        meta.stride = batch.stride.min(copied).max(1);
        batch.taken += taken;
        queue.bytes -= taken;
        queue.burst.took(open, batch.stride, taken.div_ceil(batch.stride));
        if batch.taken >= batch.datagrams.len() {
            queue.batches.pop_front();
        }
        queue.unreported = 2;
        Poll::Ready(Ok(1))
    }
}
