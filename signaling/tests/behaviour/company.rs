//! What seeds are told of each other: to share who fetches and who holds what (R30, R32).

use std::time::{Duration, Instant};

use rillcast_protocol::id::{PublisherKey, Role};
use rillcast_protocol::signal::{
    ClientMessage, Join, MAX_POPULAR, MAX_PUBLISHERS, Popularity, ServerMessage,
};
use rillcast_publisher::{PublishingKey, track_id};
use rillcast_signaling::limits::Limits;

use crate::kit::{Bench, Puppet, join};

fn key(n: u8) -> PublishingKey {
    PublishingKey::from_seed(&[n; 32])
}

/// What a seed was told since last time, the newest.
fn told(seed: &mut Puppet) -> Option<(Vec<PublisherKey>, Vec<Popularity>)> {
    let newest = seed.heard().into_iter().rev().find_map(|message| match message {
        ServerMessage::Seeds { keys, tracks } => Some((keys.into_vec(), tracks.into_vec())),
        _ => None,
    });
    newest.map(|(mut keys, tracks)| {
        keys.sort_unstable();
        (keys, tracks)
    })
}

fn keys(of: impl IntoIterator<Item = u8>) -> Vec<PublisherKey> {
    let mut keys: Vec<_> = of.into_iter().map(|n| key(n).public()).collect();
    keys.sort_unstable();
    keys
}

/// Seeds count as soon as they come.
fn at_once() -> Limits {
    Limits { publisher_proof: 0, ..Limits::default() }
}

fn later(seconds: u64) -> Instant {
    Instant::now() + Duration::from_secs(seconds)
}

#[test]
fn seeds_hear_of_each_other_as_they_come_and_go_and_viewers_hear_nothing() {
    let bench = Bench::new(at_once(), "");
    let mut viewer = bench.viewer();
    let mut one = bench.seed(&key(1));
    bench.hub.tick_once(later(5));
    assert_eq!(told(&mut one), None, "alone it has nothing to share");
    let mut two = bench.seed(&key(2));
    for seed in [&mut one, &mut two] {
        assert_eq!(told(seed), Some((keys([1, 2]), vec![])));
    }
    bench.hub.tick_once(later(10));
    assert_eq!(told(&mut one), None, "told when it has changed");
    bench.hub.leave(two.swarm, two.id);
    assert_eq!(told(&mut one), Some((keys([1]), vec![])));
    assert!(viewer.heard().iter().all(|message| !matches!(message, ServerMessage::Seeds { .. })));
}

#[test]
fn who_has_come_to_sign_alone_holds_nothing_and_is_not_named() {
    let bench = Bench::new(at_once(), "");
    let (mut one, mut two) = (bench.seed(&key(1)), bench.seed(&key(2)));
    let alone = Join { publisher: Some(key(3).public()), sealing: None, ..join(Role::Seed) };
    let mut publisher = bench.enter(alone).expect("room");
    assert_eq!(told(&mut two).map(|(keys, _)| keys), Some(keys([1, 2])));
    assert_eq!((told(&mut one).map(|(keys, _)| keys), told(&mut publisher)), (Some(keys([1, 2])), None));
}

#[test]
fn a_seed_of_an_older_version_is_told_nothing_that_it_can_t_read() {
    let mut bench = Bench::new(at_once(), "");
    bench.version = 1;
    let mut old = bench.seed(&key(1));
    bench.version = 2;
    let mut new = bench.seed(&key(2));
    assert_eq!(told(&mut old), None);
    assert_eq!(told(&mut new).map(|(keys, _)| keys), Some(keys([1, 2])));
}

#[test]
fn what_is_played_is_told_rounded_and_once_in_a_second() {
    let bench = Bench::new(at_once(), "");
    let (mut one, _two) = (bench.seed(&key(1)), bench.seed(&key(2)));
    told(&mut one);
    let playlist = "http://o.example/v.m3u8";
    let popular = |viewers| vec![Popularity { track: track_id(playlist), viewers }];
    let mut viewers = Vec::new();
    for (count, second, expected) in
        [(1, 2, Some(1)), (2, 4, Some(2)), (3, 6, None), (4, 8, Some(4)), (7, 10, None), (8, 12, Some(8))]
    {
        while viewers.len() < count {
            let viewer = bench.viewer();
            bench.play(&viewer, &[playlist]);
            viewers.push(viewer);
        }
        bench.hub.tick_once(later(second));
        assert_eq!(told(&mut one).map(|(_, tracks)| tracks), expected.map(popular), "{count} viewers");
    }
    let last = viewers.pop().expect("eight");
    bench.hub.leave(last.swarm, last.id);
    bench.hub.tick_once(later(12));
    assert_eq!(told(&mut one), None, "too soon");
    bench.hub.tick_once(later(14));
    assert_eq!(told(&mut one).map(|(_, tracks)| tracks), Some(popular(4)));
}

#[test]
fn what_seeds_are_told_is_bounded() {
    let bench = Bench::new(at_once(), "");
    let most = MAX_PUBLISHERS as u8;
    let mut seeds: Vec<_> = (1..=most + 1).map(|n| bench.seed(&key(n))).collect();
    let mut last = seeds.pop().expect("one over");
    let (known, _) = told(&mut seeds[0]).expect("of all that there is room for");
    assert_eq!(known, keys(1..=most));
    assert_eq!(told(&mut last), None, "it shares with nobody, as without this");
    let mut viewers = Vec::new();
    for n in 0..=MAX_POPULAR {
        viewers.push(bench.viewer());
        bench.play(&viewers[n], &[&format!("http://o.example/{n}.m3u8")]);
    }
    bench.hub.tick_once(later(2));
    assert_eq!(told(&mut seeds[0]).map(|(_, tracks)| tracks.len()), Some(MAX_POPULAR));
}

// R31 R32
#[test]
fn seeds_meet_each_other_however_large_the_swarm_is() {
    let bench = Bench::new(at_once(), "");
    let others: Vec<_> = (1..=5).map(|n| bench.seed(&key(n))).collect();
    let viewers: Vec<_> = (0..200).map(|_| bench.viewer()).collect();
    let mut newcomer = bench.seed(&key(9));
    let met = newcomer.introduced();
    assert!(others.iter().all(|seed| met.iter().any(|peer| peer.id == seed.id)), "{met:?}");
    assert!(met.len() < viewers.len() / 2, "of viewers a few, as ever: {}", met.len());
    assert_eq!(met.len(), met.iter().map(|peer| peer.id).collect::<std::collections::HashSet<_>>().len());
}

// H2: others would wait for what viewers don't take.
#[test]
fn a_newcomer_is_not_reckoned_with_before_its_word_is_taken() {
    let bench = Bench::new(Limits { publisher_proof: 1, ..Limits::default() }, "");
    let (mut one, mut two) = (bench.seed(&key(1)), bench.seed(&key(2)));
    assert_eq!((told(&mut one), told(&mut two)), (None, None));
    let track = track_id("http://o.example/v.m3u8");
    for (seed, signs) in [(&one, 1), (&two, 2)] {
        let digest = crate::kit::digest(&key(signs), seed.swarm, track, 5);
        bench.say(seed, ClientMessage::Publish { digest });
    }
    assert_eq!(told(&mut one).map(|(keys, _)| keys), Some(keys([1, 2])));
    assert_eq!(told(&mut two).map(|(keys, _)| keys), Some(keys([1, 2])));
}
