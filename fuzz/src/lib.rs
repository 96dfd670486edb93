//! What every decoder of foreign bytes must hold, whatever it is fed (H3). A target is a function of bytes that panics
//! where something doesn't hold: libFuzzer calls it with millions of inputs (`fuzz/libfuzzer`), an ordinary test with
//! those of `fuzz/corpus`.
//!
//! - what peers send: [`peer_message`], [`engine`], [`session`], [`datagram`]
//! - what peers and signaling say to each other: [`server_message`], [`hub`], [`connection`], [`token`]
//! - what origins answer: [`playlist`], [`mpd`]
//! - what operators and their proxies write: [`settings`], [`policy`], [`seed_config`], [`words`]
//!
//! [`feed`] takes structured inputs off the bytes, [`wire`] knows what holds of everything that has a wire form, and
//! [`seeds`] makes the inputs that are better computed than written by hand.

pub mod connection;
pub mod datagram;
pub mod engine;
pub mod feed;
pub mod hub;
pub mod mpd;
pub mod peer_message;
pub mod playlist;
pub mod policy;
pub mod seed_config;
pub mod seeds;
pub mod server_message;
pub mod session;
pub mod settings;
pub mod token;
pub mod wire;
pub mod words;

/// A target: it panics where something doesn't hold.
pub type Target = fn(&[u8]);

/// All targets by name. Each has a folder of this name in `fuzz/corpus` and a program in `fuzz/libfuzzer/targets`.
pub const TARGETS: [(&str, Target); 14] = [
    ("connection", connection::run),
    ("datagram", datagram::run),
    ("engine", engine::run),
    ("hub", hub::run),
    ("mpd", mpd::run),
    ("peer_message", peer_message::run),
    ("playlist", playlist::run),
    ("policy", policy::run),
    ("seed_config", seed_config::run),
    ("server_message", server_message::run),
    ("session", session::run),
    ("settings", settings::run),
    ("token", token::run),
    ("words", words::run),
];

/// Which of a target's readers an input is for, and what is read: the first byte chooses among `n`.
fn choice(data: &[u8], n: u8) -> Option<(u8, &[u8])> {
    let (first, rest) = data.split_first()?;
    // Letters too, so that inputs which are text can be written by hand.
    let first = if first.is_ascii_lowercase() { first - b'a' } else { *first };
    Some((first % n, rest))
}

/// The same for readers of text.
fn text_choice(data: &[u8], n: u8) -> Option<(u8, &str)> {
    let (chosen, rest) = choice(data, n)?;
    Some((chosen, str::from_utf8(rest).ok()?))
}
