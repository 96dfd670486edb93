//! Whatever peers do in whatever order: what must hold of introductions, relays and counts holds.

use std::collections::{HashMap, HashSet};

use proptest::prelude::*;
use rillcast_protocol::coding::Blob;
use rillcast_protocol::id::PeerId;
use rillcast_protocol::settings::Settings;
use rillcast_protocol::signal::{ClientMessage, ServerMessage};
use rillcast_publisher::PublishingKey;
use rillcast_signaling::limits::Limits;

use crate::kit::{Bench, Puppet, digest, source};

const PLAYLIST: &str = "http://origin.invalid/a.m3u8";

#[derive(Clone, Debug)]
enum Act {
    Join,
    JoinSeed,
    Leave(prop::sample::Index),
    Want(prop::sample::Index, u8),
    Relay(prop::sample::Index, prop::sample::Index),
    Play(prop::sample::Index, bool),
    Publish(prop::sample::Index, u64),
    Switch(bool),
    Holdout(bool),
}

fn act() -> impl Strategy<Value = Act> {
    let one = any::<prop::sample::Index>;
    prop_oneof![
        6 => Just(Act::Join),
        1 => Just(Act::JoinSeed),
        2 => one().prop_map(Act::Leave),
        3 => (one(), any::<u8>()).prop_map(|(i, n)| Act::Want(i, n)),
        6 => (one(), one()).prop_map(|(a, b)| Act::Relay(a, b)),
        3 => (one(), any::<bool>()).prop_map(|(i, on)| Act::Play(i, on)),
        3 => (one(), 0u64..50).prop_map(|(i, n)| Act::Publish(i, n)),
        1 => any::<bool>().prop_map(Act::Switch),
        1 => any::<bool>().prop_map(Act::Holdout),
    ]
}

/// What a peer was told, as an outsider keeps it.
#[derive(Default)]
struct Told {
    met: HashSet<PeerId>,
    takes_part: bool,
}

fn takes_part(settings: &Settings) -> bool {
    settings.enabled && !settings.holdout
}

struct World {
    bench: Bench,
    key: PublishingKey,
    puppets: Vec<(Puppet, Told)>,
}

impl World {
    fn listen(&mut self) -> Result<(), TestCaseError> {
        let ids: HashSet<PeerId> = self.puppets.iter().map(|(p, _)| p.id).collect();
        let mut initiators: HashMap<(PeerId, PeerId), i32> = HashMap::new();
        for (puppet, told) in &mut self.puppets {
            for message in puppet.heard() {
                match message {
                    ServerMessage::Welcome { welcome } => told.takes_part = takes_part(&welcome.settings),
                    ServerMessage::Introduce { peers } => {
                        prop_assert!(told.takes_part, "nobody is introduced while switched off");
                        for peer in peers.iter() {
                            prop_assert!(peer.id != puppet.id);
                            prop_assert!(ids.contains(&peer.id), "only members are introduced");
                            told.met.insert(peer.id);
                            let (a, b) = (puppet.id.min(peer.id), puppet.id.max(peer.id));
                            *initiators.entry((a, b)).or_default() += if peer.initiate { 1 } else { -1 };
                        }
                    }
                    ServerMessage::Gone { peer } => {
                        prop_assert!(told.met.remove(&peer), "only those introduced are told");
                    }
                    ServerMessage::Relayed { from, .. } => {
                        prop_assert!(told.met.contains(&from), "nothing comes from strangers");
                    }
                    ServerMessage::Settings { settings } => {
                        told.takes_part = takes_part(&settings);
                        if !told.takes_part {
                            told.met.clear();
                        }
                    }
                    ServerMessage::Digest { .. } => {
                        prop_assert!(told.takes_part, "nobody hears of segments while switched off");
                    }
                    _ => {}
                }
            }
        }
        prop_assert!(initiators.values().all(|n| *n == 0), "of each pair one initiates and one waits");
        Ok(())
    }

    fn check(&self) -> Result<(), TestCaseError> {
        let metrics = &self.bench.hub.metrics;
        prop_assert_eq!(metrics.peers.value(), self.puppets.len() as u64);
        for (puppet, told) in &self.puppets {
            for other in &told.met {
                let (_, of_other) = self.puppets.iter().find(|(p, _)| p.id == *other).expect("a member");
                prop_assert!(of_other.met.contains(&puppet.id), "both know of each other");
            }
        }
        Ok(())
    }

    fn act(&mut self, act: Act) {
        let at = |i: &prop::sample::Index, n: usize| i.index(n);
        let n = self.puppets.len();
        match act {
            Act::Join => self.puppets.push((self.bench.viewer(), Told::default())),
            Act::JoinSeed => self.puppets.push((self.bench.seed(&self.key), Told::default())),
            _ if n == 0 => {}
            Act::Leave(i) => {
                let (gone, _) = self.puppets.remove(at(&i, n));
                self.bench.hub.leave(gone.swarm, gone.id);
            }
            Act::Want(i, count) => {
                self.bench.say(&self.puppets[at(&i, n)].0, ClientMessage::WantPeers { count });
            }
            Act::Relay(a, b) => {
                let to = self.puppets[at(&b, n)].0.id;
                let message = ClientMessage::Relay { to, payload: Blob::default() };
                self.bench.say(&self.puppets[at(&a, n)].0, message);
            }
            Act::Play(i, on) => {
                let playlists: &[&str] = if on { &[PLAYLIST] } else { &[] };
                self.bench.play(&self.puppets[at(&i, n)].0, playlists);
            }
            Act::Publish(i, number) => {
                let puppet = &self.puppets[at(&i, n)].0;
                let digest = digest(&self.key, puppet.swarm, source(PLAYLIST).track, number);
                self.bench.say(puppet, ClientMessage::Publish { digest });
            }
            Act::Switch(on) => {
                self.bench.hub.change_site("demo", |s| s.enabled = Some(on)).expect("good");
            }
            Act::Holdout(on) => {
                let share = if on { 100.0 } else { 0.0 };
                self.bench.hub.change_site("demo", |s| s.holdout = Some(share)).expect("good");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]
    #[test]
    fn introductions_are_mutual_and_strangers_stay_strangers(
        acts in prop::collection::vec(act(), 1..80), small in any::<bool>(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("runtime");
        let _inside = runtime.enter();
        let links = if small { 3 } else { 24 };
        let settings = format!("[default]\npublish = [\"http://origin.invalid/\"]\nmax_links = {links}\n");
        let limits = Limits { introduce: 4, publisher_proof: 0, ..Limits::default() };
        let bench = Bench::new(limits, &settings);
        let mut world = World { bench, key: PublishingKey::from_seed(&[1; 32]), puppets: Vec::new() };
        for act in acts {
            world.act(act);
            world.listen()?;
            world.check()?;
        }
        for (puppet, _) in std::mem::take(&mut world.puppets) {
            world.bench.hub.leave(puppet.swarm, puppet.id);
        }
        world.check()?;
        prop_assert_eq!(world.bench.hub.metrics.seeds.value(), 0);
        prop_assert_eq!(world.bench.followed(), 0);
    }
}
