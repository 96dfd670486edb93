//! ffmpeg pushes, as it is, and what viewers get is what it made, bit by bit.

use crate::support;

use std::path::{Path, PathBuf};

use reqwest::header;
use support::station::{KEY, Station, package, package_at, probed, tape, uris};

const PUT: [&str; 2] = ["-method", "PUT"];

/// What the same packager makes of the tape in a folder, where everything stays.
async fn made(station: &Station, tape: &Path, more: &[&str], name: &str) -> PathBuf {
    let folder = station.dir.path().join("made");
    std::fs::create_dir_all(&folder).expect("made");
    package(tape, more, folder.join(name).to_str().expect("text")).await;
    folder
}

/// Compares what is served under a playlist with files of the encoder's names in a folder. Told back: how many they were.
async fn compare(station: &Station, playlist: &str, folder: &Path) -> usize {
    let text = station.text(playlist).await;
    let base = playlist.rsplit_once('/').map_or("", |(base, _)| base);
    let mapped = text.lines().filter_map(|line| line.strip_prefix("#EXT-X-MAP:URI=\"")?.strip_suffix('"'));
    let all: Vec<&str> = mapped.chain(uris(&text)).collect();
    for uri in &all {
        let served = station.get(&format!("{base}/{uri}")).await.bytes().await.expect("bytes");
        // `index3.0123456789abcdef.ts` is the encoder's `index3.ts`.
        let parts: Vec<&str> = uri.split('.').collect();
        let [stem, hash, ending] = parts[..] else { panic!("{text}") };
        assert_eq!(blake3::hash(&served).to_hex()[..16], *hash);
        let made = std::fs::read(folder.join(format!("{stem}.{ending}"))).expect(uri);
        assert!(served == made, "{uri} isn't what was made");
    }
    all.len()
}

// R1 R2 R19 R22 R48
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn transport_streams_come_back_bit_by_bit_long_after_the_encoder_has_deleted_them() {
    let station = Station::locked(&[]).await;
    let at = station.dir.path().join("tape.mkv");
    tape(&at, 20, true).await;
    let all = ["-f", "hls", "-hls_time", "2", "-hls_list_size", "0"];
    let folder = made(&station, &at, &all, "index.m3u8").await;
    let live = ["-f", "hls", "-hls_time", "2", "-hls_list_size", "6", "-hls_flags", "delete_segments"];
    // As people write it: the key is the password.
    let to = format!("http://encoder:{KEY}@{}/tv/index.m3u8", station.authority());
    // Ten times as fast as it plays.
    package_at(Some("10"), &at, &[&live[..], &PUT].concat(), &to).await;

    let window = station.text("tv/index.m3u8").await;
    assert_eq!(uris(&window).len(), 6, "live is what the encoder lists: {window}");
    assert_eq!(compare(&station, "tv/index.m3u8?window=1h", &folder).await, 10);
    assert_eq!(uris(&station.text("tv/index.m3u8?window=15s").await).len(), 8);
    let (codecs, packets) = probed(&station.url("tv/index.m3u8"), 4).await;
    assert_eq!(codecs, ["aac", "h264"]);
    assert!(packets > 4 * 25, "{packets}");

    // What browsers need.
    let segment = format!("tv/{}", uris(&window)[0]);
    let whole = station.get(&segment).await;
    let said = |name: header::HeaderName| whole.headers().get(name).and_then(|value| value.to_str().ok());
    assert_eq!(said(header::CONTENT_TYPE), Some("video/mp2t"));
    assert_eq!(said(header::ACCESS_CONTROL_ALLOW_ORIGIN), Some("*"));
    assert!(said(header::CACHE_CONTROL).is_some_and(|value| value.contains("immutable")));
    let bytes = whole.bytes().await.expect("bytes");
    let length = bytes.len();
    for (range, status, part) in [
        ("bytes=0-0".to_owned(), 206, 0..1),
        (format!("bytes=100-{}", length - 1), 206, 100..length),
        (format!("bytes={}-", length - 1), 206, length - 1..length),
        (format!("bytes={length}-"), 416, 0..0),
    ] {
        let answer = station
            .http
            .get(station.url(&segment))
            .header(header::RANGE, &range)
            .send()
            .await
            .expect("answers");
        assert_eq!(answer.status(), status, "{range}");
        if status == 206 {
            let said = answer.headers()[header::CONTENT_RANGE].to_str().expect("text").to_owned();
            assert_eq!(said, format!("bytes {}-{}/{length}", part.start, part.end - 1));
            assert_eq!(answer.bytes().await.expect("bytes"), bytes.slice(part));
        }
    }
    let asked = station.http.request(reqwest::Method::OPTIONS, station.url(&segment));
    let asked = asked
        .header(header::ORIGIN, "https://tv.example")
        .header(header::ACCESS_CONTROL_REQUEST_METHOD, "GET");
    let answer = asked.header(header::ACCESS_CONTROL_REQUEST_HEADERS, "range").send().await.expect("answers");
    let allowed = answer.headers()[header::ACCESS_CONTROL_ALLOW_HEADERS].to_str().expect("text");
    assert!(answer.status().is_success() && allowed.contains("range"), "{allowed}");
    for path in [&segment, "tv/index.m3u8"] {
        let head = station.http.head(station.url(path)).send().await.expect("answers");
        assert!(
            head.headers()[header::CONTENT_LENGTH] != "0" && head.bytes().await.expect("none").is_empty()
        );
    }
    let playlist = station.get("tv/index.m3u8").await;
    assert_eq!(playlist.headers()[header::CONTENT_TYPE], "application/vnd.apple.mpegurl");
    assert_eq!(playlist.headers()[header::CACHE_CONTROL], "max-age=1");
    station.node.stop().await;
}

// R2 R48
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fragmented_ladders_with_their_own_folders_and_audio_alone_come_back_too() {
    let station = Station::start(&[]).await;
    // MP4, for it says of the streams' bitrates, without which ffmpeg writes no master playlist.
    let at = station.dir.path().join("tape.mp4");
    tape(&at, 8, true).await;
    let ladder = [
        "-f",
        "hls",
        "-hls_time",
        "2",
        "-hls_list_size",
        "0",
        "-hls_segment_type",
        "fmp4",
        "-master_pl_name",
        "master.m3u8",
        "-var_stream_map",
        "v:0,agroup:a a:0,agroup:a",
    ];
    let to = station.url("tv/v%v/index.m3u8");
    package(&at, &[&ladder[..], &PUT].concat(), &to).await;
    let folder = made(&station, &at, &ladder, "v%v/index.m3u8").await;
    let master = station.text("tv/master.m3u8").await;
    assert!(master.contains("\nv0/index.m3u8") && master.contains("TYPE=AUDIO"), "{master}");
    let mut files = 0;
    for rendition in ["v0", "v1"] {
        files += compare(&station, &format!("tv/{rendition}/index.m3u8"), &folder.join(rendition)).await;
    }
    assert!(files >= 2 + 8, "{files}");
    let past = station.text("tv/master.m3u8?window=2h").await;
    assert!(past.contains("v0/index.m3u8?window=2h"), "{past}");
    let (codecs, _) = probed(&station.url("tv/master.m3u8?window=2h"), 6).await;
    assert_eq!(codecs, ["aac", "h264"]);

    let radio = station.dir.path().join("radio.mkv");
    tape(&radio, 20, false).await;
    let audio = ["-f", "hls", "-hls_time", "4", "-hls_list_size", "4"];
    package(&radio, &[&audio[..], &PUT].concat(), &station.url("radio/index.m3u8")).await;
    let (codecs, packets) = probed(&station.url("radio/index.m3u8"), 8).await;
    assert_eq!(codecs, ["aac"]);
    assert!(packets > 8 * 40, "{packets}");
    station.node.stop().await;
}

// R2 R22
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dash_comes_back_and_an_encoder_that_begins_anew_overwrites_nothing() {
    let station = Station::start(&[]).await;
    let dash = [
        "-f",
        "dash",
        "-seg_duration",
        "2",
        "-window_size",
        "3",
        "-extra_window_size",
        "1",
        "-remove_at_exit",
        "0",
    ];
    let mut chunks = Vec::new();
    for (life, seconds) in [("one", 10), ("two", 8)] {
        let at = station.dir.path().join(format!("{life}.mkv"));
        tape(&at, seconds, life == "one").await;
        // Ten times as fast as it plays; ffmpeg doesn't wait for the answer to its last push.
        package_at(Some("10"), &at, &[&dash[..], &PUT].concat(), &station.url("tv/live.mpd")).await;
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        let manifest = station.get("tv/live.mpd").await;
        assert_eq!(manifest.headers()[header::CONTENT_TYPE], "application/dash+xml");
        let manifest = manifest.text().await.expect("text");
        let base = manifest.split_once("<BaseURL>").and_then(|(_, rest)| rest.split_once("</BaseURL>"));
        let base = base.expect("a folder of its own").0.to_owned();
        let chunk = format!("tv/{base}chunk-stream0-00002.m4s");
        let answer = station.get(&chunk).await;
        assert!(answer.headers()[header::CACHE_CONTROL].to_str().expect("text").contains("immutable"));
        chunks.push((chunk, answer.bytes().await.expect("bytes")));
        let (codecs, packets) = probed(&station.url("tv/live.mpd"), 4).await;
        assert!(codecs.contains(&"aac".to_owned()) && packets > 100, "{codecs:?} {packets}");
    }
    let [(first, bytes), (second, other)] = &chunks[..] else { panic!("two lives") };
    assert!(first != second && bytes != other);
    assert_eq!(
        station.get(first).await.bytes().await.expect("bytes"),
        *bytes,
        "the old URL has the old bytes"
    );
    station.node.stop().await;
}

// R19 R48: no proxy stands before the node.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_pushed_and_read_over_tls_is_the_same_and_certificates_are_renewed_meanwhile() {
    let files = tempfile::tempdir().expect("a directory");
    let [cert, key] = ["cert.pem", "key.pem"].map(|name| files.path().join(name));
    let renew = || {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("made");
        std::fs::write(&cert, made.cert.pem()).expect("written");
        std::fs::write(&key, made.signing_key.serialize_pem()).expect("written");
        let root = reqwest::Certificate::from_pem(made.cert.pem().as_bytes()).expect("PEM");
        let _ = rustls::crypto::ring::default_provider().install_default();
        reqwest::Client::builder().no_proxy().tls_certs_only([root]).build().expect("a client")
    };
    let first = renew();
    let [cert_at, key_at] = [&cert, &key].map(|path| path.to_str().expect("text"));
    let tls = ["--ingest-tls", "127.0.0.1:0", "--ingest-cert", cert_at, "--ingest-cert-key", key_at];
    let station = Station::locked(&tls).await;
    let at = station.dir.path().join("tape.mkv");
    tape(&at, 8, true).await;
    let all = ["-f", "hls", "-hls_time", "2", "-hls_list_size", "0"];
    let folder = made(&station, &at, &all, "index.m3u8").await;
    let secure = station.secure("tv/index.m3u8");
    let to = secure.replace("https://localhost", &format!("https://encoder:{KEY}@127.0.0.1"));
    package(&at, &[&all[..], &PUT].concat(), &to).await;
    // ffmpeg has sent all when it ends, and hasn't waited for answers.
    let listed = async || uris(&station.text("tv/index.m3u8").await).len();
    let patience = std::time::Instant::now();
    while listed().await < 4 && patience.elapsed().as_secs() < 5 {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    println!("all is there {} ms after the encoder has ended", patience.elapsed().as_millis());
    assert_eq!(compare(&station, "tv/index.m3u8", &folder).await, 4);
    let get = async |client: &reqwest::Client, path: &str| {
        client.get(station.secure(path)).send().await?.error_for_status()?.bytes().await
    };
    let listed = get(&first, "tv/index.m3u8").await.expect("trusted");
    assert_eq!(listed, station.text("tv/index.m3u8").await);
    let segment = uris(str::from_utf8(&listed).expect("text"))[0].to_owned();
    let served = get(&first, &format!("tv/{segment}")).await.expect("trusted");
    assert!(served == std::fs::read(folder.join("index0.ts")).expect("made"));
    // Without the key nobody pushes here either.
    let refused = first.put(station.secure("tv/index0.ts")).body("false").send().await.expect("answers");
    assert_eq!(refused.status(), 401);
    let second = renew();
    while get(&second, "tv/index.m3u8").await.is_err() {
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    let plain = first.get(secure.replace("https", "http")).send().await;
    assert!(plain.is_err(), "nothing is told without TLS there");
}
