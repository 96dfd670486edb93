//! What became of a hostile peer, as it saw it itself.

use std::collections::BTreeMap;
use std::time::Instant;

use rillcast_protocol::id::PeerId;
use rillcast_protocol::ticket::SignedTicket;

/// How it went with one neighbour.
#[derive(Debug, Clone, Default)]
pub struct Fate {
    /// When the link opened.
    pub opened: Option<Instant>,
    /// When the neighbour let us in: it spoke to us.
    pub let_in: Option<Instant>,
    /// The first lie told to it.
    pub lied: Option<Instant>,
    /// Lies told to it: false blocks in whole, or what the attack counts.
    pub lies: u64,
    /// When it ended the link: the first one that ended after a lie, for whoever comes back in vain has more of them.
    pub cut: Option<Instant>,
    /// Calls of ours to it that the attack has made.
    pub attempts: u64,
    /// Times that it let us in behind such a call.
    pub fooled: u64,
    /// What it asked of us.
    pub asked: u64,
    /// What it answered to requests of ours: refusals, and blocks' bytes.
    pub refusals: u64,
    /// Bytes of media that it gave us.
    pub given: u64,
}

impl Fate {
    /// A link to it has ended, or an attempt at one.
    pub fn ended(&mut self, now: Instant) {
        let known = self.cut.zip(self.lied).is_some_and(|(cut, lied)| cut >= lied);
        if !known {
            self.cut = Some(now);
        }
    }

    /// Seconds from the first lie to the end of the link.
    pub fn lived(&self) -> Option<f64> {
        let (cut, lied) = (self.cut?, self.lied?);
        (cut >= lied).then(|| cut.duration_since(lied).as_secs_f64())
    }
}

/// All of it.
#[derive(Debug, Clone, Default)]
pub struct Log {
    /// Its own name, once it has been let in by the server.
    pub me: Option<PeerId>,
    /// The ticket that it has from the server.
    pub own: Option<SignedTicket>,
    /// Whether the server has sent it away since.
    pub sent_away: bool,
    /// By neighbour.
    pub fates: BTreeMap<PeerId, Fate>,
    /// Peers that the server has introduced.
    pub introduced: u64,
    /// Where others have said that they can be reached: who, and the attribute of ICE.
    pub candidates: Vec<(PeerId, String)>,
    /// Tickets that others have shown.
    pub shown: BTreeMap<PeerId, SignedTicket>,
}

impl Log {
    /// Lies told in all.
    pub fn lies(&self) -> u64 {
        self.fates.values().map(|fate| fate.lies).sum()
    }

    /// Neighbours that were lied to.
    pub fn victims(&self) -> usize {
        self.fates.values().filter(|fate| fate.lied.is_some()).count()
    }

    /// Those of them that have ended the link.
    pub fn cut(&self) -> usize {
        self.fates.values().filter(|fate| fate.lived().is_some()).count()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_liar_lived_until_its_link_ended_however_often_it_tries_again() {
        let zero = Instant::now();
        let at = |seconds| zero + Duration::from_secs(seconds);
        let mut fate = Fate::default();
        fate.ended(at(1));
        fate.lied = Some(at(3));
        assert_eq!(fate.lived(), None, "an earlier link's end is no answer to the lie");
        for end in [5, 60, 90] {
            fate.ended(at(end));
        }
        assert_eq!(fate.lived(), Some(2.0));
    }
}
