//! Results for people: tables, charts, a page.

pub(crate) mod agent;
pub(crate) mod attack;
pub(crate) mod chart;
pub(crate) mod ingest;
pub(crate) mod nat;
pub(crate) mod page;
pub(crate) mod seed;
pub(crate) mod svg;
pub(crate) mod table;
pub(crate) mod upgrade;
pub(crate) mod uplink;
