//! Fragmented MP4 (ISO/IEC 14496-12): shifting a fragment in time.

use anyhow::{Context, Result, ensure};

/// Time scale of each track, in ticks per second.
pub type TimeScales = Vec<(u32, u32)>;

/// Reads the tracks' time scales out of an initialisation segment.
pub fn time_scales(init: &[u8]) -> Result<TimeScales> {
    let moov =
        boxes(init).find(|found| &found.kind == b"moov").context("the init segment has no moov box")?;
    let mut scales = TimeScales::new();
    for trak in boxes(&init[moov.body.clone()]).filter(|found| &found.kind == b"trak") {
        let trak = &init[moov.body.start + trak.body.start..moov.body.start + trak.body.end];
        let tkhd = child(trak, b"tkhd").context("a track has no tkhd box")?;
        let mdhd = child(child(trak, b"mdia").context("a track has no mdia box")?, b"mdhd")
            .context("a track has no mdhd box")?;
        // Version 1 has 64-bit creation and modification times before the field.
        let id = field(tkhd, if tkhd.first() == Some(&1) { 20 } else { 12 })?;
        let scale = field(mdhd, if mdhd.first() == Some(&1) { 20 } else { 12 })?;
        scales.push((id, scale));
    }
    ensure!(!scales.is_empty(), "the init segment has no tracks");
    Ok(scales)
}

/// Shifts a fragment by `seconds` and gives it the sequence number `number`.
pub fn rewrite(segment: &mut [u8], seconds: i64, number: u32, scales: &TimeScales) -> Result<()> {
    let top: Vec<Found> = boxes(segment).collect();
    ensure!(top.iter().any(|found| &found.kind == b"moof"), "the segment holds no movie fragment");
    for found in top {
        let body = &mut segment[found.body];
        match &found.kind {
            b"moof" => rewrite_moof(body, seconds, number, scales)?,
            b"sidx" => rewrite_sidx(body, seconds, scales)?,
            _ => {}
        }
    }
    Ok(())
}

/// Decode time of the first sample of each track, in ticks.
pub fn decode_times(segment: &[u8]) -> Vec<(u32, u64)> {
    let mut times = Vec::new();
    for moof in boxes(segment).filter(|found| &found.kind == b"moof") {
        let moof = &segment[moof.body];
        for traf in boxes(moof).filter(|found| &found.kind == b"traf") {
            let traf = &moof[traf.body];
            let id = child(traf, b"tfhd").and_then(|body| field(body, 4).ok());
            let time = child(traf, b"tfdt").and_then(|body| read_time(body, 4).ok());
            if let (Some(id), Some(time)) = (id, time)
                && !times.iter().any(|&(known, _)| known == id)
            {
                times.push((id, time));
            }
        }
    }
    times
}

fn rewrite_moof(moof: &mut [u8], seconds: i64, number: u32, scales: &TimeScales) -> Result<()> {
    let children: Vec<Found> = boxes(moof).collect();
    for found in children {
        let body = &mut moof[found.body];
        match &found.kind {
            b"mfhd" => {
                body.get_mut(4..8).context("mfhd is too short")?.copy_from_slice(&number.to_be_bytes())
            }
            b"traf" => {
                let id = field(child(body, b"tfhd").context("a fragment has no tfhd box")?, 4)?;
                let tfdt = boxes(body).find(|found| &found.kind == b"tfdt");
                let tfdt = tfdt.context("a fragment has no tfdt box")?;
                shift_time(&mut body[tfdt.body], 4, seconds * scale_of(scales, id)?)?;
            }
            _ => {}
        }
    }
    Ok(())
}

fn rewrite_sidx(sidx: &mut [u8], seconds: i64, scales: &TimeScales) -> Result<()> {
    let id = field(sidx, 4)?;
    let scale = i64::from(field(sidx, 8)?);
    scale_of(scales, id)?;
    shift_time(sidx, 12, seconds * scale)
}

fn scale_of(scales: &TimeScales, track: u32) -> Result<i64> {
    let found = scales.iter().find(|&&(id, _)| id == track);
    found
        .map(|&(_, scale)| i64::from(scale))
        .with_context(|| format!("track {track} is not in the init segment"))
}

/// A time whose width depends on the box's version (its first byte).
fn read_time(body: &[u8], at: usize) -> Result<u64> {
    if body.first() == Some(&1) {
        Ok(u64::from(field(body, at)?) << 32 | u64::from(field(body, at + 4)?))
    } else {
        Ok(u64::from(field(body, at)?))
    }
}

fn shift_time(body: &mut [u8], at: usize, ticks: i64) -> Result<()> {
    let time = read_time(body, at)?
        .checked_add_signed(ticks)
        .context("a fragment would move before the beginning of time")?;
    if body.first() == Some(&1) {
        body[at..at + 8].copy_from_slice(&time.to_be_bytes());
    } else {
        let time = u32::try_from(time).context("a 32-bit decode time overflowed: prepare the media again")?;
        body[at..at + 4].copy_from_slice(&time.to_be_bytes());
    }
    Ok(())
}

fn field(body: &[u8], at: usize) -> Result<u32> {
    let bytes = body.get(at..at + 4).context("a box is too short")?;
    Ok(u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
}

fn child<'a>(body: &'a [u8], kind: &[u8; 4]) -> Option<&'a [u8]> {
    boxes(body).find(|found| &found.kind == kind).map(|found| &body[found.body])
}

struct Found {
    kind: [u8; 4],
    body: std::ops::Range<usize>,
}

/// The boxes that follow each other in `data`; ends at the first that doesn't fit.
fn boxes(data: &[u8]) -> impl Iterator<Item = Found> + '_ {
    let mut at = 0;
    std::iter::from_fn(move || {
        let head = data.get(at..at + 8)?;
        let size = u32::from_be_bytes([head[0], head[1], head[2], head[3]]) as usize;
        let end = at.checked_add(size).filter(|&end| size >= 8 && end <= data.len())?;
        let found = Found { kind: [head[4], head[5], head[6], head[7]], body: at + 8..end };
        at = end;
        Some(found)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boxed(kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
        [&(body.len() as u32 + 8).to_be_bytes()[..], kind, body].concat()
    }

    fn fragment(time: u64) -> Vec<u8> {
        let tfhd = boxed(b"tfhd", &[0, 0, 0, 0, 0, 0, 0, 2]);
        let tfdt = boxed(b"tfdt", &[&[1, 0, 0, 0][..], &time.to_be_bytes()].concat());
        let mfhd = boxed(b"mfhd", &[0; 8]);
        let moof = boxed(b"moof", &[mfhd, boxed(b"traf", &[tfhd, tfdt].concat())].concat());
        [moof, boxed(b"mdat", b"pictures")].concat()
    }

    #[test]
    fn a_fragment_moves_by_seconds_of_its_own_time_scale() {
        let mut segment = fragment(1000);
        rewrite(&mut segment, 3, 77, &vec![(1, 25), (2, 48_000)]).unwrap();
        assert_eq!(decode_times(&segment), vec![(2, 145_000)]);
        assert!(segment.windows(4).any(|four| four == 77u32.to_be_bytes()));
    }

    #[test]
    fn a_fragment_of_an_unknown_track_or_before_zero_is_refused() {
        assert!(rewrite(&mut fragment(0), 1, 0, &vec![(1, 25)]).is_err());
        assert!(rewrite(&mut fragment(0), -1, 0, &vec![(2, 25)]).is_err());
        assert!(rewrite(&mut boxed(b"mdat", b""), 1, 0, &vec![(2, 25)]).is_err());
    }
}
