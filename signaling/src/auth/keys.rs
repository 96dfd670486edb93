//! The keys that a site's tokens are verified with. Several at once, so that one can follow another.

use std::fmt;
use std::path::{Path, PathBuf};

use ed25519_dalek::VerifyingKey;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use rillcast_publisher::key::unhex;
use rustls::pki_types::SubjectPublicKeyInfoDer;
use rustls::pki_types::pem::PemObject;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::claims::Claims;
use super::{Denied, crypto};

/// Most keys of one site.
pub const MAX_KEYS: usize = 16;
/// Longest id, in bytes.
pub const MAX_ID: usize = 64;
/// Shortest secret, in bytes: as long as what HS256 makes of it (RFC 7518, 3.2).
pub const MIN_SECRET: usize = 32;
/// Longest secret, in bytes: what is longer is another file.
pub const MAX_SECRET: usize = 4096;

/// What an Ed25519 key begins with as a SubjectPublicKeyInfo (RFC 8410).
const SPKI: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// A key as the settings file names it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct KeyFile {
    /// What tokens call it by (`kid`).
    pub id: String,
    /// An Ed25519 public key: 64 hex digits, or PEM.
    pub public: Option<String>,
    /// A file that holds a secret shared with the backend.
    pub secret_file: Option<PathBuf>,
}

/// Why a key can't be used.
#[derive(Debug, Error)]
pub enum KeyError {
    /// Too many.
    #[error("there are {0} keys, but at most 16 are allowed; take out those whose tokens have expired")]
    Many(usize),
    /// A wrong id.
    #[error("the id {0:?} has to be 1 to 64 letters, digits and signs of ASCII")]
    Id(String),
    /// An id that comes twice.
    #[error("the id {0:?} is there twice; every key needs one of its own")]
    Twice(String),
    /// Nothing, or everything.
    #[error("key {0:?} needs either public (Ed25519) or secret_file (HS256), and not both")]
    Kind(String),
    /// Not a public key.
    #[error(
        "key {0:?}: public is no Ed25519 public key; it has to be 64 hex digits, or PEM that begins with -----BEGIN \
         PUBLIC KEY----- (make one with: rillcast-token keygen)"
    )]
    Public(String),
    /// The private half.
    #[error(
        "key {0:?}: public holds a private key; put the public one there, and make a new pair if others read this file"
    )]
    Private(String),
    /// A file that can't be read.
    #[error("key {id:?}: {path}: {source}; check the path (relative ones begin at the settings file)")]
    File {
        /// The key.
        id: String,
        /// Its file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A secret of a wrong length.
    #[error(
        "key {id:?}: {path} holds {length} bytes, but a secret has to have 32 to 4096 of them; make one with: openssl \
         rand -hex 32"
    )]
    Secret {
        /// The key.
        id: String,
        /// Its file.
        path: PathBuf,
        /// Without the line break at its end.
        length: usize,
    },
    /// A PEM file instead of a secret: were it a public key, anyone could sign.
    #[error("key {id:?}: {path} holds PEM, no shared secret; give an Ed25519 public key as `public`")]
    Pem {
        /// The key.
        id: String,
        /// Its file.
        path: PathBuf,
    },
    /// A secret that everybody on the machine may read.
    #[error("key {id:?}: {path} can be read by everybody on this machine; run: chmod o-rwx {path}")]
    Exposed {
        /// The key.
        id: String,
        /// Its file.
        path: PathBuf,
    },
}

/// One key, ready to verify.
struct Key {
    id: String,
    decoding: DecodingKey,
    validation: Validation,
}

/// All keys of a site. Without any, the site is open.
#[derive(Default)]
pub struct Keyring(Vec<Key>);

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|key| &key.id)).finish()
    }
}

impl KeyFile {
    /// Makes relative paths begin at this directory.
    pub fn resolve(&mut self, dir: &Path) {
        if let Some(path) = &mut self.secret_file {
            *path = dir.join(&*path);
        }
    }

    fn load(&self) -> Result<Key, KeyError> {
        let id = || self.id.clone();
        if !(1..=MAX_ID).contains(&self.id.len()) || !self.id.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(KeyError::Id(id()));
        }
        let (decoding, algorithm) = match (&self.public, &self.secret_file) {
            (Some(text), None) if text.contains("PRIVATE KEY") => return Err(KeyError::Private(id())),
            (Some(text), None) => {
                let public = public_key(text).ok_or_else(|| KeyError::Public(id()))?;
                (DecodingKey::from_ed_der(&public), Algorithm::EdDSA)
            }
            (None, Some(path)) => (DecodingKey::from_secret(&read_secret(&self.id, path)?), Algorithm::HS256),
            _ => return Err(KeyError::Kind(id())),
        };
        let mut validation = Validation::new(algorithm);
        // Claims are our own business: what is allowed is compared with a join, and has messages of its own.
        validation.required_spec_claims.clear();
        (validation.validate_exp, validation.validate_nbf, validation.validate_aud) = (false, false, false);
        Ok(Key { id: id(), decoding, validation })
    }
}

impl Keyring {
    /// Reads the keys of a site.
    pub fn load(files: &[KeyFile]) -> Result<Self, KeyError> {
        crypto::install();
        if files.len() > MAX_KEYS {
            return Err(KeyError::Many(files.len()));
        }
        let mut keys: Vec<Key> = Vec::with_capacity(files.len());
        for file in files {
            if keys.iter().any(|k| k.id == file.id) {
                return Err(KeyError::Twice(file.id.clone()));
            }
            keys.push(file.load()?);
        }
        Ok(Self(keys))
    }

    /// Whether there are none: nobody is asked for a token.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The claims of a token that one of the keys has signed, and that key's id.
    pub fn verify(&self, token: &[u8]) -> Result<(Claims, &str), Denied> {
        if token.is_empty() {
            return Err(Denied::Missing);
        }
        let header = decode_header(token).map_err(|_| Denied::Unreadable)?;
        if header.crit.is_some() {
            // What has to be understood isn't (RFC 7515, 4.1.11).
            return Err(Denied::Unreadable);
        }
        let named = |key: &&Key| header.kid.as_ref().is_none_or(|kid| *kid == key.id);
        let mut denied = Denied::UnknownKey;
        for key in self.0.iter().filter(named) {
            match decode::<Claims>(token, &key.decoding, &key.validation) {
                Ok(data) => return Ok((data.claims, &key.id)),
                Err(error) => match error.into_kind() {
                    // Claims are looked at after the signature.
                    ErrorKind::Json(error) => return Err(Denied::Claims(error.to_string())),
                    _ => denied = Denied::Signature,
                },
            }
        }
        Err(denied)
    }
}

/// An Ed25519 public key that is worth something: with one of small order anybody could sign.
pub fn public_key(text: &str) -> Option<[u8; 32]> {
    let text = text.trim();
    let bytes = match unhex(text) {
        Some(bytes) => bytes,
        None => {
            let der = SubjectPublicKeyInfoDer::from_pem_slice(text.as_bytes()).ok()?;
            der.strip_prefix(&SPKI)?.try_into().ok()?
        }
    };
    let key = VerifyingKey::from_bytes(&bytes).ok()?;
    (!key.is_weak()).then_some(bytes)
}

/// A shared secret: the file's bytes as they are, but for a line break at the end.
pub fn read_secret(id: &str, path: &Path) -> Result<Vec<u8>, KeyError> {
    let (id, path) = (|| id.to_owned(), || path.to_owned());
    let failed = |source| KeyError::File { id: id(), path: path(), source };
    let meta = std::fs::metadata(path()).map_err(failed)?;
    if exposed(&meta) {
        return Err(KeyError::Exposed { id: id(), path: path() });
    }
    if meta.len() > 2 * MAX_SECRET as u64 {
        return Err(KeyError::Secret { id: id(), path: path(), length: meta.len() as usize });
    }
    let mut secret = std::fs::read(path()).map_err(failed)?;
    for end in [b'\n', b'\r'] {
        if secret.last() == Some(&end) {
            secret.pop();
        }
    }
    if secret.starts_with(b"-----BEGIN ") {
        return Err(KeyError::Pem { id: id(), path: path() });
    }
    if !(MIN_SECRET..=MAX_SECRET).contains(&secret.len()) {
        return Err(KeyError::Secret { id: id(), path: path(), length: secret.len() });
    }
    Ok(secret)
}

/// Groups are let through: that is how secrets are mounted into containers.
#[cfg(unix)]
fn exposed(meta: &std::fs::Metadata) -> bool {
    std::os::unix::fs::PermissionsExt::mode(&meta.permissions()) & 0o007 != 0
}

#[cfg(not(unix))]
fn exposed(_: &std::fs::Metadata) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::mint::Minter;

    fn public(id: &str, public: &str) -> KeyFile {
        KeyFile { id: id.to_owned(), public: Some(public.to_owned()), secret_file: None }
    }

    fn secret(id: &str, path: &Path) -> KeyFile {
        KeyFile { id: id.to_owned(), public: None, secret_file: Some(path.to_owned()) }
    }

    fn refusal(files: &[KeyFile]) -> String {
        Keyring::load(files).expect_err("refused").to_string()
    }

    /// Writes a file as `rillcast-token` and `umask 077` would.
    fn write(dir: &Path, name: &str, bytes: &[u8]) -> PathBuf {
        let path = dir.join(name);
        std::fs::write(&path, bytes).expect("write");
        #[cfg(unix)]
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o640)).expect("chmod");
        path
    }

    #[test]
    fn what_is_wrong_with_a_key_is_named_with_the_remedy() {
        let good = Minter::from_seed(&[3; 32], None).public().expect("a pair");
        let private = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIA==\n-----END PRIVATE KEY-----\n";
        let rsa =
            "-----BEGIN PUBLIC KEY-----\nMFwwDQYJKoZIhvcNAQEBBQADSwAwSAJBAK==\n-----END PUBLIC KEY-----\n";
        let both = KeyFile { secret_file: Some("x".into()), ..public("a", &good) };
        let none = KeyFile { public: None, ..public("a", "") };
        let many: Vec<_> = (0..17).map(|n| public(&format!("k{n}"), &good)).collect();
        for (files, remedy) in [
            (vec![public("a", &"0".repeat(64))], "keygen"),
            (vec![public("a", &good[1..])], "64 hex digits"),
            (vec![public("a", rsa)], "Ed25519"),
            (vec![public("a", private)], "public one"),
            (vec![both], "not both"),
            (vec![none], "either public"),
            (vec![public("", &good)], "1 to 64"),
            (vec![public(&"k".repeat(65), &good)], "1 to 64"),
            (vec![public("a b", &good)], "1 to 64"),
            (vec![public("a", &good), public("a", &good)], "twice"),
            (vec![secret("a", Path::new("/nonexistent/secret"))], "check the path"),
            (many.clone(), "at most 16"),
        ] {
            let said = refusal(&files);
            assert!(said.contains(remedy), "{said}");
        }
        assert!(Keyring::load(&many[..16]).is_ok());
        assert!(Keyring::load(&[public(&"k".repeat(64), &good)]).is_ok());
    }

    #[test]
    fn secrets_have_a_length_and_are_nobody_elses() {
        let dir = tempfile::tempdir().expect("dir");
        let file = |bytes: &[u8]| secret("a", &write(dir.path(), "secret", bytes));
        for (bytes, length) in
            [(&[7; 31][..], "31 bytes"), (&[b'x'; 4097], "4097 bytes"), (&[b'x'; 9000], "9000")]
        {
            let said = refusal(&[file(bytes)]);
            assert!(said.contains(length) && said.contains("openssl rand"), "{said}");
        }
        for bytes in [&[7; 32][..], &[b'x'; 4096]] {
            assert!(Keyring::load(&[file(bytes)]).is_ok());
        }
        let line = |end: &str| file(format!("{}{end}", "x".repeat(31)).as_bytes());
        assert!(refusal(&[line("\r\n")]).contains("31 bytes"), "the line break doesn't count");
        let pem = format!("-----BEGIN PUBLIC KEY-----\n{}\n", "x".repeat(60));
        assert!(refusal(&[file(pem.as_bytes())]).contains("as `public`"));
        #[cfg(unix)]
        {
            let path = write(dir.path(), "open", &[b'x'; 40]);
            std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o644))
                .expect("chmod");
            assert!(refusal(&[secret("a", &path)]).contains("chmod o-rwx"));
        }
    }

    #[test]
    fn secrets_are_never_shown() {
        let dir = tempfile::tempdir().expect("dir");
        let hidden = "correct-horse-battery-staple-0123456789";
        let file = secret("a", &write(dir.path(), "secret", hidden.as_bytes()));
        let keys = Keyring::load(std::slice::from_ref(&file)).expect("good");
        assert_eq!(format!("{keys:?}"), "[\"a\"]");
        assert!(!format!("{file:?} {keys:#?}").contains("horse"));
        let short = secret("a", &write(dir.path(), "short", b"correct-horse"));
        assert!(!refusal(&[short]).contains("horse"));
    }

    #[test]
    fn pem_and_hex_are_the_same_key() {
        let pair = Minter::from_seed(&[3; 32], None);
        let (hex, pem) = (pair.public().expect("a pair"), pair.public_pem().expect("a pair"));
        assert_eq!(public_key(&hex), public_key(&pem));
        assert!(public_key(&hex).is_some());
    }
}
