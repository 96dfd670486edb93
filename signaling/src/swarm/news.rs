//! Digests: who publishes, what goes to whom.

use std::time::{Duration, Instant};

use bytes::Bytes;
use rillcast_protocol::coding::{List, Wire};
use rillcast_protocol::digest::SegmentDigest;
use rillcast_protocol::id::{PeerId, PublisherKey, SegmentKey, TrackId};
use rillcast_protocol::signal::{MAX_PUBLISHERS, ServerMessage, TrackSource};
use rillcast_publisher::{sign, track_id};

use super::digests::Kept;
use super::member::Member;
use super::proof::Said;
use super::{Desk, Swarm};

/// Addresses kept of one track's playlist.
const ADDRESSES: usize = 4;
/// Digests of a backlog sent per tick to one member.
const PER_TICK: usize = 8;
/// Longest backlog of one member.
const BACKLOG: usize = 1024;
/// Keys that `Publishers` has room for.
const KEYS: usize = MAX_PUBLISHERS;

/// A track that somebody plays.
#[derive(Debug)]
pub(super) struct Played {
    since: Instant,
    pub(super) players: usize,
    addresses: Vec<String>,
    told: bool,
}

impl Swarm {
    /// Takes in what a member plays now.
    pub(crate) fn playing(&mut self, desk: &Desk<'_>, id: PeerId, tracks: &[TrackSource], now: Instant) {
        let Some(member) = self.members.get_mut(&id) else { return };
        let mut playing: Vec<TrackId> = Vec::new();
        for source in tracks {
            // A name that isn't the playlist's own would let one viewer say what another's track is.
            if track_id(source.playlist.as_str()) != source.track || playing.contains(&source.track) {
                continue;
            }
            playing.push(source.track);
            let played = self.played.entry(source.track).or_insert_with(|| Played {
                since: now,
                players: 0,
                addresses: Vec::new(),
                told: false,
            });
            played.players += 1;
            let address = source.playlist.as_str();
            if played.addresses.len() < ADDRESSES && !played.addresses.iter().any(|a| a == address) {
                played.addresses.push(address.to_owned());
                if let Some(publisher) = desk.publisher.filter(|_| self.following.contains(&source.track)) {
                    let _ = publisher.follow(self.id, address, &self.site.publish);
                }
            }
        }
        let before = std::mem::replace(&mut member.playing, playing.clone());
        self.kin.moved(id, before.first().copied(), playing.first().copied());
        self.stopped(&before);
        self.follow(desk, now);
        for track in playing.into_iter().filter(|t| !before.contains(t)) {
            self.catch_up(desk, id, track);
        }
    }

    /// Takes back what a member played.
    pub(super) fn stopped(&mut self, tracks: &[TrackId]) {
        for track in tracks {
            if let Some(played) = self.played.get_mut(track) {
                played.players -= 1;
                if played.players == 0 {
                    self.played.remove(track);
                }
            }
        }
    }

    /// Gives a newcomer to a track what it needs to begin with.
    fn catch_up(&mut self, desk: &Desk<'_>, id: PeerId, track: TrackId) {
        let Some(member) = self.members.get_mut(&id).filter(|m| m.takes_part()) else { return };
        let count = desk.limits.digests_to_newcomer;
        for digest in self.digests.for_newcomer(track, count) {
            let hosted = desk.host.has(self.id, digest.key);
            member
                .joiner
                .outbox
                .send(&ServerMessage::Digest { digest: SegmentDigest { hosted, ..digest.clone() } });
            desk.metrics.digests_sent_total.up();
        }
        let had = member.backlog.len();
        member.backlog.extend(self.digests.rest(track, count).take(BACKLOG.saturating_sub(had)));
        if had == 0 && !member.backlog.is_empty() {
            self.behind.push(id);
        }
    }

    /// Sends the next few of every backlog.
    pub(super) fn trickle(&mut self, desk: &Desk<'_>) {
        let (members, digests, swarm) = (&mut self.members, &self.digests, self.id);
        self.behind.retain(|id| {
            let Some(member) = members.get_mut(id) else { return false };
            if !member.takes_part() {
                member.backlog.clear();
            }
            let next = PER_TICK.min(member.backlog.len());
            for key in member.backlog.drain(..next) {
                if let Some(digest) = digests.find(key) {
                    let hosted = desk.host.has(swarm, key);
                    let digest = SegmentDigest { hosted, ..digest.clone() };
                    member.joiner.outbox.send(&ServerMessage::Digest { digest });
                    desk.metrics.digests_sent_total.up();
                }
            }
            !member.backlog.is_empty()
        });
    }

    /// Answers a request for digests.
    pub(crate) fn want_digests(&mut self, desk: &Desk<'_>, id: PeerId, keys: &[SegmentKey]) {
        let Some(member) = self.members.get(&id).filter(|m| m.takes_part()) else { return };
        for key in keys {
            if let Some(digest) = self.digests.find(*key) {
                let hosted = desk.host.has(self.id, *key);
                let digest = SegmentDigest { hosted, ..digest.clone() };
                member.joiner.outbox.send(&ServerMessage::Digest { digest });
                desk.metrics.digests_sent_total.up();
            } else if let Some(publisher) = desk.publisher {
                publisher.want(self.id, *key);
            }
        }
    }

    /// A seed's digest.
    pub(crate) fn publish(&mut self, desk: &Desk<'_>, id: PeerId, mut digest: SegmentDigest, now: Instant) {
        let swarm = self.id;
        let Some(member) = self.members.get_mut(&id) else { return };
        let own = member.is_seed() && member.joiner.publisher == Some(digest.publisher);
        if !own || digest.swarm != swarm || !sign::verify(&digest) {
            desk.metrics.digests_refused_total.up();
            return;
        }
        if member.published.len() < 2 * desk.limits.tracks_per_swarm
            || member.published.contains_key(&digest.key.track)
        {
            member.published.insert(digest.key.track, (now, digest.duration_ms));
        }
        digest.hosted = desk.host.has(swarm, digest.key);
        desk.metrics.digests_from_seeds_total.up();
        let said = self.compare(desk, &digest, now);
        // Whoever is in doubt doesn't spare the built-in publisher its work, and that is to find out who lies.
        self.follow(desk, now);
        if said.counts {
            if let Some(publisher) = desk.publisher {
                publisher.note(&digest);
            }
            self.spread(desk, &digest, Some(id));
        }
        if !said.is_idle && (!said.counts || said.contradicts.is_some()) {
            self.have_checked(desk, &digest, id);
        }
    }

    /// Has a newcomer's word, or one that contradicts another's, looked at by those who count; of very many by the oldest.
    fn have_checked(&self, desk: &Desk<'_>, digest: &SegmentDigest, by: PeerId) {
        // Of a track that isn't followed it has nothing to say, and is to remember nothing.
        if let Some(publisher) = desk.publisher.filter(|_| self.following.contains(&digest.key.track)) {
            publisher.check(digest);
        }
        let message = Bytes::from(ServerMessage::Digest { digest: digest.clone() }.to_bytes());
        let looks = |seed: &&Member| {
            seed.takes_part() && seed.joiner.publisher.is_some_and(|key| self.proof.trusts(&key))
        };
        let seeds = self.seeds.iter().filter(|id| **id != by).filter_map(|id| self.members.get(id));
        for seed in seeds.filter(looks).take(MAX_PUBLISHERS) {
            seed.joiner.outbox.send_encoded(message.clone());
        }
    }

    /// Compares a digest with what others have said of its segment, and tells everybody if that changes whose digests count.
    fn compare(&mut self, desk: &Desk<'_>, digest: &SegmentDigest, now: Instant) -> Said {
        let said = self.proof.hear(digest, desk.limits.publisher_proof, now);
        if said.contradicts.is_some() {
            desk.metrics.disputes_total.up();
        }
        if let Some(first) = said.contradicts.filter(|_| !said.again) {
            tracing::error!(
                site = self.site.name, number = digest.key.number, %first, second = %digest.publisher,
                "two publishers contradict each other: neither is believed, unless others say the same; revoke the one that lies"
            );
        }
        if said.proves {
            tracing::info!(
                site = self.site.name,
                "a publisher's first digests were confirmed; it counts from now on"
            );
        }
        if said.proves || said.votes || said.contradicts.is_some() {
            self.tell_publishers(desk, None);
            self.tell_seeds(None, now);
        }
        said
    }

    /// A digest of the built-in publisher.
    pub(crate) fn published(&mut self, desk: &Desk<'_>, digest: &SegmentDigest, now: Instant) {
        desk.metrics.digests_total.up();
        self.compare(desk, digest, now);
        self.spread(desk, digest, None);
    }

    /// The built-in publisher found that a key has got a second meaning.
    pub(crate) fn conflict(&mut self, key: SegmentKey) {
        self.digests.drop_key(key);
    }

    /// The built-in publisher found a track's playlist finished.
    pub(crate) fn finished(&mut self, desk: &Desk<'_>, track: TrackId) {
        self.digests.finish(track, desk.limits);
    }

    /// Sends a new digest to some of the members: those who play its track before the others.
    fn spread(&mut self, desk: &Desk<'_>, digest: &SegmentDigest, except: Option<PeerId>) {
        match self.digests.keep(digest, desk.limits) {
            Kept::New => {}
            Kept::Known => return,
            // Those who have heard the first are to hear the second too, or they would take it for true; newcomers hear neither.
            Kept::Disputed => {}
            Kept::Refused => return desk.metrics.digests_refused_total.up(),
        }
        let to = self.receivers(digest.key.track, desk.limits.digest_fanout, except);
        let message = Bytes::from(ServerMessage::Digest { digest: digest.clone() }.to_bytes());
        for id in &to {
            if let Some(member) = self.members.get(id) {
                member.joiner.outbox.send_encoded(message.clone());
            }
        }
        desk.metrics.digests_sent_total.add(to.len() as u64);
    }

    /// At most `count` members for a digest: seeds first, for they reach the most, then players of its track, then others;
    /// among equals at random. Takes one pass over the members, for swarms can be large.
    fn receivers(&mut self, track: TrackId, count: usize, except: Option<PeerId>) -> Vec<PeerId> {
        let mut ranks: [Vec<PeerId>; 3] = Default::default();
        for (id, member) in self.members.iter().filter(|(id, m)| Some(**id) != except && m.takes_part()) {
            let rank = if member.is_seed() { 0 } else { 2 - usize::from(member.playing.contains(&track)) };
            ranks[rank].push(*id);
        }
        let mut chosen = Vec::new();
        for mut rank in ranks {
            let take = rank.len().min(count - chosen.len());
            self.random.shuffle_front(&mut rank, take);
            chosen.extend_from_slice(&rank[..take]);
        }
        chosen
    }

    /// Lets the built-in publisher follow what is played and no seed publishes, and nothing else.
    pub(super) fn follow(&mut self, desk: &Desk<'_>, now: Instant) {
        let Some(publisher) = desk.publisher else { return };
        let mut wanted: Vec<(usize, TrackId)> = Vec::new();
        if self.site.enabled() {
            for (track, played) in &self.played {
                if !self.seed_covers(desk, *track, played, now) {
                    wanted.push((played.players, *track));
                }
            }
        }
        // The most played first; the track's number decides between equals, so that they don't change places.
        wanted.sort_unstable_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
        wanted.truncate(desk.limits.tracks_per_swarm);
        let id = self.id;
        self.following.retain(|track| {
            let keep = wanted.iter().any(|(_, t)| t == track);
            if !keep {
                publisher.unfollow(id, *track);
            }
            keep
        });
        if self.following.is_empty() {
            self.followed = None;
        }
        for (_, track) in wanted {
            let Some(played) = self.played.get_mut(&track).filter(|_| !self.following.contains(&track))
            else {
                continue;
            };
            for address in &played.addresses {
                match publisher.follow(id, address, &self.site.publish) {
                    Ok(_) => {
                        self.following.insert(track);
                        self.followed.get_or_insert(now);
                    }
                    Err(error) if !std::mem::replace(&mut played.told, true) => {
                        tracing::warn!(site = self.site.name, %error, "a playlist that viewers play isn't followed");
                    }
                    Err(_) => {}
                }
            }
        }
    }

    /// Whether a seed publishes the track. One that is new to it is given some time; one that takes over from the
    /// built-in publisher has to have begun.
    fn seed_covers(&self, desk: &Desk<'_>, track: TrackId, played: &Played, now: Instant) -> bool {
        let following = self.following.contains(&track);
        let here = self.publishing_seeds();
        self.seeds.iter().filter_map(|id| self.members.get(id)).any(|seed| {
            // What a newcomer has said is compared with what the built-in publisher finds, until it counts, and so is what somebody contradicts; who
            // stands in for the built-in publisher doesn't keep it from trying.
            let is_sure = |key| self.proof.has_proven(&key) && self.proof.counts(&key, &here);
            if !seed.joiner.publisher.is_some_and(is_sure) {
                return false;
            }
            let lease = Duration::from_secs(desk.limits.seed_lease_secs);
            match seed.published.get(&track) {
                Some((at, duration_ms)) => {
                    let lease = lease.max(Duration::from_millis(3 * u64::from(*duration_ms)));
                    now.saturating_duration_since(*at) < lease
                }
                None => !following && now.saturating_duration_since(seed.joined.max(played.since)) < lease,
            }
        })
    }

    /// Whose digests count here.
    pub(super) fn publishers(&self, desk: &Desk<'_>) -> List<PublisherKey, KEYS> {
        let here = self.publishing_seeds();
        let mut keys: Vec<PublisherKey> = Vec::new();
        for key in self
            .built_in(desk)
            .into_iter()
            .chain(here.iter().copied())
            .chain(self.former.iter().rev().copied())
        {
            if !keys.contains(&key) && self.proof.counts(&key, &here) {
                keys.push(key);
            }
        }
        List::clipped(keys)
    }

    fn built_in(&self, desk: &Desk<'_>) -> Option<PublisherKey> {
        desk.publisher.filter(|_| !self.site.publish.is_empty()).map(|p| p.key())
    }

    /// The keys of the seeds that are here, oldest first.
    fn publishing_seeds(&self) -> Vec<PublisherKey> {
        self.seeds.iter().filter_map(|id| self.members.get(id)?.joiner.publisher).collect()
    }

    /// A seed has come or gone, or time has passed.
    pub(super) fn reckon(&mut self, desk: &Desk<'_>, now: Instant) {
        let here = self.publishing_seeds();
        let former = &self.former;
        self.proof.retain(|key| here.contains(key) || former.contains(key));
        // While nobody plays nothing is followed, nobody's word is needed, and all stays as it is.
        let is_able = match self.played.is_empty() {
            true => !self.proof.has_stand_ins(),
            false => self.proof.answers(self.followed, now),
        };
        self.proof.present(self.built_in(desk), is_able, &here, desk.limits.publisher_proof);
    }

    /// Tells everybody else whose digests count, if that has changed.
    pub(super) fn tell_publishers(&mut self, desk: &Desk<'_>, except: Option<PeerId>) {
        let keys = self.publishers(desk);
        if keys == self.told_publishers {
            return;
        }
        self.told_publishers = keys.clone();
        let message = Bytes::from(ServerMessage::Publishers { keys }.to_bytes());
        for (_, member) in self.members.iter().filter(|(id, _)| Some(**id) != except) {
            member.joiner.outbox.send_encoded(message.clone());
        }
    }

    /// A seed was revoked: unless another one signs with the same key, what it signed counts no more.
    pub(super) fn disown(&mut self, desk: &Desk<'_>, key: PublisherKey) {
        if !self.signs(key) {
            self.former.retain(|k| *k != key);
            self.proof.forget(&key);
            self.digests.drop_publisher(key);
            self.tell_publishers(desk, None);
        }
    }

    /// Whether a seed that is here signs with this key.
    fn signs(&self, key: PublisherKey) -> bool {
        let signs = |id: &PeerId| self.members.get(id).is_some_and(|m| m.joiner.publisher == Some(key));
        self.seeds.iter().any(signs)
    }

    /// A seed has left. If its digests count they go on counting, for they are still under way, until there are too many such.
    pub(super) fn seed_left(&mut self, key: PublisherKey) {
        if self.signs(key) {
            return;
        }
        if !self.proof.trusts(&key) {
            return self.proof.forget(&key);
        }
        self.former.retain(|k| *k != key);
        self.former.push_back(key);
        if self.former.len() > KEYS / 2
            && let Some(oldest) = self.former.pop_front()
        {
            self.digests.drop_publisher(oldest);
        }
    }
}
