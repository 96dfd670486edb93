//! What comes in on a link's two channels: one reader for each.
//!
//! They hand messages to the node directly, and wait if it is busy: SCTP's receive window then closes, and the peer
//! waits too. The link's own task hears only of what concerns the link.

use std::sync::Arc;

use bytes::BytesMut;
use rillcast_core::engine::{BULK_HEADER, BULK_PAYLOAD, MAX_CONTROL};
use tokio::sync::{mpsc, watch};
use webrtc::data_channel::{DataChannel, DataChannelEvent};

use super::link::{Happening, LinkEvent};
use crate::payload::Media;

/// The readers of a link. Dropping them ends them.
pub(super) struct Readers {
    tasks: [tokio::task::JoinHandle<()>; 2],
    /// To be told once both channels are open; nothing is handed over before.
    pub(super) opened: watch::Sender<bool>,
}

impl Readers {
    /// Starts reading; told back besides: where the readers report.
    pub(super) fn start(
        link: u32,
        control: &Arc<dyn DataChannel>,
        bulk: &Arc<dyn DataChannel>,
        events: &mpsc::Sender<LinkEvent>,
    ) -> (Self, mpsc::Receiver<Report>) {
        let (reports, from_readers) = mpsc::channel(8);
        let (opened, _) = watch::channel(false);
        let tasks = [(control, Kind::Control), (bulk, Kind::Bulk)].map(|(channel, kind)| {
            let reader = Reader {
                channel: Arc::clone(channel),
                kind,
                link,
                opened: opened.subscribe(),
                reports: reports.clone(),
                events: events.clone(),
            };
            tokio::spawn(reader.run())
        });
        (Self { tasks, opened }, from_readers)
    }
}

impl Drop for Readers {
    fn drop(&mut self) {
        self.tasks.iter().for_each(tokio::task::JoinHandle::abort);
    }
}

/// Which channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Control,
    Bulk,
}

/// What a reader has to say of its channel.
pub(super) enum Report {
    Open(Kind),
    Closed,
    Protocol(&'static str),
}

struct Reader {
    channel: Arc<dyn DataChannel>,
    kind: Kind,
    link: u32,
    opened: watch::Receiver<bool>,
    reports: mpsc::Sender<Report>,
    events: mpsc::Sender<LinkEvent>,
}

impl Reader {
    async fn run(mut self) {
        let last = loop {
            match self.channel.poll().await {
                Some(DataChannelEvent::OnOpen) => {
                    if self.reports.send(Report::Open(self.kind)).await.is_err() {
                        return;
                    }
                    // Nothing is handed over before the node knows that the link is open.
                    if self.opened.wait_for(|open| *open).await.is_err() {
                        return;
                    }
                }
                Some(DataChannelEvent::OnMessage(message)) => {
                    let what = match (self.kind, message.is_string) {
                        (_, true) => Err("text message"),
                        (Kind::Control, _) => control(message.data),
                        (Kind::Bulk, _) => bulk(message.data),
                    };
                    match what {
                        Ok(what) => {
                            if self.events.send(LinkEvent { link: self.link, what }).await.is_err() {
                                return;
                            }
                        }
                        Err(what) => break Report::Protocol(what),
                    }
                }
                Some(DataChannelEvent::OnClose | DataChannelEvent::OnClosing) | None => break Report::Closed,
                Some(_) => {}
            }
        };
        let _ = self.reports.send(last).await;
    }
}

fn control(data: BytesMut) -> Result<Happening, &'static str> {
    if data.len() > MAX_CONTROL {
        return Err("control message too long");
    }
    Ok(Happening::Control(data.into()))
}

fn bulk(data: BytesMut) -> Result<Happening, &'static str> {
    if data.len() > BULK_HEADER + BULK_PAYLOAD {
        return Err("bulk message too long");
    }
    let data = data.freeze();
    let header = data.first_chunk::<BULK_HEADER>().copied().ok_or("bulk message without a header")?;
    Ok(Happening::Bulk { header, payload: Media(data.slice(BULK_HEADER..)) })
}
