//! Many at once (H1, H8, H11).

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr};

use anyhow::{Context, Result, ensure};
use rillcast_protocol::id::{Fingerprint, PeerId};
use rillcast_protocol::signal::{ClientMessage, Join, ServerMessage};

use super::arena::{Arena, name, unharmed};
use crate::hostile::promises::{Breaks, Promise};
use crate::native::{Door, Viewer};

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const ELSEWHERE: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));

/// The `n`th of many who join: each with a certificate of its own.
fn another(join: &Join, n: u32) -> Join {
    let mut fingerprint = [0; 32];
    fingerprint[..4].copy_from_slice(&n.to_be_bytes());
    Join { fingerprint: Fingerprint(fingerprint), ..join.clone() }
}

/// An address has its share of the server, and leaves the others theirs.
pub async fn a_thousand_ids_from_one_address() -> Result<String> {
    // A household's, where an office's would be hundreds: a test has only so many file descriptors.
    let arena = Arena::open("[limits]\nconnections_per_address = 100\n").await?;
    let visit = arena.visit()?;
    let join = visit.join(&*visit.endpoint()?)?;
    let at = arena.site.server.listening[0];
    let (mut let_in, mut turned_away) = (Vec::new(), 0);
    for n in 0..1000 {
        match Door::knock(at, HERE, None, another(&join, n)).await? {
            Ok(door) => let_in.push(door),
            Err(_) => turned_away += 1,
        }
    }
    let honest = Door::knock(at, ELSEWHERE, None, another(&join, 1000)).await?;
    ensure!(let_in.len() <= 100, "{} of one address are in", let_in.len());
    ensure!(honest.is_ok(), "somebody else isn't let in for them: {honest:?}");
    Ok(format!(
        "{} let in, {turned_away} turned away; who came from another address was let in",
        let_in.len()
    ))
}

/// Who is surrounded pays with its savings, not with its playback.
pub async fn an_eclipse() -> Result<String> {
    const AROUND: usize = 24;
    let arena = Arena::open("").await?;
    let mut hostile = Vec::new();
    for _ in 0..AROUND {
        hostile.push(arena.hostile(Breaks(Promise::Haves)).await?);
    }
    let names = hostile.iter().map(name).collect::<Result<Vec<_>>>()?;
    let mut viewer = arena.viewer_with_source()?;
    let around = |v: &Viewer| names.iter().filter(|n| v.is_linked(**n)).count();
    viewer.until("they are around it", |v| around(v) >= AROUND / 2).await?;
    viewer.plays(6).await?;
    unharmed(&viewer, &names)?;
    let seed = arena.seed_id()?;
    ensure!(viewer.is_linked(seed), "the honest seed isn't among its neighbours");
    let seen = &viewer.seen;
    let all = seen.from_peers + seen.from_source;
    Ok(format!(
        "{} of {} neighbours are the attacker's; the seed stayed; {} segments played, {} late, {} % from the source",
        around(&viewer),
        viewer.stats().links.len(),
        seen.played,
        seen.late,
        seen.from_source * 100 / all.max(1)
    ))
}

/// Who asks again and again learns of few.
pub async fn a_crawler() -> Result<String> {
    const MEMBERS: u32 = 150;
    let arena = Arena::open("").await?;
    let visit = arena.visit()?;
    let join = visit.join(&*visit.endpoint()?)?;
    let at = arena.site.server.listening[0];
    let mut members = Vec::new();
    for n in 0..MEMBERS {
        members.push(Door::knock(at, ELSEWHERE, None, another(&join, n)).await?.ok().context("room")?);
    }
    let mut crawler = Door::knock(at, HERE, None, another(&join, MEMBERS)).await?.ok().context("room")?;
    let mut learnt: HashSet<PeerId> = HashSet::new();
    for _ in 0..100 {
        crawler.say(&ClientMessage::WantPeers { count: 255 }).await?;
        for message in crawler.heard().await? {
            if let ServerMessage::Introduce { peers } = message {
                learnt.extend(peers.iter().map(|peer| peer.id));
            }
        }
    }
    ensure!(learnt.len() < 80, "it has learnt of {} of {MEMBERS}", learnt.len());
    Ok(format!("100 requests: the server told it of {} of {MEMBERS}, as it would anybody", learnt.len()))
}
