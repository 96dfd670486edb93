use rillcast_protocol::id::{AuthorityKey, Fingerprint, Role, SwarmId};
use rillcast_protocol::signal::Network;
use rillcast_protocol::ticket::{Signed, Ticket};

use super::*;

fn peer(n: u16) -> PeerDescriptor {
    let mut id = [0; 16];
    id[..2].copy_from_slice(&n.to_be_bytes());
    PeerDescriptor {
        id: PeerId(id),
        role: Role::Viewer,
        nonce: 0,
        weight: 100,
        net: Network::default(),
        sealing: None,
        initiate: false,
        nat: NatClass::Unknown,
    }
}

fn ticket(peer: PeerId) -> SignedTicket {
    let body = Ticket {
        swarm: SwarmId([9; 16]),
        peer,
        role: Role::Viewer,
        fingerprint: Fingerprint([1; 32]),
        session: None,
        sealing: None,
        nonce: 0,
        weight: 100,
        net: Network::default(),
        expires_ms: 1,
    };
    Signed { body, authority: AuthorityKey([8; 32]), signature: [1; 64] }
}

fn open(members: &mut Members, link: u32, peer: PeerId, now: Instant) -> bool {
    members.opened(LinkId(link), peer, &ticket(peer), now).is_some()
}

fn after(ms: u64) -> Instant {
    Instant::ZERO + Duration::from_millis(ms)
}

fn connects(wants: &[Want]) -> usize {
    wants.iter().filter(|w| matches!(w, Want::Connect(..))).count()
}

#[test]
fn known_peers_are_bounded_and_those_in_use_stay() {
    let mut members = Members::default();
    let peers: Vec<_> = (0..MAX_KNOWN as u16).map(peer).collect();
    members.introduce(&peers, Instant::ZERO);
    let wants = members.maintain(&Place::default(), 10, &mut Rng::new(1), Instant::ZERO);
    assert_eq!(connects(&wants), 10);
    members.introduce(&[peer(9000), peer(9001)], Instant::ZERO);
    assert_eq!(members.known.len(), MAX_KNOWN);
    assert!(members.known.contains_key(&peer(9001).id), "idle ones make room");
    let stays = |w: &Want| !matches!(w, Want::Connect(id, _) if !members.known.contains_key(id));
    assert!(wants.iter().all(stays), "busy ones stay");
}

#[test]
fn links_are_made_up_to_the_limit() {
    for (known, limit, made) in [(3, 4, 3), (4, 4, 4), (5, 4, 4), (5, 0, 0)] {
        let mut members = Members::default();
        members.introduce(&(0..known).map(peer).collect::<Vec<_>>(), Instant::ZERO);
        assert_eq!(
            connects(&members.maintain(&Place::default(), limit, &mut Rng::new(1), Instant::ZERO)),
            made
        );
        assert_eq!(
            connects(&members.maintain(&Place::default(), limit, &mut Rng::new(1), after(9000))),
            0,
            "attempts under way count"
        );
    }
}

#[test]
fn few_are_dialed_at_once_and_a_slow_one_holds_nobody_up() {
    let mut members = Members::default();
    let peers: Vec<_> = (0..5).map(|n| PeerDescriptor { initiate: true, ..peer(n) }).collect();
    members.introduce(&peers, Instant::ZERO);
    assert_eq!(connects(&members.maintain(&Place::default(), 16, &mut Rng::new(1), Instant::ZERO)), DIALS);
    assert!(members.expects_company());
    assert_eq!(connects(&members.maintain(&Place::default(), 16, &mut Rng::new(1), after(1))), 0);
    assert!(open(&mut members, 1, peers[0].id, after(200)));
    assert_eq!(
        connects(&members.maintain(&Place::default(), 16, &mut Rng::new(1), after(200))),
        1,
        "one is through, the next may begin"
    );
    let slow = Instant::ZERO + SLOW;
    assert_eq!(
        connects(&members.maintain(
            &Place::default(),
            16,
            &mut Rng::new(1),
            slow.minus(Duration::from_micros(1))
        )),
        0
    );
    assert_eq!(connects(&members.maintain(&Place::default(), 16, &mut Rng::new(1), slow)), 1);
    members.introduce(&[peer(7)], slow);
    assert_eq!(
        connects(&members.maintain(&Place::default(), 16, &mut Rng::new(1), slow)),
        1,
        "who dials us costs us no waiting"
    );
}

#[test]
fn seeds_are_linked_with_first() {
    let mut members = Members::default();
    let seed = PeerDescriptor { role: Role::Seed, ..peer(300) };
    members.introduce(&[peer(1), seed, peer(2)], Instant::ZERO);
    assert_eq!(
        members.maintain(&Place::default(), 1, &mut Rng::new(1), Instant::ZERO)[0],
        Want::Connect(seed.id, false)
    );
}

#[test]
fn a_failed_attempt_is_repeated_later_and_later_and_given_up_after_the_third() {
    let mut members = Members::default();
    members.introduce(&[peer(1)], Instant::ZERO);
    let mut now = Instant::ZERO;
    for attempt in 1..=3 {
        assert_eq!(
            connects(&members.maintain(&Place::default(), 4, &mut Rng::new(1), now)),
            1,
            "attempt {attempt}"
        );
        members.closed(peer(1).id, None, now);
        assert_eq!(connects(&members.maintain(&Place::default(), 4, &mut Rng::new(1), now)), 0);
        now += RETRY * attempt;
    }
    assert_eq!(connects(&members.maintain(&Place::default(), 4, &mut Rng::new(1), now)), 0);
    assert!(members.known.is_empty());
}

// What was given up has no link; the one that is open ends by its own number.
#[test]
fn an_attempt_that_ends_leaves_the_open_link() {
    let (mut members, now) = (Members::default(), Instant::ZERO);
    members.introduce(&[peer(1)], now);
    assert!(open(&mut members, 1, peer(1).id, now));
    for _ in 0..4 {
        members.closed(peer(1).id, None, now);
        assert_eq!(members.link_to(peer(1).id), Some(LinkId(1)));
    }
    assert!(members.closed(peer(1).id, Some(LinkId(1)), now).is_some());
    assert_eq!((members.len(), members.link_to(peer(1).id)), (0, None));
}

#[test]
fn a_link_that_falls_silent_is_closed() {
    let mut members = Members::default();
    members.introduce(&[peer(1)], Instant::ZERO);
    assert!(open(&mut members, 1, peer(1).id, Instant::ZERO));
    let at_limit = Instant::ZERO + SILENCE;
    assert!(
        !members
            .maintain(&Place::default(), 4, &mut Rng::new(1), at_limit)
            .contains(&Want::Close(peer(1).id))
    );
    let over = at_limit + Duration::from_micros(1);
    assert!(
        members.maintain(&Place::default(), 4, &mut Rng::new(1), over).contains(&Want::Close(peer(1).id))
    );
}

#[test]
fn a_link_with_somebody_nobody_introduced_is_refused() {
    let mut members = Members::default();
    assert!(!open(&mut members, 1, peer(1).id, Instant::ZERO));
    assert_eq!(members.links().count(), 0);
}

#[test]
fn the_server_is_asked_for_more_when_links_are_few_but_not_without_pause() {
    let mut members = Members::default();
    let asks = |wants: Vec<Want>| wants.iter().any(|w| matches!(w, Want::Peers(_)));
    assert!(asks(members.maintain(&Place::default(), 8, &mut Rng::new(1), Instant::ZERO)));
    assert!(!asks(members.maintain(&Place::default(), 8, &mut Rng::new(1), Instant::ZERO + ASK_AGAIN)));
    assert!(asks(members.maintain(
        &Place::default(),
        8,
        &mut Rng::new(1),
        Instant::ZERO + ASK_AGAIN + Duration::from_millis(1)
    )));
    members.introduce(&(0..4).map(peer).collect::<Vec<_>>(), after(20_000));
    members.maintain(&Place::default(), 8, &mut Rng::new(1), after(20_000));
    assert!(
        !asks(members.maintain(&Place::default(), 8, &mut Rng::new(1), after(90_000))),
        "four are enough"
    );
}

#[test]
fn the_banned_are_bounded_and_the_last_to_be_remembered() {
    let mut members = Members::default();
    for n in 0..MAX_BANNED as u16 {
        members.ban(peer(n).id);
    }
    members.introduce(&[peer(0)], Instant::ZERO);
    assert!(members.known.is_empty(), "at the limit");
    members.ban(peer(1000).id);
    members.introduce(&[peer(0), peer(1), peer(1000)], Instant::ZERO);
    assert_eq!(
        members.known.keys().copied().collect::<Vec<_>>(),
        [peer(0).id],
        "one over: the first is forgotten"
    );
}

#[test]
fn the_kill_switch_leaves_nobody() {
    let mut members = Members::default();
    members.introduce(&[peer(1), peer(2), peer(3)], Instant::ZERO);
    assert!(open(&mut members, 1, peer(1).id, Instant::ZERO));
    members.maintain(&Place::default(), 2, &mut Rng::new(1), Instant::ZERO);
    assert_eq!(members.clear(), [peer(1).id, peer(2).id], "links and attempts are to be closed");
    assert_eq!((members.links().count(), members.known.len()), (0, 0));
}

fn link_all(members: &mut Members, peers: &[PeerDescriptor]) {
    members.introduce(peers, Instant::ZERO);
    for (n, peer) in peers.iter().enumerate() {
        assert!(open(members, n as u32, peer.id, Instant::ZERO));
    }
}

// R4
#[test]
fn whom_a_neighbour_tells_of_is_called_through_it_and_only_while_it_is_there() {
    let mut members = Members::default();
    link_all(&mut members, &[peer(1)]);
    members.hear_of(&peer(2), None, peer(1).id, Instant::ZERO);
    assert_eq!(members.route(peer(2).id), Some(LinkId(0)));
    assert_eq!(members.route(peer(1).id), None, "the server introduced it");
    let wants = members.maintain(&Place::default(), 8, &mut Rng::new(1), Instant::ZERO);
    assert!(wants.contains(&Want::Connect(peer(2).id, true)), "{wants:?}");
    let mut members = Members::default();
    members.hear_of(&peer(2), None, peer(1).id, Instant::ZERO);
    assert_eq!(connects(&members.maintain(&Place::default(), 8, &mut Rng::new(1), Instant::ZERO)), 0);
}

#[test]
fn who_calls_through_a_neighbour_is_let_in_while_there_is_room() {
    let mut members = Members::default();
    let called =
        |members: &mut Members, n, room| members.called(&peer(n), None, peer(1).id, room, Instant::ZERO);
    assert_eq!(called(&mut members, 2, false), None, "no room");
    assert_eq!(called(&mut members, 2, true), Some(true));
    assert_eq!(called(&mut members, 2, false), Some(false), "it goes on with what has begun");
    members.ban(peer(3).id);
    assert_eq!(called(&mut members, 3, true), None);
}

// R42: a pair that can't connect isn't tried again and again because neighbours tell of it again and again.
#[test]
fn a_hopeless_acquaintance_is_not_tried_again() {
    let mut members = Members::default();
    link_all(&mut members, &[peer(1)]);
    let mut now = Instant::ZERO;
    for _ in 0..ATTEMPTS {
        members.hear_of(&peer(2), None, peer(1).id, now);
        if let Some(l) = members.link_mut(LinkId(0)) {
            l.heard = now;
        }
        assert_eq!(connects(&members.maintain(&Place::default(), 8, &mut Rng::new(1), now)), 1);
        members.closed(peer(2).id, None, now);
        now += Duration::from_secs(20);
    }
    members.hear_of(&peer(2), None, peer(1).id, now);
    assert!(!members.knows(peer(2).id));
}

// R6
#[test]
fn a_better_partner_takes_the_place_of_the_least_useful_one_and_strangers_stay() {
    let own = Place {
        playing: vec![Playing { track: rillcast_protocol::id::TrackId(7), next: 0 }],
        ..Place::default()
    };
    for (links, gives_up) in [(STRANGERS, false), (STRANGERS + 1, true)] {
        let mut members = Members::default();
        link_all(&mut members, &(0..links as u16).map(peer).collect::<Vec<_>>());
        let now = Instant::ZERO + TRIAL * 2;
        members.links_mut().for_each(|(_, l)| l.heard = now);
        members.hear_of(&peer(99), Some(own.playing[0]), peer(0).id, now);
        let wants = members.maintain(&own, links, &mut Rng::new(1), now);
        assert_eq!(wants.iter().any(|w| matches!(w, Want::Close(_))), gives_up, "{links}: {wants:?}");
    }
}

// R33: three seeds linked with 96 viewers each left a thousand viewers to their own.
#[test]
fn a_seed_knows_hundreds_and_no_more() {
    let mut members = Members::new(Role::Seed);
    let peers: Vec<_> = (0..=MAX_KNOWN_OF_SEED as u16).map(peer).collect();
    members.introduce(&peers[..MAX_KNOWN_OF_SEED], after(0));
    assert_eq!(members.known.len(), MAX_KNOWN_OF_SEED);
    members.introduce(&peers, after(1));
    assert_eq!(members.known.len(), MAX_KNOWN_OF_SEED, "one over");
}
