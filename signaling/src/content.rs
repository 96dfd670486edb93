//! From what a joiner names to the swarm it joins.

use rillcast_protocol::id::{Delivery, SwarmId, canonical_path};
use rillcast_publisher::Url;

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
