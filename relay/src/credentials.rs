//! Credentials that count for a time, in the form that coturn knows as `use-auth-secret` (draft-uberti-behave-turn-rest-00):
//! the name says until when and for whom, the password is a keyed hash of the name. Whoever has the secret can make and check
//! them, so that signaling and a relay need not talk to each other.

use std::fmt;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use ring::hmac;

/// Longest name that is looked at: ten digits, a colon, and a user's name.
const MAX_NAME: usize = 256;

/// What a relay shares with whoever gives its credentials away.
#[derive(Clone)]
pub struct Secret(hmac::Key);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// Two are the same if they make the same passwords.
impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.password("") == other.password("")
    }
}

/// A name and a password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// `expiry:user`.
    pub name: String,
    /// Base64 of 20 bytes.
    pub password: String,
}

/// What a name says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Name<'a> {
    /// Until when it counts, in seconds since 1970.
    pub until: u64,
    /// For whom.
    pub user: &'a str,
}

impl Secret {
    /// A secret of these bytes: of coturn's `static-auth-secret`, the characters.
    pub fn new(bytes: &[u8]) -> Self {
        // SHA-1 is what coturn and all like it take. HMAC doesn't need what SHA-1 has lost.
        Self(hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, bytes))
    }

    /// What somebody may relay with until then (seconds since 1970). The same again for the same time and user.
    pub fn credentials(&self, until: u64, user: &str) -> Credentials {
        let name = format!("{until}:{user}");
        Credentials { password: self.password(&name), name }
    }

    /// The password that belongs to a name.
    pub fn password(&self, name: &str) -> String {
        BASE64_STANDARD.encode(hmac::sign(&self.0, name.as_bytes()))
    }
}

impl<'a> Name<'a> {
    /// Reads a name; `None` if it isn't of this form.
    pub fn read(name: &'a str) -> Option<Self> {
        let (until, user) = name.split_once(':').filter(|_| name.len() <= MAX_NAME)?;
        // Digits only: `parse` would take a sign.
        let until = until.bytes().all(|b| b.is_ascii_digit()).then(|| until.parse().ok())??;
        Some(Self { until, user })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made with `printf '1700000000:alice' | openssl dgst -sha1 -hmac north -binary | base64`, the recipe in coturn's documentation.
    #[test]
    fn a_password_is_the_one_that_coturn_expects() {
        let made = Secret::new(b"north").credentials(1_700_000_000, "alice");
        assert_eq!(made.name, "1700000000:alice");
        assert_eq!(made.password, "Cd/49soE35ICqcJF/bCTn8Z4OyE=");
    }

    #[test]
    fn another_secret_another_time_or_another_user_is_another_password() {
        let made = |secret: &[u8], until, user| Secret::new(secret).credentials(until, user).password;
        let one = made(b"a", 1, "u");
        assert_eq!(one, made(b"a", 1, "u"));
        assert!(
            [made(b"b", 1, "u"), made(b"a", 2, "u"), made(b"a", 1, "v")].iter().all(|other| *other != one)
        );
        assert_ne!(Secret::new(b"a"), Secret::new(b"b"));
    }

    #[test]
    fn a_name_says_until_when_and_for_whom() {
        assert_eq!(Name::read("17:a:b"), Some(Name { until: 17, user: "a:b" }));
        assert_eq!(Name::read("17:"), Some(Name { until: 17, user: "" }));
        for none in ["", "17", ":u", "+17:u", "-1:u", "x:u", "99999999999999999999:u"] {
            assert_eq!(Name::read(none), None, "{none}");
        }
        let long = |length: usize| format!("1:{}", "u".repeat(length - 2));
        assert!(Name::read(&long(MAX_NAME - 1)).is_some() && Name::read(&long(MAX_NAME)).is_some());
        assert!(Name::read(&long(MAX_NAME + 1)).is_none());
    }

    #[test]
    fn a_secret_is_never_shown() {
        assert_eq!(format!("{:?}", Secret::new(b"north")), "Secret");
    }
}
