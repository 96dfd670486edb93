//! How many hold each block, counted for 64 blocks at a time.

/// Binary digits of a count; higher counts are taken for the highest.
const PLANES: usize = 6;

/// Counts of 64 blocks: a plane holds one binary digit of each ("vertical counters"), so that adding a whole have-map and finding the
/// rarest of a set take a dozen instructions.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally([u64; PLANES]);

impl Tally {
    /// One more holds these.
    #[inline]
    pub fn add(&mut self, mut blocks: u64) {
        for plane in &mut self.0 {
            if blocks == 0 {
                return;
            }
            let carry = *plane & blocks;
            *plane ^= blocks;
            blocks = carry;
        }
        self.0.iter_mut().for_each(|plane| *plane |= blocks);
    }

    /// Those of a set that fewest hold, and how many that is.
    #[inline]
    pub fn rarest(&self, mut among: u64) -> (u8, u64) {
        let mut count = 0;
        for plane in self.0.iter().rev() {
            let fewer = among & !plane;
            count <<= 1;
            if fewer == 0 { count += 1 } else { among = fewer }
        }
        (count, among)
    }

    /// Those that more than one hold.
    #[inline]
    pub fn several(&self) -> u64 {
        self.0[1..].iter().fold(0, |several, plane| several | plane)
    }

    /// All counts of a set together.
    pub fn sum(&self, of: u64) -> u32 {
        self.0.iter().enumerate().map(|(digit, plane)| (plane & of).count_ones() << digit).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    #[test]
    fn it_counts_as_a_list_of_numbers_does_and_stops_at_the_highest() {
        let mut rng = Rng::new(5);
        let (mut tally, mut counts) = (Tally::default(), [0u32; 64]);
        for round in 0..90 {
            let blocks = if round < 20 { rng.draw() } else { rng.draw() | rng.draw() | 1 };
            tally.add(blocks);
            for (block, count) in counts.iter_mut().enumerate() {
                *count = (*count + (blocks >> block & 1) as u32).min(63);
            }
            let among = rng.draw() | 1 << 63;
            let chosen = |block: &usize| among >> block & 1 == 1;
            let least = (0..64).filter(chosen).map(|b| counts[b]).min().expect("not empty");
            let (count, rarest) = tally.rarest(among);
            assert_eq!(u32::from(count), least);
            for (block, count) in counts.iter().enumerate() {
                assert_eq!(rarest >> block & 1 == 1, chosen(&block) && *count == least);
            }
            assert_eq!(tally.sum(among), (0..64).filter(chosen).map(|b| counts[b]).sum());
        }
        assert!(counts.contains(&63), "the highest was reached");
    }
}
