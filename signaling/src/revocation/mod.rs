//! Revocations (R36, H1): users, tokens, keys and peers that a site lets in no more, at once and until some time or for good.
//!
//! Each site has a list with a number that grows with every change, so that of two copies the newer one is told by its
//! number alone; that is what can be signed and passed on among peers. The list holds what counts, not what happened: an
//! entry whose time is over or that is taken back is gone.
//!
//! - [`list`]: the lists
//! - [`store`]: the lists in memory and in a file

pub mod list;
pub mod store;

pub use list::{Entry, Kind, Request, RevocationError, SiteList};
pub use store::{Store, StoreError};
