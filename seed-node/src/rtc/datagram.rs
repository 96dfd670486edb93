//! What a datagram is and for whom, from its first bytes (RFC 7983) and, in STUN, from the USERNAME attribute
//! (RFC 8489, 14.3). Nothing is allocated: this sees every datagram that a stranger cares to send.

/// Longest ICE user name fragment that can be one of ours; see [`super::routes::Ufrag`].
pub const MAX_UFRAG: usize = 32;

const MAGIC_COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];
const HEADER: usize = 20;
const USERNAME: u16 = 0x0006;
/// A connectivity check carries 5 to 8 attributes; whoever sends more is not one of our peers.
const MAX_ATTRIBUTES: usize = 24;

/// What came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Datagram<'a> {
    /// A STUN message that names the receiver: the part of USERNAME before the colon.
    Check {
        /// The receiver's user name fragment.
        ufrag: &'a [u8],
    },
    /// A STUN message without USERNAME: an answer to one of our own checks.
    Answer,
    /// A DTLS record.
    Dtls,
    /// Nothing that a peer of ours sends.
    Foreign,
}

/// Reads the first bytes of a datagram.
pub fn classify(datagram: &[u8]) -> Datagram<'_> {
    match datagram.first() {
        Some(0..=3) => stun(datagram).unwrap_or(Datagram::Foreign),
        Some(20..=63) => Datagram::Dtls,
        _ => Datagram::Foreign,
    }
}

fn stun(message: &[u8]) -> Option<Datagram<'_>> {
    let (header, mut rest) = message.split_at_checked(HEADER)?;
    let length = usize::from(u16::from_be_bytes([header[2], header[3]]));
    if header[4..8] != MAGIC_COOKIE || length != rest.len() || length % 4 != 0 {
        return None;
    }
    for _ in 0..MAX_ATTRIBUTES {
        if rest.is_empty() {
            return Some(Datagram::Answer);
        }
        let (head, tail) = rest.split_at_checked(4)?;
        let length = usize::from(u16::from_be_bytes([head[2], head[3]]));
        let (value, _) = tail.split_at_checked(length)?;
        if u16::from_be_bytes([head[0], head[1]]) == USERNAME {
            let colon = value.iter().position(|b| *b == b':')?;
            return (1..=MAX_UFRAG).contains(&colon).then(|| Datagram::Check { ufrag: &value[..colon] });
        }
        rest = tail.get(length.next_multiple_of(4)..)?;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stun_with(attributes: &[(u16, &[u8])]) -> Vec<u8> {
        let mut body = Vec::new();
        for (kind, value) in attributes {
            body.extend(kind.to_be_bytes());
            body.extend((value.len() as u16).to_be_bytes());
            body.extend(*value);
            body.resize(body.len().next_multiple_of(4), 0);
        }
        let mut message = vec![0, 1];
        message.extend((body.len() as u16).to_be_bytes());
        message.extend(MAGIC_COOKIE);
        message.extend([7; 12]);
        message.extend(body);
        message
    }

    #[test]
    fn a_check_names_its_receiver_wherever_the_name_stands() {
        let check = stun_with(&[(0x0024, &[0; 4]), (0x0006, b"ours:theirs"), (0x8028, &[0; 4])]);
        assert_eq!(classify(&check), Datagram::Check { ufrag: b"ours" });
    }

    #[test]
    fn an_answer_names_nobody() {
        assert_eq!(classify(&stun_with(&[(0x0020, &[0; 8])])), Datagram::Answer);
        assert_eq!(classify(&stun_with(&[])), Datagram::Answer);
    }

    #[test]
    fn dtls_is_told_by_its_first_byte() {
        assert_eq!(classify(&[22, 254, 253]), Datagram::Dtls);
        for foreign in [4u8, 19, 64, 79, 128, 191, 255] {
            assert_eq!(classify(&[foreign; 40]), Datagram::Foreign, "{foreign}");
        }
        assert_eq!(classify(&[]), Datagram::Foreign);
    }

    #[test]
    fn a_ufrag_has_a_length_limit() {
        for (length, known) in [(0, false), (1, true), (MAX_UFRAG, true), (MAX_UFRAG + 1, false)] {
            let mut name = vec![b'u'; length];
            name.extend(b":x");
            let is_check = matches!(classify(&stun_with(&[(6, &name)])), Datagram::Check { .. });
            assert_eq!(is_check, known, "{length}");
        }
        assert_eq!(classify(&stun_with(&[(6, b"no colon")])), Datagram::Foreign);
    }

    #[test]
    fn attributes_have_a_limit_of_number() {
        let many = |n: usize| stun_with(&vec![(0x8022, &b"x"[..]); n]);
        assert_eq!(classify(&many(MAX_ATTRIBUTES - 1)), Datagram::Answer);
        assert_eq!(classify(&many(MAX_ATTRIBUTES)), Datagram::Foreign);
        assert_eq!(classify(&many(MAX_ATTRIBUTES + 1)), Datagram::Foreign);
    }

    #[test]
    fn damaged_stun_is_foreign_and_never_panics() {
        let check = stun_with(&[(0x0006, b"ours:theirs"), (0x0008, &[1; 20])]);
        for cut in 1..check.len() {
            assert_eq!(classify(&check[..cut]), Datagram::Foreign, "cut at {cut}");
        }
        // Any one byte changed to any other value is read without a panic.
        for at in 0..check.len() {
            for value in 0..=255u8 {
                let mut damaged = check.clone();
                damaged[at] = value;
                let _ = classify(&damaged);
            }
        }
        let mut wrong_cookie = check;
        wrong_cookie[4] ^= 1;
        assert_eq!(classify(&wrong_cookie), Datagram::Foreign);
    }
}
