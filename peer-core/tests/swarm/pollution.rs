//! False bytes: from peers, from the source, by accident (H2).

use rillcast_core::engine::{Event, Input, SourceHead};
use rillcast_core::protocol::id::PublisherKey;
use rillcast_core::time::Duration;
use rillcast_core::wire::Message;

use crate::lab::media::{PUBLISHER, digest_of};
use crate::lab::{Net, Setup, Solo, body, key, peer_id};

/// A viewer that pulls segment 20 from a neighbour, and what it asks first.
fn pulling() -> (Solo, rillcast_core::engine::LinkId) {
    let mut solo = Solo::viewer();
    solo.plays(15, 20, 24, false);
    solo.demand(20);
    let link = solo.neighbour(1);
    solo.describe(20);
    let all = solo.blocks(20);
    solo.holds(link, 20, 0..all);
    solo.wait(Duration::from_millis(50));
    (solo, link)
}

fn altered(mut block: Vec<u8>) -> Vec<u8> {
    let last = block.len() - 1;
    block[last] ^= 0x80;
    block
}

// H2: cut off at the first false block; the server hears of it.
#[test]
fn one_altered_bit_ends_the_link() {
    let (mut solo, link) = pulling();
    let (transfer, name) = solo.take_requests(link)[0];
    solo.piece(link, transfer, 0, &altered(solo.block(20, name.block.0).to_vec()));
    assert!(solo.is_closed(1));
    let stats = solo.engine.stats();
    assert_eq!((stats.false_blocks, stats.stored_bytes, stats.links.len()), (1, 0, 0));
    assert_eq!(solo.accused, [(peer_id(1), key(20))]);
}

// H2
#[test]
fn a_liar_in_a_swarm_is_cut_off_by_all_and_no_false_byte_is_played_or_passed_on() {
    let mut net = Net::new(Setup { seed: 2, ..Setup::default() });
    net.liars.insert(3);
    net.run();
    assert_eq!(net.stalls(), 0, "{}", net.summary());
    let liars = net.liars();
    assert!(liars.len() >= 4, "{liars:?}");
    assert!(
        liars.iter().all(|(_, liar)| *liar == 3),
        "an honest relay never passes a false block on: {liars:?}"
    );
    assert!(net.neighbours(3).is_empty(), "nobody links with it again");
    assert!((0..8).all(|n| net.player(n).got.iter().all(|g| g.version == 0)));
    // One at a time is on its way from each neighbour or a few: the first to be checked ends it.
    for n in (0..8).filter(|n| *n != 3) {
        assert!(net.engine(n).stats().false_blocks <= 4, "{}", net.engine(n).stats().false_blocks);
    }
    let worst = (0..8).filter(|n| *n != 3).map(|n| net.engine(n).stats().peer_bytes).min();
    assert!(worst > Some(1_000_000), "the others go on sharing");
}

// H2
#[test]
fn source_bytes_that_disagree_with_the_digest_are_played_but_not_relayed_and_told() {
    let mut net = Net::new(Setup { viewers: 5, seed: 2, ..Setup::default() });
    net.versions = |n, number| u8::from(n == 2 && number > 12);
    net.run();
    assert_eq!((net.stalls(), net.liars()), (0, vec![]), "{}", net.summary());
    let odd: Vec<_> = (0..5)
        .flat_map(|n| net.player(n).got.iter().map(move |g| (n, g)))
        .filter(|(_, g)| g.version == 1)
        .collect();
    assert!(!odd.is_empty(), "node 2 fetched some itself");
    for (n, got) in &odd {
        assert_eq!(*n, 2, "nobody else got the other version");
        assert_eq!(
            u64::from(got.share.source),
            got.bytes,
            "whole from the source: two versions never meet in one segment"
        );
    }
    let told =
        net.told.iter().filter(|(_, n, e)| *n == 2 && matches!(e, Event::SourceMismatch { .. })).count();
    assert!(told >= odd.len(), "{told} events, {} segments", odd.len());
    assert!(net.told.iter().all(|(_, n, e)| *n == 2 || !matches!(e, Event::SourceMismatch { .. })));
}

// DESIGN 3: an encoder that starts again gives other bytes under the same name.
#[test]
fn blocks_bytes_from_peers_and_a_source_of_another_version_are_never_mixed() {
    let (mut solo, link) = pulling();
    for (transfer, name) in solo.take_requests(link) {
        solo.piece(link, transfer, 0, &solo.block(20, name.block.0));
    }
    assert!(solo.engine.stats().stored_bytes > 0);
    solo.tell(Input::LinkClosed { peer: peer_id(1), link: Some(link) });
    let ranged = solo.next_fetch(Duration::from_secs(20));
    let other = body(&solo.rendition, 20, 1);
    let range = ranged.range.clone().expect("by range");
    solo.tell(Input::SourceHead { fetch: ranged.fetch, head: SourceHead::Partial { total: None } });
    solo.source(ranged.fetch, &other[range.start as usize..range.end as usize]);
    assert!(
        solo.cancelled.contains(&ranged.fetch),
        "what else comes of it can't be told from the first version"
    );
    assert!(solo.delivered.is_empty());
    assert_eq!(solo.engine.stats().stored_bytes, 0, "the peers' blocks are of another version");
    assert!(matches!(solo.events.last(), Some(Event::SourceMismatch { key: k }) if *k == key(20)));
    solo.wait(Duration::from_millis(200));
    let whole = solo.fetches.last().expect("a fetch").clone();
    assert_eq!(whole.range, None);
    solo.tell(Input::SourceHead { fetch: whole.fetch, head: SourceHead::Whole { total: None } });
    solo.source(whole.fetch, &other);
    solo.tell(Input::SourceEnd { fetch: whole.fetch });
    let got: Vec<u8> = solo.delivered[0].parts.iter().flat_map(|p| p.0.to_vec()).collect();
    assert_eq!(got, other);
    assert_eq!(solo.delivered[0].share.source as usize, other.len());
    let late = solo.neighbour(5);
    let told = solo.take_said(late);
    assert!(
        !told.iter().any(|m| matches!(m, Message::Have { maps } if maps.iter().any(|m| m.key == key(20))))
    );
}

// A digest that comes after the bytes: they are checked then, and shared or not.
#[test]
fn a_segment_that_came_before_its_digest_is_shared_once_it_is_verified() {
    for (version, shared) in [(0, true), (1, false)] {
        let mut solo = Solo::viewer();
        solo.demand(20);
        let fetch = solo.fetches[0].fetch;
        let bytes = body(&solo.rendition, 20, version);
        solo.tell(Input::SourceHead { fetch, head: SourceHead::Whole { total: None } });
        solo.source(fetch, &bytes);
        solo.tell(Input::SourceEnd { fetch });
        assert_eq!(solo.delivered.len(), 1, "the own player doesn't wait");
        let link = solo.neighbour(1);
        solo.take_said(link);
        solo.describe(20);
        solo.wait(Duration::from_millis(200));
        let got = |m: &Message| matches!(m, Message::Got { .. });
        assert_eq!(solo.take_said(link).iter().any(got), shared);
        let mismatch = solo.events.iter().any(|e| matches!(e, Event::SourceMismatch { .. }));
        assert_eq!(mismatch, !shared);
    }
}

// A resource longer or shorter than its digest says is another version too.
#[test]
fn a_source_of_another_length_is_played_unshared() {
    for extra in [1, 40_000] {
        let mut solo = Solo::viewer();
        solo.describe(20);
        solo.demand(20);
        let mut bytes = solo.body(20).to_vec();
        bytes.extend(vec![7; extra]);
        let mut done = 0;
        while solo.delivered.is_empty() && done < solo.fetches.len() {
            let fetch = solo.fetches[done].fetch;
            solo.tell(Input::SourceHead { fetch, head: SourceHead::Whole { total: None } });
            solo.source(fetch, &bytes);
            solo.tell(Input::SourceEnd { fetch });
            solo.wait(Duration::from_millis(200));
            done += 1;
        }
        // The end of the fetch shows it, after all blocks were found true; the player already has its segment then.
        let got: usize = solo.delivered[0].parts.iter().map(|p| p.0.len()).sum();
        assert!(got == bytes.len() || got == solo.body(20).len());
        assert!(solo.events.iter().any(|e| matches!(e, Event::SourceMismatch { .. })));
    }
}

// H2: of two publishers that contradict each other one may lie, and nobody can tell which: what came is thrown away, nothing is shared, those who
// have heard of one hear of both, and the source decides what is played.
#[test]
fn what_publishers_contradict_each_other_about_is_played_from_the_source_and_not_shared() {
    let second = PublisherKey([8; 32]);
    for from_neighbour in [false, true] {
        let (mut solo, link) = pulling();
        solo.tell(Input::Publishers(vec![PUBLISHER, second]));
        for (transfer, name) in solo.take_requests(link) {
            solo.piece(link, transfer, 0, &solo.block(20, name.block.0));
        }
        assert!(solo.engine.stats().stored_bytes > 0);
        let mut other = digest_of(key(20), &body(&solo.rendition, 20, 1));
        other.publisher = second;
        // The same word of another publisher changes nothing.
        let mut same = digest_of(key(20), &solo.body(20));
        same.publisher = second;
        solo.tell(Input::Digest(same));
        assert!(solo.engine.stats().stored_bytes > 0 && solo.events.is_empty(), "{:?}", solo.events);
        solo.take_said(link);
        if from_neighbour {
            solo.hear(link, Message::Digest { digest: other.clone() });
        } else {
            solo.tell(Input::Digest(other.clone()));
        }
        let disputed = Event::Disputed { key: key(20), publishers: [PUBLISHER, second] };
        assert_eq!((solo.events.as_slice(), solo.engine.stats().stored_bytes), ([disputed].as_slice(), 0));
        let told = |m: &Message| matches!(m, Message::Digest { digest } if digest.key == key(20));
        assert_eq!(solo.take_said(link).iter().filter(|m| told(m)).count(), 2, "both are told");
        solo.tell(Input::Digest(other));
        assert!(!solo.take_said(link).iter().any(told), "once");
        let whole = solo.next_fetch(Duration::from_secs(20));
        assert_eq!(whole.range, None);
        let bytes = solo.body(20);
        solo.tell(Input::SourceHead { fetch: whole.fetch, head: SourceHead::Whole { total: None } });
        solo.source(whole.fetch, &bytes);
        solo.tell(Input::SourceEnd { fetch: whole.fetch });
        assert_eq!(solo.delivered[0].share.source as usize, bytes.len(), "nothing of what peers had brought");
        let late = solo.neighbour(5);
        let has = |m: &Message| matches!(m, Message::Have { maps } if maps.iter().any(|m| m.key == key(20)));
        assert!(!solo.take_said(late).iter().any(has));
    }
}
