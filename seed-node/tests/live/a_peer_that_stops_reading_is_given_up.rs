//! The watchdog: a peer that acknowledges nothing more, and one that goes without a word, are both given up by their
//! links, so that the engine can replace them.

use crate::support;

use rillcast_protocol::session::SessionSignal;
use rillcast_seed::rtc::{Endpoint, Happening, Link, LinkEvent, Start, Why};
use std::sync::Arc;
use support::{Sending, endpoint, next};
use tokio::sync::mpsc;

/// Two endpoints with an open link, and both have said hello.
async fn linked() -> (Arc<Endpoint>, Link, mpsc::Receiver<LinkEvent>, Link, mpsc::Receiver<LinkEvent>) {
    let (near_end, far_end) = (endpoint(), endpoint());
    let (to_near, mut near_events) = mpsc::channel(64);
    let (to_far, mut far_events) = mpsc::channel(64);
    let near = Link::start(&near_end, 1, 1, Start::Offer, to_near);
    let mut far: Option<Link> = None;
    let (mut near_open, mut far_open) = (false, false);
    let (mut near_heard, mut far_heard) = (None, None);
    // Each says hello the moment that the link opens, as engines do.
    while !(near_open && far_open && near_heard.is_some() && far_heard.is_some()) {
        tokio::select! {
            (_, what) = next(&mut near_events) => match what {
                Happening::Signal(SessionSignal::Offer { attempt, description }) => {
                    far = Some(Link::start(&far_end, 2, attempt, Start::Answer(description), to_far.clone()));
                }
                Happening::Signal(signal) => far.as_ref().expect("after the offer").signal(signal),
                Happening::Open(_) => {
                    near_open = true;
                    near.control(b"hello".to_vec());
                }
                Happening::Control(bytes) => near_heard = Some(bytes),
                other => panic!("{other:?}"),
            },
            (_, what) = next(&mut far_events) => match what {
                Happening::Signal(signal) => near.signal(signal),
                Happening::Open(_) => {
                    far_open = true;
                    far.as_ref().expect("open").control(b"hello".to_vec());
                }
                Happening::Control(bytes) => far_heard = Some(bytes),
                other => panic!("{other:?}"),
            },
        }
    }
    // The endpoint of the far side lives as long as its link's task.
    (near_end, near, near_events, far.expect("open"), far_events)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_stops_reading_is_given_up() {
    let (_end, near, mut events, far, far_events) = linked().await;
    // The far side lives on, checks and all, but nobody takes its messages: its queues fill, SCTP's receive window
    // closes, and nothing more is acknowledged.
    let mut sending = Sending { seed: 1, at: 0, total: 100_000_000 };
    sending.fill(&near);
    let why = loop {
        match next(&mut events).await.1 {
            Happening::Drained => sending.fill(&near),
            Happening::Closed(why) => break why,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(why, Why::Stalled);
    assert!(sending.at < sending.total / 2, "{} bytes were taken by nobody", sending.at);
    drop((far, far_events));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_beyond_the_limit_ends_the_link() {
    let (_end, near, _events, far, mut far_events) = linked().await;
    near.control(vec![0; rillcast_core::engine::MAX_CONTROL]);
    assert!(
        matches!(next(&mut far_events).await.1, Happening::Control(c) if c.len() == rillcast_core::engine::MAX_CONTROL)
    );
    near.control(vec![0; rillcast_core::engine::MAX_CONTROL + 1]);
    assert!(matches!(next(&mut far_events).await.1, Happening::Closed(Why::Protocol(_))));
    drop(far);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dropped_link_is_seen_by_the_peer_at_once() {
    let (_end, near, _events, far, mut far_events) = linked().await;
    drop(near);
    assert!(matches!(next(&mut far_events).await.1, Happening::Closed(Why::Peer)));
    drop(far);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_peer_says_first_is_never_lost() {
    // It may come in one burst with the end of the handshake; the more is going on, the likelier.
    let pairs = (0..24).map(|_| tokio::spawn(linked()));
    for pair in pairs.collect::<Vec<_>>() {
        pair.await.expect("both have heard each other's hello");
    }
}
