//! Each kind does what its name says, and keeps its bounds.

use super::*;

const INSIDE: &str = "192.168.1.2:5000";
const A: &str = "198.18.0.1:1000";
/// The same address, another port.
const A2: &str = "198.18.0.1:2000";
const B: &str = "198.18.0.2:1000";

fn at(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

fn nat(mapping: Dependence, allocation: Allocation, filtering: Dependence) -> Nat {
    Nat::new(Kind { mapping, allocation, filtering }, IpAddr::from([198, 18, 9, 9]), 7)
}

/// What a packet from inside is seen as.
fn seen(nat: &mut Nat, inside: &str, to: &str, now: Duration) -> Option<SocketAddr> {
    let mut packet = Packet::udp(at(inside), at(to), b"x").expect("a packet");
    nat.translate(&mut packet, Way::Out, now).then(|| packet.from())
}

/// Who gets a packet from outside.
fn reached(nat: &mut Nat, from: &str, outside: SocketAddr, now: Duration) -> Option<SocketAddr> {
    let mut packet = Packet::udp(at(from), outside, b"x").expect("a packet");
    nat.translate(&mut packet, Way::In, now).then(|| packet.to())
}

#[test]
fn a_mapping_depends_on_what_its_kind_says() {
    for (mapping, same_host, other_host) in [
        (Dependence::Independent, true, true),
        (Dependence::Address, true, false),
        (Dependence::Port, false, false),
    ] {
        for allocation in [Allocation::Contiguous, Allocation::Random] {
            let mut nat = nat(mapping, allocation, Dependence::Port);
            let [first, second, third] =
                [A, A2, B].map(|to| seen(&mut nat, INSIDE, to, Duration::ZERO).expect("passes"));
            assert_eq!(
                (first == second, first == third),
                (same_host, other_host),
                "{mapping:?} {allocation:?}"
            );
            assert_eq!(seen(&mut nat, INSIDE, A, Duration::ZERO), Some(first), "and stays");
        }
    }
}

#[test]
fn whoever_preserves_ports_shows_one_socket_everywhere_alike_and_gives_a_taken_port_to_nobody_else() {
    for mapping in Dependence::ALL {
        let mut nat = nat(mapping, Allocation::Preserving, Dependence::Port);
        for to in [A, A2, B] {
            assert_eq!(
                seen(&mut nat, INSIDE, to, Duration::ZERO).map(|seen| seen.port()),
                Some(5000),
                "{mapping:?}"
            );
        }
        let other = seen(&mut nat, "192.168.1.3:5000", A, Duration::ZERO).expect("passes");
        assert_eq!(other.port(), 5001);
    }
}

#[test]
fn ports_come_one_after_the_other_or_at_random() {
    let mut next = nat(Dependence::Port, Allocation::Contiguous, Dependence::Port);
    let mut any = nat(Dependence::Port, Allocation::Random, Dependence::Port);
    let ports =
        |nat: &mut Nat| [A, A2, B].map(|to| seen(nat, INSIDE, to, Duration::ZERO).expect("passes").port());
    let [first, second, third] = ports(&mut next);
    assert_eq!((second, third), (first + 1, first + 2));
    let [first, second, third] = ports(&mut any);
    assert!(second != first + 1 || third != second + 1);
}

#[test]
fn a_packet_comes_in_from_whom_the_filtering_says() {
    for (filtering, same_host, stranger) in [
        (Dependence::Independent, true, true),
        (Dependence::Address, true, false),
        (Dependence::Port, false, false),
    ] {
        let mut nat = nat(Dependence::Independent, Allocation::Random, filtering);
        let outside = seen(&mut nat, INSIDE, A, Duration::ZERO).expect("passes");
        let inside = Some(at(INSIDE));
        assert_eq!(reached(&mut nat, A, outside, Duration::ZERO), inside);
        assert_eq!(
            reached(&mut nat, A2, outside, Duration::ZERO),
            inside.filter(|_| same_host),
            "{filtering:?}"
        );
        assert_eq!(
            reached(&mut nat, B, outside, Duration::ZERO),
            inside.filter(|_| stranger),
            "{filtering:?}"
        );
        let nobodys = SocketAddr::new(outside.ip(), outside.port() ^ 1);
        assert_eq!(reached(&mut nat, A, nobodys, Duration::ZERO), None);
    }
}

#[test]
fn mappings_and_holes_last_two_minutes_from_the_last_packet_that_left() {
    let (under, at_end) = (UDP_LIFE - Duration::from_millis(1), UDP_LIFE);
    let mut nat = nat(Dependence::Independent, Allocation::Random, Dependence::Port);
    let outside = seen(&mut nat, INSIDE, A, Duration::ZERO).expect("passes");
    assert!(reached(&mut nat, A, outside, under).is_some());
    assert!(reached(&mut nat, A, outside, at_end).is_none(), "what came in didn't make it last");
    let mut nat = Nat::new(nat.kind, IpAddr::from([198, 18, 9, 9]), 8);
    let outside = seen(&mut nat, INSIDE, A, Duration::ZERO).expect("passes");
    assert_eq!(seen(&mut nat, INSIDE, B, under), Some(outside));
    assert!(reached(&mut nat, B, outside, at_end + under / 2).is_some());
    assert!(reached(&mut nat, A, outside, at_end + under / 2).is_none(), "A's hole has closed");
}

#[test]
fn the_table_is_bounded_and_what_runs_out_makes_room() {
    let mut nat = nat(Dependence::Port, Allocation::Random, Dependence::Port);
    let to = |n: usize| format!("198.18.{}.{}:{}", n / 250, n % 250 + 1, 1000 + n);
    for n in 0..MAX_MAPPINGS {
        assert!(seen(&mut nat, INSIDE, &to(n), Duration::ZERO).is_some(), "{n}");
    }
    assert!(seen(&mut nat, INSIDE, &to(MAX_MAPPINGS), Duration::ZERO).is_none(), "over");
    assert!(seen(&mut nat, INSIDE, &to(0), Duration::ZERO).is_some(), "one that it has goes on");
    assert!(seen(&mut nat, INSIDE, &to(MAX_MAPPINGS), UDP_LIFE).is_some());
    assert_eq!((nat.mappings(), nat.ports.len()), (1, 1), "nothing of the others is left");
}

#[test]
fn of_the_peers_of_a_mapping_the_oldest_is_forgotten() {
    let mut nat = nat(Dependence::Independent, Allocation::Random, Dependence::Port);
    let peer = |n: usize| format!("198.18.1.1:{}", 1000 + n);
    let mut outside = at(A);
    for n in 0..=MAX_PEERS {
        outside = seen(&mut nat, INSIDE, &peer(n), Duration::from_millis(n as u64)).expect("passes");
    }
    let now = Duration::from_secs(1);
    assert!(reached(&mut nat, &peer(0), outside, now).is_none());
    assert!(
        reached(&mut nat, &peer(1), outside, now).is_some()
            && reached(&mut nat, &peer(MAX_PEERS), outside, now).is_some()
    );
}

#[test]
fn a_firewall_leaves_addresses_as_they_are_and_lets_answers_in() {
    let mut wall = Nat::firewall(Dependence::Port);
    let (inside, peer, other) = ("[2001:db8::2]:5000", "[2001:db8:1::1]:1", "[2001:db8:1::1]:2");
    assert_eq!(reached(&mut wall, peer, at(inside), Duration::ZERO), None);
    assert_eq!(seen(&mut wall, inside, peer, Duration::ZERO), Some(at(inside)));
    assert_eq!(reached(&mut wall, peer, at(inside), Duration::ZERO), Some(at(inside)));
    assert_eq!(reached(&mut wall, other, at(inside), Duration::ZERO), None);
}
