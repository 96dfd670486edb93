//! The signing key: made once, kept in a file that only its owner may read.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use ed25519_dalek::{Signer, SigningKey};
use rillcast_protocol::coding::Wire;
use rillcast_protocol::id::{PublisherKey, SegmentKey};
use thiserror::Error;

/// Why there is no key.
#[derive(Debug, Error)]
pub enum KeyError {
    /// The file can't be read or written.
    #[error("key file {path}: {source}; check that the directory exists and is writable by this user")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file holds something else.
    #[error(
        "key file {0} doesn't hold 64 hex digits; restore it from a backup, or remove it to get a new key"
    )]
    Content(PathBuf),
    /// Others may read the file.
    #[error("key file {0} can be read by others; run: chmod 600 {0}")]
    Exposed(PathBuf),
    /// No randomness.
    #[error("the system gives no random numbers: {0}")]
    Random(getrandom::Error),
}

/// An Ed25519 key that signs digests.
#[derive(Clone)]
pub struct PublishingKey(SigningKey);

impl std::fmt::Debug for PublishingKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PublishingKey({:?})", self.public())
    }
}

impl PublishingKey {
    /// A new key from the system's randomness.
    pub fn generate() -> Result<Self, KeyError> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(KeyError::Random)?;
        Ok(Self::from_seed(&seed))
    }

    /// The key with this secret.
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(seed))
    }

    /// The key in the file; makes the file if there is none.
    pub fn load_or_create(path: &Path) -> Result<Self, KeyError> {
        match fs::metadata(path) {
            Ok(meta) => {
                if exposed(&meta) {
                    return Err(KeyError::Exposed(path.to_owned()));
                }
                Self::load(path)
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                let key = Self::generate()?;
                key.create(path)?;
                Ok(key)
            }
            Err(source) => Err(KeyError::Io { path: path.to_owned(), source }),
        }
    }

    /// What others know it by.
    pub fn public(&self) -> PublisherKey {
        PublisherKey(self.0.verifying_key().to_bytes())
    }

    /// Its secret, for deriving other secrets from.
    pub fn secret(&self) -> [u8; 32] {
        self.0.to_bytes()
    }

    /// Whether a segment that another publisher has digested is looked at all the same: one in `every`, and nobody else can tell which.
    pub(crate) fn audits(&self, key: SegmentKey, every: u16) -> bool {
        let secret = blake3::derive_key("rillcast publisher audit v1", &self.0.to_bytes());
        let hash = blake3::keyed_hash(&secret, &key.to_bytes());
        let [high, low, ..] = *hash.as_bytes();
        every > 0 && u16::from_be_bytes([high, low]).is_multiple_of(every)
    }

    pub(crate) fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message).to_bytes()
    }

    fn load(path: &Path) -> Result<Self, KeyError> {
        let text =
            fs::read_to_string(path).map_err(|source| KeyError::Io { path: path.to_owned(), source })?;
        let seed = unhex(text.trim()).ok_or_else(|| KeyError::Content(path.to_owned()))?;
        Ok(Self::from_seed(&seed))
    }

    fn create(&self, path: &Path) -> Result<(), KeyError> {
        let write = || {
            let mut options = fs::OpenOptions::new();
            options.write(true).create_new(true);
            #[cfg(unix)]
            std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
            let mut file = options.open(path)?;
            let hex: String = self.0.to_bytes().iter().map(|b| format!("{b:02x}")).collect();
            writeln!(file, "{hex}")?;
            file.sync_all()
        };
        write().map_err(|source| KeyError::Io { path: path.to_owned(), source })
    }
}

#[cfg(unix)]
fn exposed(meta: &fs::Metadata) -> bool {
    std::os::unix::fs::PermissionsExt::mode(&meta.permissions()) & 0o077 != 0
}

#[cfg(not(unix))]
fn exposed(_: &fs::Metadata) -> bool {
    false
}

/// 32 bytes from 64 hex digits.
pub fn unhex(text: &str) -> Option<[u8; 32]> {
    let digits = text.as_bytes();
    if digits.len() != 64 {
        return None;
    }
    let mut out = [0; 32];
    for (byte, pair) in out.iter_mut().zip(digits.chunks_exact(2)) {
        let nibble = |d: u8| char::from(d).to_digit(16);
        *byte = (nibble(pair[0])? << 4 | nibble(pair[1])?) as u8;
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_made_once_and_found_again() {
        let dir = tempfile::tempdir().expect("dir");
        let path = dir.path().join("publisher.key");
        let made = PublishingKey::load_or_create(&path).expect("made");
        let found = PublishingKey::load_or_create(&path).expect("found");
        assert_eq!(made.public(), found.public());
    }

    #[cfg(unix)]
    #[test]
    fn a_key_that_others_can_read_is_refused_with_the_remedy() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().expect("dir");
        let path = dir.path().join("publisher.key");
        PublishingKey::load_or_create(&path).expect("made");
        assert_eq!(fs::metadata(&path).expect("meta").permissions().mode() & 0o777, 0o600);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).expect("chmod");
        let error = PublishingKey::load_or_create(&path).expect_err("exposed");
        assert!(error.to_string().contains("chmod 600"));
    }

    #[test]
    fn a_broken_file_is_not_overwritten() {
        let dir = tempfile::tempdir().expect("dir");
        let path = dir.path().join("publisher.key");
        PublishingKey::load_or_create(&path).expect("made");
        fs::write(&path, "not hex\n").expect("write");
        assert!(matches!(PublishingKey::load_or_create(&path), Err(KeyError::Content(_))));
        assert_eq!(fs::read_to_string(&path).expect("read"), "not hex\n");
    }

    #[test]
    fn a_missing_directory_is_named() {
        let dir = tempfile::tempdir().expect("dir");
        let error = PublishingKey::load_or_create(&dir.path().join("no/publisher.key")).expect_err("no dir");
        assert!(error.to_string().contains("publisher.key"));
    }
}
