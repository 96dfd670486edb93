//! Whole swarms: what the exchange is worth. Bounds leave a margin to what was measured, which stands beside them.

use rillcast_core::time::Duration;

use crate::lab::{Net, Setup};

fn run(setup: Setup) -> Net {
    let mut net = Net::new(setup);
    net.run();
    println!("{}", net.summary());
    net
}

// R1 R33: measured 0.81 and 1.44 copies; the publisher's own copy counts.
#[test]
fn eight_viewers_of_a_live_stream_fetch_little_more_than_one_copy() {
    let net = run(Setup::default());
    assert_eq!(net.stalls(), 0);
    assert!(net.savings() > 0.78);
}

// R33: measured 0.82 and 1.38 copies.
#[test]
fn a_seed_serves_as_publisher_and_one_copy_is_fetched() {
    let net = run(Setup { seed_node: true, ..Setup::default() });
    assert_eq!(net.stalls(), 0);
    assert!(net.savings() > 0.78);
}

// R19: measured 0.75.
#[test]
fn on_demand_later_viewers_are_served_by_earlier_ones() {
    let net = run(Setup { live: false, join_gap: Duration::from_secs(5), ..Setup::default() });
    assert_eq!(net.stalls(), 0);
    assert!(net.savings() > 0.7);
}

// An engine that asks to be called without a pause would burn a phone's battery (H6) though nothing happens.
#[test]
fn engines_ask_for_calls_at_a_human_pace() {
    let net = run(Setup { length: Duration::from_secs(60), ..Setup::default() });
    let viewer_seconds = 8 * 60;
    assert!(net.figures.timeouts < viewer_seconds * 60, "{} timeouts", net.figures.timeouts);
}
