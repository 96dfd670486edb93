//! Real browsers behind NATs that let nobody in, and in an office without UDP (R13, R42). All kinds: `bench nat`.

use crate::common;

use std::net::IpAddr;
use std::time::Duration;

use common::library;
use rillcast_protocol::nat::Gathered;
use rillcast_tests::browser;
use rillcast_tests::netlab::internet::kind::{Allocation, Dependence, Kind};
use rillcast_tests::netlab::internet::net::{Line, Policy};
use rillcast_tests::scene::Viewer;
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

/// How many of this viewer's connections run through its own relay or the other's, now.
async fn relayed(viewer: &Viewer) -> usize {
    let relayed = "rcStats.wires().then((all) => all.filter(({ ends }) => ends?.includes('relay')).length)";
    viewer.page.eval(relayed).await.unwrap()
}

// R13: as native peers in `nats`, but with the whole page, in both browsers.
#[tokio::test]
async fn browsers_that_no_path_joins_share_through_a_seed_that_relays() {
    const STREAM: &str = "/live/master.m3u8";
    let mut town = Town::whose_seeds_relay(13).await.unwrap();
    let origin = town.origin(library()).await.unwrap();
    let abroad = town.home("seed", 1, None).await.unwrap();
    // It gives hardly anything itself, so that viewers have something to give each other.
    let seed = town.seed_of(&abroad, &origin, STREAM, "16K").await.unwrap();
    let mut viewers = Vec::new();
    for (number, kind) in [browser::Kind::Chromium, browser::Kind::Firefox].into_iter().enumerate() {
        let home = town.home(&format!("viewer{number}"), number as u8, Some(HARD)).await.unwrap();
        viewers.push(town.viewer(kind, &home, &origin, STREAM).await.unwrap());
    }
    for viewer in &viewers {
        let linked = "window.Rillcast?.stats()?.neighbours.length === 2";
        viewer.page.wait_until(linked, PATIENCE).await.unwrap();
    }
    viewers[1].plays(16).await.unwrap();
    let mut shared = 0;
    for viewer in &viewers {
        assert!(relayed(viewer).await > 0, "the seed is met directly, the other viewer is not");
        shared += viewer.from_peers().await.unwrap();
    }
    let counters = &seed.relay.as_ref().unwrap().counters;
    // What comes from the one that has the relay, and what goes to it.
    let carried = counters.sent_bytes_total.value() + counters.received_bytes_total.value();
    println!("{shared} bytes between viewers, {carried} carried by the seed's relay");
    assert!(shared > 0 && carried > shared, "{shared} bytes between viewers, {carried} carried");
    seed.stop().await;
}
