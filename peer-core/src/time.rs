//! Time as the engine sees it: an argument, never a clock.

use core::ops::{Add, AddAssign, Sub};
pub use core::time::Duration;

/// Microseconds since a moment that the shell chose once and keeps. Monotonic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Instant(u64);

impl Instant {
    /// The shell's own zero.
    pub const ZERO: Self = Self(0);
    /// Later than anything that happens.
    pub const NEVER: Self = Self(u64::MAX);

    /// So many microseconds after zero.
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// Microseconds after zero.
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// Time passed since `earlier`; zero if that lies ahead.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }

    /// So much earlier, at the earliest zero.
    pub fn minus(self, d: Duration) -> Self {
        Self(self.0.saturating_sub(micros(d)))
    }
}

/// The product, or the most that there is room for. WebAssembly has no instruction for it: its code is worth having once.
#[cfg_attr(target_arch = "wasm32", inline(never))]
#[cfg_attr(not(target_arch = "wasm32"), inline)]
pub fn times(a: u64, b: u64) -> u64 {
    a.saturating_mul(b)
}

/// Whole milliseconds. `Duration::as_millis` would bring 128-bit division along, a kilobyte of code for every viewer.
pub fn millis(d: Duration) -> u64 {
    times(d.as_secs(), 1000).saturating_add(u64::from(d.subsec_millis()))
}

/// Whole microseconds.
pub fn micros(d: Duration) -> u64 {
    times(d.as_secs(), 1_000_000).saturating_add(u64::from(d.subsec_micros()))
}

impl Add<Duration> for Instant {
    type Output = Self;
    fn add(self, d: Duration) -> Self {
        Self(self.0.saturating_add(micros(d)))
    }
}

impl AddAssign<Duration> for Instant {
    fn add_assign(&mut self, d: Duration) {
        *self = *self + d;
    }
}

impl Sub for Instant {
    type Output = Duration;
    fn sub(self, earlier: Self) -> Duration {
        self.since(earlier)
    }
}

/// Bytes per second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rate(u64);

impl Rate {
    /// So many bytes per second.
    pub const fn new(bytes_per_second: u64) -> Self {
        Self(bytes_per_second)
    }

    /// The rate at which `bytes` pass in `time`.
    pub fn of(bytes: u64, time: Duration) -> Self {
        Self(times(bytes, 1_000_000) / micros(time).max(1))
    }

    /// Bytes per second.
    pub const fn bytes_per_second(self) -> u64 {
        self.0
    }

    /// How long `bytes` take at this rate.
    pub fn time_for(self, bytes: u64) -> Duration {
        Duration::from_micros(times(bytes, 1_000_000) / self.0.max(1))
    }
}
