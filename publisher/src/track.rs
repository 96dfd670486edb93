//! A track's name, as every program derives it from its playlist's URL.

use rillcast_protocol::id::{TrackId, canonical_path};

/// The first 8 bytes, big-endian, of the BLAKE3 hash of the playlist URL's canonical path.
pub fn track_id(playlist_url: &str) -> TrackId {
    let hash = blake3::hash(canonical_path(playlist_url).as_bytes());
    let mut head = [0; 8];
    head.copy_from_slice(&hash.as_bytes()[..8]);
    TrackId(u64::from_be_bytes(head))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_tokens_name_the_same_track_and_paths_another() {
        let one = track_id("http://a.example/live/700.m3u8?token=1");
        assert_eq!(one, track_id("https://cdn.example:8443/live/700.m3u8"));
        assert_ne!(one, track_id("http://a.example/live/380.m3u8"));
        // A golden value: browsers compute the same.
        assert_eq!(one, TrackId(GOLDEN));
    }

    const GOLDEN: u64 = 3_398_966_108_084_185_409;
}
