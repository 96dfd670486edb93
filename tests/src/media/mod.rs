//! The media that origin, demo and benches play: a bitrate ladder cut into segments, prepared once by ffmpeg
//! and kept in a cache, and the rewriting that makes an endless stream of it.
//!
//! A ladder is encoded with some seconds before and after the part that is kept, so that the kept part is
//! *periodic*: the audio frame grid, the multiplexing and the segment boundaries at its end continue exactly as
//! they stand at its beginning. Looping is then a matter of adding a constant to every timestamp
//! ([`ts`], [`mp4`]), and no discontinuity is needed.

mod encode;
mod library;
pub mod mp4;
mod probe;
mod spec;
pub mod ts;

pub use library::{Container, Library, Rendition};
pub use spec::{MediaSpec, Rung, Source};
