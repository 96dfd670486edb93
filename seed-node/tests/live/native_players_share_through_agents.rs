//! R19 R24: native players behind agents take part in the swarm, live and on demand, and play what the origin has, bit by bit.
//! Real parts: signaling with its publisher, an origin, agents, ffmpeg, and a native viewer.

use crate::support;

use std::time::{Duration, Instant};

use rillcast_seed::agent::tally::Outcome;
use support::agent::{Agent, Client, handed, path, signaling};
use support::ffmpeg::{copied, film};
use support::files::Files;
use support::origin::{Origin, RENDITIONS, SEGMENT, segment};
use support::viewer::Viewer;

/// Plays a live rendition as native players do: from some segments behind the edge on, each as soon as it is listed.
struct Player {
    client: Client,
    rendition: &'static str,
    playlist: String,
    next: Option<u64>,
    played: usize,
    /// When its first segment was there, and how many came after they were to be played.
    began: Option<Instant>,
    late: usize,
}

impl Player {
    async fn start(agent: &Agent, origin: &Origin) -> Self {
        Self::of("high", agent, origin).await
    }

    async fn of(rendition: &'static str, agent: &Agent, origin: &Origin) -> Self {
        let mut client = Client::connect(agent.address()).await;
        client.ask("GET", &path(&origin.url("master.m3u8")), &[]).await;
        let playlist = path(&origin.url(&format!("{rendition}/live.m3u8")));
        Self { client, rendition, playlist, next: None, played: 0, began: None, late: 0 }
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
                assert!(answer.body == segment(self.rendition, number), "segment {number} is the origin's");
                let began = *self.began.get_or_insert_with(Instant::now);
                self.late += usize::from(self.played > 0 && began.elapsed() > SEGMENT * self.played as u32);
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
    let (before, met) = (agents.each_ref().map(Agent::brought), one.played + two.played);
    tokio::join!(one.plays(16), two.plays(16));
    let (after, played) = (agents.each_ref().map(Agent::brought), one.played + two.played);
    let (source, peers) = handed(&before, &after);
    let late = one.late + two.late;
    eprintln!(
        "live: {source} bytes from the source, {peers} from each other; {late} of {played} segments late"
    );
    // Whoever finds several new ones listed plays all of them, which may be more than were asked for.
    assert_eq!(source + peers, ((played - met) * RENDITIONS[1].1) as u64);
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
        () = player.plays(9999) => unreachable!("it plays on"),
    };
    assert_eq!((shares.source, shares.peers as usize), (0, 5 * RENDITIONS[1].1), "{shares:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn players_of_one_agent_may_play_different_renditions() {
    let origin = Origin::start().await;
    let (_signaling, signal) = signaling(&origin.url("")).await;
    let agent = Agent::start(&origin.url("master.m3u8"), &signal, &[]).await;
    let mut low = Player::of("low", &agent, &origin).await;
    let mut high = Player::of("high", &agent, &origin).await;
    let mut other = Player::of("high", &agent, &origin).await;
    tokio::join!(low.plays(12), high.plays(12), other.plays(12));
    assert_eq!(agent.requests(Outcome::FellBack) + agent.requests(Outcome::Cancelled), 0);
    let fetched = agent.brought().0 + agent.brought().1;
    // Players that began a moment apart may be a segment apart.
    let most = low.played.max(high.played).max(other.played) + 1;
    let once: usize = RENDITIONS.iter().map(|(_, length)| most * length).sum();
    assert!(fetched <= once as u64, "{fetched}: what two of them play is fetched once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_and_a_seed_run_together() {
    let origin = Origin::start().await;
    let (_signaling, signal) = signaling("http://127.0.0.1:9/").await;
    let agent = Agent::start(&origin.url("master.m3u8"), &signal, &["--seed"]).await;
    let mut player = Player::start(&agent, &origin).await;
    player.plays(16).await;
    let (source, seed) = agent.brought();
    eprintln!("with its own seed: {source} bytes from the source, {seed} from the seed");
    assert!(seed > 0, "{source} from the source, {seed} from the seed");
    assert_eq!(agent.node.swarms.len(), 1);
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

// R19 R24
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ffmpeg_plays_through_an_agent_what_it_would_play_from_the_origin() {
    let directory = tempfile::tempdir().expect("a directory");
    film(directory.path(), 20, &["-hls_segment_filename", "%d.ts"]).await;
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

/// A live stream that anybody can begin at its start: the playlist of a film, of which more and more is seen.
async fn grow(files: Files, film: String, at: &str, seen: usize) {
    let lines: Vec<&str> = film.lines().filter(|line| !line.starts_with("#EXT-X-PLAYLIST-TYPE")).collect();
    let segments = lines.iter().filter(|line| line.ends_with(".ts")).count();
    for seen in seen..=segments {
        let mut left = seen;
        let shown = lines.iter().take_while(|line| {
            let shown = left > 0;
            left -= usize::from(shown && line.ends_with(".ts"));
            shown
        });
        let mut text: String = shown.map(|line| format!("{line}\n")).collect();
        if seen == segments {
            text += "#EXT-X-ENDLIST\n";
        }
        files.text(at, "application/vnd.apple.mpegurl", &text);
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
}

// R19 R24
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_ffmpegs_share_a_stream_while_it_is_live() {
    let directory = tempfile::tempdir().expect("a directory");
    film(directory.path(), 40, &["-hls_segment_filename", "%d.ts"]).await;
    let files = Files::start().await;
    files.directory("/live/", directory.path());
    let own = copied(&files.url("/live/index.m3u8")).await;
    let whole = String::from_utf8(files.file("/live/index.m3u8").to_vec()).expect("text");
    let manifest = files.url("/live/now.m3u8");
    let (_signaling, signal) = signaling(&files.url("/")).await;
    let (one, two) =
        (Agent::start(&manifest, &signal, &[]).await, Agent::start(&manifest, &signal, &[]).await);
    tokio::spawn(grow(files.clone(), whole, "/live/now.m3u8", 5));
    while one.get(&manifest, &[]).await.status != 200 {}
    let (of_one, of_two) = (one.local(&manifest), two.local(&manifest));
    let (a, b) = tokio::join!(copied(&of_one), copied(&of_two));
    assert!(a == own && b == own, "bit by bit");
    let (source, peers) = [one.brought(), two.brought()].iter().fold((0, 0), |s, b| (s.0 + b.0, s.1 + b.1));
    eprintln!("live, by ffmpeg: {source} bytes from the source, {peers} from each other");
    assert!(peers * 4 > source, "{source} from the source, {peers} from each other");
    for agent in [one, two] {
        assert_eq!(agent.requests(Outcome::FellBack) + agent.requests(Outcome::Cancelled), 0);
    }
}
