//! Native peers behind all pairs of kinds, many side by side: the homes of the one side share a namespace, and those of the other.

use std::time::Duration;

use anyhow::Result;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

use super::{Options, Pair};
use crate::netlab::internet::kind::Kind;
use crate::netlab::internet::net::Spot;
use crate::progress;
use crate::traversal::{End, Met, Native, Outcome, Town, meet};

/// Each unordered pair of kinds once.
pub(super) async fn all(kinds: &[Kind], options: &Options) -> Result<Vec<Pair>> {
    let mut town = Town::build(options.seed).await?;
    let (mut here, mut there) = (Vec::new(), Vec::new());
    for (number, kind) in kinds.iter().enumerate() {
        here.push(town.home("here", number as u8, Some(*kind)).await?);
        there.push(town.home("there", number as u8, Some(*kind)).await?);
    }
    let mut waiting = Vec::new();
    for (one, caller) in here.iter().enumerate() {
        for (other, callee) in there.iter().enumerate().skip(one) {
            waiting.push((one, other, (town.native(caller)?, town.native(callee)?)));
        }
    }
    // Round and round over the homes, so that no single NAT has all its pairs at once.
    waiting.sort_by_key(|(one, other, _)| ((other - one), *one));
    let (count, line) = (waiting.len(), progress::Line::default());
    let mut waiting = waiting.into_iter();
    let (mut running, mut done) = (FuturesUnordered::new(), Vec::new());
    let town = &town;
    loop {
        while running.len() < usize::from(options.at_once)
            && let Some((one, other, (caller, callee))) = waiting.next()
        {
            let spots = (here[one].spot, there[other].spot);
            let patience = options.patience();
            running.push(async move {
                let (again, anew) = (caller.anew(), callee.anew());
                let swap = (one + other) % 2 == 1;
                let mut met = try_once(town, (caller, spots.0), (callee, spots.1), swap, patience).await?;
                // A peer tries again too; how often it has to is a figure of its own.
                let failed = met.outcome == Outcome::Failed;
                if failed {
                    met = try_once(town, (again, spots.0), (anew, spots.1), swap, patience).await?;
                }
                anyhow::Ok(Pair { one: kinds[one], other: kinds[other], met, second_attempt: failed })
            });
        }
        let Some(pair) = running.next().await else { return Ok(done) };
        done.push(pair?);
        line.show("pairs that have tried to meet", done.len() as f64 / count as f64);
    }
}

/// Who calls makes no difference to NATs, but may to a program: it's taken in turns.
async fn try_once(
    town: &Town,
    (caller, here): (Native, Spot),
    (callee, there): (Native, Spot),
    swap: bool,
    patience: Duration,
) -> Result<Met> {
    let (mut caller, mut callee) = (End::Native(Box::new(caller)), End::Native(Box::new(callee)));
    if swap {
        meet(town, (&mut callee, there), (&mut caller, here), patience).await
    } else {
        meet(town, (&mut caller, here), (&mut callee, there), patience).await
    }
}
