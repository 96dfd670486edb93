//! A server process.

use std::collections::VecDeque;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal};
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, ChildStdin, Command};

use super::Place;

/// Lines of its output that are kept for error messages.
const TAIL: usize = 30;
const START_TIMEOUT: Duration = Duration::from_secs(30);

/// A running server; it is killed when this is dropped.
#[derive(Debug)]
pub struct Server {
    name: String,
    child: Child,
    /// Held open: some servers end with their stdin.
    _stdin: Option<ChildStdin>,
    tail: Arc<Mutex<VecDeque<String>>>,
}

impl Server {
    /// Starts it and waits until it answers on TCP port `port` of `place`.
    pub async fn start(name: &str, command: Command, place: &Place, port: u16) -> Result<Self> {
        let mut server = Self::spawn(name, command)?;
        let begun = Instant::now();
        loop {
            let (place, tried) = (place.clone(), port);
            if tokio::task::spawn_blocking(move || place.connect(tried).is_ok()).await? {
                return Ok(server);
            }
            server.check()?;
            if begun.elapsed() > START_TIMEOUT {
                bail!("{name} doesn't listen on port {port} after {START_TIMEOUT:?}{}", server.tail());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Starts it without waiting for anything.
    pub fn spawn(name: &str, mut command: Command) -> Result<Self> {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("can't start {name}"))?;
        let tail = Arc::default();
        if let Some(stdout) = child.stdout.take() {
            tokio::spawn(follow(stdout, name.to_owned(), Arc::clone(&tail)));
        }
        if let Some(stderr) = child.stderr.take() {
            tokio::spawn(follow(stderr, name.to_owned(), Arc::clone(&tail)));
        }
        Ok(Self { name: name.to_owned(), _stdin: child.stdin.take(), child, tail })
    }

    /// Waits until a line that contains `word` is among the last it wrote.
    pub async fn wait_for_line(&mut self, word: &str) -> Result<()> {
        let begun = Instant::now();
        while !self.tail().contains(word) {
            self.check()?;
            if begun.elapsed() > START_TIMEOUT {
                bail!("{} didn't say {word} within {START_TIMEOUT:?}{}", self.name, self.tail());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    /// Process id, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// Fails, with its last words, if it has ended.
    pub fn check(&mut self) -> Result<()> {
        if let Some(status) = self.child.try_wait().with_context(|| format!("can't watch {}", self.name))? {
            bail!("{} has ended ({status}){}", self.name, self.tail());
        }
        Ok(())
    }

    /// Tells it to end, as a service manager does, and waits until it has; fails if that takes longer than `patience`.
    pub async fn terminate(&mut self, patience: Duration) -> Result<()> {
        let pid = self.pid().and_then(|pid| Pid::from_raw(pid as i32));
        let pid = pid.with_context(|| format!("{} has ended already{}", self.name, self.tail()))?;
        rustix::process::kill_process(pid, Signal::TERM)?;
        let ended = tokio::time::timeout(patience, self.child.wait()).await;
        ended.with_context(|| format!("{} doesn't end within {patience:?}{}", self.name, self.tail()))??;
        Ok(())
    }

    /// Kills it at once, as a crash would.
    pub async fn kill(&mut self) -> Result<()> {
        self.child.kill().await.with_context(|| format!("can't kill {}", self.name))
    }

    /// The last lines it wrote, one per line, marked.
    pub fn tail(&self) -> String {
        let tail = self.tail.lock().unwrap_or_else(PoisonError::into_inner);
        tail.iter().map(|line| format!("\n  {} | {line}", self.name)).collect()
    }
}

async fn follow(output: impl AsyncRead + Unpin, name: String, tail: Arc<Mutex<VecDeque<String>>>) {
    let aloud = std::env::var_os("RILLCAST_VERBOSE").is_some();
    let mut lines = BufReader::new(output).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        if aloud {
            eprintln!("{name} | {line}");
        }
        let mut tail = tail.lock().unwrap_or_else(PoisonError::into_inner);
        tail.push_back(line);
        if tail.len() > TAIL {
            tail.pop_front();
        }
    }
}
