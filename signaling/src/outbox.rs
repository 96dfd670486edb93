//! What waits to be written to one peer: bounded in messages and bytes. A reader too slow for it is cut, for one
//! peer's slowness must not become everybody's memory.

use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use rillcast_protocol::coding::Wire;
use rillcast_protocol::signal::ServerMessage;
use tokio::sync::{Notify, mpsc};

use crate::hub::Refused;

/// Why a connection is to end, if it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Cut {
    /// It isn't.
    No = 0,
    /// Its queue is full.
    SlowReader = 1,
    /// The server stops.
    Shutdown = 2,
    /// The peer may not take part any more.
    Refused = 3,
}

#[derive(Debug, Default)]
struct Gauge {
    bytes: AtomicUsize,
    cut: AtomicU8,
    wake: Notify,
    refusal: OnceLock<Refused>,
}

/// The sending end.
#[derive(Clone, Debug)]
pub struct Outbox {
    sender: mpsc::Sender<Bytes>,
    gauge: Arc<Gauge>,
    max_bytes: usize,
}

/// The writing end, owned by the socket.
#[derive(Debug)]
pub struct Outgoing {
    receiver: mpsc::Receiver<Bytes>,
    gauge: Arc<Gauge>,
}

/// A queue for one peer.
pub fn outbox(max_messages: usize, max_bytes: usize) -> (Outbox, Outgoing) {
    let (sender, receiver) = mpsc::channel(max_messages.max(1));
    let gauge = Arc::new(Gauge::default());
    (Outbox { sender, gauge: gauge.clone(), max_bytes }, Outgoing { receiver, gauge })
}

impl Outbox {
    /// Queues a message.
    pub fn send(&self, message: &ServerMessage) {
        self.send_encoded(Bytes::from(message.to_bytes()));
    }

    /// Queues a message that went to others too.
    pub fn send_encoded(&self, message: Bytes) {
        let length = message.len();
        let before = self.gauge.bytes.fetch_add(length, Ordering::AcqRel);
        let fits = before + length <= self.max_bytes;
        if !fits || self.sender.try_send(message).is_err() {
            self.gauge.bytes.fetch_sub(length, Ordering::AcqRel);
            self.cut(Cut::SlowReader);
        }
    }

    /// Ends the connection.
    pub fn cut(&self, why: Cut) {
        let _ =
            self.gauge.cut.compare_exchange(Cut::No as u8, why as u8, Ordering::AcqRel, Ordering::Acquire);
        self.gauge.wake.notify_one();
    }

    /// Ends the connection and says why.
    pub fn refuse(&self, refused: Refused) {
        let _ = self.gauge.refusal.set(refused);
        self.cut(Cut::Refused);
    }
}

impl Outgoing {
    /// The next message, or why there will be none.
    pub async fn next(&mut self) -> Result<Bytes, Cut> {
        loop {
            if self.cut() != Cut::No {
                return Err(self.cut());
            }
            tokio::select! {
                () = self.gauge.wake.notified() => {}
                message = self.receiver.recv() => {
                    let message = message.ok_or(Cut::Shutdown)?;
                    self.gauge.bytes.fetch_sub(message.len(), Ordering::AcqRel);
                    return Ok(message);
                }
            }
        }
    }

    /// Another message that is already there.
    pub fn ready(&mut self) -> Option<Bytes> {
        let message = self.receiver.try_recv().ok()?;
        self.gauge.bytes.fetch_sub(message.len(), Ordering::AcqRel);
        Some(message)
    }

    /// Whether and why the connection is to end.
    pub fn cut(&self) -> Cut {
        match self.gauge.cut.load(Ordering::Acquire) {
            0 => Cut::No,
            1 => Cut::SlowReader,
            3 => Cut::Refused,
            _ => Cut::Shutdown,
        }
    }

    /// Why the peer may not take part any more, if that is why the connection ends.
    pub fn refusal(&self) -> Option<Refused> {
        self.gauge.refusal.get().filter(|_| self.cut() == Cut::Refused).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(messages: usize, of: usize) -> Outgoing {
        let (outbox, outgoing) = outbox(4, 100);
        (0..messages).for_each(|_| outbox.send_encoded(Bytes::from(vec![0; of])));
        outgoing
    }

    #[test]
    fn a_reader_is_cut_above_the_message_limit() {
        assert_eq!(filled(3, 1).cut(), Cut::No);
        assert_eq!(filled(4, 1).cut(), Cut::No);
        assert_eq!(filled(5, 1).cut(), Cut::SlowReader);
    }

    #[test]
    fn a_reader_is_cut_above_the_byte_limit() {
        assert_eq!(filled(1, 99).cut(), Cut::No);
        assert_eq!(filled(2, 50).cut(), Cut::No);
        assert_eq!(filled(1, 101).cut(), Cut::SlowReader);
    }

    #[tokio::test]
    async fn what_was_read_makes_room() {
        let (outbox, mut outgoing) = outbox(4, 100);
        for _ in 0..50 {
            outbox.send_encoded(Bytes::from(vec![0; 100]));
            assert_eq!(outgoing.next().await.map(|m| m.len()), Ok(100));
        }
    }
}
