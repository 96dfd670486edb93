//! What was found, and what it is judged by.

use serde::Serialize;

use super::browsers::Browsers;
use super::costs::Costs;
use super::outage::Outage;
use super::revocation::Revocation;
use super::swarm::Swarm;
use super::trials::Tried;

/// Savings may differ from the clean run's by so much.
const SAVINGS: f64 = 0.03;
/// Seconds in which a revocation is to reach everybody.
const REVOKED: f64 = 10.0;
/// Share of a viewer's processor that verifying may take.
const PROCESSOR: f64 = 0.05;
/// Milliseconds that a ticket's check may take.
const TICKET_MS: f64 = 1.0;

/// All of it; what wasn't done isn't there.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Findings {
    /// Attacks over the wire.
    pub(crate) trials: Vec<Tried>,
    /// Viewers in browsers.
    pub(crate) browsers: Option<Browsers>,
    /// What verifying costs one of them.
    pub(crate) costs: Option<Costs>,
    /// Somebody is sent away.
    pub(crate) revocation: Option<Revocation>,
    /// Signaling is dead.
    pub(crate) outage: Option<Outage>,
    /// The simulator.
    pub(crate) swarm: Option<Swarm>,
}

/// A requirement, and whether it holds.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Judged {
    /// What is to hold.
    pub(crate) what: &'static str,
    /// What was measured.
    pub(crate) measured: String,
    /// Whether it holds.
    pub(crate) holds: bool,
}

impl Findings {
    /// What is required of what was measured.
    pub(crate) fn judged(&self) -> Vec<Judged> {
        let mut all = Vec::new();
        let mut judge = |what, measured: String, holds| all.push(Judged { what, measured, holds });
        if !self.trials.is_empty() {
            let refused = self.trials.iter().filter(|one| one.refused).count();
            judge(
                "every attack over the wire is refused",
                format!("{refused} of {}", self.trials.len()),
                refused == self.trials.len(),
            );
        }
        if let Some(b) = &self.browsers {
            let played = b.attacked.altered_bytes + b.clean.altered_bytes;
            judge(
                "browsers: no unverified byte is played or passed on",
                format!("{played} bytes played, {} passed on", b.relayed_bytes),
                played + b.relayed_bytes == 0 && b.attacked.altered.is_empty(),
            );
            let cut = b.victims.iter().filter(|victim| victim.seconds.is_some()).count();
            let slowest = b.victims.iter().filter_map(|victim| victim.seconds).fold(0.0, f64::max);
            judge(
                "browsers: every victim cuts its liar off at the first false block",
                format!(
                    "{cut} of {}, {} false blocks seen, {slowest:.2} s at most",
                    b.victims.len(),
                    b.false_blocks
                ),
                cut == b.victims.len() && b.false_blocks == cut as u64 && cut > 0,
            );
            judge(
                "browsers: no honest peer is taken for a liar",
                b.framed.len().to_string(),
                b.framed.is_empty(),
            );
            judge(
                "browsers: no stalls are added",
                format!(
                    "{} clean ({:.1} s), {} attacked ({:.1} s)",
                    b.clean.stalls,
                    b.clean.stall_ms / 1000.0,
                    b.attacked.stalls,
                    b.attacked.stall_ms / 1000.0
                ),
                b.attacked.stalls <= b.clean.stalls,
            );
            judge(
                "browsers: savings within 3 points of the clean run's",
                savings(b.clean.savings, b.attacked.savings),
                b.attacked.savings >= b.clean.savings - SAVINGS,
            );
        }
        if let Some(s) = &self.swarm {
            let lies = &s.polluted.lies;
            judge(
                "swarm: no unverified byte is played or passed on",
                format!("{} bytes played, {} passed on", lies.played_bytes, lies.relayed_bytes),
                lies.played_bytes + lies.relayed_bytes == 0,
            );
            judge(
                "swarm: every false block ends its sender's link, and nobody else's",
                format!(
                    "{} blocks, {} links, {} of them honest",
                    lies.blocks,
                    lies.cut + lies.framed,
                    lies.framed
                ),
                lies.blocks == lies.cut && lies.framed == 0 && lies.blocks > 0,
            );
            judge(
                "swarm: no stalls are added to honest viewers'",
                format!(
                    "{} clean, {} attacked, in the same {} visits; per hour {:.4}, and {:.4} with polluters' own",
                    s.stalls.clean,
                    s.stalls.polluted,
                    s.stalls.visits,
                    s.clean.stalls_per_hour,
                    s.polluted.stalls_per_hour
                ),
                s.stalls.polluted <= s.stalls.clean,
            );
            judge(
                "swarm: honest viewers' savings within 3 points of the clean run's",
                savings(s.clean.savings, s.polluted.honest()),
                s.polluted.honest() >= s.clean.savings - SAVINGS,
            );
        }
        if let Some(r) = &self.revocation {
            let program = r.program.as_ref().map_or(0.0, |cut| cut.seconds);
            judge(
                "a revocation reaches a running swarm in 10 s",
                format!("a viewer {:.2} s, a program that keeps its links {program:.2} s", r.viewer.seconds),
                r.viewer.seconds.max(program) <= REVOKED,
            );
        }
        if let Some(o) = &self.outage {
            judge(
                "without signaling new links form",
                format!("{} among {} viewers in {} s", o.new_links, o.viewers, o.seconds),
                o.new_links > 0,
            );
            judge(
                "without signaling tickets are checked",
                format!(
                    "{} attempts with a false one, {} refused, {} let in",
                    o.attempts, o.refused, o.let_in
                ),
                // With a ticket that doesn't hold its calls already go unanswered, so that mostly there is no link to refuse.
                o.attempts > 0 && o.let_in == 0,
            );
        }
        if let Some(c) = &self.costs {
            let all = c.hashing + c.signatures;
            judge(
                "verifying takes at most 5 % of a viewer's processor time",
                format!(
                    "{:.2} % (blocks {:.2} %, signatures {:.2} %) of {:.0} % of a processor",
                    all * 100.0,
                    c.hashing * 100.0,
                    c.signatures * 100.0,
                    c.browser * 100.0
                ),
                all <= PROCESSOR,
            );
            judge(
                "a ticket is checked in at most 1 ms",
                format!("{:.2} ms", c.ticket_ms),
                c.ticket_ms <= TICKET_MS,
            );
        }
        all
    }
}

fn savings(clean: f64, attacked: f64) -> String {
    format!("{:.1} % clean, {:.1} % attacked", clean * 100.0, attacked * 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::attack::stalls::Stalls;
    use crate::bench::attack::swarm::{Lies, Simulated};

    fn simulated(savings: f64, lies: Lies) -> Simulated {
        Simulated { savings, givers_savings: None, stalls_per_hour: 0.0, stalled_peers: 0.0, lies }
    }

    fn swarm(savings: f64, framed: u64) -> Findings {
        let none = Lies { blocks: 0, played_bytes: 0, relayed_bytes: 0, cut: 0, framed: 0 };
        let some = Lies { blocks: 7, cut: 7, framed, ..none.clone() };
        let clean = simulated(0.9, none);
        let swarm = Swarm {
            peers: 20,
            clean: clean.clone(),
            polluted: simulated(savings, some),
            stalls: Stalls { visits: 16, clean: 1, polluted: 1 },
            outage: clean,
        };
        Findings { swarm: Some(swarm), ..Findings::default() }
    }

    #[test]
    fn savings_may_be_three_points_lower_and_nobody_honest_may_be_cut_off() {
        for (findings, failed) in [(swarm(0.871, 0), 0), (swarm(0.869, 0), 1), (swarm(0.9, 1), 1)] {
            let judged = findings.judged();
            assert_eq!(judged.len(), 4);
            assert_eq!(judged.iter().filter(|one| !one.holds).count(), failed, "{judged:?}");
        }
    }

    #[test]
    fn not_one_stall_may_be_added_but_polluters_own_are_theirs() {
        for (honest, failed) in [(0, 0), (1, 0), (2, 1)] {
            let mut findings = swarm(0.9, 0);
            let swarm = findings.swarm.as_mut().unwrap();
            (swarm.polluted.stalls_per_hour, swarm.stalls.polluted) = (0.5, honest);
            let judged = findings.judged();
            assert_eq!(judged.iter().filter(|one| !one.holds).count(), failed, "{judged:?}");
        }
    }

    #[test]
    fn what_was_not_done_is_not_judged() {
        assert!(Findings::default().judged().is_empty());
    }
}
