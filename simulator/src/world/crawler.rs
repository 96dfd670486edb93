//! Crawlers: let in with good tokens, they watch nothing and give nothing. They ask the server and neighbours for as many peers as they can
//! get, call them all, and note their addresses, which are in the signals that answer. As many honest viewers come and stay as long: what
//! their links show is what anybody may learn.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use rillcast_core::engine::LinkId;
use rillcast_core::protocol::coding::{Blob, List, Wire as _};
use rillcast_core::protocol::id::{PeerId, Role};
use rillcast_core::time::{Duration, Instant};
use rillcast_core::wire::Message;
use rillcast_core::wire::message::Playing;

use super::node::{Conduct, Node};
use super::wires::OFFER;
use super::{Event, World};
use crate::draw::Draw;
use crate::facts::Crawled;
use crate::media::{number_of, peer_id};
use crate::scenario::tables::Crawlers;

/// They act this often.
const STEP: Duration = Duration::from_millis(500);
/// As many peers as a message can ask for.
const ALL: u8 = 255;
/// Calls by way of one neighbour in a step: what it carries at most.
const CALLS: usize = 4;
/// What they say that their uplinks carry, in bytes/s: everybody likes to be linked with them.
const BOAST: u32 = 10_000_000;
/// Their lines, and those of the honest ones that they are compared with, in bytes/s.
const UP: f64 = 250_000.0;
const DOWN: f64 = 2_500_000.0;

/// What they have found out, and what the honest ones were shown.
#[derive(Debug, Default)]
pub(super) struct Crawl {
    crawlers: Range<u32>,
    honest: Range<u32>,
    /// Whose addresses they have learned, all together.
    learned: BTreeSet<u32>,
    /// With whom the honest ones had a link, and whose addresses came in signals.
    linked: BTreeSet<u32>,
    shown: BTreeSet<u32>,
    /// By crawler: whom it has heard of, and from which neighbour.
    heard: BTreeMap<u32, BTreeMap<u32, LinkId>>,
}

impl World {
    /// Fills in the crawlers and the honest ones beside them.
    pub(super) fn lay_crawlers(&mut self, draw: &mut Draw, start: Instant) {
        let Some(Crawlers { count, at_minute }) = self.scenario.crawlers else { return };
        let first = self.nodes.len() as u32;
        let joins = start + Duration::from_secs_f64(at_minute * 60.0);
        self.crawl.crawlers = first..first + count as u32;
        self.crawl.honest = first + count as u32..first + 2 * count as u32;
        for n in first..first + 2 * count as u32 {
            let mut node = Node::new(Role::Viewer, UP, DOWN, joins);
            node.place = (draw.unit(), draw.unit());
            if self.is_crawler(n) {
                node.conduct = Conduct::Crawler;
                self.schedule(joins + STEP, Event::Crawl(n));
            }
            self.nodes.push(node);
            self.schedule(joins, Event::Join(n));
        }
    }

    pub(super) fn is_crawler(&self, n: u32) -> bool {
        self.crawl.crawlers.contains(&n)
    }

    /// Addresses that the crawlers learned; that came to the honest ones in signals; that they had links with.
    pub(super) fn crawled(&self) -> Option<Crawled> {
        let Crawl { learned, shown, linked, .. } = &self.crawl;
        let found = Crawled { learned: learned.len(), shown: shown.len(), linked: linked.len() };
        self.scenario.crawlers.as_ref().map(|_| found)
    }

    /// A signal has come: its sender's address is in it.
    pub(super) fn note_signal(&mut self, n: u32, from: u32) {
        let crawl = &mut self.crawl;
        if crawl.crawlers.contains(&n) {
            crawl.learned.insert(from);
        } else if crawl.honest.contains(&n) {
            crawl.shown.insert(from);
        }
    }

    /// A link has opened.
    pub(super) fn note_link(&mut self, n: u32, other: u32, link: LinkId) {
        if self.crawl.honest.contains(&n) {
            self.crawl.linked.insert(other);
        } else if self.is_crawler(n) {
            self.crawl.learned.insert(other);
            // Of the same rendition, and more generous than anybody.
            let tracks = self.nodes[other as usize].plays.clone();
            let next = self.edge();
            let playing = tracks.into_iter().map(|track| Playing { track, next }).collect();
            let profile = Message::Profile {
                playing: List::first(playing),
                passive: false,
                upload: BOAST,
                short: 0,
                helps: None,
            };
            self.send_control(n, link, profile.to_bytes());
        }
    }

    /// A neighbour tells a crawler something.
    pub(super) fn overhear(&mut self, n: u32, link: LinkId, bytes: &[u8]) {
        if let Ok(Message::Shuffle { peers }) = Message::parse(bytes) {
            let heard = self.crawl.heard.entry(n).or_default();
            heard.extend(peers.iter().map(|a| (number_of(a.ticket.body.peer) as u32, link)));
        }
    }

    pub(super) fn crawl(&mut self, n: u32) {
        self.after(STEP, Event::Crawl(n));
        if !self.is_there(n) {
            return;
        }
        self.want_peers(n, ALL);
        let strange = |world: &Self, other: &u32| !world.crawl.learned.contains(other) && *other != n;
        let met = self.nodes[n as usize].introduced.clone();
        for other in met.into_iter().filter(|other| strange(self, other)).collect::<Vec<_>>() {
            self.try_on(n, peer_id(other as usize));
            self.relay(n, peer_id(other as usize), vec![OFFER]);
        }
        let heard = self.crawl.heard.get(&n).cloned().unwrap_or_default();
        let mut calls: BTreeMap<LinkId, usize> = BTreeMap::new();
        for (other, link) in heard.into_iter().filter(|(other, _)| strange(self, other)).collect::<Vec<_>>() {
            let calls = calls.entry(link).or_default();
            *calls += 1;
            if *calls <= CALLS {
                let to = peer_id(other as usize);
                self.try_on(n, to);
                let call = Message::Relay { to, payload: Blob::new([OFFER]).unwrap_or_default() };
                self.send_control(n, link, call.to_bytes());
            }
        }
    }

    fn try_on(&mut self, n: u32, peer: PeerId) {
        let trying = &mut self.node(n).trying;
        if !trying.contains(&peer) {
            trying.push(peer);
        }
    }
}
