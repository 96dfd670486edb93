//! One database file in MaxMind's format.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use maxminddb::{MaxMindDbError, PathElement, Reader, WithinOptions};
use thiserror::Error;

use super::Country;

/// Records looked at to find out what a file tells. The first of a real one tells it already.
const LOOKED_AT: usize = 10_000;
/// Where a country stands in a record.
const COUNTRY: [PathElement<'static>; 2] = [PathElement::Key("country"), PathElement::Key("iso_code")];
/// Where an autonomous system's number stands in a record.
const ASN: [PathElement<'static>; 1] = [PathElement::Key("autonomous_system_number")];

/// Why a database can't be used.
#[derive(Debug, Error)]
pub enum GeoError {
    /// The file can't be read.
    #[error("{path}: {source}; check the path and its permissions")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// It is something else, or not whole.
    #[error(
        "{path}: {source}; it has to be a whole, unpacked database in MaxMind's format (.mmdb), such as GeoLite2-Country"
    )]
    Form {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: MaxMindDbError,
    },
    /// A database of something else.
    #[error("{path}: no record of this database ({kind}) has {field}; give {flag} a database that tells it")]
    Lacks {
        /// The file.
        path: PathBuf,
        /// What it calls itself.
        kind: String,
        /// What is looked for.
        field: &'static str,
        /// The flag that names the file.
        flag: &'static str,
    },
}

/// A database, read whole: one that is overwritten under us does no harm.
#[derive(Debug)]
pub struct Database {
    path: PathBuf,
    reader: Reader<Vec<u8>>,
}

impl Database {
    /// Reads a file.
    pub fn open(path: &Path) -> Result<Self, GeoError> {
        let bytes = std::fs::read(path).map_err(|source| GeoError::Read { path: path.to_owned(), source })?;
        let reader =
            Reader::from_source(bytes).map_err(|source| GeoError::Form { path: path.to_owned(), source })?;
        Ok(Self { path: path.to_owned(), reader })
    }

    /// The country of an address.
    pub fn country(&self, address: IpAddr) -> Option<Country> {
        let letters: &str = self.reader.lookup(address).ok()?.decode_path(&COUNTRY).ok()??;
        letters.try_into().ok()
    }

    /// The autonomous system of an address.
    pub fn asn(&self, address: IpAddr) -> Option<u32> {
        self.reader.lookup(address).ok()?.decode_path(&ASN).ok()?
    }

    /// An error unless some record names a country: another database in its place would silently know nothing.
    pub(super) fn must_tell_countries(&self) -> Result<(), GeoError> {
        self.must_tell::<&str>(&COUNTRY, "country.iso_code", "--geo-country")
    }

    /// An error unless some record names an autonomous system.
    pub(super) fn must_tell_asns(&self) -> Result<(), GeoError> {
        self.must_tell::<u32>(&ASN, "autonomous_system_number", "--geo-asn")
    }

    fn must_tell<'a, T: serde::Deserialize<'a>>(
        &'a self,
        at: &[PathElement<'_>],
        field: &'static str,
        flag: &'static str,
    ) -> Result<(), GeoError> {
        let form = |source| GeoError::Form { path: self.path.clone(), source };
        for record in self.reader.networks(WithinOptions::default()).map_err(form)?.take(LOOKED_AT) {
            if matches!(record.map_err(form)?.decode_path::<T>(at), Ok(Some(_))) {
                return Ok(());
            }
        }
        let kind = self.reader.metadata().database_type.clone();
        Err(GeoError::Lacks { path: self.path.clone(), kind, field, flag })
    }
}
