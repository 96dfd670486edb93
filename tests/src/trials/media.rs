//! Lies about media, and promises that aren't kept (H2, H3, H6, H11).

use std::sync::{Arc, OnceLock};

use anyhow::{Context, Result, ensure};
use rillcast_protocol::digest::SegmentDigest;
use rillcast_protocol::id::PeerId;

use super::arena::{Arena, longest, name, unharmed};
use crate::hostile::blocks::{FalseBlocks, Wrong};
use crate::hostile::digests::{FalseDigest, Shown};
use crate::hostile::floods::Requests;
use crate::hostile::promises::{Breaks, Promise};
use crate::hostile::{Attack, Hand};
use crate::native::{Viewer, Visit, stream};

/// Has two viewers play on behind the lie.
async fn both(one: &mut Viewer, two: &mut Viewer, liar: PeerId) -> Result<()> {
    let exposed = |viewer: &Viewer| viewer.seen.liars.iter().any(|(peer, ..)| *peer == liar);
    tokio::try_join!(one.until("the liar is exposed", exposed), two.until("the liar is exposed", exposed))?;
    tokio::try_join!(one.plays(3), two.plays(3))?;
    Ok(())
}

/// Every victim cuts it off at its first false block, and plays on from the others.
pub async fn an_altered_block() -> Result<String> {
    let arena = Arena::open("").await?;
    let hostile = arena.hostile(FalseBlocks::new(Wrong::Altered, |key| stream::segment(key.number))).await?;
    let liar = name(&hostile)?;
    let (mut one, mut two) = (arena.viewer()?, arena.viewer()?);
    both(&mut one, &mut two, liar).await?;
    for viewer in [&one, &two] {
        unharmed(viewer, &[liar])?;
        ensure!(!viewer.is_linked(liar), "the liar is linked with again");
        ensure!(viewer.stats().false_blocks == 1, "cut at the first: {:?}", viewer.stats());
        ensure!(viewer.seen.liars.iter().all(|l| l.1 == "sent a false block"), "{:?}", viewer.seen.liars);
    }
    let log = hostile.log();
    ensure!(log.cut() == log.victims(), "everybody it lied to has cut it: {log:?}");
    Ok(format!(
        "cut off by {} of {} at the first false block, after {:.2} s at most; 0 bytes played or passed on",
        log.cut(),
        log.victims(),
        longest(&log)
    ))
}

/// Half a block is none: it comes from elsewhere in time, and nothing of it is used.
pub async fn a_truncated_block() -> Result<String> {
    let arena = Arena::open("").await?;
    let hostile =
        arena.hostile(FalseBlocks::new(Wrong::Truncated, |key| stream::segment(key.number))).await?;
    let liar = name(&hostile)?;
    let mut viewer = arena.viewer()?;
    let lied_to = |_: &Viewer| hostile.log().lies() > 0;
    viewer.until("it takes half a block", lied_to).await?;
    viewer.plays(6).await?;
    unharmed(&viewer, &[liar])?;
    ensure!(viewer.stats().false_blocks == 0, "half a block was never taken for one");
    Ok(format!(
        "asked for {} blocks; each came from another in whole; 0 bytes of it played",
        hostile.log().lies()
    ))
}

/// One byte behind the end is one too many.
pub async fn an_endless_block() -> Result<String> {
    let arena = Arena::open("").await?;
    let hostile = arena.hostile(FalseBlocks::new(Wrong::Endless, |key| stream::segment(key.number))).await?;
    let liar = name(&hostile)?;
    let (mut one, mut two) = (arena.viewer()?, arena.viewer()?);
    both(&mut one, &mut two, liar).await?;
    for viewer in [&one, &two] {
        unharmed(viewer, &[liar])?;
        ensure!(!viewer.is_linked(liar), "the liar is linked with again");
    }
    let log = hostile.log();
    Ok(format!(
        "cut off by {} of {} in its first block, after {:.2} s at most",
        log.cut(),
        log.victims(),
        longest(&log)
    ))
}

async fn false_digest(arena: Arena, shown: Shown) -> Result<String> {
    let hostile = arena.hostile(FalseDigest(shown)).await?;
    let liar = name(&hostile)?;
    let (mut one, mut two) = (arena.viewer()?, arena.viewer()?);
    both(&mut one, &mut two, liar).await?;
    for viewer in [&one, &two] {
        unharmed(viewer, &[liar])?;
        ensure!(!viewer.is_linked(liar) && viewer.stats().false_blocks == 0, "{:?}", viewer.stats());
    }
    let why = one.seen.liars[0].1;
    let log = hostile.log();
    Ok(format!("cut off by {} of {} ({why}), after {:.2} s at most", log.cut(), log.victims(), longest(&log)))
}

/// The signature covers every hash.
pub async fn an_altered_digest() -> Result<String> {
    false_digest(Arena::open("").await?, Shown::Altered).await
}

/// The signature covers the segment's number.
pub async fn a_digest_of_another_segment() -> Result<String> {
    false_digest(Arena::open("").await?, Shown::OtherSegment).await
}

/// The signature covers the swarm: a digest that the same publisher has signed for another stream is none of ours.
pub async fn a_digest_of_another_stream() -> Result<String> {
    let arena = Arena::open("").await?;
    let other = arena.site.seed(&arena.stream.playlist(), "another stream", "seed").await?;
    let visit = Visit { content: "another stream".to_owned(), ..arena.visit()? };
    let heard = Arc::new(OnceLock::new());
    let _spy = arena.hostile_at(&visit, Listens(Arc::clone(&heard))).await?;
    // Somebody has to watch for the seed to publish.
    let mut viewer = Viewer::come(&visit, &arena.stream, true)?;
    viewer.until("a digest of the other stream is heard", |_| heard.get().is_some()).await?;
    let digest: SegmentDigest = heard.get().cloned().context("just heard")?;
    let fate = false_digest(arena, Shown::OtherSwarm(Box::new(digest))).await;
    other.stop().await;
    fate
}

/// Keeps the first digest that it hears.
struct Listens(Arc<OnceLock<SegmentDigest>>);

impl Attack for Listens {
    fn appeared(&mut self, _: &mut Hand<'_>, digest: &SegmentDigest) {
        let _ = self.0.set(digest.clone());
    }
}

async fn broken_promise(promise: Promise) -> Result<(u64, Viewer)> {
    // Where a seed brings everything at once nobody else is asked.
    let arena = Arena::open_with_publisher_alone().await?;
    let hostile = arena.hostile(Breaks(promise)).await?;
    let liar = name(&hostile)?;
    let mut viewer = arena.viewer_with_source()?;
    viewer.until("a promise is broken", |_| hostile.log().lies() > 0).await?;
    viewer.plays(8).await?;
    unharmed(&viewer, &[liar])?;
    let lies = hostile.log().lies();
    Ok((lies, viewer))
}

/// Who says no is not asked for the same again, and the block comes from elsewhere.
pub async fn false_haves() -> Result<String> {
    let (lies, viewer) = broken_promise(Promise::Haves).await?;
    let seen = &viewer.seen;
    Ok(format!(
        "asked {lies} times for nothing while {} segments were played, {} of them late",
        seen.played, seen.late
    ))
}

/// A block that doesn't come in its time is asked of another.
pub async fn a_stalling_uploader() -> Result<String> {
    let (lies, viewer) = broken_promise(Promise::Upload).await?;
    let seen = &viewer.seen;
    Ok(format!(
        "{lies} blocks were awaited in vain and came from elsewhere; {} segments played, {} of them late",
        seen.played, seen.late
    ))
}

/// A claim counts for a short while.
pub async fn false_claims() -> Result<String> {
    let (lies, viewer) = broken_promise(Promise::Claims).await?;
    let seen = &viewer.seen;
    Ok(format!("{lies} claims; {} segments played, {} of them late", seen.played, seen.late))
}

/// A viewer serves what its uplink and the site's limits allow, refuses the rest, and plays on (H6).
pub async fn a_flood_of_requests() -> Result<String> {
    const FLOOD: u32 = 40_000;
    let arena = Arena::open("").await?;
    let mut viewer = arena.viewer_with_source()?;
    viewer.plays(3).await?;
    let hostile = arena.hostile(Requests::new(400, FLOOD)).await?;
    let enough = |_: &Viewer| hostile.log().fates.values().any(|fate| fate.lies >= u64::from(FLOOD));
    viewer.until("it is flooded", enough).await?;
    viewer.plays(6).await?;
    unharmed(&viewer, &[name(&hostile)?])?;
    let me = viewer.seen.me;
    let log = hostile.log();
    let fate = me.and_then(|me| log.fates.get(&me)).cloned().unwrap_or_default();
    let stats = viewer.stats();
    // The ratio of upload to download binds whoever asks, however often.
    let taken = stats.source_bytes + stats.publisher_bytes + stats.peer_bytes + stats.seed_bytes;
    ensure!(stats.uploaded_bytes <= 2 * taken + (9 << 20), "more was given than the site allows: {stats:?}");
    Ok(format!(
        "{} requests of one viewer: {} refused, {} bytes given, {}; {} segments played meanwhile, {} late",
        fate.lies,
        fate.refusals,
        fate.given,
        if fate.cut.is_some() { "then cut off" } else { "the rest waits" },
        viewer.seen.played,
        viewer.seen.late
    ))
}
