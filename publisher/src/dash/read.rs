//! From an MPD's elements to what they say: what Periods, AdaptationSets and Representations inherit from those around them.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use reqwest::Url;
use roxmltree::{Node, NodeId};

use super::template::Template;
use super::timeline::{Said, said};
use super::xml::{child, children, content, document, number, span};
use super::{MAX_ID, MAX_PERIODS, Mpd, MpdError, Period, Representation, Segments};
use crate::date::date;
use crate::playlist::{MAX_RENDITIONS, MAX_SEGMENTS, RenditionKind};

pub(super) fn mpd(base: &Url, text: &str) -> Result<Mpd, MpdError> {
    let document = document(text)?;
    let root = document.root_element();
    if root.tag_name().name() != "MPD" {
        return Err(MpdError::NotMpd);
    }
    let is_live = root.attribute("type") == Some("dynamic");
    let from = root.attribute("availabilityStartTime");
    let available_from_ms = match from.filter(|_| is_live) {
        Some(text) => date(text).ok_or(MpdError::Attribute("availabilityStartTime"))?,
        None if is_live => return Err(MpdError::Attribute("availabilityStartTime")),
        None => 0,
    };
    let location = child(root, "Location").and_then(content);
    let moved = location.map(|location| base.join(location).map_err(|_| MpdError::Url)).transpose()?;
    let mut reader = Reader { timelines: HashMap::new() };
    Ok(Mpd {
        is_live,
        available_from_ms,
        window_us: span(root, "timeShiftBufferDepth")?,
        update_us: span(root, "minimumUpdatePeriod")?,
        longest_us: span(root, "maxSegmentDuration")?.filter(|longest| *longest > 0),
        periods: reader.periods(root, &under(base, root)?)?,
        moved,
    })
}

struct Reader {
    /// What timelines say that several Representations share.
    timelines: HashMap<NodeId, Arc<[Said]>>,
}

impl Reader {
    fn periods(&mut self, root: Node<'_, '_>, base: &Url) -> Result<Vec<Period>, MpdError> {
        let total = span(root, "mediaPresentationDuration")?;
        let nodes: Vec<_> = children(root, "Period").take(MAX_PERIODS + 1).collect();
        if nodes.len() > MAX_PERIODS {
            return Err(MpdError::TooManyPeriods);
        }
        let mut periods: Vec<Period> = Vec::with_capacity(nodes.len());
        for node in nodes {
            let said = span(node, "start")?;
            let before = periods.last_mut();
            // One that is announced without its start isn't part of it yet.
            let Some(start_us) = said.or_else(|| before.as_ref().map_or(Some(0), |before| before.end_us))
            else {
                continue;
            };
            if let Some(before) = before
                && said.is_some()
            {
                before.end_us = Some(before.end_us.map_or(start_us, |end| end.min(start_us)));
            }
            let end_us = span(node, "duration")?.map(|length| start_us.saturating_add(length));
            let representations = self.representations(node, base)?;
            periods.push(Period { start_us, end_us, representations });
        }
        if let Some(last) = periods.last_mut() {
            last.end_us = last.end_us.or(total);
        }
        Ok(periods)
    }

    fn representations(&mut self, period: Node<'_, '_>, base: &Url) -> Result<Vec<Representation>, MpdError> {
        let mut found: Vec<Representation> = Vec::new();
        let base = under(base, period)?;
        for set in children(period, "AdaptationSet") {
            let base = under(&base, set)?;
            for node in children(set, "Representation") {
                let id = node.attribute("id").filter(|id| (1..=MAX_ID).contains(&id.len()));
                // Without a name it can't be told from others.
                let Some(id) = id.filter(|id| found.iter().all(|r| *r.id != **id)) else { continue };
                if found.len() == MAX_RENDITIONS {
                    return Ok(found);
                }
                let around = [node, set, period];
                found.push(Representation {
                    id: id.into(),
                    kind: kind(node, set),
                    base: under(&base, node)?,
                    timescale: 1,
                    offset: 0,
                    segments: Segments::Indexed,
                });
                if let Some(representation) = found.last_mut() {
                    self.segments(representation, node, around)?;
                }
            }
        }
        Ok(found)
    }

    fn segments(
        &mut self,
        representation: &mut Representation,
        node: Node<'_, '_>,
        around: [Node<'_, '_>; 3],
    ) -> Result<(), MpdError> {
        // The one nearest by says how segments are named, and the same of those around it what it leaves out.
        let kinds = ["SegmentTemplate", "SegmentList", "SegmentBase"];
        let nearest =
            around.iter().find_map(|level| kinds.into_iter().find(|kind| child(*level, kind).is_some()));
        let Some(nearest @ ("SegmentTemplate" | "SegmentList")) = nearest else { return Ok(()) };
        let levels: Vec<_> = around.iter().filter_map(|level| child(*level, nearest)).collect();
        representation.timescale = first(&levels, "timescale")?.unwrap_or(1);
        if representation.timescale == 0 {
            return Err(MpdError::Attribute("timescale"));
        }
        representation.offset = first(&levels, "presentationTimeOffset")?.unwrap_or(0);
        let length = first::<u64>(&levels, "duration")?;
        if length == Some(0) {
            return Err(MpdError::Attribute("duration"));
        }
        let timeline = levels.iter().find_map(|level| child(*level, "SegmentTimeline"));
        let said = timeline.map(|timeline| self.timeline(timeline)).transpose()?;
        if nearest == "SegmentList" {
            let urls = levels.iter().find(|level| child(**level, "SegmentURL").is_some());
            let urls = urls.map(|list| listed(*list)).transpose()?.unwrap_or_default();
            representation.segments = Segments::Listed { urls, length, said };
            return Ok(());
        }
        let media = levels.iter().find_map(|level| level.attribute("media"));
        let bandwidth = number(node, "bandwidth")?.unwrap_or(0);
        let template =
            Template::new(media.ok_or(MpdError::Attribute("media"))?, &representation.id, bandwidth)?;
        let (number, last) = (first(&levels, "startNumber")?.unwrap_or(1), first(&levels, "endNumber")?);
        representation.segments = match (said, length) {
            (Some(said), _) => Segments::Timed { template, first: number, last, said },
            (None, Some(length)) => Segments::Counted { template, first: number, last, length },
            (None, None) => return Err(MpdError::Attribute("duration")),
        };
        Ok(())
    }

    fn timeline(&mut self, node: Node<'_, '_>) -> Result<Arc<[Said]>, MpdError> {
        if let Some(known) = self.timelines.get(&node.id()) {
            return Ok(Arc::clone(known));
        }
        let read: Arc<[Said]> = said(node)?.into();
        self.timelines.insert(node.id(), Arc::clone(&read));
        Ok(read)
    }
}

/// The base that holds inside of an element.
pub(super) fn under(base: &Url, node: Node<'_, '_>) -> Result<Url, MpdError> {
    let own = child(node, "BaseURL").and_then(content);
    own.map_or_else(|| Ok(base.clone()), |own| base.join(own).map_err(|_| MpdError::Url))
}

fn first<T: std::str::FromStr>(levels: &[Node<'_, '_>], name: &'static str) -> Result<Option<T>, MpdError> {
    levels.iter().find_map(|level| number(*level, name).transpose()).transpose()
}

type Listed = (Option<String>, Option<Range<u64>>);

fn listed(list: Node<'_, '_>) -> Result<Vec<Listed>, MpdError> {
    let nodes: Vec<_> = children(list, "SegmentURL").take(MAX_SEGMENTS + 1).collect();
    if nodes.len() > MAX_SEGMENTS {
        return Err(MpdError::TooLong);
    }
    let read = |node: &Node<'_, '_>| {
        let range =
            node.attribute("mediaRange").map(|text| range(text).ok_or(MpdError::Attribute("mediaRange")));
        Ok((node.attribute("media").map(str::to_owned), range.transpose()?))
    };
    nodes.iter().map(read).collect()
}

/// `first-last` in bytes.
fn range(text: &str) -> Option<Range<u64>> {
    let (start, last) = text.trim().split_once('-')?;
    let (start, end) = (start.parse().ok()?, last.parse::<u64>().ok()?.checked_add(1)?);
    (start < end).then_some(start..end)
}

/// `@contentType`, or else what the media's type says; what neither says is taken for all media in one.
fn kind(representation: Node<'_, '_>, set: Node<'_, '_>) -> RenditionKind {
    let said = |name| representation.attribute(name).or_else(|| set.attribute(name));
    let codecs = said("codecs").unwrap_or_default();
    let is_text = ["stpp", "wvtt"].iter().any(|text| codecs.starts_with(text));
    let of = said("contentType").or_else(|| said("mimeType")?.split('/').next());
    match of {
        _ if is_text => RenditionKind::Text,
        Some("audio") => RenditionKind::Audio,
        Some("text" | "image" | "application") => RenditionKind::Text,
        _ => RenditionKind::Main,
    }
}
