//! What of the engine can be switched off, to see what it brings: for experiments, in builds with the feature `switches` alone. Elsewhere all
//! is on, and asking costs nothing.

/// A mechanism of the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mechanism {
    /// Who holds a block offers it; without, live too everybody asks for what it lacks.
    Offers,
    /// A receiver takes another block than the one offered, if it needs that more.
    Choice,
    /// Neighbours are told what is lacking when it is needed soon.
    Reminders,
    /// The block that fewest have goes to whoever passes it on fastest; without, to anybody.
    FastestFirst,
    /// Some fetch new segments from the source for all; without, everybody waits for its guard.
    Election,
    /// Strong uplinks are elected rather.
    Weights,
    /// The publisher's copy is handed on.
    PublisherCopy,
    /// What peers failed to bring of late is fetched by some early.
    EarlyCopies,
    /// The guard's margin follows what happens.
    AdaptiveGuard,
    /// Neighbours tell of their neighbours.
    Gossip,
    /// Partners are exchanged for better ones.
    Exchange,
    /// Strong uplinks have more links.
    UplinkLinks,
    /// Those near by are preferred, offices share inside.
    Locality,
    /// Idle uplinks spread other renditions.
    Helping,
}

impl Mechanism {
    /// All of them, by name.
    pub const ALL: [(&str, Self); 14] = [
        ("offers", Self::Offers),
        ("choice", Self::Choice),
        ("reminders", Self::Reminders),
        ("fastest-first", Self::FastestFirst),
        ("election", Self::Election),
        ("weights", Self::Weights),
        ("publisher-copy", Self::PublisherCopy),
        ("early-copies", Self::EarlyCopies),
        ("adaptive-guard", Self::AdaptiveGuard),
        ("gossip", Self::Gossip),
        ("exchange", Self::Exchange),
        ("uplink-links", Self::UplinkLinks),
        ("locality", Self::Locality),
        ("helping", Self::Helping),
    ];
}

/// Which mechanisms are off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Switches {
    #[cfg(feature = "switches")]
    off: u32,
}

impl Switches {
    /// With one more off.
    #[cfg(feature = "switches")]
    #[must_use]
    pub fn without(self, mechanism: Mechanism) -> Self {
        Self { off: self.off | 1 << mechanism as u32 }
    }

    /// Whether a mechanism is on.
    #[cfg(feature = "switches")]
    #[inline]
    pub fn has(self, mechanism: Mechanism) -> bool {
        self.off & 1 << mechanism as u32 == 0
    }

    /// Whether a mechanism is on: here all are.
    #[cfg(not(feature = "switches"))]
    #[inline]
    pub fn has(self, _: Mechanism) -> bool {
        true
    }
}
