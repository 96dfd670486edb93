//! Where a stream lies on disk: `DIR/<stream>/media/<public name>`, `manifests/<name>`, and `journal.jsonl`, which says what they are.
//!
//! A file is made beside its place and renamed, so a node that is killed leaves whole ones; the journal's last line may be torn, and is
//! then passed over. Nothing is synced.

use std::collections::HashMap;
use std::fs::{self, DirBuilder, File, TryLockError};
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use super::name::{FilePath, Kind, MAX_DEPTH, StreamName};
use super::stream::Line;

const JOURNAL: &str = "journal.jsonl";
const MEDIA: &str = "media";
const MANIFESTS: &str = "manifests";
const PARTS: &str = "parts";
const LOCK: &str = "lock";

/// The directory.
#[derive(Debug)]
pub struct Disk {
    dir: PathBuf,
    _lock: File,
}

/// Bytes of all media files in a directory, whoever has it.
pub fn used(dir: &Path) -> u64 {
    let streams = fs::read_dir(dir).into_iter().flatten().flatten();
    let mut bytes = 0;
    for stream in streams {
        let _ = walk(&stream.path().join(MEDIA), "", 0, &mut |_, about| {
            bytes += about.len();
            Ok(())
        });
    }
    bytes
}

/// What lies there of a stream.
#[derive(Debug, Default)]
pub struct Lying {
    /// The journal.
    pub lines: Vec<Line>,
    /// Bytes of files, and when they came, in milliseconds since 1970.
    pub files: HashMap<FilePath, (u64, u64)>,
    /// Multivariant playlists and DASH manifests.
    pub manifests: Vec<(FilePath, String)>,
}

impl Disk {
    /// Makes the directory if it isn't there, for this user alone, and takes it for this process. `None`: another has it.
    pub fn open(dir: &Path) -> io::Result<Option<Self>> {
        make(dir)?;
        let lock = File::options().create(true).append(true).open(dir.join(LOCK))?;
        match lock.try_lock() {
            Ok(()) => Ok(Some(Self { dir: dir.to_owned(), _lock: lock })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// The streams that lie there.
    pub fn streams(&self) -> io::Result<Vec<StreamName>> {
        let mut streams = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            let entry = entry?;
            let name = entry.file_name();
            if entry.file_type()?.is_dir()
                && let Some(Ok(name)) = name.to_str().map(StreamName::new)
            {
                streams.push(name);
            }
        }
        Ok(streams)
    }

    /// Reads a stream, and removes what was being made of it when a node ended.
    pub fn read(&self, stream: &StreamName) -> io::Result<Lying> {
        let dir = self.stream(stream);
        let _ = fs::remove_dir_all(dir.join(PARTS));
        let mut lying = Lying::default();
        walk(&dir.join(MEDIA), "", 0, &mut |path, about| {
            let arrived = about.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
            lying.files.insert(path, (about.len(), arrived.as_millis().try_into().unwrap_or(u64::MAX)));
            Ok(())
        })?;
        let mut manifests = Vec::new();
        walk(&dir.join(MANIFESTS), "", 0, &mut |path, _| {
            if path.kind() != Kind::Media {
                manifests.push(path);
            }
            Ok(())
        })?;
        for path in manifests {
            let text = fs::read_to_string(dir.join(MANIFESTS).join(path.as_str()))?;
            lying.manifests.push((path, text));
        }
        match File::open(dir.join(JOURNAL)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
            Ok(file) => {
                for line in BufReader::new(file).split(b'\n') {
                    lying.lines.extend(serde_json::from_slice::<Line>(&line?));
                }
            }
        }
        Ok(lying)
    }

    /// A place for a file that is being made.
    pub fn part(&self, stream: &StreamName, serial: u64) -> io::Result<PathBuf> {
        let dir = self.stream(stream).join(PARTS);
        make(&dir)?;
        Ok(dir.join(serial.to_string()))
    }

    /// Where a file lies.
    pub fn media(&self, stream: &StreamName, file: &FilePath) -> PathBuf {
        self.stream(stream).join(MEDIA).join(file.as_str())
    }

    /// Puts a file that was made into its place.
    pub fn place(&self, stream: &StreamName, part: &Path, file: &FilePath) -> io::Result<()> {
        let place = self.media(stream, file);
        if let Some(folder) = place.parent() {
            make(folder)?;
        }
        fs::rename(part, place)
    }

    /// Removes a file.
    pub fn remove(&self, stream: &StreamName, file: &FilePath) {
        let path = self.media(stream, file);
        if let Err(error) = fs::remove_file(&path)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(%error, path = %path.display(), "a file can't be removed");
        }
    }

    /// Writes a manifest, whole or not at all.
    pub fn manifest(&self, stream: &StreamName, path: &FilePath, text: &str, serial: u64) -> io::Result<()> {
        let place = self.stream(stream).join(MANIFESTS).join(path.as_str());
        if let Some(folder) = place.parent() {
            make(folder)?;
        }
        let part = self.part(stream, serial)?;
        fs::write(&part, text)?;
        fs::rename(part, place)
    }

    /// Adds lines to the journal.
    pub fn append(&self, stream: &StreamName, lines: &[Line]) -> io::Result<()> {
        make(&self.stream(stream))?;
        let file = File::options().create(true).append(true).open(self.stream(stream).join(JOURNAL))?;
        write(file, lines)
    }

    /// Writes the journal anew, whole or not at all.
    pub fn rewrite(&self, stream: &StreamName, lines: &[Line], serial: u64) -> io::Result<()> {
        let part = self.part(stream, serial)?;
        write(File::create(&part)?, lines)?;
        fs::rename(part, self.stream(stream).join(JOURNAL))
    }

    /// Forgets a stream.
    pub fn forget(&self, stream: &StreamName) {
        if let Err(error) = fs::remove_dir_all(self.stream(stream)) {
            tracing::warn!(%error, %stream, "a stream's directory can't be removed");
        }
    }

    fn stream(&self, stream: &StreamName) -> PathBuf {
        self.dir.join(stream.as_str())
    }
}

fn make(dir: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir)
}

fn write(file: File, lines: &[Line]) -> io::Result<()> {
    let mut out = BufWriter::new(file);
    for line in lines {
        serde_json::to_writer(&mut out, line)?;
        out.write_all(b"\n")?;
    }
    out.flush()
}

/// Calls with all files whose names are such as are served.
fn walk(
    dir: &Path,
    prefix: &str,
    depth: usize,
    each: &mut impl FnMut(FilePath, fs::Metadata) -> io::Result<()>,
) -> io::Result<()> {
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        let Some(name) = name.to_str() else { continue };
        let path = format!("{prefix}{name}");
        let about = entry.metadata()?;
        if about.is_dir() && depth < MAX_DEPTH {
            walk(&entry.path(), &format!("{path}/"), depth + 1, each)?;
        } else if about.is_file()
            && let Ok(path) = FilePath::new(&path)
        {
            each(path, about)?;
        }
    }
    Ok(())
}
