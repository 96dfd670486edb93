//! What the seed's bytes cost without the seed: the same links on one port (`seed-node/src/rtc/`: the stack, the shared socket, the pacer), filled with
//! bytes from memory in messages of the same size by one task, and nothing else: no engine, no digests, no signaling. Who links with it is told by TCP.
//!
//! The stack with links of our own rather than the bare stack is the measure, because the bare stack can't do the job: it has one port for each
//! peer, and its opening burst hangs browsers (`docs/seed-transport.md`).

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

use anyhow::{Context, Result};
use bytes::Bytes;
use rillcast_core::engine::{BULK_HEADER, BULK_PAYLOAD, BulkFrame};
use rillcast_protocol::coding::Wire;
use rillcast_protocol::session::SessionSignal;
use rillcast_seed::payload::Media;
use rillcast_seed::rtc::{Endpoint, EndpointConfig, Happening, Link, LinkEvent, Start};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::OwnedReadHalf;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use super::super::process::report;

/// Bytes that wait at a link, as many as the engine lets.
const AHEAD: u32 = 48 * 1024;
/// Events that wait for the one task, as many as at a node.
const EVENTS: usize = 256;
const MAX_LINKS: usize = 1024;
/// Both ends count their attempts from one.
const ATTEMPT: u32 = 1;
/// Longest signal; see the protocol.
const LONGEST: usize = 4096;

/// What the sender says.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Giving {
    pub(super) at: SocketAddr,
    pub(super) linked: usize,
}

/// What the receivers say.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Taking {
    pub(super) linked: usize,
    pub(super) bytes: u64,
}

fn endpoint(max_links: usize) -> Result<Arc<Endpoint>> {
    let udp = SocketAddr::from(([127, 0, 0, 1], 0));
    Ok(Endpoint::bind(&EndpointConfig { udp, advertise: Vec::new(), max_links })?)
}

enum Told {
    Came(TcpStream),
    Signal(u32, SessionSignal),
    Link(LinkEvent),
}

/// Gives to whoever comes as much as the link takes, or so many bytes a second to each, until the input ends.
pub(crate) async fn give(rate: u64) -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let at = listener.local_addr()?;
    let linked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&linked);
    let giving = tokio::spawn(async move { give_to_all(listener, rate, &counted).await });
    tokio::select! {
        said = report(|| Giving { at, linked: linked.load(Relaxed) }) => said,
        ended = giving => ended?,
    }
}

struct Receiver {
    link: Link,
    say: mpsc::Sender<SessionSignal>,
    open: bool,
    given: u64,
}

async fn give_to_all(listener: TcpListener, rate: u64, linked: &AtomicUsize) -> Result<()> {
    let endpoint = endpoint(MAX_LINKS)?;
    let (tell, mut told) = mpsc::channel(EVENTS);
    let (say, mut heard) = mpsc::channel(EVENTS);
    let block = Bytes::from(vec![7u8; BULK_PAYLOAD]);
    let mut receivers: HashMap<u32, Receiver> = HashMap::new();
    let mut next = 0;
    let mut tick = tokio::time::interval(std::time::Duration::from_millis(50));
    let began = std::time::Instant::now();
    loop {
        let told = tokio::select! {
            came = listener.accept() => Told::Came(came?.0),
            Some((number, signal)) = heard.recv() => Told::Signal(number, signal),
            Some(event) = told.recv() => Told::Link(event),
            _ = tick.tick(), if rate > 0 => {
                for receiver in receivers.values_mut().filter(|receiver| receiver.open) {
                    fill(receiver, &block, allowed(rate, began));
                }
                continue;
            }
        };
        match told {
            Told::Came(stream) => {
                next += 1;
                let (from, mut to) = stream.into_split();
                let (tell_it, mut to_say) = mpsc::channel::<SessionSignal>(64);
                tokio::spawn(async move {
                    while let Some(signal) = to_say.recv().await {
                        if write(&mut to, &signal).await.is_err() {
                            return;
                        }
                    }
                });
                let (say, number) = (say.clone(), next);
                tokio::spawn(async move {
                    let mut from = from;
                    while let Ok(signal) = read(&mut from).await {
                        let _ = say.send((number, signal)).await;
                    }
                });
                let link = Link::start(&endpoint, next, ATTEMPT, Start::Offer, tell.clone());
                receivers.insert(next, Receiver { link, say: tell_it, open: false, given: 0 });
            }
            Told::Signal(number, signal) => {
                if let Some(receiver) = receivers.get(&number) {
                    receiver.link.signal(signal);
                }
            }
            Told::Link(event) => {
                let Some(receiver) = receivers.get_mut(&event.link) else { continue };
                match event.what {
                    Happening::Signal(signal) => {
                        let _ = receiver.say.send(signal).await;
                    }
                    Happening::Open(_) => {
                        receiver.open = true;
                        // What wasn't given before it was there isn't owed.
                        receiver.given = allowed(rate, began);
                        linked.fetch_add(1, Relaxed);
                        fill(receiver, &block, allowed(rate, began));
                    }
                    Happening::Drained => fill(receiver, &block, allowed(rate, began)),
                    Happening::Closed(_) => {
                        linked.fetch_sub(usize::from(receiver.open), Relaxed);
                        receivers.remove(&event.link);
                    }
                    Happening::Control(_) | Happening::Bulk { .. } => {}
                }
            }
        }
    }
}

/// What a receiver may have been given by now; without a rate, anything.
fn allowed(rate: u64, began: std::time::Instant) -> u64 {
    if rate == 0 { 0 } else { (rate as f64 * began.elapsed().as_secs_f64()) as u64 }
}

fn fill(receiver: &mut Receiver, block: &Bytes, allowed: u64) {
    while receiver.link.queued() < AHEAD && (allowed == 0 || receiver.given < allowed) {
        receiver.given += block.len() as u64;
        receiver.link.bulk(BulkFrame { header: [0; BULK_HEADER], payload: Media(block.clone()) });
    }
}

/// So many receivers, each with a socket of its own, which count what comes until the input ends.
pub(crate) async fn take(from: SocketAddr, count: u32) -> Result<()> {
    let (linked, bytes) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicU64::new(0)));
    for _ in 0..count {
        let (linked, bytes) = (Arc::clone(&linked), Arc::clone(&bytes));
        tokio::spawn(async move {
            if let Err(error) = take_one(from, &linked, &bytes).await {
                eprintln!("a receiver has ended: {error:#}");
            }
        });
        tokio::time::sleep(super::APART).await;
    }
    report(|| Taking { linked: linked.load(Relaxed), bytes: bytes.load(Relaxed) }).await
}

async fn take_one(from: SocketAddr, linked: &AtomicUsize, bytes: &AtomicU64) -> Result<()> {
    let endpoint = endpoint(2)?;
    let (mut hear, mut say) = TcpStream::connect(from).await?.into_split();
    let SessionSignal::Offer { attempt, description } = read(&mut hear).await? else {
        anyhow::bail!("the first signal is no offer");
    };
    let (tell, mut told) = mpsc::channel(EVENTS);
    let link = Link::start(&endpoint, 1, attempt, Start::Answer(description), tell);
    let (signals, mut signalled) = mpsc::channel(64);
    tokio::spawn(async move {
        while let Ok(signal) = read(&mut hear).await {
            let _ = signals.send(signal).await;
        }
    });
    loop {
        tokio::select! {
            Some(signal) = signalled.recv() => link.signal(signal),
            event = told.recv() => match event.context("the link's task is gone")?.what {
                Happening::Signal(signal) => write(&mut say, &signal).await?,
                Happening::Open(_) => _ = linked.fetch_add(1, Relaxed),
                Happening::Bulk { payload, .. } => _ = bytes.fetch_add(payload.0.len() as u64, Relaxed),
                Happening::Control(_) | Happening::Drained => {}
                Happening::Closed(why) => {
                    linked.fetch_sub(1, Relaxed);
                    anyhow::bail!("its link has ended: {why:?}");
                }
            },
        }
    }
}

async fn write(to: &mut (impl AsyncWriteExt + Unpin), signal: &SessionSignal) -> Result<()> {
    let bytes = signal.to_bytes();
    to.write_u16(u16::try_from(bytes.len())?).await?;
    to.write_all(&bytes).await?;
    Ok(())
}

async fn read(from: &mut OwnedReadHalf) -> Result<SessionSignal> {
    let length = usize::from(from.read_u16().await?);
    anyhow::ensure!(length <= LONGEST, "no signal has {length} bytes");
    let mut bytes = vec![0; length];
    from.read_exact(&mut bytes).await?;
    Ok(SessionSignal::from_bytes(&bytes)?)
}
