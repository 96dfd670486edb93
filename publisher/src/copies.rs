//! Copies of segments that outlast the program: what was fetched and signed once needn't be fetched again after a restart.
//!
//! The owner brings the place where they lie. A copy is only ever used for the place of the origin that it came from, and while it can
//! still be of the playlist that names it.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rillcast_protocol::digest::SegmentDigest;
use rillcast_protocol::id::{SegmentKey, SwarmId};

use crate::ledger::Place;
use crate::playlist::Playlist;

/// A live segment's copy may be so much older than its place in the playlist says: its encoder may have stood still, and clocks differ.
const LATE: Duration = Duration::from_secs(30);

/// Which copy is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The swarm.
    pub swarm: SwarmId,
    /// The segment.
    pub key: SegmentKey,
    /// Where the playlist says that its bytes are.
    pub place: Place,
    /// The playing time that the playlist states, in milliseconds.
    pub duration_ms: u32,
    /// An older one is of something else that once had this name.
    pub oldest: Option<Duration>,
}

/// Whether a segment is one that this node is to hold.
pub type Ours = Arc<dyn Fn(&SegmentKey) -> bool + Send + Sync>;

/// A place where copies lie.
pub trait Copies: Debug + Send + Sync {
    /// Bytes of a copy, if there seems to be one. Cheap: nothing is read.
    fn length(&self, swarm: SwarmId, key: SegmentKey) -> Option<u64>;

    /// Reads a copy. `None` unless its bytes match their digest and that is signed with our key. May block.
    fn read(&self, wanted: &Wanted) -> Option<(SegmentDigest, Bytes)>;

    /// Keeps a copy of what was just signed, if there is room. Doesn't block.
    fn keep(&self, place: Place, digest: &SegmentDigest, body: &Bytes);

    /// The name has got another meaning. Doesn't block.
    fn forget(&self, swarm: SwarmId, key: SegmentKey);

    /// Of a swarm's segments these are this node's to hold; other seeds hold the rest, which may make room first. Replaces what was said before.
    fn place(&self, _swarm: SwarmId, _ours: Ours) {}
}

/// How old a copy of the playlist's segment with this index can be. A live playlist tells when its segments came; an older copy under
/// the same name is from before its encoder started again. What a finished one names doesn't change.
pub(crate) fn oldest(playlist: &Playlist, index: usize) -> Option<Duration> {
    if playlist.ended {
        return None;
    }
    let later = playlist.segments.get(index..).unwrap_or_default();
    let played: u64 = later.iter().map(|segment| u64::from(segment.duration_ms)).sum();
    Some(Duration::from_millis(played + 2 * u64::from(playlist.target_ms)) + LATE)
}

#[cfg(test)]
mod tests {
    use reqwest::Url;
    use rillcast_protocol::id::TrackId;

    use super::*;

    #[test]
    fn a_live_segments_copy_is_as_old_as_its_place_in_the_playlist_says() {
        let base = Url::parse("http://o.example/v.m3u8").expect("a URL");
        let text = "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\n0.ts\n#EXTINF:4,\n1.ts\n";
        let live = Playlist::parse(TrackId(1), &base, text.as_bytes()).expect("a playlist");
        assert_eq!(oldest(&live, 0), Some(Duration::from_secs(8 + 8) + LATE));
        assert_eq!(oldest(&live, 1), Some(Duration::from_secs(4 + 8) + LATE));
        let ended = format!("{text}#EXT-X-ENDLIST\n");
        let film = Playlist::parse(TrackId(1), &base, ended.as_bytes()).expect("a playlist");
        assert_eq!(oldest(&film, 0), None);
    }
}
