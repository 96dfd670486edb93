//! What the player's ABR is told (H9): peers must not make it believe in bandwidth that the source does not have.

use rillcast_core::engine::{Input, LinkId, Playhead, SourceHead};
use rillcast_core::time::Duration;

use crate::lab::solo::Asked;
use crate::lab::{Net, Setup, Solo, key};

/// A viewer whose source was measured at 250 kB/s, at second 60 of a video on demand.
fn measured() -> Solo {
    let mut solo = Solo::viewer();
    solo.plays(15, 4, 40, false);
    solo.demand(16);
    solo.wait(Duration::from_millis(1600));
    let fetch = solo.fetches.last().expect("no digest: from the source").fetch;
    solo.tell(Input::SourceHead { fetch, head: SourceHead::Whole { total: None } });
    for chunk in solo.body(16).chunks(25_000) {
        solo.wait(Duration::from_millis(100));
        solo.source(fetch, chunk);
    }
    solo.tell(Input::SourceEnd { fetch });
    let rate = solo.delivered[0].throughput.expect("measured").bytes_per_second();
    assert!((200_000..=250_000).contains(&rate), "{rate}");
    solo
}

/// The player asks for a segment, and all of it comes from a fast neighbour.
fn bring(solo: &mut Solo, number: u64) {
    solo.describe(number);
    let link = solo.neighbour(number as usize);
    let all = solo.blocks(number);
    solo.holds(link, number, 0..all);
    solo.demand(number);
    serve(solo, link, number, all);
    assert_eq!(solo.delivered.last().map(|d| (d.key.number, d.share.source)), Some((number, 0)));
}

/// A neighbour gives what it is asked for, of the first `given` blocks.
fn serve(solo: &mut Solo, link: LinkId, number: u64, given: u16) {
    for _ in 0..30 {
        for (transfer, name) in solo.take_requests(link) {
            if name.key.number == number && name.block.0 < given {
                solo.piece(link, transfer, 0, &solo.block(number, name.block.0));
            }
        }
        solo.wait(Duration::from_millis(2));
    }
}

// H9
#[test]
fn in_a_swarm_nobody_is_told_of_more_than_the_source_gives() {
    for setup in [Setup::default(), Setup { seed_node: true, ..Setup::default() }] {
        let mut net = Net::new(Setup { seed: 2, ..setup });
        net.run();
        let told = (0..8).flat_map(|n| net.player(n).got.iter().filter_map(|g| g.throughput));
        let most = told.map(|t| t.bytes_per_second()).max().expect("measured");
        assert!(most <= net.setup.source_rate * 101 / 100, "{most} of {}", net.setup.source_rate);
        let least = (0..8).flat_map(|n| net.player(n).got.iter().filter_map(|g| g.throughput)).min();
        let least = least.expect("measured").bytes_per_second();
        assert!(least * 2 > net.setup.source_rate, "{least}: nor of much less while all is well");
    }
}

// H9
#[test]
fn fast_peers_do_not_count_as_a_fast_source() {
    let mut solo = measured();
    let before = solo.delivered[0].throughput;
    solo.plays(16, 8, 40, false);
    bring(&mut solo, 18);
    assert_eq!(solo.delivered.len(), 2);
    assert!(solo.delivered[1].share.peers > 0);
    assert_eq!(solo.delivered[1].throughput, before);
}

// H9: after a seek, say, to what was taken from a neighbour ahead of time.
#[test]
fn nor_do_they_when_the_player_was_waiting() {
    let mut solo = measured();
    let before = solo.delivered[0].throughput;
    solo.describe(18);
    let link = solo.neighbour(3);
    let all = solo.blocks(18);
    solo.holds(link, 18, 0..all);
    solo.wait(Duration::from_millis(20));
    serve(&mut solo, link, 18, all);
    solo.tell(Input::Playhead(starving(72_000)));
    solo.demand(18);
    let last = solo.delivered.last().expect("delivered");
    assert_eq!((last.key.number, last.share.source), (18, 0));
    assert_eq!(last.throughput, before);
}

// H9: late blocks are told as they were, so that the ABR can act.
#[test]
fn a_segment_that_came_too_late_is_told_as_slow_as_it_was() {
    let mut solo = measured();
    solo.plays(15, 10, 40, false);
    solo.describe(18);
    let link = solo.neighbour(3);
    let all = solo.blocks(18);
    solo.holds(link, 18, 0..all);
    solo.demand(18);
    serve(&mut solo, link, 18, all - 3);
    solo.next_fetch(Duration::from_secs(12));
    solo.wait(Duration::from_secs(6));
    solo.tell(Input::Playhead(starving(72_000)));
    let cancelled = solo.cancelled.clone();
    let open = |f: &&Asked| f.key == key(18) && !cancelled.contains(&f.fetch);
    for Asked { fetch, range, .. } in solo.fetches.iter().filter(open).cloned().collect::<Vec<_>>() {
        let range = range.expect("the rest by range");
        solo.tell(Input::SourceHead { fetch, head: SourceHead::Partial { total: None } });
        solo.source(fetch, &solo.body(18).slice(range.start as usize..range.end as usize));
        solo.tell(Input::SourceEnd { fetch });
    }
    let last = solo.delivered.last().expect("delivered");
    assert_eq!(last.key.number, 18);
    assert!(last.share.peers > 0 && last.share.source > 0, "{:?}", last.share);
    let told = last.throughput.expect("measured").bytes_per_second();
    assert!(told < 60_000, "{told}");
}

fn starving(position_ms: i64) -> Playhead {
    Playhead { position_ms, rate_percent: 100, buffered_ms: position_ms, starving: true }
}

// H9
#[test]
fn nothing_is_told_before_the_source_was_measured() {
    let mut solo = Solo::viewer();
    solo.plays(15, 20, 40, false);
    bring(&mut solo, 20);
    assert_eq!(solo.delivered[0].throughput, None);
}

// H9: what a contradiction cuts short took its time.
#[test]
fn a_contradicted_fetch_does_not_look_infinitely_fast() {
    let mut solo = Solo::viewer();
    solo.describe(20);
    solo.demand(20);
    let other = crate::lab::body(&solo.rendition, 20, 1);
    let fetch = solo.fetches[0].fetch;
    solo.tell(Input::SourceHead { fetch, head: SourceHead::Whole { total: None } });
    solo.verifies = false;
    for chunk in other[..100_000].chunks(25_000) {
        solo.wait(Duration::from_millis(100));
        solo.source(fetch, chunk);
    }
    solo.verifies = true;
    solo.wait(Duration::from_millis(100));
    assert!(solo.cancelled.contains(&fetch));
    let rate = solo.engine.stats().source_rate;
    assert!((150_000..=250_000).contains(&rate), "{rate}");
}

// H9: a source that was slow for a while is believed in again, slowly, while peers serve.
#[test]
fn belief_in_the_source_recovers_while_peers_serve_but_not_beyond_what_was_seen() {
    let mut solo = measured();
    let best = solo.delivered[0].throughput.expect("measured");
    solo.demand(17);
    solo.wait(Duration::from_millis(1600));
    let fetch = solo.fetches.last().expect("a fetch").fetch;
    solo.tell(Input::SourceHead { fetch, head: SourceHead::Whole { total: None } });
    for chunk in solo.body(17).chunks(25_000) {
        solo.wait(Duration::from_millis(400));
        solo.source(fetch, chunk);
    }
    solo.tell(Input::SourceEnd { fetch });
    let slow = solo.delivered.last().and_then(|d| d.throughput).expect("measured");
    assert!(slow < best);
    let mut last = slow;
    for number in 20..34 {
        solo.wait(Duration::from_secs(9));
        solo.plays(number - 5, 20, 60, false);
        bring(&mut solo, number);
        let told = solo.delivered.last().and_then(|d| d.throughput).expect("measured");
        assert!(told >= last && told <= best, "{told:?} after {last:?}, best {best:?}");
        last = told;
    }
    assert!(last > slow);
}
