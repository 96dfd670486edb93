//! From a Representation and the time to its playlist.

use std::ops::Range;
use std::time::{Duration, SystemTime};

use reqwest::Url;
use rillcast_protocol::dash::segment_key;
use rillcast_protocol::id::TrackId;

use super::template::Template;
use super::timeline::{self, Run, Said};
use super::{MAX_LIVE, Mpd, MpdError, Period, Representation, Segments};
use crate::playlist::{MAX_SEGMENTS, Playlist, Segment};

/// A segment is at most a day long, as in HLS.
const LONGEST_MS: u128 = 86_400_000;

pub(super) fn playlist(mpd: &Mpd, track: TrackId, id: &str, now: SystemTime) -> Result<Playlist, MpdError> {
    let now_ms = now.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_millis());
    let now_us = (now_ms * 1000).saturating_sub(u128::from(mpd.available_from_ms) * 1000);
    let now_us = mpd.is_live.then(|| u64::try_from(now_us).unwrap_or(u64::MAX));
    let places: Vec<_> = mpd
        .periods
        .iter()
        .filter_map(|period| {
            let representation = period.representations.iter().find(|r| *r.id == *id)?;
            Some((period, representation))
        })
        .collect();
    if places.is_empty() {
        return Err(MpdError::Unknown);
    }
    let list = List { mpd, track, now_us };
    let (mut chunks, mut count) = (Vec::with_capacity(places.len()), 0);
    if mpd.is_live {
        // From the newest on, for no more is shown.
        for (period, representation) in places.into_iter().rev() {
            chunks.push(list.of(period, representation)?);
            count += chunks.last().map_or(0, Vec::len);
            if count >= MAX_LIVE {
                break;
            }
        }
        chunks.reverse();
    } else {
        for (period, representation) in places {
            chunks.push(list.of(period, representation)?);
            count += chunks.last().map_or(0, Vec::len);
            if count > MAX_SEGMENTS {
                return Err(MpdError::TooLong);
            }
        }
    }
    let mut segments: Vec<Segment> = Vec::with_capacity(count);
    for segment in chunks.into_iter().flatten() {
        // What a Period shows of the one before it has a name already.
        if segments.last().is_none_or(|before| before.key < segment.key) {
            segments.push(segment);
        }
    }
    if mpd.is_live {
        segments.drain(..segments.len().saturating_sub(MAX_LIVE));
    }
    let target_ms = segments.iter().map(|segment| segment.duration_ms).max().unwrap_or(0).max(1);
    Ok(Playlist { target_ms, segments, ended: !mpd.is_live, ..Playlist::default() })
}

pub(super) fn until_next(mpd: &Mpd, id: &str, now: SystemTime) -> Option<Duration> {
    let period = mpd.periods.last().filter(|_| mpd.is_live)?;
    let representation = period.representations.iter().find(|r| *r.id == *id)?;
    let &Segments::Counted { length, .. } = &representation.segments else { return None };
    let now_us = u64::try_from(now.duration_since(SystemTime::UNIX_EPOCH).ok()?.as_micros()).ok()?;
    let begun_us = mpd.available_from_ms.checked_mul(1000)?.checked_add(period.start_us)?;
    let since_us = u128::from(now_us.saturating_sub(begun_us));
    let (length, scale) = (u128::from(length), u128::from(representation.timescale));
    let count = since_us * scale / 1_000_000 / length.max(1) + 1;
    let next_us = u128::from(begun_us) + (count * length * 1_000_000).div_ceil(scale.max(1));
    let left = u64::try_from(next_us.saturating_sub(u128::from(now_us))).ok()?;
    Some(Duration::from_micros(left))
}

struct List<'a> {
    mpd: &'a Mpd,
    track: TrackId,
    /// Since the presentation began, where it is live.
    now_us: Option<u64>,
}

impl List<'_> {
    fn of(&self, period: &Period, representation: &Representation) -> Result<Vec<Segment>, MpdError> {
        // In the timescale's units, since the Period began.
        let units = |us: u64| {
            let units = u128::from(us) * u128::from(representation.timescale) / 1_000_000;
            u64::try_from(units).unwrap_or(u64::MAX)
        };
        let now = self.now_us.map(|now| units(now.saturating_sub(period.start_us)));
        let length = period.end_us.map(|end| units(end.saturating_sub(period.start_us)));
        // A live Period's end may have been announced: until then it grows.
        let grows = now.is_some_and(|now| length.is_none_or(|length| now < length));
        let end = if grows { now } else { length };
        match &representation.segments {
            Segments::Indexed => Err(MpdError::SingleFile),
            Segments::Counted { template, first, last, length } => {
                let end = end.ok_or(MpdError::NoEnd)?;
                let count = if grows { end / length } else { end.div_ceil(*length) };
                let run = Run { start: 0, length: *length, count: upto(count, *first, *last) };
                let window = self.mpd.window_us.filter(|_| now.is_some());
                let passed = window.and_then(|window| now?.checked_sub(units(window))).unwrap_or(0) / length;
                self.name(period, representation, &[run], passed, 0, &Names::Template(template, *first))
            }
            Segments::Timed { template, first, last, said } => {
                let runs = self.runs(representation, said, end, grows)?;
                let count = upto(timeline::count(&runs), *first, *last);
                let names = Names::Template(template, *first);
                self.name_some(period, representation, &runs, count, &names)
            }
            Segments::Listed { urls, length: each, said } => {
                let runs = match (said, each) {
                    (Some(said), _) => self.runs(representation, said, end, grows)?,
                    (None, each) => {
                        let length = each.or(length.filter(|_| urls.len() == 1)).filter(|length| *length > 0);
                        let count = urls.len() as u64;
                        vec![Run { start: 0, length: length.ok_or(MpdError::Attribute("duration"))?, count }]
                    }
                };
                let count = timeline::count(&runs).min(urls.len() as u64);
                self.name_some(period, representation, &runs, count, &Names::List(urls))
            }
        }
    }

    /// The runs of a timeline; `end` is since the Period began.
    fn runs(
        &self,
        representation: &Representation,
        said: &[Said],
        end: Option<u64>,
        grows: bool,
    ) -> Result<Vec<Run>, MpdError> {
        let end = end.map(|end| end.saturating_add(representation.offset));
        timeline::runs(said, end, grows)
    }

    /// All but what a live presentation has too much.
    fn name_some(
        &self,
        period: &Period,
        representation: &Representation,
        runs: &[Run],
        count: u64,
        names: &Names<'_>,
    ) -> Result<Vec<Segment>, MpdError> {
        let over = timeline::count(runs) - count;
        self.name(period, representation, runs, 0, over, names)
    }

    /// The segments of runs, without so many at the beginning and at the end.
    fn name(
        &self,
        period: &Period,
        representation: &Representation,
        runs: &[Run],
        passed: u64,
        over: u64,
        names: &Names<'_>,
    ) -> Result<Vec<Segment>, MpdError> {
        let count = timeline::count(runs) - over;
        let passed =
            if self.mpd.is_live { passed.max(count.saturating_sub(MAX_LIVE as u64)) } else { passed };
        let left = count.saturating_sub(passed);
        if left > MAX_SEGMENTS as u64 {
            return Err(MpdError::TooLong);
        }
        let scale = representation.timescale as f64;
        let longest_s = self.longest_s(representation, runs);
        // Counted segments count from the Period's start, whatever their media's own times.
        let offset = match representation.segments {
            Segments::Timed { .. } => representation.offset,
            Segments::Listed { ref said, .. } if said.is_some() => representation.offset,
            _ => 0,
        };
        let (period_s, mut text) = (period.start_us as f64 / 1e6, String::new());
        let mut segments = Vec::with_capacity(left as usize);
        for (index, time, length) in timeline::from(runs, passed).take(left as usize) {
            let start = i128::from(time) - i128::from(offset);
            // Exact until the division, so that it is the same as where each step is rounded, but for the last bits.
            let units =
                i128::from(period.start_us) * i128::from(representation.timescale) + start * 1_000_000;
            let start_s = units as f64 / (scale * 1e6);
            let key = segment_key(self.track, start_s, period_s, longest_s);
            let duration_ms = u128::from(length) * 1000 / u128::from(representation.timescale);
            let duration_ms = duration_ms.min(LONGEST_MS) as u32;
            let (url, range) = names.at(&representation.base, index, time, &mut text)?;
            let start_ms = Some((start_s * 1000.0) as i64);
            segments.push(Segment { key, url, range, duration_ms, start_ms });
        }
        Ok(segments)
    }

    fn longest_s(&self, representation: &Representation, runs: &[Run]) -> f64 {
        let own = match &representation.segments {
            Segments::Timed { said, .. } => said.iter().map(Said::length).max(),
            _ => runs.iter().map(|run| run.length).max(),
        };
        self.mpd.longest_us.map_or_else(
            || own.unwrap_or(1) as f64 / representation.timescale as f64,
            |longest| longest as f64 / 1e6,
        )
    }
}

/// So many segments, or as many as there are up to the last number.
fn upto(count: u64, first: u64, last: Option<u64>) -> u64 {
    last.map_or(count, |last| count.min(last.saturating_add(1).saturating_sub(first)))
}

enum Names<'a> {
    Template(&'a Template, u64),
    List(&'a [(Option<String>, Option<Range<u64>>)]),
}

impl Names<'_> {
    fn at(
        &self,
        base: &Url,
        index: u64,
        time: u64,
        text: &mut String,
    ) -> Result<(Url, Option<Range<u64>>), MpdError> {
        match self {
            Self::Template(template, first) => {
                let number = first.checked_add(index).ok_or(MpdError::Attribute("startNumber"))?;
                template.fill(number, time, text);
                Ok((base.join(text).map_err(|_| MpdError::Url)?, None))
            }
            Self::List(urls) => {
                let listed = usize::try_from(index).ok().and_then(|index| urls.get(index));
                let (url, range) = listed.ok_or(MpdError::Attribute("media"))?;
                let url = url.as_deref().map_or_else(|| Ok(base.clone()), |url| base.join(url));
                Ok((url.map_err(|_| MpdError::Url)?, range.clone()))
            }
        }
    }
}
