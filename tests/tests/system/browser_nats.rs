//! Real browsers behind NATs that let nobody in, and in an office without UDP (R13, R42). All kinds: `bench nat`.

use std::net::IpAddr;
use std::time::Duration;

use rillcast_tests::netlab::internet::kind::{Allocation, Dependence, Kind};
use rillcast_tests::netlab::internet::net::{Line, Policy};
use rillcast_tests::traversal::{End, Outcome, Town, meet};

const PATIENCE: Duration = Duration::from_secs(30);
const HARD: Kind =
    Kind { mapping: Dependence::Port, allocation: Allocation::Random, filtering: Dependence::Port };

#[tokio::test]
async fn a_chromium_is_relayed_by_signaling_and_where_udp_is_blocked_by_coturn_over_tcp() {
    let mut town = Town::build(11).await.unwrap();
    town.start_coturn().await.unwrap();
    let native = town.home("native", 1, Some(HARD)).await.unwrap();
    let hard = town.home("hard", 2, Some(HARD)).await.unwrap();
    let nat = town.internet().nat(HARD).unwrap();
    let line = Line { policy: Policy::OnlyHttps, ..Line::default() };
    let office = town.home_below("office", nat, IpAddr::from([192, 168, 3, 2]), line).await.unwrap();
    for (home, over_tcp) in [(&hard, false), (&office, true)] {
        let ice = if over_tcp { town.ice_over_tcp() } else { town.ice(false) }.unwrap();
        let mut chromium = End::Chromium(Box::new(town.chromium(home, ice).await.unwrap()));
        let mut peer = End::Native(Box::new(town.native(&native).unwrap()));
        let met = meet(&town, (&mut chromium, home.spot), (&mut peer, native.spot), PATIENCE).await.unwrap();
        println!("over TCP: {over_tcp}: {met}");
        assert_eq!(met.outcome, Outcome::Relayed);
    }
}
