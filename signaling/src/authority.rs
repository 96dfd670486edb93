//! The authority: signs tickets and lists of revocations (R8, R35, R41).
//!
//! Its keys lie in a file of their own, one to a line, the one that signs first. Whoever holds it decides who may take part, so nobody but
//! the server's user may read it. Tickets by the others count on, so that a key can be replaced while viewers watch.

use std::path::{Path, PathBuf};
use std::time::Instant;

use ed25519_dalek::{Signature, Signer, SigningKey};
use rillcast_protocol::coding::List;
use rillcast_protocol::id::AuthorityKey;
use rillcast_protocol::ticket::{MAX_AUTHORITIES, Signed, Statement, statement_bytes};
use rillcast_publisher::key::unhex;
use thiserror::Error;

use crate::keep;

/// Why there is no authority.
#[derive(Debug, Error)]
pub enum AuthorityError {
    /// The file can't be read or written.
    #[error("{0}: {1}; check that --state-dir exists and is writable by this user")]
    Io(PathBuf, std::io::Error),
    /// The file holds something else.
    #[error(
        "{0}: line {1} isn't a key of 64 hex digits; restore the file from a backup, or remove it to get a new key \
         (viewers then have to come back to the server within their tickets' time)"
    )]
    Content(PathBuf, usize),
    /// Others may read the file.
    #[error("{0} can be read by others, who could let anybody in; run: chmod 600 {0}")]
    Exposed(PathBuf),
    /// Nothing to add a key to.
    #[error("--rotate-authority needs --state-dir: without it there is a new key at every start anyway")]
    NoStateDir,
    /// No randomness.
    #[error("the system gives no random numbers: {0}")]
    Random(getrandom::Error),
}

/// The keys, and the clock that tickets run by.
pub struct Authority {
    signing: SigningKey,
    keys: Vec<SigningKey>,
    started: Instant,
    started_ms: u64,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority").field("keys", &self.keys().to_vec()).finish_non_exhaustive()
    }
}

impl Authority {
    /// A new key, kept nowhere.
    pub fn fresh() -> Result<Self, AuthorityError> {
        Ok(Self::with(vec![new_key()?]))
    }

    /// With these secrets, the one that signs first.
    pub fn from_seeds(first: &[u8; 32], others: &[[u8; 32]]) -> Self {
        Self::with(std::iter::once(first).chain(others).map(SigningKey::from_bytes).collect())
    }

    /// The keys of a file, which is made where there is none. `rotate` puts a new one first; the oldest goes where there are too many.
    pub fn open(path: &Path, rotate: bool) -> Result<Self, AuthorityError> {
        let io = |e| AuthorityError::Io(path.to_owned(), e);
        let mut keys = match std::fs::metadata(path) {
            Ok(meta) if is_exposed(&meta) => return Err(AuthorityError::Exposed(path.to_owned())),
            Ok(_) => {
                let text = std::fs::read_to_string(path).map_err(io)?;
                let key = |(at, line): (usize, &str)| {
                    let seed = unhex(line.trim());
                    seed.map(|seed| SigningKey::from_bytes(&seed))
                        .ok_or_else(|| AuthorityError::Content(path.to_owned(), at + 1))
                };
                text.lines().enumerate().map(key).collect::<Result<Vec<_>, _>>()?
            }
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            Err(e) => return Err(io(e)),
        };
        if keys.is_empty() || rotate {
            keys.insert(0, new_key()?);
            keys.truncate(MAX_AUTHORITIES);
            save(path, &keys).map_err(io)?;
        }
        keys.truncate(MAX_AUTHORITIES);
        Ok(Self::with(keys))
    }

    fn with(keys: Vec<SigningKey>) -> Self {
        Self { signing: keys[0].clone(), keys, started: Instant::now(), started_ms: crate::hub::unix_ms() }
    }

    /// Milliseconds since 1970: the wall clock's at start, and monotonic from there on. A clock that is put right while viewers watch
    /// ends nobody's ticket.
    pub fn now_ms(&self) -> u64 {
        self.started_ms + self.started.elapsed().as_millis() as u64
    }

    /// What tickets are verified with, the newest first.
    pub fn keys(&self) -> List<AuthorityKey, MAX_AUTHORITIES> {
        List::clipped(self.keys.iter().map(public))
    }

    /// Signs.
    pub fn sign<T: Statement>(&self, body: T) -> Signed<T> {
        let signature = self.signing.sign(&statement_bytes(&body)).to_bytes();
        Signed { body, authority: public(&self.signing), signature }
    }

    /// Whether we have signed it, with any of our keys.
    pub fn has_signed<T: Statement>(&self, signed: &Signed<T>) -> bool {
        let key = self.keys.iter().find(|key| public(key) == signed.authority);
        let signature = Signature::from_bytes(&signed.signature);
        key.is_some_and(|key| key.verifying_key().verify_strict(&signed.signed_bytes(), &signature).is_ok())
    }
}

fn public(key: &SigningKey) -> AuthorityKey {
    AuthorityKey(key.verifying_key().to_bytes())
}

fn new_key() -> Result<SigningKey, AuthorityError> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(AuthorityError::Random)?;
    Ok(SigningKey::from_bytes(&seed))
}

fn save(path: &Path, keys: &[SigningKey]) -> std::io::Result<()> {
    let line = |key: &SigningKey| {
        key.to_bytes().iter().map(|b| format!("{b:02x}")).chain(["\n".to_owned()]).collect()
    };
    let lines: Vec<String> = keys.iter().map(line).collect();
    keep::replace(path, lines.concat().as_bytes())
}

#[cfg(unix)]
fn is_exposed(meta: &std::fs::Metadata) -> bool {
    std::os::unix::fs::PermissionsExt::mode(&meta.permissions()) & 0o077 != 0
}

#[cfg(not(unix))]
fn is_exposed(_: &std::fs::Metadata) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use rillcast_protocol::id::{PeerId, SwarmId};
    use rillcast_protocol::ticket::{Revocations, SignedRevocations};

    use super::*;

    fn list(number: u64) -> Revocations {
        let peers = List::clipped([PeerId([1; 16])]);
        Revocations { swarm: SwarmId([2; 16]), number, peers, void_until_ms: 0 }
    }

    #[test]
    fn a_key_is_made_once_and_kept_for_its_owner_alone() {
        let dir = tempfile::tempdir().expect("dir");
        let path = dir.path().join("authority.keys");
        let made = Authority::open(&path, false).expect("made");
        let found = Authority::open(&path, false).expect("found");
        assert_eq!((made.keys(), made.keys().len()), (found.keys(), 1));
        assert!(found.has_signed(&made.sign(list(1))));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(std::fs::metadata(&path).expect("meta").permissions().mode() & 0o777, 0o600);
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).expect("chmod");
            let error = Authority::open(&path, false).expect_err("exposed");
            assert!(error.to_string().contains("chmod 600"), "{error}");
        }
    }

    #[test]
    fn what_former_keys_signed_counts_on_and_the_newest_key_signs() {
        let dir = tempfile::tempdir().expect("dir");
        let path = dir.path().join("authority.keys");
        let mut signed: Vec<SignedRevocations> = Vec::new();
        for n in 0..=MAX_AUTHORITIES {
            let authority = Authority::open(&path, n > 0).expect("rotates");
            assert_eq!(authority.keys().len(), (n + 1).min(MAX_AUTHORITIES));
            signed.push(authority.sign(list(n as u64)));
            assert_eq!(authority.keys()[0], signed[n].authority, "the newest signs");
            for (age, old) in signed.iter().rev().enumerate() {
                assert_eq!(authority.has_signed(old), age < MAX_AUTHORITIES, "{age} rotations ago");
            }
        }
    }

    #[test]
    fn what_was_changed_or_signed_by_somebody_else_is_not_ours() {
        let (ours, other) = (Authority::fresh().expect("random"), Authority::fresh().expect("random"));
        let good = ours.sign(list(1));
        assert!(ours.has_signed(&good) && !other.has_signed(&good));
        let mut changed = good.clone();
        changed.body.number += 1;
        assert!(!ours.has_signed(&changed));
        let mut claimed = other.sign(list(1));
        claimed.authority = ours.keys()[0];
        assert!(!ours.has_signed(&claimed));
    }

    #[test]
    fn a_broken_file_is_named_with_its_line_and_not_overwritten() {
        let dir = tempfile::tempdir().expect("dir");
        let path = dir.path().join("authority.keys");
        Authority::open(&path, true).expect("made");
        let text = std::fs::read_to_string(&path).expect("read") + "not hex\n";
        std::fs::write(&path, &text).expect("write");
        for rotate in [false, true] {
            let error = Authority::open(&path, rotate).expect_err("broken");
            assert!(matches!(error, AuthorityError::Content(_, 2)), "{error}");
        }
        assert_eq!(std::fs::read_to_string(&path).expect("read"), text);
    }
}
