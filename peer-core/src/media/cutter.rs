//! Bytes that come in pieces of any size and leave in pieces of a wanted size.

use crate::payload::Payload;

/// A queue of bytes.
#[derive(Clone, Debug)]
pub struct Cutter<P> {
    parts: Vec<P>,
    len: usize,
}

impl<P> Default for Cutter<P> {
    fn default() -> Self {
        Self { parts: Vec::new(), len: 0 }
    }
}

impl<P: Payload> Cutter<P> {
    /// Bytes in the queue.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether the queue is empty.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Appends bytes.
    pub fn push(&mut self, part: P) {
        self.len += part.len();
        if !part.is_empty() {
            self.parts.push(part);
        }
    }

    /// Takes the first `n` bytes; `None` if there are fewer.
    pub fn take(&mut self, n: usize) -> Option<P> {
        if n > self.len {
            return None;
        }
        self.len -= n;
        let mut taken = Vec::new();
        let mut left = n;
        let mut used = 0;
        while left > 0 {
            let part = &mut self.parts[used];
            if part.len() > left {
                taken.push(part.slice(0..left));
                *part = part.slice(left..part.len());
                left = 0;
            } else {
                left -= part.len();
                taken.push(part.clone());
                used += 1;
            }
        }
        self.parts.drain(..used);
        Some(if taken.len() == 1 { taken.remove(0) } else { P::concat(&taken) })
    }

    /// Everything, as it came.
    pub fn into_parts(self) -> Vec<P> {
        self.parts
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn bytes_leave_in_the_order_they_came_whatever_the_pieces(
            pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 0..12),
            cuts in proptest::collection::vec(0usize..60, 0..20),
        ) {
            let all: Vec<u8> = pieces.concat();
            let mut cutter = Cutter::default();
            pieces.into_iter().for_each(|p| cutter.push(p));
            let mut taken = Vec::new();
            for cut in cuts {
                let before = cutter.len();
                match cutter.take(cut) {
                    Some(part) => {
                        prop_assert_eq!((part.len(), cutter.len()), (cut, before - cut));
                        taken.extend(part);
                    }
                    None => prop_assert!(cut > before && cutter.len() == before, "nothing is lost by asking for too much"),
                }
            }
            taken.extend(cutter.into_parts().concat());
            prop_assert_eq!(taken, all);
        }
    }

    #[test]
    fn empty_pieces_take_no_place() {
        let mut cutter = Cutter::default();
        cutter.push(Vec::new());
        assert!(cutter.is_empty());
        assert!(cutter.into_parts().is_empty());
    }
}
