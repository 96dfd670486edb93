//! A set of block numbers.

use rillcast_protocol::coding::{DecodeError, Reader, Wire, Writer};
use rillcast_protocol::digest::MAX_BLOCKS;

/// Which blocks of one segment somebody holds. Grows with what is put in, up to [`MAX_BLOCKS`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bits {
    words: Vec<u64>,
}

impl Bits {
    /// All of the first `n`.
    pub fn full(n: u16) -> Self {
        let mut bits = Self::default();
        (0..n).for_each(|i| bits.insert(i));
        bits
    }

    /// Puts a block in. Numbers of [`MAX_BLOCKS`] and above are left out: no digest has them.
    pub fn insert(&mut self, block: u16) {
        let (word, bit) = (usize::from(block / 64), block % 64);
        if usize::from(block) >= MAX_BLOCKS {
            return;
        }
        if self.words.len() <= word {
            self.words.resize(word + 1, 0);
        }
        self.words[word] |= 1 << bit;
    }

    /// Takes a block out.
    pub fn remove(&mut self, block: u16) {
        if let Some(word) = self.words.get_mut(usize::from(block / 64)) {
            *word &= !(1 << (block % 64));
        }
    }

    /// Whether the block is in.
    pub fn contains(&self, block: u16) -> bool {
        self.words.get(usize::from(block / 64)).is_some_and(|w| w >> (block % 64) & 1 == 1)
    }

    /// How many are in.
    pub fn count(&self) -> u32 {
        self.words.iter().map(|w| w.count_ones()).sum()
    }

    /// Whether none is in.
    pub fn is_empty(&self) -> bool {
        self.words.iter().all(|w| *w == 0)
    }
}

impl Wire for Bits {
    fn encode(&self, w: &mut Writer) {
        let used = self.words.iter().rposition(|word| *word != 0).map_or(0, |at| at + 1);
        w.varint(used as u64);
        self.words[..used].iter().for_each(|word| w.raw(&word.to_le_bytes()));
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let n = r.length(MAX_BLOCKS.div_ceil(64))?;
        let words = (0..n).map(|_| Wire::decode(r).map(u64::from_le_bytes)).collect::<Result<Vec<_>, _>>()?;
        match words.last() {
            Some(0) => Err(DecodeError::NotCanonical),
            _ => Ok(Self { words }),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_set_holds_what_was_put_in_and_survives_the_wire(blocks in proptest::collection::btree_set(0..MAX_BLOCKS as u16, 0..60)) {
            let mut bits = Bits::default();
            blocks.iter().for_each(|b| bits.insert(*b));
            prop_assert_eq!(bits.count() as usize, blocks.len());
            prop_assert!((0..MAX_BLOCKS as u16).all(|b| bits.contains(b) == blocks.contains(&b)));
            prop_assert_eq!(Bits::from_bytes(&bits.to_bytes()), Ok(bits.clone()));
            blocks.iter().for_each(|b| bits.remove(*b));
            prop_assert!(bits.is_empty());
            prop_assert_eq!(bits.to_bytes(), vec![0], "one form of the empty set, whatever it once held");
        }
    }

    #[test]
    fn blocks_beyond_the_longest_segment_are_left_out() {
        let mut bits = Bits::default();
        for block in [MAX_BLOCKS as u16 - 1, MAX_BLOCKS as u16, u16::MAX] {
            bits.insert(block);
        }
        assert_eq!(bits.count(), 1);
        assert!(!bits.contains(u16::MAX));
        bits.remove(u16::MAX);
        assert_eq!(Bits::full(70).count(), 70);
    }

    #[test]
    fn a_map_longer_than_any_segment_or_with_an_idle_word_is_refused() {
        let words = MAX_BLOCKS.div_ceil(64);
        let map = |n: usize, last: u8| {
            let mut bytes = vec![n as u8];
            bytes.extend(core::iter::repeat_n(1, n * 8 - 1));
            bytes.push(last);
            Bits::from_bytes(&bytes)
        };
        assert!(map(words, 1).is_ok());
        assert_eq!(map(words + 1, 1), Err(DecodeError::TooLarge));
        assert_eq!(Bits::from_bytes(&[1, 0, 0, 0, 0, 0, 0, 0, 0]), Err(DecodeError::NotCanonical));
    }
}
