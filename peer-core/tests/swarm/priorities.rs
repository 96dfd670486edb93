//! Who is sent more, who waits, and what yields.

use std::collections::{BTreeMap, VecDeque};

use rillcast_core::engine::{Input, LinkId, Playhead};
use rillcast_core::protocol::coding::Wire;
use rillcast_core::protocol::settings::Settings;
use rillcast_core::time::Duration;
use rillcast_core::transfer::Priority;
use rillcast_core::wire::{Message, TransferId};

use crate::lab::Solo;
use crate::lab::solo::name;
use crate::switches::holding;

const BLOCK: usize = 32 * 1024;
/// Bytes that an uplink carries in a millisecond: 2 and 10 Mbit/s.
const SLOW: usize = 250;
const FAST: usize = 1250;
/// One way, in milliseconds.
const DELAY: u64 = 20;

const NORMAL: Priority = Priority::NORMAL;
const URGENT: Priority = Priority::URGENT;
const PREFETCH: Priority = Priority::BACKGROUND;

/// Something on its way up, or an answer on its way back.
enum Packet {
    Bulk(LinkId, TransferId, usize),
    Ping(LinkId, u64),
}

impl Packet {
    fn bytes(&self) -> usize {
        match self {
            Self::Bulk(.., bytes) => *bytes,
            Self::Ping(..) => 100,
        }
    }
}

/// A sender that holds segment 20, its uplink, and receivers that ask for its blocks over and over.
struct Bench {
    solo: Solo,
    links: Vec<LinkId>,
    uplink: VecDeque<Packet>,
    /// Bytes that the uplink could have carried since the last packet left.
    budget: usize,
    rate: usize,
    answers: VecDeque<(u64, LinkId, Message)>,
    asked: BTreeMap<(LinkId, TransferId), (u64, usize)>,
    /// Of blocks that have arrived: the receiver, and how long that took since it asked.
    done: Vec<(LinkId, u64)>,
    next: u32,
    now: u64,
}

impl Bench {
    fn new(rate: usize) -> Self {
        let (mut solo, first) = holding(Settings { ratio_percent: 60_000, ..Settings::default() });
        let links = vec![first, solo.neighbour(2)];
        solo.answers_pings = false;
        let (uplink, answers) = (VecDeque::new(), VecDeque::new());
        let (asked, done) = (BTreeMap::new(), Vec::new());
        Self { solo, links, uplink, budget: 0, rate, answers, asked, done, next: 0, now: 0 }
    }

    fn ask(&mut self, of: usize, priority: Priority) {
        self.next += 1;
        let (link, transfer) = (self.links[of], TransferId::request(self.next));
        self.asked.insert((link, transfer), (self.now, 0));
        self.solo.hear(
            link,
            Message::Request { transfer, name: name(20, (self.next % 12) as u16), need_ms: 3000, priority },
        );
    }

    fn waiting(&self, of: usize) -> Vec<TransferId> {
        self.asked.keys().filter(|(link, _)| *link == self.links[of]).map(|(_, transfer)| *transfer).collect()
    }

    fn change(&mut self, of: usize, priority: Priority) {
        for transfer in self.waiting(of) {
            self.solo.hear(self.links[of], Message::Priority { transfer, priority });
        }
    }

    /// A millisecond passes.
    fn step(&mut self) {
        self.now += 1;
        self.solo.wait(Duration::from_millis(1));
        for (link, header, payload) in self.solo.bulk.drain(..) {
            self.uplink.push_back(Packet::Bulk(link, header.transfer, payload.0.len()));
        }
        for (link, message) in self.solo.said.drain(..) {
            match message {
                Message::Ping { stamp } => self.uplink.push_back(Packet::Ping(link, stamp)),
                Message::Refuse { transfer, .. } => drop(self.asked.remove(&(link, transfer))),
                _ => {}
            }
        }
        self.budget += self.rate;
        while let Some(packet) = self.uplink.front() {
            let bytes = packet.bytes();
            if self.budget < bytes {
                break;
            }
            self.budget -= bytes;
            self.leaves();
        }
        if self.uplink.is_empty() {
            self.budget = 0;
        }
        while let Some((_, link, answer)) = self.answers.pop_front_if(|(at, ..)| *at <= self.now) {
            self.solo.hear(link, answer);
        }
    }

    /// Bytes in the uplink's queue.
    fn queued(&self) -> usize {
        self.uplink.iter().map(Packet::bytes).sum()
    }

    fn leaves(&mut self) {
        let there = self.now + 2 * DELAY;
        match self.uplink.pop_front() {
            Some(Packet::Ping(link, stamp)) => self.answers.push_back((there, link, Message::Pong { stamp })),
            Some(Packet::Bulk(link, transfer, bytes)) => {
                if let Some((at, got)) = self.asked.get_mut(&(link, transfer)) {
                    *got += bytes;
                    if *got == BLOCK {
                        self.done.push((link, self.now - *at));
                        self.asked.remove(&(link, transfer));
                        self.answers.push_back((there, link, Message::Arrived { transfer }));
                    }
                }
            }
            None => {}
        }
    }

    /// So much time passes, in which each receiver has so many blocks waiting, this urgent.
    fn run(&mut self, ms: u64, wants: [(usize, Priority); 2]) {
        for _ in 0..ms {
            for (of, (count, priority)) in wants.into_iter().enumerate() {
                if self.waiting(of).len() < count {
                    self.ask(of, priority);
                }
            }
            self.step();
        }
    }

    /// What is done in `time` after `before`, when what was on its way at first has come.
    fn measure(&mut self, before: u64, time: u64, wants: [(usize, Priority); 2]) {
        self.run(before, wants);
        self.done.clear();
        self.run(time, wants);
    }

    fn got(&self, of: usize) -> usize {
        self.done.iter().filter(|(link, _)| *link == self.links[of]).count()
    }
}

// R12
#[test]
fn of_two_receivers_the_urgent_one_gets_four_times_as_much() {
    let mut bench = Bench::new(SLOW);
    bench.measure(2000, 10_000, [(5, URGENT), (4, NORMAL)]);
    let ratio = bench.got(0) as f64 / bench.got(1) as f64;
    assert!((3.4..4.6).contains(&ratio), "{} and {} blocks", bench.got(0), bench.got(1));
    let used = bench.done.len() * BLOCK * 100 / (SLOW * 10_000);
    assert!(used > 90, "{used} % of the uplink");
}

// R12
#[test]
fn a_transfer_that_becomes_urgent_or_normal_again_gets_its_share_within_two_blocks() {
    let mut bench = Bench::new(SLOW);
    bench.run(3000, [(4, NORMAL), (4, NORMAL)]);
    for (urgent, other, wants) in [(1, 0, [(4, NORMAL), (5, URGENT)]), (0, 1, [(5, URGENT), (4, NORMAL)])] {
        // What the window has let out already is in the uplink's queue.
        bench.change(urgent, URGENT);
        bench.change(other, NORMAL);
        bench.measure(400, 1600, wants);
        let (more, less) = (bench.got(urgent), bench.got(other));
        assert!(more >= 3 * less && less > 0, "{more} and {less}");
    }
    bench.change(0, NORMAL);
    bench.measure(400, 3000, [(4, NORMAL), (4, NORMAL)]);
    assert!(bench.got(0).abs_diff(bench.got(1)) <= 2, "{} and {}", bench.got(0), bench.got(1));
}

// R14
#[test]
fn prefetching_delays_nothing_that_has_a_deadline() {
    let slowest = |prefetched: usize| {
        let mut bench = Bench::new(FAST);
        bench.run(10_000, [(prefetched, PREFETCH), (0, NORMAL)]);
        let before = bench.got(0);
        assert!(prefetched == 0 || before > 20, "{before} blocks while nothing else is to do");
        bench.done.clear();
        for _ in 0..20 {
            bench.ask(1, NORMAL);
            bench.run(400, [(prefetched, PREFETCH), (0, NORMAL)]);
        }
        assert_eq!(bench.got(1), 20);
        let of = bench.links[1];
        bench.done.iter().filter(|(link, _)| *link == of).map(|(_, took)| *took).max()
    };
    let (alone, beside) = (slowest(0).expect("some"), slowest(8).expect("some"));
    // What is in the uplink's queue can't be taken back: the queue that LEDBAT++ allows itself, and one message.
    assert!(beside <= alone + 60 + 33, "{beside} ms instead of {alone}");
}

// R14
#[test]
fn while_something_with_a_deadline_waits_nothing_is_prefetched() {
    let mut bench = Bench::new(SLOW);
    bench.measure(5000, 5000, [(3, PREFETCH), (4, NORMAL)]);
    assert!(bench.got(1) > 30 && bench.got(0) <= 1, "{} and {}", bench.got(0), bench.got(1));
}

// R12: a site may have all that its viewers give yield.
#[test]
fn where_uploads_yield_the_uplink_is_used_and_its_queue_short() {
    let uses = |yields: bool| {
        let mut bench = Bench::new(FAST);
        bench.solo.tell(Input::Settings(Settings { yields, ratio_percent: 60_000, ..Settings::default() }));
        let wants = [(8, NORMAL), (8, URGENT)];
        bench.run(10_000, wants);
        bench.done.clear();
        let mut queued = 0;
        for _ in 0..10_000 {
            bench.run(1, wants);
            queued += bench.queued();
        }
        (bench.done.len() * BLOCK * 100 / (FAST * 10_000), queued / 10_000 / FAST)
    };
    let ((used, _), (yielding, queued)) = (uses(false), uses(true));
    assert!(used > 95 && yielding >= 85, "{used} % and {yielding} % of the uplink");
    assert!(queued <= 40, "{queued} ms of queue");
}

/// What has been said of how urgent blocks are.
fn priorities(solo: &mut Solo, link: LinkId) -> Vec<(TransferId, Priority)> {
    let priority = |message| match message {
        Message::Request { transfer, priority, .. } | Message::Priority { transfer, priority } => {
            Some((transfer, priority))
        }
        _ => None,
    };
    solo.take_said(link).into_iter().filter_map(priority).collect()
}

fn playhead(position_ms: i64) -> Input<crate::lab::Buf> {
    let buffered_ms = position_ms;
    Input::Playhead(Playhead { position_ms, rate_percent: 100, buffered_ms, starving: false })
}

// R14
#[test]
fn on_demand_a_block_becomes_more_urgent_as_its_time_comes() {
    let mut solo = Solo::viewer();
    solo.plays(14, 24, 24, false);
    solo.demand(20);
    solo.describe(20);
    let link = solo.neighbour(1);
    solo.holds(link, 20, 0..1);
    solo.wait(Duration::from_millis(100));
    let asked = priorities(&mut solo, link);
    let [(transfer, Priority::BACKGROUND)] = asked[..] else { panic!("{asked:?}") };
    let priority = |weight: u8| Priority::from_bytes(&[weight]).expect("one");
    let start = 20 * 4000;
    for (left, weight) in
        [(12_500, None), (11_900, Some(1)), (4001, None), (3900, Some(2)), (1900, Some(4)), (500, None)]
    {
        solo.tell(playhead(start - left));
        let said: Vec<_> = weight.map(|w| (transfer, priority(w))).into_iter().collect();
        assert_eq!(priorities(&mut solo, link), said, "{left} ms before");
    }
    // The player jumps back.
    solo.tell(playhead(start - 30_000));
    assert_eq!(priorities(&mut solo, link), [(transfer, Priority::BACKGROUND)]);
}

// What is late is late everywhere: if it went first, what is new would spread too late, and so on for ever.
#[test]
fn live_nothing_is_more_urgent_than_what_is_new() {
    let mut solo = Solo::viewer();
    solo.plays(19, 1, 20, true);
    solo.tell(playhead(20 * 4000 - 3900));
    let link = solo.neighbour(1);
    solo.describe(20);
    let all = solo.blocks(20);
    solo.holds(link, 20, 0..all);
    solo.demand(20);
    solo.wait(Duration::from_millis(100));
    solo.tell(playhead(20 * 4000 - 300));
    let said = priorities(&mut solo, link);
    assert!(!said.is_empty() && said.iter().all(|(_, p)| *p == Priority::NORMAL), "{said:?}");
}
