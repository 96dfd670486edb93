//! Small texts: of proxies, of tokens and settings, of viewers, on a seed's command line.

use core::fmt::{Debug, Display};
use core::str::FromStr;
use std::net::IpAddr;

use axum::http::{HeaderMap, HeaderValue};
use rillcast_protocol::id::canonical_path;
use rillcast_publisher::key::unhex;
use rillcast_publisher::{AllowList, Url, track_id};
use rillcast_relay::cidr::Cidr;
use rillcast_seed::config::Amount;
use rillcast_signaling::auth::keys::public_key;
use rillcast_signaling::auth::window::{Minute, Window};
use rillcast_signaling::content::{Pattern, canonical};
use rillcast_signaling::geo::Country;
use rillcast_signaling::proxy::{FORWARDED_FOR, Proxies};

use crate::text_choice;

/// Reads one of them.
pub fn run(data: &[u8]) {
    let Some((which, text)) = text_choice(data, 8) else { return };
    match which {
        0 => {
            if let Some(range) = survives::<Cidr>(text) {
                let _ = range.contains(IpAddr::from([10, 0, 0, 1]));
                let base = text.split('/').next().and_then(|base| base.parse().ok());
                assert!(range.contains(base.expect("an address")), "{text}");
            }
        }
        1 => forwarded(text),
        2 => times(text),
        3 => drop(survives::<Country>(text)),
        4 => content(text),
        5 => allowed(text),
        6 => {
            if let Some(key) = unhex(text) {
                let hex: String = key.iter().map(|b| format!("{b:02x}")).collect();
                assert_eq!(hex, text.to_ascii_lowercase());
            }
            let _ = public_key(text);
        }
        _ => drop(text.parse::<Amount>()),
    }
}

/// What can be read is written in a form that says the same.
fn survives<T: FromStr + Display + PartialEq + Debug>(text: &str) -> Option<T> {
    let value: T = text.parse().ok()?;
    assert_eq!(value.to_string().parse().ok().as_ref(), Some(&value));
    Some(value)
}

/// A client is found only where every hop up to it can be read, and it is never a proxy that has another before it.
fn forwarded(text: &str) {
    let proxies =
        Proxies::new(&["10.0.0.0/8".parse().expect("a range"), "::1".parse().expect("one address")]);
    let mut headers = HeaderMap::new();
    for line in text.lines() {
        let Ok(value) = HeaderValue::from_str(line) else { return };
        headers.append(FORWARDED_FOR, value);
    }
    let Some(client) = proxies.client(&headers) else { return };
    assert_eq!(client, client.to_canonical());
    // Whatever a client claims before its proxy's word changes nothing.
    if !proxies.trusts(client) {
        let mut claimed = HeaderMap::new();
        claimed.append(FORWARDED_FOR, HeaderValue::from_static("nonsense, 198.51.100.9"));
        headers.get_all(FORWARDED_FOR).iter().for_each(|line| {
            claimed.append(FORWARDED_FOR, line.clone());
        });
        assert_eq!(proxies.client(&claimed), Some(client));
    }
}

fn times(text: &str) {
    if let Ok(minute) = text.parse::<Minute>() {
        assert_eq!(String::from(minute), text);
    }
    if let Ok(window) = text.parse::<Window>() {
        assert!(window.check().is_ok());
        let held = (0..24 * 60).filter(|minute| window.holds(minute * 60)).count();
        assert!((1..24 * 60).contains(&held), "neither nothing nor everything");
    }
}

/// The form that counts is its own, and a pattern covers what it was made of.
fn content(text: &str) {
    let path = canonical_path(text);
    assert!(!path.contains(['?', '#']));
    let _ = track_id(text);
    for multi_cdn in [false, true] {
        let whole = canonical(text, multi_cdn);
        match Pattern::new(text, multi_cdn) {
            Ok(pattern @ Pattern::Whole(_)) => assert!(pattern.covers(&whole)),
            Ok(Pattern::Prefix(prefix)) => assert!(prefix.len() <= whole.len() * 3 + 64),
            Err(_) => assert!(text.ends_with('*')),
        }
    }
}

/// Nothing outside of a prefix is allowed, whatever is joined to it.
fn allowed(text: &str) {
    let list = AllowList::new(["https://cdn.example/live/"]).expect("a prefix");
    let base = Url::parse("https://cdn.example/live/720.m3u8").expect("a URL");
    if let Ok(url) = base.join(text)
        && list.allows(&url)
    {
        assert_eq!(url.origin(), base.origin());
        assert!(url.path().starts_with("/live/") && url.username().is_empty());
    }
    if let Ok(list) = AllowList::new([text]) {
        assert!(!list.is_empty());
        let _ = list.allows(&base);
    }
}
