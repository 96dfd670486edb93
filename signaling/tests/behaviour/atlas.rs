//! Databases of countries and providers, made by the tests themselves.

use std::net::{IpAddr, Ipv6Addr};
use std::path::Path;

use maxminddb_writer::Database;
use maxminddb_writer::metadata::IpVersion;
use maxminddb_writer::paths::IpAddrWithMask;
use serde::Serialize;

/// Writes a database of these ranges and records; as real ones do, it holds IPv4 below `::/96`.
pub(crate) fn write(path: &Path, kind: &str, records: &[(&str, Record)]) {
    let mut database = Database::default();
    database.metadata.ip_version = IpVersion::V6;
    database.metadata.database_type = kind.to_owned();
    database.metadata.binary_format_major_version = 2;
    for (range, record) in records {
        let (address, length) = range.split_once('/').expect("a range");
        let (address, length): (IpAddr, u8) =
            (address.parse().expect("an address"), length.parse().expect("a length"));
        let place = match address {
            IpAddr::V4(v4) => {
                IpAddrWithMask::new(Ipv6Addr::from(u128::from(u32::from(v4))).into(), length + 96)
            }
            v6 => IpAddrWithMask::new(v6, length),
        };
        let record = database.insert_value(record).expect("a record");
        database.insert_node(place, record);
    }
    database.write_to(std::fs::File::create(path).expect("creates")).expect("writes");
}

/// What a database says of a range.
#[derive(Serialize)]
pub(crate) struct Record {
    #[serde(skip_serializing_if = "Option::is_none")]
    country: Option<Iso>,
    #[serde(skip_serializing_if = "Option::is_none")]
    autonomous_system_number: Option<u32>,
}

#[derive(Serialize)]
struct Iso {
    iso_code: String,
}

/// A record of a database that tells both.
pub(crate) fn at(country: &str, asn: u32) -> Record {
    Record { autonomous_system_number: Some(asn), ..country_alone(country) }
}

pub(crate) fn country_alone(country: &str) -> Record {
    Record { country: Some(Iso { iso_code: country.to_owned() }), autonomous_system_number: None }
}

pub(crate) fn asn_alone(asn: u32) -> Record {
    Record { country: None, autonomous_system_number: Some(asn) }
}

pub(crate) fn nothing() -> Record {
    Record { country: None, autonomous_system_number: None }
}
