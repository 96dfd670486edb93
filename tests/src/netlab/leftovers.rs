//! Taking namespaces away: our own at the end, and those of runs that were killed.

use std::path::Path;

use rustix::process::{Pid, Signal, kill_process};

use super::PREFIX;
use super::command::run;

/// Removes the namespaces of processes that live no more.
pub(super) fn clear() {
    let Ok(entries) = std::fs::read_dir("/run/netns") else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let Some(name) = name.to_str() else { continue };
        if maker(name).is_some_and(|pid| !Path::new("/proc").join(pid.to_string()).exists()) {
            remove(name);
        }
    }
}

/// Kills what runs in one of our namespaces and removes it.
pub(super) fn remove(namespace: &str) {
    if maker(namespace).is_none() {
        return;
    }
    let inside = run("ip", &["netns", "pids", namespace]).unwrap_or_default();
    for pid in inside.lines().filter_map(|line| Pid::from_raw(line.trim().parse().ok()?)) {
        let _ = kill_process(pid, Signal::KILL);
    }
    // Fails if somebody else was faster.
    let _ = run("ip", &["netns", "del", namespace]);
}

/// The process that made a namespace, if it is one of ours.
fn maker(namespace: &str) -> Option<u32> {
    namespace.strip_prefix(PREFIX)?.split('-').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_names_are_ours() {
        assert_eq!(maker("rillcast-123-0-viewer1"), Some(123));
        for other in ["rillcast", "rillcast-", "rillcast-x-0", "vpn", "my-rillcast-1-0"] {
            assert_eq!(maker(other), None, "{other}");
        }
    }
}
