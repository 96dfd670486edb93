//! What whole-system tests, benches and the demo stand on: prepared media, an origin that counts its bytes and
//! fails on request, a laboratory of network namespaces, and browsers driven from Rust.

pub mod bench;
pub mod browser;
pub mod demo;
pub mod hostile;
pub mod media;
pub mod native;
pub mod netlab;
pub mod origin;
pub mod progress;
pub mod scene;
pub mod services;
pub mod site;
pub mod traversal;
pub mod trials;
