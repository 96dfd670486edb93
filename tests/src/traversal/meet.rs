//! Two ends meet, or don't. How they met is what the internet saw, not what they say.

use std::fmt;
use std::time::{Duration, Instant};

use anyhow::Result;
use serde::Serialize;

use super::end::{End, MESSAGE, MESSAGES};
use super::town::Town;
use crate::netlab::internet::net::Spot;

/// How often ends are asked for news.
const LOOK: Duration = Duration::from_millis(25);

/// By which way two met.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Their bytes went from one to the other.
    Direct,
    /// They went by way of a relay.
    Relayed,
    /// They didn't meet in the time allowed.
    Failed,
}

/// What came of it.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Met {
    /// By which way.
    pub outcome: Outcome,
    /// Milliseconds until it was open for both, from when the first began.
    pub open_ms: Option<f64>,
}

impl fmt::Display for Met {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let outcome = match self.outcome {
            Outcome::Direct => "direct",
            Outcome::Relayed => "relayed",
            Outcome::Failed => "failed",
        };
        match self.open_ms {
            Some(ms) => write!(f, "{outcome}, {ms:.0} ms"),
            None => f.write_str(outcome),
        }
    }
}

/// Has two meet: the first makes the offer. Each end is at a spot.
pub async fn meet(
    town: &Town,
    one: (&mut End, Spot),
    other: (&mut End, Spot),
    patience: Duration,
) -> Result<Met> {
    let ((one, here), (other, there)) = (one, other);
    let straight = |town: &Town| town.carried(here, there) + town.carried(there, here);
    let before = straight(town);
    let began = Instant::now();
    let offer = one.begin(None).await?;
    let answer = other.begin(Some(offer)).await?;
    one.answered(answer).await?;
    let mut open_ms = None;
    while began.elapsed() < patience {
        let news = match (one.news().await, other.news().await) {
            (Ok(news), Ok(others)) => [news, others],
            // It says why; here it's one more pair that didn't meet.
            (Err(_), _) | (_, Err(_)) => break,
        };
        let [mine, theirs] = news;
        for line in mine.candidates {
            other.candidate(line).await?;
        }
        for line in theirs.candidates {
            one.candidate(line).await?;
        }
        if let (None, Some(_), Some(_)) = (open_ms, mine.opened_ms, theirs.opened_ms) {
            open_ms = Some(began.elapsed().as_secs_f64() * 1000.0);
        }
        if open_ms.is_some() && mine.got >= MESSAGES && theirs.got >= MESSAGES {
            // Most of what they sent each other, if it went straight: both ways were used, and checks alone are less.
            let direct = straight(town) - before >= (MESSAGES * MESSAGE) as u64;
            return Ok(Met { outcome: if direct { Outcome::Direct } else { Outcome::Relayed }, open_ms });
        }
        tokio::time::sleep(LOOK).await;
    }
    Ok(Met { outcome: Outcome::Failed, open_ms: None })
}
