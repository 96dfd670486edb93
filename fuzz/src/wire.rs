//! What holds of everything that has a wire form.

use core::fmt::Debug;

use rillcast_protocol::coding::{Reader, Wire};

/// What can be read is written as it was found, so that there is one form of each value; and nothing that ends earlier
/// or later can be read.
pub fn one_form<T: Wire + PartialEq + Debug>(bytes: &[u8]) -> Option<T> {
    let value = T::from_bytes(bytes).ok()?;
    assert_eq!(value.to_bytes(), bytes, "{value:?} was read from another form");
    let longer = [bytes, &[0]].concat();
    assert!(T::from_bytes(&longer).is_err(), "bytes behind {value:?} went unnoticed");
    if let Some((_, shorter)) = bytes.split_last() {
        assert!(T::from_bytes(shorter).is_err(), "{value:?} is whole without its last byte");
    }
    Some(value)
}

/// The value whose bytes begin with `head` and go on with `fill` for as long as it likes. So values are made without
/// naming their fields, which another version has more of.
pub fn filled<T: Wire>(head: &[u8], fill: u8) -> Option<T> {
    let mut bytes = head.to_vec();
    bytes.resize(4096, fill);
    let mut reader = Reader::new(&bytes);
    let value = T::decode(&mut reader);
    (!reader.has_failed()).then_some(value)
}

/// Encodings of the variants of an enum on the wire: two or three of each, with small values in all fields.
pub fn samples<T: Wire>() -> Vec<(String, Vec<u8>)> {
    let mut samples: Vec<(String, Vec<u8>)> = Vec::new();
    for tag in 0..=u8::MAX {
        for fill in [0, 1, 2, 32] {
            let Some(encoded) = filled::<T>(&[tag], fill).map(|value| value.to_bytes()) else { continue };
            if samples.iter().all(|(_, known)| *known != encoded) {
                samples.push((format!("{tag:02}-of-{fill:02}"), encoded));
            }
        }
    }
    samples
}
