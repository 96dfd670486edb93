//! What an operator's programs send to the admin interface, and what the server keeps of it: rules and revocations, as
//! JSON.

use core::fmt::Debug;
use std::net::IpAddr;

use rillcast_protocol::id::{PeerId, Role};
use rillcast_signaling::geo::{Place, Tells};
use rillcast_signaling::policy::{Case, RuleFile, Rules, Subject};
use rillcast_signaling::revocation::Request;
use rillcast_signaling::revocation::list::Lists;
use rillcast_signaling::site::SiteFile;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::text_choice;

/// 2027-01-15 08:00:00 UTC.
const NOW: u64 = 1_800_000_000;

/// Reads one of them.
pub fn run(data: &[u8]) {
    let Some((which, text)) = text_choice(data, 4) else { return };
    match which {
        0 => drop(survives::<Vec<RuleFile>>(text).map(|files| rules(&files))),
        1 => drop(survives::<Request>(text).map(revoke)),
        2 => drop(survives::<Lists>(text).map(revoked)),
        _ => drop(survives::<SiteFile>(text)),
    }
}

/// What can be read is written in a form that says the same.
fn survives<T: DeserializeOwned + Serialize + PartialEq + Debug>(text: &str) -> Option<T> {
    let value: T = serde_json::from_str(text).ok()?;
    let written = serde_json::to_string(&value).expect("what was read can be written");
    let again: T = serde_json::from_str(&written).expect("what was written can be read");
    // Keys are never written out, so that they can't be set or shown through the admin interface.
    let keeps_secrets = serde_json::to_string(&again).expect("as before");
    assert_eq!(keeps_secrets, written);
    Some(value)
}

fn subject() -> Subject {
    Subject {
        user: Some("u".to_owned()),
        token: Some("t".to_owned()),
        key: Some("k".to_owned()),
        address: IpAddr::from([203, 0, 113, 7]),
        place: Place { country: "SE".parse().ok(), asn: Some(64_496) },
        role: Role::Viewer,
    }
}

fn rules(files: &[RuleFile]) {
    for tells in [Tells::default(), Tells { countries: true, asns: true }] {
        let Ok(rules) = Rules::load(files, false, tells) else { continue };
        assert_eq!(rules.files(), files);
        for role in [Role::Viewer, Role::Seed] {
            let subject = Subject { role, ..subject() };
            let content = "cdn.example/live/a.m3u8";
            let barred = rules.judge(&Case { subject: &subject, content, now: NOW }).err();
            assert!(barred.is_none_or(|barred| files.iter().any(|file| file.id == barred.rule)));
        }
    }
}

fn revoke(request: Request) {
    let mut lists = Lists::default();
    let Ok(entry) = lists.add("demo", request.clone(), 1, NOW) else { return };
    assert_eq!((entry.kind, &entry.name, entry.until), (request.kind, &request.name, request.until));
    lists.take_back("demo", entry.number, NOW).expect("it is there");
    assert!(lists.is_empty());
}

fn revoked(mut lists: Lists) {
    let before = lists.of("demo").number();
    let _ = lists.of("demo").find(&subject(), Some(PeerId([0xab; 16])), NOW);
    let request: Request = serde_json::from_str(r#"{"kind":"user","name":"x"}"#).expect("a request");
    if let Ok(entry) = lists.add("demo", request, 1000, NOW) {
        assert!(entry.number > before, "the number grows with every change");
    }
}
