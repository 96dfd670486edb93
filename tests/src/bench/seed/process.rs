//! A part of the bench in a process of its own, so that what a seed costs can be told from what its viewers cost.
//!
//! A part prints lines of JSON and ends with its input. Of its lines the last one counts: they are pictures, not news.

use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::watch;

/// How often a part says how far it is.
const SAYS: Duration = Duration::from_millis(100);
/// `/proc` counts CPU time in these on every Linux that we run on (USER_HZ).
const TICKS_PER_SECOND: f64 = 100.0;

/// A part that runs; it ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Process {
    name: &'static str,
    child: Child,
    input: Option<ChildStdin>,
    said: watch::Receiver<String>,
}

impl Process {
    /// Starts a program, which says something once it is ready.
    pub(crate) fn start(name: &'static str, mut command: Command) -> Result<Self> {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("can't start {name}"))?;
        let output = child.stdout.take().context("it was just piped")?;
        let (tell, said) = watch::channel(String::new());
        tokio::spawn(async move {
            let mut lines = BufReader::new(output).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                tell.send_replace(line);
            }
        });
        Ok(Self { name, input: child.stdin.take(), child, said })
    }

    /// What it said last.
    pub(crate) fn says<T: DeserializeOwned>(&self) -> Option<T> {
        serde_json::from_str(&self.said.borrow()).ok()
    }

    /// Waits until what it says is as wanted.
    pub(crate) async fn until<T: DeserializeOwned>(
        &mut self,
        what: &str,
        limit: Duration,
        holds: impl Fn(&T) -> bool,
    ) -> Result<T> {
        let begun = Instant::now();
        loop {
            if let Some(said) = self.says::<T>().filter(&holds) {
                return Ok(said);
            }
            if let Some(status) = self.child.try_wait()? {
                bail!("{} has ended ({status}) before {what}", self.name);
            }
            if begun.elapsed() > limit {
                let said = self.said.borrow().clone();
                bail!("{}: waited {limit:?} in vain until {what}; it said {said}", self.name);
            }
            tokio::time::sleep(SAYS / 2).await;
        }
    }

    /// Its number.
    pub(crate) fn pid(&self) -> Result<u32> {
        self.child.id().with_context(|| format!("{} has ended", self.name))
    }

    /// Ends it, and waits for that.
    pub(crate) async fn end(mut self) -> Result<()> {
        drop(self.input.take());
        if tokio::time::timeout(Duration::from_secs(10), self.child.wait()).await.is_err() {
            self.child.kill().await.with_context(|| format!("{} doesn't end", self.name))?;
        }
        Ok(())
    }
}

/// In a part: says the picture of the moment again and again until the input ends.
pub(super) async fn report<T: Serialize>(picture: impl Fn() -> T) -> Result<()> {
    let mut input = tokio::io::stdin();
    let mut byte = [0; 64];
    loop {
        println!("{}", serde_json::to_string(&picture())?);
        if let Ok(Ok(0) | Err(_)) = tokio::time::timeout(SAYS, input.read(&mut byte)).await {
            return Ok(());
        }
    }
}

/// Seconds of processor that a process alone has taken, the kernel's part for it included.
pub(crate) fn cpu_seconds(pid: u32) -> Result<f64> {
    let stat = read(pid, "stat")?;
    let spent = || {
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        Some(fields.get(11)?.parse::<f64>().ok()? + fields.get(12)?.parse::<f64>().ok()?)
    };
    Ok(spent().context("/proc/PID/stat has changed its form")? / TICKS_PER_SECOND)
}

/// Bytes of memory that a process holds.
pub(crate) fn resident_bytes(pid: u32) -> Result<u64> {
    let status = read(pid, "status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    Ok(kib.context("/proc/PID/status has changed its form")? * 1024)
}

fn read(pid: u32, file: &str) -> Result<String> {
    std::fs::read_to_string(format!("/proc/{pid}/{file}")).with_context(|| format!("process {pid} has ended"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_we_cost_ourselves_can_be_read() {
        let own = std::process::id();
        let before = cpu_seconds(own).unwrap();
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_millis(200) {
            std::hint::black_box(0);
        }
        assert!(cpu_seconds(own).unwrap() > before);
        assert!(resident_bytes(own).unwrap() > 100_000);
    }
}
