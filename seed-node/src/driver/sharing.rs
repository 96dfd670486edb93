//! What the seed of a swarm leaves to the swarm's other seeds, and takes of them. What that is, [`Replicas`] says.

use std::collections::HashMap;

use rillcast_core::engine::Input;
use rillcast_core::time::Instant;
use rillcast_protocol::coding::List;
use rillcast_protocol::digest::SegmentDigest;
use rillcast_protocol::id::{PublisherKey, Role, SegmentKey, TrackId};
use rillcast_protocol::signal::{ClientMessage, Popularity};
use rillcast_publisher::playlist::{Playlist, Segment};

use super::Driver;
use crate::recall;
use crate::replicas::{Facts, Replicas};

/// Of a new rendition, so many segments' digests are asked for, and as many parts'.
const ASKED: usize = 8;

/// What it knows of that.
#[derive(Debug)]
pub(super) struct Sharing {
    pub(super) replicas: Replicas,
    /// What is to be, and what the engine was told last.
    placed: Placed,
    told: Placed,
    /// When it is to be looked at again.
    again: Option<Instant>,
}

impl Sharing {
    /// With nobody so far.
    pub(super) fn new(own: PublisherKey) -> Self {
        let (placed, told) = Default::default();
        Self { replicas: Replicas::new(own), placed, told, again: None }
    }
}

/// Segments to be taken of other seeds, and those that needn't be held.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Placed {
    take: Vec<SegmentKey>,
    spare: Vec<SegmentKey>,
}

impl Driver {
    /// Another publisher has signed: what it has fetched needn't be fetched here.
    pub(super) fn heard(&mut self, digest: &SegmentDigest) {
        self.publisher.note(digest);
        if digest.publisher != self.publisher.key() {
            let before = self.sharing.replicas.order().clone();
            self.sharing.replicas.heard(digest, self.peer.now());
            if before != *self.sharing.replicas.order() {
                self.reckon();
            }
            self.share();
        }
    }

    /// Signaling tells who is live, and what is played.
    pub(super) fn company(&mut self, keys: Vec<PublisherKey>, tracks: &[Popularity]) {
        self.sharing.replicas.told(keys, tracks);
        self.reckon();
        self.share();
    }

    /// A segment was fetched here and signed.
    pub(super) fn fetched(&mut self, key: SegmentKey) {
        if self.sharing.replicas.fetched(key) {
            self.reckon();
        }
    }

    /// Once in a second: what is popular here, what viewers are about to need, what needn't be held.
    pub(super) fn look_after_shares(&mut self) {
        let mut viewers: HashMap<TrackId, u32> = HashMap::new();
        for link in self.peer.engine().stats().links.iter().filter(|link| link.role == Role::Viewer) {
            if let Some((track, _)) = link.playing {
                *viewers.entry(TrackId(track)).or_default() += 1;
            }
        }
        self.sharing.replicas.linked(viewers);
        let engine = self.peer.engine();
        for key in self.peer.lacking(recall::AHEAD) {
            if let Some(digest) = engine.digest(&key) {
                self.sharing.replicas.missed(digest, self.peer.now());
            }
        }
        self.sharing.placed.spare = self.sharing.replicas.spare(engine.held());
        if let (Some(copies), Some(swarm)) = (&self.config.copies, self.peer.picture().swarm) {
            copies.place(swarm, self.sharing.replicas.ours());
        }
        self.share();
    }

    /// For how long there is nothing to do; `None` until something happens.
    pub(super) fn until_again(&self) -> Option<std::time::Duration> {
        self.sharing.again.map(|at| at.since(self.peer.now()))
    }

    /// Who shares with us has changed, or what is played.
    fn reckon(&mut self) {
        let Some(swarm) = self.peer.picture().swarm else { return };
        self.publisher.share(swarm, self.sharing.replicas.order().clone());
        let now = self.peer.now();
        for track in self.following.elsewhere(now, self.sharing.replicas.played()) {
            self.peer.sources().forget(track);
        }
    }

    /// Takes from other seeds what is ours to hold too.
    pub(super) fn share(&mut self) {
        let engine = self.peer.engine();
        let facts = |key: &SegmentKey| Facts {
            held: engine.holds(key),
            shown: engine.is_at_a_seed(key),
            wanted: engine.is_awaited(key),
        };
        let duties = self.sharing.replicas.duties(self.peer.now(), facts);
        self.sharing.again = duties.again;
        self.peer.picture().shared = self.sharing.replicas.tally;
        if let Some(swarm) = self.peer.picture().swarm {
            duties.bring.iter().for_each(|key| self.publisher.bring(swarm, *key));
        }
        self.sharing.placed.take = duties.take;
        if self.sharing.placed != self.sharing.told {
            self.sharing.told = self.sharing.placed.clone();
            let Placed { take, spare } = self.sharing.placed.clone();
            self.peer.input(Input::Replicas { take, spare });
        }
    }

    /// A rendition is new to us: others who share with us may have signed what its playlist names already.
    pub(super) fn ask(&self, playlist: &Playlist) {
        if self.sharing.replicas.order().is_alone() {
            return;
        }
        let newest =
            |of: &[Segment]| of.iter().rev().take(ASKED).map(|segment| segment.key).collect::<Vec<_>>();
        let newest = [newest(&playlist.segments), newest(&playlist.parts)].concat();
        self.peer.send(ClientMessage::WantDigests { keys: List::clipped(newest) });
    }
}
