//! A set of block numbers.

use rillcast_protocol::coding::{DecodeError, Reader, Wire, Writer};
use rillcast_protocol::digest::MAX_BLOCKS;

use crate::rng::Rng;

/// Which blocks of one segment somebody holds. Grows with what is put in, up to [`MAX_BLOCKS`]. Most segments have no more than
/// 64 blocks, and a swarm's maps are many: their word needs no allocation, and a map no more than two words.
#[derive(Clone, Debug, Default)]
pub struct Bits {
    first: u64,
    /// The words after the first, the last of them perhaps idle.
    rest: Option<Box<[u64]>>,
}

impl Bits {
    /// All of the first `n`.
    pub fn full(n: u16) -> Self {
        let mut bits = Self::default();
        bits.put(0..n);
        bits
    }

    /// Puts a run of blocks in.
    pub fn put(&mut self, run: core::ops::Range<u16>) {
        if run.end <= 64 && run.start < run.end {
            self.first |= u64::MAX >> (64 - (run.end - run.start)) << run.start;
        } else {
            run.for_each(|block| self.insert(block));
        }
    }

    #[inline]
    fn rest(&self) -> &[u64] {
        self.rest.as_deref().unwrap_or_default()
    }

    /// The blocks from `64 * at` on as bits, the first the lowest.
    #[inline]
    pub fn word(&self, at: usize) -> u64 {
        if at == 0 { self.first } else { self.rest().get(at - 1).copied().unwrap_or(0) }
    }

    fn word_mut(&mut self, at: usize) -> Option<&mut u64> {
        if at == 0 { Some(&mut self.first) } else { self.rest.as_deref_mut()?.get_mut(at - 1) }
    }

    /// Words that may have bits set.
    #[inline]
    pub fn words(&self) -> usize {
        1 + self.rest().len()
    }

    /// Makes room for so many words, at most for the longest segment's.
    #[inline]
    fn reserve(&mut self, words: usize) {
        if words > self.words() {
            self.grow(words);
        }
    }

    #[inline(never)]
    fn grow(&mut self, words: usize) {
        let mut rest = vec![0; words.min(MAX_BLOCKS.div_ceil(64)) - 1];
        rest[..self.rest().len()].copy_from_slice(self.rest());
        self.rest = Some(rest.into());
    }

    /// Puts a block in. Numbers of [`MAX_BLOCKS`] and above are left out: no digest has them.
    #[inline]
    pub fn insert(&mut self, block: u16) {
        let (word, bit) = (usize::from(block / 64), block % 64);
        if usize::from(block) >= MAX_BLOCKS {
            return;
        }
        self.reserve(word + 1);
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
    #[inline]
    pub fn contains(&self, block: u16) -> bool {
        self.word(usize::from(block / 64)) >> (block % 64) & 1 == 1
    }

    /// How many are in.
    pub fn count(&self) -> u32 {
        (0..self.words()).map(|at| self.word(at).count_ones()).sum()
    }

    /// Whether none is in.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.first == 0 && self.rest().iter().all(|word| *word == 0)
    }

    /// Whether all that the other set has is in.
    #[inline]
    pub fn includes(&self, other: &Self) -> bool {
        (0..other.words()).all(|at| other.word(at) & !self.word(at) == 0)
    }

    /// Takes out all that the other set has.
    #[inline]
    pub fn subtract(&mut self, other: &Self) {
        self.first &= !other.first;
        if let Some(rest) = &mut self.rest {
            rest.iter_mut().zip(other.rest()).for_each(|(mine, theirs)| *mine &= !theirs);
        }
    }

    /// Keeps only what the other set has too.
    #[inline]
    pub fn intersect(&mut self, other: &Self) {
        self.first &= other.first;
        if let Some(rest) = &mut self.rest {
            rest.iter_mut().enumerate().for_each(|(at, mine)| *mine &= other.word(at + 1));
        }
    }

    /// Puts in all that the other set has.
    #[inline]
    pub fn merge(&mut self, other: &Self) {
        self.first |= other.first;
        self.reserve(other.words());
        if let Some(rest) = &mut self.rest {
            rest.iter_mut().zip(other.rest()).for_each(|(mine, theirs)| *mine |= theirs);
        }
    }

    /// All in it, in order.
    pub fn iter(&self) -> impl Iterator<Item = u16> + '_ {
        let mut at = 0;
        let mut word = self.first;
        core::iter::from_fn(move || {
            while word == 0 {
                at += 1;
                if at >= self.words() {
                    return None;
                }
                word = self.word(at);
            }
            let block = (at * 64) as u16 + word.trailing_zeros() as u16;
            word &= word - 1;
            Some(block)
        })
    }

    /// All in it, in order.
    #[inline(never)]
    pub fn list(&self) -> Vec<u16> {
        self.iter().collect()
    }

    /// One of them, by chance.
    pub fn any(&self, rng: &mut Rng) -> Option<u16> {
        self.iter().nth(rng.below(self.count() as usize))
    }
}

impl PartialEq for Bits {
    fn eq(&self, other: &Self) -> bool {
        (0..self.words().max(other.words())).all(|at| self.word(at) == other.word(at))
    }
}

impl Eq for Bits {}

impl Wire for Bits {
    fn encode(&self, w: &mut Writer) {
        let used = (0..self.words()).rev().find(|at| self.word(*at) != 0).map_or(0, |at| at + 1);
        w.varint(used as u64);
        (0..used).for_each(|at| w.raw(&self.word(at).to_le_bytes()));
    }

    fn decode(r: &mut Reader<'_>) -> Self {
        let n = r.length(MAX_BLOCKS.div_ceil(64));
        let mut bits = Self::default();
        bits.reserve(n);
        for at in 0..n {
            let word = u64::from_le_bytes(Wire::decode(r));
            if at + 1 == n && word == 0 {
                r.fail(DecodeError::NotCanonical);
            }
            if let Some(mine) = bits.word_mut(at) {
                *mine = word;
            }
        }
        bits
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
            let most: Vec<_> = blocks.iter().copied().skip(1).collect();
            let mut part = Bits::default();
            most.iter().for_each(|b| part.insert(*b));
            prop_assert!(bits.includes(&part) && part.includes(&bits) == (most.len() == blocks.len()));
            let mut rest = Bits::full(100);
            rest.subtract(&bits);
            prop_assert!((0..100).all(|b| rest.contains(b) != blocks.contains(&b)));
            let mut common = Bits::full(64);
            common.intersect(&bits);
            prop_assert!((0..MAX_BLOCKS as u16).all(|b| common.contains(b) == (b < 64 && blocks.contains(&b))));
            blocks.iter().for_each(|b| bits.remove(*b));
            prop_assert!(bits.is_empty());
            prop_assert_eq!(bits.to_bytes(), vec![0], "one form of the empty set, whatever it once held");
        }
    }

    #[test]
    fn a_run_holds_its_blocks_and_no_others() {
        for run in [0..0, 5..5, 0..1, 0..64, 3..64, 63..64, 60..65, 64..70, 0..200] {
            let mut bits = Bits::default();
            bits.put(run.clone());
            assert_eq!(bits.list(), run.collect::<Vec<_>>());
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
