//! Native to native over loopback: twenty peers at one port, bytes checked both ways.

use crate::support;

use rillcast_protocol::session::SessionSignal;
use rillcast_seed::rtc::{Happening, Link, Start};
use support::{Check, Sending, endpoint, next};
use tokio::sync::mpsc;

const PEERS: u32 = 20;
const BYTES: usize = 2_000_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_native_peers_share_one_port() {
    let hub = endpoint();
    let (to_hub, mut at_hub) = mpsc::channel(256);
    let mut links = Vec::new();
    let mut peers = Vec::new();
    for n in 0..PEERS {
        // Half of the links are offered by the hub, half by the peer.
        let (to_peer, mut at_peer) = mpsc::channel(256);
        let (signals, mut from_hub) = mpsc::channel::<SessionSignal>(64);
        let (to_link, from_peer) = mpsc::channel::<SessionSignal>(64);
        if n % 2 == 0 {
            links.push((Some(Link::start(&hub, n, 7, Start::Offer, to_hub.clone())), signals, from_peer));
        } else {
            links.push((None, signals, from_peer));
        }
        peers.push(tokio::spawn(async move {
            let own = endpoint();
            let mut link = (n % 2 == 1).then(|| Link::start(&own, n, 7, Start::Offer, to_peer.clone()));
            let mut check = Check::default();
            let mut sending = Sending { seed: 1000 + n, at: 0, total: BYTES };
            let mut closed = None;
            loop {
                tokio::select! {
                    signal = from_hub.recv() => match signal {
                        Some(SessionSignal::Offer { description, .. }) => {
                            link = Some(Link::start(&own, n, 7, Start::Answer(description), to_peer.clone()));
                        }
                        Some(other) => link.as_ref().expect("after the offer").signal(other),
                        // The hub has all it wants.
                        None => link = None,
                    },
                    (_, what) = next(&mut at_peer) => match what {
                        Happening::Signal(s) => { let _ = to_link.send(s).await; }
                        Happening::Open(_) | Happening::Drained => {
                            if let Some(link) = &link { sending.fill(link) }
                        }
                        Happening::Bulk { header, payload } => check.take(n, header, &payload.0),
                        Happening::Control(bytes) => {
                            if let Some(link) = &link { link.control(bytes) }
                        }
                        Happening::Closed(why) => { closed = Some(why); }
                    },
                }
                if closed.is_some() {
                    return check.good;
                }
            }
        }));
    }

    let mut sendings: Vec<Sending> = (0..PEERS).map(|seed| Sending { seed, at: 0, total: BYTES }).collect();
    let mut checks: Vec<Check> = (0..PEERS).map(|_| Check::default()).collect();
    let mut echoed = 0;
    let (collected, mut signals_in) = mpsc::channel::<(u32, SessionSignal)>(64);
    let mut out = Vec::new();
    for (n, (link, signals, mut from_peer)) in links.into_iter().enumerate() {
        out.push((link, signals));
        let collected = collected.clone();
        tokio::spawn(async move {
            while let Some(signal) = from_peer.recv().await {
                let _ = collected.send((n as u32, signal)).await;
            }
        });
    }
    while checks.iter().map(|c| c.good).sum::<usize>() < BYTES * PEERS as usize
        || echoed < PEERS
        || sendings.iter().any(|s| s.at < s.total)
        || out.iter().any(|(l, _)| l.as_ref().is_none_or(|l| l.queued() > 0))
    {
        tokio::select! {
            signal = signals_in.recv() => {
                let (n, signal) = signal.expect("peers are there");
                let slot = &mut out[n as usize].0;
                match signal {
                    SessionSignal::Offer { description, attempt } => {
                        *slot = Some(Link::start(&hub, n, attempt, Start::Answer(description), to_hub.clone()));
                    }
                    other => slot.as_ref().expect("after the offer").signal(other),
                }
            }
            (n, what) = next(&mut at_hub) => {
                let (link, signals) = &out[n as usize];
                let link = link.as_ref().expect("it speaks");
                match what {
                    Happening::Signal(s) => { let _ = signals.send(s).await; }
                    Happening::Open(_) => {
                        link.control(format!("hello {n}").into_bytes());
                        sendings[n as usize].fill(link);
                    }
                    Happening::Drained => sendings[n as usize].fill(link),
                    Happening::Bulk { header, payload } => checks[n as usize].take(1000 + n, header, &payload.0),
                    Happening::Control(bytes) => {
                        assert_eq!(bytes, format!("hello {n}").into_bytes());
                        echoed += 1;
                    }
                    Happening::Closed(why) => panic!("link {n} closed: {why:?}"),
                }
            }
        }
    }
    let (routes, addresses) = hub.mux().routes();
    assert_eq!(routes, PEERS as usize);
    assert!(addresses >= PEERS as usize && addresses <= 16 * PEERS as usize, "{addresses} addresses");
    // What was handed over before a close may still be on its way, so the peers say when they have all.
    let given: Vec<_> = out.into_iter().collect();
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    drop(given);
    while !at_hub.is_closed() && hub.mux().routes().0 > 0 {
        tokio::select! {
            _ = at_hub.recv() => {}
            () = tokio::time::sleep(std::time::Duration::from_millis(20)) => {}
        }
    }
    for peer in peers {
        assert_eq!(peer.await.expect("the peer's task ends well"), BYTES);
    }
    assert_eq!(hub.mux().routes(), (0, 0), "closed links leave nothing behind");
}
