//! What the source is asked for, and when.

use rillcast_core::engine::{Input, SourceError, SourceHead, Via};
use rillcast_core::time::Duration;

use crate::lab::{Answers, Net, Setup, Solo, key};

/// A viewer on demand, 20 s before it plays segment 20, whose neighbour holds all of it and gives the first `given` blocks alone.
fn partly(given: u16) -> Solo {
    let mut solo = Solo::viewer();
    solo.plays(15, 20, 24, false);
    solo.describe(20);
    let link = solo.neighbour(1);
    let all = solo.blocks(20);
    solo.holds(link, 20, 0..all);
    solo.demand(20);
    for _ in 0..given {
        for (transfer, name) in solo.take_requests(link) {
            if name.block.0 < given {
                solo.piece(link, transfer, 0, &solo.block(20, name.block.0));
            }
        }
        solo.wait(Duration::from_millis(20));
    }
    assert_eq!(solo.engine.stats().stored_bytes, u64::from(given) * 32 * 1024);
    assert!(solo.fetches.is_empty());
    solo
}

// R3: a late segment costs the source only its missing bytes.
#[test]
fn what_is_missing_when_time_runs_out_comes_from_the_source_by_range() {
    let mut solo = partly(8);
    let (all, held) = (solo.body(20).len() as u32, 8 * 32 * 1024);
    let begin = solo.now;
    let mut ranges = Vec::new();
    // No more at a time than must be: peers may still bring the rest.
    while solo.delivered.is_empty() && solo.now < begin + Duration::from_secs(21) {
        solo.wait(Duration::from_millis(20));
        for asked in solo.fetches.drain(..).filter(|f| f.key == key(20)).collect::<Vec<_>>() {
            let range = asked.range.expect("a part");
            let head = SourceHead::Partial { total: Some(all) };
            solo.tell(Input::SourceHead { fetch: asked.fetch, head });
            solo.source(asked.fetch, &solo.body(20).slice(range.start as usize..range.end as usize));
            solo.tell(Input::SourceEnd { fetch: asked.fetch });
            ranges.push(range);
        }
    }
    ranges.sort_by_key(|r| r.start);
    let mut at = held;
    for range in &ranges {
        assert_eq!(range.start, at, "what is missing, once");
        at = range.end;
    }
    assert_eq!(at, all);
    let share = solo.delivered[0].share;
    assert_eq!((share.peers, share.source), (held, all - held));
    assert!(solo.now < begin + Duration::from_secs(20), "before the player needs it");
}

// R3: not before it must.
#[test]
fn a_block_that_somebody_holds_is_not_fetched_while_there_is_time() {
    let mut solo = Solo::viewer();
    solo.plays(15, 20, 24, false);
    solo.demand(20);
    let link = solo.neighbour(1);
    solo.describe(20);
    let all = solo.blocks(20);
    solo.holds(link, 20, 0..all);
    solo.wait(Duration::from_secs(10));
    assert!(
        solo.fetches.is_empty(),
        "its neighbour is slow, but the player has 10 s left: {:?}",
        solo.fetches
    );
    solo.wait(Duration::from_secs(9));
    assert!(!solo.fetches.is_empty(), "1 s left");
    assert!(solo.engine.stats().rescues > 0);
}

// R23 R52: a source that refuses, for too many ask it, is no reason to wait for it where neighbours hold everything.
#[test]
fn a_player_that_waits_is_fed_by_its_neighbours_when_the_source_fails() {
    for neighbours_hold in [true, false] {
        let mut solo = Solo::viewer();
        let link = solo.neighbour(1);
        solo.describe(20);
        let all = if neighbours_hold { solo.blocks(20) } else { 0 };
        solo.holds(link, 20, 0..all);
        solo.demand(20);
        let fetch = solo.fetches[0].fetch;
        let fails = Input::SourceFailed { fetch, error: SourceError::Status(503) };
        solo.tell(fails);
        for _ in 0..all {
            solo.wait(Duration::from_millis(20));
            for (transfer, name) in solo.take_requests(link) {
                solo.piece(link, transfer, 0, &solo.block(20, name.block.0));
            }
        }
        assert_eq!(solo.failed.is_empty(), neighbours_hold);
        assert_eq!(solo.delivered.len(), usize::from(neighbours_hold));
        assert_eq!(solo.fetches.len(), 1, "the source isn't asked over and over");
    }
}

#[test]
fn neighbours_that_bring_nothing_in_its_place_are_not_waited_for_long() {
    let mut solo = Solo::viewer();
    let link = solo.neighbour(1);
    solo.describe(20);
    solo.holds(link, 20, 0..solo.blocks(20));
    solo.demand(20);
    let mut failures = 0;
    for _ in 0..120 {
        for asked in solo.fetches.split_off(0) {
            failures += 1;
            solo.tell(Input::SourceFailed { fetch: asked.fetch, error: SourceError::Status(503) });
        }
        solo.wait(Duration::from_millis(50));
    }
    assert_eq!(solo.failed, [key(20)], "after a few seconds its own rules decide");
    assert!((2..=7).contains(&failures), "{failures} requests to a source that fails");
}

// R25
#[test]
fn a_player_with_nothing_to_play_is_served_by_the_source_at_once() {
    let mut solo = Solo::viewer();
    solo.demand(20);
    assert_eq!(solo.fetches.len(), 1, "before playlists, digests or neighbours");
    assert_eq!((solo.fetches[0].range.clone(), solo.fetches[0].via), (None, Via::Origin));
}

#[test]
fn a_demand_waits_for_a_digest_that_is_likely_to_come_but_not_long() {
    let mut solo = Solo::viewer();
    solo.plays(15, 20, 24, true);
    solo.demand(20);
    solo.wait(Duration::from_millis(1400));
    assert!(solo.fetches.is_empty());
    solo.wait(Duration::from_millis(200));
    assert_eq!(solo.fetches.len(), 1);
    assert_eq!(solo.fetches[0].range, None, "unshared, it comes whole");
}

// DESIGN 10: no Range at the origin: whole segments, sharing goes on.
#[test]
fn a_source_without_range_gives_whole_segments_and_sharing_goes_on() {
    for answers in [Answers::Whole, Answers::RefusesRange] {
        let mut net = Net::new(Setup { viewers: 4, length: Duration::from_secs(60), ..Setup::default() });
        net.answers = answers;
        net.run();
        assert_eq!(net.stalls(), 0, "{answers:?}: {}", net.summary());
        assert!(net.bytes_from_peers() * 3 > net.figures.delivered, "{answers:?}: {}", net.summary());
        for n in 0..4 {
            let ranged = net.log.iter().filter(|a| a.node == n && a.via == Via::Origin && a.range.is_some());
            let tries: Vec<_> = ranged.collect();
            assert!(tries.len() <= 8, "{answers:?}: node {n} goes on asking for ranges: {tries:?}");
            assert_eq!(net.player(n).failures, 0, "{answers:?}");
        }
    }
}

// A whole answer to a Range request begins at byte 0, not at the byte asked for.
#[test]
fn a_whole_answer_to_a_range_request_is_cut_from_its_beginning() {
    let mut solo = partly(8);
    let fetch = solo.next_fetch(Duration::from_secs(20)).fetch;
    let body = solo.body(20);
    solo.tell(Input::SourceHead { fetch, head: SourceHead::Whole { total: Some(body.len() as u32) } });
    body.chunks(10_000).for_each(|c| solo.source(fetch, c));
    solo.tell(Input::SourceEnd { fetch });
    assert_eq!(solo.delivered.len(), 1);
    assert_eq!(solo.delivered[0].parts.iter().flat_map(|p| p.0.to_vec()).collect::<Vec<_>>(), body);
    assert!(solo.events.iter().all(|e| !matches!(e, rillcast_core::engine::Event::SourceMismatch { .. })));
}

// A CORS rule that refuses the Range header shows itself as a failure without a status.
#[test]
fn after_a_refused_range_the_segment_is_fetched_whole() {
    let mut solo = partly(8);
    let fetch = solo.next_fetch(Duration::from_secs(20)).fetch;
    solo.tell(Input::SourceFailed { fetch, error: SourceError::Network });
    solo.wait(Duration::from_millis(200));
    let last = solo.fetches.last().expect("another fetch");
    assert_eq!((last.key, last.range.clone()), (key(20), None));
    assert!(solo.failed.is_empty());
}

#[test]
fn a_source_that_fails_for_a_while_is_asked_again_and_the_player_told() {
    for error in [SourceError::Status(500), SourceError::Status(404), SourceError::Network] {
        let mut net = Net::new(Setup {
            viewers: 1,
            publisher: false,
            length: Duration::from_secs(60),
            ..Setup::default()
        });
        net.at(Duration::from_secs(10), move |net| net.answers = Answers::Fails(error));
        net.at(Duration::from_secs(16), |net| net.answers = Answers::Ranges);
        net.run();
        let player = net.player(0);
        assert!(player.failures > 0, "{error:?}: the player's own rules decide");
        assert!(player.failures < 20, "{error:?}: {} failures", player.failures);
        assert!(player.got.len() >= 14, "{error:?}: {} segments", player.got.len());
        assert_eq!(net.stalls(), 0, "{error:?}: its buffer carried it");
    }
}

// H12: the request neither fails nor brings anything.
#[test]
fn peers_bring_what_a_hanging_fetch_does_not() {
    let mut net =
        Net::new(Setup { viewers: 4, seed_node: true, length: Duration::from_secs(60), ..Setup::default() });
    net.at(Duration::from_secs(20), |net| net.answers = Answers::Hangs);
    net.run();
    assert_eq!(net.stalls(), 0, "{}", net.summary());
}
