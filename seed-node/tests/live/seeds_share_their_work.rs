//! Three seeds of one live stream, each a program of its own: who fetches and who holds what, with more viewers and with one seed less. The viewers
//! have no source, so every byte that they play was fetched by a seed. And three seeds of a film, whose viewers have one.

use crate::support;

use std::collections::HashMap;
use std::time::Duration;

use support::agent::Agent;
use support::ffmpeg::{copied, film};
use support::files::Files;
use support::origin::{Origin, RENDITIONS};
use support::program::{Program, signaling_with};
use support::viewer::Viewer;

/// Nothing is fetched only to be compared.
const FLAGS: [&str; 2] = ["--audit", "0"];
const SETTINGS: &str = "[limits]\npublisher_proof = 0\n";

async fn three(origin: &Origin, signal: &str) -> [Program; 3] {
    let mut seeds = [(); 3].map(|()| Program::seed(origin, signal, &FLAGS));
    for seed in &mut seeds {
        seed.joined().await;
    }
    seeds
}

/// Of all these seeds together.
async fn sums(seeds: &[Program]) -> HashMap<String, u64> {
    let mut sums = HashMap::new();
    for seed in seeds {
        seed.metrics().await.into_iter().for_each(|(name, value)| *sums.entry(name).or_default() += value);
    }
    sums
}

fn of(metrics: &HashMap<String, u64>, name: &str) -> u64 {
    metrics[&format!("rillcast_seed_{name}_total")]
}

/// How often the origin gave each of these segments.
fn fetched(origin: &Origin, numbers: std::ops::RangeInclusive<u64>) -> Vec<usize> {
    numbers.map(|number| origin.state.served("high", number)).collect()
}

/// Counters are brought up to date once a second.
async fn settled() {
    tokio::time::sleep(Duration::from_millis(1500)).await;
}

// R30 R32 R33
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_segment_is_fetched_once_by_all_and_held_by_more_of_them_the_more_viewers_there_are() {
    let origin = Origin::start().await;
    let (_signaling, signal) = signaling_with(SETTINGS).await;
    let seeds = three(&origin, &signal).await;
    let mut one = Viewer::start(&origin, &signal, "high");
    let begun = origin.state.newest();
    one.play(&origin, 6).await;
    let alone = sums(&seeds).await;
    assert_eq!(
        (of(&alone, "pulled"), of(&alone, "seed_bytes")),
        (0, 0),
        "one viewer: whoever fetched it holds it"
    );

    // Four viewers: all three hold everything.
    let mut others = [(); 3].map(|()| Viewer::start(&origin, &signal, "high"));
    let [two, three, four] = &mut others;
    tokio::join!(one.play(&origin, 6), two.play(&origin, 5), three.play(&origin, 5), four.play(&origin, 5));
    origin.state.stand_still();
    let newest = origin.state.newest();
    let last = newest.saturating_sub(1);
    tokio::join!(one.play_from(&origin, newest, 1), settled());
    let crowd = sums(&seeds).await;
    let copies = fetched(&origin, begun..=newest);
    println!("fetched {copies:?}; {crowd:?}");
    assert!(fetched(&origin, begun + 1..=last).iter().all(|copies| *copies == 1), "{copies:?}");
    assert_eq!(of(&crowd, "fetched_first"), copies.iter().sum::<usize>() as u64);
    assert_eq!(of(&crowd, "fetched_later") + of(&crowd, "fetched_again"), 0);
    let pulled = of(&crowd, "pulled");
    assert!(pulled >= 6, "at least three segments came when all four were there: {pulled} taken");
    assert_eq!(of(&crowd, "seed_bytes") % (RENDITIONS[1].1 as u64), 0, "whole segments");
    // Each seed does a part of it.
    for seed in &seeds {
        assert!(of(&seed.metrics().await, "fetched_first") > 0);
    }
}

// R31 R43 H12
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_seed_that_hangs_or_dies_leaves_its_own_segments_alone_to_others_and_none_is_missing() {
    let origin = Origin::start().await;
    let (_signaling, signal) = signaling_with(SETTINGS).await;
    let [gone, left @ ..] = three(&origin, &signal).await;
    let mut gone = gone;
    let mut viewer = Viewer::start(&origin, &signal, "high");
    viewer.play(&origin, 3).await;
    // It keeps its connections and does nothing: nobody but those who wait for it can tell.
    gone.tell("-STOP").await;
    let hung = origin.state.newest() + 1;
    viewer.play_from(&origin, hung, 6).await;
    let others = sums(&left).await;
    // Now it is dead, without a word.
    gone.kill().await;
    let dead = origin.state.newest() + 1;
    viewer.play_from(&origin, dead, 5).await;
    let end = dead + 4;
    settled().await;
    let copies = fetched(&origin, hung..=end);
    let after = sums(&left).await;
    println!("fetched {copies:?}; hung {others:?}, dead {after:?}");
    assert!(copies.iter().all(|copies| (1..=2).contains(copies)), "one more at most: {copies:?}");
    assert!(fetched(&origin, dead + 1..=end).iter().all(|copies| *copies == 1), "{copies:?}");
    assert!(
        of(&after, "fetched_first") > of(&others, "fetched_first"),
        "they are the first in its segments now"
    );
    let played = viewer.played();
    assert!(played[3..].iter().copied().eq((hung..hung + 6).chain(dead..=end)), "{played:?}");
}

// R30 R32: on demand nobody fetches ahead of its viewers, and what one of them came to is there for all.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_film_each_segment_is_fetched_by_one_seed_when_somebody_comes_to_it() {
    const SECONDS: u32 = 40;
    let directory = tempfile::tempdir().expect("a directory");
    film(directory.path(), SECONDS, &["-hls_segment_filename", "%d.ts"]).await;
    let files = Files::start().await;
    files.directory("/film/", directory.path());
    let manifest = files.url("/film/index.m3u8");
    let own = copied(&manifest).await;
    let segments = files.count(".ts");
    let (_signaling, signal) = signaling_with(SETTINGS).await;
    let mut seeds = [(); 3].map(|()| Program::seed_of(&manifest, &signal, &FLAGS));
    for seed in &mut seeds {
        seed.joined().await;
    }
    settled().await;
    assert_eq!(files.count(".ts"), segments, "nobody has come yet, and nothing was fetched");
    let first = Agent::start(&manifest, &signal, &[]).await;
    assert!(copied(&first.local(&manifest)).await == own, "bit by bit");
    let second = Agent::start(&manifest, &signal, &[]).await;
    assert!(copied(&second.local(&manifest)).await == own, "bit by bit");
    settled().await;
    let together = sums(&seeds).await;
    let asked = files.count(".ts") - segments;
    println!(
        "{segments} segments, asked for {asked} times; first {:?}, second {:?}",
        first.brought(),
        second.brought()
    );
    println!("{together:?}");
    let (source, peers) = second.brought();
    assert!(peers > source, "{source} from the source, {peers} from seeds and the first");
    let fetched = ["first", "later", "again"].map(|how| of(&together, &format!("fetched_{how}")));
    assert!(fetched.iter().sum::<u64>() <= segments as u64, "{fetched:?} of {segments}");
}
