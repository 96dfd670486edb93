//! Peers behind NATs meet: directly where their NATs allow it, through signaling's own relay where they don't (R13, R42). All kinds: `bench nat`.

use std::net::IpAddr;
use std::time::Duration;

use rillcast_protocol::nat::NatClass;
use rillcast_tests::netlab::internet::kind::{Allocation, Dependence, Kind};
use rillcast_tests::netlab::internet::nat::Nat;
use rillcast_tests::netlab::internet::net::{Line, Net, Policy};
use rillcast_tests::traversal::{End, Outcome, Town, Visitor, meet};

/// Longer than a link may take to open; what counts is by which way it opens.
const PATIENCE: Duration = Duration::from_secs(20);

const fn kind(mapping: Dependence, filtering: Dependence) -> Kind {
    Kind { mapping, allocation: Allocation::Random, filtering }
}

const USUAL: Kind = kind(Dependence::Independent, Dependence::Port);
const OPEN: Kind = kind(Dependence::Independent, Dependence::Address);
const HARD: Kind = kind(Dependence::Port, Dependence::Port);

#[tokio::test]
async fn native_peers_meet_behind_nats_of_all_sorts() {
    let mut town = Town::build(7).await.unwrap();
    let kinds = [USUAL, OPEN, HARD];
    let (mut here, mut there) = (Vec::new(), Vec::new());
    for (number, kind) in kinds.iter().enumerate() {
        here.push(town.home("here", number as u8, Some(*kind)).await.unwrap());
        there.push(town.home("there", number as u8, Some(*kind)).await.unwrap());
    }
    // Behind a carrier's NAT besides its own.
    let carrier = town.internet().nat(USUAL).unwrap();
    let nat = Nat::new(USUAL, IpAddr::from([100, 64, 0, 1]), 9);
    let below = town.internet().nat_below(carrier, nat);
    there.push(
        town.home_below("twice", below, IpAddr::from([192, 168, 9, 2]), Line::default()).await.unwrap(),
    );
    let wall = town.internet().nat_below(Net::ROOT, Nat::firewall(Dependence::Port));
    let v6 = |text: &str| text.parse::<IpAddr>().unwrap();
    here.push(town.home_below("six", wall, v6("2001:db8:1::2"), Line::default()).await.unwrap());
    let wall = town.internet().nat_below(Net::ROOT, Nat::firewall(Dependence::Port));
    there.push(town.home_below("sixes", wall, v6("2001:db8:2::2"), Line::default()).await.unwrap());
    let pairs = [
        (0, 0, Outcome::Direct),
        (0, 1, Outcome::Direct),
        (1, 2, Outcome::Direct),
        (0, 2, Outcome::Relayed),
        (2, 2, Outcome::Relayed),
        (0, 3, Outcome::Direct),
        (3, 4, Outcome::Direct),
    ];
    let mut ends = Vec::new();
    for (one, other, _) in pairs {
        let (one, other) = (town.native(&here[one]).unwrap(), town.native(&there[other]).unwrap());
        ends.push((End::Native(Box::new(one)), End::Native(Box::new(other))));
    }
    let town = &town;
    let meetings = ends.iter_mut().zip(pairs).map(|((caller, callee), (one, other, _))| {
        meet(town, (caller, here[one].spot), (callee, there[other].spot), PATIENCE)
    });
    let met = futures_util::future::join_all(meetings).await;
    for ((one, other, wanted), met) in pairs.into_iter().zip(met) {
        let met = met.unwrap();
        println!("{one} and {other}: {met}");
        assert_eq!(met.outcome, wanted, "{one} and {other}");
    }
    let metrics = &town.server.as_ref().unwrap().hub.metrics;
    assert!(metrics.relay.sent_bytes_total.value() > 0 && metrics.relay.allocations_total.value() > 0);
}

// R31
#[tokio::test]
async fn a_native_peer_finds_how_its_nat_maps_by_two_stun_addresses() {
    use NatClass::{Blocked, Dependent, Independent, Open};
    let mut town = Town::without_relays(8).await.unwrap();
    let preserving = Kind { allocation: Allocation::Preserving, ..HARD };
    let by_address = kind(Dependence::Address, Dependence::Port);
    // By two ports of one address, and by one port of two.
    let kinds = [
        ("open", None, Open, Open),
        ("one", Some(USUAL), Independent, Independent),
        ("kept", Some(preserving), Independent, Independent),
        ("host", Some(by_address), Independent, Dependent),
        ("port", Some(HARD), Dependent, Dependent),
    ];
    let mut homes = Vec::new();
    for (number, (name, kind, ports, addresses)) in kinds.into_iter().enumerate() {
        homes.push((name, town.home(name, number as u8, kind).await.unwrap(), ports, addresses));
    }
    let nat = town.internet().nat(USUAL).unwrap();
    let line = Line { policy: Policy::NoUdp, ..Line::default() };
    let office = town.home_below("office", nat, IpAddr::from([192, 168, 9, 2]), line).await.unwrap();
    homes.push(("office", office, Blocked, Blocked));
    let town = &town;
    let asked = homes.iter().flat_map(|(name, home, ports, addresses)| {
        [(&[0, 1], ports), (&[0, 2], addresses)].map(|(which, wanted)| async move {
            let found = town.nat_class(home, town.stun(which).unwrap(), PATIENCE).await.unwrap();
            assert_eq!(found, Some(*wanted), "{name}, asking {which:?}");
        })
    });
    futures_util::future::join_all(asked).await;
}

/// Whoever kept trying would do so several times meanwhile.
const WATCHED: Duration = Duration::from_secs(10);

async fn settled(visitor: &Visitor, what: impl Fn(&Visitor) -> bool) {
    let wait = async {
        while !what(visitor) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.expect("in time");
}

// R24 R31: a third one, whom both are linked with, tells each of the other.
#[tokio::test]
async fn two_behind_symmetric_nats_without_a_relay_do_not_keep_trying() {
    let mut town = Town::without_relays(9).await.unwrap();
    let open = Kind { filtering: Dependence::Independent, ..USUAL };
    let mut homes = Vec::new();
    for (number, (name, kind)) in
        [("middle", open), ("first", HARD), ("second", HARD)].into_iter().enumerate()
    {
        homes.push(town.home(name, number as u8, Some(kind)).await.unwrap());
    }
    let mut visitors = Vec::new();
    for (home, class) in homes.iter().zip([NatClass::Independent, NatClass::Dependent, NatClass::Dependent]) {
        let visitor = town.visitor(home).await.unwrap();
        settled(&visitor, |visitor| visitor.nat() == class).await;
        visitors.push(visitor);
    }
    for (visitor, links) in visitors.iter().zip([2, 1, 1]) {
        settled(visitor, |visitor| visitor.links().0 == links).await;
    }
    // A first attempt began before the newcomer knew where it is.
    for visitor in &visitors {
        settled(visitor, |visitor| visitor.attempts() == 0).await;
    }
    let ended = |visitors: &[Visitor]| visitors.iter().map(Visitor::links).collect::<Vec<_>>();
    let before = ended(&visitors);
    let relayed = &town.server.as_ref().unwrap().hub.metrics.relayed_total;
    let signals = relayed.value();
    let until = std::time::Instant::now() + WATCHED;
    while std::time::Instant::now() < until {
        assert!(visitors.iter().all(|visitor| visitor.attempts() == 0), "nobody tries again");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    println!("links open and ended: {before:?}");
    assert_eq!(ended(&visitors), before);
    assert_eq!(relayed.value(), signals, "nobody calls anybody");
}

// R13: relay by a seed, where direct fails and the site has no TURN server.
#[tokio::test]
async fn two_behind_symmetric_nats_are_linked_through_a_seed_that_relays() {
    let mut town = Town::whose_seeds_relay(10).await.unwrap();
    let abroad = town.home("seed", 1, None).await.unwrap();
    let seed = town.seed(&abroad).await.unwrap();
    let mut visitors = Vec::new();
    for (number, name) in ["first", "second"].into_iter().enumerate() {
        let home = town.home(name, number as u8, Some(HARD)).await.unwrap();
        visitors.push(town.visitor(&home).await.unwrap());
    }
    for visitor in &visitors {
        settled(visitor, |visitor| visitor.links().0 == 2).await;
    }
    let counters = &seed.relay.as_ref().unwrap().counters;
    assert!(counters.allocations.value() > 0 && counters.sent_bytes_total.value() > 0);
    println!(
        "{} relays, {} and {} bytes",
        counters.allocations_total.value(),
        counters.sent_bytes_total.value(),
        counters.received_bytes_total.value()
    );
    // Where the seed goes, its relay goes with it, and nobody keeps trying.
    seed.stop().await;
    for visitor in &visitors {
        settled(visitor, |visitor| visitor.links().0 == 0).await;
    }
}
