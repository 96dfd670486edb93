//! The engine in small swarms, in virtual time.
#![allow(missing_docs, unreachable_pub, clippy::unwrap_used)]

mod net;

use net::{Net, Setup};
use rillcast_core::time::Duration;

fn run(setup: Setup) -> Net {
    let mut net = Net::new(setup);
    net.run();
    println!("{}", net.summary());
    net
}

#[test]
fn eight_viewers_of_a_live_stream_fetch_little_more_than_one_copy() {
    let net = run(Setup::default());
    assert_eq!(net.stalls(), 0);
    assert!(net.savings() > 0.80);
}

#[test]
fn a_seed_serves_as_publisher_and_one_copy_is_fetched() {
    let net = run(Setup { seed_node: true, ..Setup::default() });
    assert_eq!(net.stalls(), 0);
    assert!(net.savings() > 0.80);
}

#[test]
fn on_demand_later_viewers_are_served_by_earlier_ones() {
    let net = run(Setup { live: false, join_gap: Duration::from_secs(5), ..Setup::default() });
    assert_eq!(net.stalls(), 0);
    assert!(net.savings() > 0.6);
}
