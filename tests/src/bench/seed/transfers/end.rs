//! One end of a transfer: the seed's link, or a browser's page.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use rillcast_core::engine::{BULK_HEADER, BULK_PAYLOAD, BulkFrame};
use rillcast_protocol::coding::Text;
use rillcast_protocol::session::{BULK_CHANNEL, CONTROL_CHANNEL, Description, SessionSignal, Side};
use rillcast_seed::payload::Media;
use rillcast_seed::rtc::{Endpoint, EndpointConfig, Happening, Link, LinkEvent, Start};
use serde::Deserialize;
use serde_json::json;
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use crate::browser::Page;

/// Bytes that wait at a seed's link, as many as its engine lets.
const AHEAD: u32 = 48 * 1024;
/// Both ends count their attempts from one.
const ATTEMPT: u32 = 1;

/// What has come of a transfer so far, by the receiver's clock.
#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct News {
    pub(super) open: bool,
    pub(super) got: u64,
    pub(super) first_ms: Option<f64>,
    pub(super) last_ms: Option<f64>,
    /// Longest time between two messages.
    pub(super) gap_ms: f64,
    /// To tell the other end.
    #[serde(default)]
    pub(super) candidates: Vec<String>,
    /// Why it has ended, if it has.
    #[serde(skip)]
    pub(super) ended: Option<String>,
}

/// One end.
pub(super) enum End<'a> {
    Native(Native),
    Page(&'a Page),
}

impl End<'_> {
    /// Begins, with an offer, or with an answer to one; told back: its description.
    pub(super) async fn begin(&mut self, offer: Option<Description>) -> Result<Description> {
        match self {
            Self::Native(end) => end.begin(offer).await,
            Self::Page(page) => {
                // What is evaluated is an expression.
                let script = include_str!("page.js").trim_end().trim_end_matches(';');
                let open = format!("window.rcEnd = rcOpen({CONTROL_CHANNEL}, {BULK_CHANNEL})");
                page.eval::<bool>(&format!("{script}, {open}, true")).await?;
                let offer = offer.map(|offer| offer.to_sdp(Side::Offer).context("no description"));
                let sdp: String = page.eval(&format!("rcEnd.begin({})", json!(offer.transpose()?))).await?;
                Description::from_sdp(&sdp).context("the browser's description can't be read")
            }
        }
    }

    /// The other end has answered our offer.
    pub(super) async fn answered(&mut self, answer: Description) -> Result<()> {
        match self {
            Self::Native(end) => end.signal(SessionSignal::Answer { attempt: ATTEMPT, description: answer }),
            Self::Page(page) => {
                let sdp = answer.to_sdp(Side::Answer).context("no description")?;
                page.eval::<bool>(&format!("rcEnd.answered({})", json!(sdp))).await?;
                Ok(())
            }
        }
    }

    /// The other end may be there.
    pub(super) async fn candidate(&mut self, line: String) -> Result<()> {
        match self {
            Self::Native(end) => match Text::new(line) {
                Some(candidate) => end.signal(SessionSignal::Candidate { attempt: ATTEMPT, candidate }),
                None => Ok(()),
            },
            Self::Page(page) => {
                page.eval::<bool>(&format!("rcEnd.candidate({})", json!(line))).await?;
                Ok(())
            }
        }
    }

    /// What has happened.
    pub(super) async fn news(&mut self) -> Result<News> {
        match self {
            Self::Native(end) => Ok(end.news()),
            Self::Page(page) => Ok(page.eval("rcEnd.news()").await?),
        }
    }

    /// Sends so many bytes as fast as it can.
    pub(super) async fn send(&mut self, total: u64) -> Result<()> {
        match self {
            Self::Native(end) => Ok(end.order(Order::Send(total))?),
            Self::Page(page) => {
                page.eval::<bool>(&format!("rcEnd.send({total})")).await?;
                Ok(())
            }
        }
    }

    /// Ends the link.
    pub(super) async fn close(self) -> Result<()> {
        if let Self::Page(page) = self {
            page.eval::<bool>("rcEnd.close()").await?;
        }
        Ok(())
    }
}

enum Order {
    Signal(SessionSignal),
    Send(u64),
}

/// The seed's link, on a host of the laboratory. Dropping it ends the link.
pub(super) struct Native {
    life: Handle,
    address: IpAddr,
    orders: Option<mpsc::UnboundedSender<Order>>,
    news: Arc<Mutex<News>>,
}

impl Native {
    pub(super) fn new(life: Handle, address: IpAddr) -> Self {
        Self { life, address, orders: None, news: Arc::default() }
    }

    async fn begin(&mut self, offer: Option<Description>) -> Result<Description> {
        let udp = SocketAddr::new(self.address, 0);
        let (order, orders) = mpsc::unbounded_channel();
        let (describe, described) = tokio::sync::oneshot::channel();
        let news = Arc::clone(&self.news);
        self.life.spawn(async move {
            let ended = match run(udp, offer, describe, orders, &news).await {
                Ok(()) => "told to".to_owned(),
                Err(error) => format!("{error:#}"),
            };
            news.lock().unwrap_or_else(PoisonError::into_inner).ended = Some(ended);
        });
        self.orders = Some(order);
        described.await.context("the link says nothing")
    }

    fn order(&self, order: Order) -> Result<()> {
        let sent = self.orders.as_ref().is_some_and(|orders| orders.send(order).is_ok());
        ensure!(sent, "the link has ended: {:?}", self.news().ended);
        Ok(())
    }

    fn signal(&self, signal: SessionSignal) -> Result<()> {
        self.order(Order::Signal(signal))
    }

    fn news(&self) -> News {
        let mut news = self.news.lock().unwrap_or_else(PoisonError::into_inner);
        let candidates = std::mem::take(&mut news.candidates);
        News { candidates, ..news.clone() }
    }
}

async fn run(
    udp: SocketAddr,
    offer: Option<Description>,
    describe: tokio::sync::oneshot::Sender<Description>,
    mut orders: mpsc::UnboundedReceiver<Order>,
    news: &Mutex<News>,
) -> Result<()> {
    let endpoint = Endpoint::bind(&EndpointConfig { udp, advertise: Vec::new(), max_links: 4 })?;
    let (tell, mut told) = mpsc::channel::<LinkEvent>(256);
    let start = offer.map_or(Start::Offer, Start::Answer);
    let link = Link::start(&endpoint, 1, ATTEMPT, start, tell);
    let (began, block) = (Instant::now(), Bytes::from(vec![0u8; BULK_PAYLOAD]));
    let (mut describe, mut left) = (Some(describe), 0u64);
    let change = |act: &dyn Fn(&mut News)| act(&mut news.lock().unwrap_or_else(PoisonError::into_inner));
    loop {
        tokio::select! {
            order = orders.recv() => match order {
                None => return Ok(()),
                Some(Order::Signal(signal)) => link.signal(signal),
                Some(Order::Send(total)) => left = total,
            },
            event = told.recv() => match event.context("the link's task is gone")?.what {
                Happening::Signal(SessionSignal::Candidate { candidate, .. }) => {
                    change(&|news| news.candidates.push(candidate.as_str().to_owned()));
                }
                Happening::Signal(
                    SessionSignal::Offer { description, .. } | SessionSignal::Answer { description, .. },
                ) => _ = describe.take().map(|describe| describe.send(description)),
                Happening::Open(_) => change(&|news| news.open = true),
                Happening::Bulk { payload, .. } => {
                    let now = began.elapsed().as_secs_f64() * 1000.0;
                    change(&|news| {
                        news.got += (BULK_HEADER + payload.0.len()) as u64;
                        news.first_ms.get_or_insert(now);
                        news.gap_ms = news.gap_ms.max(now - news.last_ms.unwrap_or(now));
                        news.last_ms = Some(now);
                    });
                }
                Happening::Closed(why) => anyhow::bail!("{why:?}"),
                Happening::Signal(_) | Happening::Control(_) | Happening::Drained => {}
            },
        }
        while left > 0 && link.queued() < AHEAD {
            let length = block.len().min((left as usize).saturating_sub(BULK_HEADER).max(1));
            left = left.saturating_sub((BULK_HEADER + length) as u64);
            link.bulk(BulkFrame { header: [0; BULK_HEADER], payload: Media(block.slice(..length)) });
        }
    }
}
