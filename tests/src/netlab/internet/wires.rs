//! Network interfaces whose other end is a thread of ours: what hosts send goes the way that [`Net`] says, as fast as it says.
//!
//! Queues: what hosts send waits in their interfaces (1000 packets, then the kernel drops), what is on its way in [`ON_ITS_WAY`] packets, then it is
//! dropped.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tokio::sync::{mpsc, oneshot};
use tun_rs::{AsyncDevice, DeviceBuilder, SyncDevice};

use super::net::{Net, Wire};

/// Packets on their way at once.
const ON_ITS_WAY: usize = 65_536;
/// Longest packet.
const MTU: u16 = 1500;

/// The interfaces, and the thread behind them.
#[derive(Debug)]
pub(super) struct Wires {
    net: Arc<Mutex<Net>>,
    add: Option<mpsc::UnboundedSender<(Wire, SyncDevice)>>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
    count: usize,
}

impl Wires {
    /// None yet.
    pub(super) fn start(net: Net) -> Result<Self> {
        let net = Arc::new(Mutex::new(net));
        let (add, added) = mpsc::unbounded_channel();
        let (stop, stopped) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let shared = Arc::clone(&net);
        let thread = std::thread::Builder::new().name("internet".to_owned()).spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    () = carry(shared, added) => {}
                    _ = stopped => {}
                }
            });
        })?;
        Ok(Self { net, add: Some(add), stop: Some(stop), thread: Some(thread), count: 0 })
    }

    /// An interface called `eth0` in a namespace.
    pub(super) fn plug_in(&mut self, namespace: &str) -> Result<Wire> {
        let path = Path::new("/run/netns").join(namespace);
        let file = File::open(&path).with_context(|| format!("{} is gone", path.display()))?;
        let device = std::thread::spawn(move || -> Result<SyncDevice> {
            move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))?;
            let device = DeviceBuilder::new().name("eth0").mtu(MTU).build_sync();
            device.context("can't make a TUN interface: is there /dev/net/tun, and are you root?")
        });
        let device = device.join().map_err(|_| anyhow!("the thread in {namespace} panicked"))??;
        let wire = Wire(self.count);
        self.count += 1;
        let add = self.add.as_ref().context("the internet is over")?;
        add.send((wire, device)).map_err(|_| anyhow!("the internet has ended"))?;
        Ok(wire)
    }

    /// The tree of networks.
    pub(super) fn net(&self) -> MutexGuard<'_, Net> {
        lock(&self.net)
    }
}

impl Drop for Wires {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic in it was printed.
            let _ = thread.join();
        }
    }
}

fn lock(net: &Mutex<Net>) -> MutexGuard<'_, Net> {
    net.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A packet on its way; the soonest is the greatest.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Underway(Reverse<(Instant, u64)>, usize, Vec<u8>);

async fn carry(net: Arc<Mutex<Net>>, mut added: mpsc::UnboundedReceiver<(Wire, SyncDevice)>) {
    let began = Instant::now();
    let mut devices: Vec<Arc<AsyncDevice>> = Vec::new();
    let (tell, mut told) = mpsc::channel::<(Wire, Vec<u8>)>(256);
    let mut underway: BinaryHeap<Underway> = BinaryHeap::new();
    let mut number = 0;
    loop {
        let next = underway.peek().map(|packet| packet.0.0.0.into());
        tokio::select! {
            Some((wire, device)) = added.recv() => match AsyncDevice::new(device) {
                Ok(device) => {
                    let device = Arc::new(device);
                    devices.push(Arc::clone(&device));
                    tokio::spawn(read(device, wire, tell.clone()));
                }
                Err(error) => eprintln!("an interface can't be read: {error}"),
            },
            Some((wire, bytes)) = told.recv() => {
                let now = Instant::now();
                let arrives = lock(&net).send(wire, &bytes, now - began);
                if let Some(packet) = arrives.filter(|_| underway.len() < ON_ITS_WAY) {
                    number += 1;
                    if packet.after == Duration::ZERO {
                        hand_over(&devices, packet.wire.0, &packet.bytes);
                    } else {
                        underway.push(Underway(Reverse((now + packet.after, number)), packet.wire.0, packet.bytes));
                    }
                }
            }
            () = until(next), if next.is_some() => {
                let now = Instant::now();
                while underway.peek().is_some_and(|packet| packet.0.0.0 <= now) {
                    if let Some(Underway(_, wire, bytes)) = underway.pop() {
                        hand_over(&devices, wire, &bytes);
                    }
                }
            }
        }
    }
}

fn hand_over(devices: &[Arc<AsyncDevice>], wire: usize, bytes: &[u8]) {
    // Lost where the host is too slow, or gone.
    let _ = devices.get(wire).map(|device| device.try_send(bytes));
}

async fn until(at: Option<tokio::time::Instant>) {
    if let Some(at) = at {
        tokio::time::sleep_until(at).await;
    }
}

async fn read(device: Arc<AsyncDevice>, wire: Wire, tell: mpsc::Sender<(Wire, Vec<u8>)>) {
    let mut buffer = vec![0; usize::from(MTU) + 64];
    // An error: its namespace is gone.
    while let Ok(length) = device.recv(&mut buffer).await {
        if tell.send((wire, buffer[..length].to_vec())).await.is_err() {
            return;
        }
    }
}
