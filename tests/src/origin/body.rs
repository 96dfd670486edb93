//! A response body that goes out in small pieces, at the pace that the faults allow, and is entered in the ledger
//! piece by piece.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};

use super::Shared;
use super::fault::Pace;
use super::ledger::SegmentId;

/// Largest piece handed to a connection at once: what an aborted transfer may have been over-counted by.
const PIECE: usize = 8 * 1024;

/// What the bytes are, for the ledger.
#[derive(Debug, Clone)]
pub(super) enum Entry {
    /// Bytes of a media segment, to be paced.
    Media(SegmentId),
    /// A playlist, an initialisation segment or a key.
    Other,
    /// A page, a script or an error: not counted.
    Site,
}

/// The body.
pub(super) struct CountedBody {
    left: Bytes,
    entry: Entry,
    client: SocketAddr,
    shared: Arc<Shared>,
    pace: Pace,
    sleep: Option<Pin<Box<tokio::time::Sleep>>>,
}

impl CountedBody {
    pub(super) fn new(bytes: Bytes, entry: Entry, client: SocketAddr, shared: Arc<Shared>) -> Self {
        Self { left: bytes, entry, client, shared, pace: Pace::default(), sleep: None }
    }

    /// When the next `bytes` may go out, if not at once.
    fn delay(&self, bytes: usize) -> Option<std::time::Instant> {
        let faults = self.shared.faults.now();
        let own = faults.connection_bytes_per_s.map(|rate| self.pace.reserve(bytes, rate));
        let all = faults.total_bytes_per_s.map(|rate| self.shared.faults.total_pace().reserve(bytes, rate));
        own.max(all).filter(|&turn| turn > std::time::Instant::now())
    }
}

impl Body for CountedBody {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if self.left.is_empty() {
            return Poll::Ready(None);
        }
        let size = self.left.len().min(PIECE);
        if matches!(self.entry, Entry::Media(_)) {
            if self.sleep.is_none()
                && let Some(turn) = self.delay(size)
            {
                self.sleep = Some(Box::pin(tokio::time::sleep_until(turn.into())));
            }
            if let Some(sleep) = &mut self.sleep {
                std::task::ready!(sleep.as_mut().poll(context));
                self.sleep = None;
            }
        }
        let piece = self.left.split_to(size);
        match &self.entry {
            Entry::Media(id) => self.shared.ledger.media(id, self.client, size as u64),
            Entry::Other => self.shared.ledger.other(self.client, size as u64),
            Entry::Site => {}
        }
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.left.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left.len() as u64)
    }
}
