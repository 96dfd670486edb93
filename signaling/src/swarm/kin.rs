//! Who has something in common: the track that they name first, which is the picture's, or the place where they are. Those who share it are each
//! other's best company.

use std::collections::HashMap;

use std::hash::Hash;

use rillcast_protocol::id::PeerId;

use crate::random::Choice;

/// All members by what they have in common.
#[derive(Debug)]
pub(super) struct Kin<K> {
    groups: HashMap<K, Group>,
}

/// Those who have one thing in common, for drawing some of them.
#[derive(Debug, Default)]
struct Group {
    order: Vec<PeerId>,
    at: HashMap<PeerId, usize>,
}

impl<K> Default for Kin<K> {
    fn default() -> Self {
        Self { groups: HashMap::new() }
    }
}

impl<K: Eq + Hash> Kin<K> {
    /// A member belongs elsewhere now.
    pub(super) fn moved(&mut self, id: PeerId, from: Option<K>, to: Option<K>) {
        if from == to {
            return;
        }
        if let Some(group) = from
            && let Some(members) = self.groups.get_mut(&group)
        {
            members.remove(id);
            if members.order.is_empty() {
                self.groups.remove(&group);
            }
        }
        if let Some(group) = to {
            self.groups.entry(group).or_default().insert(id);
        }
    }

    /// All of a group where they are no more than `count`, else so many draws; some may come twice.
    pub(super) fn sample(&self, group: K, count: usize, random: &mut Choice) -> Vec<PeerId> {
        match self.groups.get(&group).map(|g| &g.order) {
            None => Vec::new(),
            Some(order) if order.len() <= count => order.clone(),
            Some(order) => (0..count).map(|_| order[random.below(order.len())]).collect(),
        }
    }
}

impl Group {
    fn insert(&mut self, id: PeerId) {
        if self.at.insert(id, self.order.len()).is_none() {
            self.order.push(id);
        }
    }

    fn remove(&mut self, id: PeerId) {
        let Some(at) = self.at.remove(&id) else { return };
        self.order.swap_remove(at);
        if let Some(moved) = self.order.get(at) {
            self.at.insert(*moved, at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rillcast_protocol::id::TrackId;

    const ONE: TrackId = TrackId(1);
    const TWO: TrackId = TrackId(2);

    fn peer(n: u8) -> PeerId {
        PeerId([n; 16])
    }

    fn players(kin: &Kin<TrackId>, track: TrackId) -> Vec<u8> {
        let mut all = kin.sample(track, 100, &mut Choice::new(1));
        all.sort_unstable();
        all.iter().map(|id| id.0[0]).collect()
    }

    #[test]
    fn whoever_changes_the_track_is_found_under_the_new_one_alone() {
        let mut kin = Kin::default();
        (0..5).for_each(|n| kin.moved(peer(n), None, Some(ONE)));
        kin.moved(peer(0), Some(ONE), Some(TWO));
        kin.moved(peer(4), Some(ONE), Some(ONE));
        kin.moved(peer(2), Some(ONE), None);
        kin.moved(peer(9), Some(ONE), None);
        assert_eq!((players(&kin, ONE), players(&kin, TWO)), (vec![1, 3, 4], vec![0]));
        (0..5).for_each(|n| kin.moved(peer(n), Some(ONE), None));
        kin.moved(peer(0), Some(TWO), None);
        assert!(kin.groups.is_empty(), "nothing is left behind");
    }

    #[test]
    fn of_many_some_are_drawn() {
        let mut kin = Kin::default();
        (0..200).for_each(|n| kin.moved(peer(n), None, Some(ONE)));
        let drawn = kin.sample(ONE, 32, &mut Choice::new(1));
        assert_eq!(drawn.len(), 32);
        assert!(drawn.iter().any(|id| id.0[0] > 150));
    }
}
