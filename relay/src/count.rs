//! Counters.

use std::sync::atomic::{AtomicU64, Ordering};

/// A number that others read.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// Adds to it.
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    /// Adds one.
    pub fn up(&self) {
        self.add(1);
    }

    /// Takes one away.
    pub fn down(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }

    /// Its value.
    pub fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Name, type, help, value.
pub type Series = (&'static str, &'static str, &'static str, fn(&Counters) -> u64);

/// What a server has done.
#[derive(Debug, Default)]
pub struct Counters {
    /// STUN requests answered.
    pub stun_answers_total: Count,
    /// STUN requests not answered.
    pub stun_dropped_total: Count,
    /// Relays.
    pub allocations: Count,
    /// Relays given.
    pub allocations_total: Count,
    /// Relays refused for want of room.
    pub refused_total: Count,
    /// Bytes relayed from clients to peers.
    pub sent_bytes_total: Count,
    /// Bytes relayed from peers to clients.
    pub received_bytes_total: Count,
    /// Datagrams not relayed: too many, not allowed, or from strangers.
    pub dropped_total: Count,
}

impl Counters {
    /// For Prometheus.
    pub const SERIES: [Series; 8] = [
        ("stun_answers_total", "counter", "STUN requests answered.", |c| c.stun_answers_total.value()),
        ("stun_dropped_total", "counter", "STUN requests not answered.", |c| c.stun_dropped_total.value()),
        ("turn_allocations", "gauge", "Relays now.", |c| c.allocations.value()),
        ("turn_allocations_total", "counter", "Relays given.", |c| c.allocations_total.value()),
        ("turn_refused_total", "counter", "Relays refused for want of room.", |c| c.refused_total.value()),
        ("turn_sent_bytes_total", "counter", "Bytes relayed from clients to peers.", |c| {
            c.sent_bytes_total.value()
        }),
        ("turn_received_bytes_total", "counter", "Bytes relayed from peers to clients.", |c| {
            c.received_bytes_total.value()
        }),
        (
            "turn_dropped_total",
            "counter",
            "Datagrams not relayed: too many, not allowed, or from strangers.",
            |c| c.dropped_total.value(),
        ),
    ];
}
