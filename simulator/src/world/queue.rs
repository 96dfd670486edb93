//! Events in order of time: a timing wheel (Varghese and Lauck 1987) over what comes soon, a heap for what comes late.
//!
//! Of two events at one moment the one scheduled first happens first. Scheduling costs a push onto a vector; a slot is
//! sorted once, when its time has come.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use rillcast_core::time::Instant;

/// A slot's width in microseconds, as a power of two.
const WIDTH: u32 = 9;
/// Slots; together they span four seconds, so that no more than players' polls and ends of visits lie beyond.
const SLOTS: usize = 8 * 1024;
/// Emptied slots' vectors kept for reuse.
const SPARE: usize = 64;

/// One event and when it is due.
struct Due<E> {
    key: (u64, u64),
    event: E,
}

impl<E> PartialEq for Due<E> {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}
impl<E> Eq for Due<E> {}
impl<E> PartialOrd for Due<E> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl<E> Ord for Due<E> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key.cmp(&other.key)
    }
}

/// The events to come.
pub(super) struct Queue<E> {
    serial: u64,
    /// Number of the slot that is being emptied.
    slot: u64,
    /// What is left of it, the soonest last.
    open: Vec<Due<E>>,
    /// What was put into it since it was opened.
    late: BinaryHeap<Reverse<Due<E>>>,
    wheel: Vec<Vec<Due<E>>>,
    /// Events on the wheel.
    turning: usize,
    far: BinaryHeap<Reverse<Due<E>>>,
    spare: Vec<Vec<Due<E>>>,
}

impl<E> Default for Queue<E> {
    fn default() -> Self {
        Self {
            serial: 0,
            slot: 0,
            open: Vec::new(),
            late: BinaryHeap::new(),
            wheel: (0..SLOTS).map(|_| Vec::new()).collect(),
            turning: 0,
            far: BinaryHeap::new(),
            spare: Vec::new(),
        }
    }
}

impl<E> Queue<E> {
    /// Puts an event in. What lies in the past comes next.
    pub(super) fn push(&mut self, when: Instant, event: E) {
        self.serial += 1;
        let key = (when.as_micros(), self.serial);
        self.place(Due { key, event });
    }

    fn place(&mut self, due: Due<E>) {
        let slot = due.key.0 >> WIDTH;
        if slot <= self.slot {
            self.late.push(Reverse(due));
        } else if slot - self.slot < SLOTS as u64 {
            let bucket = &mut self.wheel[slot as usize % SLOTS];
            if bucket.capacity() == 0
                && let Some(spare) = self.spare.pop()
            {
                *bucket = spare;
            }
            bucket.push(due);
            self.turning += 1;
        } else {
            self.far.push(Reverse(due));
        }
    }

    /// Takes the soonest event out, if it is due at `end` at the latest.
    pub(super) fn pop(&mut self, end: Instant) -> Option<(Instant, E)> {
        loop {
            let late_first = match (self.open.last(), self.late.peek()) {
                (Some(open), Some(Reverse(late))) => late.key < open.key,
                (open, _) => open.is_none(),
            };
            let next = if late_first { self.late.peek().map(|r| &r.0) } else { self.open.last() };
            if let Some(next) = next {
                if next.key.0 > end.as_micros() {
                    return None;
                }
                let due = if late_first { self.late.pop().map(|r| r.0) } else { self.open.pop() };
                return due.map(|due| (Instant::from_micros(due.key.0), due.event));
            }
            if !self.turn(end) {
                return None;
            }
        }
    }

    /// Opens the next slot that has anything in it; false if none is due by `end`.
    fn turn(&mut self, end: Instant) -> bool {
        let last = end.as_micros() >> WIDTH;
        if self.turning == 0 {
            // Nothing soon: straight to what is far.
            let Some(Reverse(first)) = self.far.peek() else { return false };
            let slot = first.key.0 >> WIDTH;
            if slot > last {
                return false;
            }
            self.slot = slot;
        } else {
            loop {
                if self.slot >= last {
                    return false;
                }
                self.slot += 1;
                if !self.wheel[self.slot as usize % SLOTS].is_empty() || self.far_is_near() {
                    break;
                }
            }
        }
        let emptied = std::mem::take(&mut self.open);
        if emptied.capacity() > 0 && self.spare.len() < SPARE {
            self.spare.push(emptied);
        }
        self.open = std::mem::take(&mut self.wheel[self.slot as usize % SLOTS]);
        self.turning -= self.open.len();
        // What has come within the wheel's span goes onto it, or into the slot just opened.
        while self.far_is_near() {
            if let Some(Reverse(due)) = self.far.pop() {
                self.place(due);
            }
        }
        self.open.sort_unstable_by_key(|due| Reverse(due.key));
        true
    }

    fn far_is_near(&self) -> bool {
        self.far
            .peek()
            .is_some_and(|Reverse(due)| (due.key.0 >> WIDTH).saturating_sub(self.slot) < SLOTS as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draw::Draw;
    use proptest::prelude::*;

    const END: Instant = Instant::from_micros(u64::MAX / 2);

    #[test]
    fn events_at_one_moment_come_in_the_order_they_were_put_in() {
        let mut queue = Queue::default();
        for (when, name) in [(5, 'b'), (9_000_000, 'e'), (5, 'c'), (1, 'a'), (9_000_000, 'f')] {
            queue.push(Instant::from_micros(when), name);
        }
        assert_eq!(queue.pop(END).map(|e| e.1), Some('a'));
        queue.push(Instant::from_micros(5), 'd');
        let rest: String = std::iter::from_fn(|| queue.pop(END)).map(|e| e.1).collect();
        assert_eq!(rest, "bcdef");
    }

    #[test]
    fn nothing_comes_before_its_time() {
        let mut queue = Queue::default();
        for when in [1_000, 20_000_000] {
            queue.push(Instant::from_micros(when), ());
        }
        assert!(queue.pop(Instant::from_micros(999)).is_none());
        assert!(queue.pop(Instant::from_micros(1000)).is_some());
        assert!(queue.pop(Instant::from_micros(19_999_999)).is_none());
        assert!(queue.pop(Instant::from_micros(20_000_000)).is_some());
        assert!(queue.pop(END).is_none());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn it_orders_as_a_sorted_list_does(seed: u64, steps in 1usize..400) {
            let mut draw = Draw::new(seed);
            let (mut queue, mut list, mut now) = (Queue::default(), Vec::new(), 0u64);
            for serial in 0..steps {
                // Waits from none at all to far beyond the wheel.
                let wait = 10f64.powf(8.5 * draw.unit()) as u64 * (draw.below(4) as u64).min(1);
                queue.push(Instant::from_micros(now + wait), serial);
                list.push((now + wait, serial));
                if draw.below(3) == 0 {
                    list.sort_unstable();
                    let (when, first) = list.remove(0);
                    prop_assert_eq!(queue.pop(END), Some((Instant::from_micros(when), first)));
                    now = when;
                }
            }
            list.sort_unstable();
            for (when, serial) in list {
                prop_assert_eq!(queue.pop(END), Some((Instant::from_micros(when), serial)));
            }
            prop_assert_eq!(queue.pop(END), None);
        }
    }
}
