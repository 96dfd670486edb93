//! The laboratory keeps what it promises: rates, separation, and no traces.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use rillcast_tests::netlab::{Host, Lab, Link, Mbits};

/// Moves `bytes` over TCP from one host to another and returns the rate in Mbit/s, as the receiver sees it.
fn transfer(from: &Host, to: &Host, bytes: usize) -> f64 {
    let listener = to.listen(0).unwrap();
    let addr = listener.local_addr().unwrap();
    let mut sender = from.connect(addr).unwrap();
    let (mut receiver, _) = listener.accept().unwrap();
    let writer = std::thread::spawn(move || sender.write_all(&vec![0; bytes]).unwrap());
    let mut buffer = vec![0; 64 * 1024];
    let begun = Instant::now();
    let mut received = 0;
    while received < bytes {
        received += receiver.read(&mut buffer).unwrap();
    }
    writer.join().unwrap();
    received as f64 * 8.0 / 1e6 / begun.elapsed().as_secs_f64()
}

#[test]
fn links_carry_their_rate_and_no_more() {
    let lab = Lab::new().unwrap();
    let origin = lab.add("origin", Link::UNSHAPED).unwrap();
    let viewer = lab.add("viewer", Link::VIEWER).unwrap();
    let down = transfer(&origin, &viewer, 5_000_000);
    // A busy machine may be slower than the link; the link may never be faster than its rate.
    assert!((5.0..20.5).contains(&down), "down {down} Mbit/s");
    let up = transfer(&viewer, &origin, 500_000);
    assert!((0.5..2.3).contains(&up), "up {up} Mbit/s");
    assert!(viewer.traffic().unwrap().sent >= 500_000);
    viewer.set_link(Link { up: Some(Mbits(4.0)), ..Link::VIEWER }).unwrap();
    let up = transfer(&viewer, &origin, 1_000_000);
    assert!((2.3..4.4).contains(&up), "up {up} Mbit/s after a change");
}

#[test]
fn a_rate_outside_the_limits_is_refused() {
    let lab = Lab::new().unwrap();
    let host = lab.add("host", Link::UNSHAPED).unwrap();
    for (rate, fine) in [(0.009, false), (0.01, true), (10_000.0, true), (10_001.0, false)] {
        let link = Link { up: Some(Mbits(rate)), down: None, queue_ms: 100 };
        assert_eq!(host.set_link(link).is_ok(), fine, "{rate}");
    }
}

#[test]
fn a_pulled_cable_cuts_the_host_off() {
    let lab = Lab::new().unwrap();
    let (one, other) = (lab.add("one", Link::UNSHAPED).unwrap(), lab.add("other", Link::UNSHAPED).unwrap());
    let listener = other.listen(0).unwrap();
    let addr = listener.local_addr().unwrap();
    one.connect(addr).unwrap();
    other.set_plugged(false).unwrap();
    let inside = one.clone();
    let cut = std::thread::spawn(move || inside.connect(addr).is_err());
    assert!(cut.join().unwrap());
    other.set_plugged(true).unwrap();
    let patience = Instant::now() + Duration::from_secs(30);
    while one.connect(addr).is_err() {
        assert!(Instant::now() < patience, "the cable is back, but nothing gets through");
    }
}

/// How long a connection takes to be made while a TCP flow goes the same way, as a share of what the queue holds.
fn queue_under_a_flow(from: &Host, to: &Host, link: Link) -> f64 {
    let listener = to.listen(0).unwrap();
    let addr = listener.local_addr().unwrap();
    let mut flow = from.connect(addr).unwrap();
    // Others, as BBR, keep queues short by themselves.
    rustix::net::sockopt::set_tcp_congestion(&flow, "cubic").unwrap();
    let (mut receiver, _) = listener.accept().unwrap();
    let flowing = std::thread::spawn(move || while flow.write(&[0; 64 * 1024]).is_ok() {});
    let until = Instant::now() + Duration::from_secs(3);
    let mut buffer = vec![0; 64 * 1024];
    while Instant::now() < until {
        receiver.read_exact(&mut buffer).unwrap();
    }
    let (listener, begun) = (to.listen(0).unwrap(), Instant::now());
    from.connect(listener.local_addr().unwrap()).unwrap();
    let took = begun.elapsed();
    drop(receiver);
    flowing.join().unwrap();
    took.as_secs_f64() * 1e3 / f64::from(link.queue_ms)
}

#[test]
fn a_home_is_behind_a_router_whose_queue_tcp_fills() {
    let lab = Lab::new().unwrap();
    let link = Link { up: Some(Mbits(4.0)), down: None, queue_ms: 300 };
    let home = lab.add_home("home", link).unwrap();
    let away = lab.add("away", Link::UNSHAPED).unwrap();
    let before = home.traffic().unwrap().sent;
    let filled = queue_under_a_flow(&home, &away, link);
    println!("of the router's queue: {filled:.2}");
    assert!(filled > 0.3, "{filled} of the router's queue");
    assert!(home.traffic().unwrap().sent - before > 500_000, "what is counted is what went over the link");
    // The other way round it's reached as anybody else.
    let listener = home.listen(0).unwrap();
    away.connect(listener.local_addr().unwrap()).unwrap();
}

#[tokio::test]
async fn nothing_is_left_behind() {
    let lab = Lab::new().unwrap();
    let host = lab.add("host", Link::UNSHAPED).unwrap();
    let name = host.namespace().to_owned();
    let mut sleeper = host.command("sleep").arg("600").spawn().unwrap();
    let there = || std::path::Path::new("/run/netns").join(&name).exists();
    assert!(there());
    drop(lab);
    assert!(!there());
    let ended = tokio::time::timeout(Duration::from_secs(30), sleeper.wait()).await;
    assert!(ended.is_ok(), "a process outlived its namespace");
}
