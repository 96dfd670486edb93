//! The Node process beside a browser: commands out, answers in, and a sure end.

use std::collections::{HashMap, VecDeque};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::{mpsc, oneshot};

use super::flags::Launch;
use super::page::Page;
use super::process_tree;

/// Lines of the driver's stderr that are kept for error messages.
const TAIL: usize = 20;
/// What our profiles' folders begin with; then come the process id and a number.
const PROFILE: &str = "rillcast-browser-";
/// How long a browser may take to start. Generous: a test machine starts eight at once on two cores.
const LAUNCH_TIMEOUT: Duration = Duration::from_secs(90);

/// Why a browser didn't do as told.
#[derive(Debug, thiserror::Error)]
pub enum BrowserError {
    /// It could not be started.
    #[error("can't start {what}: {reason}")]
    Start {
        /// The program.
        what: String,
        /// The cause, and what to do.
        reason: String,
    },
    /// The page or the browser refused a command.
    #[error("the browser failed at `{op}`: {reason}{tail}")]
    Refused {
        /// The command.
        op: &'static str,
        /// What the browser said.
        reason: String,
        /// The last lines on its stderr.
        tail: String,
    },
    /// No answer in time.
    #[error("the browser gave no answer to `{op}` within {limit:?}{tail}")]
    Timeout {
        /// The command.
        op: &'static str,
        /// How long we waited.
        limit: Duration,
        /// The last lines on its stderr.
        tail: String,
    },
    /// The browser or its driver ended.
    #[error("the browser's driver ended during `{op}`{tail}")]
    Gone {
        /// The command.
        op: &'static str,
        /// The last lines on its stderr.
        tail: String,
    },
    /// The page answered something of another form.
    #[error("the page answered `{answer}`, which is not what was asked for: {reason}")]
    Form {
        /// The answer, shortened.
        answer: String,
        /// What doesn't fit.
        reason: String,
    },
}

#[derive(Deserialize)]
struct Answer {
    id: u64,
    #[serde(default)]
    ok: Value,
    error: Option<String>,
}

type Waiting = HashMap<u64, oneshot::Sender<Result<Value, String>>>;

#[derive(Debug)]
struct Inner {
    commands: mpsc::Sender<String>,
    /// `None` once the driver has ended.
    waiting: Mutex<Option<Waiting>>,
    tail: Mutex<VecDeque<String>>,
    next: AtomicU64,
    /// 0 until the browser runs.
    browser: AtomicU32,
}

/// A running browser.
#[derive(Debug)]
pub struct Browser {
    inner: Arc<Inner>,
    driver: Child,
    profile: PathBuf,
    version: String,
}

/// How pages talk to the driver.
#[derive(Debug, Clone)]
pub(super) struct Remote {
    inner: Arc<Inner>,
}

impl Browser {
    /// Starts a browser with a fresh profile. One that doesn't get as far as to answer is started once more: that is no word on what is tested.
    pub async fn launch(launch: &Launch) -> Result<Self, BrowserError> {
        match Self::start(launch).await {
            Err(
                error @ (BrowserError::Refused { .. }
                | BrowserError::Gone { .. }
                | BrowserError::Timeout { .. }),
            ) => {
                eprintln!("{error}; starting it once more");
                Self::start(launch).await
            }
            other => other,
        }
    }

    async fn start(launch: &Launch) -> Result<Self, BrowserError> {
        let executable = launch.executable();
        let missing = |reason: String| BrowserError::Start { what: executable.display().to_string(), reason };
        if !executable.is_file() {
            return Err(missing(
                "there is no such program: install it with apt, or set RILLCAST_CHROMIUM or \
                RILLCAST_FIREFOX to its path"
                    .to_owned(),
            ));
        }
        let modules = node_modules().map_err(missing)?;
        let profile = fresh_profile().map_err(|error| missing(format!("no room for a profile: {error}")))?;
        let mut command = match &launch.namespace {
            None => Command::new("node"),
            Some(name) => {
                let mut command = Command::new("ip");
                command.args(["netns", "exec", name, "node"]);
                command
            }
        };
        let driver = Path::new(env!("CARGO_MANIFEST_DIR")).join("driver/driver.mjs");
        let mut driver = command
            .arg(driver)
            .env("RILLCAST_NODE_MODULES", modules)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| {
                missing(format!("can't run its driver (node): {error}; install Node 20 or later"))
            })?;
        let inner = Inner::start(&mut driver).ok_or_else(|| missing("the driver has no pipes".to_owned()))?;
        let mut browser = Self { inner, driver, profile, version: String::new() };
        let started = browser
            .remote()
            .call(
                "launch",
                json!({
                    "browser": launch.name(), "executable": executable, "args": launch.args(),
                    "prefs": launch.prefs(), "profile": browser.profile,
                    "timeout_ms": LAUNCH_TIMEOUT.as_millis() as u64,
                }),
                LAUNCH_TIMEOUT,
            )
            .await?;
        let pid = started["pid"].as_u64().unwrap_or_default() as u32;
        browser.inner.browser.store(pid, Ordering::Relaxed);
        browser.version = started["version"].as_str().unwrap_or_default().to_owned();
        Ok(browser)
    }

    /// Opens a page in a context (hence cache and storage) of its own and waits for its document.
    pub async fn open(&self, url: &str) -> Result<Page, BrowserError> {
        let limit = Duration::from_secs(60);
        let id = self
            .remote()
            .call("open", json!({ "url": url, "timeout_ms": limit.as_millis() as u64 }), limit)
            .await?;
        Ok(Page::new(self.remote(), id))
    }

    /// What it calls itself.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Process id of the browser's main process.
    pub fn pid(&self) -> u32 {
        self.inner.browser.load(Ordering::Relaxed)
    }

    /// CPU time that the whole browser has used, in ms; its driver is not counted.
    pub fn cpu_ms(&self) -> u64 {
        process_tree::cpu_ms(self.pid())
    }

    /// Kills it, as a crash or a closed lid would: no page gets to say goodbye.
    pub fn kill(&self) {
        if let Some(pid) = pid(self.pid()) {
            for member in process_tree::family(self.pid()) {
                if let Some(member) = Pid::from_raw(member as i32) {
                    let _ = kill_process(member, Signal::KILL);
                }
            }
            let _ = kill_process_group(pid, Signal::KILL);
        }
    }

    fn remote(&self) -> Remote {
        Remote { inner: self.inner.clone() }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        self.kill();
        // The driver leads a group of its own. `ip netns exec` replaces itself, so this is node.
        if let Some(driver) = self.driver.id().and_then(pid) {
            let _ = kill_process_group(driver, Signal::KILL);
        }
        // A dying renderer may still write for a moment.
        for _ in 0..20 {
            if std::fs::remove_dir_all(&self.profile).is_ok() || !self.profile.exists() {
                break;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Remote {
    /// Sends a command and waits for its answer.
    pub(super) async fn call(
        &self,
        op: &'static str,
        arguments: Value,
        limit: Duration,
    ) -> Result<Value, BrowserError> {
        let inner = &self.inner;
        let gone = || BrowserError::Gone { op, tail: inner.tail() };
        let id = inner.next.fetch_add(1, Ordering::Relaxed);
        let mut message = arguments;
        message["id"] = id.into();
        message["op"] = op.into();
        let (sender, receiver) = oneshot::channel();
        lock(&inner.waiting).as_mut().ok_or_else(gone)?.insert(id, sender);
        inner.commands.send(message.to_string()).await.map_err(|_| gone())?;
        match tokio::time::timeout(limit, receiver).await {
            Ok(Ok(Ok(value))) => Ok(value),
            Ok(Ok(Err(reason))) => Err(BrowserError::Refused { op, reason, tail: inner.tail() }),
            Ok(Err(_)) => Err(gone()),
            Err(_) => {
                if let Some(waiting) = lock(&inner.waiting).as_mut() {
                    waiting.remove(&id);
                }
                Err(BrowserError::Timeout { op, limit, tail: inner.tail() })
            }
        }
    }
}

impl Inner {
    fn start(driver: &mut Child) -> Option<Arc<Self>> {
        let (stdin, stdout, stderr) = (driver.stdin.take()?, driver.stdout.take()?, driver.stderr.take()?);
        let (commands, queue) = mpsc::channel(64);
        let inner = Arc::new(Self {
            commands,
            waiting: Mutex::new(Some(Waiting::new())),
            tail: Mutex::default(),
            next: AtomicU64::new(1),
            browser: AtomicU32::new(0),
        });
        tokio::spawn(write_commands(stdin, queue));
        let reader = inner.clone();
        tokio::spawn(async move {
            let mut lines = BufReader::new(stdout).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                let Ok(answer) = serde_json::from_str::<Answer>(&line) else { continue };
                let sender = lock(&reader.waiting).as_mut().and_then(|waiting| waiting.remove(&answer.id));
                if let Some(sender) = sender {
                    let _ = sender.send(answer.error.map_or(Ok(answer.ok), Err));
                }
            }
            // Whoever still waits, or asks from now on, learns that the driver is gone.
            *lock(&reader.waiting) = None;
        });
        let listener = inner.clone();
        tokio::spawn(async move {
            let mut lines = BufReader::new(stderr).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                let mut tail = lock(&listener.tail);
                tail.push_back(line);
                if tail.len() > TAIL {
                    tail.pop_front();
                }
            }
        });
        Some(inner)
    }

    fn tail(&self) -> String {
        lock(&self.tail).iter().map(|line| format!("\n  | {line}")).collect()
    }
}

async fn write_commands(mut stdin: ChildStdin, mut queue: mpsc::Receiver<String>) {
    while let Some(line) = queue.recv().await {
        if stdin.write_all(format!("{line}\n").as_bytes()).await.is_err() {
            return;
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn pid(raw: u32) -> Option<Pid> {
    // 0 and 1 would address our own group and everything.
    (raw > 1).then(|| Pid::from_raw(raw as i32)).flatten()
}

/// Where the npm packages lie.
pub(crate) fn node_modules() -> Result<PathBuf, String> {
    let given = std::env::var_os("RILLCAST_NODE_MODULES").map(PathBuf::from);
    let usual = Path::new(env!("CARGO_MANIFEST_DIR")).join("../web/node_modules");
    let dir = given.unwrap_or(usual);
    if dir.join("puppeteer-core").is_dir() {
        dir.canonicalize().map_err(|error| format!("{}: {error}", dir.display()))
    } else {
        Err(format!(
            "{} holds no puppeteer-core: run `npm ci` in web/, or point RILLCAST_NODE_MODULES at the packages",
            dir.display()
        ))
    }
}

fn fresh_profile() -> std::io::Result<PathBuf> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    clear_leftovers();
    let name = format!("{PROFILE}{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    let dir = std::env::temp_dir().join(name);
    let _ = std::fs::remove_dir_all(&dir);
    std::fs::create_dir_all(&dir)?;
    Ok(dir)
}

/// Removes the profiles of processes that live no more.
fn clear_leftovers() {
    let Ok(entries) = std::fs::read_dir(std::env::temp_dir()) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let maker =
            name.to_str().and_then(|name| name.strip_prefix(PROFILE)?.split('-').next()?.parse::<u32>().ok());
        if maker.is_some_and(|maker| !Path::new("/proc").join(maker.to_string()).exists()) {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}
