//! Names of what the origin serves: parsing request paths.

/// How a stream's segments are packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Packaging {
    /// MPEG transport stream.
    Ts,
    /// Fragmented MP4.
    Fmp4,
    /// MPEG transport stream, whole segments encrypted with AES-128-CBC.
    Aes,
    /// MPEG transport stream in parts for low latency; live alone.
    Parts,
}

/// One presentation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stream {
    /// Endless, or the same media as VOD.
    pub live: bool,
    /// How its segments are packed.
    pub packaging: Packaging,
}

impl Stream {
    /// Its name in paths.
    pub fn name(self) -> &'static str {
        match (self.live, self.packaging) {
            (true, Packaging::Ts) => "live",
            (true, Packaging::Fmp4) => "live-fmp4",
            (true, Packaging::Aes) => "live-aes",
            (true, Packaging::Parts) => "live-ll",
            (false, Packaging::Ts) => "vod",
            (false, Packaging::Fmp4) => "vod-fmp4",
            (false, Packaging::Aes) => "vod-aes",
            (false, Packaging::Parts) => "vod-ll",
        }
    }

    /// Ending of its segments' names.
    pub fn extension(self) -> &'static str {
        if self.packaging == Packaging::Fmp4 { "m4s" } else { "ts" }
    }

    fn parse(name: &str) -> Option<Self> {
        let (kind, packaging) = match name.split_once('-') {
            None => (name, Packaging::Ts),
            Some((kind, "fmp4")) => (kind, Packaging::Fmp4),
            Some((kind, "aes")) => (kind, Packaging::Aes),
            Some(("live", "ll")) => ("live", Packaging::Parts),
            Some(_) => return None,
        };
        match kind {
            "live" => Some(Self { live: true, packaging }),
            "vod" => Some(Self { live: false, packaging }),
            _ => None,
        }
    }
}

/// One thing that can be asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resource {
    /// The list of renditions.
    Master(Stream),
    /// A rendition's list of segments.
    Playlist(Stream, String),
    /// A rendition's initialisation segment.
    Init(Stream, String),
    /// The AES-128 key.
    Key,
    /// A media segment.
    Segment {
        /// Of which presentation.
        stream: Stream,
        /// Name of the rendition.
        rendition: String,
        /// Media sequence number.
        number: u64,
    },
    /// A part of one.
    Part {
        /// Of which presentation.
        stream: Stream,
        /// Name of the rendition.
        rendition: String,
        /// Media sequence number of its segment.
        number: u64,
        /// Which part, from 1 on.
        part: u64,
    },
}

impl Resource {
    /// Reads a path, without its query.
    pub fn parse(path: &str) -> Option<Self> {
        let mut parts = path.strip_prefix('/')?.split('/');
        let stream = Stream::parse(parts.next()?)?;
        let second = parts.next()?;
        let third = parts.next();
        if parts.next().is_some() {
            return None;
        }
        let Some(file) = third else {
            return match (second, stream.packaging) {
                ("master.m3u8", _) => Some(Self::Master(stream)),
                ("key.bin", Packaging::Aes) => Some(Self::Key),
                _ => None,
            };
        };
        let rendition = second.to_owned();
        match (file, stream.packaging) {
            ("index.m3u8", _) => Some(Self::Playlist(stream, rendition)),
            ("init.mp4", Packaging::Fmp4) => Some(Self::Init(stream, rendition)),
            (_, Packaging::Parts) if file.starts_with("part-") => {
                let (number, part) = file.strip_prefix("part-")?.strip_suffix(".ts")?.split_once('-')?;
                let (number, part) = (number.parse().ok()?, part.parse().ok()?);
                Some(Self::Part { stream, rendition, number, part })
            }
            _ => {
                let (number, extension) = file.strip_prefix("seg-")?.split_once('.')?;
                let number = number.parse().ok()?;
                (extension == stream.extension()).then_some(Self::Segment { stream, rendition, number })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_stream_names_its_own_segments() {
        for live in [true, false] {
            for packaging in [Packaging::Ts, Packaging::Fmp4, Packaging::Aes, Packaging::Parts] {
                if packaging == Packaging::Parts && !live {
                    continue;
                }
                let stream = Stream { live, packaging };
                let path = format!("/{}/700/seg-18.{}", stream.name(), stream.extension());
                let expected = Resource::Segment { stream, rendition: "700".into(), number: 18 };
                assert_eq!(Resource::parse(&path), Some(expected));
            }
        }
    }

    #[test]
    fn other_paths_are_nothing() {
        for path in [
            "",
            "/",
            "/live",
            "/live/x",
            "/live/700/seg-.ts",
            "/live/700/seg-1.m4s",
            "/live/a/b/c",
            "/live-x/master.m3u8",
            "/live/key.bin",
            "/live/700/init.mp4",
            "/live/700/seg--1.ts",
            "/live/700/part-1-2.ts",
            "/live-ll/700/part-1.ts",
            "/vod-ll/master.m3u8",
        ] {
            assert_eq!(Resource::parse(path), None, "{path}");
        }
    }
}
