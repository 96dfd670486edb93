//! Who gave how much to whom (R60): what we have had from others and thanked them for, and their signed word for what they have had from us.

use rillcast_protocol::id::PeerId;
use rillcast_protocol::receipt::{MAX_VOUCHERS, Voucher};

use crate::map::Map;
use crate::time::{Duration, Instant};

/// Peers whose gifts are counted; of others nothing is. Far more than anybody links with in a visit.
pub const MAX_ACCOUNTS: usize = 512;
/// Less than this isn't worth a signature, in bytes.
pub const WORTHWHILE: u64 = 512 * 1024;
/// Of one peer, receipts are so far apart.
pub const THANKS_EVERY: Duration = Duration::from_millis(60_000);
/// What we hold of others is shown to the server so often: soon, for a visit may end at any time, and gathered, for receipts of one minute's
/// come within seconds of each other.
pub const SHOW_EVERY: Duration = Duration::from_millis(10_000);

#[derive(Clone, Copy, Debug)]
struct Had {
    bytes: u64,
    thanked: u64,
    at: Instant,
}

/// What stands between us and others.
#[derive(Debug, Default)]
pub struct Ledger {
    had: Map<PeerId, Had>,
    /// The newest of each receiver, and whether the server has been shown it.
    vouchers: Map<PeerId, (Voucher, bool)>,
    shown_at: Instant,
}

impl Ledger {
    /// Verified bytes have come from a peer.
    pub fn had(&mut self, from: PeerId, bytes: u64, now: Instant) {
        if self.had.len() < MAX_ACCOUNTS || self.had.contains_key(&from) {
            self.had.or_insert_with(from, || Had { bytes: 0, thanked: 0, at: now }).bytes += bytes;
        }
    }

    /// The total that a peer is to have a receipt for now, if it is worth one.
    pub fn owed(&mut self, to: PeerId, now: Instant) -> Option<u64> {
        let had = self.had.get_mut(&to)?;
        if had.bytes - had.thanked < WORTHWHILE || now.since(had.at) < THANKS_EVERY {
            return None;
        }
        (had.thanked, had.at) = (had.bytes, now);
        Some(had.bytes)
    }

    /// What a receiver has vouched for so far.
    pub fn vouched(&self, receiver: PeerId) -> u64 {
        self.vouchers.get(&receiver).map_or(0, |(voucher, _)| voucher.receipt.bytes)
    }

    /// Keeps a voucher whose signature holds. An older one of the same receiver counts no more; there is room for so many receivers.
    pub fn keep(&mut self, voucher: Voucher) {
        let receiver = voucher.receipt.receiver;
        let fits = self.vouchers.len() < MAX_ACCOUNTS || self.vouchers.contains_key(&receiver);
        if fits && voucher.receipt.bytes > self.vouched(receiver) {
            self.vouchers.insert(receiver, (voucher, false));
        }
    }

    /// What the server hasn't been shown, if it is time for that: one message's worth.
    pub fn to_show(&mut self, now: Instant) -> Vec<Voucher> {
        if now.since(self.shown_at) < SHOW_EVERY {
            return Vec::new();
        }
        let fresh = self.vouchers.values_mut().filter(|(_, shown)| !shown).take(MAX_VOUCHERS);
        let fresh: Vec<_> = fresh
            .map(|(voucher, shown)| {
                *shown = true;
                voucher.clone()
            })
            .collect();
        if fresh.len() < MAX_VOUCHERS {
            self.shown_at = now;
        }
        fresh
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rillcast_protocol::id::{AuthorityKey, Fingerprint, Network, Role, SwarmId};
    use rillcast_protocol::receipt::Receipt;
    use rillcast_protocol::ticket::{Signed, Ticket};

    fn peer(n: u16) -> PeerId {
        let mut id = [0; 16];
        id[..2].copy_from_slice(&n.to_be_bytes());
        PeerId(id)
    }

    fn at(seconds: u64) -> Instant {
        Instant::ZERO + Duration::from_secs(seconds)
    }

    fn voucher(receiver: u16, bytes: u64) -> Voucher {
        let (swarm, nobody) = (SwarmId([0; 16]), peer(0));
        let body = Ticket {
            swarm,
            peer: nobody,
            role: Role::Viewer,
            fingerprint: Fingerprint([0; 32]),
            session: None,
            sealing: None,
            nonce: 0,
            weight: 0,
            net: Network::default(),
            expires_ms: 0,
        };
        Voucher {
            receipt: Receipt { swarm, giver: nobody, receiver: peer(receiver), bytes },
            ticket: Signed { body, authority: AuthorityKey([0; 32]), signature: [0; 64] },
            signature: [0; 64],
        }
    }

    // R60: at, under and over each limit.
    #[test]
    fn a_receipt_is_owed_for_enough_after_a_while() {
        let mut ledger = Ledger::default();
        ledger.had(peer(1), WORTHWHILE - 1, at(0));
        assert_eq!(ledger.owed(peer(1), at(60)), None, "too little");
        ledger.had(peer(1), 1, at(0));
        assert_eq!(ledger.owed(peer(1), Instant::ZERO + (THANKS_EVERY - Duration::from_micros(1))), None);
        assert_eq!(ledger.owed(peer(1), Instant::ZERO + THANKS_EVERY), Some(WORTHWHILE));
        assert_eq!(ledger.owed(peer(1), at(60)), None, "thanked already");
        ledger.had(peer(1), WORTHWHILE, at(61));
        assert_eq!(ledger.owed(peer(1), at(120)), Some(2 * WORTHWHILE), "totals grow");
        assert_eq!(ledger.owed(peer(2), at(120)), None, "a stranger");
    }

    #[test]
    fn accounts_are_bounded() {
        let mut ledger = Ledger::default();
        for n in 0..=MAX_ACCOUNTS as u16 {
            ledger.had(peer(n), WORTHWHILE, at(0));
            ledger.keep(voucher(n, 1));
        }
        let last = MAX_ACCOUNTS as u16;
        assert!(ledger.owed(peer(last - 1), at(60)).is_some() && ledger.owed(peer(last), at(60)).is_none());
        assert_eq!((ledger.vouched(peer(last - 1)), ledger.vouched(peer(last))), (1, 0));
        ledger.had(peer(0), WORTHWHILE, at(61));
        ledger.keep(voucher(0, 2));
        assert_eq!(
            (ledger.owed(peer(0), at(62)), ledger.vouched(peer(0))),
            (Some(2 * WORTHWHILE), 2),
            "who is known stays known"
        );
    }

    #[test]
    fn the_newest_vouchers_are_shown_once_in_time_and_in_parts() {
        let mut ledger = Ledger::default();
        for n in 0..=MAX_VOUCHERS as u16 {
            ledger.keep(voucher(n, 5));
        }
        ledger.keep(voucher(0, 4));
        assert_eq!(ledger.vouched(peer(0)), 5, "totals don't shrink");
        assert!(ledger.to_show(at(9)).is_empty());
        assert_eq!((ledger.to_show(at(10)).len(), ledger.to_show(at(11)).len()), (MAX_VOUCHERS, 1));
        assert!(ledger.to_show(at(20)).is_empty());
        ledger.keep(voucher(3, 6));
        assert_eq!(ledger.to_show(at(21)).iter().map(|v| v.receipt.bytes).collect::<Vec<_>>(), [6]);
    }
}
