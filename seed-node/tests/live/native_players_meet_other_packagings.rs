//! R1: fragmented MP4 in one file, by byte ranges, and encrypted segments, as ffmpeg packages and plays them.

use crate::support;

use rillcast_seed::agent::tally::Outcome;
use support::agent::{Agent, NO_SIGNAL};
use support::ffmpeg::{copied, film};
use support::files::{Entry, Files};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn segments_that_are_ranges_of_one_file_go_by_way_of_the_engine() {
    let directory = tempfile::tempdir().expect("a directory");
    film(directory.path(), 10, &["-hls_segment_type", "fmp4", "-hls_flags", "single_file"]).await;
    let files = Files::start().await;
    files.directory("/film/", directory.path());
    let manifest = files.url("/film/index.m3u8");
    let text = String::from_utf8(files.file("/film/index.m3u8").to_vec()).expect("text");
    assert!(text.contains("#EXT-X-BYTERANGE") && text.contains("#EXT-X-MAP"), "{text}");
    let agent = Agent::start(&manifest, NO_SIGNAL, &[]).await;
    assert!(copied(&agent.local(&manifest)).await == copied(&manifest).await, "bit by bit");
    let shared = agent.requests(Outcome::Shared);
    assert!(shared >= 4, "{shared} of five segments");
    assert_eq!(agent.requests(Outcome::FellBack), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn encrypted_segments_are_shared_as_they_are_and_their_key_comes_from_the_origin() {
    let directory = tempfile::tempdir().expect("a directory");
    let files = Files::start().await;
    std::fs::write(directory.path().join("key"), b"sixteen bytes! k").expect("written");
    let info = format!("{}\nkey\n00000000000000000000000000000007\n", files.url("/keys/1?for=film"));
    std::fs::write(directory.path().join("info"), info).expect("written");
    film(directory.path(), 10, &["-hls_key_info_file", "info", "-hls_segment_filename", "%d.ts"]).await;
    files.directory("/film/", directory.path());
    files.put("/keys/1", Entry::File("application/octet-stream", b"sixteen bytes! k".as_slice().into()));
    let manifest = files.url("/film/index.m3u8");
    let agent = Agent::start(&manifest, NO_SIGNAL, &[]).await;
    assert!(copied(&agent.local(&manifest)).await == copied(&manifest).await, "bit by bit");
    assert_eq!(files.asked("/keys/1")[0].target, "/keys/1?for=film");
    assert_eq!(agent.requests(Outcome::Shared), 5);
    assert!(agent.requests(Outcome::Passed) >= 1, "the key");
}
