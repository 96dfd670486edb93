//! A seed node's settings file.

use rillcast_seed::config::{MAX_MANIFESTS, MIN_MEMORY, Options};

/// Reads a file and settles it.
pub fn run(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    let Ok(options) = toml::from_str::<Options>(text) else { return };
    let insecure_open = options.insecure_open;
    let Ok(settings) = options.settle() else { return };
    assert!((1..=MAX_MANIFESTS).contains(&settings.manifests.len()));
    assert!(settings.memory >= MIN_MEMORY && settings.max_links > 0);
    assert!(matches!(settings.signal.scheme(), "ws" | "wss"));
    for address in [Some(settings.udp), settings.metrics].into_iter().flatten() {
        assert!(insecure_open || address.ip().to_canonical().is_loopback());
    }
}
