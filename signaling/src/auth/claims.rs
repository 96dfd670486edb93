//! What a token may say. Shapes and bounds only; [`super::check`] compares them with a join.
//!
//! Claims that aren't listed here are ignored, as RFC 7519 wants. Those that are have to be of the right type: `null`
//! isn't "not given", for a restriction that fell out of the backend's JSON would then be none.

use serde::de::{Deserializer, Error as _, Unexpected};
use serde::{Deserialize, Serialize};

use super::Denied;
use super::window::Window;
use crate::geo::Country;
use rillcast_relay::cidr::Cidr;

/// Longest `sub` and `jti`, in bytes.
pub const MAX_NAME: usize = 128;
/// Longest `content`, in bytes: as long as a join's.
pub const MAX_CONTENT: usize = 2048;
/// Most `networks`.
pub const MAX_NETWORKS: usize = 32;
/// Most `uses`.
pub const MAX_USES: u32 = 1000;
/// Highest `ratio`, as in a site's settings.
pub const MAX_RATIO: f64 = 600.0;
/// The `aud` that we answer to.
pub const AUDIENCE: &str = "rillcast";

/// A token's claims.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Claims {
    /// The site's name, as in the join.
    pub site: String,
    /// When it expires.
    pub exp: Seconds,
    /// When it begins to count.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub nbf: Option<Seconds>,
    /// When it was made.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub iat: Option<Seconds>,
    /// For whom; if it is there, we have to be among them (RFC 7519, 4.1.3).
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub aud: Option<Audience>,
    /// The backend's name for the user.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub sub: Option<String>,
    /// The content, as in the join, or with `*` at its end what its name begins with. Without it: all of the site's.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
    /// As what its bearer may join.
    #[serde(default)]
    pub role: TokenRole,
    /// The page origin that it is bound to.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
    /// The networks that it is bound to.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub networks: Option<Vec<Cidr>>,
    /// Upload cap in bytes/s; lowers the site's.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub upload_cap: Option<u32>,
    /// Upload allowed per byte downloaded; lowers the site's.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub ratio: Option<f64>,
    /// The token's own name: it then counts for as many places as `uses` says.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub jti: Option<String>,
    /// From how many places (address and page origin) a token with a `jti` may be used; 1 without it.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub uses: Option<u32>,
    /// The part of the day in which it counts.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub window: Option<Window>,
    /// The countries that it is bound to (ISO 3166). Needs a database ([`crate::geo`]).
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub countries: Option<Vec<Country>>,
    /// The providers (autonomous systems) that it is bound to. Needs a database ([`crate::geo`]).
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub asns: Option<Vec<u32>>,
}

/// As what a bearer may join. Each may do what those before it may.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum TokenRole {
    /// A viewer.
    #[default]
    Viewer,
    /// A seed.
    Seed,
    /// A seed that signs digests.
    Publisher,
}

/// Whom a token is for.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(untagged)]
pub enum Audience {
    /// One.
    One(String),
    /// Several.
    Many(Vec<String>),
}

/// Seconds since 1970 (RFC 7519's NumericDate); fractions are allowed and cut off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct Seconds(pub u64);

impl<'de> Deserialize<'de> for Seconds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        const MUST: &str = "seconds since 1970 as a number";
        // Integers up to here are exact in JSON's numbers.
        const MAX: f64 = 9_007_199_254_740_992.0;
        let number = f64::deserialize(deserializer)?;
        if (0.0..=MAX).contains(&number) {
            Ok(Self(number as u64))
        } else {
            Err(D::Error::invalid_value(Unexpected::Float(number), &MUST))
        }
    }
}

/// A claim that is there has to be of its type, so `null` isn't taken.
fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

impl Claims {
    /// Claims that say only for which site and until when.
    pub fn new(site: impl Into<String>, expires: u64) -> Self {
        Self {
            site: site.into(),
            exp: Seconds(expires),
            nbf: None,
            iat: None,
            aud: None,
            sub: None,
            content: None,
            role: TokenRole::Viewer,
            origin: None,
            networks: None,
            upload_cap: None,
            ratio: None,
            jti: None,
            uses: None,
            window: None,
            countries: None,
            asns: None,
        }
    }

    /// Whether all claims lie within their bounds.
    pub fn bounds(&self) -> Result<(), Denied> {
        let wrong = |text: &str| Err(Denied::Claims(text.to_owned()));
        let long = |name: &Option<String>, least: usize, most: usize| {
            name.as_ref().is_some_and(|n| !(least..=most).contains(&n.len()))
        };
        if long(&self.sub, 0, MAX_NAME) {
            return wrong("sub is longer than 128 bytes");
        }
        if long(&self.content, 1, MAX_CONTENT) {
            return wrong("content has to be 1 to 2048 bytes long; leave it out to allow all of the site's");
        }
        if long(&self.origin, 1, usize::MAX) {
            return wrong("origin is empty; leave it out to allow all of the site's");
        }
        if long(&self.jti, 1, MAX_NAME) {
            return wrong("jti has to be 1 to 128 bytes long");
        }
        if self.networks.as_ref().is_some_and(|n| !(1..=MAX_NETWORKS).contains(&n.len())) {
            return wrong("networks has to name 1 to 32 ranges");
        }
        if self.upload_cap == Some(0) {
            return wrong("upload_cap has to be 1 or more bytes/s; to forbid uploading set ratio to 0");
        }
        if self.ratio.is_some_and(|r| !(0.0..=MAX_RATIO).contains(&r)) {
            return wrong("ratio has to be 0 to 600");
        }
        match (&self.jti, self.uses) {
            (None, Some(_)) => return wrong("uses needs a jti to count by"),
            (_, Some(uses)) if !(1..=MAX_USES).contains(&uses) => return wrong("uses has to be 1 to 1000"),
            _ => {}
        }
        if let Some(Err(error)) = self.window.map(|w| w.check()) {
            return Err(Denied::Claims(error.to_string()));
        }
        match &self.aud {
            Some(Audience::One(one)) if one != AUDIENCE => Err(Denied::Audience),
            Some(Audience::Many(many)) if many.iter().all(|one| one != AUDIENCE) => Err(Denied::Audience),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(claim: &str, value: Value) -> Result<Claims, Denied> {
        let mut all = json!({"site": "demo", "exp": 1000});
        all[claim] = value;
        let claims: Claims = serde_json::from_value(all).map_err(|e| Denied::Claims(e.to_string()))?;
        claims.bounds().map(|()| claims)
    }

    #[test]
    fn every_claim_is_taken_up_to_its_bound_and_no_further() {
        let text = |n: usize| json!("x".repeat(n));
        let networks = |n: usize| json!(vec!["10.0.0.0/8"; n]);
        for (claim, good, bad) in [
            (
                "exp",
                vec![json!(0), json!(1.5), json!(1u64 << 53)],
                vec![json!(-1), json!(1e300), json!("1"), json!(null)],
            ),
            ("nbf", vec![json!(0)], vec![json!(-1), json!("1"), json!(null)]),
            ("iat", vec![json!(0)], vec![json!(-1), json!([1]), json!(null)]),
            ("sub", vec![text(0), text(127), text(128)], vec![text(129), json!(5), json!(null)]),
            ("content", vec![text(1), text(2048)], vec![text(0), text(2049), json!(["a"]), json!(null)]),
            (
                "role",
                vec![json!("viewer"), json!("seed"), json!("publisher")],
                vec![json!("admin"), json!("Viewer"), json!(1), json!(null)],
            ),
            ("origin", vec![text(1)], vec![text(0), json!(1), json!(null)]),
            (
                "networks",
                vec![networks(1), networks(32)],
                vec![
                    networks(0),
                    networks(33),
                    json!(["x"]),
                    json!(["10.0.0.1/8"]),
                    json!("10.0.0.0/8"),
                    json!(null),
                ],
            ),
            (
                "upload_cap",
                vec![json!(1), json!(u32::MAX)],
                vec![json!(0), json!(1u64 << 32), json!(-1), json!(1.5), json!("1"), json!(null)],
            ),
            (
                "ratio",
                vec![json!(0), json!(0.5), json!(600)],
                vec![json!(600.1), json!(-0.1), json!("1"), json!(null)],
            ),
            ("jti", vec![text(1), text(128)], vec![text(0), text(129), json!(7), json!(null)]),
            (
                "window",
                vec![json!({"from": "08:00", "to": "07:59"})],
                vec![
                    json!({"from": "08:00", "to": "08:00"}),
                    json!({"from": "08:00"}),
                    json!("08:00-09:00"),
                    json!({"from": "8:00", "to": "09:00"}),
                    json!(null),
                ],
            ),
            (
                "countries",
                vec![json!(["SE"]), json!([])],
                vec![json!("SE"), json!(["Sweden"]), json!([1]), json!(null)],
            ),
            ("asns", vec![json!([1, u32::MAX])], vec![json!([1u64 << 32]), json!(["AS1"]), json!(null)]),
            (
                "aud",
                vec![json!("rillcast"), json!(["x", "rillcast"])],
                vec![json!("x"), json!([]), json!(["x"]), json!(1), json!(null)],
            ),
            ("site", vec![text(64)], vec![json!(1), json!(null)]),
            ("unknown", vec![json!(1), json!(null)], vec![]),
        ] {
            for value in good {
                assert!(
                    read(claim, value.clone()).is_ok(),
                    "{claim} {value}: {:?}",
                    read(claim, value.clone())
                );
            }
            for value in bad {
                assert!(read(claim, value.clone()).is_err(), "{claim} {value}");
            }
        }
    }

    #[test]
    fn uses_are_bounded_and_need_a_jti() {
        let uses = |n: Value, jti: Option<&str>| {
            let mut all = json!({"site": "demo", "exp": 1000, "uses": n});
            if let Some(jti) = jti {
                all["jti"] = json!(jti);
            }
            serde_json::from_value::<Claims>(all).is_ok_and(|c| c.bounds().is_ok())
        };
        assert!(uses(json!(1), Some("a")) && uses(json!(1000), Some("a")));
        assert!(!uses(json!(0), Some("a")) && !uses(json!(1001), Some("a")) && !uses(json!(1), None));
        assert!(
            !uses(json!(null), Some("a")) && !uses(json!("1"), Some("a")) && !uses(json!(1.5), Some("a"))
        );
    }

    #[test]
    fn site_and_exp_are_required_and_nothing_comes_twice() {
        for text in [r#"{"exp":1}"#, r#"{"site":"a"}"#, r#"{"site":"a","exp":1,"exp":2}"#, "[]", "1"] {
            assert!(serde_json::from_str::<Claims>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_not_said_is_not_written() {
        let text = serde_json::to_string(&Claims::new("demo", 7)).expect("json");
        assert_eq!(text, r#"{"site":"demo","exp":7,"role":"viewer"}"#);
    }
}
