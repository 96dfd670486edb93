//! Digests: from whom they are taken, to whom they go.

use std::time::{Duration, Instant};

use rillcast_protocol::coding::List;
use rillcast_protocol::id::{Role, SegmentKey, SwarmId};
use rillcast_protocol::signal::{ClientMessage, Join, RefusedCode, ServerMessage};
use rillcast_publisher::playlist::Playlist;
use rillcast_publisher::{Event, PublishingKey, sign};
use rillcast_signaling::limits::Limits;

use crate::kit::{Bench, digest, join, key_of, publisher_keys, source};

const PLAYLIST: &str = "http://origin.invalid/a.m3u8";
const PUBLISH: &str = "[default]\npublish = [\"http://origin.invalid/\"]\n";

/// Seeds count as soon as they come.
fn at_once() -> Limits {
    Limits { publisher_proof: 0, ..Limits::default() }
}

fn publish(bench: &Bench, seed: &crate::kit::Puppet, key: &PublishingKey, number: u64) {
    let digest = digest(key, seed.swarm, source(PLAYLIST).track, number);
    bench.say(seed, ClientMessage::Publish { digest });
}

#[tokio::test]
async fn a_seeds_digest_reaches_everybody_else() {
    let bench = Bench::new(Limits::default(), "");
    let key = PublishingKey::from_seed(&[1; 32]);
    let mut viewers = [bench.viewer(), bench.viewer()];
    let mut seed = bench.seed(&key);
    assert_eq!(publisher_keys(&viewers[0].heard()), Some(vec![key.public()]), "known before its digests");
    publish(&bench, &seed, &key, 1);
    publish(&bench, &seed, &key, 1);
    for viewer in &mut viewers {
        assert_eq!(viewer.digests(), [1], "once");
    }
    assert!(seed.digests().is_empty());
}

#[tokio::test]
async fn false_digests_go_nowhere() {
    let bench = Bench::new(Limits::default(), "");
    let (key, other) = (PublishingKey::from_seed(&[1; 32]), PublishingKey::from_seed(&[2; 32]));
    let mut viewer = bench.viewer();
    let seed = bench.seed(&key);
    let track = source(PLAYLIST).track;
    let mut altered = digest(&key, seed.swarm, track, 1);
    altered.hashes[0][0] ^= 1;
    let strange = digest(&other, seed.swarm, track, 1);
    let elsewhere = digest(&key, SwarmId([9; 16]), track, 1);
    for digest in [altered, strange, elsewhere] {
        bench.say(&seed, ClientMessage::Publish { digest });
    }
    // A viewer's own digest, signed by the seed's key or not, isn't a publisher's word.
    bench.say(&viewer, ClientMessage::Publish { digest: digest(&key, seed.swarm, track, 1) });
    assert!(viewer.digests().is_empty());
    assert_eq!(bench.hub.metrics.digests_refused_total.value(), 4);
}

// H2: whoever has heard one of two publishers that contradict each other hears the other, too; then neither counts.
#[tokio::test]
async fn a_second_meaning_of_a_key_is_told_and_then_it_has_none() {
    let bench = Bench::new(at_once(), "");
    let (one, two) = (PublishingKey::from_seed(&[1; 32]), PublishingKey::from_seed(&[2; 32]));
    let mut viewer = bench.viewer();
    let (first, second) = (bench.seed(&one), bench.seed(&two));
    publish(&bench, &first, &one, 1);
    let track = source(PLAYLIST).track;
    let other = sign::digest(&two, second.swarm, key_of(track, 1), 4000, b"other bytes");
    bench.say(&second, ClientMessage::Publish { digest: other.expect("in bounds") });
    assert_eq!(viewer.digests(), [1, 1]);
    assert_eq!(bench.hub.metrics.disputes_total.value(), 1);
    publish(&bench, &first, &one, 1);
    assert!(viewer.digests().is_empty(), "repeating it doesn't settle it");
    assert_eq!(bench.hub.metrics.digests_refused_total.value(), 1);
    let mut newcomer = bench.viewer();
    bench.play(&newcomer, &[PLAYLIST]);
    bench.say(&newcomer, ClientMessage::WantDigests { keys: List::clipped([key_of(track, 1)]) });
    assert!(newcomer.digests().is_empty());
}

// H2
#[tokio::test]
async fn a_newcomers_word_is_told_to_seeds_alone_until_enough_of_it_was_confirmed() {
    let bench = Bench::new(Limits { publisher_proof: 2, ..Limits::default() }, "");
    let (one, two) = (PublishingKey::from_seed(&[1; 32]), PublishingKey::from_seed(&[2; 32]));
    let mut viewer = bench.viewer();
    let mut first = bench.seed(&one);
    assert_eq!(
        publisher_keys(&viewer.heard()),
        Some(vec![one.public()]),
        "a swarm's first has nobody to confirm it"
    );
    let mut second = bench.seed(&two);
    assert_eq!(publisher_keys(&viewer.heard()), None);
    publish(&bench, &second, &two, 1);
    assert_eq!((viewer.digests(), first.digests()), (vec![], vec![1]), "for a seed to look at it");
    publish(&bench, &first, &one, 1);
    assert_eq!((viewer.digests(), second.digests()), (vec![1], vec![1]));
    publish(&bench, &first, &one, 2);
    assert_eq!(publisher_keys(&viewer.heard()), None);
    publish(&bench, &second, &two, 2);
    assert_eq!(publisher_keys(&viewer.heard()), Some(vec![one.public(), two.public()]));
    publish(&bench, &second, &two, 3);
    assert_eq!(viewer.digests(), [3]);
}

// H2 H12
#[tokio::test]
async fn a_newcomer_that_is_contradicted_is_not_believed_and_nobody_is_until_it_is_sent_away() {
    let bench = Bench::new(Limits::default(), "");
    let (one, two) = (PublishingKey::from_seed(&[1; 32]), PublishingKey::from_seed(&[2; 32]));
    let mut viewer = bench.viewer();
    let (first, second) = (bench.seed(&one), bench.seed(&two));
    viewer.heard();
    let track = source(PLAYLIST).track;
    let other = sign::digest(&two, second.swarm, key_of(track, 1), 4000, b"other bytes");
    bench.say(&second, ClientMessage::Publish { digest: other.expect("in bounds") });
    assert!(viewer.heard().is_empty());
    publish(&bench, &first, &one, 1);
    assert_eq!(publisher_keys(&viewer.heard()), Some(vec![]), "one of the two lies");
    assert_eq!(bench.hub.metrics.disputes_total.value(), 1);
    bench.hub.leave(second.swarm, second.id);
    assert_eq!(publisher_keys(&viewer.heard()), Some(vec![one.public()]));
}

// H2
#[tokio::test]
async fn the_built_in_publisher_follows_what_newcomers_publish() {
    let bench = Bench::new(Limits::default(), PUBLISH);
    let key = PublishingKey::from_seed(&[1; 32]);
    let mut viewer = bench.viewer();
    let seed = bench.seed(&key);
    viewer.heard();
    bench.play(&viewer, &[PLAYLIST]);
    publish(&bench, &seed, &key, 1);
    assert_eq!((bench.followed(), viewer.digests()), (1, vec![]));
}

// H2: a film's publisher has nothing to say for long, which makes nobody else's word true.
#[tokio::test]
async fn a_built_in_publisher_that_nobody_has_asked_anything_isn_t_taken_for_unable() {
    let bench = Bench::new(Limits::default(), PUBLISH);
    let key = PublishingKey::from_seed(&[1; 32]);
    let mut viewer = bench.viewer();
    bench.play(&viewer, &[PLAYLIST]);
    let seed = bench.seed(&key);
    viewer.heard();
    let later = Instant::now() + Duration::from_secs(600);
    bench.hub.tick_once(later);
    assert_eq!(publisher_keys(&viewer.heard()), None);
    publish(&bench, &seed, &key, 1);
    bench.hub.tick_once(Instant::now() + Duration::from_secs(19));
    assert_eq!(publisher_keys(&viewer.heard()), None);
    // It can't reach the stream.
    bench.hub.tick_once(Instant::now() + Duration::from_secs(21));
    assert_eq!(publisher_keys(&viewer.heard()).map(|keys| keys.contains(&key.public())), Some(true));
    assert_eq!(bench.followed(), 1, "it goes on trying");
}

// H2: anybody can say that it plays what the built-in publisher mustn't fetch.
#[tokio::test]
async fn who_stood_in_for_the_built_in_publisher_counts_no_more_once_that_follows_what_is_played() {
    let bench = Bench::new(Limits::default(), PUBLISH);
    let key = PublishingKey::from_seed(&[1; 32]);
    let seed = bench.seed(&key);
    let accomplice = bench.viewer();
    bench.play(&accomplice, &["http://elsewhere.invalid/a.m3u8"]);
    bench.hub.tick_once(Instant::now());
    let mut viewer = bench.viewer();
    bench.play(&viewer, &[PLAYLIST]);
    bench.hub.tick_once(Instant::now());
    assert_eq!(
        (publisher_keys(&viewer.heard()).map(|keys| keys.contains(&key.public())), bench.followed()),
        (Some(false), 1)
    );
    publish(&bench, &seed, &key, 1);
    assert!(viewer.digests().is_empty());
}

// H12: whose digests count after they have left is bounded, and newcomers that come and go take nobody's place in it.
#[tokio::test]
async fn a_departed_seeds_digests_count_whoever_comes_and_goes() {
    let bench = Bench::new(Limits::default(), "");
    let honest = PublishingKey::from_seed(&[1; 32]);
    let seed = bench.seed(&honest);
    publish(&bench, &seed, &honest, 1);
    let _second = bench.seed(&PublishingKey::from_seed(&[2; 32]));
    // Two nodes with one key: that one of them leaves is nobody's departure.
    let twin = bench.seed(&honest);
    bench.hub.leave(twin.swarm, twin.id);
    bench.hub.leave(seed.swarm, seed.id);
    for n in 10..30 {
        let newcomer = bench.seed(&PublishingKey::from_seed(&[n; 32]));
        bench.hub.leave(newcomer.swarm, newcomer.id);
    }
    let mut late = bench.viewer();
    bench.play(&late, &[PLAYLIST]);
    assert_eq!(late.digests(), [1]);
}

// H12
#[tokio::test]
async fn a_newcomers_word_goes_to_so_many_seeds_at_most() {
    for (seeds, looking) in [(15, 15), (16, 16), (17, 16)] {
        let bench = Bench::new(Limits { publisher_proof: 1, ..Limits::default() }, "");
        let mut seeds: Vec<_> =
            (1..=seeds).map(|n| bench.seed(&PublishingKey::from_seed(&[n; 32]))).collect();
        let track = source(PLAYLIST).track;
        let liar = PublishingKey::from_seed(&[100; 32]);
        let last = bench.seed(&liar);
        // All but the last have proved themselves.
        for (n, seed) in (1..).zip(&seeds) {
            publish(&bench, seed, &PublishingKey::from_seed(&[n; 32]), 1);
        }
        seeds.iter_mut().for_each(|seed| drop(seed.heard()));
        let lie = sign::digest(&liar, last.swarm, key_of(track, 2), 4000, b"other bytes");
        bench.say(&last, ClientMessage::Publish { digest: lie.expect("in bounds") });
        let heard = seeds.iter_mut().map(|seed| seed.digests() == [2]);
        assert_eq!(heard.filter(|heard| *heard).count(), looking);
    }
}

// H2: nobody is made to look, or to fetch, by whoever was found to lie a moment ago.
#[tokio::test]
async fn whoever_is_outvoted_is_shown_to_nobody_for_a_while() {
    let bench = Bench::new(Limits { publisher_proof: 1, ..Limits::default() }, "");
    let keys = [1, 2, 3].map(|n| PublishingKey::from_seed(&[n; 32]));
    let [mut one, mut two, liar] = keys.each_ref().map(|key| bench.seed(key));
    let lies = |number| {
        let key = key_of(source(PLAYLIST).track, number);
        let lie = sign::digest(&keys[2], liar.swarm, key, 4000, b"other bytes").expect("in bounds");
        bench.say(&liar, ClientMessage::Publish { digest: lie });
    };
    publish(&bench, &one, &keys[0], 1);
    publish(&bench, &two, &keys[1], 1);
    publish(&bench, &one, &keys[0], 2);
    for seed in [&mut one, &mut two] {
        drop(seed.heard());
    }
    lies(2);
    assert_eq!((one.digests(), two.digests()), (vec![2], vec![2]), "both are to look at it");
    publish(&bench, &two, &keys[1], 2);
    for seed in [&mut one, &mut two] {
        drop(seed.heard());
    }
    lies(3);
    assert_eq!((one.digests(), two.digests()), (vec![], vec![]));
}

#[tokio::test]
async fn only_listed_seeds_may_publish_where_there_is_a_list() {
    let key = PublishingKey::from_seed(&[1; 32]);
    let bench = Bench::new(Limits::default(), &format!("[default]\nseeds = [\"{}\"]\n", key.public()));
    bench.seed(&key);
    let other = PublishingKey::from_seed(&[2; 32]).public();
    let stranger = bench.enter(Join { publisher: Some(other), ..join(Role::Seed) });
    assert_eq!(stranger.err(), Some(RefusedCode::Unauthorised));
    assert!(bench.enter(join(Role::Seed)).is_ok(), "a seed that doesn't publish needs no key");
    let viewer = bench.enter(Join { publisher: Some(key.public()), ..join(Role::Viewer) });
    assert_eq!(viewer.err(), Some(RefusedCode::Unauthorised), "viewers don't publish");
}

// R10
#[tokio::test]
async fn a_publisher_that_can_open_no_sealed_signals_publishes_and_meets_nobody() {
    let bench = Bench::new(Limits::default(), "");
    let key = PublishingKey::from_seed(&[1; 32]);
    let mut early = bench.viewer();
    let alone = Join { publisher: Some(key.public()), sealing: None, ..join(Role::Seed) };
    let mut publisher = bench.enter(alone).expect("room");
    let mut late = bench.viewer();
    publish(&bench, &publisher, &key, 1);
    for viewer in [&mut early, &mut late] {
        let heard = viewer.heard();
        let met = heard.iter().filter_map(|m| match m {
            ServerMessage::Introduce { peers } => Some(peers.to_vec()),
            _ => None,
        });
        let met: Vec<_> = met.flatten().map(|peer| peer.id).collect();
        assert!(met.len() == 1 && met[0] != publisher.id, "the viewers meet each other alone: {met:?}");
        assert!(heard.iter().any(|m| matches!(m, ServerMessage::Digest { .. })));
    }
    assert!(publisher.introduced().is_empty());
}

#[tokio::test]
async fn a_digest_goes_to_as_many_as_the_fanout_and_players_of_the_track_come_first() {
    for (members, fanout) in [(3, 4), (4, 4), (20, 4)] {
        let bench = Bench::new(Limits { digest_fanout: fanout, ..Limits::default() }, "");
        let key = PublishingKey::from_seed(&[1; 32]);
        let mut viewers: Vec<_> = (0..members).map(|_| bench.viewer()).collect();
        viewers[..2].iter().for_each(|v| bench.play(v, &[PLAYLIST]));
        let seed = bench.seed(&key);
        publish(&bench, &seed, &key, 1);
        let reached: Vec<bool> = viewers.iter_mut().map(|v| v.digests() == [1]).collect();
        assert_eq!(reached.iter().filter(|r| **r).count(), members.min(fanout));
        assert!(reached[0] && reached[1]);
    }
}

#[tokio::test]
async fn a_newcomer_gets_the_newest_of_what_it_plays_as_soon_as_it_says_so() {
    let limits = Limits { digests_to_newcomer: 3, digests_live: 5, ..Limits::default() };
    let bench = Bench::new(limits, "");
    let key = PublishingKey::from_seed(&[1; 32]);
    let seed = bench.seed(&key);
    (1..=9).for_each(|n| publish(&bench, &seed, &key, n));
    let mut newcomer = bench.viewer();
    assert!(newcomer.digests().is_empty());
    bench.play(&newcomer, &["http://origin.invalid/other.m3u8"]);
    assert!(newcomer.digests().is_empty());
    bench.play(&newcomer, &[PLAYLIST]);
    assert_eq!(newcomer.digests(), [7, 8, 9]);
    bench.play(&newcomer, &[PLAYLIST]);
    assert!(newcomer.digests().is_empty(), "not again");
    // Older ones on request, as far as they are kept.
    let keys = (1..=9).map(|n| key_of(source(PLAYLIST).track, n));
    bench.say(&newcomer, ClientMessage::WantDigests { keys: List::clipped(keys) });
    assert_eq!(newcomer.digests(), [5, 6, 7, 8, 9]);
}

// R2
#[tokio::test]
async fn a_newcomer_to_a_low_latency_stream_gets_as_many_parts_as_segments() {
    let bench = Bench::new(Limits { digests_to_newcomer: 3, ..Limits::default() }, "");
    let key = PublishingKey::from_seed(&[1; 32]);
    let seed = bench.seed(&key);
    let track = source(PLAYLIST).track;
    for number in 1..=4 {
        publish(&bench, &seed, &key, number);
        for part in 1..=2 {
            let named = SegmentKey { part, ..key_of(track, number) };
            let digest = sign::digest(&key, seed.swarm, named, 1000, b"a part").expect("in bounds");
            bench.say(&seed, ClientMessage::Publish { digest });
        }
    }
    let mut newcomer = bench.viewer();
    bench.play(&newcomer, &[PLAYLIST]);
    let named = newcomer.heard().into_iter().filter_map(|message| match message {
        ServerMessage::Digest { digest } => Some(digest.key.place()),
        _ => None,
    });
    assert_eq!(named.collect::<Vec<_>>(), [(2, 0), (3, 0), (4, 0), (3, 2), (4, 1), (4, 2)]);
}

#[tokio::test]
async fn of_a_finished_track_all_digests_come_bit_by_bit() {
    let limits = Limits { digests_live: 5, digests_vod: 20, ..Limits::default() };
    let bench = Bench::new(limits, "");
    let key = PublishingKey::from_seed(&[1; 32]);
    let seed = bench.seed(&key);
    let track = source(PLAYLIST).track;
    let playlist = Playlist { target_ms: 4000, ended: true, ..Playlist::default() }.into();
    bench.hub.event(Event::Playlist { swarm: seed.swarm, track, playlist });
    (1..=21).for_each(|n| publish(&bench, &seed, &key, n));
    let mut newcomer = bench.viewer();
    bench.play(&newcomer, &[PLAYLIST]);
    let mut got = newcomer.digests();
    assert_eq!(got.len(), bench.hub.limits.digests_to_newcomer);
    for _ in 0..3 {
        bench.hub.tick_once(Instant::now());
        got.extend(newcomer.digests());
    }
    assert_eq!(got, (2..=21).collect::<Vec<_>>(), "the limit keeps the last 20");
}

#[tokio::test]
async fn the_built_in_publisher_steps_back_for_a_seed_and_steps_in_when_it_leaves() {
    let bench = Bench::new(at_once(), PUBLISH);
    let key = PublishingKey::from_seed(&[1; 32]);
    let mut viewer = bench.viewer();
    bench.play(&viewer, &[PLAYLIST]);
    assert_eq!(bench.followed(), 1);
    let seed = bench.seed(&key);
    bench.hub.tick_once(Instant::now());
    assert_eq!(bench.followed(), 1, "not before the seed's first digest");
    publish(&bench, &seed, &key, 1);
    assert_eq!(bench.followed(), 0);
    viewer.heard();
    bench.hub.leave(seed.swarm, seed.id);
    assert_eq!(bench.followed(), 1, "at once");
    let built_in = bench.hub.publisher().expect("there is one").key();
    assert!(publisher_keys(&viewer.heard()).is_none(), "its digests still count, so nothing has changed");
    let late = bench.viewer();
    let mut late = late;
    let keys = late.heard().into_iter().find_map(|m| match m {
        ServerMessage::Welcome { welcome } => Some(welcome.publishers.to_vec()),
        _ => None,
    });
    assert_eq!(keys, Some(vec![built_in, key.public()]));
    bench.play(&late, &[PLAYLIST]);
    assert_eq!(late.digests(), [1], "a departed seed's digests are still given out");
}

#[tokio::test]
async fn a_seed_that_was_there_first_is_given_time_and_no_more() {
    let bench = Bench::new(at_once(), PUBLISH);
    let key = PublishingKey::from_seed(&[1; 32]);
    let seed = bench.seed(&key);
    let viewer = bench.viewer();
    bench.play(&viewer, &[PLAYLIST]);
    assert_eq!(bench.followed(), 0);
    let lease = Duration::from_secs(bench.hub.limits.seed_lease_secs);
    bench.hub.tick_once(Instant::now() + lease / 2);
    assert_eq!(bench.followed(), 0);
    bench.hub.tick_once(Instant::now() + lease);
    assert_eq!(bench.followed(), 1, "it publishes nothing");
    publish(&bench, &seed, &key, 1);
    assert_eq!(bench.followed(), 0, "now it does");
    // Segments of 4 s: three of them are longer than the lease.
    bench.hub.tick_once(Instant::now() + Duration::from_secs(11));
    assert_eq!(bench.followed(), 0);
    bench.hub.tick_once(Instant::now() + Duration::from_secs(12));
    assert_eq!(bench.followed(), 1, "it has stopped");
}

#[tokio::test]
async fn nothing_is_followed_that_nobody_plays_or_the_site_does_not_allow() {
    let bench = Bench::new(Limits::default(), PUBLISH);
    let viewer = bench.viewer();
    bench.play(&viewer, &["http://elsewhere.invalid/a.m3u8", "file:///etc/passwd", "nonsense"]);
    assert_eq!(bench.followed(), 0);
    bench.play(&viewer, &[PLAYLIST]);
    assert_eq!(bench.followed(), 1);
    let second = bench.viewer();
    bench.play(&second, &[PLAYLIST]);
    bench.play(&viewer, &[]);
    assert_eq!(bench.followed(), 1, "the second still plays it");
    bench.hub.leave(second.swarm, second.id);
    assert_eq!(bench.followed(), 0);
}

#[tokio::test]
async fn a_playlist_under_another_tracks_name_is_not_believed() {
    let bench = Bench::new(Limits::default(), PUBLISH);
    let viewer = bench.viewer();
    let mut lie = source(PLAYLIST);
    lie.track.0 ^= 1;
    bench.say(&viewer, ClientMessage::Playing { tracks: List::clipped([lie]) });
    assert_eq!(bench.followed(), 0);
}
