//! Byte ranges (RFC 9110, section 14): one range per request; anything else is answered with the whole.

use std::ops::Range;

/// What a `Range` header asks of a body of known length.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Asked {
    /// All of it: no header, or one that this origin doesn't understand and may ignore.
    Whole,
    /// These bytes.
    Part(Range<usize>),
    /// Nothing that exists: 416.
    Nothing,
}

/// Reads a `Range` header's value against a body of `length` bytes.
pub(super) fn parse(header: &str, length: usize) -> Asked {
    let Some(set) = header.trim().strip_prefix("bytes=") else { return Asked::Whole };
    let Some((first, last)) = set.split_once('-') else { return Asked::Whole };
    let range = match (first.trim().parse::<usize>(), last.trim().parse::<usize>()) {
        (Ok(first), Ok(last)) if first <= last => first..last.saturating_add(1).min(length),
        (Ok(first), Err(_)) if last.trim().is_empty() => first..length,
        (Err(_), Ok(suffix)) if first.trim().is_empty() => length.saturating_sub(suffix)..length,
        _ => return Asked::Whole,
    };
    if range.start >= range.end { Asked::Nothing } else { Asked::Part(range) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_at_under_and_over_the_end() {
        assert_eq!(parse("bytes=0-8", 10), Asked::Part(0..9));
        assert_eq!(parse("bytes=0-9", 10), Asked::Part(0..10));
        assert_eq!(parse("bytes=0-10", 10), Asked::Part(0..10));
        assert_eq!(parse("bytes=9-", 10), Asked::Part(9..10));
        assert_eq!(parse("bytes=10-", 10), Asked::Nothing);
        assert_eq!(parse("bytes=10-11", 10), Asked::Nothing);
        assert_eq!(parse("bytes=-1", 10), Asked::Part(9..10));
        assert_eq!(parse("bytes=-11", 10), Asked::Part(0..10));
        assert_eq!(parse("bytes=-0", 10), Asked::Nothing);
        assert_eq!(parse("bytes=0-18446744073709551615", 10), Asked::Part(0..10));
    }

    #[test]
    fn what_is_not_one_range_means_the_whole() {
        for header in
            ["", "bytes", "bytes=", "bytes=-", "bytes=5-4", "bytes=0-1,3-4", "lines=0-1", "bytes=a-b"]
        {
            assert_eq!(parse(header, 10), Asked::Whole, "{header}");
        }
    }
}
