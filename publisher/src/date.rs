//! Dates and lengths of time as ISO 8601 has them: in HLS playlists, in DASH manifests, in schedules.

use std::time::SystemTime;

/// Longest length of time that counts, in microseconds: what is said to last longer is a mistake.
pub const MAX_SPAN_US: u64 = 100 * 366 * 86_400 * 1_000_000;

/// Milliseconds since 1970 of a date as encoders write it: with `Z`, an offset such as `+0100` or `+01:00`, or nothing, which is UTC.
pub fn date(text: &str) -> Option<u64> {
    let (day, time) = text.split_once(['T', ' '])?;
    let cut = time.find(['Z', 'z', '+', '-']).unwrap_or(time.len());
    let (time, zone) = time.split_at(cut);
    let utc = humantime::parse_rfc3339(&format!("{day}T{time}Z")).ok()?;
    let utc = utc.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    let minutes = match zone {
        "" | "Z" | "z" => 0,
        zone => offset_minutes(zone)?,
    };
    utc.as_millis().try_into().ok().and_then(|ms: u64| ms.checked_add_signed(-minutes * 60_000))
}

/// `+01:00` or `-0330` in minutes.
pub fn offset_minutes(zone: &str) -> Option<i64> {
    let (sign, digits) = match zone.split_at_checked(1)? {
        ("+", digits) => (1, digits),
        ("-", digits) => (-1, digits),
        _ => return None,
    };
    let digits = digits.replace(':', "");
    if digits.len() != 4 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let (hours, minutes): (i64, i64) = (digits[..2].parse().ok()?, digits[2..].parse().ok()?);
    (hours < 24 && minutes < 60).then_some(sign * (60 * hours + minutes))
}

/// Microseconds of a length of time such as `PT1H2M3.5S` (XML Schema's duration). A year is one of 365 days, a month one of 30, as players
/// have it; what is negative, or more than [`MAX_SPAN_US`], is refused.
pub fn span_us(text: &str) -> Option<u64> {
    let rest = text.trim().strip_prefix('P')?;
    let (days, clock) = rest.split_once('T').unwrap_or((rest, ""));
    if rest.is_empty() || rest.ends_with('T') {
        return None;
    }
    let date = fields(days, &[('Y', 365 * 86_400), ('M', 30 * 86_400), ('D', 86_400)])?;
    let time = fields(clock, &[('H', 3600), ('M', 60), ('S', 1)])?;
    date.checked_add(time).filter(|us| *us <= MAX_SPAN_US)
}

/// Numbers with their units, each unit once at most and in this order.
fn fields(mut text: &str, units: &[(char, u64)]) -> Option<u64> {
    let mut sum = 0u64;
    for (unit, seconds) in units {
        let Some(at) = text.find(*unit) else { continue };
        sum = sum.checked_add(micros(&text[..at])?.checked_mul(*seconds)?)?;
        text = &text[at + 1..];
    }
    text.is_empty().then_some(sum)
}

/// A decimal number of seconds in microseconds; what is finer is cut off.
fn micros(text: &str) -> Option<u64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(fraction) {
        return None;
    }
    let six: String = fraction.chars().chain("000000".chars()).take(6).collect();
    whole.parse::<u64>().ok()?.checked_mul(1_000_000)?.checked_add(six.parse().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_with_and_without_a_zone_are_read() {
        for (text, ms) in [
            ("1970-01-01T00:00:00Z", 0),
            ("1970-01-01T00:00:01.5", 1500),
            ("1970-01-01T01:00:00+01:00", 0),
            ("1970-01-01T00:00:00-0030", 1_800_000),
        ] {
            assert_eq!(date(text), Some(ms), "{text}");
        }
        for text in ["", "now", "1969-12-31T23:59:59Z", "1970-01-01T00:00:00+1", "1970-13-01T00:00:00Z"] {
            assert_eq!(date(text), None, "{text}");
        }
    }

    #[test]
    fn lengths_of_time_are_read_to_the_microsecond() {
        for (text, us) in [
            ("PT0S", 0),
            ("PT2S", 2_000_000),
            ("PT2.5S", 2_500_000),
            ("PT0.0000019S", 1),
            ("PT1H2M3.5S", 3_723_500_000),
            ("P1DT1S", 86_401_000_000),
            ("P1M", 30 * 86_400_000_000),
            ("P1Y", 365 * 86_400_000_000),
            ("PT1482231474.375S", 1_482_231_474_375_000),
        ] {
            assert_eq!(span_us(text), Some(us), "{text}");
        }
        for text in [
            "", "P", "PT", "P1DT", "-PT1S", "PT-1S", "2", "PT1", "PTS", "PT.5S", "PT1S2M", "PT1e9S", "PT1M1M",
        ] {
            assert_eq!(span_us(text), None, "{text}");
        }
    }

    #[test]
    fn no_length_of_time_is_beyond_the_limit() {
        let seconds = MAX_SPAN_US / 1_000_000;
        assert_eq!(span_us(&format!("PT{}S", seconds - 1)), Some(MAX_SPAN_US - 1_000_000));
        assert_eq!(span_us(&format!("PT{seconds}S")), Some(MAX_SPAN_US));
        assert_eq!(span_us(&format!("PT{seconds}.000001S")), None);
        assert_eq!(span_us("P99999999999999999999Y"), None);
    }
}
