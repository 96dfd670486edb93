//! Which bytes of a segment a request asks for (RFC 9110, 14).

use std::ops::Range;

use axum::http::header::{self, HeaderMap};
use http_range_header::parse_range_header;

/// What to answer with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// 200: all of it.
    Whole,
    /// 206: these bytes.
    Range(Range<u64>),
    /// 416: there are no such bytes.
    Unsatisfiable,
}

/// What these headers ask of something of that length. Several ranges at once, what can't be read and what depends on a validator are
/// answered with all of it, as the RFC allows.
pub fn asked(headers: &HeaderMap, length: u64) -> Part {
    let Some(value) = headers.get(header::RANGE).filter(|_| !headers.contains_key(header::IF_RANGE)) else {
        return Part::Whole;
    };
    let Some(parsed) = value.to_str().ok().and_then(|text| parse_range_header(text).ok()) else {
        return Part::Whole;
    };
    match parsed.validate(length).as_deref() {
        Ok([one]) => Part::Range(*one.start()..*one.end() + 1),
        Ok(_) => Part::Whole,
        Err(_) if value.as_bytes().contains(&b',') => Part::Whole,
        Err(_) => Part::Unsatisfiable,
    }
}

/// Whether exactly these bytes are asked for.
pub fn is_exactly(headers: &HeaderMap, range: &Range<u64>) -> bool {
    let value = headers.get(header::RANGE).and_then(|value| value.to_str().ok());
    value == Some(&format!("bytes={}-{}", range.start, range.end.saturating_sub(1)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn of_a_hundred(range: &'static str) -> Part {
        let mut headers = HeaderMap::new();
        headers.insert(header::RANGE, HeaderValue::from_static(range));
        asked(&headers, 100)
    }

    #[test]
    fn single_ranges_at_under_and_over_the_limits() {
        for (range, part) in [
            ("bytes=0-", Part::Range(0..100)),
            ("bytes=0-0", Part::Range(0..1)),
            ("bytes=0-98", Part::Range(0..99)),
            ("bytes=0-99", Part::Range(0..100)),
            ("bytes=0-100", Part::Range(0..100)),
            ("bytes=99-", Part::Range(99..100)),
            ("bytes=100-", Part::Unsatisfiable),
            ("bytes=100-200", Part::Unsatisfiable),
            ("bytes=-1", Part::Range(99..100)),
            ("bytes=-100", Part::Range(0..100)),
            ("bytes=-101", Part::Range(0..100)),
            ("bytes=-0", Part::Unsatisfiable),
        ] {
            assert_eq!(of_a_hundred(range), part, "{range}");
        }
    }

    #[test]
    fn what_is_no_single_range_of_bytes_is_answered_with_everything() {
        for range in [
            "bytes=0-1,5-6",
            "bytes=200-300,400-500",
            "items=0-1",
            "bytes",
            "bytes=a-b",
            "bytes=5-1",
            "bytes=-",
        ] {
            assert_eq!(of_a_hundred(range), Part::Whole, "{range}");
        }
        assert_eq!(asked(&HeaderMap::new(), 100), Part::Whole);
        let both = [(header::RANGE, "bytes=0-1"), (header::IF_RANGE, "\"x\"")];
        let both = both.into_iter().map(|(name, value)| (name, HeaderValue::from_static(value))).collect();
        assert_eq!(asked(&both, 100), Part::Whole);
    }
}
