//! Whether the next look asks for a playlist that doesn't exist yet: it is answered in the moment in which the next part is there (blocking
//! reload, RFC 8216bis, 6.2.5.2). Where that brings nothing, a plain look by the usual pace comes first, and then another try; an origin, or a
//! cache before it, that answers at once whatever is asked isn't asked so any more.

use std::time::Duration;

use crate::playlist::Playlist;

/// After so many answers at once that told nothing new, without one that did, no more is asked ahead.
const REFUSALS: u8 = 3;
/// A part comes within its target, and a late one a little later; beyond that the encoder stands still.
const TARGETS: u32 = 3;
const LATE: Duration = Duration::from_secs(1);
/// Longest wait: less than what a client takes for a dead server.
pub(super) const LONGEST: Duration = Duration::from_secs(4);

/// What to wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wish {
    /// Number of the segment.
    pub(super) segment: u64,
    /// Which of its parts, the first one being 0.
    pub(super) part: u16,
    /// For how long.
    pub(super) hold: Duration,
}

/// What became of earlier wishes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ahead {
    refusals: u8,
    /// The last one brought nothing, and no look since has.
    in_vain: bool,
}

impl Ahead {
    /// What to wait for, if the origin lets one wait.
    pub(super) fn wish(&self, playlist: &Playlist) -> Option<Wish> {
        let may = playlist.can_block && !playlist.ended && !self.in_vain && self.refusals < REFUSALS;
        if !may || playlist.part_target_ms == 0 {
            return None;
        }
        let (segment, part) = playlist.next()?;
        let hold = TARGETS * Duration::from_millis(playlist.part_target_ms.into()) + LATE;
        Some(Wish { segment, part, hold: hold.min(LONGEST) })
    }

    /// A look was answered: after so long, by news or not, and asked ahead or not.
    pub(super) fn answered(&mut self, wish: Option<Wish>, after: Duration, news: bool) {
        match wish {
            _ if news => {
                self.in_vain = false;
                if wish.is_some() {
                    self.refusals = 0;
                }
            }
            Some(wish) => {
                self.in_vain = true;
                if after < wish.hold / 4 {
                    self.refusals = self.refusals.saturating_add(1);
                }
            }
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use reqwest::Url;
    use rillcast_protocol::id::TrackId;

    use super::*;

    fn playlist(text: &str) -> Playlist {
        let base = Url::parse("http://o.example/").expect("a URL");
        let control =
            "#EXTM3U\n#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES\n#EXT-X-PART-INF:PART-TARGET=0.5\n";
        Playlist::parse(TrackId(1), &base, format!("{control}{text}").as_bytes()).expect("a playlist")
    }

    const BEGUN: &str = "#EXT-X-MEDIA-SEQUENCE:7\n#EXTINF:1,\n7\n#EXT-X-PART:DURATION=0.5,URI=\"8.1\"\n";

    fn next(text: &str) -> Option<(u64, u16)> {
        Ahead::default().wish(&playlist(text)).map(|wish| (wish.segment, wish.part))
    }

    // R2
    #[test]
    fn the_part_behind_the_newest_is_waited_for() {
        assert_eq!(next(BEGUN), Some((8, 1)));
        assert_eq!(next(&format!("{BEGUN}#EXT-X-PART:DURATION=0.5,URI=\"8.2\"\n")), Some((8, 2)));
        assert_eq!(
            next(&format!("{BEGUN}#EXT-X-PART:DURATION=0.5,URI=\"8.2\"\n#EXTINF:1,\n8\n")),
            Some((9, 0))
        );
        assert_eq!(next("#EXT-X-PART:DURATION=0.5,URI=\"0.1\"\n"), Some((0, 1)), "a stream's first segment");
        assert_eq!(next(""), None);
        assert_eq!(next(&format!("{BEGUN}#EXT-X-ENDLIST\n")), None);
    }

    #[test]
    fn only_where_the_origin_lets_one_wait_and_no_longer_than_it_makes_sense() {
        let hold = |text: &str| Ahead::default().wish(&playlist(text)).map(|wish| wish.hold);
        assert_eq!(hold(BEGUN), Some(Duration::from_millis(2500)));
        for (target, ms) in [("0.999", 3997), ("1", 4000), ("1.001", 4000)] {
            assert_eq!(
                hold(&format!("#EXT-X-PART-INF:PART-TARGET={target}\n{BEGUN}")),
                Some(Duration::from_millis(ms))
            );
        }
        let no = playlist(&format!("#EXT-X-SERVER-CONTROL:CAN-SKIP-UNTIL=6\n{BEGUN}"));
        assert_eq!(Ahead::default().wish(&no), None);
    }

    #[test]
    fn an_origin_that_does_not_wait_is_given_up_and_one_that_stood_still_is_not() {
        let playlist = playlist(BEGUN);
        let mut ahead = Ahead::default();
        let mut asks = |after: Duration, news: bool| {
            let wish = ahead.wish(&playlist);
            ahead.answered(wish, after, news);
            // A look by the usual pace finds what has come meanwhile.
            let then = ahead.wish(&playlist);
            ahead.answered(None, Duration::ZERO, false);
            assert_eq!(ahead.wish(&playlist), then, "one that finds nothing changes nothing");
            ahead.answered(None, Duration::ZERO, true);
            (wish.is_some(), then.is_some())
        };
        for _ in 0..5 {
            assert_eq!(asks(Duration::from_secs(3), false), (true, false), "an encoder's pause");
        }
        let at_once = Duration::from_millis(5);
        assert_eq!(asks(at_once, false), (true, false));
        assert_eq!(asks(at_once, false), (true, false));
        assert_eq!(asks(at_once, true), (true, true), "one answer is enough");
        for asked in [true, true, true, false, false] {
            assert_eq!(asks(at_once, false).0, asked);
        }
    }
}
