//! Which segment is on the air: a pure function of the schedule, the films' segments and the time.
//!
//! Two nodes with the same schedule and films serve the same playlist, byte by byte, without knowing of each other, and after a restart the same as before:
//! numbers aren't counted but reckoned from the clock. So segments are laid out once for a period (the loop, or a day), and a
//! number is the period's times their count, and the place in it.

use thiserror::Error;

use super::schedule::Plan;

/// Most segments of a period.
pub const MAX_SLOTS: usize = 200_000;
const DAY_MS: u64 = 24 * 3600 * 1000;

/// Why a plan can't be played.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum PlayoutError {
    /// Nothing in it.
    #[error("what is scheduled plays for no time at all")]
    Nothing,
    /// Too much.
    #[error("more than {MAX_SLOTS} segments in a day or loop; make longer segments, or fewer items")]
    TooMany,
}

/// A segment's place in a period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Slot {
    film: usize,
    piece: usize,
    /// From the beginning of the period.
    starts_ms: u64,
    /// When it may be listed: all of it has been on the air.
    ends_ms: u64,
    /// Items before it in the period.
    item: u64,
}

/// A segment on the air.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OnAir {
    /// Its number in the channel.
    pub number: u64,
    /// Items before it, each behind a discontinuity.
    pub discontinuity: u64,
    /// Which film.
    pub film: usize,
    /// Which segment of it.
    pub piece: usize,
    /// When it began, in milliseconds since 1970.
    pub date_ms: u64,
}

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Playout {
    origin_ms: u64,
    /// What is played once, before the periods.
    lead: Vec<Slot>,
    lead_ms: u64,
    lead_items: u64,
    period: Vec<Slot>,
    period_ms: u64,
    period_items: u64,
}

#[derive(Default)]
struct Layout {
    slots: Vec<Slot>,
    at_ms: u64,
    items: u64,
}

impl Layout {
    /// Lays a film out from here on, as far as at least half of each segment comes before `until_ms`. `false`: it was cut.
    fn play(&mut self, film: usize, pieces: &[u32], until_ms: u64) -> Result<bool, PlayoutError> {
        let item = self.items;
        for (piece, duration) in pieces.iter().enumerate() {
            let duration = u64::from(*duration);
            if self.at_ms + duration / 2 > until_ms {
                return Ok(false);
            }
            if self.slots.len() == MAX_SLOTS {
                return Err(PlayoutError::TooMany);
            }
            let starts_ms = self.at_ms;
            self.at_ms += duration;
            let before = self.slots.last().map_or(0, |slot| slot.ends_ms);
            self.slots.push(Slot { film, piece, starts_ms, ends_ms: self.at_ms.max(before), item });
            self.items = item + 1;
        }
        Ok(true)
    }
}

impl Playout {
    /// Lays a plan out. `films` has each film's segments, in milliseconds.
    pub fn new(plan: &Plan, films: &[Vec<u32>]) -> Result<Self, PlayoutError> {
        let mut layout = Layout::default();
        let mut lead = Layout::default();
        let (origin_ms, period_ms) = match plan {
            Plan::Loop { start_ms, items } => {
                for film in items {
                    layout.play(*film, &films[*film], u64::MAX)?;
                }
                (*start_ms, layout.at_ms)
            }
            Plan::Once { start_ms, items, filler } => {
                for film in items {
                    lead.play(*film, &films[*film], u64::MAX)?;
                }
                layout.play(*filler, &films[*filler], u64::MAX)?;
                (*start_ms, layout.at_ms)
            }
            Plan::Daily { offset_minutes, blocks, filler } => {
                let first = blocks.first().map_or(0, |(at, _)| *at);
                let ends = blocks.iter().skip(1).map(|(at, _)| at - first).chain([DAY_MS]);
                for ((at, own), until) in blocks.iter().zip(ends) {
                    layout.at_ms = at - first;
                    day_block(&mut layout, own, *filler, films, until)?;
                }
                // The second day of 1970: whatever the clock's offset, that midnight isn't before all time.
                let midnight = (DAY_MS as i64 - offset_minutes * 60_000).unsigned_abs();
                (midnight + first, DAY_MS)
            }
        };
        if period_ms == 0 || layout.slots.is_empty() {
            return Err(PlayoutError::Nothing);
        }
        // What begins in a period belongs to it.
        layout.slots.iter_mut().for_each(|slot| slot.ends_ms = slot.ends_ms.min(period_ms));
        Ok(Self {
            origin_ms,
            lead_ms: lead.at_ms,
            lead_items: lead.items,
            lead: lead.slots,
            period: layout.slots,
            period_ms,
            period_items: layout.items,
        })
    }

    /// Segments that have been on the air whole: the next one's number.
    pub fn played(&self, now_ms: u64) -> u64 {
        let since = now_ms.saturating_sub(self.origin_ms);
        let whole = |slots: &[Slot], at: u64| slots.partition_point(|slot| slot.ends_ms <= at) as u64;
        if since < self.lead_ms {
            return whole(&self.lead, since);
        }
        let since = since - self.lead_ms;
        let periods = since / self.period_ms;
        self.lead.len() as u64
            + periods * self.period.len() as u64
            + whole(&self.period, since % self.period_ms)
    }

    /// The segment of that number.
    pub fn segment(&self, number: u64) -> OnAir {
        let lead = self.lead.len() as u64;
        let (slot, began_ms, items) = match self.lead.get(usize::try_from(number).unwrap_or(usize::MAX)) {
            Some(slot) => (slot, 0, 0),
            None => {
                let (periods, at) =
                    ((number - lead) / self.period.len() as u64, (number - lead) % self.period.len() as u64);
                let began_ms = self.lead_ms + periods * self.period_ms;
                (&self.period[at as usize], began_ms, self.lead_items + periods * self.period_items)
            }
        };
        OnAir {
            number,
            discontinuity: items + slot.item,
            film: slot.film,
            piece: slot.piece,
            date_ms: self.origin_ms + began_ms + slot.starts_ms,
        }
    }
}

/// What comes between two times of day.
fn day_block(
    layout: &mut Layout,
    own: &[usize],
    filler: Option<usize>,
    films: &[Vec<u32>],
    until_ms: u64,
) -> Result<(), PlayoutError> {
    for film in own {
        if !layout.play(*film, &films[*film], until_ms)? {
            return Ok(());
        }
    }
    let again = filler.map_or(own.to_vec(), |filler| vec![filler]);
    loop {
        let before = layout.at_ms;
        for film in &again {
            if !layout.play(*film, &films[*film], until_ms)? {
                return Ok(());
            }
        }
        if layout.at_ms == before {
            return Err(PlayoutError::Nothing);
        }
    }
}

#[cfg(test)]
mod tests;
