//! Golden values, each worked out by hand.

use super::*;
use crate::facts::Taken;

fn near(a: f64, b: f64) {
    assert!((a - b).abs() < 1e-9, "{a} is not {b}");
}

fn segment(level: u8, size: u64, viewers: u64) -> Segment {
    Segment { level, size, viewers, ..Segment::default() }
}

/// `n` viewers who played so much at rendition 0 in 100 s, with such uplinks in bytes/s and no lack of time.
fn visits(n: usize, consumed: u64, up: f64) -> Vec<Visit> {
    let one = Visit {
        left_s: 100.0,
        up_bps: up * 8.0,
        consumed,
        levels: vec![0],
        latency_s: Some(1e9),
        taken: Taken::default(),
        ..Visit::default()
    };
    vec![one; n]
}

fn facts(segments: Vec<Segment>, visits: Vec<Visit>) -> Facts {
    Facts {
        ladder_bps: vec![1000.0, 2000.0],
        segment_s: 4.0,
        ratio: 1e9,
        length_s: 100.0,
        peer_seconds: visits.len() as f64 * 100.0,
        segments,
        visits,
        ..Facts::default()
    }
}

const MB: u64 = 1_000_000;

#[test]
fn a_hundred_in_step_save_all_but_one_copy_and_the_starts() {
    // Ten segments of 1 MB; everybody's first is segment 0, from the source: 100 copies of it, 9 others, of 1000.
    let mut segments = vec![segment(0, MB, 100); 10];
    (segments[0].firsts, segments[0].source_firsts) = (100, 100 * MB);
    let found = bounds(&facts(segments, visits(100, 10 * MB, 1e9)));
    near(found.structure, 1.0 - 109.0 / 1000.0);
    near(found.start, 1.0 - 100.0 / 1000.0);
    near(found.savings, found.structure);
}

#[test]
fn starts_that_peers_served_are_nothing_the_source_had_to_give() {
    let first = |bytes| {
        let mut one = segment(0, MB, 10);
        (one.firsts, one.source_firsts) = (10, bytes);
        bounds(&facts(vec![one], visits(10, MB, 1e9))).structure
    };
    near(first(3 * MB), 0.7);
    near(first(MB / 2), 0.9);
    // Fetched twice is no excuse: one each at most.
    near(first(25 * MB), 0.0);
}

#[test]
fn scarce_uplinks_are_the_limit() {
    // 10 x 0.6 MB of upload for 10 MB of demand.
    let found = bounds(&facts(vec![segment(0, MB, 10)], visits(10, MB, 6000.0)));
    near(found.structure, 0.9);
    near(found.rho, 0.6);
    near(found.savings, 0.6);
}

#[test]
fn the_ratio_binds_each_by_what_it_played() {
    // Each played 100 MB, may give 8 MiB and half of that: (50 + 8.388608) of 100. The first one's uplink carries 1 MB.
    let mut run = facts(vec![segment(0, 100 * MB, 4)], visits(4, 100 * MB, 1e9));
    run.ratio = 0.5;
    near(bounds(&run).rho, 0.58388608);
    near(bounds(&run).rho_without_ratio, 3.0);
    run.visits[0].up_bps = 80_000.0;
    near(bounds(&run).rho, (1.0 + 3.0 * 58.388608) / 400.0);
    run.ratio = 0.0;
    near(bounds(&run).savings, 0.0);
}

#[test]
fn seeds_uplinks_come_on_top() {
    let mut run = facts(vec![segment(0, MB, 10)], visits(10, MB, 6000.0));
    run.seeds_uplink = 2 * MB;
    near(bounds(&run).savings, 0.8);
}

#[test]
fn renditions_by_themselves_are_bound_lower_than_together() {
    // Ten play rendition 0 with 2 MB of upload each for 10 MB; ten play rendition 1 with 0.5 MB each for 20 MB.
    let mut all = visits(10, MB, 20_000.0);
    let mut high = visits(10, 2 * MB, 5000.0);
    high.iter_mut().for_each(|v| v.levels = vec![1]);
    all.append(&mut high);
    let found = bounds(&facts(vec![segment(0, MB, 10), segment(1, 2 * MB, 10)], all));
    near(found.rho, 25.0 / 30.0);
    // Rendition 0 saves all but one copy (9 MB), rendition 1 what its own uplinks carry (5 MB).
    near(found.by_rendition, 14.0 / 30.0);
    near(found.savings, 25.0 / 30.0);
}

#[test]
fn who_changes_rendition_gives_to_each_for_its_part_of_the_time() {
    let mut all = visits(2, 2 * MB, 10_000.0);
    all[0].levels = vec![0, 0, 0, 1];
    all[1].levels = vec![1, 1];
    // 0.75 of a megabyte for rendition 0, 1.25 for rendition 1; both want more than that saved.
    let found = bounds(&facts(vec![segment(0, MB, 2), segment(1, MB, 2)], all));
    near(found.by_rendition, (0.75 + 1.0) / 4.0);
}

#[test]
fn who_cannot_be_linked_with_gets_everything_from_the_source() {
    let mut one = segment(0, MB, 10);
    one.blocked = 3;
    let mut all = visits(10, MB, 1e9);
    all[..3].iter_mut().for_each(|v| v.blocked = true);
    let found = bounds(&facts(vec![one], all));
    near(found.linkable, 0.7);
    // Three copies for them, one for the seven.
    near(found.structure, 0.6);
}

#[test]
fn one_alone_and_nobody_save_nothing() {
    near(bounds(&facts(vec![segment(0, 10, 1)], visits(1, 10, 1e9))).savings, 0.0);
    near(bounds(&facts(vec![], vec![])).savings, 0.0);
}

#[test]
fn on_demand_somebody_must_still_be_there() {
    // Two come in 100 s and stay 50 s: lambda W is 1.
    let mut run = facts(vec![segment(0, MB, 2)], visits(2, MB, 1e9));
    run.visits.iter_mut().for_each(|v| v.left_s = 50.0);
    run.on_demand = true;
    near(bounds(&run).demand.expect("on demand"), 1.0 - (-1.0_f64).exp());
    assert_eq!(bounds(&run).latency_blocks, None);
    run.seeds_uplink = 1;
    assert_eq!(bounds(&run).demand, None, "seeds are always there");
}

fn spread(budgets: &[f64], viewers: f64, uplink: f64) -> Spread {
    Spread { budgets: budgets.to_vec(), viewers, length: 4.0, uplink, bitrate: 1000.0 }
}

#[test]
fn whole_segments_double_once_in_the_time_that_one_takes() {
    // u = 1.5 R: tau = 2.67 s; in 8 s three doublings: an eighth from the source.
    near(spread(&[8.0; 1000], 1000.0, 1500.0).segments(), 1.0 - 1.0 / 8.0);
    // Just not three: a quarter, which is the 75 % that whole segments are known to stop at.
    near(spread(&[7.9; 1000], 1000.0, 1500.0).segments(), 0.75);
    // Half of the viewers have time for one doubling alone: F = 1/2, Phi = 2 is as bad as F = 1, Phi = 4.
    near(spread(&[3.0, 7.9], 1000.0, 1500.0).segments(), 0.75);
    near(spread(&[3.0, 9.0], 1000.0, 1500.0).segments(), 0.75);
}

#[test]
fn copies_never_outnumber_viewers() {
    near(spread(&[1e6; 10], 10.0, 1500.0).segments(), 0.9);
    near(spread(&[1e6; 10], 10.0, 1500.0).blocks(100.0), 0.9);
}

#[test]
fn blocks_are_bound_by_what_all_uplinks_carry_in_time() {
    // rho = 1.25, D = 4 s: everybody is reached in 3.2 s. With 1.6 s the uplinks carry half of it.
    near(spread(&[1.6; 10], 1e9, 1250.0).blocks(1.0), 0.5);
    near(spread(&[3.2; 10], 1e6, 1250.0).blocks(1.0), 1.0 - 1e-6);
    // Half have 1.6 s, and the uplinks serve just those by then.
    near(spread(&[1.6, 8.0], 1e6, 1250.0).blocks(1.0), 1.0 - 1e-6);
    // Blocks of 1250 bits take 1 s: two doublings in 2.5 s, while uplinks would carry 0.78.
    near(spread(&[2.5; 10], 1e6, 1250.0).blocks(1250.0), 0.75);
}

#[test]
fn without_uplinks_nothing_spreads() {
    near(spread(&[5.0; 3], 3.0, 0.0).segments(), 0.0);
    near(spread(&[5.0; 3], 3.0, 0.0).blocks(100.0), 0.0);
    near(spread(&[], 3.0, 0.0).blocks(100.0), 1.0);
}
