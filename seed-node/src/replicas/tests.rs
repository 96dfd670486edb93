use super::*;
use rillcast_protocol::id::SwarmId;
use rillcast_publisher::order::MOST_STAGGER;

const TRACK: TrackId = TrackId(7);
const OWN: PublisherKey = seed(1);

const fn seed(n: u8) -> PublisherKey {
    PublisherKey([n; 32])
}

fn at(ms: u64) -> Instant {
    Instant::from_micros(ms * 1000)
}

fn key(number: u64) -> SegmentKey {
    SegmentKey { track: TRACK, number, discontinuity: 0, part: 0 }
}

/// Of segments of two seconds: who comes next waits for one.
fn digest(number: u64, publisher: PublisherKey) -> SegmentDigest {
    SegmentDigest {
        swarm: SwarmId([0; 16]),
        key: key(number),
        length: 1,
        duration_ms: 2000,
        hashes: vec![[0; 32]],
        publisher,
        signature: [0; 64],
        hosted: false,
    }
}

/// One of so many seeds, with so many viewers of the track.
fn among(seeds: u8, viewers: u32) -> Replicas {
    let mut replicas = Replicas::new(OWN);
    replicas.told((1..=seeds).map(seed).collect(), &[Popularity { track: TRACK, viewers }]);
    replicas
}

/// The first segment in whose order we have this rank.
fn at_rank(replicas: &Replicas, rank: usize) -> u64 {
    (0..).find(|n| replicas.order().rank(key(*n)) == rank).expect("an even load")
}

const WANTED: Facts = Facts { held: false, shown: false, wanted: true };
const SHOWN: Facts = Facts { shown: true, ..WANTED };
const HELD: Facts = Facts { held: true, ..SHOWN };

// R30 R33
#[test]
fn what_is_held_follows_popularity() {
    for (viewers, holders) in [(0, 1), (1, 1), (2, 2), (4, 3), (64, 3)] {
        let mut replicas = among(3, viewers);
        for rank in 0..3 {
            let number = at_rank(&replicas, rank);
            replicas.heard(&digest(number, seed(9)), at(0));
            let takes = replicas.duties(at(0), |_| SHOWN).take.contains(&key(number));
            assert_eq!(takes, rank < holders, "rank {rank} of {viewers} viewers");
            assert_eq!(replicas.spare([key(number)].into_iter()).is_empty(), takes);
        }
        assert_eq!(replicas.tally.left, 3 - holders as u64);
    }
    // Whoever is linked here is known before signaling says so.
    let mut replicas = among(3, 1);
    let second = at_rank(&replicas, 1);
    assert!(!replicas.is_ours(key(second)));
    assert!(!replicas.ours()(&key(second)));
    replicas.linked(HashMap::from([(TRACK, 2)]));
    assert!(replicas.is_ours(key(second)) && replicas.ours()(&key(second)));
}

#[test]
fn what_has_come_is_done_and_counted_by_how_it_came() {
    let mut replicas = among(2, 2);
    let [first, second] = [0, 1].map(|rank| at_rank(&replicas, rank));
    assert!(!replicas.fetched(key(first)));
    replicas.heard(&digest(second, seed(2)), at(0));
    assert_eq!(replicas.duties(at(1), |_| SHOWN).take, [key(second)]);
    assert_eq!(replicas.duties(at(2), |_| HELD).take, []);
    assert_eq!(replicas.duties(at(3), |_| WANTED).take, [], "if memory has no room, it isn't taken again");
    assert_eq!(replicas.tally, Tally { first: 1, pulled: 1, ..Tally::default() });
    replicas.missed(&digest(second, seed(2)), at(4));
    assert_eq!(replicas.duties(at(4), |_| SHOWN).take, [key(second)], "unless a viewer comes to it");
}

// R31 R43
#[test]
fn what_nobody_shows_is_fetched_once_in_our_turn() {
    for (rank, by, after) in [(0, seed(2), 1000), (1, seed(2), 2000), (0, seed(99), 0), (1, seed(99), 1000)] {
        let mut replicas = among(2, 2);
        let number = at_rank(&replicas, rank);
        replicas.heard(&digest(number, by), at(0));
        let mut bring = |ms| replicas.duties(at(ms), |_| WANTED).bring;
        let brought = [0, after.max(1) - 1, after, after + 1].map(|ms| bring(ms).len());
        let once = if after == 0 { [1, 0, 0, 0] } else { [0, 0, 1, 0] };
        assert_eq!(brought, once, "rank {rank}, signed by {by}");
    }
}

#[test]
fn what_is_shown_gets_more_time_and_what_nobody_wants_is_not_fetched() {
    let heard = || {
        let mut replicas = among(2, 2);
        let number = at_rank(&replicas, 0);
        replicas.heard(&digest(number, seed(2)), at(0));
        replicas
    };
    let mut shown = heard();
    assert_eq!(shown.duties(at(0), |_| SHOWN).again, Some(at(5000)));
    assert_eq!(shown.duties(at(4999), |_| SHOWN).bring.len(), 0);
    assert_eq!(shown.duties(at(5000), |_| SHOWN).bring.len(), 1, "who shows it doesn't give it");
    let mut idle = heard();
    let unwanted = |_: &SegmentKey| Facts { wanted: false, ..SHOWN };
    assert_eq!(idle.duties(at(3999), unwanted).take.len(), 1, "somebody else's viewers may want it");
    assert_eq!(idle.duties(at(9000), unwanted), Duties::default());
    assert_eq!(idle.duties(at(30_000), |_| WANTED), Duties::default(), "too old");
}

// R31
#[test]
fn whoever_dies_leaves_what_it_held_to_the_next() {
    let mut replicas = among(3, 1);
    let next = |n: &u64| Order::new(OWN, &[seed(3)]).rank(key(*n)) == 0;
    let dead = |n: &u64| Order::new(seed(2), &[OWN, seed(3)]).rank(key(*n)) == 0;
    (0..60).filter(dead).for_each(|number| replicas.heard(&digest(number, seed(2)), at(0)));
    let ours: Vec<_> = replicas.heard.keys().filter(|key| next(&key.number)).copied().collect();
    assert_eq!(replicas.duties(at(0), |_| SHOWN).take, [], "with one viewer, only the first holds it");
    replicas.told(vec![OWN, seed(3)], &[Popularity { track: TRACK, viewers: 1 }]);
    let left = replicas.duties(at(1000), |_| WANTED);
    assert!(ours.len() > 5 && left.take == ours, "{left:?}");
    assert_eq!(left.again, Some(at(1000)).filter(|_| left.bring.is_empty()), "nobody is left who shows it");
    assert_eq!(left.bring, ours);
}

// H11
#[test]
fn whoever_lets_its_turns_pass_is_not_reckoned_with_until_it_signs() {
    let mut replicas = among(2, 1);
    let theirs: Vec<u64> = (0..).filter(|n| replicas.order().rank(key(*n)) == 1).take(4).collect();
    let missed = MISSED as usize;
    for (turn, number) in theirs.iter().take(missed).enumerate() {
        assert!(!replicas.order().is_alone(), "turn {turn}");
        assert_eq!(replicas.fetched(key(*number)), turn + 1 == missed);
    }
    assert!(replicas.order().is_alone());
    replicas.told(vec![OWN, seed(2)], &[]);
    assert!(replicas.order().is_alone(), "that signaling has told of it before is no news");
    replicas.heard(&digest(theirs[3], seed(2)), at(0));
    assert!(!replicas.order().is_alone());
    assert_eq!(replicas.tally.later, u64::from(MISSED));
}

#[test]
fn alone_nothing_is_shared() {
    let mut replicas = Replicas::new(OWN);
    replicas.heard(&digest(1, seed(9)), at(0));
    replicas.missed(&digest(1, seed(9)), at(0));
    assert_eq!(replicas.duties(at(MOST_STAGGER.as_millis() as u64), |_| WANTED), Duties::default());
    assert!(replicas.played().is_empty() && replicas.spare([key(1)].into_iter()).is_empty());
    replicas.told(vec![OWN], &[Popularity { track: TRACK, viewers: 9 }]);
    assert!(replicas.played().is_empty());
    assert!(!replicas.fetched(key(1)));
    assert_eq!(replicas.tally, Tally { first: 1, ..Tally::default() });
}

#[test]
fn what_is_looked_after_is_bounded() {
    let mut replicas = among(2, 2);
    for number in 0..=MAX_HEARD as u64 {
        assert_eq!(replicas.heard.len() as u64, number);
        replicas.heard(&digest(number, seed(2)), at(number));
    }
    assert!(
        replicas.heard.len() == MAX_HEARD && !replicas.heard.contains_key(&key(0)),
        "the oldest is forgotten"
    );
}
