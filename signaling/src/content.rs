//! From what a joiner names to the swarm it joins.

use rillcast_protocol::id::{Delivery, SwarmId, canonical_path};
use rillcast_publisher::Url;
use thiserror::Error;

/// The form of a manifest's URL, or of a site's own content id, that counts: without query and fragment, and for a
/// site on several CDNs without scheme and host.
pub fn canonical(content: &str, multi_cdn: bool) -> String {
    let Ok(url) = Url::parse(content) else { return content.to_owned() };
    let Some(host) = url.host_str() else { return content.to_owned() };
    if multi_cdn {
        return canonical_path(content).to_owned();
    }
    let port = url.port().map(|p| format!(":{p}")).unwrap_or_default();
    format!("{host}{port}{}", url.path())
}

/// Stands for what may follow a prefix while the prefix is brought into the form that counts.
const REST: &str = "rillcast-anything-from-here-on";

/// Contents as tokens and rules name them: one, or with `*` at its end all that begin so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pattern {
    /// One, in the form that counts.
    Whole(String),
    /// All that begin so in the form that counts.
    Prefix(String),
}

/// A pattern whose `*` stands where no prefix ends.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("the * has to stand behind the host, in the path")]
pub struct NoPrefix;

impl Pattern {
    /// Reads a pattern of a site.
    pub fn new(text: &str, multi_cdn: bool) -> Result<Self, NoPrefix> {
        let Some(prefix) = text.strip_suffix('*') else {
            return Ok(Self::Whole(canonical(text, multi_cdn)));
        };
        // With something behind it, so that what ends in the middle of a path isn't tidied as if it were a whole one.
        let whole = canonical(&format!("{prefix}{REST}"), multi_cdn);
        whole.strip_suffix(REST).map(|prefix| Self::Prefix(prefix.to_owned())).ok_or(NoPrefix)
    }

    /// Whether it names this content, which is in the form that counts.
    pub fn covers(&self, content: &str) -> bool {
        match self {
            Self::Whole(whole) => content == whole,
            Self::Prefix(prefix) => content.starts_with(prefix.as_str()),
        }
    }
}

/// The swarm's id: a keyed hash, so that nobody outside can tell which content it stands for (H5), and HLS and DASH
/// of the same content never mix (H10).
pub fn swarm_id(secret: &[u8; 32], site: &str, content: &str, delivery: Delivery) -> SwarmId {
    let mut hasher = blake3::Hasher::new_keyed(secret);
    hasher.update(b"rillcast swarm v1\0");
    for part in [site.as_bytes(), content.as_bytes()] {
        hasher.update(&(part.len() as u64).to_be_bytes()).update(part);
    }
    hasher.update(match delivery {
        Delivery::Hls => b"hls",
        Delivery::Dash => b"dash",
    });
    let mut id = [0; 16];
    id.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    SwarmId(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_never_count_and_hosts_only_without_multi_cdn() {
        let (a, b) = ("https://a.example/v/m.m3u8?t=1", "https://b.example/v/m.m3u8#x");
        assert_eq!(canonical(a, false), "a.example/v/m.m3u8");
        assert_ne!(canonical(a, false), canonical(b, false));
        assert_eq!(canonical(a, true), canonical(b, true));
        assert_eq!(canonical("http://A.example:80/v", false), canonical("http://a.example/v", false));
        assert_ne!(canonical("http://a.example:81/v", false), canonical("http://a.example/v", false));
        assert_eq!(canonical("channel-5?x", true), "channel-5?x");
    }

    #[test]
    fn secret_site_content_and_delivery_each_make_another_swarm() {
        let id = |secret, site, content, delivery| swarm_id(&[secret; 32], site, content, delivery);
        let base = id(1, "s", "c", Delivery::Hls);
        assert_eq!(base, id(1, "s", "c", Delivery::Hls));
        for other in [
            id(2, "s", "c", Delivery::Hls),
            id(1, "t", "c", Delivery::Hls),
            id(1, "s", "d", Delivery::Hls),
            id(1, "s", "c", Delivery::Dash),
            id(1, "sc", "", Delivery::Hls),
        ] {
            assert_ne!(base, other);
        }
    }
}
