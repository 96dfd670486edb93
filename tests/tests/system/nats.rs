//! Peers behind NATs meet: directly where their NATs allow it, through signaling's own relay where they don't (R13, R42). All kinds: `bench nat`.

use std::net::IpAddr;
use std::time::Duration;

use rillcast_tests::netlab::internet::kind::{Allocation, Dependence, Kind};
use rillcast_tests::netlab::internet::nat::Nat;
use rillcast_tests::netlab::internet::net::{Line, Net};
use rillcast_tests::traversal::{End, Outcome, Town, meet};

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
    assert!(metrics.turn_sent_bytes_total.value() > 0 && metrics.turn_allocations_total.value() > 0);
}
