//! Who waits for which segment: the same one asked for twice is one demand.
//!
//! What has been told to a waiter and not yet taken lies in its channel, as references to bytes that the engine holds or held: no more than
//! the segment is long.

use std::collections::HashMap;

use bytes::Bytes;
use rillcast_protocol::id::SegmentKey;
use tokio::sync::mpsc;

/// What a waiter gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bit {
    /// It begins to come from the source, as long as that says.
    Begins(Option<u32>),
    /// The next bytes.
    Data(Bytes),
    /// What was still lacking; that was all.
    Rest(Vec<Bytes>),
    /// It can't be had.
    Failed,
}

/// Where a waiter gets it.
pub type Told = mpsc::UnboundedReceiver<Bit>;

#[derive(Debug)]
struct Waiter {
    tell: mpsc::UnboundedSender<Bit>,
    /// It takes bytes as they come, not only all of them.
    streams: bool,
    /// Bytes told, once it has begun to come.
    told: Option<u64>,
}

/// All of them.
#[derive(Debug, Default)]
pub struct Waiting {
    waiters: HashMap<SegmentKey, Vec<Waiter>>,
    /// Bytes that have come of what is coming.
    coming: HashMap<SegmentKey, u64>,
}

impl Waiting {
    /// Somebody waits for a segment. True if nobody did before.
    pub fn add(&mut self, key: SegmentKey, streams: bool, tell: mpsc::UnboundedSender<Bit>) -> bool {
        let waiters = self.waiters.entry(key).or_default();
        waiters.push(Waiter { tell, streams, told: None });
        waiters.len() == 1
    }

    /// Forgets who has hung up. Told back: what nobody waits for any more.
    pub fn prune(&mut self) -> Vec<SegmentKey> {
        let mut unwanted = Vec::new();
        self.waiters.retain(|key, waiters| {
            waiters.retain(|waiter| !waiter.tell.is_closed());
            if waiters.is_empty() {
                unwanted.push(*key);
            }
            !waiters.is_empty()
        });
        unwanted
    }

    /// It begins to come.
    pub fn coming(&mut self, key: SegmentKey, total: Option<u32>) {
        let Some(waiters) = self.waiters.get_mut(&key) else { return };
        self.coming.insert(key, 0);
        for waiter in waiters.iter_mut().filter(|w| w.streams && w.told.is_none()) {
            waiter.told = Some(0);
            let _ = waiter.tell.send(Bit::Begins(total));
        }
    }

    /// More of it has come.
    pub fn came(&mut self, key: SegmentKey, data: &Bytes) {
        let Some(at) = self.coming.get_mut(&key) else { return };
        let from = *at;
        *at += data.len() as u64;
        for waiter in self.waiters.get_mut(&key).into_iter().flatten() {
            let Some(told) = waiter.told.as_mut() else { continue };
            // What comes for the second time was told the first time.
            let known = told.saturating_sub(from).min(data.len() as u64);
            if *told < from || known == data.len() as u64 {
                continue;
            }
            let fresh = data.slice(known as usize..);
            *told += fresh.len() as u64;
            let _ = waiter.tell.send(Bit::Data(fresh));
        }
    }

    /// It comes no more in this way.
    pub fn broken(&mut self, key: SegmentKey) {
        self.coming.remove(&key);
    }

    /// All of it is here. True if somebody waited.
    pub fn delivered(&mut self, key: SegmentKey, parts: &[Bytes]) -> bool {
        self.coming.remove(&key);
        let Some(waiters) = self.waiters.remove(&key) else { return false };
        for waiter in waiters {
            let _ = waiter.tell.send(Bit::Rest(beyond(parts, waiter.told.unwrap_or(0))));
        }
        true
    }

    /// It can't be had.
    pub fn failed(&mut self, key: SegmentKey) {
        self.coming.remove(&key);
        for waiter in self.waiters.remove(&key).into_iter().flatten() {
            let _ = waiter.tell.send(Bit::Failed);
        }
    }

    /// Nothing can be had any more.
    pub fn fail_all(&mut self) {
        let keys: Vec<_> = self.waiters.keys().copied().collect();
        keys.into_iter().for_each(|key| self.failed(key));
    }
}

/// What of these parts lies beyond so many bytes.
pub fn beyond(parts: &[Bytes], mut skip: u64) -> Vec<Bytes> {
    let mut rest = Vec::with_capacity(parts.len());
    for part in parts {
        let passed = skip.min(part.len() as u64);
        skip -= passed;
        if passed < part.len() as u64 {
            rest.push(part.slice(passed as usize..));
        }
    }
    rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use rillcast_protocol::id::TrackId;

    const KEY: SegmentKey = SegmentKey { track: TrackId(1), number: 1, discontinuity: 0, part: 0 };

    fn bytes(text: &'static str) -> Bytes {
        Bytes::from_static(text.as_bytes())
    }

    fn add(waiting: &mut Waiting, streams: bool) -> (bool, Told) {
        let (tell, told) = mpsc::unbounded_channel();
        (waiting.add(KEY, streams, tell), told)
    }

    fn all(told: &mut Told) -> Vec<Bit> {
        std::iter::from_fn(|| told.try_recv().ok()).collect()
    }

    #[test]
    fn the_same_asked_for_twice_is_one_demand_and_both_get_it() {
        let mut waiting = Waiting::default();
        let (first, mut a) = add(&mut waiting, false);
        let (second, mut b) = add(&mut waiting, false);
        assert!(first && !second);
        assert!(waiting.delivered(KEY, &[bytes("ab"), bytes("c")]));
        let whole = [Bit::Rest(vec![bytes("ab"), bytes("c")])];
        assert_eq!((all(&mut a), all(&mut b)), (whole.to_vec(), whole.to_vec()));
        assert!(!waiting.delivered(KEY, &[]));
    }

    #[test]
    fn what_comes_in_order_is_handed_on_as_it_comes() {
        let mut waiting = Waiting::default();
        let (_, mut a) = add(&mut waiting, true);
        waiting.coming(KEY, Some(5));
        waiting.came(KEY, &bytes("ab"));
        // Whoever comes now has missed the beginning.
        let (_, mut late) = add(&mut waiting, true);
        waiting.came(KEY, &bytes("cd"));
        waiting.delivered(KEY, &[bytes("abc"), bytes("de")]);
        let told = [
            Bit::Begins(Some(5)),
            Bit::Data(bytes("ab")),
            Bit::Data(bytes("cd")),
            Bit::Rest(vec![bytes("e")]),
        ];
        assert_eq!(all(&mut a), told);
        assert_eq!(all(&mut late), [Bit::Rest(vec![bytes("abc"), bytes("de")])]);
    }

    #[test]
    fn a_fetch_that_is_made_again_tells_nothing_twice() {
        let mut waiting = Waiting::default();
        let (_, mut a) = add(&mut waiting, true);
        waiting.coming(KEY, None);
        waiting.came(KEY, &bytes("abc"));
        waiting.broken(KEY);
        waiting.came(KEY, &bytes("xx"));
        waiting.coming(KEY, None);
        waiting.came(KEY, &bytes("ab"));
        waiting.came(KEY, &bytes("cd"));
        waiting.failed(KEY);
        let told = [Bit::Begins(None), Bit::Data(bytes("abc")), Bit::Data(bytes("d")), Bit::Failed];
        assert_eq!(all(&mut a), told);
    }

    #[test]
    fn when_the_last_has_hung_up_nobody_wants_it() {
        let mut waiting = Waiting::default();
        let (_, a) = add(&mut waiting, true);
        let (_, b) = add(&mut waiting, true);
        drop(a);
        assert!(waiting.prune().is_empty());
        drop(b);
        assert_eq!(waiting.prune(), [KEY]);
    }
}
