//! Where an address is: its country and its provider (autonomous system), as the operator's own databases tell.
//!
//! The server brings no database and asks nobody: files in MaxMind's format (GeoLite2, GeoIP2, DB-IP and others come so)
//! are named on the command line. One file may serve for both. Whatever can't be told is unknown, and unknown is never
//! taken for allowed: a token that is bound to a country opens nothing from an unknown one.
//!
//! - [`database`]: one file

use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use thiserror::Error;

pub mod database;

use database::Database;
pub use database::GeoError;

/// A country: two letters of ISO 3166, capital.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Country([u8; 2]);

/// Why a text is no country.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0:?} is no country; write the two letters of ISO 3166, such as SE")]
pub struct NoCountry(String);

impl TryFrom<&str> for Country {
    type Error = NoCountry;

    fn try_from(text: &str) -> Result<Self, NoCountry> {
        match text.as_bytes() {
            [a, b] if a.is_ascii_alphabetic() && b.is_ascii_alphabetic() => {
                Ok(Self([a.to_ascii_uppercase(), b.to_ascii_uppercase()]))
            }
            _ => Err(NoCountry(text.to_owned())),
        }
    }
}

impl TryFrom<String> for Country {
    type Error = NoCountry;

    fn try_from(text: String) -> Result<Self, NoCountry> {
        text.as_str().try_into()
    }
}

impl std::str::FromStr for Country {
    type Err = NoCountry;

    fn from_str(text: &str) -> Result<Self, NoCountry> {
        text.try_into()
    }
}

impl From<Country> for String {
    fn from(country: Country) -> Self {
        country.to_string()
    }
}

impl fmt::Display for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|letter| write!(f, "{}", char::from(*letter)))
    }
}

impl Country {
    /// Its letters.
    pub fn letters(&self) -> [u8; 2] {
        self.0
    }
}

/// Where somebody is, as far as it is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The country.
    pub country: Option<Country>,
    /// The number of the provider's autonomous system.
    pub asn: Option<u32>,
}

/// What can be told at all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tells {
    /// There is a database of countries.
    pub countries: bool,
    /// There is a database of providers.
    pub asns: bool,
}

/// The databases' files, as the command line names them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GeoFiles {
    /// Tells countries.
    pub country: Option<PathBuf>,
    /// Tells providers.
    pub asn: Option<PathBuf>,
}

impl GeoFiles {
    /// Reads them. Takes as long as some hundred megabytes take.
    pub fn load(&self) -> Result<Geo, GeoError> {
        let open = |path: &Path| Database::open(path).map(Arc::new);
        let country = self.country.as_deref().map(open).transpose()?;
        let asn = match (&self.asn, &country) {
            (Some(path), Some(same)) if self.country.as_ref() == Some(path) => Some(same.clone()),
            (Some(path), _) => Some(open(path)?),
            (None, _) => None,
        };
        if let Some(database) = &country {
            database.must_tell_countries()?;
        }
        if let Some(database) = &asn {
            database.must_tell_asns()?;
        }
        Ok(Geo { country, asn })
    }

    /// What the files will tell.
    pub fn tells(&self) -> Tells {
        Tells { countries: self.country.is_some(), asns: self.asn.is_some() }
    }

    /// Their paths.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.country.iter().chain(&self.asn).map(PathBuf::as_path)
    }
}

/// The databases, in memory.
#[derive(Debug, Default)]
pub struct Geo {
    country: Option<Arc<Database>>,
    asn: Option<Arc<Database>>,
}

impl Geo {
    /// Where an address is.
    pub fn locate(&self, address: IpAddr) -> Place {
        let address = address.to_canonical();
        Place {
            country: self.country.as_ref().and_then(|database| database.country(address)),
            asn: self.asn.as_ref().and_then(|database| database.asn(address)),
        }
    }

    /// What can be told at all.
    pub fn tells(&self) -> Tells {
        Tells { countries: self.country.is_some(), asns: self.asn.is_some() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_country_is_two_letters() {
        for (text, read) in [("SE", "SE"), ("se", "SE"), ("De", "DE")] {
            assert_eq!(Country::try_from(text).expect("a country").to_string(), read);
        }
        for text in ["", "S", "SWE", "S1", "Sverige", "é"] {
            let said = Country::try_from(text).expect_err("none").to_string();
            assert!(said.contains("ISO 3166"), "{said}");
        }
    }
}
