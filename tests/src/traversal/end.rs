//! One end of a link.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rillcast_protocol::coding::Text;
use rillcast_protocol::session::{BULK_CHANNEL, CONTROL_CHANNEL, Description, SessionSignal, Side};
use rillcast_protocol::settings::IceServer;
use rillcast_seed::rtc::{Endpoint, EndpointConfig, Happening, Link, LinkEvent, Start};
use serde::Deserialize;
use serde_json::json;
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use crate::browser::{Browser, Page};

/// Messages that each end sends when the link opens, and their length: enough to tell its way from that of checks.
pub const MESSAGES: usize = 30;
/// See [`MESSAGES`].
pub const MESSAGE: usize = 1000;

/// What has happened at an end since it was last asked.
#[derive(Debug, Default, Deserialize)]
pub struct News {
    /// To tell the other end.
    pub candidates: Vec<String>,
    /// Milliseconds from its beginning until the link was open, if it is.
    pub opened_ms: Option<f64>,
    /// Messages that have come, of those that the other end sends.
    pub got: usize,
}

/// One end.
#[derive(Debug)]
pub enum End {
    /// The native node's.
    Native(Box<Native>),
    /// A browser's.
    Chromium(Box<Chromium>),
}

impl End {
    /// Begins, with an offer, or with an answer to one; told back: its description.
    pub async fn begin(&mut self, offer: Option<Description>) -> Result<Description> {
        match self {
            Self::Native(end) => end.begin(offer).await,
            Self::Chromium(end) => end.begin(offer).await,
        }
    }

    /// The other end has answered our offer.
    pub async fn answered(&mut self, answer: Description) -> Result<()> {
        match self {
            Self::Native(end) => {
                end.signal(|attempt| Some(SessionSignal::Answer { attempt, description: answer }));
                Ok(())
            }
            Self::Chromium(end) => end.answered(&answer).await,
        }
    }

    /// The other end may be there.
    pub async fn candidate(&mut self, line: String) -> Result<()> {
        match self {
            Self::Native(end) => {
                end.signal(|attempt| Some(SessionSignal::Candidate { attempt, candidate: Text::new(line)? }));
                Ok(())
            }
            Self::Chromium(end) => end.candidate(&line).await,
        }
    }

    /// What has happened.
    pub async fn news(&mut self) -> Result<News> {
        match self {
            Self::Native(end) => end.news(),
            Self::Chromium(end) => end.news().await,
        }
    }
}

/// The native node's link, at a host's address.
#[derive(Debug)]
pub struct Native {
    /// The runtime on that host.
    life: Handle,
    address: IpAddr,
    ice: Vec<IceServer>,
    began: Instant,
    running: Option<(Arc<Endpoint>, Link, mpsc::Receiver<LinkEvent>)>,
    opened_ms: Option<f64>,
    got: usize,
}

/// Both ends count their attempts from one.
const ATTEMPT: u32 = 1;

impl Native {
    /// An end there, which is told of these servers.
    pub fn new(life: Handle, address: IpAddr, ice: Vec<IceServer>) -> Self {
        Self { life, address, ice, began: Instant::now(), running: None, opened_ms: None, got: 0 }
    }

    /// The same end before it began.
    pub fn anew(&self) -> Self {
        Self::new(self.life.clone(), self.address, self.ice.clone())
    }

    async fn begin(&mut self, offer: Option<Description>) -> Result<Description> {
        self.began = Instant::now();
        let (udp, ice) = (SocketAddr::new(self.address, 0), self.ice.clone());
        let start = self.life.spawn(async move {
            let endpoint = Endpoint::bind(&EndpointConfig { udp, advertise: Vec::new(), max_links: 4 })?;
            endpoint.name_servers(&ice);
            let (tell, told) = mpsc::channel(256);
            let start = offer.map_or(Start::Offer, Start::Answer);
            let link = Link::start(&endpoint, 1, ATTEMPT, start, tell);
            anyhow::Ok((endpoint, link, told))
        });
        let (endpoint, link, mut told) = start.await??;
        let first = tokio::time::timeout(Duration::from_secs(10), told.recv()).await;
        let description = match first.ok().flatten().context("the link says nothing")?.what {
            Happening::Signal(
                SessionSignal::Offer { description, .. } | SessionSignal::Answer { description, .. },
            ) => description,
            other => bail!("the link begins with {other:?}"),
        };
        self.running = Some((endpoint, link, told));
        Ok(description)
    }

    fn signal(&mut self, make: impl FnOnce(u32) -> Option<SessionSignal>) {
        if let Some((_, link, _)) = &self.running
            && let Some(signal) = make(ATTEMPT)
        {
            link.signal(signal);
        }
    }

    fn news(&mut self) -> Result<News> {
        let mut news = News::default();
        let Some((_, link, told)) = &mut self.running else { return Ok(news) };
        while let Ok(event) = told.try_recv() {
            match event.what {
                Happening::Signal(SessionSignal::Candidate { candidate, .. }) => {
                    news.candidates.push(candidate.as_str().to_owned());
                }
                Happening::Open(_) => {
                    self.opened_ms = Some(self.began.elapsed().as_secs_f64() * 1000.0);
                    (0..MESSAGES).for_each(|_| link.control(vec![7; MESSAGE]));
                }
                Happening::Control(_) => self.got += 1,
                Happening::Closed(why) => bail!("the link has ended: {why:?}"),
                _ => {}
            }
        }
        (news.opened_ms, news.got) = (self.opened_ms, self.got);
        Ok(news)
    }
}

/// A Chromium's link: a plain `RTCPeerConnection` with our channels.
#[derive(Debug)]
pub struct Chromium {
    page: Page,
    ice: Vec<IceServer>,
    relay_only: bool,
    /// Ends with it.
    _browser: Option<Browser>,
}

impl Chromium {
    /// An end in a page; the browser, if given, ends with it.
    pub fn new(page: Page, ice: Vec<IceServer>, browser: Option<Browser>) -> Self {
        Self { page, ice, relay_only: false, _browser: browser }
    }

    /// Through relays alone.
    pub fn relayed(mut self) -> Self {
        self.relay_only = true;
        self
    }

    async fn begin(&mut self, offer: Option<Description>) -> Result<Description> {
        let servers: Vec<_> = self
            .ice
            .iter()
            .map(|server| {
                json!({
                    "urls": server.url.as_str(),
                    "username": server.username.as_str(),
                    "credential": server.credential.as_str(),
                })
            })
            .collect();
        let policy = if self.relay_only { "relay" } else { "all" };
        let theirs = match &offer {
            Some(offer) => json!(offer.to_sdp(Side::Offer).context("no description")?),
            None => json!(null),
        };
        let script = format!(
            "(async () => {{
                const pc = new RTCPeerConnection({{ iceServers: {servers}, iceTransportPolicy: '{policy}' }});
                const end = window.end = {{ pc, candidates: [], opened: null, got: 0 }};
                const control = pc.createDataChannel('control', {{ negotiated: true, id: {CONTROL_CHANNEL} }});
                const bulk = pc.createDataChannel('bulk', {{ negotiated: true, id: {BULK_CHANNEL}, ordered: false }});
                const began = performance.now();
                pc.onicecandidate = (e) => {{ if (e.candidate?.candidate) end.candidates.push(e.candidate.candidate); }};
                control.onmessage = () => {{ end.got += 1; }};
                const open = () => {{
                    if (control.readyState !== 'open' || bulk.readyState !== 'open') return;
                    end.opened = performance.now() - began;
                    for (let n = 0; n < {MESSAGES}; n += 1) control.send(new Uint8Array({MESSAGE}));
                }};
                control.onopen = bulk.onopen = open;
                const theirs = {theirs};
                if (theirs) await pc.setRemoteDescription({{ type: 'offer', sdp: theirs }});
                await pc.setLocalDescription();
                return pc.localDescription.sdp;
            }})()",
            servers = json!(servers),
        );
        let sdp: String = self.page.eval(&script).await?;
        Description::from_sdp(&sdp).context("Chromium's description can't be read")
    }

    async fn answered(&self, answer: &Description) -> Result<()> {
        let sdp = answer.to_sdp(Side::Answer).context("no description")?;
        let script = format!(
            "window.end.pc.setRemoteDescription({{ type: 'answer', sdp: {} }}).then(() => true)",
            json!(sdp)
        );
        self.page.eval::<bool>(&script).await?;
        Ok(())
    }

    async fn candidate(&self, line: &str) -> Result<()> {
        let candidate = json!({ "candidate": line, "sdpMid": "0", "sdpMLineIndex": 0 });
        // What it can't use (of another kind than it knows) isn't an error of the link.
        let script = format!("window.end.pc.addIceCandidate({candidate}).then(() => true, () => false)");
        self.page.eval::<bool>(&script).await?;
        Ok(())
    }

    async fn news(&self) -> Result<News> {
        let script = "({ candidates: window.end.candidates.splice(0), opened_ms: window.end.opened, got: window.end.got })";
        Ok(self.page.eval(script).await?)
    }
}
