//! The publisher against an origin that behaves, and against one that doesn't.

mod copies;
mod dash;
mod edge;
mod kit;
mod limits;
mod mirrors;
mod order;
mod origin;
mod parts;
mod playlist;
mod vod;
