//! What the operator, the viewer and the page can switch off.

use rillcast_core::engine::{Conditions, Input, MediaKind};
use rillcast_core::protocol::coding::List;
use rillcast_core::protocol::id::Role;
use rillcast_core::protocol::settings::Settings;
use rillcast_core::time::Duration;
use rillcast_core::wire::message::{No, Playing};
use rillcast_core::wire::{Message, TransferId};

use crate::lab::solo::{declined, name, offer, request};
use crate::lab::{MAIN, Net, Setup, Solo, entry, key};

fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn off() -> Settings {
    Settings { enabled: false, report_secs: 0, ..Settings::default() }
}

const FREE: Conditions = Conditions { may_upload: true, may_download: true, hidden: false, upload_cap: 0 };

/// A viewer that holds all of segment 20, and a neighbour that lacks it.
pub fn holding(settings: Settings) -> (Solo, rillcast_core::engine::LinkId) {
    let mut solo = Solo::with(Role::Viewer, 64 << 20, settings);
    solo.describe(20);
    solo.demand(20);
    let fetch = solo.fetches[0].fetch;
    solo.tell(Input::SourceHead { fetch, head: rillcast_core::engine::SourceHead::Whole { total: None } });
    solo.source(fetch, &solo.body(20));
    solo.tell(Input::SourceEnd { fetch });
    let link = solo.neighbour(1);
    solo.take_said(link);
    (solo, link)
}

/// Asks for a block and tells what came of it.
fn asks(solo: &mut Solo, link: rillcast_core::engine::LinkId, n: u32) -> (usize, Vec<Message>) {
    solo.bulk.clear();
    solo.hear(link, request(TransferId::request(n), name(20, 0), 100));
    solo.wait(Duration::from_millis(50));
    (solo.bulk.iter().map(|(.., p)| p.0.len()).sum(), solo.take_said(link))
}

#[test]
fn the_kill_switch_drops_every_link_at_once_and_playback_goes_on() {
    let mut net = Net::new(Setup { seed: 2, ..Setup::default() });
    net.at(secs(40), |net| {
        net.set(off());
        assert!((0..8).all(|n| net.neighbours(n).is_empty()), "at once");
    });
    net.run_until(secs(41));
    let before = net.bytes_from_peers();
    let uploaded: Vec<_> = (0..8).map(|n| net.engine(n).stats().uploaded_bytes).collect();
    net.run();
    assert_eq!(net.stalls(), 0, "{}", net.summary());
    assert!((0..8).all(|n| net.neighbours(n).is_empty() && net.engine(n).stats().links.is_empty()));
    assert_eq!((0..8).map(|n| net.engine(n).stats().uploaded_bytes).collect::<Vec<_>>(), uploaded);
    // Blocks that were here may still be played.
    assert!(net.bytes_from_peers() - before < 8 * 4 * 725_000);
    assert!((0..8).all(|n| net.player(n).got.len() >= 15));
}

#[test]
fn after_the_kill_switch_is_lifted_sharing_begins_anew() {
    let mut net = Net::new(Setup { seed: 2, ..Setup::default() });
    net.at(secs(30), |net| net.set(off()));
    net.at(secs(40), |net| net.set(Settings { report_secs: 0, ..Settings::default() }));
    net.run();
    assert_eq!(net.stalls(), 0, "{}", net.summary());
    assert!(
        (0..8).all(|n| net.neighbours(n).len() >= 4),
        "{:?}",
        (0..8).map(|n| net.neighbours(n)).collect::<Vec<_>>()
    );
}

#[test]
fn the_holdout_group_never_links_and_plays_as_without_us() {
    let mut net = Net::new(Setup {
        viewers: 4,
        settings: Settings { holdout: true, report_secs: 0, ..Settings::default() },
        ..Setup::default()
    });
    net.run();
    assert_eq!((net.stalls(), net.bytes_from_peers(), net.figures.hosted), (0, 0, 0), "{}", net.summary());
    assert!((0..4).all(|n| net.neighbours(n).is_empty()));
    assert_eq!(net.figures.source, net.figures.delivered, "every byte once, and from the source");
    assert!(net.log.iter().all(|a| a.range.is_none()), "as the player alone would ask");
    let mut solo = Solo::with(Role::Viewer, 1 << 20, Settings { holdout: true, ..Settings::default() });
    solo.stranger(1, Role::Viewer);
    assert!(solo.is_closed(1), "nor does it take a link");
    assert!(solo.connects.is_empty());
}

// H7
#[test]
fn without_consent_nothing_is_given_or_taken() {
    let (mut solo, link) = holding(Settings::default());
    solo.tell(Input::Conditions(Conditions { may_upload: false, may_download: false, ..FREE }));
    let (given, said) = asks(&mut solo, link, 1);
    assert_eq!(given, 0);
    assert!(said.contains(&Message::Refuse { transfer: TransferId::request(1), why: No::Busy }));
    assert!(said.iter().any(|m| matches!(m, Message::Profile { passive: true, .. })), "{said:?}");
    solo.plays(20, 4, 24, false);
    solo.demand(21);
    solo.describe(21);
    let all = solo.blocks(21);
    solo.holds(link, 21, 0..all);
    solo.wait(Duration::from_millis(100));
    assert!(solo.take_requests(link).is_empty());
    let fetch = solo.fetches.last().expect("from the source, at once").clone();
    assert_eq!((fetch.key, fetch.range), (key(21), None));
    solo.hear(link, offer(TransferId::offer(9), name(21, 0)));
    assert_eq!(declined(&solo.take_said(link), TransferId::offer(9)), Some(No::Unwanted));
}

// H7: consent that is withdrawn stops what is under way.
#[test]
fn consent_withdrawn_breaks_off_what_was_promised() {
    let (mut solo, link) = holding(Settings { upload_cap: 20_000, ..Settings::default() });
    solo.wait(Duration::from_millis(600));
    for n in 0..8 {
        let name = name(20, n as u16);
        solo.hear(link, request(TransferId::request(n), name, 100));
    }
    let sent = solo.engine.stats().uploaded_bytes;
    assert!(sent < 8 * 32 * 1024, "the cap holds most of it back");
    solo.take_said(link);
    solo.tell(Input::Conditions(Conditions { may_upload: false, ..FREE }));
    let refused = solo.take_said(link).iter().filter(|m| matches!(m, Message::Refuse { .. })).count();
    assert!(refused >= 5, "{refused}");
    solo.wait(secs(20));
    assert_eq!(solo.engine.stats().uploaded_bytes, sent);
}

// H12: a hidden page may be frozen at any moment.
#[test]
fn a_hidden_page_tells_its_neighbours_that_it_is_passive_and_refuses() {
    let (mut solo, link) = holding(Settings::default());
    assert!(asks(&mut solo, link, 1).0 > 0, "visible, it gives");
    solo.tell(Input::Conditions(Conditions { hidden: true, ..FREE }));
    solo.wait(Duration::from_millis(50));
    assert!(solo.take_said(link).iter().any(|m| matches!(m, Message::Profile { passive: true, .. })));
    let (given, said) = asks(&mut solo, link, 2);
    assert_eq!(given, 0);
    assert!(said.contains(&Message::Refuse { transfer: TransferId::request(2), why: No::Busy }));
    solo.tell(Input::Conditions(FREE));
    solo.wait(Duration::from_millis(50));
    assert!(solo.take_said(link).iter().any(|m| matches!(m, Message::Profile { passive: false, .. })));
    assert!(asks(&mut solo, link, 3).0 > 0, "woken, it begins afresh");
}

#[test]
fn a_hidden_page_stays_out_of_elections() {
    let elected = |hidden| {
        let mut solo = Solo::viewer();
        solo.plays(17, 12, 20, true);
        solo.demand(20);
        let link = solo.neighbour(1);
        let playing = List::clipped([Playing { track: MAIN, next: 20 }]);
        solo.hear(link, Message::Profile { playing, passive: true, upload: 0, short: 0, helps: None });
        solo.tell(Input::Conditions(Conditions { hidden, ..FREE }));
        solo.plays(17, 12, 21, true);
        solo.describe(21);
        solo.wait(Duration::from_millis(400));
        solo.fetches.iter().any(|f| f.key == key(21))
    };
    assert!(elected(false), "the only candidate is always elected");
    assert!(!elected(true));
}

// R25: of a downlink of which nothing is known the first picture gets all.
#[test]
fn who_has_no_picture_yet_fetches_nothing_for_others() {
    let elected = |has_picture| {
        let mut solo = Solo::viewer();
        let listed = |solo: &mut Solo, newest| {
            let segments = (10..=newest).map(|number| entry(key(number))).collect();
            solo.tell(Input::Timeline { track: MAIN, kind: MediaKind::Main, segments, live: true });
        };
        if has_picture {
            solo.plays(17, 12, 20, true);
        }
        listed(&mut solo, 20);
        solo.demand(20);
        let link = solo.neighbour(1);
        let playing = List::clipped([Playing { track: MAIN, next: 20 }]);
        solo.hear(link, Message::Profile { playing, passive: true, upload: 0, short: 0, helps: None });
        listed(&mut solo, 21);
        solo.describe(21);
        solo.wait(Duration::from_millis(400));
        solo.fetches.iter().any(|f| f.key == key(21))
    };
    assert!(elected(true), "the only candidate is always elected");
    assert!(!elected(false));
}

// A passive neighbour is asked for nothing and no candidate in elections.
#[test]
fn a_passive_neighbour_is_asked_for_nothing() {
    let mut solo = Solo::viewer();
    solo.plays(15, 20, 24, false);
    solo.demand(20);
    let link = solo.neighbour(1);
    solo.describe(20);
    let all = solo.blocks(20);
    let playing = List::clipped([]);
    solo.hear(link, Message::Profile { playing, passive: true, upload: 0, short: 0, helps: None });
    solo.holds(link, 20, 0..all);
    solo.wait(Duration::from_millis(100));
    assert!(solo.take_requests(link).is_empty());
}
