//! Programs of this process that live on a host: their sockets are the host's.

use std::fs::File;
use std::os::fd::AsFd;
use std::path::Path;
use std::thread::JoinHandle;

use anyhow::{Context, Result, anyhow};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tokio::sync::oneshot;

use super::Host;

/// A life on a host. Dropping it ends it, with all that it has started.
#[derive(Debug)]
pub struct Living {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Host {
    /// Begins a life there: a thread in the host's namespace with a runtime of its own, on which `begin` starts its tasks.
    pub async fn live<T: Send + 'static>(
        &self,
        begin: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Result<(T, Living)> {
        let path = Path::new("/run/netns").join(self.namespace());
        let file = File::open(&path).with_context(|| format!("{} is gone", path.display()))?;
        let (stop, stopped) = oneshot::channel();
        let (tell, told) = oneshot::channel();
        let life = move || {
            move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))?;
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                // Whoever has begun it may have gone meanwhile.
                let _ = tell.send(begin());
                let _ = stopped.await;
            });
            Ok::<(), anyhow::Error>(())
        };
        let thread = std::thread::spawn(move || {
            if let Err(error) = life() {
                eprintln!("a life on a host has ended: {error:#}");
            }
        });
        let begun = told.await.map_err(|_| anyhow!("can't enter {}: are you root?", self.namespace()))?;
        Ok((begun?, Living { stop: Some(stop), thread: Some(thread) }))
    }
}

impl Drop for Living {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // It has been told; a panic in it was printed.
            let _ = thread.join();
        }
    }
}
