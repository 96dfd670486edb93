//! Who has said what of which segment, as far as it is remembered.

use std::collections::{BTreeMap, HashMap, VecDeque};

use rillcast_protocol::id::{PublisherKey, SegmentKey};
use rillcast_publisher::ledger::Print;

use super::MAX_SEGMENTS;

/// Publishers whose words of one segment are remembered. Of more newcomers' it isn't; whoever counts takes the place of one of theirs.
pub(super) const MAX_WORDS: usize = 32;

/// Who has said what of one segment. Everybody's first word counts; a second one is kept to show that there are two.
#[derive(Debug, Default)]
pub(super) struct Words(Vec<(PublisherKey, Print)>);

impl Words {
    /// A publisher's first.
    pub(super) fn of(&self, key: &PublisherKey) -> Option<Print> {
        self.0.iter().find(|(by, _)| by == key).map(|(_, print)| *print)
    }

    /// All, in the order in which they came.
    pub(super) fn all(&self) -> impl Iterator<Item = (PublisherKey, Print)> + '_ {
        self.0.iter().copied()
    }

    /// Whose they are.
    pub(super) fn keys(&self) -> impl Iterator<Item = &PublisherKey> {
        self.0.iter().map(|(by, _)| by)
    }

    /// Whether a publisher says two things.
    pub(super) fn are_two_of(&self, key: &PublisherKey) -> bool {
        self.keys().filter(|by| *by == key).count() > 1
    }

    /// Who was the first to say something else.
    pub(super) fn other_than(&self, print: Print) -> Option<PublisherKey> {
        self.0.iter().find(|(_, other)| *other != print).map(|(by, _)| *by)
    }

    /// Adds a word. Told back: whether there was room.
    pub(super) fn add(
        &mut self,
        by: PublisherKey,
        print: Print,
        trusted: impl Fn(&PublisherKey) -> bool,
    ) -> bool {
        if self.0.len() >= MAX_WORDS {
            let newcomer = self.0.iter().rposition(|(by, _)| !trusted(by)).filter(|_| trusted(&by));
            let Some(newcomer) = newcomer else { return false };
            self.0.remove(newcomer);
        }
        self.0.push((by, print));
        true
    }
}

/// The words of segments without two meanings.
#[derive(Debug, Default)]
pub(super) struct Heard {
    words: BTreeMap<SegmentKey, Words>,
    /// In the order in which they were heard of, and by whom first.
    known: VecDeque<(SegmentKey, PublisherKey)>,
}

impl Heard {
    /// What was said of a segment, of which `by` speaks now.
    pub(super) fn of(&mut self, key: SegmentKey, by: PublisherKey) -> &mut Words {
        if !self.words.contains_key(&key) {
            if self.known.len() >= MAX_SEGMENTS
                && let Some(spare) = spare(self.known.iter().map(|(_, by)| by))
                && let Some((spare, _)) = self.known.remove(spare)
            {
                self.words.remove(&spare);
            }
            self.known.push_back((key, by));
        }
        self.words.entry(key).or_default()
    }

    /// Forgets a publisher's words.
    pub(super) fn forget(&mut self, key: &PublisherKey) {
        for words in self.words.values_mut() {
            words.0.retain(|(by, _)| by != key);
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> (usize, usize) {
        (self.words.len(), self.known.len())
    }
}

/// Which of these, oldest first, is forgotten where there is no room: the oldest of whoever has brought the most, so that nobody makes others' words
/// be forgotten by saying much.
pub(super) fn spare<'a>(by: impl Iterator<Item = &'a PublisherKey> + Clone) -> Option<usize> {
    let mut brought: HashMap<&PublisherKey, usize> = HashMap::new();
    by.clone().for_each(|key| *brought.entry(key).or_default() += 1);
    let most = brought.values().copied().max()?;
    by.enumerate().find(|(_, key)| brought[key] == most).map(|(place, _)| place)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: u8) -> PublisherKey {
        rillcast_publisher::PublishingKey::from_seed(&[n; 32]).public()
    }

    #[test]
    fn the_oldest_of_whoever_has_brought_the_most_is_forgotten() {
        for (brought, gone) in
            [(vec![], None), (vec![1, 2], Some(0)), (vec![1, 2, 3, 2], Some(1)), (vec![1, 1, 2, 2], Some(0))]
        {
            let keys: Vec<_> = brought.iter().map(|n| key(*n)).collect();
            assert_eq!(spare(keys.iter()), gone, "{brought:?}");
        }
    }
}
