//! R19 R24: native players behind agents take part in the swarm, live and on demand, and play what the origin has, bit by bit.
//! Real parts: signaling with its publisher, an origin, agents, ffmpeg, and a native viewer.

mod support;

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use rillcast_seed::agent::tally::Outcome;
use support::agent::{Agent, Client, path, signaling};
use support::files::Files;
use support::origin::{Origin, segment};
use support::viewer::Viewer;
use tokio::process::Command;

/// Plays a live rendition as native players do: from some segments behind the edge on, each as soon as it is listed.
struct Player {
    client: Client,
    playlist: String,
    next: Option<u64>,
    played: usize,
}

impl Player {
    async fn start(agent: &Agent, origin: &Origin) -> Self {
        let mut client = Client::connect(agent.address()).await;
        client.ask("GET", &path(&origin.url("master.m3u8")), &[]).await;
        Self { client, playlist: path(&origin.url("high/live.m3u8")), next: None, played: 0 }
    }

    async fn plays(&mut self, segments: usize) {
        let enough = self.played + segments;
        while self.played < enough {
            let text = self.client.ask("GET", &self.playlist, &[]).await;
            let listed: Vec<u64> =
                text.text().lines().filter_map(|line| line.strip_suffix(".ts")?.parse().ok()).collect();
            let first = *self.next.get_or_insert(listed[0]);
            let fresh: Vec<u64> = listed.into_iter().filter(|n| *n >= first).collect();
            if fresh.is_empty() {
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
            for number in fresh {
                let at = self.playlist.replace("live.m3u8", &format!("{number}.ts"));
                let answer = self.client.ask("GET", &at, &[("range", "bytes=0-")]).await;
                assert!(matches!(answer.status, 200 | 206), "{number}: {}", answer.status);
                assert!(answer.body == segment("high", number), "segment {number} is the origin's");
                self.next = Some(number + 1);
                self.played += 1;
            }
        }
    }
}

// R19 R24
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_agents_share_a_live_stream() {
    let origin = Origin::start().await;
    let (_signaling, signal) = signaling(&origin.url("")).await;
    let agents = [
        Agent::start(&origin.url("master.m3u8"), &signal, &[]).await,
        Agent::start(&origin.url("master.m3u8"), &signal, &[]).await,
    ];
    let mut one = Player::start(&agents[0], &origin).await;
    let mut two = Player::start(&agents[1], &origin).await;
    // Until they have met.
    tokio::join!(one.plays(12), two.plays(12));
    let before = agents.each_ref().map(Agent::brought);
    tokio::join!(one.plays(16), two.plays(16));
    let after = agents.each_ref().map(Agent::brought);
    let sum = |which: fn(&(u64, u64)) -> u64| {
        after.iter().map(which).sum::<u64>() - before.iter().map(which).sum::<u64>()
    };
    let (source, peers) = (sum(|b| b.0), sum(|b| b.1));
    eprintln!("live: {source} bytes from the source, {peers} from each other");
    assert_eq!(source + peers, 2 * 16 * 250_000);
    // Of two copies one can come from the other.
    assert!(peers * 3 > source, "{source} from the source, {peers} from each other");
    for agent in &agents {
        assert_eq!(agent.requests(Outcome::FellBack) + agent.requests(Outcome::Cancelled), 0);
        assert_eq!(agent.picture().stats.false_blocks, 0);
    }
}

// R24
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_viewer_without_a_source_plays_what_an_agents_player_brings() {
    let origin = Origin::start().await;
    let (_signaling, signal) = signaling(&origin.url("")).await;
    let agent = Agent::start(&origin.url("master.m3u8"), &signal, &[]).await;
    let mut player = Player::start(&agent, &origin).await;
    player.plays(6).await;
    let mut viewer = Viewer::start(&origin, &signal, "high");
    let shares = tokio::select! {
        shares = viewer.play(&origin, 5) => shares,
        () = player.plays(usize::MAX) => unreachable!("it plays on"),
    };
    assert_eq!((shares.source, shares.peers), (0, 5 * 250_000), "{shares:?}");
}

// R52
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_signaling_goes_away_it_plays_on() {
    let origin = Origin::start().await;
    let (signaling, signal) = signaling(&origin.url("")).await;
    let agent = Agent::start(&origin.url("master.m3u8"), &signal, &[]).await;
    let mut player = Player::start(&agent, &origin).await;
    player.plays(8).await;
    assert!(agent.picture().joined);
    signaling.stop().await;
    player.plays(8).await;
    assert_eq!(agent.requests(Outcome::FellBack), 0);
}

/// A film of twenty seconds, in segments of two.
async fn film(directory: &Path) {
    let playlist = directory.join("index.m3u8");
    let made = Command::new("ffmpeg")
        .args(["-v", "error", "-f", "lavfi", "-i", "testsrc2=s=320x180:r=25", "-t", "20", "-c:v", "libx264"])
        .args(["-preset", "ultrafast", "-b:v", "1M", "-minrate", "1M", "-maxrate", "1M", "-bufsize", "1M"])
        .args([
            "-x264-params",
            "nal-hrd=cbr",
            "-g",
            "50",
            "-sc_threshold",
            "0",
            "-f",
            "hls",
            "-hls_time",
            "2",
        ])
        .args(["-hls_playlist_type", "vod", "-hls_segment_filename"])
        .arg(directory.join("%d.ts"))
        .arg(playlist)
        .status();
    assert!(made.await.expect("ffmpeg is installed").success());
}

/// What ffmpeg makes of it.
async fn copied(url: &str) -> Vec<u8> {
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-nostdin", "-i", url, "-c", "copy", "-f", "mpegts", "-"])
        .stderr(Stdio::inherit())
        .output()
        .await
        .expect("ffmpeg is installed");
    assert!(output.status.success());
    output.stdout
}

// R19 R24
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ffmpeg_plays_through_an_agent_what_it_would_play_from_the_origin() {
    let directory = tempfile::tempdir().expect("a directory");
    film(directory.path()).await;
    let files = Files::start().await;
    files.directory("/film/", directory.path());
    let manifest = files.url("/film/index.m3u8");
    let own = copied(&manifest).await;
    let asked = files.count(".ts");
    let (_signaling, signal) = signaling(&files.url("/")).await;
    let first = Agent::start(&manifest, &signal, &[]).await;
    assert!(copied(&first.local(&manifest)).await == own, "bit by bit");
    // One that comes later takes it from the first.
    let second = Agent::start(&manifest, &signal, &[]).await;
    assert!(copied(&second.local(&manifest)).await == own, "bit by bit");
    let (source, peers) = second.brought();
    let more = files.count(".ts") - asked;
    eprintln!(
        "film: first {:?}, second {source} from the source, {peers} from the first; {more} requests",
        first.brought()
    );
    assert!(peers > source, "{source} from the source, {peers} from the first");
    for agent in [first, second] {
        assert_eq!(agent.requests(Outcome::FellBack) + agent.requests(Outcome::Cancelled), 0);
    }
}
