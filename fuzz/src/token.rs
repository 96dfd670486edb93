//! Tokens: as strangers send them, and signed ones with any header and any claims.

use std::io::Write;
use std::net::IpAddr;
use std::sync::OnceLock;

use rillcast_protocol::coding::Text;
use rillcast_protocol::id::Role;
use rillcast_protocol::signal::{ClientMessage, Join};
use rillcast_signaling::auth::claims::Claims;
use rillcast_signaling::auth::keys::{KeyFile, Keyring};
use rillcast_signaling::auth::show::show;
use rillcast_signaling::auth::{Asker, Denied, Question};
use rillcast_signaling::geo::{Place, Tells};
use ring::hmac;
use serde_json::Value;

use crate::text_choice;
use crate::wire::filled;

const SECRET: &[u8] = b"a secret of thirty-two bytes, or so";
/// 2027-01-15 08:00:00 UTC.
const NOW: u64 = 1_800_000_000;

/// Verifies a token as it is, or signs a header (the first line) and claims (the rest) and checks what they allow.
pub fn run(data: &[u8]) {
    let Some((which, text)) = text_choice(data, 2) else { return };
    if which == 0 {
        let _ = show(text, NOW);
        let verified = keys().verify(text.as_bytes());
        assert!(verified.is_err() || text.ends_with(&signature(text)), "nobody but the key's owner signs");
        return;
    }
    let Some((header, claims_text)) = text.split_once('\n') else { return };
    let token = signed(header, claims_text);
    let shown = show(&token, NOW);
    match keys().verify(token.as_bytes()) {
        Ok((claims, key)) => {
            assert_eq!(key, "shared");
            // Servers don't read claims that they don't know, and there a number may have no end.
            let readable = serde_json::from_str::<Value>(claims_text).is_ok();
            assert!(shown.is_ok() || !readable, "who can use a token can have it explained");
            check(&claims);
        }
        Err(Denied::Signature) => assert!(!is_ours(header), "it is signed: {header}"),
        Err(_) => {}
    }
}

/// Whether a header says what is so: that the shared secret has signed, with HS256.
fn is_ours(header: &str) -> bool {
    let Ok(header) = serde_json::from_str::<Value>(header) else { return false };
    header["alg"] == "HS256" && header.get("kid").is_none_or(|kid| kid == "shared")
}

/// The token of this header and these claims, signed by the site's backend.
pub fn signed(header: &str, claims: &str) -> String {
    let signed = format!("{}.{}", base64url(header.as_bytes()), base64url(claims.as_bytes()));
    let signature = signature(&format!("{signed}."));
    format!("{signed}.{signature}")
}

/// What the signature of a token has to be.
fn signature(token: &str) -> String {
    let signed = token.rsplit_once('.').map_or("", |(signed, _)| signed);
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET);
    base64url(hmac::sign(&key, signed.as_bytes()).as_ref())
}

fn base64url(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let chunk = |chunk: &[u8]| {
        let byte = |at: usize| u32::from(chunk.get(at).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        (0..=chunk.len())
            .map(move |n| char::from(DIGITS[(bits >> (18 - 6 * n) & 63) as usize]))
            .collect::<String>()
    };
    bytes.chunks(3).map(chunk).collect()
}

/// A shared secret and a public key: a token mustn't pass for one of the other kind.
fn keys() -> &'static Keyring {
    static KEYS: OnceLock<Keyring> = OnceLock::new();
    KEYS.get_or_init(|| {
        let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
        file.write_all(SECRET).expect("written");
        let secret_file = Some(file.path().to_owned());
        // Of RFC 8032, 7.1, test 1.
        let public = Some("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a".to_owned());
        let keys = [
            KeyFile { id: "pair".to_owned(), public, secret_file: None },
            KeyFile { id: "shared".to_owned(), public: None, secret_file },
        ];
        Keyring::load(&keys).expect("keys")
    })
}

/// The smallest join.
fn join() -> &'static Join {
    static JOIN: OnceLock<Join> = OnceLock::new();
    JOIN.get_or_init(|| match filled(&[], 0) {
        Some(ClientMessage::Join { join }) => join,
        other => unreachable!("zeros are a join: {other:?}"),
    })
}

/// What claims give lies within what a site gives.
fn check(claims: &Claims) {
    for role in [Role::Viewer, Role::Seed] {
        let join = Join { role, site: Text::clipped("demo"), ..join().clone() };
        let granted = claims.check(&Question {
            join: &join,
            asker: Asker {
                address: IpAddr::from([203, 0, 113, 7]),
                origin: Some("https://www.example"),
                forwarded: false,
            },
            content: "cdn.example/live/a.m3u8",
            multi_cdn: false,
            max_secs: 1000,
            now: NOW,
            key: "shared",
            place: Place { country: "SE".parse().ok(), asn: Some(64_496) },
            tells: Tells { countries: true, asns: true },
        });
        let Ok(grant) = granted else { continue };
        assert_eq!(claims.site, join.site.as_str());
        assert!(claims.gone() > NOW && claims.exp.0 <= NOW + 1030);
        assert!(grant.allowance.ratio_percent.is_none_or(|percent| percent <= 60_000));
        assert!(grant.allowance.upload_cap != Some(0), "0 would be no cap at all");
    }
}
