//! What was packed is unpacked again and started from there.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use super::PROGRAMS;
use crate::proc;

/// How long a server may take to say that it listens, and to answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// Tries the packages; a line for each thing that was found good.
pub(crate) fn run(debs: &[PathBuf]) -> Result<Vec<String>> {
    let root = debs[0].with_extension("unpacked");
    fs::create_dir_all(&root).with_context(|| format!("could not create {}", root.display()))?;
    let tried = try_out(debs, &root);
    fs::remove_dir_all(&root).with_context(|| format!("could not remove {}", root.display()))?;
    tried
}

fn try_out(debs: &[PathBuf], root: &Path) -> Result<Vec<String>> {
    for deb in debs {
        proc::run(Command::new("dpkg-deb").arg("-x").arg(deb).arg(root))?;
    }
    let mut good = Vec::new();
    for program in PROGRAMS {
        let said = proc::output(Command::new(root.join("usr/bin").join(program)).arg("--version"))?;
        ensure!(
            said.contains(env!("CARGO_PKG_VERSION")),
            "{program} of the package calls itself {:?}; build again",
            said.trim()
        );
        good.push(format!("{} starts", said.trim()));
    }
    let scripts = serves_the_script(&root.join("usr/bin/rillcast-signaling"))?;
    good.push(format!("rillcast-signaling serves rillcast.js and its engine, {scripts} bytes, from inside"));
    good.push(lacks_only_a_stream(root)?);
    good.extend(units(root)?);
    Ok(good)
}

/// Bytes of what a page needs, as the packaged server serves them.
fn serves_the_script(program: &Path) -> Result<usize> {
    let mut server = Server(
        Command::new(program)
            .args(["--listen", "127.0.0.1:0"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("could not start {}", program.display()))?,
    );
    let stdout = server.0.stdout.take().context("its output is piped")?;
    let mut line = String::new();
    BufReader::new(stdout).read_line(&mut line)?;
    let said: Value = serde_json::from_str(&line).context("signaling says where it listens")?;
    let address = said["listening"].as_str().context("signaling says where it listens")?;
    let mut bytes = 0;
    for path in ["/rillcast.js", "/rillcast_bg.wasm"] {
        let body = get(address, path)?;
        ensure!(body > 1000, "{path} has {body} bytes: the server was built without the bundle");
        bytes += body;
    }
    Ok(bytes)
}

/// Bytes of a body.
fn get(address: &str, path: &str) -> Result<usize> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    ensure!(answer.starts_with(b"HTTP/1.1 200"), "{path} isn't served by the packaged server");
    let head = answer.windows(4).position(|end| end == b"\r\n\r\n").context("an answer has a head")?;
    Ok(answer.len() - head - 4)
}

/// The packaged settings are read, and what they lack is said.
fn lacks_only_a_stream(root: &Path) -> Result<String> {
    let mut seed = Command::new(root.join("usr/bin/rillcast-seed"));
    let settings = root.join("etc/rillcast/seed.toml");
    let output = seed.arg("--config").arg(settings).stdin(Stdio::null()).output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(
        !output.status.success() && said.contains("--manifest"),
        "with the packaged settings rillcast-seed should say that it lacks a stream, but it says: {}",
        said.trim()
    );
    Ok("rillcast-seed reads /etc/rillcast/seed.toml, which lacks a stream and nothing else".to_owned())
}

/// systemd's own opinion of the units, where there is systemd.
fn units(root: &Path) -> Result<Vec<String>> {
    let mut good = Vec::new();
    if !proc::succeeds(Command::new("systemd-analyze").arg("--version")) {
        return Ok(good);
    }
    for unit in ["rillcast-seed.service", "rillcast-signaling.service"] {
        let path = root.join("usr/lib/systemd/system").join(unit);
        // Programs are looked for where they will be.
        let text = fs::read_to_string(&path)?;
        let here = text.replace("/usr/bin/rillcast", &format!("{}/usr/bin/rillcast", root.display()));
        fs::write(&path, here)?;
        let output = Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(&path).output()?;
        // Of other units of the machine it complains as well.
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let complaints: Vec<&str> = said.lines().filter(|line| line.contains(unit)).collect();
        if !complaints.is_empty() {
            bail!("systemd-analyze complains of {unit}:\n{}", complaints.join("\n"));
        }
        good.push(format!("systemd-analyze has no complaint of {unit}"));
    }
    Ok(good)
}

/// Ended when dropped.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
