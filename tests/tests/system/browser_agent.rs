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
    // Three of its seven segments are there before it has met anybody, and of the others one of three viewers fetches each block: 0.38 is what is
    // possible. `bench agent` has more viewers and more time.
    assert!(found.peer_share > 0.2, "{found:?}");
}
