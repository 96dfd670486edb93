//! R2 R19 R24: native players that play a low-latency stream in parts get them from each other by way of agents, and from seeds. Real parts:
//! signaling with its publisher, a low-latency origin, agents, seeds.

use crate::support;

use std::sync::PoisonError;
use std::time::Duration;

use clap::Parser;
use rillcast_seed::agent::tally::Outcome;
use rillcast_seed::config::Options;
use rillcast_seed::node::Node;
use support::agent::{Agent, Client, handed, path, signaling};
use support::parts::{Origin, PART_BYTES, PARTS, part};

/// A player that has seen a playlist asks for what is new in it when it looks the next time what it needs; hls.js does so ten times a second.
const LOOKS: Duration = Duration::from_millis(100);

/// Plays a live stream in parts, each as soon as there is word of it.
struct Player {
    client: Client,
    playlist: String,
    next: Option<(u64, u64)>,
    played: usize,
    /// It asks for the part that is only hinted at.
    hinted: bool,
}

impl Player {
    async fn start(agent: &Agent, origin: &Origin, hinted: bool) -> Self {
        let mut client = Client::connect(agent.address()).await;
        client.ask("GET", &path(&origin.url("master.m3u8")), &[]).await;
        let playlist = path(&origin.url("v/live.m3u8"));
        Self { client, playlist, next: None, played: 0, hinted }
    }

    async fn plays(&mut self, parts: usize) {
        let enough = self.played + parts;
        while self.played < enough {
            let wish = self
                .next
                .map(|(number, part)| format!("?_HLS_msn={number}&_HLS_part={}&_HLS_skip=YES", part - 1));
            let target = format!("{}{}", self.playlist, wish.unwrap_or_default());
            let answer = self.client.ask("GET", &target, &[]).await;
            let text = answer.text();
            tokio::time::sleep(LOOKS).await;
            let named = |tag: &str| {
                let lines = text.lines().filter(|line| line.starts_with(tag));
                let uris = lines.filter_map(|line| line.split("URI=\"").nth(1)?.split('"').next());
                uris.map(str::to_owned).collect::<Vec<_>>()
            };
            let mut uris = named("#EXT-X-PART:");
            if self.hinted {
                uris.extend(named("#EXT-X-PRELOAD-HINT:"));
            }
            for uri in uris {
                // The origin names them by its own address; here they are to be found by the agent's.
                assert!(uri.starts_with("/http/"), "{uri} leads past the agent");
                let name = uri.rsplit('/').next().and_then(|name| name.strip_suffix(".ts")).expect("a name");
                let (number, of) = name.split_once('.').expect("a part");
                let at: (u64, u64) = (number.parse().expect("a number"), of.parse().expect("a number"));
                if at < *self.next.get_or_insert(at) {
                    continue;
                }
                let answer = self.client.ask("GET", &uri, &[]).await;
                assert_eq!(answer.status, 200, "{uri}");
                assert!(answer.body == part(at.0, at.1), "part {at:?} is the origin's");
                self.next = Some(if at.1 == PARTS { (at.0 + 1, 1) } else { (at.0, at.1 + 1) });
                self.played += 1;
            }
        }
    }
}

// R2 R19 R24
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_agents_share_a_low_latency_stream() {
    let origin = Origin::start().await;
    let (_signaling, signal) = signaling(&origin.url("")).await;
    let agents = [
        Agent::start(&origin.url("master.m3u8"), &signal, &[]).await,
        Agent::start(&origin.url("master.m3u8"), &signal, &[]).await,
    ];
    let mut one = Player::start(&agents[0], &origin, false).await;
    let mut two = Player::start(&agents[1], &origin, false).await;
    // Until they have met.
    tokio::join!(one.plays(32), two.plays(32));
    let before = agents.each_ref().map(Agent::brought);
    tokio::join!(one.plays(32), two.plays(32));
    let after = agents.each_ref().map(Agent::brought);
    let (source, peers) = handed(&before, &after);
    eprintln!("in parts: {source} bytes from the source, {peers} from each other");
    // Half is the most there is, and what comes; on a busy machine some of it is asked for before its digest is there.
    assert!(peers * 3 > source, "{source} from the source, {peers} from each other");
    for agent in &agents {
        assert_eq!(agent.requests(Outcome::FellBack) + agent.requests(Outcome::Cancelled), 0);
        assert_eq!(agent.picture().stats.false_blocks, 0);
    }
    let queries = origin.queries();
    assert!(queries.iter().any(|query| query.contains("_HLS_msn")), "{queries:?}");
    assert!(queries.iter().all(|query| !query.contains("_HLS_skip")), "nobody asks for deltas");
}

async fn seed(manifest: &str, signal: &str, more: &[&str]) -> Node {
    let flags = ["rillcast-seed", "--manifest", manifest, "--signal", signal, "--udp", "127.0.0.1:0"];
    let settings = Options::try_parse_from(flags.iter().chain(more)).expect("flags that exist");
    let mut seed = Node::start(settings.settle().expect("enough")).await.expect("a node");
    seed.joined().await.expect("it joins");
    seed
}

// R2 R24
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_seed_signs_parts_and_gives_them() {
    let origin = Origin::start().await;
    let (_signaling, signal) = signaling("http://127.0.0.1:9/").await;
    let manifest = origin.url("master.m3u8");
    let seed = seed(&manifest, &signal, &[]).await;
    let agent = Agent::start(&manifest, &signal, &[]).await;
    let mut player = Player::start(&agent, &origin, false).await;
    player.plays(24).await;
    let before = agent.brought();
    player.plays(32).await;
    let after = agent.brought();
    let (source, seeds) = (after.0 - before.0, after.1 - before.1);
    eprintln!("with a seed: {source} bytes from the source, {seeds} from the seed");
    assert!(seeds * 3 > source, "{source} from the source, {seeds} from the seed");
    let seen = seed.swarms[0].1.lock().unwrap_or_else(PoisonError::into_inner).clone();
    // It signs the parts, and the segments that they make up without fetching those: but for one, to compare.
    let parts = seen.published_bytes / PART_BYTES as u64;
    assert!(seen.published > parts, "{} signed, {parts} parts' bytes fetched", seen.published);
    let whole = origin.served().keys().filter(|name| name.matches('.').count() == 1).count();
    assert!(whole <= 2, "{whole} segments were fetched besides their parts");
    // Who asks for a part before it is there gets it too, from the source: nobody else has it earlier.
    let mut early = Player::start(&agent, &origin, true).await;
    early.plays(16).await;
    assert_eq!(agent.requests(Outcome::FellBack) + agent.requests(Outcome::Cancelled), 0);
    seed.stop().await;
}

// R2 R30 R32
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_seeds_share_a_stream_in_parts() {
    let origin = Origin::start().await;
    let (_signaling, signal) = signaling("http://127.0.0.1:9/").await;
    let manifest = origin.url("master.m3u8");
    let flags = ["--audit", "0"];
    let seeds = [seed(&manifest, &signal, &flags).await, seed(&manifest, &signal, &flags).await];
    let agent = Agent::start(&manifest, &signal, &[]).await;
    let mut player = Player::start(&agent, &origin, false).await;
    player.plays(24).await;
    let (before, begun) = (agent.brought(), origin.served());
    player.plays(48).await;
    let (after, ended) = (agent.brought(), origin.served());
    let (source, given) = (after.0 - before.0, after.1 - before.1);
    let asked = |name: &&String| ended[*name] - begun.get(*name).copied().unwrap_or(0);
    let parts = ended.keys().filter(|name| name.matches('.').count() == 2 && asked(name) > 0);
    let (parts, copies) = parts.fold((0, 0), |(parts, copies), name| (parts + 1, copies + asked(&name)));
    let published = seeds
        .each_ref()
        .map(|seed| seed.swarms[0].1.lock().unwrap_or_else(PoisonError::into_inner).published);
    eprintln!(
        "two seeds: {source} bytes from the source, {given} from them; {parts} parts fetched {copies} times; {published:?} signed"
    );
    assert!(given * 3 > source, "{source} from the source, {given} from the seeds");
    assert!(published.iter().all(|signed| *signed > 0), "each does a part of it: {published:?}");
    assert_eq!(agent.requests(Outcome::FellBack) + agent.requests(Outcome::Cancelled), 0);
    for seed in seeds {
        seed.stop().await;
    }
}
