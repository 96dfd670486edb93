//! A track's name, as every program derives it from its playlist's URL.

use rillcast_protocol::dash::{REPRESENTATION, representation};
use rillcast_protocol::id::{TrackId, canonical_path};

/// The first 8 bytes, big-endian, of the BLAKE3 hash of the playlist URL's canonical path; in DASH with what names the Representation
/// ([`rillcast_protocol::dash`]). No path has a `#` in it, so HLS and DASH never have one name.
pub fn track_id(playlist_url: &str) -> TrackId {
    let mut hasher = blake3::Hasher::new();
    hasher.update(canonical_path(playlist_url).as_bytes());
    if let Some(representation) = representation(playlist_url) {
        hasher.update(b"#").update(REPRESENTATION.as_bytes()).update(representation.as_bytes());
    }
    let mut head = [0; 8];
    head.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
    TrackId(u64::from_be_bytes(head))
}

#[cfg(test)]
mod tests {
    use rillcast_protocol::dash::address;

    use super::*;

    #[test]
    fn hosts_and_tokens_name_the_same_track_and_paths_another() {
        let one = track_id("http://a.example/live/700.m3u8?token=1");
        assert_eq!(one, track_id("https://cdn.example:8443/live/700.m3u8"));
        assert_ne!(one, track_id("http://a.example/live/380.m3u8"));
        // A golden value: browsers compute the same.
        assert_eq!(one, TrackId(GOLDEN));
    }

    // H10
    #[test]
    fn each_representation_is_a_track_and_other_fragments_are_none() {
        let of = |manifest: &str, id: &str| track_id(&address(manifest, id));
        let one = of("http://a.example/live.mpd?token=1", "v1");
        assert_eq!(one, of("https://cdn.example:8443/live.mpd#t=3", "v1"));
        for other in [of("http://a.example/live.mpd", "v2"), track_id("http://a.example/live.mpd")] {
            assert_ne!(one, other);
        }
        assert_eq!(track_id("http://a.example/live.mpd#t=3"), track_id("http://a.example/live.mpd"));
        assert_eq!(one, TrackId(GOLDEN_DASH));
    }

    const GOLDEN: u64 = 3_398_966_108_084_185_409;
    const GOLDEN_DASH: u64 = 5_206_201_562_795_029_550;
}
