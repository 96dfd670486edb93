//! R35 R41: the fingerprint that the engine is told of is the one that the other end has proved to have the key of; tickets are bound to it.

use crate::support;

use std::time::Duration;

use rillcast_protocol::id::Fingerprint;
use rillcast_protocol::session::SessionSignal;
use rillcast_seed::rtc::{Endpoint, Happening, Link, LinkEvent, Start, Why};
use support::endpoint;
use tokio::sync::mpsc;

type Change = fn(&mut Fingerprint);

/// Lets two endpoints make a link, with descriptions changed on their way; told back: what each has found at the other end.
async fn link(ends: [&std::sync::Arc<Endpoint>; 2], change: [Change; 2]) -> [Result<Fingerprint, Why>; 2] {
    let (to_near, mut near_events) = mpsc::channel(64);
    let (to_far, mut far_events) = mpsc::channel(64);
    let near = Link::start(ends[0], 1, 1, Start::Offer, to_near);
    let mut far: Option<Link> = None;
    let mut found = [None, None];
    while let [None, _] | [_, None] = found {
        let (at, LinkEvent { what, .. }) = tokio::select! {
            Some(event) = near_events.recv() => (0, event),
            Some(event) = far_events.recv() => (1, event),
        };
        match what {
            Happening::Signal(SessionSignal::Offer { attempt, mut description }) => {
                change[0](&mut description.fingerprint);
                far = Some(Link::start(ends[1], 2, attempt, Start::Answer(description), to_far.clone()));
            }
            Happening::Signal(SessionSignal::Answer { attempt, mut description }) => {
                change[1](&mut description.fingerprint);
                near.signal(SessionSignal::Answer { attempt, description });
            }
            Happening::Signal(signal) if at == 0 => far.as_ref().expect("after the offer").signal(signal),
            Happening::Signal(signal) => near.signal(signal),
            Happening::Open(fingerprint) => found[at] = Some(Ok(fingerprint)),
            Happening::Closed(why) => found[at] = Some(found[at].take().unwrap_or(Err(why))),
            _ => {}
        }
    }
    found.map(|found| found.expect("both"))
}

fn as_it_is(_: &mut Fingerprint) {}

fn another(fingerprint: &mut Fingerprint) {
    fingerprint.0[31] ^= 1;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_end_is_told_of_the_others_certificate() {
    let (near, far) = (endpoint(), endpoint());
    assert_ne!(near.fingerprint(), far.fingerprint());
    let found = link([&near, &far], [as_it_is, as_it_is]).await;
    assert_eq!(found, [Ok(far.fingerprint()), Ok(near.fingerprint())]);
    let again = link([&near, &far], [as_it_is, as_it_is]).await;
    assert_eq!(found, again, "one certificate for all links");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_to_somebody_with_another_certificate_does_not_open() {
    for (deceived, change) in [(1, [another as Change, as_it_is]), (0, [as_it_is, another])] {
        let (near, far) = (endpoint(), endpoint());
        let found = tokio::time::timeout(Duration::from_secs(40), link([&near, &far], change)).await;
        let found = found.expect("both give up");
        assert!(found[deceived].is_err(), "whoever was told of another certificate has no link: {found:?}");
    }
}
