//! The publisher against an origin that behaves, and against one that doesn't.

mod edge;
mod kit;
mod limits;
mod origin;
mod playlist;
mod vod;
