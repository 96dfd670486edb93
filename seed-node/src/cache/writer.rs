//! The thread that writes and removes copies: disks may take their time, and nobody else waits for them.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use rillcast_protocol::digest::SegmentDigest;
use rillcast_publisher::ledger::Place;

use super::index::Name;
use super::record::Record;
use super::{Shared, WAITING};

/// Copies past their time are removed so often, or ten times in the time that they are kept.
const SWEEP: Duration = Duration::from_secs(60);

#[derive(Debug)]
enum Order {
    Write { name: Name, head: Vec<u8>, body: Bytes },
    Remove(Name),
    Flush(mpsc::Sender<()>),
}

/// The way to the thread. Dropping it waits until all is done.
#[derive(Debug)]
pub(super) struct Writer {
    shared: Arc<Shared>,
    /// Without a limit of its own: what is to be written is bounded by bytes, removals by the copies that there are.
    orders: Option<mpsc::Sender<Order>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    pub(super) fn start(shared: Arc<Shared>, keep: Duration) -> std::io::Result<Self> {
        let (orders, inbox) = mpsc::channel();
        let work = Work { shared: Arc::clone(&shared), sweep: SWEEP.min(keep / 10), complained: false };
        let thread = std::thread::Builder::new().name("cache".into()).spawn(move || work.run(&inbox))?;
        Ok(Self { shared, orders: Some(orders), thread: Some(thread) })
    }

    pub(super) fn write(&self, place: Place, digest: &SegmentDigest, body: &Bytes) {
        let bytes = body.len() as u64;
        let before = self.shared.waiting.fetch_add(bytes, Relaxed);
        if before > 0 && before + bytes > WAITING {
            self.shared.waiting.fetch_sub(bytes, Relaxed);
            self.shared.lost.fetch_add(1, Relaxed);
            return;
        }
        let name = Name { swarm: digest.swarm, key: digest.key };
        self.order(Order::Write { name, head: Record::head(place, digest), body: body.clone() });
    }

    pub(super) fn remove(&self, name: Name) {
        self.order(Order::Remove(name));
    }

    pub(super) fn flush(&self) {
        let (done, wait) = mpsc::channel();
        self.order(Order::Flush(done));
        let _ = wait.recv();
    }

    fn order(&self, order: Order) {
        // The thread ends after us.
        let _ = self.orders.as_ref().map(|orders| orders.send(order));
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.orders = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Work {
    shared: Arc<Shared>,
    sweep: Duration,
    /// The log has it already that the disk takes nothing.
    complained: bool,
}

impl Work {
    fn run(mut self, inbox: &mpsc::Receiver<Order>) {
        let mut next = Instant::now() + self.sweep;
        loop {
            match inbox.recv_timeout(next.saturating_duration_since(Instant::now())) {
                Ok(Order::Write { name, head, body }) => {
                    self.write(&name, &head, &body);
                    self.shared.waiting.fetch_sub(body.len() as u64, Relaxed);
                }
                Ok(Order::Remove(name)) => {
                    if self.shared.index().remove(&name) {
                        self.shared.files.remove(&name);
                    }
                }
                Ok(Order::Flush(done)) => {
                    let _ = done.send(());
                }
                Err(RecvTimeoutError::Timeout) => {
                    let old = self.shared.index().expired(SystemTime::now());
                    old.iter().for_each(|name| self.shared.files.remove(name));
                    next = Instant::now() + self.sweep;
                }
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn write(&mut self, name: &Name, head: &[u8], body: &[u8]) {
        let bytes = (head.len() + body.len()) as u64;
        // Room is made first: the budget holds at every moment.
        let Some(gone) = self.shared.index().insert(*name, bytes, SystemTime::now()) else {
            self.shared.lost.fetch_add(1, Relaxed);
            return;
        };
        gone.iter().for_each(|name| self.shared.files.remove(name));
        match self.shared.files.write(name, head, body) {
            Ok(()) => {
                self.shared.written.fetch_add(body.len() as u64, Relaxed);
                self.complained = false;
            }
            Err(error) => {
                self.shared.index().remove(name);
                // The file of an earlier copy under that name, if there was one.
                self.shared.files.remove(name);
                self.shared.lost.fetch_add(1, Relaxed);
                if !std::mem::replace(&mut self.complained, true) {
                    tracing::error!(%error, "copies can't be written; is the disk full? Lower --cache-size, or make room");
                }
            }
        }
    }
}
