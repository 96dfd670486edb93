//! What a run cost this machine: the only figures that differ from run to run of a seed.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use serde::Serialize;

/// What a run cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub(crate) struct Machine {
    /// Real time in s.
    pub(crate) wall_s: f64,
    /// Processor time of the thread that ran it, in s: others that are busy don't count.
    pub(crate) cpu_s: f64,
    /// The same per viewer-second, in microseconds.
    pub(crate) cpu_us_per_peer_second: f64,
    /// Memory of the process at its highest in this run.
    pub(crate) rss_mib: f64,
}

/// Runs while a run does.
#[derive(Debug)]
pub(crate) struct Meter {
    began: Instant,
    processor: Duration,
}

impl Meter {
    /// From now.
    pub(crate) fn start() -> Self {
        // Linux forgets the highest memory so far, where it lets us; else the highest of all runs is what we tell.
        let _ = std::fs::write("/proc/self/clear_refs", "5");
        Self { began: Instant::now(), processor: processor() }
    }

    /// Until now.
    pub(crate) fn stop(self, peer_seconds: f64) -> Machine {
        let cpu_s = processor().saturating_sub(self.processor).as_secs_f64();
        Machine {
            wall_s: self.began.elapsed().as_secs_f64(),
            cpu_s,
            cpu_us_per_peer_second: cpu_s * 1e6 / peer_seconds.max(1.0),
            rss_mib: peak_rss_mib(),
        }
    }
}

fn processor() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs() as u32)
}

fn peak_rss_mib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"));
    line.and_then(|l| l.split_whitespace().next()?.parse::<f64>().ok()).map_or(0.0, |kib| kib / 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_costs_no_processor_time() {
        let meter = Meter::start();
        std::thread::sleep(Duration::from_millis(50));
        let cost = meter.stop(0.0);
        assert!(cost.wall_s >= 0.05 && cost.cpu_s < 0.04, "{cost:?}");
        assert!(cost.rss_mib > 1.0, "{cost:?}");
    }
}
