//! The log of receipts (R60): of each visit that gave something one line of JSON, with the receivers' signed words for it.
//!
//! A line is written when its peer leaves, and sealed: the authority signs it, so that nobody can change afterwards what receivers haven't signed
//! (who the user was, say). Whoever has the authority's public key can check both: `rillcast-receipts`.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use ed25519_dalek::{Signature, VerifyingKey};
use rillcast_protocol::coding::Wire;
use rillcast_protocol::id::AuthorityKey;
use rillcast_protocol::receipt::{Receipt, Voucher};
use rillcast_protocol::ticket::{Signed, Statement, statement_bytes};
use rillcast_protocol::wire_struct;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::authority::Authority;

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

/// A line as it stands in the log.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Sealed {
    /// The line.
    #[serde(flatten)]
    pub line: Line,
    /// The authority's word that it has written this line: a [`Seal`] with its signature, in hex.
    pub seal: String,
}

wire_struct! {
    /// What the authority signs of a line.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Seal {
        /// BLAKE3 of its JSON.
        pub line: [u8; 32],
    }
}

impl Statement for Seal {
    const DOMAIN: &'static [u8] = b"rillcast receipts line v1\0";
}

impl Seal {
    fn of(line: &Line) -> Self {
        // Fields are written in the order of their declaration, so a line that is read and written again is the same.
        Self { line: *blake3::hash(&serde_json::to_vec(line).unwrap_or_default()).as_bytes() }
    }
}

impl Sealed {
    /// Seals a line.
    pub fn new(line: Line, authority: &Authority) -> Self {
        let seal = hex(&authority.sign(Seal::of(&line)).to_bytes());
        Self { line, seal }
    }

    /// Whether one of these authorities has written exactly this line.
    pub fn is_whole(&self, authorities: &[AuthorityKey]) -> bool {
        let seal = bytes_of(&self.seal).and_then(|bytes| Signed::<Seal>::from_bytes(&bytes).ok());
        seal.is_some_and(|seal| {
            seal.body == Seal::of(&self.line)
                && authorities.contains(&seal.authority)
                && is_signed(&seal.authority.0, &seal.signed_bytes(), &seal.signature)
        })
    }
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
    pub fn write(&self, line: &Sealed) -> Result<(), ReceiptsError> {
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
    hex(&voucher.to_bytes())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn is_signed(key: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> bool {
    VerifyingKey::from_bytes(key)
        .is_ok_and(|key| key.verify_strict(message, &Signature::from_bytes(signature)).is_ok())
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

/// Checks one voucher of a line: the receipt that it is.
pub fn check(voucher: &str, peer: &str, authorities: &[AuthorityKey]) -> Result<Receipt, Worthless> {
    let bytes = bytes_of(voucher).ok_or(Worthless::Unreadable)?;
    let voucher = Voucher::from_bytes(&bytes).map_err(|_| Worthless::Unreadable)?;
    if voucher.receipt.giver.to_string() != peer {
        return Err(Worthless::Giver);
    }
    let session = voucher.ticket.body.session.filter(|_| voucher.is_sound()).ok_or(Worthless::Unsound)?;
    let ticket = &voucher.ticket;
    if !authorities.contains(&ticket.authority)
        || !is_signed(&ticket.authority.0, &ticket.signed_bytes(), &ticket.signature)
    {
        return Err(Worthless::Authority);
    }
    if !is_signed(&session.0, &statement_bytes(&voucher.receipt), &voucher.signature) {
        return Err(Worthless::Signature);
    }
    Ok(voucher.receipt)
}

/// Bytes from hex digits.
pub fn bytes_of(hex: &str) -> Option<Vec<u8>> {
    if !hex.is_ascii() || !hex.len().is_multiple_of(2) {
        return None;
    }
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).ok()).collect()
}
