//! What holds of every schedule at every time.

use proptest::prelude::*;

use super::*;

fn films() -> impl Strategy<Value = Vec<Vec<u32>>> {
    prop::collection::vec(prop::collection::vec(500u32..9000, 1..12), 3)
}

fn plan() -> impl Strategy<Value = Plan> {
    let items = || prop::collection::vec(0usize..3, 1..6);
    let daily =
        (-720i64..840, prop::collection::btree_map(0u64..DAY_MS, items(), 1..5), prop::option::of(0usize..3));
    prop_oneof![
        (0u64..1_000_000, items()).prop_map(|(start_ms, items)| Plan::Loop { start_ms, items }),
        (0u64..1_000_000, items(), 0usize..3).prop_map(|(start_ms, items, filler)| Plan::Once {
            start_ms,
            items,
            filler
        }),
        daily.prop_map(|(offset_minutes, blocks, filler)| Plan::Daily {
            offset_minutes,
            blocks: blocks.into_iter().collect(),
            filler
        }),
    ]
}

/// Some day in 2026.
fn now() -> impl Strategy<Value = u64> {
    1_770_000_000_000u64..1_780_000_000_000
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    // R33 R49 R52
    #[test]
    fn nodes_that_know_nothing_of_each_other_play_the_same(plan in plan(), films in films(), now in now()) {
        let [one, other] = [(), ()].map(|()| Playout::new(&plan, &films).expect("something"));
        prop_assert_eq!(one.played(now), other.played(now));
        let number = one.played(now);
        prop_assert_eq!(one.segment(number), other.segment(number));
    }

    // R49
    #[test]
    fn the_newest_has_just_been_on_the_air_and_the_next_is_now(plan in plan(), films in films(), now in now()) {
        let playout = Playout::new(&plan, &films).expect("something");
        let next = playout.segment(playout.played(now));
        let last = playout.segment(playout.played(now) - 1);
        let duration = |on: &OnAir| u64::from(films[on.film][on.piece]);
        // Times of day cut within half a segment.
        prop_assert!(next.date_ms <= now + duration(&next) / 2 + 4500, "{} {}", next.date_ms, now);
        prop_assert!(now < next.date_ms + duration(&next) + 4500);
        prop_assert!(last.date_ms < next.date_ms);
        prop_assert!(last.date_ms + duration(&last) / 2 <= now);
    }

    #[test]
    fn numbers_and_discontinuities_go_on_and_films_play_in_order(plan in plan(), films in films(), now in now()) {
        let playout = Playout::new(&plan, &films).expect("something");
        let from = playout.played(now);
        for number in from..from + 500 {
            let (one, next) = (playout.segment(number), playout.segment(number + 1));
            prop_assert_eq!((one.number, next.number), (number, number + 1));
            prop_assert!(one.date_ms < next.date_ms);
            if one.discontinuity == next.discontinuity {
                prop_assert_eq!((one.film, one.piece + 1), (next.film, next.piece));
                prop_assert_eq!(one.date_ms + u64::from(films[one.film][one.piece]), next.date_ms);
            } else {
                prop_assert_eq!(one.discontinuity + 1, next.discontinuity);
                prop_assert_eq!(next.piece, 0);
            }
        }
    }

    #[test]
    fn as_time_goes_on_nothing_that_was_played_changes(plan in plan(), films in films(), now in now(), later in 0u64..DAY_MS) {
        let playout = Playout::new(&plan, &films).expect("something");
        prop_assert!(playout.played(now) <= playout.played(now + later));
    }
}

// R49
#[test]
fn at_its_time_of_day_an_item_begins_within_half_a_segment() {
    // Films of two-second segments: a minute, and a filler of ten seconds.
    let films = vec![vec![2000; 30], vec![2000; 5]];
    let at = 18 * 3600 * 1000;
    let plan = Plan::Daily {
        offset_minutes: 60,
        blocks: vec![(6 * 3600 * 1000, vec![1]), (at, vec![0])],
        filler: Some(1),
    };
    let playout = Playout::new(&plan, &films).expect("a day");
    // 2026-03-01, 18:00 by a clock that is an hour ahead.
    let six = 1_772_323_200_000 + at - 3_600_000;
    let on = |ms: u64| playout.segment(playout.played(ms));
    assert_eq!((on(six).film, on(six).piece, on(six).date_ms), (0, 0, six));
    assert_eq!(on(six - 1).film, 1);
    assert_eq!((on(six + 59_999).film, on(six + 60_000).film), (0, 1), "then the filler");
    let same = |ms: u64| (on(ms).film, on(ms).piece);
    for ms in [0, 1, 30_000, 3_600_000, 50_000_000] {
        assert_eq!(same(six + ms), same(six + ms + DAY_MS), "each day alike");
    }
}

#[test]
fn what_plays_for_no_time_or_has_too_many_segments_is_refused() {
    let plan = Plan::Loop { start_ms: 0, items: vec![0] };
    assert_eq!(Playout::new(&plan, &[vec![]]), Err(PlayoutError::Nothing));
    for (count, good) in [(MAX_SLOTS - 1, true), (MAX_SLOTS, true), (MAX_SLOTS + 1, false)] {
        assert_eq!(Playout::new(&plan, &[vec![1000; count]]).is_ok(), good, "{count}");
    }
    let daily = Plan::Daily { offset_minutes: 0, blocks: vec![(0, vec![0])], filler: None };
    assert_eq!(
        Playout::new(&daily, &[vec![100; 10]]),
        Err(PlayoutError::TooMany),
        "a day of tenths of seconds"
    );
}
