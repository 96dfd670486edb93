//! A TCP flow that takes what it can get, as an upload to somebody's cloud does.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};

use rustix::net::sockopt::set_tcp_congestion;

use crate::netlab::Host;

/// A flow under way. It ends when this is dropped.
#[derive(Debug)]
pub(super) struct Flow {
    received: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Flow {
    /// Begins to send from one host to another, by the kernel's own TCP with this congestion control.
    pub(super) fn start(from: &Host, to: &Host, congestion: &str) -> Result<Self> {
        let listener = to.listen(0)?;
        let at = SocketAddr::new(to.address(), listener.local_addr()?.port());
        let mut sender = from.connect(at)?;
        set_tcp_congestion(&sender, congestion)
            .with_context(|| format!("this kernel has no congestion control {congestion:?}; `sysctl net.ipv4.tcp_available_congestion_control` lists them"))?;
        let (mut receiver, _) = listener.accept().context("the flow has no other end")?;
        for end in [&sender, &receiver] {
            // Both threads look now and then whether they are to stop.
            end.set_read_timeout(Some(Duration::from_millis(200)))?;
            end.set_write_timeout(Some(Duration::from_millis(200)))?;
        }
        let (received, stop) = (Arc::<AtomicU64>::default(), Arc::<AtomicBool>::default());
        let (count, ends) = (Arc::clone(&received), Arc::clone(&stop));
        let reader = std::thread::spawn(move || {
            let mut buffer = vec![0; 256 * 1024];
            while !ends.load(Ordering::Relaxed) {
                if let Ok(bytes) = receiver.read(&mut buffer) {
                    count.fetch_add(bytes as u64, Ordering::Relaxed);
                }
            }
        });
        let ends = Arc::clone(&stop);
        let writer = std::thread::spawn(move || {
            let bytes = vec![0; 64 * 1024];
            while !ends.load(Ordering::Relaxed) {
                // What a full buffer leaves over doesn't matter: any bytes will do.
                let _ = sender.write(&bytes);
            }
        });
        Ok(Self { received, stop, threads: vec![reader, writer] })
    }

    /// Bytes that have come through so far.
    pub(super) fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    /// Ends it.
    pub(super) fn end(mut self) -> Result<()> {
        self.stop.store(true, Ordering::Relaxed);
        self.threads.drain(..).try_for_each(|thread| thread.join().map_err(|_| anyhow!("the flow panicked")))
    }
}

impl Drop for Flow {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}
