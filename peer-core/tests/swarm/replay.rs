//! Same inputs, same outputs, byte for byte (engine law 1; DESIGN.md, 2).

use rillcast_core::protocol::id::Role;
use rillcast_core::time::Duration;

use crate::lab::{Net, Setup, tape::Tape};

fn recorded(seed: u64, seed_node: bool) -> Net {
    let mut net = Net::new(Setup {
        viewers: 5,
        length: Duration::from_secs(45),
        record: true,
        seed,
        seed_node,
        ..Setup::default()
    });
    // Something of everything: a liar, one who vanishes, one who leaves, a setting changed.
    net.liars.insert(1);
    net.at(Duration::from_secs(20), |net| net.vanish(3));
    net.at(Duration::from_secs(30), |net| net.leave(2));
    net.at(Duration::from_secs(35), |net| {
        let mut settings = net.setup.settings.clone();
        settings.upload_cap = 100_000;
        net.set(settings);
    });
    net.run();
    assert!(net.bytes_from_peers() > 0, "a run without exchange would prove nothing");
    net
}

#[test]
fn a_recorded_run_replayed_to_fresh_engines_gives_identical_outputs() {
    for seed_node in [false, true] {
        let net = recorded(1, seed_node);
        for (n, tape) in net.tapes().enumerate() {
            assert!(tape.len() > 500, "node {n} took part");
            assert_eq!(tape.replay(), None, "node {n} answered an input otherwise the second time");
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_run_and_another_seed_another() {
    let prints = |seed| recorded(seed, false).tapes().map(Tape::fingerprint).collect::<Vec<_>>();
    let first = prints(1);
    assert_eq!(first, prints(1));
    assert_ne!(first, prints(2));
}

// A recording of one role says nothing to another: the test above must be able to fail.
#[test]
fn a_replay_notices_an_engine_that_decides_otherwise() {
    let net = recorded(1, false);
    let other = net.tapes().next().expect("a node").with_role(Role::Seed);
    assert!(other.replay().is_some());
}
