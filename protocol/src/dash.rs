//! What tracks and segments of DASH are called, so that whoever plays, seeds or signs a stream calls them the same.
//!
//! HLS numbers its segments; MPDs needn't, begin anew in each Period, and hide their numbers from most players' loaders. What each of those sees
//! is *when* a segment begins. So a DASH segment is called by that, however its MPD addresses it (`$Number$`, `$Time$`, a list):
//!
//! - The **track** is a Representation: [`address`] of the MPD's URL, as the player was given it (not where it was redirected to), and the
//!   Representation's `@id`, which is unique in its Period and stays the same from one Period to the next. Its name is hashed from
//!   [`canonical_path`](crate::id::canonical_path) of that, `#` and [`representation`].
//! - The **start** is the segment's on the presentation's timeline, in seconds: PeriodStart + (`S@t` − `@presentationTimeOffset`) / `@timescale`,
//!   or PeriodStart + index · `@duration` / `@timescale`. dash.js has it as a request's `startTime`, Shaka as a reference's `startTime`.
//! - The **longest** is `MPD@maxSegmentDuration`; in an MPD without one, the longest segment of that Representation in the Period.
//!
//! [`segment_key`] makes a key of these. Its number counts steps of a grid a little finer than segments are long: engines reckon with numbers, two
//! of which should be neighbours where their segments are, in every track and across Periods. What is lost by that stands in the
//! discontinuity, with the Period's start: two segments have one name only if they begin in the same millisecond of the same Period.

use crate::id::{SegmentKey, TrackId};

/// Stands in an address's fragment before the Representation's id.
pub const REPRESENTATION: &str = "representation=";

/// Milliseconds are cut off behind so much more. Times are multiples of 1/90, 1/48 and the like of them, none of which lies where this would make
/// the rounding of a fraction count.
const SHIFT_MS: f64 = 0.367_85;
/// A grid is at most this part of the longest segment.
const FINER: f64 = 0.84;
/// Exponents of the square root of two, in seconds: from 62 ms to 64 s.
const STEPS: (i32, i32) = (-8, 12);

/// Where a Representation is found: its MPD's URL without fragment, and its id as `encodeURIComponent` writes it.
pub fn address(manifest: &str, id: &str) -> String {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let plain = manifest.split('#').next().unwrap_or_default();
    let mut address = String::with_capacity(plain.len() + REPRESENTATION.len() + id.len() + 1);
    address.push_str(plain);
    address.push('#');
    address.push_str(REPRESENTATION);
    for byte in id.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.!~*'()".contains(&byte) {
            address.push(char::from(byte));
        } else {
            address.push('%');
            address.push(char::from(HEX[usize::from(byte >> 4)]));
            address.push(char::from(HEX[usize::from(byte & 15)]));
        }
    }
    address
}

/// What of an address's fragment names a Representation, encoded; none in one that isn't of DASH.
pub fn representation(address: &str) -> Option<&str> {
    address.split_once('#')?.1.strip_prefix(REPRESENTATION)
}

/// The id of the Representation that an address names.
pub fn representation_id(address: &str) -> Option<String> {
    let encoded = representation(address)?.as_bytes();
    let mut id = Vec::with_capacity(encoded.len());
    let mut at = 0;
    while let Some(byte) = encoded.get(at) {
        let digit = |at: usize| encoded.get(at).and_then(|d| char::from(*d).to_digit(16));
        match (byte, digit(at + 1), digit(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                id.push((high * 16 + low) as u8);
                at += 3;
            }
            (b'%', ..) => return None,
            _ => {
                id.push(*byte);
                at += 1;
            }
        }
    }
    String::from_utf8(id).ok()
}

/// Milliseconds of the grid on which segments of up to so many seconds are numbered: 1000 times the largest power of the square root of two that
/// is at most 0.84 of that; from 62 to 64,000.
pub fn grid_ms(longest_s: f64) -> u64 {
    let step = (2.0 * (FINER * longest_s).log2()).floor();
    // What is no number at all is as if nothing were known.
    let step = if step.is_finite() { step.clamp(f64::from(STEPS.0), f64::from(STEPS.1)) } else { 0.0 };
    (1000.0 * (step / 2.0).exp2()) as u64
}

/// The key of a segment, all times in seconds. What begins before the presentation does counts as beginning with it.
pub fn segment_key(track: TrackId, start_s: f64, period_s: f64, longest_s: f64) -> SegmentKey {
    let grid = grid_ms(longest_s);
    // A cast takes what is negative or no number for 0.
    let start_ms = (start_s * 1000.0 + SHIFT_MS) as u64;
    let period = (period_s + SHIFT_MS / 1000.0) as u64;
    // A grid is below 65.536 s.
    let within = (start_ms % grid) as u32;
    let discontinuity = within << 16 | (period & 0xffff) as u32;
    SegmentKey { track, number: start_ms / grid, discontinuity, part: 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACK: TrackId = TrackId(7);

    fn name(start_s: f64, period_s: f64, longest_s: f64) -> (u64, u32, u32) {
        let key = segment_key(TRACK, start_s, period_s, longest_s);
        (key.number, key.discontinuity >> 16, key.discontinuity & 0xffff)
    }

    // H10
    #[test]
    fn an_address_names_a_representation_and_one_of_hls_names_none() {
        let address = address("https://cdn.example/live.mpd?t=1#x", "video 1/hd+ä");
        assert_eq!(address, "https://cdn.example/live.mpd?t=1#representation=video%201%2Fhd%2B%C3%A4");
        assert_eq!(representation_id(&address).as_deref(), Some("video 1/hd+ä"));
        for other in ["https://cdn.example/live.m3u8", "/live.mpd#t=10", "/live.mpd"] {
            assert_eq!(representation(other), None, "{other}");
        }
        for broken in ["/l.mpd#representation=%", "/l.mpd#representation=%4", "/l.mpd#representation=%ff"] {
            assert_eq!(representation_id(broken), None, "{broken}");
        }
    }

    // Golden values: other programs compute the same.
    #[test]
    fn a_segments_name_is_when_it_begins() {
        assert_eq!([0.5, 1.0, 1.92, 2.0, 2.002].map(grid_ms), [353, 707, 1414, 1414, 1414]);
        assert_eq!([3.0, 4.0, 5.0, 6.0, 8.0, 10.0].map(grid_ms), [2000, 2828, 4000, 4000, 5656, 8000]);
        assert_eq!(name(0.0, 0.0, 2.0), (0, 0, 0));
        assert_eq!(name(2.0, 0.0, 2.0), (1, 586, 0));
        assert_eq!(name(1_764_231_600.0, 1_764_231_500.0, 4.0), (623_844_271, 1612, 2380));
        // 90 kHz and 48 kHz: a third of a millisecond, and sixty-fourths of one.
        assert_eq!(name(1.0 + 1.0 / 3000.0, 0.0, 1.0), (1, 293, 0));
        assert_eq!(name(95_232.0 / 48_000.0, 0.0, 2.0), (1, 570, 0));
    }

    #[test]
    fn segments_of_about_one_length_have_numbers_of_their_own_in_every_phase() {
        for longest in
            [0.5, 0.96, 1.0, 1.92, 2.0, 2.002, 3.2, 3.84, 4.0, 5.0, 6.0, 6.4, 8.0, 9.6, 10.0, 15.0, 30.0]
        {
            for phase in 0..40 {
                let start = |n: f64| longest * (f64::from(phase) / 40.0 + n);
                let numbers: Vec<_> = (0..50).map(|n| name(start(f64::from(n)), 0.0, longest).0).collect();
                let apart = |w: &[u64]| (1..=2).contains(&(w[1] - w[0]));
                assert!(numbers.windows(2).all(apart), "{longest} {phase}: {numbers:?}");
            }
        }
    }

    // H3
    #[test]
    fn no_time_is_too_long_short_or_odd() {
        assert_eq!((grid_ms(0.0), grid_ms(1e-9), grid_ms(1e9)), (1000, 62, 64_000));
        assert_eq!((grid_ms(f64::NAN), grid_ms(-1.0), grid_ms(f64::INFINITY)), (1000, 1000, 1000));
        assert_eq!(name(-0.1, 0.0, 2.0), (0, 0, 0));
        assert_eq!(name(f64::NAN, f64::NAN, f64::NAN), (0, 0, 0));
        let far = segment_key(TRACK, f64::INFINITY, f64::INFINITY, 64.0);
        assert_eq!(far.discontinuity & 0xffff, 0xffff);
    }
}
