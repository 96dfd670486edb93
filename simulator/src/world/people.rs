//! Who comes when, with what access link, and for how long. All of it is drawn before anything happens, so the same seed
//! gives the same visits whatever scheduler runs, and two runs can be compared visit by visit.

use rillcast_core::protocol::id::Role;
use rillcast_core::time::{Duration, Instant};

use super::node::{Conduct, Node};
use super::shared::SharedUplink;
use super::{Event, World};
use crate::draw::{Draw, Law, paired};
use crate::scenario::{Come, Scenario};

/// Longer than any run: whoever stays to the end.
const STAYS: f64 = 1e7;
/// A throughput that lets a player watch a rendition, over the rendition's rate; as players choose.
const HEADROOM: f64 = 1.25;

/// One visit, in seconds from the start.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Visit {
    pub(super) comes: f64,
    pub(super) stays: f64,
}

/// All visits of a scenario.
pub(super) fn visits(scenario: &Scenario, draw: &mut Draw) -> Vec<Visit> {
    let viewers = &scenario.viewers;
    let uploads = scenario.background.as_ref().map_or(0, |b| b.viewers);
    let mut visits = vec![Visit { comes: 0.0, stays: STAYS }; uploads];
    for n in uploads..viewers.peers {
        let first = match viewers.come {
            Come::Evenly => viewers.come_within_seconds * n as f64 / viewers.peers as f64,
            Come::Poisson => viewers.come_within_seconds * draw.unit(),
        };
        one_after_the_other(scenario, first, draw, &mut visits);
    }
    if let Some(crowd) = &scenario.crowd {
        for n in 0..crowd.peers {
            let first = crowd.at_minute * 60.0 + crowd.within_seconds * n as f64 / crowd.peers as f64;
            one_after_the_other(scenario, first, draw, &mut visits);
        }
    }
    visits
}

/// A visit, and those that follow it where scenarios say that somebody follows.
fn one_after_the_other(scenario: &Scenario, first: f64, draw: &mut Draw, visits: &mut Vec<Visit>) {
    let viewers = &scenario.viewers;
    let end = scenario.minutes * 60.0;
    let mut comes = first;
    while comes < end {
        let wanted = viewers.session_seconds.draw(draw);
        let driven_out = match viewers.churn_per_minute {
            0.0 => f64::INFINITY,
            share => Law::Exponential { mean: 60.0 / share }.draw(draw),
        };
        let mut stays = wanted.min(driven_out);
        let mut followed = viewers.replaced || driven_out < wanted;
        for departure in &scenario.departures {
            let at = departure.at_minute * 60.0;
            // Drawn for everybody, so that one departure doesn't change what all later draws give.
            let goes = draw.unit() < departure.share;
            if goes && comes <= at && at < comes + stays {
                stays = at - comes;
                followed = false;
            }
        }
        visits.push(Visit { comes, stays });
        if !followed {
            break;
        }
        comes += stays;
    }
}

impl World {
    /// Fills the world with those who will come.
    pub(super) fn people(&mut self, draw: &mut Draw, start: Instant) {
        let scenario = self.scenario.clone();
        let visits = visits(&scenario, draw);
        let links = access(&scenario, visits.len(), draw);
        let isps: Vec<f64> = scenario.isps.as_ref().map_or_else(|| vec![1.0], |isps| isps.sizes());
        for (n, (visit, (up, down))) in visits.into_iter().zip(links).enumerate() {
            let joins = start + Duration::from_secs_f64(visit.comes);
            let mut node =
                Node::new(Role::Viewer, (up * 125.0).max(1000.0), (down * 125.0).max(8000.0), joins);
            node.place = (draw.unit(), draw.unit());
            node.isp = pick(&isps, draw.unit());
            node.conduct = conduct(&scenario, draw.unit());
            if let Some(sites) = &scenario.sites {
                let (inside, which) = (draw.unit() < sites.share, draw.below(sites.count));
                node.site = inside.then_some(which as u16);
                if inside {
                    (node.up, node.down) = (sites.lan_kbps * 125.0, sites.lan_kbps * 125.0);
                }
            }
            if let Some(b) = scenario.background.as_ref().filter(|b| n < b.viewers) {
                node.up = b.up_kbps * 125.0;
                node.shared = Some(Box::new(SharedUplink::new(b)));
                self.ledger.shared_uplinks.push(Vec::new());
            }
            self.nodes.push(node);
            let n = n as u32;
            self.schedule(joins, Event::Join(n));
            self.schedule(joins + Duration::from_secs_f64(visit.stays), Event::Leave(n));
        }
        self.lay_crawlers(draw, start);
        if let Some(seeds) = &scenario.seeds {
            for _ in 0..seeds.count {
                let n = self.nodes.len() as u32;
                self.nodes.push(Node::new(Role::Seed, seeds.up_kbps * 125.0, seeds.down_kbps * 125.0, start));
                self.schedule(start, Event::Join(n));
            }
        }
    }
}

/// Uplinks and downlinks in kbit/s.
fn access(scenario: &Scenario, count: usize, draw: &mut Draw) -> Vec<(f64, f64)> {
    let links = &scenario.links;
    let mut pairs = paired(&links.up_kbps, &links.down_kbps, links.correlation, count, draw);
    pairs.iter_mut().for_each(|(_, down)| *down = down.max(links.least_down_kbps));
    if let Some(times) = links.up_over_demand {
        let ladder = &scenario.stream.ladder_kbps;
        let audio = scenario.stream.audio_kbps.unwrap_or(0.0);
        let watches = |down: f64| {
            let fit = ladder.iter().rev().find(|rate| (**rate + audio) * HEADROOM <= down);
            fit.copied().unwrap_or(ladder[0]) + audio
        };
        let demand: f64 = pairs.iter().map(|(_, down)| watches(*down)).sum();
        let scale = times * demand / pairs.iter().map(|(up, _)| up).sum::<f64>();
        pairs.iter_mut().for_each(|(up, _)| *up *= scale);
    }
    pairs
}

/// Which of several, by their shares.
fn pick(shares: &[f64], unit: f64) -> u16 {
    let mut sum = 0.0;
    let found = shares.iter().position(|share| {
        sum += share;
        unit < sum
    });
    found.unwrap_or(shares.len() - 1) as u16
}

fn conduct(scenario: &Scenario, unit: f64) -> Conduct {
    let c = &scenario.conduct;
    let ways = [Conduct::FreeRider, Conduct::Silent, Conduct::Polluter, Conduct::Honest];
    let shares = [c.free_riders, c.silent, c.polluters, 1.0 - c.free_riders - c.silent - c.polluters];
    ways[usize::from(pick(&shares, unit))]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::tables::{Crowd, Departure};

    fn scenario() -> Scenario {
        let mut scenario = Scenario::load("single-bitrate").expect("ships");
        scenario.minutes = 10.0;
        scenario.viewers.peers = 400;
        scenario.viewers.come_within_seconds = 10.0;
        scenario.viewers.session_seconds = Law::Fixed { value: 1e6 };
        scenario
    }

    fn there(visits: &[Visit], at: f64) -> usize {
        visits.iter().filter(|v| v.comes <= at && at < v.comes + v.stays).count()
    }

    #[test]
    fn churn_replaces_its_share_each_minute() {
        let mut scenario = scenario();
        scenario.viewers.churn_per_minute = 0.3;
        let visits = visits(&scenario, &mut Draw::new(1));
        assert_eq!(there(&visits, 300.0), 400, "each who leaves is followed");
        let new = visits.iter().filter(|v| (120.0..180.0).contains(&v.comes)).count() as f64;
        assert!((100.0..140.0).contains(&new), "{new} of 400 in a minute");
    }

    #[test]
    fn a_mass_departure_takes_its_share_of_those_present_for_good() {
        let mut scenario = scenario();
        scenario.viewers.replaced = true;
        scenario.departures = vec![Departure { at_minute: 5.0, share: 0.6 }];
        let visits = visits(&scenario, &mut Draw::new(1));
        assert_eq!(there(&visits, 299.9), 400);
        let left = there(&visits, 300.0);
        assert!((130..190).contains(&left), "{left} of 400 stay");
        assert_eq!(there(&visits, 599.0), left, "nobody follows");
    }

    #[test]
    fn a_crowd_comes_between_two_moments() {
        let mut scenario = scenario();
        scenario.viewers.peers = 20;
        scenario.crowd = Some(Crowd { peers: 380, at_minute: 2.0, within_seconds: 60.0 });
        let visits = visits(&scenario, &mut Draw::new(1));
        assert_eq!([119.0, 149.99, 181.0].map(|at| there(&visits, at)), [20, 210, 400]);
    }

    #[test]
    fn poisson_arrivals_are_as_many_and_scattered() {
        let mut scenario = scenario();
        scenario.viewers.come = Come::Poisson;
        scenario.viewers.come_within_seconds = 400.0;
        let visits = visits(&scenario, &mut Draw::new(1));
        assert_eq!(visits.len(), 400);
        let mut per_second = [0usize; 400];
        visits.iter().for_each(|v| per_second[v.comes as usize] += 1);
        let empty = per_second.iter().filter(|n| **n == 0).count() as f64;
        assert!((empty / 400.0 - (-1.0f64).exp()).abs() < 0.07, "{empty} seconds without anybody");
    }

    #[test]
    fn no_downlink_carries_less_than_the_least_and_nothing_else_changes() {
        let mut scenario = scenario();
        scenario.links.up_over_demand = None;
        let before = access(&scenario, 400, &mut Draw::new(1));
        let least = before.iter().map(|(_, down)| *down).sum::<f64>() / 400.0;
        scenario.links.least_down_kbps = least;
        let after = access(&scenario, 400, &mut Draw::new(1));
        assert!(before.iter().zip(&after).all(|(b, a)| a.0 == b.0 && a.1 == b.1.max(least)));
        assert!(before.iter().any(|(_, down)| *down < least), "there is something to raise");
    }

    #[test]
    fn shares_pick_as_often_as_they_say() {
        let mut draw = Draw::new(3);
        let mut counts = [0; 3];
        (0..10_000).for_each(|_| counts[usize::from(pick(&[0.5, 0.3, 0.2], draw.unit()))] += 1);
        assert!(counts.iter().zip([5000, 3000, 2000]).all(|(n, m)| i32::abs(n - m) < 200), "{counts:?}");
    }
}
