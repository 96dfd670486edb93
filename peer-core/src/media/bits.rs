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
