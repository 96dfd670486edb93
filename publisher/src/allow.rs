//! Which URLs may be fetched. Viewers name the playlists, so without this a publisher would fetch whatever they like
//! from inside the operator's network.

use reqwest::Url;
use thiserror::Error;

/// Why a prefix isn't usable.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PrefixError {
    /// Not an absolute URL.
    #[error("{0:?} isn't a URL; give one such as https://cdn.example/live/")]
    NotAUrl(String),
    /// Neither http nor https.
    #[error("{0:?} is neither http nor https; only those can be followed")]
    Scheme(String),
    /// User name, query or fragment in a prefix.
    #[error("{0:?} has a user name, query or fragment; give scheme, host, port and path alone")]
    Extra(String),
}

/// A list of URL prefixes. An empty list allows nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AllowList {
    prefixes: Vec<Url>,
}

impl AllowList {
    /// Reads prefixes such as `https://cdn.example/live/`. A path covers whole components: `/live` covers `/live/1`
    /// and not `/lively`.
    pub fn new<S: AsRef<str>>(prefixes: impl IntoIterator<Item = S>) -> Result<Self, PrefixError> {
        let read = |text: S| {
            let text = text.as_ref();
            let url = Url::parse(text).map_err(|_| PrefixError::NotAUrl(text.to_owned()))?;
            if !matches!(url.scheme(), "http" | "https") {
                return Err(PrefixError::Scheme(text.to_owned()));
            }
            let extra = url.query().is_some() || url.fragment().is_some() || has_user(&url);
            if extra { Err(PrefixError::Extra(text.to_owned())) } else { Ok(url) }
        };
        Ok(Self { prefixes: prefixes.into_iter().map(read).collect::<Result<_, _>>()? })
    }

    /// Whether nothing is allowed.
    pub fn is_empty(&self) -> bool {
        self.prefixes.is_empty()
    }

    /// Whether the URL lies under one of the prefixes.
    pub fn allows(&self, url: &Url) -> bool {
        !has_user(url) && self.prefixes.iter().any(|prefix| covers(prefix, url))
    }
}

fn has_user(url: &Url) -> bool {
    !url.username().is_empty() || url.password().is_some()
}

fn covers(prefix: &Url, url: &Url) -> bool {
    let same_server = prefix.scheme() == url.scheme()
        && prefix.host() == url.host()
        && prefix.port_or_known_default() == url.port_or_known_default();
    if !same_server {
        return false;
    }
    let (base, path) = (prefix.path(), url.path());
    if base == "/" {
        return true;
    }
    // Parsing has resolved `..`; an encoded slash or backslash could still mean one to the server behind.
    let lower = path.to_ascii_lowercase();
    if lower.contains("%2f") || lower.contains("%5c") {
        return false;
    }
    match path.strip_prefix(base) {
        Some(rest) => base.ends_with('/') || rest.is_empty() || rest.starts_with('/'),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(prefix: &str, url: &str) -> bool {
        AllowList::new([prefix]).expect("prefix").allows(&Url::parse(url).expect("url"))
    }

    #[test]
    fn a_prefix_covers_what_lies_under_it_and_nothing_beside() {
        let prefix = "https://cdn.example/live/";
        assert!(allowed(prefix, "https://cdn.example/live/a/1.m3u8?token=x"));
        assert!(allowed(prefix, "https://cdn.example:443/live/a"));
        for url in [
            "http://cdn.example/live/a",
            "https://cdn.example:8443/live/a",
            "https://cdn.example.evil.example/live/a",
            "https://cdn.example@evil.example/live/a",
            "https://user@cdn.example/live/a",
            "https://cdn.example/lively/a",
            "https://cdn.example/live/../admin",
            "https://cdn.example/live/%2e%2e/admin",
            "https://cdn.example/live/..%2fadmin",
            "https://cdn.example/live/..%5Cadmin",
            "ftp://cdn.example/live/a",
        ] {
            assert!(!allowed(prefix, url), "{url}");
        }
        assert!(allowed("https://cdn.example/live", "https://cdn.example/live/a"));
        assert!(!allowed("https://cdn.example/live", "https://cdn.example/lively"));
        assert!(allowed("http://127.0.0.1:8080", "http://127.0.0.1:8080/x"));
    }

    #[test]
    fn an_empty_list_allows_nothing() {
        assert!(!AllowList::default().allows(&Url::parse("http://127.0.0.1/").expect("url")));
    }

    #[test]
    fn a_wrong_prefix_is_named() {
        assert!(matches!(AllowList::new(["cdn.example/live"]), Err(PrefixError::NotAUrl(_))));
        assert!(matches!(AllowList::new(["file:///etc/"]), Err(PrefixError::Scheme(_))));
        assert!(matches!(AllowList::new(["http://h/?a=b"]), Err(PrefixError::Extra(_))));
    }
}
