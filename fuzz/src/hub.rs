//! Joined peers that say anything in any order, to a hub without sockets.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ed25519_dalek::{Signer, SigningKey};
use rillcast_protocol::coding::{List, Text, Wire};
use rillcast_protocol::id::{PeerId, PublisherKey, Role, SegmentKey, SessionKey, SwarmId, TrackId};
use rillcast_protocol::receipt::{Receipt, Voucher};
use rillcast_protocol::signal::{ClientMessage, Join, MAX_MESSAGE, ServerMessage};
use rillcast_protocol::ticket::{SignedTicket, statement_bytes};
use rillcast_publisher::{PublishingKey, sign};
use rillcast_signaling::auth::{Asker, Open};
use rillcast_signaling::authority::Authority;
use rillcast_signaling::hub::{Files, Hub};
use rillcast_signaling::limits::Limits;
use rillcast_signaling::outbox::{Outgoing, outbox};
use rillcast_signaling::random;
use rillcast_signaling::site::{Own, SettingsFile, Sites};
use rillcast_signaling::swarm::Joiner;

use crate::feed::Feed;
use crate::wire::filled;

/// Most peers at a time.
const PEERS: usize = 6;
/// Messages and bytes that wait for one of them.
const QUEUE: (usize, usize) = (64, 256 * 1024);

/// A hub that lets programs of this machine in, and remembers little, so that its bounds are met.
pub fn hub() -> Arc<Hub> {
    let limits = Limits { introduce: 2, introduced: 3, swarms: 2, members: PEERS - 1, ..Limits::default() };
    let sites = Sites::new(&SettingsFile::default(), Vec::new()).expect("the defaults");
    Hub::new(
        limits,
        sites,
        None,
        ([7; 32], Authority::from_seeds(&[5; 32], &[])),
        Open::Loopback,
        Files::default(),
    )
}

struct Puppet {
    id: PeerId,
    swarm: SwarmId,
    /// What it signs digests with.
    publishes: Option<PublishingKey>,
    ticket: Option<SignedTicket>,
    outgoing: Outgoing,
}

/// Plays a sequence of joins, messages and departures.
pub fn run(data: &[u8]) {
    let hub = hub();
    let mut feed = Feed::new(data);
    let mut peers: Vec<Puppet> = Vec::new();
    let mut now = Instant::now();
    while !feed.is_over() {
        match feed.below(10) {
            0 => {
                let bytes = feed.bytes();
                if peers.len() < PEERS {
                    peers.extend(enter(&hub, bytes));
                }
            }
            1 => peers.extend((peers.len() < PEERS).then(|| familiar(&hub, feed.below(8))).flatten()),
            2 if !peers.is_empty() => {
                let gone = peers.remove(usize::from(feed.byte()) % peers.len());
                hub.leave(gone.swarm, gone.id);
            }
            3 => {
                now += Duration::from_millis(u64::from(feed.byte()) * 50);
                hub.tick_at(now, 1_800_000_000);
            }
            4 => {
                // What the fuzzer can't know: who has been given which id.
                let (from, to) = (feed.byte(), feed.byte());
                if let (Some(from), Some(to)) = (one(&peers, from), one(&peers, to)) {
                    let bytes = [&[2], &to.id.0[..], &[1, 7]].concat();
                    say(&hub, from, &bytes);
                }
            }
            // What takes a key: words that are as they should be, of whomever and whatever.
            5 => {
                let (giver, receiver, bytes) = (feed.byte(), feed.byte(), feed.short());
                if let (Some(giver), Some(receiver)) = (one(&peers, giver), one(&peers, receiver)) {
                    thank(&hub, giver, receiver, u64::from(bytes) << 10);
                }
            }
            6 => {
                let (from, number, body) = (feed.byte(), feed.below(8), feed.below(3));
                if let Some(from) = one(&peers, from) {
                    publish(&hub, from, number.into(), body);
                }
            }
            _ => {
                let from = feed.byte();
                let bytes = feed.bytes();
                if let Some(from) = one(&peers, from) {
                    say(&hub, from, bytes);
                }
            }
        }
        peers.iter_mut().for_each(hear);
        assert_eq!(hub.metrics.peers.value(), peers.len() as u64);
    }
    peers.into_iter().for_each(|gone| hub.leave(gone.swarm, gone.id));
    assert_eq!((hub.metrics.peers.value(), hub.metrics.seeds.value()), (0, 0));
    let _ = hub.render_metrics();
}

fn one(peers: &[Puppet], n: u8) -> Option<&Puppet> {
    peers.get(usize::from(n) % peers.len().max(1))
}

fn say(hub: &Hub, from: &Puppet, bytes: &[u8]) {
    if let Ok(message) = ClientMessage::from_bytes(bytes) {
        hub.message(from.swarm, from.id, message);
    }
}

fn session() -> SigningKey {
    SigningKey::from_bytes(&[9; 32])
}

/// The giver shows that the receiver thanks it.
fn thank(hub: &Hub, giver: &Puppet, receiver: &Puppet, bytes: u64) {
    let Some(ticket) = receiver.ticket.clone() else { return };
    let receipt = Receipt { swarm: receiver.swarm, giver: giver.id, receiver: receiver.id, bytes };
    let signature = session().sign(&statement_bytes(&receipt)).to_bytes();
    let vouchers = List::clipped(vec![Voucher { receipt, ticket, signature }]);
    hub.message(giver.swarm, giver.id, ClientMessage::Vouchers { vouchers });
}

/// A seed says what a segment is; others may say something else.
fn publish(hub: &Hub, from: &Puppet, number: u64, body: u8) {
    let key = SegmentKey { track: TrackId(1), number, discontinuity: 0, part: 0 };
    if let Some(pair) = &from.publishes
        && let Some(digest) = sign::digest(pair, from.swarm, key, 4000, &[body])
    {
        hub.message(from.swarm, from.id, ClientMessage::Publish { digest });
    }
}

/// What waits for a peer is bounded and can be read.
fn hear(peer: &mut Puppet) {
    let mut heard = 0;
    while let Some(bytes) = peer.outgoing.ready() {
        heard += 1;
        assert!(heard <= QUEUE.0 && bytes.len() <= MAX_MESSAGE);
        match ServerMessage::from_bytes(&bytes).expect("the server speaks what can be read") {
            ServerMessage::Welcome { welcome } => peer.ticket = Some(welcome.ticket),
            ServerMessage::Ticket { ticket, .. } => peer.ticket = Some(ticket),
            _ => {}
        }
    }
}

fn enter(hub: &Hub, bytes: &[u8]) -> Option<Puppet> {
    let Ok(ClientMessage::Join { join }) = ClientMessage::from_bytes(bytes) else { return None };
    admit(hub, &join, None)
}

/// A peer of one of two swarms, a viewer, or a seed with one of two keys.
fn familiar(hub: &Hub, n: u8) -> Option<Puppet> {
    let Some(ClientMessage::Join { join }) = filled(&[], 0) else { return None };
    let content = Text::clipped(if n & 1 == 0 { "a" } else { "b" });
    let role = if n & 2 == 0 { Role::Viewer } else { Role::Seed };
    let publishes = (role == Role::Seed).then(|| PublishingKey::from_seed(&[1 + (n >> 2 & 1); 32]));
    let publisher = publishes.as_ref().map(PublishingKey::public);
    let session = Some(SessionKey(session().verifying_key().to_bytes()));
    let site = Text::clipped("demo");
    admit(hub, &Join { version: 1, site, content, role, publisher, session, ..join }, publishes)
}

fn admit(hub: &Hub, join: &Join, publishes: Option<PublishingKey>) -> Option<Puppet> {
    let asker = Asker { address: [127, 0, 0, 1].into(), origin: None, forwarded: false };
    let admission = hub.admit(join, asker).ok()?;
    let (outbox, outgoing) = outbox(QUEUE.0, QUEUE.1);
    let swarm = admission.swarm;
    let publisher: Option<PublisherKey> = join.publisher;
    let joiner = Joiner {
        id: random::peer_id(),
        role: admission.subject.role,
        publisher,
        net: hub.locate(swarm, admission.subject.address),
        subject: admission.subject.clone(),
        allowance: admission.allowance,
        visit: admission.visit,
        outbox,
        own: Own::default(),
        version: join.version,
    };
    let id = hub.join(&admission, joiner).ok()?;
    Some(Puppet { id, swarm, publishes, ticket: None, outgoing })
}
