//! A seed node's settings file, and the schedule of a channel.

use std::path::Path;

use rillcast_seed::channel::schedule::{MAX_ITEMS, Schedule};
use rillcast_seed::config::{MAX_MANIFESTS, MIN_MEMORY, Options};

/// Reads a file and settles it.
pub fn run(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    if let Ok(schedule) = Schedule::parse(text, Path::new("films")) {
        assert!((1..=MAX_ITEMS + 1).contains(&schedule.films.len()));
    }
    let Ok(options) = toml::from_str::<Options>(text) else { return };
    let (insecure_open, token) = (options.insecure_open, options.token_file.is_some());
    let Ok(settings) = options.settle() else { return };
    assert!(settings.manifests.len() <= MAX_MANIFESTS);
    assert!(!settings.manifests.is_empty() || settings.ingest.is_some());
    assert!(settings.manifests.is_empty() || settings.signal.is_some());
    assert!(settings.memory >= MIN_MEMORY && settings.max_links > 0);
    assert!(settings.signal.is_none_or(|signal| matches!(signal.scheme(), "ws" | "wss")));
    // Whoever reaches them is asked who it is: viewers by their tickets where the node has a token, encoders by the streams' keys.
    let udp = Some(settings.udp).filter(|_| !token);
    let ingest = settings.ingest.iter().filter(|ingest| ingest.keys.is_none());
    let ingest = ingest.flat_map(|ingest| ingest.addresses());
    for address in ingest.chain([udp, settings.metrics, settings.agent].into_iter().flatten()) {
        assert!(insecure_open || address.ip().to_canonical().is_loopback());
    }
}
