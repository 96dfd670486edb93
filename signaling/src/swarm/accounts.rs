//! Contribution receipts (R60), and accusations (H2): checked here, judged by [`repute`](super::repute).

use std::collections::HashMap;
use std::time::Instant;

use ed25519_dalek::{Signature, VerifyingKey};
use rillcast_protocol::id::{PeerId, SegmentKey};
use rillcast_protocol::receipt::Voucher;
use rillcast_protocol::ticket::statement_bytes;

use super::member::Member;
use super::repute::Witness;
use super::{Desk, Swarm};
use crate::metrics::BELIEVED;
use crate::receipts::{Line, Sealed, to_hex};
use crate::revocation::{Kind, Request};

/// Vouchers of one member that are checked: so many per minute in the long run, and so many at once. Each costs two signatures at most.
pub const VOUCHERS_PER_MIN: f64 = 64.0;
/// At once.
pub const VOUCHERS_BURST: f64 = 128.0;
/// Vouchers kept of one member for the log of receipts: those of most bytes.
pub const MAX_KEPT: usize = 32;
/// A user whose page was sent away for lying stays away for so long, in seconds.
pub const QUARANTINE: u64 = 600;

impl Member {
    fn witness(&self) -> Witness {
        Witness { network: self.joiner.net.site, user: self.joiner.subject.user.clone() }
    }
}

impl Swarm {
    /// A member shows what others have had from it.
    pub(crate) fn vouchers(&mut self, desk: &Desk<'_>, id: PeerId, vouchers: &[Voucher], now: Instant) {
        for voucher in vouchers {
            let grown = self.voucher(desk, id, voucher, now);
            match grown {
                Some(grown) => desk.metrics.receipts_bytes_total.add(grown.min(BELIEVED)),
                None => desk.metrics.receipts_refused_total.up(),
            }
        }
    }

    /// Returns the bytes that are new, or nothing where the voucher isn't good.
    fn voucher(&mut self, desk: &Desk<'_>, id: PeerId, voucher: &Voucher, now: Instant) -> Option<u64> {
        let receipt = voucher.receipt;
        if !voucher.is_sound() || receipt.giver != id || receipt.swarm != self.id {
            return None;
        }
        if !self.members.get_mut(&id)?.accounts.allowance.take(1.0, now) {
            return None;
        }
        // Who is here is known, ticket and all; of those who have left the ticket says enough.
        let receiver = self.members.get(&receipt.receiver);
        let known = receiver.is_some_and(|member| member.ticket == voucher.ticket);
        if !known && !desk.authority.has_signed(&voucher.ticket) {
            return None;
        }
        let key = VerifyingKey::from_bytes(&voucher.ticket.body.session?.0).ok()?;
        key.verify_strict(&statement_bytes(&receipt), &Signature::from_bytes(&voucher.signature)).ok()?;
        let witness = receiver
            .map_or_else(|| Witness { network: voucher.ticket.body.net.site, user: None }, Member::witness);
        let accounts = &mut self.members.get_mut(&id)?.accounts;
        let grown = accounts.repute.thank(receipt.receiver, witness, receipt.bytes, now);
        if desk.receipts.is_kept() && grown > 0 {
            keep(&mut accounts.kept, voucher);
        }
        desk.metrics.receipts_total.up();
        Some(grown)
    }

    /// A member says that another has sent it a false block.
    pub(crate) fn accuse(
        &mut self,
        desk: &Desk<'_>,
        by: PeerId,
        accused: PeerId,
        key: SegmentKey,
        now: Instant,
    ) {
        desk.metrics.accusations_total.up();
        let least = usize::from(desk.limits.quarantine_witnesses);
        let Some(accuser) = self.members.get(&by).map(Member::witness).filter(|_| by != accused && least > 0)
        else {
            return;
        };
        let Some(member) = self.members.get(&accused) else { return };
        // Whoever has come by its link in another way may be one of many who gathered around it.
        if !member.introduced.contains_key(&by) {
            return;
        }
        let others = member.introduced.keys().filter_map(|id| Some((*id, self.members.get(id)?.witness())));
        let introduced: Vec<_> = others.collect();
        let Some(member) = self.members.get_mut(&accused) else { return };
        let Some(witnesses) = member.accounts.repute.accuse(by, accuser, &introduced, least, now) else {
            return;
        };
        let user = member.joiner.subject.user.clone();
        let why = format!(
            "{witnesses} independent neighbours got false blocks from it, the last of segment {}",
            key.number
        );
        tracing::warn!(peer = %accused, site = self.site.name, why, "a peer is sent away");
        desk.metrics.quarantined_total.up();
        let names = [(Kind::Peer, Some(accused.to_string())), (Kind::User, user)];
        for (kind, name) in names.into_iter().filter_map(|(kind, name)| Some((kind, name?))) {
            let request = Request { kind, name, until: Some(desk.unix + QUARANTINE), why: Some(why.clone()) };
            match desk.revocations.add(&self.site.name, request, desk.limits.revocations, desk.unix) {
                Ok(kept) => {
                    if let Err(error) = kept.saved {
                        tracing::error!(%error, "a revocation isn't kept");
                    }
                }
                Err(error) => tracing::error!(%error, "a liar can't be sent away"),
            }
        }
        self.review(desk, now);
    }
}

impl Swarm {
    /// A member leaves: what it has given is written down.
    pub(super) fn log_receipts(&self, desk: &Desk<'_>, member: &Member) {
        let Member { joiner, accounts, .. } = member;
        if accounts.kept.is_empty() {
            return;
        }
        let mut vouchers: Vec<&Voucher> = accounts.kept.values().collect();
        vouchers.sort_by_key(|voucher| (std::cmp::Reverse(voucher.receipt.bytes), voucher.receipt.receiver));
        let line = Line {
            at: desk.server_ms,
            site: self.site.name.clone(),
            content: self.content.clone(),
            peer: joiner.id.to_string(),
            user: joiner.subject.user.clone(),
            role: if member.is_seed() { "seed" } else { "viewer" }.to_owned(),
            bytes: accounts.repute.thanked(),
            vouchers: vouchers.into_iter().map(to_hex).collect(),
        };
        if let Err(error) = desk.receipts.write(&Sealed::new(line, desk.authority)) {
            tracing::error!(%error, "receipts are lost");
        }
    }
}

/// Keeps the newest of each receiver; where there are too many, those of most bytes.
fn keep(kept: &mut HashMap<PeerId, Voucher>, voucher: &Voucher) {
    let receiver = voucher.receipt.receiver;
    if kept.len() >= MAX_KEPT && !kept.contains_key(&receiver) {
        let Some((least, bytes)) = kept.iter().map(|(id, v)| (*id, v.receipt.bytes)).min_by_key(|(_, b)| *b)
        else {
            return;
        };
        if bytes >= voucher.receipt.bytes {
            return;
        }
        kept.remove(&least);
    }
    kept.insert(receiver, voucher.clone());
}
