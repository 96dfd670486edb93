//! Every limit at, under and over it, as seen from outside the engine. (Those of single parts stand beside the parts.)

use rillcast_core::engine::{Conditions, Input, LinkId};
use rillcast_core::overlay::census::{SLOTS, Slot};
use rillcast_core::protocol::coding::{Blob, List};
use rillcast_core::protocol::id::Role;
use rillcast_core::protocol::settings::Settings;
use rillcast_core::protocol::signal::PeerDescriptor;
use rillcast_core::time::Duration;
use rillcast_core::transfer::Priority;
use rillcast_core::wire::message::{No, Playing};
use rillcast_core::wire::{Message, TransferId};

use crate::lab::solo::{self, decline, described, grant, name, profile, request};
use crate::lab::tickets::acquaintance;
use crate::lab::{MAIN, Net, Setup, Solo, key};
use crate::switches::holding;

const BLOCK: u64 = 32 * 1024;
/// Below this a ratio doesn't bind, or nobody could begin.
const FREE: u64 = 8 * 1024 * 1024;

/// A greedy neighbour asks for blocks of segment 20, each as soon as the last has come, until it is refused or `time` is over; told back:
/// what it got.
fn drain(solo: &mut Solo, link: LinkId, time: Duration) -> u64 {
    let end = solo.now + time;
    let before = solo.engine.stats().uploaded_bytes;
    for n in 0.. {
        let transfer = TransferId::request(n);
        solo.hear(link, request(transfer, name(20, (n % 12) as u16), 1000));
        let mut got = 0;
        while got < BLOCK {
            solo.bulk.clear();
            solo.wait(Duration::from_millis(1));
            got += solo.bulk.drain(..).map(|(.., p)| p.0.len() as u64).sum::<u64>();
            if solo.now >= end || solo.take_said(link).iter().any(|m| matches!(m, Message::Refuse { .. })) {
                return solo.engine.stats().uploaded_bytes - before;
            }
            let sent = solo.engine.stats().uploaded_bytes - before;
            got = got.max(sent.saturating_sub(u64::from(n) * BLOCK));
        }
        solo.hear(link, Message::Arrived { transfer });
    }
    0
}

// H6
#[test]
fn the_ratio_of_upload_to_download_is_kept() {
    for ratio_percent in [50, 100, 200] {
        let (mut solo, link) = holding(Settings { ratio_percent, ..Settings::default() });
        let allowed = solo.body(20).len() as u64 * u64::from(ratio_percent) / 100 + FREE;
        let given = drain(&mut solo, link, Duration::from_secs(600));
        assert!(given >= allowed, "{given} of {allowed}: not refused before");
        assert!(given < allowed + BLOCK, "{given} of {allowed}: the block that passes it is the last");
        solo.wait(Duration::from_millis(50));
        assert_eq!(drain(&mut solo, link, Duration::from_secs(5)), 0, "over it nothing more");
        // Taking more allows more.
        solo.demand(21);
        let fetch = solo.fetches.last().expect("a fetch").fetch;
        solo.tell(Input::SourceHead {
            fetch,
            head: rillcast_core::engine::SourceHead::Whole { total: None },
        });
        solo.source(fetch, &solo.body(21));
        solo.tell(Input::SourceEnd { fetch });
        assert!(drain(&mut solo, link, Duration::from_secs(60)) > 0);
    }
}

// R56 H6: a viewer's or site's "nothing" is nothing, the first megabytes included.
#[test]
fn a_ratio_of_nothing_gives_nothing() {
    let (mut solo, link) = holding(Settings { ratio_percent: 0, ..Settings::default() });
    assert_eq!(drain(&mut solo, link, Duration::from_secs(5)), 0);
}

// H6: at both ends of what a site can set, nothing overflows.
#[test]
fn the_largest_settings_are_no_limits_at_all() {
    let settings =
        Settings { ratio_percent: u16::MAX, upload_cap: u32::MAX, max_links: u8::MAX, ..Settings::default() };
    let (mut solo, link) = holding(settings);
    assert!(drain(&mut solo, link, Duration::from_secs(2)) > 1_000_000);
}

// R56 H6
#[test]
fn the_lower_of_the_sites_cap_and_the_viewers_holds() {
    for (site, viewer, cap) in
        [(50_000, 0, 50_000), (0, 50_000, 50_000), (50_000, 90_000, 50_000), (90_000, 20_000, 20_000)]
    {
        let (mut solo, link) = holding(Settings { upload_cap: site, ..Settings::default() });
        solo.tell(Input::Conditions(Conditions {
            may_upload: true,
            may_download: true,
            hidden: false,
            upload_cap: viewer,
        }));
        solo.wait(Duration::from_secs(1));
        let given = drain(&mut solo, link, Duration::from_secs(30));
        assert!(given <= cap * 30 + 2 * BLOCK, "{given} bytes in 30 s under {cap}");
        assert!(given >= cap * 30 * 8 / 10, "{given} bytes in 30 s under {cap}: it is there to be used");
    }
}

#[test]
fn links_are_made_up_to_the_sites_number() {
    // Of our own accord we call no more than leaves a quarter for those who come later.
    for (others, max_links, calls, made) in
        [(2, 3, 2, 3), (3, 3, 3, 3), (4, 3, 3, 3), (8, 8, 6, 8), (80, 255, 48, 64), (3, 0, 0, 0)]
    {
        let mut solo = Solo::with(Role::Viewer, 1 << 20, Settings { max_links, ..Settings::default() });
        (1..=others).for_each(|n| solo.introduce(n, Role::Viewer));
        // A few at a time; nobody answers here.
        solo.wait(Duration::from_secs(10));
        assert_eq!(solo.connects.len(), calls, "{others} others, at most {max_links}");
        let callers = (101..200).map(|n| PeerDescriptor { initiate: false, ..described(n, Role::Viewer) });
        solo.tell(Input::Introduced(callers.take(90).collect()));
        solo.wait(Duration::from_secs(4));
        assert_eq!(solo.connects.len(), made, "{others} others and many that call, at most {max_links}");
    }
}

// R31 H6
#[test]
fn the_store_keeps_to_its_budget_but_for_what_is_being_played() {
    let budget = 1_500_000;
    let mut net = Net::new(Setup { viewers: 4, store_budget: budget, seed: 2, ..Setup::default() });
    net.run();
    assert_eq!(net.stalls(), 0, "{}", net.summary());
    for n in 0..4 {
        let stored = net.engine(n).stats().stored_bytes;
        // Live, at most two segments lie ahead of the player.
        assert!(stored <= budget + 2 * 725_000, "node {n} holds {stored}");
    }
}

#[test]
fn blocks_are_pulled_from_many_but_no_more_than_a_downlink_needs() {
    let mut solo = Solo::viewer();
    solo.rendition.rate = 1_000_000;
    solo.plays(15, 20, 24, false);
    solo.demand(20);
    solo.describe(20);
    let all = solo.blocks(20);
    assert!(all > 60);
    let links: Vec<_> = (1..=30).map(|n| solo.neighbour(n)).collect();
    links.iter().for_each(|l| solo.holds(*l, 20, 0..all));
    solo.wait(Duration::from_millis(300));
    let asked: Vec<_> = links.iter().map(|l| solo.take_requests(*l).len()).collect();
    assert!(asked.iter().all(|n| *n <= 3), "{asked:?}");
    assert_eq!(asked.iter().sum::<usize>(), 48, "{asked:?}");
}

#[test]
fn offers_are_few_at_a_time_and_fewer_to_one() {
    // As many as an uplink of 250 kB/s, or a seed's of 3.5 MB/s, sends until the first answer is here.
    for (role, receivers, slots) in
        [(Role::Viewer, 1, 2), (Role::Viewer, 8, 2), (Role::Seed, 1, 2), (Role::Seed, 30, 17)]
    {
        let mut solo = Solo::with(role, 64 << 20, Settings::default());
        if role == Role::Viewer {
            solo.plays(17, 12, 20, true);
            solo.demand(20);
        }
        let links: Vec<_> = (1..=receivers).map(|n| solo.neighbour(n)).collect();
        for link in &links {
            solo.hear(*link, profile([Playing { track: MAIN, next: 19 }]));
        }
        solo.said.clear();
        let (digest, body) = (crate::lab::digest(&solo.rendition, 20, false), crate::lab::Buf(solo.body(20)));
        solo.tell(Input::Published { digest, body });
        solo.wait(Duration::from_millis(100));
        let offers = |link: &LinkId, said: &[(LinkId, Message)]| {
            said.iter().filter(|(l, m)| l == link && matches!(m, Message::Offer { .. })).count()
        };
        let made: Vec<_> = links.iter().map(|l| offers(l, &solo.said)).collect();
        assert!(made.iter().all(|n| *n <= 2), "{role:?}: {made:?}");
        assert_eq!(made.iter().sum::<usize>(), slots, "{role:?} with {receivers}: {made:?}");
    }
}

// R30: nobody else says anything meanwhile, and the uplink has had room for more all the time.
#[test]
fn an_only_receiver_is_offered_the_next_block_as_soon_as_one_is_sent_or_declined() {
    let mut solo = Solo::with(Role::Seed, 64 << 20, Settings::default());
    let link = solo.neighbour(1);
    solo.hear(link, profile([Playing { track: MAIN, next: 19 }]));
    solo.said.clear();
    let (digest, body) = (crate::lab::digest(&solo.rendition, 20, false), crate::lab::Buf(solo.body(20)));
    solo.tell(Input::Published { digest, body });
    let (all, began) = (solo.blocks(20), solo.now);
    let mut offered = Vec::new();
    while offered.len() < usize::from(all) {
        let mut granted = Vec::new();
        for message in solo.take_said(link) {
            let Message::Offer { transfer, name, .. } = message else { continue };
            // One in four it gets elsewhere.
            let has_it = offered.len() % 4 == 3;
            offered.push(name.block.0);
            if has_it {
                solo.hear(link, decline(transfer, No::Held));
            } else {
                solo.hear(link, grant(transfer, name));
                granted.push(transfer);
            }
        }
        solo.wait(Duration::from_millis(1));
        granted.into_iter().for_each(|transfer| solo.hear(link, Message::Arrived { transfer }));
        assert!(solo.now.since(began) < Duration::from_millis(500), "{} of {all} blocks", offered.len());
    }
    offered.sort_unstable();
    assert!(offered.into_iter().eq(0..all), "each once");
}

/// Most offers that a seed has open while nobody answers, of segments that this many bytes a second fill, each for neighbours that lack the end of them.
fn most_offers_open(receivers: usize, rate: u64) -> usize {
    let mut solo = Solo::with(Role::Seed, 64 << 20, Settings::default());
    solo.rendition.rate = rate;
    let all = solo.blocks(20);
    for number in [20, 21] {
        let digest = crate::lab::digest(&solo.rendition, number, false);
        let body = crate::lab::Buf(crate::lab::body(&solo.rendition, number, 0));
        solo.tell(Input::Published { digest, body });
    }
    for n in 1..=receivers {
        let link = solo.neighbour(n);
        solo.hear(link, profile([Playing { track: MAIN, next: 19 }]));
        if all > 3 {
            solo.holds(link, 20, 0..all - 3);
            solo.holds(link, 21, 0..all - 3);
        }
    }
    // Nobody answers: of what is offered nothing but its end makes room.
    let made: Vec<_> = (0..600)
        .map(|_| {
            solo.wait(Duration::from_millis(10));
            solo.said.drain(..).filter(|(_, m)| matches!(m, Message::Offer { .. })).count()
        })
        .collect();
    let within = |from: usize| made[from..].iter().take(120).sum::<usize>();
    (0..made.len()).map(within).max().unwrap_or(0)
}

#[test]
fn offers_that_others_are_likely_to_forestall_are_more_but_bounded() {
    // Two to each.
    assert_eq!(most_offers_open(30, 800_000 / 8), 60, "open at a time, each for 1.2 s");
}

#[test]
fn a_seed_has_many_offers_open_and_not_endlessly_many() {
    // Short segments of one block: whatever the uplink, there would be room for more.
    for (receivers, open) in [(127, 254), (128, 256), (129, 256), (200, 256)] {
        assert_eq!(most_offers_open(receivers, 1000), open, "{receivers} receivers");
    }
}

// H6 H11: ever new names, for ever: whatever is remembered of them has a bound.
#[test]
fn a_flood_of_names_does_not_grow_the_engine() {
    let size_after = |rounds: u64| {
        let mut solo = Solo::viewer();
        solo.plays(15, 20, 24, true);
        solo.demand(20);
        let link = solo.neighbour(1);
        for round in 0..rounds {
            let key = crate::lab::key_of(rillcast_core::protocol::id::TrackId(round % 7), 1000 + round);
            let name = rillcast_core::wire::message::BlockName {
                key,
                block: rillcast_core::protocol::id::BlockIndex(round as u16),
            };
            let (offer, request) = (TransferId::offer(round as u32), TransferId::request(round as u32));
            solo.hear(link, solo::got(name));
            solo.hear(link, Message::Claim { key, first: 0, count: 9 });
            solo.hear(link, solo::offer(offer, name));
            solo.hear(link, solo::request(request, name, 0));
            let priority = if round % 2 == 0 { Priority::URGENT } else { Priority::BACKGROUND };
            solo.hear(link, Message::Priority { transfer: request, priority });
            solo.hear(link, decline(offer, No::Held));
            solo.hear(link, grant(offer, name));
            solo.hear(link, Message::Refuse { transfer: request, why: No::Busy });
            let slots = List::clipped(vec![Slot { value: round as u32, age: 0 }; SLOTS]);
            solo.hear(link, Message::Census { of: round, slots });
            let playing = Some(Playing { track: MAIN, next: 9 });
            let from = acquaintance(10_000 + round as usize, Role::Viewer, playing);
            solo.hear(link, Message::Shuffle { peers: List::clipped([from.clone()]) });
            let payload = Blob::new(vec![1; 9]).expect("short");
            let to = from.ticket.body.peer;
            solo.hear(link, Message::Relayed { from, payload: payload.clone() });
            solo.hear(link, Message::Relay { to, payload });
            solo.hear(link, Message::WantDigest { keys: List::clipped([key]) });
            let digest = crate::lab::media::digest_of(key, &[round as u8; 9]);
            solo.hear(link, Message::Digest { digest });
            solo.introduce(10 + round as usize, Role::Viewer);
            solo.piece(link, offer, 0, &[0; 10]);
            solo.said.clear();
            solo.signaled.clear();
            solo.now += Duration::from_millis(5);
        }
        assert!(!solo.is_closed(1));
        format!("{:?}", solo.engine).len()
    };
    let (some, more) = (size_after(1500), size_after(4000));
    assert!(more < some + some / 4, "{some} characters after 1500 rounds, {more} after 4000");
}

// The player's own demand comes first, whatever the budget.
#[test]
fn a_segment_larger_than_the_budget_is_still_played() {
    let mut solo = Solo::with(Role::Viewer, 10_000, Settings::default());
    solo.describe(20);
    solo.demand(20);
    let fetch = solo.fetches[0].fetch;
    solo.source(fetch, &solo.body(20));
    solo.tell(Input::SourceEnd { fetch });
    assert_eq!(solo.delivered.len(), 1);
    solo.describe(21);
    assert!(solo.engine.stats().stored_bytes <= 10_000, "it goes once the player has it");
    assert_eq!(solo.delivered[0].key, key(20));
}
