//! All that was found, and what it is judged by.

use serde::Serialize;

use super::crowd::{Care, Crowd, Load};
use super::lossy::Lossy;
use super::transfers::{Pair, Transfer};
use crate::bench::median::median;

/// A seed gives at least so much of what bare links give...
const RATE: f64 = 0.9;
/// ...for at most so much more processor a byte...
const CPU: f64 = 1.1;
/// ...and holds at most so much memory for each peer, in MiB.
const RSS: f64 = 2.0;
/// A transfer may freeze for so much longer than between two Chromiums, in ms.
const FREEZE: f64 = 300.0;

/// Everything; what wasn't done is empty.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Findings {
    pub(crate) crowd: Option<Crowd>,
    pub(crate) transfers: Vec<Transfer>,
    pub(crate) lossy: Option<Lossy>,
}

/// What is required, and whether it holds.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Judged {
    pub(crate) what: String,
    pub(crate) measured: String,
    pub(crate) holds: bool,
}

/// All transfers of one kind over links of one length.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Leg {
    pub(crate) pair: Pair,
    pub(crate) rtt_ms: u64,
    pub(crate) transfers: usize,
    pub(crate) hung: usize,
    /// The median.
    pub(crate) bytes_per_s: f64,
    /// The longest of all.
    pub(crate) freeze_ms: f64,
}

impl Crowd {
    /// Median of a figure of the seed's, and of the bare links'.
    pub(crate) fn medians(&self, of: impl Fn(&Load) -> f64) -> [f64; 2] {
        [&self.seed, &self.raw].map(|runs| median(runs.iter().map(&of)).unwrap_or(0.0))
    }

    fn judged(&self, judged: &mut Vec<Judged>) {
        let mut require =
            |what: String, measured: String, holds| judged.push(Judged { what, measured, holds });
        let [seed, raw] = self.medians(|load| load.bytes_per_s);
        require(
            format!("a seed gives at least {RATE} of what bare links give"),
            format!("{:.2} ({:.1} and {:.1} MB/s)", seed / raw.max(1.0), seed / 1e6, raw / 1e6),
            seed >= RATE * raw,
        );
        let [seed, raw] = self.medians(|load| load.cpu_ms_per_mb);
        require(
            format!("a byte costs it at most {CPU} of the processor time"),
            format!("{:.2} ({seed:.1} and {raw:.1} ms/MB)", seed / raw.max(1e-9)),
            seed <= CPU * raw,
        );
        let most = self.seed.iter().map(|load| load.rss_mib_per_peer).fold(0.0, f64::max);
        require(format!("a peer costs it at most {RSS} MiB"), format!("{most:.2} MiB"), most <= RSS);
        let once = |care: &Care| (care.fewest_fetches, care.most_fetches) == (1, 1);
        let fetches = self.care.iter().map(|care| care.most_fetches).max().unwrap_or(0);
        require(
            "each segment is fetched from the origin once".to_owned(),
            format!("{fetches} times at most"),
            self.care.iter().all(once),
        );
    }
}

impl Findings {
    /// Transfers of each kind, by the length of the link.
    pub(crate) fn legs(&self) -> Vec<Leg> {
        let mut lengths: Vec<u64> = self.transfers.iter().map(|transfer| transfer.rtt_ms).collect();
        lengths.sort_unstable();
        lengths.dedup();
        let leg = |rtt_ms: u64, pair: Pair| {
            let of = || self.transfers.iter().filter(move |t| (t.pair, t.rtt_ms) == (pair, rtt_ms));
            Leg {
                pair,
                rtt_ms,
                transfers: of().count(),
                hung: of().filter(|t| t.hung).count(),
                bytes_per_s: median(of().map(|t| t.bytes_per_s)).unwrap_or(0.0),
                freeze_ms: of().map(|t| t.freeze_ms).fold(0.0, f64::max),
            }
        };
        lengths.iter().flat_map(|rtt_ms| Pair::ALL.map(|pair| leg(*rtt_ms, pair))).collect()
    }

    /// What is required of what was done.
    pub(crate) fn judged(&self) -> Vec<Judged> {
        let mut judged = Vec::new();
        if let Some(crowd) = &self.crowd {
            crowd.judged(&mut judged);
        }
        for legs in self.legs().chunks(Pair::ALL.len()) {
            let Some((browsers, seeds)) = legs.split_first().filter(|(first, _)| first.transfers > 0) else {
                continue;
            };
            for leg in seeds.iter().filter(|leg| leg.transfers > 0) {
                let share = leg.bytes_per_s / browsers.bytes_per_s.max(1.0);
                let (late, rtt_ms, pair) = (leg.freeze_ms - browsers.freeze_ms, leg.rtt_ms, leg.pair.words());
                judged.push(Judged {
                    what: format!(
                        "{pair}, {rtt_ms} ms: none hangs, none freezes {FREEZE} ms longer, {RATE} of the rate"
                    ),
                    measured: format!("{} hang, {late:+.0} ms, {share:.2}", leg.hung),
                    holds: leg.hung == 0 && late <= FREEZE && share >= RATE,
                });
            }
        }
        if let Some(lossy) = &self.lossy {
            judged.push(Judged {
                what: format!("{} browsers play from one seed without a stall", lossy.viewers),
                measured: format!("{} stalls, {:.0} ms", lossy.stalls, lossy.stall_ms),
                holds: lossy.stalls == 0,
            });
        }
        judged
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transfers_are_judged_by_those_between_browsers_over_the_same_link() {
        let transfer = |pair, rtt_ms, bytes_per_s, freeze_ms| Transfer {
            pair,
            rtt_ms,
            bytes_per_s,
            freeze_ms,
            hung: false,
        };
        let all = |rtt_ms, rate, freeze| {
            Pair::ALL.map(|pair| match pair {
                Pair::ChromiumToChromium => transfer(pair, rtt_ms, 100.0, 50.0),
                _ => transfer(pair, rtt_ms, rate, freeze),
            })
        };
        let found = |transfers: Vec<Transfer>| Findings { transfers, ..Findings::default() }.judged();
        let holds = |judged: Vec<Judged>| judged.iter().map(|one| one.holds).collect::<Vec<_>>();
        assert_eq!(
            holds(found([all(0, 90.0, 350.0), all(20, 89.0, 50.0)].concat())),
            [true, true, true, false, false, false]
        );
        assert_eq!(holds(found(all(0, 200.0, 351.0).to_vec())), [false; 3]);
        let mut hung = all(0, 200.0, 0.0);
        hung[1].hung = true;
        assert_eq!(holds(found(hung.to_vec())), [false, true, true]);
    }
}
