//! Where copies lie: `DIR/<swarm>/<track>-<discontinuity>-<number>-<part>.copy`. Everything else in the directory is left alone.

use std::fs::{self, File, TryLockError};
use std::io::{self, IoSlice, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use bytes::Bytes;
use rillcast_protocol::id::{SegmentKey, SwarmId, TrackId};

use super::index::Name;

/// Ends the name of a copy, and of one that is being made.
const DONE: &str = ".copy";
const PART: &str = ".copy-part";
const LOCK: &str = "lock";

/// The directory.
#[derive(Clone, Debug)]
pub struct Files {
    dir: PathBuf,
}

impl Files {
    /// Makes the directory if it isn't there: for this user alone, for media may be for some viewers only.
    pub fn open(dir: &Path) -> io::Result<Self> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        Ok(Self::at(dir))
    }

    /// The directory as it is.
    pub fn at(dir: &Path) -> Self {
        Self { dir: dir.to_owned() }
    }

    /// Takes the directory for this process, until the file is closed. `None`: another has it.
    pub fn lock(&self) -> io::Result<Option<File>> {
        let file = File::options().create(true).append(true).open(self.dir.join(LOCK))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(file)),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// The copies that are there, with their bytes and when they were made.
    pub fn scan(&self) -> io::Result<Vec<(Name, u64, SystemTime)>> {
        let mut found = Vec::new();
        self.each(|path, named| {
            if let Some((swarm, key)) = named
                && let Ok(about) = path.metadata()
                && about.is_file()
            {
                found.push((Name { swarm, key }, about.len(), about.modified()?));
            }
            Ok(())
        })?;
        Ok(found)
    }

    /// Removes what was being made when a node ended.
    pub fn tidy(&self) -> io::Result<()> {
        self.each(|path, _| {
            if path.to_str().is_some_and(|path| path.ends_with(PART)) {
                let _ = fs::remove_file(path);
            }
            Ok(())
        })
    }

    /// All files of swarms' directories, with what their names say.
    fn each(
        &self,
        mut look: impl FnMut(&Path, Option<(SwarmId, SegmentKey)>) -> io::Result<()>,
    ) -> io::Result<()> {
        for entry in fs::read_dir(&self.dir)? {
            let entry = entry?;
            let Some(swarm) = entry.file_name().to_str().and_then(swarm_of) else { continue };
            for file in fs::read_dir(entry.path())? {
                let file = file?;
                let key = file.file_name().to_str().and_then(key_of);
                look(&file.path(), key.map(|key| (swarm, key)))?;
            }
        }
        Ok(())
    }

    /// Makes a copy: whole, or not at all.
    pub fn write(&self, name: &Name, head: &[u8], body: &[u8]) -> io::Result<()> {
        let path = self.path(name);
        fs::DirBuilder::new().recursive(true).mode(0o700).create(self.swarm(name.swarm))?;
        let part = path.with_extension(&PART[1..]);
        let written = File::create(&part).and_then(|mut file| write_both(&mut file, head, body));
        let done = written.and_then(|()| fs::rename(&part, &path));
        if done.is_err() {
            let _ = fs::remove_file(&part);
        }
        done
    }

    /// A copy's file as it is.
    pub fn read(&self, name: &Name) -> io::Result<Bytes> {
        fs::read(self.path(name)).map(Bytes::from)
    }

    /// Removes a copy, and its swarm's directory with the last one.
    pub fn remove(&self, name: &Name) {
        if let Err(error) = fs::remove_file(self.path(name))
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(%error, file = %self.path(name).display(), "a copy can't be removed");
        }
        // Fails while others are in it.
        let _ = fs::remove_dir(self.swarm(name.swarm));
    }

    /// Where a copy lies.
    pub fn path(&self, name: &Name) -> PathBuf {
        let SegmentKey { track, number, discontinuity, part } = name.key;
        self.swarm(name.swarm).join(format!("{:016x}-{discontinuity}-{number}-{part}{DONE}", track.0))
    }

    fn swarm(&self, swarm: SwarmId) -> PathBuf {
        self.dir.join(swarm.to_string())
    }
}

/// Without putting them together before.
fn write_both(file: &mut File, head: &[u8], body: &[u8]) -> io::Result<()> {
    let written = file.write_vectored(&[IoSlice::new(head), IoSlice::new(body)])?;
    let (head, rest) = (head.get(written..).unwrap_or_default(), written.saturating_sub(head.len()));
    file.write_all(head)?;
    file.write_all(body.get(rest..).unwrap_or_default())
}

fn swarm_of(name: &str) -> Option<SwarmId> {
    let number = u128::from_str_radix(name, 16).ok()?;
    let swarm = SwarmId(number.to_be_bytes());
    (swarm.to_string() == name).then_some(swarm)
}

fn key_of(name: &str) -> Option<SegmentKey> {
    let mut parts = name.strip_suffix(DONE)?.split('-');
    let mut next = || parts.next();
    let track = TrackId(u64::from_str_radix(next()?, 16).ok()?);
    let (discontinuity, number, part) = (next()?.parse().ok()?, next()?.parse().ok()?, next()?.parse().ok()?);
    next().is_none().then_some(SegmentKey { track, number, discontinuity, part })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(number: u64) -> Name {
        let key = SegmentKey { track: TrackId(0xABC), number, discontinuity: 7, part: 3 };
        Name { swarm: SwarmId([0x0F; 16]), key }
    }

    #[test]
    fn a_name_is_found_again() {
        let dir = tempfile::tempdir().expect("a directory");
        let files = Files::open(&dir.path().join("made/too")).expect("made");
        files.write(&name(u64::MAX), b"head", b"body").expect("written");
        let found = files.scan().expect("readable");
        assert_eq!(found.iter().map(|(n, bytes, _)| (*n, *bytes)).collect::<Vec<_>>(), [(name(u64::MAX), 8)]);
        assert_eq!(files.read(&name(u64::MAX)).expect("there"), &b"headbody"[..]);
        files.remove(&name(u64::MAX));
        files.remove(&name(u64::MAX));
        assert!(files.scan().expect("readable").is_empty());
    }

    // H12
    #[test]
    fn what_was_being_made_goes_and_what_isnt_ours_stays() {
        let dir = tempfile::tempdir().expect("a directory");
        let files = Files::open(dir.path()).expect("there");
        files.write(&name(1), b"", b"x").expect("written");
        let part = files.path(&name(2)).with_extension(&PART[1..]);
        fs::write(&part, "half").expect("written");
        let theirs = [dir.path().join("notes.txt"), part.with_file_name("0-0-x-0.copy")];
        theirs.iter().for_each(|path| fs::write(path, "theirs").expect("written"));
        assert_eq!(files.scan().expect("readable").len(), 1);
        files.tidy().expect("readable");
        assert!(!part.exists() && theirs.iter().all(|path| path.exists()));
    }

    #[test]
    fn one_directory_is_one_nodes() {
        let dir = tempfile::tempdir().expect("a directory");
        let files = Files::open(dir.path()).expect("there");
        let held = files.lock().expect("lockable").expect("free");
        assert!(files.lock().expect("lockable").is_none());
        drop(held);
        assert!(files.lock().expect("lockable").is_some());
    }
}
