//! R2 R19 R22 R24: DASH, as it is HLS: native players behind agents play what the origin has, bit by bit, and share it; a seed brings the live edge.
//! Real parts: signaling with its publisher, an origin, ffmpeg as packager and as player, agents, a seed.

use crate::support;

use std::time::{Duration, SystemTime};

use clap::Parser;
use rillcast_seed::agent::tally::Outcome;
use rillcast_seed::config::Options;
use rillcast_seed::node::Node;
use support::agent::{Agent, Client, NO_SIGNAL, handed, path, signaling};
use support::byte;
use support::ffmpeg::{copied_with, dash_film};
use support::files::{Entry, Files};

const MPD: &str = "application/dash+xml";

async fn film(seconds: u32, more: &[&str]) -> (Files, String) {
    let directory = tempfile::tempdir().expect("a directory");
    dash_film(directory.path(), seconds, more).await;
    let files = Files::start().await;
    files.directory("/film/", directory.path());
    let manifest = files.url("/film/index.mpd");
    (files, manifest)
}

// R2 R19 R22 R24
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ffmpeg_plays_through_an_agent_what_it_would_play_from_the_origin() {
    let (files, manifest) = film(20, &["-use_timeline", "1"]).await;
    let own = copied_with(&[], &manifest).await;
    let asked = files.count(".m4s");
    let (_signaling, signal) = signaling(&files.url("/")).await;
    let first = Agent::start(&manifest, &signal, &[]).await;
    let same = first.get(&manifest, &[]).await;
    assert!(same.body == files.file("/film/index.mpd"), "nothing leads elsewhere, so nothing changes");
    assert!(copied_with(&[], &first.local(&manifest)).await == own, "bit by bit");
    // One that comes later takes it from the first.
    let second = Agent::start(&manifest, &signal, &[]).await;
    assert!(copied_with(&[], &second.local(&manifest)).await == own, "bit by bit");
    let (source, peers) = second.brought();
    let more = files.count(".m4s") - asked;
    eprintln!(
        "film: first {:?}, second {source} from the source, {peers} from the first; {more} requests",
        first.brought()
    );
    assert!(peers > source, "{source} from the source, {peers} from the first");
    for agent in [first, second] {
        assert!(
            agent.requests(Outcome::Shared) >= 20,
            "{} of picture and sound",
            agent.requests(Outcome::Shared)
        );
        assert_eq!(agent.requests(Outcome::FellBack) + agent.requests(Outcome::Cancelled), 0);
    }
}

// R2
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_packaging_goes_by_way_of_the_engine() {
    for more in [&["-use_timeline", "0"][..], &["-single_file", "1"]] {
        let (_files, manifest) = film(8, more).await;
        let agent = Agent::start(&manifest, NO_SIGNAL, &[]).await;
        let own = copied_with(&[], &manifest).await;
        assert!(copied_with(&[], &agent.local(&manifest)).await == own, "{more:?}: bit by bit");
        eprintln!(
            "{more:?}: {} shared, {} passed",
            agent.requests(Outcome::Shared),
            agent.requests(Outcome::Passed)
        );
        assert!(agent.requests(Outcome::Shared) >= 6, "{more:?}: {}", agent.requests(Outcome::Shared));
        assert_eq!(agent.requests(Outcome::FellBack), 0);
    }
}

const LENGTH: usize = 250_000;

fn segment(number: u64) -> Vec<u8> {
    (0..LENGTH).map(|at| byte(number as u32, at)).collect()
}

fn now_ms() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
    u64::try_from(now.as_millis()).expect("before the end of time")
}

/// A stream that goes by the clock: a segment each second, ten of them there already, and an MPD that is written once.
struct Station {
    files: Files,
    begun_ms: u64,
}

impl Station {
    async fn start() -> Self {
        let files = Files::start().await;
        let begun_ms = now_ms() - 10_000;
        let begun =
            humantime::format_rfc3339_millis(SystemTime::UNIX_EPOCH + Duration::from_millis(begun_ms));
        let text = format!(
            "<?xml version=\"1.0\"?><MPD xmlns=\"urn:mpeg:dash:schema:mpd:2011\" type=\"dynamic\" availabilityStartTime=\"{begun}\" \
             timeShiftBufferDepth=\"PT8S\" minimumUpdatePeriod=\"PT60S\" maxSegmentDuration=\"PT1S\"><BaseURL>{}</BaseURL>\
             <Period id=\"0\" start=\"PT0S\"><AdaptationSet mimeType=\"video/mp4\"><SegmentTemplate timescale=\"1000\" duration=\"1000\" \
             startNumber=\"0\" media=\"$RepresentationID$/$Number%06d$.m4s\"/><Representation id=\"v\" bandwidth=\"2000000\"/>\
             </AdaptationSet></Period></MPD>",
            files.url("/tv/"),
        );
        files.text("/tv/live.mpd", MPD, &text);
        let station = Self { files: files.clone(), begun_ms };
        let put = |files: &Files, n: u64| files.put(&name(n), Entry::File("video/mp4", segment(n).into()));
        (0..10).for_each(|n| put(&files, n));
        tokio::spawn(async move {
            for number in 10.. {
                until(begun_ms + (number + 1) * 1000).await;
                put(&files, number);
            }
        });
        station
    }

    fn manifest(&self) -> String {
        self.files.url("/tv/live.mpd")
    }
}

fn name(number: u64) -> String {
    format!("/tv/v/{number:06}.m4s")
}

async fn until(ms: u64) {
    tokio::time::sleep(Duration::from_millis(ms.saturating_sub(now_ms()))).await;
}

/// Reads the MPD once, and asks for each segment when it is there, from three behind the edge on.
struct Player {
    client: Client,
    begun_ms: u64,
    next: u64,
    station: String,
}

impl Player {
    async fn start(agent: &Agent, station: &Station) -> Self {
        let mut client = Client::connect(agent.address()).await;
        let mpd = client.ask("GET", &path(&station.manifest()), &[]).await;
        let base = format!("<BaseURL>{}</BaseURL>", path(&station.files.url("/tv/")));
        assert!(mpd.text().contains(&base), "{}", mpd.text());
        let next = (now_ms() - station.begun_ms) / 1000 - 3;
        Self { client, begun_ms: station.begun_ms, next, station: station.files.url("") }
    }

    async fn plays(&mut self, segments: u64) {
        for number in self.next..self.next + segments {
            // A player's clock isn't the origin's to the millisecond.
            until(self.begun_ms + (number + 1) * 1000 + 100).await;
            let at = path(&format!("{}{}", self.station, name(number)));
            let answer = self.client.ask("GET", &at, &[]).await;
            assert_eq!(answer.status, 200, "segment {number}");
            assert!(answer.body == segment(number), "segment {number} is the origin's");
        }
        self.next += segments;
    }
}

// R2 R19 R22 R24 H10
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_agents_share_a_live_stream_that_goes_by_the_clock() {
    let station = Station::start().await;
    let (_signaling, signal) = signaling(&station.files.url("/")).await;
    let agents = [
        Agent::start(&station.manifest(), &signal, &[]).await,
        Agent::start(&station.manifest(), &signal, &[]).await,
    ];
    let mut one = Player::start(&agents[0], &station).await;
    let mut two = Player::start(&agents[1], &station).await;
    // Until they have met.
    tokio::join!(one.plays(8), two.plays(8));
    let before = agents.each_ref().map(Agent::brought);
    tokio::join!(one.plays(10), two.plays(10));
    let after = agents.each_ref().map(Agent::brought);
    let (source, peers) = handed(&before, &after);
    eprintln!("live DASH: {source} bytes from the source, {peers} from each other");
    assert_eq!(source + peers, 2 * 10 * LENGTH as u64, "all of it by way of the engine");
    assert!(peers * 3 > source, "{source} from the source, {peers} from each other");
    for agent in &agents {
        assert_eq!(agent.requests(Outcome::FellBack) + agent.requests(Outcome::Cancelled), 0);
        assert_eq!(agent.picture().stats.false_blocks, 0);
    }
}

// R2 R22 R30 H10
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_seed_brings_a_live_dash_stream_to_its_viewers() {
    let station = Station::start().await;
    // This signaling publishes nothing: digests are the seed's.
    let (_signaling, signal) = signaling("http://127.0.0.1:9/").await;
    let manifest = station.manifest();
    let flags = ["rillcast-seed", "--manifest", &manifest, "--signal", &signal, "--udp", "127.0.0.1:0"];
    let settings = Options::try_parse_from(flags).expect("flags that exist").settle().expect("enough");
    let mut node = Node::start(settings).await.expect("a node");
    node.joined().await.expect("it joins");
    let agent = Agent::start(&manifest, &signal, &[]).await;
    let mut player = Player::start(&agent, &station).await;
    player.plays(6).await;
    let before = agent.brought();
    let asked = |number: u64| station.files.asked(&name(number)).len();
    let first = player.next;
    player.plays(8).await;
    let after = agent.brought();
    let (source, seed) = (after.0 - before.0, after.1 - before.1);
    eprintln!(
        "with a seed: {source} bytes from the source, {seed} from the seed; {:?}",
        (first..player.next).map(asked).collect::<Vec<_>>()
    );
    // A player that asks for each segment as soon as it is there needs little from the source, however slow the machine.
    assert!(seed > 4 * source, "{source} from the source, {seed} from the seed");
    let picture = node.swarms[0].1.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
    assert_eq!((picture.followed, picture.conflicts, picture.skipped), (1, 0, 0));
    assert!(picture.published >= 8, "{}", picture.published);
    node.stop().await;
}
