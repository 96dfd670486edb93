//! The part of the day in which a token counts.

use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

const DAY: u64 = 24 * 60;

/// From one time of the day up to, not including, another, every day, in UTC. It may go over midnight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Window {
    /// The first minute in it.
    pub from: Minute,
    /// The first minute after it.
    pub to: Minute,
}

/// A minute of the day, `00:00` to `23:59`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Minute(u16);

/// Why a text is no time of the day or no window.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum WindowError {
    /// Not a time.
    #[error("{0:?} is no time of the day; write it like 08:30, 00:00 to 23:59, in UTC")]
    Minute(String),
    /// Not two times.
    #[error("{0:?} is no window; write it like 18:00-23:30, in UTC")]
    Form(String),
    /// Nothing or everything: unclear which.
    #[error("a window can't begin and end in the same minute; leave it out for the whole day")]
    Empty,
}

impl Window {
    /// Whether it makes sense.
    pub fn check(&self) -> Result<(), WindowError> {
        if self.from == self.to { Err(WindowError::Empty) } else { Ok(()) }
    }

    /// Whether this second (since 1970) lies in it.
    pub fn holds(&self, now: u64) -> bool {
        let minute = Minute((now / 60 % DAY) as u16);
        if self.from < self.to {
            self.from <= minute && minute < self.to
        } else {
            self.from <= minute || minute < self.to
        }
    }
}

impl FromStr for Window {
    type Err = WindowError;

    fn from_str(text: &str) -> Result<Self, WindowError> {
        let (from, to) = text.split_once('-').ok_or_else(|| WindowError::Form(text.to_owned()))?;
        let window = Self { from: from.parse()?, to: to.parse()? };
        window.check()?;
        Ok(window)
    }
}

impl FromStr for Minute {
    type Err = WindowError;

    fn from_str(text: &str) -> Result<Self, WindowError> {
        let wrong = || WindowError::Minute(text.to_owned());
        let digits = |part: &str| {
            let plain = part.len() == 2 && part.bytes().all(|b| b.is_ascii_digit());
            plain.then(|| part.parse::<u16>().ok()).flatten()
        };
        let (hour, minute) = text.split_once(':').ok_or_else(wrong)?;
        let (hour, minute) = digits(hour).zip(digits(minute)).ok_or_else(wrong)?;
        if hour > 23 || minute > 59 { Err(wrong()) } else { Ok(Self(hour * 60 + minute)) }
    }
}

impl TryFrom<String> for Minute {
    type Error = WindowError;

    fn try_from(text: String) -> Result<Self, WindowError> {
        text.parse()
    }
}

impl From<Minute> for String {
    fn from(minute: Minute) -> Self {
        format!("{:02}:{:02}", minute.0 / 60, minute.0 % 60)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seconds into some day.
    fn at(hour: u64, minute: u64, second: u64) -> u64 {
        20_000 * 86_400 + hour * 3600 + minute * 60 + second
    }

    #[test]
    fn a_window_begins_with_its_first_minute_and_ends_before_its_last() {
        let window: Window = "08:30-17:00".parse().expect("a window");
        assert!(!window.holds(at(8, 29, 59)) && window.holds(at(8, 30, 0)));
        assert!(window.holds(at(16, 59, 59)) && !window.holds(at(17, 0, 0)));
    }

    #[test]
    fn a_window_may_go_over_midnight() {
        let window: Window = "22:00-02:00".parse().expect("a window");
        assert!(window.holds(at(22, 0, 0)) && window.holds(at(0, 0, 0)) && window.holds(at(1, 59, 59)));
        assert!(!window.holds(at(2, 0, 0)) && !window.holds(at(21, 59, 59)));
        let evening: Window = "18:00-00:00".parse().expect("a window");
        assert!(evening.holds(at(23, 59, 59)) && !evening.holds(at(0, 0, 0)));
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in ["24:00", "23:60", "8:30", "08:3", "0830", "+8:30", "08:30:00", ""] {
            assert!(text.parse::<Minute>().is_err(), "{text}");
        }
        for text in ["00:00", "23:59"] {
            assert_eq!(String::from(text.parse::<Minute>().expect("a time")), text);
        }
        assert_eq!("08:00-08:00".parse::<Window>(), Err(WindowError::Empty));
        assert!(matches!("08:00".parse::<Window>(), Err(WindowError::Form(_))));
    }
}
