//! The stream in parts (LL-HLS): which of them there are, and what is waited for.

use std::time::{Duration, SystemTime};

use super::Shared;
use super::resource::{Packaging, Resource};

/// Parts of each segment.
pub(super) const PARTS: u64 = 4;
/// Nobody waits for what comes later than so many segments.
const SEGMENTS: u32 = 3;

/// What a part plays.
pub(super) fn length(shared: &Shared) -> Duration {
    Duration::from_secs(shared.library.segment_seconds().into()) / PARTS as u32
}

/// Parts that there are by now, counted from the first one of segment 0.
pub(super) fn there(shared: &Shared) -> u64 {
    let age = SystemTime::now().duration_since(shared.epoch).unwrap_or_default();
    (age.as_micros() / length(shared).as_micros()) as u64
}

/// How long a request has to wait for what it asks for: a part that is hinted at, or a playlist with one (RFC 8216bis, 6.2.5.2).
pub(super) fn wait(shared: &Shared, path: &str, query: &str) -> Option<Duration> {
    let asked = match Resource::parse(path)? {
        Resource::Part { number, part, .. } => number.checked_mul(PARTS)?.checked_add(part)?,
        Resource::Playlist(stream, _) if stream.packaging == Packaging::Parts => {
            let value =
                |name: &str| query.split('&').find_map(|pair| pair.strip_prefix(name)?.parse::<u64>().ok());
            // Without a part the whole segment is meant.
            let part = value("_HLS_part=").unwrap_or(PARTS - 1);
            value("_HLS_msn=")?.checked_mul(PARTS)?.checked_add(part)?.checked_add(1)?
        }
        _ => return None,
    };
    let after = length(shared).checked_mul(u32::try_from(asked).ok()?)?;
    let wait = (shared.epoch + after).duration_since(SystemTime::now()).ok()?;
    let longest = SEGMENTS * Duration::from_secs(shared.library.segment_seconds().into());
    // Timers may be early by a little.
    (wait <= longest).then_some(wait + Duration::from_millis(1))
}
