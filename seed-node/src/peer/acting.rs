//! Does what the engine asks for.

use ed25519_dalek::Signer;
use rillcast_core::engine::{Event, Input, Output, Via};
use rillcast_protocol::coding::{Blob, List};
use rillcast_protocol::id::{Role, SegmentKey};
use rillcast_protocol::signal::{ClientMessage, hosted_path};

use super::{Peer, Told};
use crate::check;
use crate::payload::Media;
use crate::source::Place;

impl Peer {
    pub(super) fn act(&mut self, output: Output<Media>) {
        let now = self.now();
        match output {
            Output::Connect { peer, initiate, sealing } => self.links.connect(now, peer, initiate, sealing),
            Output::Close { peer } => self.links.close(peer),
            Output::Control { link, bytes } => {
                if let Some(link) = self.links.link(link.0) {
                    link.control(bytes);
                }
            }
            Output::Bulk { link, frame } => {
                if let Some(link) = self.links.link(link.0) {
                    link.bulk(frame);
                }
            }
            Output::Signal { to, payload } => {
                if let Some(payload) = Blob::new(payload) {
                    self.send(ClientMessage::Relay { to, payload });
                }
            }
            Output::Signaled { from, payload } => {
                let told = self.links.signalled(now, from, &payload);
                self.pending.extend(told);
            }
            Output::WantPeers { count } => self.send(ClientMessage::WantPeers { count }),
            Output::Renew => self.send(ClientMessage::Renew {}),
            Output::Nat { class } => self.send(ClientMessage::Nat { class }),
            Output::Fetch { fetch, key, range, via, .. } => {
                if self.role == Role::Viewer && via == Via::Origin && range.is_none() {
                    self.whole.insert(fetch, key);
                }
                let place = self.place(key, via);
                self.sources.fetch(fetch, place, range);
            }
            Output::CancelFetch { fetch } => {
                self.sources.cancel(fetch);
                self.broken(fetch);
            }
            Output::Verify { check, what } => {
                self.pending.push_back(Input::Verdict { check, ok: check::holds(&what) });
            }
            Output::Sign { check, message } => {
                let signature = self.session.sign(&message).to_bytes();
                self.pending.push_back(Input::Signed { check, signature });
            }
            Output::Vouchers { vouchers } => {
                self.send(ClientMessage::Vouchers { vouchers: List::clipped(vouchers) });
            }
            Output::Accuse { peer, key } => self.send(ClientMessage::Accuse { peer, key }),
            Output::Playing { tracks } => self.told.push_back(Told::Playing(tracks)),
            Output::WantDigests { keys } => {
                self.send(ClientMessage::WantDigests { keys: List::clipped(keys) });
            }
            Output::Event(Event::Liar { peer, why }) => {
                self.picture.liars += 1;
                tracing::warn!(%peer, why, "a peer broke the rules; its link is closed");
            }
            Output::Event(Event::Refused { peer, why }) => {
                self.picture.refused += 1;
                tracing::info!(%peer, why = why.word(), "a peer isn't linked with");
            }
            Output::Event(Event::Disputed { key, publishers: [first, second] }) => {
                self.picture.disputes += 1;
                tracing::error!(
                    number = key.number, %first, %second,
                    "two publishers contradict each other, so the segment isn't shared; revoke the one that lies"
                );
            }
            Output::Event(Event::Heard { digest }) => self.told.push_back(Told::Digest(*digest)),
            Output::Deliver(delivery) => self.told.push_back(Told::Delivered(delivery)),
            Output::Failed { key, error } => self.told.push_back(Told::Failed { key, error }),
            Output::Progress { .. } | Output::Event(_) => {}
        }
    }

    fn place(&self, key: SegmentKey, via: Via) -> Option<Place> {
        match via {
            Via::Origin => self.sources.place(key),
            Via::Publisher => {
                let (base, swarm) = self.hosted_at.as_ref()?;
                Some(Place { url: base.join(&hosted_path(*swarm, key)).ok()?, part: None })
            }
        }
    }
}
