//! Seeks, switches, pauses, separate sound: the overlay follows the player.

use rillcast_core::engine::{Input, MediaKind, Playhead};
use rillcast_core::time::Duration;

use crate::lab::{AUDIO, HIGH, MAIN, Net, Rendition, Setup, Solo, entry, key, video};

fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn ladder() -> Vec<Rendition> {
    vec![video(MAIN, 700_000), video(HIGH, 1_400_000)]
}

// R25: the first segment comes over HTTP; the next one has time to meet peers, whoever brought the first.
#[test]
fn what_the_player_got_without_us_makes_the_next_segment_wait_for_peers() {
    for handed in [true, false] {
        let mut solo = Solo::viewer();
        let segments = (10..=20).map(|number| entry(key(number))).collect();
        solo.tell(Input::Timeline { track: MAIN, kind: MediaKind::Main, segments, live: true });
        if handed {
            let (first_byte, transfer) = (Duration::from_millis(50), Duration::from_millis(100));
            solo.tell(Input::Handed { key: key(17), bytes: 200_000, first_byte, transfer });
        }
        let appending = Playhead { position_ms: 0, rate_percent: 0, buffered_ms: 0, starving: true };
        solo.tell(Input::Playhead(appending));
        solo.demand(18);
        solo.wait(Duration::from_millis(500));
        assert_eq!(solo.fetches.is_empty(), handed, "otherwise it is the first, and nothing is waited for");
        solo.wait(Duration::from_secs(3));
        assert_eq!(solo.fetches.len(), 1, "nobody came");
    }
}

// DESIGN 3: one overlay for all renditions.
#[test]
fn an_abr_switch_keeps_the_neighbours_and_goes_on_sharing() {
    let mut net = Net::new(Setup { viewers: 6, renditions: ladder(), seed: 2, ..Setup::default() });
    net.at(secs(30), |net| (0..6).for_each(|n| net.switch(n, HIGH)));
    net.at(secs(60), |net| (0..6).for_each(|n| net.switch(n, MAIN)));
    net.run_until(secs(29));
    let before: Vec<_> = (0..6).map(|n| net.neighbours(n)).collect();
    net.run();
    assert_eq!(net.stalls(), 0, "{}", net.summary());
    assert_eq!((0..6).map(|n| net.neighbours(n)).collect::<Vec<_>>(), before);
    for n in 0..6 {
        let shared = |track| {
            net.player(n).got.iter().filter(|g| g.key.track == track).map(|g| g.share.peers).sum::<u32>()
        };
        assert!(
            shared(HIGH) > 1_000_000 && shared(MAIN) > 1_000_000,
            "node {n}: {} {}",
            shared(HIGH),
            shared(MAIN)
        );
    }
}

// R2: half the viewers watch another rendition; each half shares its own.
#[test]
fn viewers_of_two_renditions_share_within_each() {
    let mut net = Net::new(Setup { renditions: ladder(), seed: 2, ..Setup::default() });
    net.at(secs(10), |net| (0..4).for_each(|n| net.switch(n, HIGH)));
    net.run();
    assert_eq!(net.stalls(), 0, "{}", net.summary());
    assert!(net.bytes_from_peers() * 2 > net.figures.delivered, "{}", net.summary());
}

// R2: separate audio.
#[test]
fn sound_and_picture_of_two_tracks_are_both_shared() {
    let sound = Rendition { track: AUDIO, kind: MediaKind::Audio, rate: 128_000 / 8 };
    let mut net = Net::new(Setup {
        viewers: 6,
        renditions: vec![video(MAIN, 1_000_000), sound],
        seed: 2,
        ..Setup::default()
    });
    net.run();
    assert_eq!(net.stalls(), 0, "{}", net.summary());
    for track in [MAIN, AUDIO] {
        let got: Vec<_> = (0..6).flat_map(|n| &net.player(n).got).filter(|g| g.key.track == track).collect();
        let (all, peers) = got.iter().fold((0, 0), |(a, p), g| (a + g.bytes, p + u64::from(g.share.peers)));
        assert!(peers * 2 > all, "{track:?}: {peers} of {all}");
    }
}

// R27
#[test]
fn seeks_on_demand_are_served_by_those_who_were_there() {
    let mut net = Net::new(Setup {
        viewers: 5,
        live: false,
        join_gap: secs(1),
        length: secs(120),
        seed: 2,
        ..Setup::default()
    });
    // The first two play through the place that the others jump to.
    net.at(secs(45), |net| net.seek(3, 20));
    net.at(secs(50), |net| net.seek(4, 8));
    net.at(secs(70), |net| net.seek(0, 160));
    net.at(secs(90), |net| net.seek(1, 160));
    net.run();
    for (n, limit) in [(0, 1500.0), (1, 1500.0), (2, 0.1), (3, 1500.0), (4, 1500.0)] {
        let stalled = net.player(n).stall_ms;
        assert!(stalled <= limit, "node {n} waited {stalled} ms");
        assert!(net.player(n).position_ms > 60_000.0);
    }
    let second: u64 = net
        .log
        .iter()
        .filter(|a| a.node == 1 && a.key.number >= 40 && a.key.number < 44)
        .map(|a| u64::from(a.sent))
        .sum();
    assert!(second < 4 * 725_000, "what node 0 holds is not all fetched again: {second}");
}

// R27: time-shift within a live stream.
#[test]
fn a_seek_back_in_a_live_stream_plays_on() {
    let mut net = Net::new(Setup { viewers: 4, seed: 2, ..Setup::default() });
    net.at(secs(50), |net| {
        let position = net.player(2).position_ms as u64 / 1000;
        net.seek(2, position - 8);
    });
    net.run();
    assert!(net.player(2).stall_ms < 1500.0, "{} ms", net.player(2).stall_ms);
    assert_eq!((0..4).filter(|n| *n != 2).map(|n| net.player(n).stalls).sum::<u32>(), 0);
    assert!(
        net.player(2).got.iter().filter(|g| g.at > net.player(2).joined.unwrap() + secs(50)).count() >= 8
    );
}

// R27
#[test]
fn a_paused_player_asks_for_no_rescue_and_plays_on_afterwards() {
    let mut net = Net::new(Setup { viewers: 4, seed: 2, live: false, ..Setup::default() });
    net.at(secs(30), |net| net.player_mut(1).paused = true);
    net.run_until(secs(40));
    let rescued = net.engine(1).stats().rescue_bytes;
    net.run_until(secs(60));
    assert_eq!(net.engine(1).stats().rescue_bytes, rescued, "a paused player has time");
    net.at(secs(61), |net| net.player_mut(1).paused = false);
    net.run();
    assert_eq!(net.stalls(), 0, "{}", net.summary());
}

// What a seek makes useless is stopped.
#[test]
fn a_cancelled_demand_stops_its_fetch() {
    let mut solo = Solo::viewer();
    solo.demand(20);
    let fetch = solo.fetches[0].fetch;
    solo.tell(Input::Cancel { key: key(20) });
    assert_eq!(solo.cancelled, [fetch]);
    solo.source(fetch, &[1; 100]);
    solo.tell(Input::SourceEnd { fetch });
    assert!(solo.delivered.is_empty() && solo.failed.is_empty());
}

#[test]
fn what_was_on_its_way_for_the_old_place_is_called_off() {
    let mut solo = Solo::viewer();
    solo.plays(15, 20, 60, false);
    solo.demand(20);
    let link = solo.neighbour(1);
    solo.describe(20);
    let all = solo.blocks(20);
    solo.holds(link, 20, 0..all);
    solo.wait(Duration::from_millis(50));
    let asked = solo.take_requests(link);
    assert!(!asked.is_empty());
    solo.tell(Input::Cancel { key: key(20) });
    solo.tell(Input::Playhead(Playhead {
        position_ms: 200_000,
        rate_percent: 100,
        buffered_ms: 200_000,
        starving: true,
    }));
    solo.demand(50);
    solo.wait(Duration::from_millis(50));
    let said = solo.take_said(link);
    for (transfer, _) in asked {
        assert!(said.contains(&rillcast_core::wire::Message::Cancel { transfer }), "{said:?}");
    }
}

// A segment asked for a second time (a seek back) comes from what is held.
#[test]
fn a_segment_that_is_held_is_delivered_again_at_once() {
    let mut solo = Solo::viewer();
    solo.describe(20);
    solo.demand(20);
    let fetch = solo.fetches[0].fetch;
    solo.source(fetch, &solo.body(20));
    solo.tell(Input::SourceEnd { fetch });
    solo.demand(20);
    assert_eq!((solo.delivered.len(), solo.fetches.len()), (2, 1));
}
