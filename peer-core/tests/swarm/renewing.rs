//! Tickets in time: they are renewed, nobody stays without, and neither a server that is away nor a clock that errs makes it otherwise
//! (R4, R36, R41, R52, H12).

use rillcast_core::engine::{Event, Input, LinkId};
use rillcast_core::protocol::coding::List;
use rillcast_core::protocol::id::{AuthorityKey, Role};
use rillcast_core::protocol::settings::Settings;
use rillcast_core::protocol::ticket::SignedTicket;
use rillcast_core::time::{Duration, Instant};
use rillcast_core::trust::Refusal;
use rillcast_core::trust::tickets::{LEEWAY, RETURN};
use rillcast_core::wire::Message;

use crate::hostile::refused;
use crate::lab::tickets::{LIFE, certificate, hello, revocations, server_time, ticket, welcome};
use crate::lab::{Net, Setup, Solo, peer_id};
use crate::tickets::{changed, links, secs, wait};

#[test]
fn our_ticket_is_renewed_at_half_life_and_shown_to_neighbours() {
    let mut solo = Solo::viewer();
    let link = solo.neighbour(1);
    wait(&mut solo, LIFE / 2 - secs(2));
    solo.take_said(link);
    assert_eq!(solo.renewals, 0);
    wait(&mut solo, secs(4));
    assert_eq!(solo.renewals, 1);
    let told = solo.take_said(link);
    let shown = told.iter().find_map(|m| match m {
        Message::Hello { ticket, .. } => Some(ticket.body.expires_ms),
        _ => None,
    });
    let left = shown.expect("told of") - server_time(solo.now);
    assert!(left > LIFE.as_millis() as u64 - 5000, "{left}");
    wait(&mut solo, LIFE / 4);
    assert_eq!(solo.renewals, 1, "until half of the new one's time is over");
}

#[test]
fn a_renewal_that_is_not_answered_is_asked_for_again_and_not_while_the_server_is_away() {
    let mut solo = Solo::viewer();
    solo.server = false;
    wait(&mut solo, LIFE / 2 + secs(62));
    assert_eq!(solo.renewals, 3, "every half a minute");
    solo.tell(Input::ServerLost);
    wait(&mut solo, secs(120));
    assert_eq!(solo.renewals, 3);
    solo.server = true;
    let back = welcome(solo.own_ticket(), Settings::default(), None, solo.now);
    solo.tell(Input::Welcome(back.into()));
    wait(&mut solo, secs(120));
    assert_eq!(solo.renewals, 3, "a new one came with the welcome");
}

/// Shows node 1's ticket, given so long after now.
pub(crate) fn renew(solo: &mut Solo, link: LinkId) {
    let ticket = ticket(1, Role::Viewer, solo.now);
    solo.hear(link, hello(ticket));
}

// R36 R41: whoever isn't let in any more isn't let stay either.
#[test]
fn a_neighbour_that_shows_no_new_ticket_is_left_when_its_time_is_over() {
    for stays in [false, true] {
        let mut solo = Solo::viewer();
        let link = solo.neighbour(1);
        wait(&mut solo, LIFE - secs(10));
        if stays {
            renew(&mut solo, link);
        }
        wait(&mut solo, secs(10) + LEEWAY - secs(2));
        assert_eq!(links(&solo), 1, "a leeway");
        wait(&mut solo, secs(4));
        assert_eq!(
            (links(&solo), refused(&solo, 1)),
            if stays { (1, None) } else { (0, Some(Refusal::Expired)) }
        );
    }
}

#[test]
fn a_new_ticket_counts_only_if_it_is_the_neighbours_own() {
    type Change = fn(&mut SignedTicket);
    let cases: [(&str, Change, bool); 5] = [
        ("good", |_| (), false),
        ("forged", |t| t.signature = [3; 64], true),
        ("another certificate's", |t| t.body.fingerprint = certificate(2), true),
        ("by somebody unknown", |t| t.authority = AuthorityKey([9; 32]), false),
        ("older than the one it has", |t| t.body.expires_ms -= 2_000_000, false),
    ];
    for (what, change, cut_off) in cases {
        let mut solo = Solo::viewer();
        let link = solo.neighbour(1);
        wait(&mut solo, secs(60));
        let mut ticket = ticket(1, Role::Viewer, solo.now);
        change(&mut ticket);
        solo.hear(link, hello(ticket));
        assert_eq!(links(&solo) == 0, cut_off, "{what}");
        let left = LIFE - secs(60) + LEEWAY + secs(2);
        wait(&mut solo, left);
        assert_eq!(links(&solo) == 1, what == "good", "{what}");
    }
}

// H6: verifying costs more than sending.
#[test]
fn of_a_neighbours_tickets_and_lists_one_at_a_time_is_verified_and_old_ones_not_at_all() {
    let mut solo = Solo::viewer();
    let link = solo.neighbour(1);
    solo.wait(secs(1));
    solo.verifies = false;
    for n in 0..50 {
        let newer = ticket(1, Role::Viewer, solo.now + secs(n));
        solo.hear(link, hello(newer));
        solo.hear(link, Message::Revoked { revocations: revocations(5 + n, [peer_id(9)]) });
    }
    assert_eq!(solo.checks.len(), 2);
    solo.checks.drain(..).collect::<Vec<_>>().into_iter().for_each(|verdict| solo.tell(verdict));
    for n in 0..50 {
        let older = ticket(1, Role::Viewer, solo.now.minus(secs(n)));
        solo.hear(link, hello(older));
        solo.hear(link, Message::Revoked { revocations: revocations(n.min(5), [peer_id(9)]) });
    }
    assert_eq!(solo.checks.len(), 0);
}

// A server that begins anew has new keys.
#[test]
fn behind_a_server_with_a_new_key_the_new_ticket_is_shown_and_old_ones_count_on() {
    let mut solo = Solo::viewer();
    let link = solo.neighbour(1);
    let other = AuthorityKey([9; 32]);
    let mut own = solo.own_ticket();
    own.authority = other;
    let mut back = welcome(own.clone(), Settings::default(), None, solo.now);
    back.authorities = List::clipped([other]);
    solo.tell(Input::Welcome(back.into()));
    let shows = |m: &Message| matches!(m, Message::Hello { ticket, .. } if *ticket == own);
    assert!(solo.take_said(link).iter().any(shows), "to all");
    let (old, link) = (solo.stranger(2, Role::Viewer), solo.stranger(3, Role::Viewer));
    solo.greet(old);
    assert_eq!(refused(&solo, 2), None, "those who haven't returned yet have tickets under the old key");
    let mut unknown = ticket(3, Role::Viewer, solo.now);
    unknown.authority = AuthorityKey([10; 32]);
    solo.hear(link, hello(unknown));
    assert_eq!(refused(&solo, 3), Some(Refusal::Authority));
}

// R4 R52: new links are made without the server as well, and tickets are checked all the same.
#[test]
fn while_the_server_is_away_tickets_count_on_for_a_grace_and_no_longer() {
    let grace = secs(u64::from(Settings::default().grace_secs));
    let outage = |away: Duration| {
        let mut solo = Solo::viewer();
        let old = solo.neighbour(1);
        let (given, at) = (ticket(2, Role::Viewer, solo.now), solo.now);
        solo.tell(Input::ServerLost);
        wait(&mut solo, away);
        let link = solo.stranger(2, Role::Viewer);
        solo.hear(link, hello(given));
        assert!(solo.now >= at + away);
        let kept = solo.engine.stats().links.iter().any(|l| l.peer == peer_id(1));
        let forged = solo.stranger(3, Role::Viewer);
        solo.hear(forged, hello(changed(solo.now, |t| t.peer = peer_id(3))));
        assert_eq!(refused(&solo, 3), Some(Refusal::Certificate), "checked all the same");
        let _ = old;
        (kept, refused(&solo, 2))
    };
    assert_eq!(outage(secs(600)), (true, None), "ten minutes");
    assert_eq!(outage(LIFE + grace - secs(1)), (true, None), "to the end of the grace");
    assert_eq!(outage(LIFE + grace + secs(1)), (true, Some(Refusal::Expired)), "old links have a leeway");
    assert_eq!(outage(LIFE + grace + LEEWAY + secs(2)), (false, Some(Refusal::Expired)));
}

#[test]
fn the_grace_is_the_sites_to_set() {
    for (grace_secs, refusal) in [(0, Some(Refusal::Expired)), (7200, None)] {
        let mut solo = Solo::with(Role::Viewer, 1 << 20, Settings { grace_secs, ..Settings::default() });
        let given = ticket(1, Role::Viewer, solo.now);
        solo.tell(Input::ServerLost);
        wait(&mut solo, LIFE + secs(5000).min(secs(u64::from(grace_secs) + 5)));
        let link = solo.stranger(1, Role::Viewer);
        solo.hear(link, hello(given));
        assert_eq!(refused(&solo, 1), refusal, "{grace_secs}");
    }
}

// Not everybody meets the server that is back at once.
#[test]
fn whoever_comes_back_later_than_we_is_given_time_for_that() {
    let mut solo = Solo::viewer();
    let link = solo.neighbour(1);
    solo.tell(Input::ServerLost);
    wait(&mut solo, LIFE + secs(600));
    let back = welcome(solo.own_ticket(), Settings::default(), None, solo.now);
    solo.tell(Input::Welcome(back.into()));
    wait(&mut solo, RETURN - secs(2));
    assert_eq!(links(&solo), 1);
    let late = solo.stranger(2, Role::Viewer);
    solo.hear(late, hello(ticket(2, Role::Viewer, solo.now.minus(LIFE + secs(30)))));
    solo.answers(late);
    assert_eq!(refused(&solo, 2), None);
    renew(&mut solo, link);
    wait(&mut solo, LEEWAY + secs(6));
    assert_eq!(solo.engine.stats().links.len(), 1, "who has returned stays");
    assert_eq!(refused(&solo, 2), Some(Refusal::Expired), "and who hasn't goes");
}

// H12: a page that slept, or whose clock has jumped.
#[test]
fn whoever_wakes_after_hours_asks_for_a_new_ticket_before_it_makes_links() {
    let mut solo = Solo::viewer();
    solo.neighbour(1);
    solo.introduce(2, Role::Viewer);
    solo.server = false;
    solo.connects.clear();
    solo.now += secs(5 * 3600);
    solo.tell(Input::Timeout);
    assert_eq!(solo.renewals, 1, "at once");
    assert_eq!(links(&solo), 0, "its neighbours have long gone on without it");
    solo.introduce(3, Role::Viewer);
    solo.wait(secs(10));
    assert!(solo.connects.is_empty(), "nobody would take its ticket");
    let renewed = solo.own_ticket();
    solo.tell(Input::ServerTime(server_time(solo.now)));
    solo.tell(Input::Ticket(renewed.into()));
    solo.wait(secs(3));
    assert!(!solo.connects.is_empty());
}

// H12: the monotonic clock has jumped ahead by an hour, the world hasn't.
#[test]
fn a_clock_that_jumps_an_hour_ahead_costs_no_neighbour_that_is_still_there() {
    let mut solo = Solo::viewer();
    let link = solo.neighbour(1);
    solo.server = false;
    let true_time = server_time(solo.now);
    solo.now += secs(3600);
    // What comes in first is a message of the neighbour's: it is alive.
    solo.hear(link, Message::Ping { stamp: 1 });
    assert_eq!((links(&solo), solo.renewals), (1, 1), "its ticket seems to be over, and the server is asked");
    solo.wait(secs(20));
    assert_eq!(links(&solo), 1);
    solo.tell(Input::ServerTime(true_time + 20_000));
    wait(&mut solo, LEEWAY * 2);
    assert_eq!((links(&solo), refused(&solo, 1)), (1, None));
}

// H12: it stood still while the machine slept, as some do.
#[test]
fn a_clock_that_stood_still_is_put_right_by_the_servers_word() {
    let mut solo = Solo::viewer();
    let given = ticket(1, Role::Viewer, solo.now);
    let late = server_time(solo.now) + 3_600_000;
    solo.tell(Input::ServerTime(late));
    let link = solo.stranger(1, Role::Viewer);
    solo.hear(link, hello(given));
    assert_eq!(refused(&solo, 1), Some(Refusal::Expired));
}

// R52: the whole of it, in a swarm. One comes while the server is away: it has its ticket from before.
#[test]
fn a_swarm_without_its_server_for_ten_minutes_makes_new_links_and_stays_whole_when_it_is_back() {
    let mut net = Net::new(Setup {
        viewers: 8,
        introduce: 2,
        seed_node: true,
        length: secs(1100),
        seed: 2,
        ..Setup::default()
    });
    net.at(secs(20), |net| net.lose_server());
    net.run_until(secs(400));
    for n in 0..8 {
        assert!(net.neighbours(n).len() >= 6, "node {n} has links to {:?}", net.neighbours(n));
    }
    for (n, m) in [(0, 1), (2, 5)] {
        net.unlink_pair(n, m);
    }
    net.run_until(secs(620));
    assert!((0..8).all(|n| net.neighbours(n).len() >= 6), "links that ended are made anew");
    net.restore_server();
    net.run_until(secs(1100));
    for n in 0..8 {
        assert!(net.neighbours(n).len() >= 7, "node {n} has links to {:?}", net.neighbours(n));
    }
    assert_eq!(net.liars(), []);
    assert_eq!(net.stalls(), 0, "{}", net.summary());
    let refused = |(_, _, e): &&(Instant, usize, Event)| matches!(e, Event::Refused { .. });
    let refused: Vec<_> = net.told.iter().filter(refused).take(20).collect();
    assert!(refused.is_empty(), "{refused:?}");
}
