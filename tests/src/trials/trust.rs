//! Lies about who somebody is, and what it may (R8, R35, R41, H1, H3).

use anyhow::{Context, Result, bail, ensure};
use rillcast_core::trust::Refusal;
use rillcast_protocol::id::{Delivery, Fingerprint, Role};
use rillcast_protocol::signal::RefusedCode;
use rillcast_protocol::ticket::SignedTicket;
use rillcast_signaling::authority::Authority;
use serde_json::json;

use super::arena::{Arena, name, unharmed};
use crate::hostile::bombs::{self, Bomb};
use crate::hostile::names::{CallsAs, MakesUp, Quiet};
use crate::hostile::tickets::{ComesBack, Shows};
use crate::native::{Door, Viewer, Visit};

const HERE: std::net::IpAddr = std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

/// Somebody comes with such a ticket; told back: why it isn't linked with. It is told nothing and hears nothing.
async fn refused(
    arena: &Arena,
    ticket: impl FnMut(&SignedTicket) -> SignedTicket + Send + 'static,
) -> Result<Refusal> {
    let hostile = arena.hostile(Shows(ticket)).await?;
    let liar = name(&hostile)?;
    let mut viewer = arena.viewer()?;
    viewer.until("it is refused", |v| v.seen.refused.iter().any(|(peer, ..)| *peer == liar)).await?;
    viewer.plays(2).await?;
    unharmed(&viewer, &[])?;
    ensure!(!viewer.is_linked(liar), "it is linked with all the same");
    let why = viewer.seen.refused.iter().find(|(peer, ..)| *peer == liar).map(|r| r.1);
    let log = hostile.log();
    ensure!(log.fates.values().all(|fate| fate.let_in.is_none()), "somebody spoke to it: {log:?}");
    why.context("just found")
}

fn at_the_gate(why: Refusal) -> String {
    format!("refused at the gate by viewer and seed ({}); it heard nothing but their hellos", why.word())
}

/// A ticket belongs to a certificate, and links are held to it.
pub async fn a_stolen_ticket() -> Result<String> {
    let arena = Arena::open("").await?;
    let seed = arena.seed_id()?;
    let thief = arena.hostile(Quiet).await?;
    thief.until("the seed shows its ticket", |log| log.shown.contains_key(&seed)).await?;
    let stolen = thief.log().shown.get(&seed).cloned().context("just seen")?;
    // Under its owner's name it counts for no other certificate, and under another's name it isn't even looked at.
    let why = refused(&arena, move |_| stolen.clone()).await?;
    ensure!(matches!(why, Refusal::Peer | Refusal::Certificate), "{why:?}");
    Ok(at_the_gate(why))
}

/// The authority's own signature doesn't make an old ticket young.
pub async fn an_expired_ticket() -> Result<String> {
    let arena = Arena::open("").await?;
    let authority = arena.site.authority()?;
    let why = refused(&arena, move |own| {
        let mut body = own.body;
        body.expires_ms = authority.now_ms() - 24 * 3600 * 1000;
        authority.sign(body)
    })
    .await?;
    ensure!(why == Refusal::Expired, "{why:?}");
    Ok(at_the_gate(why))
}

/// HLS and DASH of one film are two swarms, and their blocks are never mixed.
pub async fn a_ticket_of_the_dash_swarm() -> Result<String> {
    let arena = Arena::open("").await?;
    let visit = Visit { delivery: Delivery::Dash, ..arena.visit()? };
    let other = arena.hostile_at(&visit, Quiet).await?;
    let dash = other.log().own.clone().context("it has been let in")?;
    let why = refused(&arena, move |_| dash.clone()).await?;
    ensure!(why == Refusal::Swarm, "{why:?}");
    ensure!(other.log().introduced == 0, "nobody of the other swarm is introduced");
    Ok(at_the_gate(why))
}

/// Tickets are checked by those who are linked with, and not by the server: without it, common neighbours carry the calls, and the gate stays.
pub async fn a_false_ticket_while_signaling_is_dead() -> Result<String> {
    let arena = Arena::open("").await?;
    let hostile = arena.hostile(ComesBack::default()).await?;
    let liar = name(&hostile)?;
    let mut viewer = arena.viewer()?;
    let let_in = |_: &Viewer| hostile.log().fates.values().filter(|fate| fate.let_in.is_some()).count() > 1;
    viewer.until("it has two neighbours", let_in).await?;
    viewer.plays(1).await?;
    let Arena { site, seed, .. } = arena;
    site.close().await;
    let refused = |v: &Viewer| v.seen.refused.iter().any(|(peer, ..)| *peer == liar);
    viewer.until("it comes back and is refused", refused).await?;
    viewer.plays(3).await?;
    unharmed(&viewer, &[])?;
    ensure!(!viewer.is_linked(liar), "it is linked with again");
    let links = viewer.seen.opened.iter().filter(|peer| **peer == liar).count();
    let why = viewer.seen.refused[0].1;
    seed.stop().await;
    Ok(format!(
        "a link was made {links} times, the last by way of the seed, and refused at the gate ({})",
        why.word()
    ))
}

/// Nobody but the authority signs, and its signature covers the role.
pub async fn a_forged_ticket() -> Result<String> {
    let arena = Arena::open("").await?;
    let promoted = refused(&arena, |own| {
        let mut forged = own.clone();
        forged.body.role = Role::Seed;
        forged
    })
    .await?;
    let own = Authority::from_seeds(&[66; 32], &[]);
    let home_made = refused(&arena, move |ticket| own.sign(ticket.body)).await?;
    ensure!((promoted, home_made) == (Refusal::Signature, Refusal::Authority), "{promoted:?} {home_made:?}");
    Ok(format!("both refused at the gate ({}, {})", promoted.word(), home_made.word()))
}

/// Names, numbers and weights are the server's to give: in tickets they are signed, and at the door they aren't asked for.
pub async fn a_ground_id() -> Result<String> {
    let arena = Arena::open("").await?;
    let why = refused(&arena, |own| {
        let mut ground = own.clone();
        (ground.body.nonce, ground.body.weight) = (0, u16::MAX);
        ground
    })
    .await?;
    ensure!(why == Refusal::Signature, "{why:?}");
    // At the door: a ticket of its own making, under a name of its own choice.
    let visit = arena.visit()?;
    let mut join = visit.join(&*visit.endpoint()?)?;
    let other = Authority::from_seeds(&[66; 32], &[]);
    let door = Door::knock(arena.site.server.listening[0], HERE, None, join.clone()).await?;
    let mut wished = door.ok().context("the first time it is let in")?.welcome.ticket.body;
    (wished.peer.0, wished.nonce) = ([0; 16], 0);
    join.ticket = Some(other.sign(wished));
    let door = Door::knock(arena.site.server.listening[0], HERE, None, join).await?;
    let given = door.ok().context("it is let in, as anybody is")?.welcome.ticket.body;
    ensure!(given.peer != wished.peer && given.nonce != 0, "the name that it wished for");
    Ok(format!("refused at the gate ({}); at the door it got a name that the server drew", why.word()))
}

/// Whoever carries calls can make one up in an honest peer's name: the peer isn't banned for it, and a link to it that works stays.
pub async fn a_call_in_an_honest_peers_name() -> Result<String> {
    let arena = Arena::open("").await?;
    let seed = arena.seed_id()?;
    let mut viewer = arena.viewer()?;
    viewer.plays(2).await?;
    let hostile = arena.hostile(CallsAs { name: seed, calls: 60 }).await?;
    viewer.until("it has been called often", |_| hostile.log().lies() >= 40).await?;
    viewer.plays(4).await?;
    unharmed(&viewer, &[name(&hostile)?])?;
    let links = viewer.seen.opened.iter().filter(|peer| **peer == seed).count();
    ensure!(viewer.is_linked(seed), "the link to the seed was lost: {:?}", viewer.seen);
    ensure!(links == 1, "the link to the seed had to be made {links} times");
    Ok(format!(
        "{} calls in the seed's name; the link to it stayed, and it brought {} bytes",
        hostile.log().lies(),
        viewer.seen.from_peers
    ))
}

/// Nobody can be told of whom the authority hasn't let in: whoever tries is cut off.
pub async fn a_made_up_acquaintance() -> Result<String> {
    let arena = Arena::open("").await?;
    let mut viewer = arena.viewer()?;
    viewer.plays(1).await?;
    let hostile = arena.hostile(MakesUp).await?;
    let liar = name(&hostile)?;
    let exposed = |v: &Viewer| v.seen.liars.iter().any(|(peer, ..)| *peer == liar);
    viewer.until("it is exposed", exposed).await?;
    viewer.plays(2).await?;
    unharmed(&viewer, &[liar])?;
    Ok("cut off at the first one that it made up".to_owned())
}

/// A page's token counts on that page.
pub async fn a_token_from_another_origin() -> Result<String> {
    const PAGE: &str = "https://www.example";
    let arena = Arena::open("").await?;
    let token = arena.site.token(&json!({"origin": PAGE, "jti": "t", "sub": "bob"}))?;
    let visit = Visit { token, ..arena.visit()? };
    let mut join = visit.join(&*visit.endpoint()?)?;
    let at = arena.site.server.listening[0];
    let mut said = String::new();
    for page in [Some("https://evil.example"), Some("https://www.example.evil"), None] {
        match Door::knock(at, HERE, page, join.clone()).await? {
            Ok(_) => bail!("{page:?} is let in"),
            Err(Some((RefusedCode::Unauthorised, message))) => said = message,
            Err(other) => bail!("{page:?}: {other:?}"),
        }
    }
    let own = Door::knock(at, HERE, Some(PAGE), join.clone()).await?.ok().context("the page itself")?;
    // And from the same page at another place, while it is in use.
    join.fingerprint = Fingerprint([9; 32]);
    let elsewhere = std::net::IpAddr::from([127, 0, 0, 2]);
    let replayed = Door::knock(at, elsewhere, Some(PAGE), join).await?;
    ensure!(replayed.is_err(), "a token with a name counts from one place");
    drop(own);
    Ok(format!("refused at the door, from three other pages and from a second place (\"{said}\")"))
}

/// Whatever can't be read ends the link, at once and for the visit.
pub async fn message_bombs() -> Result<String> {
    let arena = Arena::open("").await?;
    let mut viewer = arena.viewer()?;
    viewer.plays(1).await?;
    let mut bombers = Vec::new();
    for (what, bytes) in bombs::all() {
        bombers.push((what, arena.hostile(Bomb(bytes)).await?));
    }
    let names = bombers.iter().map(|(_, hostile)| name(hostile)).collect::<Result<Vec<_>>>()?;
    for ((what, _), liar) in bombers.iter().zip(&names) {
        let exposed = |v: &Viewer| v.seen.liars.iter().any(|(peer, ..)| peer == liar);
        viewer.until(what, exposed).await?;
    }
    viewer.plays(2).await?;
    unharmed(&viewer, &names)?;
    Ok(format!("all {} cut off at their first message; the viewer played on", names.len()))
}
