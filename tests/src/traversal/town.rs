//! An internet with what a site's operator runs: signaling, which answers STUN and relays, and coturn where asked for.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use clap::Parser;
use rillcast_protocol::coding::Text;
use rillcast_protocol::nat::NatClass;
use rillcast_protocol::settings::IceServer;
use rillcast_relay::Secret;
use rillcast_seed::node::Node;
use rillcast_seed::rtc::{Endpoint, EndpointConfig};
use rillcast_signaling::{Options, Running, start};
use tempfile::TempDir;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::end::{Chromium, Native};
use super::visitor::{CONTENT, Visitor};
use crate::browser::{Browser, Kind as BrowserKind, Launch};
use crate::netlab::internet::kind::Kind;
use crate::netlab::internet::net::{Line, Net, Spot};
use crate::netlab::internet::{Internet, PUBLIC};
use crate::netlab::{Host, Living};
use crate::services::{Place, Turn};
use crate::site;

/// The prefix of public IPv6 addresses here: of documentation.
const PUBLIC_V6: &str = "2001:db8::/32";
const SECRET: &str = "a secret that coturn and signaling share";
const SIGNALING: u16 = 9100;
/// A link's round trip is twice both ends' delay.
const DELAY: Duration = Duration::from_millis(10);

/// The town.
#[derive(Debug)]
pub struct Town {
    pub(super) internet: Internet,
    lives: HashMap<String, (Handle, Living)>,
    /// The server; its counters tell what it has relayed.
    pub server: Option<Running>,
    server_life: Option<Living>,
    turn: SocketAddr,
    turn_v6: SocketAddr,
    stun: Vec<SocketAddr>,
    coturn: Option<Turn>,
    secret: Secret,
    users: u32,
    /// Signaling's settings are in it.
    _dir: TempDir,
}

/// Somewhere that a peer may be.
#[derive(Debug, Clone)]
pub struct Home {
    /// Its namespace.
    pub host: Host,
    /// Its address there.
    pub address: IpAddr,
    /// Its place in the internet.
    pub spot: Spot,
    namespace: String,
}

impl Town {
    /// Builds it.
    pub async fn build(seed: u64) -> Result<Self> {
        Self::build_with(seed, true, "").await
    }

    /// Builds it without relays: signaling answers STUN at two ports and at another address.
    pub async fn without_relays(seed: u64) -> Result<Self> {
        Self::build_with(seed, false, "").await
    }

    /// The same, where seeds may relay.
    pub async fn whose_seeds_relay(seed: u64) -> Result<Self> {
        Self::build_with(seed, false, "[default]\nseed_relays = true\n").await
    }

    async fn build_with(seed: u64, relays: bool, settings: &str) -> Result<Self> {
        let mut internet = Internet::new(seed)?;
        let (v4, v6) = (internet.public_address()?, "2001:db8::1".parse().context("an address")?);
        let other = internet.public_address()?;
        let line = Line { delay: DELAY, ..Line::default() };
        let (host, _) = internet.host("services", Net::ROOT, &[v4, v6, other], line)?;
        let (turn, turn_v6) = (SocketAddr::new(v4, 3478), SocketAddr::new(v6, 3478));
        let stun = [(v4, 3478), (v4, 3479), (other, 3478)].map(SocketAddr::from).to_vec();
        let dir = tempfile::tempdir()?;
        let config = dir.path().join("settings.toml");
        std::fs::write(&config, settings)?;
        let options = Options {
            config: Some(config),
            listen: vec![SocketAddr::new(v4, SIGNALING)],
            insecure_open: true,
            ..if relays {
                Options {
                    turn: vec![turn, turn_v6],
                    turn_allow: vec![PUBLIC.parse()?, PUBLIC_V6.parse()?],
                    ..Options::default()
                }
            } else {
                Options {
                    bundle: site::dist(),
                    stun_also: Some(stun[2].to_string().parse()?),
                    stun: stun.clone(),
                    ..Options::default()
                }
            }
        };
        let (started, living) = host
            .live(move || {
                let (tell, told) = oneshot::channel();
                tokio::spawn(async move { tell.send(start(options).await) });
                Ok(told)
            })
            .await?;
        let server = started.await.context("signaling doesn't start")??;
        Ok(Self {
            internet,
            lives: HashMap::new(),
            server: Some(server),
            server_life: Some(living),
            turn,
            turn_v6,
            stun,
            coturn: None,
            secret: Secret::new(SECRET.as_bytes()),
            _dir: dir,
            users: 0,
        })
    }

    /// The internet that it's built on.
    pub fn internet(&mut self) -> &mut Internet {
        &mut self.internet
    }

    /// Bytes that came from one spot to another.
    pub fn carried(&self, from: Spot, to: Spot) -> u64 {
        self.internet.carried(from, to)
    }

    /// Starts coturn at port 443, for those who get out by TCP alone.
    pub async fn start_coturn(&mut self) -> Result<()> {
        let (host, _) = self.internet.public("coturn")?;
        self.coturn = Some(Turn::start_shared(&Place::Host(host), 443, SECRET).await?);
        Ok(())
    }

    /// A home in a namespace (several homes may share one), behind a NAT of this kind, or with a public address.
    pub async fn home(&mut self, namespace: &str, number: u8, kind: Option<Kind>) -> Result<Home> {
        let (below, address) = match kind {
            Some(kind) => (self.internet.nat(kind)?, IpAddr::from([192, 168, number, 2])),
            None => (Net::ROOT, self.internet.public_address()?),
        };
        self.home_below(namespace, below, address, Line::default()).await
    }

    /// A home at a spot. Its line has the town's delay besides its own.
    pub async fn home_below(
        &mut self,
        namespace: &str,
        below: Spot,
        address: IpAddr,
        line: Line,
    ) -> Result<Home> {
        let line = Line { delay: line.delay + DELAY, ..line };
        let (host, spot) = self.internet.host(namespace, below, &[address], line)?;
        if !self.lives.contains_key(namespace) {
            let (handle, living) = host.live(|| Ok(Handle::current())).await?;
            self.lives.insert(namespace.to_owned(), (handle, living));
        }
        Ok(Home { host, address, spot, namespace: namespace.to_owned() })
    }

    /// What a peer of this family is told of: our own STUN and TURN.
    pub fn ice(&mut self, v6: bool) -> Result<Vec<IceServer>> {
        let at = if v6 { self.turn_v6 } else { self.turn };
        let user = self.user();
        let server = self.server.as_ref().context("signaling is there until the town goes")?;
        let made = server.hub.turn.credentials(soon(), &user);
        let stun = server_of(format!("stun:{at}"), "", "")?;
        Ok(vec![stun, server_of(format!("turn:{at}?transport=udp"), &made.name, &made.password)?])
    }

    /// The same with coturn over TCP besides.
    pub fn ice_over_tcp(&mut self) -> Result<Vec<IceServer>> {
        let at = self.coturn.as_ref().context("there is no coturn")?.address();
        let user = self.user();
        let made = self.secret.credentials(soon(), &user);
        let mut ice = self.ice(false)?;
        ice.push(server_of(format!("turn:{at}?transport=tcp"), &made.name, &made.password)?);
        Ok(ice)
    }

    /// STUN at these of a town without relays: at an address, at another port of it, at another address.
    pub fn stun(&self, which: &[usize]) -> Result<Vec<IceServer>> {
        which.iter().map(|at| server_of(format!("stun:{}", self.stun[*at]), "", "")).collect()
    }

    /// A whole native peer in a home.
    pub async fn visitor(&self, home: &Home) -> Result<Visitor> {
        let (life, _) = self.lives.get(&home.namespace).context("nobody lives there")?;
        Visitor::come(life, home.address, self.signaling()).await
    }

    /// Where signaling listens.
    pub(super) fn signaling(&self) -> SocketAddr {
        SocketAddr::new(self.turn.ip(), SIGNALING)
    }

    /// A seed in a home, of what visitors watch, which relays. There is no origin: it gives nothing else.
    pub async fn seed(&self, home: &Home) -> Result<Node> {
        self.seed_that(home, &["--manifest", CONTENT, "--site", "demo"]).await
    }

    /// A seed in a home, which relays, of what these flags say.
    pub(super) async fn seed_that(&self, home: &Home, flags: &[&str]) -> Result<Node> {
        let (life, _) = self.lives.get(&home.namespace).context("nobody lives there")?;
        let (signal, udp) = (format!("ws://{}/ws", self.signaling()), format!("{}:0", home.address));
        let relay = format!("{}:3478", home.address);
        let own = ["--signal", &signal, "--udp", &udp, "--relay", &relay, "--relay-allow", PUBLIC];
        let arguments = ["rillcast-seed", "--insecure-open"].iter().chain(&own).chain(flags);
        let settings = rillcast_seed::config::Options::try_parse_from(arguments)?.settle()?;
        let mut node = life.spawn(Node::start(settings)).await??;
        node.joined().await.context("the seed isn't let in")?;
        Ok(node)
    }

    /// How a native node in a home finds its NAT to map, when it is told of these servers; `None` where it doesn't within that time.
    pub async fn nat_class(
        &self,
        home: &Home,
        ice: Vec<IceServer>,
        patience: Duration,
    ) -> Result<Option<NatClass>> {
        let (life, _) = self.lives.get(&home.namespace).context("nobody lives there")?;
        let udp = SocketAddr::new(home.address, 0);
        let found = life.spawn(async move {
            let endpoint = Endpoint::bind(&EndpointConfig { udp, advertise: Vec::new(), max_links: 1 })?;
            endpoint.name_servers(&ice);
            let mut seen = endpoint.seen().context("it doesn't ask how it is seen")?;
            let known = seen.wait_for(|seen| seen.nat != NatClass::Unknown);
            let known = tokio::time::timeout(patience, known).await;
            anyhow::Ok(known.ok().map(|seen| seen.map(|seen| seen.nat)).transpose()?)
        });
        found.await?
    }

    fn user(&mut self) -> String {
        self.users += 1;
        format!("end{}", self.users)
    }

    /// A native end in a home.
    pub fn native(&mut self, home: &Home) -> Result<Native> {
        let ice = self.ice(home.address.is_ipv6())?;
        let (life, _) = self.lives.get(&home.namespace).context("nobody lives there")?;
        Ok(Native::new(life.clone(), home.address, ice))
    }

    /// A Chromium in a home; the home must have its namespace to itself.
    pub async fn chromium(&self, home: &Home, ice: Vec<IceServer>) -> Result<Chromium> {
        self.browser(BrowserKind::Chromium, home, ice).await
    }

    /// A browser in a home; the home must have its namespace to itself.
    pub async fn browser(&self, kind: BrowserKind, home: &Home, ice: Vec<IceServer>) -> Result<Chromium> {
        let launch = Launch::new(kind).in_namespace(home.host.namespace());
        let browser = Browser::launch(&launch).await?;
        let page = browser.open("about:blank").await?;
        Ok(Chromium::new(page, ice, Some(browser)))
    }
}

impl Drop for Town {
    fn drop(&mut self) {
        // Their sockets go before their namespaces.
        self.lives.clear();
        drop(self.server.take());
        drop(self.server_life.take());
    }
}

fn soon() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs() + 3600
}

fn server_of(url: String, username: &str, credential: &str) -> Result<IceServer> {
    let text = |text: String| Text::new(text).context("too long");
    Ok(IceServer {
        url: text(url)?,
        username: text(username.to_owned())?,
        credential: text(credential.to_owned())?,
    })
}
