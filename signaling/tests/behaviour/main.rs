//! The server's behaviour, seen from outside. One binary, so that it links once.

mod bundle;
mod digests;
mod http;
mod kit;
mod limits;
mod meeting;
mod properties;
mod publishing;
mod sites;
mod start;
