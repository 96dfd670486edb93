//! Digests: who may sign, and what happens without them.

use rillcast_core::engine::{Event, Input};
use rillcast_core::protocol::digest::SegmentDigest;
use rillcast_core::protocol::id::{PublisherKey, Role, SwarmId};
use rillcast_core::protocol::settings::Settings;
use rillcast_core::time::Duration;
use rillcast_core::wire::Message;
use rillcast_core::wire::message::Playing;

use crate::lab::solo::profile;
use crate::lab::{HIGH, MAIN, Net, Setup, Solo, digest, key, key_of, peer_id, video};

#[test]
fn without_a_publisher_everybody_plays_from_the_source_and_nothing_is_shared() {
    let mut net = Net::new(Setup { viewers: 4, publisher: false, ..Setup::default() });
    net.run();
    assert_eq!((net.stalls(), net.bytes_from_peers()), (0, 0));
    assert_eq!(net.figures.source, net.figures.delivered, "every byte once, and from the source");
    assert!(net.log.iter().all(|a| a.range.is_none()), "as the player alone would ask");
}

/// What a viewer makes of a digest that a neighbour shows for segment 20.
fn shown(change: impl Fn(&mut SegmentDigest)) -> Solo {
    let mut solo = Solo::viewer();
    solo.plays(15, 20, 24, true);
    solo.demand(20);
    let link = solo.neighbour(1);
    let mut digest = digest(&solo.rendition, 20, false);
    change(&mut digest);
    solo.hear(link, Message::Digest { digest });
    solo
}

/// A segment with a digest is told to a new neighbour.
fn is_described(solo: &mut Solo, number: u64) -> bool {
    let link = solo.neighbour(9);
    let tells = |m: Message| matches!(m, Message::Have { maps } if maps.iter().any(|m| m.key == key(number)));
    solo.take_said(link).into_iter().any(tells)
}

// H2
#[test]
fn a_digest_counts_when_a_publisher_of_the_site_has_signed_it() {
    let mut solo = shown(|_| {});
    assert!(is_described(&mut solo, 20));
    assert!(solo.events.is_empty());
}

// H2
#[test]
fn whoever_shows_a_false_signature_is_cut_off() {
    let mut solo = shown(|d| d.signature = [2; 64]);
    assert!(solo.is_closed(1) && !is_described(&mut solo, 20));
    assert!(matches!(solo.events[..], [Event::Liar { peer, .. }] if peer == peer_id(1)));
}

// H2: a signature covers what it stands under; one that was moved doesn't hold. (Signing itself is the shell's, by its verify port.)
#[test]
fn what_is_verified_is_every_field_but_the_hint() {
    let told = digest(&Solo::viewer().rendition, 20, false);
    let signed = told.signed_bytes();
    let changed = |change: fn(&mut SegmentDigest)| {
        let mut other = told.clone();
        change(&mut other);
        other.signed_bytes() != signed
    };
    assert!(changed(|d| d.swarm = SwarmId([1; 16])));
    assert!(changed(|d| d.key.number += 1));
    assert!(changed(|d| d.key.discontinuity += 1));
    assert!(changed(|d| d.length -= 1));
    assert!(changed(|d| d.duration_ms += 1));
    assert!(changed(|d| d.hashes[3][0] ^= 1));
    assert!(!changed(|d| d.hosted = true), "a hint that costs one refused request");
}

// H2 H10
#[test]
fn whoever_shows_a_digest_of_another_swarm_is_cut_off() {
    let mut solo = shown(|d| d.swarm = SwarmId([1; 16]));
    assert!(solo.is_closed(1) && !is_described(&mut solo, 20));
}

// H2: publishers come and go, and news of a new one may lag: its digest is left alone, its bearer too.
#[test]
fn a_digest_by_an_unknown_publisher_does_not_count_until_the_publisher_is_known() {
    let other = PublisherKey([8; 32]);
    let mut solo = shown(|d| d.publisher = other);
    assert!(!solo.is_closed(1) && !is_described(&mut solo, 20));
    solo.tell(Input::Publishers(vec![other]));
    let digest = SegmentDigest { publisher: other, ..digest(&solo.rendition, 21, false) };
    solo.tell(Input::Digest(digest));
    assert!(is_described(&mut solo, 21));
}

// H2
#[test]
fn a_true_digest_of_another_segment_says_nothing_of_the_one_asked_for() {
    let mut solo = shown(|d| *d = digest(&Solo::viewer().rendition, 21, false));
    assert!(is_described(&mut solo, 21) && !is_described(&mut solo, 20));
    solo.wait(Duration::from_secs(2));
    assert_eq!(solo.fetches[0].range, None, "20 comes whole and unshared");
}

// H2: nobody but a publisher can contradict a publisher.
#[test]
fn a_second_digest_that_no_publisher_has_signed_changes_nothing() {
    let mut solo = shown(|_| {});
    let mut second = digest(&solo.rendition, 20, false);
    second.hashes.iter_mut().for_each(|h| *h = [0; 32]);
    second.signature = [0; 64];
    solo.tell(Input::Digest(second.clone()));
    let liar = solo.neighbour(3);
    solo.hear(liar, Message::Digest { digest: second });
    assert!(solo.is_closed(3));
    let link = solo.neighbour(2);
    solo.hear(link, Message::WantDigest { keys: rillcast_core::protocol::coding::List::clipped([key(20)]) });
    let first = digest(&solo.rendition, 20, false);
    assert!(solo.take_said(link).contains(&Message::Digest { digest: first }));
}

// H6: a flood of digests costs a bounded number of signatures.
#[test]
fn signatures_being_verified_are_bounded() {
    for (shown, checked) in [(63, 63), (64, 64), (65, 64)] {
        let mut solo = Solo::viewer();
        let link = solo.neighbour(1);
        solo.verifies = false;
        for n in 0..shown {
            let digest = digest(&solo.rendition, 20 + n, false);
            solo.hear(link, Message::Digest { digest });
        }
        assert_eq!(solo.checks.len(), checked);
    }
}

// R38, DESIGN 7: news of a segment travels ahead of its data.
#[test]
fn a_digest_is_told_on_to_neighbours_that_lack_it() {
    let mut solo = Solo::viewer();
    solo.plays(15, 20, 24, true);
    let (from, to) = (solo.neighbour(1), solo.neighbour(2));
    solo.take_said(to);
    let told = digest(&solo.rendition, 21, false);
    solo.hear(from, Message::Digest { digest: told.clone() });
    let tells = |m: &Message| matches!(m, Message::Have { maps } if maps[0].key == key(21));
    assert!(solo.take_said(to).iter().any(tells));
    assert!(!solo.take_said(from).iter().any(tells), "who told us knows");
    solo.hear(to, Message::WantDigest { keys: rillcast_core::protocol::coding::List::clipped([key(21)]) });
    assert!(solo.take_said(to).contains(&Message::Digest { digest: told }));
}

// A seed with many renditions must not hide all but one of them from whoever comes.
#[test]
fn a_new_neighbour_hears_of_the_newest_segments_of_every_track() {
    let mut solo = Solo::viewer();
    for number in 0..60 {
        for rendition in [solo.rendition, video(HIGH, 900_000)] {
            let digest = digest(&rendition, number, false);
            solo.tell(Input::Digest(digest));
        }
        solo.now += Duration::from_millis(10);
    }
    let link = solo.neighbour(1);
    let maps: Vec<_> = solo
        .take_said(link)
        .into_iter()
        .filter_map(|m| match m {
            Message::Have { maps } => Some(maps.into_vec()),
            _ => None,
        })
        .flatten()
        .map(|m| m.key)
        .collect();
    assert!(maps.contains(&key(59)) && maps.contains(&key_of(HIGH, 59)));
    assert_eq!(maps.len(), 64);
}

// R52: what nobody else asks it to follow, a seed learns from its neighbours; the first viewer waits for that.
#[test]
fn a_seed_follows_what_a_neighbour_plays_as_soon_as_it_says_so() {
    let mut solo = Solo::with(Role::Seed, 64 << 20, Settings::default());
    let link = solo.neighbour(1);
    solo.wait(Duration::from_millis(20));
    assert_eq!(solo.playing, [MAIN]);
    solo.hear(link, profile([Playing { track: HIGH, next: 21 }]));
    solo.wait(Duration::from_millis(20));
    assert_eq!(solo.playing, [HIGH]);
    solo.tell(Input::LinkClosed { peer: peer_id(1), link: Some(link) });
    solo.wait(Duration::from_millis(20));
    assert_eq!(solo.playing, []);
}
