//! The account of every media byte written: by segment, by client, and over time.
//!
//! A byte is counted when it is handed to the connection for writing. A connection holds little
//! ([`super::serve`] bounds its buffers), so an aborted transfer is over-counted by at most those buffers and never
//! under-counted.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use serde_json::{Value, json};

use super::resource::Stream;

/// Names a media segment.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SegmentId {
    /// Of which presentation.
    pub stream: Stream,
    /// Name of the rendition.
    pub rendition: String,
    /// Media sequence number.
    pub number: u64,
}

/// What was written of one segment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SegmentBytes {
    /// The segment's length in bytes.
    pub size: u64,
    /// Bytes written of it, to all clients.
    pub bytes: u64,
    /// Responses with bytes of it.
    pub requests: u64,
    /// Bytes by client address.
    pub by_client: BTreeMap<IpAddr, u64>,
}

/// What was written to one connection's peer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClientBytes {
    /// Bytes of media segments.
    pub media: u64,
    /// Bytes of playlists, initialisation segments and keys.
    pub other: u64,
}

#[derive(Debug, Clone, Default)]
struct Account {
    began: Option<Instant>,
    segments: BTreeMap<SegmentId, SegmentBytes>,
    clients: BTreeMap<SocketAddr, ClientBytes>,
    media: u64,
    other: u64,
    per_second: Vec<u64>,
}

/// The account. All methods may be called at any time.
#[derive(Debug, Default)]
pub struct Ledger {
    account: Mutex<Account>,
}

impl Ledger {
    /// Forgets everything and begins afresh.
    pub fn reset(&self) {
        *self.lock() = Account { began: Some(Instant::now()), ..Account::default() };
    }

    /// Bytes of media segments written.
    pub fn media_bytes(&self) -> u64 {
        self.lock().media
    }

    /// Bytes of playlists, initialisation segments and keys written.
    pub fn other_bytes(&self) -> u64 {
        self.lock().other
    }

    /// What was written of each segment.
    pub fn segments(&self) -> BTreeMap<SegmentId, SegmentBytes> {
        self.lock().segments.clone()
    }

    /// What was written to each connection's peer.
    pub fn clients(&self) -> BTreeMap<SocketAddr, ClientBytes> {
        self.lock().clients.clone()
    }

    /// Media bytes written to one host.
    pub fn media_bytes_to(&self, host: IpAddr) -> u64 {
        self.lock().clients.iter().filter(|(addr, _)| addr.ip() == host).map(|(_, bytes)| bytes.media).sum()
    }

    /// Media bytes written in each second since the last reset.
    pub fn media_per_second(&self) -> Vec<u64> {
        self.lock().per_second.clone()
    }

    /// Media bytes written, over the summed sizes of the segments of which any were: 1 if everything was fetched
    /// once.
    pub fn copies(&self) -> f64 {
        let account = self.lock();
        let distinct: u64 = account.segments.values().map(|segment| segment.size).sum();
        if distinct == 0 { 0.0 } else { account.media as f64 / distinct as f64 }
    }

    /// Everything, as served at `/ledger`.
    pub fn json(&self) -> Value {
        let account = self.lock().clone();
        let segments: Vec<Value> = account
            .segments
            .iter()
            .map(|(id, segment)| {
                json!({
                    "stream": id.stream.name(), "rendition": id.rendition, "number": id.number,
                    "size": segment.size, "bytes": segment.bytes, "requests": segment.requests,
                    "by_client": segment.by_client,
                })
            })
            .collect();
        let clients: BTreeMap<String, Value> = account
            .clients
            .iter()
            .map(|(addr, bytes)| (addr.to_string(), json!({ "media": bytes.media, "other": bytes.other })))
            .collect();
        json!({
            "media_bytes": account.media, "other_bytes": account.other, "segments": segments,
            "clients": clients, "media_per_second": account.per_second,
        })
    }

    /// A response with bytes of a segment begins.
    pub(super) fn request(&self, id: &SegmentId, size: u64) {
        let mut account = self.lock();
        let segment = account.segments.entry(id.clone()).or_default();
        segment.size = size;
        segment.requests += 1;
    }

    /// Media bytes go out.
    pub(super) fn media(&self, id: &SegmentId, client: SocketAddr, bytes: u64) {
        let mut account = self.lock();
        let began = *account.began.get_or_insert_with(Instant::now);
        let second = began.elapsed().as_secs() as usize;
        if account.per_second.len() <= second {
            account.per_second.resize(second + 1, 0);
        }
        account.per_second[second] += bytes;
        account.media += bytes;
        account.clients.entry(client).or_default().media += bytes;
        // A reset may have fallen between the request and its bytes.
        let segment = account.segments.entry(id.clone()).or_default();
        segment.bytes += bytes;
        *segment.by_client.entry(client.ip()).or_default() += bytes;
    }

    /// Bytes that are no media segment's go out.
    pub(super) fn other(&self, client: SocketAddr, bytes: u64) {
        let mut account = self.lock();
        account.other += bytes;
        account.clients.entry(client).or_default().other += bytes;
    }

    fn lock(&self) -> MutexGuard<'_, Account> {
        self.account.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
