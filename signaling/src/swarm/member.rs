//! One peer of a swarm.

use std::collections::{HashMap, VecDeque};
use std::time::Instant;

use rillcast_protocol::id::{
    Fingerprint, PeerId, PublisherKey, Role, SealingKey, SegmentKey, SessionKey, TrackId,
};
use rillcast_protocol::nat::{NatClass, TOLD_SINCE};
use rillcast_protocol::receipt::Voucher;
use rillcast_protocol::settings::Settings;
use rillcast_protocol::signal::{Network, PeerDescriptor, Report};
use rillcast_protocol::ticket::{SignedTicket, Ticket};

use crate::limits::Limits;
use crate::outbox::Outbox;
use crate::policy::Subject;
use crate::site::{Allowance, Own};
use rillcast_relay::rate::Bucket;

use super::accounts::{VOUCHERS_BURST, VOUCHERS_PER_MIN};
use super::repute::Repute;

/// What a ticket is for, besides what the server knows itself.
#[derive(Clone, Copy, Debug)]
pub struct Visit {
    /// Of the certificate that all of its links are made with.
    pub fingerprint: Fingerprint,
    /// Its own key.
    pub session: Option<SessionKey>,
    /// What signals to it are sealed with.
    pub sealing: Option<SealingKey>,
    /// The ticket that it had before, if it shows one of ours: it keeps its name and its place.
    pub former: Option<Ticket>,
}

/// What a connection brings into a swarm.
#[derive(Debug)]
pub struct Joiner {
    /// Chosen by the server. The swarm gives whoever comes back the one that it had.
    pub id: PeerId,
    /// Viewer or seed.
    pub role: Role,
    /// A publishing seed's key.
    pub publisher: Option<PublisherKey>,
    /// Where it is, as others are told.
    pub net: Network,
    /// What it is judged by.
    pub subject: Subject,
    /// What it is allowed below what the site allows.
    pub allowance: Allowance,
    /// What its ticket is for.
    pub visit: Visit,
    /// Where its messages go.
    pub outbox: Outbox,
    /// This server's STUN and TURN, as seen from the joiner.
    pub own: Own,
    /// The version both speak.
    pub version: u8,
}

#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) joiner: Joiner,
    pub(crate) nonce: u64,
    pub(crate) weight: u16,
    pub(crate) joined: Instant,
    /// As last given.
    pub(crate) ticket: SignedTicket,
    /// Until when credentials of relays count, in seconds since 1970.
    pub(crate) relays_until: u64,
    /// As last sent.
    pub(crate) settings: Settings,
    /// Place in the swarm's list.
    pub(crate) at: usize,
    /// With whom, and when last.
    pub(crate) introduced: HashMap<PeerId, Instant>,
    pub(crate) wants: Bucket,
    pub(crate) playing: Vec<TrackId>,
    /// When a seed last published something of a track, and how long that plays.
    pub(crate) published: HashMap<TrackId, (Instant, u32)>,
    pub(crate) report: Report,
    /// Digests still to be sent.
    pub(crate) backlog: VecDeque<SegmentKey>,
    pub(crate) accounts: Accounts,
    /// How its network maps addresses, as it has told.
    pub(crate) nat: NatClass,
    /// It has told before.
    pub(crate) has_shown_nat: bool,
}

/// What others say of a member.
#[derive(Debug)]
pub(crate) struct Accounts {
    pub(crate) repute: Repute,
    /// Checks of vouchers that are left to it.
    pub(crate) allowance: Bucket,
    /// For the log of receipts.
    pub(crate) kept: HashMap<PeerId, Voucher>,
}

impl Accounts {
    pub(crate) fn new(now: Instant) -> Self {
        let allowance = Bucket::new(VOUCHERS_PER_MIN / 60.0, VOUCHERS_BURST, now);
        Self { repute: Repute::default(), allowance, kept: HashMap::new() }
    }
}

impl Member {
    pub(crate) fn is_seed(&self) -> bool {
        self.joiner.role == Role::Seed
    }

    /// Whether it may meet others: not while switched off, not in the holdout group.
    pub(crate) fn takes_part(&self) -> bool {
        self.settings.enabled && !self.settings.holdout
    }

    /// The track that it names first: the picture's.
    pub(crate) fn track(&self) -> Option<TrackId> {
        self.playing.first().copied()
    }

    /// The home or office that it is in.
    pub(crate) fn place(&self) -> Option<u32> {
        Some(self.joiner.net.site).filter(|site| *site != 0)
    }

    /// Whether no way leads from one to the other. In one home or office there may be one that no NAT is on.
    pub(crate) fn is_out_of_reach(&self, other: &Self) -> bool {
        let apart = self.place().is_some_and(|here| other.place().is_some_and(|there| here != there));
        let relayed = self.settings.has_relays() || other.settings.has_relays();
        apart && !relayed && self.nat.is_hopeless_with(other.nat)
    }

    /// For a peer that speaks this version.
    pub(crate) fn descriptor(&self, initiate: bool, version: u8) -> PeerDescriptor {
        PeerDescriptor {
            id: self.joiner.id,
            role: self.joiner.role,
            nonce: self.nonce,
            weight: self.weight,
            net: self.joiner.net,
            sealing: self.joiner.visit.sealing,
            initiate,
            nat: if version >= TOLD_SINCE { self.nat } else { NatClass::Unknown },
        }
    }

    /// Most introductions that are remembered of it. A seed is there for hundreds of viewers.
    pub(crate) fn introductions(&self, limits: &Limits) -> usize {
        let factor = if self.is_seed() { limits.seed_factor.max(1) as usize } else { 1 };
        limits.introduced.saturating_mul(factor)
    }

    /// Notes an introduction; the oldest is forgotten above the limit.
    pub(crate) fn introduce(&mut self, to: PeerId, now: Instant, limits: &Limits) {
        let limit = self.introductions(limits);
        if self.introduced.len() >= limit
            && !self.introduced.contains_key(&to)
            && let Some(oldest) = self.introduced.iter().min_by_key(|(_, at)| **at).map(|(id, _)| *id)
        {
            self.introduced.remove(&oldest);
        }
        self.introduced.insert(to, now);
    }
}
