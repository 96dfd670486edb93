//! What a seed takes of other seeds, so that more of them hold it (R30, R31, R32).

use rillcast_core::engine::{Event, Input, LinkId, MAX_COPIES};
use rillcast_core::protocol::id::{Role, SegmentKey};
use rillcast_core::protocol::settings::Settings;
use rillcast_core::time::Duration;
use rillcast_core::wire::Message;
use rillcast_core::wire::message::{No, Playing};

use crate::lab::solo::profile;
use crate::lab::{MAIN, Solo, key};

const SOON: Duration = Duration::from_millis(400);

fn seed() -> Solo {
    Solo::with(Role::Seed, 64 << 20, Settings::default())
}

fn another(solo: &mut Solo, n: usize, role: Role) -> LinkId {
    let link = solo.stranger(n, role);
    solo.greet(link);
    solo.answers(link);
    let playing = (role == Role::Viewer).then_some(Playing { track: MAIN, next: 20 });
    solo.hear(link, profile(playing));
    link
}

fn take(solo: &mut Solo, numbers: impl IntoIterator<Item = u64>) {
    let take = numbers.into_iter().map(key).collect();
    solo.tell(Input::Replicas { take, spare: Vec::new() });
    solo.wait(Duration::from_millis(20));
}

/// Blocks asked of a neighbour, in order.
fn asked(solo: &mut Solo, link: LinkId) -> Vec<u16> {
    let mut blocks: Vec<u16> = solo.take_requests(link).iter().map(|(_, name)| name.block.0).collect();
    blocks.sort_unstable();
    blocks
}

/// Gives what was asked for, until nothing more is; told back: how many blocks each gave.
fn serve(solo: &mut Solo, links: &[LinkId]) -> Vec<usize> {
    let mut gave = vec![0; links.len()];
    for _ in 0..40 {
        for (link, gave) in links.iter().zip(&mut gave) {
            for (transfer, name) in solo.take_requests(*link) {
                let block = solo.block(name.key.number, name.block.0);
                for (at, piece) in block.chunks(15_000).enumerate() {
                    solo.piece(*link, transfer, at as u32 * 15_000, piece);
                }
                *gave += 1;
            }
        }
        solo.wait(Duration::from_millis(50));
    }
    gave
}

#[test]
fn it_asks_the_seeds_that_show_it_and_no_viewer() {
    let mut solo = seed();
    let (one, two) = (another(&mut solo, 1, Role::Seed), another(&mut solo, 2, Role::Seed));
    let viewer = another(&mut solo, 3, Role::Viewer);
    let blocks = solo.blocks(20);
    solo.describe(20);
    for link in [one, viewer] {
        solo.holds(link, 20, 0..blocks);
    }
    solo.wait(SOON);
    assert_eq!(asked(&mut solo, one), [0; 0], "nobody has said that it is to be held here");
    take(&mut solo, [20]);
    assert!(
        solo.engine.is_at_a_seed(&key(20))
            && solo.engine.is_awaited(&key(20))
            && !solo.engine.is_awaited(&key(19))
    );
    let first = asked(&mut solo, one);
    assert!(!first.is_empty() && first.len() <= 12, "a dozen at a time: {first:?}");
    // A second one shows it: both are asked from now on.
    solo.holds(two, 20, 0..blocks);
    solo.wait(Duration::from_millis(20));
    assert!(!asked(&mut solo, two).is_empty());
    assert_eq!(asked(&mut solo, viewer), [0; 0]);
}

#[test]
fn all_of_it_comes_is_verified_and_is_given_on() {
    let mut solo = seed();
    let (one, two) = (another(&mut solo, 1, Role::Seed), another(&mut solo, 2, Role::Seed));
    let viewer = another(&mut solo, 3, Role::Viewer);
    let blocks = solo.blocks(20);
    solo.describe(20);
    take(&mut solo, [20]);
    // They come by what was asked for as it is shown.
    for link in [one, two] {
        solo.holds(link, 20, 0..blocks);
    }
    solo.wait(Duration::from_millis(20));
    let gave = serve(&mut solo, &[one, two]);
    assert!(solo.engine.holds(&key(20)) && solo.engine.held().eq([key(20)]));
    assert_eq!(gave.iter().sum::<usize>(), usize::from(blocks), "each block once");
    assert!(gave.iter().all(|gave| *gave > 0), "of both: {gave:?}");
    assert!(solo.fetches.is_empty(), "the source gave nothing");
    assert!(
        solo.take_said(viewer)
            .iter()
            .any(|m| matches!(m, Message::Offer { name, .. } if name.key == key(20)))
    );
}

// H2 H11
#[test]
fn a_seed_that_lies_is_cut_off_and_one_that_refuses_is_asked_again_later() {
    let mut solo = seed();
    let (liar, busy) = (another(&mut solo, 1, Role::Seed), another(&mut solo, 2, Role::Seed));
    let blocks = solo.blocks(20);
    solo.describe(20);
    solo.holds(liar, 20, 0..blocks);
    take(&mut solo, [20]);
    let (transfer, name) = solo.take_requests(liar)[0];
    let mut block = solo.block(20, name.block.0).to_vec();
    block[0] ^= 1;
    for (at, piece) in block.chunks(15_000).enumerate() {
        solo.piece(liar, transfer, at as u32 * 15_000, piece);
    }
    assert!(solo.is_closed(1));
    assert!(matches!(solo.events.last(), Some(Event::Liar { .. })), "{:?}", solo.events);
    solo.holds(busy, 20, 0..blocks);
    solo.wait(SOON);
    for (transfer, _) in solo.take_requests(busy) {
        solo.hear(busy, Message::Refuse { transfer, why: No::Busy });
    }
    solo.wait(Duration::from_millis(450));
    assert_eq!(asked(&mut solo, busy), [0; 0], "it has no time");
    solo.wait(SOON);
    assert!(!asked(&mut solo, busy).is_empty());
}

#[test]
fn what_is_not_to_be_held_any_more_is_cancelled_and_a_viewer_takes_nothing_so() {
    let mut solo = seed();
    let one = another(&mut solo, 1, Role::Seed);
    let blocks = solo.blocks(20);
    solo.describe(20);
    solo.holds(one, 20, 0..blocks);
    take(&mut solo, [20]);
    let requests = solo.take_requests(one).len();
    take(&mut solo, []);
    solo.wait(SOON);
    let cancelled = solo.take_said(one).iter().filter(|m| matches!(m, Message::Cancel { .. })).count();
    assert_eq!(cancelled, requests);
    let mut viewer = Solo::viewer();
    let one = another(&mut viewer, 1, Role::Seed);
    viewer.describe(20);
    viewer.holds(one, 20, 0..blocks);
    take(&mut viewer, [20]);
    viewer.wait(SOON);
    assert_eq!(asked(&mut viewer, one), [0; 0]);
}

#[test]
fn what_is_taken_at_a_time_is_bounded() {
    for (last, comes) in [(MAX_COPIES as u64 - 1, true), (MAX_COPIES as u64, false)] {
        let mut solo = seed();
        let one = another(&mut solo, 1, Role::Seed);
        let number = 20 + last;
        let blocks = solo.blocks(number);
        solo.describe(number);
        solo.holds(one, number, 0..blocks);
        take(&mut solo, 20..=number);
        assert_eq!(!asked(&mut solo, one).is_empty(), comes, "the one with {last} before it");
    }
}

// H2: what isn't signed by a publisher of the site keeps nobody from fetching.
#[test]
fn a_seed_hears_of_digests_whose_signatures_hold_and_of_no_others() {
    let heard = |solo: &Solo| -> Vec<SegmentKey> {
        let keys = solo.events.iter().filter_map(|event| match event {
            Event::Heard { digest } => Some(digest.key),
            _ => None,
        });
        keys.collect()
    };
    let mut solo = seed();
    let one = another(&mut solo, 1, Role::Seed);
    let shown = |number: u64| crate::lab::digest(&Solo::viewer().rendition, number, false);
    solo.hear(one, Message::Digest { digest: shown(20) });
    solo.describe(21);
    assert_eq!(heard(&solo), [key(20), key(21)], "from a neighbour as from the server");
    let mut unknown = shown(22);
    unknown.publisher.0[0] ^= 1;
    solo.hear(one, Message::Digest { digest: unknown });
    let mut forged = shown(23);
    forged.signature = [2; 64];
    solo.hear(one, Message::Digest { digest: forged });
    assert_eq!(heard(&solo).len(), 2);
    assert!(solo.is_closed(1), "whoever shows a false signature is cut off");
    let mut viewer = Solo::viewer();
    viewer.describe(20);
    assert!(heard(&viewer).is_empty());
}

// R52
#[test]
fn a_seed_shows_other_seeds_the_digests_that_it_signs() {
    let mut solo = seed();
    let one = another(&mut solo, 1, Role::Seed);
    let body = solo.body(20);
    let digest = crate::lab::digest(&solo.rendition, 20, false);
    solo.tell(Input::Published { digest, body: crate::lab::media::Buf(body) });
    assert!(
        solo.take_said(one).iter().any(|m| matches!(m, Message::Digest { digest } if digest.key == key(20)))
    );
}

// R31
#[test]
fn what_others_hold_makes_room_first() {
    let mut solo = Solo::with(Role::Seed, 0, Settings::default());
    let length = solo.body(20).len() as u64;
    solo = Solo::with(Role::Seed, 2 * length, Settings::default());
    let publish = |solo: &mut Solo, number: u64| {
        let (digest, body) = (crate::lab::digest(&solo.rendition, number, false), solo.body(number));
        solo.tell(Input::Published { digest, body: crate::lab::media::Buf(body) });
        solo.wait(Duration::from_millis(10));
    };
    publish(&mut solo, 20);
    publish(&mut solo, 21);
    solo.tell(Input::Replicas { take: Vec::new(), spare: vec![key(21)] });
    publish(&mut solo, 22);
    let held: Vec<_> = solo.engine.held().map(|key| key.number).collect();
    assert_eq!(held, [20, 22], "21 is newer than 20, and others hold it");
}
