//! Twenty megabytes over one link of some length: from a seed to browsers and back, and between two browsers, which is what they are judged by.
//!
//! The seed's end is its transport (`seed-node/src/rtc/`) as the node uses it. Each transfer has a new link, so that its beginning counts.

mod end;

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;
use serde::Serialize;
use tokio::runtime::Handle;

use self::end::{End, Native};
use super::Options;
use crate::browser::{Browser, Kind, Launch, Page};
use crate::netlab::internet::Internet;
use crate::netlab::internet::net::{Line, Net, Spot};
use crate::netlab::{Host, Living};
use crate::progress;

/// Bytes of one.
const BYTES: u64 = 20_000_000;
/// A link that isn't open by then has failed.
const OPENS: Duration = Duration::from_secs(30);
/// Nothing comes for so long: it hangs. Seven seconds are three time-outs of SCTP's in a row.
const HANGS: Duration = Duration::from_secs(12);
const LOOK: Duration = Duration::from_millis(20);

/// From whom to whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
#[value(rename_all = "kebab-case")]
pub enum Pair {
    /// What the others are judged by.
    ChromiumToChromium,
    /// The usual way.
    SeedToChromium,
    /// What a viewer gives back.
    ChromiumToSeed,
    /// The other browser.
    SeedToFirefox,
}

impl Pair {
    /// What the others are judged by comes first.
    pub(crate) const ALL: [Self; 4] =
        [Self::ChromiumToChromium, Self::SeedToChromium, Self::ChromiumToSeed, Self::SeedToFirefox];

    /// In words.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::ChromiumToChromium => "Chromium to Chromium",
            Self::SeedToChromium => "seed to Chromium",
            Self::ChromiumToSeed => "Chromium to seed",
            Self::SeedToFirefox => "seed to Firefox",
        }
    }
}

/// One transfer.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Transfer {
    pub(crate) pair: Pair,
    /// Of the network alone.
    pub(crate) rtt_ms: u64,
    /// Between the first message and the last; 0 for one that hung.
    pub(crate) bytes_per_s: f64,
    /// Longest time without a message.
    pub(crate) freeze_ms: f64,
    /// It didn't come to its end.
    pub(crate) hung: bool,
}

/// Where one of them is.
struct Place {
    host: Host,
    spot: Spot,
}

/// The laboratory with everybody in it.
struct Scene {
    internet: Internet,
    seed: Place,
    life: (Handle, Living),
    chromium: [(Place, Browser, Page); 2],
    firefox: (Place, Browser, Page),
}

/// All pairs in turns, over each length.
pub(super) async fn measure(options: &Options) -> Result<Vec<Transfer>> {
    let mut scene = Scene::set().await?;
    let mut transfers = Vec::new();
    let line = progress::Line::default();
    let pairs: Vec<Pair> = Pair::ALL.into_iter().filter(|pair| options.has_pair(*pair)).collect();
    let all = options.rtt_ms.len() * pairs.len() * options.transfers as usize;
    for rtt_ms in &options.rtt_ms {
        scene.stretch(*rtt_ms);
        for _ in 0..options.transfers {
            for pair in pairs.iter().copied() {
                let transfer = scene.transfer(pair, *rtt_ms).await;
                let transfer = transfer.with_context(|| format!("{}, {rtt_ms} ms", pair.words()))?;
                if std::env::var_os("RILLCAST_VERBOSE").is_some() {
                    eprintln!("{transfer:?}");
                }
                transfers.push(transfer);
                line.show("transfers", transfers.len() as f64 / all as f64);
            }
        }
    }
    Ok(transfers)
}

impl Scene {
    async fn set() -> Result<Self> {
        let mut internet = Internet::new(1)?;
        let mut place = |name: &str| -> Result<Place> {
            let address = internet.public_address()?;
            let (host, spot) = internet.host(name, Net::ROOT, &[address], Line::default())?;
            Ok(Place { host, spot })
        };
        let (seed, one, other, fox) = (place("seed")?, place("one")?, place("other")?, place("fox")?);
        let life = seed.host.live(|| Ok(Handle::current())).await?;
        let chromium = [browse(one, Kind::Chromium).await?, browse(other, Kind::Chromium).await?];
        let firefox = browse(fox, Kind::Firefox).await?;
        Ok(Self { internet, seed, life, chromium, firefox })
    }

    /// From now on a round trip takes so long: a quarter at each end's line, each way.
    fn stretch(&mut self, rtt_ms: u64) {
        let line = Line { delay: Duration::from_micros(rtt_ms * 250), ..Line::default() };
        let browsers = self.chromium.iter().chain([&self.firefox]).map(|(place, ..)| place.spot);
        for spot in browsers.chain([self.seed.spot]) {
            self.internet.set_line(spot, line);
        }
    }

    fn native(&self) -> End<'static> {
        End::Native(Native::new(self.life.0.clone(), self.seed.host.address()))
    }

    async fn transfer(&self, pair: Pair, rtt_ms: u64) -> Result<Transfer> {
        let [one, other] = &self.chromium;
        let (mut from, mut to) = match pair {
            Pair::ChromiumToChromium => (End::Page(&one.2), End::Page(&other.2)),
            Pair::SeedToChromium => (self.native(), End::Page(&one.2)),
            Pair::ChromiumToSeed => (End::Page(&one.2), self.native()),
            Pair::SeedToFirefox => (self.native(), End::Page(&self.firefox.2)),
        };
        link(&mut from, &mut to).await?;
        from.send(BYTES).await?;
        let (mut got, mut progress) = (0, Instant::now());
        let (news, hung) = loop {
            tokio::time::sleep(LOOK).await;
            let news = to.news().await?;
            if news.got > got {
                (got, progress) = (news.got, Instant::now());
            }
            if news.got >= BYTES {
                break (news, false);
            }
            if news.ended.is_some() || progress.elapsed() > HANGS {
                eprintln!(
                    "hangs at {} of {BYTES} bytes; {:?}, {:?}",
                    news.got,
                    news.ended,
                    from.news().await?.ended
                );
                break (news, true);
            }
        };
        from.close().await?;
        to.close().await?;
        let time = news.last_ms.unwrap_or(0.0) - news.first_ms.unwrap_or(0.0);
        let bytes_per_s = if hung { 0.0 } else { BYTES as f64 / (time / 1000.0).max(1e-3) };
        let freeze_ms = if hung { HANGS.as_secs_f64() * 1000.0 } else { news.gap_ms };
        Ok(Transfer { pair, rtt_ms, bytes_per_s, freeze_ms, hung })
    }
}

async fn browse(place: Place, kind: Kind) -> Result<(Place, Browser, Page)> {
    let browser = Browser::launch(&Launch::new(kind).in_namespace(place.host.namespace())).await?;
    let page = browser.open("about:blank").await?;
    Ok((place, browser, page))
}

/// The first offers.
async fn link(one: &mut End<'_>, other: &mut End<'_>) -> Result<()> {
    let offer = one.begin(None).await?;
    let answer = other.begin(Some(offer)).await?;
    one.answered(answer).await?;
    let begun = Instant::now();
    loop {
        let (mine, theirs) = (one.news().await?, other.news().await?);
        ensure!(begun.elapsed() < OPENS, "the link doesn't open: {mine:?}, {theirs:?}");
        for line in mine.candidates {
            other.candidate(line).await?;
        }
        for line in theirs.candidates {
            one.candidate(line).await?;
        }
        if mine.open && theirs.open {
            return Ok(());
        }
        tokio::time::sleep(LOOK).await;
    }
}
