//! Messages made to break whoever reads them.

use rillcast_core::engine::MAX_CONTROL;

use super::{Attack, Hand, To};

/// Name and bytes of each.
pub fn all() -> Vec<(&'static str, Vec<u8>)> {
    // Have, with a count of maps.
    let counted = |count: &[u8]| [&[2], count].concat();
    vec![
        ("empty", vec![]),
        ("an unknown tag", vec![255, 1, 2, 3]),
        ("a length that has no end", counted(&[0xff; 12])),
        ("a count of 65,535 maps", counted(&[0xff, 0xff, 3])),
        ("a count with nothing behind it", counted(&[64])),
        ("maps that hold more blocks than any segment has", [counted(&[1]), vec![0xff; 200]].concat()),
        ("16 KiB of tags", vec![14; MAX_CONTROL]),
        // As deep as anything goes: a relayed signal in a signal in a signal.
        ("a relayed signal in itself", nested()),
    ]
}

fn nested() -> Vec<u8> {
    let mut inner = vec![19];
    while inner.len() < 4096 {
        let mut outer = vec![19];
        outer.extend_from_slice(&[0; 30]);
        outer.extend_from_slice(&inner);
        inner = outer;
    }
    inner
}

/// Sends one of them, as soon as it is let in.
pub struct Bomb(pub Vec<u8>);

impl Attack for Bomb {
    fn linked(&mut self, hand: &mut Hand<'_>, to: To) {
        hand.bytes(to, self.0.clone());
        hand.lied(to);
    }
}
