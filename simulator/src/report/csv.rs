//! A run's numbers for other programs.

use std::fmt::Write;

use crate::facts::Facts;

/// Savings are told over so many seconds: segments come in one piece, so a second by itself says little.
pub(super) const WINDOW: usize = 10;

/// A line for each second.
pub(super) fn seconds(facts: &Facts) -> String {
    let mut text = "second,viewers,source_bps,peers_bps,consumed_bps,savings_10s\n".to_owned();
    for (n, second) in facts.seconds.iter().enumerate() {
        let bps = |bytes: u64| bytes * 8;
        let savings = savings(facts, n).map(|s| format!("{s:.4}")).unwrap_or_default();
        let (source, peers, consumed) = (bps(second.source), bps(second.peers), bps(second.consumed));
        let _ = writeln!(text, "{n},{},{source},{peers},{consumed},{savings}", second.viewers);
    }
    text
}

/// Savings of the seconds up to this one; none while nothing is played.
pub(super) fn savings(facts: &Facts, second: usize) -> Option<f64> {
    let window = facts.seconds.get((second + 1).saturating_sub(WINDOW)..=second)?;
    let consumed: u64 = window.iter().map(|s| s.consumed).sum();
    let source: u64 = window.iter().map(|s| s.source).sum();
    (consumed > 0).then(|| 1.0 - source as f64 / consumed as f64)
}

/// A line for each visit.
pub(super) fn viewers(facts: &Facts) -> String {
    let mut text =
        "viewer,joined_s,stayed_s,up_bps,down_bps,start_ms,stalls,stall_ms,buffering_ms,latency_s,\
                    bitrate_bps,last_bps,switches,consumed,given,from_peers,from_seeds,from_publisher,\
                    from_source,rescue,hops,withholds\n"
            .to_owned();
    for (n, v) in facts.visits.iter().enumerate() {
        let maybe = |value: Option<f64>| value.map(|x| format!("{x:.3}")).unwrap_or_default();
        let whole = |value: Option<f64>| value.map(|x| format!("{x:.0}")).unwrap_or_default();
        let last = v.levels.last().and_then(|level| facts.ladder_bps.get(usize::from(*level))).copied();
        let switches = v.levels.windows(2).filter(|pair| pair[0] != pair[1]).count();
        let t = &v.taken;
        let fields = [
            n.to_string(),
            format!("{:.3}", v.joined_s),
            format!("{:.3}", v.left_s - v.joined_s),
            format!("{:.0}", v.up_bps),
            format!("{:.0}", v.down_bps),
            whole(v.start_ms),
            v.stalls.to_string(),
            format!("{:.0}", v.stall_ms),
            format!("{:.0}", v.buffering_ms()),
            maybe(v.latency_s),
            whole(v.bitrate(&facts.ladder_bps, v.levels.len())),
            whole(last),
            switches.to_string(),
            v.consumed.to_string(),
            v.given.to_string(),
            t.peers.to_string(),
            t.seeds.to_string(),
            t.publisher.to_string(),
            (t.first + t.rescue + t.whole + t.election).to_string(),
            t.rescue.to_string(),
            maybe(v.hops),
            v.withholds.to_string(),
        ];
        text += &fields.join(",");
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::{Second, Visit};

    #[test]
    fn every_line_has_a_value_for_every_name() {
        let second = |consumed, source| Second { viewers: 2, source, peers: 30, consumed };
        let visit = Visit { levels: vec![0, 1, 1], left_s: 9.5, hops: Some(1.5), ..Visit::default() };
        let facts = Facts {
            ladder_bps: vec![100.0, 200.0],
            seconds: vec![second(0, 5), second(100, 5)],
            visits: vec![visit, Visit::default()],
            ..Facts::default()
        };
        assert_eq!(
            seconds(&facts),
            "second,viewers,source_bps,peers_bps,consumed_bps,savings_10s\n0,2,40,240,0,\n1,2,40,240,800,0.9000\n"
        );
        let viewers = viewers(&facts);
        let counts: Vec<usize> = viewers.lines().map(|line| line.split(',').count()).collect();
        assert_eq!(counts, [22, 22, 22]);
        let line = viewers.lines().nth(1).expect("the first visit");
        assert!(line.starts_with("0,0.000,9.500,0,0,,0,0,9500,,167,200,1,0,"), "{line}");
        assert!(line.ends_with(",1.500,false"), "{line}");
    }
}
