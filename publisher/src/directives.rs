//! What a request for a low-latency playlist may say in its query (RFC 8216bis, 6.2.5): `_HLS_msn` and `_HLS_part`, what to wait for, and
//! `_HLS_skip`, that a delta will do. All else in a query is the site's own and stays as it is.

use reqwest::Url;

const PREFIX: &str = "_HLS_";

/// The URL without these.
pub fn without(url: &Url) -> Url {
    keeping(url, |pair| !pair.starts_with(PREFIX))
}

/// The URL without a wish for a delta.
pub fn without_skip(url: &Url) -> Url {
    keeping(url, |pair| !pair.starts_with("_HLS_skip"))
}

/// The URL that is answered once the playlist has a segment's part with this index, the first one being 0, or the segment.
pub fn awaiting(url: &Url, segment: u64, part: Option<u16>) -> Url {
    let mut url = without(url);
    let part = part.map(|part| format!("&_HLS_part={part}")).unwrap_or_default();
    let own = url.query().filter(|query| !query.is_empty()).map(|query| format!("{query}&"));
    url.set_query(Some(&format!("{}_HLS_msn={segment}{part}", own.unwrap_or_default())));
    url
}

fn keeping(url: &Url, keeps: impl Fn(&str) -> bool) -> Url {
    let mut url = url.clone();
    let Some(query) = url.query().filter(|query| query.contains(PREFIX)).map(str::to_owned) else {
        return url;
    };
    let kept: Vec<&str> = query.split('&').filter(|pair| keeps(pair)).collect();
    url.set_query((!kept.is_empty()).then(|| kept.join("&")).as_deref());
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(query: &str) -> Url {
        Url::parse(&format!("http://o.example/v.m3u8{query}")).expect("a URL")
    }

    #[test]
    fn a_sites_own_query_stays_as_it_is() {
        for (query, plain) in [
            ("", ""),
            ("?t=a%20b&u", "?t=a%20b&u"),
            ("?_HLS_msn=3&_HLS_part=1", ""),
            ("?t=%2F&_HLS_msn=3&u=1&_HLS_skip=YES", "?t=%2F&u=1"),
            ("?", "?"),
        ] {
            assert_eq!(without(&url(query)), url(plain), "{query}");
        }
        assert_eq!(without_skip(&url("?t=1&_HLS_skip=v2&_HLS_msn=3")), url("?t=1&_HLS_msn=3"));
    }

    #[test]
    fn what_is_waited_for_stands_behind_it() {
        assert_eq!(awaiting(&url("?t=1&_HLS_msn=3"), 4, Some(0)), url("?t=1&_HLS_msn=4&_HLS_part=0"));
        assert_eq!(awaiting(&url(""), 4, None), url("?_HLS_msn=4"));
        assert_eq!(awaiting(&url("?"), 4, None), url("?_HLS_msn=4"));
    }
}
