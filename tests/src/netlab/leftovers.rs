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
    // First those on their way into it, or they would be there after everybody has been looked for.
    on_their_way(namespace).into_iter().for_each(kill);
    let inside = run("ip", &["netns", "pids", namespace]).unwrap_or_default();
    inside.lines().filter_map(|line| line.trim().parse().ok()).for_each(kill);
    // Fails if somebody else was faster.
    let _ = run("ip", &["netns", "del", namespace]);
}

fn kill(pid: i32) {
    if let Some(pid) = Pid::from_raw(pid) {
        let _ = kill_process(pid, Signal::KILL);
    }
}

/// Processes that are about to become another program in this namespace.
fn on_their_way(namespace: &str) -> Vec<i32> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    let wanted = format!("ip\0netns\0exec\0{namespace}\0");
    let is_one = |pid: &i32| {
        std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.starts_with(wanted.as_bytes()))
    };
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(is_one).collect()
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
