//! Whether a token's claims allow a join.

use rillcast_protocol::id::Role;

use super::claims::{Claims, TokenRole};
use super::{Denied, Grant, LEEWAY, Question};
use crate::content::Pattern;
use crate::site::Allowance;

impl Claims {
    /// What these claims, whose signature has been verified, give to whoever asks so.
    pub fn check(&self, question: &Question<'_>) -> Result<Grant, Denied> {
        self.bounds()?;
        let Question { join, asker, now, .. } = *question;
        let must = |holds: bool, denied: Denied| if holds { Ok(()) } else { Err(denied) };
        must(self.site == join.site.as_str(), Denied::Site)?;
        must(now < self.gone(), Denied::Expired)?;
        let begins = self.nbf.max(self.iat).map_or(0, |s| s.0);
        must(begins <= now.saturating_add(LEEWAY), Denied::Early)?;
        let life = self.exp.0.saturating_sub(now).saturating_sub(LEEWAY);
        let lives = self.iat.map_or(life, |made| life.max(self.exp.0.saturating_sub(made.0)));
        must(lives <= question.max_secs, Denied::TooLong)?;
        let wanted = match (join.role, join.publisher) {
            (_, Some(_)) => TokenRole::Publisher,
            (Role::Seed, None) => TokenRole::Seed,
            (Role::Viewer, None) => TokenRole::Viewer,
        };
        must(wanted <= self.role, Denied::Role)?;
        if let Some(claim) = &self.content {
            must(covers(claim, question.content, question.multi_cdn)?, Denied::Content)?;
        }
        if let Some(origin) = &self.origin {
            must(asker.origin == Some(origin.trim_end_matches('/')), Denied::Origin)?;
        }
        if let Some(networks) = &self.networks {
            must(networks.iter().any(|range| range.contains(asker.address)), Denied::Network)?;
        }
        must(self.window.is_none_or(|window| window.holds(now)), Denied::Window)?;
        if let Some(countries) = &self.countries {
            must(question.tells.countries, Denied::NoCountries)?;
            must(
                question.place.country.is_some_and(|country| countries.contains(&country)),
                Denied::Country,
            )?;
        }
        if let Some(asns) = &self.asns {
            must(question.tells.asns, Denied::NoAsns)?;
            must(question.place.asn.is_some_and(|asn| asns.contains(&asn)), Denied::Asn)?;
        }
        let ratio_percent = self.ratio.map(|ratio| (ratio * 100.0).round() as u16);
        Ok(Grant {
            user: self.sub.clone(),
            token: self.jti.clone(),
            key: Some(question.key.to_owned()),
            allowance: Allowance { ratio_percent, upload_cap: self.upload_cap },
        })
    }

    /// When it counts no more, whatever the clocks: seconds since 1970.
    pub fn gone(&self) -> u64 {
        self.exp.0.saturating_add(LEEWAY)
    }
}

/// Whether a content claim covers this content, which is in the form that counts.
fn covers(claim: &str, content: &str, multi_cdn: bool) -> Result<bool, Denied> {
    match Pattern::new(claim, multi_cdn) {
        Ok(pattern) => Ok(pattern.covers(content)),
        Err(error) => Err(Denied::Claims(format!("content: {error}"))),
    }
}

#[cfg(test)]
mod tests {
    use rillcast_protocol::coding::{Blob, Text};
    use rillcast_protocol::id::{Delivery, Fingerprint, PublisherKey};
    use rillcast_protocol::signal::Join;

    use super::super::Asker;
    use super::super::claims::Seconds;
    use super::*;
    use crate::geo::{Country, Place, Tells};

    const NOW: u64 = 1_800_000_000;

    fn asked(join: &Join, claims: &Claims) -> Result<Grant, Denied> {
        asked_at(join, claims, Place::default(), Tells::default())
    }

    fn asked_at(join: &Join, claims: &Claims, place: Place, tells: Tells) -> Result<Grant, Denied> {
        claims.check(&Question {
            join,
            asker: Asker {
                address: [203, 0, 113, 7].into(),
                origin: Some("https://www.example"),
                forwarded: false,
            },
            content: "cdn.example/live/a.m3u8",
            multi_cdn: false,
            max_secs: 1000,
            now: NOW,
            key: "one",
            place,
            tells,
        })
    }

    fn join(role: Role, publisher: Option<PublisherKey>) -> Join {
        let text = |text| Text::new(text).expect("short");
        let content = Text::new("https://cdn.example/live/a.m3u8?t=1").expect("short");
        let token = Blob::default();
        Join {
            version: 1,
            site: text("demo"),
            content,
            delivery: Delivery::Hls,
            role,
            token,
            publisher,
            fingerprint: Fingerprint([1; 32]),
            session: None,
            sealing: None,
            ticket: None,
        }
    }

    fn viewer(claims: Claims) -> Result<Grant, Denied> {
        asked(&join(Role::Viewer, None), &claims)
    }

    #[test]
    fn it_counts_for_its_time_with_the_leeway_of_the_clocks() {
        let until = |exp: u64| viewer(Claims::new("demo", exp));
        assert!(until(NOW - 29).is_ok());
        assert_eq!(until(NOW - 30), Err(Denied::Expired));
        assert_eq!(until(0), Err(Denied::Expired));
        assert!(until(NOW + 1030).is_ok());
        assert_eq!(until(NOW + 1031), Err(Denied::TooLong));
        assert_eq!(until(NOW * 1000), Err(Denied::TooLong), "milliseconds");
        let base = || Claims::new("demo", NOW + 100);
        let nbf = |nbf: u64| viewer(Claims { nbf: Some(Seconds(nbf)), ..base() });
        assert!(nbf(NOW + 30).is_ok());
        assert_eq!(nbf(NOW + 31), Err(Denied::Early));
        let iat = |iat: u64| viewer(Claims { iat: Some(Seconds(iat)), ..base() });
        assert!(iat(NOW + 30).is_ok() && iat(NOW - 900).is_ok());
        assert_eq!(iat(NOW + 31), Err(Denied::Early));
        assert_eq!(iat(NOW - 901), Err(Denied::TooLong));
    }

    #[test]
    fn it_is_for_one_site_some_origin_and_some_networks() {
        let base = || Claims::new("demo", NOW + 100);
        assert_eq!(viewer(Claims::new("demo2", NOW + 100)), Err(Denied::Site));
        let origin = |o: &str| viewer(Claims { origin: Some(o.to_owned()), ..base() });
        assert!(origin("https://www.example").is_ok() && origin("https://www.example/").is_ok());
        assert_eq!(origin("https://www.example.evil"), Err(Denied::Origin));
        let networks = |n: &[&str]| {
            let networks = n.iter().map(|r| r.parse().expect("a range")).collect();
            viewer(Claims { networks: Some(networks), ..base() })
        };
        assert!(networks(&["10.0.0.0/8", "203.0.113.0/24"]).is_ok());
        assert_eq!(networks(&["10.0.0.0/8"]), Err(Denied::Network));
    }

    #[test]
    fn a_role_allows_what_is_below_it() {
        let key = Some(PublisherKey([1; 32]));
        for (role, allowed) in [(TokenRole::Viewer, 1), (TokenRole::Seed, 2), (TokenRole::Publisher, 3)] {
            let claims = Claims { role, ..Claims::new("demo", NOW + 100) };
            let joins = [join(Role::Viewer, None), join(Role::Seed, None), join(Role::Seed, key)];
            let count = joins.iter().filter(|j| asked(j, &claims).is_ok()).count();
            assert_eq!(count, allowed, "{role:?}");
        }
        let odd = asked(&join(Role::Viewer, key), &Claims::new("demo", NOW + 100));
        assert_eq!(odd, Err(Denied::Role));
    }

    #[test]
    fn countries_and_providers_need_a_database() {
        let base = || Claims::new("demo", NOW + 100);
        let country = |text: &str| text.parse::<Country>().expect("a country");
        let place = Place { country: Some(country("SE")), asn: Some(64_496) };
        let all = Tells { countries: true, asns: true };
        let at = |claims: &Claims, place, tells| asked_at(&join(Role::Viewer, None), claims, place, tells);
        let countries =
            |list: &[&str]| Claims { countries: Some(list.iter().map(|c| country(c)).collect()), ..base() };
        let asns = |list: &[u32]| Claims { asns: Some(list.to_vec()), ..base() };
        for (claims, answer, without) in [
            (countries(&["NO", "SE"]), Ok(()), Denied::NoCountries),
            (countries(&["NO"]), Err(Denied::Country), Denied::NoCountries),
            (countries(&[]), Err(Denied::Country), Denied::NoCountries),
            (asns(&[1, 64_496]), Ok(()), Denied::NoAsns),
            (asns(&[1]), Err(Denied::Asn), Denied::NoAsns),
        ] {
            assert_eq!(at(&claims, place, all).map(drop), answer, "{claims:?}");
            assert_eq!(at(&claims, place, Tells::default()), Err(without), "{claims:?}");
            assert!(at(&claims, Place::default(), all).is_err(), "unknown is nowhere: {claims:?}");
        }
    }

    #[test]
    fn content_is_compared_in_the_form_that_counts() {
        let content = "cdn.example/live/a.m3u8";
        for (claim, covered) in [
            ("https://cdn.example/live/a.m3u8", true),
            ("http://cdn.example/live/a.m3u8?other=token#x", true),
            ("https://cdn.example/live/b.m3u8", false),
            ("https://cdn.example/live/*", true),
            ("https://cdn.example/li*", true),
            ("https://cdn.example/*", true),
            ("https://cdn.example/vod/*", false),
            ("https://cdn.example/live/..*", false),
            ("https://other.example/*", false),
            ("https://cdn.example/live/a.m3u8", true),
            ("*", true),
            ("channel-*", false),
        ] {
            assert_eq!(covers(claim, content, false), Ok(covered), "{claim}");
        }
        for claim in ["https://cdn.ex*", "https://cdn.example*", "https://cdn.example/live/a.m3u8?t=*"] {
            assert!(covers(claim, content, false).is_err(), "{claim}");
        }
        assert_eq!(covers("https://any.example/live/*", "/live/a.m3u8", true), Ok(true));
        assert_eq!(covers("/live/*", "/live/a.m3u8", true), Ok(true));
        assert_eq!(covers("channel-*", "channel-5", false), Ok(true));
        assert_eq!(covers("channel-5", "channel-55", false), Ok(false));
    }
}
