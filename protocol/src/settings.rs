//! What a site allows its viewers. Sent on joining and again whenever the operator changes something.

use crate::coding::{List, Text};
use crate::wire_struct;

wire_struct! {
    /// One STUN or TURN server.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct IceServer {
        /// `stun:host:port` or `turn:host:port?transport=udp`.
        pub url: Text<256>,
        /// Empty for STUN.
        pub username: Text<256>,
        /// Empty for STUN.
        pub credential: Text<256>,
    }
}

impl IceServer {
    /// Whether it relays.
    pub fn relays(&self) -> bool {
        self.url.as_str().starts_with("turn")
    }
}

wire_struct! {
    /// A site's settings as one peer gets them.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Settings {
        /// Off is the remote kill switch: drop every link at once, play from the source alone.
        pub enabled: bool,
        /// This viewer is in the holdout group: counted, but left without peers.
        pub holdout: bool,
        /// Upload allowed per byte downloaded, in hundredths (200 = ratio 2.0); 0 shares nothing.
        pub ratio_percent: u16,
        /// Upload rate cap in bytes/s; 0 is no cap.
        pub upload_cap: u32,
        /// All that viewers upload yields to everything else on their uplinks.
        pub yields: bool,
        /// Open links a browser may have.
        pub max_links: u8,
        /// STUN and TURN.
        pub ice: List<IceServer, 8>,
        /// Link through relays only, so that no peer learns this one's address. Without TURN there are no links then.
        pub relay_only: bool,
        /// Seconds between two reports of a viewer's counters; 0 is never.
        pub report_secs: u16,
        /// Seconds that tickets count on after their time while the server can't be reached.
        pub grace_secs: u32,
    }
}

impl Settings {
    /// Whether links may go through a relay.
    pub fn has_relays(&self) -> bool {
        self.ice.iter().any(IceServer::relays)
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            enabled: true,
            holdout: false,
            ratio_percent: 200,
            upload_cap: 0,
            yields: false,
            max_links: 24,
            ice: List::clipped([]),
            relay_only: false,
            report_secs: 10,
            grace_secs: 3600,
        }
    }
}
