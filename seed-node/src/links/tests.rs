use super::*;
use crate::rtc::EndpointConfig;
use rillcast_protocol::coding::Text;
use rillcast_protocol::id::Fingerprint;
use rillcast_protocol::session::Description;
use std::net::SocketAddr;

fn links() -> (Links, mpsc::Receiver<LinkEvent>) {
    let config =
        EndpointConfig { udp: SocketAddr::from(([127, 0, 0, 1], 0)), advertise: Vec::new(), max_links: 99 };
    let (events, told) = mpsc::channel(64);
    (Links::new(Endpoint::bind(&config).expect("a port"), events), told)
}

fn description() -> Description {
    Description {
        ufrag: Text::new("abcd").expect("short"),
        password: Text::new("0123456789abcdefABCDEF").expect("short"),
        fingerprint: Fingerprint([7; 32]),
    }
}

fn offer(attempt: u32) -> Vec<u8> {
    SessionSignal::Offer { attempt, description: description() }.to_bytes()
}

fn at(seconds: u64) -> Instant {
    Instant::from_micros(seconds * 1_000_000)
}

fn peer(n: u8) -> PeerId {
    PeerId([n; 16])
}

#[tokio::test]
async fn an_offer_may_come_before_the_engine_wants_the_link() {
    let (mut links, _told) = links();
    assert!(links.signalled(at(0), peer(1), &offer(5)).is_none());
    assert_eq!(links.len(), 0, "the engine has the say");
    links.connect(at(1), peer(1), false, None);
    assert!(matches!(links.peers[&peer(1)].entry, Entry::Running { attempt: 5, ours: false, .. }));
}

#[tokio::test]
async fn an_early_offer_is_forgotten_after_a_while() {
    let (mut links, _told) = links();
    links.signalled(at(0), peer(1), &offer(5));
    links.overdue(at(9));
    assert_eq!(links.early.len(), 1);
    links.overdue(at(10));
    assert!(links.early.is_empty());
}

#[tokio::test]
async fn early_offers_have_a_limit_of_number() {
    let (mut links, _told) = links();
    for n in 0..=MAX_EARLY as u8 {
        links.signalled(at(u64::from(n)), peer(n), &offer(1));
        assert_eq!(links.early.len(), (usize::from(n) + 1).min(MAX_EARLY));
    }
    assert!(!links.early.contains_key(&peer(0)), "the oldest went");
    let candidate =
        SessionSignal::Candidate { attempt: 1, candidate: Text::new("candidate:x").expect("short") }
            .to_bytes();
    for _ in 0..=MAX_EARLY_CANDIDATES {
        links.signalled(at(70), peer(9), &candidate);
    }
    assert_eq!(links.early[&peer(9)].said.len(), 1 + MAX_EARLY_CANDIDATES);
}

#[tokio::test]
async fn an_offer_that_never_comes_ends_the_attempt() {
    let (mut links, _told) = links();
    links.connect(at(0), peer(1), false, None);
    assert!(links.overdue(at(14)).is_empty());
    let told = links.overdue(at(15));
    assert!(matches!(told[..], [Input::LinkClosed { link: None, .. }]));
    assert!(links.is_empty());
}

#[tokio::test]
async fn a_peer_that_begins_anew_ends_the_old_link() {
    let (mut links, _told) = links();
    links.connect(at(0), peer(1), false, None);
    links.signalled(at(0), peer(1), &offer(1));
    links.opened(1);
    assert!(links.signalled(at(1), peer(1), &offer(1)).is_none(), "the same offer again");
    let told = links.signalled(at(2), peer(1), &offer(2));
    assert!(matches!(told, Some(Input::LinkClosed { link: Some(LinkId(1)), .. })));
    assert!(links.ended(1).is_none(), "of the old one nothing more is told");
    links.connect(at(3), peer(1), false, None);
    assert!(matches!(links.peers[&peer(1)].entry, Entry::Running { attempt: 2, .. }));
}

#[tokio::test]
async fn of_two_that_call_each_other_the_greater_yields_and_answers() {
    for (me, yields) in [(None, false), (Some(peer(1)), false), (Some(peer(3)), true)] {
        let (mut links, _told) = links();
        me.into_iter().for_each(|me| links.joined(me));
        links.connect(at(0), peer(2), true, None);
        assert!(links.signalled(at(0), peer(2), &offer(9)).is_none(), "the engine need not know");
        let theirs = matches!(links.peers[&peer(2)].entry, Entry::Running { attempt: 9, ours: false, .. });
        assert_eq!((theirs, links.len()), (yields, 1), "{me:?}");
        assert_eq!(links.peer(1).is_none(), yields, "nothing is told of an attempt that was given up");
        assert_eq!(links.ended(1).is_none(), yields);
    }
}

#[tokio::test]
async fn an_open_link_yields_to_nobody_but_a_peer_that_begins_anew() {
    let (mut links, _told) = links();
    links.joined(peer(1));
    links.connect(at(0), peer(2), true, None);
    links.opened(1);
    let told = links.signalled(at(1), peer(2), &offer(9));
    assert!(matches!(told, Some(Input::LinkClosed { link: Some(LinkId(1)), .. })));
}

#[tokio::test]
async fn whoever_has_called_already_is_answered_instead_of_called() {
    let (mut links, _told) = links();
    links.signalled(at(0), peer(2), &offer(9));
    links.connect(at(1), peer(2), true, None);
    assert!(matches!(links.peers[&peer(2)].entry, Entry::Running { attempt: 9, ours: false, .. }));
}

#[tokio::test]
async fn a_closed_link_is_told_of_no_more() {
    let (mut links, _told) = links();
    links.connect(at(0), peer(1), true, None);
    links.close(peer(1));
    assert!(links.opened(1).is_none() && links.ended(1).is_none() && links.link(1).is_none());
}

// H4
#[tokio::test]
async fn whoever_has_a_key_is_told_nothing_in_the_clear_and_heard_in_nothing_else() {
    let ((mut near, _a), (mut far, _b)) = (links(), links());
    let key = |links: &Links| Some(links.endpoint.sealer().key());
    let (near_key, far_key) = (key(&near), key(&far));
    near.connect(at(0), peer(2), true, far_key);
    let signal = SessionSignal::Offer { attempt: 1, description: description() };
    let sealed = near.seal(peer(2), &signal).expect("sealed");
    assert!(SessionSignal::from_bytes(&sealed).is_err());
    assert_eq!(near.seal(peer(3), &signal), None, "nobody we have to do with");
    // In the clear, by somebody else, and then as it should be.
    far.connect(at(0), peer(1), false, near_key);
    let (mut other, _c) = links();
    other.connect(at(0), peer(2), true, far_key);
    let forged = other.seal(peer(2), &signal).expect("sealed");
    for (payload, answers) in [(signal.to_bytes(), false), (forged, false), (sealed, true)] {
        far.signalled(at(1), peer(1), &payload);
        assert_eq!(far.running(peer(1)).is_some(), answers);
    }
}

// H4
#[tokio::test]
async fn a_sealed_call_may_come_before_the_engine_wants_the_link() {
    let ((mut near, _a), (mut far, _b)) = (links(), links());
    near.connect(at(0), peer(2), true, Some(far.endpoint.sealer().key()));
    let offer = SessionSignal::Offer { attempt: 5, description: description() };
    far.signalled(at(0), peer(1), &near.seal(peer(2), &offer).expect("sealed"));
    far.connect(at(1), peer(1), true, Some(near.endpoint.sealer().key()));
    assert!(matches!(far.peers[&peer(1)].entry, Entry::Running { attempt: 5, ours: false, .. }));
}

#[tokio::test]
async fn a_key_that_is_none_is_no_reason_to_speak_in_the_clear() {
    let (mut links, _told) = links();
    links.connect(at(0), peer(1), true, Some(SealingKey([0; 32])));
    let signal = SessionSignal::Abort { attempt: 1 };
    assert_eq!(links.seal(peer(1), &signal), None);
}
