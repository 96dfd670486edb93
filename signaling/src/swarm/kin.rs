//! Who plays what: members by the track that they name first, which is the picture's. Those who share it are each other's best company.

use std::collections::HashMap;

use rillcast_protocol::id::{PeerId, TrackId};

use crate::random::Choice;

/// All who play something.
#[derive(Debug, Default)]
pub(super) struct Kin {
    tracks: HashMap<TrackId, Players>,
}

/// Those who play one track, for drawing some of them.
#[derive(Debug, Default)]
struct Players {
    order: Vec<PeerId>,
    at: HashMap<PeerId, usize>,
}

impl Kin {
    /// What a member plays has changed.
    pub(super) fn moved(&mut self, id: PeerId, from: Option<TrackId>, to: Option<TrackId>) {
        if from == to {
            return;
        }
        if let Some(track) = from
            && let Some(players) = self.tracks.get_mut(&track)
        {
            players.remove(id);
            if players.order.is_empty() {
                self.tracks.remove(&track);
            }
        }
        if let Some(track) = to {
            self.tracks.entry(track).or_default().insert(id);
        }
    }

    /// All who play a track where they are no more than `count`, else so many draws; some may come twice.
    pub(super) fn sample(&self, track: TrackId, count: usize, random: &mut Choice) -> Vec<PeerId> {
        match self.tracks.get(&track).map(|p| &p.order) {
            None => Vec::new(),
            Some(order) if order.len() <= count => order.clone(),
            Some(order) => (0..count).map(|_| order[random.below(order.len())]).collect(),
        }
    }
}

impl Players {
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

    const ONE: TrackId = TrackId(1);
    const TWO: TrackId = TrackId(2);

    fn peer(n: u8) -> PeerId {
        PeerId([n; 16])
    }

    fn players(kin: &Kin, track: TrackId) -> Vec<u8> {
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
        assert!(kin.tracks.is_empty(), "nothing is left behind");
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
