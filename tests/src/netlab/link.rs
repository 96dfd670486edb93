//! Access links.

use super::command::run;

use anyhow::{Result, ensure};

/// A rate in Mbit/s.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Mbits(pub f64);

impl Mbits {
    /// In bit/s.
    pub fn bits(self) -> f64 {
        self.0 * 1e6
    }
}

/// An access link as seen from its host. `None` leaves a direction unshaped.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Link {
    /// From the host.
    pub up: Option<Mbits>,
    /// To the host.
    pub down: Option<Mbits>,
    /// What the queue before a shaped direction holds, in ms of its rate.
    pub queue_ms: u32,
}

impl Link {
    /// A cable without limits.
    pub const UNSHAPED: Self = Self { up: None, down: None, queue_ms: 0 };

    /// The viewers' link of the benches: 2.1 Mbit/s up, 20 down.
    pub const VIEWER: Self = Self { up: Some(Mbits(2.1)), down: Some(Mbits(20.0)), queue_ms: 150 };

    /// The origin's link of the benches: 40 Mbit/s in all.
    pub const ORIGIN: Self = Self { up: Some(Mbits(40.0)), down: None, queue_ms: 100 };
}

/// Shapes what leaves through `device` in `namespace`.
pub(super) fn shape(namespace: &str, device: &str, rate: Option<Mbits>, queue_ms: u32) -> Result<()> {
    let Some(rate) = rate else {
        // Fails if there is nothing to delete, which is just as well.
        let _ = run("tc", &["-n", namespace, "qdisc", "del", "dev", device, "root"]);
        return Ok(());
    };
    ensure!(
        (0.01..=10_000.0).contains(&rate.0),
        "a link of {} Mbit/s can't be shaped: choose between 0.01 and 10000",
        rate.0
    );
    // The token bucket holds 4 ms, and at least two packets.
    let burst = (rate.bits() / 8.0 * 0.004).max(3200.0);
    run(
        "tc",
        &[
            "-n",
            namespace,
            "qdisc",
            "replace",
            "dev",
            device,
            "root",
            "tbf",
            "rate",
            &format!("{:.0}bit", rate.bits()),
            "burst",
            &format!("{burst:.0}"),
            "latency",
            &format!("{}ms", queue_ms.max(1)),
        ],
    )?;
    Ok(())
}
