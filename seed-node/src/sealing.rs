//! Seals what this node tells others to connect, and opens what they tell it: `rillcast_protocol::sealing` says how.

use std::fmt;

use rillcast_protocol::id::SealingKey;
use rillcast_protocol::sealing::{NONCE, TAG, info};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::hkdf::{HKDF_SHA256, Salt};
use x25519_dalek::{PublicKey, StaticSecret};

/// Bytes of a signal that stay in the clear.
const KIND: usize = 1;

/// This visit's key.
pub struct Sealer {
    secret: StaticSecret,
    key: SealingKey,
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Sealer").field(&self.key).finish()
    }
}

impl Sealer {
    /// A new one.
    pub fn new() -> Result<Self, getrandom::Error> {
        let mut secret = [0; 32];
        getrandom::fill(&mut secret)?;
        let secret = StaticSecret::from(secret);
        let key = SealingKey(PublicKey::from(&secret).to_bytes());
        Ok(Self { secret, key })
    }

    /// What others seal with for us.
    pub fn key(&self) -> SealingKey {
        self.key
    }

    /// What we and the holder of another key tell each other is sealed with. `None` where that key is none: an agreement with it would be the same
    /// for everybody.
    pub fn channel(&self, other: SealingKey) -> Option<Channel> {
        let shared = self.secret.diffie_hellman(&PublicKey::from(other.0));
        if !shared.was_contributory() {
            return None;
        }
        let pseudorandom = Salt::new(HKDF_SHA256, &[]).extract(shared.as_bytes());
        let key = |from: &SealingKey, to: &SealingKey| {
            let info = info(from, to);
            let info = [&info[..]];
            let key = UnboundKey::from(pseudorandom.expand(&info, &AES_256_GCM).ok()?);
            Some(LessSafeKey::new(key))
        };
        Some(Channel { ours: key(&self.key, &other)?, theirs: key(&other, &self.key)? })
    }
}

/// What two peers tell each other.
#[derive(Debug)]
pub struct Channel {
    ours: LessSafeKey,
    theirs: LessSafeKey,
}

impl Channel {
    /// Seals a signal of ours. `None` if the system has no randomness, or the signal is empty.
    pub fn seal(&self, signal: &[u8]) -> Option<Vec<u8>> {
        let (kind, rest) = signal.split_at_checked(KIND)?;
        let mut nonce = [0; NONCE];
        getrandom::fill(&mut nonce).ok()?;
        let mut sealed = Vec::with_capacity(signal.len() + NONCE + TAG);
        sealed.extend_from_slice(kind);
        sealed.extend_from_slice(&nonce);
        let mut body = rest.to_vec();
        let nonce = Nonce::assume_unique_for_key(nonce);
        self.ours.seal_in_place_append_tag(nonce, Aad::from(kind), &mut body).ok()?;
        sealed.extend(body);
        Some(sealed)
    }

    /// Opens what the other has sealed. `None` if it hasn't.
    pub fn open(&self, sealed: &[u8]) -> Option<Vec<u8>> {
        let (kind, rest) = sealed.split_at_checked(KIND)?;
        let (nonce, body) = rest.split_first_chunk::<NONCE>()?;
        let mut body = body.to_vec();
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let opened = self.theirs.open_in_place(nonce, Aad::from(kind), &mut body).ok()?;
        Some([kind, opened].concat())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealer(byte: u8) -> Sealer {
        let secret = StaticSecret::from([byte; 32]);
        let key = SealingKey(PublicKey::from(&secret).to_bytes());
        Sealer { secret, key }
    }

    fn pair() -> (Channel, Channel, Channel) {
        let (a, b, c) = (sealer(1), sealer(2), sealer(3));
        let channel = |of: &Sealer, with: &Sealer| of.channel(with.key()).expect("a key");
        (channel(&a, &b), channel(&b, &a), channel(&c, &b))
    }

    // H4
    #[test]
    fn only_the_other_end_opens_what_was_sealed() {
        let (a, b, c) = pair();
        let signal = b"\0candidate:1 1 udp 1 192.0.2.7 9 typ host";
        let sealed = a.seal(signal).expect("sealed");
        assert_eq!(sealed.len(), signal.len() + NONCE + TAG);
        assert!(!sealed.windows(9).any(|w| w == b"192.0.2.7"));
        assert_eq!(b.open(&sealed).as_deref(), Some(&signal[..]));
        assert_eq!(c.open(&sealed), None, "a third");
        assert_eq!(a.open(&sealed), None, "thrown back at its sender");
        assert_ne!(a.seal(signal), Some(sealed), "not the same twice");
    }

    // H2, H4
    #[test]
    fn nothing_of_it_can_be_changed() {
        let (a, b, _) = pair();
        let sealed = a.seal(b"\x01what we say").expect("sealed");
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert_eq!(b.open(&changed), None, "byte {at}");
            assert_eq!(b.open(&sealed[..at]), None, "cut off at {at}");
        }
        assert_eq!(a.seal(b""), None);
        let shortest = a.seal(&[3]).expect("sealed");
        assert_eq!(b.open(&shortest), Some(vec![3]));
    }

    #[test]
    fn a_key_that_agrees_on_the_same_with_everybody_is_none() {
        assert!(sealer(1).channel(SealingKey([0; 32])).is_none());
    }

    // The page's side is held to the same bytes: web/tests/sealing.test.ts.
    #[test]
    fn the_format_is_what_it_was() {
        let (_, b, _) = pair();
        let sealed = include_str!("../tests/golden/sealed.txt").trim();
        let bytes: Option<Vec<u8>> =
            (0..sealed.len() / 2).map(|i| u8::from_str_radix(&sealed[2 * i..2 * i + 2], 16).ok()).collect();
        let opened = b.open(&bytes.expect("hexadecimal digits"));
        assert_eq!(opened.as_deref(), Some(&b"\0an offer from 1 to 2"[..]));
    }
}
