//! What to prepare: the source and the ladder. Everything in here is part of the cache's key.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde::Serialize;
use sha2::{Digest, Sha256};

/// Raised whenever the encoder's settings change, so that old caches are not taken for new ones.
const RECIPE: u32 = 2;

/// Where pictures and sound come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum Source {
    /// A moving test picture with a clock in it, and a beeping tone.
    Synthetic,
    /// A video file of the user's, with or without sound; anything that ffmpeg reads.
    File(PathBuf),
}

/// One rendition of the ladder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Rung {
    /// Name in the paths: `/live/{name}/index.m3u8`.
    pub name: String,
    /// Bitrate of the whole segment as served (pictures, sound and container), in kbit/s.
    pub kbps: u32,
}

/// The ladder to prepare.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MediaSpec {
    /// Pictures and sound.
    pub source: Source,
    /// Renditions, lowest first.
    pub rungs: Vec<Rung>,
    /// Length of a segment, and of a closed group of pictures, in seconds.
    pub segment_seconds: u32,
    /// Length of the part that is looped, in segments. Even, because only 8 s hold a whole number (375) of
    /// AAC frames at 48 kHz.
    pub segments: u32,
    /// Width and height of every rendition: small, because on a test machine every viewer decodes in software.
    pub frame: (u32, u32),
    /// Pictures per second.
    pub fps: u32,
}

impl Default for MediaSpec {
    fn default() -> Self {
        let rung = |kbps: u32| Rung { name: kbps.to_string(), kbps };
        Self {
            source: Source::Synthetic,
            rungs: vec![rung(380), rung(700), rung(1400)],
            segment_seconds: 4,
            segments: 24,
            frame: (640, 360),
            fps: 25,
        }
    }
}

impl MediaSpec {
    /// The default ladder over a file: at most `max_seconds` of it, and at least two segments (a shorter file is
    /// repeated).
    pub fn for_file(path: &Path, duration_seconds: f64, max_seconds: u32) -> Self {
        let spec = Self { source: Source::File(path.to_owned()), ..Self::default() };
        let whole = (duration_seconds.min(f64::from(max_seconds)) / f64::from(spec.segment_seconds)) as u32;
        Self { segments: (whole / 2 * 2).max(2), ..spec }
    }

    /// Length of the looped part in seconds.
    pub fn loop_seconds(&self) -> u32 {
        self.segments * self.segment_seconds
    }

    /// Refuses what the encoder can't make periodic.
    pub fn check(&self) -> Result<()> {
        ensure!(!self.rungs.is_empty(), "the ladder is empty: give it at least one rendition");
        ensure!(
            self.segments >= 2 && self.loop_seconds().is_multiple_of(8),
            "the loop is {} s long; it must be a multiple of 8 s so that it holds a whole number of audio frames",
            self.loop_seconds()
        );
        ensure!(
            self.rungs.iter().all(|rung| rung.kbps >= 200),
            "a rendition below 200 kbit/s leaves nothing for pictures beside the sound: raise it"
        );
        Ok(())
    }

    /// Name of this ladder in the cache: the recipe, the parameters, and the content of the source file.
    pub fn cache_key(&self) -> Result<String> {
        let mut hash = Sha256::new();
        hash.update(RECIPE.to_be_bytes());
        let parameters = Self { source: Source::Synthetic, ..self.clone() };
        hash.update(serde_json::to_vec(&parameters)?);
        if let Source::File(path) = &self.source {
            hash_file(path, &mut hash)?;
        }
        Ok(hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect())
    }
}

fn hash_file(path: &Path, hash: &mut Sha256) -> Result<()> {
    let mut file = File::open(path)
        .with_context(|| format!("can't open {}: check the path and its permissions", path.display()))?;
    let mut buffer = vec![0; 1 << 20];
    loop {
        let read = file.read(&mut buffer).with_context(|| format!("can't read {}", path.display()))?;
        if read == 0 {
            return Ok(());
        }
        hash.update(&buffer[..read]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loop_that_splits_an_audio_frame_is_refused() {
        assert!(MediaSpec { segments: 3, ..MediaSpec::default() }.check().is_err());
        assert!(MediaSpec { segments: 0, ..MediaSpec::default() }.check().is_err());
        assert!(MediaSpec { segments: 2, ..MediaSpec::default() }.check().is_ok());
    }

    #[test]
    fn a_file_is_cut_to_whole_pairs_of_segments() {
        let of = |seconds| MediaSpec::for_file(Path::new("x"), seconds, 120).segments;
        assert_eq!((of(1.0), of(8.0), of(15.9), of(16.0), of(9999.0)), (2, 2, 2, 4, 30));
    }

    #[test]
    fn another_parameter_is_another_cache_entry() {
        let one = MediaSpec::default();
        let other = MediaSpec { segments: 22, ..MediaSpec::default() };
        assert_ne!(one.cache_key().unwrap(), other.cache_key().unwrap());
    }
}
