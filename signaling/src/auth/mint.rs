//! Making tokens and the keys they are signed with: what a site's backend does.

use std::fmt;
use std::path::{Path, PathBuf};

use ed25519_dalek::SigningKey;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject;
use serde::Serialize;
use thiserror::Error;

use super::crypto;
use super::keys::{KeyError, read_secret};

/// Where an Ed25519 private key's bytes stand in its PKCS #8 form (RFC 8410, 7), and what stands before them behind
/// the version: the public key may follow.
const SEED: usize = 16;
const PKCS8: [u8; 11] = [0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];

/// Why no token is made.
#[derive(Debug, Error)]
pub enum MintError {
    /// A file that can't be read or written.
    #[error("{0}: {1}; check the path and its permissions")]
    File(PathBuf, std::io::Error),
    /// The file is there already.
    #[error(
        "{0} is there already; a key isn't overwritten: name another file, or remove it if nothing uses it"
    )]
    Exists(PathBuf),
    /// Not a private key.
    #[error("{0} holds no Ed25519 private key in PEM form; make one with: rillcast-token keygen")]
    Private(PathBuf),
    /// Not a secret.
    #[error(transparent)]
    Secret(#[from] KeyError),
    /// The library doesn't.
    #[error("the token can't be signed: {0}")]
    Sign(#[from] jsonwebtoken::errors::Error),
}

/// A key that signs tokens.
pub struct Minter {
    key: EncodingKey,
    algorithm: Algorithm,
    pair: Option<SigningKey>,
    id: Option<String>,
}

impl fmt::Debug for Minter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Minter({:?}, {:?})", self.algorithm, self.id)
    }
}

impl Minter {
    /// Signs with EdDSA; `id` becomes the tokens' `kid`.
    pub fn from_seed(seed: &[u8; 32], id: Option<String>) -> Self {
        crypto::install();
        let key = EncodingKey::from_ed_der(seed);
        Self { key, algorithm: Algorithm::EdDSA, pair: Some(SigningKey::from_bytes(seed)), id }
    }

    /// Signs with HS256.
    pub fn from_secret(secret: &[u8], id: Option<String>) -> Self {
        crypto::install();
        let key = EncodingKey::from_secret(secret);
        Self { key, algorithm: Algorithm::HS256, pair: None, id }
    }

    /// Signs with what a file holds: an Ed25519 private key in PEM form, or else a shared secret.
    pub fn from_file(path: &Path, id: Option<String>) -> Result<Self, MintError> {
        let bytes = std::fs::read(path).map_err(|e| MintError::File(path.to_owned(), e))?;
        if !bytes.starts_with(b"-----BEGIN ") {
            let name = id.clone().unwrap_or_default();
            return Ok(Self::from_secret(&read_secret(&name, path)?, id));
        }
        let der = PrivatePkcs8KeyDer::from_pem_slice(&bytes);
        let seed = der.as_ref().ok().and_then(|der| seed(der.secret_pkcs8_der()));
        seed.map(|seed| Self::from_seed(&seed, id)).ok_or_else(|| MintError::Private(path.to_owned()))
    }

    /// Signs claims, which it doesn't look at.
    pub fn mint(&self, claims: &impl Serialize) -> Result<String, MintError> {
        let header = Header { kid: self.id.clone(), ..Header::new(self.algorithm) };
        Ok(encode(&header, claims, &self.key)?)
    }

    /// The public key as 64 hex digits; a shared secret has none.
    pub fn public(&self) -> Option<String> {
        let public = self.pair.as_ref()?.verifying_key().to_bytes();
        Some(public.iter().map(|b| format!("{b:02x}")).collect())
    }

    /// The public key in PEM form; a shared secret has none.
    pub fn public_pem(&self) -> Option<String> {
        let mut der = vec![0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
        der.extend(self.pair.as_ref()?.verifying_key().to_bytes());
        Some(pem("PUBLIC KEY", &der))
    }

    /// The private key in PEM form, as other tools read it; a shared secret has none.
    pub fn private_pem(&self) -> Option<String> {
        let mut der = vec![0x30, 0x2e, 0x02, 0x01, 0x00];
        der.extend(PKCS8);
        der.extend(self.pair.as_ref()?.to_bytes());
        Some(pem("PRIVATE KEY", &der))
    }

    /// Writes the private key to a new file that only its owner may read.
    pub fn save(&self, path: &Path) -> Result<(), MintError> {
        use std::io::Write;
        let pem = self.private_pem().ok_or_else(|| MintError::Private(path.to_owned()))?;
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let written = options.open(path).and_then(|mut file| {
            file.write_all(pem.as_bytes())?;
            file.sync_all()
        });
        written.map_err(|error| match error.kind() {
            std::io::ErrorKind::AlreadyExists => MintError::Exists(path.to_owned()),
            _ => MintError::File(path.to_owned(), error),
        })
    }
}

fn seed(der: &[u8]) -> Option<[u8; 32]> {
    let (head, rest) = der.split_at_checked(SEED)?;
    let of_the_kind = head[0] == 0x30 && head[2..4] == [0x02, 0x01] && head[4] <= 1 && head[5..] == PKCS8;
    of_the_kind.then(|| rest.get(..32)?.try_into().ok()).flatten()
}

/// RFC 7468. A key is one line of base64 long.
fn pem(kind: &str, der: &[u8]) -> String {
    format!("-----BEGIN {kind}-----\n{}\n-----END {kind}-----\n", base64(der))
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let mut three = [0; 3];
        three[..chunk.len()].copy_from_slice(chunk);
        let bits = u32::from_be_bytes([0, three[0], three[1], three[2]]);
        for n in 0..4 {
            let digit = DIGITS[(bits >> (18 - 6 * n) & 63) as usize];
            text.push(if n > chunk.len() { '=' } else { char::from(digit) });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::claims::Claims;
    use crate::auth::keys::{KeyFile, Keyring};

    #[test]
    fn base64_is_that_of_the_rfc() {
        // RFC 4648, 10.
        for (bytes, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
    }

    #[test]
    fn a_saved_key_is_found_again_and_never_overwritten() {
        let dir = tempfile::tempdir().expect("dir");
        let path = dir.path().join("site.pem");
        let made = Minter::from_seed(&[5; 32], None);
        made.save(&path).expect("saved");
        let found = Minter::from_file(&path, Some("k".to_owned())).expect("found");
        assert_eq!(found.public(), made.public());
        #[cfg(unix)]
        {
            let meta = std::fs::metadata(&path).expect("meta");
            assert_eq!(std::os::unix::fs::PermissionsExt::mode(&meta.permissions()) & 0o777, 0o600);
        }
        assert!(matches!(made.save(&path), Err(MintError::Exists(_))));
        let keys = [KeyFile { id: "k".to_owned(), public: made.public_pem(), secret_file: None }];
        let token = found.mint(&Claims::new("demo", 7)).expect("signed");
        let keys = Keyring::load(&keys).expect("good");
        assert_eq!(keys.verify(token.as_bytes()), Ok((Claims::new("demo", 7), "k")));
        assert!(!format!("{made:?}{found:?}").contains(&"05".repeat(4)));
    }

    #[test]
    fn a_key_in_the_longer_form_of_other_tools_is_read() {
        // RFC 8410, 10.3, second example: with attributes and the public key.
        let pem = "-----BEGIN PRIVATE KEY-----\n\
                   MHICAQEwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n\
                   oB8wHQYKKoZIhvcNAQkJFDEPDA1DdXJkbGUgQ2hhaXJzgSEAGb9ECWmEzf6FQbrB\n\
                   Z9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PRIVATE KEY-----\n";
        let dir = tempfile::tempdir().expect("dir");
        let path = dir.path().join("other.pem");
        std::fs::write(&path, pem).expect("write");
        let key = Minter::from_file(&path, None).expect("read");
        let public = "19bf44096984cdfe8541bac167dc3b96c85086aa30b6b6cb0c5c38ad703166e1";
        assert_eq!(key.public().as_deref(), Some(public));
        std::fs::write(&path, pem.replace("K2Vw", "K2Vx")).expect("write");
        assert!(matches!(Minter::from_file(&path, None), Err(MintError::Private(_))));
    }
}
