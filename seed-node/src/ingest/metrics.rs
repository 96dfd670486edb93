//! What `/metrics` shows of the origin.

use std::fmt::Write;
use std::sync::atomic::Ordering::Relaxed;

use super::library::{Library, StreamStats};

/// Name, type, help, value of a stream.
type Series = (&'static str, &'static str, fn(&StreamStats) -> u64);

const SERIES: [Series; 4] = [
    ("live", "1 while an encoder pushes.", |s| s.live.into()),
    ("files", "Files on disk.", |s| s.files),
    ("segments", "Segments of the playlist that has most.", |s| s.segments),
    ("seconds", "How long those play.", |s| s.seconds),
];

/// Appends it, in Prometheus' text format.
pub fn render(out: &mut String, library: &Library) {
    let (used, streams) = library.stats();
    let tally = &library.tally;
    // Writing to a String can't fail.
    for (name, kind, help, value) in [
        ("bytes", "gauge", "Bytes of disk in use.", used),
        ("connections", "gauge", "Connections open.", tally.connections.load(Relaxed)),
        ("uploads_total", "counter", "Files and playlists taken.", tally.uploads.load(Relaxed)),
        ("uploaded_bytes_total", "counter", "Bytes of files taken.", tally.uploaded_bytes.load(Relaxed)),
        ("served_total", "counter", "Requests of readers answered.", tally.served.load(Relaxed)),
        ("refused_total", "counter", "Pushes refused.", tally.refused.load(Relaxed)),
        (
            "evicted_total",
            "counter",
            "Files removed before their time, to make room.",
            tally.evicted.load(Relaxed),
        ),
    ] {
        let _ = writeln!(
            out,
            "# HELP rillcast_ingest_{name} {help}\n# TYPE rillcast_ingest_{name} {kind}\nrillcast_ingest_{name} {value}"
        );
    }
    for (name, help, value) in SERIES {
        let _ = writeln!(
            out,
            "# HELP rillcast_ingest_stream_{name} {help}\n# TYPE rillcast_ingest_stream_{name} gauge"
        );
        for stream in &streams {
            // A stream's name needs no escapes.
            let _ = writeln!(
                out,
                "rillcast_ingest_stream_{name}{{stream=\"{}\"}} {}",
                stream.name,
                value(stream)
            );
        }
    }
}
