//! What a token says, for people. Nothing is verified here.

use jsonwebtoken::{Algorithm, dangerous, decode_header};
use serde_json::Value;
use thiserror::Error;

use super::claims::Claims;
use super::crypto;
use crate::limits::Limits;

/// A token, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// Header, claims, and when it expires.
    pub text: String,
    /// What servers will refuse, and what the backend may not have meant.
    pub warnings: Vec<String>,
}

/// Why a token can't be shown.
#[derive(Debug, Error)]
pub enum ShowError {
    /// Not a JWT.
    #[error("that is no JWT: three parts of base64url with dots between them; was it copied whole?")]
    Form,
    /// An algorithm that isn't one.
    #[error("the header can't be read; its alg has to be EdDSA or HS256 (\"none\" is refused everywhere)")]
    Header,
}

/// The claims that servers know.
const KNOWN: [&str; 17] = [
    "site",
    "exp",
    "nbf",
    "iat",
    "aud",
    "sub",
    "content",
    "role",
    "origin",
    "networks",
    "upload_cap",
    "ratio",
    "jti",
    "uses",
    "window",
    "countries",
    "asns",
];

/// Takes a token apart.
pub fn show(token: &str, now: u64) -> Result<Shown, ShowError> {
    crypto::install();
    if token.split('.').count() != 3 {
        return Err(ShowError::Form);
    }
    let header = decode_header(token).map_err(|_| ShowError::Header)?;
    let claims: Value = dangerous::insecure_decode_claims(token).map_err(|_| ShowError::Form)?;
    let mut warnings = vec!["the signature isn't verified here".to_owned()];
    let mut warn = |text: &str| warnings.push(text.to_owned());
    if !matches!(header.alg, Algorithm::EdDSA | Algorithm::HS256) {
        warn("servers take EdDSA and HS256 only");
    }
    if header.kid.is_none() {
        warn("no kid: servers try all keys of the site");
    }
    for name in claims.as_object().into_iter().flatten().map(|(name, _)| name) {
        if !KNOWN.contains(&name.as_str()) {
            warn(&format!("servers ignore the claim {name:?}; is it misspelt?"));
        }
    }
    let kid = header.kid.as_deref().unwrap_or("(none)");
    let mut text = format!("algorithm: {:?}, key: {kid}\nclaims: {claims:#}", header.alg);
    match serde_json::from_value::<Claims>(claims) {
        Err(error) => warn(&format!("servers refuse it: {error}")),
        Ok(claims) => {
            text += &format!("\nexpires: {}", when(claims.exp.0, now));
            if let Some(nbf) = claims.nbf {
                text += &format!("\nnot before: {}", when(nbf.0, now));
            }
            if let Err(error) = claims.bounds() {
                warn(&format!("servers refuse it: {error}"));
            }
            if claims.exp.0 <= now {
                warn("it has expired");
            }
            let max = Limits::default().token_max_secs;
            let made = claims.iat.map_or(now, |iat| iat.0.min(now));
            if claims.exp.0.saturating_sub(made) > max {
                warn("it lives longer than a day; servers refuse that unless token_max_secs is raised");
            }
            if claims.countries.is_some() || claims.asns.is_some() {
                warn("servers without a database (--geo-country, --geo-asn) refuse countries and asns");
            }
            if claims.content.is_none() {
                warn("no content: it opens all content of the site");
            }
            if claims.jti.is_none() {
                warn("no jti: whoever gets hold of it may use it, from anywhere and as often as they like");
            }
        }
    }
    Ok(Shown { text, warnings })
}

/// A time with its distance from now.
fn when(at: u64, now: u64) -> String {
    let distance = span(at.abs_diff(now));
    if at > now { format!("{}, in {distance}", utc(at)) } else { format!("{}, {distance} ago", utc(at)) }
}

/// The two largest units of a length of time.
fn span(secs: u64) -> String {
    let parts = [(secs / 86_400, "d"), (secs / 3600 % 24, "h"), (secs / 60 % 60, "min"), (secs % 60, "s")];
    let from = parts.iter().position(|(n, _)| *n > 0).unwrap_or(3);
    let words: Vec<_> = parts[from..].iter().take(2).map(|(n, unit)| format!("{n} {unit}")).collect();
    words.join(" ")
}

/// Date and time in UTC, by the calendar of days since 1970 (Howard Hinnant, `civil_from_days`).
fn utc(at: u64) -> String {
    let days = at / 86_400 + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (at / 3600 % 24, at / 60 % 60, at % 60);
    format!("{year}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::claims::Seconds;
    use crate::auth::mint::Minter;

    const NOW: u64 = 1_800_000_000;

    fn shown(claims: &Value, id: Option<&str>) -> (String, String) {
        let token = Minter::from_seed(&[1; 32], id.map(str::to_owned)).mint(claims).expect("signed");
        let shown = show(&token, NOW).expect("a token");
        (shown.text, shown.warnings.join("\n"))
    }

    #[test]
    fn times_are_said_in_words() {
        for (at, said) in [
            (0, "1970-01-01 00:00:00 UTC"),
            (951_782_400, "2000-02-29 00:00:00 UTC"),
            (1_800_000_000, "2027-01-15 08:00:00 UTC"),
            (4_107_542_399, "2100-02-28 23:59:59 UTC"),
        ] {
            assert_eq!(utc(at), said);
        }
        assert_eq!(when(NOW + 3723, NOW), "2027-01-15 09:02:03 UTC, in 1 h 2 min");
        assert_eq!(when(NOW - 59, NOW), "2027-01-15 07:59:01 UTC, 59 s ago");
        assert_eq!([span(0), span(90_000)], ["0 s", "1 d 1 h"]);
    }

    #[test]
    fn a_good_token_is_warned_of_only_for_being_unverified() {
        let claims = Claims {
            content: Some("c".to_owned()),
            jti: Some("j".to_owned()),
            iat: Some(Seconds(NOW)),
            ..Claims::new("demo", NOW + 86_400)
        };
        let (text, warnings) = shown(&serde_json::to_value(claims).expect("json"), Some("k"));
        assert!(text.contains("EdDSA") && text.contains("in 1 d 0 h"), "{text}");
        assert_eq!(warnings, "the signature isn't verified here");
    }

    #[test]
    fn what_will_be_refused_is_said() {
        let bad =
            serde_json::json!({"site": "demo", "exp": NOW + 86_401, "network": [], "uses": 1, "asns": [1]});
        let (_, warnings) = shown(&bad, None);
        for word in ["no kid", "\"network\"", "uses needs a jti", "token_max_secs", "database", "no content"]
        {
            assert!(warnings.contains(word), "{word}: {warnings}");
        }
        let (_, warnings) = shown(&serde_json::json!({"site": "demo", "exp": 1}), None);
        assert!(warnings.contains("has expired"));
        assert!(shown(&serde_json::json!({"exp": "soon"}), None).1.contains("servers refuse it"));
        assert!(matches!(show("a.b", NOW), Err(ShowError::Form)));
        // {"alg":"none"}
        assert!(matches!(show("eyJhbGciOiJub25lIn0.e30.", NOW), Err(ShowError::Header)));
    }
}
