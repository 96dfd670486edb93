//! The cache as a whole, on a real disk.

use rillcast_protocol::id::TrackId;
use rillcast_publisher::{PublishingKey, sign};

use super::*;

const SWARM: SwarmId = SwarmId([3; 16]);
const PLACE: Place = Place(9);

fn key() -> PublishingKey {
    PublishingKey::from_seed(&[1; 32])
}

fn segment(number: u64, length: usize) -> (SegmentDigest, Bytes) {
    let name = SegmentKey { track: TrackId(1), number, discontinuity: 0, part: 0 };
    let body = Bytes::from(vec![number as u8; length]);
    (sign::digest(&key(), SWARM, name, 4000, &body).expect("in bounds"), body)
}

fn open(dir: &Path, budget: u64, keep: Duration) -> Cache {
    let config = CacheConfig { dir: dir.to_owned(), budget, keep };
    Cache::open(&config, key().public()).expect("a cache")
}

fn keep(cache: &Cache, numbers: std::ops::Range<u64>, length: usize) {
    for number in numbers {
        let (digest, body) = segment(number, length);
        cache.keep(PLACE, &digest, &body);
        cache.flush();
    }
}

fn wanted(number: u64) -> Wanted {
    let (digest, _) = segment(number, 1);
    Wanted { swarm: SWARM, key: digest.key, place: PLACE, duration_ms: 4000, oldest: None }
}

fn on_disk(dir: &Path) -> u64 {
    let files = std::fs::read_dir(dir.join(SWARM.to_string())).into_iter().flatten();
    files.map(|f| f.expect("readable").metadata().expect("there").len().div_ceil(4096) * 4096).sum()
}

const HOUR: Duration = Duration::from_secs(3600);

// R31: what a file takes up beyond its segment is the digest, under 300 bytes for segments of a block.
#[test]
fn the_disk_budget_holds_at_under_and_over() {
    const FILE: u64 = 32 * 1024;
    for (budget, left) in [(4 * FILE, 3), (3 * FILE, 3), (3 * FILE - 1, 2), (FILE - 1, 0)] {
        let dir = tempfile::tempdir().expect("a directory");
        let cache = open(dir.path(), budget, HOUR);
        keep(&cache, 0..3, FILE as usize - 300);
        let stats = cache.stats();
        assert_eq!((stats.copies, stats.bytes), (left, left * FILE), "budget {budget}");
        assert_eq!(on_disk(dir.path()), left * FILE, "budget {budget}");
        assert_eq!(cache.read(&wanted(2)).is_some(), left > 0, "the newest stays");
        drop(cache);
        // A smaller budget than last time.
        let cache = open(dir.path(), FILE, HOUR);
        assert_eq!((cache.stats().copies, on_disk(dir.path())), (left.min(1), left.min(1) * FILE));
    }
}

// R46 H12
#[test]
fn what_was_there_is_there_after_a_restart_and_only_if_it_is_true() {
    let dir = tempfile::tempdir().expect("a directory");
    let cache = open(dir.path(), 1 << 20, HOUR);
    keep(&cache, 0..4, 70_000);
    let path = |cache: &Cache, n| cache.shared.files.path(&Name { swarm: SWARM, key: wanted(n).key });
    let paths: Vec<_> = (0..4).map(|n| path(&cache, n)).collect();
    drop(cache);
    // A bit flipped, a file torn, one under another's name.
    let mut flipped = std::fs::read(&paths[0]).expect("there");
    flipped[50_000] ^= 1;
    std::fs::write(&paths[0], &flipped).expect("written");
    File::options().write(true).open(&paths[1]).and_then(|f| f.set_len(40_000)).expect("shorter");
    std::fs::copy(&paths[3], &paths[2]).expect("copied");
    let cache = open(dir.path(), 1 << 20, HOUR);
    assert_eq!(cache.stats().copies, 4);
    for n in 0..3 {
        assert_eq!(cache.read(&wanted(n)), None, "{n}");
    }
    let (digest, body) = cache.read(&wanted(3)).expect("as it was");
    assert_eq!((digest, body), segment(3, 70_000));
    cache.flush();
    assert_eq!((cache.stats().copies, cache.stats().damaged), (1, 3));
    assert!(paths[..3].iter().all(|p| !p.exists()), "what isn't true is gone");
}

#[test]
fn a_copy_is_for_whom_it_was_made() {
    let dir = tempfile::tempdir().expect("a directory");
    let cache = open(dir.path(), 1 << 20, HOUR);
    keep(&cache, 0..1, 100);
    let right = wanted(0);
    assert!(cache.length(SWARM, right.key).is_some() && cache.read(&right).is_some());
    for wrong in [
        Wanted { place: Place(8), ..right },
        Wanted { duration_ms: 4001, ..right },
        Wanted { swarm: SwarmId([4; 16]), ..right },
        Wanted { oldest: Some(Duration::ZERO), ..right },
    ] {
        std::thread::sleep(Duration::from_millis(1));
        assert_eq!(cache.read(&wrong), None, "{wrong:?}");
    }
    assert_eq!(cache.stats().damaged, 0);
    drop(cache);
    // Another key's copies are nothing to us.
    let config = CacheConfig { dir: dir.path().to_owned(), budget: 1 << 20, keep: HOUR };
    let other = Cache::open(&config, PublishingKey::from_seed(&[2; 32]).public()).expect("a cache");
    assert_eq!(other.read(&right), None);
}

// R37
#[test]
fn copies_past_their_time_are_removed_from_the_disk() {
    let dir = tempfile::tempdir().expect("a directory");
    let keep_for = Duration::from_millis(500);
    let cache = open(dir.path(), 1 << 20, keep_for);
    keep(&cache, 0..2, 100);
    assert_eq!(cache.stats().copies, 2);
    let begun = std::time::Instant::now();
    while on_disk(dir.path()) > 0 {
        assert!(begun.elapsed() < Duration::from_secs(20), "they stay");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!((cache.stats().copies, cache.stats().bytes), (0, 0));
    keep(&cache, 2..3, 100);
    drop(cache);
    std::thread::sleep(keep_for);
    assert_eq!(open(dir.path(), 1 << 20, keep_for).stats().copies, 0, "also those that were found");
}

#[test]
fn a_directory_that_can_not_be_used_is_named() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("file");
    std::fs::write(&file, "").expect("written");
    let config = |dir: &Path| CacheConfig { dir: dir.to_owned(), budget: 1, keep: HOUR };
    let said = Cache::open(&config(&file), key().public()).expect_err("a file").to_string();
    assert!(said.contains("--cache-dir"), "{said}");
    let _held = open(dir.path(), 1, HOUR);
    let said = Cache::open(&config(dir.path()), key().public()).expect_err("in use").to_string();
    assert!(said.contains("another node"), "{said}");
}

// The queue's bound: one more than it takes is dropped, and counted.
#[test]
fn copies_that_wait_are_bounded() {
    let dir = tempfile::tempdir().expect("a directory");
    let cache = open(dir.path(), 1 << 30, HOUR);
    let (digest, body) = segment(0, 1000);
    cache.shared.waiting.store(WAITING - 1000, Relaxed);
    cache.keep(PLACE, &digest, &body);
    cache.flush();
    assert_eq!((cache.stats().copies, cache.stats().lost), (1, 0), "at");
    cache.shared.waiting.store(WAITING - 999, Relaxed);
    cache.keep(PLACE, &digest, &body);
    cache.flush();
    assert_eq!(cache.stats().lost, 1, "over");
}
