//! A small map. A shell's tables have few entries, and a `BTreeMap` costs 5 kB of download for each pair of types.

/// Key and value pairs, sorted by key.
pub(crate) struct Table<K, V>(Vec<(K, V)>);

impl<K, V> Default for Table<K, V> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<K: Ord + Copy, V> Table<K, V> {
    fn find(&self, key: K) -> Result<usize, usize> {
        self.0.binary_search_by(|entry| entry.0.cmp(&key))
    }

    pub(crate) fn get(&self, key: K) -> Option<&V> {
        self.find(key).ok().map(|at| &self.0[at].1)
    }

    pub(crate) fn get_mut(&mut self, key: K) -> Option<&mut V> {
        self.find(key).ok().map(|at| &mut self.0[at].1)
    }

    /// Puts the value in the place of what was there.
    pub(crate) fn insert(&mut self, key: K, value: V) {
        match self.find(key) {
            Ok(at) => self.0[at].1 = value,
            Err(at) => self.0.insert(at, (key, value)),
        }
    }

    pub(crate) fn remove(&mut self, key: K) -> Option<V> {
        self.find(key).ok().map(|at| self.0.remove(at).1)
    }

    pub(crate) fn retain(&mut self, mut keep: impl FnMut(K) -> bool) {
        self.0.retain(|entry| keep(entry.0));
    }

    pub(crate) fn iter(&self) -> core::slice::Iter<'_, (K, V)> {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_gives_back_what_was_put_in_last() {
        let mut table = Table::default();
        for (key, value) in [(3, 'c'), (1, 'a'), (2, 'b'), (1, 'z')] {
            table.insert(key, value);
        }
        assert_eq!(table.get(1), Some(&'z'));
        assert_eq!(table.get(4), None);
        assert_eq!(table.remove(2), Some('b'));
        assert_eq!(table.remove(2), None);
        table.retain(|key| key > 1);
        assert_eq!(table.iter().collect::<Vec<_>>(), [&(3, 'c')]);
    }
}
