//! The prepared ladder on disk, and the segments of its endless repetition.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use super::encode::{self, Progress};
use super::probe::probe;
use super::spec::{MediaSpec, Source};
use super::{mp4, ts};

/// Where the first segment lies in the stream's timestamps, in seconds. Not 0, because the sound of the first
/// segment may begin a little before its pictures.
const START: i64 = 10;

/// How segments are packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Container {
    /// MPEG transport stream.
    Ts,
    /// Fragmented MP4 with an initialisation segment.
    Fmp4,
}

/// One rendition as prepared.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Rendition {
    /// Name in the paths.
    pub name: String,
    /// Peak bitrate of a segment in bit/s (the playlist's BANDWIDTH).
    pub peak_bps: u64,
    /// Mean bitrate in bit/s (the playlist's AVERAGE-BANDWIDTH).
    pub mean_bps: u64,
    /// RFC 6381 codecs.
    pub codecs: String,
    /// Per segment of the loop: payload packets before it, by packet id.
    before: Vec<ts::PacketCounts>,
    /// Payload packets in the whole loop, by packet id.
    per_loop: ts::PacketCounts,
    /// Seconds to add so that the loop's first transport stream segment begins at [`START`].
    ts_shift: i64,
    /// The same for fragmented MP4.
    fmp4_shift: i64,
    /// Time scales of the fragmented MP4.
    scales: mp4::TimeScales,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Index {
    segment_seconds: u32,
    segments: u32,
    frame: (u32, u32),
    fps: u32,
    renditions: Vec<Rendition>,
}

/// A prepared ladder.
#[derive(Debug, Clone)]
pub struct Library {
    dir: PathBuf,
    index: Index,
}

impl Library {
    /// Opens the ladder of `spec`, preparing it first if it is not in the cache. `progress` hears what is done and
    /// how far it is (0 to 1).
    pub fn prepare(spec: &MediaSpec, cache: &Path, progress: &dyn Fn(&str, f64)) -> Result<Self> {
        spec.check()?;
        let found = match &spec.source {
            Source::Synthetic => None,
            Source::File(path) => Some(probe(path)?),
        };
        let dir = cache.join(spec.cache_key()?);
        if !dir.join("index.json").is_file() {
            std::fs::create_dir_all(cache)
                .with_context(|| format!("can't create the media cache {}", cache.display()))?;
            // Prepared aside and renamed, so that a killed or parallel run leaves no half ladder.
            let scratch = cache.join(format!(".preparing-{}", std::process::id()));
            let prepared = prepare_in(&scratch, spec, found, progress);
            let moved = prepared.and_then(|()| match std::fs::rename(&scratch, &dir) {
                Err(_) if dir.join("index.json").is_file() => Ok(()),
                other => other.with_context(|| format!("can't move the media to {}", dir.display())),
            });
            let _ = std::fs::remove_dir_all(&scratch);
            moved?;
        }
        Self::open(dir)
    }

    /// [`Library::prepare`] for a file of the user's: as much of it as `max_seconds` allows.
    pub fn prepare_file(
        path: &Path,
        max_seconds: u32,
        cache: &Path,
        progress: &dyn Fn(&str, f64),
    ) -> Result<Self> {
        let spec = MediaSpec::for_file(path, probe(path)?.duration, max_seconds);
        Self::prepare(&spec, cache, progress)
    }

    /// Where ladders are kept: `$RILLCAST_MEDIA_CACHE`, or `media-cache` in the build directory.
    pub fn cache_dir() -> PathBuf {
        std::env::var_os("RILLCAST_MEDIA_CACHE").map_or_else(
            || {
                let here = std::env::current_exe().unwrap_or_default();
                let target = here.ancestors().find(|dir| dir.join("CACHEDIR.TAG").is_file());
                target.map_or_else(std::env::temp_dir, Path::to_owned).join("media-cache")
            },
            PathBuf::from,
        )
    }

    fn open(dir: PathBuf) -> Result<Self> {
        let text = std::fs::read(dir.join("index.json"))
            .with_context(|| format!("can't read the prepared media in {}", dir.display()))?;
        let index = serde_json::from_slice(&text)
            .with_context(|| format!("{} is damaged: delete it, it is prepared again", dir.display()))?;
        Ok(Self { dir, index })
    }

    /// Length of every segment in seconds.
    pub fn segment_seconds(&self) -> u32 {
        self.index.segment_seconds
    }

    /// Segments in one loop.
    pub fn segments(&self) -> u32 {
        self.index.segments
    }

    /// Width and height of the pictures.
    pub fn frame(&self) -> (u32, u32) {
        self.index.frame
    }

    /// Pictures per second.
    pub fn fps(&self) -> u32 {
        self.index.fps
    }

    /// The ladder, lowest first.
    pub fn renditions(&self) -> &[Rendition] {
        &self.index.renditions
    }

    /// The rendition called `name`.
    pub fn rendition(&self, name: &str) -> Option<&Rendition> {
        self.index.renditions.iter().find(|rendition| rendition.name == name)
    }

    /// The initialisation segment of a rendition's fragmented MP4.
    pub fn init(&self, rendition: &Rendition) -> Result<Vec<u8>> {
        read(&self.dir.join("fmp4").join(&rendition.name).join("init.mp4"))
    }

    /// Segment `number` of the endless stream, counted from its beginning; past the loop's end its timestamps and
    /// counters go on where they were.
    pub fn segment(&self, rendition: &Rendition, container: Container, number: u64) -> Result<Vec<u8>> {
        let (round, place) =
            (number / u64::from(self.index.segments), (number % u64::from(self.index.segments)) as usize);
        let seconds = (round * u64::from(self.index.segments) * u64::from(self.index.segment_seconds)) as i64;
        let dir = self.dir.join(folder(container)).join(&rendition.name);
        let mut segment = read(&dir.join(file_name(container, place)))?;
        match container {
            Container::Ts => {
                let mut before = rendition.before[place].clone();
                for &(pid, count) in &rendition.per_loop {
                    ts::add_counts(&mut before, &vec![(pid, count * round)]);
                }
                // Two's complement: a negative shift is right modulo 2^33.
                let ticks = ((seconds + rendition.ts_shift) * ts::CLOCK as i64) as u64;
                ts::rewrite(&mut segment, ticks, &before)?;
            }
            Container::Fmp4 => {
                let shift = seconds + rendition.fmp4_shift;
                mp4::rewrite(&mut segment, shift, number as u32, &rendition.scales)?;
            }
        }
        Ok(segment)
    }
}

fn prepare_in(
    dir: &Path,
    spec: &MediaSpec,
    probe: Option<super::probe::Probe>,
    progress: Progress<'_>,
) -> Result<()> {
    let _ = std::fs::remove_dir_all(dir);
    encode::encode(spec, probe, dir, progress)?;
    let audio = probe.is_none_or(|probe| probe.audio);
    let renditions =
        spec.rungs.iter().map(|rung| keep(spec, &rung.name, audio, dir)).collect::<Result<_>>()?;
    let index = Index {
        segment_seconds: spec.segment_seconds,
        segments: spec.segments,
        frame: spec.frame,
        fps: spec.fps,
        renditions,
    };
    std::fs::write(dir.join("index.json"), serde_json::to_vec(&index)?)
        .context("can't write the media's index")
}

/// Drops the lead and the tail of one rendition, numbers what is left from 0 and measures it.
fn keep(spec: &MediaSpec, name: &str, audio: bool, dir: &Path) -> Result<Rendition> {
    let lead = (encode::LEAD / spec.segment_seconds) as usize;
    let count = spec.segments as usize;
    for container in [Container::Ts, Container::Fmp4] {
        let dir = dir.join(folder(container)).join(name);
        for place in 0..lead + count {
            let from = dir.join(file_name(container, place));
            ensure!(
                from.is_file(),
                "the encoder made only {place} of {} segments: the source ends too early or can't be decoded",
                lead + count
            );
            if place >= lead {
                std::fs::rename(&from, dir.join(file_name(container, place - lead)))
                    .with_context(|| format!("can't rename {}", from.display()))?;
            }
        }
        for extra in count..count + 2 * lead + 1 {
            let _ = std::fs::remove_file(dir.join(file_name(container, extra)));
        }
    }
    let mut before = Vec::with_capacity(count);
    let mut sum = ts::PacketCounts::new();
    let (mut bytes, mut peak, mut shift) = (0, 0, 0);
    for place in 0..count {
        let segment = read(&dir.join("ts").join(name).join(file_name(Container::Ts, place)))?;
        if place == 0 {
            let first = ts::first_pts(&segment).context("the first segment has no timestamp")?;
            shift = START - (first / ts::CLOCK) as i64;
        }
        before.push(sum.clone());
        ts::add_counts(&mut sum, &ts::count_packets(&segment)?);
        bytes += segment.len() as u64;
        peak = peak.max(segment.len() as u64);
    }
    let fmp4 = dir.join("fmp4").join(name);
    let scales = mp4::time_scales(&read(&fmp4.join("init.mp4"))?)?;
    let first = mp4::decode_times(&read(&fmp4.join(file_name(Container::Fmp4, 0)))?);
    let (track, time) = *first.first().context("the first fragment has no decode time")?;
    let scale = scales.iter().find(|&&(id, _)| id == track).map_or(1, |&(_, scale)| u64::from(scale));
    let seconds = u64::from(spec.segment_seconds);
    Ok(Rendition {
        name: name.to_owned(),
        peak_bps: peak * 8 / seconds,
        mean_bps: bytes * 8 / (seconds * count as u64),
        codecs: if audio { "avc1.4d401f,mp4a.40.2" } else { "avc1.4d401f" }.to_owned(),
        before,
        per_loop: sum,
        ts_shift: shift,
        fmp4_shift: START - (time / scale) as i64,
        scales,
    })
}

fn folder(container: Container) -> &'static str {
    match container {
        Container::Ts => "ts",
        Container::Fmp4 => "fmp4",
    }
}

fn file_name(container: Container, place: usize) -> String {
    match container {
        Container::Ts => format!("{place:05}.ts"),
        Container::Fmp4 => format!("{place:05}.m4s"),
    }
}

fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).with_context(|| {
        format!("can't read {}: delete the media cache, it is prepared again", path.display())
    })
}
