//! What neighbours are to hear of what has come.

use rillcast_protocol::coding::List;
use rillcast_protocol::id::{PeerId, Role, SegmentKey};

use crate::media::Bits;
use crate::overlay::Link;
use crate::payload::Payload;
use crate::time::{Duration, Instant};
use crate::wire::Message;
use crate::wire::message::{HaveMap, MAX_MAPS};

use super::Engine;

/// News is gathered for so long, times the cube of the neighbours to be told, before it goes out together: in a small swarm news is quick
/// and cheap, in a large one offers, grants and declines bring most of it.
const FLUSH: Duration = Duration::from_micros(250);
const MAX_FLUSH: Duration = Duration::from_millis(2500);

/// Blocks that neighbours haven't been told of.
#[derive(Clone, Debug, Default)]
pub(super) struct News {
    maps: Vec<HaveMap>,
    /// The peer that brought all of them, if one did. It has been told already that they have arrived: a seed, which brings whole
    /// crowds all that they have, would hear of everything twice.
    by: Option<PeerId>,
}

impl News {
    fn add(&mut self, key: SegmentKey, block: u16, by: Option<PeerId>) {
        self.by = by.filter(|_| self.maps.is_empty() || self.by == by);
        let at = self.maps.iter().position(|map| map.key == key).unwrap_or_else(|| {
            self.maps.push(HaveMap { key, blocks: Bits::default() });
            self.maps.len() - 1
        });
        self.maps[at].blocks.insert(block);
    }
}

impl<P: Payload + core::fmt::Debug + 'static> Engine<P> {
    /// A block is here and holds; a peer has brought it, or somebody else.
    pub(super) fn is_news(&mut self, key: SegmentKey, block: u16, by: Option<PeerId>, now: Instant) {
        self.news.add(key, block, by);
        let links = self.members.len().min(99) as u32;
        self.flush_at = self.flush_at.min(now + (FLUSH * links.pow(3)).min(MAX_FLUSH));
    }

    /// Tells whom it concerns, and who doesn't know.
    pub(super) fn flush(&mut self) {
        self.flush_at = Instant::NEVER;
        let News { maps, by } = core::mem::take(&mut self.news);
        for part in maps.chunks(MAX_MAPS) {
            let takes = |l: &Link, track| l.plays(track) || l.helps == Some(track);
            let concerns = |l: &Link| part.iter().any(|map| takes(l, map.key.track)) || l.role == Role::Seed;
            let is_new = |l: &Link| by != Some(l.peer) && concerns(l);
            self.tell_some(&Message::Got { maps: List::first(part.to_vec()) }, is_new);
        }
    }
}

#[cfg(test)]
mod tests {
    use rillcast_protocol::id::TrackId;

    use super::*;

    #[test]
    fn who_brought_all_of_it_is_remembered_and_who_brought_a_part_is_not() {
        let key = |number| SegmentKey { track: TrackId(1), number, discontinuity: 0, part: 0 };
        let (one, two) = (PeerId([1; 16]), PeerId([2; 16]));
        for (bringers, by) in [
            (vec![Some(one), Some(one)], Some(one)),
            (vec![Some(one), Some(two)], None),
            (vec![Some(one), Some(two), Some(two)], None),
            (vec![None, Some(one)], None),
            (vec![Some(one), None], None),
        ] {
            let mut news = News::default();
            for (block, bringer) in bringers.iter().enumerate() {
                news.add(key(block as u64 / 2), block as u16, *bringer);
            }
            assert_eq!(news.by, by, "{bringers:?}");
            assert_eq!(news.maps.iter().map(|map| map.blocks.count()).sum::<u32>(), bringers.len() as u32);
        }
    }
}
