//! Segment timelines (ISO/IEC 23009-1, 5.3.9.6): runs of segments that follow each other, kept as runs however long they are.

use roxmltree::Node;

use super::MpdError;
use super::xml::{children, number};

/// Segments of one length behind each other, in the timeline's units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) start: u64,
    pub(super) length: u64,
    pub(super) count: u64,
}

impl Run {
    fn end(&self) -> Option<u64> {
        self.start.checked_add(self.length.checked_mul(self.count)?)
    }
}

/// An `S` element, before it is known where it ends.
#[derive(Clone, Copy, Debug)]
pub(super) struct Said {
    start: Option<u64>,
    length: u64,
    repeats: i64,
}

impl Said {
    /// Without an end of its own.
    pub(super) fn goes_on(&self) -> bool {
        self.repeats < 0
    }

    pub(super) fn length(&self) -> u64 {
        self.length
    }
}

/// What a `SegmentTimeline` says.
pub(super) fn said(timeline: Node<'_, '_>) -> Result<Vec<Said>, MpdError> {
    let read = |s: Node<'_, '_>| {
        let length = number(s, "d")?.filter(|length| *length > 0).ok_or(MpdError::Attribute("d"))?;
        Ok(Said { start: number(s, "t")?, length, repeats: number(s, "r")?.unwrap_or(0) })
    };
    children(timeline, "S").map(read).collect()
}

/// The runs of it. A run that goes on to its end (`r="-1"`) ends where the next one begins, or at `end`: there its last segment may be shorter,
/// unless the end is only how far time has come (`grows`), for then the segment isn't there yet.
pub(super) fn runs(said: &[Said], end: Option<u64>, grows: bool) -> Result<Vec<Run>, MpdError> {
    let wrong = || MpdError::Attribute("t");
    let mut runs: Vec<Run> = Vec::with_capacity(said.len());
    for (at, s) in said.iter().enumerate() {
        let before = runs.last().map_or(Some(0), Run::end).ok_or_else(wrong)?;
        let start = s.start.unwrap_or(before);
        let count = match u64::try_from(s.repeats) {
            Ok(repeats) => repeats.checked_add(1).ok_or(MpdError::Attribute("r"))?,
            Err(_) => {
                let next = said.get(at + 1).map(|next| next.start.ok_or_else(wrong)).transpose()?;
                let (until, grows) = (next.or(end).ok_or(MpdError::NoEnd)?, grows && next.is_none());
                let left = until.saturating_sub(start);
                if grows { left / s.length } else { left.div_ceil(s.length) }
            }
        };
        let run = Run { start, length: s.length, count };
        run.end().ok_or_else(wrong)?;
        if run.count > 0 {
            runs.push(run);
        }
    }
    Ok(runs)
}

/// How many segments runs hold.
pub(super) fn count(runs: &[Run]) -> u64 {
    runs.iter().fold(0, |sum, run| sum.saturating_add(run.count))
}

/// Index, start and length of the segments from an index on.
pub(super) fn from(runs: &[Run], skip: u64) -> impl Iterator<Item = (u64, u64, u64)> + '_ {
    let mut first = 0u64;
    runs.iter().flat_map(move |run| {
        let begins = first;
        first = first.saturating_add(run.count);
        let passed = skip.saturating_sub(begins).min(run.count);
        (passed..run.count).map(move |n| {
            (begins.saturating_add(n), run.start.saturating_add(n.saturating_mul(run.length)), run.length)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, end: Option<u64>, grows: bool) -> Result<Vec<Run>, MpdError> {
        let text = format!("<T>{text}</T>");
        let document = roxmltree::Document::parse(&text).expect("XML");
        runs(&said(document.root_element())?, end, grows)
    }

    fn starts(text: &str, end: Option<u64>, grows: bool) -> Vec<(u64, u64)> {
        let runs = read(text, end, grows).expect("a timeline");
        from(&runs, 0).map(|(_, start, length)| (start, length)).collect()
    }

    // R2
    #[test]
    fn runs_follow_each_other_and_may_leave_gaps() {
        assert_eq!(
            starts("<S t='5' d='2' r='1'/><S d='3'/><S t='20' d='1'/>", None, false),
            [(5, 2), (7, 2), (9, 3), (20, 1)]
        );
        assert_eq!(starts("<S d='2'/>", None, false), [(0, 2)]);
    }

    #[test]
    fn a_run_without_an_end_goes_on_to_the_next_or_to_the_end() {
        assert_eq!(
            starts("<S t='0' d='2' r='-1'/><S t='5' d='9'/>", None, false),
            [(0, 2), (2, 2), (4, 2), (5, 9)]
        );
        assert_eq!(starts("<S t='0' d='2' r='-1'/>", Some(5), false).len(), 3, "the last one is shorter");
        assert_eq!(starts("<S t='0' d='2' r='-1'/>", Some(5), true).len(), 2, "it isn't there yet");
        assert_eq!(starts("<S t='9' d='2' r='-1'/>", Some(5), true), []);
        assert_eq!(read("<S t='0' d='2' r='-1'/>", None, false), Err(MpdError::NoEnd));
        assert_eq!(read("<S t='0' d='2' r='-1'/><S d='2'/>", None, false), Err(MpdError::Attribute("t")));
    }

    // H3
    #[test]
    fn millions_of_repeats_cost_nothing_and_times_do_not_overflow() {
        let runs = read("<S t='0' d='2' r='9000000000'/><S d='4' r='1'/>", None, false).expect("a timeline");
        assert_eq!(count(&runs), 9_000_000_003);
        let last: Vec<_> = from(&runs, 9_000_000_000).collect();
        assert_eq!(
            last,
            [
                (9_000_000_000, 18_000_000_000, 2),
                (9_000_000_001, 18_000_000_002, 4),
                (9_000_000_002, 18_000_000_006, 4)
            ]
        );
        for (text, wrong) in [
            ("<S t='18446744073709551615' d='1'/>", "t"),
            ("<S t='0' d='3' r='9223372036854775807'/>", "t"),
            ("<S t='18446744073709551616' d='1'/>", "t"),
            ("<S t='0' d='0'/>", "d"),
            ("<S t='0'/>", "d"),
            ("<S t='-1' d='1'/>", "t"),
            ("<S t='0' d='1' r='x'/>", "r"),
        ] {
            assert_eq!(read(text, None, false), Err(MpdError::Attribute(wrong)), "{text}");
        }
    }
}
