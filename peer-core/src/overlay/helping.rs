//! Helping: whoever has uplink to spare spreads the rare blocks of another rendition, whose viewers' uplinks don't carry it.
//!
//! Everybody says how much of what it played of late the source had to bring in the end. A helper takes what few have and gives it to
//! several: what a block costs its swarm is one upload, and it is to bring more.

use rillcast_protocol::digest::BLOCK;
use rillcast_protocol::id::TrackId;

use crate::time::{Duration, Instant};

use super::Link;

/// Whom to help is thought over this often.
const LOOK: Duration = Duration::from_millis(10_000);
/// An uplink that had room so lately has some to spare.
const SPARE: Duration = Duration::from_millis(6000);
/// Whoever lacks more, in hundredths, helps nobody else.
pub const CONTENT: u8 = 4;
/// A rendition is helped whose viewers lack so many hundredths more than we do.
pub const SHORT: u32 = 2;
/// A helper takes no more than it has given and so much.
pub const ADVANCE: u64 = 16 * BLOCK as u64;

/// Whom we help, and what came of it.
#[derive(Clone, Debug, Default)]
pub struct Helping {
    /// The track that we spread though we don't play it.
    pub track: Option<TrackId>,
    looked: Instant,
    spare: Instant,
    /// Counted up to the last look: bytes that the guard asked for, and that the player got.
    seen: (u64, u64),
    /// In ten thousandths.
    lacked: u64,
    taken: u64,
    given: u64,
}

impl Helping {
    /// What was counted so far: bytes that the guard asked for, and that the player got.
    pub fn count(&mut self, rescued: u64, played: u64) {
        let lacked = (rescued - self.seen.0) * 10_000;
        // Where nothing was played since, nothing can be said.
        if let Some(share) = lacked.checked_div(played - self.seen.1) {
            self.lacked = (self.lacked * 7 + share.min(10_000)) / 8;
            self.seen = (rescued, played);
        }
    }

    /// What we lacked of late, in hundredths.
    pub fn short(&self) -> u8 {
        (self.lacked / 100) as u8
    }

    /// The uplink has room, or hasn't; told back: whether it is time to think over whom to help.
    pub fn looks(&mut self, spare: bool, now: Instant) -> bool {
        if spare {
            self.spare = now;
        }
        let due = now.since(self.looked) >= LOOK;
        if due {
            self.looked = now;
        }
        due
    }

    /// Whom to help, if we can help at all: of what our neighbours play and we don't, what most is lacking of.
    pub fn choose<'a>(
        &self,
        links: impl Iterator<Item = &'a Link>,
        plays: impl Fn(TrackId) -> bool,
        now: Instant,
    ) -> Option<TrackId> {
        let busy = self.track.is_none() && now.since(self.spare) > SPARE;
        if busy || self.short() > CONTENT {
            return None;
        }
        let mut tracks: Vec<(u32, u32, TrackId)> = Vec::new();
        for link in links.filter(|l| l.greeted && !l.passive) {
            let Some(track) = link.playing.first().map(|p| p.track).filter(|t| !plays(*t)) else { continue };
            let at = tracks.iter().position(|t| t.2 == track).unwrap_or_else(|| {
                tracks.push((0, 0, track));
                tracks.len() - 1
            });
            let (lacking, viewers, _) = &mut tracks[at];
            (*lacking, *viewers) = (*lacking + u32::from(link.short), *viewers + 1);
        }
        let least = SHORT + u32::from(self.short());
        tracks.into_iter().filter(|t| t.0 >= least * t.1).max().map(|t| t.2)
    }

    /// From now on we help with this, or with nothing. True if that is a change.
    pub fn begin(&mut self, track: Option<TrackId>) -> bool {
        let changes = track != self.track;
        if changes {
            (self.track, self.taken, self.given) = (track, 0, 0);
        }
        changes
    }

    /// Whether what we took has been worth it so far.
    pub fn may_take(&self) -> bool {
        self.taken < self.given + ADVANCE
    }

    /// We take so many bytes for others.
    pub fn take(&mut self, bytes: u32) {
        self.taken += u64::from(bytes);
    }

    /// So many bytes of a track go out.
    pub fn give(&mut self, track: TrackId, bytes: u32) {
        if self.track == Some(track) {
            self.given += u64::from(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_lacking_is_a_mean_of_what_was_played() {
        let mut helping = Helping::default();
        helping.count(500, 0);
        assert_eq!(helping.short(), 0, "nothing was played yet");
        (1..60).for_each(|n| helping.count(500 * n, 1000 * n));
        assert_eq!(helping.short(), 49);
        helping.count(90_000, 59_001);
        assert!(helping.short() <= 100, "never more than all");
        (1..99).for_each(|n| helping.count(90_000, 59_001 + n));
        assert_eq!(helping.short(), 0);
    }

    #[test]
    fn no_more_is_taken_than_was_given_and_an_advance() {
        let (track, other) = (TrackId(1), TrackId(2));
        let mut helping = Helping::default();
        assert!(helping.begin(Some(track)) && !helping.begin(Some(track)));
        let takes = |helping: &mut Helping| {
            let mut taken = 0;
            while helping.may_take() && taken < 99 {
                helping.take(BLOCK);
                taken += 1;
            }
            taken
        };
        assert_eq!(takes(&mut helping), 16);
        helping.give(other, 9 * BLOCK);
        assert_eq!(takes(&mut helping), 0, "what we play ourselves doesn't count");
        helping.give(track, 2 * BLOCK);
        assert_eq!(takes(&mut helping), 2);
        helping.begin(Some(other));
        assert_eq!(takes(&mut helping), 16, "a new beginning");
    }

    #[test]
    fn an_uplink_without_room_begins_no_help() {
        let mut helping = Helping::default();
        let at = |ms| Instant::ZERO + Duration::from_millis(ms);
        let busy = |helping: &Helping, ms| helping.track.is_none() && at(ms).since(helping.spare) > SPARE;
        assert!(helping.looks(true, at(10_000)) && !helping.looks(false, at(19_999)));
        assert_eq!([16_000, 16_001].map(|ms| busy(&helping, ms)), [false, true]);
        assert!(helping.looks(false, at(20_000)));
    }
}
