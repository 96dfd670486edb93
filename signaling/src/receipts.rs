//! The log of receipts (R60): of each visit that gave something one line of JSON, with the receivers' signed words for it.
//!
//! A line is written when its peer leaves. Whoever has the authority's public key can check it: `rillcast-receipts`.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use ed25519_dalek::{Signature, VerifyingKey};
use rillcast_protocol::coding::Wire;
use rillcast_protocol::id::AuthorityKey;
use rillcast_protocol::receipt::Voucher;
use rillcast_protocol::ticket::statement_bytes;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A line.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Line {
    /// When the peer left, in milliseconds since 1970.
    pub at: u64,
    /// The site.
    pub site: String,
    /// What was watched, as the peer named it.
    pub content: String,
    /// The peer: 32 hex digits.
    pub peer: String,
    /// The user, where a token named one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// `viewer` or `seed`.
    pub role: String,
    /// Bytes that receivers have vouched for in all.
    pub bytes: u64,
    /// Vouchers, in hex: of those who had most.
    pub vouchers: Vec<String>,
}

/// Why a line isn't kept.
#[derive(Debug, Error)]
#[error("log of receipts {path}: {source}; make room, or look at the permissions")]
pub struct ReceiptsError {
    path: PathBuf,
    source: std::io::Error,
}

/// The log.
#[derive(Debug, Default)]
pub struct Receipts(Option<Mutex<(PathBuf, File)>>);

impl Receipts {
    /// A log in a file; it is only ever added to.
    pub fn open(path: &Path) -> Result<Self, ReceiptsError> {
        let file = append(path).map_err(|source| ReceiptsError { path: path.to_owned(), source })?;
        Ok(Self(Some(Mutex::new((path.to_owned(), file)))))
    }

    /// Whether there is a log.
    pub fn is_kept(&self) -> bool {
        self.0.is_some()
    }

    /// Opens the file anew: it may have been renamed.
    pub fn reopen(&self) -> Result<(), ReceiptsError> {
        let Some(log) = &self.0 else { return Ok(()) };
        let (path, file) = &mut *log.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        *file = append(path).map_err(|source| ReceiptsError { path: path.clone(), source })?;
        Ok(())
    }

    /// Adds a line.
    pub fn write(&self, line: &Line) -> Result<(), ReceiptsError> {
        let Some(log) = &self.0 else { return Ok(()) };
        let mut text = serde_json::to_vec(line).unwrap_or_default();
        text.push(b'\n');
        let (path, file) = &mut *log.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        // In one call, so that lines stay whole.
        file.write_all(&text).map_err(|source| ReceiptsError { path: path.clone(), source })
    }
}

fn append(path: &Path) -> std::io::Result<File> {
    let mut options = File::options();
    options.append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// A voucher as a line has it.
pub fn to_hex(voucher: &Voucher) -> String {
    voucher.to_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Why a voucher in the log says nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Worthless {
    /// Not hex, or no voucher.
    #[error("it can't be read")]
    Unreadable,
    /// Another peer's.
    #[error("it isn't for this peer")]
    Giver,
    /// Receipt and ticket don't belong together.
    #[error("its ticket is somebody else's")]
    Unsound,
    /// None of the given keys signed the ticket.
    #[error("its ticket isn't signed by any of these authorities")]
    Authority,
    /// Not the receiver's.
    #[error("its receiver hasn't signed it")]
    Signature,
}

/// Checks one voucher of a line: the bytes that it speaks for.
pub fn check(voucher: &str, peer: &str, authorities: &[AuthorityKey]) -> Result<u64, Worthless> {
    let bytes = bytes_of(voucher).ok_or(Worthless::Unreadable)?;
    let voucher = Voucher::from_bytes(&bytes).map_err(|_| Worthless::Unreadable)?;
    if voucher.receipt.giver.to_string() != peer {
        return Err(Worthless::Giver);
    }
    let session = voucher.ticket.body.session.filter(|_| voucher.is_sound()).ok_or(Worthless::Unsound)?;
    let signed = |key: &[u8; 32], message: &[u8], signature: &[u8; 64]| {
        VerifyingKey::from_bytes(key)
            .is_ok_and(|key| key.verify_strict(message, &Signature::from_bytes(signature)).is_ok())
    };
    let ticket = &voucher.ticket;
    if !authorities.contains(&ticket.authority)
        || !signed(&ticket.authority.0, &ticket.signed_bytes(), &ticket.signature)
    {
        return Err(Worthless::Authority);
    }
    if !signed(&session.0, &statement_bytes(&voucher.receipt), &voucher.signature) {
        return Err(Worthless::Signature);
    }
    Ok(voucher.receipt.bytes)
}

/// Bytes from hex digits.
pub fn bytes_of(hex: &str) -> Option<Vec<u8>> {
    if !hex.is_ascii() || !hex.len().is_multiple_of(2) {
        return None;
    }
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).ok()).collect()
}
