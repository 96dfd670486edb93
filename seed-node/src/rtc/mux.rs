//! One UDP socket for every link. The WebRTC stack wants a socket per connection; each gets a [`Port`] that looks
//! like one (see [`super::port`]), and a reader task hands every datagram to the port it is for (see [`super::routes`]).
//!
//! Where the node has a relay (see [`super::outside`]), links use it without knowing: checks go both ways once a link has tried for a while without, and
//! each check is answered by the way it came, and all else goes by the way by which our own were answered.
//!
//! Queues: a port's inbound queue drops what is beyond [`MAX_QUEUED`] bytes (SCTP sends it again, and its sender
//! slows down); outbound nothing is queued here, a full socket pushes back on the sender.

use std::fmt;
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll, Waker};

use rillcast_core::time::Instant;
use tokio::io::Interest;
use tokio::net::UdpSocket;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use webrtc::runtime::{RecvMeta, Transmit, UdpSockRef, UdpSocketState};

use super::datagram::{Datagram, classify};
use super::outside::Outside;
use super::port::{Inbox, Port};
use super::routes::{RouteError, Routes};
use super::ways::Path;

/// Most bytes that wait for one link's task.
pub const MAX_QUEUED: usize = 1024 * 1024;
/// Receive buffers: each may hold up to 64 datagrams that the kernel has put together.
const BUFFERS: usize = 8;
const BUFFER_LEN: usize = 64 * 1024;

/// What the mux has done so far.
#[derive(Debug, Default)]
pub struct MuxStats {
    /// Datagrams handed to links.
    pub received: AtomicU64,
    /// Bytes of them.
    pub received_bytes: AtomicU64,
    /// Datagrams for no link, or malformed.
    pub unknown: AtomicU64,
    /// Datagrams dropped because a link's task was too far behind.
    pub overflowed: AtomicU64,
    /// Bytes sent.
    pub sent_bytes: AtomicU64,
    /// Sends that the kernel refused.
    pub send_errors: AtomicU64,
    /// Bytes that went through the node's relay, both ways.
    pub relayed_bytes: AtomicU64,
}

/// The shared socket.
pub struct Mux {
    io: UdpSocket,
    pub(super) batching: UdpSocketState,
    v6: bool,
    started: std::time::Instant,
    pub(super) routes: Mutex<Routes<Arc<Inbox>>>,
    /// Tasks that wait until the socket takes more.
    blocked: Mutex<Vec<Waker>>,
    some_blocked: Notify,
    outside: OnceLock<Arc<Outside>>,
    /// Counters.
    pub stats: MuxStats,
}

impl fmt::Debug for Mux {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mux").field("io", &self.io).finish_non_exhaustive()
    }
}

/// The tasks that keep a [`Mux`] going; they end when this is dropped.
#[derive(Debug)]
pub struct MuxTasks([JoinHandle<()>; 2]);

impl Drop for MuxTasks {
    fn drop(&mut self) {
        self.0.iter().for_each(JoinHandle::abort);
    }
}

impl Mux {
    /// Starts to serve a socket. Must be called within a tokio runtime.
    pub fn start(socket: std::net::UdpSocket, max_links: usize) -> io::Result<(Arc<Self>, MuxTasks)> {
        socket.set_nonblocking(true)?;
        let io = UdpSocket::from_std(socket)?;
        let batching = UdpSocketState::new(UdpSockRef::from(&io))?;
        let v6 = io.local_addr()?.is_ipv6();
        let mux = Arc::new(Self {
            io,
            batching,
            v6,
            started: std::time::Instant::now(),
            routes: Mutex::new(Routes::new(max_links)),
            blocked: Mutex::new(Vec::new()),
            some_blocked: Notify::new(),
            outside: OnceLock::new(),
            stats: MuxStats::default(),
        });
        let reader = tokio::spawn(read_forever(Arc::clone(&mux)));
        let unblocker = tokio::spawn(unblock_forever(Arc::clone(&mux)));
        Ok((mux, MuxTasks([reader, unblocker])))
    }

    /// Where the socket is bound.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.io.local_addr()
    }

    /// Whether links may use IPv6.
    pub fn has_v6(&self) -> bool {
        self.v6
    }

    /// Links now and addresses known of them.
    pub fn routes(&self) -> (usize, usize) {
        let routes = lock(&self.routes);
        (routes.len(), routes.addresses())
    }

    /// A place for a link whose checks will name `ufrag`. It is given up when the port and its sockets are dropped.
    pub fn open(self: &Arc<Self>, ufrag: &str) -> Result<Arc<Port>, RouteError> {
        let inbox = Arc::new(Inbox::new());
        let link = lock(&self.routes).insert(ufrag.as_bytes(), Arc::clone(&inbox))?;
        Ok(Arc::new(Port::new(Arc::clone(self), inbox, link)))
    }

    /// From now on this node is seen from outside too.
    pub(super) fn watch_outside(&self, outside: Arc<Outside>) {
        let _ = self.outside.set(outside);
    }

    /// How it is seen from outside, if it asks.
    pub(super) fn outside(&self) -> Option<&Arc<Outside>> {
        self.outside.get()
    }

    /// Sends at once, or not at all: for what is asked again if it gets lost.
    pub(super) fn send_now(&self, to: SocketAddr, bytes: &[u8]) {
        let to = if self.v6 { mapped(to) } else { to };
        if self.io.try_send_to(bytes, to).is_err() {
            self.stats.send_errors.fetch_add(1, Relaxed);
        }
    }

    /// Sends to a peer through the relay; each datagram by itself. Lost where there's none, or no leave to send there yet.
    pub(super) fn send_relayed(&self, to: SocketAddr, datagrams: &[u8], stride: Option<usize>) {
        let Some(outside) = self.outside() else { return };
        for datagram in datagrams.chunks(stride.unwrap_or(datagrams.len()).max(1)) {
            if let Some((server, bytes)) = outside.relayed(to, datagram) {
                self.stats.relayed_bytes.fetch_add(datagram.len() as u64, Relaxed);
                self.send_now(server, &bytes);
            }
        }
    }

    pub(super) fn now(&self) -> Instant {
        Instant::from_micros(u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX))
    }

    fn take(&self, datagrams: &[u8], stride: usize, from: SocketAddr) {
        let from = canonical(from);
        if let Some(outside) = self.outside().filter(|outside| outside.is_asked(from)) {
            for datagram in datagrams.chunks(stride) {
                if let Some((peer, data)) = outside.heard(from, datagram) {
                    self.stats.relayed_bytes.fetch_add(data.len() as u64, Relaxed);
                    self.hand_over(&data, data.len().max(1), (canonical(peer), Path::Relay), classify(&data));
                }
            }
            return;
        }
        let from = (from, Path::Direct);
        // Datagrams that the kernel put together come from one address, but a check may be among records: each
        // run of the same kind goes its way.
        let mut run = 0..0;
        let mut at = 0;
        while at < datagrams.len() {
            let end = (at + stride).min(datagrams.len());
            match classify(&datagrams[at..end]) {
                Datagram::Dtls => run = if run.is_empty() { at..end } else { run.start..end },
                other => {
                    self.hand_over(&datagrams[run.clone()], stride, from, Datagram::Dtls);
                    run = end..end;
                    self.hand_over(&datagrams[at..end], stride, from, other);
                }
            }
            at = end;
        }
        self.hand_over(&datagrams[run], stride, from, Datagram::Dtls);
    }

    fn hand_over(
        &self,
        datagrams: &[u8],
        stride: usize,
        (from, path): (SocketAddr, Path),
        what: Datagram<'_>,
    ) {
        if datagrams.is_empty() {
            return;
        }
        let count = datagrams.len().div_ceil(stride) as u64;
        let inbox = {
            let mut routes = lock(&self.routes);
            match what {
                Datagram::Check { ufrag } => routes.by_ufrag(self.now(), ufrag, from).map(Arc::clone),
                Datagram::Answer | Datagram::Dtls => routes.by_address(from).map(Arc::clone),
                Datagram::Foreign => None,
            }
        };
        let Some(inbox) = inbox else {
            self.stats.unknown.fetch_add(count, Relaxed);
            return;
        };
        inbox.came(from, path, what);
        if inbox.push(datagrams, stride, from, self.now()) {
            self.stats.received.fetch_add(count, Relaxed);
            self.stats.received_bytes.fetch_add(datagrams.len() as u64, Relaxed);
        } else {
            self.stats.overflowed.fetch_add(count, Relaxed);
        }
    }

    pub(super) fn poll_send(&self, cx: &mut Context<'_>, transmit: &Transmit<'_>) -> Poll<io::Result<usize>> {
        let transmit = Transmit {
            destination: if self.v6 { mapped(transmit.destination) } else { transmit.destination },
            ecn: transmit.ecn,
            contents: transmit.contents,
            segment_size: transmit.segment_size,
            src_ip: None,
        };
        let length = transmit.contents.len();
        let sent = self
            .io
            .try_io(Interest::WRITABLE, || self.batching.try_send(UdpSockRef::from(&self.io), &transmit));
        match sent {
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                lock(&self.blocked).push(cx.waker().clone());
                self.some_blocked.notify_one();
                Poll::Pending
            }
            Err(_) => {
                // An unreachable candidate, say. To the link it is a lost datagram, never the end of the socket.
                self.stats.send_errors.fetch_add(1, Relaxed);
                Poll::Ready(Ok(length))
            }
            Ok(()) => {
                self.stats.sent_bytes.fetch_add(length as u64, Relaxed);
                Poll::Ready(Ok(length))
            }
        }
    }
}

async fn read_forever(mux: Arc<Mux>) {
    let mut memory = vec![[0u8; BUFFER_LEN]; BUFFERS];
    let mut meta = [RecvMeta::default(); BUFFERS];
    loop {
        let received = mux
            .io
            .async_io(Interest::READABLE, || {
                let mut slices = memory.iter_mut().map(|m| IoSliceMut::new(m));
                let mut bufs: [IoSliceMut<'_>; BUFFERS] =
                    std::array::from_fn(|_| slices.next().expect("there are as many buffers as slices"));
                match mux.batching.recv(UdpSockRef::from(&mux.io), &mut bufs, &mut meta)? {
                    0 => Err(io::ErrorKind::WouldBlock.into()),
                    n => Ok(n),
                }
            })
            .await;
        match received {
            Ok(n) => {
                for (buffer, meta) in memory.iter().zip(&meta[..n]) {
                    mux.take(&buffer[..meta.len], meta.stride.max(1), meta.addr);
                }
            }
            // ICMP errors of earlier sends come up here, and mean nothing to a socket with many peers.
            Err(_) => tokio::task::yield_now().await,
        }
    }
}

async fn unblock_forever(mux: Arc<Mux>) {
    loop {
        mux.some_blocked.notified().await;
        let _ = mux.io.writable().await;
        std::mem::take(&mut *lock(&mux.blocked)).into_iter().for_each(Waker::wake);
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // No holder of these locks can panic half-way through a change.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

fn mapped(address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(v4) => SocketAddr::new(IpAddr::V6(v4.to_ipv6_mapped()), address.port()),
        IpAddr::V6(Ipv6Addr { .. }) => address,
    }
}
