//! What the link tests share: an endpoint on loopback and bytes that can be checked.
#![allow(dead_code)]

pub(crate) mod agent;
pub(crate) mod browser;
pub(crate) mod ffmpeg;
pub(crate) mod files;
pub(crate) mod origin;
pub(crate) mod parts;
pub(crate) mod program;
pub(crate) mod station;
pub(crate) mod viewer;

use std::net::SocketAddr;
use std::sync::Arc;

use rillcast_core::engine::{BULK_HEADER, BULK_PAYLOAD, BulkFrame};
use rillcast_seed::payload::Media;
use rillcast_seed::rtc::{Endpoint, EndpointConfig, Happening, Link, LinkEvent};
use tokio::sync::mpsc;

/// Queue that a test keeps filled, as the engine would.
pub(crate) const AHEAD: u32 = 64 * 1024;

pub(crate) fn endpoint() -> Arc<Endpoint> {
    let config =
        EndpointConfig { udp: SocketAddr::from(([127, 0, 0, 1], 0)), advertise: Vec::new(), max_links: 64 };
    Endpoint::bind(&config).expect("a free port on loopback")
}

/// The byte at a place of the stream that a seed stands for.
pub(crate) fn byte(seed: u32, at: usize) -> u8 {
    let x = (at as u32).wrapping_mul(2_654_435_761) ^ seed.wrapping_mul(40_503);
    (x >> 13) as u8
}

/// The frame that starts at a place of the stream; its header is the place.
pub(crate) fn frame(seed: u32, at: usize, total: usize) -> BulkFrame<Media> {
    let end = (at + BULK_PAYLOAD).min(total);
    let payload: Vec<u8> = (at..end).map(|i| byte(seed, i)).collect();
    BulkFrame { header: (at as u64).to_be_bytes(), payload: Media(payload.into()) }
}

/// Takes frames in any order and counts those that hold what they should.
#[derive(Default)]
pub(crate) struct Check {
    pub(crate) good: usize,
    seen: std::collections::HashSet<u64>,
}

impl Check {
    pub(crate) fn take(&mut self, seed: u32, header: [u8; BULK_HEADER], payload: &[u8]) {
        let at = u64::from_be_bytes(header);
        assert!(self.seen.insert(at), "the frame at {at} came twice");
        for (i, b) in payload.iter().enumerate() {
            assert_eq!(*b, byte(seed, at as usize + i), "byte {} of the frame at {at}", i);
        }
        self.good += payload.len();
    }
}

/// A stream being sent as fast as the link takes it.
pub(crate) struct Sending {
    pub(crate) seed: u32,
    pub(crate) at: usize,
    pub(crate) total: usize,
}

impl Sending {
    pub(crate) fn fill(&mut self, link: &Link) {
        while self.at < self.total && link.queued() < AHEAD {
            let next = frame(self.seed, self.at, self.total);
            self.at += next.payload.0.len();
            link.bulk(next);
        }
    }
}

/// The next event; panics when the links' tasks are gone.
pub(crate) async fn next(events: &mut mpsc::Receiver<LinkEvent>) -> (u32, Happening) {
    let event = events.recv().await.expect("the links' tasks are running");
    (event.link, event.what)
}
