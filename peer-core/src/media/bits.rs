//! A set of block numbers.

use rillcast_protocol::coding::{DecodeError, Reader, Wire, Writer};
use rillcast_protocol::digest::MAX_BLOCKS;

/// Which blocks of one segment somebody holds. Grows with what is put in, up to [`MAX_BLOCKS`]. Most segments have no more than
/// 64 blocks, and a swarm's maps are many: their word needs no allocation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bits {
    first: u64,
    rest: Vec<u64>,
}

impl Bits {
    /// All of the first `n`.
    pub fn full(n: u16) -> Self {
        let mut bits = Self::default();
        (0..n).for_each(|i| bits.insert(i));
        bits
    }

    fn word_mut(&mut self, at: usize) -> Option<&mut u64> {
        if at == 0 { Some(&mut self.first) } else { self.rest.get_mut(at - 1) }
    }

    /// The blocks from `64 * at` on as bits, the first the lowest.
    pub fn word(&self, at: usize) -> u64 {
        if at == 0 { self.first } else { self.rest.get(at - 1).copied().unwrap_or(0) }
    }

    /// Words that may have bits set.
    pub fn words(&self) -> usize {
        1 + self.rest.len()
    }

    /// Puts a block in. Numbers of [`MAX_BLOCKS`] and above are left out: no digest has them.
    pub fn insert(&mut self, block: u16) {
        let (word, bit) = (usize::from(block / 64), block % 64);
        if usize::from(block) >= MAX_BLOCKS {
            return;
        }
        if self.words() <= word {
            self.rest.resize(word, 0);
        }
        if let Some(word) = self.word_mut(word) {
            *word |= 1 << bit;
        }
    }

    /// Takes a block out.
    pub fn remove(&mut self, block: u16) {
        if let Some(word) = self.word_mut(usize::from(block / 64)) {
            *word &= !(1 << (block % 64));
        }
    }

    /// Whether the block is in.
    pub fn contains(&self, block: u16) -> bool {
        self.word(usize::from(block / 64)) >> (block % 64) & 1 == 1
    }

    /// How many are in.
    pub fn count(&self) -> u32 {
        (0..self.words()).map(|at| self.word(at).count_ones()).sum()
    }

    /// Whether none is in.
    pub fn is_empty(&self) -> bool {
        (0..self.words()).all(|at| self.word(at) == 0)
    }

    /// Takes out all that the other set has.
    pub fn subtract(&mut self, other: &Self) {
        self.first &= !other.first;
        for (mine, theirs) in self.rest.iter_mut().zip(&other.rest) {
            *mine &= !theirs;
        }
    }

    /// Puts in all that the other set has.
    pub fn merge(&mut self, other: &Self) {
        self.first |= other.first;
        if self.rest.len() < other.rest.len() {
            self.rest.resize(other.rest.len(), 0);
        }
        for (mine, theirs) in self.rest.iter_mut().zip(&other.rest) {
            *mine |= theirs;
        }
    }

    /// All in it, in order.
    #[inline(never)]
    pub fn list(&self) -> Vec<u16> {
        let mut list = Vec::new();
        for at in 0..self.words() {
            let mut word = self.word(at);
            while word != 0 {
                list.push((at * 64) as u16 + word.trailing_zeros() as u16);
                word &= word - 1;
            }
        }
        list
    }
}

impl Wire for Bits {
    fn encode(&self, w: &mut Writer) {
        let used = (0..self.words()).rev().find(|at| self.word(*at) != 0).map_or(0, |at| at + 1);
        w.varint(used as u64);
        (0..used).for_each(|at| w.raw(&self.word(at).to_le_bytes()));
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let n = r.length(MAX_BLOCKS.div_ceil(64))?;
        let mut bits = Self::default();
        let mut last = None;
        for at in 0..n {
            let word = u64::from_le_bytes(Wire::decode(r)?);
            match at {
                0 => bits.first = word,
                _ => bits.rest.push(word),
            }
            last = Some(word);
        }
        if last == Some(0) { Err(DecodeError::NotCanonical) } else { Ok(bits) }
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
            prop_assert_eq!(bits.list(), blocks.iter().copied().collect::<Vec<_>>());
            let mut rest = Bits::full(100);
            rest.subtract(&bits);
            prop_assert!((0..100).all(|b| rest.contains(b) != blocks.contains(&b)));
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
