//! The built-in publisher, from a viewer's `Playing` to digests and hosted bytes.

use rillcast_protocol::signal::hosted_path;
use rillcast_publisher::sign;

use crate::kit::{Client, Origin, server_with, url};

/// Digests some of what there is already, so that a test has something to look at.
const THREE_BEHIND: &str = "[limits]\npublish_backlog = 3\npublish_settle_ms = 0\n";

#[tokio::test]
async fn what_was_there_before_costs_nothing_until_somebody_asks_for_it() {
    use rillcast_protocol::coding::List;
    use rillcast_protocol::signal::ClientMessage;
    let (origin, base) = Origin::start(10, 16, false).await;
    let (server, _dir) = server_with("[limits]\npublish_settle_ms = 0\n", std::slice::from_ref(&base)).await;
    let mut viewer = Client::viewer(&server).await;
    let playlist = format!("{base}v.m3u8");
    viewer.play(&[&playlist]).await;
    while origin.looks() == 0 {
        tokio::task::yield_now().await;
    }
    origin.show(11, 17);
    let news = viewer.digest().await.key;
    assert_eq!(news.number, 16, "what comes is digested by itself");
    let wanted = crate::kit::key_of(news.track, 14);
    viewer.send(&ClientMessage::WantDigests { keys: List::clipped([wanted]) }).await;
    assert_eq!(viewer.digest().await.key, wanted);
    let mut fetched = origin.fetched();
    fetched.sort_unstable();
    assert_eq!(fetched, [14, 16]);
}

#[tokio::test]
async fn what_a_viewer_plays_is_digested_and_its_bytes_are_handed_on_once() {
    let (origin, base) = Origin::start(10, 16, false).await;
    let (server, _dir) = server_with(THREE_BEHIND, std::slice::from_ref(&base)).await;
    let mut viewer = Client::viewer(&server).await;
    let welcome = viewer.welcome.clone().expect("joined");
    assert_eq!(welcome.publishers.to_vec(), [server.publisher.expect("built in")]);
    viewer.play(&[&format!("{base}v.m3u8?token=1")]).await;
    let mut numbers = Vec::new();
    for _ in 0..3 {
        let digest = viewer.digest().await;
        assert!(sign::verify(&digest) && digest.hosted);
        let body = Origin::body(digest.key.number);
        assert_eq!(digest.length as usize, body.len());
        assert_eq!(digest.hashes, sign::block_hashes(&body, digest.duration_ms));
        numbers.push(digest.key.number);
        let path = format!("{}/{}", welcome.publisher_base.as_str(), hosted_path(digest.swarm, digest.key));
        let get = async || reqwest::get(url(&server, &path)).await.expect("answers");
        assert_eq!(get().await.bytes().await.expect("whole"), body);
        assert_eq!(get().await.status(), 410);
    }
    numbers.sort_unstable();
    assert_eq!(numbers, [13, 14, 15], "as many as are set");
    origin.show(11, 17);
    assert_eq!(viewer.digest().await.key.number, 16);
    let mut fetched = origin.fetched();
    fetched.sort_unstable();
    assert_eq!(fetched, [13, 14, 15, 16], "each once");
}

#[tokio::test]
async fn a_second_viewer_costs_the_origin_nothing_and_the_last_one_gone_ends_it() {
    let (origin, base) = Origin::start(0, 6, false).await;
    let (server, _dir) = server_with(THREE_BEHIND, std::slice::from_ref(&base)).await;
    let playlist = format!("{base}v.m3u8");
    let mut first = Client::viewer(&server).await;
    first.play(&[&playlist]).await;
    for _ in 0..3 {
        first.digest().await;
    }
    let mut second = Client::viewer(&server).await;
    second.play(&[&playlist]).await;
    let mut numbers = Vec::new();
    for _ in 0..3 {
        numbers.push(second.digest().await.key.number);
    }
    numbers.sort_unstable();
    assert_eq!(numbers, [3, 4, 5]);
    assert_eq!(origin.fetched().len(), 3);
    drop((first, second));
    while !server.hub.publisher().expect("built in").following().is_empty() {
        tokio::task::yield_now().await;
    }
    let looks = origin.looks();
    let mut third = Client::viewer(&server).await;
    third.settle().await;
    assert_eq!(origin.looks(), looks, "nobody looks any more");
}

#[tokio::test]
async fn hosting_can_be_turned_off() {
    let (_origin, base) = Origin::start(0, 6, false).await;
    let (server, _dir) = server_with(
        "[limits]\nhosted_bytes = 0\npublish_backlog = 1\npublish_settle_ms = 0\n",
        std::slice::from_ref(&base),
    )
    .await;
    let mut viewer = Client::viewer(&server).await;
    assert_eq!(viewer.welcome.as_ref().expect("joined").publisher_base.as_str(), "");
    viewer.play(&[&format!("{base}v.m3u8")]).await;
    assert!(!viewer.digest().await.hosted);
}

#[tokio::test]
async fn of_a_finished_playlist_only_what_is_asked_for_is_digested() {
    use rillcast_protocol::coding::List;
    use rillcast_protocol::signal::ClientMessage;
    let (origin, base) = Origin::start(0, 200, true).await;
    let (server, _dir) = server_with("", std::slice::from_ref(&base)).await;
    let playlist = format!("{base}v.m3u8");
    let mut viewer = Client::viewer(&server).await;
    viewer.play(&[&playlist]).await;
    let track = rillcast_publisher::track::track_id(&playlist);
    for wanted in [3, 150, 4].map(|number| crate::kit::key_of(track, number)) {
        viewer.send(&ClientMessage::WantDigests { keys: List::clipped([wanted]) }).await;
        assert_eq!(viewer.digest().await.key, wanted);
    }
    assert_eq!(origin.fetched(), [3, 150, 4]);
}
