//! A sorted vector of pairs.
//!
//! The engine's maps hold tens to a few hundreds of small entries. There a sorted vector is quicker than a tree, and its code
//! is a tenth of one: a `BTreeMap` costs a viewer some 7 kB of download for every pair of types that it is used with.

use core::cmp::Ordering;

/// Takes the least out of a list. Where few of many are wanted in order, sorting would cost more code than it saves time.
pub fn take_least<T: Ord>(list: &mut Vec<T>) -> Option<T> {
    let mut least = 0;
    for at in 1..list.len() {
        if list[at] < list[least] {
            least = at;
        }
    }
    (!list.is_empty()).then(|| list.swap_remove(least))
}

/// Puts one where it belongs in a list that is in order. For short lists, and those that come in order as a rule.
pub fn put_in_order<T, K: Ord>(list: &mut Vec<T>, item: T, key: impl Fn(&T) -> K) {
    let mut at = list.len();
    while at > 0 && key(&list[at - 1]) > key(&item) {
        at -= 1;
    }
    list.insert(at, item);
}

/// Keeps those of which `keep` says so, in their order. The standard library's `retain` is twice the code for every type, and for every
/// reason to keep.
pub fn keep<T>(list: &mut Vec<T>, mut keep: impl FnMut(&mut T) -> bool) {
    let mut kept = 0;
    for at in 0..list.len() {
        if keep(&mut list[at]) {
            if kept != at {
                list.swap(kept, at);
            }
            kept += 1;
        }
    }
    list.truncate(kept);
}

/// Pairs in the order of their keys.
#[derive(Clone, Debug)]
pub struct Map<K, V> {
    pairs: Vec<(K, V)>,
}

impl<K, V> Default for Map<K, V> {
    fn default() -> Self {
        Self { pairs: Vec::new() }
    }
}

impl<K: Ord, V> Map<K, V> {
    /// No pairs.
    pub fn new() -> Self {
        Self::default()
    }

    /// Where a key stands, or would stand.
    pub fn position(&self, key: &K) -> Result<usize, usize> {
        // What is looked for is mostly what came last, so that is looked at first. One comparison in the code: the standard library's search
        // is larger, and there is one for each type of map.
        let (mut low, mut high) = (0, self.pairs.len());
        let mut at = high.saturating_sub(1);
        while low < high {
            match self.pairs[at].0.cmp(key) {
                Ordering::Less => low = at + 1,
                Ordering::Equal => return Ok(at),
                Ordering::Greater => high = at,
            }
            at = (low + high) / 2;
        }
        Err(low)
    }

    /// The value of a key.
    pub fn get(&self, key: &K) -> Option<&V> {
        self.position(key).ok().map(|at| &self.pairs[at].1)
    }

    /// The value of a key.
    pub fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        self.position(key).ok().map(|at| &mut self.pairs[at].1)
    }

    /// Whether there is such a key.
    pub fn contains_key(&self, key: &K) -> bool {
        self.position(key).is_ok()
    }

    /// Sets a key's value; told back: the one it had.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        match self.position(&key) {
            Ok(at) => Some(core::mem::replace(&mut self.pairs[at].1, value)),
            Err(at) => {
                self.pairs.insert(at, (key, value));
                None
            }
        }
    }

    /// Takes a key out.
    pub fn remove(&mut self, key: &K) -> Option<V> {
        self.position(key).ok().map(|at| self.pairs.remove(at).1)
    }

    /// The value of a key, made if there is none.
    pub fn or_insert_with(&mut self, key: K, make: impl FnOnce() -> V) -> &mut V {
        let at = match self.position(&key) {
            Ok(at) => at,
            Err(at) => {
                self.pairs.insert(at, (key, make()));
                at
            }
        };
        &mut self.pairs[at].1
    }

    /// The pairs from a key on.
    pub fn from<'a>(&'a self, key: &K) -> impl Iterator<Item = (&'a K, &'a V)> + use<'a, K, V> {
        let (Ok(at) | Err(at)) = self.position(key);
        self.pairs[at..].iter().map(|(k, v)| (k, v))
    }

    /// Puts a pair where its key belongs, as [`Self::position`] has told.
    pub fn insert_at(&mut self, at: usize, key: K, value: V) {
        self.pairs.insert(at, (key, value));
    }

    /// Keeps the pairs of which `keep` says so.
    pub fn retain(&mut self, mut keep: impl FnMut(&K, &mut V) -> bool) {
        self::keep(&mut self.pairs, |(k, v)| keep(k, v));
    }
}

impl<K, V> Map<K, V> {
    /// All pairs.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&K, &V)> {
        self.pairs.iter().map(|(k, v)| (k, v))
    }

    /// All pairs.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (&K, &mut V)> {
        self.pairs.iter_mut().map(|(k, v)| (&*k, v))
    }

    /// The value at a position.
    pub fn nth(&self, at: usize) -> &V {
        &self.pairs[at].1
    }

    /// The value at a position.
    pub fn nth_mut(&mut self, at: usize) -> &mut V {
        &mut self.pairs[at].1
    }

    /// All keys.
    pub fn keys(&self) -> impl Iterator<Item = &K> {
        self.pairs.iter().map(|(k, _)| k)
    }

    /// All values.
    pub fn values(&self) -> impl Iterator<Item = &V> + Clone {
        self.pairs.iter().map(|(_, v)| v)
    }

    /// All values.
    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut V> {
        self.pairs.iter_mut().map(|(_, v)| v)
    }

    /// How many pairs.
    pub fn len(&self) -> usize {
        self.pairs.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }

    /// Takes all out.
    pub fn clear(&mut self) {
        self.pairs.clear();
    }
}

impl<K: Ord, V> FromIterator<(K, V)> for Map<K, V> {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> Self {
        let mut map = Self::new();
        pairs.into_iter().for_each(|(k, v)| {
            map.insert(k, v);
        });
        map
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_leaves_first() {
        let mut list = vec![3, 1, 2, 1];
        let order: Vec<_> = core::iter::from_fn(|| take_least(&mut list)).collect();
        assert_eq!(order, [1, 1, 2, 3]);
    }

    #[test]
    fn what_is_put_in_order_stays_in_order() {
        let mut list = Vec::new();
        for n in [3, 1, 2, 1, 9] {
            put_in_order(&mut list, n, |n| *n);
        }
        assert_eq!(list, [1, 1, 2, 3, 9]);
    }

    #[test]
    fn pairs_stay_in_order_and_are_found() {
        let mut map = Map::new();
        for key in [5, 1, 9, 3, 7, 3] {
            map.insert(key, key * 10);
        }
        assert_eq!(map.keys().copied().collect::<Vec<_>>(), [1, 3, 5, 7, 9]);
        assert_eq!((map.get(&7), map.get(&8), map.len()), (Some(&70), None, 5));
        assert_eq!(map.from(&4).map(|(k, _)| *k).collect::<Vec<_>>(), [5, 7, 9]);
        assert_eq!((map.remove(&5), map.remove(&5)), (Some(50), None));
        *map.or_insert_with(2, || 0) += 1;
        assert_eq!(map.get(&2), Some(&1));
    }
}
