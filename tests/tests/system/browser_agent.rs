//! Native players play through an agent, in the swarm of viewers in browsers.

use crate::common;

use rillcast_tests::bench::agent::{Options, measure};

// R19 R24
#[tokio::test]
async fn ffmpeg_copies_through_an_agent_what_browsers_hand_it() {
    let found = measure(&Options::short(2, 16), common::library()).await.unwrap();
    println!("{found:?}");
    assert!(found.identical, "{found:?}");
    assert!(found.copied > 1_000_000, "{found:?}");
    // `bench agent` has four viewers and more time, and asks for 80 %.
    assert!(found.peer_share > 0.5, "{found:?}");
}
