//! Calls of engines: what they are told, what they ask for, and when they want to be called again.

use rillcast_core::engine::{BulkFrame, Check, Event as Told, Input, LinkId, Output};
use rillcast_core::payload::Payload;
use rillcast_core::rng::mix;
use rillcast_core::time::{Duration, Instant};

use super::node::Conduct;
use super::{Event, World};
use crate::media::{Lump, holds, number_of};

/// A page's timers are no finer.
const TIMER: Duration = Duration::from_millis(1);

/// The first turn of a viewer at `when` or later, of turns that lie `apart` microseconds apart on average: a page takes what has come
/// meanwhile all at once. Each span of that length has one turn, at a moment of its own for each viewer. Calls that come together cost
/// less, for the engine is in the cache.
pub(super) fn turn(n: u32, when: Instant, apart: u64) -> Instant {
    if when == Instant::NEVER {
        return when;
    }
    let moment = |span: u64| span * apart + mix(u64::from(n) << 40 ^ span) % apart;
    let span = when.as_micros() / apart;
    let this = moment(span);
    Instant::from_micros(if this >= when.as_micros() { this } else { moment(span + 1) })
}

impl World {
    /// Tells an engine something, and does what it asks for.
    pub(super) fn input(&mut self, n: u32, input: Input<Lump>) {
        let now = self.now;
        let mut inputs = std::mem::take(&mut self.inputs);
        let mut going: Option<(LinkId, BulkFrame<Lump>)> = None;
        self.drained(n, &mut inputs);
        // Mostly nothing comes before it: then it needn't stand in line.
        let mut next = match inputs.pop_front() {
            Some(first) => {
                inputs.push_back(input);
                Some(first)
            }
            None => Some(input),
        };
        while let Some(input) = next.take().or_else(|| inputs.pop_front()) {
            let Some(engine) = &mut self.nodes[n as usize].engine else { break };
            self.ledger.calls += 1;
            engine.handle(now, input);
            while let Some(engine) = &mut self.nodes[n as usize].engine
                && let Some(output) = engine.poll_output()
            {
                match output {
                    Output::Verify { check, what } => {
                        self.note_block(n, &what);
                        inputs.push_back(Input::Verdict { check, ok: holds(&what) });
                    }
                    // The messages of a block that leave together travel as one: half the events.
                    Output::Bulk { link, frame } => match &mut going {
                        Some((to, first)) if *to == link && first.header[..4] == frame.header[..4] => {
                            first.payload = Lump::concat(&[first.payload, frame.payload]);
                        }
                        _ => {
                            if let Some((link, frame)) = going.replace((link, frame)) {
                                self.send_bulk(n, link, frame);
                            }
                        }
                    },
                    output => self.output(n, output),
                }
            }
        }
        if let Some((link, frame)) = going {
            self.send_bulk(n, link, frame);
        }
        inputs.clear();
        self.inputs = inputs;
        self.set_timer(n);
    }

    fn set_timer(&mut self, n: u32) {
        let earliest = self.now + TIMER;
        let Some(engine) = &self.nodes[n as usize].engine else { return };
        let wanted = turn(n, engine.poll_timeout().max(earliest), self.turns);
        let node = self.node(n);
        node.timer.wanted = wanted;
        if wanted < node.timer.queued {
            node.timer.queued = wanted;
            self.schedule(wanted, Event::Timer(n));
        }
    }

    pub(super) fn timer(&mut self, n: u32) {
        let now = self.now;
        let timer = &mut self.node(n).timer;
        if timer.queued != now {
            return;
        }
        timer.queued = Instant::NEVER;
        let wanted = timer.wanted;
        if wanted > now {
            if wanted != Instant::NEVER {
                self.node(n).timer.queued = wanted;
                self.schedule(wanted, Event::Timer(n));
            }
            return;
        }
        self.ledger.timeouts += 1;
        self.input(n, Input::Timeout);
    }

    fn output(&mut self, n: u32, output: Output<Lump>) {
        match output {
            Output::Connect { peer, initiate, .. } => self.connect(n, peer, initiate),
            Output::Close { peer } => self.unlink(n, peer),
            Output::Control { link, bytes } => self.send_control(n, link, bytes),
            Output::Signal { to, payload } => self.relay(n, to, payload),
            Output::Signaled { from, payload } => self.signaled(n, number_of(from) as u32, &payload),
            Output::Renew => self.renew(n),
            Output::WantPeers { count } => self.want_peers(n, count),
            Output::WantDigests { keys } => keys.into_iter().for_each(|key| self.want_digest(n, key)),
            Output::Fetch { fetch, key, range, via, .. } => self.fetch(n, fetch, key, range, via),
            Output::CancelFetch { fetch } => self.cancel_fetch(n, fetch),
            Output::Deliver(delivery) => self.delivered(n, &delivery),
            Output::Failed { key, .. } => self.failed(n, key),
            Output::Playing { tracks } if self.is_viewer(n) => self.plays(n, tracks),
            Output::Playing { tracks } => self.seed_follows(n, &tracks),
            Output::Event(Told::Liar { peer, .. }) => match self.node(number_of(peer) as u32).conduct {
                Conduct::Polluter => self.ledger.lies.cut += 1,
                _ => self.ledger.lies.framed += 1,
            },
            Output::Event(Told::Rescue { key, .. }) => self.node(n).rescuing = Some(key),
            // Visits have no keys here: a receipt now and then would cost nothing that is measured.
            Output::Accuse { peer, .. } => self.accuse(n, number_of(peer) as u32),
            Output::Sign { .. } | Output::Vouchers { .. } | Output::Nat { .. } => {}
            Output::Verify { .. } | Output::Bulk { .. } | Output::Progress { .. } | Output::Event(_) => {}
        }
    }

    /// A block is here and about to be verified.
    fn note_block(&mut self, n: u32, what: &Check<Lump>) {
        let Check::Block { payload, .. } = what else { return };
        let bytes = payload.len() as u64;
        if !holds(what) {
            self.ledger.lies.blocks += 1;
            self.ledger.lies.bytes += bytes;
        } else if !payload.hurried && self.is_viewer(n) {
            let depth = usize::from(payload.depth);
            let hops = &mut self.node(n).hops;
            hops.0 += bytes;
            hops.1 += bytes * depth as u64;
            if self.ledger.depths.len() <= depth {
                self.ledger.depths.resize(depth + 1, 0);
            }
            self.ledger.depths[depth] += bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_between_two_turns_waits_for_the_second() {
        let at = Instant::from_micros;
        for apart in [1, 8000, 250_000] {
            let mut turns = 0;
            let mut when = at(0);
            while when.as_micros() < 200 * apart {
                let turn = turn(7, when, apart);
                assert!(turn >= when && turn.as_micros() < when.as_micros() + 2 * apart);
                assert_eq!(super::turn(7, turn, apart), turn, "it is its turn");
                assert_eq!(super::turn(7, at((when.as_micros() + turn.as_micros()) / 2), apart), turn);
                (turns, when) = (turns + 1, turn + Duration::from_micros(1));
            }
            assert!((199..=201).contains(&turns), "one in each span: {turns}");
            assert_eq!(turn(7, Instant::NEVER, apart), Instant::NEVER);
        }
        assert_ne!(turn(1, at(1_000_000), 8000), turn(2, at(1_000_000), 8000), "moments of its own");
    }
}
