//! What tests of authorisation are made of: a site with a key, tokens signed with it, and those who hand them over.

use rillcast_protocol::id::Role;
use rillcast_protocol::signal::RefusedCode;
use rillcast_signaling::auth::Asker;
use rillcast_signaling::hub::{Admission, Refused};
use rillcast_signaling::limits::Limits;
use serde_json::{Value, json};

use crate::kit::{Bench, join, key, minter, now, with_token};

pub(crate) const PAGE: &str = "https://www.example";

pub(crate) fn asker(address: &'static str, origin: Option<&'static str>) -> Asker<'static> {
    Asker { address: address.parse().expect("an address"), origin, forwarded: false }
}

pub(crate) fn at_home() -> Asker<'static> {
    asker("203.0.113.7", Some(PAGE))
}

/// A bench whose site `demo` has key pair 1.
pub(crate) fn bench() -> Bench {
    Bench::new(Limits::default(), &key("sites.demo", 1, "one"))
}

/// Claims that say as little as they can, and these.
pub(crate) fn claims(more: Value) -> Value {
    let mut claims = json!({"site": "demo", "exp": now() + 600});
    for (name, value) in more.as_object().expect("an object") {
        claims[name] = value.clone();
    }
    claims
}

/// A token of key pair 1.
pub(crate) fn token(more: Value) -> String {
    minter(1, Some("one")).mint(&claims(more)).expect("signed")
}

pub(crate) fn ask(bench: &Bench, token: &str, asker: Asker<'_>) -> Result<Admission, Refused> {
    bench.hub.admit(&with_token(join(Role::Viewer), token), asker)
}

pub(crate) fn code(answer: Result<Admission, Refused>) -> Option<RefusedCode> {
    answer.err().map(|refused| refused.code)
}

/// What a refusal for want of authorisation says.
pub(crate) fn said(answer: Result<Admission, Refused>) -> String {
    let refused = answer.expect_err("refused");
    assert_eq!(refused.code, RefusedCode::Unauthorised, "{}", refused.message);
    assert!(refused.message.len() <= 512, "{}", refused.message);
    refused.message
}

/// RFC 4648, 5, without padding.
pub(crate) fn base64url(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let mut three = [0; 3];
        three[..chunk.len()].copy_from_slice(chunk);
        let bits = u32::from_be_bytes([0, three[0], three[1], three[2]]);
        let digits = (0..=chunk.len()).map(|n| DIGITS[(bits >> (18 - 6 * n) & 63) as usize]);
        text.extend(digits.map(char::from));
    }
    text
}
