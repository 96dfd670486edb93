//! Numbers of bytes and lengths of time, as people write them.

use std::str::FromStr;
use std::time::Duration;

use serde::Deserialize;

use super::ConfigError;

/// A number of bytes: digits, then K, M or G for powers of 1024.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "AmountText")]
pub struct Amount(pub u64);

#[derive(Deserialize)]
#[serde(untagged)]
enum AmountText {
    Number(u64),
    Text(String),
}

impl TryFrom<AmountText> for Amount {
    type Error = ConfigError;
    fn try_from(text: AmountText) -> Result<Self, ConfigError> {
        match text {
            AmountText::Number(n) => Ok(Self(n)),
            AmountText::Text(t) => t.parse(),
        }
    }
}

impl FromStr for Amount {
    type Err = ConfigError;
    fn from_str(text: &str) -> Result<Self, ConfigError> {
        let wrong = || ConfigError::Amount(text.to_owned());
        let (digits, shift) = match text.as_bytes().last() {
            Some(b'K' | b'k') => (&text[..text.len() - 1], 10),
            Some(b'M' | b'm') => (&text[..text.len() - 1], 20),
            Some(b'G' | b'g') => (&text[..text.len() - 1], 30),
            _ => (text, 0),
        };
        let n: u64 = digits.parse().map_err(|_| wrong())?;
        n.checked_mul(1 << shift).map(Self).ok_or_else(wrong)
    }
}

/// A length of time: a number and its unit, such as 90s, 12h or 7d.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Span(pub Duration);

impl TryFrom<String> for Span {
    type Error = ConfigError;
    fn try_from(text: String) -> Result<Self, ConfigError> {
        text.parse()
    }
}

impl FromStr for Span {
    type Err = ConfigError;
    fn from_str(text: &str) -> Result<Self, ConfigError> {
        let span = humantime::parse_duration(text).map_err(|_| ConfigError::Span(text.to_owned()))?;
        // Longer than anything is kept, and no sum with it overflows.
        if span > Self::MOST { Err(ConfigError::Span(text.to_owned())) } else { Ok(Self(span)) }
    }
}

impl Span {
    /// Ten years.
    pub const MOST: Duration = Duration::from_secs(10 * 366 * 24 * 3600);
}
