//! Links: one `RTCPeerConnection` each, with two negotiated data channels.
//!
//! Only the side that the server told to initiate makes offers, so two offers never cross. Descriptions and
//! candidates travel through signaling, each marked with the attempt it belongs to.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use js_sys::{Array, ArrayBuffer, Uint8Array};
use rillcast_core::engine::{BULK_HEADER, BulkFrame, Input, LinkId, MAX_CONTROL};
use rillcast_core::payload::Payload;
use rillcast_protocol::coding::Text;
use rillcast_protocol::id::PeerId;
use rillcast_protocol::session::{
    BULK_CHANNEL, CONTROL_CHANNEL, Description, SessionSignal, Side, is_candidate,
};
use rillcast_protocol::settings::IceServer;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use web_sys::{
    MessageEvent, RtcConfiguration, RtcDataChannel, RtcDataChannelInit, RtcDataChannelState,
    RtcDataChannelType, RtcIceCandidateInit, RtcIceServer, RtcPeerConnection, RtcPeerConnectionIceEvent,
    RtcPeerConnectionState, RtcSdpType, RtcSessionDescriptionInit,
};

use crate::driver::Shell;
use crate::js::{self, Handlers};
use crate::payload::JsBytes;
use crate::table::Table;

/// An attempt that hasn't opened by then has failed. Milliseconds.
const ATTEMPT: u32 = 15_000;
/// A connection that stays `disconnected` so long is given up; browsers take 30 s. Milliseconds.
const LOST: u32 = 5_000;
/// The engine is told when the bulk buffer falls to this: one message is still on its way out then.
const LOW_WATER: u32 = 16 * 1024;
/// Bytes in a control channel's buffer beyond which the other end counts as gone.
const MAX_CONTROL_WAITING: u32 = 1024 * 1024;
/// Candidates that may wait for a description.
const MAX_EARLY: usize = 32;
/// Offers that may wait for the engine to want the link.
const MAX_OFFERS: usize = 32;

/// All links and attempts, by peer; the engine bounds them (`max_links`).
#[derive(Default)]
pub(crate) struct Links {
    by_peer: RefCell<Table<PeerId, Rc<Link>>>,
    open: RefCell<Table<LinkId, Rc<Link>>>,
    /// Offers that came before the engine asked for the link: at most [`MAX_OFFERS`], the oldest goes.
    offers: RefCell<Vec<(PeerId, Offer)>>,
    ice: RefCell<Vec<RtcIceServer>>,
    next: Cell<u32>,
}

struct Offer {
    attempt: u32,
    description: Description,
    candidates: Vec<Text<512>>,
}

/// A link or an attempt at one.
struct Link {
    peer: PeerId,
    /// Tells one attempt from the next, on this side and in signals. The offerer chooses it.
    attempt: Cell<u32>,
    initiate: bool,
    id: Cell<Option<LinkId>>,
    wire: RefCell<Option<Rc<Wire>>>,
    /// Candidates that came before the description that they belong to: at most [`MAX_EARLY`].
    early: RefCell<Vec<Text<512>>>,
    described: Cell<bool>,
}

/// The browser's objects.
struct Wire {
    connection: RtcPeerConnection,
    control: RtcDataChannel,
    bulk: RtcDataChannel,
    /// The engine was last told so many bytes wait in `bulk`, or could know that it sent more.
    waiting: Cell<bool>,
    handlers: RefCell<Handlers>,
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.connection.set_onicecandidate(None);
        self.connection.set_onconnectionstatechange(None);
        for channel in [&self.control, &self.bulk] {
            channel.set_onopen(None);
            channel.set_onclose(None);
            channel.set_onmessage(None);
            channel.set_onbufferedamountlow(None);
        }
        self.connection.close();
    }
}

impl Links {
    /// STUN and TURN servers for links made from now on.
    pub(crate) fn set_ice(&self, servers: &[IceServer]) {
        let convert = |server: &IceServer| {
            let ice = RtcIceServer::new();
            ice.set_urls(&JsValue::from_str(server.url.as_str()));
            if !server.username.as_str().is_empty() {
                ice.set_username(server.username.as_str());
                ice.set_credential(server.credential.as_str());
            }
            ice
        };
        *self.ice.borrow_mut() = servers.iter().map(convert).collect();
    }

    /// The engine wants a link.
    pub(crate) fn connect(&self, shell: &Rc<Shell>, peer: PeerId, initiate: bool) {
        self.forget(peer);
        let number = self.next.get();
        self.next.set(number.wrapping_add(1));
        let link = Rc::new(Link {
            peer,
            attempt: Cell::new(js::random()),
            initiate,
            id: Cell::new(None),
            wire: RefCell::default(),
            early: RefCell::default(),
            described: Cell::new(false),
        });
        self.by_peer.borrow_mut().insert(peer, link.clone());
        let (shell_then, link_then) = (Rc::downgrade(shell), Rc::downgrade(&link));
        js::after(ATTEMPT, move || {
            if let (Some(shell), Some(link)) = (shell_then.upgrade(), link_then.upgrade())
                && link.id.get().is_none()
            {
                shell.links.fail(&shell, &link);
            }
        });
        if initiate {
            self.start(shell, &link, None);
        } else if let Some(offer) = self.take_offer(peer) {
            link.attempt.set(offer.attempt);
            *link.early.borrow_mut() = offer.candidates;
            self.start(shell, &link, Some(offer.description));
        }
    }

    /// The engine is done with the peer. It knows, so nothing comes back.
    pub(crate) fn close(&self, shell: &Rc<Shell>, peer: PeerId) {
        if let Some(link) = self.forget(peer)
            && link.id.get().is_none()
        {
            shell.signaling.relay(peer, &SessionSignal::Abort { attempt: link.attempt.get() });
        }
        self.take_offer(peer);
    }

    /// Ends all links at once.
    pub(crate) fn close_all(&self) {
        self.open.take();
        for (_, link) in self.by_peer.take().iter() {
            link.wire.take();
        }
        self.offers.take();
    }

    /// Sends a message on the control channel.
    pub(crate) fn send_control(&self, shell: &Rc<Shell>, link: LinkId, bytes: &[u8]) {
        let Some((link, wire)) = self.get(link) else { return };
        let stuck = wire.control.buffered_amount() > MAX_CONTROL_WAITING;
        if stuck || wire.control.send_with_u8_array(bytes).is_err() {
            self.fail(shell, &link);
        }
    }

    /// Sends a message on the bulk channel: header and payload in one.
    pub(crate) fn send_bulk(&self, shell: &Rc<Shell>, id: LinkId, frame: &BulkFrame<JsBytes>) {
        let Some((link, wire)) = self.get(id) else { return };
        let message = Uint8Array::new_with_length((BULK_HEADER + frame.payload.len()) as u32);
        message.subarray(0, BULK_HEADER as u32).copy_from(&frame.header);
        message.set(frame.payload.view(), BULK_HEADER as u32);
        if wire.bulk.send_with_array_buffer(&message.buffer()).is_err() {
            return self.fail(shell, &link);
        }
        let buffered = wire.bulk.buffered_amount();
        wire.waiting.set(buffered > 0);
        // The browser speaks up when the buffer falls *to* the mark, so below it we have to.
        if buffered <= LOW_WATER {
            shell.input(Input::Drained { link: id, buffered });
        }
    }

    /// Tells the engine what still waits in the links' buffers.
    pub(crate) fn report_drained(&self, shell: &Rc<Shell>) {
        let open: Vec<_> = self.open.borrow().iter().map(|(id, link)| (*id, link.clone())).collect();
        for (id, link) in open {
            let wire = link.wire.borrow().clone();
            if let Some(wire) = wire
                && wire.waiting.get()
            {
                let buffered = wire.bulk.buffered_amount();
                wire.waiting.set(buffered > 0);
                shell.input(Input::Drained { link: id, buffered });
            }
        }
    }

    /// A signal from a peer that we were introduced to.
    pub(crate) fn signal(&self, shell: &Rc<Shell>, from: PeerId, signal: SessionSignal) {
        let link = self.by_peer.borrow().get(from).cloned();
        match signal {
            SessionSignal::Offer { attempt, description } => match link {
                // Two offers never cross; whoever sends one against the rule isn't answered.
                Some(link) if link.initiate => {}
                Some(link) if link.wire.borrow().is_none() => {
                    link.attempt.set(attempt);
                    self.start(shell, &link, Some(description));
                }
                other => {
                    // The other side has begun anew: what we hold is dead.
                    if let Some(link) = other {
                        self.fail(shell, &link);
                    }
                    self.keep_offer(from, Offer { attempt, description, candidates: Vec::new() });
                }
            },
            SessionSignal::Answer { attempt, description } => {
                if let Some(link) = link.filter(|l| l.initiate && l.attempt.get() == attempt) {
                    self.accept(shell, &link, description);
                }
            }
            SessionSignal::Candidate { attempt, candidate } => {
                if !is_candidate(candidate.as_str()) {
                    return;
                }
                match link.filter(|l| l.attempt.get() == attempt) {
                    Some(link) if link.described.get() => link.add_candidate(&candidate),
                    Some(link) => {
                        let mut early = link.early.borrow_mut();
                        if early.len() < MAX_EARLY {
                            early.push(candidate);
                        }
                    }
                    None => {
                        let mut offers = self.offers.borrow_mut();
                        let offer = offers.iter_mut().find(|(p, o)| *p == from && o.attempt == attempt);
                        if let Some((_, offer)) = offer.filter(|(_, o)| o.candidates.len() < MAX_EARLY) {
                            offer.candidates.push(candidate);
                        }
                    }
                }
            }
            SessionSignal::Abort { attempt } => {
                self.offers.borrow_mut().retain(|(p, o)| *p != from || o.attempt != attempt);
                if let Some(link) = link.filter(|l| l.attempt.get() == attempt && l.id.get().is_none()) {
                    self.fail(shell, &link);
                }
            }
        }
    }

    fn keep_offer(&self, peer: PeerId, offer: Offer) {
        let mut offers = self.offers.borrow_mut();
        offers.retain(|(p, _)| *p != peer);
        if offers.len() == MAX_OFFERS {
            offers.remove(0);
        }
        offers.push((peer, offer));
    }

    fn take_offer(&self, peer: PeerId) -> Option<Offer> {
        let mut offers = self.offers.borrow_mut();
        let at = offers.iter().position(|(p, _)| *p == peer)?;
        Some(offers.remove(at).1)
    }

    fn get(&self, id: LinkId) -> Option<(Rc<Link>, Rc<Wire>)> {
        let link = self.open.borrow().get(id)?.clone();
        let wire = link.wire.borrow().clone()?;
        Some((link, wire))
    }

    /// Takes the link down without a word.
    fn forget(&self, peer: PeerId) -> Option<Rc<Link>> {
        let link = self.by_peer.borrow_mut().remove(peer)?;
        if let Some(id) = link.id.get() {
            self.open.borrow_mut().remove(id);
        }
        link.wire.take();
        Some(link)
    }

    /// Takes the link down and tells the engine.
    fn fail(&self, shell: &Rc<Shell>, link: &Rc<Link>) {
        let current = self.by_peer.borrow().get(link.peer).is_some_and(|l| Rc::ptr_eq(l, link));
        if current {
            self.forget(link.peer);
            shell.input(Input::LinkClosed { peer: link.peer, link: link.id.get() });
        }
    }

    /// Makes the browser's objects and the offer, or the answer to one.
    fn start(&self, shell: &Rc<Shell>, link: &Rc<Link>, offer: Option<Description>) {
        let wire = match Wire::new(shell, link, &self.ice.borrow()) {
            Ok(wire) => Rc::new(wire),
            Err(_) => return self.fail(shell, link),
        };
        *link.wire.borrow_mut() = Some(wire.clone());
        let (shell, link) = (shell.clone(), link.clone());
        wasm_bindgen_futures::spawn_local(async move {
            let connection = wire.connection.clone();
            // The attempt must not keep the connection open once it is given up.
            drop(wire);
            if describe(&shell, &link, &connection, offer).await.is_err() {
                shell.links.fail(&shell, &link);
            }
        });
    }

    fn accept(&self, shell: &Rc<Shell>, link: &Rc<Link>, answer: Description) {
        let connection = link.wire.borrow().as_ref().map(|w| w.connection.clone());
        let (Some(connection), Some(sdp)) = (connection, answer.to_sdp(Side::Answer)) else { return };
        let (shell, link) = (shell.clone(), link.clone());
        wasm_bindgen_futures::spawn_local(async move {
            if set_remote(&connection, RtcSdpType::Answer, &sdp).await.is_err() {
                return shell.links.fail(&shell, &link);
            }
            link.add_early_candidates();
        });
    }

    fn opened(&self, shell: &Rc<Shell>, link: &Rc<Link>) {
        let both_open = link.wire.borrow().as_ref().is_some_and(|w| {
            [&w.control, &w.bulk].iter().all(|c| c.ready_state() == RtcDataChannelState::Open)
        });
        if both_open && link.id.get().is_none() {
            let id = LinkId(self.next.get());
            self.next.set(id.0.wrapping_add(1));
            link.id.set(Some(id));
            self.open.borrow_mut().insert(id, link.clone());
            shell.input(Input::LinkOpen { link: id, peer: link.peer });
        }
    }

    fn state_changed(&self, shell: &Rc<Shell>, link: &Rc<Link>) {
        let state = |link: &Link| link.wire.borrow().as_ref().map(|w| w.connection.connection_state());
        match state(link) {
            Some(RtcPeerConnectionState::Failed | RtcPeerConnectionState::Closed) => self.fail(shell, link),
            Some(RtcPeerConnectionState::Disconnected) => {
                let (shell, link) = (Rc::downgrade(shell), Rc::downgrade(link));
                js::after(LOST, move || {
                    if let (Some(shell), Some(link)) = (shell.upgrade(), link.upgrade())
                        && state(&link) == Some(RtcPeerConnectionState::Disconnected)
                    {
                        shell.links.fail(&shell, &link);
                    }
                });
            }
            _ => {}
        }
    }
}

impl Link {
    fn add_early_candidates(&self) {
        self.described.set(true);
        for candidate in self.early.take() {
            self.add_candidate(&candidate);
        }
    }

    fn add_candidate(&self, candidate: &Text<512>) {
        if let Some(wire) = &*self.wire.borrow() {
            let init = RtcIceCandidateInit::new(candidate.as_str());
            init.set_sdp_mid(Some("0"));
            init.set_sdp_m_line_index(Some(0));
            // One that the browser doesn't take (a name that it can't resolve, say) leaves the others.
            let added = wire.connection.add_ice_candidate_with_opt_rtc_ice_candidate_init(Some(&init));
            wasm_bindgen_futures::spawn_local(async move { drop(JsFuture::from(added).await) });
        }
    }
}

impl Wire {
    fn new(shell: &Rc<Shell>, link: &Rc<Link>, ice: &[RtcIceServer]) -> Result<Self, JsValue> {
        let configuration = RtcConfiguration::new();
        configuration.set_ice_servers(&ice.iter().collect::<Array>());
        let connection = RtcPeerConnection::new_with_configuration(&configuration)?;
        let control = channel(&connection, "control", CONTROL_CHANNEL, true);
        let bulk = channel(&connection, "bulk", BULK_CHANNEL, false);
        bulk.set_buffered_amount_low_threshold(LOW_WATER);
        let wire =
            Self { connection, control, bulk, waiting: Cell::new(false), handlers: RefCell::default() };
        wire.listen(shell, link);
        Ok(wire)
    }

    fn listen(&self, shell: &Rc<Shell>, link: &Rc<Link>) {
        let mut handlers = self.handlers.borrow_mut();
        // Handlers are kept by what they handle, so they must not keep it in turn.
        let with = |act: fn(&Rc<Shell>, &Rc<Link>, JsValue)| {
            let (shell, link) = (Rc::downgrade(shell), Rc::downgrade(link));
            move |event: JsValue| {
                if let (Some(shell), Some(link)) = (shell.upgrade(), link.upgrade()) {
                    act(&shell, &link, event);
                }
            }
        };
        let open = handlers.hold(with(|shell, link, _| shell.links.opened(shell, link)));
        let close = handlers.hold(with(|shell, link, _| shell.links.fail(shell, link)));
        for channel in [&self.control, &self.bulk] {
            channel.set_onopen(Some(&open));
            channel.set_onclose(Some(&close));
        }
        self.control.set_onmessage(Some(&handlers.hold(with(on_control))));
        self.bulk.set_onmessage(Some(&handlers.hold(with(on_bulk))));
        self.bulk.set_onbufferedamountlow(Some(&handlers.hold(with(on_low))));
        self.connection.set_onicecandidate(Some(&handlers.hold(with(on_candidate))));
        self.connection
            .set_onconnectionstatechange(Some(&handlers.hold(with(|s, l, _| s.links.state_changed(s, l)))));
    }
}

fn channel(connection: &RtcPeerConnection, label: &str, id: u16, ordered: bool) -> RtcDataChannel {
    let init = RtcDataChannelInit::new();
    init.set_negotiated(true);
    init.set_id(id);
    init.set_ordered(ordered);
    let channel = connection.create_data_channel_with_data_channel_dict(label, &init);
    channel.set_binary_type(RtcDataChannelType::Arraybuffer);
    channel
}

/// Makes and sends our description: the offer, or the answer to `offer`.
async fn describe(
    shell: &Rc<Shell>,
    link: &Rc<Link>,
    connection: &RtcPeerConnection,
    offer: Option<Description>,
) -> Result<(), JsValue> {
    let answering = offer.is_some();
    if let Some(offer) = offer {
        let sdp = offer.to_sdp(Side::Offer).ok_or(JsValue::NULL)?;
        set_remote(connection, RtcSdpType::Offer, &sdp).await?;
        link.add_early_candidates();
    }
    // Without an argument the browser makes the offer or answer that the state calls for.
    JsFuture::from(set_local_description(connection)).await?;
    let sdp = connection.local_description().ok_or(JsValue::NULL)?.sdp();
    let description = Description::from_sdp(&sdp).ok_or(JsValue::NULL)?;
    let attempt = link.attempt.get();
    shell.signaling.relay(
        link.peer,
        &if answering {
            SessionSignal::Answer { attempt, description }
        } else {
            SessionSignal::Offer { attempt, description }
        },
    );
    Ok(())
}

async fn set_remote(connection: &RtcPeerConnection, side: RtcSdpType, sdp: &str) -> Result<(), JsValue> {
    let init = RtcSessionDescriptionInit::new(side);
    init.set_sdp(sdp);
    JsFuture::from(connection.set_remote_description(&init)).await.map(drop)
}

fn set_local_description(connection: &RtcPeerConnection) -> js_sys::Promise {
    connection.unchecked_ref::<ImplicitDescription>().set_local_description()
}

#[wasm_bindgen]
extern "C" {
    /// `RTCPeerConnection` with the form of `setLocalDescription` that takes no argument.
    type ImplicitDescription;
    #[wasm_bindgen(method, js_name = setLocalDescription)]
    fn set_local_description(this: &ImplicitDescription) -> js_sys::Promise;
}

fn on_candidate(shell: &Rc<Shell>, link: &Rc<Link>, event: JsValue) {
    let event: RtcPeerConnectionIceEvent = event.unchecked_into();
    let Some(candidate) = event.candidate() else { return };
    if let Some(candidate) = Text::new(candidate.candidate())
        && is_candidate(candidate.as_str())
    {
        let attempt = link.attempt.get();
        shell.signaling.relay(link.peer, &SessionSignal::Candidate { attempt, candidate });
    }
}

fn on_control(shell: &Rc<Shell>, link: &Rc<Link>, event: JsValue) {
    let Some(id) = link.id.get() else { return };
    match binary(event) {
        Some(bytes) if bytes.length() as usize <= MAX_CONTROL => {
            shell.input(Input::Control { link: id, bytes: bytes.to_vec() });
        }
        _ => shell.links.fail(shell, link),
    }
}

fn on_bulk(shell: &Rc<Shell>, link: &Rc<Link>, event: JsValue) {
    let Some(id) = link.id.get() else { return };
    match binary(event) {
        Some(bytes) if bytes.length() as usize >= BULK_HEADER => {
            let mut header = [0; BULK_HEADER];
            bytes.subarray(0, BULK_HEADER as u32).copy_to(&mut header);
            let payload = JsBytes::new(bytes.subarray(BULK_HEADER as u32, bytes.length()));
            shell.input(Input::Bulk { link: id, header, payload });
        }
        _ => shell.links.fail(shell, link),
    }
}

fn on_low(shell: &Rc<Shell>, link: &Rc<Link>, _: JsValue) {
    let wire = link.wire.borrow().clone();
    if let (Some(id), Some(wire)) = (link.id.get(), wire) {
        let buffered = wire.bulk.buffered_amount();
        wire.waiting.set(buffered > 0);
        shell.input(Input::Drained { link: id, buffered });
    }
}

fn binary(event: JsValue) -> Option<Uint8Array> {
    let data = event.unchecked_into::<MessageEvent>().data();
    data.dyn_ref::<ArrayBuffer>().map(|buffer| Uint8Array::new(buffer))
}
