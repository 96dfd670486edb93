//! Which link a datagram is for. All links share one UDP port, so a datagram is told by the user name fragment that
//! a connectivity check carries, else by the address that it comes from.
//!
//! Bounded in every direction: so many links, so many addresses for each. Nothing that arrives makes the table
//! grow beyond what the node's own links may have.

use std::collections::HashMap;
use std::net::SocketAddr;

use rillcast_core::time::{Duration, Instant};
use thiserror::Error;

use super::datagram::MAX_UFRAG;

/// Most addresses remembered for one link. A browser with several interfaces, each with IPv4 and IPv6, a
/// server-reflexive and a relayed candidate stays below it.
pub const MAX_ADDRESSES: usize = 16;
/// An address on which a link was heard within this time can't be taken over by another link.
const HELD: Duration = Duration::from_secs(10);

/// An ICE user name fragment.
pub type Ufrag = Box<[u8]>;

/// A link could not be entered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum RouteError {
    /// As many links as the table may hold.
    #[error("{0} links share this UDP port already; raise --max-links or start another node")]
    Full(usize),
    /// Another link has the user name fragment, or it has no usable length.
    #[error("the ICE user name fragment is taken or longer than {MAX_UFRAG} bytes")]
    Ufrag,
}

/// The table.
#[derive(Debug)]
pub struct Routes<T> {
    max_links: usize,
    by_ufrag: HashMap<Ufrag, u64>,
    by_address: HashMap<SocketAddr, Address>,
    links: HashMap<u64, Link<T>>,
    next: u64,
}

#[derive(Debug)]
struct Link<T> {
    ufrag: Ufrag,
    /// Least recently learnt first.
    addresses: Vec<SocketAddr>,
    target: T,
}

#[derive(Clone, Copy, Debug)]
struct Address {
    link: u64,
    /// When a check with the link's own user name last came from here.
    heard: Option<Instant>,
}

impl<T> Routes<T> {
    /// Room for `max_links`.
    pub fn new(max_links: usize) -> Self {
        Self {
            max_links,
            by_ufrag: HashMap::new(),
            by_address: HashMap::new(),
            links: HashMap::new(),
            next: 0,
        }
    }

    /// Enters a link; the number names it from now on.
    pub fn insert(&mut self, ufrag: &[u8], target: T) -> Result<u64, RouteError> {
        if self.links.len() >= self.max_links {
            return Err(RouteError::Full(self.max_links));
        }
        if ufrag.is_empty() || ufrag.len() > MAX_UFRAG || self.by_ufrag.contains_key(ufrag) {
            return Err(RouteError::Ufrag);
        }
        let link = self.next;
        self.next += 1;
        self.by_ufrag.insert(ufrag.into(), link);
        self.links.insert(link, Link { ufrag: ufrag.into(), addresses: Vec::new(), target });
        Ok(link)
    }

    /// Forgets a link and all its addresses.
    pub fn remove(&mut self, link: u64) -> Option<T> {
        let gone = self.links.remove(&link)?;
        self.by_ufrag.remove(&gone.ufrag);
        for address in gone.addresses {
            if self.by_address.get(&address).is_some_and(|a| a.link == link) {
                self.by_address.remove(&address);
            }
        }
        Some(gone.target)
    }

    /// For whom a check is that names `ufrag`. The address it came from is learnt, unless another link was heard
    /// there lately: a peer that forges its source address must not cut off another.
    pub fn by_ufrag(&mut self, now: Instant, ufrag: &[u8], from: SocketAddr) -> Option<&T> {
        let link = *self.by_ufrag.get(ufrag)?;
        self.learn(now, link, from, true);
        self.links.get(&link).map(|l| &l.target)
    }

    /// For whom everything else is that comes from an address.
    pub fn by_address(&self, from: SocketAddr) -> Option<&T> {
        let address = self.by_address.get(&from)?;
        self.links.get(&address.link).map(|l| &l.target)
    }

    /// A link sends to an address: what comes back from it is for that link.
    pub fn sent(&mut self, now: Instant, link: u64, to: SocketAddr) {
        self.learn(now, link, to, false);
    }

    /// Links in the table.
    pub fn len(&self) -> usize {
        self.links.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.links.is_empty()
    }

    /// Addresses in the table.
    pub fn addresses(&self) -> usize {
        self.by_address.len()
    }

    fn learn(&mut self, now: Instant, link: u64, address: SocketAddr, heard: bool) {
        let heard = heard.then_some(now);
        if let Some(known) = self.by_address.get_mut(&address) {
            if known.link == link {
                known.heard = heard.or(known.heard);
                return;
            }
            if known.heard.is_some_and(|at| now.since(at) < HELD) {
                return;
            }
            let loser = known.link;
            if let Some(loser) = self.links.get_mut(&loser) {
                loser.addresses.retain(|a| *a != address);
            }
            self.by_address.remove(&address);
        }
        let Some(holder) = self.links.get_mut(&link) else { return };
        if holder.addresses.len() >= MAX_ADDRESSES {
            // Addresses that the peer was never heard on go first: they are candidates that lead nowhere.
            let unheard = |a: &SocketAddr| self.by_address.get(a).is_none_or(|known| known.heard.is_none());
            let at = holder.addresses.iter().position(unheard).unwrap_or(0);
            let oldest = holder.addresses.remove(at);
            self.by_address.remove(&oldest);
        }
        holder.addresses.push(address);
        self.by_address.insert(address, Address { link, heard });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Instant {
        Instant::from_micros(seconds * 1_000_000)
    }

    fn address(n: u16) -> SocketAddr {
        SocketAddr::from(([10, 0, (n >> 8) as u8, n as u8], 4000))
    }

    #[test]
    fn a_check_teaches_the_address_for_what_follows() {
        let mut routes = Routes::new(4);
        routes.insert(b"aaaa", 'a').expect("room");
        routes.insert(b"bbbb", 'b').expect("room");
        assert_eq!(routes.by_address(address(1)), None);
        assert_eq!(routes.by_ufrag(at(0), b"bbbb", address(1)), Some(&'b'));
        assert_eq!(routes.by_address(address(1)), Some(&'b'));
        assert_eq!(routes.by_ufrag(at(0), b"cccc", address(2)), None, "nobody's name");
        assert_eq!(routes.by_address(address(2)), None, "and nothing is learnt from it");
    }

    #[test]
    fn what_we_send_to_answers_to_us() {
        let mut routes = Routes::new(4);
        let a = routes.insert(b"aaaa", 'a').expect("room");
        routes.sent(at(0), a, address(1));
        assert_eq!(routes.by_address(address(1)), Some(&'a'));
    }

    #[test]
    fn an_address_in_use_is_not_taken_over() {
        let mut routes = Routes::new(4);
        routes.insert(b"aaaa", 'a').expect("room");
        let b = routes.insert(b"bbbb", 'b').expect("room");
        routes.by_ufrag(at(0), b"aaaa", address(1));
        // A forged source, and a candidate that names another peer's address: the check itself still goes to the
        // link it names, but the address stays.
        assert_eq!(routes.by_ufrag(at(5), b"bbbb", address(1)), Some(&'b'));
        routes.sent(at(5), b, address(1));
        assert_eq!(routes.by_address(address(1)), Some(&'a'));
        // A NAT that gives a silent peer's port to another one.
        routes.by_ufrag(at(11), b"bbbb", address(1));
        assert_eq!(routes.by_address(address(1)), Some(&'b'));
    }

    #[test]
    fn links_have_a_limit() {
        let mut routes = Routes::new(2);
        let first = routes.insert(b"a", ()).expect("under the limit");
        routes.insert(b"b", ()).expect("at the limit");
        assert_eq!(routes.insert(b"c", ()), Err(RouteError::Full(2)));
        routes.remove(first);
        routes.insert(b"c", ()).expect("room again");
    }

    #[test]
    fn ufrags_are_unique_and_short() {
        let mut routes = Routes::new(9);
        routes.insert(&[b'x'; MAX_UFRAG], ()).expect("longest");
        assert_eq!(routes.insert(&[b'x'; MAX_UFRAG], ()), Err(RouteError::Ufrag));
        assert_eq!(routes.insert(&[b'x'; MAX_UFRAG + 1], ()), Err(RouteError::Ufrag));
        assert_eq!(routes.insert(b"", ()), Err(RouteError::Ufrag));
    }

    #[test]
    fn a_link_has_so_many_addresses_and_keeps_those_it_was_heard_on() {
        let mut routes = Routes::new(1);
        let a = routes.insert(b"aaaa", 'a').expect("room");
        routes.by_ufrag(at(0), b"aaaa", address(9999));
        for n in 0..MAX_ADDRESSES as u16 - 1 {
            routes.sent(at(0), a, address(n));
        }
        assert_eq!(routes.addresses(), MAX_ADDRESSES);
        for n in 100..1100 {
            routes.sent(at(0), a, address(n));
        }
        assert_eq!(routes.addresses(), MAX_ADDRESSES);
        assert_eq!(routes.by_address(address(9999)), Some(&'a'));
        for n in 2000..3000 {
            routes.by_ufrag(at(0), b"aaaa", address(n));
        }
        assert_eq!(routes.addresses(), MAX_ADDRESSES);
        assert_eq!(routes.by_address(address(2999)), Some(&'a'), "the newest of those heard stays");
    }

    #[test]
    fn a_removed_link_leaves_nothing_behind() {
        let mut routes = Routes::new(2);
        let a = routes.insert(b"aaaa", 'a').expect("room");
        let b = routes.insert(b"bbbb", 'b').expect("room");
        routes.by_ufrag(at(0), b"aaaa", address(1));
        routes.sent(at(20), b, address(1));
        assert_eq!(routes.remove(a), Some('a'));
        assert_eq!(routes.by_address(address(1)), Some(&'b'), "taken over before");
        routes.remove(b);
        assert_eq!((routes.len(), routes.addresses()), (0, 0));
    }
}
