//! Counters, in Prometheus' text format.

use std::fmt::Write;
use std::sync::Arc;

use rillcast_protocol::signal::Report;
pub use rillcast_relay::Count;
use rillcast_relay::Counters;

macro_rules! metrics {
    ($($kind:ident $name:ident $help:literal),* $(,)?) => {
        /// All of the server's counters and gauges.
        #[derive(Debug, Default)]
        pub struct Metrics {
            $(#[doc = $help] pub $name: Count,)*
            /// Of STUN and TURN.
            pub relay: Arc<Counters>,
        }

        impl Metrics {
            /// The text that Prometheus reads.
            pub fn render(&self) -> String {
                let mut text = String::with_capacity(4096);
                $(
                    let name = concat!("rillcast_", stringify!($name));
                    let _ = writeln!(text, "# HELP {name} {}\n# TYPE {name} {}\n{name} {}",
                        $help, stringify!($kind), self.$name.value());
                )*
                for (name, kind, help, value) in Counters::SERIES {
                    let value = value(&self.relay);
                    let _ = writeln!(text, "# HELP rillcast_{name} {help}\n# TYPE rillcast_{name} {kind}\nrillcast_{name} {value}");
                }
                text
            }
        }
    };
}

metrics! {
    gauge connections "Open TCP connections.",
    gauge peers "Peers that have joined and not left.",
    gauge seeds "Seeds among them.",
    gauge swarms "Swarms, just deserted ones included.",
    counter connections_refused_total "Connections closed for lack of room.",
    counter joins_total "Joins accepted.",
    counter joins_refused_total "Joins refused.",
    counter tokens_refused_total "Joins refused for want of a valid token.",
    counter token_memory_full_total "Joins refused because no more tokens can be remembered.",
    counter joins_barred_total "Joins refused by a revocation or a rule.",
    counter joins_over_quota_total "Joins refused because an address, a token or a site has used up its share.",
    counter sent_away_total "Peers sent away by a revocation or a rule after they had joined.",
    counter tickets_total "Tickets signed.",
    counter revocation_lists_total "Lists of revoked tickets signed.",
    counter receipts_total "Receipts of others that peers have shown.",
    counter receipts_refused_total "Receipts that weren't good, or too many.",
    counter receipts_bytes_total "Media bytes between peers that receivers have signed for.",
    counter accusations_total "Peers' words that another has sent a false block.",
    counter quarantined_total "Peers sent away because most of their neighbours accused them.",
    counter messages_total "Messages from peers.",
    counter introductions_total "Pairs introduced.",
    counter relayed_total "Messages relayed.",
    counter relays_refused_total "Messages to peers that the sender wasn't introduced to.",
    counter wants_refused_total "Requests for introductions above the limit.",
    counter throttled_total "Pauses in reading from peers that were too fast.",
    counter cut_rate_total "Peers cut for being far too fast.",
    counter cut_slow_total "Peers cut for reading too slowly.",
    counter cut_idle_total "Peers cut for silence.",
    counter cut_malformed_total "Peers cut for a message that couldn't be read.",
    counter digests_total "Digests of the built-in publisher.",
    counter digests_from_seeds_total "Digests of seeds.",
    counter digests_refused_total "Digests of seeds with a wrong signature, key or swarm.",
    counter disputes_total "Segments of which two publishers say different things.",
    counter digests_sent_total "Digests sent to peers.",
    counter conflicts_total "Segments that came again with other bytes.",
    counter publisher_skipped_total "Segments that the built-in publisher couldn't get.",
    counter publisher_failing_total "Playlists that the built-in publisher couldn't get or read.",
    counter publisher_source_bytes_total "Media bytes that the built-in publisher fetched from origins.",
    counter hosted_served_bytes_total "Media bytes handed on from the built-in publisher.",
    counter hosted_gone_total "Requests for hosted bytes that were gone.",
    counter bundle_requests_total "Requests for the browser bundle.",
    counter viewer_source_bytes_total "Reported by viewers: media bytes from origin or CDN.",
    counter viewer_publisher_bytes_total "Reported by viewers: media bytes from the built-in publisher.",
    counter viewer_peer_bytes_total "Reported by viewers: media bytes from viewers.",
    counter viewer_seed_bytes_total "Reported by viewers: media bytes from seeds.",
    counter viewer_uploaded_bytes_total "Reported by viewers: media bytes given to others.",
    counter viewer_played_bytes_total "Reported by viewers: media bytes handed to the player.",
    counter viewer_stalls_total "Reported by viewers: stalls.",
    counter viewer_stall_ms_total "Reported by viewers: milliseconds stalled.",
    counter viewer_played_ms_total "Reported by viewers: milliseconds played.",
}

/// Most bytes believed of one report's growth: a viewer that claims more is counted as having brought this much.
pub(crate) const BELIEVED: u64 = 1 << 32;

impl Metrics {
    /// Adds what a viewer reports beyond its previous report.
    pub fn report(&self, before: &Report, now: &Report) {
        let grown = |now: u64, before: u64| now.saturating_sub(before).min(BELIEVED);
        self.viewer_source_bytes_total.add(grown(now.source_bytes, before.source_bytes));
        self.viewer_publisher_bytes_total.add(grown(now.publisher_bytes, before.publisher_bytes));
        self.viewer_peer_bytes_total.add(grown(now.peer_bytes, before.peer_bytes));
        self.viewer_seed_bytes_total.add(grown(now.seed_bytes, before.seed_bytes));
        self.viewer_uploaded_bytes_total.add(grown(now.uploaded_bytes, before.uploaded_bytes));
        self.viewer_played_bytes_total.add(grown(now.played_bytes, before.played_bytes));
        self.viewer_stalls_total.add(grown(now.stalls.into(), before.stalls.into()));
        self.viewer_stall_ms_total.add(grown(now.stall_ms.into(), before.stall_ms.into()));
        self.viewer_played_ms_total.add(grown(now.played_ms, before.played_ms));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_add_their_growth_and_never_run_backwards() {
        let metrics = Metrics::default();
        let report = |n| Report { peer_bytes: n, ..Report::default() };
        metrics.report(&Report::default(), &report(10));
        metrics.report(&report(10), &report(15));
        metrics.report(&report(15), &report(3));
        metrics.report(&report(3), &report(u64::MAX));
        assert_eq!(metrics.viewer_peer_bytes_total.value(), 15 + BELIEVED);
        assert!(metrics.render().contains("# TYPE rillcast_viewer_peer_bytes_total counter"));
    }
}
