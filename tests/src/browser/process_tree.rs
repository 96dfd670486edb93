//! What a process and all that it started have cost, from `/proc`.

use std::collections::HashMap;

/// `/proc` counts CPU time in these on every Linux that we run on (USER_HZ).
const TICKS_PER_SECOND: u64 = 100;

#[derive(Debug, Clone, Copy)]
struct Process {
    parent: u32,
    /// Own time, and that of children already reaped.
    ticks: u64,
}

/// CPU time of `root` and all its descendants, reaped ones included, in ms.
pub(super) fn cpu_ms(root: u32) -> u64 {
    let all = processes();
    let ticks: u64 =
        tree(root, &all).iter().filter_map(|pid| all.get(pid)).map(|process| process.ticks).sum();
    ticks * 1000 / TICKS_PER_SECOND
}

/// `root` and all its living descendants.
pub(super) fn family(root: u32) -> Vec<u32> {
    tree(root, &processes())
}

fn tree(root: u32, all: &HashMap<u32, Process>) -> Vec<u32> {
    let mut found = vec![root];
    let mut next = 0;
    while let Some(&parent) = found.get(next) {
        found.extend(all.iter().filter(|(_, process)| process.parent == parent).map(|(&pid, _)| pid));
        next += 1;
    }
    found
}

fn processes() -> HashMap<u32, Process> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return HashMap::new() };
    entries
        .flatten()
        .filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            let stat = std::fs::read_to_string(entry.path().join("stat")).ok()?;
            Some((pid, parse(&stat)?))
        })
        .collect()
}

/// Reads a line of `/proc/PID/stat` (proc(5)); the name in it may hold spaces and brackets.
fn parse(stat: &str) -> Option<Process> {
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
    let ticks = number(11)? + number(12)? + number(13)? + number(14)?;
    Some(Process { parent: number(1)? as u32, ticks })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_is_no_obstacle() {
        let line = "7 (a) b) (c) S 3 7 7 0 -1 0 0 0 0 0 11 22 33 44 20 0 1 0 5";
        let process = parse(line).unwrap();
        assert_eq!((process.parent, process.ticks), (3, 110));
    }

    #[test]
    fn we_are_in_our_own_family() {
        let own = std::process::id();
        let parent = processes()[&own].parent;
        assert!(family(parent).contains(&own));
        assert!(cpu_ms(parent) >= cpu_ms(own));
    }
}
