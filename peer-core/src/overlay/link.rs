//! One open link: what the other end plays, gives and has promised. What it holds stands in the index.

use rillcast_protocol::OLDEST_VERSION;
use rillcast_protocol::id::{Fingerprint, Network, PeerId, Role, SegmentKey, TrackId};
use rillcast_protocol::nat::NatClass;
use rillcast_protocol::ticket::SignedTicket;

use crate::map::keep;
use crate::media::Bits;
use crate::time::{Duration, Instant, Rate, micros};
use crate::wire::message::{No, Playing};

/// A source claim holds this long.
pub const CLAIM: Duration = Duration::from_millis(3000);
const MAX_CLAIMS: usize = 64;
/// Believed of an uplink of which nothing is known, in bytes/s.
const UNKNOWN_UPLINK: u32 = 250_000;
/// However slow an uplink says that it is, no block is waited for longer.
const SLOWEST: Duration = Duration::from_millis(4000);

/// Who doesn't keep its word is left alone for twice this time, and for twice as long each time that it does so again.
const LET_DOWN: Duration = Duration::from_millis(500);
/// So often: a minute in the end.
const MAX_LET_DOWN: u8 = 7;
/// Whoever owes us so many isn't believed to hold what it says.
const DOUBTED: u8 = 2;
/// Blocks that may be on their way from one neighbour at a time: what honest ones offer, have in their buffers and on the wire. A promise keeps
/// others from giving the block.
pub const MAX_PROMISED: usize = 6;
/// From one that owes us some.
pub const MAX_PROMISED_AGAIN: usize = 1;

/// The smallest round trip counts for twice this time at most: paths change.
const PERIOD: Duration = Duration::from_secs(300);
/// Segments that it is offered nothing of for a while.
const MAX_PAUSES: usize = 32;

/// A neighbour. Who and what it is stands in its ticket, which was verified before there was a link.
#[derive(Clone, Debug)]
pub struct Link {
    /// Who, by the name that the link was made under.
    pub peer: PeerId,
    /// Who, by its ticket: a peer that came back to the server may have another name there now.
    pub name: PeerId,
    /// Of its certificate: one for each visit, whatever its name.
    pub fingerprint: Fingerprint,
    /// Its ticket, which others are shown who are told of it.
    pub ticket: Box<SignedTicket>,
    /// Until when its ticket counts, in milliseconds since 1970.
    pub expires_ms: u64,
    /// Since when its ticket counts no more.
    pub lapsed: Option<Instant>,
    /// The version that it speaks.
    pub version: u8,
    /// How its network maps addresses, as it says.
    pub nat: NatClass,
    /// What it is.
    pub role: Role,
    /// Its place in elections.
    pub nonce: u64,
    /// Its weight in elections.
    pub weight: u16,
    /// Where it is.
    pub net: Network,
    /// It has spoken since its ticket was verified; what it plays and holds comes first.
    pub greeted: bool,
    /// It gives nothing and stays out of elections.
    pub passive: bool,
    /// What it plays.
    pub playing: Vec<Playing>,
    /// What it says that its uplink carries, in bytes/s; 0 while it doesn't know.
    pub upload: u32,
    /// What it lacked of late, in hundredths.
    pub short: u8,
    /// It helps to spread this track.
    pub helps: Option<TrackId>,
    /// When it opened.
    pub opened: Instant,
    /// When we last heard of it.
    pub heard: Instant,
    /// When we last sent it a ping.
    pub pinged: Instant,
    /// Smallest round trip of late.
    pub rtt: Option<Duration>,
    /// Mean round trip of late: what an answer takes, busy pages and queues included.
    pub delay: Duration,
    /// The smallest since then.
    period: (Duration, Instant),
    /// Bytes in its bulk buffer, as far as we know.
    pub buffered: u32,
    /// Media bytes received from it.
    pub received: u64,
    /// Media bytes sent to it.
    pub sent: u64,
    /// It has no time for requests until then.
    pub busy_until: Instant,
    /// Blocks that it has promised and didn't bring, less those that it brought.
    let_down: u8,
    /// It has no room for more until then.
    pub full_until: Instant,
    /// Blocks that it offered us: a sign of good will even if others were quicker.
    pub offers: u32,
    /// On demand: from which number on it was shown what we hold of a track, and up to where.
    pub shown: Vec<(TrackId, core::ops::Range<u64>)>,
    claims: Vec<(SegmentKey, core::ops::Range<u16>, Instant)>,
    pauses: Vec<(SegmentKey, Instant)>,
    carried: Quota,
    told: Quota,
}

/// How often something was done of late.
#[derive(Clone, Copy, Debug, Default)]
struct Quota {
    since: Instant,
    times: u16,
}

impl Quota {
    fn take(&mut self, limit: u16, time: Duration, now: Instant) -> bool {
        if self.times == 0 || now.since(self.since) >= time {
            *self = Self { since: now, times: 0 };
        }
        self.times = self.times.saturating_add(1);
        self.times <= limit
    }
}

impl Link {
    /// A link to whoever holds this ticket.
    pub fn new(peer: PeerId, ticket: &SignedTicket, now: Instant) -> Self {
        let holder = &ticket.body;
        Self {
            peer,
            name: holder.peer,
            fingerprint: holder.fingerprint,
            ticket: Box::new(ticket.clone()),
            expires_ms: holder.expires_ms,
            lapsed: None,
            version: OLDEST_VERSION,
            nat: NatClass::Unknown,
            role: holder.role,
            nonce: holder.nonce,
            weight: holder.weight,
            net: holder.net,
            greeted: false,
            passive: false,
            playing: Vec::new(),
            upload: 0,
            short: 0,
            helps: None,
            opened: now,
            heard: now,
            pinged: now,
            rtt: None,
            delay: Duration::ZERO,
            period: (Duration::MAX, now),
            buffered: 0,
            received: 0,
            sent: 0,
            busy_until: now,
            let_down: 0,
            full_until: now,
            offers: 0,
            shown: Vec::new(),
            claims: Vec::new(),
            pauses: Vec::new(),
            carried: Quota::default(),
            told: Quota::default(),
        }
    }

    /// A block that it had promised didn't come. Those that were promised together count once.
    pub fn let_down(&mut self, now: Instant) {
        if !self.is_shunned(now) {
            self.let_down = MAX_LET_DOWN.min(self.let_down + 1);
            self.busy_until = now + LET_DOWN * (1 << self.let_down);
        }
    }

    /// A block has come.
    pub fn kept_word(&mut self) {
        self.let_down = self.let_down.saturating_sub(1);
    }

    /// Whether it may promise one more, with so many on their way.
    pub fn may_promise(&self, promised: usize) -> bool {
        promised < if self.let_down > 0 { MAX_PROMISED_AGAIN } else { MAX_PROMISED }
    }

    /// What it says that it holds or fetches is hearsay: it has let us down now, or again.
    pub fn is_doubted(&self, now: Instant) -> bool {
        self.let_down >= DOUBTED || self.is_shunned(now)
    }

    /// Nothing is taken of it for now, for it has let us down.
    pub fn is_shunned(&self, now: Instant) -> bool {
        self.let_down > 0 && self.busy_until > now
    }

    /// It has got a new ticket. What it is, it stays; where it stands in elections is for this ticket to say.
    pub fn renew(&mut self, ticket: &SignedTicket) {
        let holder = &ticket.body;
        (self.name, self.expires_ms) = (holder.peer, holder.expires_ms);
        *self.ticket = ticket.clone();
        (self.nonce, self.weight, self.net, self.lapsed) = (holder.nonce, holder.weight, holder.net, None);
    }

    /// Whether one more signal may be carried for it: so many in such a time.
    pub fn may_carry(&mut self, limit: u16, time: Duration, now: Instant) -> bool {
        self.carried.take(limit, time, now)
    }

    /// Whether it may tell of others once more: so many times in such a time.
    pub fn may_tell(&mut self, limit: u16, time: Duration, now: Instant) -> bool {
        self.told.take(limit, time, now)
    }

    /// Whether it is going to play the segment and lacks it so far.
    #[inline]
    pub fn wants(&self, key: &SegmentKey) -> bool {
        self.playing.iter().any(|p| p.track == key.track && key.number >= p.next)
    }

    /// Whether it may be offered blocks of the segment: it wants it, or spreads it.
    #[inline]
    pub fn takes_part(&self, key: &SegmentKey) -> bool {
        self.wants(key) || self.helps == Some(key.track)
    }

    /// What it plays, to somebody who plays these; or spreads, if that is one of them.
    pub fn seen_by(&self, playing: &[Playing]) -> Option<Playing> {
        playing.iter().find(|p| Some(p.track) == self.helps).or(self.playing.first()).copied()
    }

    /// Whether it plays the track.
    #[inline]
    pub fn plays(&self, track: TrackId) -> bool {
        self.playing.iter().any(|p| p.track == track)
    }

    /// It says that it fetches these blocks from the source.
    pub fn claim(&mut self, key: SegmentKey, blocks: core::ops::Range<u16>, now: Instant) {
        keep(&mut self.claims, |(_, _, until)| *until > now);
        if self.claims.len() < MAX_CLAIMS {
            self.claims.push((key, blocks, now + CLAIM));
        }
    }

    /// Forgets what has ended.
    pub fn forget_old(&mut self, now: Instant) {
        keep(&mut self.claims, |(_, _, until)| *until > now);
        keep(&mut self.pauses, |(_, until)| *until > now);
    }

    /// Whether a claim of it covers the block.
    pub fn claims(&self, key: &SegmentKey, block: u16, now: Instant) -> bool {
        self.claims.iter().any(|(k, blocks, until)| k == key && *until > now && blocks.contains(&block))
    }

    /// Adds the blocks of a segment that its claims cover.
    #[inline]
    pub fn claimed(&self, key: &SegmentKey, now: Instant, blocks: &mut Bits) {
        for (k, claimed, until) in &self.claims {
            if k == key && *until > now {
                blocks.put(claimed.clone());
            }
        }
    }

    /// It declined an offer: for a while it is offered nothing of the segment, or nothing at all. What it holds or has coming it says itself.
    pub fn decline(&mut self, key: SegmentKey, why: No, now: Instant) {
        let pause = match why {
            No::Busy => return self.full_until = now + Duration::from_millis(500),
            No::Held => return,
            No::Unwanted => Duration::from_millis(4000),
            No::InFlight => Duration::from_millis(400),
            No::NoDigest | No::NotHeld => Duration::from_millis(300),
        };
        keep(&mut self.pauses, |(_, until)| *until > now);
        if self.pauses.len() < MAX_PAUSES {
            self.pauses.push((key, now + pause));
        }
    }

    /// Until when it is offered nothing of a segment, if it has declined something of it a short while ago.
    #[inline]
    pub fn pauses(&self, key: &SegmentKey, now: Instant) -> Option<Instant> {
        self.pauses.iter().filter(|(k, until)| k == key && *until > now).map(|(_, until)| *until).max()
    }

    /// When a block that it is asked for should have begun to come. Busy pages answer by fits and starts: four of their mean round trips
    /// aren't rare, and who asks elsewhere too early gets the block twice.
    pub fn answers(&self, now: Instant) -> Instant {
        now + (self.delay * 4).min(SLOWEST)
    }

    /// How long it takes for so many bytes, as far as it says what its uplink carries.
    pub fn takes(&self, bytes: u32) -> Duration {
        let rate = Rate::new(u64::from(if self.upload == 0 { UNKNOWN_UPLINK } else { self.upload }));
        (rate.time_for(u64::from(bytes)) + self.delay).min(SLOWEST)
    }

    /// Takes a round trip, whatever it was due to.
    pub fn answered(&mut self, sample: Duration) {
        self.delay = if self.delay.is_zero() { sample } else { (self.delay * 7 + sample) / 8 };
    }

    /// Takes a round trip, of which so many microseconds were due to a queue on our own uplink; told back: by how many it was longer than
    /// the smallest. Only of the first such a queue is taken away: whom we meet while there is one has never been seen without.
    pub fn measure(&mut self, sample: Duration, queue: u64, now: Instant) -> u64 {
        let first = Duration::from_micros(micros(sample).saturating_sub(queue));
        let mut rtt = self.rtt.unwrap_or(first).min(sample);
        self.period.0 = self.period.0.min(sample);
        if now > self.period.1 + PERIOD {
            // What was smaller before this period is forgotten.
            (rtt, self.period) = (self.period.0, (Duration::MAX, now));
        }
        self.rtt = Some(rtt);
        micros(sample).saturating_sub(micros(rtt))
    }
}

#[cfg(test)]
mod tests {
    use rillcast_protocol::id::{AuthorityKey, SwarmId};
    use rillcast_protocol::ticket::{Signed, Ticket};

    use super::*;

    fn link() -> Link {
        let body = Ticket {
            swarm: SwarmId([9; 16]),
            peer: PeerId([1; 16]),
            role: Role::Viewer,
            fingerprint: Fingerprint([1; 32]),
            session: None,
            sealing: None,
            nonce: 0,
            weight: 100,
            net: Network::default(),
            expires_ms: 1,
        };
        let ticket = Signed { body, authority: AuthorityKey([8; 32]), signature: [1; 64] };
        Link::new(body.peer, &ticket, Instant::ZERO)
    }

    fn key(number: u64) -> SegmentKey {
        SegmentKey { track: TrackId(1), number, discontinuity: 0, part: 0 }
    }

    // H11: what it says that it holds keeps others from fetching it.
    #[test]
    fn who_breaks_its_word_again_is_doubted_until_it_has_kept_it() {
        let (mut link, mut now) = (link(), Instant::ZERO);
        let mut let_down = |link: &mut Link| {
            now += Duration::from_secs(60);
            link.let_down(now);
            now
        };
        let soon = Duration::from_millis(900);
        let first = let_down(&mut link);
        assert!(
            link.is_doubted(first + soon) && !link.is_doubted(first + soon * 2),
            "once may be an accident"
        );
        assert!(!link.may_promise(MAX_PROMISED_AGAIN) && link.may_promise(MAX_PROMISED_AGAIN - 1));
        let second = let_down(&mut link);
        assert!(link.is_doubted(second + soon * 30));
        link.kept_word();
        assert!(!link.is_doubted(second + soon * 30) && !link.may_promise(MAX_PROMISED_AGAIN));
        link.kept_word();
        assert!(link.may_promise(MAX_PROMISED - 1) && !link.may_promise(MAX_PROMISED));
    }

    #[test]
    fn claims_are_bounded_and_end() {
        let mut link = link();
        for number in 0..=MAX_CLAIMS as u64 {
            link.claim(key(number), 0..4, Instant::ZERO);
        }
        assert!(link.claims(&key(MAX_CLAIMS as u64 - 1), 3, Instant::ZERO), "at the limit");
        assert!(!link.claims(&key(MAX_CLAIMS as u64), 3, Instant::ZERO), "one over");
        assert!(!link.claims(&key(0), 4, Instant::ZERO), "beside the claim");
        let end = Instant::ZERO + CLAIM;
        assert!(!link.claims(&key(0), 0, end));
        link.claim(key(7777), 0..1, end);
        assert!(link.claims(&key(7777), 0, end), "ended claims make room");
    }

    #[test]
    fn who_declines_is_left_alone_for_a_while() {
        let mut link = link();
        let at = |ms| Instant::ZERO + Duration::from_millis(ms);
        link.decline(key(1), No::InFlight, at(0));
        assert_eq!(link.pauses(&key(1), at(399)), Some(at(400)));
        assert_eq!((link.pauses(&key(1), at(400)), link.pauses(&key(2), at(0))), (None, None));
        link.decline(key(2), No::Held, at(0));
        assert_eq!(link.pauses(&key(2), at(0)), None, "its map says it all");
        link.decline(key(1), No::Busy, at(0));
        assert_eq!(link.full_until, at(500));
    }

    #[test]
    fn pauses_are_bounded_and_end() {
        let mut link = link();
        (0..=MAX_PAUSES as u64).for_each(|n| link.decline(key(n), No::Unwanted, Instant::ZERO));
        assert!(link.pauses(&key(MAX_PAUSES as u64 - 1), Instant::ZERO).is_some(), "at the limit");
        assert!(link.pauses(&key(MAX_PAUSES as u64), Instant::ZERO).is_none(), "one over");
        let later = Instant::ZERO + Duration::from_secs(5);
        link.decline(key(77), No::Unwanted, later);
        assert!(link.pauses(&key(77), later).is_some(), "what has ended makes room");
    }

    #[test]
    fn the_round_trip_is_the_smallest_of_the_last_minutes() {
        let (mut link, ms) = (link(), Duration::from_millis);
        for (at, sample, rtt) in [
            (0, 80, 80),
            (1, 40, 40),
            (299, 90, 40),
            (300, 70, 40),
            (301, 60, 40),
            (302, 90, 40),
            (601, 80, 40),
            (602, 85, 80),
            (603, 20, 20),
        ] {
            let over = link.measure(ms(sample), 0, Instant::ZERO + Duration::from_secs(at));
            assert_eq!((link.rtt, over), (Some(ms(rtt)), (sample - rtt) * 1000), "{sample} after {at} s");
        }
    }

    #[test]
    fn an_answer_is_waited_for_as_long_as_this_neighbour_takes_and_not_for_ever() {
        let (mut link, ms) = (link(), Duration::from_millis);
        assert_eq!(link.answers(Instant::ZERO), Instant::ZERO, "nothing known yet");
        link.measure(ms(40), 0, Instant::ZERO);
        link.answered(ms(40));
        assert_eq!(link.answers(Instant::ZERO), Instant::ZERO + ms(160));
        (0..40).for_each(|_| link.answered(ms(500)));
        let waits = link.answers(Instant::ZERO).since(Instant::ZERO);
        assert!(waits > ms(1900) && waits <= ms(2000), "{waits:?}");
        assert_eq!(link.rtt, Some(ms(40)), "a page's delay is no path's");
        (0..40).for_each(|_| link.answered(ms(30_000)));
        assert_eq!(link.answers(Instant::ZERO), Instant::ZERO + SLOWEST);
        (0..60).for_each(|_| link.answered(ms(40)));
        assert!(link.answers(Instant::ZERO) < Instant::ZERO + ms(250), "busy no more");
    }

    #[test]
    fn a_queue_on_our_own_uplink_is_no_part_of_the_first_round_trip() {
        let (mut link, mut other, ms) = (link(), link(), Duration::from_millis);
        assert_eq!(link.measure(ms(150), 100_000, Instant::ZERO), 100_000);
        assert_eq!(link.measure(ms(170), 100_000, Instant::ZERO), 120_000);
        assert_eq!(link.measure(ms(40), 100_000, Instant::ZERO), 0, "later ones are as they are");
        assert_eq!(other.measure(ms(40), 100_000, Instant::ZERO), 40_000, "none is less than nothing");
    }

    #[test]
    fn a_neighbour_wants_what_it_plays_and_has_not_reached() {
        let mut link = link();
        link.playing = vec![Playing { track: TrackId(1), next: 5 }];
        assert!(link.wants(&key(5)) && !link.wants(&key(4)));
        assert!(!link.wants(&SegmentKey { track: TrackId(2), ..key(5) }));
    }
}
