//! Contribution receipts (R60), and word of those who lied (H2).

use rillcast_protocol::id::PeerId;
use rillcast_protocol::receipt::{Receipt, Voucher};
use rillcast_protocol::ticket::statement_bytes;

use crate::payload::Payload;
use crate::time::Instant;
use crate::wire::Message;

use super::{Check, CheckId, Engine, LinkId, Output, Pending};

impl<P: Payload + core::fmt::Debug + 'static> Engine<P> {
    /// Verified bytes have come from a neighbour.
    pub(super) fn had(&mut self, from: PeerId, bytes: u64, now: Instant) {
        // By the name that its ticket has: receipts are for the server, too.
        let link = self.members.link_to(from).and_then(|link| self.members.link(link));
        if let Some(name) = link.filter(|l| l.ticket.body.session.is_some()).map(|l| l.name) {
            self.ledger.had(name, bytes, now);
        }
    }

    /// Signs what neighbours are owed a receipt for, and shows the server those that we have got.
    pub(super) fn settle_accounts(&mut self, now: Instant) {
        let session = self.trust.own().and_then(|own| own.body.session);
        let (Some(me), Some(_)) = (self.membership, session) else { return };
        let mut owed = Vec::new();
        for (link, l) in self.members.links() {
            if let Some(bytes) = self.ledger.owed(l.name, now) {
                owed.push((link, Receipt { swarm: me.swarm, giver: l.name, receiver: me.peer, bytes }));
            }
        }
        for (link, receipt) in owed {
            self.next_check = self.next_check.wrapping_add(1);
            let check = CheckId(self.next_check);
            self.checks.insert(check, Pending::Thanks(receipt, link));
            self.outputs.push_back(Output::Sign { check, message: statement_bytes(&receipt) });
        }
        if self.trust.is_away() {
            return;
        }
        let vouchers = self.ledger.to_show(now);
        if !vouchers.is_empty() {
            self.outputs.push_back(Output::Vouchers { vouchers });
        }
    }

    /// A receipt of ours is signed.
    pub(super) fn signed(&mut self, check: CheckId, signature: [u8; 64]) {
        if let Some(Pending::Thanks(receipt, link)) = self.checks.remove(&check)
            && self.members.link(link).is_some()
        {
            self.send(link, Message::Receipt { receipt, signature });
        }
    }

    /// A neighbour says what it has had from us.
    pub(super) fn receipt_shown(&mut self, link: LinkId, receipt: Receipt, signature: [u8; 64]) {
        let Some(proof) =
            self.members.link(link).map(|l| l.ticket.clone()).filter(|t| t.body.session.is_some())
        else {
            return;
        };
        let busy = self.checks.values().any(|p| matches!(p, Pending::Voucher(_, at) if *at == link));
        let ours = self.membership.is_some_and(|me| me.peer == receipt.giver && me.swarm == receipt.swarm);
        let voucher = Voucher { receipt, ticket: *proof, signature };
        let news = receipt.bytes > self.ledger.vouched(receipt.receiver);
        // Who has got a new name meanwhile hasn't lied: what doesn't fit is only of no use.
        if busy || !ours || !news || !voucher.is_sound() {
            return;
        }
        if let Some(session) = voucher.ticket.body.session {
            let what = Check::Signature { key: session.0, message: statement_bytes(&receipt), signature };
            self.check(Pending::Voucher(Box::new(voucher), link), what);
        }
    }

    pub(super) fn voucher_checked(&mut self, voucher: Voucher, link: LinkId, ok: bool, now: Instant) {
        if ok {
            self.ledger.keep(voucher);
        } else {
            self.expel(link, "sent a receipt with a false signature", now);
        }
    }
}
