//! All rules of a site; which one decides.

use std::fmt;

use rillcast_protocol::id::Role;

use super::{Case, Effect, Rule, RuleError, RuleFile, Standing};
use crate::geo::Tells;

/// Most rules of a site: each is compared with every member, at the join and whenever something changes.
pub const MAX_RULES: usize = 128;

/// A site's rules, in their order.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    rules: Vec<Rule>,
    files: Vec<RuleFile>,
}

/// A rule that keeps somebody out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Barred {
    /// Which.
    pub rule: String,
    /// It would let a viewer in.
    pub as_seed: bool,
}

impl fmt::Display for Barred {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rule = &self.rule;
        if self.as_seed {
            write!(
                f,
                "rule {rule:?} lets seeds upload nothing, and a seed does nothing else; give it `roles`"
            )
        } else {
            write!(f, "rule {rule:?} doesn't allow it, here or now; look at the site's `rules`")
        }
    }
}

impl Rules {
    /// Makes rules ready.
    pub fn load(files: &[RuleFile], multi_cdn: bool, tells: Tells) -> Result<Self, RuleError> {
        if files.len() > MAX_RULES {
            return Err(RuleError::Many(files.len()));
        }
        let mut rules: Vec<Rule> = Vec::with_capacity(files.len());
        for file in files {
            if rules.iter().any(|rule| rule.id == file.id) {
                return Err(RuleError::Twice(file.id.clone()));
            }
            rules.push(Rule::new(file, multi_cdn, tells)?);
        }
        Ok(Self { rules, files: files.to_vec() })
    }

    /// As they are written.
    pub fn files(&self) -> &[RuleFile] {
        &self.files
    }

    /// Whether time alone can change what they say.
    pub fn are_timed(&self) -> bool {
        self.rules.iter().any(Rule::is_timed)
    }

    /// How somebody stands by the first rule that fits; without one, as everybody.
    pub fn judge(&self, case: &Case<'_>) -> Result<Standing, Barred> {
        let Some(rule) = self.rules.iter().find(|rule| rule.fits(case)) else {
            return Ok(Standing::Full);
        };
        let seed = case.subject.role == Role::Seed;
        let barred = |as_seed| Err(Barred { rule: rule.id.clone(), as_seed });
        match rule.effect {
            Effect::Allow => Ok(Standing::Full),
            Effect::Deny => barred(false),
            // Ratios don't bind seeds, so it couldn't be told.
            Effect::LeechOnly if seed => barred(true),
            Effect::LeechOnly => Ok(Standing::LeechOnly),
            Effect::RelayOnly => Ok(Standing::RelayOnly),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geo::Place;
    use crate::policy::Subject;

    const ALL: Tells = Tells { countries: true, asns: true };
    /// 2027-01-15 08:00:00 UTC.
    const NOW: u64 = 1_800_000_000;

    fn rules(text: &str) -> Result<Rules, RuleError> {
        #[derive(serde::Deserialize)]
        struct File {
            rules: Vec<RuleFile>,
        }
        let file: File = toml::from_str(text).expect("rules");
        Rules::load(&file.rules, false, ALL)
    }

    fn subject() -> Subject {
        Subject {
            user: Some("u17".to_owned()),
            token: None,
            key: None,
            address: [203, 0, 113, 7].into(),
            place: Place { country: "SE".parse().ok(), asn: Some(64_496) },
            role: Role::Viewer,
        }
    }

    fn judge(rules: &Rules, subject: &Subject) -> Result<Standing, Barred> {
        rules.judge(&Case { subject, content: "cdn.example/live/a.m3u8", now: NOW })
    }

    #[test]
    fn each_condition_fits_what_it_names_and_nothing_else() {
        for (condition, fits) in [
            ("", true),
            ("users = ['u1', 'u17']", true),
            ("users = ['u1']", false),
            ("content = ['https://cdn.example/live/*']", true),
            ("content = ['https://cdn.example/vod/*', 'https://cdn.example/live/a.m3u8']", true),
            ("content = ['https://cdn.example/vod/*']", false),
            ("window = { from = '08:00', to = '08:01' }", true),
            ("window = { from = '22:00', to = '09:00' }", true),
            ("window = { from = '08:01', to = '08:00' }", false),
            ("countries = ['NO', 'se']", true),
            ("countries = ['NO']", false),
            ("asns = [1, 64496]", true),
            ("asns = [1]", false),
            ("networks = ['203.0.113.0/24']", true),
            ("networks = ['203.0.114.0/24', '::/0']", false),
            ("roles = ['viewer']", true),
            ("roles = ['seed']", false),
            ("countries = ['SE']\nasns = [64496]", true),
            ("countries = ['SE']\nasns = [1]", false),
        ] {
            let rules = rules(&format!("[[rules]]\nid = 'a'\neffect = 'deny'\n{condition}\n")).expect("good");
            assert_eq!(judge(&rules, &subject()).is_err(), fits, "{condition}");
            let stranger = Subject { user: None, place: Place::default(), ..subject() };
            let named = ["users", "countries", "asns"].iter().any(|name| condition.contains(name));
            assert!(!named || judge(&rules, &stranger).is_ok(), "what is unknown fits nothing: {condition}");
        }
    }

    #[test]
    fn the_first_rule_that_fits_decides_and_without_one_all_may() {
        let text = "[[rules]]\nid = 'home'\neffect = 'allow'\ncountries = ['SE']\n\
                    [[rules]]\nid = 'near'\neffect = 'leech-only'\ncountries = ['NO']\n\
                    [[rules]]\nid = 'hidden'\neffect = 'relay-only'\ncountries = ['FI']\n\
                    [[rules]]\nid = 'abroad'\neffect = 'deny'\n";
        let rules = rules(text).expect("good");
        let from = |country: &str| Subject {
            place: Place { country: country.parse().ok(), asn: None },
            ..subject()
        };
        assert_eq!(judge(&rules, &from("SE")), Ok(Standing::Full));
        assert_eq!(judge(&rules, &from("NO")), Ok(Standing::LeechOnly));
        assert_eq!(judge(&rules, &from("FI")), Ok(Standing::RelayOnly));
        for country in ["DE", ""] {
            assert_eq!(judge(&rules, &from(country)).expect_err("barred").rule, "abroad");
        }
        assert_eq!(judge(&Rules::default(), &from("DE")), Ok(Standing::Full));
    }

    #[test]
    fn a_seed_that_may_upload_nothing_is_kept_out() {
        let rules = rules("[[rules]]\nid = 'a'\neffect = 'leech-only'\n").expect("good");
        let said = judge(&rules, &Subject { role: Role::Seed, ..subject() }).expect_err("barred").to_string();
        assert!(said.contains("roles"), "{said}");
    }

    #[test]
    fn rules_are_bounded_and_what_is_wrong_is_named() {
        let rule = |id: &str| RuleFile::new(id, Effect::Deny);
        let many = |n: usize| (0..n).map(|n| rule(&n.to_string())).collect::<Vec<_>>();
        let load = |files: &[RuleFile]| Rules::load(files, false, ALL).map(drop);
        assert_eq!(load(&many(MAX_RULES)), Ok(()));
        assert_eq!(load(&many(MAX_RULES + 1)), Err(RuleError::Many(MAX_RULES + 1)));
        assert_eq!(load(&[rule("a"), rule("a")]), Err(RuleError::Twice("a".to_owned())));
        for (id, good) in [("a", true), ("", false), ("a/b", false), ("a b", false), ("é", false)] {
            assert_eq!(load(&[rule(id)]).is_ok(), good, "{id:?}");
        }
        for (length, good) in [(64, true), (65, false)] {
            assert_eq!(load(&[rule(&"x".repeat(length))]).is_ok(), good);
        }
        for (count, good) in [(0, false), (1, true), (256, true), (257, false)] {
            let users = Some((0..count).map(|n| format!("u{n}")).collect());
            assert_eq!(load(&[RuleFile { users, ..rule("a") }]).is_ok(), good, "{count}");
            let asns = Some(vec![1; count]);
            assert_eq!(load(&[RuleFile { asns, ..rule("a") }]).is_ok(), good, "{count}");
        }
        for (length, good) in [(0, false), (1, true), (128, true), (129, false)] {
            let users = Some(vec!["x".repeat(length)]);
            assert_eq!(load(&[RuleFile { users, ..rule("a") }]).is_ok(), good, "{length}");
        }
        let content = Some(vec!["https://cdn.ex*".to_owned()]);
        assert!(matches!(load(&[RuleFile { content, ..rule("a") }]), Err(RuleError::Content { .. })));
        let timeless = RuleFile { window: "00:00-00:01".parse().ok(), ..rule("a") };
        assert!(Rules::load(&[timeless], false, ALL).expect("good").are_timed());
    }

    #[test]
    fn what_no_database_tells_is_refused_with_the_flag() {
        let countries = RuleFile {
            countries: Some(vec!["SE".parse().expect("a country")]),
            ..RuleFile::new("a", Effect::Deny)
        };
        let asns = RuleFile { asns: Some(vec![1]), ..RuleFile::new("a", Effect::Allow) };
        for (rule, flag) in [(countries, "--geo-country"), (asns, "--geo-asn")] {
            let said = Rules::load(&[rule], false, Tells::default()).expect_err("refused").to_string();
            assert!(said.contains(flag), "{said}");
        }
    }
}
