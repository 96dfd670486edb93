//! Seeds that relay for viewers, where the site has no TURN server (R13).

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use rillcast_protocol::id::Role;
use rillcast_protocol::settings::IceServer;
use rillcast_protocol::signal::{ClientMessage, ServerMessage};
use rillcast_relay::Secret;
use rillcast_signaling::auth::{Asker, Open};
use rillcast_signaling::limits::Limits;

use crate::kit::{Bench, Puppet, join};

const RELAYING: &str = "[default]\nseed_relays = true\n";
const SECRET: [u8; 32] = [7; 32];

fn at(address: u8) -> Asker<'static> {
    Asker { address: IpAddr::from([192, 0, 2, address]), origin: None, forwarded: false }
}

fn bench(settings: &str) -> Bench {
    Bench::open(Limits::default(), settings, Open::Everyone)
}

fn seed(bench: &Bench, address: u8) -> Puppet {
    bench.enter_from(join(Role::Seed), at(address)).expect("room")
}

fn offers(bench: &Bench, seed: &Puppet, port: u16) {
    bench.say(seed, ClientMessage::OfferRelay { port, secret: SECRET });
}

/// The relays that a peer was told of last, if it was told of any settings.
fn told(puppet: &mut Puppet) -> Option<Vec<IceServer>> {
    let settings = puppet.heard().into_iter().rev().find_map(|message| match message {
        ServerMessage::Welcome { welcome } => Some(welcome.settings),
        ServerMessage::Settings { settings } => Some(settings),
        _ => None,
    });
    settings.map(|settings| settings.ice.into_vec().into_iter().filter(IceServer::relays).collect())
}

fn urls(relays: &[IceServer]) -> Vec<&str> {
    relays.iter().map(|relay| relay.url.as_str()).collect()
}

fn newcomer(bench: &Bench) -> Vec<String> {
    let relays = told(&mut bench.viewer()).expect("welcome");
    urls(&relays).into_iter().map(str::to_owned).collect()
}

#[test]
fn a_seed_that_relays_is_told_to_viewers_with_credentials_of_theirs() {
    let bench = bench(RELAYING);
    let mut early = bench.viewer();
    assert_eq!(told(&mut early), Some(vec![]));
    let mut seed = seed(&bench, 9);
    offers(&bench, &seed, 3478);
    let mut late = bench.viewer();
    let relays = told(&mut late).expect("welcome");
    assert_eq!(urls(&relays), ["turn:192.0.2.9:3478?transport=udp"], "where the seed itself comes from");
    let (name, password) = (relays[0].username.as_str(), relays[0].credential.as_str());
    assert!(name.ends_with(&format!(":{}", late.id)), "{name}");
    assert_eq!(password, Secret::new(&SECRET).password(name));
    assert_eq!(told(&mut seed), Some(vec![]), "seeds need none");
    // Whoever was there before hears of it soon.
    bench.hub.tick_once(Instant::now());
    assert_eq!(told(&mut early).map(|relays| relays.len()), Some(1));
    bench.hub.tick_once(Instant::now() + Duration::from_secs(60));
    assert_eq!(told(&mut early), None, "once");
    // It takes its offer back, makes another one, and goes.
    offers(&bench, &seed, 0);
    assert!(newcomer(&bench).is_empty());
    offers(&bench, &seed, 4000);
    assert_eq!(newcomer(&bench), ["turn:192.0.2.9:4000?transport=udp"]);
    bench.hub.leave(seed.swarm, seed.id);
    assert!(newcomer(&bench).is_empty());
}

#[test]
fn news_of_relays_goes_out_every_ten_seconds_at_most() {
    let bench = bench(RELAYING);
    let (mut viewer, seed, now) = (bench.viewer(), seed(&bench, 9), Instant::now());
    let mut heard = Vec::new();
    for second in 0..25 {
        offers(&bench, &seed, 4000 + second);
        bench.hub.tick_once(now + Duration::from_secs(second.into()));
        heard.extend(told(&mut viewer).map(|relays| (second, relays.len())).filter(|(_, count)| *count > 0));
    }
    assert_eq!(heard, [(0, 1), (10, 1), (20, 1)]);
}

#[test]
fn of_many_two_are_told_and_all_have_their_share() {
    let bench = bench(RELAYING);
    let seeds: Vec<_> = (1..=5).map(|n| seed(&bench, n)).collect();
    for (count, told) in [(1, 1), (2, 2), (5, 2)] {
        seeds[..count].iter().for_each(|seed| offers(&bench, seed, 3478));
        assert_eq!(newcomer(&bench).len(), told, "of {count}");
    }
    let mut shares: HashMap<String, usize> = HashMap::new();
    for _ in 0..200 {
        newcomer(&bench).into_iter().for_each(|url| *shares.entry(url).or_default() += 1);
    }
    assert!(shares.len() == 5 && shares.values().all(|share| (40..=130).contains(share)), "{shares:?}");
}

// Where a relay-only rule is set to hide addresses, the site's own relays are meant.
#[test]
fn nobody_is_told_who_has_other_relays_or_must_be_hidden_or_whose_site_wants_none() {
    let hidden = format!("{RELAYING}[[default.rules]]\nid = \"hidden\"\neffect = \"relay-only\"\n");
    let own = format!(
        "{RELAYING}ice = [{{ url = \"turn:relay.example\", username = \"n\", credential = \"p\" }}]\n"
    );
    for (settings, told) in [
        (RELAYING, vec!["turn:192.0.2.9:3478?transport=udp"]),
        ("", vec![]),
        ("[default]\nseed_relays = false\n", vec![]),
        (&hidden, vec![]),
        (&own, vec!["turn:relay.example"]),
    ] {
        let bench = bench(settings);
        let seed = seed(&bench, 9);
        offers(&bench, &seed, 3478);
        assert_eq!(newcomer(&bench), told, "{settings}");
    }
    let bench = bench(RELAYING);
    let viewer = bench.viewer();
    offers(&bench, &viewer, 3478);
    assert!(newcomer(&bench).is_empty(), "viewers don't relay");
}

// A seed says once that it relays; the site's mind may change before and after.
#[test]
fn a_site_that_changes_its_mind_is_heeded_at_once() {
    let bench = bench("");
    let seed = seed(&bench, 9);
    let mut viewer = bench.viewer();
    offers(&bench, &seed, 3478);
    assert_eq!((newcomer(&bench).len(), told(&mut viewer)), (0, Some(vec![])));
    for (settings, count) in [(RELAYING, 1), ("", 0), (RELAYING, 1)] {
        bench.hub.reload(&toml::from_str(settings).expect("settings")).expect("good");
        assert_eq!(told(&mut viewer).map(|relays| relays.len()), Some(count), "{settings}");
        assert_eq!(newcomer(&bench).len(), count, "{settings}");
    }
}

// At and over the limit.
#[test]
fn of_very_many_relays_the_eldest_are_told_and_another_steps_up_when_one_goes() {
    let bench = bench(RELAYING);
    let seeds: Vec<_> = (1..=65).map(|n| seed(&bench, n)).collect();
    seeds.iter().for_each(|seed| offers(&bench, seed, 3478));
    let all = || {
        let told = (0..1000).flat_map(|_| newcomer(&bench));
        told.collect::<std::collections::HashSet<_>>()
    };
    let last = "turn:192.0.2.65:3478?transport=udp";
    let before = all();
    assert!(before.len() == 64 && !before.contains(last), "{}", before.len());
    bench.hub.leave(seeds[0].swarm, seeds[0].id);
    let after = all();
    assert!(after.len() == 64 && after.contains(last), "{}", after.len());
}
