//! Real browsers behind NATs that let nobody in, and in an office without UDP (R13, R42). All kinds: `bench nat`.

use std::net::IpAddr;
use std::time::Duration;

use rillcast_protocol::nat::Gathered;
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

// R31: by two STUN servers, as a page's engine learns it.
#[tokio::test]
async fn a_chromiums_candidates_show_a_nat_that_gives_each_server_another_port() {
    let mut town = Town::without_relays(12).await.unwrap();
    let usual = Kind { mapping: Dependence::Independent, ..HARD };
    for (name, number, kind, shows) in [("hard", 1, HARD, true), ("usual", 2, usual, false)] {
        let home = town.home(name, number, Some(kind)).await.unwrap();
        let ice = town.stun(&[0, 1]).unwrap();
        let mut chromium = End::Chromium(Box::new(town.chromium(&home, ice).await.unwrap()));
        chromium.begin(None).await.unwrap();
        let (mut gathered, mut dependent, mut lines) = (Gathered::default(), false, Vec::new());
        let until = std::time::Instant::now() + if shows { PATIENCE } else { Duration::from_secs(3) };
        while !dependent && std::time::Instant::now() < until {
            for line in chromium.news().await.unwrap().candidates {
                dependent |= gathered.is_dependent(&line);
                lines.push(line);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert!(lines.iter().any(|line| line.contains("srflx")), "{lines:?}");
        assert_eq!(dependent, shows, "{lines:?}");
    }
}
